//! Waiting: spin, sleep in the ring, or sleep in the executor.
//!
//! While nothing cold is under way the core sleeps in its own ring. While something is, it sleeps in the executor, which
//! runs the cold tasks, and the ring wakes it through an eventfd, the bridge.

use std::time::Duration;

use heddle_border::Machine;
use heddle_model::Mono;
use io_uring::opcode;
use io_uring::types::Timespec;

use super::Core;
use crate::ring::Kind;

/// A busy core lets the executor run at least this often while cold work is under way. Microseconds.
const YIELD_US: u64 = 100;

impl<M: Machine> Core<M> {
    /// Sleep until something happens or is due.
    pub(super) async fn wait(&mut self) {
        if self.disk.cold_under_way() {
            self.wait_in_executor().await;
            self.now = self.shared.clock.mono();
        } else if !(self.spin.is_worthwhile() && self.spin()) {
            self.wait_in_ring();
        }
        self.note_enters();
    }

    fn wait_in_ring(&mut self) {
        if !self.mailbox.fall_asleep() {
            return self.ring.poll();
        }
        self.counters.parks.add(1);
        let before = self.now;
        let timeout = self.deadline().map(|at| Duration::from_micros(at.since_us(before)));
        self.ring.wait(timeout);
        self.mailbox.awake();
        self.now = self.shared.clock.mono();
        self.spin.on_slept(self.now.since_us(before));
    }

    /// True: something came, or is due.
    fn spin(&mut self) -> bool {
        self.ring.poll();
        let (start, deadline) = (self.now, self.deadline());
        loop {
            for _ in 0..16 {
                if self.ring.has_work() {
                    self.ring.poll();
                }
                if self.ring.has_completions() || self.mailbox.is_full() {
                    self.counters.spins_won.add(1);
                    self.spin.on_won();
                    return true;
                }
                std::hint::spin_loop();
            }
            self.now = self.shared.clock.mono();
            if deadline.is_some_and(|at| at <= self.now) {
                return true;
            }
            if self.now.since_us(start) >= self.spin.us() {
                self.spin.on_lost();
                return false;
            }
        }
    }

    /// Sleep in the executor, which runs cold tasks. They, and the ring, wake us through the bridge.
    async fn wait_in_executor(&mut self) {
        self.ring.enable_eventfd();
        if let Some(at) = self.deadline().filter(|at| self.timeout.is_none_or(|armed| *at < armed)) {
            self.arm_timeout(at);
        }
        self.ring.poll();
        if !self.ring.has_completions() && self.mailbox.fall_asleep() {
            self.counters.parks.add(1);
            self.read_bridge().await;
            self.mailbox.awake();
            self.yielded = self.shared.clock.mono();
            self.ring.poll();
        } else {
            self.yield_if_due().await;
        }
        self.ring.disable_eventfd();
    }

    pub(super) async fn yield_if_due(&mut self) {
        if self.disk.cold_under_way() && self.now.since_us(self.yielded) > YIELD_US {
            // Not a mere yield: the executor would come straight back here without a look at its blocking threads.
            // A read that is ready is answered after that look.
            self.ring_bridge();
            self.read_bridge().await;
            self.yielded = self.shared.clock.mono();
        }
    }

    fn ring_bridge(&self) {
        // Refused only at 2^64-1 rings that nobody took; then it is ringing already.
        let _ = self.bridge.write(1);
    }

    /// Suspend the loop until somebody rings the bridge.
    async fn read_bridge(&self) {
        if let Err(e) = self.awaited.read_at(0, 8).await {
            panic!("the core's eventfd cannot be read: {e}");
        }
    }

    /// A timeout in the ring. One that fires early or twice costs an empty round of the loop, no more.
    fn arm_timeout(&mut self, at: Mono) {
        let span = Duration::from_micros(at.since_us(self.shared.clock.mono()));
        let span = Timespec::new().sec(span.as_secs()).nsec(span.subsec_nanos());
        let entry = opcode::Timeout::new(&span).build().user_data(Kind::Timeout.data(0));
        // SAFETY: the kernel copies `span` when the entry is submitted, which `poll` does before it goes.
        unsafe { self.ring.push(entry) };
        self.ring.poll();
        self.timeout = Some(at);
    }

    /// When the loop must go round though nothing happens.
    fn deadline(&self) -> Option<Mono> {
        [self.wake_at, self.net.deadline(), self.listeners.deadline()].into_iter().flatten().min()
    }
}
