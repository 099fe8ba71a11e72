//! One partition's bytes: the tail in memory, segments on disk, what is found where, what may go.
//! Owns: tail, settling into segments, side files, reads, time lookup, retention, removal, the read cache.
//! Invariants: settled ≤ committed and durable; settled bytes never change; bytes beyond the mark do not exist.
//! Does not know: roles, votes, clients, other logs, memory budgets, what accompanies a batch (see `Companion`).
//! Read first: `ask.rs`, then `log.rs`, then `settle.rs` for the way down and `query.rs` for the way back up.
//!
//! # What is on the disk
//!
//! `replicas/<replica>-<store>/<base offset, 20 digits>-<generation>.log` and `.side`, of compacted topics also `.keys`.
//! Integers are little-endian, batches stay as Kafka writes them.
//!
//! A segment (`.log`) is a row of *spans*. A span is whole record batches, at most `SPAN_BYTES` (one larger batch
//! travels alone), begins on a block boundary and is filled with zeros up to one. It is the unit of writing, of cold
//! reading, of caching and of checksums.
//!
//! A side file is a row of *side records*, each beginning on a block boundary and never rewritten once marked:
//!
//! | at | bytes | field |
//! |---:|------:|-------|
//! |  0 | 4 | magic `HSID` |
//! |  4 | 2 | format version, 3; 4 with flag 8 |
//! |  6 | 2 | flags: 1 = the file's first record, 2 = holds a snapshot, 4 = a seal, 8 = the first sealed segment is a link |
//! |  8 | 8 | replica number |
//! | 16 | 4 | store |
//! | 20 | 4 | generation of the segment |
//! | 24 | 8 | base offset of the segment |
//! | 32 | 8 | position of this record in the file |
//! | 40 | 4 | header checksum of the record before it, 0 in the first |
//! | 44 | 4 | number of spans |
//! | 48 | 4 | number of sealed segments |
//! | 52 | 4 | bytes of the companion's snapshot |
//! | 56 | 4 | bytes of the companion's changes |
//! | 60 | 4 | zero |
//! | 64 | 8 | time of writing, ms since 1970 |
//! | 72 | 4 | CRC32C of what follows the header |
//! | 76 | 4 | CRC32C of the 76 bytes before |
//! | 80 | 48 each | spans: base offset 8, next offset 8, position 8, bytes without filling 4, CRC32C with filling 4, largest timestamp 8, leader epoch of the first batch 4, by how much its largest timestamp lies below the span's 4 (ms; all ones = it carries none) |
//! |    | 56 each | sealed segments: base 8, next 8, segment bytes 8, side bytes 8, largest timestamp 8, time of the last write 8, generation 4, compacted at 4 (seconds since 1970, 0 = not) |
//! |    |   | snapshot, then changes |
//!
//! The first record of each segment lists older segments of the log, and so the successor seals its predecessor: nothing
//! needs to be written to a file that failed. If the list begins with a *link*, the link's own first record lists what is
//! older than that, so loading reads a side file and the first records of a few more (`lists.rs`). A link below the
//! log start need not be there.
//!
//! # Compaction
//!
//! `compact.rs` writes neighbouring closed segments anew, under the first one's base and a generation above all of
//! theirs. Its side file is one record, the seal: the spans, and one entry of the second kind for the segment itself.
//! It is written last, durably; from then on the files it covers do not count. Lists of older segments may name what
//! was replaced since, or pass over it, so loading looks into side files that no list names: of each range the highest
//! sealed generation counts, and everything else is removed.
//!
//! To know which keys stand where, a round would have to read all that is new. So the spans of a compacted topic are
//! digested once they are written, off the turn: a hash of each record's key and its offset, in pages of the `.keys`
//! file (`digest.rs`, `pages.rs`). Nothing relies on it: a span of which it does not speak, by place and checksum, is
//! read.
//!
//! # Settling, and where it departs from the first sketch
//!
//! * Spans begin on block boundaries, and so do side records: no block that holds marked bytes is ever rewritten, and
//!   the rule "rewrite only while the bytes are in the journal again" has nothing to apply to.
//! * Segment and side file are written with `durable` writes, each vouching for its own bytes, in parallel. When both
//!   are complete, and those of all rounds before, `Output::Settled` gives the mark to be journaled; trap 42 asks for
//!   no more than this.
//! * A round that fails is planned anew and carries a whole snapshot, as the companion has moved on already. After
//!   NoSpace the same positions are written again, once no older write to them is under way. After any other fault the
//!   segment is closed for ever at its mark and a new one begins.

mod ask;
mod cache;
mod clean;
mod compact;
mod debt;
mod digest;
mod digesting;
mod disk;
mod ends;
mod group;
mod keymap;
mod lists;
mod load;
mod log;
mod lookup;
mod names;
mod output;
mod packing;
mod pages;
mod piece;
mod plan;
mod prepare;
mod query;
mod read;
mod retain;
mod roll;
mod round;
mod sealed;
mod seals;
mod segment;
mod settle;
mod side;
mod side_file;
mod sources;
mod tail;
#[cfg(test)]
mod tests;
mod write;

pub use ask::{Companion, Found, Identity, LoadFault, Output, ReadFault};
pub use compact::COMPACTION_WORK;
pub use debt::Debt;
pub use digesting::DIGEST_WORK;
pub use log::Log;
