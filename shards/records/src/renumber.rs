//! Offset deltas that are not what they should be, made so.

use bytes::Bytes;

use crate::header::CODEC_BITS;
use crate::payload::unpack;
use crate::record::write_record;
use crate::retain::HeadersOf;
use crate::{Header, PayloadError, Record, records};

/// The same records in their order, not packed, with the offset deltas 0, 1, 2, … `limit` bounds the unpacked bytes.
pub fn renumber(batch: &Bytes, limit: usize) -> Result<Bytes, PayloadError> {
    let (header, payload) = unpack(batch, limit)?;
    let mut out = Vec::with_capacity(payload.len());
    for (offset_delta, record) in (0..).zip(records(&payload, header.count)) {
        let Record { timestamp_delta, key, value, headers, .. } = record?;
        write_record(&mut out, offset_delta, timestamp_delta, key, value, HeadersOf(headers));
    }
    let header = Header { attributes: header.attributes & !CODEC_BITS, ..header };
    header.join(&out).map(Bytes::from).ok_or(PayloadError::TooLarge { limit })
}
