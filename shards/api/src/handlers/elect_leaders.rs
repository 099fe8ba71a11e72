//! ElectLeaders (43), versions 0 to 2. Raft elects leaders when one is missing; nobody can be made leader by hand.
//! A partition led by its preferred replica (the first of its list), or by any for an unclean election, needs none.

use std::collections::BTreeMap;

use heddle_model::PartitionId;
use heddle_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use heddle_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};
use heddle_protocol::{ErrorCode, text};

use crate::context::{Context, Started};
use crate::topics;

const UNCLEAN: i8 = 1;

pub(crate) fn start(request: ElectLeadersRequest, cx: &mut Context<'_>) -> Started {
    // Version 0 has no type, and its default is the preferred election.
    let unclean = request.election_type == UNCLEAN;
    let mut results: BTreeMap<String, Vec<PartitionResult>> = BTreeMap::new();
    match request.topic_partitions {
        // All partitions: those that need no election are not told of.
        None => {
            for topic in cx.view.image.topics() {
                for (id, _) in topic.placements() {
                    let (error, message) = outcome(id, unclean, cx);
                    if error != ErrorCode::ElectionNotNeeded {
                        results.entry(topic.name.to_string()).or_default().push(result(id.index.0, error, message));
                    }
                }
            }
        }
        Some(asked) => {
            for topic in asked {
                let name: &str = &topic.topic;
                let results = results.entry(name.to_owned()).or_default();
                for index in topic.partitions {
                    results.push(match find(name, index, cx) {
                        Ok(id) => {
                            let (error, message) = outcome(id, unclean, cx);
                            result(index, error, message)
                        }
                        Err((error, message)) => result(index, error, &message),
                    });
                }
            }
        }
    }
    let results = results.into_iter().map(|(name, partitions)| {
        ReplicaElectionResult::default().with_topic(TopicName(text(&name))).with_partition_result(partitions)
    });
    cx.done(&ElectLeadersResponse::default().with_replica_election_results(results.collect()))
}

/// What is missing is said in Kafka's words.
fn find(name: &str, index: i32, cx: &Context<'_>) -> Result<PartitionId, (ErrorCode, String)> {
    let Some(topic) = cx.view.image.topic(name) else {
        return Err((ErrorCode::UnknownTopicOrPartition, format!("No such topic as {name}")));
    };
    topics::partition(topic, index).map_err(|error| (error, format!("No such partition as {name}-{index}")))
}

fn outcome(id: PartitionId, unclean: bool, cx: &Context<'_>) -> (ErrorCode, &'static str) {
    let leader = cx.view.leaders.leader(id).map(|(node, _)| node);
    let preferred = cx.view.image.partition(id).and_then(|placement| placement.replicas.first());
    let Some(leader) = leader else {
        return (ErrorCode::EligibleLeadersNotAvailable, "A majority of the replicas is needed to elect a leader.");
    };
    if unclean || preferred.is_some_and(|replica| replica.voter.node == leader) {
        return (ErrorCode::ElectionNotNeeded, "Leader election not needed for topic partition.");
    }
    (ErrorCode::PreferredLeaderNotAvailable, "The preferred replica does not lead, and leaders are not moved by hand.")
}

fn result(index: i32, error: ErrorCode, message: &str) -> PartitionResult {
    let message = (error != ErrorCode::None).then(|| text(message));
    PartitionResult::default().with_partition_id(index).with_error_code(error.code()).with_error_message(message)
}
