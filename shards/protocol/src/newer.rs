//! Versions of requests that are newer than the crate's decoder, which stops one version short of them: OffsetCommit 10
//! and OffsetFetch 10, where a topic is given by its id instead of its name (KIP-848); ListOffsets 11, which adds a special
//! time and is written as 10 is (KIP-1023); DescribeLogDirs 5, whose answer has a field more (KIP-1066).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{
    DescribeLogDirsResponse, GroupId, OffsetCommitRequest, OffsetFetchRequest, RequestKind,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use uuid::Uuid;

use crate::decode::DecodeError;
use crate::encode::EncodeError;
use crate::frame::varint;
use crate::shapes::{Field, Shape, Wire};

const LIST_OFFSETS: i16 = 2;
const OFFSET_COMMIT: i16 = 8;
const OFFSET_FETCH: i16 = 9;
const DESCRIBE_LOG_DIRS: i16 = 35;

/// Requests of these versions are written as those of the version before.
const ALIKE: &[(i16, i16)] = &[(LIST_OFFSETS, 11), (DESCRIBE_LOG_DIRS, 5)];

type Read<T> = Result<T, DecodeError>;

/// A version that is read here.
pub(crate) struct Newer {
    pub key: i16,
    pub version: i16,
    pub shape: &'static Shape,
    /// Reads a body that was walked by `shape`.
    pub read: fn(&mut Bytes) -> Read<RequestKind>,
}

pub(crate) static NEWER: &[Newer] = &[
    Newer { key: OFFSET_COMMIT, version: 10, shape: &COMMIT, read: commit },
    Newer { key: OFFSET_FETCH, version: 10, shape: &FETCH, read: fetch },
];

pub(crate) fn find(key: i16, version: i16) -> Option<&'static Newer> {
    NEWER.iter().find(|newer| (newer.key, newer.version) == (key, version))
}

/// The newest version of a request, if the decoder does not know it.
pub(crate) fn newest(key: i16) -> Option<i16> {
    let read_here = NEWER.iter().map(|newer| (newer.key, newer.version));
    read_here.chain(ALIKE.iter().copied()).find(|newer| newer.0 == key).map(|newer| newer.1)
}

/// The version by which the crate's types write requests of this one, and answers but to DescribeLogDirs.
pub fn written_as(key: i16, version: i16) -> i16 {
    if ALIKE.contains(&(key, version)) { version - 1 } else { version }
}

/// An answer to DescribeLogDirs 5 with its size prefix and header. Each result also says that its directory is not
/// cordoned: none can be.
pub fn encode_log_dirs(correlation_id: i32, response: &DescribeLogDirsResponse) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::new();
    out.put_i32(0);
    out.put_i32(correlation_id);
    out.put_u8(0);
    out.put_i32(response.throttle_time_ms);
    out.put_i16(response.error_code);
    put_varint(&mut out, response.results.len() + 1);
    for result in &response.results {
        result.encode(&mut out, 4).map_err(|error| EncodeError(error.to_string()))?;
        // The field stands before the tagged fields, of which there are none.
        out.truncate(out.len() - 1);
        out.put_slice(&[0, 0]);
    }
    out.put_u8(0);
    let size = i32::try_from(out.len() - 4).map_err(|error| EncodeError(error.to_string()))?;
    out[..4].copy_from_slice(&size.to_be_bytes());
    Ok(out.freeze())
}

