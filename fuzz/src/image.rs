//! The files of a disk as bytes, damage that an input describes, and the way back to a disk.

use std::collections::BTreeMap;

use heddle_border::{Blocks, DiskOp, FileId, OpenMode, Token};
use heddle_fakedisk::FakeDisk;
use heddle_model::limits::BLOCK_BYTES;

/// Nobody under test has this owner.
const OWNER: u32 = u32::MAX;

/// One file: its bytes up to the last that is not zero, in whole blocks, and its length.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    pub bytes: Vec<u8>,
    pub len: u64,
}

/// Every file by its path; directories follow from them.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    pub files: BTreeMap<String, File>,
}

/// What was done to an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Harm {
    pub acts: usize,
    /// Every act changed bytes within one block of a file, and no more.
    pub rot_only: bool,
}

impl Image {
    pub fn of(disk: &FakeDisk) -> Image {
        let mut files = BTreeMap::new();
        for (path, len) in disk.paths() {
            let Some(len) = len else { continue };
            let mut bytes = disk.content(&path).expect("it was just listed");
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes.truncate(end.next_multiple_of(BLOCK_BYTES));
            files.insert(path, File { bytes, len });
        }
        Image { files }
    }

    /// A disk that holds these files, durably.
    pub fn disk(&self) -> FakeDisk {
        let mut writer = Writer { disk: FakeDisk::new(1), seq: 0 };
        for (path, file) in &self.files {
            writer.make_dirs(path);
            let id = FileId { owner: OWNER, seq: writer.seq };
            writer.act(DiskOp::Open { file: id, path: path.clone(), mode: OpenMode::Create });
            if file.len > 0 {
                writer.act(DiskOp::Prewrite { file: id, from: 0, len: file.len });
            }
            if !file.bytes.is_empty() {
                let mut buf = Blocks::zeroed(file.bytes.len());
                buf.copy_from_slice(&file.bytes);
                writer.act(DiskOp::Write { file: id, at: 0, buf, durable: true });
            }
            writer.act(DiskOp::Close { file: id });
            writer.act(DiskOp::SyncDir { path: parent(path).to_owned() });
        }
        writer.disk
    }

    /// Harm the files as `input` says, until it ends.
    pub fn harm(&mut self, input: &mut &[u8]) -> Harm {
        let mut harm = Harm { acts: 0, rot_only: true };
        while harm.acts < 64
            && let Some(kind) = take(input)
        {
            let Some(rot) = self.act(kind, input) else { break };
            harm.acts += 1;
            harm.rot_only &= rot;
        }
        harm
    }

    /// One act. `None`: the input ends within it. Gives whether it only changed bytes of one block.
    fn act(&mut self, kind: u8, input: &mut &[u8]) -> Option<bool> {
        let path = self.pick(take(input)?)?;
        let file = self.files.get_mut(&path).expect("it was just picked");
        let block = usize::from(take(input)?) % (file.bytes.len() / BLOCK_BYTES + 1);
        match kind % 8 {
            0..=2 => {
                let at = usize::from(take(input)?) | usize::from(take(input)?) << 8;
                let len = usize::from(take(input)?) % 64;
                let (given, rest) = input.split_at_checked(len)?;
                *input = rest;
                let at = at % BLOCK_BYTES;
                let given = &given[..len.min(BLOCK_BYTES - at)];
                file.block(block)[at..at + given.len()].copy_from_slice(given);
            }
            3 => {
                let at = usize::from(take(input)?) | usize::from(take(input)?) << 8;
                let flip = take(input)?;
                file.block(block)[at % BLOCK_BYTES] ^= flip;
            }
            4 => file.block(block).fill(0),
            5 => {
                let from = self.pick(take(input)?)?;
                let at = usize::from(take(input)?) * BLOCK_BYTES;
                let copied = self.files[&from].bytes.get(at..at + BLOCK_BYTES)?.to_vec();
                self.files.get_mut(&path).expect("it was just picked").block(block).copy_from_slice(&copied);
                return Some(false);
            }
            6 => {
                file.bytes.truncate(block * BLOCK_BYTES);
                file.len = (block * BLOCK_BYTES) as u64;
                return Some(false);
            }
            _ => {
                let other = self.pick(take(input)?)?;
                let moved = self.files.remove(&path).expect("it was just picked");
                // With itself: the file is gone.
                if other != path
                    && let Some(there) = self.files.insert(other, moved)
                {
                    self.files.insert(path, there);
                }
                return Some(false);
            }
        }
        // Beyond the end there is nothing to rot.
        let grown = file.bytes.len() as u64 > file.len;
        file.len = file.len.max(file.bytes.len() as u64);
        Some(!grown)
    }

    fn pick(&self, number: u8) -> Option<String> {
        let count = self.files.len();
        self.files.keys().nth(usize::from(number) % count.max(1)).cloned()
    }
}

impl File {
    fn block(&mut self, block: usize) -> &mut [u8] {
        let end = (block + 1) * BLOCK_BYTES;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[block * BLOCK_BYTES..end]
    }
}

/// The next byte of an input.
pub fn take(input: &mut &[u8]) -> Option<u8> {
    let (&byte, rest) = input.split_first()?;
    *input = rest;
    Some(byte)
}

struct Writer {
    disk: FakeDisk,
    seq: u32,
}

impl Writer {
    fn act(&mut self, op: DiskOp) {
        let token = Token { owner: OWNER, seq: self.seq };
        self.seq += 1;
        self.disk.submit(token, op);
        self.disk.complete(token);
    }

    fn make_dirs(&mut self, path: &str) {
        let above = parent(path);
        if !above.is_empty() {
            self.make_dirs(above);
            self.act(DiskOp::MakeDir { path: above.to_owned() });
            self.act(DiskOp::SyncDir { path: parent(above).to_owned() });
        }
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}
