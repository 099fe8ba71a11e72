//! The controller's records: the only thing that lasts. Keyed, so that the log can be compacted to the last value of
//! each key; a record without value removes its key. Each value begins with its format version.
//!
//! | key                          | value (format 0)                                                             |
//! |------------------------------|------------------------------------------------------------------------------|
//! | 1 cluster                    | cluster id                                                                   |
//! | 2 counters                   | image version, next replica number, next producer id                         |
//! | 3 broker, node               | host, port, has rack (0, 1), rack                                            |
//! | 4 topic, id                  | name                                                                         |
//! | 5 placements, id, chunk      | count, each: created, replicas: count, each: node, incarnation, number       |
//! | 6 topic configs, id          | count, each: name, value                                                     |
//! | 7 removed, id                | count, each: first replica number, how many                                  |
//! | 8 broker configs             | count, each: name, value                                                     |
//! | 9 group configs, group       | count, each: name, value                                                     |
//! | 10 configs of a broker, node | count, each: name, value                                                     |
//!
//! The first byte of a key is the kind; nodes are 4 and ids 16 bytes, big-endian; the chunk and all numbers of values
//! are LEB128; a text has its length in bytes in front, a group's in a key too. Chunk c holds the partitions from c * CHUNK on.
//!
//! Compaction keeps the order of the records it leaves, but may drop a topic's record, when its removal follows, and
//! still leave records 5 and 6 of that topic for a while: those are skipped, since the removal stands further on.
//! A topic's record is written once; what may change stands in records of their own.

use std::fmt;

use bytes::Bytes;
use heddle_model::{Incarnation, NodeId, ReplicaNumber, TopicId, Voter};

use crate::codec::{Reader, Writer};
use crate::image::{Broker, Placement, Replica};

/// Partitions in one placements record.
pub const CHUNK: usize = 128;

const FORMAT: u8 = 0;

/// One record of the controller's log; `None` as value removes the key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// A record that this version cannot have written, or cannot read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the controller's log holds {}", self.0)
    }
}

impl std::error::Error for Malformed {}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    Cluster,
    Counters,
    Broker(NodeId),
    Topic(TopicId),
    Placements {
        topic: TopicId,
        chunk: u32,
    },
    TopicConfigs(TopicId),
    Removed(TopicId),
    BrokerConfigs,
    GroupConfigs(String),
    /// Of one broker, over those of all.
    OneBrokerConfigs(NodeId),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    Cluster(String),
    Counters(Counters),
    Broker(Broker),
    Topic {
        name: String,
    },
    Placements(Vec<Placement>),
    /// Topics', brokers' and groups' alike, in name order.
    Configs(Vec<(String, String)>),
    /// Half-open.
    Removed(Vec<(u64, u64)>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    pub version: u64,
    pub next_replica: u64,
    pub next_producer: u64,
}

impl Key {
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::default();
        match self {
            Key::Cluster => out.byte(1),
            Key::Counters => out.byte(2),
            Key::Broker(node) => out.byte(3).fixed_i32(node.0),
            Key::Topic(id) => out.byte(4).fixed_u128(id.0),
            Key::Placements { topic, chunk } => out.byte(5).fixed_u128(topic.0).number(u64::from(*chunk)),
            Key::TopicConfigs(id) => out.byte(6).fixed_u128(id.0),
            Key::Removed(id) => out.byte(7).fixed_u128(id.0),
            Key::BrokerConfigs => out.byte(8),
            Key::GroupConfigs(group) => out.byte(9).text(group),
            Key::OneBrokerConfigs(node) => out.byte(10).fixed_i32(node.0),
        };
        out.bytes.into()
    }

    pub fn decode(bytes: &[u8]) -> Result<Key, Malformed> {
        let mut read = Reader::new(bytes);
        let key = match read.byte()? {
            1 => Key::Cluster,
            2 => Key::Counters,
            3 => Key::Broker(NodeId(read.fixed_i32()?)),
            4 => Key::Topic(TopicId(read.fixed_u128()?)),
            5 => Key::Placements { topic: TopicId(read.fixed_u128()?), chunk: read.small()? },
            6 => Key::TopicConfigs(TopicId(read.fixed_u128()?)),
            7 => Key::Removed(TopicId(read.fixed_u128()?)),
            8 => Key::BrokerConfigs,
            9 => Key::GroupConfigs(read.text()?),
            10 => Key::OneBrokerConfigs(NodeId(read.fixed_i32()?)),
            _ => return Err(Malformed("a record of an unknown kind")),
        };
        read.end()?;
        Ok(key)
    }

    /// The record that gives this key its value.
    pub fn set(self, value: &Value) -> Entry {
        Entry { key: self.encode(), value: Some(value.encode()) }
    }

    /// The record that removes this key.
    pub fn remove(self) -> Entry {
        Entry { key: self.encode(), value: None }
    }
}

