//! The KIP-848 protocol: members say what they want in heartbeats, the coordinator assigns, and each member moves toward
//! its target at its own pace.
//!
//! A change of membership, subscriptions or topics raises the group's epoch. A target assignment is made for that epoch.
//! A member takes on the epoch once it has given up what the target takes from it, and gets a partition only when nobody
//! else holds it. All of that is in the log; only deadlines are not.

mod assignor;
mod change;
mod classic_member;
mod commit;
mod convert;
mod describe;
mod expire;
mod group;
mod heartbeat;
mod leave;
mod partitions;
mod reconcile;
mod regex;

pub(crate) use classic_member::waiting;
pub(crate) use convert::{CONSUMER, upgrade};
pub(crate) use group::{ConsumerGroup, Member};
pub(crate) use partitions::Partitions;
pub use regex::is_regex;

use std::collections::BTreeMap;

use heddle_model::Mono;

use crate::{
    Context, Decision, GroupId, GroupSettings, MemberId,
    schema::Key,
    timers::{Alarm, Timer, Timers},
};

/// What a leader keeps of a KIP-848 group beside the log.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    sessions: BTreeMap<MemberId, Alarm>,
    /// Members that were told to give partitions up at an epoch, and how long they may take.
    rebalances: BTreeMap<MemberId, (Alarm, i32)>,
    /// Classic members that were told to join again.
    rejoins: BTreeMap<MemberId, Alarm>,
    /// Classic members that joined and have not asked for their assignment.
    syncs: BTreeMap<MemberId, Alarm>,
    /// The version of the topics that the group was last checked against.
    topics_version: Option<u64>,
    /// The version of the topics at which those that the group knows were found unmoved; its expressions may match others.
    unmoved_version: Option<u64>,
    /// When expressions were last looked up anew.
    regexes_at: Option<Mono>,
    /// When the last target assignment was made.
    assigned_at: Option<Mono>,
    /// When the next one is due.
    assign: Alarm,
}

/// One KIP-848 group at work.
pub(crate) struct Consumer<'a> {
    pub id: &'a GroupId,
    pub group: &'a ConsumerGroup,
    pub watch: &'a mut Watch,
    pub timers: &'a mut Timers,
    pub settings: &'a GroupSettings,
    pub context: Context<'a>,
    pub out: &'a mut Decision,
    /// Set when only classic members are left: the group goes back to their protocol.
    pub downgrade: Option<Downgrade>,
}

/// How the last member of the new protocol went.
pub(crate) enum Downgrade {
    /// It leaves; nothing has been written about that.
    Leaves(MemberId),
    /// It is static, and came back as a classic member; that is among the decision's records.
    Replaced,
}

impl Consumer<'_> {
    fn write(&mut self, key: Key, value: Option<bytes::Bytes>) {
        self.out.write(&key, value);
    }

    fn session_timeout_ms(&self, member: &MemberId) -> u64 {
        let own = self.group.members.get(member).and_then(|member| member.wish.classic.as_ref());
        own.map_or_else(|| self.new_protocol_session_ms(), |classic| classic.session_timeout_ms.max(0) as u64)
    }

    fn new_protocol_session_ms(&self) -> u64 {
        let settings = self.settings;
        let asked = self.context.topics.overrides(self.id).consumer_session_timeout_ms;
        let (min, max) =
            (settings.group_consumer_min_session_timeout_ms, settings.group_consumer_max_session_timeout_ms);
        asked.map_or(settings.group_consumer_session_timeout_ms, |ms| ms.min(max).max(min)).max(0) as u64
    }

    /// The least time between two target assignments.
    fn assignment_interval_ms(&self) -> u64 {
        let settings = self.settings;
        let asked = self.context.topics.overrides(self.id).consumer_assignment_interval_ms;
        let (min, max) =
            (settings.group_consumer_min_assignment_interval_ms, settings.group_consumer_max_assignment_interval_ms);
        asked.map_or(settings.group_consumer_assignment_interval_ms, |ms| ms.min(max).max(min)).max(0) as u64
    }

    fn heartbeat_interval_ms(&self) -> i32 {
        let settings = self.settings;
        let asked = self.context.topics.overrides(self.id).consumer_heartbeat_interval_ms;
        let (min, max) =
            (settings.group_consumer_min_heartbeat_interval_ms, settings.group_consumer_max_heartbeat_interval_ms);
        asked.map_or(settings.group_consumer_heartbeat_interval_ms, |ms| ms.min(max).max(min))
    }

    fn renew_session(&mut self, member: &MemberId) {
        self.set_session(member, self.session_timeout_ms(member));
    }

    fn set_session(&mut self, member: &MemberId, timeout_ms: u64) {
        let at = self.context.now.mono.plus_ms(timeout_ms);
        let alarm = self.watch.sessions.entry(member.clone()).or_default();
        self.timers.set(alarm, at, || Timer::Session(self.id.clone(), member.clone()));
    }

    /// A member has until then to confirm that it gave up what it was told to at `epoch`.
    fn await_release(&mut self, member: &MemberId, epoch: i32, timeout_ms: i32) {
        let at = self.context.now.mono.plus_ms(timeout_ms.max(0) as u64);
        let (alarm, asked_at) = self.watch.rebalances.entry(member.clone()).or_default();
        *asked_at = epoch;
        self.timers.set(alarm, at, || Timer::Release(self.id.clone(), member.clone()));
    }

    fn forget_deadlines(&mut self, member: &MemberId) {
        self.watch.sessions.remove(member);
        self.watch.rebalances.remove(member);
        self.watch.rejoins.remove(member);
        self.watch.syncs.remove(member);
    }
}
