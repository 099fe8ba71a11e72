//! Work that is too much for one turn: offsets by the thousand go in pieces, and the others are served in between.

use heddle_model::{Offset, PartitionIndex, TopicId};

use crate::{
    Answer, Ask, CommitOffsets, Context, Decision, GroupId, OffsetToCommit, Refusal, Text, TopicName, Topics,
    schema::StoredOffset,
};

use super::world::{World, ticket_of};

const OFFSETS: i32 = 7_000;
/// What one decision may hold here.
const RECORDS_MAX: usize = 2_001;

impl World {
    pub(super) fn decide(&mut self, ask: Ask, ticket: u32) -> Decision {
        let context = Context { now: self.now, topics: &self.topics, entropy: ticket.into() };
        let decision = self.groups.decide(context, ask, ticket_of(ticket), &mut self.soft);
        self.apply(decision.clone());
        decision
    }

    /// Ticks while there is work to go on with: the answers, in order, and how many ticks it took.
    fn work(&mut self) -> (Vec<(u32, Answer)>, usize) {
        let (mut answers, mut ticks) = (Vec::new(), 0);
        while self.soft.has_work() {
            let context = Context { now: self.now, topics: &self.topics, entropy: 0 };
            let decision = self.groups.tick(context, &mut self.soft);
            assert!(decision.records.len() <= RECORDS_MAX, "{} records in one turn", decision.records.len());
            answers.extend(decision.answers.iter().map(|(ticket, answer)| (ticket.slot, answer.clone())));
            self.apply(decision);
            ticks += 1;
        }
        (answers, ticks)
    }

    fn with_offsets(group: &str) -> World {
        let mut world = World::new();
        world.topics.set("t", OFFSETS);
        world.decide(commit(group, 0..OFFSETS), 1);
        world
    }

    fn offsets(&self) -> usize {
        self.groups.committed().count()
    }
}

fn commit(group: &str, partitions: std::ops::Range<i32>) -> Ask {
    let offset = |partition| OffsetToCommit {
        topic: TopicName::new("t"),
        topic_id: None,
        partition: PartitionIndex(partition),
        offset: Offset(1),
        leader_epoch: None,
        metadata: Text::default(),
    };
    Ask::CommitOffsets(CommitOffsets {
        group: GroupId::new(group),
        member: "".into(),
        instance: None,
        generation: -1,
        knows_epochs: true,
        producer: None,
        retention_ms: None,
        offsets: partitions.map(offset).collect(),
    })
}

#[test]
fn a_large_group_is_deleted_in_pieces() {
    let mut world = World::with_offsets("large");
    world.decide(commit("small", 0..3), 2);
    let first = world.decide(Ask::Delete("large".into()), 10);
    assert!(first.answers.is_empty() && first.records.len() <= RECORDS_MAX, "{:?}", first.answers);
    assert_eq!(world.offsets(), OFFSETS as usize + 3 - first.records.len());
    // Asked for behind it: each in its turn, one of them in vain.
    for (ticket, group) in [(11, "small"), (12, "large"), (13, "nobody")] {
        assert!(world.decide(Ask::Delete(group.into()), ticket).answers.is_empty());
    }
    // Nobody brings it back to life meanwhile; others go on.
    let refused = world.decide(commit("large", 0..1), 14);
    assert_eq!(refused.answers, [(ticket_of(14), Answer::Refused(Refusal::Loading))]);
    assert!(matches!(world.decide(commit("other", 0..1), 15).answers[..], [(_, Answer::Committed(_))]));
    let (answers, ticks) = world.work();
    let (gone, not_found) = (Answer::Deleted, Answer::Refused(Refusal::GroupNotFound));
    assert_eq!(answers, [(10, gone.clone()), (11, gone), (12, not_found.clone()), (13, not_found)]);
    assert!(ticks >= 3, "{ticks}");
    assert_eq!(world.offsets(), 1);
    assert!(matches!(world.decide(commit("large", 0..1), 16).answers[..], [(_, Answer::Committed(_))]));
    world.check_replay();
}

