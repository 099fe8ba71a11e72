//! Topics that go while groups have offsets committed for them. Each group coordinator is told of each, once it can decide:
//! a topic of the same name that is created later is another topic. What went before it was there it finds itself.

use std::sync::Arc;

use heddle_group as group;
use heddle_model::PartitionId;

use crate::host::Host;
use crate::turn::Shard;

impl Shard {
    /// Coordinators see the new picture; offsets committed for topics that are gone go too.
    pub(crate) fn coordinators_on_image(&mut self, topics_changed: bool, removed: &[Arc<str>]) {
        let image = self.image.clone();
        let hosts: Vec<PartitionId> = self.coordinators.groups.values().map(|host| host.partition).collect();
        for partition in hosts {
            let Some(host) = self.coordinators.groups.get_mut(&partition.index) else { continue };
            host.coordinator.on_image(&image, topics_changed);
            if host.is_leading() && !removed.is_empty() {
                let names = removed.iter().map(|name| group::TopicName::new(name));
                self.coordinators.untold.entry(partition.index).or_default().extend(names);
                self.tell_of_topics_gone(partition);
            }
        }
    }

    /// If the groups can be told now; if not, the next ask or tick that finds them able to decide does it.
    pub(super) fn tell_of_topics_gone(&mut self, partition: PartitionId) {
        let index = partition.index;
        if self.coordinators.untold.contains_key(&index)
            && self.coordinators.groups.get(&index).is_some_and(Host::is_up)
            && self.may_decide(partition)
        {
            let topics = self.coordinators.untold.remove(&index).unwrap_or_default();
            self.ask_group(self.house_ticket(), partition, group::Ask::TopicsDeleted(topics));
        }
    }

    /// Those that could not be told before.
    pub(super) fn tell_all_of_topics_gone(&mut self) {
        let untold = self.coordinators.untold.keys().filter_map(|index| self.coordinators.groups.get(index));
        for partition in untold.map(|host| host.partition).collect::<Vec<_>>() {
            self.tell_of_topics_gone(partition);
        }
    }
}
