//! Majorities, and nothing else.

/// Members that make a majority of `voters`.
pub fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// The largest value that at least `count` of the voters reached; `None` if fewer have a value, or `count` is 0.
pub fn reached<T: Ord + Copy>(values: impl Iterator<Item = Option<T>>, count: usize) -> Option<T> {
    let mut known: Vec<T> = values.flatten().collect();
    known.sort_unstable();
    known.len().checked_sub(count).and_then(|at| known.get(at).copied())
}
