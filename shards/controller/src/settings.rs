//! From texts to the settings that rooms act on: a topic's overrides over the broker's configs over Kafka's defaults.

use std::collections::BTreeMap;

use heddle_model::{Codec, Compression, TimestampType, TopicSettings};

use crate::broker_config::BrokerConfig;
use crate::config_kind::{judge, list};
use crate::nearest::nearest;
use crate::topic_table::{TOPIC_CONFIGS, TopicDef, topic_def};

/// The longest text taken as a config's value. Bytes.
pub const CONFIG_VALUE_BYTES_MAX: usize = 4096;

/// Whether a topic config may have this value; `Err` is a sentence in Kafka's words.
pub fn check_topic_config(name: &str, value: &str) -> Result<(), String> {
    let def = topic_def(name).ok_or_else(|| {
        let near = nearest(name, TOPIC_CONFIGS.iter().map(|def| def.name));
        format!("Unknown topic config name: {name}{near}")
    })?;
    if value.len() > CONFIG_VALUE_BYTES_MAX {
        return Err(format!("The value of configuration {name} is longer than {CONFIG_VALUE_BYTES_MAX} bytes"));
    }
    judge(def.kind, def.check, value)
        .map_err(|expected| format!("Invalid value {value} for configuration {name}: {expected}"))
}

/// What a topic without an override of `def` gets on this broker.
pub fn inherited(config: &BrokerConfig, def: &TopicDef) -> String {
    for behind in def.behind {
        let set = config.dynamic(behind.name).or_else(|| config.given(behind.name));
        if let Some(text) = set {
            return scaled(text, behind.factor);
        }
    }
    def.default.to_owned()
}

/// A broker config's value in the topic config's unit. A negative number of hours or minutes means "unlimited".
pub fn scaled(text: &str, factor: i64) -> String {
    if factor == 1 {
        return text.to_owned();
    }
    match text.trim().parse::<i64>() {
        Ok(value) if value < 0 => "-1".to_owned(),
        Ok(value) => value.saturating_mul(factor).to_string(),
        Err(_) => text.to_owned(),
    }
}

/// The effective settings. `Err` is a sentence: a value does not parse.
pub fn topic_settings(config: &BrokerConfig, overrides: &BTreeMap<String, String>) -> Result<TopicSettings, String> {
    let read = Reader { config, overrides };
    let policy = read.text("cleanup.policy");
    let policies = list(&policy);
    Ok(TopicSettings {
        cleanup_delete: policies.contains(&"delete"),
        cleanup_compact: policies.contains(&"compact"),
        compression: read.compression()?,
        timestamp_type: match read.text("message.timestamp.type").trim() {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        },
        timestamp_before_max_ms: read.number("message.timestamp.before.max.ms")?,
        timestamp_after_max_ms: read.number("message.timestamp.after.max.ms")?,
        max_message_bytes: read.number("max.message.bytes")?,
        min_insync_replicas: read.number("min.insync.replicas")?,
        retention_ms: read.number("retention.ms")?,
        retention_bytes: read.number("retention.bytes")?,
        segment_bytes: read.number("segment.bytes")?,
        segment_ms: read.number("segment.ms")?,
        segment_jitter_ms: read.number("segment.jitter.ms")?,
        delete_retention_ms: read.number("delete.retention.ms")?,
        min_cleanable_dirty_ratio: read.number("min.cleanable.dirty.ratio")?,
        min_compaction_lag_ms: read.number("min.compaction.lag.ms")?,
        max_compaction_lag_ms: read.number("max.compaction.lag.ms")?,
        file_delete_delay_ms: read.number("file.delete.delay.ms")?,
        producer_id_expiration_ms: config.number("producer.id.expiration.ms"),
    })
}

/// Settings that are fine one by one may not be together; `Err` is Kafka's sentence.
pub fn check_contradictions(settings: &TopicSettings) -> Result<(), String> {
    if settings.min_compaction_lag_ms > settings.max_compaction_lag_ms {
        return Err(format!(
            "conflict topic config setting min.compaction.lag.ms ({}) > max.compaction.lag.ms ({})",
            settings.min_compaction_lag_ms, settings.max_compaction_lag_ms
        ));
    }
    Ok(())
}

