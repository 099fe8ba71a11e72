//! A virtual disk that executes `border::DiskOp` with exactly the promises of its completions, and no more.
//! Owns: files, the directory tree, what of both a crash keeps, planned faults (full disk, I/O errors, bit rot).
//! Invariants: deterministic by seed; a durable write vouches for its own bytes only, a sync for the writes completed
//! before it was asked for, a directory sync for that directory's entries; all else survives a crash sector by sector.
//! Does not know: who asks, or what the bytes mean. Breaking the border's rules (alignment, unknown file) panics.
//! Read first: this file, then `inode.rs` (bytes) and `names.rs` (directories).

mod dice;
mod faults;
mod inode;
mod names;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use heddle_border::{Blocks, DiskOp, Done, Entry, Event, Failed, Fault, FileId, OpenMode, Token};
use heddle_model::limits::BLOCK_BYTES;

pub use dice::Dice;
use faults::Faults;
pub use inode::SECTOR_BYTES;
use inode::{Inode, Mercy};
use names::{Names, Node};

/// What `Space` reports as total while no limit is set. Bytes.
const UNLIMITED_BYTES: u64 = 1 << 40;

#[derive(Clone, Copy, Debug)]
struct Opened {
    inode: u64,
    mode: OpenMode,
    closing: bool,
}

struct Pending {
    token: Token,
    op: DiskOp,
    /// For `Sync`: the file's completion count when it was asked for.
    upto: u64,
}

/// The disk of one node. `clone` copies it with everything under way, so that one state can be crashed in many ways.
#[derive(Clone)]
pub struct FakeDisk {
    dice: Dice,
    names: Names,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    open: BTreeMap<FileId, Opened>,
    pending: Vec<Pending>,
    faults: Faults,
}

impl FakeDisk {
    pub fn new(seed: u64) -> FakeDisk {
        FakeDisk {
            dice: Dice::new(seed),
            names: Names::default(),
            inodes: BTreeMap::new(),
            next_inode: 1,
            open: BTreeMap::new(),
            pending: Vec::new(),
            faults: Faults::default(),
        }
    }

    /// Chance begins anew: what follows depends on this seed and the disk's state only.
    pub fn reseed(&mut self, seed: u64) {
        self.dice = Dice::new(seed);
    }

    /// Take an operation; it completes in some later `step`, or never, if a crash comes first.
    ///
    /// # Panics
    /// If the operation breaks the border's rules.
    pub fn submit(&mut self, token: Token, op: DiskOp) {
        let file = file_of(&op);
        if let Some(file) = file {
            let opened = self.open.get_mut(&file).unwrap_or_else(|| panic!("{file:?} is not open: {op:?}"));
            assert!(!opened.closing, "{file:?} is being closed: {op:?}");
            opened.closing = matches!(op, DiskOp::Close { .. });
        }
        self.check(&op);
        let upto = match (&op, file) {
            (DiskOp::Sync { .. }, Some(file)) => self.inodes[&self.open[&file].inode].completions(),
            _ => 0,
        };
        self.pending.push(Pending { token, op, upto });
    }

    fn check(&self, op: &DiskOp) {
        let (file, at, len, writes) = match op {
            DiskOp::Read { file, at, buf } => (file, *at, buf.len() as u64, false),
            DiskOp::Write { file, at, buf, .. } => (file, *at, buf.len() as u64, true),
            DiskOp::Allocate { file, from, len } | DiskOp::Prewrite { file, from, len } => (file, *from, *len, true),
            DiskOp::Open { file, path, .. } => {
                assert!(!self.open.contains_key(file), "{file:?} is open already: {path}");
                return;
            }
            _ => return,
        };
        assert_eq!(at % BLOCK_BYTES as u64, 0, "{op:?} is not aligned");
        assert_eq!(len % BLOCK_BYTES as u64, 0, "{op:?} is not aligned");
        assert!(!writes || self.open[file].mode != OpenMode::ReadOnly, "{file:?} was opened to read: {op:?}");
    }

