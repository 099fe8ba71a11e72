//! The header of a record batch v2. All numbers are big-endian.
//!
//! ```text
//! at   bytes  field                      covered by the CRC
//!  0   8      base offset                no: the broker assigns it
//!  8   4      batch length               no: counts from byte 12 to the end
//! 12   4      partition leader epoch     no: the broker assigns it
//! 16   1      magic, 2                   no
//! 17   4      CRC32C of bytes 21..end    no
//! 21   2      attributes                 yes
//! 23   4      last offset delta          yes
//! 27   8      base timestamp, ms         yes
//! 35   8      max timestamp, ms          yes
//! 43   8      producer id, or -1         yes
//! 51   2      producer epoch, or -1      yes
//! 53   4      base sequence, or -1       yes
//! 57   4      record count               yes
//! 61          records, packed by the codec that the attributes name
//! ```
//!
//! Attributes: bits 0-2 codec, 3 timestamp type (1: append time), 4 transactional, 5 control, 6 delete horizon.

use heddle_model::{Codec, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampType};

use crate::Malformed;

/// Bytes of a batch before its first record.
pub const HEADER_BYTES: usize = 61;

/// The only version of the format that exists here.
pub(crate) const MAGIC: i8 = 2;
/// What the batch length leaves out: base offset and the length itself.
pub(crate) const LENGTH_EXCLUDES: usize = 12;
/// The smallest batch length: a header without records.
const LENGTH_MIN: i32 = (HEADER_BYTES - LENGTH_EXCLUDES) as i32;

pub(crate) const BASE_OFFSET_AT: usize = 0;
pub(crate) const LENGTH_AT: usize = 8;
pub(crate) const LEADER_EPOCH_AT: usize = 12;
pub(crate) const MAGIC_AT: usize = 16;
pub(crate) const CRC_AT: usize = 17;
/// Where the bytes begin that the CRC covers.
pub(crate) const ATTRIBUTES_AT: usize = 21;
const LAST_OFFSET_DELTA_AT: usize = 23;
const BASE_TIMESTAMP_AT: usize = 27;
pub(crate) const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCER_ID_AT: usize = 43;
const PRODUCER_EPOCH_AT: usize = 51;
const BASE_SEQUENCE_AT: usize = 53;
const COUNT_AT: usize = 57;

pub(crate) const CODEC_BITS: i16 = 7;
pub(crate) const APPEND_TIME_BIT: i16 = 1 << 3;
pub(crate) const TRANSACTIONAL_BIT: i16 = 1 << 4;
pub(crate) const CONTROL_BIT: i16 = 1 << 5;

/// The header's fields as they stand in the batch, unchecked except for what `read` promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub base_offset: Offset,
    /// Bytes after this field: the whole batch less 12.
    pub batch_length: i32,
    /// Kafka's partition leader epoch; clients send -1.
    pub leader_epoch: LeaderEpoch,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    /// The last record's offset less the base offset; survives compaction, which may remove that record.
    pub last_offset_delta: i32,
    /// Milliseconds since 1970.
    pub base_timestamp: i64,
    /// Milliseconds since 1970.
    pub max_timestamp: i64,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: Sequence,
    /// Records in the batch; compaction may leave fewer than the offsets span.
    pub count: i32,
}

