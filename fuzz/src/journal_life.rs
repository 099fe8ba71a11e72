//! A journal on a virtual disk, from one start to the next, and histories of journals to begin with.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use heddle_border::{Effect, Event};
use heddle_fakedisk::{Dice, FakeDisk};
use heddle_journal::{Config, Journal, Record, Recovered, ReplicaState};
use heddle_model::{Incarnation, Mark, Mono, NodeId, Now, Offset, Point, ReplicaNumber, TailBatch, Term, Voter, Wall};

use crate::image::Image;

const OWNER: u32 = 7;
/// Within so many steps a journal without work comes to rest.
const STEPS_MAX: usize = 20_000;

pub struct Life {
    pub disk: FakeDisk,
    pub journal: Journal,
    now: Now,
    out: Vec<Effect>,
}

/// Small, so that a few records go around the ring.
fn config() -> Config {
    Config {
        dir: "journal-0".into(),
        owner: OWNER,
        files: 4,
        file_bytes: 32_768,
        first_file_bytes: 16_384,
        sync: true,
        accept_unreadable: false,
    }
}

impl Life {
    pub fn begin(disk: FakeDisk) -> Life {
        let now = Now { mono: Mono(1_000_000), wall: Wall(1_700_000_000_000) };
        let mut out = Vec::new();
        let journal = Journal::open(config(), now, &mut out);
        let mut life = Life { disk, journal, now, out };
        life.submit();
        life
    }

    /// The power fails, and the next process begins.
    pub fn next(mut self) -> Life {
        self.disk.crash_hard();
        Life::begin(self.disk)
    }

    fn submit(&mut self) {
        for effect in self.out.drain(..) {
            let Effect::Disk { token, op } = effect else { panic!("a journal asks the disk only") };
            self.disk.submit(token, op);
        }
    }

    pub fn flush(&mut self) {
        self.journal.flush(self.now, &mut self.out);
        self.submit();
    }

    /// One disk operation ends. False: none is under way.
    pub fn step(&mut self) -> bool {
        let Some(Event::Disk { token, result }) = self.disk.step() else { return false };
        self.now.mono.0 += 50;
        self.journal.on_disk(self.now, token.seq, result, &mut self.out);
        self.submit();
        true
    }

    fn sleep(&mut self) {
        let soon = self.now.mono.plus_ms(20);
        self.now.mono = self.journal.wake_at().map_or(soon, |at| at.max(self.now.mono));
    }

    pub fn recover(&mut self) -> Recovered {
        for _ in 0..STEPS_MAX {
            if let Some(recovered) = self.journal.take_recovered() {
                return recovered;
            }
            if !self.step() {
                self.sleep();
            }
            self.flush();
        }
        panic!("recovery does not end: {:?}", self.journal.stuck());
    }

    /// Until everything is durable, and known to be.
    pub fn rest(&mut self) {
        for _ in 0..STEPS_MAX {
            self.flush();
            if !self.step() {
                if self.journal.idle() {
                    return;
                }
                self.sleep();
            }
        }
        panic!("the journal does not come to rest");
    }
}

/// What a journal went through, and what its files are then.
pub struct History {
    pub image: Image,
    /// All of it was durable, and known to be.
    pub rested: bool,
    /// What a start finds if nothing is harmed.
    pub found: Recovered,
    /// Every batch that was ever written, and every replica that there ever was.
    pub batches: BTreeSet<Bytes>,
    pub numbers: BTreeSet<ReplicaNumber>,
}

struct Work {
    life: Life,
    dice: Dice,
    known: BTreeMap<ReplicaNumber, (ReplicaState, Vec<TailBatch>)>,
    batches: BTreeSet<Bytes>,
    numbers: BTreeSet<ReplicaNumber>,
}

impl History {
    pub fn make(seed: u64) -> History {
        let mut life = Life::begin(FakeDisk::new(seed));
        life.recover();
        let (known, batches, numbers) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let mut work = Work { life, dice: Dice::new(seed), known, batches, numbers };
        for _ in 0..5 + work.dice.below(60) {
            work.turn();
            if work.dice.chance(4) {
                work.life.disk.crash();
                work.restart();
            }
        }
        let rested = seed % 3 != 0;
        if rested {
            work.life.rest();
        }
        work.life.disk.crash();
        let image = Image::of(&work.life.disk);
        let found = Life::begin(image.disk()).recover();
        assert!(found.report.damage.is_empty(), "nothing was harmed yet: {:?}", found.report);
        History { image, rested, found, batches: work.batches, numbers: work.numbers }
    }
}

