//! The opaque bytes a replica keeps in the journal beside its numbers: which partition it belongs to, and its group's
//! membership. Format, big endian: `version u8 = 1 | topic id u128 | index i32 | membership` (the last as raft writes it).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use heddle_model::{PartitionId, PartitionIndex, TopicId};
use heddle_raft::Config;

const VERSION: u8 = 1;

pub(crate) fn write(partition: PartitionId, config: &Config) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    out.put_u8(VERSION);
    out.put_u128(partition.topic.0);
    out.put_i32(partition.index.0);
    let mut membership = Vec::new();
    config.encode(&mut membership);
    out.put_slice(&membership);
    out.freeze()
}

/// `None`: not what this room wrote.
pub fn read(mut bytes: Bytes) -> Option<(PartitionId, Config)> {
    if bytes.remaining() < 21 || bytes.get_u8() != VERSION {
        return None;
    }
    let partition = PartitionId { topic: TopicId(bytes.get_u128()), index: PartitionIndex(bytes.get_i32()) };
    Some((partition, Config::decode(&bytes).ok()?))
}
