//! Time as plain integers, handed in from outside. Nothing below the drivers reads a clock.

/// Microseconds of a clock that never goes back; its zero is arbitrary. Timers use it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Mono(pub u64);

/// Milliseconds since 1970 by the machine's clock, which may jump. Record timestamps use it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Wall(pub i64);

/// Both clocks, read once at the start of a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    pub mono: Mono,
    pub wall: Wall,
}

impl Mono {
    pub fn plus_ms(self, ms: u64) -> Mono {
        Mono(self.0.saturating_add(ms.saturating_mul(1000)))
    }

    pub fn plus_us(self, us: u64) -> Mono {
        Mono(self.0.saturating_add(us))
    }

    /// Microseconds from `earlier` to `self`, 0 if `earlier` is later.
    pub fn since_us(self, earlier: Mono) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
