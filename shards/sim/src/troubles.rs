//! What goes wrong in a life beside its end, and when.

use heddle_fakedisk::Dice;
use heddle_model::limits::BLOCK_BYTES;

use crate::node::Node;
use crate::plan::{Life, Trouble};
use crate::trace::Trace;

const TEN_DAYS_MS: i64 = 10 * 86_400_000;
const HALF_AN_HOUR_MS: i64 = 1_800_000;

/// A trouble begins after a third of a life, sooner if it concerns the recovery, and ends after two thirds.
pub fn due(life: &Life, step: u64, node: &mut Node, dice: &mut Dice, trace: &mut Trace) {
    let Some(trouble) = life.trouble else { return };
    let (begins, ends) = period(life);
    if step == begins {
        begin(trouble, node, dice, trace);
    } else if step == ends {
        end(trouble, node, dice, trace);
    }
}

/// In which step of a life its trouble begins, and in which it ends.
pub fn period(life: &Life) -> (u64, u64) {
    let begins = match life.trouble {
        Some(Trouble::ReadError) if life.steps.is_multiple_of(2) => 0,
        _ => life.steps / 3,
    };
    (begins, life.steps * 2 / 3)
}

fn begin(trouble: Trouble, node: &mut Node, dice: &mut Dice, trace: &mut Trace) {
    match trouble {
        Trouble::Full => {
            let limit = node.disk.used_bytes() + dice.below(200_000);
            trace.say(|| format!("the disk is full at {limit} bytes"));
            node.disk.fill(limit);
        }
        Trouble::WriteError | Trouble::ReadError => {
            let Some(path) = pick_file(node, dice) else { return };
            let times = 1 + dice.below(3) as u32;
            trace.say(|| format!("{trouble:?}: {times} times in {path}"));
            match trouble {
                Trouble::WriteError => node.disk.fail_writes_times(&path, times),
                _ => node.disk.fail_reads_times(&path, times),
            }
        }
        Trouble::ClockJump => {
            let jump = if dice.chance(70) { TEN_DAYS_MS } else { -HALF_AN_HOUR_MS };
            trace.say(|| format!("the clock jumps by {jump} ms"));
            node.wall_off_ms = jump;
        }
        // After the life.
        Trouble::Rot | Trouble::JournalLost => {}
    }
}

fn end(trouble: Trouble, node: &mut Node, dice: &mut Dice, trace: &mut Trace) {
    match trouble {
        // Sometimes the node dies and starts again on a full disk.
        Trouble::Full if dice.chance(30) => {}
        Trouble::Full => {
            trace.say(|| "space returns".into());
            node.disk.fill(u64::MAX);
        }
        // A restart would believe a clock that is still wrong: no process can know better.
        Trouble::ClockJump => node.wall_off_ms = 0,
        Trouble::WriteError | Trouble::ReadError | Trouble::Rot | Trouble::JournalLost => {}
    }
}

fn pick_file(node: &Node, dice: &mut Dice) -> Option<String> {
    let files: Vec<String> = node.disk.paths().into_iter().filter_map(|(path, len)| len.map(|_| path)).collect();
    if files.is_empty() { None } else { Some(files[dice.below(files.len() as u64) as usize].clone()) }
}

/// One byte of some written block of some file rots.
pub fn rot(node: &mut Node, dice: &mut Dice, trace: &mut Trace) {
    for _ in 0..10 {
        let Some(path) = pick_file(node, dice) else { return };
        let Some(content) = node.disk.content(&path) else { return };
        let written: Vec<usize> = content
            .chunks(BLOCK_BYTES)
            .enumerate()
            .filter(|(_, block)| block.iter().any(|byte| *byte != 0))
            .map(|(at, _)| at)
            .collect();
        if written.is_empty() {
            continue;
        }
        let block = written[dice.below(written.len() as u64) as usize];
        let at = block * BLOCK_BYTES + dice.below(BLOCK_BYTES as u64) as usize;
        trace.say(|| format!("rot: byte {at} of {path}"));
        return node.disk.corrupt(&path, at as u64, 1);
    }
}

/// The directory of one journal is gone, and whoever removed it was thorough.
pub fn lose_journal(node: &mut Node, dice: &mut Dice, trace: &mut Trace) {
    let dirs: Vec<String> = node.disk.paths().into_iter().map(|(path, _)| path).collect();
    let dirs: Vec<String> =
        dirs.into_iter().filter(|path| path.starts_with("journal-") && !path.contains('/')).collect();
    if dirs.is_empty() {
        return;
    }
    let path = dirs[dice.below(dirs.len() as u64) as usize].clone();
    trace.say(|| format!("{path} is gone"));
    node.lose_tree(path);
}
