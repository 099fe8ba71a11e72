//! The records of `__consumer_offsets`: Apache Kafka's own schemas, so that tools which read that topic keep working.
//! A key begins with a version that tells what it is; a value with a version of its own.

mod classic;
pub mod consumer;
pub mod embedded;
mod offset;
mod wire;

pub use classic::{GroupMetadata, StoredMember};
pub use offset::StoredOffset;
pub use wire::{Reader, TEXT_BYTES_MAX, Writer};

use bytes::Bytes;
use heddle_model::PartitionIndex;

use crate::{GroupId, Malformed, MemberId, Text, TopicName};

/// What a record is about. The number is the key's version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// 0 and 1.
    Offset { group: GroupId, topic: TopicName, partition: PartitionIndex },
    /// 2: a classic group.
    Group(GroupId),
    /// 3: a KIP-848 group's epoch.
    Epoch(GroupId),
    /// 5: what a member asks for.
    Member(GroupId, MemberId),
    /// 6: the epoch of the target assignment.
    TargetEpoch(GroupId),
    /// 7: what a member is to have.
    Target(GroupId, MemberId),
    /// 8: what a member has.
    Current(GroupId, MemberId),
    /// 16: the topics that a regular expression matches.
    Regex(GroupId, Text),
    /// A record kind that is not used here: 4 (before 4.1), share and streams groups, or what a newer version writes.
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
            3 => Ok(Key::Epoch(reader.string()?.into())),
            5 => Ok(Key::Member(reader.string()?.into(), reader.string()?.into())),
            6 => Ok(Key::TargetEpoch(reader.string()?.into())),
            7 => Ok(Key::Target(reader.string()?.into(), reader.string()?.into())),
            8 => Ok(Key::Current(reader.string()?.into(), reader.string()?.into())),
            16 => Ok(Key::Regex(reader.string()?.into(), reader.string()?.into())),
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
            Key::Epoch(group) => of_group(3, group),
            Key::Member(group, member) => of_two(5, group, member.as_str()),
            Key::TargetEpoch(group) => of_group(6, group),
            Key::Target(group, member) => of_two(7, group, member.as_str()),
            Key::Current(group, member) => of_two(8, group, member.as_str()),
            Key::Regex(group, regex) => of_two(16, group, regex.as_str()),
            Key::Unknown(version) => Writer::version(*version).done(),
        }
    }
}

fn of_group(version: i16, group: &GroupId) -> Bytes {
    let mut writer = Writer::version(version);
    writer.string(group.as_str());
    writer.done()
}

fn of_two(version: i16, group: &GroupId, second: &str) -> Bytes {
    let mut writer = Writer::version(version);
    writer.string(group.as_str());
    writer.string(second);
    writer.done()
}
