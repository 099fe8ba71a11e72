//! A member of the classic protocol: joins, syncs, sends heartbeats, commits. It stalls beyond its session and goes on as
//! if nothing had happened, dies and comes back with its old id or without, and sometimes leaves as it should.

use bytes::Bytes;
use heddle_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use heddle_protocol::messages::leave_group_request::MemberIdentity;
use heddle_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use heddle_protocol::messages::{
    GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use heddle_protocol::text;

use super::answers::{self, Asked, Member, Talk};
use super::claims::Claims;
use super::offsets::{Name, Offsets};
use super::*;
use crate::check::{Grouped, Seen};
use crate::client::{Cx, Request, Role, UNKNOWN_TOPIC, is_retriable};
use crate::lies::Lie;
use crate::plan::Trouble;
use crate::wire;

const JOIN: (i16, i16) = (11, 9);
const SYNC: (i16, i16) = (14, 5);
const HEARTBEAT: (i16, i16) = (12, 4);
const LEAVE: (i16, i16) = (13, 5);
/// What a member that was told to join again has to do it. Milliseconds.
const REBALANCE_MS: i32 = 1_000;
const PROTOCOL_TYPE: &str = "consumer";
const PROTOCOL: &str = "in-turns";

#[derive(Debug)]
pub enum Own {
    /// With the time at which it left. Microseconds.
    Join(u64),
    Sync(u64),
    Heartbeat(u64),
    Leave,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Out,
    Joined,
    In,
}

pub struct Classic {
    talk: Talk<Own>,
    instance: Option<String>,
    /// Empty: none yet.
    member: String,
    generation: i32,
    /// The shortest session that it asked for under its name: a follower that joins again unchanged keeps the one it has,
    /// as in Apache Kafka. Milliseconds.
    session_ms: i32,
    /// When it said last what renews its session: not before that did this begin. Microseconds.
    alive_us: u64,
    /// When the first request left of those to join that it sent since it was told a generation: any of them may be the one
    /// by which it is in the next. Microseconds.
    joining_us: Option<u64>,
    claims: Claims,
    /// The members, if this one leads.
    led: Vec<String>,
    owned: Vec<i32>,
    stage: Stage,
    /// The run is being drained, and this member has done what it wanted to.
    at_rest: bool,
}

impl Classic {
    pub fn new(group: &'static str, instance: Option<String>) -> Classic {
        Classic {
            talk: Talk::new(group),
            instance,
            member: String::new(),
            generation: -1,
            session_ms: i32::MAX,
            alive_us: 0,
            joining_us: None,
            claims: Claims::new(group),
            led: Vec::new(),
            owned: Vec::new(),
            stage: Stage::Out,
            at_rest: false,
        }
    }

    fn ask(&mut self, asked: Own, frame: Bytes) -> Request {
        self.talk.asked = Some(Asked::Own(asked));
        Request { frame, answered: true }
    }

    fn join(&mut self, correlation: i32, cx: &mut Cx<'_>) -> Request {
        let protocol =
            JoinGroupRequestProtocol::default().with_name(text(PROTOCOL)).with_metadata(shares::subscription());
        let session_ms = [400, 1_000, 2_000][cx.dice.below(3) as usize];
        let is_new = self.member.is_empty() && self.instance.is_none();
        self.session_ms = if is_new { session_ms } else { self.session_ms.min(session_ms) };
        self.joining_us.get_or_insert(cx.now_us);
        // Whoever joins has given up what it had.
        self.claims.give_up(cx);
        let request = JoinGroupRequest::default()
            .with_group_id(GroupId(text(self.talk.group)))
            .with_session_timeout_ms(session_ms)
            .with_rebalance_timeout_ms(REBALANCE_MS)
            .with_member_id(text(&self.member))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_protocol_type(text(PROTOCOL_TYPE))
            .with_protocols(vec![protocol]);
        self.ask(Own::Join(cx.now_us), wire::frame(JOIN.0, JOIN.1, correlation, &request))
    }

    fn sync(&mut self, partitions: i32, correlation: i32, cx: &Cx<'_>) -> Request {
        let share = |(me, member): (usize, &String)| {
            let assignment = shares::assignment(&shares::divide(partitions, &self.led, me));
            SyncGroupRequestAssignment::default().with_member_id(text(member)).with_assignment(assignment)
        };
        let request = SyncGroupRequest::default()
            .with_group_id(GroupId(text(self.talk.group)))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.member))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_protocol_type(Some(text(PROTOCOL_TYPE)))
            .with_protocol_name(Some(text(PROTOCOL)))
            .with_assignments(self.led.iter().enumerate().map(share).collect());
        self.ask(Own::Sync(cx.now_us), wire::frame(SYNC.0, SYNC.1, correlation, &request))
    }

    fn heartbeat(&mut self, correlation: i32, cx: &Cx<'_>) -> Request {
        let request = HeartbeatRequest::default()
            .with_group_id(GroupId(text(self.talk.group)))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.member))
            .with_group_instance_id(self.instance.as_deref().map(text));
        self.ask(Own::Heartbeat(cx.now_us), wire::frame(HEARTBEAT.0, HEARTBEAT.1, correlation, &request))
    }

    fn leave(&mut self, correlation: i32, cx: &mut Cx<'_>) -> Request {
        self.claims.give_up(cx);
        let identity = MemberIdentity::default()
            .with_member_id(text(&self.member))
            .with_group_instance_id(self.instance.as_deref().map(text));
        let request =
            LeaveGroupRequest::default().with_group_id(GroupId(text(self.talk.group))).with_members(vec![identity]);
        self.ask(Own::Leave, wire::frame(LEAVE.0, LEAVE.1, correlation, &request))
    }

    fn commit(&mut self, correlation: i32, cx: &mut Cx<'_>) -> Request {
        self.talk.asked = Some(Asked::Commit);
        let owned = if cx.dice.chance(50) {
            self.owned.clone()
        } else {
            vec![self.owned[cx.dice.below(self.owned.len() as u64) as usize]]
        };
        let (name, offsets) = self.positions();
        offsets.commit(name, &owned, correlation, cx)
    }

    /// Out of the group: to join again, with the old id or without one.
    fn go_out(&mut self, keep_id: bool, cx: &mut Cx<'_>) {
        self.claims.give_up(cx);
        self.stage = Stage::Out;
        self.owned.clear();
        self.talk.offsets.forget();
        if !keep_id {
            self.member.clear();
            (self.generation, self.joining_us) = (-1, None);
        }
    }

    /// Until when at most it holds what it has, by a request that left then and was answered well: until its session ends,
    /// or its rebalance timeout, for it may be told to join again right behind that.
    fn until_us(&self, sent_us: u64) -> u64 {
        let after = |us: u64, ms: i32| us + ms as u64 * 1_000;
        after(self.alive_us, self.session_ms).min(after(sent_us, REBALANCE_MS))
    }

    /// When its session began at the earliest, by what it is told to a request to join that left then; `None`: not since it
    /// was renewed last. To be told the generation that stands renews nothing, nor does to ask for one's assignment again
    /// (Apache Kafka's `classicGroupJoinExistingMember`, `classicGroupSyncToClassicGroup`).
    fn renewed_us(&self, told: &JoinGroupResponse, sent_us: u64) -> Option<u64> {
        // Under a new id, or in a KIP-848 group, in which nobody leads, each join begins a session.
        if told.member_id.as_str() != self.member || told.leader.is_empty() {
            return Some(sent_us);
        }
        // A generation begins the sessions of all in it. Who leads one that it did not know has come for it, and so has who
        // is in its first, or in a newer one; but static members are also in without coming, and in a group that was one of
        // the other protocol all are, once it is read from its log.
        let leads = told.leader == told.member_id;
        let must_come = self.instance.is_none() && (self.talk.group == CLASSIC || self.generation < 0);
        self.joining_us.filter(|_| told.generation_id > self.generation && (leads || must_come))
    }

    fn on_joined(&mut self, answer: Bytes, sent_us: u64, cx: &mut Cx<'_>) -> Result<i16, String> {
        let response: JoinGroupResponse = wire::read(answer, JOIN.1)?;
        if response.error_code == MEMBER_ID_REQUIRED {
            (self.member, self.joining_us) = (response.member_id.to_string(), None);
            return Ok(0);
        }
        if response.error_code != 0 {
            return Ok(response.error_code);
        }
        self.alive_us = self.renewed_us(&response, sent_us).unwrap_or(self.alive_us);
        self.joining_us = None;
        (self.member, self.generation) = (response.member_id.to_string(), response.generation_id);
        let leads = response.leader == response.member_id;
        let (group, member, generation) = (self.talk.group, &self.member, self.generation);
        cx.say(|| format!("{group} {member} is in generation {generation}, leads: {leads}"));
        self.led.clear();
        if leads && !response.skip_assignment {
            self.led.extend(response.members.iter().map(|member| member.member_id.to_string()));
        }
        // A coordinator that loads its log again in the middle of a life forgets generations that nobody synced.
        let reloads = cx.plan.has(Trouble::Full) || cx.plan.has(Trouble::WriteError);
        if (leads && !reloads && self.talk.group == CLASSIC) || cx.lies(Lie::TwoLeaders, 30) {
            let (generation, boot) = (self.generation, cx.boot);
            let member = self.instance.as_deref().unwrap_or(&self.member);
            cx.see(Seen::Grouped(Grouped::Led { group: self.talk.group, generation, boot, member }));
        }
        self.stage = Stage::Joined;
        Ok(0)
    }

    fn on_synced(&mut self, answer: Bytes, sent_us: u64, cx: &mut Cx<'_>) -> Result<i16, String> {
        let response: SyncGroupResponse = wire::read(answer, SYNC.1)?;
        if response.error_code != 0 {
            return Ok(response.error_code);
        }
        self.owned = shares::read(response.assignment)?;
        if cx.lies(Lie::AssignmentCrossed, 30) {
            self.owned = vec![0];
        }
        let owner = self.instance.as_deref().unwrap_or(&self.member).to_string();
        // Where the protocol changes, numbers of generations come again.
        if self.talk.group == CLASSIC {
            let (generation, partitions) = (self.generation, &self.owned[..]);
            cx.see(Seen::Grouped(Grouped::Synced { group: self.talk.group, generation, owner: &owner, partitions }));
        }
        self.claims.take(owner, &self.owned, self.until_us(sent_us), cx);
        let (member, generation, owned) = (&self.member, self.generation, &self.owned);
        cx.say(|| format!("{member} owns {owned:?} in generation {generation}"));
        self.talk.offsets.forget();
        self.stage = Stage::In;
        Ok(0)
    }
}

