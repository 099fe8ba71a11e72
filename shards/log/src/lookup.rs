//! Finding records by time. Segments and spans know their largest timestamp; only a batch that must hold the answer is
//! looked into.

use bytes::Bytes;
use heddle_border::Effect;
use heddle_model::{Codec, Offset};
use heddle_records::{HEADER_BYTES, Header, batches, records};

use crate::Log;
use crate::ask::{Found, ReadFault};
use crate::query::{Answer, Attempt, Query, Question, Want};
use crate::segment::{Index, NO_TIMESTAMP, Segment, SegmentKey, Span};
use crate::tail::Tailed;

/// Stops an attempt: something is lacking, or cannot be had.
enum Stop {
    Want(Want),
    Fault(ReadFault),
}

fn to_attempt(result: Result<Found, Stop>) -> Attempt<Found> {
    match result {
        Ok(found) => Attempt::Done(Ok(found)),
        Err(Stop::Fault(fault)) => Attempt::Done(Err(fault)),
        Err(Stop::Want(want)) => Attempt::Wants(vec![want]),
    }
}

/// The offsets that count: from the log start to what the asker may see.
#[derive(Clone, Copy)]
struct Range {
    start: Offset,
    upto: Offset,
}

impl Range {
    fn touches(&self, base: Offset, next: Offset) -> bool {
        next > self.start && base < self.upto
    }

    fn covers(&self, base: Offset, next: Offset) -> bool {
        base >= self.start && next <= self.upto
    }
}

/// Where the largest timestamp was seen so far.
enum Best {
    Nowhere,
    Segment(SegmentKey),
    Span(SegmentKey, Span),
    Batch(Bytes),
}

impl Log {
    /// The first record from `from` (or from the log start, if that is later) to below `upto` whose timestamp is at least
    /// `at_or_after` (ms since 1970). `None`: it comes as `Output::Found`. A packed batch is handed out to be unpacked by
    /// the caller, who skips records below both bounds, and asks again from behind the batch if nothing is left in it.
    pub fn find_time(
        &mut self,
        id: u64,
        at_or_after: i64,
        from: Offset,
        upto: Offset,
        out: &mut Vec<Effect>,
    ) -> Option<Result<Found, ReadFault>> {
        self.find(id, Question::Time { at_or_after, from, upto }, out)
    }

    /// The first record in the same range with the largest timestamp. `None`: it comes as `Output::Found`. Packed batches
    /// as in `find_time`.
    pub fn max_timestamp(
        &mut self,
        id: u64,
        from: Offset,
        upto: Offset,
        out: &mut Vec<Effect>,
    ) -> Option<Result<Found, ReadFault>> {
        self.find(id, Question::Largest { from, upto }, out)
    }

    fn find(&mut self, id: u64, question: Question, out: &mut Vec<Effect>) -> Option<Result<Found, ReadFault>> {
        match self.ask(id, question, out)? {
            Answer::Found(result) => Some(result),
            Answer::Read(_) => panic!("a lookup is answered with a position"),
        }
    }

    pub(crate) fn attempt_time(
        &mut self,
        query: &Query,
        at_or_after: i64,
        from: Offset,
        upto: Offset,
    ) -> Attempt<Found> {
        to_attempt(self.search_time(query, at_or_after, Range { start: self.start.max(from), upto }))
    }

    pub(crate) fn attempt_largest(&mut self, query: &Query, from: Offset, upto: Offset) -> Attempt<Found> {
        to_attempt(self.search_largest(query, Range { start: self.start.max(from), upto }))
    }

    fn search_time(&mut self, query: &Query, time: i64, range: Range) -> Result<Found, Stop> {
        for key in self.keys_where(|segment| segment.max_timestamp >= time, range) {
            for span in self.spans_of(query, key)? {
                if span.max_timestamp >= time && range.touches(span.base, span.next) {
                    let bytes = self.bytes_of(query, key, &span)?;
                    let found = find_in_span(&bytes, &span, range, |timestamp| timestamp >= time);
                    if let Some(found) = found.map_err(Stop::Fault)? {
                        return Ok(found);
                    }
                }
            }
        }
        for Tailed { batch, max_timestamp, .. } in self.tail.after(range.start.max(self.settled)) {
            if batch.next > range.upto {
                break;
            }
            if *max_timestamp >= time {
                let found = find_in_batch(&batch.bytes, range.start, |timestamp| timestamp >= time);
                if let Some(found) = found.map_err(Stop::Fault)? {
                    return Ok(found);
                }
            }
        }
        Ok(Found::None)
    }

