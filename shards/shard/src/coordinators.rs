//! The coordinators that live on this core, and who answers an ask for one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use heddle_api::{Answer, Ask, Target};
use heddle_controller as controller;
use heddle_controller::{Image, InternalTopic};
use heddle_group as group;
use heddle_model::{Mono, Now, Offset, PartitionId, PartitionIndex, ShardId, Ticket};
use heddle_partition as partition;

use crate::controller_room::{ControllerRoom, FromController};
use crate::group_room::GroupRoom;
use crate::host::{Coordinator, Host, PartitionAsk};
use crate::mail::{Level, Mail};
use crate::turn::Shard;
use crate::{Notice, ShardConfig};

mod topics_gone;

/// Slots of tickets from here on are the house's own: the low bits name a host.
pub const HOST_SLOTS: u32 = 1 << 31;
const CONTROLLER_HOST: u32 = 0;
/// The hosts of group partitions follow, by partition index.
const GROUP_HOSTS: u32 = 1;
/// The ticket of asks that the house makes itself, whose answers only it reads.
pub(crate) const HOUSE_SLOT: u32 = u32::MAX;

/// Created topics are announced when every core serves them, or after this. Milliseconds.
const ANNOUNCE_MS: u64 = 5_000;
/// What is due but cannot be done now (the journal is broken) is tried again after this. Milliseconds.
const RETRY_MS: u64 = 1_000;

pub struct Coordinators {
    controller: Option<Host<ControllerRoom>>,
    groups: BTreeMap<PartitionIndex, Host<GroupRoom>>,
    /// Topics that are gone, and that a host could not be told of yet.
    untold: BTreeMap<PartitionIndex, BTreeSet<group::TopicName>>,
    booted: bool,
    /// Registering this broker was refused, and is tried again then.
    boot_at: Option<Mono>,
    /// Something was due and could not be done: not to be woken for it before this.
    rest_until: Mono,
    /// The newest image version that each core serves, as it told the controller's core.
    reconciled: BTreeMap<ShardId, u64>,
    shards: u16,
    announcements: VecDeque<Announcement>,
    /// The newest image that was published.
    published: u64,
}

/// An answer of the controller that waits until every core serves an image, or until a time.
struct Announcement {
    version: u64,
    until: Mono,
    ticket: Ticket,
    answer: controller::Answer,
}

impl Coordinators {
    pub fn new(config: &ShardConfig) -> Coordinators {
        Coordinators {
            controller: None,
            groups: BTreeMap::new(),
            untold: BTreeMap::new(),
            booted: false,
            boot_at: None,
            rest_until: Mono(0),
            reconciled: BTreeMap::new(),
            shards: config.shards,
            announcements: VecDeque::new(),
            published: 0,
        }
    }

    /// The partition that a coordinator's target lives on.
    pub fn partition_of(&self, target: &Target, image: &Image) -> Option<PartitionId> {
        let topic = |which: InternalTopic| image.topic(which.name());
        match target {
            Target::Group(group) => {
                let topic = topic(InternalTopic::Offsets)?;
                Some(topic.partition_id(group::partition_of(group, topic.partitions.len() as i32)))
            }
            Target::GroupPartition(index) => Some(topic(InternalTopic::Offsets)?.partition_id(*index)),
            Target::Transaction(_) | Target::House => None,
            Target::Controller => Some(PartitionId::CONTROLLER),
            Target::Partition(partition) => Some(*partition),
        }
    }

    /// The group coordinators that are loaded, by partition of `__consumer_offsets`.
    pub fn group_rooms(&self) -> impl Iterator<Item = (PartitionIndex, &GroupRoom)> {
        self.groups.iter().filter(|(_, host)| host.is_up()).map(|(index, host)| (*index, &host.coordinator))
    }

    /// This core was absent: what members sent meanwhile may be on its way still.
    pub fn suspend(&mut self) {
        self.groups.values_mut().for_each(Host::suspend);
    }

    /// The client that waits with this ticket for an answer of its group is gone: the answer comes soon, whatever it is.
    pub fn cancel(&mut self, partition: PartitionIndex, group: &str, ticket: Ticket, me: ShardId) {
        if let Some(host) = self.groups.get_mut(&partition).filter(|host| host.is_up()) {
            host.coordinator.cancel(group, ticket, house_ticket(me));
        }
    }

