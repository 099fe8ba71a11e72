//! The consumer's own messages inside JoinGroup and SyncGroup. The coordinator reads them where it has to know what
//! classic members subscribe to and own: when groups change their protocol, and to see which topics are in use.

use bytes::Bytes;
use heddle_model::PartitionIndex;

use crate::{Malformed, Text, TopicName};

use super::{Reader, Writer};

type NamedPartitions = Vec<(TopicName, Vec<PartitionIndex>)>;

/// ConsumerProtocolSubscription, versions 0 to 3; of later versions what these know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscription {
    pub version: i16,
    pub topics: Vec<TopicName>,
    /// Empty in version 0: such members give all up before they join.
    pub owned: NamedPartitions,
    pub rack: Option<Text>,
}

impl Subscription {
    pub fn decode(metadata: Bytes) -> Result<Subscription, Malformed> {
        let mut reader = Reader::new(metadata);
        let version = reader.i16()?;
        if version < 0 {
            return Err(Malformed("version of a subscription"));
        }
        let topics = topics(&mut reader)?;
        let mut subscription = Subscription { version, topics, owned: Vec::new(), rack: None };
        if version >= 1 {
            reader.nullable_bytes()?;
            subscription.owned = partitions(&mut reader)?;
        }
        if version >= 2 {
            reader.i32()?;
        }
        if version >= 3 {
            subscription.rack = reader.nullable_string()?.map(Text::from);
        }
        Ok(subscription)
    }
}

/// The topics of a subscription. They stand first in every version, so nothing else needs to be understood.
pub fn subscribed_topics(metadata: Bytes) -> Option<Vec<TopicName>> {
    let mut reader = Reader::new(metadata);
    reader.i16().ok().filter(|version| *version >= 0)?;
    topics(&mut reader).ok()
}

/// ConsumerProtocolAssignment. Nothing at all is the assignment of a member that has none.
pub fn decode_assignment(assignment: Bytes) -> Result<NamedPartitions, Malformed> {
    if assignment.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(assignment);
    if reader.i16()? < 0 {
        return Err(Malformed("version of an assignment"));
    }
    partitions(&mut reader)
}

/// In the version that the member speaks; all versions so far look the same.
pub fn encode_assignment(version: i16, partitions: &[(TopicName, Vec<PartitionIndex>)]) -> Bytes {
    let mut writer = Writer::version(version.clamp(0, 3));
    writer.count(partitions.len());
    for (topic, indexes) in partitions {
        writer.string(topic.as_str());
        writer.count(indexes.len());
        indexes.iter().for_each(|index| writer.i32(index.0));
    }
    // No user data.
    writer.i32(-1);
    writer.done()
}

fn topics(reader: &mut Reader) -> Result<Vec<TopicName>, Malformed> {
    let count = reader.count(2)?;
    let mut topics = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        topics.push(TopicName::from(reader.string()?));
    }
    Ok(topics)
}

fn partitions(reader: &mut Reader) -> Result<NamedPartitions, Malformed> {
    let count = reader.count(6)?;
    let mut topics = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        let topic = TopicName::from(reader.string()?);
        let indexes = reader.count(4)?;
        let mut partitions = Vec::with_capacity(indexes);
        for _ in 0..indexes {
            partitions.push(PartitionIndex(reader.i32()?));
        }
        topics.push((topic, partitions));
    }
    Ok(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_of_every_version() {
        for version in 0..=4 {
            let mut writer = Writer::version(version);
            writer.count(1);
            writer.string("t");
            writer.i32(-1);
            if version >= 1 {
                writer.count(1);
                writer.string("u");
                writer.count(1);
                writer.i32(3);
            }
            if version >= 2 {
                writer.i32(7);
            }
            if version >= 3 {
                writer.nullable_string(Some("rack"));
            }
            let read = Subscription::decode(writer.done()).expect("well-formed");
            assert_eq!(read.topics, ["t".into()]);
            assert_eq!(read.owned.len(), usize::from(version >= 1));
            assert_eq!(read.rack.is_some(), version >= 3);
        }
        assert!(Subscription::decode(Bytes::from_static(b"meta")).is_err());
    }

    #[test]
    fn assignments_round_trip() {
        let partitions = vec![(TopicName::new("t"), vec![PartitionIndex(1), PartitionIndex(5)])];
        assert_eq!(decode_assignment(encode_assignment(1, &partitions)), Ok(partitions));
        assert_eq!(decode_assignment(Bytes::new()), Ok(Vec::new()));
        assert!(decode_assignment(Bytes::from_static(b"A")).is_err());
    }
}