    /// A batch that begins below the start may have its largest timestamp there. What is left of it then competes with
    /// all that follows.
    fn search_largest(&mut self, query: &Query, range: Range) -> Result<Found, Stop> {
        let Some((largest, batch)) = self.batch_with_largest(query, range)? else { return Ok(Found::None) };
        let found = find_in_batch(&batch, range.start, |timestamp| timestamp == largest).map_err(Stop::Fault)?;
        let (None, Ok(header)) = (&found, Header::read(&batch)) else { return Ok(found.unwrap_or(Found::None)) };
        let left = largest_in_batch(&batch, &header, range.start).map_err(Stop::Fault)?;
        if header.base_offset >= range.start {
            // Its header claims a timestamp that no record has: then it is the largest that one has.
            return Ok(left);
        }
        let behind = Range { start: header.next_offset(), upto: range.upto };
        let Some((largest, batch)) = self.batch_with_largest(query, behind)? else { return Ok(left) };
        if matches!(left, Found::At { timestamp, .. } if timestamp >= largest) {
            return Ok(left);
        }
        let found = find_in_batch(&batch, behind.start, |timestamp| timestamp == largest).map_err(Stop::Fault)?;
        Ok(found.unwrap_or(left))
    }

    /// Two descents: who has the largest timestamp, as coarsely as possible, and then where it is.
    fn batch_with_largest(&mut self, query: &Query, range: Range) -> Result<Option<(i64, Bytes)>, Stop> {
        let (largest, best) = self.largest(query, range)?;
        let batch = match best {
            Best::Nowhere => return Ok(None),
            Best::Batch(batch) => batch,
            Best::Span(key, span) => self.batch_with(query, key, &span, range, largest)?,
            Best::Segment(key) => {
                let spans = self.spans_of(query, key)?;
                match spans.into_iter().find(|span| span.max_timestamp == largest) {
                    Some(span) => self.batch_with(query, key, &span, range, largest)?,
                    None => return Err(Stop::Fault(self.hole(key))),
                }
            }
        };
        Ok(Some((largest, batch)))
    }

    fn largest(&mut self, query: &Query, range: Range) -> Result<(i64, Best), Stop> {
        let (mut largest, mut best) = (NO_TIMESTAMP, Best::Nowhere);
        for key in self.keys_where(|_| true, range) {
            let segment = self.segment(key).expect("it was listed a line ago");
            // What was given but is not marked counts as tail, so the segment's own maximum may reach beyond.
            if range.covers(segment.key.base, segment.next) && segment.next <= self.settled {
                if segment.max_timestamp > largest {
                    (largest, best) = (segment.max_timestamp, Best::Segment(key));
                }
                continue;
            }
            for span in self.spans_of(query, key)? {
                if span.max_timestamp <= largest || !range.touches(span.base, span.next) {
                    continue;
                }
                if range.covers(span.base, span.next) {
                    (largest, best) = (span.max_timestamp, Best::Span(key, span));
                    continue;
                }
                let bytes = self.bytes_of(query, key, &span)?;
                for batch in visible(&bytes, &span, range) {
                    let (header, batch) = batch.map_err(Stop::Fault)?;
                    if header.count > 0 && header.max_timestamp > largest {
                        (largest, best) = (header.max_timestamp, Best::Batch(bytes.slice_ref(batch)));
                    }
                }
            }
        }
        for Tailed { batch, max_timestamp, .. } in self.tail.after(range.start.max(self.settled)) {
            if batch.next > range.upto {
                break;
            }
            if *max_timestamp > largest {
                (largest, best) = (*max_timestamp, Best::Batch(batch.bytes.clone()));
            }
        }
        Ok((largest, best))
    }

    /// The first batch of a span that has this largest timestamp.
    fn batch_with(
        &mut self,
        query: &Query,
        key: SegmentKey,
        span: &Span,
        range: Range,
        largest: i64,
    ) -> Result<Bytes, Stop> {
        let bytes = self.bytes_of(query, key, span)?;
        for batch in visible(&bytes, span, range) {
            let (header, batch) = batch.map_err(Stop::Fault)?;
            if header.count > 0 && header.max_timestamp == largest {
                return Ok(bytes.slice_ref(batch));
            }
        }
        Err(Stop::Fault(ReadFault::Damaged { from: span.base, to: span.next }))
    }