    pub fn next_deadline(&self) -> Option<Mono> {
        let announcement = self.announcements.front().map(|announcement| announcement.until);
        let controller = self.controller.as_ref().and_then(Host::next_deadline);
        let hosts = self.groups.values().filter_map(Host::next_deadline).chain(controller).chain(self.boot_at);
        hosts.map(|at| at.max(self.rest_until)).chain(announcement).min()
    }

    /// True once every core serves what the broker's first image asks for.
    pub fn on_reconciled(&mut self, from: ShardId, version: u64, replies: &mut Vec<(Ticket, Answer)>) -> bool {
        self.reconciled.insert(from, version);
        self.announce(None, replies);
        self.booted && self.everywhere() >= 1
    }

    /// The version that all cores serve.
    fn everywhere(&self) -> u64 {
        if self.reconciled.len() < usize::from(self.shards) {
            return 0;
        }
        self.reconciled.values().copied().min().unwrap_or(0)
    }

    fn announce(&mut self, now: Option<Now>, replies: &mut Vec<(Ticket, Answer)>) {
        let everywhere = self.everywhere();
        while let Some(first) = self.announcements.front() {
            if first.version > everywhere && now.is_none_or(|now| now.mono < first.until) {
                return;
            }
            let Announcement { ticket, answer, .. } = self.announcements.pop_front().expect("the front was just seen");
            replies.push((ticket, Answer::Controller(answer)));
        }
    }
}

impl Shard {
    pub(crate) fn ask_coordinator(&mut self, ticket: Ticket, target: Target, ask: Ask) {
        match ask {
            Ask::Controller(ask) => self.ask_controller(ticket, ask),
            Ask::Group(ask) => match self.coordinators.partition_of(&target, &self.image) {
                Some(partition) => self.ask_group(ticket, partition, ask),
                None => self.replies.push((ticket, Answer::Unreachable)),
            },
            Ask::Partition(_) | Ask::Space => {
                panic!("asks of partitions and of the house are carried by their own path")
            }
        }
    }

    fn ask_controller(&mut self, ticket: Ticket, ask: controller::Ask) {
        let ready = self.may_decide(PartitionId::CONTROLLER);
        let carried = self.with_controller(|host, now, entropy, answers| {
            if ready {
                return host.ask(now, ticket, ask, entropy, answers);
            }
            answers.push((ticket, ControllerRoom::loading()));
            None
        });
        if !carried {
            self.take_from_controller(vec![(ticket, ControllerRoom::not_coordinator())]);
        }
    }

    fn ask_group(&mut self, ticket: Ticket, partition: PartitionId, ask: group::Ask) {
        let ready = self.may_decide(partition);
        if ready {
            // First: what is committed from now on may be for a new topic of the same name.
            self.tell_of_topics_gone(partition);
        }
        let carried = self.with_group(partition, |host, now, entropy, answers| {
            if ready {
                return host.ask(now, ticket, ask, entropy, answers);
            }
            host.suspend();
            answers.push((ticket, GroupRoom::not_coordinator()));
            None
        });
        if !carried {
            self.replies.push((ticket, Answer::Group(GroupRoom::not_coordinator())));
        }
    }

    /// Let the controller's host act, if it is on this core, and carry what it says.
    fn with_controller(
        &mut self,
        act: impl FnOnce(&mut Host<ControllerRoom>, Now, u128, &mut Vec<(Ticket, FromController)>) -> Option<PartitionAsk>,
    ) -> bool {
        let entropy = self.entropy.draw();
        let Some(host) = self.coordinators.controller.as_mut() else { return false };
        let was_up = host.is_up();
        let mut answers = Vec::new();
        let ask = act(host, self.now, entropy, &mut answers);
        let came_up = !was_up && host.is_up();
        let in_vain = !host.is_up() && !host.is_loading();
        let quarantined = host.quarantine().map(str::to_string);
        self.ask_under_host(CONTROLLER_HOST, PartitionId::CONTROLLER, ask);
        self.take_from_controller(answers);
        if came_up {
            self.on_controller_up();
        }
        if let Some(why) = quarantined {
            self.notice(Notice::Failed(format!("the cluster's metadata log cannot be read: {why}")));
        }
        if in_vain && self.config.repair_only {
            self.on_examined(None);
        }
        true
    }

