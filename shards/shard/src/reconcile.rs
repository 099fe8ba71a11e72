//! Makes the core's replicas what the image says. Absence from an image never removes anything: only an explicit removal
//! in an image newer than the replica does (trap 35).

use std::sync::Arc;

use heddle_controller::{Image, Topic};
use heddle_model::{Incarnation, LeaderEpoch, NodeId, PartitionId, ReplicaNumber, ShardId, TopicSettings, Voter};
use heddle_partition::{Replica, Seat, World};

use crate::mail::{Level, Mail};
use crate::owners::Owner;
use crate::turn::Shard;

/// The controller's own log is the first replica of every node.
pub const CONTROLLER_REPLICA: ReplicaNumber = ReplicaNumber(0);

impl Shard {
    pub(crate) fn on_image(&mut self, image: Arc<Image>) {
        if self.start.is_under_way() {
            // The controller's core may have heard all offers before this one has: a replica that is not offered yet
            // would be taken for a new one.
            if self.start.held_image.as_ref().is_none_or(|held| held.version < image.version) {
                self.start.held_image = Some(image);
            }
            return;
        }
        if self.config.repair_only {
            return self.report_and_stop(&image);
        }
        if image.version <= self.image.version {
            return;
        }
        let before = std::mem::replace(&mut self.image, image);
        let image = self.image.clone();
        let mut topics_changed = false;
        for topic in image.topics() {
            let known = before.topic_by_id(topic.id);
            if !known.is_some_and(|known| Arc::ptr_eq(known, topic)) {
                topics_changed = true;
                self.reconcile_topic(topic, before.version == 0);
            }
        }
        let mut removed = Vec::new();
        for topic in before.topics().filter(|topic| image.topic_by_id(topic.id).is_none()) {
            self.remove_topic(topic);
            self.leaders.forget(topic);
            removed.push(topic.name.clone());
        }
        self.remove_dormant();
        if before.version == 0 {
            self.remove_litter();
        }
        self.coordinators_on_image(topics_changed || !removed.is_empty(), &removed);
        self.with_api(|api, view, wish| api.on_image(view, wish));
        let early = std::mem::take(&mut self.early);
        for (version, asks) in early {
            if version <= image.version { self.asks.extend(asks) } else { self.early.push((version, asks)) }
        }
        self.report_reconciled();
        self.report_losses();
    }

    /// `first`: the image tells what was decided before this start.
    fn reconcile_topic(&mut self, topic: &Topic, first: bool) {
        for (partition, placement) in topic.placements() {
            let Some(replica) = placement.on(self.config.node) else { continue };
            if self.core_of(replica.number) != self.me {
                continue;
            }
            match self.by_number.get(&replica.number).copied() {
                Some(slot) => {
                    if let Some(replica) = self.replicas[slot].as_mut() {
                        replica.set_settings(topic.settings.clone());
                    }
                }
                None => {
                    let voters = placement.replicas.iter().map(|replica| replica.voter).collect();
                    let lost = first && self.start.has_lost(replica.number);
                    self.seat(partition, replica.number, replica.voter, voters, topic.settings.clone(), lost);
                }
            }
        }
    }

    /// Take a replica in: as the journal knew it, or new, or, if it should be known and is not, `lost`. It stands for
    /// election at once.
    pub(crate) fn seat(
        &mut self,
        partition: PartitionId,
        number: ReplicaNumber,
        me: Voter,
        voters: Vec<Voter>,
        settings: Arc<TopicSettings>,
        lost: bool,
    ) {
        let slot = self.take_slot();
        let owner = self.owners.give(Owner::Replica(slot));
        let seat = Seat { partition, number, owner, me };
        let replica = match self.start.dormant.remove(&number) {
            Some(found) => match Replica::recover(seat, &found, settings) {
                Ok(replica) => replica,
                Err(why) => {
                    // The journal holds it still: it is carried along, and never taken for a new replica.
                    self.owners.release(owner);
                    self.free_slot(slot);
                    let epoch = found.state.term.epoch();
                    self.start.dormant.insert(number, found);
                    let text = format!("{}: not opened: {why}", self.name_of(partition));
                    if number == CONTROLLER_REPLICA {
                        return self.notice(crate::Notice::Failed(text));
                    }
                    if self.unopened.insert(partition) {
                        self.log(Level::Error, text);
                        self.answer_for_damaged(partition, epoch);
                    }
                    return;
                }
            },
            None => {
                let mut world = World {
                    now: self.now,
                    journal: &mut self.journals[0],
                    effects: &mut self.effects,
                    answers: &mut self.answers,
                    news: &mut self.news,
                };
                if lost {
                    Replica::create_lost(seat, voters, settings, &mut world)
                } else {
                    Replica::create(seat, voters, settings, &mut world)
                }
            }
        };
        if replica.is_damaged() && number == CONTROLLER_REPLICA {
            let text = "the cluster's metadata log is damaged. `heddle repair` says where; with --accept-loss the broker \
                        starts from the metadata before the damage: later topics and configs are lost";
            return self.notice(crate::Notice::Failed(text.into()));
        }
        if replica.is_damaged() {
            let text = "its journal is damaged: it takes no writes and is read up to the damage; \
                        `heddle repair --accept-loss` gives up what lies behind";
            self.log(Level::Error, format!("{}: {text}", self.name_of(partition)));
            self.answer_for_damaged(partition, replica.epoch());
        } else {
            self.unserved.insert(number);
        }
        self.replicas[slot] = Some(Box::new(replica));
        self.by_partition.insert(partition, slot);
        self.by_number.insert(number, slot);
        self.with_replica(slot, |replica, world| replica.campaign(world));
        self.budget.touch(slot);
    }

