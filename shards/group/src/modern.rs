//! Decisions about groups of the new protocol, and the changes between the two.

use heddle_model::Ticket;

use crate::{
    Answer, ConsumerDescribed, ConsumerHeartbeat, ConsumerHeartbeatAnswer, GroupId, MemberId, Refusal, Soft,
    consumer::{Consumer, ConsumerGroup, Downgrade, upgrade, waiting},
    decide::Turn,
    decision::Mark,
    hard::Body,
    schema::Key,
};

impl<'a> Turn<'a> {
    pub fn consumer_heartbeat(&mut self, ask: ConsumerHeartbeat) -> Result<ConsumerHeartbeatAnswer, Refusal> {
        let id = ask.group.clone();
        let leaves = ask.epoch < 0;
        if self.is_consumer_group(&id) {
            let beat =
                |consumer: &mut Consumer<'_>| if leaves { consumer.leave(&ask) } else { consumer.heartbeat(ask) };
            return self.in_consumer_group(&id, beat);
        }
        if ask.epoch != 0 {
            return Err(Refusal::GroupNotFound);
        }
        let before = self.out.mark();
        let (made, waiting) = self.become_consumer_group(&id)?;
        let outcome = self.with_consumer_as(&id, &made, |consumer| consumer.heartbeat(ask));
        let outcome = self.keep_if_ok(&id, before, outcome);
        if outcome.is_err() {
            self.soft.watches.remove(&id);
            return outcome;
        }
        self.soft.live.remove(&id);
        for ticket in waiting {
            self.answer(ticket, Answer::Refused(Refusal::RebalanceInProgress));
        }
        outcome
    }

    /// The group as the new protocol's, before its first member of that protocol joins: empty, or with what the classic
    /// one had; and those that wait in the classic one. All of it counts only if the member is not refused.
    fn become_consumer_group(&mut self, id: &GroupId) -> Result<(ConsumerGroup, Vec<Ticket>), Refusal> {
        let (mut made, mut tickets) = (ConsumerGroup::default(), Vec::new());
        if let Some(live) = self.soft.live.get(id).filter(|live| !live.members.is_empty()) {
            let (records, group) = upgrade(live, &self.hard.settings, self.context)?;
            tickets = waiting(live);
            records.into_iter().for_each(|(key, value)| self.write(key, value));
            made = group;
        } else if let Some(Body::Classic(_)) = self.group(id).map(|group| &group.body) {
            self.write(Key::Group(id.clone()), None);
        }
        self.soft.watches.remove(id);
        Ok((made, tickets))
    }

    /// What is refused, or does not fit one batch, leaves no records.
    pub fn in_consumer_group<R>(
        &mut self,
        id: &GroupId,
        act: impl FnOnce(&mut Consumer<'_>) -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        let before = self.out.mark();
        let outcome = self.with_consumer(id, act);
        self.keep_if_ok(id, before, outcome)
    }

    fn keep_if_ok<R>(&mut self, id: &GroupId, before: Mark, outcome: Result<R, Refusal>) -> Result<R, Refusal> {
        let outcome = if self.out.fits_since(before) { outcome } else { Err(Refusal::GroupTooLarge) };
        if outcome.is_err() {
            self.out.take_back(before);
            if self.is_consumer_group(id) && self.soft.live.remove(id).is_some() {
                // It was to become a classic group, and goes on as it was.
                self.with_consumer(id, |_| ());
            }
        }
        outcome
    }

    pub fn is_consumer_group(&self, id: &GroupId) -> bool {
        self.group(id).is_some_and(|group| matches!(group.body, Body::Consumer(_)))
    }

    pub fn consumer_describe(&mut self, id: &GroupId) -> Result<ConsumerDescribed, Refusal> {
        match self.group(id).map(|group| &group.body) {
            Some(Body::Consumer(group)) => Ok(group.describe(id, &self.hard.settings, self.context)),
            None | Some(Body::Simple | Body::Classic(_)) => Err(Refusal::GroupNotFound),
        }
    }

    /// A group stops to be of the new protocol.
    pub fn end_consumer_group(&mut self, id: &GroupId, group: &ConsumerGroup) {
        for key in group.tombstones(id) {
            self.write(key, None);
        }
        self.soft.watches.remove(id);
    }

    /// For deadlines: a group that is gone has none.
    pub fn with_watched(&mut self, id: &GroupId, act: impl FnOnce(&mut Consumer<'_>)) {
        match self.group(id).map(|group| &group.body) {
            Some(Body::Consumer(_)) if self.soft.watches.contains_key(id) => {
                let done = self.in_consumer_group(id, |consumer| {
                    act(consumer);
                    Ok(())
                });
                if done.is_err() {
                    // What follows does not fit one batch. The group stays as it is, and whoever is to go has another
                    // session: it may be smaller then.
                    self.with_consumer(id, |consumer| consumer.renew_ended_sessions());
                }
            }
            _ => {
                self.soft.watches.remove(id);
            }
        }
    }

    pub fn with_consumer<R>(&mut self, id: &GroupId, act: impl FnOnce(&mut Consumer<'_>) -> R) -> R {
        match self.group(id).map(|group| &group.body) {
            Some(Body::Consumer(group)) => self.with_consumer_as(id, group, act),
            None | Some(Body::Simple | Body::Classic(_)) => self.with_consumer_as(id, &ConsumerGroup::default(), act),
        }
    }

    /// Acts on a group of the new protocol that is, or that the records of this decision are about to make.
    fn with_consumer_as<R>(
        &mut self,
        id: &GroupId,
        group: &ConsumerGroup,
        act: impl FnOnce(&mut Consumer<'_>) -> R,
    ) -> R {
        let Soft { watches, timers, .. } = &mut *self.soft;
        let is_new = !watches.contains_key(id);
        let mut consumer = Consumer {
            id,
            group,
            watch: watches.entry(id.clone()).or_default(),
            timers,
            settings: &self.hard.settings,
            context: self.context,
            out: &mut self.out,
            downgrade: None,
        };
        if is_new {
            consumer.start_deadlines();
        }
        let before = consumer.out.records.len();
        let result = act(&mut consumer);
        match consumer.downgrade {
            None => {}
            Some(Downgrade::Leaves(member)) => self.become_classic_group(id, group, Some(&member)),
            Some(Downgrade::Replaced) => {
                let after = group.after(&self.out.records[before..]).expect("records of this decision can be read");
                self.become_classic_group(id, &after, None);
            }
        }
        result
    }

    /// The last member of the new protocol is gone: the others go on among themselves, beginning with a rebalance.
    fn become_classic_group(&mut self, id: &GroupId, group: &ConsumerGroup, leaving: Option<&MemberId>) {
        let mut live = group.downgraded(id, leaving, self.context);
        self.end_consumer_group(id, group);
        live.start_sessions(&mut self.soft.timers, self.context.now.mono);
        self.soft.live.insert(id.clone(), live);
        let context = self.context;
        self.with_classic(id, |classic| {
            classic.persist();
            group.note_what_is_held(classic.group, context);
            classic.prepare_rebalance();
        });
    }
}
