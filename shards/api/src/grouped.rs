//! What the handlers of group requests share.

use heddle_group::{Answer as Group, Ask as GroupAsk, InstanceId, MemberId, Refusal, Text, TopicPartitions};
use heddle_model::PartitionIndex;
use heddle_protocol::{ErrorCode, StrBytes, Uuid, text, topic_id_of, uuid_of};

use crate::ask::{Answer, Ask, Target};
use crate::context::Context;
use crate::errors;

/// Ask a group's coordinator. It answers in its own time: a JoinGroup waits for the other members.
pub(crate) fn ask_group(cx: &mut Context<'_>, group: &str, ask: GroupAsk) -> u32 {
    cx.ask(Target::Group(group.to_owned()), Ask::Group(ask))
}

/// What the coordinator said, or why it did not.
pub(crate) fn group_answer(answer: Option<Answer>) -> Result<Group, Refusal> {
    match answer {
        Some(Answer::Group(Group::Refused(refusal))) => Err(refusal),
        Some(Answer::Group(answer)) => Ok(answer),
        // It is elsewhere, or will be: the client looks for it again.
        Some(Answer::Unreachable) => Err(Refusal::NotCoordinator),
        Some(Answer::TimedOut) | None => Err(Refusal::NotAvailable),
        Some(other) => unreachable!("a group's ask is answered by its coordinator, not by {other:?}"),
    }
}

pub(crate) fn code(outcome: Option<&Refusal>) -> i16 {
    outcome.map_or(ErrorCode::None, errors::of_group).code()
}

/// The host as Kafka shows it: Java's notation of an address without a name.
pub(crate) fn client_host(cx: &Context<'_>) -> Text {
    Text::from(format!("/{}", cx.caller.peer.ip()))
}

pub(crate) fn client_id(cx: &Context<'_>) -> Text {
    Text::new(cx.caller.client_id.as_deref().unwrap_or_default())
}

pub(crate) fn instance(id: &Option<StrBytes>) -> Option<InstanceId> {
    id.as_deref().map(InstanceId::new)
}

pub(crate) fn instance_text(id: &Option<InstanceId>) -> Option<StrBytes> {
    id.as_ref().map(|id| text(id.as_str()))
}

pub(crate) fn member_text(id: &MemberId) -> StrBytes {
    text(id.as_str())
}

pub(crate) fn partitions_from(topic: Uuid, partitions: &[i32]) -> TopicPartitions {
    let mut partitions: Vec<PartitionIndex> = partitions.iter().copied().map(PartitionIndex).collect();
    partitions.sort();
    partitions.dedup();
    TopicPartitions { topic: topic_id_of(topic), partitions }
}

pub(crate) fn partitions_to(item: &TopicPartitions) -> (Uuid, Vec<i32>) {
    (uuid_of(item.topic), item.partitions.iter().map(|index| index.0).collect())
}

#[cfg(test)]
mod tests;
