//! OffsetFetch (9), versions 1 to 10: what groups have read. What nobody committed is -1, never 0 (trap 12).
//! From version 10 on topics are given by id, and the group, which knows names, is asked about those that exist.

use heddle_group::{Answer as Group, Ask, FetchOffsets, FetchedOffset, MemberId, OffsetOutcome, Refusal};
use heddle_model::PartitionIndex;
use heddle_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use heddle_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use heddle_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName};
use heddle_protocol::{ErrorCode, StrBytes, Uuid, text, topic_id_of, uuid_of};

use crate::ask::Answer;
use crate::context::{Context, Reply, Started};
use crate::grouped::{ask_group, code, group_answer};

/// `None`: all that the group has.
type Topics = Option<Vec<(TopicName, Vec<i32>)>>;

struct Asked {
    group: GroupId,
    topics: Topics,
    /// If topics are given by id: the ids of `topics`, and the ids that no topic has.
    ids: Vec<Uuid>,
    unknown: Vec<(Uuid, Vec<i32>)>,
}

impl Asked {
    fn by_name(group: GroupId, topics: Topics) -> Asked {
        Asked { group, topics, ids: Vec::new(), unknown: Vec::new() }
    }
}

pub(crate) fn start(request: OffsetFetchRequest, cx: &mut Context<'_>) -> Started {
    let stable = request.require_stable;
    if cx.version() >= 8 {
        let asked: Vec<Asked> = request.groups.into_iter().map(|group| ask_of_many(group, stable, cx)).collect();
        return cx.gather(asked, finish_many);
    }
    // Null means all from version 2 on; before, an empty list means none.
    let topics = request.topics.map(|topics| topics.into_iter().map(|t| (t.name, t.partition_indexes)).collect());
    let asked = Asked::by_name(request.group_id, topics);
    ask(&asked, None, None, stable, cx);
    cx.gather(asked, finish_one)
}

fn ask_of_many(group: OffsetFetchRequestGroup, stable: bool, cx: &mut Context<'_>) -> Asked {
    let mut asked = Asked::by_name(group.group_id, None);
    asked.topics = group.topics.map(|topics| {
        let named = topics.into_iter().filter_map(|topic| {
            if cx.version() < 10 {
                return Some((topic.name, topic.partition_indexes));
            }
            let Some(known) = cx.view.image.topic_by_id(topic_id_of(topic.topic_id)) else {
                asked.unknown.push((topic.topic_id, topic.partition_indexes));
                return None;
            };
            asked.ids.push(topic.topic_id);
            Some((TopicName(text(&known.name)), topic.partition_indexes))
        });
        named.collect()
    });
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
    let by_id = cx.version() >= 10;
    let groups = asked.into_iter().zip(answers).map(|(asked, answer)| {
        let group = OffsetFetchResponseGroup::default().with_group_id(asked.group.clone());
        match fetched(answer) {
            Ok(topics) if by_id => group.with_topics(topics_by_id(&topics, &asked, cx)),
            Ok(topics) => {
                let named = |name: &str| OffsetFetchResponseTopics::default().with_name(TopicName(text(name)));
                let topics = topics.iter().map(|(name, offsets)| one_of_many(named(name.as_str()), offsets));
                group.with_topics(topics.collect())
            }
            Err(refusal) => group.with_error_code(code(Some(&refusal))),
        }
    });
    cx.respond(&OffsetFetchResponse::default().with_groups(groups.collect()))
}

/// As in Kafka, ids that no topic has come last, and of all that a group has, what belongs to no topic is left out.
fn topics_by_id(
    topics: &[(heddle_group::TopicName, Vec<FetchedOffset>)],
    asked: &Asked,
    cx: &Context<'_>,
) -> Vec<OffsetFetchResponseTopics> {
    let with_id = |id| OffsetFetchResponseTopics::default().with_topic_id(id);
    // The group answers in the order of the question.
    let id_of = |at: usize, name: &heddle_group::TopicName| match asked.topics {
        Some(_) => asked.ids.get(at).copied(),
        None => cx.view.image.topic(name.as_str()).map(|topic| uuid_of(topic.id)),
    };
    let known = topics
        .iter()
        .enumerate()
        .filter_map(|(at, (name, offsets))| Some(one_of_many(with_id(id_of(at, name)?), offsets)));
    let unknown = asked.unknown.iter().map(|(id, partitions)| {
        let partitions = partitions.iter().map(|index| {
            OffsetFetchResponsePartitions::default()
                .with_partition_index(*index)
                .with_committed_offset(-1)
                .with_committed_leader_epoch(-1)
                .with_metadata(Some(StrBytes::default()))
                .with_error_code(ErrorCode::UnknownTopicId.code())
        });
        with_id(*id).with_partitions(partitions.collect())
    });
    known.chain(unknown).collect()
}

fn one_of_many(topic: OffsetFetchResponseTopics, offsets: &[FetchedOffset]) -> OffsetFetchResponseTopics {
    let partitions = offsets.iter().map(|fetched| {
        let (offset, epoch, metadata, error) = outcome(fetched);
        OffsetFetchResponsePartitions::default()
            .with_partition_index(fetched.partition.0)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(epoch)
            .with_metadata(Some(metadata))
            .with_error_code(error)
    });
    topic.with_partitions(partitions.collect())
}
