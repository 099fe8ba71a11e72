//! One replica on one journal on a virtual disk, asked directly.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use heddle_border::{Effect, Event, Token, Work};
use heddle_fakedisk::FakeDisk;
use heddle_journal::{Config, Journal};
use heddle_model::*;
use heddle_partition::*;
use heddle_records::BatchBuilder;

const JOURNAL: u32 = 1;
const REPLICA: u32 = 2;
pub const NUMBER: ReplicaNumber = ReplicaNumber(7);

pub struct Bench {
    pub now: Now,
    pub disk: FakeDisk,
    pub journal: Journal,
    pub replica: Replica,
    pub answers: BTreeMap<u32, Answer>,
    pub news: Vec<News>,
    work: Vec<(Token, Work)>,
    tickets: u32,
    settings: Arc<TopicSettings>,
}

fn seat() -> Seat {
    let partition = PartitionId { topic: TopicId(9), index: PartitionIndex(0) };
    Seat { partition, number: NUMBER, owner: REPLICA, me: me() }
}

fn me() -> Voter {
    Voter { node: NodeId(1), incarnation: Incarnation(0) }
}

fn open(disk: &mut FakeDisk, now: Now) -> (Journal, Option<heddle_journal::Recovered>) {
    let config = Config {
        dir: "journal-0".into(),
        owner: JOURNAL,
        files: 4,
        file_bytes: 4 << 20,
        first_file_bytes: 1 << 20,
        sync: true,
        accept_unreadable: false,
    };
    let mut effects = Vec::new();
    let mut journal = Journal::open(config, now, &mut effects);
    for _ in 0..10_000 {
        for effect in effects.drain(..) {
            let Effect::Disk { token, op } = effect else { panic!("a journal only uses the disk") };
            disk.submit(token, op);
        }
        if let Some(recovered) = journal.take_recovered() {
            return (journal, Some(recovered));
        }
        match disk.step() {
            Some(Event::Disk { token, result }) => journal.on_disk(now, token.seq, result, &mut effects),
            _ => panic!("recovery waits for nothing"),
        }
        journal.flush(now, &mut effects);
    }
    (journal, None)
}

impl Bench {
    /// A new replica that leads.
    pub fn new(settings: TopicSettings) -> Bench {
        let mut bench = Bench::begin(settings);
        bench.run();
        assert!(bench.replica.is_serving());
        bench
    }

    /// A new replica that stands for election.
    pub fn begin(settings: TopicSettings) -> Bench {
        let now = Now { mono: Mono(1_000_000), wall: Wall(1_700_000_000_000) };
        let mut disk = FakeDisk::new(1);
        let (mut journal, recovered) = open(&mut disk, now);
        assert!(recovered.expect("an empty directory recovers").replicas.is_empty());
        let settings = Arc::new(settings);
        let (mut effects, mut answers, mut news) = (Vec::new(), Vec::new(), Vec::new());
        let mut world =
            World { now, journal: &mut journal, effects: &mut effects, answers: &mut answers, news: &mut news };
        let replica = Replica::create(seat(), vec![me()], settings.clone(), &mut world);
        let mut bench = Bench {
            now,
            disk,
            journal,
            replica,
            answers: BTreeMap::new(),
            news,
            work: Vec::new(),
            tickets: 0,
            settings,
        };
        bench.act(|replica, world| replica.campaign(world));
        bench
    }

    /// Power is lost; the replica starts again from what the disk kept.
    pub fn crash(&mut self) {
        self.disk.crash();
        self.restart(false);
    }

    /// The same, and the journal finds that the replica lost records.
    pub fn damage(&mut self) {
        self.disk.crash();
        self.restart(true);
    }

    /// The process is killed: what the disk was given stays.
    pub fn kill(&mut self) {
        self.disk.kill();
        self.restart(false);
    }

    /// The same up to where the replica stands for election.
    pub fn kill_and_begin(&mut self) {
        self.disk.kill();
        self.reopen(false);
    }

    fn restart(&mut self, damaged: bool) {
        self.reopen(damaged);
        self.run();
    }

    fn reopen(&mut self, damaged: bool) {
        self.work.clear();
        let (journal, recovered) = open(&mut self.disk, self.now);
        self.journal = journal;
        let mut recovered = recovered.expect("the journal recovers");
        let mut found = recovered.replicas.remove(&NUMBER).expect("the replica is in its journal");
        found.damaged = damaged;
        self.replica = Replica::recover(seat(), &found, self.settings.clone()).expect("it contradicts nothing");
        self.act(|replica, world| replica.campaign(world));
    }

