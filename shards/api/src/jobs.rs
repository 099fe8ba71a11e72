//! Requests under way: slots with generations, so that a late answer never reaches a stranger (trap 34).

use std::collections::BTreeSet;

use heddle_border::ConnId;
use heddle_model::{Mono, ShardId, Ticket};

use crate::context::{Caller, Flight};

/// A slot and its generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct JobId {
    pub slot: u32,
    pub generation: u32,
}

impl JobId {
    pub fn ticket(self, home: ShardId, part: u32) -> Ticket {
        Ticket { home, slot: self.slot, generation: self.generation, part }
    }
}

/// One request between its start and its answer.
pub(crate) struct Job {
    pub conn: ConnId,
    pub place: u64,
    pub caller: Caller,
    /// Index into the dispatch table.
    pub api: usize,
    pub started: Mono,
    pub held_bytes: usize,
    pub parts: u32,
    pub deadline: Option<Mono>,
    /// The deadline it is listed under; `Jobs` keeps it.
    pub due: Option<Mono>,
    pub flight: Box<dyn Flight>,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    job: Option<Job>,
}

#[derive(Default)]
pub(crate) struct Jobs {
    slots: Vec<Slot>,
    free: Vec<u32>,
    deadlines: BTreeSet<(Mono, JobId)>,
    under_way: usize,
}

impl Jobs {
    /// A slot for a request that is about to start. Give it to `insert` or to `release`.
    pub fn reserve(&mut self) -> JobId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("slots are bounded by connections and ANSWER_SLOTS")
        });
        JobId { slot, generation: self.slots[slot as usize].generation }
    }

    pub fn insert(&mut self, id: JobId, job: Job) {
        self.under_way += 1;
        self.put_back(id, job);
    }

    /// The slot of a request that was answered without waiting.
    pub fn release(&mut self, id: JobId) {
        let slot = &mut self.slots[id.slot as usize];
        assert!(slot.job.is_none() && slot.generation == id.generation, "a slot is released once");
        // The slot goes to the next request, under the next generation.
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.slot);
    }

    /// Take a job out to work on it, and then `put_back` or `end` it. `None` for an answer that comes too late.
    pub fn take(&mut self, id: JobId) -> Option<Job> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation != id.generation { None } else { slot.job.take() }
    }

    /// A job that nobody works on. `None` for one that is over.
    pub fn get(&self, id: JobId) -> Option<&Job> {
        let slot = self.slots.get(id.slot as usize)?;
        if slot.generation != id.generation { None } else { slot.job.as_ref() }
    }

    pub fn put_back(&mut self, id: JobId, mut job: Job) {
        if job.due != job.deadline {
            self.unlist(id, job.due);
            self.deadlines.extend(job.deadline.map(|at| (at, id)));
            job.due = job.deadline;
        }
        let slot = &mut self.slots[id.slot as usize];
        assert!(slot.job.is_none() && slot.generation == id.generation, "a slot is its holder's alone");
        slot.job = Some(job);
    }

    /// A job that was taken is over; `due` is its own.
    pub fn end(&mut self, id: JobId, due: Option<Mono>) {
        self.unlist(id, due);
        self.under_way -= 1;
        self.release(id);
    }

    fn unlist(&mut self, id: JobId, due: Option<Mono>) {
        if let Some(at) = due {
            self.deadlines.remove(&(at, id));
        }
    }

    /// The oldest job whose time has come.
    pub fn due(&self, now: Mono) -> Option<JobId> {
        self.deadlines.first().filter(|(at, _)| *at <= now).map(|(_, id)| *id)
    }

    pub fn next_deadline(&self) -> Option<Mono> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// Every job, in slot order.
    pub fn ids(&self) -> Vec<JobId> {
        let of = |(slot, held): (usize, &Slot)| JobId { slot: slot as u32, generation: held.generation };
        self.slots.iter().enumerate().filter(|(_, held)| held.job.is_some()).map(of).collect()
    }
}
