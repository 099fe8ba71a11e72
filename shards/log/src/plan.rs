//! Choosing what the next round takes: which batches share a span, and when the segment is full.

use heddle_border::Blocks;
use heddle_model::limits::{BLOCK_BYTES, SPAN_BYTES};
use heddle_model::{Offset, TailBatch, TopicSettings};

use crate::Log;
use crate::segment::{NO_TIMESTAMP, Span};
use crate::tail::{Tail, Tailed};

/// Spans of one log that are being written at once.
const SPANS_IN_FLIGHT: usize = 4;
/// Their bytes; a single larger span travels alone.
const BYTES_IN_FLIGHT: usize = SPANS_IN_FLIGHT * SPAN_BYTES;

/// One span to be: the batches that end beyond `after`, up to `next`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Draft {
    after: Offset,
    next: Offset,
    bytes: usize,
}

impl Draft {
    fn begin(after: Offset) -> Draft {
        Draft { after, next: after, bytes: 0 }
    }

    fn add(&mut self, batch: &TailBatch) {
        self.bytes += batch.bytes.len();
        self.next = batch.next;
    }

    pub(crate) fn batches<'a>(&self, tail: &'a Tail) -> impl Iterator<Item = &'a Tailed> {
        let next = self.next;
        tail.after(self.after).take_while(move |tailed| tailed.batch.next <= next)
    }

    /// The span at `at` of its segment, and its blocks.
    pub(crate) fn build(&self, tail: &Tail, at: u64) -> (Span, Blocks) {
        let mut blocks = Blocks::zeroed(self.bytes);
        let mut filled = 0;
        let (mut first, mut max_timestamp) = (None, NO_TIMESTAMP);
        for Tailed { batch, max_timestamp: newest, .. } in self.batches(tail) {
            blocks[filled..filled + batch.bytes.len()].copy_from_slice(&batch.bytes);
            filled += batch.bytes.len();
            first.get_or_insert((batch.base, batch.term));
            max_timestamp = max_timestamp.max(*newest);
        }
        assert_eq!(filled, self.bytes, "the tail holds what was planned");
        let (base, term) = first.expect("a span holds at least one batch");
        let len = u32::try_from(filled).expect("batches are far below 4 GiB");
        let crc = crc32c::crc32c(&blocks);
        (Span { base, next: self.next, at, len, crc, max_timestamp, term }, blocks)
    }
}

/// What one call of `settle` will write.
pub(crate) struct Plan {
    pub(crate) drafts: Vec<Draft>,
    /// The segment takes no more: go on in a new one once everything in flight is settled.
    pub(crate) roll: bool,
}

/// What is in flight and planned so far.
struct Room {
    spans: usize,
    bytes: usize,
    log_at: u64,
}

impl Room {
    fn takes(&self, len: usize) -> bool {
        self.spans < SPANS_IN_FLIGHT && (self.spans == 0 || self.bytes + padded(len) <= BYTES_IN_FLIGHT)
    }

    /// The open draft becomes one of the plan's.
    fn close(&mut self, open: &mut Draft, drafts: &mut Vec<Draft>) {
        if open.bytes == 0 {
            return;
        }
        self.spans += 1;
        self.bytes += padded(open.bytes);
        self.log_at += padded(open.bytes) as u64;
        drafts.push(std::mem::replace(open, Draft::begin(open.next)));
    }
}

fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(BLOCK_BYTES)
}

impl Log {
    /// Choose batches: after a failure all that the companion has seen, then what is committed and fits. A plan with a
    /// roll and no drafts means that there is something to write, in a new segment.
    pub(crate) fn plan(&self, now_ms: i64, upto: Offset, force: bool, settings: &TopicSettings) -> Plan {
        let (planned, applied) = (self.settling.planned, self.settling.applied);
        let (spans, bytes) = self.settling.in_flight();
        let mut room = Room { spans, bytes, log_at: self.settling.log_at };
        let mut plan = Plan { drafts: Vec::new(), roll: false };
        let mut open = Draft::begin(planned);
        let mut ended = force || applied > planned;
        for Tailed { batch, .. } in self.tail.after(planned) {
            let again = batch.next <= applied;
            if batch.next > upto && !again {
                break;
            }
            if open.bytes > 0 && open.bytes + batch.bytes.len() > SPAN_BYTES {
                room.close(&mut open, &mut plan.drafts);
            }
            if !again && !room.takes(open.bytes + batch.bytes.len()) {
                ended = true;
                break;
            }
            if !again && self.must_roll(now_ms, &room, &open, batch, settings) {
                ended = true;
                // A full segment first takes the batches before the one that does not fit.
                plan.roll = open.bytes == 0 && plan.drafts.is_empty();
                break;
            }
            open.add(batch);
        }
        if ended || open.bytes >= SPAN_BYTES {
            room.close(&mut open, &mut plan.drafts);
        }
        plan
    }

    fn must_roll(&self, now_ms: i64, room: &Room, open: &Draft, batch: &TailBatch, settings: &TopicSettings) -> bool {
        let Some(active) = &self.active else { return false };
        if room.log_at == 0 && open.bytes == 0 {
            return false;
        }
        let end = room.log_at + padded(open.bytes + batch.bytes.len()) as u64;
        let too_large = end > u64::try_from(settings.segment_bytes).unwrap_or(0);
        // Kafka keeps the offsets of a segment within 31 bits of its base.
        let too_far = batch.next.0.saturating_sub(active.key.base.0) > i64::from(i32::MAX);
        let lived_ms = now_ms.saturating_sub(active.created_ms);
        // What stands in the segment that is written is not compacted.
        let lag_ms = if settings.cleanup_compact { settings.max_compaction_lag_ms } else { i64::MAX };
        let segment_ms = settings.segment_ms.min(lag_ms.max(1));
        let too_old = active.side_bytes > 0 && lived_ms > segment_ms.saturating_sub(self.jitter_ms(settings));
        too_large || too_far || too_old
    }

    /// Spreads the rolls of partitions that began together (`segment.jitter.ms`); the same at each call for a segment.
    fn jitter_ms(&self, settings: &TopicSettings) -> i64 {
        let base = self.active.as_ref().map_or(0, |active| active.key.base.0.unsigned_abs());
        let mixed = (self.disk.id.replica.0 ^ base.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
        if settings.segment_jitter_ms <= 0 { 0 } else { (mixed as i64) % settings.segment_jitter_ms }
    }
}
