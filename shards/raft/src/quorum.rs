//! Majorities, and nothing else.

use crate::MEMBERS_MAX;

/// Members that make a majority of `voters`.
pub fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// The largest value that at least `count` of at most `MEMBERS_MAX` voters reached; `None` if fewer have a value, or
/// `count` is 0.
pub fn reached<T: Ord + Copy>(values: impl Iterator<Item = Option<T>>, count: usize) -> Option<T> {
    let mut known = [None; MEMBERS_MAX];
    let mut voters = 0;
    for (slot, value) in known.iter_mut().zip(values) {
        *slot = value;
        voters += 1;
    }
    let known = &mut known[..voters];
    known.sort_unstable();
    known.get(voters.checked_sub(count)?).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The five-line model: try every value, largest first, and count who reached it.
        #[test]
        fn reached_is_what_counting_finds(values in proptest::collection::vec(proptest::option::of(0..8), 0..8), count in 1usize..9) {
            let holds = |least: i32| values.iter().filter(|v| v.is_some_and(|v| v >= least)).count() >= count;
            prop_assert_eq!(reached(values.iter().copied(), count), (0..8).rev().find(|least| holds(*least)));
        }

        #[test]
        fn two_majorities_share_a_member_also_across_a_change_of_one(voters in 1usize..40) {
            prop_assert!(2 * majority(voters) > voters);
            prop_assert!(majority(voters) + majority(voters + 1) > voters + 1);
        }
    }

    #[test]
    fn nobody_reaches_anything_for_a_count_of_none() {
        assert_eq!(reached([Some(1), Some(2)].into_iter(), 0), None);
    }
}
