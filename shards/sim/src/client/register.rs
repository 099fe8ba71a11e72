//! One partition's committed offset, as those who are no members write and read it.

use bytes::Bytes;
use heddle_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use heddle_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use heddle_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use heddle_protocol::text;

use crate::wire;

const COMMIT: (i16, i16) = (8, 9);
const FETCH: (i16, i16) = (9, 8);

/// Commit for partition 0 of a topic, in nobody's name.
pub fn commit(group: &str, topic: &str, offset: i64, correlation: i32) -> Bytes {
    let partition = OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default().with_name(TopicName(text(topic))).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    wire::frame(COMMIT.0, COMMIT.1, correlation, &request)
}

/// The error that a commit is answered with.
///
/// # Errors
/// If this is no sound answer.
pub fn committed(answer: Bytes) -> Result<i16, String> {
    let response: OffsetCommitResponse = wire::read(answer, COMMIT.1)?;
    let partition = response.topics.first().and_then(|topic| topic.partitions.first());
    Ok(partition.ok_or("no partition in OffsetCommit's answer")?.error_code)
}

pub fn fetch(group: &str, topic: &str, correlation: i32) -> Bytes {
    let topic = OffsetFetchRequestTopics::default().with_name(TopicName(text(topic))).with_partition_indexes(vec![0]);
    let group = OffsetFetchRequestGroup::default().with_group_id(GroupId(text(group))).with_topics(Some(vec![topic]));
    wire::frame(FETCH.0, FETCH.1, correlation, &OffsetFetchRequest::default().with_groups(vec![group]))
}

/// What is committed, -1 for nothing, or the error.
///
/// # Errors
/// If this is no sound answer.
pub fn fetched(answer: Bytes) -> Result<Result<i64, i16>, String> {
    let response: OffsetFetchResponse = wire::read(answer, FETCH.1)?;
    let group = response.groups.first().ok_or("no group in OffsetFetch's answer")?;
    if group.error_code != 0 {
        return Ok(Err(group.error_code));
    }
    let partition = group.topics.first().and_then(|topic| topic.partitions.first());
    let partition = partition.ok_or("no partition in OffsetFetch's answer")?;
    Ok(if partition.error_code == 0 { Ok(partition.committed_offset) } else { Err(partition.error_code) })
}
