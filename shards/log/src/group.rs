//! Which neighbouring segments become one, so that compaction leaves few segments, not many small ones.

use std::collections::VecDeque;

use heddle_model::Offset;

use crate::segment::{Segment, SegmentKey};

/// Segments that one output takes the place of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Group {
    pub(crate) sources: Vec<SegmentKey>,
    /// The offset after the last of them.
    pub(crate) next: Offset,
    /// When the youngest was written. Milliseconds since 1970.
    pub(crate) written_ms: i64,
    /// What the output will say of itself.
    pub(crate) cleaned_s: u32,
    bytes: u64,
    clock: Clock,
}

/// Since when tombstones wait to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Clock {
    /// They go in this round.
    Over,
    /// Since this second.
    Runs(u32),
    /// Not yet: the round compacts only a part of the segment.
    Unset,
}

impl Group {
    fn one(segment: &Segment, mapped: Offset, now_ms: i64, delete_retention_ms: i64) -> Group {
        let aged_ms = now_ms.saturating_sub(i64::from(segment.cleaned_s) * 1000);
        let clock = match (segment.is_clean(), segment.next <= mapped) {
            (true, _) if aged_ms >= delete_retention_ms => Clock::Over,
            (true, _) => Clock::Runs(segment.cleaned_s),
            (false, true) => Clock::Runs(seconds(now_ms)),
            (false, false) => Clock::Unset,
        };
        Group {
            sources: vec![segment.key],
            next: segment.next,
            written_ms: segment.written_ms,
            cleaned_s: match clock {
                Clock::Over => segment.cleaned_s,
                Clock::Runs(since_s) => since_s,
                Clock::Unset => 0,
            },
            bytes: segment.bytes,
            clock,
        }
    }

    /// Take the next group in, unless the two are too large together, or tombstones of one would have to wait longer for
    /// the sake of the other's: a segment that is merged again and again would never lose them.
    fn take(&mut self, next: &Group, segment_bytes: u64) -> bool {
        let clock = match (self.clock, next.clock) {
            (Clock::Unset, _) | (_, Clock::Unset) => return false,
            (Clock::Over, other) | (other, Clock::Over) => other,
            (one, other) if one == other => one,
            (Clock::Runs(_), Clock::Runs(_)) => return false,
        };
        let base = self.sources.first().expect("a group has a source").base;
        let too_far = next.next.0.saturating_sub(base.0) > i64::from(i32::MAX);
        if too_far || self.bytes + next.bytes > segment_bytes {
            return false;
        }
        self.sources.extend(&next.sources);
        self.next = next.next;
        self.written_ms = self.written_ms.max(next.written_ms);
        self.cleaned_s = match clock {
            Clock::Runs(since_s) => since_s,
            Clock::Over | Clock::Unset => self.cleaned_s.max(next.cleaned_s),
        };
        (self.bytes, self.clock) = (self.bytes + next.bytes, clock);
        true
    }

    /// Every segment in a group, in order. Keys are known up to `mapped`.
    pub(crate) fn all<'a>(
        segments: impl Iterator<Item = &'a Segment>,
        mapped: Offset,
        now_ms: i64,
        delete_retention_ms: i64,
        segment_bytes: u64,
    ) -> VecDeque<Group> {
        let mut groups: VecDeque<Group> = VecDeque::new();
        for segment in segments {
            let group = Group::one(segment, mapped, now_ms, delete_retention_ms);
            if !groups.back_mut().is_some_and(|last| last.take(&group, segment_bytes)) {
                groups.push_back(group);
            }
        }
        groups
    }
}

/// Rounded up: nothing goes too early. Never 0, which says that a segment is not clean.
pub(crate) fn seconds(ms: i64) -> u32 {
    u32::try_from((ms.max(0) as u64).div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(base: i64, next: i64, bytes: u64, cleaned_s: u32) -> Segment {
        let key = SegmentKey { base: Offset(base), generation: 0 };
        Segment { next: Offset(next), bytes, cleaned_s, ..Segment::empty(key) }
    }

    fn bases(segments: &[Segment], mapped: i64) -> Vec<(Vec<i64>, u32)> {
        let groups = Group::all(segments.iter(), Offset(mapped), 100_000, 10_000, 100);
        groups.iter().map(|group| (group.sources.iter().map(|key| key.base.0).collect(), group.cleaned_s)).collect()
    }

    #[test]
    fn small_neighbours_become_one() {
        let all = [segment(0, 5, 40, 0), segment(5, 9, 60, 0), segment(9, 20, 1, 0), segment(20, 30, 500, 0)];
        assert_eq!(bases(&all, 30), [(vec![0, 5], 100), (vec![9], 100), (vec![20], 100)]);
    }

    #[test]
    fn a_segment_that_is_mapped_in_part_stays_alone_and_dirty() {
        let all = [segment(0, 5, 1, 0), segment(5, 9, 1, 0)];
        assert_eq!(bases(&all, 7), [(vec![0], 100), (vec![5], 0)]);
    }

    #[test]
    fn merging_makes_no_tombstone_wait_longer() {
        // Cleaned 95 s ago: its tombstones go now. 5 s ago: they wait.
        let all = [segment(0, 5, 1, 5), segment(5, 9, 1, 95), segment(9, 12, 1, 0)];
        assert_eq!(bases(&all, 12), [(vec![0, 5], 95), (vec![9], 100)]);
        let all = [segment(0, 5, 1, 5), segment(5, 9, 1, 0)];
        assert_eq!(bases(&all, 9), [(vec![0, 5], 100)]);
    }
}
