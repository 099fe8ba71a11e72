//! The server-side assignors: who is to have what. Both are functions of their input and nothing else.
//! `uniform` gives everyone the same number, moving as little as it can; `range` gives each subscriber of a topic a run of
//! neighbouring partitions, so that equally keyed topics meet in one member.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use heddle_model::{PartitionId, PartitionIndex, TopicId};

use crate::{Assignor, InstanceId, MemberId};

use super::Partitions;

/// What the assignor knows of a member.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subscriber {
    pub instance: Option<InstanceId>,
    /// Subscribed topics that exist, ascending.
    pub topics: BTreeSet<TopicId>,
    /// What it was to have so far.
    pub before: Partitions,
}

pub(crate) type Subscribers = BTreeMap<MemberId, Subscriber>;
/// Subscribed topics with their numbers of partitions.
pub(crate) type Sizes = BTreeMap<TopicId, i32>;

/// Every partition of `sizes` that anybody subscribes to goes to exactly one of its subscribers.
pub(crate) fn assign(assignor: Assignor, members: &Subscribers, sizes: &Sizes) -> BTreeMap<MemberId, Partitions> {
    let mut shares: BTreeMap<MemberId, Partitions> =
        members.keys().map(|member| (member.clone(), Partitions::default())).collect();
    match assignor {
        Assignor::Range => assign_ranges(members, sizes, &mut shares),
        Assignor::Uniform if is_homogeneous(members) => assign_evenly(members, sizes, &mut shares),
        Assignor::Uniform => assign_by_load(members, sizes, &mut shares),
    }
    shares
}

fn partitions_of(topic: TopicId, count: i32) -> impl Iterator<Item = PartitionId> {
    (0..count).map(move |index| PartitionId { topic, index: PartitionIndex(index) })
}

fn is_homogeneous(members: &Subscribers) -> bool {
    let mut topics = members.values().map(|member| &member.topics);
    topics.next().is_none_or(|first| topics.all(|other| other == first))
}

/// Whether a member may keep what it had.
fn may_keep(member: &Subscriber, sizes: &Sizes, partition: PartitionId) -> bool {
    member.topics.contains(&partition.topic)
        && sizes.get(&partition.topic).is_some_and(|count| (0..*count).contains(&partition.index.0))
}

fn assign_ranges(members: &Subscribers, sizes: &Sizes, shares: &mut BTreeMap<MemberId, Partitions>) {
    // Static members keep their place in the order when they come back under another id.
    let mut order: Vec<(&str, &MemberId)> = members
        .iter()
        .map(|(id, member)| (member.instance.as_ref().map_or(id.as_str(), InstanceId::as_str), id))
        .collect();
    order.sort();
    for (topic, count) in sizes {
        let subscribers: Vec<&MemberId> =
            order.iter().map(|(_, id)| *id).filter(|id| members[*id].topics.contains(topic)).collect();
        if subscribers.is_empty() {
            continue;
        }
        let (each, more) = (*count as usize / subscribers.len(), *count as usize % subscribers.len());
        let mut partitions = partitions_of(*topic, *count);
        for (place, id) in subscribers.into_iter().enumerate() {
            let take = each + usize::from(place < more);
            let share = shares.entry(id.clone()).or_default();
            partitions.by_ref().take(take).for_each(|partition| share.insert(partition));
        }
    }
}

