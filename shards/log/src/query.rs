//! The way back up: a question is attempted with what is in memory; what it lacks is fetched, and it is attempted again.

use bytes::Bytes;
use heddle_border::{Done, Effect, Failed, Fault, OpenMode};
use heddle_model::Offset;

use crate::Log;
use crate::ask::{Found, Output, ReadFault};
use crate::disk::{FileKey, Op};
use crate::names::Part;
use crate::prepare::Stage;
use crate::segment::{SegmentKey, Span, SpanKey};

/// What a question lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Want {
    Load,
    Index(SegmentKey),
    Span(SegmentKey, Span),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    Read { from: Offset, upto: Offset, max_bytes: usize, at_least_one: bool },
    Time { at_or_after: i64, from: Offset, upto: Offset },
    Largest { from: Offset, upto: Offset },
}

/// A question under way. What was fetched for it stays with it, so that the cache may evict at any time.
pub(crate) struct Query {
    id: u64,
    question: Question,
    wants: Vec<Want>,
    held: Vec<(SpanKey, Bytes)>,
    faults: Vec<(Want, ReadFault)>,
}

/// What an attempt came to: an answer, or what it lacks.
pub(crate) enum Attempt<T> {
    Done(Result<T, ReadFault>),
    Wants(Vec<Want>),
}

impl<T> Attempt<T> {
    fn map<U>(self, make: impl FnOnce(Result<T, ReadFault>) -> U) -> Attempt<U> {
        match self {
            Attempt::Done(result) => Attempt::Done(Ok(make(result))),
            Attempt::Wants(wants) => Attempt::Wants(wants),
        }
    }
}

pub(crate) enum Answer {
    Read(Result<Vec<Bytes>, ReadFault>),
    Found(Result<Found, ReadFault>),
}

impl Answer {
    fn fault(question: &Question, fault: ReadFault) -> Answer {
        match question {
            Question::Read { .. } => Answer::Read(Err(fault)),
            Question::Time { .. } | Question::Largest { .. } => Answer::Found(Err(fault)),
        }
    }

    fn into_output(self, id: u64) -> Output {
        match self {
            Answer::Read(result) => Output::Read { id, result },
            Answer::Found(result) => Output::Found { id, result },
        }
    }
}

impl Query {
    pub(crate) fn fault(&self, want: &Want) -> Option<ReadFault> {
        self.faults.iter().find(|(of, _)| of == want).map(|(_, fault)| *fault)
    }

    fn held(&self, key: SpanKey) -> Option<Bytes> {
        self.held.iter().find(|(of, _)| *of == key).map(|(_, bytes)| bytes.clone())
    }
}

impl Log {
    /// Answer at once, or begin to fetch what is lacking.
    pub(crate) fn ask(&mut self, id: u64, question: Question, out: &mut Vec<Effect>) -> Option<Answer> {
        if self.removal.is_asked() {
            return Some(Answer::fault(&question, ReadFault::Io(Fault::NotFound)));
        }
        let query = Query { id, question, wants: Vec::new(), held: Vec::new(), faults: Vec::new() };
        match self.attempt(query, out) {
            Ok(answer) => Some(answer),
            Err(waiting) => {
                self.queries.push(waiting);
                None
            }
        }
    }

    /// The answer, or the question back with what it lacks asked for.
    fn attempt(&mut self, mut query: Query, out: &mut Vec<Effect>) -> Result<Answer, Query> {
        let attempt = match query.question {
            _ if !self.is_loaded() => match query.fault(&Want::Load) {
                Some(fault) => return Ok(Answer::fault(&query.question, fault)),
                None => Attempt::Wants(vec![Want::Load]),
            },
            Question::Read { from, upto, max_bytes, at_least_one } => {
                self.attempt_read(&query, from, upto, max_bytes, at_least_one, out).map(Answer::Read)
            }
            Question::Time { at_or_after, from, upto } => {
                self.attempt_time(&query, at_or_after, from, upto).map(Answer::Found)
            }
            Question::Largest { from, upto } => self.attempt_largest(&query, from, upto).map(Answer::Found),
        };
        match attempt {
            Attempt::Done(Ok(answer)) => Ok(answer),
            Attempt::Done(Err(fault)) => Ok(Answer::fault(&query.question, fault)),
            Attempt::Wants(wants) => {
                wants.iter().for_each(|want| self.request(want, out));
                query.wants = wants;
                Err(query)
            }
        }
    }

