//! THE table of topic configs: name, type, bounds, default, the broker configs that stand behind it, documentation.
//! Defaults and bounds are Apache Kafka 4.3's. `Check::Only` marks what Kafka knows and this broker does not do: the
//! config is shown with the one value that is true here, and any other is refused rather than silently ignored. Only the
//! configs of flushing take any value without effect, for none can promise more than what is so already.

use crate::config_kind::{Check, Kind};

pub struct TopicDef {
    pub name: &'static str,
    pub kind: Kind,
    pub check: Check,
    pub default: &'static str,
    /// Broker configs that give the default, the strongest first. The last one carries Kafka's default.
    pub behind: &'static [Behind],
    pub documentation: &'static str,
}

/// A broker config behind a topic config; its value times `factor` is the topic config's.
pub struct Behind {
    pub name: &'static str,
    pub factor: i64,
}

const fn same(name: &'static str) -> Behind {
    Behind { name, factor: 1 }
}

const fn minutes(name: &'static str) -> Behind {
    Behind { name, factor: 60_000 }
}

const fn hours(name: &'static str) -> Behind {
    Behind { name, factor: 3_600_000 }
}

const fn def(
    name: &'static str,
    kind: Kind,
    check: Check,
    default: &'static str,
    behind: &'static [Behind],
    documentation: &'static str,
) -> TopicDef {
    TopicDef { name, kind, check, default, behind, documentation }
}

pub const POLICIES: &[&str] = &["compact", "delete"];
pub const COMPRESSIONS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
pub const TIMESTAMP_TYPES: &[&str] = &["CreateTime", "LogAppendTime"];

use Check::{Any, AnyOf, AtLeast, Between, OneOf, Only, Ratio};

/// Any value is kept and shown: what it promises, and more, holds already.
pub const FLUSHED: &str =
    "Accepted, no effect: every acknowledged record is durable, and none is acknowledged before it is.";

