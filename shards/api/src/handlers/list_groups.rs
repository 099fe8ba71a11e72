//! ListGroups (16), versions 0 to 5: the groups that this node coordinates, of all its partitions of `__consumer_offsets`.

use heddle_controller::InternalTopic;
use heddle_group::{Answer as Group, Ask as GroupAsk, List, Listed, Refusal, Text};
use heddle_protocol::messages::list_groups_response::ListedGroup;
use heddle_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use heddle_protocol::{StrBytes, text};

use crate::ask::{Answer, Ask, Target};
use crate::context::{Context, Reply, Started};
use crate::grouped::{code, group_answer};

pub(crate) fn start(request: ListGroupsRequest, cx: &mut Context<'_>) -> Started {
    let texts = |filter: &[StrBytes]| filter.iter().map(|text| Text::new(text)).collect();
    let list = List { states: texts(&request.states_filter), kinds: texts(&request.types_filter) };
    if let Some(topic) = cx.view.image.topic(InternalTopic::Offsets.name()) {
        let led_here = topic
            .placements()
            .map(|(id, _)| id)
            .filter(|id| cx.view.leaders.leader(*id).is_some_and(|(node, _)| node == cx.view.me));
        for id in led_here.collect::<Vec<_>>() {
            cx.ask(Target::GroupPartition(id.index), Ask::Group(GroupAsk::List(list.clone())));
        }
    }
    cx.gather((), finish)
}

fn finish(_: (), answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let version = cx.version();
    let mut groups = Vec::new();
    for answer in answers {
        match group_answer(Some(answer)) {
            Ok(Group::Listed(listed)) => groups.extend(listed.iter().map(|group| describe(group, version))),
            Ok(other) => unreachable!("ListGroups is answered by lists, not by {other:?}"),
            // Its leader is elsewhere since, and lists it.
            Err(Refusal::NotCoordinator) => {}
            Err(refusal) => {
                return cx.respond(&ListGroupsResponse::default().with_error_code(code(Some(&refusal))));
            }
        }
    }
    cx.respond(&ListGroupsResponse::default().with_groups(groups))
}

fn describe(group: &Listed, version: i16) -> ListedGroup {
    let listed = ListedGroup::default()
        .with_group_id(GroupId(text(group.group.as_str())))
        .with_protocol_type(text(group.protocol_type.as_str()));
    let listed = if version >= 4 { listed.with_group_state(text(group.state.name())) } else { listed };
    // In small letters, unlike the states (KIP-848).
    if version >= 5 { listed.with_group_type(text(&group.kind.name().to_ascii_lowercase())) } else { listed }
}
