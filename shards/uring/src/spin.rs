//! Whether to spin before sleeping: only while it has been paying.

/// How often in a row spinning may be in vain.
const CREDIT: u8 = 4;

pub(crate) struct Spin {
    /// How long a core spins at most. 0: never. Microseconds.
    us: u64,
    credit: u8,
}

impl Spin {
    pub(crate) fn new(us: u64) -> Spin {
        Spin { us, credit: 0 }
    }

    pub(crate) fn us(&self) -> u64 {
        self.us
    }

    pub(crate) fn is_worthwhile(&self) -> bool {
        self.us > 0 && self.credit > 0
    }

    pub(crate) fn on_won(&mut self) {
        self.credit = CREDIT;
    }

    pub(crate) fn on_lost(&mut self) {
        self.credit = self.credit.saturating_sub(1);
    }

    /// A sleep that spinning would have spared earns credit.
    pub(crate) fn on_slept(&mut self, us: u64) {
        if us < self.us {
            self.credit = CREDIT;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_core_does_not_spin() {
        let mut spin = Spin::new(100);
        assert!(!spin.is_worthwhile());
        spin.on_slept(1_000);
        assert!(!spin.is_worthwhile());
        spin.on_slept(50);
        for _ in 0..CREDIT {
            assert!(spin.is_worthwhile());
            spin.on_lost();
        }
        assert!(!spin.is_worthwhile());
    }

    #[test]
    fn zero_is_never() {
        let mut spin = Spin::new(0);
        spin.on_slept(0);
        spin.on_won();
        assert!(!spin.is_worthwhile());
    }
}
