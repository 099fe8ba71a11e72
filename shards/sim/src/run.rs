//! Runs of seeds, each twice, and what is said of them.

use crate::check::Violation;
use crate::lies::Lie;
use crate::panics;
use crate::plan::Plan;
use crate::sim::Sim;

pub struct Outcome {
    pub seed: u64,
    pub found: Option<Violation>,
    /// What happened, as one number.
    pub trace: u64,
    /// The last lines of what happened.
    pub lines: Vec<String>,
}

impl Outcome {
    /// What failed, and the line that replays it.
    pub fn report(&self) -> Option<String> {
        let found = self.found.as_ref()?;
        let seed = self.seed;
        Some(format!("seed {seed}: {}: {}\n  replay: scripts/sim replay {seed}", found.checker, found.text))
    }
}

pub fn run(seed: u64) -> Outcome {
    run_with(Plan::of(seed), None, None, false)
}

/// A run under a planted fault, of which only one checker is asked.
pub fn run_with(plan: Plan, lie: Option<Lie>, only: Option<&str>, aloud: bool) -> Outcome {
    let seed = plan.seed;
    let mut sim = Sim::new(plan, lie, only, aloud);
    if let Err(text) = panics::caught(|| sim.run()) {
        sim.checkers.fail("no-panic", text);
    }
    let found = sim.checkers.found.take();
    Outcome { seed, found, trace: sim.trace.sum(), lines: sim.trace.into_lines() }
}

/// Run a seed twice: both must do the same.
pub fn run_twice(seed: u64) -> Outcome {
    let first = run(seed);
    let second = run(seed);
    if first.trace == second.trace || first.found.is_some() {
        return first;
    }
    let text = format!("two runs differ: {:x} and {:x}", first.trace, second.trace);
    Outcome { found: Some(Violation { checker: "deterministic", text }), ..first }
}
