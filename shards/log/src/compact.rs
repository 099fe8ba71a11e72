//! Compaction: of each key the newest record stays (RULES B). Local, below the mark, in closed segments only.
//!
//! ```text
//! Map      the newest offset of each key of the segments that are dirty, into a map of bounded size
//! Create   the files of one output, for a group of neighbouring segments from the log's start on
//! Copy     span by span: what stays goes into spans of the output
//! Sync     the output's bytes
//! Names    its names
//! Seal     its side file, in one durable write: from now on loading prefers it
//! (swap)   the group leaves the log and the output enters it, in one step; then the next group
//! ```
//!
//! One operation or one piece of work is under way at a time, each of about one span. When the map becomes full, the
//! round ends where the map ends, and the next begins there. A round that fails leaves the groups that it finished, and
//! begins anew when it is asked for again: a group counts only once it is sealed, and the oldest go first, so that what
//! a tombstone hides is always gone before the tombstone.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use heddle_border::{Blocks, DiskOp, Done, Effect, Failed, Fault, OpenMode, Token};
use heddle_model::limits::SPAN_BYTES;
use heddle_model::{Now, Offset, TopicSettings};

use crate::Log;
use crate::ask::Output;
use crate::clean::{Rules, map_span, retain_span};
use crate::disk::{FileKey, Op};
use crate::group::Group;
use crate::keymap::KeyMap;
use crate::names::{self, Part};
use crate::round::{Asked, Building, Outcome, Run, Source, Stage};
use crate::segment::{Index, Segment, SegmentKey, Span, SpanKey};
use crate::side::Place;

/// The number of compaction's work in its token: one piece is under way at a time.
pub const COMPACTION_WORK: u32 = 1 << 30;

/// What compaction remembers between rounds.
#[derive(Default)]
pub(crate) struct Compaction {
    run: Option<Box<Run>>,
    /// Work is under way, perhaps of a round that was given up.
    working: bool,
    /// Records below, in the first dirty segment, were compacted by a round whose map was too small for all of it.
    pub(crate) applied: Offset,
    /// What the last round was to reach.
    pub(crate) goal: Offset,
    /// A seal whose write failed may have reached the disk. Only loading finds out, and until then nothing may change.
    pub(crate) blocked: bool,
    failed: bool,
}

impl Compaction {
    /// Whether the files of a segment are being written.
    pub(crate) fn writes(&self, key: SegmentKey) -> bool {
        self.run.as_ref().and_then(|run| run.output.as_ref()).is_some_and(|output| output.key == key)
    }
}

/// What one step came to.
enum Step {
    Again,
    /// Something is under way.
    Wait,
    Finished,
    Failed(String),
}

impl Log {
    /// Begin a round over closed segments below `upto`, none of whose records may still be taken back. `live`: the bases
    /// of the last batches of producers that still write. `map_bytes`: memory for the map of keys. Returns whether a
    /// round began; `Output::Compacted` or `Output::CompactionFailed` ends it. Work comes back to `on_worked`.
    #[expect(clippy::too_many_arguments, reason = "a round is told everything at its beginning")]
    pub fn compact(
        &mut self,
        now: Now,
        upto: Offset,
        settings: &TopicSettings,
        live: BTreeSet<Offset>,
        map_bytes: usize,
        out: &mut Vec<Effect>,
        events: &mut Vec<Output>,
    ) -> bool {
        if self.is_compacting() || !self.may_compact() {
            return false;
        }
        let now_ms = self.clock.read(now);
        let cleanable = self.cleanable(now_ms, upto, settings);
        let Some(first) = cleanable.iter().position(|segment| !segment.is_clean()) else { return false };
        let dirty = &cleanable[first..];
        let from = dirty[0].key.base.max(self.start);
        let from = if self.compaction.applied < dirty[0].next { from.max(self.compaction.applied) } else { from };
        let goal = dirty.last().map_or(from, |last| last.next);
        let to_map = dirty.iter().filter(|segment| segment.next > from).map(|segment| segment.key).collect();
        self.compaction.goal = goal;
        self.compaction.failed = false;
        self.compaction.run = Some(Box::new(Run {
            stage: Stage::Map,
            rules: Rules { start: self.start, live: Arc::new(live) },
            now_ms,
            segment_bytes: u64::try_from(settings.segment_bytes).unwrap_or(0),
            delete_retention_ms: settings.delete_retention_ms,
            from,
            mapped: goal,
            to_map,
            map: Some(KeyMap::within(map_bytes)),
            groups: VecDeque::new(),
            sources: VecDeque::new(),
            source: None,
            output: None,
            opaque: false,
            waiting: false,
            asked: None,
            fault: None,
            worked: None,
        }));
        self.advance_compaction(out, events);
        true
    }

    pub fn is_compacting(&self) -> bool {
        self.compaction.run.is_some() || self.compaction.working
    }

    /// The last round failed; another may do better.
    pub fn compaction_failed(&self) -> bool {
        self.compaction.failed
    }

    pub(crate) fn may_compact(&self) -> bool {
        self.is_loaded() && !self.removal.is_asked() && !self.compaction.blocked
    }

