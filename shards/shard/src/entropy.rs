//! Randomness of a core, drawn from the seed it was given: topic ids, member ids. The simulator gives the seed too.

/// SplitMix64 (Steele, Lea, Flood 2014), two draws a number.
pub struct Entropy {
    state: u64,
}

impl Entropy {
    pub fn new(seed: u128, core: u16) -> Entropy {
        let folded = (seed as u64) ^ ((seed >> 64) as u64).rotate_left(31);
        Entropy { state: folded ^ (u64::from(core) << 48) }
    }

    pub fn draw(&mut self) -> u128 {
        (u128::from(self.half()) << 64) | u128::from(self.half())
    }

    fn half(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
