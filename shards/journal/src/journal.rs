//! The journal as its core sees it: records in, durable ordinals out. Writing is in `write.rs`, starting in `start.rs`.

use std::collections::{BTreeMap, BTreeSet};

use heddle_border::{Done, Effect, Failed, Fault};
use heddle_model::limits::{JOURNAL_QUIET_MS, JOURNAL_WAITING_BYTES};
use heddle_model::{Mono, Now, ReplicaNumber, TailBatch};
use rustc_hash::FxHashMap;

use crate::asker::{Asker, Purpose};
use crate::format::UNSUMMED_BYTES;
use crate::lanes::Lanes;
use crate::record::{Body, Ordinal, Record, ReplicaState};
use crate::recovery::Recovery;
use crate::report::{Recovered, Siblings, Stuck};
use crate::ring::Ring;
use crate::shadow::Shadow;
use crate::stats::{Pressure, Stats};
use crate::wants::Wants;
use crate::write::Writer;

#[derive(Clone, Debug)]
pub struct Config {
    /// The journal's directory below the data directory, such as `journal-0`.
    pub dir: String,
    /// Owner of this room's tokens and files.
    pub owner: u32,
    /// Files of a full-grown ring, at least 2.
    pub files: usize,
    /// Size of each. Bytes.
    pub file_bytes: u64,
    /// Size of the first file in an empty directory. Bytes.
    pub first_file_bytes: u64,
    /// False: frames count when written, not when durable. For measurements only.
    pub sync: bool,
    /// Blocks that cannot be read, however often it is tried, count as damaged. False: they keep the journal from opening,
    /// since the next start may read them.
    pub accept_unreadable: bool,
}

pub(crate) enum Stage {
    Recovering(Box<Recovery>),
    /// Replay is done; the opening of the new run's first file is not durable yet.
    Starting,
    Running,
    Closed,
}

/// Whether the opening of a run's first file carries tails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Restating {
    No,
    /// To save space, if there is a file for it.
    ToSaveSpace,
    /// The files in which the tails stand cannot be relied on.
    Must,
}

/// One core's journal. See `lib.rs`.
pub struct Journal {
    pub(crate) config: Config,
    pub(crate) stage: Stage,
    pub(crate) asker: Asker,
    pub(crate) ring: Ring,
    pub(crate) writer: Writer,
    pub(crate) lanes: Lanes,
    /// Every replica as its durable records tell it.
    pub(crate) shadows: FxHashMap<ReplicaNumber, Shadow>,
    /// By file sequence, the replicas whose oldest needed bytes stand in it.
    pub(crate) pins: BTreeMap<u64, BTreeSet<ReplicaNumber>>,
    pub(crate) durable: Vec<(ReplicaNumber, Ordinal)>,
    pub(crate) recovered: Option<Recovered>,
    /// Whether the run's first file states all tails anew.
    pub(crate) restating: Restating,
    pub(crate) wants: Wants,
    pub(crate) stopping: bool,
    pub(crate) stats: Stats,
}

impl Journal {
    /// Begin recovery of the journal in `config.dir`, which is created if it does not exist. Nothing may be asked until
    /// `take_recovered` has given its answer.
    pub fn open(config: Config, now: Now, out: &mut Vec<Effect>) -> Journal {
        assert!(config.files >= 2, "a ring has two files at least");
        let mut asker = Asker::new(config.owner);
        let recovery = Recovery::begin(&config, &mut asker, out);
        Journal {
            stage: Stage::Recovering(Box::new(recovery)),
            asker,
            ring: Ring::new(&config, BTreeMap::new()),
            writer: Writer::new(fresh_id(&config.dir, config.owner, now), now.mono),
            lanes: Lanes::default(),
            shadows: FxHashMap::default(),
            pins: BTreeMap::new(),
            durable: Vec::new(),
            recovered: None,
            restating: Restating::No,
            wants: Wants::default(),
            stopping: false,
            stats: Stats::default(),
            config,
        }
    }

    /// A disk operation of this owner ended. `flush` must follow in the same turn.
    pub fn on_disk(&mut self, now: Now, seq: u32, result: Result<Done, Failed>, out: &mut Vec<Effect>) {
        let now = now.mono;
        match (self.asker.answered(seq), result) {
            (Purpose::Frame(number), result) => self.on_frame(now, number, result, out),
            (purpose @ (Purpose::Create(_) | Purpose::Prewrite(_) | Purpose::SyncMade(_)), result) => {
                self.stats.files_refused += u64::from(result.is_err());
                self.ring.on_made(purpose, result, now, &mut self.asker, out);
            }
            // A file that cannot be closed or removed is litter, found as a leftover by the next start.
            (Purpose::Close(slot), _) if self.ring.is_dropping(slot) => self.ring.on_closed(slot, &mut self.asker, out),
            (Purpose::Close(_), _) => {}
            (Purpose::Remove(slot), _) => self.ring.on_removed(slot),
            (purpose, result) => {
                let Stage::Recovering(recovery) = &mut self.stage else {
                    unreachable!("{purpose:?} is asked for in recovery only")
                };
                if recovery.on_disk(purpose, result, now, &mut self.asker, out) {
                    let (replay, slots) = recovery.finish();
                    let sync_failed = recovery.sync_failed;
                    self.start(replay, slots, sync_failed);
                }
            }
        }
        if matches!(self.stage, Stage::Starting) {
            self.tend(now, out);
        }
    }

