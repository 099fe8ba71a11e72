//! Text scripts, `scripts/*.txt`: commands in, every instruction and message out.

use crate::replica::{Replica, voter};
use crate::world::{Step, Trace, World};
use heddle_model::{Offset, Point, Term, Voter};
use heddle_raft::{Config, ConfigId, Instruction, Message, Role};
use std::fmt::Write;
use std::path::Path;

#[test]
fn scripts() {
    heddle_textscript::run(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts"), || {
        let mut world = World::new(3, 3, None);
        move |command: &str| {
            world.trace = Some(Trace::Kept(vec![]));
            let mut out = match command.lines().try_for_each(|line| carry_out(&mut world, line)) {
                Ok(()) => String::new(),
                Err(why) => format!("violation: {why}\n"),
            };
            if let Some(Trace::Kept(lines)) = world.trace.take() {
                lines.iter().rev().for_each(|line| out.insert_str(0, &format!("{line}\n")));
            }
            if out.is_empty() { "nothing".to_string() } else { out }
        }
    });
}

/// | command                     | meaning                                                                      |
/// |-----------------------------|------------------------------------------------------------------------------|
/// | `nodes N voters V`          | starts over with N fresh replicas, the first V of them voters                 |
/// | `campaign n`                | n heard no leader for an election timeout                                    |
/// | `silent n..`                | those heard no leader for the shortest election timeout                      |
/// | `write n count`             | the leader n appends records                                                 |
/// | `flush n..`                 | their journals become durable                                                |
/// | `deliver n..`               | every message now under way to them arrives                                  |
/// | `replicate n [count]`       | n carries out the appends that are wanted, of at most so many records each   |
/// | `run`                       | all of these, until nothing is left to do                                    |
/// | `stop n..`, `start n..`     | a stopped node loses what was not flushed, and what is under way to it       |
/// | `cut n..`, `join n..`       | messages to and from those nodes are lost, or not any more                   |
/// | `link n peer`               | the connection of n to peer began anew                                       |
/// | `change n voters learners`  | membership, as comma-separated lists (`-` for none)                          |
/// | `transfer n to`, `resign n` | leadership                                                                   |
/// | `log-start n offset`        | the leader n raises the log start                                            |
/// | `state`                     | where everyone stands                                                        |
/// | `quiet COMMAND`             | as COMMAND, without its trace                                                |
fn carry_out(world: &mut World, line: &str) -> Step {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number =
        |at: usize| words.get(at).and_then(|w| w.parse::<i32>().ok()).unwrap_or_else(|| panic!("{line}: number"));
    let node = |at: usize| number(at) as usize - 1;
    let nodes: Vec<usize> = words[1..].iter().filter_map(|w| w.parse::<usize>().ok()?.checked_sub(1)).collect();
    match words[0] {
        "quiet" => {
            let trace = world.trace.take();
            let step = carry_out(world, line.trim_start_matches("quiet "));
            world.trace = trace;
            step
        }
        "nodes" => {
            let trace = world.trace.take();
            *world = World::new(number(1), number(3), None);
            world.trace = trace;
            Ok(())
        }
        "campaign" => world.campaign(node(1)),
        "silent" => {
            nodes.iter().for_each(|n| world.replicas[*n].group.on_leader_silent());
            Ok(())
        }
        "write" => world.write(node(1), number(2) as u32),
        "flush" => nodes.iter().try_for_each(|n| world.flush(*n, usize::MAX)),
        "deliver" => nodes.iter().try_for_each(|n| deliver_all(world, *n)),
        "replicate" => {
            let count = if words.len() > 2 { i64::from(number(2)) } else { i64::MAX };
            replicate_all(world, node(1), count)
        }
        "run" => run(world),
        "stop" => {
            for n in nodes {
                world.restart(n);
                world.replicas[n].up = false;
            }
            Ok(())
        }
        "start" | "join" => {
            nodes.iter().for_each(|n| world.replicas[*n].up = true);
            Ok(())
        }
        "cut" => {
            nodes.iter().for_each(|n| world.replicas[*n].up = false);
            Ok(())
        }
        "link" => world.act(node(1), &[], |r, todo| r.group.on_link_reset(voter(number(2)), todo)),
        "change" => change(world, node(1), list(words[2]), list(words[3])),
        "transfer" => {
            world.act(node(1), &[], |r, todo| r.group.transfer_leadership(voter(number(2)), todo).expect("it may"))
        }
        "resign" => world.act(node(1), &[], |r, todo| r.group.resign(todo)),
        "log-start" => world.act(node(1), &[], |r, todo| {
            r.group.set_log_start(Offset(number(2) as i64), todo);
        }),
        "state" => {
            let lines: Vec<String> = world.replicas.iter().map(state).collect();
            if let Some(trace) = world.trace.as_mut() {
                lines.into_iter().for_each(|line| trace.push(line));
            }
            Ok(())
        }
        other => panic!("no such command: {other}"),
    }
}

