//! Members of the classic protocol that join a group which others lead, live in it, and leave when told to: what they do
//! to the others is what is measured, by the others.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::control::{Control, say};
use super::net::{Net, Received, agree, coordinators, create_topic, is_not_ready};
use crate::load::wire::Blocking;

const UNKNOWN_MEMBER: i16 = 25;
const ILLEGAL_GENERATION: i16 = 22;
const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;
/// The Java client's defaults.
const SESSION_MS: i32 = 45_000;
const REBALANCE_MS: i32 = 300_000;
const HEARTBEAT_EVERY: Duration = Duration::from_secs(3);
const NOT_READY: Duration = Duration::from_millis(50);

/// Correlation ids tell a response's kind.
const JOIN: i32 = 1;
const SYNC: i32 = 2;
const HEARTBEAT: i32 = 3;
const LEAVE: i32 = 4;

#[derive(Default)]
struct Member {
    id: StrBytes,
    generation: i32,
    owned: Vec<i32>,
    is_in: bool,
}

struct Members {
    net: Net,
    group: GroupId,
    topic: String,
    /// The assignor, which is the protocol's name.
    protocol: StrBytes,
    join: i16,
    sync: i16,
    heartbeat: i16,
    members: Vec<Member>,
    /// Members by when they are to say something next.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
}

/// `topic` with its partitions. Says `in` once every member has an assignment, and lives on until the standard input ends.
///
/// # Errors
/// The broker answers with an error or not at all, or one of the members is made the leader.
pub fn run(broker: &str, group: &str, topic: (&str, usize), protocol: &str, count: usize) -> io::Result<()> {
    let (topic, partitions) = topic;
    let mut first = Blocking::connect(broker)?;
    create_topic(&mut first, topic, partitions as i32)?;
    let address = coordinators(&mut first, &[group.to_owned()])?.remove(0);
    let mut all = Members {
        net: Net::open(&vec![address; count])?,
        group: GroupId(StrBytes::from_string(group.to_owned())),
        topic: topic.to_owned(),
        protocol: StrBytes::from_string(protocol.to_owned()),
        join: agree::<JoinGroupRequest>(&mut first, 9)?,
        sync: agree::<SyncGroupRequest>(&mut first, 5)?,
        heartbeat: agree::<HeartbeatRequest>(&mut first, 4)?,
        members: (0..count).map(|_| Member { generation: -1, ..Member::default() }).collect(),
        due: BinaryHeap::new(),
    };
    let leave = agree::<LeaveGroupRequest>(&mut first, 5)?;
    for member in 0..count {
        all.send_join(member)?;
    }
    let control = Control::start();
    let mut said = false;
    while !control.is_over() {
        all.act()?;
        if !said && all.members.iter().all(|member| member.is_in) {
            said = true;
            say("in")?;
        }
    }
    all.leave(leave)
}

