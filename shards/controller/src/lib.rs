//! The cluster's coordinator: which brokers, topics, placements, settings and producer ids there are.
//! Owns: one deterministic state machine, the format of its records, the table of configs, and the `Image`.
//! Invariants: `decide` changes nothing, `replay` decides nothing; replica numbers and topic ids are never reused; a
//! replica is removed only by an explicit removal, never by absence (trap 35).
//! Does not know: which partition stores its records, who replicates them, who leads a partition, the Kafka wire.
//! Read first: `ask.rs`, then `image.rs`, `controller.rs`, `decide_topics.rs`; the records' format heads `record.rs`.

mod ask;
mod broker_config;
mod broker_table;
mod codec;
mod config_kind;
mod controller;
mod decide_configs;
mod decide_topics;
mod describe;
mod draft;
mod group_table;
mod image;
mod nearest;
mod not_here;
mod placing;
mod record;
mod removed;
mod settings;
mod shared_map;
mod topic_name;
mod topic_table;

pub use ask::*;
pub use broker_config::{BrokerConfig, ConfigError};
pub use config_kind::{Kind, Source};
pub use controller::{Controller, Decision, TOPIC_PARTITIONS_MAX};
pub use decide_topics::REQUEST_PARTITIONS_MAX;
pub use describe::{DescribedConfig, Synonym};
pub use draft::DECISION_BYTES_MAX;
pub use image::*;
pub use record::{Entry, Malformed};
pub use topic_name::{check_topic_name, is_internal};
