//! The values of KIP-848 groups. All are version 0 and flexible.

use bytes::Bytes;
use heddle_model::{PartitionIndex, TopicId};

use crate::{InstanceId, Malformed, Protocol, Text, TopicName, TopicPartitions};

use super::{Reader, Writer};

/// ConsumerGroupMetadataValue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochValue {
    pub epoch: i32,
    /// Of the subscribed topics, to see when they change.
    pub metadata_hash: i64,
}

/// ConsumerGroupMemberMetadataValue.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemberValue {
    pub instance: Option<InstanceId>,
    pub rack: Option<Text>,
    pub client_id: Text,
    pub client_host: Text,
    /// Ascending, each once.
    pub subscribed: Vec<TopicName>,
    pub regex: Option<Text>,
    pub rebalance_timeout_ms: i32,
    pub assignor: Option<Text>,
    /// Set if the member speaks the classic protocol (a group under migration).
    pub classic: Option<ClassicValue>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassicValue {
    pub session_timeout_ms: i32,
    pub protocols: Vec<Protocol>,
}

/// ConsumerGroupCurrentMemberAssignmentValue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CurrentValue {
    pub epoch: i32,
    pub previous_epoch: i32,
    pub state: i8,
    pub assigned: Vec<TopicPartitions>,
    pub revoking: Vec<TopicPartitions>,
}

/// ConsumerGroupRegularExpressionValue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegexValue {
    pub topics: Vec<TopicName>,
    pub version: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

fn begin(value: Bytes) -> Result<Reader, Malformed> {
    let mut reader = Reader::new(value);
    reader.version(0, 0)?;
    Ok(reader)
}

impl EpochValue {
    pub fn decode(value: Bytes) -> Result<EpochValue, Malformed> {
        let mut reader = begin(value)?;
        let epoch = reader.i32()?;
        let mut metadata_hash = 0;
        reader.tagged(|tag, mut field| {
            if tag == 0 {
                metadata_hash = field.i64()?;
            }
            Ok(())
        })?;
        Ok(EpochValue { epoch, metadata_hash })
    }

    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::version(0);
        writer.i32(self.epoch);
        if self.metadata_hash == 0 {
            writer.no_tagged();
        } else {
            let mut field = Writer::default();
            field.i64(self.metadata_hash);
            writer.one_tagged(0, field);
        }
        writer.done()
    }
}

impl MemberValue {
    pub fn decode(value: Bytes) -> Result<MemberValue, Malformed> {
        let mut reader = begin(value)?;
        let instance = reader.nullable_string()?.map(InstanceId::from);
        let rack = reader.nullable_string()?.map(Text::from);
        let client_id = reader.string()?.into();
        let client_host = reader.string()?.into();
        let subscribed = topics(&mut reader)?;
        let regex = reader.nullable_string()?.map(Text::from);
        let rebalance_timeout_ms = reader.i32()?;
        let assignor = reader.nullable_string()?.map(Text::from);
        let mut classic = None;
        reader.tagged(|tag, field| {
            if tag == 0 {
                classic = ClassicValue::decode(field)?;
            }
            Ok(())
        })?;
        Ok(MemberValue {
            instance,
            rack,
            client_id,
            client_host,
            subscribed,
            regex,
            rebalance_timeout_ms,
            assignor,
            classic,
        })
    }

    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::version(0);
        writer.compact_nullable_string(self.instance.as_ref().map(InstanceId::as_str));
        writer.compact_nullable_string(self.rack.as_ref().map(Text::as_str));
        writer.compact_string(self.client_id.as_str());
        writer.compact_string(self.client_host.as_str());
        put_topics(&mut writer, &self.subscribed);
        writer.compact_nullable_string(self.regex.as_ref().map(Text::as_str));
        writer.i32(self.rebalance_timeout_ms);
        writer.compact_nullable_string(self.assignor.as_ref().map(Text::as_str));
        match &self.classic {
            Some(classic) => writer.one_tagged(0, classic.encode()),
            None => writer.no_tagged(),
        }
        writer.done()
    }
}

impl ClassicValue {
    /// A nullable structure begins with a byte: -1 is null.
    fn decode(mut reader: Reader) -> Result<Option<ClassicValue>, Malformed> {
        if reader.i8()? < 0 {
            return Ok(None);
        }
        let session_timeout_ms = reader.i32()?;
        let count = reader.count(3)?;
        let mut protocols = Vec::with_capacity(count);
        for _ in 0..count {
            let name = reader.string()?.into();
            protocols.push(Protocol { name, metadata: reader.bytes()? });
            reader.skip_tagged()?;
        }
        reader.skip_tagged()?;
        Ok(Some(ClassicValue { session_timeout_ms, protocols }))
    }

    fn encode(&self) -> Writer {
        let mut writer = Writer::default();
        writer.i8(1);
        writer.i32(self.session_timeout_ms);
        writer.compact_count(self.protocols.len());
        for protocol in &self.protocols {
            writer.compact_string(protocol.name.as_str());
            writer.compact_bytes(&protocol.metadata);
            writer.no_tagged();
        }
        writer.no_tagged();
        writer
    }
}

