//! Recovery's reading: directory, first blocks, and whatever files replay asks for, in large chunks.
//!
//! A read that fails says nothing about what stands there: it is tried again, and a block that stays unreadable keeps the
//! journal from opening. Only who accepts losses has it taken for damage.

use std::collections::BTreeMap;

use bytes::Bytes;
use heddle_border::{Blocks, DiskOp, Done, Effect, Failed, Fault, OpenMode};
use heddle_model::Mono;
use heddle_model::limits::BLOCK_BYTES;

use crate::Config;
use crate::asker::{Asker, Purpose};
use crate::header::Header;
use crate::replay::{Head, Next, Replay};
use crate::report::Stuck;
use crate::ring::{RETRY_MS, Slot, SlotState, slot_of, slot_path};

/// How a file is read: so many bytes at once, so many reads under way.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;
const CHUNKS_IN_FLIGHT: usize = 4;
/// The part of a file that is read before asking whether that is enough, and the least of it. Bytes.
const BEGINNING: usize = 64;
const BEGINNING_BYTES_MIN: usize = 16 * BLOCK_BYTES;
/// After so many rounds of retries, each `RETRY_MS` later, the disk is believed.
const ROUNDS_MAX: u32 = 5;

/// What the world refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refused {
    /// The directory: all is asked from the beginning.
    Dir,
    Open(u32),
    Head(u32),
    Block {
        at: u64,
    },
}

pub(crate) struct Recovery {
    dir: String,
    pub slots: BTreeMap<u32, Slot>,
    heads: BTreeMap<u32, Vec<u8>>,
    /// Operations of the present stage still under way.
    left: usize,
    image: Vec<u8>,
    /// Some of the image could not be read.
    unreadable: bool,
    /// The file being loaded, and the position of the next chunk to ask for.
    loading: Option<(u32, u64)>,
    replay: Option<Replay>,
    /// What the world refused is asked again at this time.
    retry: Option<(Mono, Vec<Refused>)>,
    rounds: u32,
    /// Why the journal does not open.
    stuck: Option<Stuck>,
    /// Blocks that stay unreadable count as damaged.
    accept_unreadable: bool,
    /// The newest file could not be synced: what it says may vanish with the power.
    pub sync_failed: bool,
}

impl Recovery {
    pub fn begin(config: &Config, asker: &mut Asker, out: &mut Vec<Effect>) -> Recovery {
        let recovery = Recovery {
            dir: config.dir.clone(),
            slots: BTreeMap::new(),
            heads: BTreeMap::new(),
            left: 0,
            image: Vec::new(),
            unreadable: false,
            loading: None,
            replay: None,
            retry: None,
            rounds: 0,
            stuck: None,
            accept_unreadable: config.accept_unreadable,
            sync_failed: false,
        };
        recovery.make_dir(asker, out);
        recovery
    }

    fn make_dir(&self, asker: &mut Asker, out: &mut Vec<Effect>) {
        asker.ask(Purpose::MakeDir, DiskOp::MakeDir { path: self.dir.clone() }, out);
    }

    pub fn retry_at(&self) -> Option<Mono> {
        self.retry.as_ref().map(|(at, _)| *at)
    }

    pub fn stuck(&self) -> Option<&Stuck> {
        self.stuck.as_ref()
    }

    /// Ask again for what was refused, if it is time.
    pub fn retry(&mut self, now: Mono, asker: &mut Asker, out: &mut Vec<Effect>) {
        let Some((_, refused)) = self.retry.take_if(|(at, _)| *at <= now) else { return };
        self.rounds += 1;
        for what in refused {
            match what {
                Refused::Dir => self.make_dir(asker, out),
                Refused::Open(slot) => self.open(slot, asker, out),
                Refused::Head(slot) => ask_head(&self.slots[&slot], slot, asker, out),
                Refused::Block { at } => self.ask_block(at, asker, out),
            }
        }
    }

    fn refuse(&mut self, what: Refused, fault: Fault, now: Mono) {
        let (at, refused) = self.retry.get_or_insert_with(|| (now, Vec::new()));
        *at = now.plus_ms(RETRY_MS);
        refused.push(what);
        if self.rounds >= ROUNDS_MAX && self.stuck.is_none() {
            let path = |slot| self.slots[&slot].path.clone();
            let place = match (what, self.loading) {
                (Refused::Open(slot) | Refused::Head(slot), _) => path(slot),
                (Refused::Block { at }, Some((slot, _))) => format!("{} at {at}", path(slot)),
                (Refused::Dir | Refused::Block { .. }, _) => self.dir.clone(),
            };
            self.stuck = Some(Stuck::Unreadable(format!("{place}: {fault}")));
        }
    }

