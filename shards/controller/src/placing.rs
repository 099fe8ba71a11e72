//! Where new partitions go, and the numbers their replicas get.

use std::collections::BTreeMap;

use heddle_model::{Incarnation, NodeId, ReplicaNumber, Voter};

use crate::image::{Broker, Placement, Replica};

/// Brokers for `count` partitions of `factor` replicas each, in preference order.
///
/// Brokers stand in a circle in which neighbours have different racks as far as possible. Partition p is led by the
/// (start + p)-th; its followers are the next in the circle, and each time round the circle they start one further on,
/// so that the followers of one leader are not always the same.
pub fn spread<'a>(
    brokers: impl Iterator<Item = &'a Broker>,
    start: u64,
    count: usize,
    factor: usize,
) -> Vec<Vec<NodeId>> {
    let circle = by_turns_of_racks(brokers);
    let n = circle.len();
    assert!(factor >= 1 && factor <= n, "{factor} replicas on {n} brokers");
    let start = (start % n as u64) as usize;
    (0..count)
        .map(|partition| {
            let leader = (start + partition) % n;
            let shift = if n > 2 { (partition / n) % (n - 1) } else { 0 };
            let follower = |at: usize| (leader + 1 + (shift + at) % (n - 1)) % n;
            std::iter::once(leader).chain((0..factor - 1).map(follower)).map(|at| circle[at]).collect()
        })
        .collect()
}

/// Racks in name order, one broker of each by turns.
fn by_turns_of_racks<'a>(brokers: impl Iterator<Item = &'a Broker>) -> Vec<NodeId> {
    let mut racks: BTreeMap<Option<&str>, Vec<NodeId>> = BTreeMap::new();
    for broker in brokers {
        racks.entry(broker.rack.as_deref()).or_default().push(broker.id);
    }
    let longest = racks.values().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|turn| racks.values().filter_map(move |rack| rack.get(turn).copied())).collect()
}

/// Give each replica a number from `next` on. The replicas of one node get neighbouring numbers, so that they are
/// spread evenly over its cores (number modulo cores), whatever the replication factor.
pub fn number(assignments: &[Vec<NodeId>], next: &mut u64, created: u64) -> Vec<Placement> {
    let mut by_node: BTreeMap<NodeId, u64> = BTreeMap::new();
    for node in assignments.iter().flatten() {
        *by_node.entry(*node).or_default() += 1;
    }
    for count in by_node.values_mut() {
        let first = *next;
        *next += *count;
        *count = first;
    }
    let mut replica = |node: NodeId| {
        let counter = by_node.get_mut(&node).expect("every node of an assignment was counted");
        let number = ReplicaNumber(*counter);
        *counter += 1;
        Replica { voter: Voter { node, incarnation: Incarnation(0) }, number }
    };
    assignments
        .iter()
        .map(|nodes| Placement { replicas: nodes.iter().map(|&node| replica(node)).collect(), created })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn brokers(racks: &[Option<u8>]) -> Vec<Broker> {
        let broker = |(id, rack): (usize, &Option<u8>)| Broker {
            id: NodeId(id as i32),
            rack: rack.map(|rack| rack.to_string()),
            host: "h".into(),
            port: 1,
        };
        racks.iter().enumerate().map(broker).collect()
    }

    proptest! {
        #[test]
        fn each_partition_has_different_brokers_and_leaders_are_even(
            racks in prop::collection::vec(prop::option::of(0u8..3), 1..8), start: u64, count in 1usize..40, factor in 1usize..8,
        ) {
            let brokers = brokers(&racks);
            let factor = factor.min(brokers.len());
            let placed = spread(brokers.iter(), start, count, factor);
            let mut leads: BTreeMap<NodeId, usize> = BTreeMap::new();
            for replicas in &placed {
                let mut sorted = replicas.clone();
                sorted.sort();
                sorted.dedup();
                prop_assert_eq!(sorted.len(), factor);
                *leads.entry(replicas[0]).or_default() += 1;
            }
            let most = leads.values().max().copied().unwrap_or(0);
            prop_assert!(most <= count.div_ceil(brokers.len()));
        }

        #[test]
        fn numbers_are_dense_and_even_on_each_node(nodes in 1i32..6, count in 1usize..50, cores in 1u64..5) {
            let brokers = brokers(&vec![None; nodes as usize]);
            let factor = brokers.len().min(3);
            let mut next = 17;
            let placed = number(&spread(brokers.iter(), 0, count, factor), &mut next, 5);
            prop_assert_eq!(next, 17 + (count * factor) as u64);
            let mut all: Vec<u64> = placed.iter().flat_map(|p| p.replicas.iter().map(|r| r.number.0)).collect();
            all.sort();
            prop_assert_eq!(all, (17..next).collect::<Vec<_>>());
            for node in 0..nodes {
                let mut per_core = vec![0; cores as usize];
                for placement in &placed {
                    if let Some(replica) = placement.on(NodeId(node)) {
                        per_core[(replica.number.0 % cores) as usize] += 1;
                    }
                }
                let (most, least) = (per_core.iter().max(), per_core.iter().min());
                prop_assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1));
            }
        }
    }

    #[test]
    fn neighbours_stand_in_different_racks() {
        let brokers = brokers(&[Some(1), Some(1), Some(2), Some(2)]);
        for replicas in spread(brokers.iter(), 0, 4, 2) {
            let racks: Vec<_> = replicas.iter().map(|id| brokers[id.0 as usize].rack.clone()).collect();
            assert_ne!(racks[0], racks[1]);
        }
    }
}
