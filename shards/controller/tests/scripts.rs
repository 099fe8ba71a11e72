//! Text scripts: commands in, full trace out. `UPDATE=1` rewrites the traces; a reviewer reads them.
//!
//! A line that begins with `> ` is a command; the lines behind it, up to the next command or empty line, are its trace.

mod world;

use std::fs;
use std::path::Path;

use world::World;

#[test]
fn scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let update = std::env::var_os("UPDATE").is_some();
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .expect("the folder of scripts")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let script = fs::read_to_string(&path).expect("a readable script");
        let traced = run(&script);
        if update {
            fs::write(&path, &traced).expect("a writable script");
        } else {
            assert_eq!(script, traced, "{}: run with UPDATE=1 and read the difference", path.display());
        }
    }
}

fn run(script: &str) -> String {
    let mut world = World::default();
    let mut out = String::new();
    for line in script.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            out.push_str(line);
            out.push('\n');
            out.push_str(&world.run(command));
        } else if line.is_empty() || line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}
