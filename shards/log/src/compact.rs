//! Compaction: of each key the newest record stays (RULES B). Local, below the mark, in closed segments only.
//!
//! ```text
//! Map      the newest offset of each key of the segments that are dirty, into a map of bounded size: of spans that have
//!          a digest from that, the others are read
//! Create   the files of one output, for a group of neighbouring segments from the log's start on
//! Copy     span by span: what stays goes into spans of the output
//! Sync     the output's bytes
//! Names    its names
//! Seal     its side file, in one durable write: from now on loading prefers it
//! (swap)   the group leaves the log and the output enters it, in one step; then the next group
//! ```
//!
//! While a few spans are worked on off the turn (`piece.rs`), the next are read and what stays is written (`sources.rs`,
//! `output.rs`), in buffers that are used again and again. When the map becomes full, the round ends where the map ends, and the
//! next begins there. A round that fails leaves the groups that it finished, and
//! begins anew when it is asked for again: a group counts only once it is sealed, and the oldest go first, so that what
//! a tombstone hides is always gone before the tombstone.

use std::collections::BTreeSet;
use std::sync::Arc;

use heddle_border::{Effect, Product, Token};
use heddle_model::{Now, Offset, TopicSettings};

use crate::Log;
use crate::ask::Output;
use crate::clean::Rules;
use crate::keymap::KeyMap;
use crate::names::Part;
use crate::packing::Stock;
use crate::round::{Run, Stage};
use crate::segment::SegmentKey;

/// The number of compaction's work in its token: one piece is under way at a time.
pub const COMPACTION_WORK: u32 = 1 << 30;

/// Smaller maps are given back in the turn that ends their round.
const MAP_BYTES_DROPPED: usize = 1 << 20;

/// What compaction remembers between rounds.
#[derive(Default)]
pub(crate) struct Compaction {
    pub(crate) run: Option<Box<Run>>,
    /// Work is under way.
    pub(crate) working: bool,
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
pub(crate) enum Step {
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
        let now_ms = self.clock.read(now).wall.0;
        let cleanable = self.cleanable(now_ms, upto, settings);
        let Some(first) = cleanable.iter().position(|segment| !segment.is_clean()) else { return false };
        let dirty = &cleanable[first..];
        let from = dirty[0].key.base.max(self.start);
        let from = if self.compaction.applied < dirty[0].next { from.max(self.compaction.applied) } else { from };
        let goal = dirty.last().map_or(from, |last| last.next);
        let to_map = dirty.iter().filter(|segment| segment.next > from).map(|segment| segment.key).collect();
        let records = u64::try_from(goal.0.saturating_sub(from.0)).unwrap_or(0);
        self.compaction.goal = goal;
        self.compaction.failed = false;
        let map = KeyMap::within(map_bytes, records);
        self.compaction.run = Some(Box::new(Run {
            stage: Stage::Map,
            rules: Rules { start: self.start, live: Arc::new(live) },
            now_ms,
            segment_bytes: u64::try_from(settings.segment_bytes).unwrap_or(0),
            delete_retention_ms: settings.delete_retention_ms,
            from,
            mapped: goal,
            to_map,
            map_bytes: map.bytes(),
            map: Some(map),
            groups: Default::default(),
            sources: Default::default(),
            source: None,
            output: None,
            stock: Default::default(),
            opaque: false,
            waiting: false,
            reads: 0,
            writes: 0,
            asked: None,
            fault: None,
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

    /// Memory that the round under way holds for its map of keys. Bytes.
    pub fn key_map_bytes(&self) -> usize {
        self.compaction.run.as_ref().map_or(0, |run| run.map_bytes)
    }

    pub(crate) fn may_compact(&self) -> bool {
        self.is_loaded() && !self.removal.is_asked() && !self.compaction.blocked
    }

    /// Go on as far as memory allows, and start what can be under way beside what is.
    pub(crate) fn advance_compaction(&mut self, out: &mut Vec<Effect>, events: &mut Vec<Output>) {
        while let Some(mut run) = self.compaction.run.take() {
            let is_over = self.removal.is_asked() || run.fault.is_some();
            // Nothing of a round that ends may come back to the next.
            let is_quiet = !run.is_under_way() && !self.compaction.working;
            if run.waiting || (is_over && !is_quiet) {
                self.compaction.run = Some(run);
                return;
            }
            if self.removal.is_asked() {
                // Its files go with the directory.
                return;
            }
            if let Some(why) = run.fault.take() {
                self.fail_compaction(*run, why, out, events);
                continue;
            }
            let step = match run.stage {
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
                    self.let_go(run.map.take(), run.stock, out);
                    events.push(Output::Compacted);
                }
                Step::Failed(why) => {
                    run.fault = Some(why);
                    self.compaction.run = Some(run);
                }
            }
        }
    }

    /// To give a large map and the buffers beside it back to the system takes milliseconds: not in a turn.
    fn let_go(&mut self, map: Option<KeyMap>, stock: Stock, out: &mut Vec<Effect>) {
        let Some(map) = map.filter(|map| map.bytes() >= MAP_BYTES_DROPPED) else { return };
        self.compaction.working = true;
        let token = Token { owner: self.disk.id.owner, seq: COMPACTION_WORK };
        let work = move || {
            drop((map, stock));
            Product::new(())
        };
        out.push(Effect::Work { token, run: Box::new(work) });
    }

    /// What was written is of no use. Nobody reads it, and loading would not take it.
    fn fail_compaction(&mut self, mut run: Run, why: String, out: &mut Vec<Effect>, events: &mut Vec<Output>) {
        self.compaction.failed = true;
        self.let_go(run.map.take(), run.stock, out);
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
}
