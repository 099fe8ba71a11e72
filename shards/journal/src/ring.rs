//! The ring's files: made in the background, taken for use, freed when nothing in them is needed, dropped when surplus.

use std::collections::BTreeMap;

use heddle_border::{DiskOp, Done, Effect, Failed, Fault, FileId, OpenMode};
use heddle_model::Mono;
use heddle_model::limits::BLOCK_BYTES;

use crate::Config;
use crate::asker::{Asker, Purpose};

/// Files kept ready ahead of need.
const READY_AHEAD: usize = 2;
/// How long after a refusal making a file is tried again. Milliseconds.
pub(crate) const RETRY_MS: u64 = 1000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SlotState {
    /// Being created, pre-written, or its name made durable.
    Making,
    /// Exists, but its blocks are not known to be written: must be pre-written first.
    Unready,
    /// May be taken; what stands in it is a leftover.
    Ready,
    /// In use, by sequence.
    Live(u64),
    /// In use, but a write to it failed: nothing is ever written to it again.
    Retired(u64),
    /// Belongs to another journal, left alone.
    Foreign,
    /// Being closed and removed.
    Dropping,
}

#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub path: String,
    pub file: FileId,
    pub len: u64,
    pub state: SlotState,
}

pub(crate) struct Ring {
    dir: String,
    files: usize,
    file_bytes: u64,
    first_file_bytes: u64,
    slots: BTreeMap<u32, Slot>,
    next_slot: u32,
    /// A file is needed at once, at least this large. Bytes.
    wanted: Option<u64>,
    /// The run has not begun: a small file will do, made quickly.
    pub starting: bool,
    /// The file that could not be made last, and why; `None` once one could.
    pub refused: Option<(String, Fault)>,
    retry_at: Option<Mono>,
}

impl Ring {
    pub fn new(config: &Config, slots: BTreeMap<u32, Slot>) -> Ring {
        Ring {
            dir: config.dir.clone(),
            files: config.files,
            file_bytes: config.file_bytes,
            first_file_bytes: config.first_file_bytes,
            next_slot: slots.keys().next_back().map_or(0, |last| last + 1),
            slots,
            wanted: None,
            starting: true,
            refused: None,
            retry_at: None,
        }
    }

    pub fn path(&self, slot: u32) -> &str {
        &self.slots[&slot].path
    }

    pub fn file(&self, slot: u32) -> FileId {
        self.slots[&slot].file
    }

    pub fn len(&self, slot: u32) -> u64 {
        self.slots[&slot].len
    }

    /// Use a ready file of at least `need` bytes. `None`: there is none; one is made.
    pub fn take(&mut self, need: u64, sequence: u64) -> Option<u32> {
        let fits = |slot: &Slot| slot.state == SlotState::Ready && slot.len >= need;
        let Some((number, slot)) = self.slots.iter_mut().find(|(_, slot)| fits(slot)) else {
            self.wanted = Some(need);
            return None;
        };
        slot.state = SlotState::Live(sequence);
        self.wanted = None;
        Some(*number)
    }

    pub fn retire(&mut self, slot: u32) {
        let slot = self.slots.get_mut(&slot).expect("the current file has a slot");
        let SlotState::Live(sequence) = slot.state else { panic!("only files in use fail: {slot:?}") };
        slot.state = SlotState::Retired(sequence);
    }

    /// How many files in use would be freed if nothing below `oldest` were needed.
    pub fn would_free(&self, oldest: u64) -> usize {
        let freed = |slot: &&Slot| matches!(slot.state, SlotState::Live(n) | SlotState::Retired(n) if n < oldest);
        self.slots.values().filter(freed).count()
    }

    /// Nothing below `oldest` is needed, and that is durable.
    pub fn free_below(&mut self, oldest: u64, asker: &mut Asker, out: &mut Vec<Effect>) {
        let numbers: Vec<u32> = self.slots.keys().copied().collect();
        for number in numbers {
            match self.slots[&number].state {
                SlotState::Live(sequence) if sequence < oldest => {
                    let small = self.slots[&number].len < self.file_bytes && self.ready() > 0;
                    if self.members() > self.files || small {
                        self.drop_slot(number, asker, out);
                    } else {
                        self.set(number, SlotState::Ready);
                    }
                }
                SlotState::Retired(sequence) if sequence < oldest => self.drop_slot(number, asker, out),
                _ => {}
            }
        }
    }

    fn drop_slot(&mut self, number: u32, asker: &mut Asker, out: &mut Vec<Effect>) {
        self.set(number, SlotState::Dropping);
        asker.ask(Purpose::Close(number), DiskOp::Close { file: self.file(number) }, out);
    }

    /// After a close, or after a close that failed: the name goes.
    pub fn on_closed(&mut self, number: u32, asker: &mut Asker, out: &mut Vec<Effect>) {
        asker.ask(Purpose::Remove(number), DiskOp::Remove { path: self.path(number).to_owned() }, out);
    }

    /// A file that could not be removed is found as a leftover at the next start.
    pub fn on_removed(&mut self, number: u32) {
        self.slots.remove(&number);
    }

    fn set(&mut self, number: u32, state: SlotState) {
        self.slots.get_mut(&number).expect("slots go only when removed").state = state;
    }

    fn count(&self, state: SlotState) -> usize {
        self.slots.values().filter(|slot| slot.state == state).count()
    }

    pub fn ready(&self) -> usize {
        self.count(SlotState::Ready)
    }

    /// Files that make up the ring.
    pub fn members(&self) -> usize {
        let apart = [SlotState::Foreign, SlotState::Dropping];
        let member = |slot: &&Slot| !apart.contains(&slot.state) && !matches!(slot.state, SlotState::Retired(_));
        self.slots.values().filter(member).count()
    }

