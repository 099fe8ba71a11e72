//! Batches that no durable mark covers yet. They are always in memory.

use std::collections::VecDeque;

use bytes::Bytes;
use heddle_model::{Offset, TailBatch};
use heddle_records::Header;

/// An empty tail keeps room for this many batches, so that a slow partition does not allocate at each of them.
const KEPT_CAPACITY: usize = 8;

/// A batch with what lookups need of its header, so that a scan does not touch the batches themselves.
pub(crate) struct Tailed {
    pub(crate) batch: TailBatch,
    pub(crate) max_timestamp: i64,
    /// Its place in the row of all batches since the tail was last empty. Bytes.
    at: u64,
}

#[derive(Default)]
pub(crate) struct Tail {
    batches: VecDeque<Tailed>,
    bytes: usize,
}

impl Tail {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The batch was validated by who hands it in: a header that cannot be read is our own bug.
    pub(crate) fn push(&mut self, batch: TailBatch) {
        assert!(batch.base < batch.next, "a batch covers at least one offset: {} to {}", batch.base, batch.next);
        if let Some(last) = self.batches.back() {
            assert!(
                last.batch.next <= batch.base,
                "batches follow each other: {} then {}",
                last.batch.next,
                batch.base
            );
        }
        let header = Header::read(&batch.bytes).expect("batches are validated before they are appended");
        assert_eq!(header.total_bytes(), batch.bytes.len(), "exactly one batch");
        self.bytes += batch.bytes.len();
        let at = self.batches.back().map_or(0, |last| last.at + last.batch.bytes.len() as u64);
        self.batches.push_back(Tailed { batch, max_timestamp: header.max_timestamp, at });
    }

    /// Drop what does not end at or below `to`. Returns the lowest offset dropped.
    pub(crate) fn cut(&mut self, to: Offset) -> Option<Offset> {
        let mut lowest = None;
        while let Some(last) = self.batches.back()
            && last.batch.next > to
        {
            self.bytes -= last.batch.bytes.len();
            lowest = Some(last.batch.base);
            self.batches.pop_back();
        }
        lowest
    }

    /// Drop what ends at or below `upto`: it stands in a segment.
    pub(crate) fn release(&mut self, upto: Offset) {
        while let Some(first) = self.batches.front()
            && first.batch.next <= upto
        {
            self.bytes -= first.batch.bytes.len();
            self.batches.pop_front();
        }
        if self.batches.is_empty() && self.batches.capacity() > KEPT_CAPACITY {
            self.batches = VecDeque::new();
        }
    }

    /// The batches that end beyond `from`, in order.
    pub(crate) fn after(&self, from: Offset) -> impl Iterator<Item = &Tailed> {
        let first = self.batches.partition_point(|tailed| tailed.batch.next <= from);
        self.batches.range(first..)
    }

    /// Bytes of the batches that end beyond `from`.
    pub(crate) fn bytes_after(&self, from: Offset) -> usize {
        self.bytes_between(from, Offset(i64::MAX))
    }

    /// Bytes of the batches that end beyond `from`, but not beyond `upto`.
    pub(crate) fn bytes_between(&self, from: Offset, upto: Offset) -> usize {
        let first = self.batches.partition_point(|tailed| tailed.batch.next <= from);
        let end = self.batches.partition_point(|tailed| tailed.batch.next <= upto);
        if first >= end {
            return 0;
        }
        let last = &self.batches[end - 1];
        let bytes = last.at + last.batch.bytes.len() as u64 - self.batches[first].at;
        usize::try_from(bytes).expect("the tail is in memory")
    }

    /// Append to `parts` whole batches from the one that ends beyond `from` up to `upto`, while they fit into
    /// `max_bytes` with the `taken` bytes before them; if `at_least_one`, the first even if it does not.
    pub(crate) fn collect(
        &self,
        from: Offset,
        upto: Offset,
        max_bytes: usize,
        at_least_one: bool,
        mut taken: usize,
        parts: &mut Vec<Bytes>,
    ) {
        for Tailed { batch, .. } in self.after(from) {
            let fits = taken + batch.bytes.len() <= max_bytes || (at_least_one && parts.is_empty());
            if batch.next > upto || !fits {
                return;
            }
            taken += batch.bytes.len();
            parts.push(batch.bytes.clone());
        }
    }
}
