//! Reading batches: from the tail, from spans in memory, from the disk, and ahead of a sequential reader.

use bytes::Bytes;
use heddle_border::Effect;
use heddle_model::Offset;
use heddle_records::batches;

use crate::Log;
use crate::ask::ReadFault;
use crate::query::{Answer, Attempt, Query, Question, Want};
use crate::segment::{Index, SegmentKey, Span, SpanKey};

/// Spans fetched at once for one read.
const SPANS_AT_ONCE: usize = 4;
/// Spans fetched ahead of a sequential reader.
const SPANS_AHEAD: usize = 2;

/// What a read collected.
struct Gather {
    from: Offset,
    upto: Offset,
    max_bytes: usize,
    at_least_one: bool,
    taken: usize,
    parts: Vec<Bytes>,
    /// The next offset to look at.
    end: Offset,
    full: bool,
}

impl Gather {
    /// Take from a span's bytes the whole batches that are asked for and fit. They lie together: one slice.
    fn take(&mut self, bytes: &Bytes, span: &Span) -> Result<(), ReadFault> {
        let damaged = ReadFault::Damaged { from: span.base, to: span.next };
        let (mut at, mut begin) = (0, None);
        for batch in batches(&bytes[..span.len as usize]) {
            let (header, batch) = batch.map_err(|_| damaged)?;
            let next = header.next_offset();
            if next > self.from {
                let nothing_yet = self.parts.is_empty() && begin.is_none();
                let fits = self.taken + batch.len() <= self.max_bytes || (self.at_least_one && nothing_yet);
                if next > self.upto || !fits {
                    self.full = true;
                    break;
                }
                begin.get_or_insert(at);
                self.taken += batch.len();
                self.end = next;
            }
            at += batch.len();
        }
        if let Some(begin) = begin {
            self.parts.push(bytes.slice(begin..at));
        }
        if !self.full {
            self.end = self.end.max(span.next);
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.full || self.end >= self.upto || (self.taken >= self.max_bytes && !self.parts.is_empty())
    }
}

/// The next thing to look at below the mark.
enum Place {
    Span(SegmentKey, Span),
    /// The segment's index must be read first.
    Index(SegmentKey),
    /// Nothing is known from here to the segment's end.
    Hole {
        from: Offset,
        to: Offset,
    },
    /// Nothing more below the mark.
    End,
}

impl Log {
    /// Whole batches from the one that contains `from` (or, in a gap, follows it), all below `upto`, in at most
    /// `max_bytes`; with `at_least_one` the first comes even if it is larger. The caller checked the bounds. `None`:
    /// it comes as `Output::Read`. An answer may end early where memory ends, but with `at_least_one` it is empty only
    /// if there is no batch.
    pub fn read(
        &mut self,
        id: u64,
        from: Offset,
        upto: Offset,
        max_bytes: usize,
        at_least_one: bool,
        out: &mut Vec<Effect>,
    ) -> Option<Result<Vec<Bytes>, ReadFault>> {
        if from >= self.settled {
            let mut parts = Vec::new();
            self.tail.collect(from, upto, max_bytes, at_least_one, 0, &mut parts);
            return Some(Ok(parts));
        }
        match self.ask(id, Question::Read { from, upto, max_bytes, at_least_one }, out)? {
            Answer::Read(result) => Some(result),
            Answer::Found(_) => panic!("a read is answered with batches"),
        }
    }

    pub(crate) fn attempt_read(
        &mut self,
        query: &Query,
        from: Offset,
        upto: Offset,
        max_bytes: usize,
        at_least_one: bool,
        out: &mut Vec<Effect>,
    ) -> Attempt<Vec<Bytes>> {
        let (taken, parts) = (0, Vec::new());
        let mut gather = Gather { from, upto, max_bytes, at_least_one, taken, parts, end: from, full: false };
        let attempt = self.gather(query, &mut gather);
        let in_order = from == self.start || self.recent_ends.contains(&from);
        let reached = match &attempt {
            Attempt::Wants(wants) => wants.iter().filter_map(Want::end).max().unwrap_or(from),
            Attempt::Done(_) => gather.end,
        };
        if in_order {
            self.read_ahead(reached, out);
        }
        if matches!(attempt, Attempt::Done(Ok(()))) {
            self.recent_ends.rotate_right(1);
            self.recent_ends[0] = gather.end;
        }
        match attempt {
            Attempt::Done(Ok(())) => Attempt::Done(Ok(gather.parts)),
            Attempt::Done(Err(fault)) => Attempt::Done(Err(fault)),
            Attempt::Wants(wants) => Attempt::Wants(wants),
        }
    }