impl Value {
    fn encode(&self) -> Bytes {
        let mut out = Writer::default();
        out.byte(FORMAT);
        match self {
            Value::Cluster(id) => {
                out.text(id);
            }
            Value::Counters(counters) => {
                out.number(counters.version).number(counters.next_replica).number(counters.next_producer);
            }
            Value::Broker(broker) => {
                out.text(&broker.host).number(u64::from(broker.port)).byte(u8::from(broker.rack.is_some()));
                if let Some(rack) = &broker.rack {
                    out.text(rack);
                }
            }
            Value::Topic { name } => {
                out.text(name);
            }
            Value::Placements(placements) => {
                out.number(placements.len() as u64);
                for placement in placements {
                    encode_placement(placement, &mut out);
                }
            }
            Value::Configs(configs) => {
                out.number(configs.len() as u64);
                for (name, value) in configs {
                    out.text(name).text(value);
                }
            }
            Value::Removed(ranges) => {
                out.number(ranges.len() as u64);
                for &(first, end) in ranges {
                    out.number(first).number(end - first);
                }
            }
        }
        out.bytes.into()
    }

    /// The value of a record with this key.
    pub fn decode(key: &Key, bytes: &[u8]) -> Result<Value, Malformed> {
        let mut read = Reader::new(bytes);
        if read.byte()? != FORMAT {
            return Err(Malformed("a record of a newer format"));
        }
        let value = match key {
            Key::Cluster => Value::Cluster(read.text()?),
            Key::Counters => Value::Counters(Counters {
                version: read.number()?,
                next_replica: read.number()?,
                next_producer: read.number()?,
            }),
            Key::Broker(id) => {
                let (host, port) = (read.text()?, read.small()?);
                let rack = if read.byte()? == 1 { Some(read.text()?) } else { None };
                Value::Broker(Broker { id: *id, rack, host, port })
            }
            Key::Topic(_) => Value::Topic { name: read.text()? },
            Key::Placements { .. } => {
                let count = read.count()?;
                if count > CHUNK {
                    return Err(Malformed("a chunk of too many partitions"));
                }
                Value::Placements((0..count).map(|_| decode_placement(&mut read)).collect::<Result<_, _>>()?)
            }
            Key::TopicConfigs(_) | Key::BrokerConfigs | Key::GroupConfigs(_) | Key::OneBrokerConfigs(_) => {
                let count = read.count()?;
                Value::Configs((0..count).map(|_| Ok((read.text()?, read.text()?))).collect::<Result<_, _>>()?)
            }
            Key::Removed(_) => {
                let count = read.count()?;
                Value::Removed((0..count).map(|_| decode_range(&mut read)).collect::<Result<_, _>>()?)
            }
        };
        read.end()?;
        Ok(value)
    }
}

fn encode_placement(placement: &Placement, out: &mut Writer) {
    out.number(placement.created).number(placement.replicas.len() as u64);
    for replica in &placement.replicas {
        out.fixed_i32(replica.voter.node.0);
        out.number(u64::from(replica.voter.incarnation.0)).number(replica.number.0);
    }
}

fn decode_placement(read: &mut Reader<'_>) -> Result<Placement, Malformed> {
    let created = read.number()?;
    let count = read.count()?;
    let mut replicas = Vec::new();
    for _ in 0..count {
        let node = NodeId(read.fixed_i32()?);
        let voter = Voter { node, incarnation: Incarnation(read.small()?) };
        replicas.push(Replica { voter, number: ReplicaNumber(read.number()?) });
    }
    if replicas.is_empty() {
        return Err(Malformed("a partition without replicas"));
    }
    Ok(Placement { replicas, created })
}