    /// Everything the journal knew, once: after replay, and after the new run counts. From then on records are taken.
    pub fn take_recovered(&mut self) -> Option<Recovered> {
        match self.stage {
            Stage::Running => self.recovered.take(),
            _ => None,
        }
    }

    /// A new replica with an empty tail, durable at the ordinal, which is 1 unless damage left an unknown replica of that
    /// number.
    pub fn create(&mut self, replica: ReplicaNumber, state: ReplicaState) -> Ordinal {
        assert!(self.state(replica).is_none(), "replica {replica} is in this journal already");
        self.restate(replica, state, Vec::new())
    }

    /// Damage that may have hidden replicas was dealt with: whoever should be here and is not was set apart. Until then
    /// each recovery reports `may_miss_replicas` again.
    pub fn accept_losses(&mut self) {
        self.writer.misses = false;
    }

    /// This journal may have lost replicas, though nothing in it says so: it is new where others of its data directory are
    /// not. Reported by each recovery until `accept_losses`.
    pub fn suspect_losses(&mut self) {
        self.writer.misses = true;
    }

    /// Say in every frame from now on which journals the data directory has. The next recovery reports it.
    pub fn set_siblings(&mut self, siblings: Siblings) {
        self.writer.siblings = siblings;
    }

    /// Replace all that is known of a replica by `state` and `tail`: valid when all of it is durable, which is at the
    /// ordinal returned. A replica this journal does not know begins here.
    pub fn restate(&mut self, replica: ReplicaNumber, state: ReplicaState, tail: Vec<TailBatch>) -> Ordinal {
        self.put_restatement(replica, state, tail, false)
    }

    /// The same for a replica that is damaged and stays so: its bytes move, its losses are not dealt with.
    pub fn restate_damaged(&mut self, replica: ReplicaNumber, state: ReplicaState, tail: Vec<TailBatch>) -> Ordinal {
        self.put_restatement(replica, state, tail, true)
    }

    fn put_restatement(
        &mut self,
        replica: ReplicaNumber,
        state: ReplicaState,
        tail: Vec<TailBatch>,
        damaged: bool,
    ) -> Ordinal {
        self.check_running();
        if !self.lanes.knows(replica) {
            self.lanes.open(replica, Ordinal(0));
        }
        let batches = u32::try_from(tail.len()).expect("a tail's batches are few");
        let mut last = self.lanes.push(replica, Body::Restate { state: Box::new(state), batches, damaged });
        for batch in tail {
            check_batch(&batch);
            last = self.lanes.push(replica, Body::Batch(batch));
        }
        last
    }

    /// The replica was removed, or moved to another journal. Its last record.
    pub fn gone(&mut self, replica: ReplicaNumber) -> Ordinal {
        self.check_running();
        self.lanes.push(replica, Body::Gone)
    }

    /// Queue a record for the next frames.
    ///
    /// # Panics
    /// If the replica is not in this journal.
    pub fn append(&mut self, replica: ReplicaNumber, record: Record) -> Ordinal {
        self.check_running();
        if let Record::Append(batch, _) = &record {
            check_batch(batch);
        }
        self.lanes.push(replica, Body::Record(record))
    }

    fn check_running(&self) {
        assert!(matches!(self.stage, Stage::Running), "records are taken once recovery has given its answer");
    }

    /// The end of a turn: write what waits, as far as RULES D allows, and tend the ring.
    pub fn flush(&mut self, now: Now, out: &mut Vec<Effect>) {
        match &mut self.stage {
            Stage::Recovering(recovery) => recovery.retry(now.mono, &mut self.asker, out),
            Stage::Starting | Stage::Running => self.tend(now.mono, out),
            Stage::Closed => {}
        }
    }

    fn tend(&mut self, now: Mono, out: &mut Vec<Effect>) {
        self.write(now, out);
        if !self.stopping {
            self.ring.tend(now, &mut self.asker, out);
        }
    }

    /// For each replica with news, the last of its records that is durable.
    pub fn take_durable(&mut self, into: &mut Vec<(ReplicaNumber, Ordinal)>) {
        self.durable.sort_unstable();
        let news = self.durable.chunk_by(|left, right| left.0 == right.0);
        into.extend(news.filter_map(|of_one| of_one.last()));
        self.durable.clear();
    }

    /// Why the journal does not open; `None` while nothing speaks against it.
    pub fn stuck(&self) -> Option<&Stuck> {
        match &self.stage {
            Stage::Recovering(recovery) => recovery.stuck(),
            Stage::Starting | Stage::Running | Stage::Closed => None,
        }
    }