    /// The same for the group coordinator on a partition of `__consumer_offsets`.
    fn with_group(
        &mut self,
        partition: PartitionId,
        act: impl FnOnce(&mut Host<GroupRoom>, Now, u128, &mut Vec<(Ticket, group::Answer)>) -> Option<PartitionAsk>,
    ) -> bool {
        let entropy = self.entropy.draw();
        let Some(host) = self.coordinators.groups.get_mut(&partition.index) else { return false };
        let (was_up, was_quarantined) = (host.is_up(), host.quarantine().is_some());
        let mut answers = Vec::new();
        let ask = act(host, self.now, entropy, &mut answers);
        let came_up = !was_up && host.is_up();
        let quarantined = host.quarantine().filter(|_| !was_quarantined).map(str::to_string);
        self.ask_under_host(GROUP_HOSTS + partition.index.0 as u32, partition, ask);
        self.replies.extend(answers.into_iter().map(|(ticket, answer)| (ticket, Answer::Group(answer))));
        if let Some(why) = quarantined {
            self.log(Level::Error, format!("{}: its groups cannot be served: {why}", self.name_of(partition)));
        }
        if came_up {
            self.tell_of_topics_gone(partition);
        }
        true
    }

    /// A decision is only asked for while its partition would take the largest batch (RULES F 1).
    fn may_decide(&self, partition: PartitionId) -> bool {
        let slot = self.by_partition.get(&partition);
        let replica = slot.and_then(|slot| self.replicas[*slot].as_ref());
        replica.is_some_and(|replica| replica.is_serving() && !replica.is_damaged())
            && self.journals[0].pressure() < heddle_journal::Pressure::Broken
    }

    fn ask_under_host(&mut self, host: u32, partition: PartitionId, ask: Option<PartitionAsk>) {
        let Some(PartitionAsk { sequence, ask }) = ask else { return };
        let (generation, part) = (sequence as u32, (sequence >> 32) as u32);
        let ticket = Ticket { home: self.me, slot: HOST_SLOTS | host, generation, part };
        let Some(slot) = self.by_partition.get(&partition).copied() else {
            let refused = partition::Answer::Refused(partition::Refusal::UnknownPartition);
            return self.answers.push((ticket, refused));
        };
        self.with_replica(slot, |replica, world| replica.ask(ticket, ask, world));
        self.budget.touch(slot);
    }

    /// A partition answered the host that stands on it.
    pub(crate) fn on_host_answer(&mut self, ticket: Ticket, answer: partition::Answer) {
        let sequence = u64::from(ticket.part) << 32 | u64::from(ticket.generation);
        match ticket.slot & !HOST_SLOTS {
            CONTROLLER_HOST => {
                self.with_controller(|host, now, _, answers| host.on_answer(now, sequence, answer, answers));
            }
            group => {
                let index = PartitionIndex((group - GROUP_HOSTS) as i32);
                let Some(partition) = self.coordinators.groups.get(&index).map(|host| host.partition) else { return };
                self.with_group(partition, |host, now, _, answers| host.on_answer(now, sequence, answer, answers));
            }
        }
    }

    /// The controller's log is replayed: publish what it says, and register this broker.
    fn on_controller_up(&mut self) {
        let ticket = self.house_ticket();
        let publish = self.coordinators.controller.as_mut().and_then(|host| host.coordinator.after_replay());
        if self.config.repair_only {
            return self.on_examined(match publish {
                Some(FromController::Publish(image)) => Some(image),
                Some(FromController::Answer(_)) | None => None,
            });
        }
        self.take_from_controller(publish.map(|publish| (ticket, publish)).into_iter().collect());
        self.boot();
    }

    fn boot(&mut self) {
        let cluster_id_if_new = heddle_model::base64_id(self.entropy.draw());
        let boot = controller::Ask::Boot { cluster_id_if_new, broker: self.config.broker.clone() };
        self.ask_controller(self.house_ticket(), boot);
    }

    fn house_ticket(&self) -> Ticket {
        house_ticket(self.me)
    }

    fn take_from_controller(&mut self, answers: Vec<(Ticket, FromController)>) {
        for (ticket, out) in answers {
            match out {
                FromController::Publish(image) => self.publish(image),
                FromController::Answer(controller::Answer::Booted { .. }) => {
                    self.coordinators.booted = true;
                    self.on_reconciled(self.me, self.reconciled);
                }
                FromController::Answer(answer) if ticket.slot == HOUSE_SLOT => {
                    self.coordinators.boot_at = Some(self.now.mono.plus_ms(RETRY_MS));
                    self.log(Level::Warn, format!("the broker could not register itself: {answer:?}"));
                }
                FromController::Answer(answer) => {
                    // Clients use a topic as soon as they hear of it: every core shall serve it by then.
                    let until = self.now.mono.plus_ms(ANNOUNCE_MS);
                    let version = self.coordinators.published;
                    self.coordinators.announcements.push_back(Announcement { version, until, ticket, answer });
                    self.coordinators.announce(None, &mut self.replies);
                }
            }
        }
    }

