//! Members that send a group coordinator anything, metadata of their protocols included: each question is answered at most
//! once, what is decided can be replayed, and the log gives the live state again.
#![no_main]

use std::collections::BTreeSet;

use bytes::Bytes;
use heddle_fuzz::image::take;
use heddle_group::*;
use heddle_model::{Mono, Now, Offset, PartitionIndex, ShardId, Ticket, TopicId, Wall};
use libfuzzer_sys::fuzz_target;

/// Questions of one input.
const ASKS_MAX: u32 = 200;

fuzz_target!(|data: &[u8]| {
    let mut world = World::new();
    let mut input = data;
    while world.asked < ASKS_MAX
        && let Some(kind) = take(&mut input)
    {
        if kind % 8 == 7 {
            let seconds = u64::from(take(&mut input).unwrap_or(0));
            world.wait(seconds * 1000);
        } else if let Some(ask) = world.ask(kind, &mut input) {
            world.decide(ask);
        } else {
            break;
        }
    }
    world.wait(100_000);
    world.check();
});

struct FourTopics;

impl Topics for FourTopics {
    fn version(&self) -> u64 {
        1
    }

    fn by_name(&self, name: &str) -> Option<(TopicId, i32)> {
        let number = NAMES.iter().position(|known| *known == name)?;
        Some((TopicId(number as u128 + 1), number as i32 + 1))
    }

    fn by_id(&self, id: TopicId) -> Option<(TopicName, i32)> {
        let number = usize::try_from(id.0.checked_sub(1)?).ok()?;
        Some((TopicName::new(NAMES.get(number)?), number as i32 + 1))
    }

    fn each_name(&self, visit: &mut dyn FnMut(&str)) {
        NAMES.iter().for_each(|name| visit(name));
    }
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

struct World {
    groups: Groups,
    soft: Soft,
    now: Now,
    log: Vec<Entry>,
    asked: u32,
    open: BTreeSet<u32>,
    members: Vec<MemberId>,
}

impl World {
    fn new() -> World {
        let groups = Groups::new(GroupSettings::default());
        let now = Now { mono: Mono(1_000_000), wall: Wall(1_000_000) };
        let soft = groups.lead(Context { now, topics: &FourTopics, entropy: 0 });
        let members = vec![MemberId::default()];
        World { groups, soft, now, log: Vec::new(), asked: 0, open: BTreeSet::new(), members }
    }

    fn decide(&mut self, ask: Ask) {
        self.asked += 1;
        let ticket = Ticket { home: ShardId(0), slot: self.asked, generation: 0, part: 0 };
        self.open.insert(self.asked);
        let context = Context { now: self.now, topics: &FourTopics, entropy: u128::from(self.asked) };
        let decision = self.groups.decide(context, ask, ticket, &mut self.soft);
        self.apply(decision);
    }

    fn wait(&mut self, ms: u64) {
        let end = self.now.mono.plus_ms(ms);
        while let Some(at) = self.soft.next_deadline().filter(|at| *at <= end) {
            let at = at.max(self.now.mono);
            self.now = Now { mono: at, wall: Wall(self.now.wall.0 + (at.since_us(self.now.mono) / 1000) as i64) };
            let context = Context { now: self.now, topics: &FourTopics, entropy: 0 };
            let decision = self.groups.tick(context, &mut self.soft);
            self.apply(decision);
        }
        self.now.mono = end.max(self.now.mono);
    }

    fn apply(&mut self, decision: Decision) {
        for entry in decision.records {
            self.groups.replay(&entry.key, entry.value.as_deref()).expect("its own record");
            self.log.push(entry);
        }
        self.groups.check();
        for (ticket, answer) in decision.answers {
            assert!(self.open.remove(&ticket.slot), "{ticket:?} is answered once: {answer:?}");
            self.learn(answer);
        }
    }

    /// Members come again with the ids that they were given.
    fn learn(&mut self, answer: Answer) {
        let member = match answer {
            Answer::Joined(joined) => joined.member,
            Answer::ConsumerHeartbeat(beat) => beat.member,
            Answer::Refused(Refusal::MemberIdRequired(member)) => member,
            _ => return,
        };
        if !self.members.contains(&member) && self.members.len() < 16 {
            self.members.push(member);
        }
    }

    fn check(&self) {
        let mut again = Groups::new(GroupSettings::default());
        for entry in &self.log {
            again.replay(&entry.key, entry.value.as_deref()).expect("its own record");
        }
        assert_eq!(again, self.groups, "the log gives the live state");
    }

