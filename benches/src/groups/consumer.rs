//! One large group of the KIP-848 protocol is formed: the members do what clients do with what the coordinator tells them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::io;
use std::time::{Duration, Instant};

use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::consumer_group_heartbeat_response::Assignment;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::control::{Control, say};
use super::measure::{Figures, Server, median_and_max};
use super::net::{Net, agree, coordinators, create_topic, is_not_ready};
use crate::load::wire::Blocking;

const REBALANCE_TIMEOUT_MS: i32 = 300_000;
/// Later than this a group is not formed.
const FORMED_MAX: Duration = Duration::from_secs(180);
/// A coordinator that is not ready is asked again after this.
const NOT_READY: Duration = Duration::from_millis(50);
const LEAVES: i32 = -1;

type Partition = (u128, i32);

#[derive(Default)]
struct Member {
    id: StrBytes,
    epoch: i32,
    owned: BTreeSet<Partition>,
    /// What it owns is to be said: it joins, or that has changed.
    says_owned: bool,
}

struct Group {
    net: Net,
    version: i16,
    group: GroupId,
    topic: TopicName,
    partitions: usize,
    /// Formed only once all shares are as equal as they can be. Where others are in the group, assignors care less.
    shares_are_equal: bool,
    members: Vec<Member>,
    /// Members by when their next heartbeat is due.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    /// How many members are at each epoch, and how many hold as much as they finally shall.
    epochs: BTreeMap<i32, usize>,
    settled: usize,
    held: usize,
    heartbeats: u64,
}

/// # Errors
/// The broker answers with an error, or the group is not formed in three minutes.
pub fn run(broker: &str, server: Server, members: usize, rounds: usize, run: u64) -> io::Result<Figures> {
    let mut first = Blocking::connect(broker)?;
    let topic = format!("groups-{run}");
    create_topic(&mut first, &topic, members as i32)?;
    let version = agree::<ConsumerGroupHeartbeatRequest>(&mut first, 1)?;
    let (mut from_last, mut from_first, mut cpu, mut heartbeats) = (Vec::new(), Vec::new(), 0.0, 0);
    for round in 0..rounds {
        let name = format!("consumer-{run}-{round}");
        let address = coordinators(&mut first, std::slice::from_ref(&name))?.remove(0);
        let net = Net::open(&vec![address; members])?;
        let mut group = Group::new(net, version, &name, &topic, members);
        let before = server.cpu()?;
        let begin = Instant::now();
        for member in 0..members {
            group.send(member)?;
        }
        let last_join_sent = Instant::now();
        let formed = group.form(begin + FORMED_MAX)?;
        from_first.push((formed - begin).as_secs_f64() * 1e3);
        from_last.push((formed - last_join_sent).as_secs_f64() * 1e3);
        heartbeats += group.heartbeats;
        if let (Some(before), Some(after)) = (before, server.cpu()?) {
            cpu += after - before;
        }
        group.leave()?;
    }
    let joins = (rounds * members) as f64;
    let mut figures = Figures::default();
    figures.add("members", members as f64);
    let (median, max) = median_and_max(from_last);
    figures.add("last join to last assignment ms, median", median);
    figures.add("last join to last assignment ms, max", max);
    figures.add("first join to last assignment ms, median", median_and_max(from_first).0);
    figures.add("heartbeats per join", heartbeats as f64 / joins);
    if server.0.is_some() {
        figures.add("server CPU per join us", cpu / joins * 1e6);
    }
    Ok(figures)
}

/// Members join a group that others are in, say `in` once each holds its share of their own topic, and live on until the
/// standard input ends.
///
/// # Errors
/// The broker answers with an error, or the members have no shares in three minutes.
pub fn beside(broker: &str, group: &str, topic: &str, members: usize, partitions: usize) -> io::Result<()> {
    let mut first = Blocking::connect(broker)?;
    create_topic(&mut first, topic, partitions as i32)?;
    let version = agree::<ConsumerGroupHeartbeatRequest>(&mut first, 1)?;
    let address = coordinators(&mut first, &[group.to_owned()])?.remove(0);
    let mut group = Group::new(Net::open(&vec![address; members])?, version, group, topic, partitions);
    group.shares_are_equal = false;
    for member in 0..members {
        group.send(member)?;
    }
    let control = Control::start();
    group.form(Instant::now() + FORMED_MAX)?;
    say("in")?;
    while !control.is_over() {
        group.act(Instant::now() + Duration::from_millis(20))?;
    }
    group.leave()
}

impl Group {
    fn new(net: Net, version: i16, group: &str, topic: &str, partitions: usize) -> Group {
        let count = net.len();
        // From version 1 on members name themselves.
        let id = |at: usize| if version >= 1 { StrBytes::from_string(format!("{group}-{at}")) } else { "".into() };
        Group {
            net,
            version,
            group: GroupId(StrBytes::from_string(group.to_owned())),
            topic: TopicName(StrBytes::from_string(topic.to_owned())),
            partitions,
            shares_are_equal: true,
            members: (0..count).map(|at| Member { id: id(at), says_owned: true, ..Member::default() }).collect(),
            due: BinaryHeap::new(),
            epochs: BTreeMap::from([(0, count)]),
            settled: 0,
            held: 0,
            heartbeats: 0,
        }
    }

