//! OffsetCommit (8), versions 2 to 10: what a group has read. Unknown partitions are refused here, the rest by the group.
//! From version 10 on topics are given by id.

use std::collections::VecDeque;

use heddle_group::{Answer as Group, Ask, CommitOffsets, MemberId, OffsetToCommit, Refusal, Text};
use heddle_model::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use heddle_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use heddle_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use heddle_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, TopicName};
use heddle_protocol::{ErrorCode, Uuid};

use crate::ask::Answer;
use crate::context::{Context, Reply, Started};
use crate::grouped::{ask_group, code, group_answer, instance};
use crate::topics;

/// Each partition of the request; `Ok`: the group is asked about it.
type Asked = Vec<(Named, Vec<(i32, Result<(), ErrorCode>)>)>;

/// A topic as the request names it: the name or the id; the other is empty.
type Named = (TopicName, Uuid);

/// `retention_time_ms` of a request that leaves it to the broker. Milliseconds.
const BROKERS_RETENTION: i64 = -1;

pub(crate) fn start(request: OffsetCommitRequest, cx: &mut Context<'_>) -> Started {
    let mut asked: Asked = Vec::with_capacity(request.topics.len());
    let mut offsets = Vec::new();
    for topic in request.topics {
        let known = topics::find(cx.view.image, cx.version() >= 10, &topic.name, topic.topic_id);
        let name = heddle_group::TopicName::new(known.map_or("", |known| &known.name));
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let index = partition.partition_index;
            let found = known.and_then(|known| topics::partition(known, index));
            if found.is_ok() {
                offsets.push(to_commit(&name, known.ok().map(|topic| topic.id), partition));
            }
            partitions.push((index, found.map(|_| ())));
        }
        asked.push(((topic.name, topic.topic_id), partitions));
    }
    if !offsets.is_empty() {
        let ask = Ask::CommitOffsets(CommitOffsets {
            group: request.group_id.as_str().into(),
            member: MemberId::new(&request.member_id),
            instance: instance(&request.group_instance_id),
            generation: request.generation_id_or_member_epoch,
            knows_epochs: cx.version() >= 9,
            producer: None,
            // v2 to v4 say it, or say that the broker's holds.
            retention_ms: (request.retention_time_ms != BROKERS_RETENTION).then_some(request.retention_time_ms),
            offsets,
        });
        ask_group(cx, &request.group_id, ask);
    }
    cx.gather(asked, finish)
}

fn to_commit(
    topic: &heddle_group::TopicName,
    topic_id: Option<TopicId>,
    partition: OffsetCommitRequestPartition,
) -> OffsetToCommit {
    let epoch = partition.committed_leader_epoch;
    OffsetToCommit {
        topic: topic.clone(),
        topic_id,
        partition: PartitionIndex(partition.partition_index),
        offset: Offset(partition.committed_offset),
        leader_epoch: (epoch >= 0).then_some(LeaderEpoch(epoch)),
        metadata: Text::new(partition.committed_metadata.as_deref().unwrap_or_default()),
    }
}

fn finish(asked: Asked, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let mut outcomes: Result<VecDeque<Option<Refusal>>, Refusal> = if answers.is_empty() {
        Ok(VecDeque::new())
    } else {
        group_answer(answers.into_iter().next()).map(|answer| match answer {
            Group::Committed(partitions) => partitions.into_iter().map(|(_, _, refusal)| refusal).collect(),
            other => unreachable!("a commit is answered for each partition, not by {other:?}"),
        })
    };
    let mut outcome = || match &mut outcomes {
        // The group answers in the order of the request.
        Ok(outcomes) => code(outcomes.pop_front().flatten().as_ref()),
        Err(refusal) => code(Some(refusal)),
    };
    let topics = asked.into_iter().map(|((name, id), partitions)| {
        let partitions = partitions.into_iter().map(|(index, found)| {
            let error = found.map_or_else(ErrorCode::code, |()| outcome());
            OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(error)
        });
        OffsetCommitResponseTopic::default().with_name(name).with_topic_id(id).with_partitions(partitions.collect())
    });
    cx.respond(&OffsetCommitResponse::default().with_topics(topics.collect()))
}
