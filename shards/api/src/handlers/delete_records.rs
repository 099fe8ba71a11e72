//! DeleteRecords (21), versions 0 to 2: the start of a partition's log moves up; offset -1 means the high watermark.

use heddle_model::Offset;
use heddle_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use heddle_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse, TopicName};
use heddle_protocol::{ErrorCode, text};

use crate::ask::{Answer, Ask, Target};
use crate::context::{Context, Reply, Started};
use crate::{errors, topics};

const TO_HIGH_WATERMARK: i64 = -1;

struct Partition {
    index: i32,
    /// The number of its ask, or why it was not asked.
    asked: Result<u32, ErrorCode>,
}

type Asked = Vec<(TopicName, Vec<Partition>)>;

pub(crate) fn start(request: DeleteRecordsRequest, cx: &mut Context<'_>) -> Started {
    let mut asked: Asked = Vec::new();
    for topic in request.topics {
        let partitions = topic.partitions.into_iter().map(|partition| Partition {
            index: partition.partition_index,
            asked: ask(&topic.name, partition.partition_index, partition.offset, cx),
        });
        asked.push((TopicName(text(&topic.name)), partitions.collect()));
    }
    match u64::try_from(request.timeout_ms) {
        Ok(ms) if ms > 0 => cx.set_deadline_ms(ms),
        _ => cx.set_deadline_ms(cx.shared.config.request_timeout_ms),
    }
    cx.gather(asked, finish)
}

fn ask(name: &str, index: i32, offset: i64, cx: &mut Context<'_>) -> Result<u32, ErrorCode> {
    let topic = cx.view.image.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    // Coordinators alone decide what of their topics may go.
    if topic.internal {
        return Err(ErrorCode::InvalidTopicException);
    }
    let id = topics::partition(topic, index)?;
    let before = match offset {
        TO_HIGH_WATERMARK => None,
        offset if offset >= 0 => Some(Offset(offset)),
        _ => return Err(ErrorCode::OffsetOutOfRange),
    };
    let ask = heddle_partition::Ask::DeleteRecords { before };
    Ok(cx.ask(Target::Partition(id), Ask::Partition(ask)))
}

fn finish(asked: Asked, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let topics = asked.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|partition| {
            let outcome = partition.asked.and_then(|part| outcome(&answers[part as usize]));
            let (low, error) = outcome.map_or_else(|error| (-1, error), |low| (low.0, ErrorCode::None));
            DeleteRecordsPartitionResult::default()
                .with_partition_index(partition.index)
                .with_low_watermark(low)
                .with_error_code(error.code())
        });
        DeleteRecordsTopicResult::default().with_name(name).with_partitions(partitions.collect())
    });
    cx.respond(&DeleteRecordsResponse::default().with_topics(topics.collect()))
}

fn outcome(answer: &Answer) -> Result<Offset, ErrorCode> {
    use heddle_partition::Answer as Partition;
    match answer {
        Answer::Partition(Partition::LowWatermark(low)) => Ok(*low),
        Answer::Partition(Partition::Refused(refusal)) => Err(errors::of_partition(refusal)),
        Answer::TimedOut => Err(ErrorCode::RequestTimedOut),
        // The partition has its leader elsewhere, or has just been made.
        Answer::Unreachable => Err(ErrorCode::NotLeaderOrFollower),
        other => unreachable!("DeleteRecords is answered by a low watermark, not by {other:?}"),
    }
}
