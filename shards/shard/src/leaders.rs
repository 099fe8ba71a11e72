//! Who leads each partition, as the cores tell each other. Answers Metadata without asking the owner.

use heddle_controller::Topic;
use heddle_model::{LeaderEpoch, NodeId, PartitionId};
use rustc_hash::FxHashMap;

#[derive(Default)]
pub struct Leaders {
    known: FxHashMap<PartitionId, (Option<NodeId>, LeaderEpoch)>,
}

impl Leaders {
    /// News of an older epoch never replaces that of a newer one: clients ignore epochs that go back.
    pub fn learn(&mut self, partition: PartitionId, leader: Option<NodeId>, epoch: LeaderEpoch) {
        let entry = self.known.entry(partition).or_insert((leader, epoch));
        if epoch >= entry.1 {
            *entry = (leader, epoch);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// The topic was removed. What an image merely does not know stays: the core that leads a new partition may have
    /// told of it before the image with that partition came from the controller's core, and tells it once.
    pub fn forget(&mut self, topic: &Topic) {
        for (partition, _) in topic.placements() {
            self.known.remove(&partition);
        }
    }
}

impl heddle_api::Leaders for Leaders {
    fn leader(&self, partition: PartitionId) -> Option<(NodeId, LeaderEpoch)> {
        let (leader, epoch) = self.known.get(&partition)?;
        Some(((*leader)?, *epoch))
    }
}
