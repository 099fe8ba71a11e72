//! Which replicas keep the ring's oldest file from being used again, and how many of them should move now.
//!
//! Thousands of replicas with a little each may need one file. If all of them settled when the file grew old, their small
//! writes would hold up the journal's own. So they leave it while the next file is being written, evenly (trap 24); only
//! when the ring fills up is everybody asked at once.

use std::collections::BTreeSet;

use heddle_model::ReplicaNumber;

use crate::journal::Journal;
use crate::stats::Pressure;

/// Replicas named in one call.
const WANTED_AT_ONCE: usize = 64;

#[derive(Default)]
pub(crate) struct Wants {
    /// Where an unpaced call goes on.
    cursor: ReplicaNumber,
    pace: Pace,
}

/// How many replicas needed the file `oldest` when the file `current` was begun.
#[derive(Clone, Copy, Default)]
struct Pace {
    oldest: u64,
    current: u64,
    replicas: usize,
}

impl Wants {
    /// Everybody, `WANTED_AT_ONCE` a call, others the next time.
    fn next(&mut self, pinning: &BTreeSet<ReplicaNumber>, into: &mut Vec<ReplicaNumber>) {
        let before = into.len();
        into.extend(pinning.range(self.cursor..).take(WANTED_AT_ONCE));
        self.cursor = match into[before..].last() {
            Some(last) if into.len() - before == WANTED_AT_ONCE => ReplicaNumber(last.0 + 1),
            _ => ReplicaNumber(0),
        };
    }

    /// As many as should have left by now and have not. All have left when three quarters of the file are written.
    fn paced(&mut self, files: (u64, u64), written: f64, pinning: &BTreeSet<ReplicaNumber>) -> usize {
        let (oldest, current) = files;
        if (self.pace.oldest, self.pace.current) != files {
            self.pace = Pace { oldest, current, replicas: pinning.len() };
        }
        let due = (self.pace.replicas as f64 * written / 0.75).ceil() as usize;
        let left = self.pace.replicas.saturating_sub(pinning.len());
        due.saturating_sub(left).min(WANTED_AT_ONCE)
    }
}

impl Journal {
    /// Replicas that pin the oldest file and should settle or, failing that, be restated. At most 64 a call; one that
    /// is still at it is named again.
    pub fn wants(&mut self, into: &mut Vec<ReplicaNumber>) {
        let Some(current) = self.writer.sequence() else { return };
        let Some((&oldest, pinning)) = self.pins.first_key_value() else { return };
        let behind = self.pins.keys().filter(|file| **file != current).count();
        // What only waits for a frame that frees it does not hurry anybody: were those who just moved out of it asked to
        // move again, they would fill the next files with themselves, for ever.
        let needed = self.ring.used_from(oldest, self.writer.place());
        let hurried = self.ring.is_stalled() || self.pressure_of(needed) >= Pressure::SettleHard;
        if !self.ring.is_stalled() && (oldest == current || (behind < 2 && !hurried)) {
            return;
        }
        if hurried || behind > 2 {
            return self.wants.next(pinning, into);
        }
        let written = self.writer.place().map_or(1.0, |(slot, at)| at as f64 / self.ring.len(slot) as f64);
        let count = self.wants.paced((oldest, current), written, pinning);
        into.extend(pinning.iter().take(count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_need_the_oldest_file_leave_it_while_the_next_is_written() {
        let mut wants = Wants::default();
        let mut pinning: BTreeSet<_> = (0..300).map(ReplicaNumber).collect();
        assert_eq!(wants.paced((1, 3), 0.0, &pinning), 0);
        assert_eq!(wants.paced((1, 3), 0.1, &pinning), 40);
        assert_eq!(wants.paced((1, 3), 0.1, &pinning), 40, "those who are still at it are named again");
        pinning.retain(|replica| replica.0 >= 40);
        assert_eq!(wants.paced((1, 3), 0.1, &pinning), 0);
        assert_eq!(wants.paced((1, 3), 0.2, &pinning), 40);
        assert_eq!(wants.paced((1, 3), 0.75, &pinning), WANTED_AT_ONCE);
        pinning.retain(|replica| replica.0 >= 299);
        assert_eq!(wants.paced((1, 3), 0.75, &pinning), 1);
        assert_eq!(wants.paced((2, 3), 0.75, &pinning), 1, "another file is counted anew");
    }
}
