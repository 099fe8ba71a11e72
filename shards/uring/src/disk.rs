//! Disk operations of one core: reads, writes and syncs in the ring, everything else handed to the cold queue. How
//! writes become durable stands in `flush.rs`.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use heddle_border::{Blocks, DiskOp, Done, Event, Failed, Fault, FileId, Token};
use heddle_model::Mono;
use heddle_model::limits::BLOCK_BYTES;
use io_uring::{opcode, squeue, types};
use nix::libc;
use nix::sys::eventfd::EventFd;
use rustc_hash::FxHashMap;
use slab::Slab;

use crate::clock::Clock;
use crate::cold::{self, Cold, Gave, Opened, Outcome};
use crate::fault;
use crate::flush::{Durability, Flush, Flushes};
use crate::path::{resolve, resolve_dir};
use crate::reads::{Device, Reads};
use crate::ring::{Completion, Kind, Ring};
use crate::stats::Counters;
use crate::trace::Trace;

/// The kernel moves at most this much at once (MAX_RW_COUNT, rounded down). Bytes.
const STEP_BYTES: usize = 1 << 30;

pub(crate) struct OpenFile {
    pub(crate) file: Arc<File>,
    pub(crate) path: String,
    direct: bool,
    /// Operations under way.
    busy: u32,
    pub(crate) flushes: Flushes,
    closing: Option<Token>,
}

enum Work {
    Read { buf: Blocks },
    Write { buf: Blocks, durable: Option<Durability> },
    Sync,
}

/// An operation in the ring.
struct Op {
    token: Token,
    file: FileId,
    at: u64,
    /// Bytes done so far.
    done: usize,
    /// Bytes that the ring was asked for last.
    asked: usize,
    work: Work,
    begun: Mono,
    trace: u64,
}

pub(crate) struct Disk {
    root: PathBuf,
    pub(crate) files: FxHashMap<FileId, OpenFile>,
    ops: Slab<Op>,
    reads: Reads,
    durability: Durability,
    pub(crate) flushes: Slab<Flush>,
    /// Emptied lists of the operations that a flush covered.
    pub(crate) spare_covers: Vec<Vec<usize>>,
    cold: Cold,
    pub(crate) trace: Option<Arc<Trace>>,
    warned: bool,
    warning: Option<String>,
}

/// What a step of the disk needs beside its own state.
pub(crate) struct Step<'a> {
    pub(crate) ring: &'a mut Ring,
    pub(crate) events: &'a mut VecDeque<Event>,
    pub(crate) counters: &'a Counters,
    pub(crate) clock: Clock,
}

impl Step<'_> {
    fn answer(&mut self, token: Token, result: Result<Done, Failed>) {
        self.events.push_back(Event::Disk { token, result });
    }

    fn refuse(&mut self, token: Token, fault: Fault, buf: Option<Blocks>) {
        self.answer(token, Err(Failed { fault, buf }));
    }
}

impl Disk {
    /// To be called on the executor that runs the loop, which awaits `bridge` while `cold_under_way`.
    pub(crate) fn new(
        root: PathBuf,
        durability: Durability,
        device: Arc<Device>,
        bridge: Rc<EventFd>,
        trace: Option<Arc<Trace>>,
    ) -> Disk {
        Disk {
            root,
            durability,
            files: FxHashMap::default(),
            ops: Slab::new(),
            flushes: Slab::new(),
            spare_covers: Vec::new(),
            reads: Reads::new(device),
            cold: Cold::new(bridge),
            trace,
            warned: false,
            warning: None,
        }
    }

    pub(crate) fn submit(&mut self, token: Token, op: DiskOp, step: &mut Step<'_>) {
        match op {
            DiskOp::Read { file, at, buf } => self.start(token, file, at, Work::Read { buf }, step),
            DiskOp::Write { file, at, buf, durable } => {
                let durable = durable.then(|| self.durability_of(file));
                self.start(token, file, at, Work::Write { buf, durable }, step);
            }
            DiskOp::Sync { file } => self.start(token, file, 0, Work::Sync, step),
            DiskOp::Close { file } => self.close(token, file, step),
            DiskOp::Allocate { file, from, len } => {
                let traced = self.trace_range("allocate", file, from, len);
                if let Some(open) = self.lend(token, file, step) {
                    self.cold.run(token, Some(file), traced, move || cold::allocate(&open, from, len));
                }
            }
            DiskOp::Prewrite { file, from, len } => {
                let traced = self.trace_range("prewrite", file, from, len);
                if let Some(open) = self.lend(token, file, step) {
                    self.cold.prewrite(token, file, traced, open, from, len);
                }
            }
            other => {
                step.counters.cold.add(1);
                if let Err(fault) = self.submit_path(token, other) {
                    step.refuse(token, fault, None);
                }
            }
        }
    }