    /// What the disk refused last, as long as nothing has gone well since: the file, and how. `None`: all is well.
    pub fn trouble(&self) -> Option<(&str, Fault)> {
        let refused = self.writer.failed.as_ref().or(self.ring.refused.as_ref());
        refused.map(|(path, fault)| (path.as_str(), *fault))
    }

    /// Writes failed in two files in a row, and not for want of space: nothing becomes durable before the next start.
    pub fn is_broken_for_good(&self) -> bool {
        self.writer.is_broken() && self.writer.retry_at().is_none()
    }

    pub fn pressure(&self) -> Pressure {
        self.pressure_of(self.ring.used_from(0, self.writer.place()))
    }

    /// The pressure once a record of so many bytes is taken as well. Where no other file is ready, what waits to be written
    /// counts as written: it goes to the ring before whatever comes behind it, reserve or not (trap 39).
    pub fn pressure_with(&self, bytes: usize) -> Pressure {
        let coming = if self.ring.ready() == 0 { (self.waiting_bytes() + bytes) as u64 } else { 0 };
        self.pressure_of(self.ring.used_from(0, self.writer.place()) + coming)
    }

    /// Whether so many bytes can be written though no file is made: a frame that the present file lacks room for leaves the
    /// rest of it empty, and whatever comes behind it waits for another file.
    pub fn has_room_for(&self, bytes: usize) -> bool {
        self.ring.ready() > 0 || self.fits_behind(self.waiting_bytes() + bytes)
    }

    /// The pressure if this much of the ring were used. Bytes.
    pub(crate) fn pressure_of(&self, used: u64) -> Pressure {
        if self.writer.is_broken() || self.stuck().is_some() {
            return Pressure::Broken;
        }
        let capacity = self.ring.capacity();
        if self.is_out_of_space() || used * 8 >= capacity * 7 && capacity > 0 {
            Pressure::ControlOnly
        } else if used * 4 >= capacity * 3 && capacity > 0 || self.waiting_bytes() > JOURNAL_WAITING_BYTES {
            Pressure::StopReading
        } else if used * 2 >= capacity && capacity > 0 {
            Pressure::SettleHard
        } else {
            Pressure::None
        }
    }

    /// The file being written is full, and no other can be made.
    pub fn is_out_of_space(&self) -> bool {
        self.ring.is_stalled() && self.ring.growth_fails()
    }

    /// Bytes of the ring once it has all its files, or as it is if it cannot grow.
    pub fn capacity(&self) -> u64 {
        self.ring.capacity()
    }

    /// Whether frames are on their way to the disk.
    pub fn is_writing(&self) -> bool {
        self.writer.is_writing()
    }

    /// Records that are not in a frame yet. Bytes.
    pub fn waiting_bytes(&self) -> usize {
        self.lanes.bytes() + self.writer.redo_bytes()
    }

    /// When `flush` must be called at the latest though nothing happens.
    pub fn wake_at(&self) -> Option<Mono> {
        let recovery = match &self.stage {
            Stage::Recovering(recovery) => recovery.retry_at(),
            _ => None,
        };
        let quiet = self.wants_quiet_frame().then(|| self.writer.durable_at().plus_ms(JOURNAL_QUIET_MS));
        let ring = self.ring.retry_at().filter(|_| !self.stopping);
        [recovery, quiet, ring, self.writer.retry_at()].into_iter().flatten().min()
    }

    /// What is durable of a replica. `None`: nothing yet.
    pub fn state(&self, replica: ReplicaNumber) -> Option<&ReplicaState> {
        self.shadows.get(&replica)?.state.as_ref()
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The process is about to stop: no more files are made.
    pub fn on_stop(&mut self) {
        self.stopping = true;
    }

    /// Nothing is queued or under way, and the last frame is known durable on disk.
    pub fn idle(&self) -> bool {
        let started = matches!(self.stage, Stage::Running | Stage::Closed);
        started && self.waiting_bytes() == 0 && self.asker.is_idle() && !self.wants_quiet_frame()
    }

    /// Close all files of an idle journal, for instance before its directory is removed after adoption.
    pub fn close(&mut self, out: &mut Vec<Effect>) {
        assert!(self.asker.is_idle() && self.waiting_bytes() == 0, "an idle journal is closed");
        self.ring.close(&mut self.asker, out);
        self.writer.forget_file();
        self.stage = Stage::Closed;
    }
}

/// A new journal's identity. It only has to differ from those of other data directories; nothing below the drivers has
/// a source of chance, so both clocks, the directory and the owner have to do.
fn fresh_id(dir: &str, owner: u32, now: Now) -> u128 {
    let sum = crc32c::crc32c(dir.as_bytes());
    let low = now.mono.0 ^ u64::from(owner).rotate_left(48) ^ u64::from(sum).rotate_left(24);
    u128::from(now.wall.0.cast_unsigned()) << 64 | u128::from(low)
}

fn check_batch(batch: &TailBatch) {
    assert!(batch.bytes.len() > UNSUMMED_BYTES, "a record batch has a header");
    assert!(batch.base <= batch.next, "a batch ends after its start");
}
