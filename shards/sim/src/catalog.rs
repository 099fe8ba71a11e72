//! The topics as the clients know them. Each creation is an incarnation of its own.

use heddle_fakedisk::Dice;
use heddle_model::Codec;

use crate::check::{Part, Seen};
use crate::record::Keys;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Asked for; whether it is there is not known yet.
    Creating,
    Present,
    /// Its deletion was asked for; whether it is gone is not known yet.
    Deleting,
    Gone,
}

pub struct Topic {
    pub name: String,
    pub id: u128,
    pub partitions: i32,
    pub state: State,
    /// The step in which it was asked for.
    pub asked: u64,
    /// The step in which it was known to be there.
    pub since: u64,
    /// What producers pack their batches with.
    pub codec: Codec,
    /// The broker packs them anew.
    pub recoded: bool,
    /// Its records have keys, and it is compacted.
    pub keys: Option<Keys>,
    /// Its `delete.retention.ms`, if it is compacted and clocks can be counted on.
    pub delete_retention_ms: Option<i64>,
    /// Its old records go, asked or not.
    pub expires: bool,
}

impl Topic {
    /// DeleteRecords is refused for topics that are only compacted.
    pub fn may_be_cut(&self) -> bool {
        self.keys.is_none() || self.expires
    }
}

#[derive(Default)]
pub struct Catalog {
    pub topics: Vec<Topic>,
    /// The step in which last a topic was to be deleted.
    pub deleting: Option<u64>,
}

impl Catalog {
    /// The newest incarnation of a name.
    pub fn latest(&self, name: &str) -> Option<usize> {
        self.topics.iter().rposition(|topic| topic.name == name)
    }

    pub fn by_id(&self, id: u128) -> Option<usize> {
        self.topics.iter().position(|topic| topic.id == id)
    }

    pub fn is_present(&self, topic: usize) -> bool {
        self.topics[topic].state == State::Present
    }

    /// What checkers must know of a topic before anything of it is seen.
    pub fn describe(&self, at: usize) -> Vec<Seen<'static>> {
        let topic = &self.topics[at];
        let delete_retention_ms = topic.delete_retention_ms;
        let compacted = topic.keys.map(|keys| Seen::TopicCompacted { topic: at, keys, delete_retention_ms });
        let mut said: Vec<Seen<'static>> = compacted.into_iter().collect();
        if topic.expires {
            let part = |index| Part { topic: at, index };
            said.extend((0..topic.partitions).map(|index| Seen::CutAsked { part: part(index), before: i64::MAX }));
        }
        said
    }

    /// All partitions that are there for certain.
    pub fn parts(&self) -> Vec<Part> {
        let present = (0..self.topics.len()).filter(|topic| self.is_present(*topic));
        present.flat_map(|topic| (0..self.topics[topic].partitions).map(move |index| Part { topic, index })).collect()
    }

    pub fn pick(&self, dice: &mut Dice) -> Option<Part> {
        let parts = self.parts();
        if parts.is_empty() { None } else { Some(parts[dice.below(parts.len() as u64) as usize]) }
    }
}
