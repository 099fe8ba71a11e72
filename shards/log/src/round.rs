//! What a round of compaction remembers while it is under way, and what it makes of bytes and work that come back.

use std::collections::VecDeque;

use bytes::Bytes;
use heddle_border::Blocks;
use heddle_model::Offset;
use heddle_model::limits::SPAN_BYTES;

use crate::clean::{Kept, Mapped, Rules, Unreadable};
use crate::group::{Group, seconds};
use crate::keymap::KeyMap;
use crate::names::Part;
use crate::segment::{NO_TIMESTAMP, Segment, SegmentKey, Span, SpanKey};
use crate::side::Record;

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
    pub(crate) drop_tombstones: bool,
}

/// A span on its way, with its bytes once they are there and until they are worked on.
pub(crate) struct Ahead {
    pub(crate) span: Span,
    pub(crate) bytes: Option<Bytes>,
}

/// A segment being written.
pub(crate) struct Building {
    pub(crate) key: SegmentKey,
    pub(crate) group: Group,
    pub(crate) pending: VecDeque<Kept>,
    pub(crate) pending_bytes: usize,
    pub(crate) spans: Vec<Span>,
    pub(crate) at: u64,
}

/// What work gives back. The map lives with it meanwhile.
pub(crate) enum Outcome {
    Mapped(KeyMap, Result<Mapped, Unreadable>),
    Retained(KeyMap, Result<Vec<Kept>, Unreadable>, bool),
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
            ahead.bytes = Some(buf.freeze());
        } else {
            self.fault = Some(format!("offsets {} to {} end early", ahead.span.base, ahead.span.next));
        }
    }

    pub(crate) fn take_outcome(&mut self, outcome: Option<Outcome>) -> Result<(), String> {
        let source = self.source.as_mut().expect("work is about a source");
        let Ahead { span, .. } = source.ahead.pop_front().expect("work is about a span");
        let unreadable = |Unreadable(what)| format!("offsets {} to {} {what}", span.base, span.next);
        match outcome {
            None => return Err("its work did not end".to_owned()),
            Some(Outcome::Mapped(map, mapped)) => {
                self.map = Some(map);
                if let Mapped::Upto(upto) = mapped.map_err(unreadable)? {
                    self.mapped = upto;
                    self.to_map.clear();
                    self.source = None;
                }
            }
            Some(Outcome::Retained(map, kept, opaque)) => {
                (self.map, self.opaque) = (Some(map), opaque);
                let output = self.output.as_mut().expect("copying has an output");
                for kept in kept.map_err(unreadable)? {
                    output.pending_bytes += kept.bytes.len();
                    output.pending.push_back(kept);
                }
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

impl Building {
    /// The next span of the output: as many of the batches that wait as it holds.
    pub(crate) fn next_span(&mut self) -> (Span, Blocks) {
        let mut bytes = 0;
        let fits = |kept: &&Kept| {
            bytes += kept.bytes.len();
            bytes <= SPAN_BYTES || bytes == kept.bytes.len()
        };
        let count = self.pending.iter().take_while(fits).count();
        let taken: Vec<Kept> = self.pending.drain(..count).collect();
        let len: usize = taken.iter().map(|kept| kept.bytes.len()).sum();
        self.pending_bytes -= len;
        let mut blocks = Blocks::zeroed(len);
        let mut at = 0;
        for kept in &taken {
            blocks[at..at + kept.bytes.len()].copy_from_slice(&kept.bytes);
            at += kept.bytes.len();
        }
        let (first, last) = (&taken[0], &taken[count - 1]);
        let span = Span {
            base: first.base,
            next: last.next,
            at: self.at,
            len: u32::try_from(len).expect("batches are far below 4 GiB"),
            crc: crc32c::crc32c(&blocks),
            max_timestamp: taken.iter().map(|kept| kept.max_timestamp).max().unwrap_or(NO_TIMESTAMP),
            term: first.term,
            // Only of a segment that is written does anybody ask.
            first_below_ms: u32::MAX,
        };
        (span, blocks)
    }
}
