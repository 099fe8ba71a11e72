//! A broker's own configs: what was given at start under what was set while running.

use std::collections::BTreeMap;
use std::fmt;

use heddle_model::NodeId;

use crate::broker_table::{BROKER_CONFIGS, broker_def};
use crate::config_kind::{Kind, boolean, judge};
use crate::group_table::check_group_bounds;
use crate::nearest::nearest;
use crate::not_here::why_not_here;
use crate::settings::{check_contradictions, topic_settings};

/// Start-up values (`--set`, the `[kafka]` table) and, over them, what was set while running: for all brokers and, over
/// that, for this one. All are valid.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BrokerConfig {
    given: BTreeMap<String, String>,
    for_all: BTreeMap<String, String>,
    for_this: BTreeMap<String, String>,
}

/// A config that cannot be taken, and what was expected instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    pub name: String,
    pub text: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ConfigError {}

impl BrokerConfig {
    /// Start-up configs by Kafka's names. Unknown names and values out of bounds are errors.
    pub fn parse(given: BTreeMap<String, String>) -> Result<BrokerConfig, ConfigError> {
        for (name, value) in &given {
            check_broker_config(name, value).map_err(|text| ConfigError { name: name.clone(), text })?;
        }
        let config = BrokerConfig { given, ..BrokerConfig::default() };
        topic_settings(&config, &BTreeMap::new())
            .and_then(|settings| check_contradictions(&settings))
            .map_err(|text| ConfigError { name: "defaults of topics".into(), text })?;
        check_group_bounds(&config).map_err(|text| ConfigError { name: "defaults of groups".into(), text })?;
        Ok(config)
    }

    /// The same start-up values under other dynamic ones.
    pub(crate) fn with_dynamic(
        &self,
        for_all: BTreeMap<String, String>,
        for_this: BTreeMap<String, String>,
    ) -> BrokerConfig {
        BrokerConfig { given: self.given.clone(), for_all, for_this }
    }

    /// Whose configs these are; nobody's if no `node.id` was given.
    pub(crate) fn node(&self) -> Option<NodeId> {
        self.given("node.id")?.trim().parse().ok().map(NodeId)
    }

    /// The value given at start.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    /// The value set while running.
    pub fn dynamic(&self, name: &str) -> Option<&str> {
        self.for_this.get(name).or_else(|| self.for_all.get(name)).map(String::as_str)
    }

    /// What was set while running, for all brokers.
    pub(crate) fn for_all(&self) -> &BTreeMap<String, String> {
        &self.for_all
    }

    /// What was set while running, for this broker alone.
    pub(crate) fn for_this(&self) -> &BTreeMap<String, String> {
        &self.for_this
    }

    /// The value in force; `None` if there is not even a default.
    ///
    /// # Panics
    /// If no config has this name: names are written in code.
    pub fn text(&self, name: &str) -> Option<&str> {
        let def = broker_def(name).unwrap_or_else(|| panic!("{name} is in the table of broker configs"));
        self.dynamic(name).or_else(|| self.given(name)).or(def.default)
    }

    /// A config of type short, int or long that has a default.
    pub fn number(&self, name: &str) -> i64 {
        let text = self.text(name).unwrap_or_else(|| panic!("{name} has a default"));
        text.trim().parse().unwrap_or_else(|_| panic!("{name} was checked to be a number"))
    }

    /// A config of type short or int that has a default.
    pub fn int(&self, name: &str) -> i32 {
        i32::try_from(self.number(name)).unwrap_or_else(|_| panic!("{name} was checked to be an int"))
    }

    pub fn boolean(&self, name: &str) -> bool {
        self.text(name).and_then(boolean).unwrap_or_else(|| panic!("{name} was checked to be a boolean"))
    }

    /// All names, for help texts.
    pub fn names() -> impl Iterator<Item = (&'static str, Kind, Option<&'static str>, &'static str)> {
        BROKER_CONFIGS.iter().map(|def| (def.name, def.kind, def.default, def.documentation))
    }
}

/// Whether a broker config may have this value; `Err` is a sentence in Kafka's words.
pub(crate) fn check_broker_config(name: &str, value: &str) -> Result<(), String> {
    let def = broker_def(name).ok_or_else(|| unknown_broker_config(name))?;
    judge(def.kind, def.check, value)
        .map_err(|expected| format!("Invalid value {value} for configuration {name}: {expected}"))
}

/// Why a name is refused.
pub(crate) fn unknown_broker_config(name: &str) -> String {
    if let Some(why) = why_not_here(name) {
        return format!("{name} has no effect on this broker and is not taken: {why}");
    }
    let near = nearest(name, BROKER_CONFIGS.iter().map(|def| def.name));
    format!("Unknown broker config name: {name}{near}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<BrokerConfig, ConfigError> {
        BrokerConfig::parse(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn start_up_values_stand_over_defaults() {
        let config = parse(&[("num.partitions", "6"), ("auto.create.topics.enable", "false")]).expect("valid");
        assert_eq!(config.int("num.partitions"), 6);
        assert!(!config.boolean("auto.create.topics.enable"));
        assert!(config.boolean("delete.topic.enable"));
        assert_eq!(config.text("broker.rack"), None);
    }

    #[test]
    fn what_is_unknown_or_wrong_is_refused_with_a_reason() {
        let unknown = "Unknown broker config name: num.partition (did you mean num.partitions?)";
        assert_eq!(parse(&[("num.partition", "6")]).unwrap_err().text, unknown);
        let idle = "num.io.threads has no effect on this broker and is not taken: one thread per core does all the work \
                    (--shards)";
        assert_eq!(parse(&[("num.io.threads", "8")]).unwrap_err().text, idle);
        assert_eq!(
            parse(&[("num.partitions", "0")]).unwrap_err().text,
            "Invalid value 0 for configuration num.partitions: Value must be at least 1"
        );
        assert!(parse(&[("log.preallocate", "true")]).is_err());
        assert!(
            parse(&[("log.cleaner.min.compaction.lag.ms", "9"), ("log.cleaner.max.compaction.lag.ms", "8")]).is_err()
        );
    }

    #[test]
    fn retention_of_hours_that_no_long_can_hold_is_no_overflow() {
        // The largest int of hours is some 7.7e15 ms, which fits; this guards the multiplication.
        assert!(parse(&[("log.retention.hours", "2147483647")]).is_ok());
    }
}
