//! Random steps over three to five replicas: elections, lost and repeated messages, crashes, membership, log starts.
//! After each walk the world is healed and must come to rest with one serving leader and equal logs.

use crate::Planted;
use crate::replica::voter;
use crate::script::{deliver_or_lose, run, state};
use crate::world::{Packet, Step, Trace, World};
use heddle_model::{Offset, Term};
use heddle_raft::{Message, Role};
use std::panic::{AssertUnwindSafe, catch_unwind};

const STEPS: usize = 400;
const RECORDS_MAX: i64 = 30;
const TERMS_MAX: i32 = 20;

struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// One walk; the world as it ended, for what it reached.
fn walk(seed: u64, planted: Option<Planted>, shown: bool) -> Result<World, String> {
    let mut dice = Dice::new(seed);
    let nodes = 3 + dice.below(3) as i32;
    let voters = if dice.one_in(3) { nodes } else { nodes.min(3) };
    let mut world = World::new(nodes, voters, planted);
    world.trace = shown.then_some(Trace::Printed);
    let mood = match planted {
        Some(Planted::EarlyChange | Planted::VoteOldConfig) => Mood::Membership,
        Some(Planted::ForgetLogStart) => Mood::LogStart,
        Some(_) => Mood::Elections,
        None => [Mood::Elections, Mood::Membership, Mood::LogStart][dice.below(3)],
    };
    for _ in 0..STEPS {
        step(&mut world, &mut dice, mood)?;
    }
    if planted.is_none() {
        heal(&mut world)?;
    }
    Ok(world)
}

/// What a walk tries most, besides ordinary progress.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Elections,
    Membership,
    LogStart,
}

fn step(world: &mut World, dice: &mut Dice, mood: Mood) -> Step {
    let n = dice.below(world.replicas.len());
    match dice.below(12) {
        0..5 if !world.net.is_empty() => deliver(world, dice),
        0..7 => {
            let count = if dice.one_in(3) { 1 + dice.below(3) } else { usize::MAX };
            world.flush(n, count)
        }
        7..9 if !world.replicas[n].wanted.is_empty() => {
            let wanted = dice.below(world.replicas[n].wanted.len());
            let count = if dice.one_in(3) { dice.below(3) as i64 } else { i64::MAX };
            world.replicate(n, wanted, count)
        }
        9 => match leader(world, dice) {
            Some(n) if world.replicas[n].data.end() < RECORDS_MAX => world.write(n, 1 + dice.below(2) as u32),
            Some(_) => Ok(()),
            None => stand(world, dice, n),
        },
        10 => lead(world, dice, mood),
        11 if mood == Mood::Elections || dice.one_in(2) => disturb(world, dice, n),
        _ => Ok(()),
    }
}

fn leader(world: &World, dice: &mut Dice) -> Option<usize> {
    let is_leader = |n: &usize| matches!(world.replicas[*n].group.role(), Role::Leader { .. });
    let leaders: Vec<usize> = (0..world.replicas.len()).filter(is_leader).collect();
    (!leaders.is_empty()).then(|| leaders[dice.below(leaders.len())])
}

/// What only a leader does.
fn lead(world: &mut World, dice: &mut Dice, mood: Mood) -> Step {
    let peer = world.replicas[dice.below(world.replicas.len())].me;
    let Some(n) = leader(world, dice) else { return Ok(()) };
    if mood == Mood::Membership && dice.below(4) > 0 {
        return change(world, dice, n);
    }
    match dice.below(12) {
        0 => change(world, dice, n),
        1..5 if mood == Mood::LogStart => {
            let commit = world.replicas[n].group.commit().0 as usize;
            let to = Offset(dice.below(commit + 1) as i64);
            world.act(n, &[], |r, todo| {
                r.group.set_log_start(to, todo);
            })
        }
        5 => world.act(n, &[], |r, todo| {
            let _ = r.group.transfer_leadership(peer, todo);
        }),
        6..8 => world.act(n, &[], |r, todo| r.group.on_link_reset(peer, todo)),
        _ => Ok(()),
    }
}

