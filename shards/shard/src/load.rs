//! Whether this core has time to spare, by how much of it its turns take.

use heddle_model::Mono;

/// How long turns are added up. Milliseconds.
const WINDOW_MS: u64 = 100;
/// A core whose turns take up to so much of the time is calm: its system calls take about as much again, or more.
const CALM_PERCENT: u64 = 30;

pub(crate) struct Load {
    since: Mono,
    turns_us: u64,
    is_calm: bool,
}

impl Default for Load {
    fn default() -> Load {
        Load { since: Mono(0), turns_us: 0, is_calm: true }
    }
}

impl Load {
    /// A turn begins; the one before took `previous_us`.
    pub fn on_turn(&mut self, now: Mono, previous_us: u64) {
        self.turns_us += previous_us;
        if now >= self.since.plus_ms(WINDOW_MS) {
            self.is_calm = self.turns_us * 100 <= now.since_us(self.since) * CALM_PERCENT;
            (self.since, self.turns_us) = (now, 0);
        }
    }

    /// As of the last window that ended.
    pub fn is_calm(&self) -> bool {
        self.is_calm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_core_is_not_calm_until_it_rests() {
        let mut load = Load::default();
        let mut now = Mono(1_000_000);
        for (turn_us, every_us, calm) in [(20, 100, true), (40, 100, false), (40, 10_000, true)] {
            for _ in 0..3_000 {
                now = now.plus_us(every_us);
                load.on_turn(now, turn_us);
            }
            assert_eq!(load.is_calm(), calm, "{turn_us} of each {every_us} us");
        }
    }
}
