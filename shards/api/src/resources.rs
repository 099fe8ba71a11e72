//! The resources whose configs a client may name, and the change of several at once.

use std::collections::BTreeMap;

use heddle_controller::{Answer as Controller, Change, ConfigChange, Refused, Resource};
use heddle_model::NodeId;
use heddle_protocol::ErrorCode;

use crate::ask::Answer;
use crate::controlled::{Failure, controller_answer, failure};

/// Kafka's numbers of resource types (`ConfigResource.Type`).
pub(crate) const TOPIC: i8 = 2;
pub(crate) const BROKER: i8 = 4;
pub(crate) const BROKER_LOGGER: i8 = 8;
pub(crate) const CLIENT_METRICS: i8 = 16;
pub(crate) const GROUP: i8 = 32;

/// A resource as the wire names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Named {
    pub kind: i8,
    pub name: String,
}

/// The resources of one request: those the controller is asked about, and those that are wrong without asking.
pub(crate) struct Changes {
    pub asked: Vec<ConfigChange>,
    entries: Vec<(Named, Result<Resource, Failure>)>,
}

impl Changes {
    /// A resource that is named more than once is refused each time, before any other is looked at.
    pub fn of(changes: Vec<(Named, Result<Change, Failure>)>) -> Changes {
        let mut times: BTreeMap<Named, usize> = BTreeMap::new();
        for (named, _) in &changes {
            *times.entry(named.clone()).or_default() += 1;
        }
        let mut asked = Vec::new();
        let mut entry = |named: &Named, change: Result<Change, Failure>| {
            if times[named] > 1 {
                return wrong("Each resource must appear at most once.".into());
            }
            let resource = resource_of(named)?;
            asked.push(ConfigChange { resource: resource.clone(), change: change? });
            Ok(resource)
        };
        let entries = changes.into_iter().map(|(named, change)| {
            let entry = entry(&named, change);
            (named, entry)
        });
        let entries = entries.collect();
        Changes { asked, entries }
    }

    /// Each resource with its outcome, in the order of the request.
    pub fn outcomes(self, answers: Vec<Answer>) -> Vec<(Named, Failure)> {
        let altered = if self.asked.is_empty() { Ok(BTreeMap::new()) } else { altered(answers) };
        let of = |resource: &Resource| match altered.as_ref().map(|altered| altered.get(resource)) {
            Ok(Some(Ok(()))) => (ErrorCode::None, None),
            Ok(Some(Err(refused))) => failure(refused),
            Ok(None) => unreachable!("every resource asked about is answered"),
            Err(failure) => failure.clone(),
        };
        self.entries
            .into_iter()
            .map(|(named, entry)| {
                let outcome = entry.as_ref().map_or_else(Clone::clone, of);
                (named, outcome)
            })
            .collect()
    }
}

type Altered = BTreeMap<Resource, Result<(), Refused>>;

fn altered(answers: Vec<Answer>) -> Result<Altered, Failure> {
    match controller_answer(answers)? {
        Controller::AlteredConfigs(results) => Ok(results.into_iter().collect()),
        other => unreachable!("changes of configs are answered by their results, not by {other:?}"),
    }
}

fn resource_of(named: &Named) -> Result<Resource, Failure> {
    match named.kind {
        TOPIC if named.name.is_empty() => wrong("Default topic resources are not allowed.".into()),
        TOPIC => Ok(Resource::Topic(named.name.clone())),
        BROKER if named.name.is_empty() => Ok(Resource::Broker(None)),
        BROKER => match named.name.parse() {
            Ok(id) => Ok(Resource::Broker(Some(NodeId(id)))),
            Err(_) => wrong(format!("Node id must be an integer, but it is: {}", named.name)),
        },
        GROUP => Ok(Resource::Group(named.name.clone())),
        other => wrong(not_there(other).map_or_else(|| format!("Unknown resource type {other}"), str::to_owned)),
    }
}

fn wrong(message: String) -> Result<Resource, Failure> {
    Err((ErrorCode::InvalidRequest, Some(message.into())))
}

/// What Kafka configures and this broker does not have, in words for the operator.
pub(crate) fn not_there(kind: i8) -> Option<&'static str> {
    match kind {
        BROKER_LOGGER => {
            Some("This broker has no loggers with levels of their own: --log-level is given at its start.")
        }
        CLIENT_METRICS => Some("This broker does not collect the metrics of clients (KIP-714)."),
        _ => None,
    }
}