    /// Whether a read failed and will be tried again. If not, what failed counts as damaged.
    fn is_refused(&mut self, what: Refused, result: &Result<Done, Failed>, now: Mono) -> bool {
        let Err(failed) = result else { return false };
        let give_up = self.accept_unreadable && self.rounds >= ROUNDS_MAX;
        if !give_up {
            self.refuse(what, failed.fault, now);
        }
        !give_up
    }

    /// True when replay is done: `finish` has the result.
    pub fn on_disk(
        &mut self,
        purpose: Purpose,
        result: Result<Done, Failed>,
        now: Mono,
        asker: &mut Asker,
        out: &mut Vec<Effect>,
    ) -> bool {
        match (purpose, result) {
            (Purpose::MakeDir, Ok(_)) => {
                let parent = self.dir.rsplit_once('/').map_or("", |(parent, _)| parent);
                asker.ask(Purpose::SyncParent, DiskOp::SyncDir { path: parent.to_owned() }, out);
            }
            (Purpose::SyncParent, Ok(_)) => asker.ask(Purpose::List, DiskOp::List { path: self.dir.clone() }, out),
            (Purpose::List, Ok(Done::Listed(entries))) => {
                let numbers = entries.iter().filter(|entry| !entry.is_dir).filter_map(|entry| slot_of(&entry.name));
                let numbers: Vec<u32> = numbers.collect();
                self.left = numbers.len();
                for number in numbers {
                    self.open(number, asker, out);
                }
                return self.when_opened(asker, out);
            }
            (Purpose::Open(number), Ok(Done::Opened { len })) => {
                let slot = self.slots.get_mut(&number).expect("it was asked for");
                slot.len = len - len % BLOCK_BYTES as u64;
                self.left -= 1;
                return self.when_opened(asker, out);
            }
            (Purpose::Open(number), Err(Failed { fault: Fault::NotFound, .. })) => {
                self.slots.remove(&number);
                self.left -= 1;
                return self.when_opened(asker, out);
            }
            (Purpose::Open(number), result) => self.refuse(Refused::Open(number), fault_of(&result), now),
            (Purpose::Head(number), result) => {
                if self.is_refused(Refused::Head(number), &result, now) {
                    return false;
                }
                self.heads.insert(number, read_bytes(result, BLOCK_BYTES));
                self.left -= 1;
                return self.when_heads_are_read(asker, out);
            }
            (Purpose::Chunk { at, bytes }, Err(_)) if bytes > BLOCK_BYTES => {
                self.left -= 1;
                self.ask_blocks(at, bytes, asker, out);
            }
            (Purpose::Chunk { at, bytes }, result) => {
                if self.is_refused(Refused::Block { at }, &result, now) {
                    return false;
                }
                return self.on_chunk(at, bytes, result, asker, out);
            }
            (Purpose::SyncNewest, result) => {
                self.sync_failed = result.is_err();
                return true;
            }
            (Purpose::MakeDir | Purpose::SyncParent | Purpose::List, result) => {
                self.refuse(Refused::Dir, fault_of(&result), now);
            }
            (other, _) => unreachable!("{other:?} is not asked for in recovery"),
        }
        false
    }

    fn open(&mut self, number: u32, asker: &mut Asker, out: &mut Vec<Effect>) {
        let (path, file) = (slot_path(&self.dir, number), asker.file());
        let slot = Slot { path: path.clone(), file, len: 0, state: SlotState::Unready };
        self.slots.insert(number, slot);
        asker.ask(Purpose::Open(number), DiskOp::Open { file, path, mode: OpenMode::Existing }, out);
    }

    fn when_opened(&mut self, asker: &mut Asker, out: &mut Vec<Effect>) -> bool {
        if self.left > 0 {
            return false;
        }
        for (number, slot) in &self.slots {
            if slot.len == 0 {
                self.heads.insert(*number, Vec::new());
                continue;
            }
            self.left += 1;
            ask_head(slot, *number, asker, out);
        }
        self.when_heads_are_read(asker, out)
    }

    fn when_heads_are_read(&mut self, asker: &mut Asker, out: &mut Vec<Effect>) -> bool {
        if self.left > 0 {
            return false;
        }
        let other = self.heads.iter().find_map(|(slot, block)| Some((*slot, Header::other_version(block)?)));
        if let Some((slot, version)) = other {
            // Also for whoever accepts losses: what another program can read is not lost.
            self.stuck = Some(Stuck::OtherFormat { file: self.slots[&slot].path.clone(), version });
            return false;
        }
        let heads = std::mem::take(&mut self.heads).into_iter();
        let heads = heads.map(|(slot, block)| Head { slot, path: self.slots[&slot].path.clone(), block });
        self.replay = Some(Replay::new(heads.collect()));
        self.load_next(asker, out)
    }