impl Member for Classic {
    type Own = Own;

    fn talk(&mut self) -> &mut Talk<Own> {
        &mut self.talk
    }

    fn positions(&mut self) -> (Name<'_>, &mut Offsets) {
        let instance = self.instance.as_deref();
        let name = Name { group: self.talk.group, member: &self.member, instance, generation: self.generation };
        (name, &mut self.talk.offsets)
    }

    fn on_own(&mut self, asked: &Own, answer: Bytes, cx: &mut Cx<'_>) -> Result<i16, String> {
        match asked {
            Own::Join(sent_us) => self.on_joined(answer, *sent_us, cx),
            Own::Sync(sent_us) => self.on_synced(answer, *sent_us, cx),
            Own::Heartbeat(sent_us) => {
                let mut error = wire::read::<HeartbeatResponse>(answer, HEARTBEAT.1)?.error_code;
                if error == REBALANCE_IN_PROGRESS && cx.lies(Lie::RebalanceUntold, 95) {
                    error = 0;
                }
                if error == 0 || error == REBALANCE_IN_PROGRESS {
                    self.alive_us = *sent_us;
                }
                if error == 0 && self.stage == Stage::In {
                    self.claims.go_on(self.until_us(*sent_us), cx);
                }
                Ok(error)
            }
            Own::Leave => {
                let response: LeaveGroupResponse = wire::read(answer, LEAVE.1)?;
                self.go_out(false, cx);
                Ok(response.error_code)
            }
        }
    }

