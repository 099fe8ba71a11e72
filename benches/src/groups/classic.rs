//! Rebalances of one large group of the classic protocol, as its members see them.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::measure::{Figures, Server, median_and_max};
use super::net::{Net, Received, agree, coordinators, is_not_ready};
use crate::load::wire::Blocking;

const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;
/// Members heartbeat as part of joining and syncing only: a run is over before this.
const SESSION_MS: i32 = 300_000;
/// How long a forming group may take to be complete: it begins anew when members came too late for a generation.
const FORMINGS_MAX: usize = 10;
const PROTOCOL: &str = "range";
const TOPIC: &str = "groups-classic";

/// Correlation ids tell a response's kind.
const JOIN: i32 = 1;
const SYNC: i32 = 2;
const HEARTBEAT: i32 = 3;

struct Members {
    net: Net,
    group: GroupId,
    join: i16,
    sync: i16,
    heartbeat: i16,
    /// By connection; empty until the coordinator gave one.
    ids: Vec<StrBytes>,
    /// Connection by member id.
    places: BTreeMap<StrBytes, usize>,
    leader: usize,
    generation: i32,
}

/// When things happened in one rebalance.
struct Times {
    /// The last JoinGroup was handed to the kernel.
    last_join_sent: Instant,
    last_joined: Instant,
    last_synced: Instant,
    /// All members are in this generation.
    complete: bool,
}

/// # Errors
/// The broker answers with an error, or not at all.
pub fn run(broker: &str, server: Server, members: usize, rounds: usize, run: u64) -> io::Result<Figures> {
    let mut first = Blocking::connect(broker)?;
    let group = format!("classic-{run}");
    let address = coordinators(&mut first, std::slice::from_ref(&group))?.remove(0);
    let mut all = Members {
        net: Net::open(&vec![address; members])?,
        group: GroupId(StrBytes::from_string(group)),
        join: agree::<JoinGroupRequest>(&mut first, 9)?,
        sync: agree::<SyncGroupRequest>(&mut first, 5)?,
        heartbeat: agree::<HeartbeatRequest>(&mut first, 4)?,
        ids: vec![StrBytes::default(); members],
        places: BTreeMap::new(),
        leader: 0,
        generation: -1,
    };
    let begin = Instant::now();
    all.form()?;
    let formed = begin.elapsed();
    let cpu = server.cpu()?;
    let (mut to_joined, mut to_synced) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let times = all.rebalance()?;
        if !times.complete {
            return Err(io::Error::other("members were lost between two rebalances"));
        }
        to_joined.push(ms(times.last_joined - times.last_join_sent));
        to_synced.push(ms(times.last_synced - times.last_join_sent));
    }
    let mut figures = Figures::default();
    figures.add("members", members as f64);
    figures.add("forming s", formed.as_secs_f64());
    let (median, max) = median_and_max(to_joined);
    figures.add("last join to last joined ms, median", median);
    figures.add("last join to last joined ms, max", max);
    let (median, max) = median_and_max(to_synced);
    figures.add("last join to last assignment ms, median", median);
    figures.add("last join to last assignment ms, max", max);
    if let (Some(before), Some(after)) = (cpu, server.cpu()?) {
        figures.add("server CPU per join us", (after - before) / (rounds * members) as f64 * 1e6);
    }
    Ok(figures)
}

impl Members {
    fn form(&mut self) -> io::Result<()> {
        for _ in 0..FORMINGS_MAX {
            let everybody: Vec<usize> = (0..self.net.len()).collect();
            if self.gather(&everybody)?.complete {
                return Ok(());
            }
        }
        Err(io::Error::other(format!("the group was not complete after {FORMINGS_MAX} rebalances")))
    }

    /// The leader joins again, which begins a rebalance; the others join when a heartbeat would tell them.
    fn rebalance(&mut self) -> io::Result<Times> {
        self.send_join(self.leader)?;
        let follower = usize::from(self.leader == 0).min(self.net.len() - 1);
        if follower != self.leader {
            self.await_rebalance(follower)?;
        }
        let leader = self.leader;
        let others: Vec<usize> = (0..self.net.len()).filter(|member| *member != leader).collect();
        self.gather(&others)
    }

