//! What a round of compaction remembers while it is under way, and what it makes of bytes and work that come back.

use std::collections::VecDeque;

use heddle_border::Blocks;
use heddle_model::Offset;
use heddle_model::limits::SPAN_BYTES;

use crate::clean::{Mapped, Rules};
use crate::group::{Group, seconds};
use crate::keymap::KeyMap;
use crate::names::Part;
use crate::packing::{Packing, Stock};
use crate::pages::Pages;
use crate::piece::{Act, Came, Fetched, Outcome, Piece};
use crate::segment::{NO_TIMESTAMP, Segment, SegmentKey, Span, SpanKey};
use crate::side::Record;

/// Spans of one piece of work: its two wake-ups cost as much as the work on one span does.
pub(crate) const SPANS_AT_WORK: usize = 4;
/// And digests of spans, which are worked on faster.
pub(crate) const DIGESTS_AT_WORK: usize = 16;
/// Their bytes; a single larger span is worked on alone.
const BYTES_AT_WORK: usize = SPANS_AT_WORK * SPAN_BYTES;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Map,
    /// Between two groups.
    Group,
    Create(Part),
    Copy,
    Sync,
    Names,
    Seal,
}

pub(crate) struct Run {
    pub(crate) stage: Stage,
    pub(crate) rules: Rules,
    pub(crate) now_ms: i64,
    pub(crate) segment_bytes: u64,
    pub(crate) delete_retention_ms: i64,
    /// The map holds the records from here on …
    pub(crate) from: Offset,
    /// … to here.
    pub(crate) mapped: Offset,
    pub(crate) to_map: VecDeque<SegmentKey>,
    /// Memory of the map.
    pub(crate) map_bytes: usize,
    /// `None` while work has it.
    pub(crate) map: Option<KeyMap>,
    pub(crate) groups: VecDeque<Group>,
    /// Of the group, not yet read.
    pub(crate) sources: VecDeque<SegmentKey>,
    pub(crate) source: Option<Source>,
    pub(crate) output: Option<Building>,
    pub(crate) stock: Stock,
    /// A batch was met that may hold older records of any key.
    pub(crate) opaque: bool,
    /// An operation is under way beside which nothing is done.
    pub(crate) waiting: bool,
    /// Reads and writes of spans under way.
    pub(crate) reads: usize,
    pub(crate) writes: usize,
    /// Asked for once; if it is not there then, it cannot be had.
    pub(crate) asked: Option<Asked>,
    /// What went wrong with the last operation.
    pub(crate) fault: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    Index(SegmentKey),
    Open(SegmentKey),
}

/// A segment being read.
pub(crate) struct Source {
    pub(crate) key: SegmentKey,
    /// Spans that were not asked for yet.
    pub(crate) unread: VecDeque<Span>,
    /// Spans that are being read, wait, or, at the front, are worked on.
    pub(crate) ahead: VecDeque<Ahead>,
    /// How many are worked on.
    pub(crate) at_work: usize,
    pub(crate) drop_tombstones: bool,
    /// What is known of its spans without reading them; of use to a map only.
    pub(crate) pages: Option<Pages>,
}

/// A span on its way, with its bytes once they are there and until they are worked on.
pub(crate) struct Ahead {
    pub(crate) span: Span,
    pub(crate) bytes: Option<Fetched>,
}

impl Ahead {
    pub(crate) fn is_digested(&self) -> bool {
        matches!(self.bytes, Some(Fetched::Digest(_)))
    }

    /// Its bytes in memory, now or soon.
    pub(crate) fn cost(&self) -> usize {
        match &self.bytes {
            Some(Fetched::Digest(digest)) => digest.len(),
            _ => self.span.padded(),
        }
    }
}

/// A segment being written.
pub(crate) struct Building {
    pub(crate) key: SegmentKey,
    pub(crate) group: Group,
    /// Away while work has it.
    pub(crate) packing: Packing,
    /// Spans that wait to be written, in order.
    pub(crate) full: VecDeque<(Span, Blocks)>,
    pub(crate) spans: Vec<Span>,
    pub(crate) at: u64,
}

impl Run {
    pub(crate) fn output(&self) -> &Building {
        self.output.as_ref().expect("there is an output from its creation to its swap")
    }

    /// Whether copying may pass a span by unread.
    pub(crate) fn is_replaced(&self, span: &Span) -> bool {
        self.stage == Stage::Copy && self.map.as_ref().is_some_and(|map| map.replaces_span(span.base))
    }

    /// Whether operations of this round are under way.
    pub(crate) fn is_under_way(&self) -> bool {
        self.waiting || self.reads > 0 || self.writes > 0
    }

