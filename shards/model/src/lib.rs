//! The nouns of Heddle: ids, offsets, points, tickets, time, topic settings, limits.
//! Owns: every type that two rooms speak, and every bound of the system (`limits`).
//! Invariants: plain data, no policy, and no state but that of `TrustedClock`; two values that could be swapped never
//! share a type.
//! Does not know: any other room, the Kafka wire, the disk.
//! Read first: `ids.rs`.

mod clock;
mod ids;
pub mod limits;
mod position;
mod ticket;
mod time;
mod topic;

pub use clock::*;
pub use ids::*;
pub use position::*;
pub use ticket::*;
pub use time::*;
pub use topic::*;
