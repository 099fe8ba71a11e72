//! Is a client's batch one that this topic takes? Decided from the header, and by looking through the records: in the turn
//! where that is little work, off the turn where it may be much (trap 41).

use bytes::Bytes;
use heddle_border::{Product, Work};
use heddle_model::limits::{BATCH_BYTES_MAX, UNPACKED_BYTES_MAX};
use heddle_model::{Codec, Compression, Now, TimestampType, TopicSettings};
use heddle_records::{HEADER_BYTES, Malformed, PayloadError, Record};

use crate::{Append, Origin, Refusal};

/// A packed batch of at most so many bytes is looked through in the turn, unless it unpacks to more than the second
/// number: up to there it costs about what handing it to a thread and back does. Bytes.
const PACKED_IN_TURN_BYTES: usize = 4 * 1024;
const UNPACKED_IN_TURN_BYTES: usize = 16 * 1024;
/// How many bad records of a batch a refusal names.
const NAMED_RECORDS_MAX: usize = 1000;

/// What is to be done with a batch that is not refused.
pub(crate) enum Verdict {
    AsIs(Fit),
    /// Its result is read by `prepared`.
    Work(Work),
}

/// A batch that may be appended.
#[derive(Clone, Copy)]
pub(crate) struct Fit {
    /// The largest timestamp of its records, whatever its header says. Milliseconds since 1970.
    pub(crate) max_timestamp: i64,
}

/// A batch that was looked through off the turn, with the batch to append in its place if it was packed anew.
pub(crate) type Prepared = Result<(Fit, Option<Bytes>), Refusal>;

