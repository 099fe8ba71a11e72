//! The log itself: what it holds, and where each completion goes.

use std::collections::{BTreeMap, BTreeSet};

use heddle_border::{Done, Effect, Failed};
use heddle_model::{Mark, Now, Offset, TailBatch, TrustedClock};

use crate::ask::{Identity, Output, ReadFault};
use crate::cache::Cache;
use crate::compact::Compaction;
use crate::digesting::Digesting;
use crate::disk::{Disk, Op};
use crate::lists::Lists;
use crate::load::Loading;
use crate::query::Query;
use crate::retain::Removal;
use crate::roll::Rolling;
use crate::sealed::Sealed;
use crate::segment::{Segment, SegmentKey, SpanKey};
use crate::settle::Settling;
use crate::side_file::SideRead;
use crate::tail::Tail;

/// One replica's log. Asks are methods; what they start goes out as effects, and what comes of it is handed to
/// `on_disk`.
pub struct Log {
    pub(crate) start: Offset,
    pub(crate) end: Offset,
    /// Everything below is in segments and marked durably.
    pub(crate) settled: Offset,
    pub(crate) tail: Tail,
    pub(crate) loading: Loading,
    /// Closed segments, oldest first; empty until loaded.
    pub(crate) sealed: Sealed,
    pub(crate) lists: Lists,
    /// The segment that is written: what was given out as settled of it. `None` while there is none.
    pub(crate) active: Option<Segment>,
    pub(crate) settling: Settling,
    pub(crate) rolling: Rolling,
    pub(crate) disk: Disk,
    pub(crate) cache: Cache,
    pub(crate) queries: Vec<Query>,
    /// Where recent reads ended, to know a sequential reader.
    pub(crate) recent_ends: [Offset; 4],
    pub(crate) fetching: BTreeSet<SpanKey>,
    pub(crate) side_reads: BTreeMap<SegmentKey, Box<SideRead>>,
    pub(crate) removal: Removal,
    pub(crate) compaction: Compaction,
    /// `None` until a topic is compacted: most never are.
    pub(crate) digesting: Option<Box<Digesting>>,
    /// The segment that the last durable mark names; it and later ones are needed to load.
    pub(crate) marked: Option<SegmentKey>,
    pub(crate) clock: TrustedClock,
}

impl Log {
    /// A new log that begins at `start`: loaded, empty. Nothing is on the disk until something is settled.
    pub fn create(id: Identity, start: Offset) -> Log {
        Log {
            start,
            end: start,
            settled: start,
            tail: Tail::default(),
            loading: Loading::Loaded,
            sealed: Sealed::default(),
            lists: Lists::default(),
            active: None,
            settling: Settling::new(start),
            rolling: Rolling::default(),
            disk: Disk::new(id),
            cache: Cache::default(),
            queries: Vec::new(),
            recent_ends: [Offset(-1); 4],
            fetching: BTreeSet::new(),
            side_reads: BTreeMap::new(),
            removal: Removal::default(),
            compaction: Compaction::default(),
            digesting: None,
            marked: None,
            clock: TrustedClock::default(),
        }
    }

    /// The log as the journal knows it. With a mark it must be loaded before it settles or reads below the mark; tail
    /// batches that the mark covers are dropped.
    pub fn recover(id: Identity, start: Offset, mark: Option<Mark>, tail: Vec<TailBatch>) -> Log {
        let begin = match (&mark, tail.first()) {
            (Some(mark), _) => mark.offset,
            (None, Some(first)) => first.base.min(start),
            (None, None) => start,
        };
        let mut log = Log::create(id, start);
        (log.settled, log.end) = (begin, begin);
        log.settling = Settling::new(begin);
        if let Some(mark) = mark {
            assert_eq!(mark.store, id.store, "the mark is of this store");
            log.settling.directory_exists();
            log.loading = Loading::Unloaded(mark);
        }
        tail.into_iter().filter(|batch| batch.next > begin).for_each(|batch| log.append(batch));
        log.end = log.end.max(start);
        log
    }

    pub fn is_loaded(&self) -> bool {
        matches!(self.loading, Loading::Loaded)
    }

    /// The first offset that may be read.
    pub fn start(&self) -> Offset {
        self.start
    }

    /// The offset after the last batch.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// Everything below is in segments, and marked durably.
    pub fn settled(&self) -> Offset {
        self.settled
    }

    /// Bytes of batches that no durable mark covers.
    pub fn tail_bytes(&self) -> usize {
        self.tail.bytes()
    }

    /// What `evict` can free.
    pub fn cached_bytes(&self) -> usize {
        self.cache.bytes()
            + self.sealed.index_bytes()
            + self.digesting.as_ref().map_or(0, |digesting| digesting.bytes())
    }

    /// Bytes of segments and tail. Before loading, of the segment being written and the tail.
    pub fn bytes(&self) -> u64 {
        let active = match &self.loading {
            Loading::Loaded => self.active.as_ref().map_or(0, |active| active.bytes),
            Loading::Unloaded(mark) | Loading::Listing(mark) | Loading::Reading { mark, .. } => mark.segment_bytes,
            Loading::Linking(linking) => linking.mark.segment_bytes,
            Loading::Sealing(sealing) => sealing.mark.segment_bytes,
        };
        self.sealed.bytes() + active + self.tail.bytes() as u64
    }

