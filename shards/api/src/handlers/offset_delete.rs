//! OffsetDelete (47), version 0: committed offsets go, unless a member reads the topic.

use std::collections::VecDeque;

use heddle_group::{Answer as Group, Ask, DeleteOffsets, Refusal};
use heddle_model::PartitionIndex;
use heddle_protocol::ErrorCode;
use heddle_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use heddle_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse, TopicName};

use crate::ask::Answer;
use crate::context::{Context, Reply, Started};
use crate::grouped::{ask_group, code, group_answer};

struct Topic {
    name: TopicName,
    partitions: Vec<i32>,
    /// The group is asked about topics that are there.
    asked: bool,
}

pub(crate) fn start(request: OffsetDeleteRequest, cx: &mut Context<'_>) -> Started {
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut partitions = Vec::new();
    for topic in request.topics {
        let indexes: Vec<i32> = topic.partitions.iter().map(|partition| partition.partition_index).collect();
        let asked = cx.view.image.topic(&topic.name).is_some();
        if asked {
            let name = heddle_group::TopicName::new(&topic.name);
            partitions.extend(indexes.iter().map(|index| (name.clone(), PartitionIndex(*index))));
        }
        topics.push(Topic { name: topic.name, partitions: indexes, asked });
    }
    // Asked also about nothing: whether the group is there is an answer too.
    let group = request.group_id.as_str().into();
    ask_group(cx, &request.group_id, Ask::DeleteOffsets(DeleteOffsets { group, partitions }));
    cx.gather(topics, finish)
}

fn finish(topics: Vec<Topic>, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let response = OffsetDeleteResponse::default();
    let mut outcomes: VecDeque<Option<Refusal>> = match group_answer(answers.into_iter().next()) {
        Ok(Group::OffsetsDeleted(partitions)) => partitions.into_iter().map(|(_, _, refusal)| refusal).collect(),
        Ok(other) => unreachable!("OffsetDelete is answered for each partition, not by {other:?}"),
        Err(refusal) => return cx.respond(&response.with_error_code(code(Some(&refusal)))),
    };
    let topics = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|index| {
            let error = match topic.asked {
                true => code(outcomes.pop_front().flatten().as_ref()),
                false => ErrorCode::UnknownTopicOrPartition.code(),
            };
            OffsetDeleteResponsePartition::default().with_partition_index(index).with_error_code(error)
        });
        let partitions = partitions.collect();
        OffsetDeleteResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    cx.respond(&response.with_topics(topics.collect()))
}
