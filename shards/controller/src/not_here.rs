//! Broker configs of Kafka's that do nothing here, and why. They are refused with that reason: a config that is taken and
//! has no effect would be a promise that nobody keeps.

/// Names, or their beginnings if they end in a dot, and what is here instead. The first that fits is said.
const REASONS: &[(&[&str], &str)] = &[
    (
        &[
            "alter.config.policy.class.name",
            "config.providers",
            "create.topic.policy.class.name",
            "replica.selector.class",
        ],
        "there are no plug-ins",
    ),
    (
        &[
            "background.threads",
            "log.cleaner.threads",
            "num.io.threads",
            "num.network.threads",
            "num.recovery.threads.per.data.dir",
            "num.replica.alter.log.dirs.threads",
            "num.replica.fetchers",
        ],
        "one thread per core does all the work (--shards)",
    ),
    (
        &[
            "group.coordinator.cached.buffer.max.bytes",
            "log.cleaner.dedupe.buffer.size",
            "log.cleaner.io.buffer.load.factor",
            "log.cleaner.io.buffer.size",
            "queued.max.request.bytes",
            "queued.max.requests",
        ],
        "memory is given to the broker as a whole (--memory)",
    ),
    (
        &["log.cleaner.io.max.bytes.per.second"],
        "compaction goes in small steps between the other work of a core, at no rate of its own",
    ),
    (
        &[
            "auto.leader.rebalance.enable",
            "broker.heartbeat.interval.ms",
            "broker.session.timeout.ms",
            "controlled.shutdown.enable",
            "controller.",
            "follower.replication.throttled.rate",
            "inter.broker.listener.name",
            "leader.imbalance.check.interval.seconds",
            "leader.imbalance.per.broker.percentage",
            "leader.replication.throttled.rate",
            "metadata.",
            "process.roles",
            "replica.",
        ],
        "there is one broker, which replicates to nobody",
    ),
    (&["cordoned.log.dirs"], "there is one data directory (--data-dir)"),
    (&["follower.fetch.last.tiered.offset.enable", "log.remote.", "remote."], "there is no tiered storage"),
    (
        &[
            "allow.everyone.if.no.acl.found",
            "authorizer.class.name",
            "connections.max.reauth.ms",
            "delegation.token.",
            "listener.name.",
            "listener.security.protocol.map",
            "principal.builder.class",
            "sasl.",
            "security.",
            "ssl.",
            "super.users",
        ],
        "TLS, SASL and ACLs are not served",
    ),
    (&["client.quota.callback.class", "quota."], "quotas are not served"),
    (
        &["max.connection.creation.rate", "max.connections.per.ip", "max.connections.per.ip.overrides"],
        "only the number of all connections is bounded (max.connections)",
    ),
    (
        &["socket.listen.backlog.size", "socket.receive.buffer.bytes", "socket.send.buffer.bytes"],
        "the kernel's own sizes of sockets are used",
    ),
    (&["group.share.", "share."], "share groups are not served"),
    (&["group.streams."], "streams groups are not served"),
    (&["transaction.", "transactional."], "transactions are not served"),
    (
        &["auto.include.jmx.reporter", "metric.reporters", "metrics.", "telemetry."],
        "metrics are read from /metrics of the admin address",
    ),
];

/// Why a broker config of Kafka's is none here. `None`: it is not known as one of Kafka's.
pub fn why_not_here(name: &str) -> Option<&'static str> {
    let fits = |known: &&str| if known.ends_with('.') { name.starts_with(known) } else { name == *known };
    REASONS.iter().find(|(names, _)| names.iter().any(fits)).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker_table::{BROKER_CONFIGS, broker_def};

    /// What Apache Kafka 4.3.1 changes while it runs (`DynamicBrokerConfig.dynamicConfigUpdateModes`), but for its
    /// security, which is `ssl.` and `sasl.`.
    const DYNAMIC_IN_KAFKA: &str = "background.threads compression.gzip.level compression.lz4.level compression.type \
        compression.zstd.level config.providers cordoned.log.dirs follower.fetch.last.tiered.offset.enable \
        follower.replication.throttled.rate group.consumer.assignment.interval.ms \
        group.coordinator.cached.buffer.max.bytes group.share.assignment.interval.ms \
        group.streams.assignment.interval.ms leader.replication.throttled.rate listener.security.protocol.map listeners \
        log.cleaner.backoff.ms log.cleaner.dedupe.buffer.size log.cleaner.delete.retention.ms \
        log.cleaner.io.buffer.load.factor log.cleaner.io.buffer.size log.cleaner.io.max.bytes.per.second \
        log.cleaner.max.compaction.lag.ms log.cleaner.min.cleanable.ratio log.cleaner.min.compaction.lag.ms \
        log.cleaner.threads log.cleanup.policy log.flush.interval.messages log.flush.interval.ms \
        log.index.interval.bytes log.index.size.max.bytes log.local.retention.bytes log.local.retention.ms \
        log.message.timestamp.after.max.ms log.message.timestamp.before.max.ms log.message.timestamp.type \
        log.preallocate log.retention.bytes log.retention.ms log.roll.jitter.ms log.roll.ms log.segment.bytes \
        log.segment.delete.delay.ms max.connection.creation.rate max.connections max.connections.per.ip \
        max.connections.per.ip.overrides message.max.bytes metric.reporters min.insync.replicas num.io.threads \
        num.network.threads num.recovery.threads.per.data.dir num.replica.fetchers principal.builder.class \
        producer.id.expiration.ms remote.fetch.max.wait.ms remote.list.offsets.request.timeout.ms \
        remote.log.index.file.cache.total.size.bytes remote.log.manager.copier.thread.pool.size \
        remote.log.manager.copy.max.bytes.per.second remote.log.manager.expiration.thread.pool.size \
        remote.log.manager.fetch.max.bytes.per.second remote.log.manager.follower.thread.pool.size \
        remote.log.reader.threads replica.alter.log.dirs.io.max.bytes.per.second \
        share.coordinator.cached.buffer.max.bytes ssl.keystore.location sasl.jaas.config \
        transaction.partition.verification.enable unclean.leader.election.enable";

    #[test]
    fn what_kafka_changes_while_it_runs_is_changed_here_or_refused_with_a_reason() {
        for name in DYNAMIC_IN_KAFKA.split_whitespace() {
            let is_dynamic = broker_def(name).is_some_and(|def| def.dynamic);
            // Clients are told one address, which stays.
            assert!(is_dynamic || why_not_here(name).is_some() || name == "listeners", "{name}");
            assert!(!(broker_def(name).is_some() && is_exact(name)), "{name} is here");
        }
    }

    fn is_exact(name: &str) -> bool {
        REASONS.iter().any(|(names, _)| names.contains(&name))
    }

    #[test]
    fn nothing_that_is_here_is_said_not_to_be() {
        for def in BROKER_CONFIGS {
            assert!(!is_exact(def.name), "{}", def.name);
        }
        assert_eq!(why_not_here("retention.ms"), None);
        assert_eq!(why_not_here("ssl"), None);
        assert_eq!(why_not_here("replica.fetch.max.bytes"), Some("there is one broker, which replicates to nobody"));
    }
}
