//! `heddle-sim SEEDS [FIRST]` runs many seeds, each twice; `heddle-sim replay SEED` tells one run line by line.

use std::process::ExitCode;
use std::time::Instant;

use heddle_sim::{Plan, run_twice, run_with};

/// Failures after which a long run is ended.
const FAILURES_MAX: usize = 20;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| args.get(at).and_then(|arg| arg.parse::<u64>().ok());
    match (args.first().map(String::as_str), number(0), number(1)) {
        (Some("replay"), _, Some(seed)) => replay(seed),
        (_, Some(seeds), first) => many(seeds, first.unwrap_or(0)),
        _ => {
            eprintln!("expected: SEEDS [FIRST], or: replay SEED");
            ExitCode::FAILURE
        }
    }
}

fn replay(seed: u64) -> ExitCode {
    let plan = Plan::of(seed);
    println!("{plan:#?}");
    let outcome = run_with(plan, None, None, true);
    match outcome.report() {
        Some(report) => {
            println!("{report}");
            ExitCode::FAILURE
        }
        None => {
            println!("seed {seed} holds; trace {:x}", outcome.trace);
            ExitCode::SUCCESS
        }
    }
}

fn many(seeds: u64, first: u64) -> ExitCode {
    let began = Instant::now();
    let (mut failures, mut done, mut said) = (0, 0, Instant::now());
    for seed in first..first + seeds {
        let outcome = run_twice(seed);
        done += 1;
        if let Some(report) = outcome.report() {
            println!("{report}");
            failures += 1;
            if failures == FAILURES_MAX {
                break;
            }
        }
        if said.elapsed().as_secs() >= 10 {
            said = Instant::now();
            println!("... {done} seeds, {failures} failed");
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{done} seeds from {first}, each run twice: {failures} failed; {seconds:.1} s");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
