//! JoinGroup, up to the answer that tells a generation.

use bytes::Bytes;
use heddle_model::Ticket;

use crate::{Answer, InstanceId, Join, MemberId, Protocol, Refusal, timers::Alarm};

use super::{
    Classic, GROUP_BYTES_MAX,
    group::{Initial, Member, Phase},
};

/// How long a member waits for its first generation before it is taken for gone: it has no id to send heartbeats with.
pub(super) const NEW_MEMBER_TIMEOUT_MS: u64 = 5 * 60 * 1000;
/// How often at most a group looks whether anybody came, whatever its members ask for: they may ask for 0 or less.
const REBALANCE_TIMEOUT_MIN_MS: u64 = 100;

impl Classic<'_> {
    /// JoinGroup. The group id and the session timeout have been checked; the group exists or may be created.
    pub fn join(&mut self, mut ask: Join, ticket: Ticket) {
        keep_own(&mut ask.protocols);
        if !self.has_room_for(&ask.member) {
            self.group.remove(&ask.member);
            self.refuse(ticket, Refusal::GroupFull);
        } else if !self.group.supports(&ask.protocol_type, &ask.protocols) {
            self.refuse(ticket, Refusal::InconsistentProtocol);
        } else if ask.member.is_empty() {
            self.join_unknown(ask, ticket);
        } else if self.group.promised.contains_key(&ask.member) && ask.instance.is_none() {
            let member = ask.member.clone();
            self.add_member(member, ask, ticket);
        } else if let Err(refusal) = self.validate(&ask.member, ask.instance.as_ref()) {
            self.refuse(ticket, refusal);
        } else {
            self.rejoin(ask, ticket);
        }
    }

    /// `group.max.size`. While members gather, those that wait count, so that the last to rejoin are turned away.
    fn has_room_for(&self, member: &MemberId) -> bool {
        let max = self.settings.group_max_size;
        let known = self.group.members.get(member);
        match self.group.phase {
            Phase::Empty => true,
            Phase::Preparing => known.is_some_and(|member| member.join.is_some()) || self.group.joining < max,
            Phase::Completing | Phase::Stable => known.is_some() || self.group.members.len() < max,
        }
    }

    fn join_unknown(&mut self, ask: Join, ticket: Ticket) {
        let prefix = ask.instance.as_ref().map_or(ask.client_id.as_str(), InstanceId::as_str);
        let member = new_member_id(prefix, self.context.entropy);
        match &ask.instance {
            Some(instance) => match self.group.statics.get(instance).cloned() {
                Some(old) => self.replace_static(old, member, ask, ticket),
                None => self.add_member(member, ask, ticket),
            },
            None if ask.needs_known_id => self.promise(member, ask.session_timeout_ms, ticket),
            None => self.add_member(member, ask, ticket),
        }
    }

    /// KIP-394: an id first, so that clients which give up early leave no members behind.
    fn promise(&mut self, member: MemberId, session_timeout_ms: i32, ticket: Ticket) {
        let at = self.context.now.mono.plus_ms(session_timeout_ms.max(0) as u64);
        let id = self.group.id.clone();
        let alarm = self.group.promised.entry(member.clone()).or_default();
        self.timers.set(alarm, at, || crate::timers::Timer::Session(id, member.clone()));
        self.refuse(ticket, Refusal::MemberIdRequired(member));
    }

    fn add_member(&mut self, id: MemberId, ask: Join, ticket: Ticket) {
        if self.group.members.is_empty() {
            self.group.protocol_type = ask.protocol_type;
        }
        if let Some(initial) = &mut self.group.initial {
            initial.somebody_came = true;
        }
        let member = Member {
            instance: ask.instance,
            client_id: ask.client_id,
            client_host: ask.client_host,
            session_timeout_ms: ask.session_timeout_ms,
            rebalance_timeout_ms: ask.rebalance_timeout_ms,
            protocols: ask.protocols,
            assignment: Bytes::new(),
            join: Some(ticket),
            sync: None,
            is_new: true,
            session: Alarm::default(),
        };
        self.group.add(id.clone(), member);
        self.set_session(&id, NEW_MEMBER_TIMEOUT_MS);
        self.rebalance_or_complete();
    }

    /// A member that is known joins again.
    fn rejoin(&mut self, ask: Join, ticket: Ticket) {
        let unchanged =
            self.group.members.get(&ask.member).is_some_and(|member| same_protocols(&member.protocols, &ask.protocols));
        let is_leader = self.group.is_leader(&ask.member);
        match self.group.phase {
            Phase::Empty => self.refuse(ticket, Refusal::UnknownMember),
            // It may have missed the answer of this very generation.
            Phase::Completing if unchanged => {
                let joined = self.group.joined(&ask.member, is_leader);
                self.answer(ticket, Answer::Joined(joined));
            }
            // A leader joins again because what it assigns has changed, be it not its own subscription.
            Phase::Stable if unchanged && !is_leader => {
                let joined = self.group.joined(&ask.member, false);
                self.answer(ticket, Answer::Joined(joined));
            }
            Phase::Preparing | Phase::Completing | Phase::Stable => {
                let member = ask.member.clone();
                self.update_member(&member, ask, ticket);
                self.rebalance_or_complete();
            }
        }
    }

    fn update_member(&mut self, id: &MemberId, ask: Join, ticket: Ticket) {
        self.group.set_protocols(id, ask.protocols);
        if let Some(member) = self.group.members.get_mut(id) {
            member.session_timeout_ms = ask.session_timeout_ms;
            member.rebalance_timeout_ms = ask.rebalance_timeout_ms;
        }
        if let Some(earlier) = self.group.set_join(id, Some(ticket)) {
            // The client gave up on its earlier request, or it would not have sent this one.
            self.refuse(earlier, Refusal::RebalanceInProgress);
        }
    }

    /// A static member comes back without its id (KIP-345): it takes its own place, and its old id is fenced.
    fn replace_static(&mut self, old: MemberId, new: MemberId, ask: Join, ticket: Ticket) {
        let Some(instance) = ask.instance.clone() else { return };
        if self.group.phase == Phase::Stable && self.group.record_bytes() + ask_bytes(&ask) > GROUP_BYTES_MAX {
            return self.refuse(ticket, Refusal::GroupTooLarge);
        }
        let leader_before = self.group.leader.clone();
        self.group.rename(&instance, &old, &new);
        let join = self.group.set_join(&new, None);
        let sync = self.group.members.get_mut(&new).and_then(|member| member.sync.take());
        for waiting in join.into_iter().chain(sync) {
            self.refuse(waiting, Refusal::FencedInstance);
        }
        if let Some(member) = self.group.members.get_mut(&new) {
            // The entry that is queued for the old id finds nobody.
            member.session = Alarm::default();
            // It knows its new id by its instance: from now on waiting is as good as a heartbeat.
            member.is_new = false;
        }
        let can_skip = ask.can_skip_assignment;
        self.update_member(&new, ask, ticket);
        self.renew_session(&new);
        match self.group.phase {
            Phase::Stable if self.group.vote() == self.group.protocol => {
                self.return_static(&new, leader_before, can_skip, ticket);
            }
            Phase::Stable => self.rebalance_or_complete(),
            // The leader may be assigning to the old id just now.
            Phase::Completing => self.prepare_rebalance(),
            Phase::Preparing => self.complete_join_if_all(),
            Phase::Empty => unreachable!("a static member was in it"),
        }
    }

    /// Nothing changes for the others: the new id is written down, and the member gets the generation that stands.
    fn return_static(&mut self, member: &MemberId, leader_before: Option<MemberId>, can_skip: bool, ticket: Ticket) {
        self.group.set_join(member, None);
        self.persist();
        let is_leader = self.group.is_leader(member);
        let mut joined = self.group.joined(member, is_leader && can_skip);
        joined.skip_assignment = is_leader && can_skip;
        if !can_skip {
            // Told that it still leads, an older client would assign anew, alone.
            joined.leader = leader_before.unwrap_or_default();
        }
        self.answer(ticket, Answer::Joined(joined));
    }

    /// After a change of membership: a rebalance starts, or the one under way may be complete.
    pub(super) fn rebalance_or_complete(&mut self) {
        match self.group.phase {
            Phase::Empty | Phase::Completing | Phase::Stable => self.prepare_rebalance(),
            Phase::Preparing => self.complete_join_if_all(),
        }
    }

    pub(crate) fn prepare_rebalance(&mut self) {
        self.refuse_syncs();
        self.group.unsynced.clear();
        self.group.sync_alarm.stop();
        let is_initial = self.group.phase == Phase::Empty;
        self.group.phase = Phase::Preparing;
        let timeout_ms = self.group.rebalance_timeout_ms();
        if is_initial {
            let delay_ms = self.settings.group_initial_rebalance_delay_ms.max(0) as u64;
            let remaining_ms = timeout_ms.saturating_sub(delay_ms);
            self.group.initial = Some(Initial { delay_ms, remaining_ms, somebody_came: false });
            self.set_join_alarm(delay_ms);
        } else if self.group.all_have_joined() {
            self.complete_join();
        } else {
            self.set_join_alarm(timeout_ms);
        }
    }

    /// Those that wait for an assignment have to join again.
    fn refuse_syncs(&mut self) {
        if self.group.phase != Phase::Completing {
            return;
        }
        for member in self.group.members.values_mut() {
            member.assignment = Bytes::new();
        }
        self.refuse_syncs_with(Refusal::RebalanceInProgress);
    }

    /// The initial rebalance always waits for its delay.
    pub(super) fn complete_join_if_all(&mut self) {
        if self.group.phase == Phase::Preparing && self.group.initial.is_none() && self.group.all_have_joined() {
            self.complete_join();
        }
    }

    /// The gathering is over: a new generation of those who came.
    pub(super) fn complete_join(&mut self) {
        self.group.join_alarm.stop();
        self.group.initial = None;
        self.remove_absent();
        if !self.elect_leader() {
            // Static members only, none of which came: their sessions decide.
            let timeout_ms = self.group.rebalance_timeout_ms().max(REBALANCE_TIMEOUT_MIN_MS);
            self.set_join_alarm(timeout_ms);
            return;
        }
        self.group.generation = self.group.generation.checked_add(1).unwrap_or(1);
        self.group.unsynced.clear();
        if self.group.members.is_empty() {
            self.group.protocol = None;
            self.group.phase = Phase::Empty;
            self.group.learn_subscriptions();
            self.persist();
        } else {
            self.group.protocol = self.group.vote();
            self.group.phase = Phase::Completing;
            self.group.learn_subscriptions();
            self.announce_generation();
        }
        self.group.check();
    }

    /// Dynamic members that did not come are out; static ones stay until their session ends.
    fn remove_absent(&mut self) {
        let absent: Vec<MemberId> = self
            .group
            .members
            .iter()
            .filter(|(_, member)| member.join.is_none() && member.instance.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for member in absent {
            self.remove_member(&member);
        }
    }

    /// The leader has to be among those who came; false if nobody did, though there are members.
    fn elect_leader(&mut self) -> bool {
        let came = |member: &Member| member.join.is_some();
        let stands = self.group.leader.as_ref().and_then(|leader| self.group.members.get(leader)).is_some_and(came);
        if stands || self.group.members.is_empty() {
            return true;
        }
        let next = self.group.members.iter().find(|(_, member)| came(member)).map(|(id, _)| id.clone());
        let found = next.is_some();
        if found {
            self.group.leader = next;
        }
        found
    }

    fn announce_generation(&mut self) {
        let ids: Vec<MemberId> = self.group.members.keys().cloned().collect();
        for id in ids {
            if let Some(ticket) = self.group.set_join(&id, None) {
                let joined = self.group.joined(&id, self.group.is_leader(&id));
                self.answer(ticket, Answer::Joined(joined));
            }
            self.renew_session(&id);
            if let Some(member) = self.group.members.get_mut(&id) {
                member.is_new = false;
            }
            self.group.unsynced.insert(id);
        }
        let timeout_ms = self.group.rebalance_timeout_ms();
        self.set_sync_alarm(timeout_ms);
    }
}

