//! Creating, enlarging and deleting topics. Rules, order of checks and sentences are those of Apache Kafka 4's
//! controller (`ReplicationControlManager`).

use std::collections::{BTreeMap, BTreeSet};

use heddle_model::{NodeId, TopicId};

use crate::ask::*;
use crate::controller::TOPIC_PARTITIONS_MAX;
use crate::decide_configs::overrides_of;
use crate::draft::Draft;
use crate::image::{Image, Placement, Topic};
use crate::placing::{number, spread};
use crate::record::{CHUNK, Entry, Key, Value};
use crate::removed::ranges_of;
use crate::topic_name::{check_topic_name, is_internal};

/// Partitions that one request may create.
pub const REQUEST_PARTITIONS_MAX: usize = 10_000;

/// The log that in Apache Kafka holds what the controller's log holds here.
const CLUSTER_METADATA: &str = "__cluster_metadata";

pub fn create_topics(draft: &mut Draft<'_>, topics: &[NewTopic], validate_only: bool) -> Answer {
    let repeated = repeated(topics.iter().map(|topic| &topic.name));
    let mut seen = BTreeSet::new();
    let mut results = Vec::new();
    let mut budget = REQUEST_PARTITIONS_MAX;
    for topic in topics {
        if !seen.insert(&topic.name) {
            continue;
        }
        let result = if repeated.contains(&topic.name) {
            Err(Refusal::InvalidRequest.because("Duplicate topic name."))
        } else {
            create_topic(draft, topic, validate_only, &mut budget)
        };
        results.push(TopicResult { name: topic.name.clone(), result });
    }
    Answer::CreatedTopics(results)
}

fn create_topic(
    draft: &mut Draft<'_>,
    new: &NewTopic,
    validate_only: bool,
    budget: &mut usize,
) -> Result<CreatedTopic, Refused> {
    let name = &new.name;
    check_topic_name(name).map_err(|text| Refusal::InvalidTopicName.because(text))?;
    if name == CLUSTER_METADATA {
        return Err(Refusal::InvalidTopicName.because(format!("Creation of internal topic {name} is prohibited.")));
    }
    if draft.image().topic(name).is_some() {
        return Err(Refusal::TopicExists.because(format!("Topic '{name}' already exists.")));
    }
    if let Some(other) = draft.colliding(name) {
        let text = format!("Topic '{name}' collides with existing topic: {other}");
        return Err(Refusal::InvalidTopicName.because(text));
    }
    let new = &with_internal_defaults(draft.image(), new);
    let overrides = overrides_of(draft.image().config(), &new.configs)?;
    let assignments = assignments_of(draft, new, *budget)?;
    *budget -= assignments.len();
    let created = CreatedTopic {
        id: if validate_only { TopicId::NONE } else { draft.new_topic_id() },
        partitions: assignments.len() as i32,
        replication_factor: assignments[0].len() as i16,
        overrides,
    };
    let version = draft.version();
    let placements = number(&assignments, &mut draft.counters.next_replica, version);
    let mut entries = vec![Key::Topic(created.id).set(&Value::Topic { name: name.clone() })];
    entries.extend(placement_records(created.id, &placements, 0));
    if !created.overrides.is_empty() {
        let configs = created.overrides.clone().into_iter().collect();
        entries.push(Key::TopicConfigs(created.id).set(&Value::Configs(configs)));
    }
    draft.add(entries)?;
    draft.claim_name(name);
    Ok(created)
}

/// The brokers of each partition of a new topic; at least one partition of at least one broker.
fn assignments_of(draft: &Draft<'_>, new: &NewTopic, budget: usize) -> Result<Vec<Vec<NodeId>>, Refused> {
    let image = draft.image();
    if !new.assignments.is_empty() {
        return assignments_by_hand(image, new, budget);
    }
    let factor = match new.replication_factor {
        -1 => image.config().int("default.replication.factor"),
        factor => i32::from(factor),
    };
    if factor < 1 {
        let text = "Replication factor must be larger than 0, or -1 to use the default value.";
        return Err(Refusal::InvalidReplicationFactor.because(text));
    }
    let partitions = match new.partitions {
        -1 => image.config().int("num.partitions"),
        partitions => partitions,
    };
    if partitions < 1 {
        return Err(
            Refusal::InvalidPartitions.because("Number of partitions was set to an invalid non-positive value.")
        );
    }
    let (factor, partitions) = (factor as usize, partitions as usize);
    within_budget(partitions, budget)?;
    enough_brokers(image, factor)?;
    Ok(spread(image.brokers(), next_in_circle(draft, factor), partitions, factor))
}

