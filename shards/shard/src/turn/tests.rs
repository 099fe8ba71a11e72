//! What a core answers for a replica that it has and cannot open; what it keeps of topics that are gone; how it stops before
//! it has started.

use std::net::SocketAddr;

use bytes::Bytes;
use heddle_api::Leaders as _;
use heddle_controller::{self as controller, Broker, BrokerConfig, NewTopic, TopicRef};
use heddle_fakedisk::FakeDisk;
use heddle_journal::{RecoveredReplica, ReplicaState};
use heddle_model::{Incarnation, NodeId, Offset, PartitionIndex, Point, Term, TopicId, TopicSettings, Voter, Wall};

use super::*;

pub(crate) fn shard() -> Shard {
    let kafka = BrokerConfig::parse(BTreeMap::new()).expect("nothing is given");
    Shard::new(
        ShardId(0),
        ShardConfig {
            shards: 1,
            node: NodeId(1),
            broker: Broker { id: NodeId(1), rack: None, host: "one".into(), port: 9092 },
            kafka_addr: SocketAddr::from(([127, 0, 0, 1], 9092)),
            api: ApiConfig::of(&kafka, 1),
            settings: Arc::new(kafka),
            memory: 1 << 20,
            journal_files: 3,
            journal_file_bytes: 1 << 16,
            seed: 1,
            accept_loss: false,
            repair_only: false,
        },
    )
}