fn disturb(world: &mut World, dice: &mut Dice, n: usize) -> Step {
    match dice.below(8) {
        0..2 => stand(world, dice, n),
        2..4 => {
            world.restart(n);
            Ok(())
        }
        4..6 => {
            let down = world.replicas.iter().filter(|r| !r.up).count();
            world.replicas[n].up = (down + 1) * 2 >= world.replicas.len();
            Ok(())
        }
        6 => {
            world.replicas.iter_mut().for_each(|r| r.up = true);
            Ok(())
        }
        _ => world.act(n, &[], |r, todo| r.group.resign(todo)),
    }
}

/// An election that can be won: not everyone still hears a leader.
fn stand(world: &mut World, dice: &mut Dice, n: usize) -> Step {
    if world.replicas[n].group.term() >= Term(TERMS_MAX) || !world.replicas[n].up {
        return Ok(());
    }
    world.replicas.iter_mut().for_each(|r| r.group.on_leader_silent());
    // The first attempt may only learn the term that the others are in.
    for _ in 0..2 {
        world.campaign(n)?;
        if !dice.one_in(4) {
            hold_election(world, dice)?;
        }
    }
    Ok(())
}

/// Elections alone would take most of a walk's steps: here most of one's messages pass at once.
fn hold_election(world: &mut World, dice: &mut Dice) -> Step {
    for _ in 0..4 {
        for n in 0..world.replicas.len() {
            if dice.below(8) > 0 {
                world.flush(n, usize::MAX)?;
            }
        }
        for _ in 0..world.net.len() {
            let Some(packet) = world.net.iter().position(|p| is_of_election(&p.message)) else { break };
            if dice.below(8) > 0 {
                deliver_or_lose(world, packet)?;
            } else {
                world.net.remove(packet);
            }
        }
    }
    Ok(())
}

fn is_of_election(message: &Message) -> bool {
    use Message::{PreVote, PreVoteReply, Vote, VoteReply};
    matches!(message, PreVote(_) | PreVoteReply(_) | Vote(_) | VoteReply(_))
}

/// Any message, in any order; some twice, some never.
fn deliver(world: &mut World, dice: &mut Dice) -> Step {
    let packet = dice.below(world.net.len());
    if dice.one_in(25) {
        world.net.remove(packet);
        return Ok(());
    }
    if dice.one_in(25) {
        let Packet { from, to, message, values } = &world.net[packet];
        let again = Packet { from: *from, to: *to, message: message.clone(), values: values.clone() };
        world.net.push(again);
    }
    deliver_or_lose(world, packet)
}

/// One member more or less: a learner joins, a learner becomes a voter, a voter leaves.
fn change(world: &mut World, dice: &mut Dice, n: usize) -> Step {
    let (mut voters, mut learners) = (world.replicas[n].group.config().voters.clone(), vec![]);
    learners.extend(&world.replicas[n].group.config().learners);
    let who = world.replicas[dice.below(world.replicas.len())].me;
    if let Some(at) = learners.iter().position(|l| *l == who) {
        learners.remove(at);
        voters.extend((!dice.one_in(4)).then_some(who));
    } else if let Some(at) = voters.iter().position(|v| *v == who) {
        if voters.len() <= 2 && !dice.one_in(4) {
            return Ok(());
        }
        voters.remove(at);
    } else {
        learners.push(who);
    }
    world.act(n, &[], |r, todo| {
        let _ = r.group.change_voters(voters, learners, todo);
    })
}

/// With everyone up and nothing lost, a leader must come to serve, and everyone must reach its end.
fn heal(world: &mut World) -> Step {
    world.net.clear();
    for n in 0..world.replicas.len() {
        world.restart(n);
        world.replicas[n].up = true;
    }
    for round in 0..200 {
        run(world)?;
        if let Some(leader) = world.replicas.iter().position(|r| r.group.is_serving()) {
            return converged(world, leader);
        }
        let n = round % world.replicas.len();
        for replica in &mut world.replicas {
            replica.group.on_leader_silent();
        }
        world.campaign(n)?;
    }
    let states: Vec<String> = world.replicas.iter().map(state).collect();
    Err(format!("a leader comes to serve:\n{}", states.join("\n")))
}

