//! Compaction's writing: the files of one output, what stays of its sources, its seal, and the swap.

use std::collections::VecDeque;

use heddle_border::{DiskOp, Done, Effect, Failed, Fault, OpenMode};
use heddle_model::Offset;

use crate::Log;
use crate::compact::Step;
use crate::disk::{FileKey, Op};
use crate::names::{self, Part};
use crate::packing::Packing;
use crate::round::{Building, Run, Stage};
use crate::segment::{Index, Segment, SegmentKey};
use crate::side::Place;

/// Spans of the output that are being written at once.
pub(crate) const WRITES_AT_ONCE: usize = 3;
/// While so many more wait to be written, nothing is added to them.
pub(crate) const SPANS_FULL: usize = 3;

impl Run {
    /// Whether work may make spans of the output.
    pub(crate) fn may_pack(&self) -> bool {
        self.output.as_ref().is_none_or(|output| output.full.len() < SPANS_FULL)
    }
}

impl Log {
    pub(crate) fn begin_group(&mut self, run: &mut Run) -> Step {
        let Some(group) = run.groups.pop_front() else {
            // Reads ahead may be under way that a full map made useless.
            return if run.is_under_way() { Step::Wait } else { Step::Finished };
        };
        let is_there = |key: &&SegmentKey| self.sealed.holds(**key);
        run.sources = group.sources.iter().filter(is_there).copied().collect();
        let Some(first) = run.sources.front() else { return Step::Again };
        let generation = group.sources.iter().map(|key| key.generation).max().unwrap_or(0);
        let generation = generation.checked_add(1).expect("generations do not run out");
        let key = SegmentKey { base: first.base, generation };
        let (packing, full, spans) = (Packing::default(), VecDeque::new(), Vec::new());
        run.output = Some(Building { key, group, packing, full, spans, at: 0 });
        run.stage = Stage::Create(Part::Log);
        Step::Again
    }

    pub(crate) fn create_file(&mut self, run: &mut Run, part: Part, out: &mut Vec<Effect>) -> Step {
        let file = FileKey { segment: run.output().key, part };
        run.waiting = true;
        self.disk.open(Op::CompactOpen(file), file, OpenMode::Create, out);
        Step::Wait
    }

    /// Write what fills a span, and go on reading.
    pub(crate) fn copy_next(&mut self, run: &mut Run, out: &mut Vec<Effect>) -> Step {
        let is_over = run.source.is_none() && run.sources.is_empty();
        let output = run.output.as_mut().expect("there is an output while copying");
        let file = FileKey { segment: output.key, part: Part::Log };
        if is_over {
            output.packing.close();
            output.full.extend(output.packing.take_full());
        }
        while run.writes < WRITES_AT_ONCE
            && let Some((mut span, buf)) = output.full.pop_front()
        {
            span.at = output.at;
            output.spans.push(span);
            output.at = span.end();
            run.writes += 1;
            let write = |file| DiskOp::Write { file, at: span.at, buf, durable: false };
            self.disk.start_on(Op::CompactWrite, file, write, out);
        }
        if is_over {
            if !output.full.is_empty() || run.writes > 0 {
                return Step::Wait;
            }
            run.stage = Stage::Sync;
            return Step::Again;
        }
        match run.sources.front().copied() {
            _ if run.source.is_some() => self.work_on_source(run, out),
            Some(key) => self.begin_source(run, key, Offset(i64::MIN), out),
            None => unreachable!("it is not over"),
        }
    }

    pub(crate) fn sync_output(&mut self, run: &mut Run, out: &mut Vec<Effect>) -> Step {
        let file = FileKey { segment: run.output().key, part: Part::Log };
        run.waiting = true;
        self.disk.start_on(Op::CompactSync, file, |file| DiskOp::Sync { file }, out);
        Step::Wait
    }

    pub(crate) fn sync_names(&mut self, run: &mut Run, out: &mut Vec<Effect>) -> Step {
        run.waiting = true;
        let path = names::directory(&self.disk.id);
        self.disk.start(Op::CompactNames, DiskOp::SyncDir { path }, out);
        Step::Wait
    }

    pub(crate) fn seal(&mut self, run: &mut Run, out: &mut Vec<Effect>) -> Step {
        let record = run.record();
        let output = run.output();
        let (buf, _) = record.encode(&Place::first(&self.disk.id, output.key));
        let file = FileKey { segment: output.key, part: Part::Side };
        run.waiting = true;
        self.disk.start_on(Op::CompactSeal, file, |file| DiskOp::Write { file, at: 0, buf, durable: true }, out);
        Step::Wait
    }