impl Header {
    /// Reads the first 61 bytes. Promises magic 2 and a batch length that holds at least the header; everything else
    /// is as found, the rest of the batch need not be there.
    pub fn read(bytes: &[u8]) -> Result<Header, Malformed> {
        let Some(head) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(Malformed::Truncated);
        };
        let header = Header {
            base_offset: Offset(i64_at(head, BASE_OFFSET_AT)),
            batch_length: i32_at(head, LENGTH_AT),
            leader_epoch: LeaderEpoch(i32_at(head, LEADER_EPOCH_AT)),
            magic: head[MAGIC_AT] as i8,
            crc: i32_at(head, CRC_AT) as u32,
            attributes: i16_at(head, ATTRIBUTES_AT),
            last_offset_delta: i32_at(head, LAST_OFFSET_DELTA_AT),
            base_timestamp: i64_at(head, BASE_TIMESTAMP_AT),
            max_timestamp: i64_at(head, MAX_TIMESTAMP_AT),
            producer_id: ProducerId(i64_at(head, PRODUCER_ID_AT)),
            producer_epoch: ProducerEpoch(i16_at(head, PRODUCER_EPOCH_AT)),
            base_sequence: Sequence(i32_at(head, BASE_SEQUENCE_AT)),
            count: i32_at(head, COUNT_AT),
        };
        if header.magic != MAGIC {
            return Err(Malformed::Magic(header.magic));
        }
        if header.batch_length < LENGTH_MIN {
            return Err(Malformed::Length(header.batch_length));
        }
        Ok(header)
    }

    /// The batch's bytes on the wire and on disk, header included.
    pub fn total_bytes(&self) -> usize {
        self.batch_length as usize + LENGTH_EXCLUDES
    }

    /// The last offset that the batch covers.
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(i64::from(self.last_offset_delta)))
    }

    /// The first offset after the batch.
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// How the records are packed; `None` if no codec has the number that stands there.
    pub fn codec(&self) -> Option<Codec> {
        Codec::from_attributes(self.attributes)
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    pub fn timestamp_type(&self) -> TimestampType {
        match self.attributes & APPEND_TIME_BIT {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        }
    }

    /// Whether a producer id stands there: the batch of an idempotent or transactional producer, or a marker.
    pub fn has_producer(&self) -> bool {
        self.producer_id.is_some()
    }

    /// The sequence of the last record, wrapping from 2^31-1 to 0; the base sequence itself if there is none (-1).
    pub fn last_sequence(&self) -> Sequence {
        if self.base_sequence.0 < 0 { self.base_sequence } else { self.base_sequence.plus(self.last_offset_delta) }
    }

    /// A record's timestamp: its own, or the batch's append time. Milliseconds since 1970.
    pub fn timestamp_of(&self, timestamp_delta: i64) -> i64 {
        match self.timestamp_type() {
            TimestampType::CreateTime => self.base_timestamp.wrapping_add(timestamp_delta),
            TimestampType::LogAppendTime => self.max_timestamp,
        }
    }

    /// Puts the header and `records` (packed as the attributes say) together; length and CRC are computed.
    /// `None` if the batch would be longer than its length field can say.
    pub(crate) fn join(&self, records: &[u8]) -> Option<Vec<u8>> {
        let total = HEADER_BYTES + records.len();
        let batch_length = i32::try_from(total - LENGTH_EXCLUDES).ok()?;
        let mut batch = Vec::with_capacity(total);
        batch.extend_from_slice(&self.base_offset.0.to_be_bytes());
        batch.extend_from_slice(&batch_length.to_be_bytes());
        batch.extend_from_slice(&self.leader_epoch.0.to_be_bytes());
        batch.push(MAGIC as u8);
        batch.extend_from_slice(&[0; 4]);
        batch.extend_from_slice(&self.attributes.to_be_bytes());
        batch.extend_from_slice(&self.last_offset_delta.to_be_bytes());
        batch.extend_from_slice(&self.base_timestamp.to_be_bytes());
        batch.extend_from_slice(&self.max_timestamp.to_be_bytes());
        batch.extend_from_slice(&self.producer_id.0.to_be_bytes());
        batch.extend_from_slice(&self.producer_epoch.0.to_be_bytes());
        batch.extend_from_slice(&self.base_sequence.0.to_be_bytes());
        batch.extend_from_slice(&self.count.to_be_bytes());
        batch.extend_from_slice(records);
        let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
        batch[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
        Some(batch)
    }
}

fn i16_at(head: &[u8; HEADER_BYTES], at: usize) -> i16 {
    i16::from_be_bytes([head[at], head[at + 1]])
}

fn i32_at(head: &[u8; HEADER_BYTES], at: usize) -> i32 {
    i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

fn i64_at(head: &[u8; HEADER_BYTES], at: usize) -> i64 {
    i64::from(i32_at(head, at)) << 32 | i64::from(i32_at(head, at + 4) as u32)
}
