//! THE table of broker configs that this broker knows. What is not here is refused at start with its name.

use crate::config_kind::{Check, Kind};
use crate::topic_table::{COMPRESSIONS, FLUSHED, POLICIES, TIMESTAMP_TYPES};

pub struct BrokerDef {
    pub name: &'static str,
    pub kind: Kind,
    pub check: Check,
    /// `None`: unset unless given.
    pub default: Option<&'static str>,
    /// May be set while running.
    pub dynamic: bool,
    pub documentation: &'static str,
}

const fn fixed(
    name: &'static str,
    kind: Kind,
    check: Check,
    default: Option<&'static str>,
    documentation: &'static str,
) -> BrokerDef {
    BrokerDef { name, kind, check, default, dynamic: false, documentation }
}

/// May be set while running: a default of topics, or what is looked up anew.
const fn dynamic(
    name: &'static str,
    kind: Kind,
    check: Check,
    default: Option<&'static str>,
    documentation: &'static str,
) -> BrokerDef {
    BrokerDef { name, kind, check, default, dynamic: true, documentation }
}

use Check::{Any, AnyOf, AtLeast, Between, ListOf, OneOf, OneOfAnyCase, Only, Ratio};

const MAX: &str = "9223372036854775807";

/// Always one for the whole cluster.
pub const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// In name order.
pub const BROKER_CONFIGS: &[BrokerDef] = &[
    fixed("advertised.listeners", Kind::String, Any, None, "The addresses clients are told to use."),
    fixed(
        "auto.create.topics.enable",
        Kind::Boolean,
        Any,
        Some("true"),
        "Whether a metadata request creates a topic that does not exist.",
    ),
    fixed("broker.id", Kind::Int, AtLeast(-1), Some("-1"), "The older name of node.id."),
    fixed("broker.rack", Kind::String, Any, None, "Where this broker stands; replicas are spread over racks."),
    dynamic(
        "compression.gzip.level",
        Kind::Int,
        Between(-1, 9),
        Some("-1"),
        "Default of the topics' compression.gzip.level.",
    ),
    dynamic("compression.lz4.level", Kind::Int, Only("9"), Some("9"), "Fixed: the lz4 codec used here has one level."),
    dynamic(
        "compression.type",
        Kind::String,
        OneOf(COMPRESSIONS),
        Some("producer"),
        "Default of the topics' compression.type.",
    ),
    dynamic(
        "compression.zstd.level",
        Kind::Int,
        Between(-131_072, 22),
        Some("3"),
        "Default of the topics' compression.zstd.level.",
    ),
    fixed(
        "connections.max.idle.ms",
        Kind::Long,
        Any,
        Some("600000"),
        "A connection that was silent for so long is closed; never, if negative.",
    ),
    fixed(
        "default.replication.factor",
        Kind::Int,
        Between(1, 32_767),
        Some("1"),
        "Replicas of a topic that names no replication factor.",
    ),
    fixed("delete.topic.enable", Kind::Boolean, Any, Some("true"), "Whether topics may be deleted."),
    fixed("fetch.max.bytes", Kind::Int, AtLeast(1024), Some("57671680"), "The most bytes one fetch is answered with."),
    fixed(
        "fetch.purgatory.purge.interval.requests",
        Kind::Int,
        Only("1000"),
        Some("1000"),
        "Fixed: waiting fetches are dropped at once when they end.",
    ),
    dynamic(
        "group.consumer.assignment.interval.ms",
        Kind::Int,
        AtLeast(0),
        Some("1000"),
        "The least time between two target assignments of a consumer-protocol group.",
    ),
    fixed(
        "group.consumer.assignors",
        Kind::List,
        ListOf(&["uniform", "range"]),
        Some("uniform,range"),
        "The assignors that members of the consumer protocol may ask for; the first is the default.",
    ),
    fixed(
        "group.consumer.heartbeat.interval.ms",
        Kind::Int,
        AtLeast(1),
        Some("5000"),
        "The heartbeat interval given to members of the consumer protocol.",
    ),
    fixed(
        "group.consumer.max.assignment.interval.ms",
        Kind::Int,
        AtLeast(0),
        Some("15000"),
        "The longest assignment interval that a group may configure.",
    ),
    fixed(
        "group.consumer.max.heartbeat.interval.ms",
        Kind::Int,
        AtLeast(1),
        Some("15000"),
        "The longest heartbeat interval that a group may configure.",
    ),
    fixed(
        "group.consumer.max.session.timeout.ms",
        Kind::Int,
        AtLeast(1),
        Some("60000"),
        "The longest session timeout that a group may configure.",
    ),
    fixed(
        "group.consumer.max.size",
        Kind::Int,
        AtLeast(1),
        Some("2147483647"),
        "The most members of a consumer-protocol group.",
    ),
    fixed(
        "group.consumer.migration.policy",
        Kind::String,
        OneOfAnyCase(&["disabled", "downgrade", "upgrade", "bidirectional"]),
        Some("bidirectional"),
        "Which way groups may move between the classic and the consumer protocol while they work.",
    ),
    fixed(
        "group.consumer.min.assignment.interval.ms",
        Kind::Int,
        AtLeast(0),
        Some("0"),
        "The shortest assignment interval that a group may configure.",
    ),
    fixed(
        "group.consumer.min.heartbeat.interval.ms",
        Kind::Int,
        AtLeast(1),
        Some("5000"),
        "The shortest heartbeat interval that a group may configure.",
    ),
    fixed(
        "group.consumer.min.session.timeout.ms",
        Kind::Int,
        AtLeast(1),
        Some("45000"),
        "The shortest session timeout that a group may configure.",
    ),
    fixed(
        "group.consumer.session.timeout.ms",
        Kind::Int,
        AtLeast(1),
        Some("45000"),
        "How long a silent member of the consumer protocol is kept.",
    ),
    fixed(
        "group.initial.rebalance.delay.ms",
        Kind::Int,
        AtLeast(0),
        Some("3000"),
        "How long the first rebalance of an empty group waits for more members.",
    ),
    fixed(
        "group.max.session.timeout.ms",
        Kind::Int,
        AtLeast(0),
        Some("1800000"),
        "The longest session timeout a member may ask for.",
    ),
    fixed("group.max.size", Kind::Int, AtLeast(1), Some("2147483647"), "The most members of a group."),
    fixed(
        "group.min.session.timeout.ms",
        Kind::Int,
        AtLeast(0),
        Some("6000"),
        "The shortest session timeout a member may ask for.",
    ),
    fixed("listeners", Kind::String, Any, Some("PLAINTEXT://:9092"), "The addresses this broker listens on."),
    dynamic(
        "log.cleaner.backoff.ms",
        Kind::Long,
        AtLeast(0),
        Some("15000"),
        "How often each topic is looked at for something to compact; every 30 s at least.",
    ),
    dynamic(
        "log.cleaner.delete.retention.ms",
        Kind::Long,
        AtLeast(0),
        Some("86400000"),
        "Default of the topics' delete.retention.ms.",
    ),
    fixed("log.cleaner.enable", Kind::Boolean, Only("true"), Some("true"), "Fixed: compacted topics are compacted."),
    dynamic(
        "log.cleaner.max.compaction.lag.ms",
        Kind::Long,
        AtLeast(1),
        Some(MAX),
        "Default of the topics' max.compaction.lag.ms.",
    ),
    dynamic(
        "log.cleaner.min.cleanable.ratio",
        Kind::Double,
        Ratio(0.0, 1.0),
        Some("0.5"),
        "Default of the topics' min.cleanable.dirty.ratio.",
    ),
    dynamic(
        "log.cleaner.min.compaction.lag.ms",
        Kind::Long,
        AtLeast(0),
        Some("0"),
        "Default of the topics' min.compaction.lag.ms.",
    ),
    dynamic(
        "log.cleanup.policy",
        Kind::List,
        AnyOf(POLICIES),
        Some("delete"),
        "Default of the topics' cleanup.policy.",
    ),
    fixed("log.dirs", Kind::String, Any, None, "The data directory."),
    dynamic("log.flush.interval.messages", Kind::Long, AtLeast(1), Some(MAX), FLUSHED),
    dynamic("log.flush.interval.ms", Kind::Long, AtLeast(0), None, FLUSHED),
    fixed("log.flush.scheduler.interval.ms", Kind::Long, Any, Some(MAX), FLUSHED),
    dynamic("log.index.interval.bytes", Kind::Int, Only("4096"), Some("4096"), "Fixed: segments are indexed by spans."),
    dynamic(
        "log.index.size.max.bytes",
        Kind::Int,
        Only("10485760"),
        Some("10485760"),
        "Fixed: segments are indexed by spans.",
    ),
    dynamic("log.local.retention.bytes", Kind::Long, Only("-2"), Some("-2"), "Fixed: there is no tiered storage."),
    dynamic("log.local.retention.ms", Kind::Long, Only("-2"), Some("-2"), "Fixed: there is no tiered storage."),
    dynamic(
        "log.message.timestamp.after.max.ms",
        Kind::Long,
        AtLeast(0),
        Some("3600000"),
        "Default of the topics' message.timestamp.after.max.ms.",
    ),
    dynamic(
        "log.message.timestamp.before.max.ms",
        Kind::Long,
        AtLeast(0),
        Some(MAX),
        "Default of the topics' message.timestamp.before.max.ms.",
    ),
    dynamic(
        "log.message.timestamp.type",
        Kind::String,
        OneOf(TIMESTAMP_TYPES),
        Some("CreateTime"),
        "Default of the topics' message.timestamp.type.",
    ),
    dynamic("log.preallocate", Kind::Boolean, Only("false"), Some("false"), "Fixed: segments grow in steps."),
    dynamic("log.retention.bytes", Kind::Long, Any, Some("-1"), "Default of the topics' retention.bytes."),
    fixed(
        "log.retention.check.interval.ms",
        Kind::Long,
        AtLeast(1),
        Some("300000"),
        "How often retention looks at each partition; every second at most, and at compacted topics as often as the \
         cleaner does.",
    ),
    fixed(
        "log.retention.hours",
        Kind::Int,
        Any,
        Some("168"),
        "Default of the topics' retention.ms, in hours, if neither log.retention.ms nor log.retention.minutes is set.",
    ),
    fixed(
        "log.retention.minutes",
        Kind::Int,
        Any,
        None,
        "Default of the topics' retention.ms, in minutes, if log.retention.ms is not set.",
    ),
    dynamic("log.retention.ms", Kind::Long, AtLeast(-1), None, "Default of the topics' retention.ms."),
    fixed(
        "log.roll.hours",
        Kind::Int,
        AtLeast(1),
        Some("168"),
        "Default of the topics' segment.ms, in hours, if log.roll.ms is not set.",
    ),
    fixed(
        "log.roll.jitter.hours",
        Kind::Int,
        AtLeast(0),
        Some("0"),
        "Default of the topics' segment.jitter.ms, in hours, if log.roll.jitter.ms is not set.",
    ),
    dynamic("log.roll.jitter.ms", Kind::Long, AtLeast(0), None, "Default of the topics' segment.jitter.ms."),
    dynamic("log.roll.ms", Kind::Long, AtLeast(1), None, "Default of the topics' segment.ms."),
    dynamic(
        "log.segment.bytes",
        Kind::Int,
        AtLeast(1_048_576),
        Some("1073741824"),
        "Default of the topics' segment.bytes.",
    ),
    dynamic(
        "log.segment.delete.delay.ms",
        Kind::Long,
        AtLeast(0),
        Some("60000"),
        "Default of the topics' file.delete.delay.ms.",
    ),
    dynamic(
        "max.connections",
        Kind::Int,
        AtLeast(0),
        Some("2147483647"),
        "The most client connections of this broker.",
    ),
    fixed(
        "max.incremental.fetch.session.cache.slots",
        Kind::Int,
        AtLeast(0),
        Some("1000"),
        "The most incremental fetch sessions kept.",
    ),
    fixed(
        "max.request.partition.size.limit",
        Kind::Int,
        AtLeast(1),
        Some("2000"),
        "The most partitions one DescribeTopicPartitions is answered with.",
    ),
    dynamic(
        "message.max.bytes",
        Kind::Int,
        AtLeast(0),
        Some("1048588"),
        "Default of the topics' max.message.bytes; a batch of more than 32 MiB is refused whatever stands here.",
    ),
    dynamic(MIN_INSYNC_REPLICAS, Kind::Int, AtLeast(1), Some("1"), "Default of the topics' min.insync.replicas."),
    fixed("node.id", Kind::Int, AtLeast(0), None, "The number of this broker in its cluster."),
    fixed("num.partitions", Kind::Int, AtLeast(1), Some("1"), "Partitions of a topic that names no count."),
    fixed(
        "offset.metadata.max.bytes",
        Kind::Int,
        AtLeast(0),
        Some("4096"),
        "The longest metadata of a committed offset, in bytes.",
    ),
    fixed(
        "offsets.retention.check.interval.ms",
        Kind::Long,
        AtLeast(1),
        Some("600000"),
        "How often committed offsets are looked through for those that expired.",
    ),
    fixed(
        "offsets.retention.minutes",
        Kind::Int,
        AtLeast(1),
        Some("10080"),
        "How long offsets of an empty group are kept.",
    ),
    fixed(
        "offsets.topic.num.partitions",
        Kind::Int,
        Between(1, 10_000),
        Some("50"),
        "Partitions of __consumer_offsets when it is created; not changed later.",
    ),
    fixed(
        "offsets.topic.replication.factor",
        Kind::Short,
        AtLeast(1),
        Some("3"),
        "Replicas of __consumer_offsets when it is created; at most as many as there are brokers then.",
    ),
    fixed(
        "offsets.topic.segment.bytes",
        Kind::Int,
        AtLeast(1_048_576),
        Some("104857600"),
        "segment.bytes of __consumer_offsets when it is created.",
    ),
    dynamic(
        "producer.id.expiration.ms",
        Kind::Int,
        AtLeast(1),
        Some("86400000"),
        "How long a silent producer's state is kept.",
    ),
    fixed(
        "replica.lag.time.max.ms",
        Kind::Long,
        Only("30000"),
        Some("30000"),
        "Fixed: there is one broker, whose replicas follow nobody.",
    ),
    fixed(
        "socket.request.max.bytes",
        Kind::Int,
        Between(1, heddle_model::limits::REQUEST_BYTES_MAX as i64),
        Some("104857600"),
        "The largest request taken, in bytes.",
    ),
    fixed(
        "transaction.max.timeout.ms",
        Kind::Int,
        Only("900000"),
        Some("900000"),
        "Fixed: transactions are not served.",
    ),
    fixed(
        "transaction.state.log.min.isr",
        Kind::Int,
        AtLeast(1),
        Some("2"),
        "min.insync.replicas of __transaction_state when it is created; at most its replication factor.",
    ),
    fixed(
        "transaction.state.log.num.partitions",
        Kind::Int,
        Between(1, 10_000),
        Some("50"),
        "Partitions of __transaction_state when it is created; not changed later.",
    ),
    fixed(
        "transaction.state.log.replication.factor",
        Kind::Short,
        AtLeast(1),
        Some("3"),
        "Replicas of __transaction_state when it is created; at most as many as there are brokers then.",
    ),
    fixed(
        "transaction.state.log.segment.bytes",
        Kind::Int,
        AtLeast(1_048_576),
        Some("104857600"),
        "segment.bytes of __transaction_state when it is created.",
    ),
    fixed(
        "transactional.id.expiration.ms",
        Kind::Int,
        Only("604800000"),
        Some("604800000"),
        "Fixed: transactions are not served.",
    ),
    dynamic(
        "unclean.leader.election.enable",
        Kind::Boolean,
        Only("false"),
        Some("false"),
        "Fixed: a replica that lacks acknowledged records never leads.",
    ),
];

pub fn broker_def(name: &str) -> Option<&'static BrokerDef> {
    BROKER_CONFIGS.binary_search_by(|def| def.name.cmp(name)).ok().map(|at| &BROKER_CONFIGS[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_kind::judge;

    #[test]
    fn the_table_is_sorted_and_its_defaults_are_valid() {
        for pair in BROKER_CONFIGS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} stands before {}", pair[0].name, pair[1].name);
        }
        for def in BROKER_CONFIGS {
            assert!(broker_def(def.name).is_some());
            if let Some(default) = def.default {
                assert_eq!(judge(def.kind, def.check, default).err(), None::<String>, "{}", def.name);
            }
        }
    }
}