    /// The output is durable under its name and sealed: it takes the place of what it was made from.
    fn swap(&mut self, run: &mut Run) {
        let own = *run.record().own.expect("a seal names its segment");
        let output = run.output.take().expect("there is an output until it is swapped in");
        let is_inside = |segment: &Segment| segment.key.base < own.next;
        let at = self.sealed.partition_point(|segment| segment.key.base < own.key.base);
        let old = self.sealed[at..].iter().take_while(|segment| is_inside(segment)).count();
        let index = Index::Known { spans: output.spans, hole: None };
        self.lists.replaced(own.key.base);
        // Had all of it fallen below the log start meanwhile, the next removal takes the output.
        for key in self.sealed.replace(at..at + old, Segment { index, ..own }) {
            self.cache.forget(key);
            self.removal.add_replaced(key);
        }
    }

    pub(crate) fn on_compact_opened(&mut self, file: FileKey, result: Result<Done, Failed>, out: &mut Vec<Effect>) {
        self.disk.on_opened(file, result.is_ok());
        let mut run = self.compaction.run.take().expect("a round stays while it waits");
        run.waiting = false;
        match (result, file.part) {
            (Ok(_), Part::Log) => run.stage = Stage::Create(Part::Side),
            (Ok(_), Part::Side) => run.stage = Stage::Copy,
            (Ok(_), Part::Keys) => unreachable!("what is compacted has no digests"),
            (Err(Failed { fault: Fault::AlreadyExists, .. }), part) => {
                // Left over from a round that was given up.
                let output = run.output.as_mut().expect("its file was being made");
                self.disk.close(output.key, out);
                if part == Part::Side {
                    self.removal.add_stray(vec![self.disk.path(output.key, Part::Log)]);
                }
                output.key.generation = output.key.generation.checked_add(1).expect("generations do not run out");
                run.stage = Stage::Create(Part::Log);
            }
            (Err(failed), part) => {
                let path = self.disk.path(run.output().key, part);
                run.fault = Some(format!("{path} cannot be made: {}", failed.fault));
            }
        }
        self.compaction.run = Some(run);
    }

    /// In words for whoever runs the broker.
    fn what_failed(&self, op: Op, run: &Run) -> String {
        let path = |part| self.disk.path(run.output().key, part);
        match op {
            Op::CompactRead(place) => format!("{} cannot be read", self.disk.path(place.segment, Part::Log)),
            Op::CompactWrite => format!("{} cannot be written", path(Part::Log)),
            Op::CompactSync => format!("{} cannot be synced", path(Part::Log)),
            Op::CompactNames => format!("{} cannot be synced", names::directory(&self.disk.id)),
            Op::CompactSeal => format!("{} cannot be written", path(Part::Side)),
            other => panic!("{other:?} is none of compaction's"),
        }
    }

    pub(crate) fn on_compact_done(&mut self, op: Op, result: Result<Done, Failed>) {
        let mut run = self.compaction.run.take().expect("a round stays while it waits");
        match op {
            Op::CompactRead(_) => run.reads -= 1,
            Op::CompactWrite => run.writes -= 1,
            _ => run.waiting = false,
        }
        match (op, result) {
            (Op::CompactRead(place), Ok(Done::Read { buf, .. })) if !run.awaits(place) => run.stock.give(buf),
            (Op::CompactRead(place), _) if !run.awaits(place) => {}
            (op, Err(failed)) => {
                let what = self.what_failed(op, &run);
                run.fault = Some(format!("{what}: {}", failed.fault));
            }
            (Op::CompactRead(place), Ok(Done::Read { buf, len })) => run.take_span(place, buf, len),
            (Op::CompactWrite, Ok(Done::Written { buf })) => run.stock.give(buf),
            (Op::CompactSync, Ok(_)) => run.stage = Stage::Names,
            (Op::CompactNames, Ok(_)) => run.stage = Stage::Seal,
            (Op::CompactSeal, Ok(_)) => {
                self.swap(&mut run);
                run.stage = Stage::Group;
            }
            (op, Ok(other)) => panic!("{op:?} was answered by {other:?}"),
        }
        self.compaction.run = Some(run);
    }
}
