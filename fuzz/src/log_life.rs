//! A partition's log on a virtual disk, from one start to the next, and histories of logs to begin with.

use std::collections::BTreeSet;

use bytes::Bytes;
use heddle_border::{Effect, Event};
use heddle_fakedisk::{Dice, FakeDisk};
use heddle_log::{Companion, Found, Identity, Log, Output, ReadFault};
use heddle_model::{Codec, Mark, Mono, Now, Offset, ReplicaNumber, TailBatch, Term, TopicSettings, Wall};
use heddle_records::{BatchBuilder, Header, recode, set_base_offset, set_leader_epoch};

use crate::image::Image;

pub const ID: Identity = Identity { owner: 9, replica: ReplicaNumber(77), store: 1 };
/// Within so many steps a log has done what it was asked.
const STEPS_MAX: usize = 20_000;
/// Memory for a map of keys.
const MAP_BYTES: usize = 1 << 16;

/// Counts what it was given.
#[derive(Default)]
struct Counted(u64);

impl Companion for Counted {
    fn apply(&mut self, _: &Header, _: &[u8]) {
        self.0 += 1;
    }

    fn snapshot(&mut self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }

    fn changes(&mut self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }
}

pub struct Life {
    pub disk: FakeDisk,
    pub log: Log,
    /// The last mark that is durable.
    pub mark: Option<Mark>,
    /// The log says what it found beside its segments.
    pub companion: Option<Vec<Bytes>>,
    now: Now,
    settings: TopicSettings,
    counted: Counted,
    answers: Vec<Output>,
    /// Every batch that was appended.
    pub written: BTreeSet<Bytes>,
}

fn settings() -> TopicSettings {
    TopicSettings {
        segment_bytes: 9_000,
        cleanup_compact: true,
        cleanup_delete: false,
        min_cleanable_dirty_ratio: 0.0,
        file_delete_delay_ms: 0,
        ..TopicSettings::default()
    }
}

impl Life {
    pub fn begin(disk: FakeDisk, log: Log, mark: Option<Mark>) -> Life {
        let now = Now { mono: Mono(1_000_000), wall: Wall(10_000_000) };
        let (settings, counted) = (settings(), Counted::default());
        let (answers, written) = (Vec::new(), BTreeSet::new());
        Life { disk, log, mark, companion: None, now, settings, counted, answers, written }
    }

    fn submit(&mut self, effects: Vec<Effect>) {
        let mut effects = effects;
        while let Some(effect) = effects.pop() {
            match effect {
                Effect::Disk { token, op } => self.disk.submit(token, op),
                Effect::Work { token, run } => {
                    let mut events = Vec::new();
                    self.log.on_worked(token.seq, Some(run()), &mut effects, &mut events);
                    self.take(events);
                }
                _ => panic!("a log asks the disk, and for work"),
            }
        }
    }

    fn take(&mut self, events: Vec<Output>) {
        for event in events {
            match event {
                Output::Settled(mark) => {
                    self.log.on_marked(&mark);
                    self.mark = Some(mark);
                }
                Output::Loaded { companion } => self.companion = Some(companion),
                other => self.answers.push(other),
            }
        }
    }

    pub fn run(&mut self) {
        for _ in 0..STEPS_MAX {
            let Some(Event::Disk { token, result }) = self.disk.step() else { return };
            self.now = Now { mono: self.now.mono.plus_ms(1), wall: Wall(self.now.wall.0 + 1) };
            let (mut effects, mut events) = (Vec::new(), Vec::new());
            self.log.on_disk(self.now, token.seq, result, &mut effects, &mut events);
            self.submit(effects);
            self.take(events);
        }
        panic!("the log does not come to rest");
    }

    pub fn load(&mut self) -> bool {
        let mut effects = Vec::new();
        self.log.load(&mut effects);
        self.submit(effects);
        self.run();
        self.log.is_loaded()
    }

    pub fn settle(&mut self) {
        for _ in 0..100 {
            let mut effects = Vec::new();
            let upto = self.log.end();
            let Life { log, settings, counted, now, .. } = self;
            log.want_digests(settings.cleanup_compact);
            let started = log.settle(*now, upto, true, settings, counted, &mut effects);
            self.submit(effects);
            self.run();
            if !started {
                return;
            }
        }
        panic!("settling does not come to an end: {:?}", self.answers.last());
    }

    pub fn compact(&mut self) {
        let (mut effects, mut events) = (Vec::new(), Vec::new());
        let (now, upto) = (self.now, self.log.settled());
        self.log.compact(now, upto, &self.settings, BTreeSet::new(), MAP_BYTES, &mut effects, &mut events);
        self.submit(effects);
        self.take(events);
        self.run();
        assert!(!self.log.is_compacting(), "a round ends");
    }

    /// Remove what lies below the log start and what was replaced.
    pub fn sweep(&mut self) {
        for _ in 0..20 {
            let mut effects = Vec::new();
            let more = self.log.delete_below_start(self.now, &self.settings, &mut effects);
            self.submit(effects);
            self.run();
            if !more {
                return;
            }
        }
    }

