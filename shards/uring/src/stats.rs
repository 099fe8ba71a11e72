//! What a core's driver counts. Each counter has one writer, its core, so adding needs no locked instruction.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed) + n, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Bounds of the histogram of syncs. Microseconds.
pub const SYNC_BOUNDS_US: [u64; 14] =
    [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];

/// How long durable writes and syncs took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Syncs {
    /// As many as took at most each bound, and longer ones last.
    pub counts: [u64; SYNC_BOUNDS_US.len() + 1],
    pub sum_us: u64,
}

#[derive(Default)]
pub(crate) struct SyncCounters {
    counts: [Counter; SYNC_BOUNDS_US.len() + 1],
    sum_us: Counter,
}

impl SyncCounters {
    pub(crate) fn record(&self, us: u64) {
        self.counts[SYNC_BOUNDS_US.partition_point(|bound| *bound < us)].add(1);
        self.sum_us.add(us);
    }

    fn read(&self) -> Syncs {
        Syncs { counts: self.counts.each_ref().map(|count| count.0.load(Relaxed)), sum_us: self.sum_us.0.load(Relaxed) }
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One core's counters since start.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
            pub syncs: Syncs,
        }

        #[derive(Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
            pub(crate) syncs: SyncCounters,
        }

        impl Counters {
            pub(crate) fn read(&self) -> Stats {
                Stats { $($name: self.$name.0.load(Relaxed),)* syncs: self.syncs.read() }
            }
        }
    };
}

counters! {
    /// Calls of `Machine::turn`.
    turns,
    /// Times the core went to sleep.
    parks,
    /// Times it waited by spinning and was rewarded.
    spins_won,
    /// `io_uring_enter` calls.
    enters,
    /// Completions reaped.
    completions,
    accepted,
    closed,
    received_bytes,
    sent_bytes,
    disk_reads,
    disk_read_bytes,
    disk_writes,
    disk_written_bytes,
    disk_syncs,
    /// File operations done off the loop.
    cold,
    /// Mail handed to other cores.
    mail_out,
    mail_in,
    /// Doorbells rung because another core slept.
    doorbells,
    works,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_counts_at_the_first_bound_that_holds_it() {
        let syncs = SyncCounters::default();
        for us in [0, 50, 51, 1_000_000, 1_000_001] {
            syncs.record(us);
        }
        let read = syncs.read();
        assert_eq!((read.counts[0], read.counts[1], read.counts[13], read.counts[14]), (2, 1, 1, 1));
        assert_eq!(read.sum_us, 2_000_102);
    }
}
