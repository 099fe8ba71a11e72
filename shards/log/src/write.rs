//! Writing the rounds that are planned, and handing out their marks.

use heddle_border::{Blocks, DiskOp, Done, Effect, Failed, Fault};
use heddle_model::Mark;
use heddle_model::limits::{SEGMENT_STEP_BYTES, SPAN_BYTES};

use crate::Log;
use crate::ask::Output;
use crate::disk::{FileKey, Op};
use crate::lists::List;
use crate::names::Part;
use crate::segment::SpanKey;
use crate::settle::Given;
use crate::side::Place;

impl Log {
    /// Take the next step towards writing the rounds that are planned.
    pub(crate) fn pump(&mut self, out: &mut Vec<Effect>) {
        while let Some(at) = self.settling.rounds.iter().position(|round| !round.issued) {
            if self.settling.failed.is_some() || !self.is_prepared(out) {
                return;
            }
            if self.settling.rounds[at].log_end > self.settling.allocated {
                self.allocate(self.settling.rounds[at].log_end, out);
                return;
            }
            self.write_round(at, out);
        }
    }

    /// Space is taken ahead in growing steps: a large segment in few calls, a small one without waste.
    fn allocate(&mut self, need: u64, out: &mut Vec<Effect>) {
        if self.settling.allocating {
            return;
        }
        let from = self.settling.allocated;
        let step = if self.settling.frugal { 0 } else { from.clamp(SPAN_BYTES as u64 / 4, SEGMENT_STEP_BYTES) };
        let upto = need.max(from + step);
        self.settling.allocating = true;
        let file = FileKey { segment: self.active.as_ref().expect("checked by pump").key, part: Part::Log };
        self.disk.start_on(Op::Allocate { upto }, file, |file| DiskOp::Allocate { file, from, len: upto - from }, out);
    }

    pub(crate) fn on_allocated(
        &mut self,
        upto: u64,
        result: Result<Done, Failed>,
        out: &mut Vec<Effect>,
        events: &mut Vec<Output>,
    ) {
        self.settling.allocating = false;
        match result {
            Ok(_) => (self.settling.allocated, self.settling.frugal) = (upto, false),
            Err(Failed { fault: Fault::NoSpace, .. }) if !self.settling.frugal => self.settling.frugal = true,
            // A file system that cannot allocate ahead is not among these: there the driver grants it.
            Err(Failed { fault, .. }) => self.fail_settling(fault, events),
        }
        self.pump(out);
    }

    fn write_round(&mut self, at: usize, out: &mut Vec<Effect>) {
        let key = self.active.as_ref().expect("checked by pump").key;
        let list = if self.settling.side_at == 0 { self.list_for(key) } else { List::default() };
        let settling = &mut self.settling;
        let round = &mut settling.rounds[at];
        round.record.list = list;
        let place = Place { at: settling.side_at, chain: settling.chain, ..Place::first(&self.disk.id, key) };
        let (record, chain) = round.record.encode(&place);
        round.issued = true;
        (round.side_end, round.chain) = (settling.side_at + record.len() as u64, chain);
        (settling.side_at, settling.chain) = (round.side_end, chain);
        let mut writes: Vec<(Part, u64, Blocks)> = Vec::with_capacity(round.left);
        let spans = round.record.spans.iter().zip(std::mem::take(&mut round.buffers));
        writes.extend(spans.map(|(span, buf)| (Part::Log, span.at, buf)));
        writes.push((Part::Side, place.at, record));
        let number = round.number;
        // What only the encoded record needed.
        (round.record.snapshot, round.record.changes, round.record.list) = (None, Vec::new(), List::default());
        for (index, (part, at, buf)) in writes.into_iter().enumerate() {
            let op = Op::Write { round: number, part: index };
            let file = FileKey { segment: key, part };
            self.disk.start_on(op, file, |file| DiskOp::Write { file, at, buf, durable: true }, out);
        }
    }

    pub(crate) fn on_round_written(
        &mut self,
        number: u64,
        part: usize,
        result: Result<Done, Failed>,
        out: &mut Vec<Effect>,
        events: &mut Vec<Output>,
    ) {
        let key = self.active.as_ref().expect("a segment stays until its writes are back").key;
        let found = self.settling.rounds.iter_mut().find(|round| round.number == number);
        let round = found.expect("a round stays until its writes are back");
        round.left -= 1;
        match result {
            Ok(Done::Written { buf }) => {
                if let Some(span) = round.record.spans.get(part) {
                    round.written.push((SpanKey { segment: key, at: span.at }, buf.freeze()));
                }
            }
            Ok(other) => panic!("a write was answered by {other:?}"),
            Err(failed) => {
                round.failed = true;
                self.fail_settling(failed.fault, events);
            }
        }
        self.give(events);
        self.digest_more(out);
        self.pump(out);
    }

    /// Hand out the marks of rounds that are complete, in order.
    fn give(&mut self, events: &mut Vec<Output>) {
        let active = self.active.as_mut().expect("a segment stays until its writes are back");
        while let Some(round) = self.settling.rounds.front()
            && round.issued
            && round.left == 0
            && !round.failed
        {
            active.extend(&round.record.spans, round.end, round.side_end, round.record.written_ms);
            assert_eq!(active.bytes, round.log_end, "the segment ends where the round was planned to end");
            (self.settling.given, self.settling.given_chain) = (round.end, round.chain);
            events.push(Output::Settled(Mark {
                offset: round.end,
                store: self.disk.id.store,
                segment: active.key.base,
                generation: active.key.generation,
                segment_bytes: active.bytes,
                side_bytes: active.side_bytes,
            }));
            let round = self.settling.rounds.pop_front().expect("it was there a line ago");
            if let Some(digesting) = &mut self.digesting {
                digesting.take(&round);
            }
            self.settling.waiting.push_back(Given { end: round.end, spans: round.written });
        }
    }
}
