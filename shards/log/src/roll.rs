//! Where one segment ends and the next begins: decided as batches are appended, by the rules of Kafka's
//! `LogSegment.shouldRoll`, and honoured when they are settled. What stands before such an end is settled without waiting
//! for a full span, so that retention and compaction find a closed segment as soon as Kafka's would.

use std::collections::VecDeque;

use heddle_model::{Now, Offset, TailBatch, TopicSettings};

use crate::Log;
use crate::segment::NO_TIMESTAMP;
use crate::tail::Tailed;

/// Ends that wait to be settled. Beyond that neighbours become one segment: each costs two files and a round of its own,
/// and the journal must not fill up behind a topic that asks for a segment per record.
const ENDS_MAX: usize = 8;

#[derive(Default)]
pub(crate) struct Rolling {
    /// The segment at the log's end. `None`: to be derived from what is settled.
    head: Option<Head>,
    /// Where segments end whose successors were not begun, lowest first.
    ends: VecDeque<Offset>,
}

impl Rolling {
    /// Whether a segment ends at `offset`.
    pub(crate) fn ends_at(&self, offset: Offset) -> bool {
        self.ends.contains(&offset)
    }

    /// Whether a segment ends at or beyond `from`, but not beyond `upto`.
    pub(crate) fn ends_between(&self, from: Offset, upto: Offset) -> bool {
        self.ends.iter().any(|end| from <= *end && *end <= upto)
    }

    /// A segment begins at `base`.
    pub(crate) fn begun(&mut self, base: Offset) {
        self.ends.retain(|end| *end > base);
    }

    fn push(&mut self, end: Offset) {
        if self.ends.len() == ENDS_MAX {
            self.ends.pop_back();
        }
        self.ends.push_back(end);
    }
}

/// What the rules need to know of a segment.
#[derive(Clone, Copy)]
struct Head {
    base: Offset,
    /// Batches below were looked at.
    upto: Offset,
    /// Of its batches, without filling.
    bytes: u64,
    /// The largest timestamp of its first batch, `NO_TIMESTAMP` if that carries none. Milliseconds since 1970.
    first_ms: i64,
    created_ms: i64,
}

impl Head {
    fn begin(base: Offset, now_ms: i64) -> Head {
        Head { base, upto: base, bytes: 0, first_ms: NO_TIMESTAMP, created_ms: now_ms }
    }

    /// Whether a batch must begin the next segment.
    fn is_full_for(&self, tailed: &Tailed, now_ms: i64, settings: &TopicSettings, jitter_ms: i64) -> bool {
        let batch = &tailed.batch;
        if self.bytes == 0 {
            return false;
        }
        let limit = u64::try_from(settings.segment_bytes).unwrap_or(0);
        let waited_ms = if self.first_ms >= 0 {
            tailed.max_timestamp.saturating_sub(self.first_ms)
        } else {
            now_ms.saturating_sub(self.created_ms)
        };
        self.bytes + batch.bytes.len() as u64 > limit
            || waited_ms > segment_ms(settings).saturating_sub(jitter_ms)
            || is_too_far(self.base, batch)
    }

    fn take(&mut self, tailed: &Tailed) {
        if self.bytes == 0 {
            self.first_ms = tailed.max_timestamp;
        }
        self.bytes += tailed.batch.bytes.len() as u64;
        self.upto = tailed.batch.next;
    }
}

/// What stands in the segment that is written is not compacted, so `max.compaction.lag.ms` closes it too.
fn segment_ms(settings: &TopicSettings) -> i64 {
    let lag_ms = settings.max_compaction_lag_ms;
    if settings.cleanup_compact && lag_ms > 0 { settings.segment_ms.min(lag_ms) } else { settings.segment_ms }
}

/// Kafka keeps the offsets of a segment within 31 bits of its base.
pub(crate) fn is_too_far(base: Offset, batch: &TailBatch) -> bool {
    batch.next.0.saturating_sub(1).saturating_sub(base.0) > i64::from(i32::MAX)
}

impl Log {
    /// Look at the batches appended since the last call, and remember where segments end.
    pub fn find_segment_ends(&mut self, now: Now, settings: &TopicSettings) {
        if !self.is_loaded() || self.rolling.head.is_some_and(|head| head.upto >= self.end) {
            return;
        }
        let now_ms = self.clock.read(now).wall.0;
        let mut head = self.rolling.head.unwrap_or_else(|| self.head(now_ms));
        let mut jitter_ms = self.jitter_ms(head.base, settings);
        for tailed in self.tail.after(head.upto) {
            if head.is_full_for(tailed, now_ms, settings, jitter_ms) {
                self.rolling.push(head.upto);
                head = Head::begin(head.upto, now_ms);
                jitter_ms = self.jitter_ms(head.base, settings);
            }
            head.take(tailed);
        }
        head.upto = head.upto.max(self.end);
        self.rolling.head = Some(head);
    }

    /// Whether a segment ends in the tail, so that a settle without force would find something to do.
    pub fn is_roll_waiting(&self) -> bool {
        self.rolling.ends_between(self.settling.planned, Offset(i64::MAX))
    }

    /// The tail was cut, or the segment being written given up: what was found says nothing any more.
    pub(crate) fn forget_segment_ends(&mut self) {
        self.rolling = Rolling::default();
    }

    /// The segment that settling has come to.
    fn head(&self, now_ms: i64) -> Head {
        let planned = self.settling.planned;
        let Some(active) = &self.active else { return Head::begin(planned, now_ms) };
        let mut head = Head::begin(active.key.base, if active.created_ms > 0 { active.created_ms } else { now_ms });
        let in_flight = self.settling.rounds.iter().flat_map(|round| &round.record.spans);
        for span in active.spans().iter().chain(in_flight) {
            if head.bytes == 0 {
                head.first_ms = span.first_ms();
            }
            head.bytes += u64::from(span.len);
        }
        head.upto = planned;
        head
    }

    /// Spreads the rolls of partitions that began together (`segment.jitter.ms`); the same at each call for a segment.
    fn jitter_ms(&self, base: Offset, settings: &TopicSettings) -> i64 {
        let mixed =
            (self.disk.id.replica.0 ^ base.0.unsigned_abs().rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let bound_ms = settings.segment_jitter_ms.min(settings.segment_ms);
        if bound_ms <= 0 { 0 } else { ((mixed >> 33) as i64) % bound_ms }
    }
}
