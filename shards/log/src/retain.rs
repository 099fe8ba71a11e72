//! What may go: retention by time and size, DeleteRecords, removal of files, removal of the whole log.

use std::collections::{BTreeSet, VecDeque};

use heddle_border::{DiskOp, Done, Effect, Failed, Fault};
use heddle_model::{Mono, Now, Offset, TopicSettings};

use crate::Log;
use crate::ask::Output;
use crate::disk::Op;
use crate::lists::Lists;
use crate::names::{self, Part, REPLICAS};
use crate::segment::{NO_TIMESTAMP, SegmentKey};

/// Segments that leave the log in one step.
const DOOMED_AT_ONCE: usize = 1_024;

/// Files that are no longer part of the log.
struct Doomed {
    /// `None`: files that never were part of it, by their paths.
    segment: Option<SegmentKey>,
    paths: Vec<String>,
    /// `None`: the delay begins when it is looked at first.
    due: Option<Mono>,
    /// Compaction replaces many at once: the next goes as soon as the one before is gone, and as loading does not need
    /// what it says of others.
    is_replaced: bool,
}

impl Doomed {
    /// Whether loading can do without its files.
    fn is_free(&self, lists: &Lists) -> bool {
        !self.is_replaced || self.segment.is_none_or(|key| !lists.needs(key))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Whole {
    #[default]
    Kept,
    /// Waiting for operations under way.
    Asked,
    Closing,
    Removing,
    Gone,
}

#[derive(Default)]
pub(crate) struct Removal {
    /// Those that were never looked at are the last ones.
    doomed: VecDeque<Doomed>,
    /// The segments among them.
    segments: BTreeSet<SegmentKey>,
    whole: Whole,
    /// Files that could not be removed.
    failed: u64,
}

impl Removal {
    /// Whether the whole log is to go.
    pub(crate) fn is_asked(&self) -> bool {
        self.whole != Whole::Kept
    }

    /// Files that no mark ever named; they go at once.
    pub(crate) fn add_stray(&mut self, paths: Vec<String>) {
        if !paths.is_empty() {
            self.doomed.push_front(Doomed { segment: None, paths, due: Some(Mono(0)), is_replaced: false });
        }
    }

    /// A segment below the log start.
    pub(crate) fn add_segment(&mut self, key: SegmentKey) {
        self.add(key, false);
    }

    /// A segment that compaction wrote anew.
    pub(crate) fn add_replaced(&mut self, key: SegmentKey) {
        self.add(key, true);
    }

    fn add(&mut self, key: SegmentKey, is_replaced: bool) {
        self.segments.insert(key);
        self.doomed.push_back(Doomed { segment: Some(key), paths: Vec::new(), due: None, is_replaced });
    }

    pub(crate) fn holds(&self, key: SegmentKey) -> bool {
        self.segments.contains(&key)
    }

    /// The first of these whose time has come.
    fn next_due(&self, now: Now, lists: &Lists, of: impl Fn(&Doomed) -> bool) -> Option<usize> {
        let is_due = |doomed: &Doomed| doomed.due.is_some_and(|due| due <= now.mono);
        self.doomed.iter().position(|doomed| of(doomed) && is_due(doomed) && doomed.is_free(lists))
    }
}

impl Log {
    /// The log begins at `start` now; that is durable elsewhere already. Segments below go by `delete_below_start`.
    pub fn set_start(&mut self, start: Offset) {
        assert!(start >= self.start && start <= self.end, "start {start} is not in {}..={}", self.start, self.end);
        self.start = start;
        if let Some(active) = &self.active
            && active.bytes > 0
            && active.next <= start
        {
            // Its file can go only when a mark names a later one.
            self.settling.ask_roll();
        }
    }

    /// Files that could not be removed so far. They take space until the log is loaded again.
    pub fn failed_removals(&self) -> u64 {
        self.removal.failed
    }

    /// The log start that `retention.ms` and `retention.bytes` ask for, if it is beyond the present one: always the end
    /// of a segment, the tail counting as part of the last. The caller limits it to what is committed. `None` also
    /// while the log is not loaded.
    pub fn retention(&mut self, now: Now, settings: &TopicSettings) -> Option<Offset> {
        let now_ms = self.clock.read(now).wall.0;
        if !settings.cleanup_delete || !self.is_loaded() {
            return None;
        }
        let by_time = if settings.retention_ms >= 0 { self.expired(now_ms, settings.retention_ms) } else { self.start };
        let by_size = match u64::try_from(settings.retention_bytes) {
            Ok(limit) => self.beyond_size(limit),
            Err(_) => self.start,
        };
        Some(by_time.max(by_size)).filter(|start| *start > self.start)
    }

    /// The end of the oldest segments whose newest record is older than `retention_ms`.
    fn expired(&self, now_ms: i64, retention_ms: i64) -> Offset {
        let is_old = |newest_ms: i64| now_ms.saturating_sub(newest_ms) > retention_ms;
        let mut start = self.start;
        for segment in self.sealed.iter() {
            if segment.bytes > 0 && !is_old(segment.newest_ms()) {
                return start;
            }
            start = start.max(segment.next);
        }
        let active = self.active.as_ref().filter(|active| active.bytes > 0);
        let tail = self.tail.after(self.settling.given).map(|tailed| tailed.max_timestamp).max();
        let newest = match (active, tail) {
            (None, None) => return start,
            // Batches in memory that carry no time are young.
            (_, Some(NO_TIMESTAMP)) => return start,
            (Some(active), tail) => active.newest_ms().max(tail.unwrap_or(NO_TIMESTAMP)),
            (None, Some(tail)) => tail,
        };
        if is_old(newest) { self.end.max(start) } else { start }
    }

    /// The end of the oldest segments without which the log still holds `limit` bytes.
    fn beyond_size(&self, limit: u64) -> Offset {
        let mut excess = self.bytes().saturating_sub(limit);
        let mut start = self.start;
        for segment in self.sealed.iter() {
            if excess < segment.bytes {
                return start;
            }
            excess -= segment.bytes;
            start = start.max(segment.next);
        }
        let last = self.active.as_ref().map_or(0, |active| active.bytes) + self.tail.bytes() as u64;
        if last > 0 && excess >= last { self.end.max(start) } else { start }
    }

    /// One bounded step: begins to remove the files of one segment below the log start, `file.delete.delay.ms` after it
    /// was found there. Returns false when nothing is left to remove, or nothing before the next segment begins.
    pub fn delete_below_start(&mut self, now: Now, settings: &TopicSettings, out: &mut Vec<Effect>) -> bool {
        if self.removal.is_asked() || !self.is_loaded() {
            return false;
        }
        self.doom_below_start();
        if self.disk.has(|op| op == Op::Remove) {
            return true;
        }
        let delay_ms = u64::try_from(settings.file_delete_delay_ms).unwrap_or(0);
        for doomed in self.removal.doomed.iter_mut().rev().take_while(|doomed| doomed.due.is_none()) {
            doomed.due = Some(now.mono.plus_ms(delay_ms));
        }
        if let Some(at) = self.removal.next_due(now, &self.lists, |_| true) {
            self.remove_files(at, out);
        }
        self.removal.doomed.iter().any(|doomed| doomed.is_free(&self.lists)) || self.disk.has(|op| op == Op::Remove)
    }

    /// What the durable mark names, and everything later, is needed to load and stays.
    fn doom_below_start(&mut self) {
        let Some(marked) = self.marked else { return };
        for key in self.sealed.take_below(self.start, marked, DOOMED_AT_ONCE) {
            self.cache.forget(key);
            self.removal.add_segment(key);
        }
    }

    fn remove_files(&mut self, at: usize, out: &mut Vec<Effect>) {
        let segment = self.removal.doomed[at].segment;
        if let Some(key) = segment {
            if self.disk.in_use(key) || self.side_reads.contains_key(&key) {
                return;
            }
            self.disk.close(key, out);
        }
        let Some(doomed) = self.removal.doomed.remove(at) else { return };
        let paths = match doomed.segment {
            Some(key) => {
                self.removal.segments.remove(&key);
                let has_keys = self.digesting.as_mut().is_some_and(|digesting| digesting.forget(key));
                let parts = Part::ALL.into_iter().filter(|part| *part != Part::Keys || has_keys);
                parts.map(|part| self.disk.path(key, part)).collect()
            }
            None => doomed.paths,
        };
        for path in paths {
            self.disk.start(Op::Remove, DiskOp::Remove { path }, out);
        }
    }

    /// A file is gone, or was gone already. If it could not be removed it is a stray of the next load, which tries again.
    pub(crate) fn on_removed(&mut self, now: Now, result: Result<Done, Failed>, out: &mut Vec<Effect>) {
        match result {
            Ok(_) | Err(Failed { fault: Fault::NotFound, .. }) => {}
            Err(Failed { fault: Fault::NoSpace | Fault::AlreadyExists | Fault::Io(_), .. }) => {
                self.removal.failed += 1;
            }
        }
        if !self.removal.is_asked()
            && !self.disk.has(|op| op == Op::Remove)
            && let Some(at) = self.removal.next_due(now, &self.lists, |doomed| doomed.is_replaced)
        {
            self.remove_files(at, out);
        }
    }

    /// Remove the log's directory and everything in it, once operations under way have ended. Questions under way are
    /// refused. `Output::Removed` follows.
    pub fn remove(&mut self, out: &mut Vec<Effect>) {
        if self.removal.is_asked() {
            return;
        }
        self.removal.whole = Whole::Asked;
        self.continue_removing(out, &mut Vec::new());
    }

    /// The next stage of removing the whole log, once nothing of the one before is under way.
    pub(crate) fn continue_removing(&mut self, out: &mut Vec<Effect>, events: &mut Vec<Output>) {
        if self.disk.busy() {
            return;
        }
        match self.removal.whole {
            Whole::Kept | Whole::Gone | Whole::Removing => {}
            Whole::Asked => {
                self.refuse_queries(events);
                self.removal.whole = Whole::Closing;
                self.disk.close_all(out);
                self.continue_removing(out, events);
            }
            Whole::Closing => {
                self.removal.whole = Whole::Removing;
                let path = names::directory(&self.disk.id);
                self.disk.start(Op::RemoveTree, DiskOp::RemoveTree { path }, out);
            }
        }
    }

    pub(crate) fn on_tree_removed(
        &mut self,
        result: Result<Done, Failed>,
        out: &mut Vec<Effect>,
        events: &mut Vec<Output>,
    ) {
        match result {
            Ok(_) => self.disk.start(Op::SyncReplicas, DiskOp::SyncDir { path: REPLICAS.to_owned() }, out),
            Err(failed) => {
                // Asked again, it tries again.
                self.removal.whole = Whole::Kept;
                events.push(Output::Trouble(failed.fault));
            }
        }
    }

    /// The directory is gone. Whether that survives a crash matters only for space: replica numbers are never reused,
    /// and what is found without a replica is removed again.
    pub(crate) fn on_replicas_synced(&mut self, events: &mut Vec<Output>) {
        self.removal.whole = Whole::Gone;
        events.push(Output::Removed);
    }
}