/// In name order.
pub const TOPIC_CONFIGS: &[TopicDef] = &[
    def(
        "cleanup.policy",
        Kind::List,
        AnyOf(POLICIES),
        "delete",
        &[same("log.cleanup.policy")],
        // A client's own tests (platformatic) know this text by its first sentence.
        "This config designates the retention policy to use on log segments. 'delete' drops old records by retention time and size, 'compact' keeps the last record of each key; both may be named, and with none everything is kept.",
    ),
    def(
        "compression.gzip.level",
        Kind::Int,
        Between(-1, 9),
        "-1",
        &[same("compression.gzip.level")],
        "The level used if compression.type is gzip; -1 is the codec's default.",
    ),
    def(
        "compression.lz4.level",
        Kind::Int,
        Only("9"),
        "9",
        &[same("compression.lz4.level")],
        "Fixed: the lz4 codec used here has one level.",
    ),
    def(
        "compression.type",
        Kind::String,
        OneOf(COMPRESSIONS),
        "producer",
        &[same("compression.type")],
        "The codec batches are stored with; 'producer' keeps what the producer chose, 'uncompressed' stores plain records.",
    ),
    def(
        "compression.zstd.level",
        Kind::Int,
        Between(-131_072, 22),
        "3",
        &[same("compression.zstd.level")],
        "The level used if compression.type is zstd.",
    ),
    def(
        "delete.retention.ms",
        Kind::Long,
        AtLeast(0),
        "86400000",
        &[same("log.cleaner.delete.retention.ms")],
        "How long tombstones of a compacted topic stay readable, in milliseconds.",
    ),
    def(
        "file.delete.delay.ms",
        Kind::Long,
        AtLeast(0),
        "60000",
        &[same("log.segment.delete.delay.ms")],
        "How long the file of a dropped segment stays, in milliseconds.",
    ),
    def(
        "flush.messages",
        Kind::Long,
        AtLeast(1),
        "9223372036854775807",
        &[same("log.flush.interval.messages")],
        FLUSHED,
    ),
    def(
        "flush.ms",
        Kind::Long,
        AtLeast(0),
        "9223372036854775807",
        &[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")],
        FLUSHED,
    ),
    def(
        "follower.replication.throttled.replicas",
        Kind::List,
        Only(""),
        "",
        &[],
        "Fixed: replication is not throttled by replica lists.",
    ),
    def(
        "index.interval.bytes",
        Kind::Int,
        Only("4096"),
        "4096",
        &[same("log.index.interval.bytes")],
        "Fixed: segments are indexed by spans, not by an interval of bytes.",
    ),
    def(
        "leader.replication.throttled.replicas",
        Kind::List,
        Only(""),
        "",
        &[],
        "Fixed: replication is not throttled by replica lists.",
    ),
    def(
        "local.retention.bytes",
        Kind::Long,
        Only("-2"),
        "-2",
        &[same("log.local.retention.bytes")],
        "Fixed: there is no tiered storage.",
    ),
    def(
        "local.retention.ms",
        Kind::Long,
        Only("-2"),
        "-2",
        &[same("log.local.retention.ms")],
        "Fixed: there is no tiered storage.",
    ),
    def(
        "max.compaction.lag.ms",
        Kind::Long,
        AtLeast(1),
        "9223372036854775807",
        &[same("log.cleaner.max.compaction.lag.ms")],
        "The longest time a record of a compacted topic may stay uncompacted, in milliseconds.",
    ),
    def(
        "max.message.bytes",
        Kind::Int,
        AtLeast(0),
        "1048588",
        &[same("message.max.bytes")],
        "The largest record batch taken, in bytes; a batch of more than 32 MiB is refused whatever stands here.",
    ),
    def(
        "message.timestamp.after.max.ms",
        Kind::Long,
        AtLeast(0),
        "3600000",
        &[same("log.message.timestamp.after.max.ms")],
        "How far a record's timestamp may lie ahead of the broker's clock, in milliseconds.",
    ),
    def(
        "message.timestamp.before.max.ms",
        Kind::Long,
        AtLeast(0),
        "9223372036854775807",
        &[same("log.message.timestamp.before.max.ms")],
        "How far a record's timestamp may lie behind the broker's clock, in milliseconds.",
    ),
    def(
        "message.timestamp.type",
        Kind::String,
        OneOf(TIMESTAMP_TYPES),
        "CreateTime",
        &[same("log.message.timestamp.type")],
        "Whether records carry the producer's time or the time of their append.",
    ),
    def(
        "min.cleanable.dirty.ratio",
        Kind::Double,
        Ratio(0.0, 1.0),
        "0.5",
        &[same("log.cleaner.min.cleanable.ratio")],
        "The share of a log that must be uncompacted before it is compacted.",
    ),
    def(
        "min.compaction.lag.ms",
        Kind::Long,
        AtLeast(0),
        "0",
        &[same("log.cleaner.min.compaction.lag.ms")],
        "The shortest time a record of a compacted topic stays uncompacted, in milliseconds.",
    ),
    def(
        "min.insync.replicas",
        Kind::Int,
        AtLeast(1),
        "1",
        &[same("min.insync.replicas")],
        "How many replicas must have a record durable before acks=all is answered; a majority is needed in any case.",
    ),
    def(
        "preallocate",
        Kind::Boolean,
        Only("false"),
        "false",
        &[same("log.preallocate")],
        "Fixed: segments grow in steps.",
    ),
    def("remote.log.copy.disable", Kind::Boolean, Only("false"), "false", &[], "Fixed: there is no tiered storage."),
    def(
        "remote.log.delete.on.disable",
        Kind::Boolean,
        Only("false"),
        "false",
        &[],
        "Fixed: there is no tiered storage.",
    ),
    def("remote.storage.enable", Kind::Boolean, Only("false"), "false", &[], "Fixed: there is no tiered storage."),
    def(
        "retention.bytes",
        Kind::Long,
        Any,
        "-1",
        &[same("log.retention.bytes")],
        "The size a partition may reach before old segments are dropped, in bytes; -1 means any.",
    ),
    def(
        "retention.ms",
        Kind::Long,
        AtLeast(-1),
        "604800000",
        &[same("log.retention.ms"), minutes("log.retention.minutes"), hours("log.retention.hours")],
        "How long records are kept at least, in milliseconds; -1 means for ever.",
    ),
    def(
        "segment.bytes",
        Kind::Int,
        AtLeast(1_048_576),
        "1073741824",
        &[same("log.segment.bytes")],
        "The size at which a segment is closed and a new one begun, in bytes.",
    ),
    def(
        "segment.index.bytes",
        Kind::Int,
        Only("10485760"),
        "10485760",
        &[same("log.index.size.max.bytes")],
        "Fixed: the index of a segment is as large as its spans ask for.",
    ),
    def(
        "segment.jitter.ms",
        Kind::Long,
        AtLeast(0),
        "0",
        &[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")],
        "The most that is subtracted at random from segment.ms, so that segments are not closed all at once.",
    ),
    def(
        "segment.ms",
        Kind::Long,
        AtLeast(1),
        "604800000",
        &[same("log.roll.ms"), hours("log.roll.hours")],
        "The age at which a segment is closed even if it is not full, in milliseconds.",
    ),
    def(
        "unclean.leader.election.enable",
        Kind::Boolean,
        Only("false"),
        "false",
        &[same("unclean.leader.election.enable")],
        "Fixed: a replica that lacks acknowledged records never leads.",
    ),
];

pub fn topic_def(name: &str) -> Option<&'static TopicDef> {
    TOPIC_CONFIGS.binary_search_by(|def| def.name.cmp(name)).ok().map(|at| &TOPIC_CONFIGS[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker_table::broker_def;
    use crate::config_kind::judge;

    #[test]
    fn the_table_is_sorted_and_finds_all() {
        assert!(TOPIC_CONFIGS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for def in TOPIC_CONFIGS {
            assert!(topic_def(def.name).is_some(), "{}", def.name);
            assert_eq!(judge(def.kind, def.check, def.default).err(), None::<String>, "{}'s default", def.name);
        }
        assert!(topic_def("message.format.version").is_none());
    }

    /// A topic's default must be what the broker configs behind it say when nobody set them.
    #[test]
    fn defaults_agree_with_the_broker_configs_behind_them() {
        for def in TOPIC_CONFIGS {
            let Some(last) = def.behind.last() else { continue };
            for behind in def.behind {
                let broker = broker_def(behind.name).unwrap_or_else(|| panic!("{} is in the table", behind.name));
                if behind.factor == 1 {
                    assert_eq!(broker.kind, def.kind, "{}", behind.name);
                }
                assert_eq!(broker.default.is_some(), behind.name == last.name, "{}", behind.name);
            }
            let default = broker_def(last.name).and_then(|def| def.default).expect("the last carries the default");
            if last.factor == 1 {
                assert_eq!(default, def.default, "{}", def.name);
            } else {
                let value: i64 = default.parse().expect("a number");
                assert_eq!((value * last.factor).to_string(), def.default, "{}", def.name);
            }
        }
    }
}
