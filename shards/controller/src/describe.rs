//! Configs as people are told of them: name, value, where it comes from, and what else stood to choose.

use std::collections::BTreeMap;

use crate::broker_config::BrokerConfig;
use crate::broker_table::{BROKER_CONFIGS, BrokerDef, MIN_INSYNC_REPLICAS, broker_def};
use crate::config_kind::{Kind, Source, shown};
use crate::group_table::{GROUP_CONFIGS, GroupDef};
use crate::image::{Image, Overrides};
use crate::settings::inherited;
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

    /// What holds for all brokers while running (the empty resource name), in name order.
    pub fn describe_all_brokers(&self) -> Vec<DescribedConfig> {
        let for_all = |mut config: DescribedConfig| {
            let name = config.name;
            config.synonyms.retain(|one| one.source == Source::DynamicDefaultBroker);
            let own = config.synonyms.iter().find(|one| one.name == name)?;
            (config.value, config.source) = (own.value.clone(), own.source);
            Some(config)
        };
        self.describe_broker().into_iter().filter_map(for_all).collect()
    }
}

fn describe_topic_config(config: &BrokerConfig, def: &'static TopicDef, own: &Overrides) -> DescribedConfig {
    let set = own_value(def.name, def.kind, Some(own), Source::Topic);
    let value = set.as_ref().and_then(|set| set.value.clone()).unwrap_or_else(|| inherited(config, def));
    let behind = def.behind.first().into_iter().flat_map(|first| synonyms_of(config, first.name));
    let values = set.into_iter().chain(behind).collect();
    described(def.name, def.kind, def.documentation, Some(value), values)
}

fn describe_group_config(config: &BrokerConfig, def: &'static GroupDef, own: Option<&Overrides>) -> DescribedConfig {
    let own = own_value(def.name, def.kind, own, Source::Group);
    let values: Vec<_> = own.into_iter().chain(synonyms_of(config, def.behind)).collect();
    let value = values.first().and_then(|first| first.value.clone());
    described(def.name, def.kind, def.documentation, value, values)
}

fn describe_broker_config(config: &BrokerConfig, def: &'static BrokerDef) -> DescribedConfig {
    let value = values_of(config, def).into_iter().next().and_then(|first| first.value);
    let described = described(def.name, def.kind, def.documentation, value, synonyms_of(config, def.name));
    DescribedConfig { read_only: !def.dynamic, sensitive: def.kind == Kind::Password, ..described }
}

/// What there is to choose from for a broker config: the values of all names of one thing in several units
/// (`log.retention.ms`, `.minutes`, `.hours`), the strongest source first. As in Apache Kafka they begin with a value of
/// the name itself: `log.retention.hours` alone is no synonym of `log.retention.ms`, and the source is the default then.
fn synonyms_of(config: &BrokerConfig, name: &str) -> Vec<Synonym> {
    let is_family = |def: &&TopicDef| def.behind.len() > 1 && def.behind.iter().any(|behind| behind.name == name);
    let names = match TOPIC_CONFIGS.iter().find(is_family) {
        Some(def) => def.behind.iter().map(|behind| behind.name).collect(),
        None => vec![name],
    };
    let mut values: Vec<Synonym> =
        names.into_iter().filter_map(broker_def).flat_map(|def| values_of(config, def)).collect();
    values.sort_by_key(|value| value.source as i8);
    values.into_iter().skip_while(|value| value.name != name).collect()
}

/// A config whose synonyms are these: it has its source from the first, or is the default.
fn described(
    name: &'static str,
    kind: Kind,
    documentation: &'static str,
    value: Option<String>,
    synonyms: Vec<Synonym>,
) -> DescribedConfig {
    let source = synonyms.first().map_or(Source::Default, |first| first.source);
    DescribedConfig { name, value, source, kind, read_only: false, sensitive: false, documentation, synonyms }
}

