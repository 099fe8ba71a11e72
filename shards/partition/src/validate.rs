//! Is a client's batch one that this topic takes? Decided from the header and, where the records are not compressed, by
//! walking them; what needs decompression is done off the turn (trap 41).

use bytes::{BufMut, Bytes, BytesMut};
use heddle_model::limits::BATCH_BYTES_MAX;
use heddle_model::{Codec, Compression, Now, TimestampType, TopicSettings};
use heddle_records::{HEADER_BYTES, Header, Malformed, PayloadError};

use crate::{Append, Origin, Refusal};

/// What is to be done with a batch that is not refused.
pub(crate) enum Verdict {
    AsIs(Header),
    /// Its result is read by `read_prepared`.
    Work(Box<dyn FnOnce() -> Bytes + Send>),
}

/// Produce rules of Kafka's `LogValidator`, in its order where clients can tell.
pub(crate) fn judge(append: &Append, settings: &TopicSettings, now: Now) -> Result<Verdict, Refusal> {
    let bytes = append.batch.len();
    let header = heddle_records::validate_shape(&append.batch).map_err(refusal_of)?;
    if append.origin == Origin::Coordinator {
        return Ok(Verdict::AsIs(header));
    }
    check_size(bytes, settings)?;
    if header.is_control() {
        return Err(invalid("Clients are not allowed to write control records"));
    }
    if header.is_transactional() {
        // Nobody could end it: readers of committed records would wait for ever.
        return Err(Refusal::NotInTransaction);
    }
    if header.has_producer() && (header.base_sequence.0 < 0 || header.producer_epoch.0 < 0) {
        return Err(invalid("Invalid sequence number or producer epoch of an idempotent producer's batch"));
    }
    let Some(codec) = header.codec() else {
        return Err(invalid("Unknown compression codec in the batch attributes"));
    };
    if codec == Codec::Zstd && !append.zstd_allowed {
        return Err(Refusal::UnsupportedCompression);
    }
    if settings.timestamp_type == TimestampType::CreateTime {
        check_timestamps(&append.batch, &header, codec, settings, now)?;
    }
    let needs_keys = settings.cleanup_compact;
    let recode_to = match settings.compression {
        Compression::Broker { codec: wanted, level } if wanted != codec => Some((wanted, level)),
        _ => None,
    };
    if codec == Codec::None && needs_keys {
        check_keys(&append.batch[HEADER_BYTES..], header.count)?;
    }
    let look_inside = codec != Codec::None && needs_keys;
    if recode_to.is_none() && !look_inside {
        return Ok(Verdict::AsIs(header));
    }
    let batch = append.batch.clone();
    let max = settings.max_message_bytes.max(0) as usize;
    Ok(Verdict::Work(Box::new(move || write_prepared(prepare(&batch, header.count, look_inside, recode_to, max)))))
}

fn check_size(bytes: usize, settings: &TopicSettings) -> Result<(), Refusal> {
    let max = settings.max_message_bytes.max(0) as usize;
    if bytes > max || bytes > BATCH_BYTES_MAX {
        return Err(Refusal::BatchTooLarge { bytes, max: max.min(BATCH_BYTES_MAX) });
    }
    let segment = settings.segment_bytes.max(0) as usize;
    if bytes > segment {
        return Err(Refusal::BatchBeyondSegment { bytes, max: segment });
    }
    Ok(())
}

/// `message.timestamp.before.max.ms` and `.after.max.ms`: by the header's bounds, and for the message by the records.
fn check_timestamps(
    batch: &[u8],
    header: &Header,
    codec: Codec,
    settings: &TopicSettings,
    now: Now,
) -> Result<(), Refusal> {
    let earliest = now.wall.0.saturating_sub(settings.timestamp_before_max_ms);
    let latest = now.wall.0.saturating_add(settings.timestamp_after_max_ms);
    let outside = |t: i64| t >= 0 && (t < earliest || t > latest);
    let text = |t: i64| {
        format!("Timestamp {t} of the record is out of range. The timestamp should be within [{earliest}, {latest}]")
    };
    let mut records = Vec::new();
    if codec == Codec::None {
        for (index, record) in heddle_records::records(&batch[HEADER_BYTES..], header.count).enumerate() {
            let record = record.map_err(refusal_of)?;
            let timestamp = header.base_timestamp.saturating_add(record.timestamp_delta);
            if outside(timestamp) {
                records.push((index as i32, text(timestamp)));
            }
        }
    }
    if records.is_empty() && !outside(header.max_timestamp) && !outside(header.base_timestamp) {
        return Ok(());
    }
    if records.is_empty() {
        let bad = if outside(header.max_timestamp) { header.max_timestamp } else { header.base_timestamp };
        records.push((0, text(bad)));
    }
    Err(Refusal::InvalidTimestamp {
        message: "One or more records have been rejected due to invalid timestamp".into(),
        records,
    })
}

