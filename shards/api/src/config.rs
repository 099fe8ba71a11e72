//! The settings of this room, in Kafka's names and defaults.

use heddle_model::limits::{FETCH_BYTES_MAX, REQUEST_BYTES_MAX};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiConfig {
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
    /// `request.timeout.ms`: how long an ask to the controller may take when the request names no time.
    pub request_timeout_ms: u64,
}

impl Default for ApiConfig {
    fn default() -> ApiConfig {
        ApiConfig {
            request_bytes_max: REQUEST_BYTES_MAX,
            idle_ms: 600_000,
            connections_max: usize::MAX,
            auto_create_topics: true,
            fetch_bytes_max: FETCH_BYTES_MAX,
            fetch_sessions_max: 1000,
            describe_partitions_max: 2000,
            request_timeout_ms: 30_000,
        }
    }
}
