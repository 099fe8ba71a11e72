//! DescribeProducers (61), version 0: who writes to a partition, and which transactions are open there (KIP-664).

use heddle_partition::ActiveProducer;
use heddle_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use heddle_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId, TopicName};
use heddle_protocol::{ErrorCode, text};

use crate::ask::{Answer, Ask, Target};
use crate::context::{Context, Reply, Started};
use crate::{errors, topics};

const NO_TRANSACTION: i64 = -1;

/// Topics with their partitions' indexes, each with the number of its ask or why it was not asked.
type Asked = Vec<(TopicName, Vec<(i32, Result<u32, ErrorCode>)>)>;

pub(crate) fn start(request: DescribeProducersRequest, cx: &mut Context<'_>) -> Started {
    let mut asked: Asked = Vec::new();
    for topic in request.topics {
        let partitions = topic.partition_indexes.iter().map(|index| (*index, ask(&topic.name, *index, cx)));
        asked.push((TopicName(text(&topic.name)), partitions.collect()));
    }
    cx.set_deadline_ms(cx.shared.config.request_timeout_ms);
    cx.gather(asked, finish)
}

fn ask(name: &str, index: i32, cx: &mut Context<'_>) -> Result<u32, ErrorCode> {
    let topic = cx.view.image.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let id = topics::partition(topic, index)?;
    Ok(cx.ask(Target::Partition(id), Ask::Partition(heddle_partition::Ask::Producers)))
}

fn finish(asked: Asked, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let topics = asked.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, asked)| {
            let described = PartitionResponse::default().with_partition_index(index);
            match asked.and_then(|part| producers(&answers[part as usize])) {
                Ok(producers) => described.with_active_producers(producers.iter().map(describe).collect()),
                Err(error) => described.with_error_code(error.code()).with_error_message(explained(error).map(text)),
            }
        });
        TopicResponse::default().with_name(name).with_partitions(partitions.collect())
    });
    cx.respond(&DescribeProducersResponse::default().with_topics(topics.collect()))
}

fn producers(answer: &Answer) -> Result<&[ActiveProducer], ErrorCode> {
    use heddle_partition::Answer as Partition;
    match answer {
        Answer::Partition(Partition::Producers(producers)) => Ok(producers),
        Answer::Partition(Partition::Refused(refusal)) => Err(errors::of_partition(refusal)),
        Answer::TimedOut => Err(ErrorCode::RequestTimedOut),
        Answer::Unreachable => Err(ErrorCode::NotLeaderOrFollower),
        other => unreachable!("DescribeProducers is answered by producers, not by {other:?}"),
    }
}

/// Kafka's words for its commonest errors.
fn explained(error: ErrorCode) -> Option<&'static str> {
    match error {
        ErrorCode::UnknownTopicOrPartition => Some("This server does not host this topic-partition."),
        ErrorCode::NotLeaderOrFollower => Some(
            "For requests intended only for the leader, this error indicates that the broker is not the current leader. \
             For requests intended for any replica, this error indicates that the broker is not a replica of the topic \
             partition.",
        ),
        _ => None,
    }
}

fn describe(producer: &ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(producer.id.0))
        .with_producer_epoch(i32::from(producer.epoch.0))
        .with_last_sequence(producer.last_sequence.0)
        .with_last_timestamp(producer.last_timestamp)
        .with_coordinator_epoch(producer.coordinator_epoch)
        .with_current_txn_start_offset(producer.transaction_start.map_or(NO_TRANSACTION, |offset| offset.0))
}
