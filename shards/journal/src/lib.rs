//! The core's durable tail: one durable write a turn for all its replicas, a ring of pre-written files, replay.
//! Owns: frames and their checksums, group commit, the small state of each replica (its *shadow*) and the checkpoints that
//! repeat it, recycling, telling damage from a torn tail.
//! Invariants: a shadow changes only by `Shadow::apply`, when a record is durable or replayed, so live and replayed state
//! are equal; a file is freed only after a durable frame said that it is not needed; frame numbers are never reused.
//! Does not know: what records mean beyond the small state, raft roles, clients, segments. It never retries in a file
//! that failed. Read first: `record.rs` (what goes in), `journal.rs` (the room), `write.rs`, then `replay.rs`.
//!
//! # Files
//!
//! `<dir>/<slot, 8 digits>.j`. A file is used again and again; each use has a *sequence*, higher than all before. A use is
//! a run of frames from the file's start: the *opening* (a checkpoint of every replica as it is durably known), then
//! records. Behind the last frame stand zeros or leftovers of earlier uses, which their sequence tells apart.
//!
//! All earlier frames are durable before a file is opened, and the first frame of a file is written alone. So an opening
//! states exactly what its *fence* covers, everything at or below a fence was durable, and whatever else of a use is
//! found, its first frame was once there.
//!
//! # Frame
//!
//! `header | directory | payload | zeros`, from a block boundary to a block boundary (4,096 bytes). Little-endian.
//!
//! | at | bytes | header field |
//! |---|---|---|
//! | 0 | 8 | magic `HDLJRNL\x01` |
//! | 8 | 2 | format version, 2; a file of any other keeps the journal closed and untouched |
//! | 10 | 1 | kind: 1 opening, 2 records |
//! | 11 | 1 | bit 0: damage may have hidden replicas, and nobody has dealt with that; bit 1: the opening carries tails |
//! | 12 | 4 | entries in the directory |
//! | 16 | 16 | journal id |
//! | 32 | 8 | run: one process life on this journal |
//! | 40 | 8 | sequence of this use of the file |
//! | 48 | 8 | frame number |
//! | 56 | 8 | highest frame known durable |
//! | 64 | 8 | sequence of the oldest file that replay needs |
//! | 72 | 8 | fence: the last frame that counts before this file |
//! | 80 | 8 | sequence of the file in which the fence stands; 0: none |
//! | 88 | 8 | number of the first frame after the opening |
//! | 96 | 8 | bytes of payload |
//! | 104 | 4 | CRC32C of the directory |
//! | 108 | 4 | own sum of the frame before; 0: none, or unreadable |
//! | 112 | 2 | journals of the data directory, as the caller said; 0: not said yet |
//! | 114 | 8 | their identities in one number, as the caller said |
//! | 122 | 2 | 0 |
//! | 124 | 4 | CRC32C of bytes 0..124 |
//!
//! | at | bytes | directory entry field |
//! |---|---|---|
//! | 0 | 8 | replica number |
//! | 8 | 8 | the replica's ordinal: 1, 2, 3, no gaps; in an opening, its last one |
//! | 16 | 1 | kind, below |
//! | 17 | 1 | 1: a vote is there; in a restatement: the replica stays damaged |
//! | 18 | 2 | 0 |
//! | 20 | 4 | bytes of payload; payloads follow each other in the directory's order |
//! | 24 | 4 | term |
//! | 28 | 4 | CRC32C of the payload, 0 for batches |
//! | 32 | 8 | a: base, start, truncation point, log start, or the vote's node |
//! | 40 | 8 | b: next, history lines kept, batches that follow, or the vote's incarnation |
//! | 48 | 8 | commit as known |
//! | 56 | 21 | a batch's first 21 bytes: what its CRC leaves out, and the CRC |
//! | 77 | 3 | 0 |
//!
//! | kind | entry | payload |
//! |---|---|---|
//! | 1 | append | record batch v2 |
//! | 2, 3, 4, 6 | state, line, truncate, log start | - |
//! | 5 | config | opaque |
//! | 7 | mark | offset i64, store u32, generation u32, segment i64, segment bytes u64, side bytes u64 |
//! | 8, 9 | restate, and each of its b batches; valid with the last | state; record batch v2 |
//! | 10 | gone | - |
//! | 11, 12 | in openings: shadow; with little of the ring free, its tail's batches | flags, states; record batch v2 |
//!
//! A state is: placement u32, term i32, vote (u8 flag, node i32, incarnation u32), log start i64, commit i64, start
//! (term i32, offset i64), mark (u8 flag, as above), history (u32 count, of term i32 and start i64), config (u32 length,
//! bytes). A shadow: u8 damaged, u8 flag and state, u8 flag (2: damaged), u32 missing batches and state of an incomplete restatement.
//!
//! # Where this departs from RULES.md A, and why
//!
//! - A file's opening waits until earlier frames are durable (some 0.3 ms for each 64 MiB). In return a checkpoint never
//!   states what a torn frame could take back, a failed write needs no undo, and any fence is evidence.
//! - Fence, oldest file, previous file and the opening's end stand in every header, so one rotten block never hides a
//!   file's place; and the oldest file moves with any frame, so recycling needs no further checkpoint: every file in use
//!   opens with one.
//! - Frames that a killed process left count if they can be read, so the newest file is synced before a run's fence covers
//!   them; if that fails, everything is stated anew in the run's first file.
//! - Damage that may have hidden whole replicas is told by every later frame until `accept_losses`; a file of which not a
//!   single header can be read sets all replicas apart, for it may have been the newest.

mod asker;
mod codec;
mod format;
mod header;
mod image;
mod journal;
mod lanes;
mod record;
mod recovery;
mod replay;
mod report;
mod ring;
mod shadow;
mod start;
mod stats;
mod story;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod walk;
mod wants;
mod write;

pub use header::VERSION as FORMAT_VERSION;
pub use heddle_model::{Mark, TailBatch};
pub use journal::{Config, Journal};
pub use record::{Ordinal, Record, ReplicaState};
pub use report::{Damage, Recovered, RecoveredReplica, Report, Siblings, Stuck};
pub use stats::{Pressure, Stats};
