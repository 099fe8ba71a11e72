//! A latency histogram with fixed bounds: every core, API and broker has the same ones, so that counts can be added and
//! quantiles computed by whoever reads the metrics.

/// Bounds of the buckets, inclusive. Microseconds.
pub const REQUEST_BOUNDS_US: [u64; 20] = [
    25, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
    2_000_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Counts of values, microseconds.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: [u64; REQUEST_BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Histogram {
    pub fn record(&mut self, us: u64) {
        self.counts[REQUEST_BOUNDS_US.partition_point(|bound| *bound < us)] += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// As many values as are at most each bound and above the one before; those above all bounds last.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Add another core's counts.
    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_at_the_first_bound_that_holds_it() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.count(), 0);
        [0, 25, 26, 60_000_000, 60_000_001, u64::MAX].into_iter().for_each(|us| histogram.record(us));
        assert_eq!((histogram.counts()[0], histogram.counts()[1]), (2, 1));
        assert_eq!((histogram.counts()[19], histogram.counts()[20]), (1, 2));
        assert_eq!((histogram.count(), histogram.sum_us()), (6, u64::MAX));
        let mut sum = Histogram::default();
        sum.record(3);
        sum.merge(&histogram);
        assert_eq!((sum.count(), sum.counts()[0]), (7, 3));
    }

    #[test]
    fn the_bounds_rise() {
        assert!(REQUEST_BOUNDS_US.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
