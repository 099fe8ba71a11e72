//! A member of the consumer protocol (KIP-848): one kind of request says everything. It gives partitions up before it says
//! so, and takes what it is given; it stalls beyond its session, dies, and comes back with its old id or a new one.

use bytes::Bytes;
use heddle_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use heddle_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, GroupId, TopicName};
use heddle_protocol::{Uuid, text};

use super::answers::{self, Asked, Member, Talk};
use super::offsets::{Name, Offsets};
use super::*;
use crate::check::{Grouped, Seen};
use crate::client::admin::KEPT;
use crate::client::{Cx, Request, Role, UNKNOWN_TOPIC, is_retriable};
use crate::lies::Lie;
use crate::wire;

const HEARTBEAT: (i16, i16) = (68, 1);
/// What the brokers of the simulator give. Milliseconds.
pub const SESSION_MS: u64 = 1_500;
/// Members give up at once what they are told to; nobody is thrown out for being slow at it. Milliseconds.
const REBALANCE_MS: i32 = 600_000;
/// Epochs of a heartbeat that says good-bye: for ever, and of a static member that will be back.
const LEAVES: i32 = -1;
const AWAY: i32 = -2;

#[derive(Debug)]
pub enum Own {
    /// With the time at which it left. Microseconds.
    Heartbeat(u64),
    Leave,
}

pub struct Modern {
    talk: Talk<Own>,
    instance: Option<String>,
    /// Made by the member itself.
    member: String,
    lives: u32,
    number: usize,
    epoch: i32,
    /// In the group as far as this member knows.
    is_in: bool,
    owned: Vec<i32>,
    /// What it is to have from the next heartbeat on.
    wanted: Vec<i32>,
    /// The coordinator may know of something else: the next heartbeat says all.
    says_all: bool,
    until_us: u64,
    at_rest: bool,
}

impl Modern {
    pub fn new(group: &'static str, number: usize, instance: Option<String>) -> Modern {
        Modern {
            talk: Talk::new(group),
            instance,
            member: format!("{group}-{number}-0"),
            lives: 0,
            number,
            epoch: 0,
            is_in: false,
            owned: Vec::new(),
            wanted: Vec::new(),
            says_all: true,
            until_us: 0,
            at_rest: false,
        }
    }

    fn claim(&self, partitions: &[i32], cx: &mut Cx<'_>) {
        let claims = Grouped::Claims {
            group: self.talk.group,
            member: &self.member,
            partitions,
            now_us: cx.now_us,
            until_us: self.until_us,
        };
        cx.see(Seen::Grouped(claims));
    }

    fn by_expression(&self, cx: &Cx<'_>) -> bool {
        cx.plan.expressions && self.talk.group == MODERN
    }

    /// A process that starts, or that was thrown out: it holds nothing.
    fn begin(&mut self, new_id: bool, cx: &mut Cx<'_>) {
        let member = &self.member;
        cx.say(|| format!("{member} begins anew, new id: {new_id}"));
        if !new_id {
            // A dead one's partitions are free only once its session ended, or another came with its id.
            self.claim(&[], cx);
        }
        (self.epoch, self.is_in, self.says_all) = (0, false, true);
        self.owned.clear();
        self.wanted.clear();
        self.talk.offsets.forget();
        if new_id {
            self.lives += 1;
            self.member = format!("{}-{}-{}", self.talk.group, self.number, self.lives);
        }
    }

