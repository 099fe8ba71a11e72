//! The `heddle` program: reads its configuration, starts one pinned thread per core, waits for its end.
//! Read first: `run.rs`.

mod admin;
mod cli;
mod directory;
mod lag;
mod options;
mod prometheus;
mod run;
mod size;

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
            eprintln!("heddle: {text}");
            ExitCode::FAILURE
        }
    }
}
