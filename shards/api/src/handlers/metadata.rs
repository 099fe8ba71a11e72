//! Metadata (3), versions 0 to 13: brokers, topics, who leads what. Creates topics that are asked for and missing.

use std::sync::Arc;

use heddle_controller::{InternalTopic, NewTopic, Topic};
use heddle_model::{NodeId, PartitionId, TopicId};
use heddle_protocol::messages::metadata_request::MetadataRequestTopic;
use heddle_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use heddle_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use heddle_protocol::{ErrorCode, text, topic_id_of, uuid_of};

use crate::ask::{Answer, Ask, Target, View};
use crate::context::{Context, Reply, Started};
use crate::errors;
use crate::operations::{self, if_asked};

/// How long an answer waits for topics to be created. It says UNKNOWN_TOPIC_OR_PARTITION also when they were, as Kafka's,
/// which does not wait: clients ask again and find them, and a deleted topic is not seen by who asks whether it is gone.
const CREATION_WAIT_MS: u64 = 1000;

/// One topic of the answer.
enum Entry {
    Known(Arc<Topic>),
    Failed(MetadataResponseTopic),
    /// Missing, and created by an ask.
    Created {
        name: String,
        creation: Creation,
    },
}

/// Which result says what a creation came to.
enum Creation {
    /// An internal topic's own: the ask with this number.
    Internal(u32),
    /// All others are created together: the topic's place among them.
    Together(usize),
}

/// What an answer is made of.
struct Wanted {
    entries: Vec<Entry>,
    /// The ask that creates topics together.
    created_by: Option<u32>,
    /// Whether operations on topics, and on the cluster, were asked for.
    operations: (bool, bool),
}

pub(crate) fn start(request: MetadataRequest, cx: &mut Context<'_>) -> Started {
    let operations = (request.include_topic_authorized_operations, request.include_cluster_authorized_operations);
    // Version 0 has no null: an empty list means all topics there.
    let topics = request.topics.filter(|topics| cx.version() > 0 || !topics.is_empty());
    let Some(mut topics) = topics else {
        let entries = cx.view.image.topics().cloned().map(Entry::Known).collect();
        return cx.gather(Wanted { entries, created_by: None, operations }, finish);
    };
    let mut seen = std::collections::BTreeSet::new();
    topics.retain(|topic| seen.insert((topic.topic_id, topic.name.clone())));
    let may_create = request.allow_auto_topic_creation && cx.shared.config.auto_create_topics;
    let mut missing = Vec::new();
    let entries = topics.into_iter().map(|topic| entry(topic, may_create, &mut missing, cx)).collect();
    // One request, so that its bounds hold, and one decision.
    let created_by = (!missing.is_empty()).then(|| {
        let ask = heddle_controller::Ask::CreateTopics { topics: missing, validate_only: false };
        cx.ask(Target::Controller, Ask::Controller(ask))
    });
    cx.set_deadline_ms(CREATION_WAIT_MS);
    cx.gather(Wanted { entries, created_by, operations }, finish)
}

/// `missing` takes what is to be created together.
fn entry(topic: MetadataRequestTopic, may_create: bool, missing: &mut Vec<NewTopic>, cx: &mut Context<'_>) -> Entry {
    // From version 10 on a topic may be given by id; its name is null then, or empty as Java's admin client sends it.
    let id = topic_id_of(topic.topic_id);
    let Some(name) = topic.name.filter(|_| id == TopicId::NONE) else {
        return match cx.view.image.topic_by_id(id) {
            Some(known) => Entry::Known(known.clone()),
            None => {
                let failed = MetadataResponseTopic::default().with_topic_id(topic.topic_id);
                // The name may be null from version 12 on only.
                let name = if cx.version() >= 12 { None } else { Some(TopicName::default()) };
                Entry::Failed(failed.with_name(name).with_error_code(ErrorCode::UnknownTopicId.code()))
            }
        };
    };
    if let Some(known) = cx.view.image.topic(&name) {
        return Entry::Known(known.clone());
    }
    if !is_legal(&name) {
        return Entry::Failed(failed(&name, ErrorCode::InvalidTopicException));
    }
    if !may_create {
        return Entry::Failed(failed(&name, ErrorCode::UnknownTopicOrPartition));
    }
    let internal =
        [InternalTopic::Offsets, InternalTopic::Transactions].into_iter().find(|t| t.name() == name.as_str());
    let creation = match internal {
        Some(internal) => {
            let ask = heddle_controller::Ask::EnsureInternalTopic(internal);
            Creation::Internal(cx.ask(Target::Controller, Ask::Controller(ask)))
        }
        None => {
            missing.push(NewTopic::with_defaults(name.as_str()));
            Creation::Together(missing.len() - 1)
        }
    };
    Entry::Created { name: name.to_string(), creation }
}

