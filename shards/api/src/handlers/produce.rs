//! Produce (0), versions 3 to 13: record batches to append, one for each partition.

use heddle_model::{LeaderEpoch, NodeId, PartitionId};
use heddle_partition::{Acks, Append, Appended, Origin, Refusal};
use heddle_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use heddle_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use heddle_protocol::messages::{BrokerId, ProduceRequest, ProduceResponse, TopicName};
use heddle_protocol::{ErrorCode, Uuid, text};

use crate::ask::{Answer, Ask, Target};
use crate::context::{Closed, Context, Reply, Started};
use crate::{errors, topics};

/// The client id that may write internal topics, as in Kafka.
const ADMIN_CLIENT_ID: &str = "__admin_client";
/// Batch header: int64 base offset, int32 length of what follows, int32 leader epoch, int8 magic.
const BATCH_PREFIX_BYTES: usize = 12;
const MAGIC_AT: usize = 16;

struct Produce {
    silent: bool,
    topics: Vec<Topic>,
}

struct Topic {
    name: TopicName,
    id: Uuid,
    partitions: Vec<Partition>,
}

struct Partition {
    index: i32,
    /// The number of the ask and whom it went to, or why there is none.
    asked: Result<(u32, PartitionId), Failed>,
}

/// A partition's error, with what else an answer carries of it.
struct Failed {
    error: ErrorCode,
    text: Option<String>,
    /// Indexes within the batch, and what is wrong with each.
    records: Vec<(i32, String)>,
    leader: Option<(NodeId, LeaderEpoch)>,
}

impl From<ErrorCode> for Failed {
    fn from(error: ErrorCode) -> Failed {
        Failed { error, text: None, records: Vec::new(), leader: None }
    }
}

pub(crate) fn start(request: ProduceRequest, cx: &mut Context<'_>) -> Started {
    let acks = match request.acks {
        -1 => Ok(Acks::All),
        0 | 1 => Ok(Acks::Leader),
        _ => Err(ErrorCode::InvalidRequiredAcks),
    };
    if request.acks == -1 {
        // Replication takes a moment: no time at all would always be too little, and the records appended nevertheless.
        let given = u64::try_from(request.timeout_ms).ok().filter(|ms| *ms > 0);
        cx.set_deadline_ms(given.unwrap_or(cx.shared.config.request_timeout_ms));
    }
    let topics = request.topic_data.into_iter().map(|topic| start_topic(topic, acks, cx)).collect();
    cx.gather(Produce { silent: request.acks == 0, topics }, finish)
}

fn start_topic(topic: TopicProduceData, acks: Result<Acks, ErrorCode>, cx: &mut Context<'_>) -> Topic {
    let image = cx.view.image;
    let found = acks.and_then(|acks| {
        let found = topics::find(image, cx.version() >= 13, &topic.name, topic.topic_id)?;
        let is_admin = cx.caller.client_id.as_deref() == Some(ADMIN_CLIENT_ID);
        if found.internal && !is_admin { Err(ErrorCode::InvalidTopicException) } else { Ok((found, acks)) }
    });
    let partitions = topic.partition_data.into_iter().map(|data| {
        let index = data.index;
        let asked = found.map_err(Failed::from).and_then(|(found, acks)| {
            let id = topics::partition(found, index)?;
            Ok((append(id, data, acks, cx)?, id))
        });
        Partition { index, asked }
    });
    Topic { partitions: partitions.collect(), name: topic.name, id: topic.topic_id }
}

fn append(id: PartitionId, data: PartitionProduceData, acks: Acks, cx: &mut Context<'_>) -> Result<u32, Failed> {
    let batch = data.records.unwrap_or_default();
    if !is_one_batch(&batch) {
        let text = Some(String::from("Produce requests must carry exactly one record batch of magic 2 per partition"));
        return Err(Failed { text, ..Failed::from(ErrorCode::InvalidRecord) });
    }
    let append = Append { acks, batch, zstd_allowed: cx.version() >= 7, origin: Origin::Client };
    Ok(cx.ask(Target::Partition(id), Ask::Partition(heddle_partition::Ask::Append(append))))
}

/// One batch, whole, of the current format. The partition judges everything else.
fn is_one_batch(bytes: &[u8]) -> bool {
    let length = bytes.get(8..BATCH_PREFIX_BYTES).and_then(|length| length.first_chunk::<4>());
    let length = length.and_then(|length| usize::try_from(i32::from_be_bytes(*length)).ok());
    length.is_some_and(|length| BATCH_PREFIX_BYTES + length == bytes.len()) && bytes.get(MAGIC_AT) == Some(&2)
}