fn put_varint(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// A field that stands where it stands in this version and the newer ones.
const fn field(wire: Wire) -> Field {
    Field { from: 10, to: i16::MAX, wire }
}

const fn shape(fields: &'static [Field]) -> Shape {
    Shape { fields, flexible_from: 10, tags: &[] }
}

static COMMIT: Shape = shape(&[
    field(Wire::CompactText),
    field(Wire::Fixed(4)),
    field(Wire::CompactText),
    field(Wire::CompactText),
    field(Wire::CompactArray(&Wire::Struct(&COMMIT_TOPIC))),
]);
static COMMIT_TOPIC: Shape =
    shape(&[field(Wire::Fixed(16)), field(Wire::CompactArray(&Wire::Struct(&COMMIT_PARTITION)))]);
static COMMIT_PARTITION: Shape =
    shape(&[field(Wire::Fixed(4)), field(Wire::Fixed(8)), field(Wire::Fixed(4)), field(Wire::CompactText)]);

static FETCH: Shape = shape(&[field(Wire::CompactArray(&Wire::Struct(&FETCH_GROUP))), field(Wire::Fixed(1))]);
static FETCH_GROUP: Shape = shape(&[
    field(Wire::CompactText),
    field(Wire::CompactText),
    field(Wire::Fixed(4)),
    field(Wire::CompactArray(&Wire::Struct(&FETCH_TOPIC))),
]);
static FETCH_TOPIC: Shape = shape(&[field(Wire::Fixed(16)), field(Wire::CompactArray(&Wire::Fixed(4)))]);

fn commit(body: &mut Bytes) -> Read<RequestKind> {
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(given(text(body)?)?))
        .with_generation_id_or_member_epoch(int(body)?)
        .with_member_id(given(text(body)?)?)
        .with_group_instance_id(text(body)?)
        .with_topics(given(array(body, commit_topic)?)?);
    skip_tagged_fields(body)?;
    Ok(RequestKind::OffsetCommit(request))
}

fn commit_topic(body: &mut Bytes) -> Read<OffsetCommitRequestTopic> {
    let topic = OffsetCommitRequestTopic::default()
        .with_topic_id(id(body)?)
        .with_partitions(given(array(body, commit_partition)?)?);
    skip_tagged_fields(body)?;
    Ok(topic)
}

/// It is what it was.
fn commit_partition(body: &mut Bytes) -> Read<OffsetCommitRequestPartition> {
    OffsetCommitRequestPartition::decode(body, 9).map_err(|error| DecodeError::Malformed(error.to_string()))
}

fn fetch(body: &mut Bytes) -> Read<RequestKind> {
    let groups = given(array(body, fetch_group)?)?;
    let require_stable = body.try_get_u8().map_err(|_| DecodeError::Overrun)? != 0;
    skip_tagged_fields(body)?;
    Ok(RequestKind::OffsetFetch(OffsetFetchRequest::default().with_groups(groups).with_require_stable(require_stable)))
}

fn fetch_group(body: &mut Bytes) -> Read<OffsetFetchRequestGroup> {
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(given(text(body)?)?))
        .with_member_id(text(body)?)
        .with_member_epoch(int(body)?)
        .with_topics(array(body, fetch_topic)?);
    skip_tagged_fields(body)?;
    Ok(group)
}

fn fetch_topic(body: &mut Bytes) -> Read<OffsetFetchRequestTopics> {
    let topic =
        OffsetFetchRequestTopics::default().with_topic_id(id(body)?).with_partition_indexes(given(array(body, int)?)?);
    skip_tagged_fields(body)?;
    Ok(topic)
}

fn int(body: &mut Bytes) -> Read<i32> {
    body.try_get_i32().map_err(|_| DecodeError::Overrun)
}

fn id(body: &mut Bytes) -> Read<Uuid> {
    body.try_get_u128().map(Uuid::from_u128).map_err(|_| DecodeError::Overrun)
}

fn length(body: &mut Bytes) -> Read<Option<usize>> {
    let length = varint(body).map_err(|_| DecodeError::Overrun)?;
    Ok((length as usize).checked_sub(1))
}

fn take(body: &mut Bytes, bytes: usize) -> Read<Bytes> {
    if bytes > body.len() { Err(DecodeError::Overrun) } else { Ok(body.split_to(bytes)) }
}

/// A compact string. `None`: null.
fn text(body: &mut Bytes) -> Read<Option<StrBytes>> {
    let Some(length) = length(body)? else { return Ok(None) };
    let text = StrBytes::from_utf8(take(body, length)?);
    text.map(Some).map_err(|error| DecodeError::Malformed(error.to_string()))
}

/// A compact array. `None`: null.
fn array<T>(body: &mut Bytes, read: fn(&mut Bytes) -> Read<T>) -> Read<Option<Vec<T>>> {
    let Some(count) = length(body)? else { return Ok(None) };
    (0..count).map(|_| read(body)).collect::<Read<Vec<T>>>().map(Some)
}

fn given<T>(value: Option<T>) -> Read<T> {
    value.ok_or_else(|| DecodeError::Malformed("null where a value is needed".into()))
}

