//! The closed segments, oldest first, with what they come to together: nobody who asks that counts them one by one.

use std::ops::{Deref, Range};

use heddle_model::Offset;

use crate::segment::{Index, Segment, SegmentKey};

/// Closed segments in order. Read as a slice; changed only by what keeps the sums.
#[derive(Default)]
pub(crate) struct Sealed {
    segments: Vec<Segment>,
    bytes: u64,
    index_bytes: usize,
}

impl Deref for Sealed {
    type Target = [Segment];

    fn deref(&self) -> &[Segment] {
        &self.segments
    }
}

impl Sealed {
    /// `segments`: by key.
    pub(crate) fn new(segments: Vec<Segment>) -> Sealed {
        let mut sealed = Sealed::default();
        segments.iter().for_each(|segment| sealed.count(segment));
        Sealed { segments, ..sealed }
    }

    /// Bytes of the segments' own files.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of memory of the indexes that are known.
    pub(crate) fn index_bytes(&self) -> usize {
        self.index_bytes
    }

    pub(crate) fn find(&self, key: SegmentKey) -> Option<&Segment> {
        let at = self.segments.binary_search_by_key(&key, |segment| segment.key).ok()?;
        self.segments.get(at)
    }

    pub(crate) fn holds(&self, key: SegmentKey) -> bool {
        self.find(key).is_some()
    }

    /// A segment that follows all others.
    pub(crate) fn push(&mut self, segment: Segment) {
        self.count(&segment);
        self.segments.push(segment);
    }

    /// Take out the oldest: those that end at or below `start`, are older than `marked`, and at most `max` of them.
    pub(crate) fn take_below(&mut self, start: Offset, marked: SegmentKey, max: usize) -> Vec<SegmentKey> {
        let below = self.segments.iter().take_while(|segment| segment.next <= start && segment.key < marked);
        let count = below.take(max).count();
        let taken: Vec<Segment> = self.segments.drain(..count).collect();
        taken.iter().map(|segment| self.discount(segment)).collect()
    }

    /// One segment takes the place of several. Returns those.
    pub(crate) fn replace(&mut self, range: Range<usize>, by: Segment) -> Vec<SegmentKey> {
        self.count(&by);
        let taken: Vec<Segment> = self.segments.splice(range, [by]).collect();
        taken.iter().map(|segment| self.discount(segment)).collect()
    }

    /// Returns false if there is no such segment.
    pub(crate) fn set_index(&mut self, key: SegmentKey, index: Index) -> bool {
        let Ok(at) = self.segments.binary_search_by_key(&key, |segment| segment.key) else { return false };
        let segment = &mut self.segments[at];
        self.index_bytes -= segment.index_bytes();
        segment.index = index;
        self.index_bytes += segment.index_bytes();
        true
    }

    /// Forget indexes, the oldest segments' first, until `want` bytes are free or none is left. Returns the bytes freed.
    pub(crate) fn evict(&mut self, want: usize) -> usize {
        let before = self.index_bytes;
        for segment in &mut self.segments {
            if before - self.index_bytes >= want || self.index_bytes == 0 {
                break;
            }
            self.index_bytes -= segment.index_bytes();
            segment.index = Index::Absent;
        }
        before - self.index_bytes
    }

    fn count(&mut self, segment: &Segment) {
        self.bytes += segment.bytes;
        self.index_bytes += segment.index_bytes();
    }

    fn discount(&mut self, segment: &Segment) -> SegmentKey {
        self.bytes -= segment.bytes;
        self.index_bytes -= segment.index_bytes();
        segment.key
    }
}