#[test]
fn a_replica_that_cannot_be_opened_answers_with_its_storage_and_is_not_unknown() {
    let mut shard = shard();
    let (number, me) = (ReplicaNumber(7), Voter { node: NodeId(1), incarnation: Incarnation(0) });
    let state = ReplicaState {
        placement: 0,
        term: Term(3),
        vote: None,
        history: vec![(Term(0), Offset(0))],
        // Not what a partition writes: nobody can say whose replica this is.
        config: Bytes::from_static(b"?"),
        log_start: Offset(0),
        commit: Offset(0),
        mark: None,
        start: Point::default(),
    };
    shard.start.dormant.insert(number, RecoveredReplica { state, tail: Vec::new(), damaged: true });
    let topic = TopicId(9);
    let partition = |index| PartitionId { topic, index: PartitionIndex(index) };
    shard.seat(partition(0), number, me, vec![me], Arc::new(TopicSettings::default()), false);
    let mut answered = |index| {
        let ticket = Ticket { home: ShardId(0), slot: 5, generation: 0, part: 0 };
        shard.ask(ticket, Target::Partition(partition(index)), Ask::Partition(partition::Ask::Describe));
        std::mem::take(&mut shard.answers)
    };
    let refused = |answers: &[(Ticket, partition::Answer)]| match answers {
        [(_, partition::Answer::Refused(refusal))] => format!("{refusal:?}"),
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(refused(&answered(0)), "Storage");
    assert_eq!(refused(&answered(1)), "UnknownPartition");
    assert_eq!(
        shard.leaders.leader(partition(0)),
        Some((NodeId(1), Term(3).epoch())),
        "clients come here to hear of it"
    );
    assert!(shard.start.dormant.contains_key(&number), "the journal's copy is carried along");
    assert_eq!(metrics::scrape(&shard).damaged_partitions, 1);
}

/// A core on a virtual disk, alone.
struct House {
    shard: Shard,
    disk: FakeDisk,
    now: Now,
    events: VecDeque<Event>,
    wake_at: Option<Mono>,
    said: Vec<Notice>,
    halted: bool,
}

impl House {
    fn new() -> House {
        let now = Now { mono: Mono(1_000_000), wall: Wall(1_000_000) };
        let (disk, events, said) = (FakeDisk::new(1), VecDeque::new(), Vec::new());
        House { shard: shard(), disk, now, events, wake_at: None, said, halted: false }
    }

    fn turn(&mut self) {
        let mut out = Out::new();
        let mut mail = VecDeque::new();
        let turn = Turn { now: self.now, previous_us: 1, events: &mut self.events, mail: &mut mail };
        self.shard.turn(turn, &mut out);
        self.wake_at = out.wake_at;
        for effect in out.effects {
            match effect {
                Effect::Disk { token, op } => self.disk.submit(token, op),
                Effect::Listen { listener, addr } => {
                    self.events.push_back(Event::Listening { listener, result: Ok(addr) })
                }
                Effect::Halt => self.halted = true,
                _ => {}
            }
        }
        self.said.extend(out.mail.into_iter().filter_map(|(_, mail)| match mail {
            Mail::Notice(notice) => Some(notice),
            _ => None,
        }));
    }

    /// Until it holds, and nothing is under way.
    fn run_until(&mut self, what: &str, holds: impl Fn(&House) -> bool) {
        for _ in 0..10_000 {
            self.turn();
            match self.disk.step() {
                Some(event) => self.events.push_back(event),
                None if self.events.is_empty() && holds(self) => return,
                None => self.now.mono = self.wake_at.map_or(self.now.mono, |at| at.max(self.now.mono)),
            }
            self.now.mono.0 += 10;
        }
        panic!("it does not come so far: {what}");
    }

    fn decide(&mut self, ask: controller::Ask) {
        let nobody = Ticket { home: ShardId(0), slot: crate::coordinators::HOUSE_SLOT, generation: 0, part: 0 };
        self.shard.asks.push_back((nobody, Target::Controller, Ask::Controller(ask)));
    }

    fn serves(&self) -> bool {
        self.said.iter().any(|notice| matches!(notice, Notice::Serving(_)))
    }
}

#[test]
fn topics_that_come_and_go_leave_nothing_behind() {
    let mut house = House::new();
    house.run_until("serve", House::serves);
    for _ in 0..300 {
        let (replication_factor, assignments, configs) = (1, Vec::new(), Vec::new());
        let topic = NewTopic { name: "t".into(), partitions: 2, replication_factor, assignments, configs };
        house.decide(controller::Ask::CreateTopics { topics: vec![topic], validate_only: false });
        house.run_until("create", |house| house.shard.by_number.len() == 3 && house.shard.unserved.is_empty());
        house.decide(controller::Ask::DeleteTopics { topics: vec![TopicRef::Name("t".into())] });
        house.run_until("delete", |house| house.shard.by_number.len() == 1);
    }
    let shard = &house.shard;
    assert_eq!((shard.replicas.len(), shard.by_partition.len()), (3, 1));
    assert_eq!(shard.budget.seats(), 3);
    assert_eq!(shard.leaders.len(), 1);
    assert_eq!(shard.owners.len(), 2, "the journal and the controller's replica");
    let files = house.disk.paths().iter().filter(|(_, len)| len.is_some()).count();
    assert!(house.disk.open_files() <= files, "{} files are open, {files} there", house.disk.open_files());
    let left: Vec<String> = house.disk.paths().into_iter().map(|(path, _)| path).collect();
    assert!(!left.iter().any(|path| path.starts_with("replicas/") && !path.starts_with("replicas/0-0")), "{left:?}");
}

/// Nobody was promised anything yet.
#[test]
fn a_core_that_has_not_started_yet_stops_at_once() {
    let mut house = House::new();
    for _ in 0..6 {
        house.turn();
        house.events.extend(house.disk.step());
    }
    assert!(house.shard.start.is_under_way() && !house.shard.journals.is_empty());
    house.events.push_back(Event::Stop);
    house.turn();
    assert!(house.halted);
}

/// What a data directory is without its only journal: not a new one.
#[test]
fn a_data_directory_that_lost_its_only_journal_is_not_taken_for_a_new_one() {
    let mut house = House::new();
    house.run_until("serve", House::serves);
    house.disk.crash_hard();
    assert!(house.disk.paths().iter().any(|(path, _)| path == "replicas/0-0"), "{:?}", house.disk.paths());
    let token = heddle_border::Token { owner: u32::MAX, seq: 0 };
    house.disk.submit(token, heddle_border::DiskOp::RemoveTree { path: "journal-0".into() });
    house.disk.complete(token);
    let disk = house.disk;
    let mut house = House { disk, ..House::new() };
    let failed = |house: &House| house.said.iter().any(|notice| matches!(notice, Notice::Failed(_)));
    house.run_until("say that it cannot start", failed);
    let logs = house
        .said
        .iter()
        .filter(|notice| matches!(notice, Notice::Log { text, .. } if text.contains("journal-0 is missing")));
    assert_eq!(logs.count(), 1, "{:?}", house.said);
    assert!(!house.serves());
}
