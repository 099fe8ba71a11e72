//! The end of a core: nothing of its memory may be in the kernel's hands when it goes.

use heddle_border::Machine;

use super::{Core, FromCore};
use crate::ring::Kind;

/// How long a halting core lets sends leave. Microseconds.
const HALT_FLUSH_US: u64 = 250_000;
/// How long a halting core waits for the kernel to give its memory back. Microseconds.
const HALT_US: u64 = 5_000_000;

impl<M: Machine> Core<M> {
    /// After `Halt`: let sends leave for a moment, end everything, wait until the kernel holds none of our memory.
    pub(super) async fn wind_up(mut self) {
        let start = self.shared.clock.mono();
        self.shared.occupancy.retire(self.me);
        self.mailbox.close();
        self.listeners.close_all(&mut self.ring);
        self.disk.hurry();
        while !self.net.is_flushed() && self.now < start.plus_us(HALT_FLUSH_US) {
            self.wind().await;
        }
        let (net, mut step) = self.net_step();
        net.end_all(&mut step);
        if self.bell_armed {
            self.ring.cancel(Kind::Bell.data(0));
        }
        while !self.is_idle() {
            if self.now > start.plus_us(HALT_US) {
                let text = format!("core {} halts with operations under way; their memory is left behind", self.me);
                (self.shared.outside)(self.me, FromCore::Warning(text));
                std::mem::forget(self);
                return;
            }
            self.wind().await;
        }
    }

    async fn wind(&mut self) {
        self.wake_at = Some(self.shared.clock.mono().plus_ms(10));
        self.wait().await;
        self.collect();
        self.events.clear();
    }

    fn is_idle(&self) -> bool {
        self.net.is_idle() && self.listeners.is_idle() && self.disk.is_idle() && !self.bell_armed
    }
}