    /// Clients come here, and are told of the damage.
    fn answer_for_damaged(&mut self, partition: PartitionId, epoch: LeaderEpoch) {
        let node = self.config.node;
        self.leaders.learn(partition, Some(node), epoch);
        self.tell_all(|| Mail::Leaders(vec![(partition, Some(node), epoch)]));
    }

    /// The controller's log. `fresh`: this data directory has never held a replica.
    pub(crate) fn open_controller(&mut self, fresh: bool) {
        if !fresh && !self.start.dormant.contains_key(&CONTROLLER_REPLICA) {
            let text = "the data directory holds partitions but not the cluster's metadata log: it is not whole. \
                        Restore the missing journal directory, or start with an empty data directory";
            return self.notice(crate::Notice::Failed(text.into()));
        }
        let me = Voter { node: self.config.node, incarnation: Incarnation(0) };
        let settings =
            Arc::new(TopicSettings { cleanup_delete: false, cleanup_compact: true, ..TopicSettings::default() });
        self.seat(PartitionId::CONTROLLER, CONTROLLER_REPLICA, me, vec![me], settings, false);
    }

    fn remove_topic(&mut self, topic: &Topic) {
        for (partition, placement) in topic.placements() {
            let Some(replica) = placement.on(self.config.node) else { continue };
            if !self.image.is_removed(replica.number) {
                continue;
            }
            self.unopened.remove(&partition);
            if let Some(slot) = self.by_number.get(&replica.number).copied() {
                self.by_partition.remove(&partition);
                self.unserved.remove(&replica.number);
                self.with_replica(slot, |replica, world| replica.leave(world));
            }
        }
    }

    /// Replicas that were removed while this core was down, or before it had told the journal.
    fn remove_dormant(&mut self) {
        let gone: Vec<ReplicaNumber> =
            self.start.dormant.keys().copied().filter(|number| self.image.is_removed(*number)).collect();
        for number in gone {
            let found = self.start.dormant.remove(&number).expect("its key was just seen");
            let slot = self.take_slot();
            let owner = self.owners.give(Owner::Replica(slot));
            let me = Voter { node: self.config.node, incarnation: Incarnation(0) };
            let identity = heddle_partition::read_identity(found.state.config.clone());
            let replica = identity.and_then(|(partition, _)| {
                let seat = Seat { partition, number, owner, me };
                Replica::recover(seat, &found, Arc::new(TopicSettings::default())).ok()
            });
            let Some(replica) = replica else {
                // What cannot be opened can go all the same; its files are found as litter by the next start.
                self.owners.release(owner);
                self.free_slot(slot);
                self.journals[0].gone(number);
                continue;
            };
            self.replicas[slot] = Some(Box::new(replica));
            self.by_number.insert(number, slot);
            self.with_replica(slot, |replica, world| replica.leave(world));
            self.budget.touch(slot);
        }
    }

    /// A removed replica's files are gone: nothing is under way any more, and its slot is free for another.
    pub(crate) fn on_removed(&mut self, number: ReplicaNumber) {
        let Some(slot) = self.by_number.remove(&number) else { return };
        if let Some(replica) = self.replicas[slot].take() {
            self.owners.release(replica.owner());
            self.compaction.forget(slot);
            self.free_slot(slot);
        }
        self.budget.touch(slot);
    }

    pub(crate) fn on_leader(
        &mut self,
        partition: PartitionId,
        leader: Option<NodeId>,
        epoch: LeaderEpoch,
        serving: bool,
    ) {
        self.leaders.learn(partition, leader, epoch);
        self.tell_all(|| Mail::Leaders(vec![(partition, leader, epoch)]));
        if let Some(slot) = self.by_partition.get(&partition).copied()
            && let Some(replica) = self.replicas[slot].as_ref()
            && serving
        {
            self.unserved.remove(&replica.number());
        }
        self.on_leading(partition, serving);
        self.report_reconciled();
    }

    /// Tell the controller's core once everything that the image places here serves.
    fn report_reconciled(&mut self) {
        if self.unserved.is_empty() && self.reconciled < self.image.version {
            let version = self.image.version;
            self.reconciled = version;
            let controller = self.core_of(CONTROLLER_REPLICA);
            if controller == self.me {
                self.on_reconciled(self.me, version);
            } else {
                self.letters.push((controller, Mail::Reconciled { version }));
            }
        }
    }

    pub(crate) fn on_reconciled(&mut self, from: ShardId, version: u64) {
        if self.coordinators.on_reconciled(from, version, &mut self.replies) {
            self.listen();
        }
    }
}
