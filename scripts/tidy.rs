//! The house's layering and manners, as a test: who may import whom, and words that may not stand below the drivers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the complete list of rooms it imports. `shards/README.md` says why.
const IMPORTS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("border", &["model"]),
    ("records", &["model"]),
    ("protocol", &["model"]),
    ("raft", &["model"]),
    ("journal", &["model", "border"]),
    ("log", &["model", "border", "records"]),
    ("partition", &["model", "border", "records", "raft", "journal", "log"]),
    ("group", &["model"]),
    ("controller", &["model"]),
    ("api", &["model", "border", "protocol", "partition", "group", "controller"]),
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
            "controller",
            "api",
        ],
    ),
    ("uring", &["model", "border"]),
    // Test rooms: nobody imports them but as a dev-dependency, and `sim` may import all.
    ("fakedisk", &["model", "border"]),
    ("textscript", &[]),
    ("sim", &["model", "border", "records", "protocol", "group", "controller", "api", "shard", "fakedisk"]),
];

/// What may not stand in a room that is not a driver, and why. A word that begins or ends with a letter stands alone.
const FORBIDDEN: &[(&str, &str)] = &[
    ("async", "rooms are synchronous: events in, effects out"),
    (".await", "rooms are synchronous: events in, effects out"),
    ("RefCell", "state is owned, not shared"),
    ("Instant::now", "time is handed in"),
    ("SystemTime", "time is handed in"),
    ("std::thread", "a room has no threads"),
    ("thread::spawn", "a room has no threads"),
    ("Mutex", "a room has no locks"),
    ("RwLock", "a room has no locks"),
    ("mpsc", "a room has no threads to talk to"),
    ("LazyLock", "a room has no static state"),
    ("OnceLock", "a room shares no memory; what work comes to is its product"),
    ("OnceCell", "state is owned, not shared"),
    ("LazyCell", "state is owned, not shared"),
    ("UnsafeCell", "state is owned, not shared"),
    ("Condvar", "a room has no locks"),
    ("thread_local", "a room has no static state"),
    ("static mut", "a room has no static state"),
    ("std::fs", "only drivers touch files"),
    ("std::env", "settings are handed in"),
    ("std::process", "only the program starts or ends one"),
    ("std::net::Tcp", "only drivers touch sockets"),
    ("TcpStream", "only drivers touch sockets"),
    ("TcpListener", "only drivers touch sockets"),
    ("UdpSocket", "only drivers touch sockets"),
    ("unsafe", "only the driver may"),
];

/// What may not be taken out of `std` by a `use` with braces either.
const FORBIDDEN_IMPORTS: &[&str] = &["fs", "thread", "env", "process", "atomic", "mpsc", "cell"];

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

/// Exactly: an edge that nobody uses says something false of the house.
#[test]
fn a_room_imports_what_the_table_says() {
    let table: BTreeMap<&str, &[&str]> = IMPORTS.iter().copied().collect();
    let mut wrong = Vec::new();
    for room in rooms() {
        let Some(said) = table.get(room.as_str()) else {
            wrong.push(format!("shards/{room} is not in the table of rooms"));
            continue;
        };
        let imports = imports(&read(&root().join("shards").join(&room).join("Cargo.toml")));
        wrong.extend(imports.iter().filter(|i| !said.contains(&i.as_str())).map(|i| format!("{room} imports {i}")));
        let unused = said.iter().filter(|s| !imports.iter().any(|i| i == *s));
        wrong.extend(unused.map(|s| format!("{room} does not import {s}, as the table says")));
    }
    wrong.extend(table.keys().filter(|room| !rooms().iter().any(|r| r == *room)).map(|r| format!("there is no {r}")));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The table itself: rows from the ground up, and nobody imports from its own row or above.
#[test]
fn rooms_stand_on_those_below() {
    let rows: &[&[&str]] = &[
        &["model"],
        &["border", "records"],
        &["raft", "log", "journal", "protocol"],
        &["partition", "group", "controller"],
        &["api"],
        &["shard"],
        &["uring", "sim"],
    ];
    let row = |room: &str| rows.iter().position(|row| row.contains(&room));
    for (room, imports) in IMPORTS.iter().filter(|(room, _)| !["fakedisk", "textscript"].contains(room)) {
        for import in imports.iter().filter(|import| !["fakedisk", "textscript"].contains(*import)) {
            assert!(row(import) < row(room), "{room} imports {import}");
        }
    }
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

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_of_word(c)).filter(|word| !word.is_empty())
}

