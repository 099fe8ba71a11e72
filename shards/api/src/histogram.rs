//! A latency histogram with log-linear buckets: 8 per power of two, so a value is known to about 12 %.

const SUB_BITS: u32 = 3;
const SUB: u64 = 1 << SUB_BITS;
/// Values from 2^32 us (71 minutes) on share the last bucket.
const BUCKETS: usize = ((32 - SUB_BITS as usize) + 1) * SUB as usize;

/// Counts of values, microseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
    sum_us: u64,
    max_us: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: Box::new([0; BUCKETS]), count: 0, sum_us: 0, max_us: 0 }
    }
}

impl Histogram {
    pub fn record(&mut self, us: u64) {
        self.counts[bucket(us)] += 1;
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(us);
        self.max_us = self.max_us.max(us);
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    pub fn max_us(&self) -> u64 {
        self.max_us
    }

    /// The upper bound of the bucket that holds the `q`-th part (0 to 1) of the values; 0 if there are none.
    pub fn quantile_us(&self, q: f64) -> u64 {
        let rank = (q.clamp(0.0, 1.0) * self.count as f64).ceil() as u64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return upper(at).min(self.max_us);
            }
        }
        0
    }

    /// The buckets that hold something: inclusive upper bound in microseconds, and how many values.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(at, count)| (upper(at), *count))
    }

    /// Add another core's counts.
    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts.iter()) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.max_us = self.max_us.max(other.max_us);
    }
}

fn bucket(us: u64) -> usize {
    if us < SUB {
        return us as usize;
    }
    let shift = us.ilog2() - SUB_BITS;
    let at = (u64::from(shift) + 1) * SUB + ((us >> shift) - SUB);
    (at as usize).min(BUCKETS - 1)
}

fn upper(at: usize) -> u64 {
    let at = at as u64;
    if at < SUB {
        return at;
    }
    let shift = at / SUB - 1;
    ((at % SUB + SUB + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_lies_in_its_bucket(us in 0u64..(1 << 32)) {
            let at = bucket(us);
            prop_assert!(us <= upper(at));
            prop_assert!(at == 0 || us > upper(at - 1));
            prop_assert!((upper(at) - us) as f64 <= us as f64 / 8.0);
        }
    }

    #[test]
    fn quantiles() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile_us(0.5), 0);
        (1..=100).for_each(|us| histogram.record(us * 1000));
        assert!((50_000..57_000).contains(&histogram.quantile_us(0.5)));
        assert_eq!(histogram.quantile_us(1.0), 100_000);
        histogram.record(u64::MAX);
        assert_eq!(histogram.count(), 101);
    }
}
