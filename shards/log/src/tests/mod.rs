//! A log on a virtual disk, with a journal that is a list of marks.

mod compact;
mod crash;
mod digests;
mod ends;
mod faults;
mod lists;
mod load;
mod lookup;
mod read;
mod retain;
mod roll;
mod settle;

use std::collections::BTreeMap;

use bytes::Bytes;
use heddle_border::{DiskOp, Effect, Event, Work};
use heddle_fakedisk::{Dice, FakeDisk};
use heddle_model::{Mark, Mono, Now, Offset, ReplicaNumber, TailBatch, Term, TopicSettings, Wall};
use heddle_records::{BatchBuilder, Header, batches, set_base_offset, set_leader_epoch};

use crate::{Companion, Found, Identity, LoadFault, Log, Output, ReadFault};

pub const ID: Identity = Identity { owner: 9, replica: ReplicaNumber(77), store: 1 };
pub const DIR: &str = "replicas/77-1";

/// Remembers which batches it was given; a snapshot is all of them, changes are the new ones.
#[derive(Clone, Default, Debug)]
pub struct Seen {
    all: Vec<i64>,
    reported: usize,
}

impl Companion for Seen {
    fn apply(&mut self, header: &Header, batch: &[u8]) {
        assert_eq!(header.total_bytes(), batch.len());
        assert!(self.all.last().is_none_or(|last| *last < header.base_offset.0), "in order, each once");
        self.all.push(header.base_offset.0);
    }

    fn snapshot(&mut self) -> Vec<u8> {
        self.reported = self.all.len();
        to_bytes(&self.all)
    }

    fn changes(&mut self) -> Vec<u8> {
        let from = std::mem::replace(&mut self.reported, self.all.len());
        to_bytes(&self.all[from..])
    }
}

fn to_bytes(offsets: &[i64]) -> Vec<u8> {
    offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect()
}

impl Seen {
    pub fn from_parts(parts: &[Bytes]) -> Seen {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
        let all: Vec<i64> =
            bytes.chunks_exact(8).map(|offset| i64::from_le_bytes(offset.try_into().expect("8"))).collect();
        Seen { reported: all.len(), all }
    }
}

/// A batch of `count` records at `base`, each with `value` bytes and the times `timestamp`, `timestamp + 1`, …
pub fn batch(base: i64, count: i64, value: usize, timestamp: i64) -> TailBatch {
    let mut builder = BatchBuilder::new(timestamp);
    for record in 0..count {
        builder.push(timestamp + record, None, Some(&vec![(base + record) as u8; value]), &[]);
    }
    stamped(&builder, base, count)
}

pub fn stamped(builder: &BatchBuilder, base: i64, count: i64) -> TailBatch {
    let mut bytes = builder.build().to_vec();
    set_base_offset(&mut bytes, Offset(base));
    set_leader_epoch(&mut bytes, Term(3).epoch());
    TailBatch { term: Term(3), base: Offset(base), next: Offset(base + count), bytes: Bytes::from(bytes) }
}

pub fn settings() -> TopicSettings {
    TopicSettings { segment_bytes: 1 << 20, ..TopicSettings::default() }
}

pub struct World {
    pub disk: FakeDisk,
    pub log: Log,
    pub companion: Seen,
    pub settings: TopicSettings,
    pub now: Now,
    /// Everything ever appended and not truncated, by base.
    pub batches: BTreeMap<i64, TailBatch>,
    /// The marks given, oldest first, and how many of them are durable in the journal.
    pub marks: Vec<Mark>,
    pub durable: usize,
    /// Marks become durable as soon as they are given.
    pub auto_mark: bool,
    pub outputs: Vec<Output>,
    /// Reads asked of the disk.
    pub reads: usize,
    pub read_bytes: usize,
    /// Work off the turn that was not done yet.
    pub works: Vec<(u32, Work)>,
    /// Pieces of work that were done.
    pub worked: usize,
    /// Whether work or the disk is done first.
    pub dice: Dice,
}

impl World {
    pub fn new(seed: u64) -> World {
        World {
            disk: FakeDisk::new(seed),
            log: Log::create(ID, Offset(0)),
            companion: Seen::default(),
            settings: settings(),
            now: Now { mono: Mono(1_000_000), wall: Wall(1_000_000) },
            batches: BTreeMap::new(),
            marks: Vec::new(),
            durable: 0,
            auto_mark: true,
            outputs: Vec::new(),
            works: Vec::new(),
            worked: 0,
            dice: Dice::new(!seed),
            reads: 0,
            read_bytes: 0,
        }
    }

