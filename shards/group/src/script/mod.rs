//! Text scripts (`scripts/*.txt`): commands in, the full trace out. `UPDATE=1 cargo test` rewrites the traces; a reviewer
//! reads the difference. Blocks are `commands`, a line `----`, and the trace up to an empty line.

mod bounded;
mod command;
mod large;
mod random;
mod trace;
mod world;

use std::{fs, path::PathBuf};

use world::World;

fn run(name: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts").join(format!("{name}.txt"));
    let text = fs::read_to_string(&path).expect("the script exists");
    let mut world = World::new();
    let mut actual = String::new();
    for block in text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
        let commands = block.split("\n----").next().unwrap_or_default();
        actual.push_str(commands);
        if commands.lines().any(|line| !line.starts_with('#')) {
            actual.push_str("\n----");
            for line in commands.lines().filter(|line| !line.starts_with('#')) {
                for out in world.run(line) {
                    actual.push('\n');
                    actual.push_str(&out);
                }
            }
        }
        actual.push_str("\n\n");
    }
    world.check_replay();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, actual.trim_end().to_owned() + "\n").expect("the script can be written");
        return;
    }
    let expected = text.trim_end();
    for (number, (left, right)) in actual.trim_end().lines().zip(expected.lines()).enumerate() {
        assert_eq!(left, right, "{name}.txt line {}", number + 1);
    }
    assert_eq!(actual.trim_end().lines().count(), expected.lines().count(), "{name}.txt has another length");
}

macro_rules! scripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_script_is_run() {
            let known = [$(stringify!($name)),*];
            let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts");
            for entry in fs::read_dir(directory).expect("scripts exist") {
                let path = entry.expect("a directory entry").path();
                let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
                assert!(known.contains(&name.as_str()), "{name} is not run");
            }
        }
    };
}

scripts! { classic_basic classic_handshake classic_static classic_timeouts classic_errors offsets admin failover
consumer_basic consumer_static consumer_errors consumer_regex consumer_timeouts consumer_failover migration }
