//! ConsumerGroupDescribe (69), versions 0 and 1 (KIP-848): groups of the new protocol. Classic ones are not found.

use heddle_group::{Answer as Group, Ask, ConsumerDescribed, ConsumerDescribedMember, Refusal};
use heddle_protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use heddle_protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, GroupId, TopicName};
use heddle_protocol::{ErrorCode, text};

use crate::ask::Answer;
use crate::context::{Context, Reply, Started};
use crate::grouped::{ask_group, code, group_answer, instance_text, member_text, partitions_to};
use crate::operations::{self, if_asked};

/// Version 1's types of member.
const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

pub(crate) fn start(request: ConsumerGroupDescribeRequest, cx: &mut Context<'_>) -> Started {
    for group in &request.group_ids {
        ask_group(cx, group, Ask::ConsumerDescribe(group.as_str().into()));
    }
    let asked = request.include_authorized_operations;
    cx.gather((request.group_ids, asked), finish)
}

fn finish((groups, asked): (Vec<GroupId>, bool), answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let version = cx.version();
    let groups = groups.into_iter().zip(answers).map(|(id, answer)| {
        let group = DescribedGroup::default().with_group_id(id);
        let described = match group_answer(Some(answer)) {
            Ok(Group::ConsumerDescribed(described)) => describe(group, described, version),
            Ok(other) => unreachable!("ConsumerGroupDescribe is answered by descriptions, not by {other:?}"),
            Err(refusal) => failed(group, &refusal),
        };
        let found = described.error_code == ErrorCode::None.code();
        described.with_authorized_operations(if_asked(asked && found, operations::OF_GROUPS))
    });
    cx.respond(&ConsumerGroupDescribeResponse::default().with_groups(groups.collect()))
}

fn failed(group: DescribedGroup, refusal: &Refusal) -> DescribedGroup {
    let message = match refusal {
        Refusal::GroupNotFound => Some(format!("Group {} not found.", group.group_id.as_str()).into()),
        _ => None,
    };
    group.with_error_code(code(Some(refusal))).with_error_message(message)
}

fn describe(group: DescribedGroup, described: ConsumerDescribed, version: i16) -> DescribedGroup {
    group
        .with_group_state(text(described.state.name()))
        .with_group_epoch(described.epoch)
        .with_assignment_epoch(described.assignment_epoch)
        .with_assignor_name(text(described.assignor.as_str()))
        .with_members(described.members.iter().map(|member| describe_member(member, version)).collect())
}

fn describe_member(member: &ConsumerDescribedMember, version: i16) -> Member {
    let names = member.subscribed.iter().map(|topic| TopicName(text(topic.as_str()))).collect();
    let described = Member::default()
        .with_member_id(member_text(&member.member))
        .with_instance_id(instance_text(&member.instance))
        .with_rack_id(member.rack.as_ref().map(|rack| text(rack.as_str())))
        .with_member_epoch(member.epoch)
        .with_client_id(text(member.client_id.as_str()))
        .with_client_host(text(member.client_host.as_str()))
        .with_subscribed_topic_names(names)
        // Kafka says of a member without one that it is empty, and not null.
        .with_subscribed_topic_regex(Some(text(member.regex.as_ref().map_or("", |regex| regex.as_str()))))
        .with_assignment(assignment(&member.assignment))
        .with_target_assignment(assignment(&member.target));
    match version {
        0 => described,
        _ => described.with_member_type(if member.classic { CLASSIC } else { CONSUMER }),
    }
}

fn assignment(list: &[(heddle_group::TopicName, heddle_group::TopicPartitions)]) -> Assignment {
    let topics = list.iter().map(|(name, item)| {
        let (id, partitions) = partitions_to(item);
        TopicPartitions::default()
            .with_topic_id(id)
            .with_topic_name(TopicName(text(name.as_str())))
            .with_partitions(partitions)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
