//! OffsetForLeaderEpoch (23), versions 2 to 4: where an epoch ended, for consumers that check their position.

use heddle_model::LeaderEpoch;
use heddle_partition::{Answer as Partition, Refusal};
use heddle_protocol::ErrorCode;
use heddle_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use heddle_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, TopicName};

use crate::ask::{Answer, Ask, Target};
use crate::context::{Context, Reply, Started};
use crate::{errors, topics};

struct Topic {
    name: TopicName,
    /// Index, and the number of its ask or its error.
    partitions: Vec<(i32, Result<u32, ErrorCode>)>,
}

pub(crate) fn start(request: OffsetForLeaderEpochRequest, cx: &mut Context<'_>) -> Started {
    let mut asked = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let found = topics::find(cx.view.image, false, &topic.topic, Default::default())
                .and_then(|found| topics::partition(found, partition.partition));
            let part = found.map(|id| {
                let epoch = LeaderEpoch(partition.current_leader_epoch).known();
                let ask = heddle_partition::Ask::EpochEnd { asked: LeaderEpoch(partition.leader_epoch), epoch };
                cx.ask(Target::Partition(id), Ask::Partition(ask))
            });
            partitions.push((partition.partition, part));
        }
        asked.push(Topic { name: topic.topic, partitions });
    }
    cx.gather(asked, finish)
}

fn finish(topics: Vec<Topic>, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let partition = |(index, part): &(i32, Result<u32, ErrorCode>)| match part {
        Ok(part) => ended(*index, &answers[*part as usize]),
        Err(error) => unknown(*index, *error),
    };
    let topic = |topic: Topic| {
        OffsetForLeaderTopicResult::default()
            .with_partitions(topic.partitions.iter().map(partition).collect())
            .with_topic(topic.name)
    };
    cx.respond(&OffsetForLeaderEpochResponse::default().with_topics(topics.into_iter().map(topic).collect()))
}

fn ended(index: i32, answer: &Answer) -> EpochEndOffset {
    match answer {
        Answer::Partition(Partition::EpochEnd { epoch, end }) => {
            unknown(index, ErrorCode::None).with_leader_epoch(epoch.0).with_end_offset(end.0)
        }
        Answer::Partition(Partition::NoEpochEnd) => unknown(index, ErrorCode::None),
        // Reading leaves nothing behind, so an interrupted look-up is simply to be asked elsewhere.
        Answer::Partition(Partition::Refused(Refusal::Interrupted { .. })) => {
            unknown(index, ErrorCode::NotLeaderOrFollower)
        }
        Answer::Partition(Partition::Refused(refusal)) => unknown(index, errors::of_partition(refusal)),
        _ => unknown(index, ErrorCode::NotLeaderOrFollower),
    }
}

/// -1 for both, never 0 (trap 12).
fn unknown(index: i32, error: ErrorCode) -> EpochEndOffset {
    EpochEndOffset::default()
        .with_partition(index)
        .with_error_code(error.code())
        .with_leader_epoch(-1)
        .with_end_offset(-1)
}

#[cfg(test)]
mod tests;