/// Everybody subscribes to the same: quotas, of which each keeps as much as it had.
fn assign_evenly(members: &Subscribers, sizes: &Sizes, shares: &mut BTreeMap<MemberId, Partitions>) {
    let Some(topics) = members.values().next().map(|member| &member.topics) else { return };
    let wanted = sizes.iter().filter(|(topic, _)| topics.contains(topic));
    let total: usize = wanted.clone().map(|(_, count)| *count as usize).sum();
    let each = total / members.len();
    let mut with_one_more = total % members.len();
    let mut taken = BTreeSet::new();
    let mut room: Vec<(&MemberId, usize)> = Vec::new();
    for (id, member) in members {
        let had: Vec<PartitionId> = member
            .before
            .iter()
            .filter(|partition| may_keep(member, sizes, *partition) && !taken.contains(partition))
            .collect();
        let mut quota = each;
        if had.len() > each && with_one_more > 0 {
            quota += 1;
            with_one_more -= 1;
        }
        let share = shares.entry(id.clone()).or_default();
        for partition in had.into_iter().take(quota) {
            share.insert(partition);
            taken.insert(partition);
        }
        room.push((id, share.len()));
    }
    let mut free =
        wanted.flat_map(|(topic, count)| partitions_of(*topic, *count)).filter(|partition| !taken.contains(partition));
    for (id, has) in room {
        let mut quota = each;
        // Those that kept one more have had theirs counted above.
        if has <= each && with_one_more > 0 {
            quota += 1;
            with_one_more -= 1;
        }
        let share = shares.entry(id.clone()).or_default();
        free.by_ref().take(quota.saturating_sub(has)).for_each(|partition| share.insert(partition));
    }
}

/// Rounds of moving partitions from the loaded to the idle; each round makes the spread smaller or is the last.
const BALANCE_ROUNDS: usize = 16;

/// Subscriptions differ: keep what may be kept, give the rest to the least loaded subscriber, then even out. Members go by
/// their place in the order of their ids: there may be thousands of them, and of partitions.
fn assign_by_load(members: &Subscribers, sizes: &Sizes, shares: &mut BTreeMap<MemberId, Partitions>) {
    let mut owners: BTreeMap<PartitionId, usize> = BTreeMap::new();
    for (place, member) in members.values().enumerate() {
        for partition in member.before.iter().filter(|partition| may_keep(member, sizes, *partition)) {
            owners.entry(partition).or_insert(place);
        }
    }
    let mut loads = vec![0; members.len()];
    owners.values().for_each(|place| loads[*place] += 1);
    let subscribers = subscribers_by_topic(members, sizes);
    // Topics with few subscribers first: they have the least choice.
    let mut topics: Vec<&TopicId> = subscribers.keys().filter(|topic| !subscribers[*topic].is_empty()).collect();
    topics.sort_by_key(|topic| (subscribers[*topic].len(), **topic));
    for topic in topics {
        let mut by_load = ByLoad::of(&subscribers[topic], &loads);
        for partition in partitions_of(*topic, sizes[topic]) {
            if owners.contains_key(&partition) {
                continue;
            }
            if let Some(idle) = by_load.least(&loads) {
                owners.insert(partition, idle);
                loads[idle] += 1;
                by_load.learn(idle, &loads);
            }
        }
    }
    for _ in 0..BALANCE_ROUNDS {
        let mut moved = false;
        for (topic, places) in &subscribers {
            moved |= even_out(*topic, places, &mut owners, &mut loads);
        }
        if !moved {
            break;
        }
    }
    let ids: Vec<&MemberId> = members.keys().collect();
    for (partition, place) in owners {
        shares.entry(ids[place].clone()).or_default().insert(partition);
    }
}

/// Moves a topic's partitions from the loaded to the idle; true if any moved.
fn even_out(topic: TopicId, places: &[usize], owners: &mut BTreeMap<PartitionId, usize>, loads: &mut [usize]) -> bool {
    let mut moved = false;
    let mut by_load = ByLoad::of(places, loads);
    let at = |index| PartitionId { topic, index: PartitionIndex(index) };
    for owner in owners.range_mut(at(i32::MIN)..=at(i32::MAX)).map(|(_, owner)| owner) {
        let Some(idle) = by_load.least(loads) else { break };
        if loads[*owner] > loads[idle] + 1 {
            loads[*owner] -= 1;
            loads[idle] += 1;
            by_load.learn(*owner, loads);
            by_load.learn(idle, loads);
            *owner = idle;
            moved = true;
        }
    }
    moved
}

/// Some members, the least loaded first, the first of them among equals. What is queued for a load that is no longer a
/// member's own is passed by.
struct ByLoad(BinaryHeap<Reverse<(usize, usize)>>);

impl ByLoad {
    fn of(places: &[usize], loads: &[usize]) -> ByLoad {
        ByLoad(places.iter().map(|place| Reverse((loads[*place], *place))).collect())
    }

