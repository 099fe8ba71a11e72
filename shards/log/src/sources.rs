//! Compaction's reading: the spans of one segment after the other, a few ahead of the work that is done on them.

use std::collections::VecDeque;

use heddle_border::{DiskOp, Effect, OpenMode, Product, Token};
use heddle_model::Offset;
use heddle_model::limits::SPAN_BYTES;

use crate::Log;
use crate::ask::Output;
use crate::compact::{COMPACTION_WORK, Step};
use crate::disk::{FileKey, Op};
use crate::group::Group;
use crate::names::Part;
use crate::piece::{Fetched, Piece};
use crate::round::{Ahead, Asked, Run, SPANS_AT_WORK, Source, Stage};
use crate::segment::{Index, SegmentKey, SpanKey};

/// Spans being read at once: with fewer the disk is idle now and then, with more a reader of clients waits behind them.
pub(crate) const READS_AT_ONCE: usize = 8;
/// Spans in memory or on their way: while some are worked on, the next are there and those behind them are read.
pub(crate) const SPANS_AHEAD: usize = READS_AT_ONCE + 2 * SPANS_AT_WORK;
/// Their bytes; a single larger span is read alone.
const BYTES_AHEAD: usize = SPANS_AHEAD * SPAN_BYTES;

impl Log {
    pub(crate) fn map_next(&mut self, run: &mut Run, out: &mut Vec<Effect>) -> Step {
        if run.source.is_some() {
            return self.work_on_source(run, out);
        }
        match run.to_map.front().copied() {
            Some(key) => self.begin_source(run, key, run.from, out),
            None => {
                let segments = self.sealed.iter().take_while(|segment| segment.key.base < run.mapped);
                run.groups = Group::all(segments, run.mapped, run.now_ms, run.delete_retention_ms, run.segment_bytes);
                run.stage = Stage::Group;
                Step::Again
            }
        }
    }

    /// Take the spans of a segment that end beyond `from`.
    pub(crate) fn begin_source(&mut self, run: &mut Run, key: SegmentKey, from: Offset, out: &mut Vec<Effect>) -> Step {
        let Some(segment) = self.sealed.find(key) else {
            // It fell below the log start meanwhile.
            run.next_source();
            return Step::Again;
        };
        match &segment.index {
            Index::Known { hole: Some(_), .. } => Step::Failed(format!("the index of segment {} is damaged", key.base)),
            Index::Known { spans, hole: None } => {
                run.asked = None;
                let aged_ms = run.now_ms.saturating_sub(i64::from(segment.cleaned_s) * 1000);
                run.source = Some(Source {
                    key,
                    unread: spans.iter().filter(|span| span.next > from && !run.is_replaced(span)).copied().collect(),
                    ahead: VecDeque::new(),
                    at_work: 0,
                    drop_tombstones: segment.is_clean() && aged_ms >= run.delete_retention_ms,
                });
                Step::Again
            }
            Index::Absent if self.side_reads.contains_key(&key) => Step::Wait,
            Index::Absent if run.asked == Some(Asked::Index(key)) => {
                Step::Failed(format!("the index of segment {} cannot be read", key.base))
            }
            Index::Absent => {
                run.asked = Some(Asked::Index(key));
                let side_bytes = segment.side_bytes;
                self.read_side(key, side_bytes, out);
                Step::Wait
            }
        }
    }

    /// Read ahead, and have the next spans worked on once they are there.
    pub(crate) fn work_on_source(&mut self, run: &mut Run, out: &mut Vec<Effect>) -> Step {
        if let Err(why) = self.read_sources_ahead(run, out) {
            run.fault = Some(why);
            return Step::Again;
        }
        let source = run.source.as_ref().expect("checked by who asks");
        if source.ahead.is_empty() && source.unread.is_empty() {
            run.next_source();
            return Step::Again;
        }
        if !self.compaction.working
            && run.may_pack()
            && let Some(piece) = run.next_piece()
        {
            self.start_work(piece, out);
        }
        Step::Wait
    }

    fn read_sources_ahead(&mut self, run: &mut Run, out: &mut Vec<Effect>) -> Result<(), String> {
        let source = run.source.as_mut().expect("checked by who asks");
        let key = source.key;
        if !self.sealed.holds(key) {
            // It fell below the log start meanwhile, and nothing of it is missed.
            source.unread.clear();
        }
        let file = FileKey { segment: key, part: Part::Log };
        while let Some(span) = source.unread.front().copied() {
            let bytes = source.ahead.iter().map(|ahead| ahead.span.padded()).sum::<usize>();
            let has_room =
                source.ahead.len() < SPANS_AHEAD && bytes + span.padded() <= BYTES_AHEAD && run.reads < READS_AT_ONCE;
            if !source.ahead.is_empty() && !has_room {
                return Ok(());
            }
            let place = SpanKey { segment: key, at: span.at };
            let bytes = self.cache.get(place).map(Fetched::Cached);
            if bytes.is_none() && !self.disk.is_open(file) {
                if self.disk.is_known(file) {
                    return Ok(());
                }
                if run.asked == Some(Asked::Open(key)) {
                    return Err(format!("segment {} cannot be opened", key.base));
                }
                run.asked = Some(Asked::Open(key));
                self.disk.open(Op::Open(file), file, OpenMode::ReadOnly, out);
                return Ok(());
            }
            if bytes.is_none() {
                run.asked = None;
                run.reads += 1;
                let (at, buf) = (span.at, run.stock.take(span.padded()));
                self.disk.start_on(Op::CompactRead(place), file, |file| DiskOp::Read { file, at, buf }, out);
            }
            source.unread.pop_front();
            source.ahead.push_back(Ahead { span, bytes });
        }
        Ok(())
    }

    fn start_work(&mut self, piece: Piece, out: &mut Vec<Effect>) {
        self.compaction.working = true;
        let token = Token { owner: self.disk.id.owner, seq: COMPACTION_WORK };
        out.push(Effect::Work { token, run: Box::new(|| Product::new(piece.run())) });
    }

    /// Work off the turn ended; `None`: it panicked.
    pub fn on_worked(&mut self, result: Option<Product>, out: &mut Vec<Effect>, events: &mut Vec<Output>) {
        assert!(std::mem::take(&mut self.compaction.working), "work is answered once");
        // Of a round that ended only its map was left.
        let Some(run) = self.compaction.run.as_mut() else { return };
        if let Err(why) = run.take_outcome(result.map(Product::take)) {
            run.fault.get_or_insert(why);
        }
        self.advance_compaction(out, events);
    }
}
