//! Recovery's reading: directory, first blocks, and whatever files replay asks for, in large chunks.

use std::collections::BTreeMap;

use bytes::Bytes;
use heddle_border::{Blocks, DiskOp, Done, Effect, Failed, Fault, OpenMode};
use heddle_model::Mono;
use heddle_model::limits::BLOCK_BYTES;

use crate::asker::{Asker, Purpose};
use crate::replay::{Head, Next, Replay};
use crate::ring::{RETRY_MS, Slot, SlotState, slot_of, slot_path};

/// How a file is read: so many bytes at once, so many reads under way.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;
const CHUNKS_IN_FLIGHT: usize = 4;
/// The part of a file that is read before asking whether that is enough.
const BEGINNING: usize = 64;

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
    /// What the world refused is asked again at this time: files, or all from the beginning.
    retry: Option<(Mono, Vec<u32>)>,
    /// The newest file could not be synced: what it says may vanish with the power.
    pub sync_failed: bool,
}

impl Recovery {
    pub fn begin(dir: &str, asker: &mut Asker, out: &mut Vec<Effect>) -> Recovery {
        let recovery = Recovery {
            dir: dir.to_owned(),
            slots: BTreeMap::new(),
            heads: BTreeMap::new(),
            left: 0,
            image: Vec::new(),
            unreadable: false,
            loading: None,
            replay: None,
            retry: None,
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

    /// Ask again for what was refused, if it is time.
    pub fn retry(&mut self, now: Mono, asker: &mut Asker, out: &mut Vec<Effect>) {
        let Some((_, slots)) = self.retry.take_if(|(at, _)| *at <= now) else { return };
        if slots.is_empty() {
            self.make_dir(asker, out);
        }
        for slot in slots {
            self.open(slot, asker, out);
        }
    }

    fn refuse(&mut self, slot: Option<u32>, now: Mono) {
        let (at, slots) = self.retry.get_or_insert_with(|| (now, Vec::new()));
        *at = now.plus_ms(RETRY_MS);
        slots.extend(slot);
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
            (Purpose::Open(number), _) => self.refuse(Some(number), now),
            (Purpose::Head(number), result) => {
                self.heads.insert(number, read_bytes(result, BLOCK_BYTES));
                self.left -= 1;
                return self.when_heads_are_read(asker, out);
            }
            (Purpose::Chunk { at, bytes }, result) => return self.on_chunk(at, bytes, result, asker, out),
            (Purpose::SyncNewest, result) => {
                self.sync_failed = result.is_err();
                return true;
            }
            (Purpose::MakeDir | Purpose::SyncParent | Purpose::List, _) => self.refuse(None, now),
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
            let buf = Blocks::zeroed(BLOCK_BYTES);
            asker.ask(Purpose::Head(*number), DiskOp::Read { file: slot.file, at: 0, buf }, out);
        }
        self.when_heads_are_read(asker, out)
    }

    fn when_heads_are_read(&mut self, asker: &mut Asker, out: &mut Vec<Effect>) -> bool {
        if self.left > 0 {
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
                self.image = vec![0; (len / BEGINNING).next_multiple_of(BLOCK_BYTES)];
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
        if result.is_err() && bytes > BLOCK_BYTES {
            self.ask_blocks(at, bytes, asker, out);
            return false;
        }
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
        let Some((slot, _)) = self.loading else { return };
        for at in (at..at + bytes as u64).step_by(BLOCK_BYTES) {
            let op = DiskOp::Read { file: self.slots[&slot].file, at, buf: Blocks::zeroed(BLOCK_BYTES) };
            asker.ask(Purpose::Chunk { at, bytes: BLOCK_BYTES }, op, out);
            self.left += 1;
        }
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

/// What was read, `bytes` long. Unreadable bytes are 0xff: neither zeros, as in a fresh file, nor a header.
fn read_bytes(result: Result<Done, Failed>, bytes: usize) -> Vec<u8> {
    let mut read = match result {
        Ok(Done::Read { buf, len }) => buf[..len.min(bytes)].to_vec(),
        Ok(_) | Err(_) => vec![0xff; bytes],
    };
    read.resize(bytes, 0);
    read
}