    /// Something arrived: attempt every question again.
    pub(crate) fn pump_queries(&mut self, out: &mut Vec<Effect>, events: &mut Vec<Output>) {
        for query in std::mem::take(&mut self.queries) {
            let id = query.id;
            match self.attempt(query, out) {
                Ok(answer) => events.push(answer.into_output(id)),
                Err(waiting) => self.queries.push(waiting),
            }
        }
    }

    /// Everybody who waits for such a thing learns that it cannot be had.
    pub(crate) fn fault_queries(&mut self, fault: ReadFault, hits: impl Fn(&Want) -> bool) {
        for query in &mut self.queries {
            let wants = query.wants.iter().filter(|want| hits(want));
            query.faults.extend(wants.map(|want| (*want, fault)));
        }
    }

    /// Refuse every question: the log goes away.
    pub(crate) fn refuse_queries(&mut self, events: &mut Vec<Output>) {
        for query in std::mem::take(&mut self.queries) {
            events.push(Answer::fault(&query.question, ReadFault::Io(Fault::NotFound)).into_output(query.id));
        }
    }

    /// Fetch something, unless that is under way.
    pub(crate) fn request(&mut self, want: &Want, out: &mut Vec<Effect>) {
        match want {
            Want::Load => self.load(out),
            Want::Index(key) => {
                if let Some(side_bytes) = self.segment(*key).map(|segment| segment.side_bytes) {
                    self.read_side(*key, side_bytes, out);
                }
            }
            Want::Span(key, span) => self.request_span(*key, span, out),
        }
    }

    fn request_span(&mut self, key: SegmentKey, span: &Span, out: &mut Vec<Effect>) {
        let place = SpanKey { segment: key, at: span.at };
        let file = FileKey { segment: key, part: Part::Log };
        if self.fetching.contains(&place) {
            return;
        }
        if self.disk.is_open(file) {
            self.fetching.insert(place);
            self.disk.read_span(key, span, out);
        } else if !self.disk.is_known(file) {
            let writes = self.active.as_ref().is_some_and(|active| active.key == key);
            let mode = if writes { OpenMode::Existing } else { OpenMode::ReadOnly };
            self.disk.open(Op::Open(file), file, mode, out);
        }
    }

    pub(crate) fn on_opened(
        &mut self,
        file: FileKey,
        result: Result<Done, Failed>,
        out: &mut Vec<Effect>,
        events: &mut Vec<Output>,
    ) {
        self.disk.on_opened(file, result.is_ok());
        if let Err(Failed { fault, .. }) = result {
            let hit = if fault == Fault::NotFound { self.hole(file.segment) } else { ReadFault::Io(fault) };
            self.fault_queries(hit, |want| matches!(want, Want::Span(key, _) if *key == file.segment));
            let writes = self.active.as_ref().is_some_and(|active| active.key == file.segment);
            if writes && self.settling.stage == Stage::Made && self.settling.is_writing() {
                self.fail_settling(fault, events);
            }
        }
        self.pump(out);
        self.pump_queries(out, events);
    }

    /// A span came from the disk: it counts only if its checksum agrees. A prefetch that fails tells nobody; who really
    /// reads there finds out.
    pub(crate) fn on_span_read(
        &mut self,
        segment: SegmentKey,
        span: Span,
        result: Result<Done, Failed>,
        out: &mut Vec<Effect>,
        events: &mut Vec<Output>,
    ) {
        let (place, want) = (SpanKey { segment, at: span.at }, Want::Span(segment, span));
        self.fetching.remove(&place);
        match result {
            Ok(Done::Read { buf, len }) if len == span.padded() && crc32c::crc32c(&buf) == span.crc => {
                let bytes = buf.freeze();
                self.cache.insert(place, bytes.clone());
                for query in self.queries.iter_mut().filter(|query| query.wants.contains(&want)) {
                    query.held.push((place, bytes.clone()));
                }
            }
            Ok(Done::Read { .. }) => {
                let damaged = ReadFault::Damaged { from: span.base, to: span.next };
                self.fault_queries(damaged, |other| *other == want);
            }
            Ok(other) => panic!("a read was answered by {other:?}"),
            Err(failed) => self.fault_queries(ReadFault::Io(failed.fault), |other| *other == want),
        }
        self.pump_queries(out, events);
    }

    /// A span's bytes from memory; `None`: they must be fetched.
    pub(crate) fn span_bytes(
        &mut self,
        query: &Query,
        segment: SegmentKey,
        span: &Span,
    ) -> Option<Result<Bytes, ReadFault>> {
        let place = SpanKey { segment, at: span.at };
        if let Some(bytes) = query.held(place).or_else(|| self.cache.get(place)) {
            return Some(Ok(bytes));
        }
        query.fault(&Want::Span(segment, *span)).map(Err)
    }
}
