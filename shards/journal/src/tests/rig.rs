//! One journal on one disk, and for each replica every version it went through.

use std::collections::BTreeMap;

use bytes::Bytes;
use heddle_border::{Effect, Event};
use heddle_fakedisk::{Dice, FakeDisk};
use heddle_model::{Incarnation, Mark, Mono, NodeId, Now, Offset, Point, ReplicaNumber, TailBatch, Term, Voter, Wall};

use crate::testing::batch;
use crate::{Config, Journal, Ordinal, Record, Recovered, ReplicaState};

/// What a replica is after some record; `None`: it does not exist.
pub(crate) type Version = Option<(ReplicaState, Vec<TailBatch>)>;

#[derive(Clone)]
pub(crate) struct Model {
    /// By ordinal; 0 is before its first record.
    pub versions: BTreeMap<u64, Version>,
    pub durable: u64,
}

impl Model {
    pub fn last(&self) -> (u64, &Version) {
        let (ordinal, version) = self.versions.last_key_value().expect("a model begins with a version");
        (*ordinal, version)
    }

    fn push(&mut self, ordinal: Ordinal, version: Version) {
        // Records of a restatement before its last one change nothing.
        let (last, before) = (self.last().0, self.last().1.clone());
        for between in last + 1..ordinal.0 {
            self.versions.insert(between, before.clone());
        }
        self.versions.insert(ordinal.0, version);
    }
}

pub(crate) struct Rig {
    pub disk: FakeDisk,
    pub journal: Journal,
    pub config: Config,
    pub now: Now,
    pub models: BTreeMap<ReplicaNumber, Model>,
    pub next_replica: u64,
    out: Vec<Effect>,
}

pub(crate) fn config() -> Config {
    Config {
        dir: "journal-0".into(),
        owner: 7,
        files: 4,
        file_bytes: 65_536,
        first_file_bytes: 32_768,
        sync: true,
        accept_unreadable: false,
    }
}

pub(crate) fn state(term: i32) -> ReplicaState {
    ReplicaState {
        placement: 1,
        term: Term(term),
        vote: None,
        history: vec![(Term(term), Offset(0))],
        config: Bytes::from_static(b"config"),
        log_start: Offset(0),
        commit: Offset(0),
        mark: None,
        start: Point::default(),
    }
}

pub(crate) fn mark(offset: Offset) -> Mark {
    Mark { offset, store: 0, segment: Offset(0), generation: 0, segment_bytes: 4096, side_bytes: 4096 }
}

impl Rig {
    /// A journal that begins on this disk, not recovered yet.
    pub fn begin(disk: FakeDisk, config: Config) -> Rig {
        let now = Now { mono: Mono(1_000_000), wall: Wall(1_700_000_000_000) };
        let mut out = Vec::new();
        let journal = Journal::open(config.clone(), now, &mut out);
        let mut rig = Rig { disk, journal, config, now, models: BTreeMap::new(), next_replica: 1, out };
        rig.submit();
        rig
    }

    /// A journal in an empty directory.
    pub fn new(seed: u64, config: Config) -> Rig {
        let mut rig = Rig::begin(FakeDisk::new(seed), config);
        let recovered = rig.recover();
        assert!(recovered.replicas.is_empty());
        rig
    }

    pub fn submit(&mut self) {
        for effect in self.out.drain(..) {
            let Effect::Disk { token, op } = effect else { panic!("the journal asks the disk only") };
            assert_eq!(token.owner, 7);
            self.disk.submit(token, op);
        }
    }

    pub fn flush(&mut self) {
        self.journal.flush(self.now, &mut self.out);
        self.submit();
    }

    /// One disk operation completes. False: none is under way.
    pub fn step(&mut self) -> bool {
        let Some(Event::Disk { token, result }) = self.disk.step() else { return false };
        self.now.mono.0 += 50;
        self.journal.on_disk(self.now, token.seq, result, &mut self.out);
        self.submit();
        let mut news = Vec::new();
        self.journal.take_durable(&mut news);
        for (replica, ordinal) in news {
            let model = self.models.get_mut(&replica).expect("only what was asked becomes durable");
            assert!(ordinal.0 > model.durable, "ordinals rise");
            model.durable = ordinal.0;
        }
        true
    }

    /// Until nothing is under way; time does not pass.
    pub fn settle(&mut self) {
        self.flush();
        while self.step() {
            self.flush();
        }
    }

