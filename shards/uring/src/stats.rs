//! What a core's driver counts. Each counter has one writer, its core, so adding needs no locked instruction.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed) + n, Relaxed);
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One core's counters since start.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> Stats {
                Stats { $($name: self.$name.0.load(Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Calls of `Machine::turn`.
    turns,
    /// Microseconds spent in them.
    turn_us,
    /// Turns of more than one millisecond.
    long_turns,
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
