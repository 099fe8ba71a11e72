//! What the log remembers of one segment.

use heddle_model::limits::BLOCK_BYTES;
use heddle_model::{LeaderEpoch, Offset};

/// A segment's name: the offset where it begins, and how often that range was written anew.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct SegmentKey {
    pub(crate) base: Offset,
    pub(crate) generation: u32,
}

/// Whole batches that lie together in a segment and were written at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(crate) base: Offset,
    pub(crate) next: Offset,
    /// Where it begins in the segment, a multiple of `BLOCK_BYTES`.
    pub(crate) at: u64,
    /// Bytes of its batches, without filling.
    pub(crate) len: u32,
    /// CRC32C of all its bytes, filling included.
    pub(crate) crc: u32,
    /// Milliseconds since 1970.
    pub(crate) max_timestamp: i64,
    /// Of its first batch.
    pub(crate) epoch: LeaderEpoch,
    /// By how much the largest timestamp of its first batch lies below `max_timestamp`; `u32::MAX` if that batch carries
    /// none. Milliseconds.
    pub(crate) first_below_ms: u32,
}

impl Span {
    /// Bytes in the segment, filling included.
    pub(crate) fn padded(&self) -> usize {
        (self.len as usize).next_multiple_of(BLOCK_BYTES)
    }

    /// The largest timestamp of its first batch, `NO_TIMESTAMP` if that is not known. Milliseconds since 1970.
    pub(crate) fn first_ms(&self) -> i64 {
        if self.first_below_ms == u32::MAX { NO_TIMESTAMP } else { self.max_timestamp - i64::from(self.first_below_ms) }
    }

    /// Where it ends in the segment.
    pub(crate) fn end(&self) -> u64 {
        self.at + self.padded() as u64
    }
}

/// A span by its place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct SpanKey {
    pub(crate) segment: SegmentKey,
    pub(crate) at: u64,
}

/// Where the spans of a segment are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Index {
    /// On disk only.
    Absent,
    /// `hole`: the side file is damaged, and nothing is known from this offset to the segment's end.
    Known { spans: Vec<Span>, hole: Option<Offset> },
}

/// One segment. For the one being written this is what was given out as settled; later rounds are `Settling`'s.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Segment {
    pub(crate) key: SegmentKey,
    /// The offset after its last batch; its base while empty.
    pub(crate) next: Offset,
    pub(crate) bytes: u64,
    pub(crate) side_bytes: u64,
    /// Of all its records, `NO_TIMESTAMP` while there is none. Milliseconds since 1970.
    pub(crate) max_timestamp: i64,
    /// When its first and last side records were written; 0 if not known. Milliseconds since 1970.
    pub(crate) created_ms: i64,
    pub(crate) written_ms: i64,
    /// When compaction had taken from it, and from all before it, what later records of it replace; 0 if it has not, or
    /// not wholly. Seconds since 1970.
    pub(crate) cleaned_s: u32,
    pub(crate) index: Index,
}

/// Kafka's "no timestamp".
pub(crate) const NO_TIMESTAMP: i64 = -1;

impl Segment {
    pub(crate) fn empty(key: SegmentKey) -> Segment {
        Segment {
            key,
            next: key.base,
            bytes: 0,
            side_bytes: 0,
            max_timestamp: NO_TIMESTAMP,
            created_ms: 0,
            written_ms: 0,
            cleaned_s: 0,
            index: Index::Known { spans: Vec::new(), hole: None },
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.cleaned_s > 0
    }

    /// The time by which retention counts its age: its newest record, or its last write if records carry no time.
    pub(crate) fn newest_ms(&self) -> i64 {
        if self.max_timestamp >= 0 { self.max_timestamp } else { self.written_ms }
    }

    /// The time by which compaction counts its delay, as Kafka does: of the segment's first batch, or when that was written
    /// if nothing else is known.
    pub(crate) fn oldest_ms(&self) -> i64 {
        let first = self.spans().first().map(Span::first_ms).filter(|timestamp| *timestamp >= 0);
        let written = (self.created_ms > 0).then_some(self.created_ms);
        first.or(written).map_or(self.newest_ms(), |oldest| oldest.min(self.newest_ms()))
    }

    /// The spans known, none if the index is absent.
    pub(crate) fn spans(&self) -> &[Span] {
        match &self.index {
            Index::Known { spans, .. } => spans,
            Index::Absent => &[],
        }
    }

    /// What a successor's first side record says of it.
    pub(crate) fn without_index(&self) -> Segment {
        Segment { index: Index::Absent, ..*self }
    }

    pub(crate) fn index_bytes(&self) -> usize {
        match &self.index {
            Index::Known { spans, .. } => spans.capacity() * size_of::<Span>(),
            Index::Absent => 0,
        }
    }

    /// A completed round becomes part of the segment.
    pub(crate) fn extend(&mut self, new: &[Span], next: Offset, side_bytes: u64, written_ms: i64) {
        let Index::Known { spans, .. } = &mut self.index else {
            panic!("the index of the segment being written is always known");
        };
        for span in new {
            assert_eq!(span.at, self.bytes, "spans follow each other without a gap");
            self.bytes = span.end();
            self.max_timestamp = self.max_timestamp.max(span.max_timestamp);
            spans.push(*span);
        }
        assert!(next >= self.next && side_bytes > self.side_bytes, "a segment only grows");
        if self.side_bytes == 0 {
            self.created_ms = written_ms;
        }
        (self.next, self.side_bytes, self.written_ms) = (next, side_bytes, written_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_as_old_as_its_first_batch() {
        let span = |at: u64, max_timestamp, first_below_ms| Span {
            base: Offset(at as i64),
            next: Offset(at as i64 + 1),
            at,
            len: 100,
            crc: 0,
            max_timestamp,
            epoch: LeaderEpoch(0),
            first_below_ms,
        };
        let mut segment = Segment::empty(SegmentKey { base: Offset(0), generation: 0 });
        segment.extend(&[span(0, 1_000, 200)], Offset(1), 1, 5_000);
        segment.extend(&[span(BLOCK_BYTES as u64, 9_000, 0)], Offset(2), 2, 9_500);
        assert_eq!((segment.oldest_ms(), segment.newest_ms()), (800, 9_000));
        assert_eq!(segment.without_index().oldest_ms(), 5_000, "its first records were written then");
    }
}