/// `<prefix>-<uuid>`, as Kafka makes them; tools show it.
pub(crate) fn new_member_id(prefix: &str, entropy: u128) -> MemberId {
    MemberId::from(format!("{prefix}-{}", uuid_text(entropy)))
}

/// A random (version 4) UUID in its usual form.
pub(crate) fn uuid_text(entropy: u128) -> String {
    let bits = entropy & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// What a member adds to its group's record, at most. Bytes.
fn ask_bytes(ask: &Join) -> usize {
    let metadata = ask.protocols.iter().map(|protocol| protocol.metadata.len()).max().unwrap_or(0);
    let texts =
        [ask.client_id.as_str(), ask.client_host.as_str(), ask.instance.as_ref().map_or("", InstanceId::as_str)];
    // The new id, in its place and as the leader's, is made of the instance.
    metadata + texts.iter().map(|text| text.len()).sum::<usize>() + 2 * (texts[2].len() + 64)
}

/// The group outlives the request: its own copies, each protocol once.
fn keep_own(protocols: &mut Vec<Protocol>) {
    let mut seen = std::collections::BTreeSet::new();
    protocols.retain(|protocol| seen.insert(protocol.name.clone()));
    for protocol in protocols {
        protocol.metadata = Bytes::copy_from_slice(&protocol.metadata);
    }
}

fn same_protocols(left: &[Protocol], right: &[Protocol]) -> bool {
    left == right
}