#[test]
fn a_deletion_that_loses_its_leader_is_answered() {
    let mut world = World::with_offsets("large");
    world.decide(Ask::Delete("large".into()), 10);
    assert_eq!(world.run("failover"), ["10: NotCoordinator"]);
    assert!(world.offsets() > 0 && !world.soft.has_work());
    assert!(world.decide(Ask::Delete("large".into()), 11).answers.is_empty());
    assert_eq!(world.work().0, [(11, Answer::Deleted)]);
    assert_eq!(world.offsets(), 0);
}

#[test]
fn a_deleted_topics_offsets_go_in_pieces() {
    let mut world = World::with_offsets("a");
    world.decide(commit("b", 0..OFFSETS), 2);
    assert!(world.decide(Ask::TopicsDeleted(["t".into()].into()), 10).answers.is_empty());
    let (answers, ticks) = world.work();
    assert_eq!(answers, [(10, Answer::Forgotten(2 * OFFSETS as usize))]);
    assert!(ticks >= 7, "{ticks}");
    assert_eq!(world.offsets(), 0);
    world.check_replay();
}

/// What is committed for the topic that has its name now, before its group is swept and after, is not the old one's.
#[test]
fn a_topic_that_is_created_again_keeps_what_is_committed_for_it() {
    let mut world = World::with_offsets("a");
    world.decide(commit("z", 0..3), 2);
    world.topics.remove("t");
    assert!(world.decide(Ask::TopicsDeleted(["t".into()].into()), 10).answers.is_empty());
    world.topics.set("t", OFFSETS);
    for (ticket, group) in [(3, "a"), (4, "z"), (5, "new")] {
        assert!(matches!(world.decide(commit(group, 1..2), ticket).answers[..], [(_, Answer::Committed(_))]));
    }
    let (answers, ticks) = world.work();
    assert_eq!(answers, [(10, Answer::Forgotten(OFFSETS as usize - 1 + 2))]);
    assert!(ticks >= 4, "{ticks}");
    let left: Vec<_> =
        world.groups.committed().map(|(group, _, partition, _)| (group.to_string(), partition.0)).collect();
    assert_eq!(left, [("a".to_owned(), 1), ("new".to_owned(), 1), ("z".to_owned(), 1)]);
    world.check_replay();
}

/// The tombstone of an offset takes what an open transaction commits there, too.
#[test]
fn a_transaction_in_a_topic_that_is_created_again_is_kept() {
    let mut world = World::new();
    world.run("commit 1 offsets=t-0:1,t-1:1");
    world.run("commit 2 producer=7 offsets=t-2:1");
    world.run("topic-deleted 3 topic=t");
    world.run("commit 4 producer=8 offsets=t-0:5,t-2:5");
    world.work();
    world.run("end-transaction 7 commit");
    world.run("end-transaction 8 commit");
    let left: Vec<_> = world.groups.committed().map(|(_, _, at, committed)| (at.0, committed.offset.0)).collect();
    assert_eq!(left, [(0, 5), (2, 5)]);
    world.check_replay();
}

fn left(world: &World) -> Vec<(String, i32, i64)> {
    let committed = world.groups.committed();
    committed.map(|(group, _, at, committed)| (group.to_string(), at.0, committed.offset.0)).collect()
}

/// The process died before these groups' turn came, and the topic was there again by then.
#[test]
fn what_a_sweep_left_of_a_topic_that_is_there_again_is_found_by_its_id() {
    let mut world = World::new();
    world.run("topic t 9");
    world.run("commit 1 group=a offsets=t-0:1,t-1:1");
    world.run("commit 2 group=b offsets=t-0:2");
    world.run("commit 3 group=b producer=7 offsets=t-2:2,t-3:2");
    world.run("drop-topic t");
    world.run("topic t 9");
    world.run("commit 5 group=a offsets=t-1:5");
    world.run("commit 6 group=b producer=8 offsets=t-3:5");
    world.run("failover");
    assert_eq!(left(&world).len(), 3);
    let context = Context { now: world.now, topics: &world.topics, entropy: 0 };
    world.groups.sweep_unknown_topics(context, &mut world.soft);
    world.work();
    world.run("end-transaction 7 commit");
    world.run("end-transaction 8 commit");
    assert_eq!(left(&world), [("a".to_owned(), 1, 5), ("b".to_owned(), 3, 5)]);
    world.check_replay();
}