    fn least(&mut self, loads: &[usize]) -> Option<usize> {
        while let Some(Reverse((load, place))) = self.0.peek() {
            if loads[*place] == *load {
                return Some(*place);
            }
            self.0.pop();
        }
        None
    }

    /// A member's load has changed.
    fn learn(&mut self, place: usize, loads: &[usize]) {
        self.0.push(Reverse((loads[place], place)));
    }
}

/// The places of each topic's subscribers, ascending.
fn subscribers_by_topic(members: &Subscribers, sizes: &Sizes) -> BTreeMap<TopicId, Vec<usize>> {
    let mut subscribers: BTreeMap<TopicId, Vec<usize>> = sizes.keys().map(|topic| (*topic, Vec::new())).collect();
    for (place, member) in members.values().enumerate() {
        for topic in &member.topics {
            if let Some(list) = subscribers.get_mut(topic) {
                list.push(place);
            }
        }
    }
    subscribers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(topics: &[u128]) -> Subscriber {
        Subscriber { topics: topics.iter().map(|topic| TopicId(*topic)).collect(), ..Subscriber::default() }
    }

    fn loads(shares: &BTreeMap<MemberId, Partitions>) -> Vec<usize> {
        shares.values().map(Partitions::len).collect()
    }

    /// All partitions that somebody subscribes to are given out, each once, to a subscriber.
    fn check(members: &Subscribers, sizes: &Sizes, shares: &BTreeMap<MemberId, Partitions>) {
        let mut seen = BTreeSet::new();
        for (id, share) in shares {
            for partition in share.iter() {
                assert!(members[id].topics.contains(&partition.topic), "only to subscribers");
                assert!(seen.insert(partition), "each partition once");
            }
        }
        for (topic, count) in sizes {
            if members.values().any(|member| member.topics.contains(topic)) {
                assert!(partitions_of(*topic, *count).all(|partition| seen.contains(&partition)), "all of them");
            }
        }
    }

    #[test]
    fn uniform_keeps_what_it_can_when_a_member_comes_and_goes() {
        let sizes = Sizes::from([(TopicId(1), 4), (TopicId(2), 3)]);
        let mut members = Subscribers::from([("a".into(), member(&[1, 2])), ("b".into(), member(&[1, 2]))]);
        let first = assign(Assignor::Uniform, &members, &sizes);
        assert_eq!(loads(&first), [4, 3]);
        for (id, share) in &first {
            members.get_mut(id).expect("a member").before = share.clone();
        }
        members.insert("c".into(), member(&[1, 2]));
        let second = assign(Assignor::Uniform, &members, &sizes);
        check(&members, &sizes, &second);
        assert_eq!(loads(&second), [3, 2, 2]);
        for (id, share) in &first {
            assert!(second[id].is_subset(share), "nothing moves between those that stay");
        }
    }

    #[test]
    fn range_gives_neighbours_and_the_same_places_in_each_topic() {
        let sizes = Sizes::from([(TopicId(1), 5), (TopicId(2), 5)]);
        let members = Subscribers::from([("a".into(), member(&[1, 2])), ("b".into(), member(&[1, 2]))]);
        let shares = assign(Assignor::Range, &members, &sizes);
        check(&members, &sizes, &shares);
        let first: Vec<PartitionId> = shares[&MemberId::new("a")].iter().collect();
        let expected: Vec<PartitionId> =
            [1, 2].into_iter().flat_map(|topic| partitions_of(TopicId(topic), 3)).collect();
        assert_eq!(first, expected);
    }

    /// What `assign_by_load` does, looking at every subscriber each time.
    fn by_load_slowly(members: &Subscribers, sizes: &Sizes) -> BTreeMap<MemberId, Partitions> {
        let mut owners: BTreeMap<PartitionId, &MemberId> = BTreeMap::new();
        for (id, member) in members {
            for partition in member.before.iter().filter(|partition| may_keep(member, sizes, *partition)) {
                owners.entry(partition).or_insert(id);
            }
        }
        let loads = |owners: &BTreeMap<PartitionId, &MemberId>| {
            let mut loads: BTreeMap<&MemberId, usize> = members.keys().map(|id| (id, 0)).collect();
            owners.values().for_each(|id| *loads.get_mut(*id).expect("a member") += 1);
            loads
        };
        let subscribers =
            |topic: TopicId| members.iter().filter(move |(_, m)| m.topics.contains(&topic)).map(|(id, _)| id);
        let least = |owners: &BTreeMap<PartitionId, &MemberId>, topic: TopicId| {
            let loads = loads(owners);
            subscribers(topic).min_by_key(|id| (loads[*id], *id)).map(|id| (id, loads[id]))
        };
        let mut topics: Vec<TopicId> = sizes.keys().copied().collect();
        topics.sort_by_key(|topic| (subscribers(*topic).count(), *topic));
        for topic in topics {
            for partition in partitions_of(topic, sizes[&topic]) {
                if let (None, Some((id, _))) = (owners.get(&partition), least(&owners, topic)) {
                    owners.insert(partition, id);
                }
            }
        }
        for _ in 0..BALANCE_ROUNDS {
            for partition in owners.keys().copied().collect::<Vec<_>>() {
                let (idle, load) = least(&owners, partition.topic).expect("it has an owner");
                if loads(&owners)[owners[&partition]] > load + 1 {
                    owners.insert(partition, idle);
                }
            }
        }
        let mut shares: BTreeMap<MemberId, Partitions> =
            members.keys().map(|member| (member.clone(), Partitions::default())).collect();
        owners.into_iter().for_each(|(partition, id)| shares.get_mut(id).expect("a member").insert(partition));
        shares
    }

    proptest! {
        #[test]
        fn the_least_loaded_are_found_without_looking_at_all(
            subscriptions in prop::collection::vec((prop::collection::btree_set(0u128..4, 0..4), 0i32..9, 0i32..9), 1..8),
            counts in prop::collection::vec(0i32..9, 4),
        ) {
            let sizes: Sizes = counts.iter().enumerate().map(|(topic, count)| (TopicId(topic as u128), *count)).collect();
            let members: Subscribers = subscriptions
                .iter()
                .enumerate()
                .map(|(at, (topics, from, count))| {
                    let had = topics.iter().flat_map(|topic| partitions_of(TopicId(*topic), *count).skip(*from as usize));
                    let topics = topics.iter().map(|topic| TopicId(*topic)).collect();
                    (MemberId::from(format!("m{at}")), Subscriber { topics, before: had.collect(), instance: None })
                })
                .collect();
            let mut shares = members.keys().map(|member| (member.clone(), Partitions::default())).collect();
            assign_by_load(&members, &sizes, &mut shares);
            prop_assert_eq!(shares, by_load_slowly(&members, &sizes));
        }

        #[test]
        fn every_partition_has_one_owner_and_loads_are_even(
            subscriptions in prop::collection::vec(prop::collection::btree_set(0u128..4, 0..4), 1..8),
            counts in prop::collection::vec(0i32..9, 4),
            gone in 0usize..8,
        ) {
            let sizes: Sizes = counts.iter().enumerate().map(|(topic, count)| (TopicId(topic as u128), *count)).collect();
            let mut members: Subscribers = subscriptions
                .iter()
                .enumerate()
                .map(|(at, topics)| {
                    let topics: Vec<u128> = topics.iter().copied().collect();
                    (MemberId::from(format!("m{at}")), member(&topics))
                })
                .collect();
            for assignor in [Assignor::Uniform, Assignor::Range] {
                let shares = assign(assignor, &members, &sizes);
                check(&members, &sizes, &shares);
            }
            let shares = assign(Assignor::Uniform, &members, &sizes);
            for (id, share) in &shares {
                members.get_mut(id).expect("a member").before = share.clone();
            }
            prop_assert_eq!(&assign(Assignor::Uniform, &members, &sizes), &shares, "nothing moves without a reason");
            members.remove(&MemberId::from(format!("m{gone}")));
            let after = assign(Assignor::Uniform, &members, &sizes);
            check(&members, &sizes, &after);
            if is_homogeneous(&members) && !members.is_empty() {
                let loads = loads(&after);
                prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1);
                for (id, member) in &members {
                    prop_assert!(member.before.is_subset(&after[id]) || after[id].is_subset(&member.before));
                }
            }
        }
    }
}
