//! The coordinator's configuration: Kafka's names, units and defaults.

/// Broker-wide. The field names are Kafka's, dots written as underscores.
#[derive(Clone, PartialEq, Debug)]
pub struct GroupSettings {
    pub group_min_session_timeout_ms: i32,
    pub group_max_session_timeout_ms: i32,
    pub group_initial_rebalance_delay_ms: i32,
    pub group_max_size: usize,
    pub offset_metadata_max_bytes: usize,
    pub offsets_retention_ms: i64,
    pub offsets_retention_check_interval_ms: i64,
    pub group_consumer_session_timeout_ms: i32,
    pub group_consumer_min_session_timeout_ms: i32,
    pub group_consumer_max_session_timeout_ms: i32,
    pub group_consumer_heartbeat_interval_ms: i32,
    pub group_consumer_min_heartbeat_interval_ms: i32,
    pub group_consumer_max_heartbeat_interval_ms: i32,
    pub group_consumer_max_size: usize,
    /// The first is the default.
    pub group_consumer_assignors: Vec<Assignor>,
    pub group_consumer_migration_policy: Migration,
    /// The least time between two target assignments of a group.
    pub group_consumer_assignment_interval_ms: i32,
    pub group_consumer_min_assignment_interval_ms: i32,
    pub group_consumer_max_assignment_interval_ms: i32,
    /// The feature `group.version` is at least 1.
    pub consumer_protocol_enabled: bool,
}

/// The server-side assignors of KIP-848.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Assignor {
    Uniform,
    Range,
}

impl Assignor {
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }
}

/// `group.consumer.migration.policy`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Migration {
    Disabled,
    Downgrade,
    Upgrade,
    Bidirectional,
}

impl Migration {
    pub fn upgrades(self) -> bool {
        matches!(self, Migration::Upgrade | Migration::Bidirectional)
    }

    pub fn downgrades(self) -> bool {
        matches!(self, Migration::Downgrade | Migration::Bidirectional)
    }
}

/// One group's own settings (ConfigResource type GROUP).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GroupOverrides {
    pub consumer_session_timeout_ms: Option<i32>,
    pub consumer_heartbeat_interval_ms: Option<i32>,
    pub consumer_assignment_interval_ms: Option<i32>,
}

impl Default for GroupSettings {
    /// Kafka 4.3's defaults.
    fn default() -> GroupSettings {
        GroupSettings {
            group_min_session_timeout_ms: 6_000,
            group_max_session_timeout_ms: 1_800_000,
            group_initial_rebalance_delay_ms: 3_000,
            group_max_size: i32::MAX as usize,
            offset_metadata_max_bytes: 4_096,
            offsets_retention_ms: 10_080 * 60_000,
            offsets_retention_check_interval_ms: 600_000,
            group_consumer_session_timeout_ms: 45_000,
            group_consumer_min_session_timeout_ms: 45_000,
            group_consumer_max_session_timeout_ms: 60_000,
            group_consumer_heartbeat_interval_ms: 5_000,
            group_consumer_min_heartbeat_interval_ms: 5_000,
            group_consumer_max_heartbeat_interval_ms: 15_000,
            group_consumer_max_size: i32::MAX as usize,
            group_consumer_assignors: vec![Assignor::Uniform, Assignor::Range],
            group_consumer_migration_policy: Migration::Bidirectional,
            group_consumer_assignment_interval_ms: 1_000,
            group_consumer_min_assignment_interval_ms: 0,
            group_consumer_max_assignment_interval_ms: 15_000,
            consumer_protocol_enabled: true,
        }
    }
}