    fn publish(&mut self, image: Arc<Image>) {
        self.coordinators.published = image.version;
        self.tell_all(|| Mail::Image(image.clone()));
        self.on_image(image);
    }

    /// Leadership of a partition on this core began or ended.
    pub(crate) fn on_leading(&mut self, partition: PartitionId, serving: bool) {
        if partition == PartitionId::CONTROLLER {
            let config = self.config.settings.clone();
            let room = || Host::new(PartitionId::CONTROLLER, ControllerRoom::new(config));
            self.coordinators.controller.get_or_insert_with(room);
            self.with_controller(|host, now, _, answers| lead(host, now, serving, Offset::ZERO, answers));
            return;
        }
        let topic = self.image.topic_by_id(partition.topic);
        if topic.is_none_or(|topic| &*topic.name != InternalTopic::Offsets.name()) {
            return;
        }
        let image = self.image.clone();
        let room = || Host::new(partition, GroupRoom::new(image));
        self.coordinators.groups.entry(partition.index).or_insert_with(room);
        if !serving {
            // Whoever leads now finds out.
            self.coordinators.untold.remove(&partition.index);
        }
        let start = self.log_start_of(partition);
        self.with_group(partition, |host, now, _, answers| lead(host, now, serving, start, answers));
    }

    fn log_start_of(&self, partition: PartitionId) -> Offset {
        let replica = self.by_partition.get(&partition).and_then(|slot| self.replicas[*slot].as_ref());
        replica.map_or(Offset::ZERO, |replica| replica.described().log_start)
    }

    pub(crate) fn tick_coordinators(&mut self) {
        let now = self.now;
        self.coordinators.announce(Some(now), &mut self.replies);
        let due = |host: &&Host<GroupRoom>| host.next_deadline().is_some_and(|at| at <= now.mono);
        let due: Vec<PartitionId> = self.coordinators.groups.values().filter(due).map(|host| host.partition).collect();
        self.tell_all_of_topics_gone();
        for partition in due {
            if !self.may_decide(partition) {
                self.coordinators.groups.get_mut(&partition.index).into_iter().for_each(Host::suspend);
                self.coordinators.rest_until = now.mono.plus_ms(RETRY_MS);
                continue;
            }
            let start = self.log_start_of(partition);
            // Offsets and groups expire by the clock that nobody can push ahead.
            let trusted = self.trusted;
            self.with_group(partition, |host, _, entropy, answers| host.tick(trusted, start, entropy, answers));
        }
        self.tick_controller();
    }

    fn tick_controller(&mut self) {
        let is_due = |at: Option<Mono>| at.is_some_and(|at| at <= self.now.mono);
        let reload = is_due(self.coordinators.controller.as_ref().and_then(Host::next_deadline));
        let boot = is_due(self.coordinators.boot_at);
        if !(reload || boot) {
            return;
        }
        if !self.may_decide(PartitionId::CONTROLLER) {
            self.coordinators.rest_until = self.now.mono.plus_ms(RETRY_MS);
            return;
        }
        if reload {
            self.with_controller(|host, now, entropy, answers| host.tick(now, Offset::ZERO, entropy, answers));
        }
        if boot {
            self.coordinators.boot_at = None;
            self.boot();
        }
    }

    /// Whether an answer is for the house itself, which needs none of those that come this way.
    pub(crate) fn is_for_house(ticket: Ticket) -> bool {
        ticket.slot == HOUSE_SLOT
    }
}

fn house_ticket(me: ShardId) -> Ticket {
    Ticket { home: me, slot: HOUSE_SLOT, generation: 0, part: 0 }
}

fn lead<C: Coordinator>(
    host: &mut Host<C>,
    now: Now,
    serving: bool,
    log_start: Offset,
    answers: &mut Vec<(Ticket, C::Answer)>,
) -> Option<PartitionAsk> {
    if serving {
        host.on_leading(answers);
        host.load(now, log_start)
    } else {
        host.on_lost(answers);
        None
    }
}

#[cfg(test)]
mod tests;
