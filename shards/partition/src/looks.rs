//! When retention looks at a partition: once in `log.retention.check.interval.ms`. Kafka looks at all partitions at once; here
//! each has times of its own, so that deleting comes evenly (trap 23).

use heddle_model::{Mono, ReplicaNumber};

#[derive(Default)]
pub(crate) struct Looks {
    /// `None`: that was not decided yet.
    next: Option<Mono>,
}

impl Looks {
    /// Whether it looks now. `every_ms`: the time between two looks; 0: whenever asked. The first comes in the second half of
    /// that time, by the replica's number, as many partitions begin together.
    pub(crate) fn is_due(&mut self, number: ReplicaNumber, every_ms: u64, now: Mono) -> bool {
        if every_ms == 0 {
            return true;
        }
        let half_ms = every_ms.div_ceil(2);
        // The golden ratio's fraction: neighbouring numbers lie far apart, and any run of numbers is spread evenly.
        let part = number.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let first = || now.plus_ms(half_ms.saturating_add(((u128::from(half_ms) * u128::from(part)) >> 32) as u64));
        if now < *self.next.get_or_insert_with(first) {
            return false;
        }
        self.next = Some(now.plus_ms(every_ms));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY_MS: u64 = 300_000;

    fn first_look_ms(number: u64) -> u64 {
        let mut looks = Looks::default();
        let due = |ms: &u64| looks.is_due(ReplicaNumber(number), EVERY_MS, Mono(7).plus_ms(*ms));
        (0..).step_by(1_000).find(due).expect("it comes")
    }

    #[test]
    fn partitions_that_begin_together_are_looked_at_one_after_the_other() {
        let mut at: Vec<u64> = (100..200).map(first_look_ms).collect();
        at.sort();
        assert!(at[0] >= EVERY_MS / 2 && at[99] <= EVERY_MS, "{at:?}");
        assert!(at.windows(2).all(|pair| pair[1] - pair[0] <= 4_000), "{at:?}");
    }

    #[test]
    fn a_look_comes_once_an_interval() {
        let (mut looks, number) = (Looks::default(), ReplicaNumber(9));
        let mut due = |ms: u64| looks.is_due(number, EVERY_MS, Mono(0).plus_ms(ms));
        assert!(!due(0) && !due(EVERY_MS / 2 - 1) && due(EVERY_MS));
        assert!(!due(EVERY_MS) && !due(2 * EVERY_MS - 1) && due(2 * EVERY_MS));
        assert!(looks.is_due(number, 0, Mono(0)), "where room is wanted");
    }
}
