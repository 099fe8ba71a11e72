//! Offsets that go because nobody used them for long, in bounded pieces.

use std::{collections::BTreeSet, ops::Bound};

use heddle_model::Mono;

use crate::{
    GroupId, TopicName,
    decide::Turn,
    hard::{Body, Group},
    schema::StoredOffset,
    timers::Timer,
};

/// Groups that one tick looks at.
const GROUPS_PER_TICK: usize = 200;

impl Turn<'_> {
    pub fn next_group(&self, after: Option<&GroupId>) -> Option<GroupId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.hard.groups.range::<GroupId, _>((from, Bound::Unbounded)).next().map(|(id, _)| id.clone())
    }

    /// The next round of expiry is due.
    pub fn on_retention_entry(&mut self, at: Mono) {
        let now = self.context.now.mono;
        if self.soft.timers.ring(&mut self.soft.retention, at, now, || Timer::Retention) {
            self.soft.expiring_from = Some(None);
            let interval_ms = self.hard.settings.offsets_retention_check_interval_ms.max(1) as u64;
            self.soft.timers.set(&mut self.soft.retention, now.plus_ms(interval_ms), || Timer::Retention);
        }
    }

    pub fn go_on_expiring(&mut self) {
        let Some(mut from) = self.soft.expiring_from.take() else { return };
        for _ in 0..GROUPS_PER_TICK {
            if self.is_full() {
                break;
            }
            let Some(id) = self.next_group(from.as_ref()) else { return };
            if self.expire_group(&id) {
                from = Some(id);
            }
        }
        self.soft.expiring_from = Some(from);
    }

    /// Drops what is too old; a group that has nothing left, and nobody in it, goes with it. False if there is more than
    /// this turn takes.
    fn expire_group(&mut self, id: &GroupId) -> bool {
        let Some(group) = self.group(id) else { return true };
        let Some(rule) = self.expiry_rule(id, group) else { return true };
        let mut nothing_left = group.pending == 0;
        for (topic, partitions) in &group.offsets {
            let kept = rule.subscribed.contains(topic);
            for (partition, stored) in partitions {
                if self.is_full() {
                    return false;
                }
                if !kept && self.is_expired(&rule, stored) && !self.is_pending(id, topic, *partition) {
                    self.forget_offset(id, topic, *partition);
                } else {
                    nothing_left = false;
                }
            }
        }
        if nothing_left && rule.is_empty {
            self.end_group(id, group);
        }
        true
    }

    fn is_expired(&self, rule: &ExpiryRule, stored: &StoredOffset) -> bool {
        let now = self.context.now.wall.0;
        match stored.expires_at {
            Some(expires_at) => now >= expires_at,
            None => {
                let since = rule.since.unwrap_or(stored.committed.committed_at);
                now.saturating_sub(since) >= self.hard.settings.offsets_retention_ms
            }
        }
    }

    /// `None`: nothing of this group expires now.
    fn expiry_rule(&self, id: &GroupId, group: &Group) -> Option<ExpiryRule> {
        match &group.body {
            Body::Consumer(consumer) => Some(ExpiryRule {
                since: None,
                subscribed: consumer.subscribed(),
                is_empty: consumer.members.is_empty(),
            }),
            // Members are about to be written down.
            Body::Simple if self.soft.live.contains_key(id) => None,
            Body::Simple => Some(ExpiryRule { since: None, subscribed: BTreeSet::new(), is_empty: true }),
            Body::Classic(stored) => match self.soft.live.get(id) {
                // Empty: from the time that it became so, if that is known.
                None => Some(ExpiryRule {
                    since: (stored.since >= 0 && !stored.protocol_type.is_empty()).then_some(stored.since),
                    subscribed: BTreeSet::new(),
                    is_empty: true,
                }),
                // Stable consumers: what they no longer subscribe to.
                Some(live) if live.phase == crate::classic::Phase::Stable => {
                    let subscribed = live.subscribed.clone()?;
                    Some(ExpiryRule { since: None, subscribed, is_empty: false })
                }
                Some(_) => None,
            },
        }
    }
}

struct ExpiryRule {
    /// When the clock began to run, if not with each commit. Milliseconds since 1970.
    since: Option<i64>,
    /// What is still in use.
    subscribed: BTreeSet<TopicName>,
    is_empty: bool,
}
