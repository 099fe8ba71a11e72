//! The `heddle` program: reads its configuration, starts one pinned thread per core, waits for its end.
//! Read first: `run.rs`.

mod address;
mod admin;
mod cli;
mod directory;
mod file;
mod lag;
mod level;
mod machine;
mod options;
mod process;
mod prometheus;
mod run;
mod signals;
mod size;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let outcome = match cli.command {
        cli::Command::Start(flags) => options::Options::read(&flags).and_then(run::start),
        cli::Command::Repair(flags) => run::repair(&flags),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            // Not `eprintln!`, which panics if nobody takes the line.
            let _ = writeln!(std::io::stderr(), "heddle: {text}");
            ExitCode::FAILURE
        }
    }
}
