//! What the coordinator sees of the cluster: topics and the groups' own settings. The house lends it for one call.

use heddle_model::TopicId;

use crate::{GroupId, GroupOverrides, TopicName};

pub trait Topics {
    /// Grows whenever any topic appears, disappears or gets partitions; equal versions mean equal answers below.
    fn version(&self) -> u64;
    /// Id and number of partitions of a topic.
    fn by_name(&self, name: &str) -> Option<(TopicId, i32)>;
    /// Name and number of partitions of a topic.
    fn by_id(&self, id: TopicId) -> Option<(TopicName, i32)>;
    /// Every topic's name that is not internal, in ascending order; for regular expressions.
    fn each_name(&self, visit: &mut dyn FnMut(&str));
    /// The version of the topics that brought this one, and its id.
    fn created(&self, name: &str) -> Option<(u64, TopicId)> {
        self.by_name(name).map(|(id, _)| (0, id))
    }
    /// Settings that this group overrides.
    fn overrides(&self, _group: &GroupId) -> GroupOverrides {
        GroupOverrides::default()
    }
}