impl Members {
    /// What is due, and what comes within a moment.
    fn act(&mut self) -> io::Result<()> {
        let now = Instant::now();
        while self.due.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            if let Some(Reverse((_, member))) = self.due.pop() {
                if self.members[member].is_in { self.send_heartbeat(member)? } else { self.send_join(member)? }
            }
        }
        match self.net.next(Some(now + Duration::from_millis(20)))? {
            Some(received) => self.on_response(received),
            None => Ok(()),
        }
    }

    fn on_response(&mut self, received: Received) -> io::Result<()> {
        let at = received.from;
        let (error, what) = match received.correlation {
            JOIN => {
                let response = received.read::<JoinGroupRequest>(self.join)?;
                let error = response.error_code;
                if error == 0 {
                    return self.on_joined(at, &response);
                }
                if error == MEMBER_ID_REQUIRED {
                    self.members[at].id = response.member_id;
                    return self.send_join(at);
                }
                (error, "JoinGroup")
            }
            SYNC => {
                let response = received.read::<SyncGroupRequest>(self.sync)?;
                if response.error_code == 0 {
                    return self.on_assigned(at, response.assignment);
                }
                (response.error_code, "SyncGroup")
            }
            HEARTBEAT => {
                let response = received.read::<HeartbeatRequest>(self.heartbeat)?;
                if response.error_code == 0 {
                    self.due.push(Reverse((Instant::now() + HEARTBEAT_EVERY, at)));
                    return Ok(());
                }
                (response.error_code, "Heartbeat")
            }
            _ => return Ok(()),
        };
        let member = &mut self.members[at];
        member.is_in = false;
        match error {
            REBALANCE_IN_PROGRESS => self.send_join(at),
            UNKNOWN_MEMBER | ILLEGAL_GENERATION => {
                member.owned.clear();
                if error == UNKNOWN_MEMBER {
                    member.id = StrBytes::default();
                }
                self.send_join(at)
            }
            error if is_not_ready(error) => {
                self.due.push(Reverse((Instant::now() + NOT_READY, at)));
                Ok(())
            }
            error => Err(io::Error::other(format!("{what} was refused with error {error}"))),
        }
    }

    fn on_joined(&mut self, at: usize, response: &JoinGroupResponse) -> io::Result<()> {
        if response.leader == response.member_id {
            return Err(io::Error::other("a member that only follows was made the leader"));
        }
        let member = &mut self.members[at];
        (member.id, member.generation) = (response.member_id.clone(), response.generation_id);
        let request = SyncGroupRequest::default()
            .with_group_id(self.group.clone())
            .with_generation_id(response.generation_id)
            .with_member_id(response.member_id.clone())
            .with_protocol_type(Some(StrBytes::from_static_str("consumer")))
            .with_protocol_name(Some(self.protocol.clone()));
        self.net.send(at, &request, self.sync, SYNC)
    }

    /// What is taken away is given up by joining again, if the assignor is cooperative; an eager one never takes away.
    fn on_assigned(&mut self, at: usize, assignment: Bytes) -> io::Result<()> {
        let assigned =
            partitions_of(assignment).ok_or_else(|| io::Error::other("an assignment that cannot be read"))?;
        let is_cooperative = self.protocol.starts_with("cooperative");
        let member = &mut self.members[at];
        let gives_up = is_cooperative && member.owned.iter().any(|partition| !assigned.contains(partition));
        member.owned = assigned;
        member.is_in = true;
        if gives_up {
            return self.send_join(at);
        }
        self.due.push(Reverse((Instant::now() + HEARTBEAT_EVERY, at)));
        Ok(())
    }

    fn send_join(&mut self, at: usize) -> io::Result<()> {
        let member = &self.members[at];
        let owned: &[i32] = if self.protocol.starts_with("cooperative") { &member.owned } else { &[] };
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(self.protocol.clone())
            .with_metadata(subscription(&self.topic, owned));
        let request = JoinGroupRequest::default()
            .with_group_id(self.group.clone())
            .with_session_timeout_ms(SESSION_MS)
            .with_rebalance_timeout_ms(REBALANCE_MS)
            .with_member_id(member.id.clone())
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![protocol]);
        self.net.send(at, &request, self.join, JOIN)
    }

    fn send_heartbeat(&mut self, at: usize) -> io::Result<()> {
        let member = &self.members[at];
        let request = HeartbeatRequest::default()
            .with_group_id(self.group.clone())
            .with_generation_id(member.generation)
            .with_member_id(member.id.clone());
        self.net.send(at, &request, self.heartbeat, HEARTBEAT)
    }

    fn leave(&mut self, version: i16) -> io::Result<()> {
        let mut waiting = self.members.len();
        for (at, member) in self.members.iter().enumerate() {
            let identity = MemberIdentity::default().with_member_id(member.id.clone());
            let request = LeaveGroupRequest::default().with_group_id(self.group.clone()).with_members(vec![identity]);
            self.net.send(at, &request, version, LEAVE)?;
        }
        while waiting > 0 {
            let received = self.net.next(None)?.ok_or_else(|| io::Error::other("no answer"))?;
            waiting -= usize::from(received.correlation == LEAVE);
        }
        Ok(())
    }
}

/// ConsumerProtocolSubscription, version 1: a topic, no user data, what is owned.
fn subscription(topic: &str, owned: &[i32]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(1);
    out.put_i32(1);
    put_text(&mut out, topic);
    out.put_i32(-1);
    out.put_i32(i32::from(!owned.is_empty()));
    if !owned.is_empty() {
        put_text(&mut out, topic);
        out.put_i32(owned.len() as i32);
        owned.iter().for_each(|partition| out.put_i32(*partition));
    }
    out.freeze()
}

fn put_text(out: &mut BytesMut, text: &str) {
    out.put_i16(text.len() as i16);
    out.put_slice(text.as_bytes());
}

/// The partitions of a ConsumerProtocolAssignment, whose one topic is ours; none if it is empty.
fn partitions_of(mut assignment: Bytes) -> Option<Vec<i32>> {
    let mut partitions = Vec::new();
    if assignment.is_empty() {
        return Some(partitions);
    }
    assignment.try_get_i16().ok()?;
    for _ in 0..assignment.try_get_i32().ok()? {
        let name = usize::try_from(assignment.try_get_i16().ok()?).ok()?;
        if assignment.len() < name {
            return None;
        }
        assignment.advance(name);
        for _ in 0..assignment.try_get_i32().ok()? {
            partitions.push(assignment.try_get_i32().ok()?);
        }
    }
    Some(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read_and_broken_ones_are_not() {
        assert_eq!(partitions_of(Bytes::new()), Some(vec![]));
        let mut out = BytesMut::new();
        out.put_i16(3);
        out.put_i32(1);
        put_text(&mut out, "topic");
        out.put_i32(2);
        out.put_i32(7);
        out.put_i32(9);
        out.put_i32(-1);
        let whole = out.freeze();
        assert_eq!(partitions_of(whole.clone()), Some(vec![7, 9]));
        assert_eq!(partitions_of(whole.slice(..16)), None);
    }
}