    fn is_in(&self) -> bool {
        self.stage == Stage::In
    }

    fn live(&mut self, cx: &mut Cx<'_>) {
        cx.rest_ms = PACE_MS;
        match cx.dice.below(60) {
            // It stalls, and then knows nothing of it.
            0 | 1 => cx.rest_ms = STALL_MS,
            // It dies. The next one has its id, or does not.
            2 => self.go_out(true, cx),
            3 => {
                self.go_out(false, cx);
                cx.rest_ms = STALL_MS / 4;
            }
            _ => {}
        }
    }

    fn on_error(&mut self, what: &Asked<Own>, error: i16, cx: &mut Cx<'_>) -> Result<(), String> {
        let group = self.talk.group;
        cx.say(|| format!("{group} {:?}: {what:?} is answered with error {error}", self.member));
        match error {
            ILLEGAL_GENERATION | REBALANCE_IN_PROGRESS => self.go_out(true, cx),
            UNKNOWN_MEMBER | FENCED_INSTANCE | GROUP_NOT_FOUND => self.go_out(false, cx),
            NOT_AVAILABLE | NOT_COORDINATOR => self.talk.found = false,
            UNKNOWN_TOPIC if cx.checkers.loss_reported => {}
            error if is_retriable(error) => {}
            error => return Err(format!("{group}: {what:?} is answered with error {error}")),
        }
        Ok(())
    }
}