    fn heartbeat(&mut self, topic: u128, epoch: i32, correlation: i32, cx: &mut Cx<'_>) -> Request {
        let joins = epoch == 0;
        let changed = self.owned != self.wanted;
        // What it gives up it gives up now, before the coordinator hears of it.
        self.owned = if epoch < 0 { Vec::new() } else { self.wanted.clone() };
        let owned = self.owned.clone();
        self.claim(&owned, cx);
        self.talk.offsets.forget();
        let all = joins || (self.says_all && epoch > 0);
        let listed = TopicPartitions::default().with_topic_id(Uuid::from_u128(topic)).with_partitions(owned.clone());
        let listed = if owned.is_empty() { Vec::new() } else { vec![listed] };
        let by_expression = self.by_expression(cx);
        let expression =
            (all && by_expression).then(|| text(if cx.lies(Lie::ExpressionCut, 100) { LESS } else { EXPRESSION }));
        let names = if by_expression { Vec::new() } else { vec![TopicName(text(KEPT))] };
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(self.talk.group)))
            .with_member_id(text(&self.member))
            .with_member_epoch(epoch)
            .with_instance_id(self.instance.as_deref().map(text))
            .with_rebalance_timeout_ms(if all { REBALANCE_MS } else { -1 })
            .with_subscribed_topic_names(all.then_some(names))
            .with_subscribed_topic_regex(expression)
            .with_topic_partitions((all || changed).then_some(listed));
        self.talk.asked = Some(Asked::Own(if epoch < 0 { Own::Leave } else { Own::Heartbeat(cx.now_us) }));
        Request { frame: wire::frame(HEARTBEAT.0, HEARTBEAT.1, correlation, &request), answered: true }
    }

    fn on_heartbeat(&mut self, answer: Bytes, sent_us: u64, cx: &mut Cx<'_>) -> Result<i16, String> {
        let response: ConsumerGroupHeartbeatResponse = wire::read(answer, HEARTBEAT.1)?;
        if response.error_code != 0 {
            return Ok(response.error_code);
        }
        if self.is_in && response.member_epoch < self.epoch {
            return Err(format!("the epoch of {} goes from {} to {}", self.member, self.epoch, response.member_epoch));
        }
        if self.by_expression(cx) {
            cx.see(Seen::Grouped(Grouped::Heard));
        }
        if !self.is_in {
            let (member, epoch) = (&self.member, response.member_epoch);
            cx.say(|| format!("{member} is in, in epoch {epoch}"));
        }
        (self.epoch, self.is_in, self.says_all) = (response.member_epoch, true, false);
        self.until_us = sent_us + SESSION_MS * 1_000;
        if let Some(assignment) = response.assignment {
            // The others' partitions are given to whoever subscribes to them, and nobody reads them here.
            let kept = kept(cx).map_or(0, |(_, id)| id);
            let own = assignment.topic_partitions.iter().filter(|topic| topic.topic_id.as_u128() == kept);
            self.wanted = own.flat_map(|topic| topic.partitions.clone()).collect();
            if cx.lies(Lie::AssignmentCrossed, 20) && !self.wanted.contains(&0) {
                self.wanted.push(0);
            }
            let (member, epoch, wanted) = (&self.member, self.epoch, &self.wanted);
            cx.say(|| format!("{member} is to own {wanted:?} in epoch {epoch}"));
        }
        let mut held = self.owned.clone();
        held.extend(self.wanted.iter().filter(|partition| !self.owned.contains(partition)));
        self.claim(&held, cx);
        Ok(0)
    }

    fn leave(&mut self, topic: u128, correlation: i32, cx: &mut Cx<'_>) -> Request {
        let epoch = if self.instance.is_some() && cx.dice.chance(50) { AWAY } else { LEAVES };
        self.heartbeat(topic, epoch, correlation, cx)
    }
}

impl Member for Modern {
    type Own = Own;

    fn talk(&mut self) -> &mut Talk<Own> {
        &mut self.talk
    }

    fn positions(&mut self) -> (Name<'_>, &mut Offsets) {
        let instance = self.instance.as_deref();
        let name = Name { group: self.talk.group, member: &self.member, instance, generation: self.epoch };
        (name, &mut self.talk.offsets)
    }

    fn on_own(&mut self, asked: &Own, answer: Bytes, cx: &mut Cx<'_>) -> Result<i16, String> {
        match asked {
            Own::Heartbeat(sent_us) => self.on_heartbeat(answer, *sent_us, cx),
            Own::Leave => {
                let error = wire::read::<ConsumerGroupHeartbeatResponse>(answer, HEARTBEAT.1)?.error_code;
                self.begin(self.instance.is_some(), cx);
                if self.talk.group == MIXED {
                    cx.rest_ms = STALL_MS / 2;
                }
                Ok(error)
            }
        }
    }

