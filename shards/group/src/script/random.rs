//! Random commands. After each, the invariants hold; at the end, the log gives the live state (trap 11), and every
//! question has been answered once.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::world::World;

fn classic() -> impl Strategy<Value = String> {
    let member = 0u32..40;
    let client = "[ab]";
    let generation = 0i32..6;
    prop_oneof![
        4 => (client, 3u32..10, 0u32..3).prop_map(|(client, version, topics)| {
            format!("join client={client} v={version} protocols=range topics=t{topics}")
        }),
        4 => (client, member.clone()).prop_map(|(client, member)| {
            format!("join client={client} member={client}#{member} protocols=range,sticky topics=t0")
        }),
        2 => (0u32..3).prop_map(|instance| format!("join client=s instance=i{instance} topics=t1")),
        3 => (client, member.clone(), generation.clone()).prop_map(|(client, member, generation)| {
            format!("sync member={client}#{member} generation={generation} assign={client}#{member}:@t0-{generation}")
        }),
        2 => (client, member.clone(), generation.clone()).prop_map(|(client, member, generation)| {
            format!("heartbeat member={client}#{member} generation={generation}")
        }),
        1 => (client, member.clone()).prop_map(|(client, member)| format!("leave members={client}#{member}")),
        1 => (0u32..3).prop_map(|instance| format!("leave members=@i{instance}")),
        1 => (client, member, generation).prop_map(|(client, member, generation)| {
            format!("commit member={client}#{member} generation={generation} offsets=t0-0:{generation}")
        }),
    ]
}

fn consumer() -> impl Strategy<Value = String> {
    let member = "[abcd]";
    prop_oneof![
        3 => (member, 0u32..3).prop_map(|(member, topic)| format!("beat group=k member={member} topics=t{topic},t0")),
        1 => (member, 0u32..3).prop_map(|(member, instance)| {
            format!("beat group=k member={member} instance=i{instance} topics=t0")
        }),
        1 => member.prop_map(|member| format!("beat group=k member={member} regex=t.*")),
        8 => (member, -2i32..12).prop_map(|(member, epoch)| format!("beat group=k member={member} epoch={epoch}")),
        6 => (member, 1i32..12, 0u32..3).prop_map(|(member, epoch, owned)| {
            format!("beat group=k member={member} epoch={epoch} owned=t0-{owned}")
        }),
        1 => (member, 0u32..3).prop_map(|(member, instance)| {
            format!("beat group=k member={member} instance=i{instance} epoch=-2")
        }),
        1 => (member, 0i32..12).prop_map(|(member, epoch)| {
            format!("commit group=k member={member} generation={epoch} offsets=t0-0:{epoch}")
        }),
    ]
}

fn other() -> impl Strategy<Value = String> {
    let group = "[gk]";
    prop_oneof![
        group.prop_map(|group| format!("delete group={group}")),
        group.prop_map(|group| format!("delete-offsets group={group} of=t0-0,t1-0")),
        (group, 0i64..9).prop_map(|(group, offset)| format!("commit group={group} offsets=t1-0:{offset}")),
        (group, 1u32..4)
            .prop_map(|(group, producer)| format!("commit group={group} producer={producer} offsets=t0-0:9")),
        Just("topic-deleted topic=t0".to_owned()),
        Just("list".to_owned()),
    ]
}

/// The other protocol in each group: they are upgraded and downgraded.
fn migration() -> impl Strategy<Value = String> {
    let member = 0u32..40;
    prop_oneof![
        Just("join group=k client=a v=3 topics=t0 owned=".to_owned()),
        (member.clone(), 0u32..3).prop_map(|(member, owned)| {
            format!("join group=k client=a v=3 member=a#{member} topics=t0 owned=t0-{owned}")
        }),
        (0u32..3).prop_map(|instance| format!("join group=k client=s instance=i{instance} topics=t1 owned=")),
        (member.clone(), 0i32..12)
            .prop_map(|(member, epoch)| format!("sync group=k member=a#{member} generation={epoch}")),
        (member.clone(), 0i32..12).prop_map(|(m, epoch)| format!("heartbeat group=k member=a#{m} generation={epoch}")),
        member.prop_map(|member| format!("leave group=k members=a#{member}")),
        "[ab]".prop_map(|member| format!("beat group=g member={member} topics=t0")),
        ("[ab]", -1i32..12)
            .prop_map(|(member, epoch)| format!("beat group=g member={member} epoch={epoch} owned=t0-0")),
    ]
}

