//! The resources whose configs a client may name, and the change of several at once.

use std::collections::{BTreeMap, BTreeSet};

use heddle_controller::{Answer as Controller, Change, ConfigChange, Refused, Resource};
use heddle_model::NodeId;
use heddle_protocol::ErrorCode;

use crate::ask::Answer;
use crate::controlled::{Failure, controller_answer, failure};

/// Kafka's numbers of resource types (`ConfigResource.Type`).
pub(crate) const TOPIC: i8 = 2;
pub(crate) const BROKER: i8 = 4;
pub(crate) const GROUP: i8 = 32;

/// A resource as the wire names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Named {
    pub kind: i8,
    pub name: String,
}

/// The resources of one request: those the controller is asked about, and those that are wrong without asking.
#[derive(Default)]
pub(crate) struct Changes {
    pub asked: Vec<ConfigChange>,
    entries: Vec<(Named, Result<Resource, Failure>)>,
    seen: BTreeSet<Named>,
}

impl Changes {
    pub fn add(&mut self, named: Named, change: Result<Change, Failure>) {
        if !self.seen.insert(named.clone()) {
            // The controller refuses what it is asked about twice; the answer has each resource once.
            if let (Ok(resource), Ok(change)) = (resource_of(&named), change) {
                self.asked.push(ConfigChange { resource, change });
            }
            return;
        }
        let entry = resource_of(&named).and_then(|resource| {
            self.asked.push(ConfigChange { resource: resource.clone(), change: change? });
            Ok(resource)
        });
        self.entries.push((named, entry));
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
    let wrong = |message: String| Err((ErrorCode::InvalidRequest, Some(message.into())));
    match named.kind {
        TOPIC if named.name.is_empty() => wrong("Default topic resources are not allowed.".into()),
        TOPIC => Ok(Resource::Topic(named.name.clone())),
        BROKER if named.name.is_empty() => Ok(Resource::Broker(None)),
        BROKER => match named.name.parse() {
            Ok(id) => Ok(Resource::Broker(Some(NodeId(id)))),
            Err(_) => wrong(format!("Node id must be an integer, but it is: {}", named.name)),
        },
        GROUP => Ok(Resource::Group(named.name.clone())),
        other => wrong(format!("Unknown resource type {other}")),
    }
}
