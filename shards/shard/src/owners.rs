//! Who asked: the numbers that tie a disk operation or a send to a room of this core. Never reused.

use rustc_hash::FxHashMap;

/// The core itself.
pub const HOUSE: u32 = 0;
/// Its client connections.
pub const API: u32 = 1;
/// Its questions about the file system.
pub const SPACE: u32 = 2;
/// The first number given out.
const FIRST: u32 = 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Index into the core's journals; 0 is its own, others are adopted at start.
    Journal(usize),
    /// Slot of a replica.
    Replica(usize),
}

#[derive(Default)]
pub struct Owners {
    given: u32,
    rooms: FxHashMap<u32, Owner>,
}

impl Owners {
    pub fn give(&mut self, owner: Owner) -> u32 {
        let number = FIRST + self.given;
        self.given += 1;
        self.rooms.insert(number, owner);
        number
    }

    pub fn find(&self, number: u32) -> Option<Owner> {
        self.rooms.get(&number).copied()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.rooms.len()
    }

    pub fn release(&mut self, number: u32) {
        self.rooms.remove(&number);
    }
}
