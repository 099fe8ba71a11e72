//! What there is to compact, and whether it is time.

use heddle_model::{Now, Offset, TopicSettings};

use crate::Log;
use crate::segment::Segment;

/// Closed segments that may be compacted.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Debt {
    /// Bytes not compacted since they were written.
    pub dirty_bytes: u64,
    pub clean_bytes: u64,
    /// `min.cleanable.dirty.ratio` or `max.compaction.lag.ms` ask for a round.
    pub is_due: bool,
}

impl Debt {
    /// The dirty part of all, 0 to 1.
    pub fn ratio(&self) -> f64 {
        let all = self.dirty_bytes + self.clean_bytes;
        if all == 0 { 0.0 } else { self.dirty_bytes as f64 / all as f64 }
    }
}

impl Log {
    /// What a round below `upto` would find. Nothing while the log is not loaded.
    pub fn compaction_debt(&mut self, now: Now, upto: Offset, settings: &TopicSettings) -> Debt {
        if !settings.cleanup_compact || !self.may_compact() {
            return Debt::default();
        }
        let now_ms = self.clock.read(now).wall.0;
        let mut debt = Debt::default();
        let (mut oldest, mut oldest_ms) = (None, i64::MAX);
        for segment in self.cleanable(now_ms, upto, settings) {
            if segment.is_clean() {
                debt.clean_bytes += segment.bytes;
            } else {
                debt.dirty_bytes += segment.bytes;
                oldest = oldest.or(Some(segment));
                oldest_ms = oldest_ms.min(segment.oldest_ms());
            }
        }
        let Some(oldest) = oldest.filter(|_| debt.dirty_bytes > 0) else { return debt };
        let waited_ms = now_ms.saturating_sub(oldest_ms);
        // A round whose map was too small goes on with the next.
        let is_under_way = oldest.key.base < self.compaction.goal;
        debt.is_due = is_under_way
            || debt.ratio() > settings.min_cleanable_dirty_ratio
            || waited_ms > settings.max_compaction_lag_ms;
        debt
    }

    /// Segments from the first on that may be written anew: closed, needed by no mark, if dirty old enough for
    /// `min.compaction.lag.ms`, all their records final. Something always follows them, so that a reader who comes to
    /// where everything vanished finds a batch that leads on.
    ///
    /// What is clean waits no more, as in Kafka's `LogCleanerManager.cleanableOffsets`: one clean segment that says it is of
    /// tomorrow, since the clock was ahead when it was written, would hold all behind it back until then.
    pub(crate) fn cleanable(&self, now_ms: i64, upto: Offset, settings: &TopicSettings) -> &[Segment] {
        let is_old = |segment: &Segment| {
            let lag_ms = settings.min_compaction_lag_ms;
            lag_ms <= 0 || now_ms.saturating_sub(segment.newest_ms()) >= lag_ms
        };
        let may = |segment: &&Segment| {
            self.marked.is_some_and(|marked| segment.key < marked)
                && segment.next <= upto
                && segment.next < self.end
                && (segment.is_clean() || is_old(segment))
        };
        &self.sealed[..self.sealed.iter().take_while(may).count()]
    }
}