fn converged(world: &mut World, leader: usize) -> Step {
    let end = world.replicas[leader].group.end();
    let (commit, config) = (world.replicas[leader].group.commit(), world.replicas[leader].group.config().clone());
    for replica in world.replicas.iter().filter(|r| config.is_member(r.me)) {
        let group = &replica.group;
        if (group.end(), group.commit(), group.config()) != (end, commit, &config) || commit != end.offset {
            return Err(format!(
                "members converge: {} is at {:?}, {} of {end:?}",
                replica.me.node,
                group.end(),
                group.commit()
            ));
        }
        if group.log_start() != world.replicas[leader].group.log_start() {
            return Err(format!("log starts converge: {} is at {}", replica.me.node, group.log_start()));
        }
    }
    Ok(())
}

fn walks() -> u64 {
    std::env::var("WALKS").ok().and_then(|text| text.parse().ok()).unwrap_or(500)
}

#[test]
fn random_walks_keep_every_promise() {
    let (mut across, mut resets, mut changes, mut terms) = (0, 0, 0, 0);
    for seed in 0..walks() {
        match catch_unwind(|| walk(seed, None, false)) {
            Ok(Ok(world)) => {
                across += usize::from(world.checkers.commits_across_terms);
                terms += world.replicas[0].group.term().0;
                resets += usize::from(world.replicas.iter().any(|r| r.data.base > 0));
                changes += usize::from(world.replicas.iter().any(|r| r.group.config().version >= 2));
            }
            Ok(Err(violation)) => panic!("seed {seed}: {violation}"),
            Err(_) => panic!("seed {seed}: an assert failed"),
        }
    }
    println!(
        "{terms} terms; {across} walks committed across terms, {resets} reset a replica, {changes} changed members twice"
    );
    let enough = walks() as usize / 50;
    assert!(across > enough && resets > enough && changes > enough, "the walks reach too little");
}

/// `SEED=n cargo test -p heddle-raft replay -- --nocapture` shows one walk, step by step.
#[test]
fn replay() {
    let Some(seed) = std::env::var("SEED").ok().and_then(|text| text.parse().ok()) else { return };
    let outcome = walk(seed, None, true);
    assert!(outcome.is_ok(), "{:?}", outcome.err());
}

/// A checker never seen failing is not believed.
fn is_caught(planted: Planted, walks: u64) {
    let caught =
        (0..walks).find_map(|seed| match catch_unwind(AssertUnwindSafe(|| walk(seed, Some(planted), false))) {
            Ok(Ok(_)) => None,
            Ok(Err(violation)) => Some((seed, violation)),
            Err(_) => Some((seed, "an assert".to_string())),
        });
    println!("{planted:?}: {caught:?}");
    assert!(caught.is_some(), "{planted:?} was not caught in {walks} walks");
}

#[test]
fn planted_vote_by_offset_is_caught() {
    is_caught(Planted::VoteByOffset, 20_000);
}

#[test]
fn planted_commit_of_an_older_term_is_caught() {
    is_caught(Planted::CommitOldTerm, 20_000);
}

#[test]
fn planted_forgotten_cut_is_caught() {
    is_caught(Planted::NoCut, 20_000);
}

#[test]
fn planted_early_change_is_caught() {
    is_caught(Planted::EarlyChange, 20_000);
}

#[test]
fn planted_vote_for_an_older_config_is_caught() {
    is_caught(Planted::VoteOldConfig, 20_000);
}

#[test]
fn planted_early_promise_is_caught() {
    is_caught(Planted::PromiseEarly, 20_000);
}

#[test]
fn planted_forgotten_log_start_is_caught() {
    is_caught(Planted::ForgetLogStart, 20_000);
}

/// Nothing that a peer can send may abort or cut what is committed.
#[test]
fn hostile_messages_are_refused() {
    for seed in 0..50 {
        let mut dice = Dice::new(seed);
        let mut world = walk(seed, None, false).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        for _ in 0..100 {
            let n = dice.below(world.replicas.len());
            let from = voter(dice.below(7) as i32);
            let message = crate::hostile::message(|below| dice.below(below));
            let group = &mut world.replicas[n].group;
            let (commit, term) = (group.commit(), group.term());
            group.on_message(from, message, &mut vec![]);
            assert!(group.commit() >= commit && group.term() >= term, "seed {seed}");
        }
    }
}
