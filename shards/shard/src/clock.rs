//! The time by which things expire (trap 40).

use heddle_model::{Now, Wall};

/// Wall time that cannot run ahead of monotonic time since the core began: a clock that jumps ten days ahead makes no
/// record, producer or committed offset ten days older, and lets nothing be deleted. A clock set back makes everything
/// younger. The price: a clock that was wrong at the start and is put forward later is believed after a restart only.
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
    use heddle_model::Mono;

    use super::*;

    #[test]
    fn a_jump_ahead_is_not_believed_and_a_jump_back_is() {
        let now = |ms: u64, wall: i64| Now { mono: Mono(ms * 1000), wall: Wall(wall) };
        let mut clock = TrustedClock::default();
        assert_eq!(clock.read(now(5, 1_000)), now(5, 1_000));
        assert_eq!(clock.read(now(25, 1_020 + 10 * 86_400_000)), now(25, 1_020));
        assert_eq!(clock.read(now(35, 900)), now(35, 900));
    }
}