    pub fn read(&mut self, from: Offset, max: usize) -> Result<Vec<Bytes>, ReadFault> {
        let mut effects = Vec::new();
        let upto = self.log.end();
        let at_once = self.log.read(5, from, upto, max, true, &mut effects);
        self.submit(effects);
        if let Some(result) = at_once {
            return result;
        }
        self.run();
        let read = self.answers.drain(..).find_map(|answer| match answer {
            Output::Read { id: 5, result } => Some(result),
            _ => None,
        });
        read.expect("a read is answered once nothing is under way")
    }

    pub fn find_time(&mut self, timestamp: i64) -> Result<Found, ReadFault> {
        let mut effects = Vec::new();
        let upto = self.log.end();
        let at_once = self.log.find_time(6, timestamp, Offset(0), upto, &mut effects);
        self.submit(effects);
        if let Some(result) = at_once {
            return result;
        }
        self.run();
        let found = self.answers.drain(..).find_map(|answer| match answer {
            Output::Found { id: 6, result } => Some(result),
            _ => None,
        });
        found.expect("a lookup is answered once nothing is under way")
    }

    /// The log as the next process finds it.
    pub fn next(mut self) -> Life {
        self.disk.crash_hard();
        let tail: Vec<TailBatch> = self.log.tail().cloned().collect();
        let log = Log::recover(ID, self.log.start(), self.mark.clone(), tail);
        Life { written: self.written, ..Life::begin(self.disk, log, self.mark) }
    }

    pub fn append(&mut self, key: u8, value: usize, codec: Codec) {
        let base = self.log.end();
        let mut builder = BatchBuilder::new(base.0);
        builder.push(base.0, Some(&[key]), Some(&vec![base.0 as u8; value]), &[]);
        builder.push(base.0 + 1, Some(&[key ^ 1]), None, &[]);
        let packed = recode(&builder.build(), codec, 0, 1 << 20).expect("it is our own");
        let mut bytes = packed.to_vec();
        set_base_offset(&mut bytes, base);
        set_leader_epoch(&mut bytes, Term(3).epoch());
        let bytes = Bytes::from(bytes);
        self.written.insert(bytes.clone());
        self.log.append(TailBatch { term: Term(3), base, next: Offset(base.0 + 2), bytes });
    }

    /// Every batch there is, one by one, from the start.
    pub fn read_all(&mut self) -> BTreeSet<Bytes> {
        let mut found = BTreeSet::new();
        for at in self.log.start().0..self.log.end().0 {
            found.extend(batches_of(&self.read(Offset(at), 1).expect("nothing was harmed")));
        }
        found
    }
}

/// What a log went through, and what its files are then.
pub struct History {
    pub image: Image,
    pub start: Offset,
    pub mark: Mark,
    pub tail: Vec<TailBatch>,
    /// Every batch that was ever read of it, compacted or not, and what stands beside it.
    pub batches: BTreeSet<Bytes>,
    pub companion: Vec<Bytes>,
}

impl History {
    pub fn make(seed: u64) -> History {
        let mut dice = Dice::new(seed);
        let mut life = Life::begin(FakeDisk::new(seed), Log::create(ID, Offset(0)), None);
        let mut batches = BTreeSet::new();
        for _ in 0..2 + dice.below(5) {
            for _ in 0..1 + dice.below(8) {
                let codec = [Codec::None, Codec::None, Codec::Lz4][dice.below(3) as usize];
                let value = 100 + dice.below(3_000) as usize;
                life.append(dice.below(8) as u8, value, codec);
            }
            life.settle();
            if dice.chance(30) {
                life.compact();
                batches.extend(life.read_all());
            }
            if dice.chance(20) {
                life.sweep();
            }
            if dice.chance(20) {
                life = life.next();
                assert!(life.load(), "nothing was harmed");
            }
        }
        for _ in 0..dice.below(3) {
            life.append(1, 200, Codec::None);
        }
        let mark = life.mark.clone().expect("something was settled");
        let tail: Vec<TailBatch> = life.log.tail().cloned().collect();
        let start = life.log.start();
        life.disk.crash_hard();
        let image = Image::of(&life.disk);
        let mut whole = Life::begin(image.disk(), Log::recover(ID, start, Some(mark.clone()), tail.clone()), None);
        assert!(whole.load(), "nothing was harmed");
        batches.extend(life.written);
        assert!(whole.read_all().is_subset(&batches), "nothing was harmed");
        let companion = whole.companion.take().expect("it was loaded");
        History { image, start, mark, tail, batches, companion }
    }
}

/// The batches of an answer, one by one.
pub fn batches_of(parts: &[Bytes]) -> Vec<Bytes> {
    let whole = parts.iter().flat_map(|part| heddle_records::batches(part));
    whole.map(|batch| Bytes::copy_from_slice(batch.expect("whole batches").1)).collect()
}