/// Produce rules of Kafka's `LogValidator`, in its order where clients can tell.
pub(crate) fn judge(append: &Append, settings: &TopicSettings, now: Now) -> Result<Verdict, Refusal> {
    let batch = &append.batch;
    if append.origin == Origin::Coordinator {
        let header = heddle_records::validate_shape(batch).map_err(refusal_of)?;
        return Ok(Verdict::AsIs(Fit { max_timestamp: header.max_timestamp }));
    }
    // Before the CRC, which costs the more the larger the batch is.
    check_size(batch.len(), settings)?;
    let header = heddle_records::validate_header(batch).map_err(refusal_of)?;
    if header.base_offset.0 != 0 {
        let base = header.base_offset;
        return Err(invalid(&format!("The base offset of a client's record batch should be 0, but it is {base}")));
    }
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
    if codec == Codec::Lz4 && heddle_records::is_linked_lz4(&batch[HEADER_BYTES..]) {
        // The Java client reads no such frame, so its consumers would never get past the batch. Kafka refuses it, too.
        return Err(invalid("Lz4 data is corrupt: blocks that depend on each other are not supported"));
    }
    if codec == Codec::Zstd && !append.zstd_allowed {
        return Err(Refusal::UnsupportedCompression);
    }
    if header.timestamp_type() == TimestampType::LogAppendTime
        && (settings.timestamp_type == TimestampType::LogAppendTime || header.max_timestamp == NO_TIMESTAMP)
    {
        let message = "Invalid timestamp type: producers do not set it to LogAppendTime".to_string();
        return Err(Refusal::InvalidTimestamp { records: vec![(0, message.clone())], message });
    }
    let rules = Rules {
        needs_keys: settings.cleanup_compact,
        within: (settings.timestamp_type == TimestampType::CreateTime).then(|| {
            let earliest = now.wall.0.saturating_sub(settings.timestamp_before_max_ms);
            (earliest, now.wall.0.saturating_add(settings.timestamp_after_max_ms))
        }),
    };
    let recode_to = match settings.compression {
        Compression::Broker { codec: wanted, level } if wanted != codec => Some((wanted, level)),
        _ => None,
    };
    if recode_to.is_none() && (codec == Codec::None || batch.len() <= PACKED_IN_TURN_BYTES) {
        let limit = if codec == Codec::None { batch.len() } else { UNPACKED_IN_TURN_BYTES };
        match look_through(batch, &rules, limit) {
            Err(Refusal::BatchTooLarge { .. }) => {}
            judged => return judged.map(Verdict::AsIs),
        }
    }
    let batch = batch.clone();
    let max = settings.max_message_bytes.max(0) as usize;
    Ok(Verdict::Work(Box::new(move || Product::new(prepare(&batch, &rules, recode_to, max)))))
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

/// A record without a time of its own.
const NO_TIMESTAMP: i64 = -1;

/// What each record of a batch must be.
struct Rules {
    needs_keys: bool,
    /// `message.timestamp.before.max.ms` and `.after.max.ms`: the earliest and the latest time, ms since 1970.
    within: Option<(i64, i64)>,
}

impl Rules {
    /// Kafka looks for the key first.
    fn fault(&self, record: &Record<'_>, timestamp: i64) -> Option<Fault> {
        if self.needs_keys && record.key.is_none() {
            return Some(Fault::NoKey);
        }
        let outside = |(earliest, latest): &(i64, i64)| timestamp < *earliest || timestamp > *latest;
        let within = self.within.filter(|within| timestamp != NO_TIMESTAMP && outside(within));
        within.map(|(earliest, latest)| Fault::Time { timestamp, earliest, latest })
    }
}

/// What is wrong with one record.
enum Fault {
    NoKey,
    Time { timestamp: i64, earliest: i64, latest: i64 },
}

impl Fault {
    fn text(&self) -> String {
        match self {
            Fault::NoKey => "Compacted topic cannot accept message without key".to_string(),
            Fault::Time { timestamp, earliest, latest } => format!(
                "Timestamp {timestamp} of the record is out of range. The timestamp should be within [{earliest}, {latest}]"
            ),
        }
    }
}

/// Every record of a batch that unpacks to at most `limit` bytes. The first bad one decides which error it is.
fn look_through(batch: &Bytes, rules: &Rules, limit: usize) -> Result<Fit, Refusal> {
    let mut first = None;
    let mut records = Vec::new();
    let max_timestamp = heddle_records::inspect(batch, limit, |record, timestamp| {
        if records.len() < NAMED_RECORDS_MAX
            && let Some(fault) = rules.fault(record, timestamp)
        {
            records.push((record.offset_delta, fault.text()));
            first.get_or_insert(fault);
        }
    });
    let max_timestamp = max_timestamp.map_err(payload_refusal)?;
    match first {
        None => Ok(Fit { max_timestamp }),
        Some(Fault::NoKey) => {
            let message =
                "One or more records have been rejected because a compacted topic takes only records with a key";
            Err(Refusal::InvalidRecord { message: message.into(), records })
        }
        Some(Fault::Time { .. }) => {
            let message = "One or more records have been rejected due to invalid timestamp";
            Err(Refusal::InvalidTimestamp { message: message.into(), records })
        }
    }
}

/// Runs off the turn.
fn prepare(batch: &Bytes, rules: &Rules, recode_to: Option<(Codec, i32)>, max: usize) -> Prepared {
    let looked = look_through(batch, rules, UNPACKED_BYTES_MAX);
    let Some((codec, level)) = recode_to else { return Ok((looked?, None)) };
    // What is packed anew is written anew: there Kafka puts offset deltas right instead of refusing them.
    let numbered = match looked {
        Ok(_) => None,
        Err(_) => heddle_records::renumber(batch, BATCH_BYTES_MAX).ok(),
    };
    let (fit, batch) = match &numbered {
        Some(numbered) => (look_through(numbered, rules, UNPACKED_BYTES_MAX)?, numbered),
        None => (looked?, batch),
    };
    let recoded = heddle_records::recode(batch, codec, level, BATCH_BYTES_MAX).map_err(payload_refusal)?;
    if recoded.len() > max {
        return Err(Refusal::BatchTooLarge { bytes: recoded.len(), max });
    }
    Ok((fit, Some(recoded)))
}

/// What came of work off the turn; `None`: it panicked.
pub(crate) fn prepared(result: Option<Product>) -> Prepared {
    result.map(Product::take).unwrap_or_else(|| Err(Refusal::Corrupt("the batch could not be decoded".into())))
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

/// The CRC was right, so what is wrong with the records is the client's doing: sending them again does not help.
fn payload_refusal(error: PayloadError) -> Refusal {
    match error {
        PayloadError::TooLarge { limit } => Refusal::BatchTooLarge { bytes: limit + 1, max: limit },
        PayloadError::Malformed(malformed) => invalid(&malformed.to_string()),
        corrupt @ PayloadError::Corrupt(..) => invalid(&corrupt.to_string()),
    }
}

fn invalid(message: &str) -> Refusal {
    Refusal::InvalidRecord { message: message.to_string(), records: Vec::new() }
}
