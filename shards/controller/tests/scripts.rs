//! The scripts: asks in words, and everything that comes of them.

mod world;

use std::path::Path;

use world::World;

#[test]
fn scripts() {
    heddle_textscript::run(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts"), || {
        let mut world = World::default();
        move |command: &str| world.run(command)
    });
}