    /// Until recovery has its answer.
    pub fn recover(&mut self) -> Recovered {
        for _ in 0..10_000 {
            if let Some(recovered) = self.journal.take_recovered() {
                assert!(self.journal.take_recovered().is_none(), "once");
                return recovered;
            }
            if !self.step() {
                self.now.mono = self.journal.wake_at().expect("recovery goes on").max(self.now.mono);
            }
            self.flush();
        }
        panic!("recovery does not end")
    }

    /// Let time pass, so that a quiet frame is due.
    pub fn rest(&mut self) {
        self.settle();
        self.now.mono = self.now.mono.plus_ms(20);
        self.settle();
        assert!(self.journal.idle());
    }

    pub fn create(&mut self) -> ReplicaNumber {
        let replica = ReplicaNumber(self.next_replica);
        self.next_replica += 1;
        let versions = BTreeMap::from([(0, None)]);
        self.models.insert(replica, Model { versions, durable: 0 });
        let ordinal = self.journal.create(replica, state(1));
        assert_eq!(ordinal, Ordinal(1));
        self.models.get_mut(&replica).unwrap().push(ordinal, Some((state(1), Vec::new())));
        replica
    }

    pub fn append(&mut self, replica: ReplicaNumber, record: Record) {
        let model = self.models.get_mut(&replica).unwrap();
        let (mut state, mut tail) = model.last().1.clone().expect("the replica exists");
        change(&mut state, &mut tail, &record);
        let ordinal = self.journal.append(replica, record);
        assert_eq!(ordinal.0, model.last().0 + 1);
        model.push(ordinal, Some((state, tail)));
    }

    /// Append one batch at the end of the replica's log.
    pub fn append_batch(&mut self, replica: ReplicaNumber, len: usize, fill: u8) {
        let (state, tail) = self.models[&replica].last().1.clone().expect("the replica exists");
        let end = end_of(&state, &tail);
        self.append(replica, Record::Append(batch(state.term, end.0, 3, len, fill), end));
    }

    /// Everything of the replica is settled.
    pub fn mark_all(&mut self, replica: ReplicaNumber) {
        let (state, tail) = self.models[&replica].last().1.clone().expect("the replica exists");
        self.append(replica, Record::Mark(mark(end_of(&state, &tail))));
    }

    pub fn restate(&mut self, replica: ReplicaNumber, state: ReplicaState, tail: Vec<TailBatch>) {
        let ordinal = self.journal.restate(replica, state.clone(), tail.clone());
        self.models.get_mut(&replica).unwrap().push(ordinal, Some((state, tail)));
    }

    pub fn gone(&mut self, replica: ReplicaNumber) {
        let ordinal = self.journal.gone(replica);
        self.models.get_mut(&replica).unwrap().push(ordinal, None);
    }

    /// Replicas that exist after all that was asked.
    pub fn present(&self) -> Vec<ReplicaNumber> {
        let present = self.models.iter().filter(|(_, model)| model.last().1.is_some());
        present.map(|(replica, _)| *replica).collect()
    }

    /// One random ask.
    pub fn act(&mut self, dice: &mut Dice) {
        let present = self.present();
        if present.len() < 2 || (present.len() < 6 && dice.chance(5)) {
            self.create();
            return;
        }
        let replica = present[dice.below(present.len() as u64) as usize];
        let (state, tail) = self.models[&replica].last().1.clone().expect("it is present");
        let settled = state.mark.as_ref().map_or(Offset(0), |mark| mark.offset);
        let bounds: Vec<Offset> = std::iter::once(settled).chain(tail.iter().map(|batch| batch.next)).collect();
        let bound = bounds[dice.below(bounds.len() as u64) as usize];
        match dice.below(100) {
            0..60 => {
                let len = if dice.chance(5) { 9_000 } else { 61 + dice.below(1500) as usize };
                self.append_batch(replica, len, dice.below(200) as u8);
            }
            60..68 => {
                let vote = Voter { node: NodeId(dice.below(5) as i32), incarnation: Incarnation(1) };
                let vote = dice.chance(70).then_some(vote);
                self.append(replica, Record::State { term: Term(state.term.0 + dice.below(2) as i32), vote });
            }
            68..72 => {
                let start = end_of(&state, &tail);
                self.append(replica, Record::Line { term: state.term, start });
            }
            72..77 => {
                let lines = dice.below(state.history.len() as u64 + 1) as usize;
                self.append(replica, Record::Truncate { to: bound, lines });
            }
            77..80 => self.append(replica, Record::Config(vec![dice.below(256) as u8; 40].into())),
            80..83 => self.append(replica, Record::LogStart(bound)),
            83..94 => self.append(replica, Record::Mark(mark(bound))),
            94..98 => self.restate(replica, ReplicaState { placement: state.placement + 1, ..state }, tail),
            _ => self.gone(replica),
        }
    }