    /// Operations that name a path.
    fn submit_path(&mut self, token: Token, op: DiskOp) -> Result<(), Fault> {
        let root = &self.root;
        let finished = |done: io::Result<()>| done.map(|()| Gave::Done(Done::Finished));
        match op {
            DiskOp::Open { file, path, mode } => {
                let full = resolve(root, &path)?;
                let traced = self.trace(|| format!("open {mode:?} {path}"));
                self.cold.run(token, None, traced, move || {
                    cold::open(&full, path, mode).map(|opened| Gave::Opened { file, opened })
                });
            }
            DiskOp::Remove { path } => {
                let full = resolve(root, &path)?;
                let traced = self.trace(|| format!("remove {path}"));
                self.cold.remove_file(token, traced, full);
            }
            DiskOp::RemoveTree { path } => {
                let full = resolve(root, &path)?;
                let traced = self.trace(|| format!("remove-tree {path}"));
                self.cold.remove_tree(token, traced, full);
            }
            DiskOp::Rename { from, to } => {
                let (full_from, full_to) = (resolve(root, &from)?, resolve(root, &to)?);
                let traced = self.trace(|| format!("rename {from} {to}"));
                self.cold.run(token, None, traced, move || finished(std::fs::rename(full_from, full_to)));
            }
            DiskOp::MakeDir { path } => {
                let full = resolve_dir(root, &path)?;
                let traced = self.trace(|| format!("make-dir {path}"));
                self.cold.run(token, None, traced, move || cold::make_dir(&full));
            }
            DiskOp::SyncDir { path } => {
                let full = resolve_dir(root, &path)?;
                let traced = self.trace(|| format!("sync-dir {path}"));
                self.cold.run(token, None, traced, move || cold::sync_dir(&full));
            }
            DiskOp::List { path } => {
                let full = resolve_dir(root, &path)?;
                self.cold.run(token, None, 0, move || cold::list(&full));
            }
            DiskOp::Space => {
                let full = root.clone();
                self.cold.run(token, None, 0, move || cold::space(&full));
            }
            DiskOp::Read { .. }
            | DiskOp::Write { .. }
            | DiskOp::Sync { .. }
            | DiskOp::Close { .. }
            | DiskOp::Allocate { .. }
            | DiskOp::Prewrite { .. } => unreachable!("these name a file"),
        }
        Ok(())
    }

    /// A read, write or sync in the ring.
    fn start(&mut self, token: Token, file: FileId, at: u64, work: Work, step: &mut Step<'_>) {
        let Some(open) = self.files.get_mut(&file).filter(|open| open.closing.is_none()) else {
            return step.refuse(token, Fault::Io(libc::EBADF), work.into_buf());
        };
        open.busy += 1;
        let trace = match (&self.trace, &work) {
            (Some(trace), Work::Write { buf, durable }) => {
                // What the kernel is told, not what was asked for: a flag that is forgotten must show.
                let synced = write_flags(*durable) & libc::RWF_DSYNC != 0;
                trace.start_write(&open.path, at, buf, synced)
            }
            (Some(trace), Work::Sync) => trace.start(&format!("sync {}", open.path)),
            _ => 0,
        };
        match &work {
            Work::Read { .. } => step.counters.disk_reads.add(1),
            Work::Write { .. } => step.counters.disk_writes.add(1),
            Work::Sync => step.counters.disk_syncs.add(1),
        }
        let (begun, is_read) = (step.clock.mono(), matches!(work, Work::Read { .. }));
        if matches!(work, Work::Write { durable: Some(_), .. }) {
            let heard = step.counters.received_bytes.get() + step.counters.mail_in.get();
            self.reads.on_durable_write(begun, heard);
        }
        let slot = self.ops.insert(Op { token, file, at, done: 0, asked: 0, work, begun, trace });
        if is_read {
            self.reads.wait(slot);
            self.push_reads(step);
        } else {
            self.push(slot, STEP_BYTES, step);
        }
    }

    /// As many of the reads that wait as may be under way at once.
    fn push_reads(&mut self, step: &mut Step<'_>) {
        while let Some((slot, bytes)) = self.reads.next(step.clock.mono(), |slot| self.ops[slot].rest()) {
            self.push(slot, bytes, step);
        }
    }

    /// Buffered files keep the flag: a failed write-back is told to one flush only, and it may be another's.
    fn durability_of(&self, file: FileId) -> Durability {
        if self.files.get(&file).is_some_and(|open| open.direct) { self.durability } else { Durability::Flag }
    }