    fn load_next(&mut self, asker: &mut Asker, out: &mut Vec<Effect>) -> bool {
        let replay = self.replay.as_mut().expect("replay begins when all heads are read");
        replay.use_kept();
        match replay.next() {
            Next::Load(slot) => {
                let len = usize::try_from(self.slots[&slot].len).expect("ring files fit memory");
                let beginning = (len / BEGINNING).next_multiple_of(BLOCK_BYTES).max(BEGINNING_BYTES_MIN);
                self.image = vec![0; beginning.min(len)];
                self.loading = Some((slot, 0));
                self.ask_chunks(asker, out);
                false
            }
            Next::Done => self.sync_newest(asker, out),
        }
    }

    fn ask_chunks(&mut self, asker: &mut Asker, out: &mut Vec<Effect>) {
        let Some((slot, at)) = &mut self.loading else { return };
        while self.left < CHUNKS_IN_FLIGHT && *at < self.image.len() as u64 {
            let bytes = CHUNK_BYTES.min(self.image.len() - *at as usize);
            let op = DiskOp::Read { file: self.slots[slot].file, at: *at, buf: Blocks::zeroed(bytes) };
            asker.ask(Purpose::Chunk { at: *at, bytes }, op, out);
            *at += bytes as u64;
            self.left += 1;
        }
    }

    fn on_chunk(
        &mut self,
        at: u64,
        bytes: usize,
        result: Result<Done, Failed>,
        asker: &mut Asker,
        out: &mut Vec<Effect>,
    ) -> bool {
        self.left -= 1;
        self.unreadable |= result.is_err();
        let start = usize::try_from(at).expect("ring files fit memory");
        self.image[start..start + bytes].copy_from_slice(&read_bytes(result, bytes));
        self.ask_chunks(asker, out);
        if self.left > 0 {
            return false;
        }
        let replay = self.replay.as_mut().expect("replay asked for it");
        if let Some((slot, _)) = self.loading.take() {
            let len = usize::try_from(self.slots[&slot].len).expect("ring files fit memory");
            if self.image.len() < len && (self.unreadable || !replay.is_enough(&self.image)) {
                self.loading = Some((slot, self.image.len() as u64));
                self.image.resize(len, 0);
                self.ask_chunks(asker, out);
                return false;
            }
        }
        let image = Bytes::from(std::mem::take(&mut self.image));
        let unreadable = std::mem::take(&mut self.unreadable);
        replay.on_image(image, unreadable);
        self.load_next(asker, out)
    }

    /// A chunk cannot be read in one piece: find out which of its blocks cannot be read at all.
    fn ask_blocks(&mut self, at: u64, bytes: usize, asker: &mut Asker, out: &mut Vec<Effect>) {
        for at in (at..at + bytes as u64).step_by(BLOCK_BYTES) {
            self.left += 1;
            self.ask_block(at, asker, out);
        }
    }

    fn ask_block(&self, at: u64, asker: &mut Asker, out: &mut Vec<Effect>) {
        let Some((slot, _)) = self.loading else { return };
        let op = DiskOp::Read { file: self.slots[&slot].file, at, buf: Blocks::zeroed(BLOCK_BYTES) };
        asker.ask(Purpose::Chunk { at, bytes: BLOCK_BYTES }, op, out);
    }

    /// Frames that a killed process left count if they can be read, but are durable only now.
    fn sync_newest(&mut self, asker: &mut Asker, out: &mut Vec<Effect>) -> bool {
        let newest = self.replay.as_ref().and_then(Replay::newest_slot);
        if let Some(slot) = newest {
            asker.ask(Purpose::SyncNewest, DiskOp::Sync { file: self.slots[&slot].file }, out);
        }
        newest.is_none()
    }

    pub fn finish(&mut self) -> (Replay, BTreeMap<u32, Slot>) {
        let replay = self.replay.take().expect("replay is done");
        (replay, std::mem::take(&mut self.slots))
    }
}

fn ask_head(slot: &Slot, number: u32, asker: &mut Asker, out: &mut Vec<Effect>) {
    let buf = Blocks::zeroed(BLOCK_BYTES);
    asker.ask(Purpose::Head(number), DiskOp::Read { file: slot.file, at: 0, buf }, out);
}

/// Why an operation was refused; an answer of another kind than asked for is an I/O error too.
fn fault_of(result: &Result<Done, Failed>) -> Fault {
    const EIO: i32 = 5;
    result.as_ref().map_or_else(|failed| failed.fault, |_| Fault::Io(EIO))
}

/// What was read, `bytes` long. Unreadable bytes are 0xff: neither zeros, as in a fresh file, nor a header.
fn read_bytes(result: Result<Done, Failed>, bytes: usize) -> Vec<u8> {
    let mut read = match result {
        Ok(Done::Read { buf, len }) => buf[..len.min(bytes)].to_vec(),
        Ok(_) | Err(_) => vec![0xff; bytes],
    };
    read.resize(bytes, 0);
    read
}
