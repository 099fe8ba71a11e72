//! The other driver: seeded, deterministic runs of whole nodes with virtual time, disks, mail and clients.
//! Owns: the schedule, crashes and other troubles, clients that speak the real wire, the checkers and their planted faults.
//! Invariants: a seed says everything, so the same seed gives the same trace; the rooms run unchanged, and every lie is
//! told at the border. Does not know: how a room works inside; it sees effects, and what clients are answered.
//! Read first: `plan.rs` (what a seed means), `sim.rs` (one run), `check/mod.rs` (what must hold).

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
mod crowded;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unheard;
