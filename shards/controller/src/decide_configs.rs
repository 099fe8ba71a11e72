//! Changing configs of topics, of groups, and of brokers, all at once or one by one.

use std::collections::{BTreeMap, BTreeSet};

use heddle_model::NodeId;

use crate::ask::*;
use crate::broker_config::{BrokerConfig, check_broker_config};
use crate::broker_table::{MIN_INSYNC_REPLICAS, broker_def};
use crate::config_kind::{Kind, list};
use crate::decide_topics::{repeated, unknown_name};
use crate::draft::Draft;
use crate::group_table::{check_group_bounds, check_group_configs, group_def};
use crate::image::Image;
use crate::record::{Key, Value};
use crate::settings::{check_contradictions, check_topic_config, inherited, topic_settings};
use crate::topic_table::topic_def;

type Values = BTreeMap<String, String>;

/// As long as the group coordinator's records take one.
const GROUP_ID_BYTES_MAX: usize = i16::MAX as usize;

/// The overrides of a new topic, or of one whose overrides are replaced.
pub fn overrides_of(config: &BrokerConfig, given: &[(String, Option<String>)]) -> Result<Values, Refused> {
    let mut overrides = Values::new();
    for (name, value) in given {
        let Some(value) = value else {
            return Err(Refusal::InvalidConfig.because(format!("Null value not supported for topic configs: {name}")));
        };
        overrides.insert(name.clone(), value.clone());
    }
    check_overrides(config, &overrides)?;
    Ok(overrides)
}

/// What AlterConfigs sets instead of all there is. A null and a name given twice are no configs but a bad request.
fn replacement(given: &[(String, Option<String>)]) -> Result<Values, Refused> {
    if !repeated(given.iter().map(|(name, _)| name)).is_empty() {
        return Err(Refusal::InvalidRequest.because("Error due to duplicate config keys"));
    }
    let nulls: Vec<&str> = given.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name.as_str()).collect();
    if !nulls.is_empty() {
        return Err(Refusal::InvalidRequest.because(format!("Null value not supported for : {}", nulls.join(","))));
    }
    Ok(given.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect())
}

fn check_overrides(config: &BrokerConfig, overrides: &Values) -> Result<(), Refused> {
    for (name, value) in overrides {
        check_topic_config(name, value).map_err(|text| Refusal::InvalidConfig.because(text))?;
    }
    topic_settings(config, overrides)
        .and_then(|settings| check_contradictions(&settings))
        .map_err(|text| Refusal::InvalidConfig.because(text))
}

pub fn alter_configs(draft: &mut Draft<'_>, changes: &[ConfigChange]) -> Answer {
    let repeated = repeated(changes.iter().map(|change| &change.resource));
    let mut seen = BTreeSet::new();
    let mut results = Vec::new();
    for change in changes {
        if !seen.insert(&change.resource) {
            continue;
        }
        let result = if repeated.contains(&change.resource) {
            Err(Refusal::InvalidRequest.because("Each resource must appear at most once."))
        } else {
            match &change.resource {
                Resource::Topic(name) => alter_topic(draft, name, &change.change),
                Resource::Broker(id) => alter_brokers(draft, *id, &change.change),
                Resource::Group(group) => alter_group(draft, group, &change.change),
            }
        };
        results.push((change.resource.clone(), result));
    }
    Answer::AlteredConfigs(results)
}

fn alter_topic(draft: &mut Draft<'_>, name: &str, change: &Change) -> Result<(), Refused> {
    let image = draft.image();
    let topic = image.topic(name).ok_or_else(|| unknown_name(name))?;
    let config = image.config();
    let overrides = match change {
        Change::Replace(given) => replacement(given)?,
        Change::Edit(edits) => {
            edited(&topic.overrides, edits, |name| topic_def(name).map(|def| (def.kind, inherited(config, def))))?
        }
    };
    check_overrides(config, &overrides)?;
    if overrides == topic.overrides {
        return Ok(());
    }
    let key = Key::TopicConfigs(topic.id);
    let entry = match overrides.is_empty() {
        true => key.remove(),
        false => key.set(&Value::Configs(overrides.into_iter().collect())),
    };
    draft.add(vec![entry])
}

/// A group need not exist to be configured, and keeps its configs when it ends.
fn alter_group(draft: &mut Draft<'_>, group: &str, change: &Change) -> Result<(), Refused> {
    if group.is_empty() {
        return Err(Refusal::InvalidRequest.because("Default group resources are not allowed."));
    }
    if group.len() > GROUP_ID_BYTES_MAX {
        return Err(Refusal::InvalidRequest.because(format!("The group id is longer than {GROUP_ID_BYTES_MAX} bytes.")));
    }
    let (image, none) = (draft.image(), Values::new());
    let current = image.group_overrides(group).unwrap_or(&none);
    let values = match change {
        Change::Replace(given) => replacement(given)?,
        Change::Edit(edits) => edited(current, edits, |name| group_def(name).map(|def| (def.kind, String::new())))?,
    };
    check_group_configs(image.config(), &values).map_err(|text| Refusal::InvalidConfig.because(text))?;
    if values == *current {
        return Ok(());
    }
    let key = Key::GroupConfigs(group.to_owned());
    let entry = match values.is_empty() {
        true => key.remove(),
        false => key.set(&Value::Configs(values.into_iter().collect())),
    };
    draft.add(vec![entry])
}

