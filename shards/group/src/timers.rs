//! Deadlines of groups and members. Moving a deadline later, which every heartbeat does, costs nothing: the entry that
//! is already queued stays, and is queued again when it comes up too early.

use std::{cmp::Reverse, collections::BinaryHeap};

use heddle_model::Mono;

use crate::{GroupId, MemberId};

/// What a deadline is about. The order only makes equal times come in a fixed order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// A member's session, or a pending member's time to come back.
    Session(GroupId, MemberId),
    /// The end of gathering members.
    Join(GroupId),
    /// The end of waiting for SyncGroup requests.
    Sync(GroupId),
    /// A KIP-848 member's time to confirm that it gave partitions up.
    Release(GroupId, MemberId),
    /// A classic member of a KIP-848 group was told to join again.
    Rejoin(GroupId, MemberId),
    /// A classic member of a KIP-848 group has joined and is to ask for its assignment.
    MemberSync(GroupId, MemberId),
    /// A KIP-848 group's next target assignment.
    Assign(GroupId),
    /// The next round of offset expiry.
    Retention,
}

impl Timer {
    pub fn group(&self) -> Option<&GroupId> {
        match self {
            Timer::Session(group, _)
            | Timer::Join(group)
            | Timer::Sync(group)
            | Timer::Release(group, _)
            | Timer::Rejoin(group, _)
            | Timer::MemberSync(group, _)
            | Timer::Assign(group) => Some(group),
            Timer::Retention => None,
        }
    }
}

/// The deadline of one timer, kept by its subject.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Alarm {
    deadline: Option<Mono>,
    /// The earliest entry that is queued for it.
    queued: Option<Mono>,
}

#[derive(Default, Debug)]
pub struct Timers {
    queue: BinaryHeap<Reverse<(Mono, Timer)>>,
}

impl Timers {
    pub fn set(&mut self, alarm: &mut Alarm, at: Mono, timer: impl FnOnce() -> Timer) {
        alarm.deadline = Some(at);
        if alarm.queued.is_none_or(|queued| at < queued) {
            alarm.queued = Some(at);
            self.queue.push(Reverse((at, timer())));
        }
    }

    /// Takes the next entry that is due. Its subject then tells with `Timers::ring` whether it really is.
    pub fn pop_due(&mut self, now: Mono) -> Option<(Mono, Timer)> {
        let Reverse((at, _)) = self.queue.peek()?;
        if *at > now {
            return None;
        }
        self.queue.pop().map(|Reverse(entry)| entry)
    }

    /// Entries that are queued.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// The entry that comes next, due or not.
    pub fn first(&self) -> Option<&Timer> {
        self.queue.peek().map(|Reverse((_, timer))| timer)
    }

    /// An entry queued for `at` came up: true if the alarm's time is over; otherwise it is queued again if need be.
    pub fn ring(&mut self, alarm: &mut Alarm, at: Mono, now: Mono, timer: impl FnOnce() -> Timer) -> bool {
        if alarm.queued != Some(at) {
            return false;
        }
        alarm.queued = None;
        match alarm.deadline {
            None => false,
            Some(deadline) if deadline > now => {
                self.set(alarm, deadline, timer);
                false
            }
            Some(_) => {
                alarm.deadline = None;
                true
            }
        }
    }

    pub fn next(&self) -> Option<Mono> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }
}

impl Alarm {
    pub fn stop(&mut self) {
        self.deadline = None;
    }

    pub fn is_set(&self) -> bool {
        self.deadline.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(timers: &mut Timers, alarm: &mut Alarm, now: u64) -> bool {
        let mut rang = false;
        while let Some((at, _)) = timers.pop_due(Mono(now)) {
            rang |= timers.ring(alarm, at, Mono(now), || Timer::Retention);
        }
        rang
    }

    #[test]
    fn a_deadline_moved_later_rings_once_and_then() {
        let (mut timers, mut alarm) = (Timers::default(), Alarm::default());
        for at in [10, 20, 30] {
            timers.set(&mut alarm, Mono(at), || Timer::Retention);
        }
        assert_eq!(timers.queue.len(), 1);
        assert!(!due(&mut timers, &mut alarm, 29));
        assert!(due(&mut timers, &mut alarm, 30));
        assert!(!due(&mut timers, &mut alarm, 99));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_deadline_moved_earlier_rings_then_and_not_again() {
        let (mut timers, mut alarm) = (Timers::default(), Alarm::default());
        timers.set(&mut alarm, Mono(30), || Timer::Retention);
        timers.set(&mut alarm, Mono(10), || Timer::Retention);
        assert!(due(&mut timers, &mut alarm, 10));
        assert!(!due(&mut timers, &mut alarm, 30));
    }

    #[test]
    fn a_stopped_alarm_stays_silent_until_set_again() {
        let (mut timers, mut alarm) = (Timers::default(), Alarm::default());
        timers.set(&mut alarm, Mono(10), || Timer::Retention);
        alarm.stop();
        assert!(!due(&mut timers, &mut alarm, 10));
        timers.set(&mut alarm, Mono(20), || Timer::Retention);
        assert!(due(&mut timers, &mut alarm, 20));
    }
}
