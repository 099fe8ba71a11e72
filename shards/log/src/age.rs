//! The time by which retention counts ages (trap 40).

use heddle_model::Now;

/// Wall time that cannot run ahead of monotonic time since it was first read: a clock that jumps ten days ahead makes
/// nothing older, a clock set back makes everything younger. The price: a clock that was wrong at first and is put
/// forward later is believed again only after a restart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TrustedClock {
    first: Option<Now>,
}

impl TrustedClock {
    /// Milliseconds since 1970.
    pub(crate) fn read(&mut self, now: Now) -> i64 {
        let first = *self.first.get_or_insert(now);
        let elapsed_ms = i64::try_from(now.mono.since_us(first.mono) / 1000).unwrap_or(i64::MAX);
        now.wall.0.min(first.wall.0.saturating_add(elapsed_ms))
    }
}

#[cfg(test)]
mod tests {
    use heddle_model::{Mono, Wall};

    use super::*;

    fn now(mono_ms: u64, wall: i64) -> Now {
        Now { mono: Mono(mono_ms * 1000), wall: Wall(wall) }
    }

    #[test]
    fn follows_a_sane_clock() {
        let mut clock = TrustedClock::default();
        assert_eq!(clock.read(now(5, 1_000)), 1_000);
        assert_eq!(clock.read(now(25, 1_020)), 1_020);
    }

    #[test]
    fn a_jump_ahead_ages_nothing() {
        let mut clock = TrustedClock::default();
        clock.read(now(0, 1_000));
        let ten_days = 10 * 86_400_000;
        assert_eq!(clock.read(now(50, 1_050 + ten_days)), 1_050);
        assert_eq!(clock.read(now(90, 1_090 + ten_days)), 1_090);
    }

    #[test]
    fn a_jump_back_is_believed() {
        let mut clock = TrustedClock::default();
        clock.read(now(0, 1_000));
        assert_eq!(clock.read(now(50, 400)), 400);
    }
}