/// Little but what stands behind topics' settings may change while running: for all brokers, or over that for one.
fn alter_brokers(draft: &mut Draft<'_>, id: Option<NodeId>, change: &Change) -> Result<(), Refused> {
    let (image, none) = (draft.image(), Values::new());
    let current = match id {
        None => image.config().for_all(),
        Some(id) if image.broker(id).is_some() => image.by_broker.get(&id).unwrap_or(&none),
        Some(id) => return Err(Refusal::UnknownBroker.because(format!("No broker with id {id} is registered."))),
    };
    let values = match change {
        Change::Replace(given) => replacement(given)?,
        Change::Edit(edits) => edited(current, edits, |name| {
            broker_def(name).map(|def| (def.kind, image.config().text(name).unwrap_or("").to_owned()))
        })?,
    };
    check_min_isr(id, change)?;
    let changed = values.iter().filter(|(name, value)| current.get(*name) != Some(value));
    for (name, value) in changed {
        check_broker_config(name, value).map_err(|text| Refusal::InvalidConfig.because(text))?;
        if !broker_def(name).is_some_and(|def| def.dynamic) {
            let text = format!("Cannot update these configs dynamically: [{name}]");
            return Err(Refusal::InvalidRequest.because(text));
        }
    }
    if values == *current {
        return Ok(());
    }
    for (for_all, for_one) in every_view(image, id, &values, &none) {
        check_together(&image.config().with_dynamic(for_all.clone(), for_one.clone()))?;
    }
    let key = id.map_or(Key::BrokerConfigs, Key::OneBrokerConfigs);
    let entry = match (id, values.is_empty()) {
        (Some(_), true) => key.remove(),
        _ => key.set(&Value::Configs(values.into_iter().collect())),
    };
    draft.add(vec![entry])
}

/// What acks=all promises must not depend on who leads, and a cluster has it from its first day (KIP-966): it is not set
/// for one broker, and not taken away from all of them, be it by not being among those that replace the others.
fn check_min_isr(id: Option<NodeId>, change: &Change) -> Result<(), Refused> {
    let (names, removes) = match change {
        Change::Replace(given) => {
            let names = given.iter().any(|(name, _)| name == MIN_INSYNC_REPLICAS);
            (names, !names)
        }
        Change::Edit(edits) => {
            let edit = edits.iter().find(|edit| edit.name == MIN_INSYNC_REPLICAS);
            (edit.is_some(), edit.is_some_and(|edit| edit.op == EditOp::Delete))
        }
    };
    let text = match id {
        Some(_) if names => format!("Broker-level {MIN_INSYNC_REPLICAS} cannot be altered; it is set for all brokers."),
        None if removes => {
            format!("Cluster-level {MIN_INSYNC_REPLICAS} cannot be removed; it can be set to another value.")
        }
        Some(_) | None => return Ok(()),
    };
    Err(Refusal::InvalidConfig.because(text))
}

/// What the brokers that a change reaches will see: configs of all, and over them their own.
fn every_view<'a>(
    image: &'a Image,
    id: Option<NodeId>,
    values: &'a Values,
    none: &'a Values,
) -> Vec<(&'a Values, &'a Values)> {
    match id {
        Some(_) => vec![(image.config().for_all(), values)],
        None => std::iter::once(none).chain(image.by_broker.values()).map(|own| (values, own)).collect(),
    }
}

/// Values that are fine one by one may contradict each other.
fn check_together(config: &BrokerConfig) -> Result<(), Refused> {
    topic_settings(config, &Values::new())
        .and_then(|settings| check_contradictions(&settings))
        .and_then(|()| check_group_bounds(config))
        .map_err(|text| Refusal::InvalidConfig.because(text))
}

/// The values after the edits. `known` gives a config's type and the value it has without an own one.
fn edited(current: &Values, edits: &[Edit], known: impl Fn(&str) -> Option<(Kind, String)>) -> Result<Values, Refused> {
    if !repeated(edits.iter().map(|edit| &edit.name)).is_empty() {
        return Err(Refusal::InvalidRequest.because("Error due to duplicate config keys"));
    }
    let mut values = current.clone();
    for edit in edits {
        let name = &edit.name;
        if edit.op == EditOp::Delete {
            values.remove(name);
            continue;
        }
        let Some(value) = &edit.value else {
            return Err(Refusal::InvalidRequest.because(format!("Null value not supported for : {name}")));
        };
        if edit.op == EditOp::Set {
            values.insert(name.clone(), value.clone());
            continue;
        }
        let verb = if edit.op == EditOp::Append { "APPEND" } else { "SUBTRACT" };
        let Some((Kind::List, base)) = known(name) else {
            let text = format!("Can't {verb} to key {name} because its type is not LIST.");
            return Err(Refusal::InvalidConfig.because(text));
        };
        let base = current.get(name).unwrap_or(&base);
        values.insert(name.clone(), edited_list(base, edit.op, value));
    }
    Ok(values)
}

fn edited_list(base: &str, op: EditOp, value: &str) -> String {
    let mut items = list(base);
    for item in list(value) {
        match op {
            EditOp::Append if !items.contains(&item) => items.push(item),
            EditOp::Subtract => items.retain(|have| *have != item),
            _ => {}
        }
    }
    items.join(",")
}
