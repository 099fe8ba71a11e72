//! ListOffsets (2), versions 1 to 11: offsets by time, and a partition's ends.

use std::collections::BTreeSet;

use heddle_model::{LeaderEpoch, PartitionId};
use heddle_partition::{OffsetQuery, Refusal, Visibility};
use heddle_protocol::ErrorCode;
use heddle_protocol::messages::list_offsets_request::ListOffsetsPartition;
use heddle_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use heddle_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse, TopicName};

use crate::ask::{Answer, Ask, Target};
use crate::context::{Context, Reply, Started};
use crate::{errors, topics};

struct Topic {
    name: TopicName,
    partitions: Vec<Entry>,
}

enum Entry {
    /// Answered by the ask of this number.
    Asked { partition: i32, part: u32 },
    /// Nothing to look for, or an error.
    Known { partition: i32, error: ErrorCode },
}

pub(crate) fn start(request: ListOffsetsRequest, cx: &mut Context<'_>) -> Started {
    let visibility = if request.isolation_level == 1 { Visibility::LastStable } else { Visibility::HighWatermark };
    let twice = named_twice(&request);
    let topics = request.topics.into_iter().map(|topic| {
        let entries = topic.partitions.iter().map(|partition| {
            let index = partition.partition_index;
            let known = |error| Entry::Known { partition: index, error };
            if twice.contains(&(topic.name.clone(), index)) {
                return known(ErrorCode::InvalidRequest);
            }
            let found = topics::find(cx.view.image, false, &topic.name, Default::default())
                .and_then(|found| topics::partition(found, index));
            match found {
                Ok(id) => ask(id, partition, visibility, cx).unwrap_or_else(known),
                Err(error) => known(error),
            }
        });
        Topic { partitions: entries.collect(), name: topic.name.clone() }
    });
    let topics: Vec<Topic> = topics.collect();
    if cx.version() >= 10 && request.timeout_ms > 0 {
        cx.set_deadline_ms(request.timeout_ms as u64);
    }
    cx.gather(topics, finish)
}

fn named_twice(request: &ListOffsetsRequest) -> BTreeSet<(TopicName, i32)> {
    let mut seen = BTreeSet::new();
    let all = request
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.clone(), partition.partition_index)));
    all.filter(|named| !seen.insert(named.clone())).collect()
}

/// Ask the partition, or say at once what there is to say (`None`: that nothing is found).
fn ask(
    id: PartitionId,
    partition: &ListOffsetsPartition,
    visibility: Visibility,
    cx: &mut Context<'_>,
) -> Result<Entry, ErrorCode> {
    let query = match partition.timestamp {
        -1 => OffsetQuery::Latest,
        -2 => OffsetQuery::Earliest,
        -3 if cx.version() >= 7 => OffsetQuery::MaxTimestamp,
        // The earliest local offset is the earliest: there are no tiers.
        -4 if cx.version() >= 8 => OffsetQuery::Earliest,
        // The latest tiered offset: there is none.
        -5 if cx.version() >= 9 => return Err(ErrorCode::None),
        // The earliest offset that waits to be tiered: none does.
        -6 if cx.version() >= 11 => return Err(ErrorCode::None),
        time if time >= 0 => OffsetQuery::AtOrAfter(time),
        _ => return Err(ErrorCode::UnsupportedVersion),
    };
    let epoch = LeaderEpoch(partition.current_leader_epoch).known();
    let ask = heddle_partition::Ask::FindOffset { query, visibility, epoch };
    let part = cx.ask(Target::Partition(id), Ask::Partition(ask));
    Ok(Entry::Asked { partition: partition.partition_index, part })
}

fn finish(topics: Vec<Topic>, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let version = cx.version();
    let entry = |entry: &Entry| match entry {
        Entry::Known { partition, error } => nothing(*partition, *error),
        Entry::Asked { partition, part } => found(*partition, &answers[*part as usize], version),
    };
    let topic = |topic: Topic| {
        let partitions = topic.partitions.iter().map(entry).collect();
        ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    };
    cx.respond(&ListOffsetsResponse::default().with_topics(topics.into_iter().map(topic).collect()))
}

fn found(partition: i32, answer: &Answer, version: i16) -> ListOffsetsPartitionResponse {
    use heddle_partition::Answer as Partition;
    match answer {
        Answer::Partition(Partition::FoundOffset(found)) => {
            let Some(offset) = found.offset else { return nothing(partition, ErrorCode::None) };
            let out = nothing(partition, ErrorCode::None).with_offset(offset.0).with_timestamp(found.timestamp);
            if version >= 4 { out.with_leader_epoch(found.epoch.0) } else { out }
        }
        // Until a new leader's term has committed its end is not known. Versions below 5 do not know the newer code.
        // The first leader of all has no end to find: as in Kafka, a partition that was just created is not led yet.
        Answer::Partition(Partition::Refused(Refusal::NotServing { epoch })) if *epoch > LeaderEpoch(0) => {
            let is_known = version >= 5;
            nothing(partition, if is_known { ErrorCode::OffsetNotAvailable } else { ErrorCode::LeaderNotAvailable })
        }
        // Reading leaves nothing behind, so an interrupted look-up is simply to be asked elsewhere.
        Answer::Partition(Partition::Refused(Refusal::Interrupted { .. })) => {
            nothing(partition, ErrorCode::NotLeaderOrFollower)
        }
        Answer::Partition(Partition::Refused(refusal)) => nothing(partition, errors::of_partition(refusal)),
        Answer::TimedOut => nothing(partition, ErrorCode::RequestTimedOut),
        _ => nothing(partition, ErrorCode::NotLeaderOrFollower),
    }
}

/// No offset: -1, never 0 (trap 12).
fn nothing(partition: i32, error: ErrorCode) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse::default()
        .with_partition_index(partition)
        .with_error_code(error.code())
        .with_offset(-1)
        .with_timestamp(-1)
}

#[cfg(test)]
mod tests;
