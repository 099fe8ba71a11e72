//! DescribeGroups (15), versions 0 to 6: classic groups with their members. Groups of the new protocol are not found.

use heddle_group::{Answer as Group, Ask, Described, GroupState, Refusal};
use heddle_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use heddle_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use heddle_protocol::{ErrorCode, text};

use crate::ask::Answer;
use crate::context::{Context, Reply, Started};
use crate::grouped::{ask_group, code, group_answer, instance_text, member_text};
use crate::operations::{self, if_asked};

pub(crate) fn start(request: DescribeGroupsRequest, cx: &mut Context<'_>) -> Started {
    for group in &request.groups {
        ask_group(cx, group, Ask::Describe(group.as_str().into()));
    }
    let asked = request.include_authorized_operations;
    cx.gather((request.groups, asked), finish)
}

fn finish((groups, asked): (Vec<GroupId>, bool), answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let version = cx.version();
    let groups = groups.into_iter().zip(answers).map(|(id, answer)| {
        let group = DescribedGroup::default().with_group_id(id);
        let described = match group_answer(Some(answer)) {
            Ok(Group::Described(described)) => describe(group, described, version),
            Ok(other) => unreachable!("DescribeGroups is answered by descriptions, not by {other:?}"),
            Err(refusal) => failed(group, &refusal, version),
        };
        let found = described.error_code == ErrorCode::None.code();
        described.with_authorized_operations(if_asked(asked && found, operations::OF_GROUPS))
    });
    cx.respond(&DescribeGroupsResponse::default().with_groups(groups.collect()))
}

/// Before version 6 a group that is not there is described as dead, which is no error (KIP-1043).
fn failed(group: DescribedGroup, refusal: &Refusal, version: i16) -> DescribedGroup {
    if *refusal != Refusal::GroupNotFound {
        return group.with_error_code(code(Some(refusal)));
    }
    let group = group.with_group_state(text(GroupState::Dead.name()));
    if version < 6 {
        return group;
    }
    let message = format!("Group {} not found.", group.group_id.as_str());
    group.with_error_code(code(Some(refusal))).with_error_message(Some(message.into()))
}

fn describe(group: DescribedGroup, described: Described, version: i16) -> DescribedGroup {
    let members = described.members.iter().map(|member| {
        let listed = DescribedGroupMember::default()
            .with_member_id(member_text(&member.member))
            .with_client_id(text(member.client_id.as_str()))
            .with_client_host(text(member.client_host.as_str()))
            .with_member_metadata(member.metadata.clone())
            .with_member_assignment(member.assignment.clone());
        if version >= 4 { listed.with_group_instance_id(instance_text(&member.instance)) } else { listed }
    });
    group
        .with_group_state(text(described.state.name()))
        .with_protocol_type(text(described.protocol_type.as_str()))
        .with_protocol_data(text(described.protocol.as_str()))
        .with_members(members.collect())
}
