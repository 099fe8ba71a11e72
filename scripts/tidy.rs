//! The house's layering and manners, as a test: who may import whom, and words that may not stand below the drivers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the complete list of rooms it may import. `shards/README.md` says why.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("border", &["model"]),
    ("records", &["model"]),
    ("protocol", &["model"]),
    ("raft", &["model"]),
    ("journal", &["model", "border"]),
    ("log", &["model", "border", "records"]),
    ("partition", &["model", "border", "records", "raft", "journal", "log"]),
    ("group", &["model", "records"]),
    ("controller", &["model", "records"]),
    ("api", &["model", "border", "protocol", "records", "partition", "group", "controller"]),
    (
        "shard",
        &[
            "model",
            "border",
            "records",
            "protocol",
            "raft",
            "journal",
            "log",
            "partition",
            "group",
            "txn",
            "controller",
            "api",
        ],
    ),
    ("uring", &["model", "border"]),
    // Test rooms: nobody imports them but as a dev-dependency, and `sim` may import all.
    ("fakedisk", &["model", "border"]),
    ("textscript", &[]),
    (
        "sim",
        &[
            "model",
            "border",
            "records",
            "protocol",
            "raft",
            "journal",
            "log",
            "partition",
            "group",
            "txn",
            "controller",
            "api",
            "shard",
            "fakedisk",
        ],
    ),
];

/// What may not stand in a room that is not a driver, and why.
const FORBIDDEN: &[(&str, &str)] = &[
    ("async fn", "rooms are synchronous: events in, effects out"),
    (".await;", "rooms are synchronous: events in, effects out"),
    (".await?", "rooms are synchronous: events in, effects out"),
    (".await.", "rooms are synchronous: events in, effects out"),
    (".await)", "rooms are synchronous: events in, effects out"),
    ("RefCell", "state is owned, not shared"),
    ("Instant::now", "time is handed in"),
    ("SystemTime::now", "time is handed in"),
    ("std::thread", "a room has no threads"),
    ("thread::spawn", "a room has no threads"),
    ("Mutex<", "a room has no locks"),
    ("RwLock<", "a room has no locks"),
    ("std::fs", "only drivers touch files"),
    ("std::net::Tcp", "only drivers touch sockets"),
    ("unsafe ", "only the driver may"),
];

/// What may not stand anywhere.
const UNFINISHED: &[&str] = &["todo!(", "unimplemented!(", "FIXME", "XXX"];

/// The drivers: they are the world.
const DRIVERS: &[&str] = &["uring", "sim"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rooms() -> Vec<String> {
    let mut rooms: Vec<String> = fs::read_dir(root().join("shards"))
        .expect("the rooms are there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.join("Cargo.toml").exists())
        .map(|path| path.file_name().expect("named").to_string_lossy().into_owned())
        .collect();
    rooms.sort();
    rooms
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Names of `heddle-*` crates in the section `[dependencies]` of a manifest.
fn imports(manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim();
        } else if section == "[dependencies]"
            && let Some(rest) = line.strip_prefix("heddle-")
        {
            found.push(rest.split(['.', ' ', '=']).next().expect("a name").to_string());
        }
    }
    found
}

/// All Rust files below `dir`.
fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                sources(&path, into);
            }
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn a_room_imports_only_from_rows_below_it() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut wrong = Vec::new();
    for room in rooms() {
        let Some(may) = allowed.get(room.as_str()) else {
            wrong.push(format!("shards/{room} is not in the table of rooms"));
            continue;
        };
        for import in imports(&read(&root().join("shards").join(&room).join("Cargo.toml"))) {
            if !may.contains(&import.as_str()) {
                wrong.push(format!("{room} imports {import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_driver_names_the_runtime() {
    for room in rooms() {
        let manifest = read(&root().join("shards").join(&room).join("Cargo.toml"));
        for runtime in ["glommio", "io-uring", "tokio", "nix"] {
            let named = manifest.lines().any(|line| line.starts_with(runtime));
            assert!(!named || room == "uring", "{room} names {runtime}");
        }
    }
}

#[test]
fn below_the_drivers_there_is_no_world() {
    let mut wrong = Vec::new();
    for room in rooms().iter().filter(|room| !DRIVERS.contains(&room.as_str()) && *room != "textscript") {
        let mut files = Vec::new();
        sources(&root().join("shards").join(room).join("src"), &mut files);
        for file in files {
            for (number, line) in read(&file).lines().enumerate() {
                let code = line.split("//").next().expect("a first part");
                for (word, why) in FORBIDDEN {
                    if code.contains(word) {
                        wrong.push(format!("{}:{}: {word}: {why}", file.display(), number + 1));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_is_left_unfinished() {
    let mut files = Vec::new();
    for dir in ["src", "shards", "benches", "tests", "fuzz"] {
        sources(&root().join(dir), &mut files);
    }
    let mut wrong = Vec::new();
    for file in files {
        for (number, line) in read(&file).lines().enumerate() {
            if UNFINISHED.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{}:{}: {line}", file.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_room_introduces_itself() {
    for room in rooms() {
        let text = read(&root().join("shards").join(&room).join("src/lib.rs"));
        for word in ["Owns:", "Invariants:", "Does not know:", "Read first:"] {
            assert!(text.contains(word), "shards/{room}/src/lib.rs does not say '{word}'");
        }
    }
}

#[test]
fn the_map_names_every_room() {
    let map = read(&root().join("shards/README.md"));
    for room in rooms() {
        assert!(map.contains(&format!("`{room}`")), "shards/README.md does not mention {room}");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = read(&root().join("Cargo.toml"));
    let section = manifest.split("[workspace.dependencies]").nth(1).expect("there is one");
    let section = section.split("\n[").next().expect("it ends");
    let mut reasoned = false;
    for line in section.lines().filter(|line| !line.starts_with("heddle-")) {
        match line {
            "" => {}
            line if line.starts_with('#') => reasoned = true,
            line => assert!(reasoned, "no reason is given before: {line}"),
        }
    }
}