fn decode_range(read: &mut Reader<'_>) -> Result<(u64, u64), Malformed> {
    let first = read.number()?;
    let end = first.checked_add(read.number()?).ok_or(Malformed("a range beyond all numbers"))?;
    Ok((first, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn placement(seed: u64) -> Placement {
        let replica = |at: u64| Replica {
            voter: Voter { node: NodeId(at as i32), incarnation: Incarnation(seed as u32) },
            number: ReplicaNumber(seed * 1000 + at),
        };
        Placement { replicas: (0..=seed % 3).map(replica).collect(), created: seed }
    }

    #[test]
    fn every_kind_of_record_comes_back() {
        let id = TopicId(0x1234_5678_9abc_def0_1234_5678_9abc_def0);
        let broker = Broker { id: NodeId(4), rack: Some("r1".into()), host: "h".into(), port: 9092 };
        let all = [
            (Key::Cluster, Value::Cluster("abc".into())),
            (Key::Counters, Value::Counters(Counters { version: 7, next_replica: u64::MAX, next_producer: 0 })),
            (Key::Broker(NodeId(4)), Value::Broker(broker.clone())),
            (Key::Broker(NodeId(4)), Value::Broker(Broker { rack: None, ..broker })),
            (Key::Topic(id), Value::Topic { name: "t".into() }),
            (Key::Placements { topic: id, chunk: 3 }, Value::Placements((0..128).map(placement).collect())),
            (Key::TopicConfigs(id), Value::Configs(vec![("a".into(), "b".into())])),
            (Key::Removed(id), Value::Removed(vec![(1, 4), (9, 10)])),
            (Key::BrokerConfigs, Value::Configs(Vec::new())),
            (Key::GroupConfigs("g".into()), Value::Configs(vec![("a".into(), "b".into())])),
            (Key::OneBrokerConfigs(NodeId(4)), Value::Configs(vec![("a".into(), "b".into())])),
        ];
        for (key, value) in all {
            let entry = key.clone().set(&value);
            assert_eq!(Key::decode(&entry.key), Ok(key.clone()));
            assert_eq!(Value::decode(&key, &entry.value.expect("a value")), Ok(value));
            assert_eq!(key.remove().value, None);
        }
    }

    #[test]
    fn another_format_or_kind_is_refused() {
        assert!(
            Key::decode(&[0]).is_err()
                && Key::decode(&[11]).is_err()
                && Key::decode(&[10]).is_err()
                && Key::decode(&[9]).is_err()
                && Key::decode(&[]).is_err()
        );
        assert!(Key::decode(&[1, 1]).is_err());
        assert!(Value::decode(&Key::Cluster, &[1, 0]).is_err());
        assert!(Value::decode(&Key::Placements { topic: TopicId(9), chunk: 0 }, &[0, 1, 5, 0]).is_err());
        assert!(Value::decode(&Key::Removed(TopicId(9)), &Value::Removed(vec![(9, 9)]).encode()).is_ok());
    }

    proptest! {
        /// Nothing that stands on a disk reaches a panic.
        #[test]
        fn any_bytes_are_read_or_refused(key: Vec<u8>, kind in 1u8..11, value: Vec<u8>) {
            let _ = Key::decode(&key);
            let key = match kind {
                1 => Key::Cluster,
                2 => Key::Counters,
                3 => Key::Broker(NodeId(1)),
                4 => Key::Topic(TopicId(7)),
                5 => Key::Placements { topic: TopicId(7), chunk: 0 },
                6 => Key::TopicConfigs(TopicId(7)),
                7 => Key::Removed(TopicId(7)),
                8 => Key::BrokerConfigs,
                9 => Key::GroupConfigs(String::new()),
                _ => Key::OneBrokerConfigs(NodeId(1)),
            };
            if let Ok(read) = Value::decode(&key, &value) {
                prop_assert_eq!(Value::decode(&key, &read.encode()), Ok(read));
            }
        }
    }
}
