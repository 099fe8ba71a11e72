//! The other driver: seeded, deterministic runs of whole nodes with virtual time, disks, mail and clients.
//! Owns: the schedule, crashes and other troubles, clients that speak the real wire, the checkers and their planted faults.
//! Invariants: a seed says everything, so the same seed gives the same trace; the rooms run unchanged, and every lie is
//! told at the border. Does not know: how a room works inside; it sees effects, and what clients are answered.
//! Read first: `plan.rs` (what a seed means), `sim.rs` (one run), `check/mod.rs` (what must hold).
//!
//! # Traps
//!
//! Faults of systems like this one, by the numbers that comments everywhere use; how each can come about in a run, and who
//! finds it. A lie is planted in `tests.rs` or `want.rs`; a fault that no lie at the border can bring about is one inside a
//! room, and stands under the room's own test.
//!
//! | trap | comes about by | found by |
//! |---|---|---|
//! | 27 a torn frame over an old batch of its size | torn sectors in recycled files, seeds whose records all have one size | `acknowledged-present`, `reads-stable`; `journal`: `a_torn_frame_over_old_batches_of_the_same_size_is_not_believed` |
//! | 28 dropped frames come back | crashes during recovery, several in a row | `one-life-per-epoch`, `reads-stable`; `journal`: `dropped_frames_never_come_back` |
//! | 29 a term is recycled away | small rings; `EpochReused` | `one-life-per-epoch`; `journal`: `small_state_outlives_the_file_it_was_written_to` |
//! | 30 a rotten bit in mid-journal | `Trouble::Rot`, `Trouble::JournalLost` | all checkers, until the node has told; `no-false-alarm`; `journal`: `damage.rs` |
//! | 33 a duplicate answered before its first copy is safe | batches sent twice; `EarlyDurable` | `acknowledged-present`; `partition`: `a_duplicate_gets_the_first_answer_and_not_before_the_first_copy_is_safe` |
//! | 34 a late answer reaches a stranger | clients that leave; `GenerationsForgotten`, `CancelsEarly` | `no-panic`, `slots-returned` |
//! | 35 an old image deletes | image mail that lags, `OffersLate`, `FilesRemoved` | `files-kept`, `acknowledged-present`, `topics-kept` |
//! | 36 a topic deleted and made again | `Admin`; `RolledBack` | `topics-kept`, `reads-stable`; a partition is one of an incarnation |
//! | 38 another number of shards | each life rolls its own; `OffersLate` | `acknowledged-present` |
//! | 39 a full disk keeps from deleting | `Trouble::Full`; `FullForAll` | `removed-though-full` |
//! | 40 a clock jumps ahead | `Trouble::ClockJump`; `StartMoved` | `log-start-as-asked` |
//! | 41 unpacking within a turn | topics that are packed anew; `WorkWithinTurns` | `unpacked-between-turns` |
//! | 42 durable writes that are not flushed | `NotFlushed` | `acknowledged-present`; `uring`: `tests/device.rs` |

mod catalog;
mod check;
mod client;
mod compacting;
mod lies;
mod link;
mod node;
mod panics;
mod plan;
mod record;
mod run;
mod sim;
mod trace;
mod troubles;
mod wire;

pub use check::{CHECKERS, Violation};
pub use lies::Lie;
pub use plan::{Plan, Trouble};
pub use run::{Outcome, run, run_twice, run_with};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod unheard;
#[cfg(test)]
mod want;
