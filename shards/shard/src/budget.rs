//! A core's memory, and when batches move from the journal to segments.
//!
//! Tails are what the journal protects and memory holds; they shrink by settling. Cache is what may be dropped at any
//! time. Sockets are read only while both the journal's ring and the memory have room (RULES A "Recycle", D).

use std::collections::{BTreeMap, VecDeque};

use heddle_api::Reading;
use heddle_journal::{Ordinal, Pressure};
use heddle_model::limits::JOURNAL_WAITING_BYTES;
use heddle_model::{Mono, ReplicaNumber};
use heddle_partition::{Append, Origin};

use crate::mail::Level;
use crate::retries::Retries;
use crate::turn::Shard;

/// Replicas whose spans may be on their way to segments at once.
const SETTLING_MAX: usize = 16;
/// A pinned tail smaller than this is cheaper to restate than to settle. Bytes.
const RESTATE_BYTES: usize = 64 * 1024;
/// But only while all tails together are at most this part of the ring, and it alone is at most half of that part of a
/// file: more would fill the ring with restatements as fast as they free it, for ever.
const RESTATED_PART: u64 = 4;
/// A tail that cannot be settled is restated up to this size; a larger one would use up what the restating is to save.
const RESTATE_TROUBLED_BYTES: usize = 4 * 1024 * 1024;
/// On a disk that is all but full some settling succeeds; trouble is over when none met any for this long. Milliseconds.
const STUCK_MS: u64 = 1_000;

pub struct Budget {
    memory: usize,
    /// Slots that something happened to in this turn.
    touched: Vec<usize>,
    seats: Vec<Seat>,
    tail_bytes: usize,
    cached_bytes: usize,
    settling: usize,
    loading: usize,
    queue: VecDeque<(usize, bool)>,
    evict_next: usize,
    settle_next: usize,
    wanted: Vec<ReplicaNumber>,
    /// Replicas whose restatement is on its way to the journal, until it is durable.
    restating: BTreeMap<ReplicaNumber, Ordinal>,
    retries: Retries,
    due: Vec<usize>,
    /// Which sockets are read.
    reading: Reading,
    /// Records of clients are refused.
    refusing: bool,
    /// When settling last was in trouble.
    stuck_at: Option<Mono>,
}

#[derive(Clone, Copy, Default)]
struct Seat {
    tail: usize,
    cached: usize,
    settling: bool,
    loading: bool,
    queued: bool,
    touched: bool,
}

impl Budget {
    pub fn new(memory: usize) -> Budget {
        Budget {
            memory,
            touched: Vec::new(),
            seats: Vec::new(),
            tail_bytes: 0,
            cached_bytes: 0,
            settling: 0,
            loading: 0,
            queue: VecDeque::new(),
            evict_next: 0,
            settle_next: 0,
            wanted: Vec::new(),
            restating: BTreeMap::new(),
            retries: Retries::default(),
            due: Vec::new(),
            reading: Reading::All,
            refusing: false,
            stuck_at: None,
        }
    }

    /// The journal holds the replica's records up to `ordinal`.
    pub fn on_durable(&mut self, number: ReplicaNumber, ordinal: Ordinal) {
        if self.restating.get(&number).is_some_and(|awaited| *awaited <= ordinal) {
            self.restating.remove(&number);
        }
    }

    /// When settling is tried again.
    pub fn wake_at(&self) -> Option<Mono> {
        self.retries.wake_at()
    }

    pub fn touch(&mut self, slot: usize) {
        if slot >= self.seats.len() {
            self.seats.resize(slot + 1, Seat::default());
        }
        if !self.seats[slot].touched {
            self.seats[slot].touched = true;
            self.touched.push(slot);
        }
    }

    pub fn tail_bytes(&self) -> usize {
        self.tail_bytes
    }

    pub fn cached_bytes(&self) -> usize {
        self.cached_bytes
    }

    /// Records of clients are refused.
    pub fn is_refusing(&self) -> bool {
        self.refusing
    }

    /// Settling does not make room, or did not a moment ago: the disk is full, or fails.
    pub fn is_stuck(&self, now: Mono) -> bool {
        self.stuck_at.is_some_and(|at| now < at.plus_ms(STUCK_MS))
    }

    pub fn memory(&self) -> usize {
        self.memory
    }

    #[cfg(test)]
    pub(crate) fn seats(&self) -> usize {
        self.seats.len()
    }

    fn enqueue(&mut self, slot: usize, force: bool) {
        if !self.seats[slot].queued {
            self.seats[slot].queued = true;
            if force { self.queue.push_front((slot, true)) } else { self.queue.push_back((slot, false)) }
        }
    }
}

impl Shard {
    /// At the end of a turn: account for what was touched, settle, evict, and open or shut the tap.
    pub(crate) fn spend_budget(&mut self) {
        if self.start.is_under_way() {
            return;
        }
        self.account();
        self.enqueue_wanted();
        self.enqueue_due();
        self.enqueue_for_memory();
        self.settle();
        self.account();
        self.evict();
        self.set_tap();
        self.report_journal_trouble();
    }