    pub fn act(&mut self, act: impl FnOnce(&mut Replica, &mut World<'_>)) {
        let (mut effects, mut answers) = (Vec::new(), Vec::new());
        let mut world = World {
            now: self.now,
            journal: &mut self.journal,
            effects: &mut effects,
            answers: &mut answers,
            news: &mut self.news,
        };
        act(&mut self.replica, &mut world);
        self.replica.check();
        for (ticket, answer) in answers {
            assert!(self.answers.insert(ticket.slot, answer).is_none(), "ticket {} is answered once", ticket.slot);
        }
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Disk { token, op } => self.disk.submit(token, op),
                Effect::Work { token, run } => self.work.push((token, run)),
                _ => panic!("a replica only uses disk and work"),
            }
        }
    }

    pub fn flush(&mut self) {
        let mut effects = Vec::new();
        self.journal.flush(self.now, &mut effects);
        self.carry_out(effects);
    }

    /// One disk operation completes. False: none is under way.
    pub fn step(&mut self) -> bool {
        self.flush();
        let Some(Event::Disk { token, result }) = self.disk.step() else { return false };
        if token.owner == REPLICA {
            self.act(|replica, world| replica.on_disk(token.seq, result, world));
            return true;
        }
        let mut effects = Vec::new();
        self.journal.on_disk(self.now, token.seq, result, &mut effects);
        self.carry_out(effects);
        let mut durable = Vec::new();
        self.journal.take_durable(&mut durable);
        for (number, ordinal) in durable {
            assert_eq!(number, NUMBER);
            self.act(|replica, world| replica.on_durable(ordinal, world));
        }
        true
    }

    /// Until nothing is under way; also the work off the turn is done, newest first, so that order is not by luck.
    pub fn run(&mut self) {
        loop {
            while self.step() {}
            let Some((token, run)) = self.work.pop() else { break };
            let result = Some(run());
            self.act(|replica, world| replica.on_worked(token.seq, result, world));
        }
    }

    /// Ask without letting time pass; the ticket's number.
    pub fn ask(&mut self, ask: Ask) -> u32 {
        self.tickets += 1;
        let ticket = Ticket { home: ShardId(0), slot: self.tickets, generation: 0, part: 0 };
        self.act(|replica, world| replica.ask(ticket, ask, world));
        self.tickets
    }

    pub fn answer(&self, ticket: u32) -> Option<&Answer> {
        self.answers.get(&ticket)
    }

    /// Ask and let everything happen.
    pub fn done(&mut self, ask: Ask) -> Answer {
        let ticket = self.ask(ask);
        self.run();
        self.answers.get(&ticket).cloned().expect("it is answered")
    }

    pub fn append(&mut self, batch: Bytes) -> Answer {
        self.done(append(batch, Acks::All))
    }

    pub fn read(&mut self, from: i64) -> Answer {
        self.done(read(from))
    }

    /// Every value from `from` on.
    pub fn values(&mut self, from: i64) -> Vec<String> {
        let mut values = Vec::new();
        let mut next = from;
        loop {
            let Answer::Read(records) = self.read(next) else { panic!("reads are answered") };
            if records.parts.is_empty() {
                return values;
            }
            for batch in records.parts.iter().flat_map(|part| heddle_records::batches(part)) {
                let (header, bytes) = batch.unwrap();
                let payload = heddle_records::payload(&Bytes::copy_from_slice(bytes), 1 << 20).unwrap();
                for record in heddle_records::records(&payload, header.count) {
                    let record = record.unwrap();
                    if header.base_offset.0 + i64::from(record.offset_delta) >= from {
                        values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
                    }
                }
                next = header.next_offset().0;
            }
        }
    }
}

/// A read whose last record has that epoch.
pub fn read_after(from: i64, epoch: LeaderEpoch) -> Ask {
    match read(from) {
        Ask::Read(read) => Ask::Read(Read { last_fetched: Some(epoch), ..read }),
        _ => unreachable!(),
    }
}

pub fn append(batch: Bytes, acks: Acks) -> Ask {
    Ask::Append(Append { acks, batch, zstd_allowed: true, origin: Origin::Client })
}

pub fn read(from: i64) -> Ask {
    Ask::Read(Read {
        from: Offset(from),
        max_bytes: 1 << 20,
        at_least_one: true,
        visibility: Visibility::HighWatermark,
        epoch: None,
        last_fetched: None,
    })
}

/// A batch of these values at the bench's time.
pub fn batch(values: &[&str]) -> Bytes {
    builder(values).build()
}

pub fn builder(values: &[&str]) -> BatchBuilder {
    let mut builder = BatchBuilder::new(1_700_000_000_000);
    for value in values {
        builder.push(1_700_000_000_000, None, Some(value.as_bytes()), &[]);
    }
    builder
}

pub fn idempotent(sequence: i32, values: &[&str]) -> Bytes {
    builder(values).producer(ProducerId(5), ProducerEpoch(0), Sequence(sequence)).build()
}

pub fn base(answer: &Answer) -> i64 {
    match answer {
        Answer::Appended(appended) => appended.base.0,
        other => panic!("not appended: {other:?}"),
    }
}