fn deliver_all(world: &mut World, n: usize) -> Step {
    let me = world.replicas[n].me;
    for _ in 0..world.net.len() {
        let Some(packet) = world.net.iter().position(|p| p.to == me) else { break };
        deliver_or_lose(world, packet)?;
    }
    Ok(())
}

/// A packet of a node that is cut off is lost.
pub fn deliver_or_lose(world: &mut World, packet: usize) -> Step {
    let from = world.at(world.net[packet].from).expect("every sender exists");
    if !world.replicas[from].up {
        world.net.remove(packet);
        return Ok(());
    }
    world.deliver(packet)
}

fn replicate_all(world: &mut World, n: usize, count: i64) -> Step {
    for _ in 0..world.replicas[n].wanted.len() {
        world.replicate(n, 0, count)?;
    }
    Ok(())
}

/// Replicate, deliver, flush, round after round.
pub fn run(world: &mut World) -> Step {
    for _ in 0..1000 {
        for n in 0..world.replicas.len() {
            replicate_all(world, n, i64::MAX)?;
        }
        for _ in 0..world.net.len() {
            deliver_or_lose(world, 0)?;
        }
        for n in 0..world.replicas.len() {
            world.flush(n, usize::MAX)?;
        }
        let busy = |r: &Replica| !r.wanted.is_empty() || !r.journal.is_empty();
        if world.net.is_empty() && !world.replicas.iter().any(busy) {
            return Ok(());
        }
    }
    Err("messages come to rest: they do not".to_string())
}

fn change(world: &mut World, n: usize, voters: Vec<Voter>, learners: Vec<Voter>) -> Step {
    let mut refused = None;
    world.act(n, &[], |r, todo| refused = r.group.change_voters(voters, learners, todo).err())?;
    if let (Some(why), Some(trace)) = (refused, world.trace.as_mut()) {
        trace.push(format!("refused: {why:?}"));
    }
    Ok(())
}

fn list(text: &str) -> Vec<Voter> {
    text.split(',').filter_map(|word| word.parse().ok()).map(voter).collect()
}

pub fn state(r: &Replica) -> String {
    let g = &r.group;
    let role = match g.role() {
        Role::Follower { leader: Some(leader) } => format!("follows {}", leader.node),
        Role::Follower { leader: None } => "follows nobody".to_string(),
        other => format!("{other:?}"),
    };
    let vote = g.vote().map_or("-".to_string(), |v| v.node.to_string());
    let (lines, config, end) = (lines(g.history().lines()), show_config(g.config()), point(g.end()));
    let mut line = format!("{}: term {} vote {vote} {role}, end {end}, commit {}", r.me.node, g.term(), g.commit());
    let _ = write!(line, ", start {}, lines {lines}, config {config}", g.log_start());
    line
}