    /// How many operations are under way.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The tokens under way, in the order they were submitted.
    pub fn tokens(&self) -> Vec<Token> {
        self.pending.iter().map(|pending| pending.token).collect()
    }

    /// Complete one operation under way, chosen by the seed. `None`: there is none.
    pub fn step(&mut self) -> Option<Event> {
        if self.pending.is_empty() {
            return None;
        }
        let mut at = self.dice.below(self.pending.len() as u64) as usize;
        // A close waits for the file's other operations, all of which came before it.
        if let DiskOp::Close { file } = self.pending[at].op {
            let first = self.pending.iter().position(|other| file_of(&other.op) == Some(file));
            at = first.expect("the close itself is one");
        }
        Some(self.complete_at(at))
    }

    /// Complete the operation with this token.
    ///
    /// # Panics
    /// If it is not under way, or is a close with other operations of its file before it.
    pub fn complete(&mut self, token: Token) -> Event {
        let at = self.pending.iter().position(|pending| pending.token == token);
        let at = at.unwrap_or_else(|| panic!("{token:?} is not under way"));
        if let DiskOp::Close { file } = self.pending[at].op {
            let first = self.pending.iter().position(|other| file_of(&other.op) == Some(file));
            assert_eq!(first, Some(at), "the operations of {file:?} are finished before it is closed");
        }
        self.complete_at(at)
    }