fn finish(produce: Produce, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let mut answers: Vec<Option<Answer>> = answers.into_iter().map(Some).collect();
    let mut leaders = Vec::new();
    let mut any_failed = false;
    let mut responses = Vec::with_capacity(produce.topics.len());
    for topic in produce.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let outcome = partition.asked.and_then(|(part, id)| {
                let answer = answers.get_mut(part as usize).and_then(Option::take).unwrap_or(Answer::TimedOut);
                outcome(answer, id, cx)
            });
            any_failed |= outcome.is_err();
            if let Err(Failed { leader: Some((node, _)), .. }) = &outcome {
                leaders.push(*node);
            }
            partitions.push(partition_response(partition.index, outcome, cx.version()));
        }
        let response = TopicProduceResponse::default().with_partition_responses(partitions);
        // From version 13 on topics are told apart by id.
        let response =
            if cx.version() >= 13 { response.with_topic_id(topic.id) } else { response.with_name(topic.name) };
        responses.push(response);
    }
    if produce.silent {
        // The client reads no answer, so that an error is shown by closing: it then looks for the leader again.
        return if any_failed { Reply::Close(Closed::SilentProduce) } else { Reply::Nothing };
    }
    let response = ProduceResponse::default().with_responses(responses);
    let response = if cx.version() >= 10 { response.with_node_endpoints(endpoints(leaders, cx)) } else { response };
    cx.respond(&response)
}

fn outcome(answer: Answer, id: PartitionId, cx: &Context<'_>) -> Result<Appended, Failed> {
    use heddle_partition::Answer as Of;
    let not_here = || Failed { leader: cx.view.leaders.leader(id), ..Failed::from(ErrorCode::NotLeaderOrFollower) };
    match answer {
        Answer::Partition(Of::Appended(appended)) => Ok(appended),
        Answer::Partition(Of::Refused(Refusal::NotLeader { leader, epoch })) => {
            let leader = leader.map(|node| (node, epoch)).or_else(|| cx.view.leaders.leader(id));
            Err(Failed { leader, ..not_here() })
        }
        // Version 10 and older do not know TRANSACTION_ABORTABLE, which lets newer clients abort and go on.
        Answer::Partition(Of::Refused(Refusal::NotInTransaction)) if cx.version() >= 11 => {
            Err(ErrorCode::TransactionAbortable.into())
        }
        Answer::Partition(Of::Refused(refusal)) => {
            let failed = Failed { text: errors::partition_text(&refusal), ..errors::of_partition(&refusal).into() };
            match refusal {
                Refusal::InvalidRecord { records, .. } | Refusal::InvalidTimestamp { records, .. } => {
                    Err(Failed { records, ..failed })
                }
                _ => Err(failed),
            }
        }
        Answer::TimedOut => Err(ErrorCode::RequestTimedOut.into()),
        Answer::Unreachable => Err(not_here()),
        // No other answer belongs to an append. Nothing is known then of what happened.
        Answer::Partition(_) | Answer::Controller(_) | Answer::Group(_) | Answer::Space { .. } => {
            Err(ErrorCode::RequestTimedOut.into())
        }
    }
}

fn partition_response(index: i32, outcome: Result<Appended, Failed>, version: i16) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(index);
    match outcome {
        Ok(appended) => {
            let response = response.with_base_offset(appended.base.0);
            let response = response.with_log_append_time_ms(appended.append_time.unwrap_or(-1));
            if version >= 5 { response.with_log_start_offset(appended.log_start.0) } else { response }
        }
        Err(failed) => {
            let response = response.with_error_code(failed.error.code()).with_base_offset(-1);
            let response = response.with_log_append_time_ms(-1);
            with_reasons(response, failed, version)
        }
    }
}

fn with_reasons(mut response: PartitionProduceResponse, failed: Failed, version: i16) -> PartitionProduceResponse {
    if version >= 8 {
        let records = failed.records.into_iter().map(|(index, message)| {
            let error = BatchIndexAndErrorMessage::default().with_batch_index(index);
            error.with_batch_index_error_message(Some(text(&message)))
        });
        response = response.with_record_errors(records.collect()).with_error_message(failed.text.as_deref().map(text));
    }
    // KIP-951: who leads, so that the client need not ask for metadata.
    if let (Some((node, epoch)), true) = (failed.leader, version >= 10) {
        let leader = LeaderIdAndEpoch::default().with_leader_id(BrokerId(node.0)).with_leader_epoch(epoch.0);
        response = response.with_current_leader(leader);
    }
    response
}

fn endpoints(mut leaders: Vec<NodeId>, cx: &Context<'_>) -> Vec<NodeEndpoint> {
    leaders.sort_unstable();
    leaders.dedup();
    let known = leaders.iter().filter_map(|node| cx.view.image.broker(*node));
    let endpoint = known.map(|broker| {
        NodeEndpoint::default()
            .with_node_id(BrokerId(broker.id.0))
            .with_host(text(&broker.host))
            .with_port(i32::from(broker.port))
            .with_rack(broker.rack.as_deref().map(text))
    });
    endpoint.collect()
}

#[cfg(test)]
mod tests;