    /// Ask the ring for the next bytes of an operation, at most so many.
    fn push(&mut self, slot: usize, most: usize, step: &mut Step<'_>) {
        let op = &mut self.ops[slot];
        op.asked = op.rest().min(most);
        let fd = types::Fd(self.files[&op.file].file.as_raw_fd());
        // SAFETY: the buffer's memory does not move with `op` and is kept until the completion; the file stays open
        // as it is busy. The core waits for all completions before it ends.
        unsafe { step.ring.push(op.entry(fd).user_data(Kind::Disk.data(slot as u32))) };
    }

    pub(crate) fn on_done(&mut self, done: Completion, step: &mut Step<'_>) {
        let slot = done.slot as usize;
        let op = &mut self.ops[slot];
        let direct = self.files[&op.file].direct;
        match op.on_result(done.result, direct, step.counters) {
            Progress::More if matches!(op.work, Work::Read { .. }) => {
                self.reads.on_piece(slot, op.asked);
                self.push_reads(step);
            }
            Progress::More => self.push(slot, STEP_BYTES, step),
            Progress::Over(result) => {
                let (file, trace) = (op.file, op.trace);
                if matches!(op.work, Work::Read { .. }) {
                    self.reads.on_end(op.asked);
                }
                let flushed = matches!(op.work, Work::Write { durable: Some(Durability::Flush), .. });
                self.trace_end(trace, result.is_ok());
                if flushed && result.is_ok() {
                    self.on_written(slot, file, step);
                } else {
                    self.end(slot, result, step);
                }
                self.push_reads(step);
            }
        }
    }

    /// An operation is over, and durable if it was to be.
    pub(crate) fn end(&mut self, slot: usize, result: Result<(), Fault>, step: &mut Step<'_>) {
        let Op { token, file, done, work, begun, .. } = self.ops.remove(slot);
        if matches!(work, Work::Write { durable: Some(_), .. } | Work::Sync) {
            step.counters.syncs.record(step.clock.mono().since_us(begun));
        }
        step.answer(token, work.into_answer(result, done));
        self.release(file);
    }

    pub(crate) fn cold_under_way(&self) -> bool {
        self.cold.under_way() > 0
    }

    /// Answer the cold work that ended.
    pub(crate) fn take_cold(&mut self, outcomes: &mut Vec<Outcome>, step: &mut Step<'_>) {
        self.cold.take(outcomes);
        for Outcome { token, file, result, trace } in outcomes.drain(..) {
            self.trace_end(trace, result.is_ok());
            let result = match result {
                Ok(Gave::Opened { file, opened }) => Ok(self.on_opened(file, opened)),
                Ok(Gave::Done(done)) => Ok(done),
                Err(e) => Err(fault::failed(&e)),
            };
            step.answer(token, result);
            if let Some(file) = file {
                self.release(file);
            }
        }
    }

    /// The core is to end.
    pub(crate) fn hurry(&self) {
        self.cold.hurry();
    }

    /// What a person should know, once.
    pub(crate) fn take_warning(&mut self) -> Option<String> {
        self.warning.take()
    }

    /// The kernel and the cold threads hold nothing of this core.
    pub(crate) fn is_idle(&self) -> bool {
        self.ops.is_empty() && !self.cold_under_way()
    }

    fn on_opened(&mut self, id: FileId, opened: Opened) -> Done {
        let Opened { file, direct, len, path } = opened;
        if !direct && !self.warned {
            self.warned = true;
            self.warning = Some(format!("{} takes no direct I/O: files are buffered there", self.root.display()));
        }
        let old =
            self.files.insert(id, OpenFile { file, path, direct, busy: 0, flushes: Flushes::default(), closing: None });
        assert!(old.is_none(), "a file id is used once");
        Done::Opened { len }
    }

    fn close(&mut self, token: Token, file: FileId, step: &mut Step<'_>) {
        match self.files.get_mut(&file).filter(|open| open.closing.is_none()) {
            None => step.refuse(token, Fault::Io(libc::EBADF), None),
            Some(open) => {
                open.closing = Some(token);
                open.busy += 1;
                self.release(file);
            }
        }
    }

    /// The open file, which is busy until the cold work on it is answered.
    fn lend(&mut self, token: Token, file: FileId, step: &mut Step<'_>) -> Option<Arc<File>> {
        step.counters.cold.add(1);
        match self.files.get_mut(&file).filter(|open| open.closing.is_none()) {
            None => {
                step.refuse(token, Fault::Io(libc::EBADF), None);
                None
            }
            Some(open) => {
                open.busy += 1;
                Some(open.file.clone())
            }
        }
    }

