//! Configs as people are told of them: name, value, where it comes from, and what else stood to choose.

use std::collections::BTreeMap;

use crate::broker_config::BrokerConfig;
use crate::broker_table::{BROKER_CONFIGS, BrokerDef, broker_def};
use crate::config_kind::{Kind, Source};
use crate::group_table::{GROUP_CONFIGS, GroupDef};
use crate::image::{Image, Overrides};
use crate::settings::scaled;
use crate::topic_table::{TOPIC_CONFIGS, TopicDef};

/// One config as DescribeConfigs shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedConfig {
    pub name: &'static str,
    /// `None`: unset.
    pub value: Option<String>,
    pub source: Source,
    pub kind: Kind,
    pub read_only: bool,
    /// The value must not be shown.
    pub sensitive: bool,
    pub documentation: &'static str,
    /// All values that were to choose from, the one in force first.
    pub synonyms: Vec<Synonym>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Synonym {
    pub name: &'static str,
    pub value: Option<String>,
    pub source: Source,
}

impl Image {
    /// All configs, in name order, of a topic with these overrides.
    pub fn describe_overrides(&self, overrides: &BTreeMap<String, String>) -> Vec<DescribedConfig> {
        TOPIC_CONFIGS.iter().map(|def| describe_topic_config(&self.config, def, overrides)).collect()
    }

    /// All configs of this broker, in name order.
    pub fn describe_broker(&self) -> Vec<DescribedConfig> {
        BROKER_CONFIGS.iter().map(|def| describe_broker_config(&self.config, def)).collect()
    }

    /// All configs of a group, in name order, whether it exists or not.
    pub fn describe_group(&self, group: &str) -> Vec<DescribedConfig> {
        let own = self.group_overrides(group);
        GROUP_CONFIGS.iter().map(|def| describe_group_config(&self.config, def, own)).collect()
    }

    /// What was set while running for all brokers (the empty resource name), in name order.
    pub fn describe_all_brokers(&self) -> Vec<DescribedConfig> {
        let set = |def: &&BrokerDef| self.config.dynamic(def.name).is_some();
        let own = |mut config: DescribedConfig| {
            config.synonyms.retain(|synonym| synonym.source == Source::DynamicDefaultBroker);
            config
        };
        BROKER_CONFIGS.iter().filter(set).map(|def| own(describe_broker_config(&self.config, def))).collect()
    }
}

fn describe_topic_config(
    config: &BrokerConfig,
    def: &'static TopicDef,
    overrides: &BTreeMap<String, String>,
) -> DescribedConfig {
    let mut synonyms = Vec::new();
    let mut value = def.default.to_owned();
    let mut source = Source::Default;
    if let Some(own) = overrides.get(def.name) {
        synonyms.push(Synonym { name: def.name, value: Some(own.clone()), source: Source::Topic });
        (value, source) = (own.clone(), Source::Topic);
    }
    for behind in def.behind {
        for synonym in broker_def(behind.name).into_iter().flat_map(|def| values_of(config, def)) {
            if synonyms.is_empty() {
                source = synonym.source;
                value = synonym.value.as_deref().map_or(value, |text| scaled(text, behind.factor));
            }
            synonyms.push(synonym);
        }
    }
    DescribedConfig {
        name: def.name,
        value: Some(value),
        source,
        kind: def.kind,
        read_only: false,
        sensitive: false,
        documentation: def.documentation,
        synonyms,
    }
}

fn describe_group_config(config: &BrokerConfig, def: &'static GroupDef, own: Option<&Overrides>) -> DescribedConfig {
    let own = own.and_then(|own| own.get(def.name));
    let own = own.map(|text| Synonym { name: def.name, value: Some(text.clone()), source: Source::Group });
    let behind = broker_def(def.behind).into_iter().flat_map(|behind| values_of(config, behind));
    let synonyms: Vec<Synonym> = own.into_iter().chain(behind).collect();
    let (value, source) = synonyms.first().map_or((None, Source::Default), |one| (one.value.clone(), one.source));
    DescribedConfig {
        name: def.name,
        value,
        source,
        kind: def.kind,
        read_only: false,
        sensitive: false,
        documentation: def.documentation,
        synonyms,
    }
}