    /// `None`: the input ends.
    fn ask(&self, kind: u8, input: &mut &[u8]) -> Option<Ask> {
        let group = GroupId::new(["g", "h"][usize::from(kind >> 7)]);
        let member = self.members[usize::from(take(input)?) % self.members.len()].clone();
        let style = take(input)?;
        let instance = (style & 7 == 0).then(|| InstanceId::new("i"));
        let generation = i32::from(take(input)?) % 12 - 2;
        Some(match kind % 8 {
            0 | 1 => Ask::Join(Join {
                group,
                member,
                instance,
                client_id: Text::new("client"),
                client_host: Text::new("/127.0.0.1"),
                session_timeout_ms: if style & 8 == 0 { 10_000 } else { i32::from(style) },
                rebalance_timeout_ms: 20_000,
                protocol_type: Text::new(if style & 16 == 0 { "consumer" } else { "connect" }),
                protocols: protocols(input)?,
                needs_known_id: style & 32 == 0,
                can_skip_assignment: style & 64 == 0,
                reason: None,
            }),
            2 => Ask::Sync(Sync {
                group,
                member,
                instance,
                generation,
                protocol_type: None,
                protocol: None,
                assignments: self
                    .members
                    .iter()
                    .map(|member| Some((member.clone(), bytes(input)?)))
                    .collect::<Option<_>>()?,
            }),
            3 => Ask::Heartbeat(Heartbeat { group, member, instance, generation }),
            4 if style & 8 == 0 => {
                Ask::Leave(Leave { group, members: vec![Leaver { member, instance, reason: None }] })
            }
            4 => Ask::DeleteOffsets(DeleteOffsets {
                group,
                partitions: vec![(name(style), PartitionIndex(0)), (name(style >> 2), PartitionIndex(1))],
            }),
            5 => Ask::CommitOffsets(CommitOffsets {
                group,
                member,
                instance,
                generation,
                knows_epochs: style & 8 == 0,
                producer: None,
                retention_ms: (style & 32 != 0).then(|| i64::from(style) * 1000),
                offsets: vec![OffsetToCommit {
                    topic: name(style),
                    topic_id: (style & 1 == 0).then_some(TopicId(1)),
                    partition: PartitionIndex(i32::from(style >> 4)),
                    offset: Offset(i64::from(style)),
                    leader_epoch: None,
                    metadata: Text::from(text(input)?),
                }],
            }),
            6 if style & 24 == 24 => match style >> 5 {
                0 | 1 => Ask::Delete(group),
                2 => Ask::Describe(group),
                3 => Ask::ConsumerDescribe(group),
                4 => Ask::TopicsDeleted([name(style)].into()),
                5 => Ask::List(List::default()),
                _ => Ask::FetchOffsets(FetchOffsets {
                    group,
                    member: Some(member),
                    epoch: Some(generation),
                    topics: None,
                    require_stable: style & 1 == 0,
                }),
            },
            _ => Ask::ConsumerHeartbeat(ConsumerHeartbeat {
                group,
                member: if member.is_empty() { MemberId::from(format!("m{}", style >> 6)) } else { member },
                epoch: generation,
                instance,
                rack: None,
                rebalance_timeout_ms: (style & 8 == 0).then_some(30_000),
                subscribed: (style & 16 == 0).then(|| vec![name(style), name(style >> 2)]),
                regex: if style & 32 == 0 { Some(Text::from(text(input)?)) } else { None },
                assignor: None,
                owned: (style & 64 == 0).then(|| {
                    let partitions = vec![PartitionIndex(0)];
                    vec![TopicPartitions { topic: TopicId(u128::from(style % 5)), partitions }]
                }),
                client_id: Text::new("client"),
                client_host: Text::new("/127.0.0.1"),
            }),
        })
    }
}

fn name(pick: u8) -> TopicName {
    TopicName::new(NAMES[usize::from(pick) % NAMES.len()])
}

fn protocols(input: &mut &[u8]) -> Option<Vec<Protocol>> {
    let count = take(input)? % 3;
    let names = ["range", "roundrobin"];
    (0..count).map(|at| Some(Protocol { name: Text::new(names[usize::from(at)]), metadata: bytes(input)? })).collect()
}

fn bytes(input: &mut &[u8]) -> Option<Bytes> {
    let len = usize::from(take(input)?);
    let (bytes, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(Bytes::copy_from_slice(bytes))
}

fn text(input: &mut &[u8]) -> Option<String> {
    let len = usize::from(take(input)?) % 32;
    let (bytes, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(String::from_utf8_lossy(bytes).into_owned())
}
