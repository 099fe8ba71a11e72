//! What the coordinator itself costs with a thousand members in one group, in both protocols, and per commit.
//! `cargo run --release -p heddle-group --example joins`

use std::time::{Duration, Instant};

use bytes::Bytes;
use heddle_group::*;
use heddle_model::{Mono, Now, Offset, PartitionIndex, ShardId, Ticket, TopicId, Wall};

const MEMBERS: u32 = 1_000;
const PARTITIONS: i32 = 3_000;

struct OneTopic;

impl Topics for OneTopic {
    fn version(&self) -> u64 {
        1
    }

    fn by_name(&self, name: &str) -> Option<(TopicId, i32)> {
        (name == "t").then_some((TopicId(7), PARTITIONS))
    }

    fn by_id(&self, id: TopicId) -> Option<(TopicName, i32)> {
        (id == TopicId(7)).then(|| ("t".into(), PARTITIONS))
    }

    fn each_name(&self, visit: &mut dyn FnMut(&str)) {
        visit("t");
    }
}

struct Coordinator {
    groups: Groups,
    soft: Soft,
    now: Now,
    entropy: u128,
    spent: Duration,
    longest: Duration,
    records: usize,
}

impl Coordinator {
    fn new() -> Coordinator {
        let groups = Groups::new(GroupSettings::default());
        let now = Now { mono: Mono(1), wall: Wall(1) };
        let soft = groups.lead(Context { now, topics: &OneTopic, entropy: 0 });
        Coordinator { groups, soft, now, entropy: 0, spent: Duration::ZERO, longest: Duration::ZERO, records: 0 }
    }

    fn timed(&mut self, act: impl FnOnce(&mut Coordinator) -> Decision) -> Vec<(Ticket, Answer)> {
        let start = Instant::now();
        let decision = act(self);
        self.records += decision.records.len();
        for entry in &decision.records {
            self.groups.replay(&entry.key, entry.value.as_deref()).expect("its own record");
        }
        let took = start.elapsed();
        self.spent += took;
        self.longest = self.longest.max(took);
        decision.answers
    }

    fn ask(&mut self, slot: u32, ask: Ask) -> Vec<(Ticket, Answer)> {
        self.entropy += 1;
        let ticket = Ticket { home: ShardId(0), slot, generation: 0, part: 0 };
        self.timed(|c| {
            let context = Context { now: c.now, topics: &OneTopic, entropy: c.entropy };
            c.groups.decide(context, ask, ticket, &mut c.soft)
        })
    }

    fn wait(&mut self, ms: u64) -> Vec<(Ticket, Answer)> {
        self.now.mono = self.now.mono.plus_ms(ms);
        self.timed(|c| {
            let context = Context { now: c.now, topics: &OneTopic, entropy: 0 };
            c.groups.tick(context, &mut c.soft)
        })
    }

    fn report(&mut self, what: &str, count: u32) {
        let each = self.spent.as_secs_f64() * 1e6 / f64::from(count);
        println!(
            "{what}: {:.2} ms, {each:.2} us each, longest step {:.2} ms, {} records",
            self.spent.as_secs_f64() * 1e3,
            self.longest.as_secs_f64() * 1e3,
            self.records
        );
        (self.spent, self.longest, self.records) = (Duration::ZERO, Duration::ZERO, 0);
    }
}

fn join(member: MemberId) -> Ask {
    Ask::Join(Join {
        group: "g".into(),
        member,
        instance: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 300_000,
        protocol_type: "consumer".into(),
        protocols: vec![Protocol { name: "range".into(), metadata: Bytes::from(vec![0; 100]) }],
        needs_known_id: true,
        can_skip_assignment: true,
        reason: None,
    })
}

fn classic() {
    let mut coordinator = Coordinator::new();
    let mut members = Vec::new();
    for slot in 0..MEMBERS {
        let answers = coordinator.ask(slot, join(MemberId::default()));
        let [(_, Answer::Refused(Refusal::MemberIdRequired(id)))] = answers.as_slice() else { panic!("{answers:?}") };
        members.push(id.clone());
    }
    for (slot, member) in members.iter().enumerate() {
        coordinator.ask(slot as u32, join(member.clone()));
    }
    coordinator.report("classic, join twice", MEMBERS);
    let mut answers = coordinator.wait(3_000);
    answers.extend(coordinator.wait(3_000));
    assert_eq!(answers.len(), MEMBERS as usize);
    coordinator.report("classic, last join to generation", MEMBERS);
    let leader = match &answers[0].1 {
        Answer::Joined(joined) => joined.leader.clone(),
        other => panic!("{other:?}"),
    };
    let mut synced = 0;
    for (slot, member) in members.iter().enumerate().filter(|(_, member)| **member != leader) {
        synced += coordinator.ask(slot as u32, sync(member, Vec::new())).len();
    }
    let assignments = members.iter().map(|member| (member.clone(), Bytes::from(vec![1; 60]))).collect();
    synced += coordinator.ask(MEMBERS, sync(&leader, assignments)).len();
    assert_eq!(synced, MEMBERS as usize);
    coordinator.report("classic, sync", MEMBERS);
    for (slot, member) in members.iter().enumerate() {
        let beat = Heartbeat { group: "g".into(), member: member.clone(), instance: None, generation: 1 };
        coordinator.ask(slot as u32, Ask::Heartbeat(beat));
    }
    coordinator.report("classic, heartbeat", MEMBERS);
}