    /// Complete everything under way, in an order chosen by the seed.
    pub fn run_all(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.step()).collect()
    }

    fn complete_at(&mut self, at: usize) -> Event {
        let Pending { token, op, upto } = self.pending.remove(at);
        Event::Disk { token, result: self.execute(op, upto) }
    }

    fn execute(&mut self, op: DiskOp, upto: u64) -> Result<Done, Failed> {
        match op {
            DiskOp::Open { file, path, mode } => self.open(file, &path, mode).map_err(failed),
            DiskOp::Close { file } => {
                self.open.remove(&file).expect("checked when submitted");
                Ok(Done::Finished)
            }
            DiskOp::Read { file, at, buf } => self.read(file, at, buf),
            DiskOp::Write { file, at, buf, durable } => self.write(file, at, buf, durable),
            DiskOp::Sync { file } => {
                if let Some(fault) = self.faults.of_write(&self.path_of(file)) {
                    return Err(failed(fault));
                }
                self.inode_of(file).sync(upto);
                Ok(Done::Finished)
            }
            DiskOp::Allocate { file, from, len } => self.extend(file, from + len).map(|inode| {
                inode.allocate(from + len);
                Done::Finished
            }),
            DiskOp::Prewrite { file, from, len } => self.extend(file, from + len).map(|inode| {
                inode.zero(from, len, true);
                Done::Finished
            }),
            DiskOp::Remove { path } => self.finish(|names| names.remove(&path)),
            DiskOp::RemoveTree { path } => self.finish(|names| {
                names.remove_tree(&path);
                Ok(())
            }),
            DiskOp::Rename { from, to } => self.finish(|names| names.rename(&from, &to)),
            DiskOp::MakeDir { path } => self.finish(|names| match names.get(&path) {
                Some(Node::Dir) => Ok(()),
                _ => names.add(&path, Node::Dir),
            }),
            DiskOp::SyncDir { path } => self.finish(|names| names.sync(&path)),
            DiskOp::List { path } => Ok(Done::Listed(self.list(&path))),
            DiskOp::Space => {
                let total = self.faults.limit.unwrap_or(UNLIMITED_BYTES);
                Ok(Done::Space { total, free: self.free_bytes() })
            }
        }
    }

    fn finish(&mut self, change: impl FnOnce(&mut Names) -> Result<(), Fault>) -> Result<Done, Failed> {
        change(&mut self.names).map_err(failed)?;
        self.forget();
        Ok(Done::Finished)
    }

    fn open(&mut self, file: FileId, path: &str, mode: OpenMode) -> Result<Done, Fault> {
        let inode = match (self.names.get(path), mode) {
            (Some(Node::Dir), _) | (Some(Node::File(_)), OpenMode::Create) => return Err(Fault::AlreadyExists),
            (Some(Node::File(inode)), _) => inode,
            (None, OpenMode::Create) => {
                let inode = self.next_inode;
                self.names.add(path, Node::File(inode))?;
                self.next_inode += 1;
                self.inodes.insert(inode, Inode::default());
                inode
            }
            (None, _) => return Err(Fault::NotFound),
        };
        assert!(!self.open.contains_key(&file), "{file:?} was opened twice");
        self.open.insert(file, Opened { inode, mode, closing: false });
        Ok(Done::Opened { len: self.inodes[&inode].len() })
    }

    fn read(&mut self, file: FileId, at: u64, mut buf: Blocks) -> Result<Done, Failed> {
        if let Some(fault) = self.faults.of_read(&self.path_of(file)) {
            return Err(Failed { fault, buf: Some(buf) });
        }
        let len = self.inode_of(file).read(at, &mut buf);
        Ok(Done::Read { buf, len })
    }

    fn write(&mut self, file: FileId, at: u64, buf: Blocks, durable: bool) -> Result<Done, Failed> {
        if let Some(fault) = self.faults.of_write(&self.path_of(file)) {
            let mercy = Mercy::roll(&mut self.dice);
            let inode = self.inodes.get_mut(&self.open[&file].inode).expect("open files have an inode");
            inode.write_torn(at, &buf, mercy, &mut self.dice);
            return Err(Failed { fault, buf: Some(buf) });
        }
        match self.extend(file, at + buf.len() as u64) {
            Ok(inode) => inode.write(at, &buf, durable),
            Err(Failed { fault, .. }) => return Err(Failed { fault, buf: Some(buf) }),
        }
        Ok(Done::Written { buf })
    }

    /// The file, if it fails no writes and there is room for it to be `end` bytes long.
    fn extend(&mut self, file: FileId, end: u64) -> Result<&mut Inode, Failed> {
        let len = self.inode_of(file).len();
        if end > len {
            let growth = end - len;
            if self.faults.limit.is_some_and(|limit| self.used_bytes() + growth > limit) {
                return Err(failed(Fault::NoSpace));
            }
        }
        Ok(self.inode_of(file))
    }

    fn list(&self, path: &str) -> Vec<Entry> {
        let entries = self.names.children(path).map(|(name, node)| match node {
            Node::Dir => Entry { name: name.to_owned(), len: 0, is_dir: true },
            Node::File(inode) => Entry { name: name.to_owned(), len: self.inodes[&inode].len(), is_dir: false },
        });
        entries.collect()
    }

    fn inode_of(&mut self, file: FileId) -> &mut Inode {
        self.inodes.get_mut(&self.open[&file].inode).expect("open files have an inode")
    }

    /// The name by which fault plans know an open file; empty if it was removed meanwhile.
    fn path_of(&self, file: FileId) -> String {
        let inode = self.open[&file].inode;
        self.names.all().find(|(_, node)| *node == Node::File(inode)).map_or(String::new(), |(path, _)| path.to_owned())
    }

    /// Drop files that have no name left, not even after a crash, and that nobody has open.
    fn forget(&mut self) {
        let mut used: BTreeSet<u64> = self.names.files().collect();
        used.extend(self.open.values().map(|opened| opened.inode));
        self.inodes.retain(|inode, _| used.contains(inode));
    }

    /// The power fails. What was durable for certain stays. Of writes under way, or completed with nobody vouching for
    /// them, any 512-byte sectors stay; of names not synced, any; of lengths, any. Nothing is open or under way after.
    pub fn crash(&mut self) {
        let (bytes, names) = (Mercy::roll(&mut self.dice), Mercy::roll(&mut self.dice));
        self.crash_with(bytes, names);
    }

    /// The power fails, and nothing survives that was not vouched for.
    pub fn crash_hard(&mut self) {
        self.crash_with(Mercy::Nothing, Mercy::Nothing);
    }

    /// The power fails; of each write under way exactly the first `sectors` sectors stay, all else is as in `crash_hard`.
    /// For tearing one write at every place.
    pub fn crash_torn(&mut self, sectors: usize) {
        for pending in &mut self.pending {
            let DiskOp::Write { file, at, buf, .. } = &pending.op else { continue };
            let inode = self.inodes.get_mut(&self.open[file].inode).expect("open files have an inode");
            inode.write_head(*at, buf, sectors * SECTOR_BYTES);
        }
        self.pending.clear();
        self.crash_hard();
    }

    fn crash_with(&mut self, bytes: Mercy, names: Mercy) {
        self.land_pending(false);
        self.names.crash(names, &mut self.dice);
        for inode in self.inodes.values_mut() {
            inode.crash(bytes, &mut self.dice);
        }
        self.open.clear();
        self.forget();
    }

    /// The process is killed, the machine goes on: all that completed stays, what was under way happened or did not,
    /// writes in any part.
    pub fn kill(&mut self) {
        self.land_pending(true);
        self.open.clear();
        self.forget();
    }

    /// Operations under way leave their possible traces as changes that nobody vouched for.
    fn land_pending(&mut self, torn: bool) {
        for Pending { op, .. } in std::mem::take(&mut self.pending) {
            let mercy = if torn { Mercy::roll(&mut self.dice) } else { Mercy::Everything };
            match op {
                DiskOp::Write { file, at, buf, .. } => {
                    let inode = self.inodes.get_mut(&self.open[&file].inode).expect("open files have an inode");
                    if mercy.keeps(&mut self.dice) {
                        inode.allocate(at + buf.len() as u64);
                    }
                    inode.write_torn(at, &buf, mercy, &mut self.dice);
                }
                DiskOp::Prewrite { file, from, len } => {
                    if let Ok(inode) = self.extend(file, from + len) {
                        inode.zero(from, len, false);
                    }
                }
                // A read changes nothing, and a sync that did not complete promises nothing.
                DiskOp::Read { .. } | DiskOp::Sync { .. } | DiskOp::SyncDir { .. } | DiskOp::Close { .. } => {}
                DiskOp::List { .. } | DiskOp::Space => {}
                other => {
                    if self.dice.chance(50) {
                        // Its answer is lost with the process, good or bad.
                        drop(self.execute(other, 0));
                    }
                }
            }
        }
    }

    /// All files together may take this many bytes from now on; more is `NoSpace`. `u64::MAX`: no limit.
    pub fn fill(&mut self, limit_bytes: u64) {
        self.faults.limit = (limit_bytes != u64::MAX).then_some(limit_bytes);
    }

    /// Every write and sync to files whose path begins so fails with EIO, leaving any part of its bytes.
    pub fn fail_writes(&mut self, path_prefix: &str) {
        self.faults.fail_writes(path_prefix, None);
    }

    /// As `fail_writes`, but only for the next `times` operations.
    pub fn fail_writes_times(&mut self, path_prefix: &str, times: u32) {
        self.faults.fail_writes(path_prefix, Some(times));
    }

    /// Every read from files whose path begins so fails with EIO.
    pub fn fail_reads(&mut self, path_prefix: &str) {
        self.faults.fail_reads(path_prefix, None);
    }

    /// As `fail_reads`, but only for the next `times` operations.
    pub fn fail_reads_times(&mut self, path_prefix: &str, times: u32) {
        self.faults.fail_reads(path_prefix, Some(times));
    }

    /// Forget all planned faults, the limit included. What is corrupt stays so.
    pub fn heal(&mut self) {
        self.faults.heal();
    }

    /// Bit rot: flip all bits of a range of a file.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn corrupt(&mut self, path: &str, at: u64, len: u64) {
        let Some(Node::File(inode)) = self.names.get(path) else { panic!("no file {path}") };
        self.inodes.get_mut(&inode).expect("names have inodes").rot(at, len);
    }

    /// Whole blocks of a file read as zeros from now on: the device has forgotten them.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn blank(&mut self, path: &str, at: u64, len: u64) {
        let Some(Node::File(inode)) = self.names.get(path) else { panic!("no file {path}") };
        self.inodes.get_mut(&inode).expect("names have inodes").zero(at, len, true);
    }

    /// Bytes by which all files together may still grow.
    pub fn free_bytes(&self) -> u64 {
        self.faults.limit.unwrap_or(UNLIMITED_BYTES).saturating_sub(self.used_bytes())
    }

    /// Bytes all files take that have a name or are open.
    pub fn used_bytes(&self) -> u64 {
        let named = self.names.all().filter_map(|(_, node)| match node {
            Node::File(inode) => Some(inode),
            Node::Dir => None,
        });
        let mut used: BTreeSet<u64> = named.collect();
        used.extend(self.open.values().map(|opened| opened.inode));
        used.iter().map(|inode| self.inodes[inode].len()).sum()
    }

    /// Every path there is: files with their length, directories with `None`.
    pub fn paths(&self) -> Vec<(String, Option<u64>)> {
        let paths = self.names.all().map(|(path, node)| match node {
            Node::Dir => (path.to_owned(), None),
            Node::File(inode) => (path.to_owned(), Some(self.inodes[&inode].len())),
        });
        paths.collect()
    }

    /// What readers of the file would see, `None` if there is no such file.
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        let Some(Node::File(inode)) = self.names.get(path) else { return None };
        let inode = &self.inodes[&inode];
        let mut bytes = vec![0; usize::try_from(inode.len()).expect("test files fit memory")];
        inode.read(0, &mut bytes);
        Some(bytes)
    }

    /// How many files are open, to find leaks.
    pub fn open_files(&self) -> usize {
        self.open.len()
    }
}