fn skip_tagged_fields(body: &mut Bytes) -> Read<()> {
    let number = |body: &mut Bytes| varint(body).map_err(|_| DecodeError::Overrun);
    for _ in 0..number(body)? {
        let _tag = number(body)?;
        let bytes = number(body)?;
        take(body, bytes as usize)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_log_dirs_response::{
        DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
    };

    use super::*;
    use crate::{decode_request, text};

    fn bytes(hex: &str) -> Bytes {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    }

    fn some_id() -> Uuid {
        Uuid::from_bytes(std::array::from_fn(|at| at as u8 + 1))
    }

    /// Written by Apache Kafka 4.3.1's own client.
    #[test]
    fn a_commit_by_topic_id() {
        let body = "026700000003026d0269020102030405060708090a0b0c0d0e0f1003000000010000000000000005000000020\
                    56e6f746500000000070000000000000006ffffffff00000000";
        let Ok(RequestKind::OffsetCommit(commit)) = decode_request(OFFSET_COMMIT, 10, bytes(body)) else {
            panic!("a commit")
        };
        assert_eq!((commit.group_id, commit.generation_id_or_member_epoch), (GroupId(text("g")), 3));
        assert_eq!((commit.member_id, commit.group_instance_id), (text("m"), Some(text("i"))));
        assert_eq!((commit.retention_time_ms, commit.topics.len()), (-1, 1));
        let topic = &commit.topics[0];
        assert_eq!((topic.topic_id, topic.name.as_str()), (some_id(), ""));
        let partitions = topic.partitions.iter().map(|partition| {
            let epoch = partition.committed_leader_epoch;
            (partition.partition_index, partition.committed_offset, epoch, partition.committed_metadata.clone())
        });
        assert_eq!(partitions.collect::<Vec<_>>(), [(1, 5, 2, Some(text("note"))), (7, 6, -1, None)]);
    }

    /// The same.
    #[test]
    fn a_fetch_by_topic_id() {
        let body = "030267026d00000002020102030405060708090a0b0c0d0e0f100300000001000000070000026800ffffffff00000100";
        let Ok(RequestKind::OffsetFetch(fetch)) = decode_request(OFFSET_FETCH, 10, bytes(body)) else {
            panic!("a fetch")
        };
        assert!(fetch.require_stable);
        let [one, other] = fetch.groups.as_slice() else { panic!("two groups") };
        assert_eq!((one.group_id.as_str(), one.member_id.clone(), one.member_epoch), ("g", Some(text("m")), 2));
        let topics = one.topics.as_ref().expect("a list");
        assert_eq!(topics.len(), 1);
        assert_eq!((topics[0].topic_id, topics[0].partition_indexes.as_slice()), (some_id(), &[1, 7][..]));
        assert_eq!((other.group_id.as_str(), other.member_id.clone(), other.member_epoch), ("h", None, -1));
        assert_eq!(other.topics, None, "all");
    }

    /// Written by Apache Kafka 4.3.1.
    #[test]
    fn log_dirs_that_are_not_cordoned() {
        let partition = DescribeLogDirsPartition::default().with_partition_index(1).with_partition_size(7);
        let topic = DescribeLogDirsTopic::default().with_name(text("t").into()).with_partitions(vec![partition]);
        let one = DescribeLogDirsResult::default().with_log_dir(text("/d")).with_topics(vec![topic]);
        let other = DescribeLogDirsResult::default().with_log_dir(text("e")).with_error_code(57);
        let results = vec![one.with_total_bytes(9).with_usable_bytes(3), other];
        let frame = encode_log_dirs(0x01020304, &DescribeLogDirsResponse::default().with_results(results));
        let body = "000000000000030000032f6402027402000000010000000000000007000000000000000000000000000000000000\
                    09000000000000000300000039026501ffffffffffffffffffffffffffffffff000000";
        assert_eq!(frame.expect("fits"), bytes(&format!("{:08x}0102030400{body}", 5 + body.len() / 2)));
    }

    #[test]
    fn each_is_the_next_version_after_the_decoders() {
        for (key, _, max, _) in crate::shapes_table::REQUESTS {
            assert!(newest(*key).is_none_or(|newest| newest == max + 1), "{key}: the decoder caught up");
        }
    }
}