/// Kafka's rule: 1 to 249 letters, digits, `.`, `_`, `-`; not `.` or `..`.
fn is_legal(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(legal)
}

fn finish(wanted: Wanted, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let (view, Wanted { entries, created_by, operations: (of_topics, of_cluster) }) = (cx.view, wanted);
    let describe = |entry: Entry| match entry {
        Entry::Known(topic) => describe(&topic, view, cx.version()),
        Entry::Failed(topic) => topic,
        Entry::Created { name, creation: Creation::Internal(part) } => {
            failed(&name, outcome(&answers[part as usize], 0))
        }
        Entry::Created { name, creation: Creation::Together(place) } => {
            failed(&name, created_by.map_or(ErrorCode::None, |part| outcome(&answers[part as usize], place)))
        }
    };
    let brokers = view.image.brokers().map(|broker| {
        let known = MetadataResponseBroker::default().with_node_id(BrokerId(broker.id.0));
        let known = known.with_host(text(&broker.host)).with_port(i32::from(broker.port));
        if cx.version() >= 1 { known.with_rack(broker.rack.as_deref().map(text)) } else { known }
    });
    let mut response = MetadataResponse::default()
        .with_brokers(brokers.collect())
        .with_topics(entries.into_iter().map(|entry| permit(describe(entry), of_topics)).collect())
        .with_cluster_authorized_operations(if_asked(of_cluster, operations::OF_CLUSTER));
    if cx.version() >= 1 {
        response = response.with_controller_id(BrokerId(controller(view).0));
    }
    if cx.version() >= 2 {
        response = response.with_cluster_id(Some(text(&view.image.cluster_id)));
    }
    cx.respond(&response)
}

/// The node that clients shall send admin requests to: it must be alive, and this one forwards if need be.
fn controller(view: &View<'_>) -> NodeId {
    view.leaders.leader(PartitionId::CONTROLLER).map_or(view.me, |(node, _)| node)
}

/// What a topic is said to be that was missing, after the attempt to create it, `place`th of those in its ask.
fn outcome(answer: &Answer, place: usize) -> ErrorCode {
    use heddle_controller::{Answer as Controller, Refusal};
    let refused = match answer {
        Answer::Controller(Controller::CreatedTopics(results)) => {
            results.get(place).and_then(|created| created.result.as_ref().err())
        }
        Answer::Controller(Controller::Refused(refused)) => Some(refused),
        _ => None,
    };
    match refused.map(|refused| refused.why) {
        // Created, or will be, or was by somebody else, or may be by another request (it is one too many): ask again.
        None | Some(Refusal::TopicExists | Refusal::NotController | Refusal::NotReady | Refusal::PolicyViolation) => {
            ErrorCode::UnknownTopicOrPartition
        }
        Some(refusal) => errors::of_controller(refusal),
    }
}

/// Kafka says it of every topic that has a name, of those that are not there as well.
fn permit(topic: MetadataResponseTopic, asked: bool) -> MetadataResponseTopic {
    let named = topic.error_code != ErrorCode::UnknownTopicId.code();
    topic.with_topic_authorized_operations(if_asked(asked && named, operations::OF_TOPICS))
}

fn failed(name: &str, error: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic::default().with_name(Some(TopicName(text(name)))).with_error_code(error.code())
}

fn describe(topic: &Topic, view: &View<'_>, version: i16) -> MetadataResponseTopic {
    let partitions = topic.placements().map(|(id, placement)| {
        let replicas: Vec<BrokerId> = placement.replicas.iter().map(|replica| BrokerId(replica.voter.node.0)).collect();
        let leader = view.leaders.leader(id).filter(|(node, _)| view.image.broker(*node).is_some());
        let partition = MetadataResponsePartition::default()
            .with_partition_index(id.index.0)
            .with_replica_nodes(replicas.clone())
            .with_isr_nodes(replicas);
        let Some((node, epoch)) = leader else {
            return partition.with_leader_id(BrokerId(-1)).with_error_code(ErrorCode::LeaderNotAvailable.code());
        };
        let partition = partition.with_leader_id(BrokerId(node.0));
        if version >= 7 { partition.with_leader_epoch(epoch.0) } else { partition }
    });
    let described = MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(&topic.name))))
        .with_partitions(partitions.collect());
    let described = if version >= 1 { described.with_is_internal(topic.internal) } else { described };
    if version >= 10 { described.with_topic_id(uuid_of(topic.id)) } else { described }
}

#[cfg(test)]
mod tests;