    /// Whether operations are under way.
    pub fn busy(&self) -> bool {
        self.disk.busy()
    }

    /// Take a batch into the tail. It was validated; its base is at or beyond `end` (compaction elsewhere leaves gaps).
    pub fn append(&mut self, batch: TailBatch) {
        assert!(batch.base >= self.end, "batch {} lies below the end {}", batch.base, self.end);
        self.end = batch.next;
        self.tail.push(batch);
    }

    /// Cut the tail: the log ends at `to`, or where a batch that reaches beyond it begins. What was handed to
    /// settling is committed and never cut.
    pub fn truncate(&mut self, to: Offset) {
        assert!(to >= self.settling.end(), "cut at {to}, below what is settled: {}", self.settling.end());
        let lowest = self.tail.cut(to);
        self.forget_segment_ends();
        self.end = self.end.min(to).min(lowest.unwrap_or(Offset(i64::MAX)));
    }

    /// The mark, once given by `Output::Settled`, is durable in the journal: what it covers leaves the tail, and its
    /// memory becomes cache. Marks may be skipped, not reordered.
    pub fn on_marked(&mut self, mark: &Mark) {
        let given = self.settling.given();
        assert!(mark.store == self.disk.id.store, "a mark of another store: {mark:?}");
        assert!(mark.offset >= self.settled && mark.offset <= given, "mark {mark:?} was not given, only {given}");
        self.settled = mark.offset;
        let marked = SegmentKey { base: mark.segment, generation: mark.generation };
        self.marked = Some(marked);
        self.lists.marked(marked);
        self.tail.release(mark.offset);
        for (key, bytes) in self.settling.take_marked(mark.offset) {
            self.cache.insert(key, bytes);
        }
    }

    /// A disk operation of this log ended. Everything that came of it is pushed to `events`, in order.
    pub fn on_disk(
        &mut self,
        now: Now,
        seq: u32,
        result: Result<Done, Failed>,
        out: &mut Vec<Effect>,
        events: &mut Vec<Output>,
    ) {
        let op = self.disk.end(seq).expect("each token is answered once, and to who asked");
        match op {
            Op::Prepare => self.on_prepared(result, out, events),
            Op::Allocate { upto } => self.on_allocated(upto, result, out, events),
            Op::Write { round, part } => self.on_round_written(round, part, result, out, events),
            Op::Open(file) => self.on_opened(file, result, out, events),
            Op::ReadSpan(segment, span) => self.on_span_read(segment, span, result, out, events),
            Op::List => self.on_listed(result, out, events),
            Op::OpenSide(segment) => self.on_side_opened(segment, result, out, events),
            Op::ReadSide(segment) => self.on_side_read(segment, result, out, events),
            Op::SyncSeal(file) => self.on_seal_synced(file, result, out, events),
            Op::OpenKeys(file) => self.on_keys_opened(file, result, out),
            Op::WriteKeys { key, end } => self.on_keys_written(key, end, result, out),
            Op::Remove => self.on_removed(now, result, out),
            Op::RemoveTree => self.on_tree_removed(result, out, events),
            Op::SyncReplicas => self.on_replicas_synced(events),
            Op::CompactOpen(file) => self.on_compact_opened(file, result, out),
            Op::CompactPage { key, at } => self.on_page_read(key, at, result),
            Op::CompactRead(_) | Op::CompactWrite | Op::CompactSync | Op::CompactNames | Op::CompactSeal => {
                self.on_compact_done(op, result)
            }
            // A close that fails loses nothing: every write was durable by itself, and the handle is gone.
            Op::Close => {}
        }
        self.advance_compaction(out, events);
        self.continue_removing(out, events);
    }

    /// Drop cached spans and then indexes of closed segments, oldest use first, and then what waits to be digested, until
    /// `want` bytes are free or nothing is left. Returns the bytes freed.
    pub fn evict(&mut self, want: usize) -> usize {
        let mut freed = self.cache.evict(want);
        freed += self.sealed.evict(want.saturating_sub(freed));
        match &mut self.digesting {
            Some(digesting) if freed < want => freed + digesting.let_go(),
            _ => freed,
        }
    }

    /// Close files that were not used since the last call, and write down what memory held for none.
    pub fn close_idle(&mut self, out: &mut Vec<Effect>) {
        self.close_idle_page(out);
        let settling = self.active.as_ref().map(|active| active.key).filter(|_| self.settling.is_writing());
        self.disk.close_idle(|key| settling == Some(key) || self.compaction.writes(key), out);
    }

    /// The closed segments and the one being written, oldest first.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.sealed.iter().chain(&self.active)
    }

    pub(crate) fn segment(&self, key: SegmentKey) -> Option<&Segment> {
        self.sealed.find(key).or(self.active.as_ref().filter(|active| active.key == key))
    }

    /// The damage that a whole segment stands for.
    pub(crate) fn hole(&self, key: SegmentKey) -> ReadFault {
        let to = self.segment(key).map_or(key.base, |segment| segment.next);
        ReadFault::Damaged { from: key.base, to }
    }
}