    /// Do as the journal asks, as partitions do.
    pub fn relieve(&mut self, dice: &mut Dice) {
        let mut wanted = Vec::new();
        self.journal.wants(&mut wanted);
        for replica in wanted {
            match self.models.get(&replica).map(|model| model.last().1.clone()) {
                Some(Some((state, tail))) if dice.chance(30) => self.restate(replica, state, tail),
                Some(Some(_)) => self.mark_all(replica),
                _ => {}
            }
        }
    }

    /// A random workload of `turns`.
    pub fn work(&mut self, dice: &mut Dice, turns: usize) {
        for _ in 0..turns {
            for _ in 0..dice.below(6) {
                self.act(dice);
            }
            self.relieve(dice);
            self.flush();
            for _ in 0..dice.below(6) {
                self.step();
            }
            if dice.chance(5) {
                self.now.mono = self.now.mono.plus_ms(15);
            }
        }
    }

    /// Start again on what the disk kept, and check that every replica is one of its versions, none older than what was
    /// durable. Afterwards the models are as recovered.
    pub fn restart(&mut self) -> Recovered {
        self.begin_again();
        let recovered = self.recover();
        self.check(&recovered);
        recovered
    }

    pub fn begin_again(&mut self) {
        self.out.clear();
        self.now.mono = self.now.mono.plus_ms(1000);
        self.journal = Journal::open(self.config.clone(), self.now, &mut self.out);
        self.submit();
    }

    fn check(&mut self, recovered: &Recovered) {
        assert_eq!(recovered.report.damage, vec![]);
        assert_eq!((recovered.report.unknown.len(), recovered.report.may_miss_replicas), (0, false));
        for replica in recovered.replicas.keys() {
            assert!(self.models.contains_key(replica), "{replica} was never created");
        }
        for (replica, model) in &mut self.models {
            let found = recovered.replicas.get(replica);
            let version = found.map(|found| (found.state.clone(), found.tail.clone()));
            let ordinal = self.journal.shadows.get(replica).map(|shadow| shadow.ordinal.0);
            match ordinal {
                Some(ordinal) => {
                    assert!(ordinal >= model.durable, "{replica} fell from {} to {ordinal}", model.durable);
                    let expected = model.versions.get(&ordinal).expect("recovered what was asked");
                    assert_eq!(&version, expected, "{replica} at {ordinal}");
                }
                None => {
                    let absent = model.versions.range(model.durable..).find(|(_, version)| version.is_none());
                    assert!(absent.is_some(), "{replica} is lost");
                    assert!(version.is_none());
                }
            }
            assert!(found.is_none_or(|found| !found.damaged));
            let ordinal = ordinal.unwrap_or(0);
            *model = Model { versions: BTreeMap::from([(ordinal, version)]), durable: ordinal };
        }
        self.models.retain(|_, model| model.last().1.is_some());
    }
}

pub(crate) fn end_of(state: &ReplicaState, tail: &[TailBatch]) -> Offset {
    let settled = state.mark.as_ref().map_or(Offset(0), |mark| mark.offset);
    tail.last().map_or(settled, |batch| batch.next.max(settled))
}

/// The model's own rule, written apart from the journal's.
fn change(state: &mut ReplicaState, tail: &mut Vec<TailBatch>, record: &Record) {
    match record.clone() {
        Record::Append(batch, commit) => {
            state.commit = Offset(state.commit.0.max(commit.0));
            tail.push(batch);
        }
        Record::State { term, vote } => (state.term, state.vote) = (term, vote),
        Record::Line { term, start } => state.history.push((term, start)),
        Record::Truncate { to, lines } => {
            state.history.truncate(lines);
            tail.retain(|batch| batch.base < to);
        }
        Record::Config(config) => state.config = config,
        Record::LogStart(offset) => state.log_start = Offset(state.log_start.0.max(offset.0)),
        Record::Mark(mark) => {
            tail.retain(|batch| batch.next > mark.offset);
            state.mark = Some(mark);
        }
    }
}