fn check_keys(payload: &[u8], count: i32) -> Result<(), Refusal> {
    let mut records = Vec::new();
    for (index, record) in heddle_records::records(payload, count).enumerate() {
        if record.map_err(refusal_of)?.key.is_none() {
            records.push((index as i32, "Compacted topic cannot accept message without key".to_string()));
        }
    }
    if records.is_empty() {
        return Ok(());
    }
    let message =
        "One or more records have been rejected because a compacted topic takes only records with a key".into();
    Err(Refusal::InvalidRecord { message, records })
}

/// Runs off the turn.
fn prepare(
    batch: &Bytes,
    count: i32,
    look_inside: bool,
    recode_to: Option<(Codec, i32)>,
    max: usize,
) -> Result<Option<Bytes>, Refusal> {
    if look_inside {
        let payload = heddle_records::payload(batch, BATCH_BYTES_MAX).map_err(payload_refusal)?;
        check_keys(&payload, count)?;
    }
    let Some((codec, level)) = recode_to else { return Ok(None) };
    let recoded = heddle_records::recode(batch, codec, level, BATCH_BYTES_MAX).map_err(payload_refusal)?;
    if recoded.len() > max {
        return Err(Refusal::BatchTooLarge { bytes: recoded.len(), max });
    }
    Ok(Some(recoded))
}

/// What came back from work off the turn.
pub(crate) enum Prepared {
    Keep,
    Recoded(Bytes),
    Refused(Refusal),
}

const KEEP: u8 = 0;
const RECODED: u8 = 1;
const CORRUPT: u8 = 2;
const TOO_LARGE: u8 = 3;
const INVALID: u8 = 4;

fn write_prepared(result: Result<Option<Bytes>, Refusal>) -> Bytes {
    let mut out = BytesMut::new();
    match result {
        Ok(None) => out.put_u8(KEEP),
        Ok(Some(batch)) => {
            out.reserve(batch.len() + 1);
            out.put_u8(RECODED);
            out.put_slice(&batch);
        }
        Err(Refusal::BatchTooLarge { bytes, max }) => {
            out.put_u8(TOO_LARGE);
            out.put_u64(bytes as u64);
            out.put_u64(max as u64);
        }
        Err(Refusal::InvalidRecord { message, records }) => {
            out.put_u8(INVALID);
            put_text(&mut out, &message);
            for (index, text) in records {
                out.put_i32(index);
                put_text(&mut out, &text);
            }
        }
        Err(other) => {
            out.put_u8(CORRUPT);
            put_text(&mut out, &format!("{other:?}"));
        }
    }
    out.freeze()
}

fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u32(text.len() as u32);
    out.put_slice(text.as_bytes());
}

pub(crate) fn read_prepared(result: Option<Bytes>) -> Prepared {
    use bytes::Buf;
    let Some(mut bytes) = result else {
        return Prepared::Refused(Refusal::Corrupt("the batch could not be decoded".into()));
    };
    let text = |bytes: &mut Bytes| {
        let length = bytes.get_u32() as usize;
        String::from_utf8_lossy(&bytes.split_to(length)).into_owned()
    };
    match bytes.get_u8() {
        KEEP => Prepared::Keep,
        RECODED => Prepared::Recoded(bytes),
        TOO_LARGE => {
            Prepared::Refused(Refusal::BatchTooLarge { bytes: bytes.get_u64() as usize, max: bytes.get_u64() as usize })
        }
        INVALID => {
            let message = text(&mut bytes);
            let mut records = Vec::new();
            while bytes.has_remaining() {
                records.push((bytes.get_i32(), text(&mut bytes)));
            }
            Prepared::Refused(Refusal::InvalidRecord { message, records })
        }
        _ => Prepared::Refused(Refusal::Corrupt(text(&mut bytes))),
    }
}

fn refusal_of(malformed: Malformed) -> Refusal {
    match malformed {
        Malformed::Crc { .. } | Malformed::Truncated | Malformed::Length(_) => Refusal::Corrupt(malformed.to_string()),
        Malformed::Trailing
        | Malformed::Magic(_)
        | Malformed::Codec(_)
        | Malformed::Count { .. }
        | Malformed::Varint
        | Malformed::Record
        | Malformed::OffsetDelta { .. } => invalid(&malformed.to_string()),
    }
}

fn payload_refusal(error: PayloadError) -> Refusal {
    match error {
        PayloadError::TooLarge { limit } => Refusal::BatchTooLarge { bytes: limit + 1, max: limit },
        other => Refusal::Corrupt(other.to_string()),
    }
}

fn invalid(message: &str) -> Refusal {
    Refusal::InvalidRecord { message: message.to_string(), records: Vec::new() }
}