    /// Whether a client's records are refused, with an error that it may retry: waiting would not help them.
    pub(crate) fn refuses(&self, append: &Append) -> bool {
        self.budget.refusing && append.origin == Origin::Client
    }

    /// Full means wait, as long as settling makes room. When it does not (a full or failing disk), sockets stay open for
    /// readers and for whoever deletes something, and only records are refused (trap 18).
    fn set_tap(&mut self) {
        let pressure = self.journals[0].pressure();
        let troubled = self.budget.retries.any_failed();
        let full = pressure >= Pressure::StopReading;
        let stuck = troubled || pressure == Pressure::Broken || (full && !self.is_making_room());
        // Answers that nobody takes are no reason to read less: fetches alone wait for those (`ApiConfig`).
        let (tails, requests) = (self.budget.tail_bytes, self.api.request_bytes());
        // What compaction holds is not theirs.
        let memory = self.budget.memory - self.compaction.map_bytes().min(self.budget.memory);
        if stuck {
            self.budget.stuck_at = Some(self.now.mono);
        }
        let stuck = self.budget.is_stuck(self.now.mono);
        let (shut, refusing) = if stuck && self.budget.refusing {
            (requests > memory / 4, pressure >= Pressure::SettleHard || tails > memory / 4)
        } else if stuck {
            // What tails leave free is for requests.
            (requests > memory / 4, full || tails > memory / 2)
        } else {
            (full || tails + requests > memory, false)
        };
        if refusing != self.budget.refusing {
            self.budget.refusing = refusing;
            let (me, trouble) = (self.me, self.journals[0].trouble());
            let why = trouble.map_or("segments cannot be written".into(), |(path, fault)| {
                format!("{path}: {fault}{}", fault.remedy())
            });
            if refusing {
                let text = "and the journal or the memory is as full as it may get";
                self.log(Level::Error, format!("core {me}: records are refused: {why}, {text}"));
            } else {
                self.log(Level::Info, format!("core {me}: records are taken again"));
            }
        }
        // A frame that has begun holds its memory until it ends, so one of them goes on whatever the memory.
        let reading = match shut {
            false => Reading::All,
            true if full && !stuck => Reading::Nothing,
            true => Reading::OldestFrame,
        };
        if reading != self.budget.reading {
            self.budget.reading = reading;
            self.with_api(|api, view, wish| api.read_sockets(reading, view, wish));
        }
    }

    /// Whether waiting helps: frames are about to be written, or something is settled or restated, or will be once it is
    /// loaded or durable.
    fn is_making_room(&self) -> bool {
        let (budget, journal) = (&self.budget, &self.journals[0]);
        let waits = journal.waiting_bytes() > JOURNAL_WAITING_BYTES || !budget.restating.is_empty();
        let writes = waits && !journal.is_out_of_space();
        writes || journal.is_writing() || budget.settling > 0 || budget.loading > 0 || !budget.queue.is_empty()
    }

    fn account(&mut self) {
        for slot in std::mem::take(&mut self.budget.touched) {
            let seat = &mut self.budget.seats[slot];
            seat.touched = false;
            if let Some(replica) = self.replicas[slot].as_deref_mut() {
                replica.find_segment_ends(self.now);
            }
            let replica = self.replicas[slot].as_deref();
            let tail = replica.map_or(0, |r| r.tail_bytes());
            let cached = replica.map_or(0, |r| r.cached_bytes());
            let settling = replica.is_some_and(|r| r.is_settling());
            let loading = replica.is_some_and(|r| r.is_loading());
            let full = replica.is_some_and(|r| r.has_full_span());
            let wants = replica.is_some_and(|r| r.wants_settle());
            let failed = replica.is_some_and(|r| r.has_trouble());
            self.budget.tail_bytes = self.budget.tail_bytes + tail - seat.tail;
            self.budget.cached_bytes = self.budget.cached_bytes + cached - seat.cached;
            self.budget.settling = self.budget.settling + usize::from(settling) - usize::from(seat.settling);
            self.budget.loading = self.budget.loading + usize::from(loading) - usize::from(seat.loading);
            *seat = Seat { tail, cached, settling, loading, ..*seat };
            self.budget.retries.note(slot, wants, failed, settling, self.now.mono);
            if full && !wants {
                self.budget.enqueue(slot, false);
            }
        }
    }

    fn enqueue_due(&mut self) {
        let mut due = std::mem::take(&mut self.budget.due);
        self.budget.retries.take_due(self.now.mono, &mut due);
        for slot in due.drain(..) {
            self.budget.touch(slot);
            self.budget.enqueue(slot, true);
        }
        self.budget.due = due;
    }

