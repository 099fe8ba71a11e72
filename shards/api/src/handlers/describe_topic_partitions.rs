//! DescribeTopicPartitions (75), version 0: topics in name order, a page at a time (KIP-966).

use std::collections::BTreeSet;

use heddle_controller::{Topic, check_topic_name};
use heddle_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use heddle_protocol::messages::{BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName};
use heddle_protocol::{ErrorCode, text, uuid_of};

use crate::ask::View;
use crate::context::{Context, Started};
use crate::operations;

/// Where the page begins.
struct From {
    topic: String,
    partition: usize,
}

pub(crate) fn start(request: DescribeTopicPartitionsRequest, cx: &mut Context<'_>) -> Started {
    let names: BTreeSet<String> = request.topics.iter().map(|topic| topic.name.to_string()).collect();
    let from = match &request.cursor {
        None => From { topic: String::new(), partition: 0 },
        Some(cursor) => {
            let partition = usize::try_from(cursor.partition_index).ok();
            let listed = names.is_empty() || names.contains(cursor.topic_name.as_str());
            let Some(partition) = partition.filter(|_| listed) else {
                let refused = names.iter().map(|name| failed(name, ErrorCode::InvalidRequest)).collect();
                return cx.done(&DescribeTopicPartitionsResponse::default().with_topics(refused));
            };
            From { topic: cursor.topic_name.to_string(), partition }
        }
    };
    let most = cx.shared.config.describe_partitions_max.max(1);
    let limit = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, most);
    let mut page = Page { left: limit, from, topics: Vec::new(), next: None };
    if names.is_empty() {
        let mut topics = cx.view.image.topics_from(&page.from.topic);
        while page.next.is_none()
            && let Some(topic) = topics.next()
        {
            page.add(topic, cx.view);
        }
    } else {
        for name in names.range(page.from.topic.clone()..) {
            match cx.view.image.topic(name) {
                Some(topic) => page.add(topic, cx.view),
                None if page.left == 0 => page.end_before(name),
                None if check_topic_name(name).is_err() => {
                    page.topics.push(failed(name, ErrorCode::InvalidTopicException));
                }
                None => page.topics.push(failed(name, ErrorCode::UnknownTopicOrPartition)),
            }
            if page.next.is_some() {
                break;
            }
        }
    }
    // Told without being asked, also of topics that are not there.
    let permit =
        |topic: DescribeTopicPartitionsResponseTopic| topic.with_topic_authorized_operations(operations::OF_TOPICS);
    let topics = page.topics.into_iter().map(permit).collect();
    let response = DescribeTopicPartitionsResponse::default().with_topics(topics).with_next_cursor(page.next);
    cx.done(&response)
}

struct Page {
    /// Partitions that still fit.
    left: usize,
    from: From,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<Cursor>,
}

impl Page {
    fn add(&mut self, topic: &Topic, view: &View<'_>) {
        if self.left == 0 {
            return self.end_before(&topic.name);
        }
        let first = if *topic.name == *self.from.topic { self.from.partition } else { 0 };
        let partitions: Vec<_> = topic
            .placements()
            .skip(first)
            .take(self.left)
            .map(|(id, placement)| {
                let replicas: Vec<BrokerId> =
                    placement.replicas.iter().map(|replica| BrokerId(replica.voter.node.0)).collect();
                let described = DescribeTopicPartitionsResponsePartition::default()
                    .with_partition_index(id.index.0)
                    .with_replica_nodes(replicas.clone())
                    .with_isr_nodes(replicas)
                    .with_eligible_leader_replicas(Some(Vec::new()))
                    .with_last_known_elr(Some(Vec::new()));
                match view.leaders.leader(id).filter(|(node, _)| view.image.broker(*node).is_some()) {
                    Some((node, epoch)) => described.with_leader_id(BrokerId(node.0)).with_leader_epoch(epoch.0),
                    None => {
                        described.with_leader_id(BrokerId(-1)).with_error_code(ErrorCode::LeaderNotAvailable.code())
                    }
                }
            })
            .collect();
        self.left -= partitions.len();
        let end = first + partitions.len();
        if end < topic.partitions.len() {
            self.next = Some(cursor(&topic.name, end as i32));
        }
        self.topics.push(
            DescribeTopicPartitionsResponseTopic::default()
                .with_name(Some(TopicName(text(&topic.name))))
                .with_topic_id(uuid_of(topic.id))
                .with_is_internal(topic.internal)
                .with_partitions(partitions),
        );
    }

    fn end_before(&mut self, name: &str) {
        self.next = Some(cursor(name, 0));
    }
}

fn cursor(name: &str, partition: i32) -> Cursor {
    Cursor::default().with_topic_name(TopicName(text(name))).with_partition_index(partition)
}

fn failed(name: &str, error: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default().with_name(Some(TopicName(text(name)))).with_error_code(error.code())
}