struct Reader<'a> {
    config: &'a BrokerConfig,
    overrides: &'a BTreeMap<String, String>,
}

impl Reader<'_> {
    fn text(&self, name: &str) -> String {
        if let Some(value) = self.overrides.get(name) {
            return value.clone();
        }
        let def = topic_def(name).unwrap_or_else(|| panic!("{name} is in the table of topic configs"));
        inherited(self.config, def)
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, String> {
        let text = self.text(name);
        text.trim().parse().map_err(|_| format!("Invalid value {text} for configuration {name}: Not a number"))
    }

    fn compression(&self) -> Result<Compression, String> {
        let codec = match self.text("compression.type").trim() {
            "uncompressed" => Codec::None,
            "gzip" => Codec::Gzip,
            "snappy" => Codec::Snappy,
            "lz4" => Codec::Lz4,
            "zstd" => Codec::Zstd,
            _ => return Ok(Compression::Producer),
        };
        let level = match codec {
            Codec::Gzip => self.number("compression.gzip.level")?,
            Codec::Lz4 => self.number("compression.lz4.level")?,
            Codec::Zstd => self.number("compression.zstd.level")?,
            Codec::None | Codec::Snappy => 0,
        };
        Ok(Compression::Broker { codec, level })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn nothing_set_gives_kafkas_defaults() {
        let settings = topic_settings(&BrokerConfig::default(), &map(&[])).expect("defaults are valid");
        assert_eq!(settings, TopicSettings::default());
    }

    #[test]
    fn the_finest_unit_wins_and_overrides_win_over_all() {
        let hours = BrokerConfig::parse(map(&[("log.retention.hours", "2")])).expect("valid");
        assert_eq!(topic_settings(&hours, &map(&[])).expect("valid").retention_ms, 7_200_000);
        let both = BrokerConfig::parse(map(&[("log.retention.hours", "2"), ("log.retention.ms", "5")])).expect("valid");
        assert_eq!(topic_settings(&both, &map(&[])).expect("valid").retention_ms, 5);
        let own = topic_settings(&both, &map(&[("retention.ms", "7")])).expect("valid");
        assert_eq!(own.retention_ms, 7);
        let unlimited = BrokerConfig::parse(map(&[("log.retention.hours", "-1")])).expect("valid");
        assert_eq!(topic_settings(&unlimited, &map(&[])).expect("valid").retention_ms, -1);
    }

    #[test]
    fn policies_codecs_and_types() {
        let overrides = map(&[
            ("cleanup.policy", "compact,delete"),
            ("compression.type", "zstd"),
            ("compression.zstd.level", "7"),
            ("message.timestamp.type", "LogAppendTime"),
        ]);
        let settings = topic_settings(&BrokerConfig::default(), &overrides).expect("valid");
        assert!(settings.cleanup_compact && settings.cleanup_delete);
        assert_eq!(settings.compression, Compression::Broker { codec: Codec::Zstd, level: 7 });
        assert_eq!(settings.timestamp_type, TimestampType::LogAppendTime);
    }

    #[test]
    fn unknown_names_and_contradictions_are_named() {
        assert_eq!(
            check_topic_config("retention", "1"),
            Err("Unknown topic config name: retention (did you mean retention.ms?)".into())
        );
        assert_eq!(
            check_topic_config("segment.bytes", "14"),
            Err("Invalid value 14 for configuration segment.bytes: Value must be at least 1048576".into())
        );
        let contradiction = map(&[("min.compaction.lag.ms", "5"), ("max.compaction.lag.ms", "4")]);
        let settings = topic_settings(&BrokerConfig::default(), &contradiction).expect("each is valid alone");
        assert!(check_contradictions(&settings).unwrap_err().contains("(5) > max"));
    }
}
