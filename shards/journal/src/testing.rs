//! What several tests of this room need.

use bytes::Bytes;
use heddle_model::{Offset, TailBatch, Term};

use crate::format::UNSUMMED_BYTES;

/// A batch of `records` offsets from `base`, `len` bytes long, with a valid CRC; `fill` tells equal sizes apart.
pub(crate) fn batch(term: Term, base: i64, records: i64, len: usize, fill: u8) -> TailBatch {
    assert!(len >= 61, "a batch has a header of 61 bytes");
    let mut bytes = vec![fill; len];
    bytes[0..8].copy_from_slice(&base.to_be_bytes());
    bytes[8..12].copy_from_slice(&u32::try_from(len - 12).unwrap().to_be_bytes());
    bytes[12..16].copy_from_slice(&term.0.to_be_bytes());
    bytes[16] = 2;
    let crc = crc32c::crc32c(&bytes[UNSUMMED_BYTES..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    TailBatch { term, base: Offset(base), next: Offset(base + records), bytes: Bytes::from(bytes) }
}
