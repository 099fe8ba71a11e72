//! Is this a batch? Walking whole batches, checking CRC and structure.

use heddle_model::Codec;

use crate::header::ATTRIBUTES_AT;
use crate::{HEADER_BYTES, Header, Malformed, records};

/// Whether the CRC in the header is that of the bytes. Takes exactly one batch; fewer than 61 bytes are never right.
pub fn crc_is_right(batch: &[u8]) -> bool {
    Header::read(batch).is_ok_and(|header| check_crc(&header, batch).is_ok())
}

fn check_crc(header: &Header, batch: &[u8]) -> Result<(), Malformed> {
    let computed = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    if computed != header.crc {
        return Err(Malformed::Crc { stated: header.crc, computed });
    }
    Ok(())
}

/// Walks concatenated whole batches, each with its header and its bytes. Headers are checked as `Header::read` does,
/// CRCs are not. A last batch that is cut short is an error; after an error nothing follows.
pub fn batches(bytes: &[u8]) -> Batches<'_> {
    Batches { bytes }
}

#[derive(Clone, Debug)]
pub struct Batches<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<(Header, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let header = match Header::read(bytes) {
            Ok(header) => header,
            Err(malformed) => return Some(Err(malformed)),
        };
        let Some((batch, rest)) = bytes.split_at_checked(header.total_bytes()) else {
            return Some(Err(Malformed::Truncated));
        };
        self.bytes = rest;
        Some(Ok((header, batch)))
    }
}

/// Checks a batch as a client may send it: exactly one whole batch of magic 2, a right CRC, a known codec, at least one
/// record, offset deltas 0 to count-1. Records that are not packed are walked; packed ones need `inspect`.
pub fn validate_shape(batch: &[u8]) -> Result<Header, Malformed> {
    let header = validate_header(batch)?;
    if header.codec() == Some(Codec::None) {
        check_records(&batch[HEADER_BYTES..], header.count)?;
    }
    Ok(header)
}

/// The same without a look at the records, packed or not: all of them need `inspect`.
pub fn validate_header(batch: &[u8]) -> Result<Header, Malformed> {
    let header = Header::read(batch)?;
    match batch.len().cmp(&header.total_bytes()) {
        std::cmp::Ordering::Less => return Err(Malformed::Truncated),
        std::cmp::Ordering::Greater => return Err(Malformed::Trailing),
        std::cmp::Ordering::Equal => {}
    }
    check_crc(&header, batch)?;
    let (count, last_offset_delta) = (header.count, header.last_offset_delta);
    if count < 1 || last_offset_delta != count - 1 {
        return Err(Malformed::Count { count, last_offset_delta });
    }
    match header.codec() {
        None => Err(Malformed::Codec(header.attributes & crate::header::CODEC_BITS)),
        Some(_) => Ok(header),
    }
}

/// Walks unpacked records: bounds, and offset deltas that run from 0.
fn check_records(payload: &[u8], count: i32) -> Result<(), Malformed> {
    for (record, expected) in records(payload, count).zip(0..) {
        let found = record?.offset_delta;
        if found != expected {
            return Err(Malformed::OffsetDelta { expected, found });
        }
    }
    Ok(())
}