    /// An operation on `file` ended; a file that waits to be closed closes with its last.
    fn release(&mut self, file: FileId) {
        let open = self.files.get_mut(&file).expect("a busy file is open");
        open.busy -= 1;
        if let (0, Some(token)) = (open.busy, open.closing)
            && let Some(open) = self.files.remove(&file)
        {
            // Closing the last name of a large removed file takes long.
            self.cold.run(token, None, 0, move || {
                drop(open.file);
                Ok(Gave::Done(Done::Finished))
            });
        }
    }

    fn trace(&self, what: impl FnOnce() -> String) -> u64 {
        self.trace.as_ref().map_or(0, |trace| trace.start(&what()))
    }

    fn trace_range(&self, what: &str, file: FileId, from: u64, len: u64) -> u64 {
        match self.files.get(&file) {
            Some(open) if open.closing.is_none() => self.trace(|| format!("{what} {} {from} {len}", open.path)),
            _ => 0,
        }
    }

    pub(crate) fn trace_end(&self, number: u64, ok: bool) {
        if let Some(trace) = self.trace.as_ref().filter(|_| number > 0) {
            trace.end(number, ok);
        }
    }
}

fn write_flags(durable: Option<Durability>) -> i32 {
    if durable == Some(Durability::Flag) { libc::RWF_DSYNC } else { 0 }
}

enum Progress {
    More,
    Over(Result<(), Fault>),
}

impl Op {
    /// Bytes that are not done yet, as far as one step of the kernel goes.
    fn rest(&self) -> usize {
        match &self.work {
            Work::Read { buf } | Work::Write { buf, .. } => (buf.len() - self.done).min(STEP_BYTES),
            Work::Sync => 0,
        }
    }

    fn entry(&mut self, fd: types::Fd) -> squeue::Entry {
        let at = self.at + self.done as u64;
        let bytes = self.asked as u32;
        match &mut self.work {
            Work::Read { buf } => opcode::Read::new(fd, buf[self.done..].as_mut_ptr(), bytes).offset(at).build(),
            Work::Write { buf, durable } => opcode::Write::new(fd, buf[self.done..].as_ptr(), bytes)
                .offset(at)
                .rw_flags(write_flags(*durable))
                .build(),
            Work::Sync => opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC).build(),
        }
    }

    fn on_result(&mut self, result: i32, direct: bool, counters: &Counters) -> Progress {
        if result < 0 {
            // A sync that failed is not tried again: the kernel may have dropped what it could not write.
            let again = fault::is_again(result) && !matches!(self.work, Work::Sync);
            return if again { Progress::More } else { Progress::Over(Err(fault::from_errno(-result))) };
        }
        let moved = result as usize;
        let len = match &self.work {
            Work::Read { buf } => {
                counters.disk_read_bytes.add(moved as u64);
                // A direct read that stops within a block, or any that gives nothing, met the end of the file.
                if moved == 0 || (direct && !moved.is_multiple_of(BLOCK_BYTES)) {
                    self.done += moved;
                    return Progress::Over(Ok(()));
                }
                buf.len()
            }
            Work::Write { buf, .. } => {
                counters.disk_written_bytes.add(moved as u64);
                if moved == 0 && !buf.is_empty() {
                    return Progress::Over(Err(Fault::Io(libc::EIO)));
                }
                buf.len()
            }
            Work::Sync => return Progress::Over(Ok(())),
        };
        let before = self.done;
        self.done += moved;
        if self.done >= len {
            return Progress::Over(Ok(()));
        }
        if direct && matches!(self.work, Work::Write { .. }) {
            // Direct writes go on at a block; what of it is written is written again.
            self.done -= self.done % BLOCK_BYTES;
            if self.done <= before {
                return Progress::Over(Err(Fault::Io(libc::EIO)));
            }
        }
        Progress::More
    }
}

impl Work {
    fn into_buf(self) -> Option<Blocks> {
        match self {
            Work::Read { buf } | Work::Write { buf, .. } => Some(buf),
            Work::Sync => None,
        }
    }

    fn into_answer(self, result: Result<(), Fault>, done: usize) -> Result<Done, Failed> {
        match (result, self) {
            (Err(fault), work) => Err(Failed { fault, buf: work.into_buf() }),
            (Ok(()), Work::Read { buf }) => Ok(Done::Read { buf, len: done }),
            (Ok(()), Work::Write { buf, .. }) => Ok(Done::Written { buf }),
            (Ok(()), Work::Sync) => Ok(Done::Finished),
        }
    }
}
