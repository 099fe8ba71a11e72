//! Members of consumer groups: they join, commit, stall, die, come back with old ids, and leave. And those who look after
//! the groups: one deletes offsets, one compares what the coordinator says with what its log says.

mod answers;
mod auditor;
mod claims;
mod classic;
mod deleter;
mod live;
mod log;
mod mirror;
mod modern;
mod offsets;
mod renewer;
mod shares;
mod sleeper;

use bytes::Bytes;
use heddle_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use heddle_protocol::text;

use super::admin::KEPT;
use super::{Cx, Request, Role};
use crate::check::Matching;
use crate::plan::Plan;
use crate::wire;
use auditor::Auditor;
use classic::Classic;
use deleter::Deleter;
use modern::Modern;
use renewer::Renewer;
use sleeper::Sleeper;

/// The groups of a run: one of each protocol, one that changes between the two while members are in it, and one that only
/// commits and deletes.
pub const CLASSIC: &str = "classic";
pub const MODERN: &str = "modern";
pub const MIXED: &str = "mixed";
pub const LONER: &str = "loner";

/// What members that subscribe by expression do it by, and by what a lie replaces that.
const EXPRESSION: &str = "kept|(topic|compacted)-1";
const LESS: &str = "kept";

const FIND: (i16, i16) = (10, 4);

/// LOADING, NOT_AVAILABLE, NOT_COORDINATOR.
const LOADING: i16 = 14;
const NOT_AVAILABLE: i16 = 15;
const NOT_COORDINATOR: i16 = 16;
const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER: i16 = 25;
const REBALANCE_IN_PROGRESS: i16 = 27;
const NON_EMPTY_GROUP: i16 = 68;
const GROUP_NOT_FOUND: i16 = 69;
const MEMBER_ID_REQUIRED: i16 = 79;
const FENCED_INSTANCE: i16 = 82;
const SUBSCRIBED: i16 = 86;
const FENCED_EPOCH: i16 = 110;
const UNRELEASED_INSTANCE: i16 = 111;
const STALE_EPOCH: i16 = 113;

/// How long members wait between two requests, and how long one stalls: beyond every session. Milliseconds.
const PACE_MS: u64 = 40;
const STALL_MS: u64 = 3_000;

/// The broker's settings. Sessions are short, so that they end within a life.
pub const SETTINGS: [(&str, &str); 9] = [
    ("offsets.topic.num.partitions", "2"),
    ("auto.create.topics.enable", "false"),
    ("group.min.session.timeout.ms", "1"),
    ("group.initial.rebalance.delay.ms", "50"),
    ("group.consumer.session.timeout.ms", "1500"),
    ("group.consumer.heartbeat.interval.ms", "100"),
    ("group.consumer.min.session.timeout.ms", "1"),
    ("group.consumer.min.heartbeat.interval.ms", "1"),
    ("group.consumer.assignment.interval.ms", "200"),
];

/// The members of a run's groups, every third one static, and who looks after the groups.
pub fn roles(plan: &Plan) -> Vec<Box<dyn Role>> {
    if plan.expires {
        return vec![Box::<Sleeper>::default()];
    }
    if plan.renews {
        return vec![Box::<Renewer>::default()];
    }
    if !plan.has_members() {
        return Vec::new();
    }
    let instance = |at: usize| (at % 3 == 2).then(|| format!("static-{at}"));
    let classic = |group, at| Box::new(Classic::new(group, instance(at))) as Box<dyn Role>;
    let modern = |group, at| Box::new(Modern::new(group, at, instance(at))) as Box<dyn Role>;
    let mut roles: Vec<Box<dyn Role>> = (0..plan.classic_members).map(|at| classic(CLASSIC, at)).collect();
    roles.extend((0..plan.modern_members).map(|at| modern(MODERN, at)));
    if let Some((of_classic, of_modern)) = plan.mixed_members {
        roles.extend((0..of_classic).map(|at| classic(MIXED, at)));
        roles.extend((0..of_modern).map(|at| modern(MIXED, at)));
    }
    roles.push(Box::<Deleter>::default());
    roles.push(Box::<Auditor>::default());
    roles
}

fn find(group: &str, correlation: i32) -> Request {
    let request = FindCoordinatorRequest::default().with_key_type(0).with_coordinator_keys(vec![text(group)]);
    Request { frame: wire::frame(FIND.0, FIND.1, correlation, &request), answered: true }
}

/// Error of FindCoordinator's answer.
fn found(answer: Bytes) -> Result<i16, String> {
    let response: FindCoordinatorResponse = wire::read(answer, FIND.1)?;
    Ok(response.coordinators.first().ok_or("no coordinator in the answer")?.error_code)
}

/// The topic that groups read: number of partitions and id, once it is there.
fn kept(cx: &Cx<'_>) -> Option<(i32, u128)> {
    let at = cx.catalog.latest(KEPT).filter(|at| cx.catalog.is_present(*at))?;
    let topic = &cx.catalog.topics[at];
    Some((topic.partitions, topic.id))
}

/// The topics that are there for certain and whose names `EXPRESSION` matches.
fn matching(cx: &Cx<'_>) -> Vec<Matching> {
    let names = ["topic-1", "compacted-1"];
    let found = names.into_iter().filter_map(|name| cx.catalog.latest(name)).filter(|at| cx.catalog.is_present(*at));
    found
        .map(|at| {
            let topic = &cx.catalog.topics[at];
            Matching { name: topic.name.clone(), partitions: topic.partitions, since: topic.since }
        })
        .collect()
}

/// Whether an error promises that a write did not happen.
fn is_definite(error: i16) -> bool {
    matches!(
        error,
        3 | LOADING
            | NOT_AVAILABLE
            | ILLEGAL_GENERATION
            | UNKNOWN_MEMBER
            | REBALANCE_IN_PROGRESS
            | NON_EMPTY_GROUP
            | GROUP_NOT_FOUND
            | FENCED_INSTANCE
            | SUBSCRIBED
            | FENCED_EPOCH
            | STALE_EPOCH
    )
}
