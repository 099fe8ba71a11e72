//! How a member gets from what it has to what it is to have, without two members ever holding one partition.

use heddle_model::PartitionId;

use super::{
    Partitions,
    group::{Current, MemberState},
};

/// What a member moves toward, and what may stand in its way.
pub(crate) struct Goal<'a> {
    pub target: &'a Partitions,
    pub target_epoch: i32,
    /// What the member says it owns; `None`: it did not say, so it may own all it ever had.
    pub owned: Option<&'a Partitions>,
    /// Whether another member still holds a partition.
    pub held_by_another: &'a dyn Fn(PartitionId) -> bool,
}

/// In a state that this version does not know: the member has to start from nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StartOver;

/// The member's next step; `current` again if it cannot move yet.
pub(crate) fn reconcile(current: &Current, goal: &Goal<'_>) -> Result<Current, StartOver> {
    match current.state {
        MemberState::Stable if current.epoch == goal.target_epoch => Ok(current.clone()),
        MemberState::Stable | MemberState::UnreleasedPartitions => Ok(step(current, current.epoch, goal)),
        MemberState::UnrevokedPartitions if still_owns(&current.revoking, goal) => Ok(current.clone()),
        // All is given up: the member may pass to the epoch after the one that asked for it.
        MemberState::UnrevokedPartitions => Ok(step(current, current.epoch.saturating_add(1), goal)),
        MemberState::Unknown if goal.owned.is_some_and(Partitions::is_empty) => {
            Ok(step(current, goal.target_epoch, goal))
        }
        MemberState::Unknown => Err(StartOver),
    }
}

fn still_owns(partitions: &Partitions, goal: &Goal<'_>) -> bool {
    goal.owned.is_none_or(|owned| owned.meets(partitions))
}

fn step(current: &Current, epoch: i32, goal: &Goal<'_>) -> Current {
    let revoking = current.assigned.without(goal.target);
    let mut assigned = current.assigned.without(&revoking);
    if !revoking.is_empty() && still_owns(&revoking, goal) {
        return moved(current, epoch, MemberState::UnrevokedPartitions, assigned, revoking);
    }
    let mut waits = false;
    for partition in goal.target.without(&assigned).iter() {
        if (goal.held_by_another)(partition) {
            waits = true;
        } else {
            assigned.insert(partition);
        }
    }
    let state = if waits { MemberState::UnreleasedPartitions } else { MemberState::Stable };
    moved(current, goal.target_epoch, state, assigned, Partitions::default())
}

fn moved(current: &Current, epoch: i32, state: MemberState, assigned: Partitions, revoking: Partitions) -> Current {
    let previous_epoch = if epoch == current.epoch { current.previous_epoch } else { current.epoch };
    Current { epoch, previous_epoch, state, assigned, revoking }
}

#[cfg(test)]
mod tests {
    use heddle_model::{PartitionIndex, TopicId};

    use super::*;

    fn set(indexes: &[i32]) -> Partitions {
        indexes.iter().map(|index| PartitionId { topic: TopicId(1), index: PartitionIndex(*index) }).collect()
    }

    fn at(epoch: i32, state: MemberState, assigned: &[i32], revoking: &[i32]) -> Current {
        Current { epoch, previous_epoch: epoch - 1, state, assigned: set(assigned), revoking: set(revoking) }
    }

    fn goal<'a>(
        target: &'a Partitions,
        owned: Option<&'a Partitions>,
        held: &'a dyn Fn(PartitionId) -> bool,
    ) -> Goal<'a> {
        Goal { target, target_epoch: 10, owned, held_by_another: held }
    }

    const FREE: fn(PartitionId) -> bool = |_| false;

    #[test]
    fn partitions_are_given_up_before_the_epoch_moves() {
        let target = set(&[2, 3]);
        let start = at(5, MemberState::Stable, &[1, 2], &[]);
        let first = reconcile(&start, &goal(&target, None, &FREE)).expect("a step");
        assert_eq!(first, Current { previous_epoch: 4, ..at(5, MemberState::UnrevokedPartitions, &[2], &[1]) });
        let owned = set(&[1, 2]);
        assert_eq!(reconcile(&first, &goal(&target, Some(&owned), &FREE)), Ok(first.clone()), "it still owns 1");
        assert_eq!(reconcile(&first, &goal(&target, None, &FREE)), Ok(first.clone()), "it did not say");
        let owned = set(&[2]);
        let second = reconcile(&first, &goal(&target, Some(&owned), &FREE)).expect("a step");
        assert_eq!(second.epoch, 10);
        assert_eq!(second.state, MemberState::Stable);
        assert_eq!(second.assigned, set(&[2, 3]));
        assert!(second.revoking.is_empty());
    }

    #[test]
    fn what_others_hold_is_waited_for() {
        let target = set(&[1, 2]);
        let start = at(0, MemberState::Stable, &[], &[]);
        let held = |partition: PartitionId| partition.index == PartitionIndex(2);
        let first = reconcile(&start, &goal(&target, Some(&set(&[])), &held)).expect("a step");
        assert_eq!((first.epoch, first.state), (10, MemberState::UnreleasedPartitions));
        assert_eq!(first.assigned, set(&[1]));
        let second = reconcile(&first, &goal(&target, None, &FREE)).expect("a step");
        assert_eq!((second.epoch, second.state), (10, MemberState::Stable));
        assert_eq!(second.assigned, set(&[1, 2]));
        assert_eq!(second.previous_epoch, first.previous_epoch, "the epoch did not change");
    }

    #[test]
    fn a_state_of_the_future_starts_over() {
        let target = set(&[1]);
        let start = at(5, MemberState::Unknown, &[1], &[]);
        assert_eq!(reconcile(&start, &goal(&target, None, &FREE)), Err(StartOver));
        assert!(reconcile(&start, &goal(&target, Some(&set(&[])), &FREE)).is_ok());
    }
}
