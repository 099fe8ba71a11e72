//! Compaction's reading: the spans of one segment after the other, a few ahead of the work that is done on them.

use std::collections::VecDeque;

use heddle_border::{DiskOp, Done, Effect, Failed, OpenMode, Product, Token};
use heddle_model::Offset;
use heddle_model::limits::SPAN_BYTES;

use crate::Log;
use crate::ask::Output;
use crate::compact::{COMPACTION_WORK, Step};
use crate::digesting::DIGEST_WORK;
use crate::disk::{FileKey, Op};
use crate::group::Group;
use crate::names::Part;
use crate::pages::{Pages, Said};
use crate::piece::{Fetched, Piece};
use crate::round::{Ahead, Asked, DIGESTS_AT_WORK, Run, SPANS_AT_WORK, Source, Stage};
use crate::segment::{Index, SegmentKey, Span, SpanKey};

/// Spans being read at once: with fewer the disk is idle now and then, with more a reader of clients waits behind them. A
/// few pages of digests may be read beside them.
pub(crate) const READS_AT_ONCE: usize = 8;
/// Spans in memory or on their way: while some are worked on, the next are there and those behind them are read.
pub(crate) const SPANS_AHEAD: usize = READS_AT_ONCE + 2 * SPANS_AT_WORK;
/// Spans and digests of spans in memory or on their way.
const DIGESTS_AHEAD: usize = SPANS_AHEAD + 2 * DIGESTS_AT_WORK;
/// Bytes of spans ahead; a single larger span is read alone.
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
                // Pages that came to little each may be longer than the segment.
                let is_worth = |bytes: &u64| run.stage == Stage::Map && *bytes < segment.bytes;
                let pages = self.keys_bytes(key).filter(is_worth).map(Pages::new);
                let aged_ms = run.now_ms.saturating_sub(i64::from(segment.cleaned_s) * 1000);
                run.source = Some(Source {
                    key,
                    unread: spans.iter().filter(|span| span.next > from && !run.is_replaced(span)).copied().collect(),
                    ahead: VecDeque::new(),
                    at_work: 0,
                    drop_tombstones: segment.is_clean() && aged_ms >= run.delete_retention_ms,
                    pages,
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
        if !self.sealed.holds(source.key) {
            // It fell below the log start meanwhile, and nothing of it is missed.
            (source.unread, source.pages) = (VecDeque::new(), None);
        }
        self.read_pages_ahead(run, out);
        while let Some(source) = run.source.as_mut()
            && let Some(span) = source.unread.front().copied()
        {
            let (count, bytes) = (source.ahead.len(), source.ahead.iter().map(Ahead::cost).sum::<usize>());
            if count >= DIGESTS_AHEAD {
                return Ok(());
            }
            let place = SpanKey { segment: source.key, at: span.at };
            let said = source.pages.as_mut().map_or(Said::Nothing, |pages| pages.said_of(&span));
            let fetched = match said {
                Said::Digest(digest) => Some(Fetched::Digest(digest)),
                Said::NotYet if self.read_pages_ahead(run, out) => continue,
                Said::NotYet => return Ok(()),
                Said::Nothing if count > 0 && (count >= SPANS_AHEAD || bytes + span.padded() > BYTES_AHEAD) => {
                    return Ok(());
                }
                Said::Nothing => self.cache.get(place).map(Fetched::Cached),
            };
            if fetched.is_none() && ((count > 0 && run.reads >= READS_AT_ONCE) || !self.read_source(run, span, out)?) {
                return Ok(());
            }
            let source = run.source.as_mut().expect("it was there a line ago");
            source.unread.pop_front();
            source.ahead.push_back(Ahead { span, bytes: fetched });
        }
        Ok(())
    }

    /// Ask for a span's bytes. False: the file is not open yet.
    fn read_source(&mut self, run: &mut Run, span: Span, out: &mut Vec<Effect>) -> Result<bool, String> {
        let key = run.source.as_ref().expect("a span is of a source").key;
        let file = FileKey { segment: key, part: Part::Log };
        if !self.disk.is_open(file) {
            if self.disk.is_known(file) {
                return Ok(false);
            }
            if run.asked == Some(Asked::Open(key)) {
                return Err(format!("segment {} cannot be opened", key.base));
            }
            run.asked = Some(Asked::Open(key));
            self.disk.open(Op::Open(file), file, OpenMode::ReadOnly, out);
            return Ok(false);
        }
        run.asked = None;
        run.reads += 1;
        let (at, buf) = (span.at, run.stock.take(span.padded()));
        let op = Op::CompactRead(SpanKey { segment: key, at });
        self.disk.start_on(op, file, |file| DiskOp::Read { file, at, buf }, out);
        Ok(true)
    }

    /// Ask for the next pages of the source's digests. Whether one was asked for.
    fn read_pages_ahead(&mut self, run: &mut Run, out: &mut Vec<Effect>) -> bool {
        let source = run.source.as_mut().expect("who reads ahead has a source");
        let Some(pages) = source.pages.as_mut() else { return false };
        let (key, file) = (source.key, FileKey { segment: source.key, part: Part::Keys });
        if !self.disk.is_open(file) {
            if pages.wants_read() && !self.disk.is_known(file) {
                self.open_keys(key, OpenMode::Existing, out);
            }
            return false;
        }
        let before = run.reads;
        while let Some((at, bytes)) = pages.next_read() {
            run.reads += 1;
            let buf = run.stock.take(bytes);
            self.disk.start_on(Op::CompactPage { key, at }, file, |file| DiskOp::Read { file, at, buf }, out);
        }
        run.reads > before
    }

    /// What cannot be read says nothing.
    pub(crate) fn on_page_read(&mut self, key: SegmentKey, at: u64, result: Result<Done, Failed>) {
        let Some(run) = self.compaction.run.as_mut() else { return };
        run.reads -= 1;
        let source = run.source.as_mut().filter(|source| source.key == key);
        let pages = source.and_then(|source| source.pages.as_mut());
        match result {
            Ok(Done::Read { buf, len }) => {
                pages.into_iter().for_each(|pages| pages.came(at, &buf[..len], &self.disk.id, key));
                run.stock.give(buf);
            }
            _ => pages.into_iter().for_each(|pages| pages.came(at, &[], &self.disk.id, key)),
        }
    }

    /// The segment's digests cannot be had.
    pub(crate) fn give_up_pages(&mut self, key: SegmentKey) {
        let source = self.compaction.run.as_mut().and_then(|run| run.source.as_mut());
        source.filter(|source| source.key == key).into_iter().for_each(|source| source.pages = None);
    }

    fn start_work(&mut self, piece: Piece, out: &mut Vec<Effect>) {
        self.compaction.working = true;
        let token = Token { owner: self.disk.id.owner, seq: COMPACTION_WORK };
        out.push(Effect::Work { token, run: Box::new(|| Product::new(piece.run())) });
    }

    /// Work off the turn ended, that of this number; `None`: it panicked.
    pub fn on_worked(&mut self, work: u32, result: Option<Product>, out: &mut Vec<Effect>, events: &mut Vec<Output>) {
        if work == DIGEST_WORK {
            return self.on_digested(result, out);
        }
        assert!(std::mem::take(&mut self.compaction.working), "work is answered once");
        // Of a round that ended only its map was left.
        let Some(run) = self.compaction.run.as_mut() else { return };
        if let Err(why) = run.take_outcome(result.map(Product::take)) {
            run.fault.get_or_insert(why);
        }
        self.advance_compaction(out, events);
    }
}