impl Clone for Pending {
    fn clone(&self) -> Pending {
        Pending { token: self.token, op: copy(&self.op), upto: self.upto }
    }
}

fn failed(fault: Fault) -> Failed {
    Failed { fault, buf: None }
}

fn file_of(op: &DiskOp) -> Option<FileId> {
    match op {
        DiskOp::Close { file }
        | DiskOp::Read { file, .. }
        | DiskOp::Write { file, .. }
        | DiskOp::Sync { file }
        | DiskOp::Allocate { file, .. }
        | DiskOp::Prewrite { file, .. } => Some(*file),
        _ => None,
    }
}

fn copy(op: &DiskOp) -> DiskOp {
    match op {
        DiskOp::Open { file, path, mode } => DiskOp::Open { file: *file, path: path.clone(), mode: *mode },
        DiskOp::Close { file } => DiskOp::Close { file: *file },
        DiskOp::Read { file, at, buf } => DiskOp::Read { file: *file, at: *at, buf: Blocks::zeroed(buf.len()) },
        DiskOp::Write { file, at, buf, durable } => {
            let mut again = Blocks::zeroed(buf.len());
            again.copy_from_slice(buf);
            DiskOp::Write { file: *file, at: *at, buf: again, durable: *durable }
        }
        DiskOp::Sync { file } => DiskOp::Sync { file: *file },
        DiskOp::Allocate { file, from, len } => DiskOp::Allocate { file: *file, from: *from, len: *len },
        DiskOp::Prewrite { file, from, len } => DiskOp::Prewrite { file: *file, from: *from, len: *len },
        DiskOp::Remove { path } => DiskOp::Remove { path: path.clone() },
        DiskOp::RemoveTree { path } => DiskOp::RemoveTree { path: path.clone() },
        DiskOp::Rename { from, to } => DiskOp::Rename { from: from.clone(), to: to.clone() },
        DiskOp::MakeDir { path } => DiskOp::MakeDir { path: path.clone() },
        DiskOp::SyncDir { path } => DiskOp::SyncDir { path: path.clone() },
        DiskOp::List { path } => DiskOp::List { path: path.clone() },
        DiskOp::Space => DiskOp::Space,
    }
}
