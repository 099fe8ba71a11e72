//! One core's house: it joins the rooms of a core and carries mail between cores.
//! Owns: routing (partition to core), mail, timers, hosting coordinators on partitions, reconciling with the image,
//! memory budgets, the order of a start and of a stop.
//! Invariants: `turn` touches no system call; local and remote asks take the same mailbox; journal records of a turn are
//! flushed once, at its end.
//! Does not know: protocol questions, bytes of the wire, the system.
//! Read first: `turn.rs`, then `start.rs`.

mod budget;
mod compaction;
mod config;
mod controller_room;
mod coordinators;
mod entropy;
mod group_room;
mod host;
mod leaders;
mod load;
mod mail;
mod metrics;
mod owners;
mod reconcile;
mod retries;
mod said;
mod space;
mod start;
mod stop;
mod survey;
mod trouble;
mod turn;

pub use config::ShardConfig;
pub use heddle_partition::Traffic;
pub use mail::{Level, Mail, Notice};
pub use metrics::{Metrics, TURN_BOUNDS_US};
pub use survey::{Survey, SurveyPage, SurveyedPartition};
pub use turn::Shard;
