//! A batch's records, unpacked or packed anew, and looked through for timestamps. CPU cost is bounded by the caller's
//! limit on unpacked bytes, but that may be much for one turn: packed batches belong off the turn (trap 41).

use std::ops::ControlFlow;

use bytes::Bytes;
use heddle_model::{Codec, Offset, TimestampType};

use crate::header::CODEC_BITS;
use crate::validate::check_records;
use crate::{HEADER_BYTES, Header, Malformed, PayloadError, compress, decompress, records};

/// The header of exactly one whole batch, and its records as they stand there.
fn split(batch: &Bytes) -> Result<(Header, Bytes), PayloadError> {
    let header = Header::read(batch)?;
    match batch.len().cmp(&header.total_bytes()) {
        std::cmp::Ordering::Less => Err(Malformed::Truncated.into()),
        std::cmp::Ordering::Greater => Err(Malformed::Trailing.into()),
        std::cmp::Ordering::Equal => Ok((header, batch.slice(HEADER_BYTES..))),
    }
}

pub(crate) fn codec_of(header: &Header) -> Result<Codec, Malformed> {
    header.codec().ok_or(Malformed::Codec(header.attributes & CODEC_BITS))
}

pub(crate) fn unpack(batch: &Bytes, limit: usize) -> Result<(Header, Bytes), PayloadError> {
    let (header, packed) = split(batch)?;
    match codec_of(&header)? {
        Codec::None => Ok((header, packed)),
        // Compaction may leave a header alone, and no codec packs nothing into nothing.
        _ if header.count == 0 && packed.is_empty() => Ok((header, packed)),
        codec => Ok((header, Bytes::from(decompress(&packed, codec, limit)?))),
    }
}

/// The records of exactly one batch, ready for `records`: a slice of the batch, or unpacked into at most `limit` bytes.
/// The CRC is not checked.
pub fn payload(batch: &Bytes, limit: usize) -> Result<Bytes, PayloadError> {
    unpack(batch, limit).map(|(_, records)| records)
}

/// What `validate_shape` leaves out of a packed batch: unpacks and walks the records, offset deltas 0, 1, 2, …
pub fn validate_payload(batch: &Bytes, limit: usize) -> Result<(), PayloadError> {
    let (header, records) = unpack(batch, limit)?;
    Ok(check_records(&records, header.count)?)
}

/// The same records under another codec. The header is kept but for codec, length and CRC. `level` as in `compress`,
/// `limit` bounds the unpacked bytes. The records are not walked.
pub fn recode(batch: &Bytes, codec: Codec, level: i32, limit: usize) -> Result<Bytes, PayloadError> {
    let (mut header, records) = unpack(batch, limit)?;
    if codec_of(&header)? == codec {
        return Ok(batch.clone());
    }
    header.attributes = header.attributes & !CODEC_BITS | codec as i16;
    let recoded = header.join(&compress(&records, codec, level));
    recoded.map(Bytes::from).ok_or(PayloadError::TooLarge { limit })
}

/// The first record whose timestamp is at least `at_or_after`: its offset and timestamp. Milliseconds since 1970.
/// A batch that cannot hold such a record is not unpacked; in one of append time the first record is the answer.
pub fn find_timestamp(batch: &Bytes, at_or_after: i64, limit: usize) -> Result<Option<(Offset, i64)>, PayloadError> {
    let header = Header::read(batch)?;
    if header.max_timestamp < at_or_after {
        return Ok(None);
    }
    first_record_where(batch, limit, |timestamp| timestamp >= at_or_after)
}

/// The first record that has the batch's largest timestamp: its offset and timestamp. What the records say counts, not
/// what the header claims. `None` if there are no records.
pub fn max_timestamp_record(batch: &Bytes, limit: usize) -> Result<Option<(Offset, i64)>, PayloadError> {
    let header = Header::read(batch)?;
    let claimed = first_record_where(batch, limit, |timestamp| timestamp == header.max_timestamp)?;
    if claimed.is_some() {
        return Ok(claimed);
    }
    let (header, payload) = unpack(batch, limit)?;
    let mut largest = None;
    for record in records(&payload, header.count) {
        largest = largest.max(Some(header.timestamp_of(record?.timestamp_delta)));
    }
    match largest {
        Some(largest) => first_record_where(batch, limit, |timestamp| timestamp == largest),
        None => Ok(None),
    }
}

fn first_record_where(
    batch: &Bytes,
    limit: usize,
    is_right: impl Fn(i64) -> bool,
) -> Result<Option<(Offset, i64)>, PayloadError> {
    let header = Header::read(batch)?;
    // All records share the append time; only compaction can have removed the first, and its successor must be found.
    let whole = header.count > 0 && header.last_offset_delta == header.count - 1;
    if header.timestamp_type() == TimestampType::LogAppendTime && whole {
        return Ok(is_right(header.max_timestamp).then_some((header.base_offset, header.max_timestamp)));
    }
    let (header, payload) = unpack(batch, limit)?;
    let found = records(&payload, header.count).try_for_each(|record| match record {
        Err(malformed) => ControlFlow::Break(Err(malformed)),
        Ok(record) => {
            let timestamp = header.timestamp_of(record.timestamp_delta);
            if !is_right(timestamp) {
                return ControlFlow::Continue(());
            }
            let offset = header.base_offset.0.saturating_add(i64::from(record.offset_delta));
            ControlFlow::Break(Ok((Offset(offset), timestamp)))
        }
    });
    match found {
        ControlFlow::Continue(()) => Ok(None),
        ControlFlow::Break(found) => Ok(Some(found?)),
    }
}
