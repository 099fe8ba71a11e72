//! One ask, one decision. Hard state is only read here.

use std::collections::BTreeSet;

use heddle_model::Ticket;

use crate::{
    Answer, Ask, Context, Decision, GroupId, Groups, Heartbeat, Join, Leave, Leaver, Refusal, Soft, Sync,
    classic::{Classic, ClassicGroup},
    door,
    hard::{Body, Group},
    schema::{GroupMetadata, Key},
    timers::Timer,
};

/// A decision being made.
pub(crate) struct Turn<'a> {
    pub hard: &'a Groups,
    pub soft: &'a mut Soft,
    pub context: Context<'a>,
    pub out: Decision,
}

impl Groups {
    /// Decides one ask. The answer to `ticket` may come now, with a later decision, or with a tick.
    pub fn decide(&self, context: Context<'_>, ask: Ask, ticket: Ticket, soft: &mut Soft) -> Decision {
        let mut turn = Turn::new(self, soft, context);
        match door::admit(&ask, &self.settings) {
            Ok(()) => turn.on_ask(ask, ticket),
            Err(refusal) => turn.answer(ticket, Answer::Refused(refusal)),
        }
        turn.out
    }

    /// Does what is due. Call it again at `Soft::next_deadline`.
    pub fn tick(&self, context: Context<'_>, soft: &mut Soft) -> Decision {
        let mut turn = Turn::new(self, soft, context);
        turn.on_time();
        turn.out
    }
}

impl<'a> Turn<'a> {
    pub fn new(hard: &'a Groups, soft: &'a mut Soft, context: Context<'a>) -> Turn<'a> {
        Turn { hard, soft, context, out: Decision::default() }
    }

    /// Whether this turn has written enough.
    pub fn is_full(&self) -> bool {
        self.out.is_full()
    }

    fn on_ask(&mut self, ask: Ask, ticket: Ticket) {
        if brings_to_life(&ask).is_some_and(|group| self.soft.is_being_deleted(group)) {
            // A moment later there is no such group, or a new one.
            return self.answer(ticket, Answer::Refused(Refusal::Loading));
        }
        match ask {
            Ask::Join(join) => self.join(join, ticket),
            Ask::Sync(sync) => self.sync(sync, ticket),
            Ask::Heartbeat(heartbeat) => {
                let outcome = self.heartbeat(&heartbeat);
                self.answer_result(ticket, outcome.map(|()| Answer::Alive));
            }
            Ask::Leave(leave) => {
                let outcome = self.leave(leave);
                self.answer_result(ticket, outcome.map(Answer::Left));
            }
            Ask::CommitOffsets(commit) => {
                let outcome = self.commit_offsets(commit);
                self.answer_result(ticket, outcome);
            }
            Ask::FetchOffsets(fetch) => {
                let outcome = self.fetch_offsets(fetch);
                self.answer_result(ticket, outcome);
            }
            Ask::DeleteOffsets(delete) => {
                let outcome = self.delete_offsets(delete);
                self.answer_result(ticket, outcome);
            }
            Ask::List(list) => {
                let listed = self.list(&list);
                self.answer(ticket, Answer::Listed(listed));
            }
            Ask::Describe(group) => {
                let outcome = self.describe(&group);
                self.answer_result(ticket, outcome.map(Answer::Described));
            }
            Ask::Delete(group) => self.delete(group, ticket),
            Ask::ConsumerHeartbeat(heartbeat) => {
                let outcome = self.consumer_heartbeat(heartbeat);
                self.answer_result(ticket, outcome.map(Answer::ConsumerHeartbeat));
            }
            Ask::ConsumerDescribe(group) => {
                let outcome = self.consumer_describe(&group);
                self.answer_result(ticket, outcome.map(Answer::ConsumerDescribed));
            }
            Ask::TopicsDeleted(topics) => self.sweep_topics(topics, ticket),
        }
    }

    fn on_time(&mut self) {
        self.let_go();
        self.go_on_deleting();
        self.go_on_sweeping();
        self.go_on_expiring();
        let now = self.context.now.mono;
        // What a deadline has decided is in no hard state yet: the group's next deadline waits for the next tick.
        let mut decided: BTreeSet<GroupId> = BTreeSet::new();
        // What is set for this very moment while this goes on is for the next tick: a turn ends.
        for _ in 0..self.soft.timers.len() {
            if self.is_full() {
                break;
            }
            if self.soft.timers.first().and_then(Timer::group).is_some_and(|group| decided.contains(group)) {
                break;
            }
            let Some((at, timer)) = self.soft.timers.pop_due(now) else { break };
            let (group, before) = (timer.group().cloned(), self.out.records.len());
            match timer {
                Timer::Session(group, member) => {
                    self.with_live(&group, |classic| classic.on_session_entry(&member, at));
                    self.with_watched(&group, |consumer| consumer.on_session_entry(&member, at));
                }
                Timer::Release(group, member) => {
                    self.with_watched(&group, |consumer| consumer.on_release_entry(&member, at));
                }
                Timer::Rejoin(group, member) => {
                    self.with_watched(&group, |consumer| consumer.on_rejoin_entry(&member, at));
                }
                Timer::MemberSync(group, member) => {
                    self.with_watched(&group, |consumer| consumer.on_member_sync_entry(&member, at));
                }
                Timer::Assign(group) => {
                    self.with_watched(&group, |consumer| consumer.on_assign_entry(at));
                }
                Timer::Join(group) => {
                    self.with_live(&group, |classic| classic.on_join_entry(at));
                }
                Timer::Sync(group) => {
                    self.with_live(&group, |classic| classic.on_sync_entry(at));
                }
                Timer::Retention => self.on_retention_entry(at),
            }
            if self.out.records.len() > before {
                decided.extend(group);
            }
        }
    }

    pub fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.out.answers.push((ticket, answer));
    }

