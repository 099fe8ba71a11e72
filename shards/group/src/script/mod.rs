//! Text scripts (`scripts/*.txt`): commands in, the full trace out. `UPDATE=1 cargo test` rewrites the traces; a reviewer
//! reads the difference.

mod bounded;
mod command;
mod large;
mod random;
mod trace;
mod world;

use std::path::Path;

use world::World;

#[test]
fn scripts() {
    heddle_textscript::run(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts"), || {
        let mut world = World::new();
        move |commands| {
            let trace: Vec<String> = commands.lines().flat_map(|line| world.run(line)).collect();
            world.check_replay();
            trace.join("\n")
        }
    });
}