    pub fn pass_ms(&mut self, ms: u64) {
        self.now = Now { mono: self.now.mono.plus_ms(ms), wall: Wall(self.now.wall.0 + ms as i64) };
    }

    pub fn append(&mut self, batch: TailBatch) {
        self.batches.insert(batch.base.0, batch.clone());
        self.log.append(batch);
    }

    /// Appends `count` batches of one record with `value` bytes; offset and timestamp are the same number.
    pub fn append_many(&mut self, count: usize, value: usize) {
        for _ in 0..count {
            let end = self.log.end().0;
            self.append(batch(end, 1, value, end));
        }
    }

    pub fn submit(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Disk { token, op } => {
                    assert_eq!(token.owner, ID.owner);
                    if let DiskOp::Read { buf, .. } = &op {
                        (self.reads, self.read_bytes) = (self.reads + 1, self.read_bytes + buf.len());
                    }
                    self.disk.submit(token, op);
                }
                Effect::Work { token, run } => {
                    assert_eq!(token.owner, ID.owner);
                    self.works.push((token.seq, run));
                }
                _ => panic!("a log has effects on the disk, and work, only"),
            }
        }
    }

    /// One completion. False: nothing is under way.
    pub fn step(&mut self) -> bool {
        let (mut effects, mut events) = (Vec::new(), Vec::new());
        let is_work = !self.works.is_empty() && (self.disk.pending() == 0 || self.dice.chance(50));
        if is_work {
            let at = self.dice.below(self.works.len() as u64) as usize;
            let (work, run) = self.works.swap_remove(at);
            self.worked += 1;
            self.log.on_worked(work, Some(run()), &mut effects, &mut events);
        } else {
            let Some(Event::Disk { token, result }) = self.disk.step() else { return false };
            self.log.on_disk(self.now, token.seq, result, &mut effects, &mut events);
        }
        self.submit(effects);
        for event in events {
            if let Output::Settled(mark) = &event {
                assert!(self.marks.last().is_none_or(|last| last.offset <= mark.offset), "marks advance");
                self.marks.push(mark.clone());
                if self.auto_mark {
                    self.journal_marks();
                }
            }
            self.outputs.push(event);
        }
        true
    }

    /// Every mark given becomes durable.
    pub fn journal_marks(&mut self) {
        for mark in &self.marks[self.durable..] {
            self.log.on_marked(mark);
        }
        self.durable = self.marks.len();
    }

    pub fn run(&mut self) {
        while self.step() {}
        assert!(!self.log.busy());
    }

    pub fn settle(&mut self, upto: Offset, force: bool) -> bool {
        let mut effects = Vec::new();
        let World { log, companion, settings, now, .. } = self;
        log.find_segment_ends(*now, settings);
        log.want_digests(settings.cleanup_compact);
        let started = log.settle(*now, upto, force, settings, companion, &mut effects);
        self.submit(effects);
        started
    }

    /// Settles everything there is, through a few failures if need be.
    pub fn settle_all(&mut self) {
        for _ in 0..1000 {
            if !self.settle(self.log.end(), true) {
                return;
            }
            self.run();
        }
        panic!("settling does not come to an end: {:?}", self.outputs.last());
    }

    pub fn mark(&self) -> Option<Mark> {
        self.durable.checked_sub(1).map(|last| self.marks[last].clone())
    }

    /// The process begins anew with this mark; the journal still has every batch beyond it.
    pub fn restart(&mut self, mark: Option<Mark>) {
        self.disk.kill();
        self.works.clear();
        let begin = mark.as_ref().map_or(Offset(0), |mark| mark.offset);
        let tail = self.batches.values().filter(|batch| batch.next > begin).cloned().collect();
        self.log = Log::recover(ID, self.log.start(), mark.clone(), tail);
        self.marks = mark.into_iter().collect();
        self.durable = self.marks.len();
        self.outputs.clear();
        self.companion = Seen::default();
    }

    /// Load, and why that failed, if it did.
    pub fn load_fault(&mut self) -> Option<LoadFault> {
        self.load();
        let outputs = std::mem::take(&mut self.outputs);
        outputs.into_iter().find_map(|output| match output {
            Output::LoadFailed(fault) => Some(fault),
            _ => None,
        })
    }

    /// Loads, and takes the companion as it comes back.
    pub fn load(&mut self) {
        let mut effects = Vec::new();
        self.log.load(&mut effects);
        self.submit(effects);
        self.run();
        for output in std::mem::take(&mut self.outputs) {
            match output {
                Output::Loaded { companion } => self.companion = Seen::from_parts(&companion),
                other => self.outputs.push(other),
            }
        }
    }

    /// Kills the process after everything under way is dropped, and loads again.
    pub fn crash_and_load(&mut self, mark: Option<Mark>) {
        self.disk.crash();
        self.restart(mark);
        self.load();
        assert!(self.log.is_loaded(), "{:?}", self.outputs);
        let settled = self.log.settled();
        let expected: Vec<i64> =
            self.batches.values().filter(|batch| batch.next <= settled).map(|batch| batch.base.0).collect();
        assert_eq!(self.companion.all, expected, "the companion comes back as of the mark");
    }

    pub fn read(
        &mut self,
        from: Offset,
        upto: Offset,
        max: usize,
        at_least_one: bool,
    ) -> Result<Vec<Bytes>, ReadFault> {
        let mut effects = Vec::new();
        let at_once = self.log.read(5, from, upto, max, at_least_one, &mut effects);
        self.submit(effects);
        if let Some(result) = at_once {
            return result;
        }
        self.run();
        let answers: Vec<Output> = std::mem::take(&mut self.outputs);
        let mut found = answers.into_iter().filter_map(|output| match output {
            Output::Read { id: 5, result } => Some(result),
            _ => None,
        });
        let result = found.next().expect("answered once everything is done");
        assert!(found.next().is_none(), "answered once");
        result
    }

    /// Everything from `from` on, in reads of `max` bytes, as whole batches.
    pub fn read_all(&mut self, from: Offset, max: usize) -> Result<Vec<Bytes>, ReadFault> {
        let (mut all, mut at) = (Vec::new(), from);
        while at < self.log.end() {
            let parts = self.read(at, self.log.end(), max, true)?;
            assert!(!parts.is_empty(), "there is something at {at}");
            for part in &parts {
                for batch in batches(part) {
                    let (header, bytes) = batch.expect("whole batches");
                    assert!(header.next_offset() > at, "nothing comes twice");
                    at = header.next_offset();
                    all.push(Bytes::copy_from_slice(bytes));
                }
            }
        }
        Ok(all)
    }

    /// Every batch from the log start on is read as it was appended.
    pub fn check_content(&mut self, max: usize) {
        let start = self.log.start();
        let expected: Vec<Bytes> =
            self.batches.values().filter(|batch| batch.next > start).map(|batch| batch.bytes.clone()).collect();
        let read = self.read_all(start, max).expect("nothing is damaged");
        assert!(read == expected, "{} batches read, {} expected", read.len(), expected.len());
    }

    pub fn drop_cache(&mut self) {
        self.log.evict(usize::MAX);
        assert_eq!(self.log.cached_bytes(), 0);
    }

    pub fn close_idle(&mut self) {
        // The second writes the page of digests that was being filled, and opens its file for that.
        for _ in 0..4 {
            let mut effects = Vec::new();
            self.log.close_idle(&mut effects);
            self.submit(effects);
            self.run();
        }
        assert_eq!(self.disk.open_files(), 0);
    }

    pub fn found(
        &mut self,
        question: impl FnOnce(&mut Log, &mut Vec<Effect>) -> Option<Result<Found, ReadFault>>,
    ) -> Found {
        let mut effects = Vec::new();
        let at_once = question(&mut self.log, &mut effects);
        self.submit(effects);
        if let Some(result) = at_once {
            return result.expect("nothing is damaged");
        }
        self.run();
        let outputs = std::mem::take(&mut self.outputs);
        let mut found = outputs.into_iter().filter_map(|output| match output {
            Output::Found { result, .. } => Some(result),
            _ => None,
        });
        found.next().expect("answered").expect("nothing is damaged")
    }

    /// One round of removal.
    pub fn delete_step(&mut self) -> bool {
        let mut effects = Vec::new();
        let more = self.log.delete_below_start(self.now, &self.settings, &mut effects);
        self.submit(effects);
        self.run();
        more
    }

    /// The segments' files on the disk.
    pub fn logs(&self) -> Vec<String> {
        let paths = self.disk.paths().into_iter().map(|(path, _)| path);
        paths.filter(|path| path.starts_with(DIR) && path.ends_with(".log")).collect()
    }

    pub fn troubles(&self) -> usize {
        self.outputs.iter().filter(|output| matches!(output, Output::Trouble(_))).count()
    }
}
