//! OffsetDelete (47), version 0: committed offsets go, unless a member reads the topic. Unknown partitions are refused
//! here, the rest by the group.

use std::collections::VecDeque;

use heddle_group::{Answer as Group, Ask, DeleteOffsets, Refusal};
use heddle_model::PartitionIndex;
use heddle_protocol::ErrorCode;
use heddle_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use heddle_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse, TopicName};

use crate::ask::Answer;
use crate::context::{Context, Reply, Started};
use crate::grouped::{ask_group, code, group_answer};
use crate::topics;

struct Topic {
    name: TopicName,
    /// `Ok`: the group is asked about it.
    partitions: Vec<(i32, Result<(), ErrorCode>)>,
}

pub(crate) fn start(request: OffsetDeleteRequest, cx: &mut Context<'_>) -> Started {
    let mut asked = Vec::with_capacity(request.topics.len());
    let mut partitions = Vec::new();
    for topic in request.topics {
        let known = cx.view.image.topic(&topic.name);
        let name = heddle_group::TopicName::new(&topic.name);
        let found = topic.partitions.iter().map(|partition| {
            let index = partition.partition_index;
            let found =
                known.ok_or(ErrorCode::UnknownTopicOrPartition).and_then(|known| topics::partition(known, index));
            if found.is_ok() {
                partitions.push((name.clone(), PartitionIndex(index)));
            }
            (index, found.map(|_| ()))
        });
        let found = found.collect();
        asked.push(Topic { name: topic.name, partitions: found });
    }
    // As in Apache Kafka nobody looks whether the group is there if there is nothing to ask it.
    if !partitions.is_empty() {
        let group = request.group_id.as_str().into();
        ask_group(cx, &request.group_id, Ask::DeleteOffsets(DeleteOffsets { group, partitions }));
    }
    cx.gather(asked, finish)
}

fn finish(asked: Vec<Topic>, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let response = OffsetDeleteResponse::default();
    let mut outcomes: VecDeque<Option<Refusal>> = if answers.is_empty() {
        VecDeque::new()
    } else {
        match group_answer(answers.into_iter().next()) {
            Ok(Group::OffsetsDeleted(partitions)) => partitions.into_iter().map(|(_, _, refusal)| refusal).collect(),
            Ok(other) => unreachable!("OffsetDelete is answered for each partition, not by {other:?}"),
            Err(refusal) => return cx.respond(&response.with_error_code(code(Some(&refusal)))),
        }
    };
    let topics = asked.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|(index, found)| {
            // The group answers in the order of the request.
            let error = found.map_or_else(ErrorCode::code, |()| code(outcomes.pop_front().flatten().as_ref()));
            OffsetDeleteResponsePartition::default().with_partition_index(index).with_error_code(error)
        });
        let partitions = partitions.collect();
        OffsetDeleteResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    cx.respond(&response.with_topics(topics.collect()))
}