    /// Heartbeats until each member holds its final share. When the last one was told.
    fn form(&mut self, until: Instant) -> io::Result<Instant> {
        loop {
            let now = Instant::now();
            if now > until {
                let (held, of, at) = (self.held, self.partitions, &self.epochs);
                return Err(io::Error::other(format!("{held} of {of} partitions held, members by epoch: {at:?}")));
            }
            if self.act(until)? && self.is_formed() {
                let distinct: BTreeSet<Partition> =
                    self.members.iter().flat_map(|member| member.owned.iter().copied()).collect();
                if distinct.len() != self.partitions {
                    return Err(io::Error::other("two members hold one partition"));
                }
                return Ok(Instant::now());
            }
        }
    }

    /// Heartbeats that are due, and the next answer; false if none comes before the next heartbeat or `until`.
    fn act(&mut self, until: Instant) -> io::Result<bool> {
        let now = Instant::now();
        while self.due.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            if let Some(Reverse((_, member))) = self.due.pop() {
                self.send(member)?;
            }
        }
        let next = self.due.peek().map_or(until, |Reverse((at, _))| (*at).min(until));
        let Some(received) = self.net.next(Some(next))? else { return Ok(false) };
        let member = received.from;
        let response = received.read::<ConsumerGroupHeartbeatRequest>(self.version)?;
        self.on_response(member, response)?;
        Ok(true)
    }

    fn is_formed(&self) -> bool {
        let settled = !self.shares_are_equal || self.settled == self.members.len();
        self.held == self.partitions && settled && self.epochs.len() == 1
    }

    fn on_response(&mut self, at: usize, response: ConsumerGroupHeartbeatResponse) -> io::Result<()> {
        if is_not_ready(response.error_code) {
            self.members[at].says_owned = true;
            self.due.push(Reverse((Instant::now() + NOT_READY, at)));
            return Ok(());
        }
        if response.error_code != 0 {
            let (code, text) = (response.error_code, response.error_message.unwrap_or_default());
            return Err(io::Error::other(format!("a heartbeat was refused with error {code}: {text}")));
        }
        self.count(at, false);
        let member = &mut self.members[at];
        if let Some(id) = response.member_id.filter(|id| !id.is_empty()) {
            member.id = id;
        }
        member.epoch = response.member_epoch;
        let told = response.assignment.map(|assignment| partitions(&assignment));
        let changed = told.filter(|told| *told != member.owned);
        let is_changed = changed.is_some();
        if let Some(told) = changed {
            member.owned = told;
            member.says_owned = true;
        }
        self.count(at, true);
        if is_changed {
            // What was taken on or given up is said at once.
            return self.send(at);
        }
        let interval = Duration::from_millis(response.heartbeat_interval_ms.max(1) as u64);
        self.due.push(Reverse((Instant::now() + interval, at)));
        Ok(())
    }

    fn count(&mut self, at: usize, add: bool) {
        let (member, share) = (&self.members[at], self.partitions / self.members.len());
        let is_settled = member.owned.len() == share || member.owned.len() == share + 1;
        let at_epoch = self.epochs.entry(member.epoch).or_insert(0);
        if add {
            *at_epoch += 1;
            self.held += member.owned.len();
            self.settled += usize::from(is_settled);
        } else {
            *at_epoch -= 1;
            self.held -= member.owned.len();
            self.settled -= usize::from(is_settled);
        }
        self.epochs.retain(|_, count| *count > 0);
    }

    /// The first heartbeat says all, as does one after a change; others say nothing new.
    fn send(&mut self, at: usize) -> io::Result<()> {
        let member = &mut self.members[at];
        let mut request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(self.group.clone())
            .with_member_id(member.id.clone())
            .with_member_epoch(member.epoch)
            .with_rebalance_timeout_ms(-1)
            .with_topic_partitions(std::mem::take(&mut member.says_owned).then(|| owned(&member.owned)));
        if member.epoch == 0 {
            request = request
                .with_rebalance_timeout_ms(REBALANCE_TIMEOUT_MS)
                .with_subscribed_topic_names(Some(vec![self.topic.clone()]));
        }
        self.heartbeats += u64::from(member.epoch != LEAVES);
        self.net.send(at, &request, self.version, 1)
    }

    fn leave(&mut self) -> io::Result<()> {
        let mut waiting = 0;
        for at in 0..self.members.len() {
            self.members[at].epoch = LEAVES;
            self.send(at)?;
            waiting += 1;
        }
        // Some still wait for a heartbeat's answer as well.
        while waiting > 0 {
            let received = self.net.next(None)?.ok_or_else(|| io::Error::other("no answer"))?;
            let response = received.read::<ConsumerGroupHeartbeatRequest>(self.version)?;
            waiting -= usize::from(response.member_epoch == LEAVES || response.error_code != 0);
        }
        Ok(())
    }
}

fn partitions(assignment: &Assignment) -> BTreeSet<Partition> {
    let topics = assignment.topic_partitions.iter();
    topics.flat_map(|one| one.partitions.iter().map(|index| (one.topic_id.as_u128(), *index))).collect()
}

fn owned(partitions: &BTreeSet<Partition>) -> Vec<TopicPartitions> {
    let mut topics: BTreeMap<u128, Vec<i32>> = BTreeMap::new();
    for (topic, index) in partitions {
        topics.entry(*topic).or_default().push(*index);
    }
    let topic = |(id, partitions)| {
        TopicPartitions::default().with_topic_id(uuid::Uuid::from_u128(id)).with_partitions(partitions)
    };
    topics.into_iter().map(topic).collect()
}
