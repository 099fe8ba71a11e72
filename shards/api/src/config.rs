//! The settings of this room, in Kafka's names and defaults.

use heddle_controller::BrokerConfig;
use heddle_model::limits::{FETCH_BYTES_MAX, REQUEST_BYTES_MAX};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiConfig {
    /// How many cores share what is bounded for the whole broker.
    pub cores: usize,
    /// `socket.request.max.bytes`
    pub request_bytes_max: usize,
    /// `connections.max.idle.ms`
    pub idle_ms: u64,
    /// `max.connections`, this core's share.
    pub connections_max: usize,
    /// `auto.create.topics.enable`
    pub auto_create_topics: bool,
    /// `fetch.max.bytes`
    pub fetch_bytes_max: usize,
    /// `max.incremental.fetch.session.cache.slots`, this core's share.
    pub fetch_sessions_max: usize,
    /// `max.request.partition.size.limit`: partitions in one DescribeTopicPartitions answer.
    pub describe_partitions_max: usize,
    /// What a core's answers may hold until they have left; fetches take what is left of it. Bytes.
    pub unsent_bytes_max: usize,
    /// Watches that may be under way at once; a fetch that would need more looks again a little later instead.
    pub watches_max: usize,
    /// A connection moves to the core that its records go to after this many answers of it at least, and this time at
    /// least. Milliseconds.
    pub follow_answers: u32,
    pub follow_ms: u64,
    /// How long an ask to the controller may take when the request names no time (clients wait for 30 s).
    pub request_timeout_ms: u64,
}

impl ApiConfig {
    /// One core's settings out of a broker's, whose bounds on counts are shared among `cores`.
    pub fn of(broker: &BrokerConfig, cores: usize) -> ApiConfig {
        let count = |name| count(broker, name);
        let share = |name| share(broker, name, cores);
        ApiConfig {
            cores,
            request_bytes_max: count("socket.request.max.bytes").min(REQUEST_BYTES_MAX),
            // Negative: never.
            idle_ms: u64::try_from(broker.number("connections.max.idle.ms")).unwrap_or(u64::MAX),
            connections_max: share("max.connections"),
            auto_create_topics: broker.boolean("auto.create.topics.enable"),
            fetch_bytes_max: count("fetch.max.bytes").min(FETCH_BYTES_MAX),
            fetch_sessions_max: share("max.incremental.fetch.session.cache.slots"),
            describe_partitions_max: count("max.request.partition.size.limit"),
            ..ApiConfig::default()
        }
    }

    /// Take over what may be set while running.
    pub(crate) fn follow(&mut self, broker: &BrokerConfig) {
        self.connections_max = share(broker, "max.connections", self.cores);
    }
}

fn count(broker: &BrokerConfig, name: &str) -> usize {
    usize::try_from(broker.number(name)).unwrap_or(0)
}

fn share(broker: &BrokerConfig, name: &str, cores: usize) -> usize {
    count(broker, name).div_ceil(cores.max(1))
}

impl Default for ApiConfig {
    fn default() -> ApiConfig {
        ApiConfig {
            cores: 1,
            request_bytes_max: REQUEST_BYTES_MAX,
            idle_ms: 600_000,
            connections_max: usize::MAX,
            auto_create_topics: true,
            fetch_bytes_max: FETCH_BYTES_MAX,
            fetch_sessions_max: 1000,
            describe_partitions_max: 2000,
            unsent_bytes_max: usize::MAX,
            watches_max: 1 << 20,
            follow_answers: 64,
            follow_ms: 500,
            request_timeout_ms: 30_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn without_settings_a_broker_of_one_core_has_the_defaults() {
        let broker = BrokerConfig::parse(BTreeMap::new()).expect("defaults");
        let defaults = ApiConfig { connections_max: i32::MAX as usize, ..ApiConfig::default() };
        assert_eq!(ApiConfig::of(&broker, 1), defaults);
        assert_eq!(ApiConfig::of(&broker, 3).fetch_sessions_max, 334);
    }
}
