//! Where the log's parts end, and what lies between: for the replica that decides when to settle, and for readers that
//! wait for a number of bytes.

use heddle_model::{Offset, TailBatch};

use crate::Log;

impl Log {
    /// Everything below was handed to settling, and the companion has seen it: it is never truncated.
    pub fn settling(&self) -> Offset {
        self.settling.end().max(self.settled)
    }

    /// Spans are on their way to a segment, or their mark to the journal. False after a failure, until the next try.
    pub fn is_settling(&self) -> bool {
        self.settling.failed.is_none() && !(self.settling.rounds.is_empty() && self.settling.waiting.is_empty())
    }

    /// Bytes of the tail that no round of settling covers yet.
    pub fn unsettled_bytes(&self) -> usize {
        self.tail.bytes_after(self.settling.planned)
    }

    /// The batches that no durable mark covers, in order.
    pub fn tail(&self) -> impl Iterator<Item = &TailBatch> {
        self.tail.after(Offset(i64::MIN)).map(|tailed| &tailed.batch)
    }

    /// Bytes of batches in the tail that a reader at `from` would get up to `upto`. If the reader is behind the tail,
    /// at least one byte: there is something in the segments, and how much would need a look at them.
    pub fn bytes_between(&self, from: Offset, upto: Offset) -> usize {
        let behind = usize::from(from < self.settled && from < upto);
        behind + self.tail.bytes_between(from, upto)
    }
}