/// What was committed without an id, before there were any or with an end of its own, stays: nobody knows what it was for.
#[test]
fn an_offset_without_a_topic_id_stays_with_the_name() {
    let mut world = World::new();
    world.run("commit 1 group=a offsets=t-0:1");
    world.run("topic t 9");
    world.run("commit 2 group=a retention=100000000 offsets=t-1:1");
    world.run("commit 3 group=a offsets=t-2:1");
    world.run("drop-topic t");
    world.run("topic t 9");
    let context = Context { now: world.now, topics: &world.topics, entropy: 0 };
    world.groups.sweep_unknown_topics(context, &mut world.soft);
    world.work();
    assert_eq!(left(&world), [("a".to_owned(), 0, 1), ("a".to_owned(), 1, 1)]);
}

/// Who asks sees another topic than who decides, or one that is gone: who writes that leaves it to the next topic of the
/// name, if the older of the two is right.
#[test]
fn what_only_one_side_knows_is_not_committed_for() {
    let mut world = World::new();
    world.run("topic t 9");
    let id = world.topics.by_name("t").map(|(id, _)| id);
    let commit_for = |asked: Option<TopicId>, world: &mut World| {
        let Ask::CommitOffsets(mut ask) = commit("g", 0..1) else { unreachable!("it is a commit") };
        ask.offsets[0].topic_id = asked;
        let decision = world.decide(Ask::CommitOffsets(ask), 1);
        let [(_, Answer::Committed(outcomes))] = &decision.answers[..] else { panic!("{:?}", decision.answers) };
        let written = decision.records.first().map(|record| record.value.clone().expect("a commit"));
        let named = written.map(|value| StoredOffset::decode(value, 0).expect("our own").topic_id);
        (outcomes[0].2.clone(), named)
    };
    let refused = (Some(Refusal::UnknownTopicOrPartition), None);
    assert_eq!(commit_for(id, &mut world), (None, Some(id)));
    assert_eq!(commit_for(None, &mut world), (None, Some(None)));
    assert_eq!(commit_for(Some(TopicId(1)), &mut world), refused);
    world.run("drop-topic t");
    assert_eq!(commit_for(id, &mut world), refused);
}

/// Many groups, many topics, and one group with many topics: a new leader looks through them a part at a time.
#[test]
fn a_new_leader_forgets_in_pieces_what_is_committed_for_topics_that_are_gone() {
    let mut world = World::new();
    let one = |topic: String| OffsetToCommit {
        topic: topic.as_str().into(),
        topic_id: None,
        partition: PartitionIndex(0),
        offset: Offset(1),
        leader_epoch: None,
        metadata: Text::default(),
    };
    let commits = |group: String, offsets| match commit(&group, 0..0) {
        Ask::CommitOffsets(commit) => Ask::CommitOffsets(CommitOffsets { offsets, ..commit }),
        other => other,
    };
    for at in 0..5_000 {
        world.topics.set(&format!("topic-{at:04}"), 1);
    }
    world.decide(commits("broad".into(), (0..5_000).map(|at| one(format!("topic-{at:04}"))).collect()), 1);
    for at in 0..1_000 {
        world.decide(commits(format!("group-{at:04}"), vec![one("topic-0000".into()), one("topic-0001".into())]), 1);
    }
    world.topics.remove("topic-0001");
    world.topics.remove("topic-4999");
    let context = Context { now: world.now, topics: &world.topics, entropy: 0 };
    world.groups.sweep_unknown_topics(context, &mut world.soft);
    // It comes again before all groups are swept, and is committed for by one that is not swept yet.
    world.topics.set("topic-0001", 1);
    world.decide(commits("group-0999".into(), vec![one("topic-0001".into())]), 2);
    world.topics.lookups.set(0);
    let (mut most, mut ticks) = (0, 0);
    while world.soft.has_work() {
        let before = world.topics.lookups.get();
        let context = Context { now: world.now, topics: &world.topics, entropy: 0 };
        let decision = world.groups.tick(context, &mut world.soft);
        assert!(decision.answers.is_empty(), "nobody asked");
        world.apply(decision);
        most = most.max(world.topics.lookups.get() - before);
        ticks += 1;
    }
    assert!(most <= 2_000 && ticks >= 8, "{most} topics in one turn, {ticks} turns");
    assert_eq!(world.offsets(), 4_998 + 1_000 + 1);
    world.check_replay();
}