    fn is_in(&self) -> bool {
        self.is_in
    }

    fn live(&mut self, cx: &mut Cx<'_>) {
        cx.rest_ms = PACE_MS;
        match cx.dice.below(60) {
            0 | 1 => cx.rest_ms = STALL_MS,
            2 => self.begin(false, cx),
            3 | 4 => self.begin(true, cx),
            _ => {}
        }
    }

    fn on_error(&mut self, what: &Asked<Own>, error: i16, cx: &mut Cx<'_>) -> Result<(), String> {
        let group = self.talk.group;
        cx.say(|| format!("{group} {}: {what:?} is answered with error {error}", self.member));
        match error {
            UNKNOWN_MEMBER | FENCED_EPOCH | GROUP_NOT_FOUND => self.begin(false, cx),
            FENCED_INSTANCE => self.begin(true, cx),
            UNRELEASED_INSTANCE => cx.rest_ms = STALL_MS / 8,
            STALE_EPOCH => {}
            NOT_AVAILABLE | NOT_COORDINATOR => self.talk.found = false,
            UNKNOWN_TOPIC if cx.checkers.loss_reported => {}
            error if is_retriable(error) => {}
            error => return Err(format!("{group}: {what:?} is answered with error {error}")),
        }
        Ok(())
    }
}

impl Role for Modern {
    fn next(&mut self, correlation: i32, cx: &mut Cx<'_>) -> Option<Request> {
        if self.talk.asked.is_some() {
            return None;
        }
        let known = kept(cx);
        if cx.draining {
            let leaves = !self.at_rest && self.is_in && cx.dice.chance(40);
            self.at_rest = true;
            let (_, topic) = known.filter(|_| leaves)?;
            return Some(self.leave(topic, correlation, cx));
        }
        self.at_rest = false;
        if !self.talk.found {
            self.talk.asked = Some(Asked::Find);
            return Some(find(self.talk.group, correlation));
        }
        let (_, topic) = known?;
        if !self.is_in || self.owned != self.wanted || self.says_all {
            return Some(self.heartbeat(topic, self.epoch, correlation, cx));
        }
        let unknown = self.talk.offsets.unknown(&self.owned);
        match cx.dice.below(20) {
            // In a group of both protocols it stays away for a while: without it that is one of the classic protocol again.
            0 if cx.dice.chance(if self.talk.group == MIXED { 100 } else { 30 }) => {
                Some(self.leave(topic, correlation, cx))
            }
            1..=9 if !unknown.is_empty() => {
                self.talk.asked = Some(Asked::Fetch);
                Some(self.talk.offsets.fetch(self.talk.group, unknown, correlation))
            }
            1..=9 if !self.owned.is_empty() => {
                self.talk.asked = Some(Asked::Commit);
                let owned = self.owned.clone();
                let (name, offsets) = self.positions();
                Some(offsets.commit(name, &owned, correlation, cx))
            }
            _ => Some(self.heartbeat(topic, self.epoch, correlation, cx)),
        }
    }

    fn on_answer(&mut self, _: i32, answer: Bytes, asked: u64, cx: &mut Cx<'_>) -> Result<(), String> {
        answers::take(self, answer, asked, cx)
    }

    fn on_lost(&mut self) {
        if let Some(Asked::Own(Own::Leave)) = self.talk.asked {
            // Nothing is held since the request left; whether anybody heard of it is not known.
            (self.epoch, self.is_in) = (0, false);
            self.wanted.clear();
        }
        (self.talk.asked, self.talk.found, self.at_rest, self.says_all) = (None, false, false, true);
        self.talk.offsets.on_lost();
    }

    fn is_done(&self) -> bool {
        self.talk.asked.is_none() && self.at_rest
    }

    fn eagerness(&self) -> u64 {
        80
    }
}