/// Where in the circle of brokers the next partition is led: one further for each partition there ever was, as far as
/// their replication factor was the same.
fn next_in_circle(draft: &Draft<'_>, factor: usize) -> u64 {
    draft.counters.next_replica / factor as u64
}

fn within_budget(partitions: usize, budget: usize) -> Result<(), Refused> {
    if partitions > budget {
        return Err(Refusal::PolicyViolation.because("Excessively large number of partitions per request."));
    }
    Ok(())
}

fn enough_brokers(image: &Image, factor: usize) -> Result<(), Refused> {
    let brokers = image.brokers().len();
    if factor > brokers {
        return Err(Refusal::InvalidReplicationFactor.because(format!(
            "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot be \
             reached because only {brokers} broker(s) are registered or some brokers have all their log \
             directories cordoned."
        )));
    }
    Ok(())
}

fn assignments_by_hand(image: &Image, new: &NewTopic, budget: usize) -> Result<Vec<Vec<NodeId>>, Refused> {
    for (given, what) in [(i32::from(new.replication_factor), "replication factor"), (new.partitions, "numPartitions")]
    {
        if given != -1 {
            let text = format!("A manual partition assignment was specified, but {what} was not set to -1.");
            return Err(Refusal::InvalidRequest.because(text));
        }
    }
    within_budget(new.assignments.len(), budget)?;
    let mut by_index = BTreeMap::new();
    for (index, brokers) in &new.assignments {
        if by_index.insert(*index, brokers).is_some() {
            let text = format!("Found multiple manual partition assignments for partition {index}");
            return Err(Refusal::InvalidReplicaAssignment.because(text));
        }
    }
    if !by_index.keys().copied().eq(0..by_index.len() as i32) {
        let text = "partitions should be a consecutive 0-based integer sequence";
        return Err(Refusal::InvalidReplicaAssignment.because(text));
    }
    let assignments: Vec<Vec<NodeId>> = by_index.into_values().cloned().collect();
    check_brokers(image, &assignments, assignments[0].len())?;
    Ok(assignments)
}

/// Each list: different, registered brokers, `factor` of them.
fn check_brokers(image: &Image, assignments: &[Vec<NodeId>], factor: usize) -> Result<(), Refused> {
    for brokers in assignments {
        let mut seen = BTreeSet::new();
        let mut wrong = None;
        if brokers.is_empty() {
            wrong = Some("an empty replica list.".to_owned());
        } else if let Some(id) = brokers.iter().find(|id| !seen.insert(**id)) {
            wrong = Some(format!("the broker {id} more than once."));
        } else if let Some(id) = brokers.iter().find(|id| image.broker(**id).is_none()) {
            wrong = Some(format!("broker {id}, but no such broker is registered."));
        } else if brokers.len() != factor {
            wrong = Some(format!(
                "a partition with {} replica(s), but this is not consistent with previous partitions, which have \
                 {factor} replica(s).",
                brokers.len()
            ));
        }
        if let Some(wrong) = wrong {
            let text = format!("The manual partition assignment includes {wrong}");
            return Err(Refusal::InvalidReplicaAssignment.because(text));
        }
    }
    Ok(())
}

/// The placements records of the partitions from `changed` on, with the whole chunk the first of them stands in.
fn placement_records(id: TopicId, placements: &[Placement], changed: usize) -> Vec<Entry> {
    let first = changed / CHUNK;
    placements
        .chunks(CHUNK)
        .enumerate()
        .skip(first)
        .map(|(chunk, placements)| {
            Key::Placements { topic: id, chunk: chunk as u32 }.set(&Value::Placements(placements.to_vec()))
        })
        .collect()
}

