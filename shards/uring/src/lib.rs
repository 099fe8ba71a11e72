//! The real driver: one pinned thread, one executor and one io_uring per core, running a `Machine`.
//! Owns: sockets, files, mailboxes between cores, threads for work, the clock; all I/O and all `unsafe` of the product.
//! Invariants: every token is answered once; what the kernel reads or writes stays in place until it is done; the loop
//! never blocks but to sleep. Does not know: Kafka, raft, offsets, partitions, nor what a message or a file means.
//! Read first: `core.rs`, the loop; then `net.rs` and `disk.rs`, its two halves.

mod clock;
mod cold;
mod core;
mod disk;
mod fault;
mod flush;
mod listen;
mod mailbox;
mod net;
mod outbox;
mod path;
mod pool;
mod reads;
mod remove;
mod ring;
mod spin;
mod start;
mod stats;
mod trace;
mod work;

pub use crate::core::FromCore;
pub use flush::Durability;
pub use start::{CoreConfig, Options, Running, start};
pub use stats::{SYNC_BOUNDS_US, Stats, Syncs};
