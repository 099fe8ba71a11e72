//! The nouns of Heddle: ids, offsets, points, tickets, time, topic settings, limits.
//! Owns: every type that two rooms speak, and every bound of the system (`limits`).
//! Invariants: plain data, no state, no policy; two values that could be swapped never share a type.
//! Does not know: any other room, the Kafka wire, the disk.
//! Read first: `ids.rs`.

mod ids;
pub mod limits;
mod position;
mod ticket;
mod time;
mod topic;

pub use ids::*;
pub use position::*;
pub use ticket::*;
pub use time::*;
pub use topic::*;