/// `None` for what is no news to a reader: sends are shown when they are made, replication when it happens.
pub fn show_instruction(instruction: &Instruction) -> Option<String> {
    Some(match instruction {
        Instruction::PersistState { term, vote } => {
            format!("persist term {term} vote {}", vote.map_or("-".to_string(), |v| v.node.to_string()))
        }
        Instruction::PersistLine { term, start } => format!("persist line {term}@{start}"),
        Instruction::PersistConfig(config) => format!("persist config {}", show_config(config)),
        Instruction::PersistLogStart(offset) => format!("persist log start {offset}"),
        Instruction::Truncate { to } => format!("truncate to {}", point(*to)),
        Instruction::Take { term, from, to } => format!("take {from}..{to} of term {term}"),
        Instruction::Reset { at, line, .. } => format!("reset to {} line {}@{}", point(*at), line.0, line.1),
        Instruction::Send { to, message } => format!("-> {}: {}", to.node, show(message)),
        Instruction::Replicate { .. } => return None,
        Instruction::Restate { to, at } => format!("restate {} at {}", to.node, point(*at)),
        Instruction::Commit(offset) => format!("commit {offset}"),
        Instruction::LogStartSafe(offset) => format!("log start safe {offset}"),
        Instruction::Became(Role::Follower { leader: Some(leader) }) => format!("follows {}", leader.node),
        Instruction::Became(Role::Follower { leader: None }) => "follows nobody".to_string(),
        Instruction::Became(role) => format!("becomes {role:?}"),
        Instruction::Report { peer, fault } => format!("reports {}: {fault:?}", peer.node),
    })
}

pub fn show(message: &Message) -> String {
    match message {
        Message::PreVote(m) => format!("pre-vote t{} end {} config {}", m.term, point(m.end), id(m.config)),
        Message::Vote(m) => {
            let handed = if m.handed_over { " handed over" } else { "" };
            format!("vote t{} end {} config {}{handed}", m.term, point(m.end), id(m.config))
        }
        Message::PreVoteReply(m) => {
            let granted = if m.granted { "granted" } else { "refused" };
            format!("pre-vote {granted} t{}{}", m.term, config(&m.config))
        }
        Message::VoteReply(m) => {
            let granted = if m.granted { "granted" } else { "refused" };
            format!("vote {granted} t{}{}{}", m.term, start(m.log_start), config(&m.config))
        }
        Message::Append(m) => {
            let config = config(&m.config);
            let lines = if m.lines.is_empty() { String::new() } else { format!(" lines {}", lines(&m.lines)) };
            let (from, to) = (point(m.from), point(m.to));
            format!("append t{} {from}..{to}{lines} commit {}{}{config}", m.term, m.commit, start(m.log_start))
        }
        Message::AppendAck(m) => {
            format!("ack t{} {} config {}{}", m.term, point(m.at), id(m.config), start(m.log_start))
        }
        Message::AppendReject(m) => format!("reject t{} {} hint {}", m.term, point(m.from), point(m.hint)),
        Message::Reset(m) => format!("reset t{} {} line@{} commit {}", m.term, point(m.at), m.line_start, m.commit),
        Message::StandNow { term } => format!("stand now t{term}"),
    }
}

fn point(p: Point) -> String {
    format!("{}/{}", p.term, p.offset)
}

fn id(c: ConfigId) -> String {
    format!("{}.{}", c.term, c.version)
}

fn start(offset: Offset) -> String {
    if offset == Offset(0) { String::new() } else { format!(" start {offset}") }
}

fn lines(lines: &[(Term, Offset)]) -> String {
    lines.iter().map(|line| format!("{}@{}", line.0, line.1)).collect::<Vec<_>>().join(" ")
}

fn config(config: &Option<Config>) -> String {
    config.as_ref().map_or(String::new(), |c| format!(" config {}", show_config(c)))
}

fn show_config(config: &Config) -> String {
    let names = |list: &[Voter]| list.iter().map(|v| v.node.to_string()).collect::<Vec<_>>().join(",");
    let learners =
        if config.learners.is_empty() { String::new() } else { format!(" learners {}", names(&config.learners)) };
    format!("{}[{}{learners}]", id(config.id()), names(&config.voters))
}