impl Work {
    fn restart(&mut self) {
        let disk = std::mem::replace(&mut self.life.disk, FakeDisk::new(0));
        self.life = Life::begin(disk);
        let found = self.life.recover();
        self.known = found.replicas.into_iter().map(|(number, found)| (number, (found.state, found.tail))).collect();
    }

    fn turn(&mut self) {
        for _ in 0..self.dice.below(5) {
            self.act();
        }
        let mut wanted = Vec::new();
        self.life.journal.wants(&mut wanted);
        for number in wanted {
            self.settle(number, usize::MAX);
        }
        self.life.flush();
        for _ in 0..self.dice.below(6) {
            self.life.step();
        }
    }

    fn act(&mut self) {
        let dice = &mut self.dice;
        let count = self.known.len() as u64;
        if count < 2 || (count < 5 && dice.chance(6)) {
            let number = ReplicaNumber(self.numbers.len() as u64 + 1);
            self.numbers.insert(number);
            self.life.journal.create(number, fresh_state());
            self.known.insert(number, (fresh_state(), Vec::new()));
            return;
        }
        let number = *self.known.keys().nth(dice.below(count) as usize).expect("it is among them");
        let pick = dice.below(100);
        let roll = dice.roll();
        let (state, tail) = self.known.get_mut(&number).expect("it is among them");
        let settled = state.mark.as_ref().map_or(Offset(0), |mark| mark.offset);
        let end = tail.last().map_or(settled, |batch| batch.next);
        let journal = &mut self.life.journal;
        match pick {
            0..55 => {
                let len = if roll % 20 == 0 { 5_000 } else { 61 + (roll % 700) as usize };
                let batch = batch(state.term, end, len, roll as u8);
                self.batches.insert(batch.bytes.clone());
                tail.push(batch.clone());
                journal.append(number, Record::Append(batch, end));
            }
            55..63 => {
                let term = Term(state.term.0 + (roll % 2) as i32);
                let vote = Some(Voter { node: NodeId(1), incarnation: Incarnation(roll as u32) });
                (state.term, state.vote) = (term, vote);
                journal.append(number, Record::State { term, vote });
            }
            63..67 => {
                journal.append(number, Record::Line { term: state.term, start: end });
            }
            67..71 => {
                let config = Bytes::from(vec![roll as u8; 40]);
                journal.append(number, Record::Config(config));
            }
            71..74 => {
                journal.append(number, Record::LogStart(settled));
            }
            74..80 => {
                let to = tail.last().map_or(end, |last| last.base);
                tail.pop();
                journal.append(number, Record::Truncate { to, lines: 1 });
            }
            80..90 => self.settle(number, (roll % 4) as usize),
            90..97 => {
                let (state, tail) = (state.clone(), tail.clone());
                journal.restate(number, state, tail);
            }
            _ => {
                journal.gone(number);
                self.known.remove(&number);
            }
        }
    }

    /// So many batches are in a segment.
    fn settle(&mut self, number: ReplicaNumber, count: usize) {
        let Some((state, tail)) = self.known.get_mut(&number) else { return };
        let count = count.min(tail.len());
        let Some(last) = count.checked_sub(1).map(|last| tail[last].next) else { return };
        tail.drain(..count);
        let mark =
            Mark { offset: last, store: 0, segment: Offset(0), generation: 0, segment_bytes: 4096, side_bytes: 4096 };
        state.mark = Some(mark.clone());
        self.life.journal.append(number, Record::Mark(mark));
    }
}

pub fn fresh_state() -> ReplicaState {
    ReplicaState {
        placement: 1,
        term: Term(1),
        vote: None,
        history: vec![(Term(1), Offset(0))],
        config: Bytes::from_static(b"config"),
        log_start: Offset(0),
        commit: Offset(0),
        mark: None,
        start: Point::default(),
    }
}

/// Three records at `base`, `len` bytes long.
pub fn batch(term: Term, base: Offset, len: usize, fill: u8) -> TailBatch {
    let mut bytes = vec![fill; len];
    bytes[0..8].copy_from_slice(&base.0.to_be_bytes());
    bytes[8..12].copy_from_slice(&(len as i32 - 12).to_be_bytes());
    bytes[12..16].copy_from_slice(&term.0.to_be_bytes());
    bytes[16] = 2;
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    TailBatch { term, base, next: Offset(base.0 + 3), bytes: Bytes::from(bytes) }
}
