//! Topics as requests name them: by name, or by id in newer versions.

use std::sync::Arc;

use heddle_controller::{Image, Topic};
use heddle_model::{PartitionId, PartitionIndex};
use heddle_protocol::{ErrorCode, Uuid, topic_id_of};

/// The topic of a request that names topics, or in later versions gives ids. Each has its error.
pub(crate) fn find<'a>(image: &'a Image, by_id: bool, name: &str, id: Uuid) -> Result<&'a Arc<Topic>, ErrorCode> {
    if by_id {
        image.topic_by_id(topic_id_of(id)).ok_or(ErrorCode::UnknownTopicId)
    } else {
        image.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)
    }
}

pub(crate) fn partition(topic: &Topic, index: i32) -> Result<PartitionId, ErrorCode> {
    let index = PartitionIndex(index);
    match topic.partition(index) {
        Some(_) => Ok(topic.partition_id(index)),
        None => Err(ErrorCode::UnknownTopicOrPartition),
    }
}
