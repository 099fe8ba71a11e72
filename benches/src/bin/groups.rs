//! Group members at the level of the wire: `cargo run --release -p heddle-benches --bin groups -- classic --members 1000`.

use std::io;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use heddle_benches::groups::measure::{Figures, Server};
use heddle_benches::groups::options::{Cli, Run};
use heddle_benches::groups::{beside, classic, commits, consumer};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

fn main() -> ExitCode {
    match raise_open_files().and_then(|()| run(&Cli::parse())) {
        Ok(figures) => {
            if let Some(figures) = figures {
                println!("{}", figures.json());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("groups: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> io::Result<Option<Figures>> {
    let run = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?.as_millis() as u64;
    let server = Server(cli.server_pid);
    let broker = &cli.broker;
    let at_least_one =
        |count: usize| if count == 0 { Err(io::Error::other("expected at least one")) } else { Ok(count) };
    let figures = match cli.run.clone() {
        Run::Classic { members, rounds } => {
            classic::run(broker, server, at_least_one(members)?, at_least_one(rounds)?, run)
        }
        Run::Consumer { members, rounds } => {
            consumer::run(broker, server, at_least_one(members)?, at_least_one(rounds)?, run)
        }
        Run::Commits { committers, seconds } => {
            commits::closed(broker, server, at_least_one(committers)?, seconds, run)
        }
        Run::Groups { groups, interval, seconds, connections } => {
            let counts = (at_least_one(groups)?, at_least_one(connections)?);
            commits::paced(broker, server, counts, (interval, seconds), run)
        }
        Run::Beside { group, topic, protocol, members, partitions } => {
            let members = at_least_one(members)?;
            return match &*protocol {
                "consumer" => consumer::beside(broker, &group, &topic, members, partitions),
                assignor => beside::run(broker, &group, (&topic, partitions), assignor, members),
            }
            .map(|()| None);
        }
    };
    figures.map(Some)
}

/// A connection for each member.
fn raise_open_files() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(())
}
