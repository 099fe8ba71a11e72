//! The records of `__consumer_offsets`: Apache Kafka's own schemas, so that tools which read that topic keep working.
//! A key begins with a version that tells what it is; a value with a version of its own.

mod classic;
mod offset;
mod wire;

pub use classic::{GroupMetadata, StoredMember};
pub use offset::StoredOffset;
pub use wire::{Reader, TEXT_BYTES_MAX, Writer};

use bytes::Bytes;
use heddle_model::PartitionIndex;

use crate::{GroupId, Malformed, TopicName};

/// What a record is about. The number is the key's version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// 0 and 1.
    Offset { group: GroupId, topic: TopicName, partition: PartitionIndex },
    /// 2: a classic group.
    Group(GroupId),
    /// A record kind that a newer version writes (share and streams groups, or later ones).
    Unknown(i16),
}

impl Key {
    pub fn decode(key: Bytes) -> Result<Key, Malformed> {
        let mut reader = Reader::new(key);
        match reader.i16()? {
            0 | 1 => Ok(Key::Offset {
                group: reader.string()?.into(),
                topic: reader.string()?.into(),
                partition: PartitionIndex(reader.i32()?),
            }),
            2 => Ok(Key::Group(reader.string()?.into())),
            other => Ok(Key::Unknown(other)),
        }
    }

    pub fn encode(&self) -> Bytes {
        match self {
            Key::Offset { group, topic, partition } => {
                let mut writer = Writer::version(1);
                writer.string(group.as_str());
                writer.string(topic.as_str());
                writer.i32(partition.0);
                writer.done()
            }
            Key::Group(group) => of_group(2, group),
            Key::Unknown(version) => Writer::version(*version).done(),
        }
    }
}

fn of_group(version: i16, group: &GroupId) -> Bytes {
    let mut writer = Writer::version(version);
    writer.string(group.as_str());
    writer.done()
}
