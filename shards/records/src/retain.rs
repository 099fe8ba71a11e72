//! Taking records out of a batch, for compaction.

use bytes::Bytes;
use heddle_model::{Codec, TimestampType};

use crate::header::CODEC_BITS;
use crate::payload::{codec_of, unpack};
use crate::record::write_record;
use crate::{Header, PayloadError, Record, compress, records};

/// The batch with only the records that `keep` wants, which sees all of them and says so for each. It keeps its offset range, codec, producer and leader epoch;
/// records keep their offsets and times. With nothing left it is a bare header (count 0), which still tells the
/// producer's last sequence; whether that is worth keeping the caller decides. With all kept, it is the batch itself.
/// `level` as in `compress`, `limit` bounds the unpacked bytes.
pub fn retain(
    batch: &Bytes,
    level: i32,
    limit: usize,
    keep: impl FnOnce(&[Record<'_>]) -> Vec<bool>,
) -> Result<Bytes, PayloadError> {
    let (header, payload) = unpack(batch, limit)?;
    let codec = codec_of(&header)?;
    let all = records(&payload, header.count).collect::<Result<Vec<Record<'_>>, _>>()?;
    let stays = keep(&all);
    assert_eq!(stays.len(), all.len(), "each record stays or goes");
    let count = stays.iter().filter(|stays| **stays).count() as i32;
    if count == header.count {
        return Ok(batch.clone());
    }
    if count == 0 {
        let bare = Header { count: 0, attributes: header.attributes & !CODEC_BITS, ..header };
        return joined(&bare, &[], limit);
    }
    let mut kept = Vec::with_capacity(payload.len());
    let mut max_timestamp = i64::MIN;
    for (record, stays) in all.into_iter().zip(stays) {
        if stays {
            let Record { offset_delta, timestamp_delta, key, value, headers } = record;
            write_record(&mut kept, offset_delta, timestamp_delta, key, value, HeadersOf(headers));
            max_timestamp = max_timestamp.max(header.timestamp_of(timestamp_delta));
        }
    }
    if header.timestamp_type() == TimestampType::LogAppendTime {
        max_timestamp = header.max_timestamp;
    }
    let header = Header { count, max_timestamp, ..header };
    match codec {
        Codec::None => joined(&header, &kept, limit),
        codec => joined(&header, &compress(&kept, codec, level), limit),
    }
}

fn joined(header: &Header, records: &[u8], limit: usize) -> Result<Bytes, PayloadError> {
    header.join(records).map(Bytes::from).ok_or(PayloadError::TooLarge { limit })
}

/// `write_record` wants to know the number of headers first.
#[derive(Clone)]
pub(crate) struct HeadersOf<'a>(pub(crate) crate::Headers<'a>);

impl<'a> Iterator for HeadersOf<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.count(), Some(self.0.count()))
    }
}

impl ExactSizeIterator for HeadersOf<'_> {}
