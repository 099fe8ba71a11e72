//! The numbers of all replicas whose removal was decided, as ranges: numbers of one topic are mostly neighbours.

use std::collections::BTreeMap;

use heddle_model::ReplicaNumber;

/// Disjoint half-open ranges that do not touch: first number to the one behind the last.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Removed {
    ranges: BTreeMap<u64, u64>,
}

impl Removed {
    pub fn contains(&self, number: ReplicaNumber) -> bool {
        self.ranges.range(..=number.0).next_back().is_some_and(|(_, &end)| number.0 < end)
    }

    /// Add `first..end`, joining what touches or overlaps. An empty range adds nothing.
    pub fn add(&mut self, first: u64, end: u64) {
        if first >= end {
            return;
        }
        let (mut first, mut end) = (first, end);
        while let Some((&start, &stop)) = self.ranges.range(..=end).next_back() {
            if stop < first {
                break;
            }
            self.ranges.remove(&start);
            first = first.min(start);
            end = end.max(stop);
        }
        self.ranges.insert(first, end);
    }

    #[cfg(test)]
    fn ranges(&self) -> usize {
        self.ranges.len()
    }
}

/// Numbers as sorted half-open ranges.
pub fn ranges_of(mut numbers: Vec<u64>) -> Vec<(u64, u64)> {
    numbers.sort_unstable();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, end)) if *end == number => *end += 1,
            _ => ranges.push((number, number + 1)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_when_they_touch() {
        let mut removed = Removed::default();
        removed.add(5, 8);
        removed.add(10, 12);
        assert_eq!(removed.ranges(), 2);
        assert!(!removed.contains(ReplicaNumber(4)));
        assert!(removed.contains(ReplicaNumber(5)) && removed.contains(ReplicaNumber(7)));
        assert!(!removed.contains(ReplicaNumber(8)) && !removed.contains(ReplicaNumber(9)));
        removed.add(8, 10);
        assert_eq!(removed.ranges(), 1);
        assert!((5..12).all(|number| removed.contains(ReplicaNumber(number))));
        assert!(!removed.contains(ReplicaNumber(12)));
        removed.add(0, 100);
        removed.add(20, 20);
        assert_eq!(removed.ranges(), 1);
        assert!(removed.contains(ReplicaNumber(99)) && !removed.contains(ReplicaNumber(100)));
    }

    #[test]
    fn numbers_become_ranges() {
        assert_eq!(ranges_of(vec![3, 1, 2, 9]), vec![(1, 4), (9, 10)]);
        assert!(ranges_of(Vec::new()).is_empty());
    }
}
