//! What can be wrong with bytes that claim to be a record batch.

use std::fmt;

use heddle_model::Codec;

/// Why bytes are not a record batch v2, or not one that a client may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// The bytes end before the batch, the record or the number does.
    Truncated,
    /// Bytes follow where the batch or its last record should have ended.
    Trailing,
    /// Not version 2.
    Magic(i8),
    /// A batch length that is smaller than a header.
    Length(i32),
    Crc {
        stated: u32,
        computed: u32,
    },
    /// No codec has this number.
    Codec(i16),
    /// The record count and the last offset delta contradict each other, or there is no record.
    Count {
        count: i32,
        last_offset_delta: i32,
    },
    /// A variable-length number of more than 5 or 10 bytes, or beyond its type.
    Varint,
    /// A record whose inner lengths do not add up to its own.
    Record,
    /// Offset deltas that do not run 0, 1, 2, …
    OffsetDelta {
        expected: i32,
        found: i32,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Truncated => write!(f, "the record batch is cut short"),
            Malformed::Trailing => write!(f, "bytes follow the end of the record batch"),
            Malformed::Magic(magic) => write!(f, "record batch magic {magic}, expected 2"),
            Malformed::Length(length) => write!(f, "record batch length {length} is smaller than its header"),
            Malformed::Crc { stated, computed } => {
                write!(f, "record batch is corrupt (stored crc = {stated}, computed crc = {computed})")
            }
            Malformed::Codec(number) => write!(f, "unknown compression codec {number}"),
            Malformed::Count { count, last_offset_delta } => {
                write!(f, "record count {count} does not fit last offset delta {last_offset_delta}")
            }
            Malformed::Varint => write!(f, "a variable-length number is too long"),
            Malformed::Record => write!(f, "a record's inner lengths do not fit its own"),
            Malformed::OffsetDelta { expected, found } => {
                write!(f, "record with offset delta {found}, expected {expected}")
            }
        }
    }
}

impl std::error::Error for Malformed {}

/// Why the records of a batch could not be had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PayloadError {
    Malformed(Malformed),
    /// The codec refused its input.
    Corrupt(Codec, String),
    /// Unpacked, the records exceed the caller's limit. Bytes.
    TooLarge {
        limit: usize,
    },
}

impl From<Malformed> for PayloadError {
    fn from(malformed: Malformed) -> PayloadError {
        PayloadError::Malformed(malformed)
    }
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PayloadError::Malformed(malformed) => malformed.fmt(f),
            PayloadError::Corrupt(codec, why) => write!(f, "{codec:?} data is corrupt: {why}"),
            PayloadError::TooLarge { limit } => write!(f, "the unpacked records exceed {limit} bytes"),
        }
    }
}

impl std::error::Error for PayloadError {}