/// Whether `word` stands in `code`, not as a part of a longer one.
fn holds(code: &str, word: &str) -> bool {
    let edge =
        |word: Option<char>, beside: Option<char>| !(word.is_some_and(is_of_word) && beside.is_some_and(is_of_word));
    code.match_indices(word).any(|(at, _)| {
        let (before, behind) = (&code[..at], &code[at + word.len()..]);
        edge(word.chars().next(), before.chars().next_back()) && edge(word.chars().next_back(), behind.chars().next())
    })
}

#[test]
fn words_stand_alone() {
    for code in
        ["async fn f() {}", "let f = async move {};", "async {", "x.await", "x.await?", "unsafe {", "a: Mutex<u8>"]
    {
        assert!(FORBIDDEN.iter().any(|(word, _)| holds(code, word)), "{code}");
    }
    for code in ["self.awaited = 1;", "asynchronous", "unsafe_code", "fn is_async_x() {}"] {
        assert!(!FORBIDDEN.iter().any(|(word, _)| holds(code, word)), "{code}");
    }
}

#[test]
fn below_the_drivers_there_is_no_world() {
    let mut wrong = Vec::new();
    for room in rooms().iter().filter(|room| !DRIVERS.contains(&room.as_str()) && *room != "textscript") {
        let mut files = Vec::new();
        sources(&root().join("shards").join(room).join("src"), &mut files);
        for file in files {
            let text = read(&file);
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().expect("a first part");
                for (word, why) in FORBIDDEN.iter().filter(|(word, _)| holds(code, word)) {
                    wrong.push(format!("{}:{}: {word}: {why}", file.display(), number + 1));
                }
                if words(code).any(|word| word.starts_with("Atomic")) {
                    wrong.push(format!("{}:{}: a room shares no memory", file.display(), number + 1));
                }
            }
            for import in text.split("use std::{").skip(1) {
                let names = import.split(';').next().expect("a first part");
                let taken = words(names).filter(|word| FORBIDDEN_IMPORTS.contains(word));
                wrong.extend(taken.map(|word| format!("{}: use std::{{{word}}}", file.display())));
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

/// Each third-party crate with a comment of its own above it, and a crate of ours below that names it.
#[test]
fn every_dependency_has_its_reason_and_its_user() {
    let root = root();
    let mut manifests = vec![read(&root.join("Cargo.toml")), read(&root.join("benches/Cargo.toml"))];
    manifests.extend(rooms().iter().map(|room| read(&root.join("shards").join(room).join("Cargo.toml"))));
    let section = manifests[0].split("[workspace.dependencies]").nth(1).expect("there is one");
    let section = section.split("\n[").next().expect("it ends");
    let mut reasoned = false;
    for line in section.lines().filter(|line| !line.starts_with("heddle-")) {
        if !line.is_empty() && !line.starts_with('#') {
            assert!(reasoned, "no reason is given above: {line}");
            let name = line.split([' ', '=']).next().expect("a name");
            let named = |manifest: &String| manifest.lines().any(|line| line == format!("{name}.workspace = true"));
            assert!(manifests.iter().any(named), "nobody uses {name}");
        }
        reasoned = line.starts_with('#');
    }
}

/// "RULES A" and "trap 18" in comments lead to docs/.
#[test]
fn what_comments_cite_is_there() {
    let (rules, traps) = (read(&root().join("docs/RULES.md")), read(&root().join("docs/TRAPS.md")));
    let mut files = Vec::new();
    for dir in ["src", "shards", "benches", "fuzz"] {
        sources(&root().join(dir), &mut files);
    }
    let (mut cited, mut wrong) = (0, Vec::new());
    for file in files {
        let text = read(&file);
        for (number, line) in text.lines().enumerate() {
            let comment = line.split("//").skip(1).collect::<String>();
            let words: Vec<&str> = words(&comment).collect();
            for pair in words.windows(2) {
                let found = match (pair[0], pair[1]) {
                    ("RULES", part) if part.len() == 1 => rules.contains(&format!("\n## {part}. ")),
                    ("trap" | "Trap" | "traps", n) if n.parse::<u8>().is_ok() => traps.contains(&format!("\n| {n} | ")),
                    _ => continue,
                };
                cited += 1;
                if !found {
                    wrong.push(format!("{}:{}: {} {}", file.display(), number + 1, pair[0], pair[1]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(cited > 50, "{cited} citations were seen");
}
