//! OffsetFetch (9), versions 1 to 9: what groups have read. What nobody committed is -1, never 0 (trap 12).

use heddle_group::{Answer as Group, Ask, FetchOffsets, FetchedOffset, MemberId, OffsetOutcome, Refusal};
use heddle_model::PartitionIndex;
use heddle_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use heddle_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use heddle_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName};
use heddle_protocol::{ErrorCode, StrBytes, text};

use crate::ask::Answer;
use crate::context::{Context, Reply, Started};
use crate::grouped::{ask_group, code, group_answer};

/// `None`: all that the group has.
type Topics = Option<Vec<(TopicName, Vec<i32>)>>;

struct Asked {
    group: GroupId,
    topics: Topics,
}

pub(crate) fn start(request: OffsetFetchRequest, cx: &mut Context<'_>) -> Started {
    let stable = request.require_stable;
    if cx.version() >= 8 {
        let asked: Vec<Asked> = request.groups.into_iter().map(|group| ask_of_many(group, stable, cx)).collect();
        return cx.gather(asked, finish_many);
    }
    // Null means all from version 2 on; before, an empty list means none.
    let topics = request.topics.map(|topics| topics.into_iter().map(|t| (t.name, t.partition_indexes)).collect());
    let asked = Asked { group: request.group_id, topics };
    ask(&asked, None, None, stable, cx);
    cx.gather(asked, finish_one)
}

fn ask_of_many(group: OffsetFetchRequestGroup, stable: bool, cx: &mut Context<'_>) -> Asked {
    let topics = group.topics.map(|topics| topics.into_iter().map(|t| (t.name, t.partition_indexes)).collect());
    let asked = Asked { group: group.group_id, topics };
    ask(&asked, group.member_id.as_deref().map(MemberId::new), Some(group.member_epoch), stable, cx);
    asked
}

fn ask(asked: &Asked, member: Option<MemberId>, epoch: Option<i32>, require_stable: bool, cx: &mut Context<'_>) {
    let name = |name: &TopicName| heddle_group::TopicName::new(name);
    let topics = asked.topics.as_ref().map(|topics| {
        let indexes = |indexes: &Vec<i32>| indexes.iter().copied().map(PartitionIndex).collect();
        topics.iter().map(|(topic, partitions)| (name(topic), indexes(partitions))).collect()
    });
    let group = asked.group.as_str().into();
    ask_group(cx, &asked.group, Ask::FetchOffsets(FetchOffsets { group, member, epoch, topics, require_stable }));
}

fn fetched(answer: Answer) -> Result<Vec<(heddle_group::TopicName, Vec<FetchedOffset>)>, Refusal> {
    match group_answer(Some(answer))? {
        Group::Fetched(topics) => Ok(topics),
        other => unreachable!("OffsetFetch is answered by offsets, not by {other:?}"),
    }
}

/// Offset, leader epoch, metadata and error on the wire.
fn outcome(offset: &FetchedOffset) -> (i64, i32, StrBytes, i16) {
    match &offset.outcome {
        OffsetOutcome::Known(known) => {
            let epoch = known.leader_epoch.map_or(-1, |epoch| epoch.0);
            (known.offset.0, epoch, text(known.metadata.as_str()), ErrorCode::None.code())
        }
        OffsetOutcome::Nothing => (-1, -1, StrBytes::default(), ErrorCode::None.code()),
        OffsetOutcome::Pending => (-1, -1, StrBytes::default(), ErrorCode::UnstableOffsetCommit.code()),
    }
}

fn finish_one(asked: Asked, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let response = OffsetFetchResponse::default();
    let outcome = fetched(answers.into_iter().next().unwrap_or(Answer::TimedOut));
    match outcome {
        Ok(topics) => {
            let topics = topics.iter().map(|(name, offsets)| single_topic(name.as_str(), offsets, cx.version()));
            cx.respond(&response.with_topics(topics.collect()))
        }
        Err(refusal) if cx.version() >= 2 => cx.respond(&response.with_error_code(code(Some(&refusal)))),
        // Version 1 has an error for each partition only.
        Err(refusal) => {
            let topics = asked.topics.unwrap_or_default().into_iter().map(|(name, partitions)| {
                let failed = |index| {
                    OffsetFetchResponsePartition::default()
                        .with_partition_index(index)
                        .with_committed_offset(-1)
                        .with_metadata(Some(StrBytes::default()))
                        .with_error_code(code(Some(&refusal)))
                };
                let partitions = partitions.into_iter().map(failed).collect();
                OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions)
            });
            cx.respond(&response.with_topics(topics.collect()))
        }
    }
}

fn single_topic(name: &str, offsets: &[FetchedOffset], version: i16) -> OffsetFetchResponseTopic {
    let partitions = offsets.iter().map(|fetched| {
        let (offset, epoch, metadata, error) = outcome(fetched);
        let partition = OffsetFetchResponsePartition::default()
            .with_partition_index(fetched.partition.0)
            .with_committed_offset(offset)
            .with_metadata(Some(metadata))
            .with_error_code(error);
        if version >= 5 { partition.with_committed_leader_epoch(epoch) } else { partition }
    });
    OffsetFetchResponseTopic::default().with_name(TopicName(text(name))).with_partitions(partitions.collect())
}

fn finish_many(asked: Vec<Asked>, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let groups = asked.into_iter().zip(answers).map(|(asked, answer)| {
        let group = OffsetFetchResponseGroup::default().with_group_id(asked.group);
        match fetched(answer) {
            Ok(topics) => {
                let topics = topics.iter().map(|(name, offsets)| one_of_many(name.as_str(), offsets));
                group.with_topics(topics.collect())
            }
            Err(refusal) => group.with_error_code(code(Some(&refusal))),
        }
    });
    cx.respond(&OffsetFetchResponse::default().with_groups(groups.collect()))
}

fn one_of_many(name: &str, offsets: &[FetchedOffset]) -> OffsetFetchResponseTopics {
    let partitions = offsets.iter().map(|fetched| {
        let (offset, epoch, metadata, error) = outcome(fetched);
        OffsetFetchResponsePartitions::default()
            .with_partition_index(fetched.partition.0)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(epoch)
            .with_metadata(Some(metadata))
            .with_error_code(error)
    });
    OffsetFetchResponseTopics::default().with_name(TopicName(text(name))).with_partitions(partitions.collect())
}