    pub fn answer_result(&mut self, ticket: Ticket, outcome: Result<Answer, Refusal>) {
        self.answer(ticket, outcome.unwrap_or_else(Answer::Refused));
    }

    pub fn write(&mut self, key: Key, value: Option<bytes::Bytes>) {
        self.out.write(&key, value);
    }

    pub fn group(&self, id: &GroupId) -> Option<&'a Group> {
        self.hard.groups.get(id)
    }

    fn join(&mut self, ask: Join, ticket: Ticket) {
        let id = ask.group.clone();
        let mut is_new = self.group(&id).is_none();
        // Its offsets alone are not the group: they may go while members are in it.
        let mut needs_record = self.group(&id).is_none_or(|group| group.body == Body::Simple);
        if let Some(Body::Consumer(group)) = self.group(&id).map(|group| &group.body) {
            if !group.members.is_empty() {
                let outcome = self.in_consumer_group(&id, |consumer| consumer.join_classic(ask));
                return self.answer_result(ticket, outcome.map(Answer::Joined));
            }
            // Empty, it may change its protocol.
            (is_new, needs_record) = (true, true);
            self.end_consumer_group(&id, group);
        }
        if is_new && !self.soft.live.contains_key(&id) && !ask.member.is_empty() {
            return self.answer(ticket, Answer::Refused(Refusal::UnknownMember));
        }
        let created = self.with_classic(&id, |classic| {
            classic.join(ask, ticket);
            // A group exists from its first member's first request on.
            needs_record && !classic.group.is_idle()
        });
        if created {
            self.write(Key::Group(id), Some(GroupMetadata::created().encode()));
        }
    }

    fn sync(&mut self, ask: Sync, ticket: Ticket) {
        let id = ask.group.clone();
        if self.is_consumer_group(&id) {
            let outcome = self.in_consumer_group(&id, |consumer| consumer.sync_classic(&ask));
            return self.answer_result(ticket, outcome.map(Answer::Synced));
        }
        if let Err(refusal) = self.member_of(&id, |classic| classic.sync(ask, ticket)) {
            self.answer(ticket, Answer::Refused(refusal));
        }
    }

    fn heartbeat(&mut self, ask: &Heartbeat) -> Result<(), Refusal> {
        if self.is_consumer_group(&ask.group) {
            return self.in_consumer_group(&ask.group, |consumer| consumer.heartbeat_classic(ask));
        }
        self.member_of(&ask.group, |classic| classic.heartbeat(ask))?
    }

    fn leave(&mut self, ask: Leave) -> Result<Vec<(Leaver, Option<Refusal>)>, Refusal> {
        if self.is_consumer_group(&ask.group) {
            return self.in_consumer_group(&ask.group, |consumer| Ok(consumer.leave_classic(ask.members)));
        }
        self.member_of(&ask.group, |classic| classic.leave(ask.members))
    }

    /// For what only a member may ask: there is such a group.
    fn member_of<R>(&mut self, id: &GroupId, act: impl FnOnce(&mut Classic<'_>) -> R) -> Result<R, Refusal> {
        match self.group(id) {
            None => Err(Refusal::UnknownMember),
            Some(_) => Ok(self.with_classic(id, act)),
        }
    }

    /// Acts on a group that is at work; one that is not has no deadlines.
    fn with_live(&mut self, id: &GroupId, act: impl FnOnce(&mut Classic<'_>)) {
        if self.soft.live.contains_key(id) {
            self.with_classic(id, act);
        }
    }

    /// Acts on a classic group, as it works or as it was found. One that has nothing to remember rests again.
    pub fn with_classic<R>(&mut self, id: &GroupId, act: impl FnOnce(&mut Classic<'_>) -> R) -> R {
        let stored = self.hard.groups.get(id).map(|group| &group.body);
        let Soft { live, timers, .. } = &mut *self.soft;
        let group = live.entry(id.clone()).or_insert_with(|| match stored {
            Some(Body::Classic(stored)) => {
                let mut group = ClassicGroup::from_stored(id, stored);
                group.start_sessions(timers, self.context.now.mono);
                group
            }
            Some(Body::Simple | Body::Consumer(_)) | None => ClassicGroup::new(id.clone()),
        });
        let mut classic =
            Classic { group, timers, settings: &self.hard.settings, context: self.context, out: &mut self.out };
        let result = act(&mut classic);
        if classic.group.is_idle() {
            live.remove(id);
        }
        result
    }
}

/// The group of an ask that gives it members or offsets.
fn brings_to_life(ask: &Ask) -> Option<&GroupId> {
    match ask {
        Ask::Join(join) => Some(&join.group),
        Ask::ConsumerHeartbeat(heartbeat) => Some(&heartbeat.group),
        Ask::CommitOffsets(commit) => Some(&commit.group),
        // Of members there already are, and of those a group that is being deleted has none; or they give nothing.
        Ask::Sync(_)
        | Ask::Heartbeat(_)
        | Ask::Leave(_)
        | Ask::FetchOffsets(_)
        | Ask::DeleteOffsets(_)
        | Ask::List(_)
        | Ask::Describe(_)
        | Ask::Delete(_)
        | Ask::ConsumerDescribe(_)
        | Ask::TopicsDeleted(_) => None,
    }
}