    /// Collect what is in memory. If the very first span is not, it and those behind it are wanted.
    fn gather(&mut self, query: &Query, gather: &mut Gather) -> Attempt<()> {
        let mut wants = Vec::new();
        let mut at = gather.from;
        let mut ended = false;
        while !gather.is_done() && at < gather.upto {
            let nothing_yet = gather.parts.is_empty();
            match self.place(at) {
                Place::End => {
                    ended = true;
                    break;
                }
                Place::Span(key, span) => {
                    match self.span_bytes(query, key, &span) {
                        Some(Ok(bytes)) if wants.is_empty() => {
                            if let Err(fault) = gather.take(&bytes, &span) {
                                return end_at(fault, nothing_yet);
                            }
                        }
                        Some(Ok(_)) => {}
                        Some(Err(fault)) if wants.is_empty() => return end_at(fault, nothing_yet),
                        Some(Err(_)) => break,
                        None if nothing_yet && wants_more(&wants, gather.max_bytes) => {
                            wants.push(Want::Span(key, span));
                        }
                        None => break,
                    }
                    at = span.next;
                }
                Place::Index(key) if nothing_yet && wants.is_empty() => {
                    return match query.fault(&Want::Index(key)) {
                        Some(fault) => Attempt::Done(Err(fault)),
                        None => Attempt::Wants(vec![Want::Index(key)]),
                    };
                }
                Place::Hole { from, to } if wants.is_empty() => {
                    return end_at(ReadFault::Damaged { from, to }, nothing_yet);
                }
                Place::Index(_) | Place::Hole { .. } => break,
            }
        }
        if !wants.is_empty() {
            return Attempt::Wants(wants);
        }
        if !gather.is_done() && (ended || at >= self.settled) {
            self.tail_part(gather);
        }
        Attempt::Done(Ok(()))
    }

    fn tail_part(&self, gather: &mut Gather) {
        let from = gather.from.max(self.settled);
        let Gather { upto, max_bytes, at_least_one, taken, .. } = *gather;
        self.tail.collect(from, upto, max_bytes, at_least_one, taken, &mut gather.parts);
    }

    /// What stands at or behind an offset below the mark.
    fn place(&self, at: Offset) -> Place {
        for segment in self.segments().skip(self.sealed.partition_point(|segment| segment.next <= at)) {
            let Index::Known { spans, hole } = &segment.index else { return Place::Index(segment.key) };
            let first = spans.partition_point(|span| span.next <= at);
            match (spans.get(first), hole) {
                (Some(span), _) if span.next <= self.settled => return Place::Span(segment.key, *span),
                (Some(_), _) => return Place::End,
                (None, Some(hole)) if at < segment.next => return Place::Hole { from: *hole, to: segment.next },
                (None, _) => {}
            }
        }
        Place::End
    }

    /// Fetch what a sequential reader will want next.
    fn read_ahead(&mut self, from: Offset, out: &mut Vec<Effect>) {
        let mut at = from;
        for _ in 0..SPANS_AHEAD {
            match self.place(at) {
                Place::Span(segment, span) => {
                    if !self.cache.contains(SpanKey { segment, at: span.at }) {
                        self.request(&Want::Span(segment, span), out);
                    }
                    at = span.next;
                }
                Place::Index(key) => return self.request(&Want::Index(key), out),
                Place::Hole { .. } | Place::End => return,
            }
        }
    }
}

impl Want {
    fn end(&self) -> Option<Offset> {
        match self {
            Want::Span(_, span) => Some(span.next),
            Want::Load | Want::Index(_) => None,
        }
    }
}

fn wants_more(wants: &[Want], max_bytes: usize) -> bool {
    let bytes = wants.iter().map(|want| if let Want::Span(_, span) = want { span.padded() } else { 0 });
    wants.is_empty() || (wants.len() < SPANS_AT_ONCE && bytes.sum::<usize>() < max_bytes)
}

/// A fault counts only where the read begins; behind other batches the next read meets it.
fn end_at(fault: ReadFault, nothing_yet: bool) -> Attempt<()> {
    Attempt::Done(if nothing_yet { Err(fault) } else { Ok(()) })
}