impl Role for Classic {
    fn next(&mut self, correlation: i32, cx: &mut Cx<'_>) -> Option<Request> {
        if self.talk.asked.is_some() {
            return None;
        }
        if cx.draining {
            let leaves = !self.at_rest && self.stage == Stage::In && cx.dice.chance(40);
            self.at_rest = true;
            return leaves.then(|| self.leave(correlation, cx));
        }
        self.at_rest = false;
        if !self.talk.found {
            self.talk.asked = Some(Asked::Find);
            return Some(find(self.talk.group, correlation));
        }
        let (partitions, _) = kept(cx)?;
        match self.stage {
            Stage::Out => return Some(self.join(correlation, cx)),
            Stage::Joined => return Some(self.sync(partitions, correlation, cx)),
            Stage::In => {}
        }
        let unknown = self.talk.offsets.unknown(&self.owned);
        if !unknown.is_empty() {
            self.talk.asked = Some(Asked::Fetch);
            return Some(self.talk.offsets.fetch(self.talk.group, unknown, correlation));
        }
        match cx.dice.below(20) {
            0 if cx.dice.chance(30) => Some(self.leave(correlation, cx)),
            1 => {
                self.talk.offsets.forget();
                None
            }
            2..=11 if !self.owned.is_empty() => Some(self.commit(correlation, cx)),
            _ => Some(self.heartbeat(correlation, cx)),
        }
    }

    fn on_answer(&mut self, _: i32, answer: Bytes, asked: u64, cx: &mut Cx<'_>) -> Result<(), String> {
        answers::take(self, answer, asked, cx)
    }

    fn on_lost(&mut self) {
        (self.talk.asked, self.talk.found, self.at_rest) = (None, false, false);
        self.talk.offsets.on_lost();
        if self.stage == Stage::Joined {
            // Which generation came of it is not known.
            self.stage = Stage::Out;
        }
    }

    fn is_done(&self) -> bool {
        self.talk.asked.is_none() && self.at_rest
    }

    fn eagerness(&self) -> u64 {
        80
    }
}