fn own_value(name: &'static str, kind: Kind, own: Option<&Overrides>, source: Source) -> Option<Synonym> {
    own?.get(name).map(|text| Synonym { name, value: Some(shown(kind, text)), source })
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
    use crate::settings::check_topic_config;
    use std::sync::Arc;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn one(configs: Vec<DescribedConfig>, name: &str) -> DescribedConfig {
        configs.into_iter().find(|config| config.name == name).expect("described")
    }

    fn synonyms(config: &DescribedConfig) -> Vec<(&str, &str, Source)> {
        config.synonyms.iter().map(|s| (s.name, s.value.as_deref().unwrap_or("null"), s.source)).collect()
    }

    #[test]
    fn a_value_tells_where_it_comes_from() {
        let config = BrokerConfig::parse(map(&[("log.retention.hours", "2"), ("num.partitions", "3")])).expect("valid");
        let image = Image::empty(Arc::new(config));
        // The value is the hours', but they are no synonym of a name that has no value itself, as in Apache Kafka.
        let retention = one(image.describe_overrides(&map(&[])), "retention.ms");
        assert_eq!((retention.value.as_deref(), retention.source), (Some("7200000"), Source::Default));
        assert_eq!(retention.synonyms, []);
        let own = one(image.describe_overrides(&map(&[("retention.ms", "5")])), "retention.ms");
        assert_eq!((own.value.as_deref(), own.source, own.synonyms.len()), (Some("5"), Source::Topic, 1));
        let bytes = one(image.describe_overrides(&map(&[("segment.bytes", "1048576")])), "segment.bytes");
        assert_eq!(
            synonyms(&bytes),
            [("segment.bytes", "1048576", Source::Topic), ("log.segment.bytes", "1073741824", Source::Default)]
        );
        let policy = one(image.describe_overrides(&map(&[("cleanup.policy", "compact, compact")])), "cleanup.policy");
        assert_eq!(policy.value.as_deref(), Some("compact"));
        assert_eq!(synonyms(&policy)[0], ("cleanup.policy", "compact", Source::Topic));
        let told = "This config designates the retention policy to use on log segments.";
        assert!(policy.documentation.starts_with(told), "{}", policy.documentation);
        let partitions = one(image.describe_broker(), "num.partitions");
        assert!(partitions.read_only && partitions.source == Source::StaticBroker);
        let hours = one(image.describe_broker(), "log.retention.hours");
        assert_eq!((hours.value.as_deref(), hours.source), (Some("2"), Source::StaticBroker));
        let given =
            [("log.retention.hours", "2", Source::StaticBroker), ("log.retention.hours", "168", Source::Default)];
        assert_eq!(synonyms(&hours), given);
        let ms = one(image.describe_broker(), "log.retention.ms");
        assert_eq!((ms.value, ms.source, ms.synonyms), (None, Source::Default, Vec::new()));
        let rack = one(image.describe_broker(), "broker.rack");
        assert_eq!((rack.value, rack.synonyms), (None, Vec::new()));
    }

    /// With a value of the first name all follow, by their sources.
    #[test]
    fn names_of_one_thing_stand_behind_the_one_asked_for() {
        let given = map(&[("log.retention.ms", "5"), ("log.retention.minutes", "7"), ("log.retention.hours", "2")]);
        let image = Image::empty(Arc::new(BrokerConfig::parse(given).expect("valid")));
        let all = [
            ("log.retention.ms", "5", Source::StaticBroker),
            ("log.retention.minutes", "7", Source::StaticBroker),
            ("log.retention.hours", "2", Source::StaticBroker),
            ("log.retention.hours", "168", Source::Default),
        ];
        let of_topics = one(image.describe_overrides(&map(&[])), "retention.ms");
        assert_eq!((of_topics.value.as_deref(), synonyms(&of_topics)), (Some("5"), all.to_vec()));
        for (name, value, first) in [("log.retention.ms", "5", 0), ("log.retention.minutes", "7", 1)] {
            let described = one(image.describe_broker(), name);
            assert_eq!((described.value.as_deref(), synonyms(&described)), (Some(value), all[first..].to_vec()));
        }
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
