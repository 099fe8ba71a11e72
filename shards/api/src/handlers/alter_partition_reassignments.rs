//! AlterPartitionReassignments (45), versions 0 and 1 (KIP-455). Replicas are not moved by hand: a request is judged as
//! Kafka's controller does, and one that leaves every replica where it is succeeds.

use heddle_model::NodeId;
use heddle_protocol::messages::alter_partition_reassignments_request::ReassignablePartition;
use heddle_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use heddle_protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId};
use heddle_protocol::{ErrorCode, text};

use crate::context::{Context, Started};
use crate::topics;

pub(crate) fn start(request: AlterPartitionReassignmentsRequest, cx: &mut Context<'_>) -> Started {
    let responses = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let described = ReassignablePartitionResponse::default().with_partition_index(partition.partition_index);
            match judge(&topic.name, partition, cx) {
                Ok(()) => described.with_error_message(None),
                Err((error, message)) => {
                    described.with_error_code(error.code()).with_error_message(Some(text(&message)))
                }
            }
        });
        let partitions = partitions.collect();
        ReassignableTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    let mut response = AlterPartitionReassignmentsResponse::default().with_error_message(None);
    response = response.with_responses(responses.collect());
    if cx.version() >= 1 {
        response = response.with_allow_replication_factor_change(request.allow_replication_factor_change);
    }
    cx.done(&response)
}

fn judge(name: &str, partition: &ReassignablePartition, cx: &Context<'_>) -> Result<(), (ErrorCode, String)> {
    let index = partition.partition_index;
    let unknown = |what: String| (ErrorCode::UnknownTopicOrPartition, what);
    let topic = cx.view.image.topic(name).ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
    let missing = || unknown(format!("Unable to find partition {name}:{index}."));
    let id = topics::partition(topic, index).map_err(|_| missing())?;
    let placement = cx.view.image.partition(id).ok_or_else(missing)?;
    let Some(target) = &partition.replicas else {
        let text = "No partition reassignment is in progress.";
        return Err((ErrorCode::NoReassignmentInProgress, text.to_owned()));
    };
    if let Some(wrong) = wrong(target, cx) {
        let text = format!("The manual partition assignment includes {wrong}");
        return Err((ErrorCode::InvalidReplicaAssignment, text));
    }
    let present = placement.replicas.iter().map(|replica| replica.voter.node.0);
    if present.eq(target.iter().map(|id| id.0)) {
        return Ok(());
    }
    Err((ErrorCode::PolicyViolation, "Replicas are not moved by hand.".to_owned()))
}

fn wrong(target: &[BrokerId], cx: &Context<'_>) -> Option<String> {
    if target.is_empty() {
        return Some("an empty replica list.".to_owned());
    }
    let mut seen = std::collections::BTreeSet::new();
    if let Some(id) = target.iter().find(|id| !seen.insert(id.0)) {
        return Some(format!("the broker {} more than once.", id.0));
    }
    let stranger = target.iter().find(|id| cx.view.image.broker(NodeId(id.0)).is_none())?;
    Some(format!("broker {}, but no such broker is registered.", stranger.0))
}
