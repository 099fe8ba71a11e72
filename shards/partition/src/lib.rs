//! One replica of one partition: a Raft group and a log joined.
//! Owns: the write path and the read path, producer sequences and open transactions, waiting tickets, high watermark,
//! last stable offset, leader-epoch checks.
//! Invariants: no acknowledgement and no vote leaves before what it promises is durable; a ticket is answered exactly
//! once, also on loss of leadership; consumers never see past the commit.
//! Does not know: connections, API versions, other partitions, or who asks.
//! Read first: `ask.rs`, then `write.rs`.

mod ask;
mod compaction;
mod companion;
mod follow;
mod identity;
mod looks;
mod producers;
mod read;
mod recover;
mod replica;
mod validate;
mod waiting;
mod write;

pub use ask::*;
pub use companion::read_all as read_producers;
pub use identity::read as read_identity;
pub use recover::Seat;
pub use replica::{News, Replica, Traffic, World};
