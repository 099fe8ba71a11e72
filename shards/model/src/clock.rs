//! The time by which things expire (trap 40).

use crate::{Now, Wall};

/// Wall time that cannot run ahead of monotonic time since it was first read: a clock that jumps ten days ahead makes no
/// record, producer or committed offset ten days older, and lets nothing be deleted. A clock set back makes everything
/// younger. The price: a clock that was wrong at first and is put forward later is believed again only after a restart.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrustedClock {
    first: Option<Now>,
}

impl TrustedClock {
    /// Both clocks as of now, the wall clock as far as it is trusted.
    pub fn read(&mut self, now: Now) -> Now {
        let first = *self.first.get_or_insert(now);
        let elapsed_ms = i64::try_from(now.mono.since_us(first.mono) / 1000).unwrap_or(i64::MAX);
        Now { wall: Wall(now.wall.0.min(first.wall.0.saturating_add(elapsed_ms))), ..now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mono;

    #[test]
    fn a_jump_ahead_is_not_believed_and_a_jump_back_is() {
        let now = |ms: u64, wall: i64| Now { mono: Mono(ms * 1000), wall: Wall(wall) };
        let ten_days = 10 * 86_400_000;
        let mut clock = TrustedClock::default();
        assert_eq!(clock.read(now(5, 1_000)), now(5, 1_000));
        assert_eq!(clock.read(now(20, 1_015)), now(20, 1_015));
        assert_eq!(clock.read(now(25, 1_020 + ten_days)), now(25, 1_020));
        assert_eq!(clock.read(now(30, 1_025 + ten_days)), now(30, 1_025));
        assert_eq!(clock.read(now(35, 900)), now(35, 900));
    }
}