impl CurrentValue {
    pub fn decode(value: Bytes) -> Result<CurrentValue, Malformed> {
        let mut reader = begin(value)?;
        let value = CurrentValue {
            epoch: reader.i32()?,
            previous_epoch: reader.i32()?,
            state: reader.i8()?,
            assigned: partitions(&mut reader)?,
            revoking: partitions(&mut reader)?,
        };
        reader.skip_tagged()?;
        Ok(value)
    }

    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::version(0);
        writer.i32(self.epoch);
        writer.i32(self.previous_epoch);
        writer.i8(self.state);
        put_partitions(&mut writer, &self.assigned);
        put_partitions(&mut writer, &self.revoking);
        writer.no_tagged();
        writer.done()
    }
}

impl RegexValue {
    pub fn decode(value: Bytes) -> Result<RegexValue, Malformed> {
        let mut reader = begin(value)?;
        let value = RegexValue { topics: topics(&mut reader)?, version: reader.i64()?, timestamp: reader.i64()? };
        reader.skip_tagged()?;
        Ok(value)
    }

    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::version(0);
        put_topics(&mut writer, &self.topics);
        writer.i64(self.version);
        writer.i64(self.timestamp);
        writer.no_tagged();
        writer.done()
    }
}

/// ConsumerGroupTargetAssignmentMetadataValue: the epoch of the target assignment.
pub fn decode_target_epoch(value: Bytes) -> Result<i32, Malformed> {
    let mut reader = begin(value)?;
    let epoch = reader.i32()?;
    reader.skip_tagged()?;
    Ok(epoch)
}

pub fn encode_target_epoch(epoch: i32) -> Bytes {
    let mut writer = Writer::version(0);
    writer.i32(epoch);
    writer.no_tagged();
    writer.done()
}

/// ConsumerGroupTargetAssignmentMemberValue: what a member is to have.
pub fn decode_target(value: Bytes) -> Result<Vec<TopicPartitions>, Malformed> {
    let mut reader = begin(value)?;
    let target = partitions(&mut reader)?;
    reader.skip_tagged()?;
    Ok(target)
}

pub fn encode_target(target: &[TopicPartitions]) -> Bytes {
    let mut writer = Writer::version(0);
    put_partitions(&mut writer, target);
    writer.no_tagged();
    writer.done()
}

fn topics(reader: &mut Reader) -> Result<Vec<TopicName>, Malformed> {
    let count = reader.count(1)?;
    let mut topics = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        topics.push(TopicName::from(reader.string()?));
    }
    Ok(topics)
}

fn put_topics(writer: &mut Writer, topics: &[TopicName]) {
    writer.compact_count(topics.len());
    topics.iter().for_each(|topic| writer.compact_string(topic.as_str()));
}

fn partitions(reader: &mut Reader) -> Result<Vec<TopicPartitions>, Malformed> {
    let count = reader.count(18)?;
    let mut topics = Vec::with_capacity(count);
    for _ in 0..count {
        let topic = TopicId(reader.uuid()?);
        let indexes = reader.count(4)?;
        let mut partitions = Vec::with_capacity(indexes);
        for _ in 0..indexes {
            partitions.push(PartitionIndex(reader.i32()?));
        }
        reader.skip_tagged()?;
        topics.push(TopicPartitions { topic, partitions });
    }
    Ok(topics)
}

fn put_partitions(writer: &mut Writer, topics: &[TopicPartitions]) {
    writer.compact_count(topics.len());
    for item in topics {
        writer.uuid(item.topic.0);
        writer.compact_count(item.partitions.len());
        item.partitions.iter().for_each(|index| writer.i32(index.0));
        writer.no_tagged();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip() {
        let epoch = EpochValue { epoch: 7, metadata_hash: -9 };
        assert_eq!(EpochValue::decode(epoch.encode()), Ok(epoch));
        let list = vec![TopicPartitions { topic: TopicId(5), partitions: vec![PartitionIndex(0), PartitionIndex(3)] }];
        assert_eq!(decode_target(encode_target(&list)), Ok(list.clone()));
        let current = CurrentValue { epoch: 3, previous_epoch: 2, state: 1, assigned: list, revoking: Vec::new() };
        assert_eq!(CurrentValue::decode(current.encode()), Ok(current));
        let member = MemberValue {
            instance: Some("i".into()),
            rack: None,
            client_id: "c".into(),
            client_host: "/h".into(),
            subscribed: vec!["t".into()],
            regex: Some("x.*".into()),
            rebalance_timeout_ms: 1,
            assignor: Some("range".into()),
            classic: Some(ClassicValue {
                session_timeout_ms: 9,
                protocols: vec![Protocol { name: "p".into(), metadata: Bytes::from_static(b"m") }],
            }),
        };
        assert_eq!(MemberValue::decode(member.encode()), Ok(member));
        let regex = RegexValue { topics: vec!["t".into()], version: 3, timestamp: 4 };
        assert_eq!(RegexValue::decode(regex.encode()), Ok(regex));
    }

    #[test]
    fn a_topic_list_that_claims_too_much_is_refused() {
        assert!(decode_target(Bytes::from_static(&[0, 0, 0xff, 0xff, 0xff, 0x7f, 0])).is_err());
    }
}
