//! Compaction's output before it is written: what stays of one span after the other, put together to the output's spans.
//! It goes with the work, so that neither copying nor checksums take time of a turn.

use heddle_border::Blocks;
use heddle_model::limits::SPAN_BYTES;

use crate::clean::Kept;
use crate::segment::{NO_TIMESTAMP, Span};

/// Buffers that are kept for the next use. Bytes of each: `SPAN_BYTES`.
const KEPT_MAX: usize = 24;

/// Buffers of a round that are used again and again: what was touched before costs no page faults and is not zeroed.
#[derive(Default)]
pub(crate) struct Stock {
    buffers: Vec<Blocks>,
}

impl Stock {
    /// A buffer of `bytes`, rounded up to whole blocks. Anything may stand in it.
    pub(crate) fn take(&mut self, bytes: usize) -> Blocks {
        let mut blocks = match self.buffers.pop() {
            Some(blocks) if bytes <= SPAN_BYTES => blocks,
            unfit => {
                self.buffers.extend(unfit);
                Blocks::zeroed(bytes.max(SPAN_BYTES))
            }
        };
        blocks.set_len(bytes);
        blocks
    }

    /// It is used no more. One that held a single larger batch goes back to the system.
    pub(crate) fn give(&mut self, blocks: Blocks) {
        if blocks.capacity() == SPAN_BYTES && self.buffers.len() < KEPT_MAX {
            self.buffers.push(blocks);
        }
    }

    /// At most so many buffers of it, in a stock of their own.
    pub(crate) fn part(&mut self, count: usize) -> Stock {
        let at = self.buffers.len().saturating_sub(count);
        Stock { buffers: self.buffers.split_off(at) }
    }

    pub(crate) fn take_in(&mut self, other: Stock) {
        other.buffers.into_iter().for_each(|blocks| self.give(blocks));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.buffers.len()
    }
}

/// Spans of the output whose place in it is not known yet.
#[derive(Default)]
pub(crate) struct Packing {
    open: Option<Open>,
    full: Vec<(Span, Blocks)>,
}

struct Open {
    span: Span,
    blocks: Blocks,
}

impl Packing {
    /// The next batch, copied. A span takes what fits into `SPAN_BYTES`; a larger batch is one by itself.
    pub(crate) fn add(&mut self, kept: &Kept, stock: &mut Stock) {
        let len = kept.bytes.len();
        if self.open.as_ref().is_some_and(|open| open.span.len as usize + len > SPAN_BYTES) {
            self.close();
        }
        let open = self.open.get_or_insert_with(|| Open {
            span: Span {
                base: kept.base,
                next: kept.next,
                at: 0,
                len: 0,
                crc: 0,
                max_timestamp: NO_TIMESTAMP,
                epoch: kept.epoch,
                // Only of a segment that is written does anybody ask.
                first_below_ms: u32::MAX,
            },
            blocks: stock.take(len.max(SPAN_BYTES)),
        });
        let Open { span, blocks } = open;
        let at = span.len as usize;
        blocks[at..at + len].copy_from_slice(&kept.bytes);
        span.len = u32::try_from(at + len).expect("batches are far below 4 GiB");
        span.next = kept.next;
        span.max_timestamp = span.max_timestamp.max(kept.max_timestamp);
    }

    /// The last span takes no more.
    pub(crate) fn close(&mut self) {
        let Some(Open { mut span, mut blocks }) = self.open.take() else { return };
        blocks.set_len(span.len as usize);
        blocks[span.len as usize..].fill(0);
        span.crc = crc32c::crc32c(&blocks);
        self.full.push((span, blocks));
    }

    /// The spans that are complete, in order.
    pub(crate) fn take_full(&mut self) -> Vec<(Span, Blocks)> {
        std::mem::take(&mut self.full)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use heddle_model::limits::BLOCK_BYTES;
    use heddle_model::{LeaderEpoch, Offset};

    use super::*;

    fn kept(base: i64, len: usize) -> Kept {
        let bytes = Bytes::from(vec![base as u8; len]);
        Kept { bytes, base: Offset(base), next: Offset(base + 1), epoch: LeaderEpoch(3), max_timestamp: 10 - base }
    }

    #[test]
    fn spans_are_filled_with_whole_batches_and_nothing_else() {
        let mut stock = Stock::default();
        let mut used = stock.take(SPAN_BYTES);
        used.fill(0xee);
        stock.give(used);
        let mut packing = Packing::default();
        let sizes = [100, SPAN_BYTES - 200, 100, 1, SPAN_BYTES + 1, 5];
        for (base, len) in sizes.iter().enumerate() {
            packing.add(&kept(base as i64, *len), &mut stock);
        }
        packing.close();
        packing.close();
        let full = packing.take_full();
        let ranges: Vec<(i64, i64, u32)> = full.iter().map(|(span, _)| (span.base.0, span.next.0, span.len)).collect();
        let large = SPAN_BYTES as u32;
        assert_eq!(ranges, [(0, 3, large), (3, 4, 1), (4, 5, large + 1), (5, 6, 5)]);
        assert_eq!(full[0].0.max_timestamp, 10);
        for (span, blocks) in &full {
            assert_eq!(blocks.len(), span.padded());
            assert_eq!(span.crc, crc32c::crc32c(blocks));
            let (filled, rest) = blocks.split_at(span.len as usize);
            assert!(filled.iter().all(|byte| i64::from(*byte) < span.next.0), "{span:?}");
            assert!(rest.iter().all(|byte| *byte == 0), "filling says nothing of what stood there: {span:?}");
        }
        assert!(packing.take_full().is_empty());
    }

    #[test]
    fn buffers_are_used_again_and_few_are_kept() {
        let mut stock = Stock::default();
        let many: Vec<Blocks> = (0..KEPT_MAX + 5).map(|_| stock.take(SPAN_BYTES)).collect();
        let first = many[0].as_ptr();
        many.into_iter().for_each(|blocks| stock.give(blocks));
        assert_eq!(stock.len(), KEPT_MAX);
        stock.give(Blocks::zeroed(SPAN_BYTES + 1));
        let small = stock.part(2);
        assert_eq!((stock.len(), small.len()), (KEPT_MAX - 2, 2));
        stock.take_in(small);
        let all: Vec<Blocks> = (0..KEPT_MAX).map(|_| stock.take(1)).collect();
        assert!(all.iter().all(|blocks| blocks.len() == BLOCK_BYTES));
        assert!(all.iter().any(|blocks| blocks.as_ptr() == first));
        assert_eq!(stock.len(), 0);
    }
}