    fn await_rebalance(&mut self, member: usize) -> io::Result<()> {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group.clone())
            .with_generation_id(self.generation)
            .with_member_id(self.ids[member].clone());
        loop {
            self.net.send(member, &request, self.heartbeat, HEARTBEAT)?;
            let received = self.next()?;
            if received.correlation != HEARTBEAT {
                return Err(io::Error::other("the leader joined alone"));
            }
            match received.read::<HeartbeatRequest>(self.heartbeat)?.error_code {
                0 => std::thread::sleep(Duration::from_millis(1)),
                REBALANCE_IN_PROGRESS => return Ok(()),
                code => return Err(refused("Heartbeat", code)),
            }
        }
    }

    /// These join now; the rebalance is over when every member has its assignment.
    fn gather(&mut self, joining: &[usize]) -> io::Result<Times> {
        for &member in joining {
            self.send_join(member)?;
        }
        let mut last_join_sent = Instant::now();
        let (mut joined, mut synced) = (0, 0);
        let mut last_joined = last_join_sent;
        let mut generations = BTreeMap::new();
        let mut in_group = 0;
        while synced < self.net.len() {
            let received = self.next()?;
            let member = received.from;
            if received.correlation == JOIN {
                let response = received.read::<JoinGroupRequest>(self.join)?;
                match response.error_code {
                    0 => {}
                    MEMBER_ID_REQUIRED => {
                        self.learn(member, response.member_id);
                        self.send_join(member)?;
                        last_join_sent = Instant::now();
                        continue;
                    }
                    code if is_not_ready(code) => {
                        std::thread::sleep(Duration::from_millis(10));
                        self.send_join(member)?;
                        last_join_sent = Instant::now();
                        continue;
                    }
                    code => return Err(refused("JoinGroup", code)),
                }
                joined += 1;
                last_joined = Instant::now();
                *generations.entry(response.generation_id).or_insert(0) += 1;
                in_group = in_group.max(response.members.len());
                self.on_joined(member, &response)?;
            } else {
                let response = received.read::<SyncGroupRequest>(self.sync)?;
                match response.error_code {
                    0 => self.check_assignment(member, &response)?,
                    // It came too late for this generation, and joins again with all.
                    REBALANCE_IN_PROGRESS => {}
                    code => return Err(refused("SyncGroup", code)),
                }
                synced += 1;
            }
        }
        let everybody = self.net.len();
        let complete = joined == everybody && generations.len() == 1 && in_group == everybody;
        self.generation = generations.keys().next_back().copied().unwrap_or(-1);
        Ok(Times { last_join_sent, last_joined, last_synced: Instant::now(), complete })
    }

    fn next(&mut self) -> io::Result<Received> {
        self.net.next(None)?.ok_or_else(|| io::Error::other("no answer"))
    }

    fn learn(&mut self, member: usize, id: StrBytes) {
        self.places.insert(id.clone(), member);
        self.ids[member] = id;
    }

    fn send_join(&mut self, member: usize) -> io::Result<()> {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str(PROTOCOL))
            .with_metadata(subscription(TOPIC));
        let request = JoinGroupRequest::default()
            .with_group_id(self.group.clone())
            .with_session_timeout_ms(SESSION_MS)
            .with_rebalance_timeout_ms(SESSION_MS)
            .with_member_id(self.ids[member].clone())
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![protocol]);
        self.net.send(member, &request, self.join, JOIN)
    }

    /// A member that is in asks for its assignment; the leader brings all of them.
    fn on_joined(&mut self, member: usize, response: &JoinGroupResponse) -> io::Result<()> {
        self.learn(member, response.member_id.clone());
        let mut assignments = Vec::new();
        if response.leader == response.member_id {
            self.leader = member;
            for one in &response.members {
                let place = self.places.get(&one.member_id).copied();
                let place = place.ok_or_else(|| io::Error::other("a member that nobody is"))?;
                let share = SyncGroupRequestAssignment::default()
                    .with_member_id(one.member_id.clone())
                    .with_assignment(assignment(TOPIC, place as i32));
                assignments.push(share);
            }
        }
        let request = SyncGroupRequest::default()
            .with_group_id(self.group.clone())
            .with_generation_id(response.generation_id)
            .with_member_id(response.member_id.clone())
            .with_protocol_type(Some(StrBytes::from_static_str("consumer")))
            .with_protocol_name(Some(StrBytes::from_static_str(PROTOCOL)))
            .with_assignments(assignments);
        self.net.send(member, &request, self.sync, SYNC)
    }

    fn check_assignment(&self, member: usize, response: &SyncGroupResponse) -> io::Result<()> {
        if response.assignment != assignment(TOPIC, member as i32) {
            return Err(io::Error::other(format!("member {member} got what another was to get")));
        }
        Ok(())
    }
}

fn refused(what: &str, code: i16) -> io::Error {
    io::Error::other(format!("{what} was refused with error {code}"))
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// ConsumerProtocolSubscription, version 1: topics, no user data, nothing owned.
fn subscription(topic: &str) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(1);
    put_topic(&mut out, topic);
    out.put_i32(-1);
    out.put_i32(0);
    out.freeze()
}

/// ConsumerProtocolAssignment, version 1: one partition.
fn assignment(topic: &str, partition: i32) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(1);
    put_topic(&mut out, topic);
    out.put_i32(1);
    out.put_i32(partition);
    out.put_i32(-1);
    out.freeze()
}

fn put_topic(out: &mut BytesMut, topic: &str) {
    out.put_i32(1);
    out.put_i16(topic.len() as i16);
    out.put_slice(topic.as_bytes());
}
