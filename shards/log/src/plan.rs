//! Choosing what the next round takes: which batches share a span, and when the segment is full.

use heddle_border::Blocks;
use heddle_model::limits::{BLOCK_BYTES, SPAN_BYTES};
use heddle_model::{Offset, TailBatch, TopicSettings};

use crate::Log;
use crate::roll::is_too_far;
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
        let (mut first, mut max_timestamp, mut first_ms) = (None, NO_TIMESTAMP, NO_TIMESTAMP);
        for Tailed { batch, max_timestamp: newest, .. } in self.batches(tail) {
            blocks[filled..filled + batch.bytes.len()].copy_from_slice(&batch.bytes);
            filled += batch.bytes.len();
            if first.is_none() {
                (first, first_ms) = (Some((batch.base, batch.term.epoch())), *newest);
            }
            max_timestamp = max_timestamp.max(*newest);
        }
        assert_eq!(filled, self.bytes, "the tail holds what was planned");
        let (base, epoch) = first.expect("a span holds at least one batch");
        let len = u32::try_from(filled).expect("batches are far below 4 GiB");
        let crc = crc32c::crc32c(&blocks);
        let below_ms = u32::try_from(max_timestamp.saturating_sub(first_ms)).unwrap_or(u32::MAX);
        let first_below_ms = if first_ms >= 0 { below_ms } else { u32::MAX };
        (Span { base, next: self.next, at, len, crc, max_timestamp, epoch, first_below_ms }, blocks)
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
    pub(crate) fn plan(&self, upto: Offset, force: bool, settings: &TopicSettings) -> Plan {
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
            if !again && self.must_roll(&room, &open, batch, settings) {
                ended = true;
                // A full segment first takes the batches before the one that does not fit.
                plan.roll = open.bytes == 0 && plan.drafts.is_empty();
                break;
            }
            open.add(batch);
            if !again && self.rolling.ends_at(batch.next) {
                ended = true;
                break;
            }
        }
        if ended || open.bytes >= SPAN_BYTES {
            room.close(&mut open, &mut plan.drafts);
        }
        plan
    }

    /// Whether a file is full. Filling counts here, beyond what was decided when the batches were appended.
    fn must_roll(&self, room: &Room, open: &Draft, batch: &TailBatch, settings: &TopicSettings) -> bool {
        let Some(active) = &self.active else { return false };
        if room.log_at == 0 && open.bytes == 0 {
            return false;
        }
        let end = room.log_at + padded(open.bytes + batch.bytes.len()) as u64;
        let limit = u64::try_from(settings.segment_bytes).unwrap_or(0).next_multiple_of(BLOCK_BYTES as u64);
        end > limit || is_too_far(active.key.base, batch)
    }
}
