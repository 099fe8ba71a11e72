//! Configs as people are told of them: name, value, where it comes from, and what else stood to choose.

use std::collections::BTreeMap;

use crate::broker_config::BrokerConfig;
use crate::broker_table::{BROKER_CONFIGS, BrokerDef, MIN_INSYNC_REPLICAS, broker_def};
use crate::config_kind::{Kind, Source};
use crate::group_table::{GROUP_CONFIGS, GroupDef};
use crate::image::{Image, Overrides};
use crate::settings::scaled;
use crate::topic_table::{Behind, TOPIC_CONFIGS, TopicDef};

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

    /// What holds for all brokers while running (the empty resource name), in name order.
    pub fn describe_all_brokers(&self) -> Vec<DescribedConfig> {
        let for_all = |mut config: DescribedConfig| {
            let name = config.name;
            config.synonyms.retain(|one| one.source == Source::DynamicDefaultBroker && one.name == name);
            let first = config.synonyms.first()?;
            (config.value, config.source) = (first.value.clone(), first.source);
            Some(config)
        };
        self.describe_broker().into_iter().filter_map(for_all).collect()
    }
}

fn describe_topic_config(config: &BrokerConfig, def: &'static TopicDef, own: &Overrides) -> DescribedConfig {
    let behind = def.behind.iter().map(|behind| (behind.name, behind.factor));
    let values = layered(config, own_value(def.name, Some(own), Source::Topic), behind);
    described(def.name, def.kind, def.documentation, Some(def.default), values)
}

fn describe_group_config(config: &BrokerConfig, def: &'static GroupDef, own: Option<&Overrides>) -> DescribedConfig {
    let values = layered(config, own_value(def.name, own, Source::Group), [(def.behind, 1)]);
    described(def.name, def.kind, def.documentation, None, values)
}

/// An own value, if there is one, over those of the broker's configs behind it, each with the factor to this one's unit.
fn layered(
    config: &BrokerConfig,
    own: Option<Synonym>,
    behind: impl IntoIterator<Item = (&'static str, i64)>,
) -> Vec<(Synonym, i64)> {
    let of_broker = |(name, factor): (&str, i64)| {
        let values = broker_def(name).into_iter().flat_map(|def| values_of(config, def));
        values.map(move |value| (value, factor)).collect::<Vec<_>>()
    };
    own.map(|own| (own, 1)).into_iter().chain(behind.into_iter().flat_map(of_broker)).collect()
}

fn describe_broker_config(config: &BrokerConfig, def: &'static BrokerDef) -> DescribedConfig {
    let own = values_of(config, def);
    let value = own.first().and_then(|first| first.value.clone());
    let values = match family(def.name) {
        Some(family) => {
            family.iter().filter_map(|one| broker_def(one.name)).flat_map(|def| values_of(config, def)).collect()
        }
        None => own,
    };
    let values = values.into_iter().map(|value| (value, 1)).collect();
    let described = described(def.name, def.kind, def.documentation, None, values);
    DescribedConfig { value, read_only: !def.dynamic, sensitive: def.kind == Kind::Password, ..described }
}

/// Names of one thing in several units (`log.retention.ms`, `.minutes`, `.hours`): each is told of all of them.
fn family(name: &str) -> Option<&'static [Behind]> {
    let is_here = |def: &&TopicDef| def.behind.len() > 1 && def.behind.iter().any(|behind| behind.name == name);
    TOPIC_CONFIGS.iter().find(is_here).map(|def| def.behind)
}

/// A config in the values it has, the strongest first, each with the factor that makes it one of this config's unit;
/// without any the default is in force.
fn described(
    name: &'static str,
    kind: Kind,
    documentation: &'static str,
    default: Option<&str>,
    values: Vec<(Synonym, i64)>,
) -> DescribedConfig {
    let (value, source) = match values.first() {
        Some((first, factor)) => (first.value.as_deref().map(|text| scaled(text, *factor)), first.source),
        None => (default.map(str::to_owned), Source::Default),
    };
    let synonyms = values.into_iter().map(|(synonym, _)| synonym).collect();
    DescribedConfig { name, value, source, kind, read_only: false, sensitive: false, documentation, synonyms }
}

fn own_value(name: &'static str, own: Option<&Overrides>, source: Source) -> Option<Synonym> {
    own?.get(name).map(|text| Synonym { name, value: Some(text.clone()), source })
}

/// The values a broker config has, the strongest first. A password has none to show.
fn values_of(config: &BrokerConfig, def: &'static BrokerDef) -> Vec<Synonym> {
    let (given, name) = (config.given(def.name), def.name);
    // A cluster of Kafka's has it from its first day (KIP-966).
    let from_the_first_day = (name == MIN_INSYNC_REPLICAS).then(|| given.or(def.default)).flatten();
    let sources = [
        (config.for_this().get(name).map(String::as_str), Source::DynamicBroker),
        (config.for_all().get(name).map(String::as_str).or(from_the_first_day), Source::DynamicDefaultBroker),
        (given, Source::StaticBroker),
        (def.default, Source::Default),
    ];
    let shown = |text: &str| (def.kind != Kind::Password).then(|| text.to_owned());
    sources
        .into_iter()
        .filter_map(|(value, source)| value.map(|text| Synonym { name, value: shown(text), source }))
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
        let hours = one(image.describe_broker(), "log.retention.hours");
        assert_eq!((hours.value.as_deref(), hours.source), (Some("2"), Source::StaticBroker));
        let ms = one(image.describe_broker(), "log.retention.ms");
        assert_eq!((ms.value.as_deref(), ms.source, &ms.synonyms), (None, Source::StaticBroker, &hours.synonyms));
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