    /// Go on as far as memory allows, then start the next operation. Does nothing if one is under way.
    pub(crate) fn advance_compaction(&mut self, out: &mut Vec<Effect>, events: &mut Vec<Output>) {
        while let Some(mut run) = self.compaction.run.take() {
            if run.waiting || self.compaction.working {
                self.compaction.run = Some(run);
                return;
            }
            if self.removal.is_asked() {
                // Its files go with the directory.
                return;
            }
            let step = match run.stage {
                _ if run.fault.is_some() => Step::Failed(run.fault.take().unwrap_or_default()),
                Stage::Map => self.map_next(&mut run, out),
                Stage::Group => self.begin_group(&mut run),
                Stage::Create(part) => self.create_file(&mut run, part, out),
                Stage::Copy => self.copy_next(&mut run, out),
                Stage::Sync => self.sync_output(&mut run, out),
                Stage::Names => self.sync_names(&mut run, out),
                Stage::Seal => self.seal(&mut run, out),
            };
            match step {
                Step::Again => self.compaction.run = Some(run),
                Step::Wait => {
                    self.compaction.run = Some(run);
                    return;
                }
                Step::Finished => {
                    self.compaction.applied = run.mapped;
                    events.push(Output::Compacted);
                }
                Step::Failed(why) => self.fail_compaction(*run, why, out, events),
            }
        }
    }

    /// What was written is of no use. Nobody reads it, and loading would not take it.
    fn fail_compaction(&mut self, run: Run, why: String, out: &mut Vec<Effect>, events: &mut Vec<Output>) {
        self.compaction.failed = true;
        if let Some(output) = run.output {
            self.disk.close(output.key, out);
            if run.stage == Stage::Seal {
                self.compaction.blocked = true;
            } else {
                let parts: &[Part] = match run.stage {
                    Stage::Create(Part::Log) => &[],
                    Stage::Create(Part::Side) => &[Part::Log],
                    _ => &[Part::Log, Part::Side],
                };
                self.removal.add_stray(parts.iter().map(|part| self.disk.path(output.key, *part)).collect());
            }
        }
        events.push(Output::CompactionFailed(why));
    }

    // ---- reading ----