fn describe_broker_config(config: &BrokerConfig, def: &'static BrokerDef) -> DescribedConfig {
    let synonyms = values_of(config, def);
    let (value, source) = synonyms.first().map_or((None, Source::Default), |one| (one.value.clone(), one.source));
    let sensitive = def.kind == Kind::Password;
    DescribedConfig {
        name: def.name,
        value: value.filter(|_| !sensitive),
        source,
        kind: def.kind,
        read_only: !def.dynamic,
        sensitive,
        documentation: def.documentation,
        synonyms,
    }
}

/// The values a broker config has, the strongest first.
fn values_of(config: &BrokerConfig, def: &'static BrokerDef) -> Vec<Synonym> {
    let sources = [
        (config.dynamic(def.name), Source::DynamicDefaultBroker),
        (config.given(def.name), Source::StaticBroker),
        (def.default, Source::Default),
    ];
    let shown = |text: &str| (def.kind != Kind::Password).then(|| text.to_owned());
    sources
        .into_iter()
        .filter_map(|(value, source)| value.map(|text| Synonym { name: def.name, value: shown(text), source }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{check_topic_config, inherited};
    use std::sync::Arc;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn one(configs: Vec<DescribedConfig>, name: &str) -> DescribedConfig {
        configs.into_iter().find(|config| config.name == name).expect("described")
    }

    #[test]
    fn a_value_tells_where_it_comes_from() {
        let config = BrokerConfig::parse(map(&[("log.retention.hours", "2"), ("num.partitions", "3")])).expect("valid");
        let image = Image::empty(Arc::new(config));
        let retention = one(image.describe_overrides(&map(&[])), "retention.ms");
        assert_eq!((retention.value.as_deref(), retention.source), (Some("7200000"), Source::StaticBroker));
        let names: Vec<_> =
            retention.synonyms.iter().map(|s| (s.name, s.value.as_deref().unwrap_or("null"), s.source)).collect();
        assert_eq!(
            names,
            [("log.retention.hours", "2", Source::StaticBroker), ("log.retention.hours", "168", Source::Default)]
        );
        let own = one(image.describe_overrides(&map(&[("retention.ms", "5")])), "retention.ms");
        assert_eq!((own.value.as_deref(), own.source, own.synonyms.len()), (Some("5"), Source::Topic, 3));
        let partitions = one(image.describe_broker(), "num.partitions");
        assert!(partitions.read_only && partitions.source == Source::StaticBroker);
        let rack = one(image.describe_broker(), "broker.rack");
        assert_eq!((rack.value, rack.synonyms), (None, Vec::new()));
    }

    #[test]
    fn a_group_tells_its_own_value_over_the_brokers() {
        let bounds = [("group.consumer.session.timeout.ms", "50000")];
        let mut image = Image::empty(Arc::new(BrokerConfig::parse(map(&bounds)).expect("valid")));
        let name = "consumer.session.timeout.ms";
        let inherited = one(image.describe_group("g"), name);
        assert_eq!((inherited.value.as_deref(), inherited.source), (Some("50000"), Source::StaticBroker));
        image.groups.insert("g".into(), Arc::new(map(&[(name, "60000")])));
        let own = one(image.describe_group("g"), name);
        assert_eq!((own.value.as_deref(), own.source, own.synonyms.len()), (Some("60000"), Source::Group, 3));
        assert_eq!(one(image.describe_group("other"), name), inherited);
        assert_eq!(image.configured_groups().collect::<Vec<_>>(), ["g"]);
    }

    /// What is told is what is done.
    #[test]
    fn every_described_value_is_the_effective_one() {
        let image = Image::empty(Arc::new(BrokerConfig::default()));
        for described in image.describe_overrides(&map(&[])) {
            let def = crate::topic_table::topic_def(described.name).expect("known");
            let value = described.value.expect("topic configs always have a value");
            assert_eq!(value, inherited(&image.config, def));
            assert_eq!(check_topic_config(described.name, &value), Ok(()));
        }
    }
}