    fn keys_where(&self, wanted: impl Fn(&Segment) -> bool, range: Range) -> Vec<SegmentKey> {
        let touched = self.segments().filter(|segment| range.touches(segment.key.base, segment.next));
        touched.filter(|segment| wanted(segment)).map(|segment| segment.key).collect()
    }

    /// The marked spans of a segment, which must all be known.
    fn spans_of(&self, query: &Query, key: SegmentKey) -> Result<Vec<Span>, Stop> {
        let segment = self.segment(key).expect("the segment was found in this attempt");
        match &segment.index {
            Index::Absent => match query.fault(&Want::Index(key)) {
                Some(fault) => Err(Stop::Fault(fault)),
                None => Err(Stop::Want(Want::Index(key))),
            },
            Index::Known { hole: Some(from), .. } => {
                Err(Stop::Fault(ReadFault::Damaged { from: *from, to: segment.next }))
            }
            Index::Known { spans, hole: None } => {
                Ok(spans.iter().filter(|span| span.next <= self.settled).copied().collect())
            }
        }
    }

    fn bytes_of(&mut self, query: &Query, key: SegmentKey, span: &Span) -> Result<Bytes, Stop> {
        match self.span_bytes(query, key, span) {
            Some(result) => result.map_err(Stop::Fault),
            None => Err(Stop::Want(Want::Span(key, *span))),
        }
    }
}

/// The batches of a span that count.
fn visible<'a>(
    bytes: &'a Bytes,
    span: &Span,
    range: Range,
) -> impl Iterator<Item = Result<(Header, &'a [u8]), ReadFault>> {
    let damaged = ReadFault::Damaged { from: span.base, to: span.next };
    let all = batches(&bytes[..span.len as usize]).map(move |batch| batch.map_err(|_| damaged));
    all.filter(move |batch| match batch {
        Ok((header, _)) => header.next_offset() > range.start && header.next_offset() <= range.upto,
        Err(_) => true,
    })
}

fn find_in_span(
    bytes: &Bytes,
    span: &Span,
    range: Range,
    is_right: impl Fn(i64) -> bool + Copy,
) -> Result<Option<Found>, ReadFault> {
    for batch in visible(bytes, span, range) {
        let (header, batch) = batch?;
        if is_right(header.max_timestamp) {
            let found = find_in_batch(&bytes.slice_ref(batch), range.start, is_right)?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    Ok(None)
}

/// The first record at or beyond `start` with the right timestamp, or the batch itself if it is packed.
fn find_in_batch(batch: &Bytes, start: Offset, is_right: impl Fn(i64) -> bool) -> Result<Option<Found>, ReadFault> {
    let Ok(header) = Header::read(batch) else {
        return Err(ReadFault::Damaged { from: start, to: start });
    };
    if header.codec() != Some(Codec::None) {
        return Ok(Some(Found::Compressed { batch: batch.clone() }));
    }
    for record in records(&batch[HEADER_BYTES..], header.count) {
        let Ok(record) = record else {
            return Err(ReadFault::Damaged { from: header.base_offset, to: header.next_offset() });
        };
        let offset = header.base_offset.plus(i64::from(record.offset_delta));
        let timestamp = header.timestamp_of(record.timestamp_delta);
        if offset >= start && is_right(timestamp) {
            return Ok(Some(Found::At { offset, timestamp, epoch: header.leader_epoch }));
        }
    }
    Ok(None)
}

/// The first record at or beyond `start` of a batch that is not packed with the largest timestamp of those.
fn largest_in_batch(batch: &Bytes, header: &Header, start: Offset) -> Result<Found, ReadFault> {
    let mut best: Option<(Offset, i64)> = None;
    for record in records(&batch[HEADER_BYTES..], header.count) {
        let Ok(record) = record else {
            return Err(ReadFault::Damaged { from: header.base_offset, to: header.next_offset() });
        };
        let offset = header.base_offset.plus(i64::from(record.offset_delta));
        let timestamp = header.timestamp_of(record.timestamp_delta);
        if offset >= start && best.is_none_or(|(_, largest)| timestamp > largest) {
            best = Some((offset, timestamp));
        }
    }
    let at = |(offset, timestamp)| Found::At { offset, timestamp, epoch: header.leader_epoch };
    Ok(best.map_or(Found::None, at))
}