    fn map_next(&mut self, run: &mut Run, out: &mut Vec<Effect>) -> Step {
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
    fn begin_source(&mut self, run: &mut Run, key: SegmentKey, from: Offset, out: &mut Vec<Effect>) -> Step {
        let Some(segment) = self.sealed.iter().find(|segment| segment.key == key) else {
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
                    spans: spans.iter().filter(|span| span.next > from).copied().collect(),
                    bytes: None,
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

    /// Fetch the source's next span, or have it worked on.
    fn work_on_source(&mut self, run: &mut Run, out: &mut Vec<Effect>) -> Step {
        let source = run.source.as_mut().expect("checked by who asks");
        let Some(span) = source.spans.front().copied() else {
            run.next_source();
            return Step::Again;
        };
        let key = source.key;
        if source.bytes.is_none() {
            source.bytes = self.cache.get(SpanKey { segment: key, at: span.at });
        }
        if let Some(bytes) = source.bytes.take() {
            self.start_work(run, bytes, span, out);
            return Step::Wait;
        }
        let file = FileKey { segment: key, part: Part::Log };
        if self.disk.is_open(file) {
            run.asked = None;
            run.waiting = true;
            let buf = Blocks::zeroed(span.padded());
            self.disk.start_on(Op::CompactRead, file, |file| DiskOp::Read { file, at: span.at, buf }, out);
        } else if !self.disk.is_known(file) {
            if run.asked == Some(Asked::Open(key)) {
                return Step::Failed(format!("segment {} cannot be opened", key.base));
            }
            run.asked = Some(Asked::Open(key));
            self.disk.open(Op::Open(file), file, OpenMode::ReadOnly, out);
        }
        Step::Wait
    }

    fn start_work(&mut self, run: &mut Run, bytes: Bytes, span: Span, out: &mut Vec<Effect>) {
        let mut map = run.map.take().expect("no work is under way");
        let slot = Arc::new(OnceLock::new());
        run.worked = Some(slot.clone());
        let source = run.source.as_ref().expect("work is about a source");
        let (from, rules, drop_tombstones) = (run.from, run.rules.clone(), source.drop_tombstones);
        let (is_mapping, mut opaque) = (run.stage == Stage::Map, run.opaque);
        let work = move || {
            let outcome = if is_mapping {
                let mapped = map_span(&mut map, &bytes, &span, from);
                Outcome::Mapped(map, mapped)
            } else {
                let kept = retain_span(&map, &bytes, &span, &rules, drop_tombstones, &mut opaque);
                Outcome::Retained(map, kept, opaque)
            };
            // Nobody else sets it.
            let _ = slot.set(outcome);
            Bytes::new()
        };
        self.compaction.working = true;
        let token = Token { owner: self.disk.id.owner, seq: COMPACTION_WORK };
        out.push(Effect::Work { token, run: Box::new(work) });
    }

    /// Work off the turn ended.
    pub fn on_worked(&mut self, _result: Option<Bytes>, out: &mut Vec<Effect>, events: &mut Vec<Output>) {
        assert!(std::mem::take(&mut self.compaction.working), "work is answered once");
        let Some(mut run) = self.compaction.run.take() else { return };
        let outcome = run.worked.take().and_then(Arc::into_inner).and_then(OnceLock::into_inner);
        match run.take_outcome(outcome) {
            Ok(()) => self.compaction.run = Some(run),
            Err(why) => self.fail_compaction(*run, why, out, events),
        }
        self.advance_compaction(out, events);
    }

    // ---- writing ----

    fn begin_group(&mut self, run: &mut Run) -> Step {
        let Some(group) = run.groups.pop_front() else { return Step::Finished };
        let is_there = |key: &&SegmentKey| self.sealed.iter().any(|segment| segment.key == **key);
        run.sources = group.sources.iter().filter(is_there).copied().collect();
        let Some(first) = run.sources.front() else { return Step::Again };
        let generation = group.sources.iter().map(|key| key.generation).max().unwrap_or(0);
        let generation = generation.checked_add(1).expect("generations do not run out");
        let key = SegmentKey { base: first.base, generation };
        let (pending, spans) = (VecDeque::new(), Vec::new());
        run.output = Some(Building { key, group, pending, pending_bytes: 0, spans, at: 0 });
        run.stage = Stage::Create(Part::Log);
        Step::Again
    }

    fn create_file(&mut self, run: &mut Run, part: Part, out: &mut Vec<Effect>) -> Step {
        let file = FileKey { segment: run.output().key, part };
        run.waiting = true;
        self.disk.open(Op::CompactOpen(file), file, OpenMode::Create, out);
        Step::Wait
    }

    fn copy_next(&mut self, run: &mut Run, out: &mut Vec<Effect>) -> Step {
        let is_over = run.source.is_none() && run.sources.is_empty();
        let output = run.output.as_mut().expect("there is an output while copying");
        if output.pending_bytes >= SPAN_BYTES || (is_over && output.pending_bytes > 0) {
            let (span, buf) = output.next_span();
            output.spans.push(span);
            output.at = span.end();
            let file = FileKey { segment: output.key, part: Part::Log };
            run.waiting = true;
            let write = |file| DiskOp::Write { file, at: span.at, buf, durable: false };
            self.disk.start_on(Op::CompactWrite, file, write, out);
            return Step::Wait;
        }
        if run.source.is_some() {
            return self.work_on_source(run, out);
        }
        match run.sources.front().copied() {
            Some(key) => self.begin_source(run, key, Offset(i64::MIN), out),
            None => {
                run.stage = Stage::Sync;
                Step::Again
            }
        }
    }

    fn sync_output(&mut self, run: &mut Run, out: &mut Vec<Effect>) -> Step {
        let file = FileKey { segment: run.output().key, part: Part::Log };
        run.waiting = true;
        self.disk.start_on(Op::CompactSync, file, |file| DiskOp::Sync { file }, out);
        Step::Wait
    }

    fn sync_names(&mut self, run: &mut Run, out: &mut Vec<Effect>) -> Step {
        run.waiting = true;
        let path = names::directory(&self.disk.id);
        self.disk.start(Op::CompactNames, DiskOp::SyncDir { path }, out);
        Step::Wait
    }

    fn seal(&mut self, run: &mut Run, out: &mut Vec<Effect>) -> Step {
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
        let old: Vec<SegmentKey> =
            self.sealed[at..].iter().take_while(|segment| is_inside(segment)).map(|segment| segment.key).collect();
        let index = Index::Known { spans: output.spans, hole: None };
        // Had all of it fallen below the log start meanwhile, the next removal takes the output.
        self.sealed.splice(at..at + old.len(), [Segment { index, ..own }]);
        for key in old {
            self.cache.forget(key);
            self.removal.add_replaced(key);
        }
    }

    // ---- completions ----

    pub(crate) fn on_compact_opened(&mut self, file: FileKey, result: Result<Done, Failed>, out: &mut Vec<Effect>) {
        self.disk.on_opened(file, result.is_ok());
        let mut run = self.compaction.run.take().expect("a round stays while it waits");
        run.waiting = false;
        match (result, file.part) {
            (Ok(_), Part::Log) => run.stage = Stage::Create(Part::Side),
            (Ok(_), Part::Side) => run.stage = Stage::Copy,
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
            (Err(failed), _) => run.fault = Some(format!("a file cannot be made: {:?}", failed.fault)),
        }
        self.compaction.run = Some(run);
    }

    pub(crate) fn on_compact_done(&mut self, op: Op, result: Result<Done, Failed>) {
        let mut run = self.compaction.run.take().expect("a round stays while it waits");
        run.waiting = false;
        match (op, result) {
            (op, Err(failed)) => run.fault = Some(format!("{op:?}: {:?}", failed.fault)),
            (Op::CompactRead, Ok(Done::Read { buf, len })) => run.take_span(buf, len),
            (Op::CompactWrite, Ok(_)) => {}
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