/// An internal topic gets its own counts and configs wherever the asker left them open, so that it is the same topic
/// whichever way it comes to be. It is replicated as often as there are brokers, at most.
fn with_internal_defaults(image: &Image, new: &NewTopic) -> NewTopic {
    let prefix = match new.name.as_str() {
        "__consumer_offsets" => "offsets.topic",
        "__transaction_state" => "transaction.state.log",
        _ => return new.clone(),
    };
    let config = image.config();
    let mut new = new.clone();
    let factor = config.int(&format!("{prefix}.replication.factor")).min(image.brokers().len().max(1) as i32);
    if new.assignments.is_empty() {
        if new.partitions == -1 {
            new.partitions = config.int(&format!("{prefix}.num.partitions"));
        }
        if new.replication_factor == -1 {
            new.replication_factor = factor as i16;
        }
    }
    let mut defaults = vec![
        ("cleanup.policy", "compact".to_owned()),
        ("segment.bytes", config.int(&format!("{prefix}.segment.bytes")).to_string()),
    ];
    if new.name == InternalTopic::Transactions.name() {
        let isr = config.int("transaction.state.log.min.isr").min(factor);
        defaults.push(("min.insync.replicas", isr.to_string()));
        defaults.push(("compression.type", "uncompressed".to_owned()));
    } else {
        defaults.push(("compression.type", "producer".to_owned()));
    }
    for (name, value) in defaults {
        if new.configs.iter().all(|(given, _)| given != name) {
            new.configs.push((name.to_owned(), Some(value)));
        }
    }
    new
}

pub fn ensure_internal_topic(draft: &mut Draft<'_>, which: InternalTopic) -> Answer {
    if let Some(topic) = draft.image().topic(which.name()) {
        return Answer::Ensured { id: topic.id, partitions: topic.partitions.len() as i32 };
    }
    let mut budget = REQUEST_PARTITIONS_MAX;
    match create_topic(draft, &NewTopic::with_defaults(which.name()), false, &mut budget) {
        Ok(created) => Answer::Ensured { id: created.id, partitions: created.partitions },
        Err(refused) => Answer::Refused(refused),
    }
}

pub fn create_partitions(draft: &mut Draft<'_>, topics: &[MorePartitions]) -> Answer {
    let repeated = repeated(topics.iter().map(|topic| &topic.topic));
    let mut seen = BTreeSet::new();
    let mut results = Vec::new();
    let mut budget = REQUEST_PARTITIONS_MAX;
    for more in topics {
        if !seen.insert(&more.topic) {
            continue;
        }
        let result = if repeated.contains(&more.topic) {
            Err(Refusal::InvalidRequest.because("Duplicate topic name."))
        } else {
            enlarge(draft, more, &mut budget)
        };
        results.push(TopicResult { name: more.topic.clone(), result });
    }
    Answer::CreatedPartitions(results)
}

fn enlarge(draft: &mut Draft<'_>, more: &MorePartitions, budget: &mut usize) -> Result<(), Refused> {
    let image = draft.image();
    let name = &more.topic;
    let topic = image.topic(name).ok_or_else(|| unknown_name(name))?;
    if is_internal(name) {
        let text = format!("The partition count of {name} is part of where its keys belong and cannot change.");
        return Err(Refusal::PolicyViolation.because(text));
    }
    let current = topic.partitions.len();
    let wished = usize::try_from(more.count).unwrap_or(0);
    if wished == current {
        return Err(Refusal::InvalidPartitions.because(format!("Topic already has {current} partition(s).")));
    }
    if wished < current {
        return Err(Refusal::InvalidPartitions.because(format!(
            "The topic {name} currently has {current} partition(s); {} would not be an increase.",
            more.count
        )));
    }
    if wished > TOPIC_PARTITIONS_MAX {
        let text = format!("A topic has at most {TOPIC_PARTITIONS_MAX} partitions.");
        return Err(Refusal::InvalidPartitions.because(text));
    }
    let added = wished - current;
    within_budget(added, *budget)?;
    let factor = topic.partitions.first().map_or(1, |placement| placement.replicas.len());
    let assignments = match &more.assignments {
        None => {
            enough_brokers(image, factor)?;
            spread(image.brokers(), next_in_circle(draft, factor), added, factor)
        }
        Some(lists) if lists.len() != added => {
            return Err(Refusal::InvalidReplicaAssignment.because(format!(
                "Attempted to add {added} additional partition(s), but only {} assignment(s) were specified.",
                lists.len()
            )));
        }
        Some(lists) => {
            check_brokers(image, lists, factor)?;
            lists.clone()
        }
    };
    *budget -= added;
    let version = draft.version();
    let mut placements = topic.partitions.clone();
    placements.extend(number(&assignments, &mut draft.counters.next_replica, version));
    draft.add(placement_records(topic.id, &placements, current))
}

