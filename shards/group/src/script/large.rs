//! Groups whose records would be larger than a batch: what makes them so is refused, and changes nothing.

use crate::{Answer, Ask, Context, Decision, GroupId, Join, MemberId, Protocol, Refusal, Sync};

use super::world::World;

fn join_with(group: &str, instance: &str, protocol_bytes: usize, client: &str) -> Ask {
    // A subscription to nothing, with a lot beside it.
    let mut metadata = vec![0; 10];
    metadata.resize(protocol_bytes.max(10), 0);
    Ask::Join(Join {
        group: group.into(),
        member: "".into(),
        instance: Some(instance.into()),
        client_id: client.into(),
        client_host: "/host".into(),
        session_timeout_ms: 60_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![Protocol { name: "range".into(), metadata: metadata.into() }],
        needs_known_id: false,
        can_skip_assignment: false,
        reason: None,
    })
}

fn sync_as(group: &str, member: &MemberId, instance: &str) -> Ask {
    Ask::Sync(Sync {
        group: group.into(),
        member: member.clone(),
        instance: Some(instance.into()),
        generation: 1,
        protocol_type: None,
        protocol: None,
        assignments: Vec::new(),
    })
}

fn bytes_of(decision: &Decision) -> usize {
    decision.records.iter().map(|entry| entry.key.len() + entry.value.as_ref().map_or(0, |value| value.len())).sum()
}

fn refusals(decision: &Decision) -> Vec<&Refusal> {
    let answers = decision.answers.iter();
    answers.filter_map(|(_, answer)| if let Answer::Refused(refusal) = answer { Some(refusal) } else { None }).collect()
}

/// The members' ids, by instance, once the group has gathered.
fn gather(world: &mut World, joins: impl IntoIterator<Item = Ask>) -> Vec<(String, MemberId)> {
    world.run("set group.initial.rebalance.delay.ms 0");
    for (at, ask) in joins.into_iter().enumerate() {
        assert!(refusals(&world.decide(ask, 100 + at as u32)).is_empty());
    }
    let context = Context { now: world.now, topics: &world.topics, entropy: 0 };
    let decision = world.groups.tick(context, &mut world.soft);
    world.apply(decision);
    let live = &world.soft.live[&GroupId::new("g")];
    live.statics.iter().map(|(instance, member)| (instance.to_string(), member.clone())).collect()
}

#[test]
fn what_one_member_says_of_itself_is_bounded() {
    let mut world = World::new();
    let decision = world.decide(join_with("g", "i", (1 << 20) + 1, "c"), 1);
    assert_eq!(refusals(&decision), [&Refusal::GroupTooLarge]);
    assert!(world.decide(join_with("g", "i", (1 << 20) - 5, "c"), 2).answers.is_empty(), "it waits for its generation");
}

#[test]
fn the_ids_of_a_groups_members_count_in_its_record() {
    let mut world = World::new();
    let client = "c".repeat(32_000);
    let joins = (0..600).map(|at| join_with("g", &format!("i{at:03}"), 10, &client));
    let members = gather(&mut world, joins);
    let mut refused = 0;
    for (at, (instance, member)) in members.iter().enumerate() {
        let decision = world.decide(sync_as("g", member, instance), 1_000 + at as u32);
        assert!(decision.records.is_empty(), "{} bytes", bytes_of(&decision));
        refused += refusals(&decision).len();
    }
    assert_eq!(refused, members.len());
}

#[test]
fn a_static_member_that_comes_back_with_too_much_changes_nothing() {
    let mut world = World::new();
    let members = gather(&mut world, (0..20).map(|at| join_with("g", &format!("i{at:02}"), 10, "c")));
    for (at, (instance, member)) in members.iter().enumerate() {
        world.decide(sync_as("g", member, instance), 200 + at as u32);
    }
    assert_eq!(world.soft.live[&GroupId::new("g")].phase, crate::classic::Phase::Stable);
    let mut refused = 0;
    for (at, (instance, member)) in members.iter().enumerate() {
        let decision = world.decide(join_with("g", instance, (1 << 20) - 5, "c"), 300 + at as u32);
        assert!(bytes_of(&decision) <= 16 << 20, "{} bytes", bytes_of(&decision));
        if let [refusal] = refusals(&decision)[..] {
            assert_eq!(*refusal, Refusal::GroupTooLarge);
            let standing = world.run(&format!("heartbeat 9 member={member} instance={instance} generation=1"));
            assert_eq!(standing, ["9: alive"], "it is who it was");
            refused += 1;
        }
    }
    assert!((4..8).contains(&refused), "{refused}");
    world.check_replay();
}

#[test]
fn a_group_that_would_not_fit_one_batch_does_not_change_its_protocol() {
    let mut world = World::new();
    world.run("set group.consumer.assignment.interval.ms 0");
    world.run("topic t 1");
    world.run("beat 1 member=n topics=t");
    for at in 0..30 {
        let decision = world.decide(join_with("g", &format!("i{at:02}"), (1 << 20) - 5, "c"), 100 + at);
        assert!(matches!(decision.answers[..], [(_, Answer::Joined(_))]), "{:?}", decision.answers);
    }
    assert!(world.run("beat 2 member=n epoch=-1").iter().any(|line| line.starts_with("2: n epoch=-1")), "it is out");
    assert_eq!(world.run("list 3"), ["3: listed g Consumer Reconciling 'consumer'"], "the others go on as they are");
    world.run("beat 4 member=n topics=t");
    world.run("leave 5 members=@i00,@i01,@i02,@i03,@i04,@i05,@i06,@i07,@i08,@i09,@i10,@i11,@i12,@i13,@i14");
    world.run("beat 6 member=n epoch=-1");
    assert_eq!(world.run("list 7"), ["7: listed g Classic PreparingRebalance 'consumer'"], "what is left fits");
    world.check_replay();
    // And up: refused, the classic group stands.
    let mut world = World::new();
    world.run("topic t 1");
    let members = gather(&mut world, (0..30).map(|at| join_with("g", &format!("i{at:02}"), (1 << 20) - 5, "c")));
    assert_eq!(world.run("beat 2 member=n topics=t"), ["2: GroupTooLarge"]);
    assert_eq!(world.soft.live[&GroupId::new("g")].members.len(), members.len());
    world.check_replay();
}
