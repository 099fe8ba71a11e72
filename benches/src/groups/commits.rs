//! Offset commits: as many as a number of committers can make, and of very many groups at a fixed pace.

use std::io;
use std::time::{Duration, Instant};

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetCommitResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::measure::{Figures, Latency, Server};
use super::net::{Net, Received, agree, coordinators, create_topic, is_not_ready};
use crate::load::wire::Blocking;

/// Before measuring committers that do not wait: code becomes warm.
const WARMUP: Duration = Duration::from_secs(2);
/// A coordinator that is not ready by then will never be.
const READY_MAX: Duration = Duration::from_secs(120);

struct Committers {
    net: Net,
    version: i16,
    topic: TopicName,
    groups: Vec<GroupId>,
}

impl Committers {
    /// Groups named after the run, on `connections` connections, each to the coordinator of those it serves.
    fn open(broker: &str, groups: usize, connections: usize, run: u64) -> io::Result<Committers> {
        let mut first = Blocking::connect(broker)?;
        let topic = format!("commits-{run}");
        create_topic(&mut first, &topic, 1)?;
        let names: Vec<String> = (0..groups).map(|group| format!("committer-{run}-{group}")).collect();
        let addresses = coordinators(&mut first, &names)?;
        let shared = connections.min(groups);
        if addresses.iter().enumerate().any(|(group, address)| *address != addresses[group % shared]) {
            return Err(io::Error::other("groups on several brokers need a connection each: --connections"));
        }
        let mut all = Committers {
            net: Net::open(&addresses[..shared])?,
            version: agree::<OffsetCommitRequest>(&mut first, 9)?,
            topic: TopicName(StrBytes::from_string(topic)),
            groups: names.into_iter().map(|name| GroupId(StrBytes::from_string(name))).collect(),
        };
        all.make_groups()?;
        Ok(all)
    }

    /// Each commits once, again and again until its coordinator is ready.
    fn make_groups(&mut self) -> io::Result<()> {
        for group in 0..self.groups.len() {
            self.send(group, 0, i32::try_from(group).map_err(io::Error::other)?)?;
        }
        let (mut left, begin) = (self.groups.len(), Instant::now());
        while left > 0 {
            let received = self.net.next(None)?.ok_or_else(|| io::Error::other("no answer"))?;
            let group = received.correlation;
            if check(&received.read::<OffsetCommitRequest>(self.version)?)? {
                left -= 1;
            } else if begin.elapsed() < READY_MAX {
                std::thread::sleep(Duration::from_millis(2));
                self.send(usize::try_from(group).map_err(io::Error::other)?, 0, group)?;
            } else {
                return Err(io::Error::other("the coordinator does not become ready"));
            }
        }
        Ok(())
    }

    fn taken(&self, received: Received) -> io::Result<()> {
        match check(&received.read::<OffsetCommitRequest>(self.version)?)? {
            true => Ok(()),
            false => Err(io::Error::other("the coordinator is gone")),
        }
    }

    /// A commit from outside the group's membership, as of a consumer that assigns its partitions itself.
    fn send(&mut self, group: usize, offset: i64, correlation: i32) -> io::Result<()> {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(0)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(StrBytes::default()));
        let topic = OffsetCommitRequestTopic::default().with_name(self.topic.clone()).with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(self.groups[group].clone())
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        let connection = group % self.net.len();
        self.net.send(connection, &request, self.version, correlation)
    }
}

/// Every committer commits again as soon as it is answered.
///
/// # Errors
/// The broker answers with an error, or not at all.
pub fn closed(broker: &str, server: Server, committers: usize, seconds: f64, run: u64) -> io::Result<Figures> {
    let mut all = Committers::open(broker, committers, committers, run)?;
    let mut sent = vec![Instant::now(); committers];
    for (group, at) in sent.iter_mut().enumerate() {
        *at = Instant::now();
        all.send(group, 0, 0)?;
    }
    let begin = Instant::now() + WARMUP;
    let end = begin + Duration::from_secs_f64(seconds);
    let (mut latency, mut before) = (Latency::default(), None);
    while let Some(received) = all.net.next(Some(end))? {
        let (group, offset) = (received.from, received.correlation);
        all.taken(received)?;
        let now = Instant::now();
        if now >= end {
            break;
        }
        if now >= begin {
            if before.is_none() {
                before = Some((now, server.cpu()?));
            }
            latency.record(now - sent[group]);
        }
        sent[group] = now;
        all.send(group, i64::from(offset) + 1, offset.wrapping_add(1) & i32::MAX)?;
    }
    let (since, cpu) = before.ok_or_else(|| io::Error::other("nothing was committed"))?;
    let mut figures = Figures::default();
    figures.add("committers", committers as f64);
    figures.add("commits/s", latency.len() as f64 / since.elapsed().as_secs_f64());
    figures.add_latency(&latency);
    if let (Some(before), Some(after)) = (cpu, server.cpu()?) {
        figures.add("server CPU per commit us", (after - before) / latency.len() as f64 * 1e6);
    }
    Ok(figures)
}

/// Each group commits every `interval` seconds, evenly spread; latency counts from when a commit was due.
///
/// # Errors
/// The broker answers with an error, or not at all.
pub fn paced(
    broker: &str,
    server: Server,
    (groups, connections): (usize, usize),
    (interval, seconds): (f64, f64),
    run: u64,
) -> io::Result<Figures> {
    let mut all = Committers::open(broker, groups, connections, run)?;
    let gap = interval / groups as f64;
    // The first round is not measured.
    let (unmeasured, count) = (groups, groups + (seconds / gap) as usize);
    let start = Instant::now() + Duration::from_millis(200);
    let due = |number: usize| start + Duration::from_secs_f64(gap * number as f64);
    let (mut sent, mut answered) = (0, 0);
    let (mut latency, mut behind, mut before) = (Latency::default(), Latency::default(), None);
    while answered < count {
        let now = Instant::now();
        while sent < count && due(sent) <= now {
            let number = i32::try_from(sent).map_err(io::Error::other)?;
            all.send(sent % groups, (sent / groups) as i64, number)?;
            if sent >= unmeasured {
                behind.record(now - due(sent));
            }
            sent += 1;
        }
        if before.is_none() && sent >= unmeasured {
            before = Some((now, server.cpu()?));
        }
        let next = if sent < count { Some(due(sent)) } else { None };
        let Some(received) = all.net.next(next)? else { continue };
        let number = usize::try_from(received.correlation).map_err(io::Error::other)?;
        all.taken(received)?;
        answered += 1;
        if number >= unmeasured {
            latency.record(due(number).elapsed());
        }
    }
    let (since, cpu) = before.ok_or_else(|| io::Error::other("nothing was measured: --seconds is too short"))?;
    let took = since.elapsed().as_secs_f64();
    let mut figures = Figures::default();
    figures.add("groups", groups as f64);
    figures.add("commits/s", latency.len() as f64 / took);
    figures.add_latency(&latency);
    figures.add("generator behind p99 ms", behind.at(0.99));
    if let (Some(before), Some(after)) = (cpu, server.cpu()?) {
        figures.add("server CPU, cores", (after - before) / took);
    }
    Ok(figures)
}

/// Whether the offset is committed; not if the coordinator is only about to become one.
fn check(response: &OffsetCommitResponse) -> io::Result<bool> {
    let code = response.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code).max();
    match code {
        Some(0) => Ok(true),
        Some(code) if is_not_ready(code) => Ok(false),
        code => Err(io::Error::other(format!("a commit was refused with error {code:?}"))),
    }
}