pub fn delete_topics(draft: &mut Draft<'_>, topics: &[TopicRef]) -> Answer {
    let image = draft.image();
    let repeated = repeated(topics.iter());
    let mut seen = BTreeSet::new();
    let mut deleted = BTreeSet::new();
    let mut results = Vec::new();
    for wanted in topics {
        if !seen.insert(wanted) {
            continue;
        }
        let found = match wanted {
            TopicRef::Name(name) => image.topic(name),
            TopicRef::Id(id) => image.topic_by_id(*id),
        };
        let result = if !image.config().boolean("delete.topic.enable") {
            Err(Refusal::TopicDeletionDisabled.because("Topic deletion is disabled."))
        } else if repeated.contains(wanted) {
            Err(Refusal::InvalidRequest.because(match wanted {
                TopicRef::Name(_) => "Duplicate topic name.",
                TopicRef::Id(_) => "Duplicate topic id.",
            }))
        } else {
            delete_topic(draft, wanted, found.map(|topic| &**topic), &mut deleted)
        };
        let found = found.map(|topic| (topic.id, topic.name.to_string()));
        results.push(DeletedTopic { topic: wanted.clone(), found, result });
    }
    Answer::DeletedTopics(results)
}

fn delete_topic(
    draft: &mut Draft<'_>,
    wanted: &TopicRef,
    found: Option<&Topic>,
    deleted: &mut BTreeSet<TopicId>,
) -> Result<(), Refused> {
    let Some(topic) = found else {
        return Err(match wanted {
            // Kafka's words, which do not name it.
            TopicRef::Name(_) => Refusal::UnknownTopicName.because("This server does not host this topic-partition."),
            TopicRef::Id(_) => Refusal::UnknownTopicId.because("This server does not host this topic ID."),
        });
    };
    if topic.internal {
        let text = format!("The internal topic {} cannot be deleted.", topic.name);
        return Err(Refusal::PolicyViolation.because(text));
    }
    if deleted.contains(&topic.id) {
        let text = "The provided topic name maps to an ID that was already supplied.";
        return Err(Refusal::InvalidRequest.because(text));
    }
    let numbers =
        topic.partitions.iter().flat_map(|placement| &placement.replicas).map(|replica| replica.number.0).collect();
    // The removal first: whoever sees the topic gone has seen that its replicas were removed.
    let mut entries = vec![Key::Removed(topic.id).set(&Value::Removed(ranges_of(numbers)))];
    if !topic.overrides.is_empty() {
        entries.push(Key::TopicConfigs(topic.id).remove());
    }
    let chunks = topic.partitions.len().div_ceil(CHUNK);
    entries.extend((0..chunks).map(|chunk| Key::Placements { topic: topic.id, chunk: chunk as u32 }.remove()));
    entries.push(Key::Topic(topic.id).remove());
    draft.add(entries)?;
    deleted.insert(topic.id);
    Ok(())
}

pub fn unknown_name(name: &str) -> Refused {
    Refusal::UnknownTopicName.because(format!("The topic '{name}' does not exist."))
}

/// What stands more than once.
pub fn repeated<'a, T: Ord + 'a>(items: impl Iterator<Item = &'a T>) -> BTreeSet<&'a T> {
    let mut seen = BTreeSet::new();
    items.filter(|item| !seen.insert(*item)).collect()
}
