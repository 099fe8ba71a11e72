//! `heddle repair`: say what is damaged, change nothing beyond what was accepted, and end.
//!
//! People know topics by their names, and these stand in the cluster's metadata alone. The core that has its log reads it,
//! as far as it goes and without standing for election, and tells the others the image that comes of it.

use std::sync::Arc;

use heddle_controller::Image;
use heddle_model::{Incarnation, PartitionId, TopicSettings, Voter};
use heddle_partition::{Replica, Seat};

use crate::mail::{Level, Mail, Notice};
use crate::owners::Owner;
use crate::reconcile::CONTROLLER_REPLICA;
use crate::turn::Shard;

impl Shard {
    /// All that is here is recovered. What is damaged is told once the names are known, or are known not to be.
    pub(super) fn examine(&mut self) {
        if self.core_of(CONTROLLER_REPLICA) != self.me {
            if let Some(image) = self.start.held_image.take() {
                self.report_and_stop(&image);
            }
            return;
        }
        let slot = self.take_slot();
        let owner = self.owners.give(Owner::Replica(slot));
        let me = Voter { node: self.config.node, incarnation: Incarnation(0) };
        let seat = Seat { partition: PartitionId::CONTROLLER, number: CONTROLLER_REPLICA, owner, me };
        // Nothing is removed and nothing compacted.
        let settings = TopicSettings { cleanup_delete: false, cleanup_compact: false, ..TopicSettings::default() };
        let found = self.start.dormant.get(&CONTROLLER_REPLICA);
        let replica = found.and_then(|found| Replica::recover(seat, found, Arc::new(settings)).ok());
        let Some(mut replica) = replica else {
            self.owners.release(owner);
            self.free_slot(slot);
            return self.on_examined(None);
        };
        replica.examine();
        self.replicas[slot] = Some(Box::new(replica));
        self.by_partition.insert(PartitionId::CONTROLLER, slot);
        self.by_number.insert(CONTROLLER_REPLICA, slot);
        self.on_leading(PartitionId::CONTROLLER, true);
    }

    /// The metadata's log was read, or cannot be.
    pub(crate) fn on_examined(&mut self, image: Option<Arc<Image>>) {
        if std::mem::replace(&mut self.start.examined, true) {
            return;
        }
        let image = image.unwrap_or_else(|| Arc::new(Image::empty(self.config.settings.clone())));
        self.tell_all(|| Mail::Image(image.clone()));
        self.report_and_stop(&image);
    }

    pub(crate) fn report_and_stop(&mut self, image: &Image) {
        let damaged: Vec<String> = self
            .start
            .dormant
            .iter()
            .filter(|(_, replica)| replica.damaged)
            .map(|(number, replica)| {
                let end = replica.tail.last().map_or(replica.state.log_start, |batch| batch.next);
                let identity = heddle_partition::read_identity(replica.state.config.clone());
                let whose = identity.map_or("of no partition that can be told".into(), |(of, _)| whose(of, image));
                format!("replica {number} ({whose}) is damaged behind offset {end}")
            })
            .collect();
        let count = damaged.len();
        for line in damaged {
            self.log(Level::Error, line);
        }
        if count > 0 || self.start.found.misses {
            let text = "damage was found (see above): damaged partitions take no writes, and are read up to the damage. \
                        `heddle repair --accept-loss` lets them go on without what is lost";
            self.notice(Notice::Failed(text.into()));
        }
        self.on_stop();
    }
}

fn whose(partition: PartitionId, image: &Image) -> String {
    let PartitionId { topic, index } = partition;
    if partition == PartitionId::CONTROLLER {
        return "the cluster's metadata".into();
    }
    match image.topic_by_id(topic) {
        Some(known) => format!("partition {index} of topic {}, id {topic}", known.name),
        None => {
            format!(
                "partition {index} of topic id {topic}, whose name the cluster's metadata, as far as it reads, lacks"
            )
        }
    }
}