#[test]
fn offsets_expire_in_pieces() {
    let mut world = World::with_offsets("a");
    world.now.wall.0 += 8 * 24 * 3_600_000;
    world.now.mono = world.now.mono.plus_ms(700_000);
    let context = Context { now: world.now, topics: &world.topics, entropy: 0 };
    let first = world.groups.tick(context, &mut world.soft);
    world.apply(first);
    let (_, ticks) = world.work();
    assert!(ticks >= 4, "{ticks}");
    assert_eq!(world.offsets(), 0);
    assert!(world.groups.is_empty());
    world.check_replay();
}

fn beats(world: &mut World, arguments: &str) -> Vec<String> {
    ["a", "b", "c"]
        .iter()
        .flat_map(|member| world.run(&format!("beat 5 group=g member={member} {arguments}")))
        .collect()
}

/// A group that is stable and has seen every topic there is.
fn stable(subscription: &str) -> World {
    let mut world = World::new();
    world.run("set group.consumer.assignment.interval.ms 0");
    world.run("topic t1 3");
    world.run("topic t2 3");
    for member in ["a", "b", "c"] {
        world.run(&format!("beat 1 group=g member={member} {subscription}"));
    }
    for _ in 0..6 {
        for member in ["a", "b", "c"] {
            let current = &world.groups.groups[&GroupId::new("g")].body;
            let crate::hard::Body::Consumer(group) = current else { panic!("a group of the new protocol") };
            let member_now = &group.members[&crate::MemberId::new(member)].current;
            let owned: Vec<String> = member_now
                .assigned
                .iter()
                .map(|at| format!("{}-{}", if at.topic == group_topic(&world, "t1") { "t1" } else { "t2" }, at.index))
                .collect();
            let (epoch, owned) = (member_now.epoch, owned.join(","));
            world.run(&format!("beat 2 group=g member={member} epoch={epoch} owned={owned}"));
        }
    }
    world.run("wait 20000");
    world
}

fn group_topic(world: &World, name: &str) -> heddle_model::TopicId {
    world.topics.known[&TopicName::new(name)].0
}

fn epoch(world: &World) -> i32 {
    match &world.groups.groups[&GroupId::new("g")].body {
        crate::hard::Body::Consumer(group) => group.epoch,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_topic_that_nobody_subscribes_to_is_passed_by() {
    let mut world = stable("topics=t1,t2");
    let at = epoch(&world);
    beats(&mut world, &format!("epoch={at}"));
    world.run("topic other 9");
    world.topics.lookups.set(0);
    for _ in 0..3 {
        let lines = beats(&mut world, &format!("epoch={at}"));
        assert_eq!(lines.len(), 3, "nothing is written: {lines:?}");
    }
    assert_eq!(world.topics.lookups.get(), 2, "each of its topics is looked at once");
    world.run("topic t2 4");
    beats(&mut world, &format!("epoch={at}"));
    assert_eq!(epoch(&world), at + 1, "a topic of its own still counts");
}

#[test]
fn an_expression_is_looked_up_anew_only_when_it_is_time() {
    let mut world = stable("regex=t.*");
    let at = epoch(&world);
    beats(&mut world, &format!("epoch={at}"));
    for (topic, walks) in [("one", 1), ("two", 0)] {
        world.run(&format!("topic {topic} 9"));
        world.topics.lookups.set(0);
        world.topics.walks.set(0);
        for _ in 0..3 {
            let lines = beats(&mut world, &format!("epoch={at}"));
            assert_eq!(lines.len(), 3, "nothing is written: {lines:?}");
        }
        assert_eq!(world.topics.walks.get(), walks);
        assert!(world.topics.lookups.get() <= 4, "{} lookups", world.topics.lookups.get());
    }
    world.run("topic t3 1");
    beats(&mut world, &format!("epoch={at}"));
    assert_eq!(epoch(&world), at, "too soon");
    world.run("wait 10000");
    beats(&mut world, &format!("epoch={at}"));
    assert_eq!(epoch(&world), at + 1);
}