    /// The source is read to its end, or gone.
    pub(crate) fn next_source(&mut self) {
        self.source = None;
        if self.stage == Stage::Map {
            self.to_map.pop_front()
        } else {
            self.sources.pop_front()
        };
    }

    /// Whether a span that was read is still of use: its source is over if the map became full meanwhile.
    pub(crate) fn awaits(&self, place: SpanKey) -> bool {
        let source = self.source.as_ref().filter(|source| source.key == place.segment);
        source.is_some_and(|source| source.ahead.iter().any(|ahead| ahead.span.at == place.at))
    }

    /// A span was read. Its checksum is looked at with the work that is done on it.
    pub(crate) fn take_span(&mut self, place: SpanKey, buf: Blocks, len: usize) {
        let source = self.source.as_mut().expect("it awaits the span");
        let found = source.ahead.iter_mut().find(|ahead| ahead.span.at == place.at);
        let ahead = found.expect("it awaits the span");
        if len == ahead.span.padded() {
            ahead.bytes = Some(Fetched::Read(buf));
        } else {
            self.fault = Some(format!("offsets {} to {} end early", ahead.span.base, ahead.span.next));
        }
    }

    /// The next piece of work. `None`: too little has been read for it, and more is on its way.
    pub(crate) fn next_piece(&mut self) -> Option<Piece> {
        let source = self.source.as_mut()?;
        let mut bytes = 0;
        let fits = |ahead: &&Ahead| {
            bytes += ahead.cost();
            ahead.bytes.is_some() && (bytes <= BYTES_AT_WORK || bytes == ahead.cost())
        };
        let is_digested = source.ahead.front().is_some_and(Ahead::is_digested);
        let most = if is_digested { DIGESTS_AT_WORK } else { SPANS_AT_WORK };
        let ready = source.ahead.iter().take(most).take_while(fits).count();
        let is_whole = ready == most || bytes > BYTES_AT_WORK;
        if ready == 0 || !(is_whole || self.reads == 0) {
            return None;
        }
        source.at_work = ready;
        let take = |ahead: &mut Ahead| ahead.bytes.take().map(|bytes| (ahead.span, bytes));
        let spans = source.ahead.iter_mut().take(ready).filter_map(take).collect();
        let act = match self.output.as_mut() {
            None => Act::Map { from: self.from },
            Some(output) => Act::Copy {
                drop_tombstones: source.drop_tombstones,
                opaque: self.opaque,
                packing: std::mem::take(&mut output.packing),
            },
        };
        // Mapping packs nothing.
        let spare = if self.output.is_some() { ready } else { 0 };
        let map = self.map.take().expect("no work is under way");
        Some(Piece { spans, map, stock: self.stock.part(spare), rules: self.rules.clone(), act })
    }

    pub(crate) fn take_outcome(&mut self, outcome: Option<Outcome>) -> Result<(), String> {
        let source = self.source.as_mut().expect("work is about a source");
        let done = std::mem::take(&mut source.at_work);
        source.ahead.drain(..done);
        let Outcome { map, stock, result } = outcome.ok_or("its work did not end")?;
        self.map = Some(map);
        self.stock.take_in(stock);
        match result? {
            Came::Mapped(Mapped::All) => {}
            Came::Mapped(Mapped::Upto(upto)) => {
                self.mapped = upto;
                self.to_map.clear();
                self.source = None;
            }
            Came::Copied { mut packing, opaque } => {
                let output = self.output.as_mut().expect("copying has an output");
                output.full.extend(packing.take_full());
                (output.packing, self.opaque) = (packing, opaque);
            }
        }
        Ok(())
    }

    /// The output's seal.
    pub(crate) fn record(&self) -> Record {
        let Building { key, group, spans, at, .. } = self.output();
        let own = Segment {
            next: group.next,
            bytes: *at,
            max_timestamp: spans.iter().map(|span| span.max_timestamp).max().unwrap_or(NO_TIMESTAMP),
            written_ms: group.written_ms,
            // Of nothing, nothing more can be taken.
            cleaned_s: if *at == 0 { seconds(self.now_ms) } else { group.cleaned_s },
            ..Segment::empty(*key).without_index()
        };
        let (written_ms, spans, own) = (group.written_ms, spans.clone(), Some(Box::new(own)));
        let mut record = Record { written_ms, spans, own, snapshot: Some(Vec::new()), ..Record::default() };
        let side_bytes = record.padded_bytes() as u64;
        record.own.iter_mut().for_each(|own| own.side_bytes = side_bytes);
        record
    }
}
