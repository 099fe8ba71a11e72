//! A batch's records, unpacked or packed anew. CPU cost is bounded by the caller's limit on unpacked bytes, but that may
//! be much for one turn: packed batches belong off the turn (trap 41).

use bytes::Bytes;
use heddle_model::Codec;

use crate::header::CODEC_BITS;
use crate::{HEADER_BYTES, Header, Malformed, PayloadError, compress, decompress};

/// The header of exactly one whole batch, and its records as they stand there.
pub(crate) fn split(batch: &Bytes) -> Result<(Header, Bytes), PayloadError> {
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
