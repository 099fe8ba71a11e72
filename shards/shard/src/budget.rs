//! A core's memory, and when batches move from the journal to segments.
//!
//! Tails are what the journal protects and memory holds; they shrink by settling. Cache is what may be dropped at any
//! time. Sockets are read only while both the journal's ring and the memory have room (RULES A "Recycle", D).

use std::collections::VecDeque;

use heddle_journal::Pressure;
use heddle_model::ReplicaNumber;

use crate::turn::Shard;

/// Replicas whose spans may be on their way to segments at once.
const SETTLING_MAX: usize = 16;
/// A pinned tail smaller than this is cheaper to restate than to settle. Bytes.
const RESTATE_BYTES: usize = 64 * 1024;

pub struct Budget {
    memory: usize,
    /// Slots that something happened to in this turn.
    touched: Vec<usize>,
    seats: Vec<Seat>,
    tail_bytes: usize,
    cached_bytes: usize,
    settling: usize,
    queue: VecDeque<(usize, bool)>,
    evict_next: usize,
    wanted: Vec<ReplicaNumber>,
    /// Sockets are not read.
    shut: bool,
}

#[derive(Clone, Copy, Default)]
struct Seat {
    tail: usize,
    cached: usize,
    settling: bool,
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
            queue: VecDeque::new(),
            evict_next: 0,
            wanted: Vec::new(),
            shut: false,
        }
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

    pub fn memory(&self) -> usize {
        self.memory
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
        self.settle();
        self.account();
        self.evict();
        let shut = self.is_under_pressure();
        if shut != self.budget.shut {
            self.budget.shut = shut;
            self.with_api(|api, _, wish| api.pause_reading(shut, wish));
        }
    }

    fn account(&mut self) {
        for slot in std::mem::take(&mut self.budget.touched) {
            let seat = &mut self.budget.seats[slot];
            seat.touched = false;
            let replica = self.replicas[slot].as_deref();
            let tail = replica.map_or(0, |r| r.tail_bytes());
            let cached = replica.map_or(0, |r| r.cached_bytes());
            let settling = replica.is_some_and(|r| r.is_settling());
            let full = replica.is_some_and(|r| r.has_full_span());
            self.budget.tail_bytes = self.budget.tail_bytes + tail - seat.tail;
            self.budget.cached_bytes = self.budget.cached_bytes + cached - seat.cached;
            self.budget.settling = self.budget.settling + usize::from(settling) - usize::from(seat.settling);
            *seat = Seat { tail, cached, settling, ..*seat };
            if full {
                self.budget.enqueue(slot, false);
            }
        }
    }

    /// Replicas that keep the journal's oldest file from being used again.
    fn enqueue_wanted(&mut self) {
        let mut wanted = std::mem::take(&mut self.budget.wanted);
        self.journals[0].wants(&mut wanted);
        for number in wanted.drain(..) {
            let Some(slot) = self.by_number.get(&number).copied() else {
                // Not named by the image: nobody writes to it, so its few bytes are carried along.
                self.restate_dormant(number);
                continue;
            };
            self.budget.touch(slot);
            let tail = self.replicas[slot].as_ref().map_or(0, |r| r.tail_bytes());
            if tail < RESTATE_BYTES {
                self.with_replica(slot, |replica, world| replica.restate(world));
            } else {
                self.budget.enqueue(slot, true);
            }
        }
        self.budget.wanted = wanted;
    }

    fn restate_dormant(&mut self, number: ReplicaNumber) {
        if let Some(dormant) = self.start.dormant.get(&number) {
            self.journals[0].restate(number, dormant.state.clone(), dormant.tail.clone());
        }
    }

    fn settle(&mut self) {
        let mut tries = self.budget.queue.len();
        while tries > 0 && self.budget.settling < SETTLING_MAX {
            tries -= 1;
            let Some((slot, force)) = self.budget.queue.pop_front() else { break };
            self.budget.seats[slot].queued = false;
            let mut started = false;
            self.with_replica(slot, |replica, world| started = replica.settle(force, world));
            if started {
                self.budget.touch(slot);
                self.account();
            }
        }
    }

    /// Drop cache beyond its share, going around the replicas.
    fn evict(&mut self) {
        let share = (self.budget.memory / 2).saturating_sub(self.budget.tail_bytes / 2);
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

    fn is_under_pressure(&self) -> bool {
        let used = self.budget.tail_bytes + self.api.memory();
        self.journals[0].pressure() >= Pressure::StopReading || used > self.budget.memory
    }
}
