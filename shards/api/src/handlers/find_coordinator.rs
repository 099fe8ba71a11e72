//! FindCoordinator (10), versions 0 to 6: who coordinates a group. Creates `__consumer_offsets` on first use.
//! Nobody coordinates transactions: that is said with an error that clients do not retry. librdkafka, which asks in old
//! versions, gives up for want of a permission only.

use std::sync::Arc;

use heddle_controller::{InternalTopic, Topic};
use heddle_group::partition_of;
use heddle_model::NodeId;
use heddle_protocol::messages::find_coordinator_response::Coordinator;
use heddle_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use heddle_protocol::{ErrorCode, StrBytes, text};

use crate::ask::{Answer, Ask, Target};
use crate::context::{Context, Reply, Started};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// How long an answer waits for the topic to be created. Clients ask again soon after COORDINATOR_NOT_AVAILABLE.
const CREATION_WAIT_MS: u64 = 1000;

struct Asked {
    key_type: i8,
    keys: Vec<StrBytes>,
}

type Node = (NodeId, String, u16);

pub(crate) fn start(request: FindCoordinatorRequest, cx: &mut Context<'_>) -> Started {
    // From version 4 on several keys are asked for at once.
    let keys = if cx.version() >= 4 { request.coordinator_keys } else { vec![request.key] };
    if request.key_type == GROUP && offsets_topic(cx).is_none() && !keys.is_empty() {
        let ask = heddle_controller::Ask::EnsureInternalTopic(InternalTopic::Offsets);
        cx.ask(Target::Controller, Ask::Controller(ask));
        cx.set_deadline_ms(CREATION_WAIT_MS);
    }
    cx.gather(Asked { key_type: request.key_type, keys }, finish)
}

fn offsets_topic<'a>(cx: &Context<'a>) -> Option<&'a Arc<Topic>> {
    cx.view.image.topic(InternalTopic::Offsets.name())
}

/// The answer of the controller does not matter: either the topic is there now, or the client asks again.
fn finish(asked: Asked, _: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let of = |key: &StrBytes| match asked.key_type {
        GROUP => find(key, cx).ok_or(ErrorCode::CoordinatorNotAvailable),
        TRANSACTION if cx.version() < 4 => Err(ErrorCode::TransactionalIdAuthorizationFailed),
        TRANSACTION => Err(ErrorCode::UnsupportedVersion),
        _ => Err(ErrorCode::InvalidRequest),
    };
    if cx.version() >= 4 {
        let coordinators = asked.keys.iter().map(|key| coordinator(key, of(key))).collect();
        return cx.respond(&FindCoordinatorResponse::default().with_coordinators(coordinators));
    }
    let found = asked.keys.first().map_or(Err(ErrorCode::InvalidRequest), of);
    let (error, (node, host, port)) = split(found);
    let mut response = FindCoordinatorResponse::default()
        .with_error_code(error.code())
        .with_node_id(BrokerId(node.0))
        .with_host(text(&host))
        .with_port(port);
    if cx.version() >= 1 {
        // The name of Kafka's error 0, which its own answers carry here up to version 3.
        response = response.with_error_message(message(error).or(Some(text("NONE"))));
    }
    cx.respond(&response)
}

/// The leader of the group's partition, if it can be reached.
fn find(group: &str, cx: &Context<'_>) -> Option<Node> {
    let topic = offsets_topic(cx)?;
    let partitions = i32::try_from(topic.partitions.len()).ok().filter(|count| *count > 0)?;
    let (node, _) = cx.view.leaders.leader(topic.partition_id(partition_of(group, partitions)))?;
    let broker = cx.view.image.broker(node)?;
    Some((node, broker.host.clone(), broker.port))
}

fn coordinator(key: &StrBytes, found: Result<Node, ErrorCode>) -> Coordinator {
    let (error, (node, host, port)) = split(found);
    Coordinator::default()
        .with_key(text(key))
        .with_node_id(BrokerId(node.0))
        .with_host(text(&host))
        .with_port(port)
        .with_error_code(error.code())
        .with_error_message(message(error).or(Some(StrBytes::default())))
}

/// Kafka's "no node" stands where there is an error.
fn split(found: Result<Node, ErrorCode>) -> (ErrorCode, (NodeId, String, i32)) {
    match found {
        Ok((node, host, port)) => (ErrorCode::None, (node, host, port.into())),
        Err(error) => (error, (NodeId(-1), String::new(), -1)),
    }
}

fn message(error: ErrorCode) -> Option<StrBytes> {
    match error {
        ErrorCode::None => None,
        ErrorCode::InvalidRequest => Some(text("Unknown coordinator type.")),
        ErrorCode::UnsupportedVersion | ErrorCode::TransactionalIdAuthorizationFailed => {
            Some(text("Transactions are not served by this broker."))
        }
        _ => Some(text("The coordinator is not available.")),
    }
}