    /// Tails that fill the memory though none is a span long: many partitions with a little each. The journal may have
    /// room for more, but sockets are shut by then, and only records that are read could make it ask.
    fn enqueue_for_memory(&mut self) {
        let (tails, memory) = (self.budget.tail_bytes, self.budget.memory);
        // Together with requests they may be too much though they are not by themselves.
        if tails <= memory / 2 && tails + self.api.request_bytes() <= memory {
            return;
        }
        let seats = self.budget.seats.len();
        let mut free = SETTLING_MAX.saturating_sub(self.budget.settling + self.budget.queue.len());
        for _ in 0..seats {
            if free == 0 {
                return;
            }
            let slot = self.budget.settle_next % seats;
            self.budget.settle_next = slot + 1;
            let seat = self.budget.seats[slot];
            if seat.tail > 0 && !seat.settling && !seat.queued && !self.budget.retries.holds(slot) {
                self.budget.enqueue(slot, true);
                free -= 1;
            }
        }
    }

    /// Replicas that keep the journal's oldest file from being used again.
    fn enqueue_wanted(&mut self) {
        let mut wanted = std::mem::take(&mut self.budget.wanted);
        self.journals[0].wants(&mut wanted);
        let few = self.budget.tail_bytes as u64 <= self.journals[0].capacity() / RESTATED_PART;
        let small_bytes = RESTATE_BYTES.min((self.config.journal_file_bytes / RESTATED_PART / 2) as usize);
        for number in wanted.drain(..) {
            if self.budget.restating.contains_key(&number) {
                continue;
            }
            let Some(slot) = self.by_number.get(&number).copied() else {
                // Not named by the image: nobody writes to it, so its few bytes are carried along.
                self.restate_dormant(number);
                continue;
            };
            // It is leaving the file already; another round now would write a few new bytes only.
            if self.replicas[slot].as_ref().is_some_and(|r| r.is_settling()) {
                continue;
            }
            self.budget.touch(slot);
            let tail = self.replicas[slot].as_ref().map_or(0, |r| r.tail_bytes());
            // A damaged replica never settles: whatever its size, it is carried along.
            let damaged = self.replicas[slot].as_ref().is_some_and(|r| r.is_damaged());
            let troubled = self.budget.retries.holds(slot);
            let small = tail == 0 || (few && tail < small_bytes);
            // Where the disk takes no more, a tail that cannot be written anew would keep all that comes behind it from
            // being written, a topic's removal too.
            if (troubled || self.journals[0].trouble().is_some()) && !self.journals[0].has_room_for(tail) {
                continue;
            }
            if damaged || small || (troubled && tail < RESTATE_TROUBLED_BYTES) {
                let mut awaited = None;
                self.with_replica(slot, |replica, world| awaited = replica.restate(world));
                self.budget.restating.extend(awaited.map(|ordinal| (number, ordinal)));
            } else if !troubled {
                self.budget.enqueue(slot, true);
            }
        }
        self.budget.wanted = wanted;
    }

    fn restate_dormant(&mut self, number: ReplicaNumber) {
        // Before the first image every replica is dormant, and most are about to be seated.
        if self.image.version > 0
            && let Some(dormant) = self.start.dormant.get(&number)
        {
            let (state, tail) = (dormant.state.clone(), dormant.tail.clone());
            let journal = &mut self.journals[0];
            let ordinal = if dormant.damaged {
                journal.restate_damaged(number, state, tail)
            } else {
                journal.restate(number, state, tail)
            };
            self.budget.restating.insert(number, ordinal);
        }
    }

    fn settle(&mut self) {
        let mut tries = self.budget.queue.len();
        while tries > 0 && self.budget.settling < SETTLING_MAX {
            tries -= 1;
            let Some((slot, force)) = self.budget.queue.pop_front() else { break };
            self.budget.seats[slot].queued = false;
            // It was queued before it failed, and waits for its time since.
            if self.budget.retries.holds(slot) {
                continue;
            }
            let mut started = false;
            self.with_replica(slot, |replica, world| started = replica.settle(force, world));
            // It has begun, or is loaded first.
            self.budget.touch(slot);
            if started {
                self.account();
            }
        }
    }

    /// Drop cache beyond its share, going around the replicas. Compaction's map of keys takes from that share.
    fn evict(&mut self) {
        let taken = self.budget.tail_bytes / 2 + self.compaction.map_bytes();
        let share = (self.budget.memory / 2).saturating_sub(taken);
        let mut tries = self.replicas.len();
        while self.budget.cached_bytes > share && tries > 0 {
            tries -= 1;
            let slot = self.budget.evict_next % self.replicas.len();
            self.budget.evict_next = slot + 1;
            let want = self.budget.cached_bytes - share;
            if let Some(replica) = self.replicas[slot].as_mut()
                && replica.evict(want) > 0
            {
                self.budget.touch(slot);
                self.account();
            }
        }
    }
}