fn sync(member: &MemberId, assignments: Vec<(MemberId, Bytes)>) -> Ask {
    Ask::Sync(Sync {
        group: "g".into(),
        member: member.clone(),
        instance: None,
        generation: 1,
        protocol_type: None,
        protocol: None,
        assignments,
    })
}

fn beat(member: u32, epoch: i32, owned: Option<Vec<TopicPartitions>>) -> Ask {
    let first = epoch == 0;
    Ask::ConsumerHeartbeat(ConsumerHeartbeat {
        group: "g".into(),
        member: MemberId::from(format!("member-{member:05}")),
        epoch,
        instance: None,
        rack: None,
        rebalance_timeout_ms: first.then_some(300_000),
        subscribed: first.then(|| vec!["t".into()]),
        regex: None,
        assignor: None,
        owned,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
    })
}

fn consumer() {
    let mut coordinator = Coordinator::new();
    let mut epochs = vec![0; MEMBERS as usize];
    let mut owned: Vec<Vec<TopicPartitions>> = vec![Vec::new(); MEMBERS as usize];
    let mut told = vec![true; MEMBERS as usize];
    for member in 0..MEMBERS {
        let answers = coordinator.ask(member, beat(member, 0, Some(Vec::new())));
        learn(&answers, &mut epochs, &mut owned, &mut told, member as usize);
    }
    coordinator.report("KIP-848, join", MEMBERS);
    coordinator.wait(1_000);
    coordinator.report("KIP-848, target assignment", 1);
    let mut rounds = 0;
    while rounds < 20 {
        rounds += 1;
        told.fill(false);
        let before = epochs.clone();
        for member in 0..MEMBERS {
            let at = member as usize;
            let answers = coordinator.ask(member, beat(member, epochs[at], Some(owned[at].clone())));
            learn(&answers, &mut epochs, &mut owned, &mut told, at);
        }
        if epochs == before && !told.contains(&true) {
            break;
        }
    }
    let held: usize = owned.iter().flatten().map(|item| item.partitions.len()).sum();
    assert_eq!(held, PARTITIONS as usize);
    coordinator.report(&format!("KIP-848, {rounds} rounds of heartbeats to a stable group"), MEMBERS * rounds);
    for member in 0..MEMBERS {
        coordinator.ask(member, beat(member, epochs[member as usize], None));
    }
    coordinator.report("KIP-848, quiet heartbeat", MEMBERS);
}

fn learn(
    answers: &[(Ticket, Answer)],
    epochs: &mut [i32],
    owned: &mut [Vec<TopicPartitions>],
    told: &mut [bool],
    at: usize,
) {
    let [(_, Answer::ConsumerHeartbeat(answer))] = answers else { panic!("{answers:?}") };
    epochs[at] = answer.epoch;
    if let Some(assignment) = &answer.assignment {
        owned[at] = assignment.clone();
        told[at] = true;
    }
}

fn commits() {
    let mut coordinator = Coordinator::new();
    const GROUPS: u32 = 10_000;
    for round in 0..3 {
        for group in 0..GROUPS {
            coordinator.ask(group, commit(group, round));
        }
        coordinator.report("commit, 10,000 groups", GROUPS);
    }
}

fn commit(group: u32, offset: i64) -> Ask {
    Ask::CommitOffsets(CommitOffsets {
        group: GroupId::from(format!("group-{group:05}")),
        member: MemberId::default(),
        instance: None,
        generation: -1,
        knows_epochs: true,
        producer: None,
        retention_ms: None,
        offsets: vec![OffsetToCommit {
            topic: "t".into(),
            topic_id: Some(TopicId(7)),
            partition: PartitionIndex(0),
            offset: Offset(offset),
            leader_epoch: None,
            metadata: Text::default(),
        }],
    })
}

fn main() {
    classic();
    consumer();
    commits();
}