/// Commands without a ticket.
fn event() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0u64..12_000).prop_map(|ms| format!("wait {ms}")),
        1 => Just("wait 3000000".to_owned()),
        2 => (0u32..3, 1u32..6).prop_map(|(topic, count)| format!("topic t{topic} {count}")),
        1 => (0u32..3).prop_map(|topic| format!("drop-topic t{topic}")),
        1 => Just("failover".to_owned()),
        2 => (1u32..4, prop_oneof!["commit", "abort"]).prop_map(|(p, outcome)| format!("end-transaction {p} {outcome}")),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Ask(String),
    Event(String),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => classic().prop_map(Step::Ask),
        5 => consumer().prop_map(Step::Ask),
        1 => other().prop_map(Step::Ask),
        4 => migration().prop_map(Step::Ask),
        3 => event().prop_map(Step::Event),
    ]
}

fn guesses(line: &str, asked: u32) -> bool {
    let number = line.split_once('#').map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next());
    number.flatten().and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number > asked)
}

/// Found by the test below in one of thousands of runs.
#[test]
fn two_members_of_one_instance_in_a_damaged_log_do_not_make_the_coordinator_fall() {
    let mut world = World::new();
    world.run("topic t0 3");
    world.run("join 1 client=s instance=i0 topics=t1");
    world.run("join 2 group=k client=s instance=i2 topics=t1 owned=");
    world.run("beat 3 group=k member=a instance=i2 topics=t0");
    world.run("join 4 group=k client=s instance=i0 topics=t1 owned=");
    world.run("wait 1000");
    world.damage(&[(291, 0, 0), (35, 85, 1)]);
    world.run("join 5 group=k client=s instance=i2 topics=t1 owned=");
    world.run("wait 3000000");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn live_is_what_the_log_gives_and_every_ticket_is_answered_once(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        world.run("set offsets.retention.ms 1000000");
        world.run("topic t0 3");
        let mut answers: BTreeMap<u32, usize> = BTreeMap::new();
        let mut asked = 0;
        let mut take = |lines: Vec<String>| {
            for line in lines {
                let line = line.split_once(' ').filter(|(at, _)| at.starts_with('@')).map_or(line.as_str(), |(_, rest)| rest);
                if let Some(number) = line.split_once(':').and_then(|(number, _)| number.parse().ok()) {
                    *answers.entry(number).or_insert(0) += 1;
                }
            }
        };
        for step in steps {
            match step {
                Step::Event(line) => take(world.run(&line)),
                // Ids are made of ticket numbers here: one that is not made yet is not guessed.
                Step::Ask(line) if guesses(&line, asked) => {}
                Step::Ask(line) => {
                    asked += 1;
                    let (verb, rest) = line.split_once(' ').unwrap_or((line.as_str(), ""));
                    take(world.run(&format!("{verb} {asked} {rest}")));
                }
            }
        }
        world.check_replay();
        world.check_compaction();
        take(world.run("wait 3000000"));
        world.check_replay();
        world.check_compaction();
        for ticket in 1..=asked {
            prop_assert_eq!(answers.get(&ticket), Some(&1), "ticket {}", ticket);
        }
    }

    #[test]
    fn nothing_in_the_log_makes_the_coordinator_fall(
        before in prop::collection::vec(step(), 1..60),
        picks in prop::collection::vec((0usize..500, 0usize..200, prop_oneof![3 => Just(0u8), 1 => 1u8..]), 0..60),
        after in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new();
        world.run("topic t0 3");
        let mut asked = 0;
        let mut run = |world: &mut World, steps: Vec<Step>| {
            for step in steps {
                match step {
                    Step::Event(line) => drop(world.run(&line)),
                    Step::Ask(line) if guesses(&line, asked) => {}
                    Step::Ask(line) => {
                        asked += 1;
                        let (verb, rest) = line.split_once(' ').unwrap_or((line.as_str(), ""));
                        world.run(&format!("{verb} {asked} {rest}"));
                    }
                }
            }
        };
        run(&mut world, before);
        world.damage(&picks);
        run(&mut world, after);
        world.run("wait 3000000");
    }
}