    pub fn is_full_grown(&self) -> bool {
        self.members() >= self.files
    }

    /// Bytes of the ring once full-grown, or as it is if it cannot grow.
    pub fn capacity(&self) -> u64 {
        let usable = |slot: &&Slot| matches!(slot.state, SlotState::Ready | SlotState::Live(_));
        let now: u64 = self.slots.values().filter(usable).map(|slot| slot.len).sum();
        let planned = self.files as u64 * self.file_bytes;
        if self.growth_fails() { now.min(planned) } else { planned }
    }

    /// Bytes of files in use from sequence `oldest` on; of `current`, only `written`.
    pub fn used_from(&self, oldest: u64, current: Option<(u32, u64)>) -> u64 {
        let bytes = self.slots.iter().map(|(number, slot)| match (slot.state, current) {
            (SlotState::Live(sequence), _) if sequence < oldest => 0,
            (SlotState::Live(_), Some((at, written))) if at == *number => written,
            (SlotState::Live(_), _) => slot.len,
            _ => 0,
        });
        bytes.sum()
    }

    /// Since the last refusal no file could be made.
    pub fn growth_fails(&self) -> bool {
        self.refused.is_some()
    }

    /// A file is needed that is not there.
    pub fn is_stalled(&self) -> bool {
        self.wanted.is_some()
    }

    pub fn retry_at(&self) -> Option<Mono> {
        self.retry_at
    }

    /// Make the next file if one is due.
    pub fn tend(&mut self, now: Mono, asker: &mut Asker, out: &mut Vec<Effect>) {
        if self.retry_at.is_some_and(|at| now < at) || self.count(SlotState::Making) > 0 {
            return;
        }
        let unready = self.slots.iter().find(|(_, slot)| slot.state == SlotState::Unready).map(|(number, _)| *number);
        let short = !self.starting && self.ready() < READY_AHEAD && (unready.is_some() || !self.is_full_grown());
        // Beyond its size the ring grows only when it would stand still: the marks that free its files need room too.
        if !short && self.wanted.is_none() {
            return;
        }
        self.retry_at = None;
        let usual = if self.starting { self.first_file_bytes } else { self.file_bytes };
        let bytes = usual.max(self.wanted.unwrap_or(0)).next_multiple_of(BLOCK_BYTES as u64);
        match unready {
            Some(number) => {
                let len = bytes.max(self.len(number));
                self.set(number, SlotState::Making);
                self.prewrite(number, len, asker, out);
            }
            None => self.create(bytes, asker, out),
        }
    }

    fn create(&mut self, bytes: u64, asker: &mut Asker, out: &mut Vec<Effect>) {
        let number = self.next_slot;
        self.next_slot += 1;
        let path = slot_path(&self.dir, number);
        let file = asker.file();
        self.slots.insert(number, Slot { path: path.clone(), file, len: bytes, state: SlotState::Making });
        asker.ask(Purpose::Create(number), DiskOp::Open { file, path, mode: OpenMode::Create }, out);
    }

    fn prewrite(&mut self, number: u32, len: u64, asker: &mut Asker, out: &mut Vec<Effect>) {
        let slot = self.slots.get_mut(&number).expect("slots go only when removed");
        slot.len = len;
        asker.ask(Purpose::Prewrite(number), DiskOp::Prewrite { file: slot.file, from: 0, len }, out);
    }

    /// The next stage of making a file: create, pre-write, make its name durable.
    pub fn on_made(
        &mut self,
        purpose: Purpose,
        result: Result<Done, Failed>,
        now: Mono,
        asker: &mut Asker,
        out: &mut Vec<Effect>,
    ) {
        match (purpose, result) {
            (Purpose::Create(number), Ok(_)) => self.prewrite(number, self.len(number), asker, out),
            (Purpose::Create(number), Err(failed)) => {
                // A file of that name which no listing showed: leave it alone and take the next name, later.
                self.on_refusal(now, number, failed.fault);
                self.slots.remove(&number);
            }
            (Purpose::Prewrite(number), Ok(_)) => {
                asker.ask(Purpose::SyncMade(number), DiskOp::SyncDir { path: self.dir.clone() }, out);
            }
            (Purpose::SyncMade(number), Ok(_)) => {
                self.set(number, SlotState::Ready);
                self.refused = None;
            }
            (Purpose::Prewrite(number) | Purpose::SyncMade(number), Err(failed)) => {
                self.on_refusal(now, number, failed.fault);
                self.drop_slot(number, asker, out);
            }
            (other, _) => unreachable!("{other:?} makes no file"),
        }
    }

    fn on_refusal(&mut self, now: Mono, number: u32, fault: Fault) {
        self.refused = Some((self.path(number).to_owned(), fault));
        self.retry_at = Some(now.plus_ms(RETRY_MS));
    }

    /// Close all files; nothing may be under way to them.
    pub fn close(&mut self, asker: &mut Asker, out: &mut Vec<Effect>) {
        for (number, slot) in &mut self.slots {
            if slot.state != SlotState::Dropping {
                slot.state = SlotState::Foreign;
                asker.ask(Purpose::Close(*number), DiskOp::Close { file: slot.file }, out);
            }
        }
    }

    pub fn is_dropping(&self, number: u32) -> bool {
        self.slots.get(&number).is_some_and(|slot| slot.state == SlotState::Dropping)
    }
}

/// `journal-0/00000003.j`.
pub(crate) fn slot_path(dir: &str, number: u32) -> String {
    format!("{dir}/{number:08}.j")
}

/// The slot that a file name in the journal's directory means.
pub(crate) fn slot_of(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".j").filter(|digits| digits.len() == 8)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}
