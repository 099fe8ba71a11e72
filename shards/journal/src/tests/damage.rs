//! Bit rot and unreadable blocks: found, and exactly the replicas hit are set apart (trap 30).

use std::collections::BTreeMap;

use heddle_border::{Blocks, DiskOp, Event, FileId, OpenMode, Token};
use heddle_fakedisk::Dice;
use heddle_model::limits::BLOCK_BYTES;
use heddle_model::{Offset, ReplicaNumber, Term};

use super::rig::{Rig, Version, config, end_of};
use crate::format::{ENTRY_BYTES, HEADER_BYTES};
use crate::image::headers;
use crate::{Config, FORMAT_VERSION, Pressure, Record, Recovered, Siblings, Stuck};

/// Three replicas, one frame each turn, each frame with one batch of two of them.
fn three() -> (Rig, [ReplicaNumber; 3]) {
    let mut rig = Rig::new(1, Config { file_bytes: 131_072, first_file_bytes: 131_072, ..config() });
    let all = [rig.create(), rig.create(), rig.create()];
    rig.settle();
    for round in 0..6u8 {
        rig.append_batch(all[usize::from(round) % 3], 500, round);
        rig.append_batch(all[usize::from(round + 1) % 3], 600, round);
        rig.settle();
    }
    rig.rest();
    (rig, all)
}

/// Where the frames of the only file in use begin, by number.
fn frames(rig: &Rig) -> Vec<(u64, u64)> {
    let image = rig.disk.content("journal-0/00000000.j").unwrap();
    headers(&image, 0).map(|(at, header)| (header.number, at as u64)).collect()
}

fn restart(rig: &mut Rig) -> Recovered {
    rig.disk.crash();
    rig.begin_again();
    rig.recover()
}

fn damaged(recovered: &Recovered) -> Vec<ReplicaNumber> {
    recovered.replicas.iter().filter(|(_, found)| found.damaged).map(|(replica, _)| *replica).collect()
}

#[test]
fn a_rotten_batch_hits_its_replica_only_and_cuts_its_tail_there() {
    let (mut rig, all) = three();
    // Frame 1 is the opening, 2 the creation, 3 to 8 carry batches: frame 4 those of replicas 2 and 3.
    let (number, at) = frames(&rig)[3];
    assert_eq!(number, 4);
    rig.disk.corrupt("journal-0/00000000.j", at + (HEADER_BYTES + 2 * ENTRY_BYTES + 300) as u64, 1);
    let recovered = restart(&mut rig);
    assert_eq!(damaged(&recovered), [all[1]]);
    assert_eq!(recovered.report.damage.len(), 1);
    assert_eq!(recovered.report.damage[0].hit, [all[1]]);
    assert_eq!(recovered.replicas[&all[0]].tail.len(), 4);
    assert_eq!(recovered.replicas[&all[1]].tail.len(), 1, "its first batch is before the damage");
    assert_eq!(recovered.replicas[&all[2]].tail.len(), 4);
    // It stays so, whatever is read next time, until it is restated.
    rig.settle();
    let again = restart(&mut rig);
    assert_eq!(damaged(&again), [all[1]]);
    assert_eq!(again.replicas, recovered.replicas);
    let found = again.replicas[&all[1]].clone();
    rig.journal.restate(all[1], found.state, found.tail);
    rig.models.clear();
    for replica in all {
        rig.models.insert(replica, super::rig::Model { versions: BTreeMap::new(), durable: 0 });
    }
    rig.settle();
    assert_eq!(damaged(&restart(&mut rig)), []);
}

#[test]
fn a_rotten_directory_hits_those_with_a_gap_or_nothing_later() {
    for place in [10, HEADER_BYTES as u64 + 10] {
        let (mut rig, all) = three();
        // The last frame with batches: those of replicas 3 and 1, nothing of theirs is later. Replica 2 has nothing
        // later either, and nobody knows that it was not there.
        let (_, at) = frames(&rig)[7];
        rig.disk.corrupt("journal-0/00000000.j", at + place, 1);
        assert_eq!(damaged(&restart(&mut rig)), all);

        let (mut rig, all) = three();
        // The frame before: batches of replicas 2 and 3. Only 1 and 3 have later ones, without a gap for 1.
        let (_, at) = frames(&rig)[6];
        rig.disk.corrupt("journal-0/00000000.j", at + place, 1);
        let recovered = restart(&mut rig);
        assert_eq!(damaged(&recovered), [all[1], all[2]]);
        assert_eq!(recovered.replicas[&all[2]].tail.len(), 2, "what follows the gap is left out");
    }
}

#[test]
fn a_rotten_checkpoint_hits_nobody_if_the_records_are_there() {
    let (mut rig, _) = three();
    rig.disk.corrupt("journal-0/00000000.j", 40, 1);
    let recovered = restart(&mut rig);
    assert_eq!(damaged(&recovered), []);
    assert_eq!(recovered.replicas.len(), 3);
}

/// Files that are kept ready begin with zeros too, but have nothing behind them.
#[test]
fn a_file_whose_first_block_reads_as_zeros_is_not_taken_for_an_unused_one() {
    let (mut rig, _) = three();
    let whole = restart(&mut rig);
    let (mut rig, _) = three();
    rig.disk.blank("journal-0/00000000.j", 0, 4096);
    let recovered = restart(&mut rig);
    assert_eq!(damaged(&recovered), []);
    assert_eq!(recovered.replicas, whole.replicas);
    assert_eq!(recovered.report.damage.len(), 1, "it is told: {:?}", recovered.report);
}

#[test]
fn the_frame_that_only_says_that_the_last_one_is_durable_may_rot() {
    let (mut rig, _) = three();
    let (_, at) = *frames(&rig).last().unwrap();
    rig.disk.corrupt("journal-0/00000000.j", at + 5, 1);
    let recovered = restart(&mut rig);
    assert_eq!((damaged(&recovered), recovered.report.damage), (vec![], vec![]));
}

/// Whoever is not named damaged is exactly what it was, whatever byte rots; a damaged one's tail is a true prefix.
fn check_against(recovered: &Recovered, models: &BTreeMap<ReplicaNumber, Version>, context: &str) {
    for (replica, version) in models {
        let Some((state, tail)) = version else {
            let found = recovered.replicas.get(replica);
            assert!(found.is_none_or(|found| found.damaged), "{replica} came back: {context}");
            continue;
        };
        let Some(found) = recovered.replicas.get(replica) else {
            let told = recovered.report.may_miss_replicas || recovered.report.unknown.contains(replica);
            assert!(told, "{replica} is missing: {context}");
            continue;
        };
        if !found.damaged {
            assert_eq!(&found.state, state, "{replica}: {context}");
            assert!(found.tail == *tail, "{replica}: another tail: {context}");
        }
        let settled = found.state.mark.as_ref().map_or(found.state.start.offset, |mark| mark.offset);
        if let Some(first) = found.tail.first() {
            assert!(first.base <= settled, "{replica}: the tail begins at {}, not at {settled}: {context}", first.base);
        }
        for pair in found.tail.windows(2) {
            assert_eq!(pair[0].next, pair[1].base, "{replica}: a tail has no gap: {context}");
        }
        if found.damaged {
            let end = end_of(&found.state, &found.tail).max(found.state.log_start);
            let beyond = found.state.history.iter().skip(1).any(|(_, start)| *start > end);
            assert!(!beyond, "{replica}: its history goes beyond {end}: {context}");
        }
    }
}

#[test]
fn a_rotten_byte_anywhere_is_never_taken_for_the_truth() {
    let mut hits = 0;
    for seed in 0..80 {
        let mut dice = Dice::new(seed);
        let mut rig = Rig::new(seed, config());
        // Many restarts use the ring up, so that an opening carries tails.
        for _ in 0..if seed % 2 == 0 { 7 } else { dice.below(3) } {
            rig.work(&mut dice, 25);
            rig.disk.crash();
            rig.restart();
        }
        rig.work(&mut dice, 30);
        rig.rest();
        let truth: BTreeMap<_, _> =
            rig.models.iter().map(|(replica, model)| (*replica, model.last().1.clone())).collect();
        let files: Vec<(String, u64)> =
            rig.disk.paths().into_iter().filter_map(|(path, len)| Some((path, len.filter(|len| *len > 0)?))).collect();
        let whole = rig.disk.clone();
        for _ in 0..6 {
            rig.disk = whole.clone();
            let (path, len) = &files[dice.below(files.len() as u64) as usize];
            let at = dice.below(*len);
            rig.disk.corrupt(path, at, 1 + dice.below(3));
            let context = format!("seed {seed}, {path} at {at}");
            let recovered = restart(&mut rig);
            hits += usize::from(!damaged(&recovered).is_empty());
            check_against(&recovered, &truth, &context);
            rig.models = truth.keys().map(|replica| (*replica, rig_model())).collect();
            rig.settle();
            let again = restart(&mut rig);
            check_against(&again, &truth, &format!("{context}, again"));
            for replica in damaged(&recovered) {
                assert!(again.replicas[&replica].damaged, "{replica} stays damaged: {context}");
            }
        }
    }
    assert!(hits > 5, "{hits} of 480 hit something");
}

fn rig_model() -> super::rig::Model {
    super::rig::Model { versions: BTreeMap::new(), durable: 0 }
}

/// An opening that carries tails begins with what cannot be read, and older files are still there: replay begins with
/// one of those, which knows nothing of batches that stood before it.
#[test]
fn an_opening_that_carries_tails_may_rot_in_any_block() {
    let mut hits = 0;
    for seed in 0..10 {
        let mut dice = Dice::new(seed);
        let mut rig = Rig::new(seed, config());
        let all = [rig.create(), rig.create(), rig.create()];
        rig.settle();
        // Restarts use the ring up; the tails stay.
        for round in 0..8u8 {
            let replica = all[dice.below(3) as usize];
            rig.append_batch(replica, 300 + dice.below(900) as usize, round);
            rig.rest();
            rig.disk.crash();
            rig.restart();
        }
        rig.rest();
        let truth: BTreeMap<_, _> =
            rig.models.iter().map(|(replica, model)| (*replica, model.last().1.clone())).collect();
        let whole = rig.disk.clone();
        for (path, len) in whole.paths().into_iter().filter_map(|(path, len)| Some((path, len?))) {
            for block in 0..len / 4096 {
                let Some(content) = whole.content(&path) else { continue };
                let used = content[(block * 4096) as usize..][..4096].iter().filter(|byte| **byte != 0).count() as u64;
                if used == 0 {
                    continue;
                }
                rig.disk = whole.clone();
                rig.disk.corrupt(&path, block * 4096 + dice.below(used.min(4096)), 1);
                let recovered = restart(&mut rig);
                hits += damaged(&recovered).len();
                check_against(&recovered, &truth, &format!("seed {seed}, {path} block {block}"));
            }
        }
    }
    assert!(hits > 20, "{hits} hits");
}

#[test]
fn reads_that_fail_for_a_while_lose_nothing() {
    for times in [1, 2, 3, 20] {
        let (mut rig, _) = three();
        let truth: BTreeMap<_, _> =
            rig.models.iter().map(|(replica, model)| (*replica, model.last().1.clone())).collect();
        rig.disk.crash();
        rig.disk.fail_reads_times("journal-0/00000000.j", times);
        rig.begin_again();
        let recovered = rig.recover();
        assert_eq!((damaged(&recovered), &recovered.report.damage), (vec![], &vec![]), "{times} reads fail");
        check_against(&recovered, &truth, &format!("{times} reads fail"));
    }
}

#[test]
fn a_file_that_stays_unreadable_keeps_the_journal_closed_and_untouched() {
    let (mut rig, all) = three();
    rig.disk.crash();
    let whole = rig.disk.clone();
    rig.disk.fail_reads_times("journal-0/00000000.j", 1000);
    rig.begin_again();
    let tries = (0..1_000).find(|_| {
        while rig.step() {}
        rig.now.mono = rig.journal.wake_at().map_or(rig.now.mono, |at| at.max(rig.now.mono));
        rig.flush();
        rig.journal.stuck().is_some()
    });
    assert!(tries.is_some_and(|tries| tries >= 5), "it is tried more than once: {tries:?}");
    assert_eq!(rig.journal.pressure(), Pressure::Broken);
    let stuck = rig.journal.stuck().unwrap();
    assert!(matches!(stuck, Stuck::Unreadable(place) if place.contains("journal-0/00000000.j")), "{stuck:?}");
    assert_eq!(rig.disk.content("journal-0/00000000.j"), whole.content("journal-0/00000000.j"));
    assert_eq!(rig.disk.paths(), whole.paths(), "nothing is written");
    // Whoever accepts losses has what cannot be read taken for damage.
    rig.disk = whole;
    rig.disk.fail_reads_times("journal-0/00000000.j", 1000);
    rig.config.accept_unreadable = true;
    rig.begin_again();
    let recovered = rig.recover();
    assert!(recovered.report.may_miss_replicas, "nothing of {all:?} can be known");
    assert_eq!(recovered.replicas.len(), 0);
}

/// A header of another format version is not damage, and not a torn tail either.
#[test]
fn a_file_of_another_format_keeps_the_journal_closed_and_untouched() {
    for (accept_unreadable, version) in
        [(false, FORMAT_VERSION - 1), (true, FORMAT_VERSION - 1), (true, FORMAT_VERSION + 1)]
    {
        let (mut rig, _) = three();
        rig.disk.crash();
        let path = String::from("journal-0/00000000.j");
        let mut block = Blocks::zeroed(BLOCK_BYTES);
        block.copy_from_slice(&rig.disk.content(&path).unwrap()[..BLOCK_BYTES]);
        block[8..10].copy_from_slice(&version.to_le_bytes());
        let sum = crc32c::crc32c(&block[..HEADER_BYTES - 4]);
        block[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
        let file = FileId { owner: 9, seq: 0 };
        let open = DiskOp::Open { file, path: path.clone(), mode: OpenMode::Existing };
        let write = DiskOp::Write { file, at: 0, buf: block, durable: true };
        for op in [open, write] {
            rig.disk.submit(Token { owner: 9, seq: 0 }, op);
            assert!(matches!(rig.disk.step(), Some(Event::Disk { result: Ok(_), .. })));
        }
        let other = rig.disk.clone();
        rig.config.accept_unreadable = accept_unreadable;
        rig.begin_again();
        while rig.step() {}
        assert_eq!(rig.journal.stuck(), Some(&Stuck::OtherFormat { file: path.clone(), version }));
        assert_eq!(
            (rig.journal.pressure(), rig.journal.wake_at()),
            (Pressure::Broken, None),
            "there is nothing to wait for"
        );
        rig.flush();
        assert!(!rig.step(), "nothing is asked of the disk");
        assert_eq!((rig.disk.content(&path), rig.disk.paths()), (other.content(&path), other.paths()));
    }
}

#[test]
fn the_siblings_are_remembered() {
    let (mut rig, all) = three();
    assert_eq!(restart(&mut rig).report.siblings, Siblings::default(), "nobody has said it");
    let siblings = Siblings { count: 3, sum: 0x1234_5678_9abc_def0 };
    rig.journal.set_siblings(siblings);
    rig.append_batch(all[0], 100, 1);
    rig.rest();
    assert_eq!(restart(&mut rig).report.siblings, siblings);
    assert_eq!(restart(&mut rig).report.siblings, siblings, "the first frame of a run says it too");
}

#[test]
fn whatever_stands_in_the_files_replay_ends() {
    for seed in 0..120 {
        let mut dice = Dice::new(seed);
        let mut rig = Rig::new(seed, config());
        rig.work(&mut dice, 30);
        rig.disk.crash();
        for (path, len) in rig.disk.paths() {
            for _ in 0..dice.below(6) {
                if let Some(len) = len.filter(|len| *len > 0) {
                    rig.disk.corrupt(&path, dice.below(len), 1 + dice.below(9000));
                }
            }
        }
        rig.begin_again();
        let recovered = rig.recover();
        for found in recovered.replicas.values() {
            assert!(end_of(&found.state, &found.tail) >= Offset(0));
        }
    }
}

/// A process that is killed leaves frames that are whole but in no way durable; replay counts them, so they must become
/// so before anyone hears of them.
#[test]
fn what_a_killed_process_left_is_made_durable_before_it_counts() {
    let mut counted = 0;
    for seed in 0..60 {
        let mut rig = Rig::new(seed, config());
        let replica = rig.create();
        rig.settle();
        rig.append_batch(replica, 500, 1);
        rig.append(replica, Record::State { term: Term(8), vote: None });
        rig.flush();
        rig.disk.kill();
        let recovered = rig.restart();
        counted += recovered.replicas[&replica].tail.len();
        rig.disk.crash_hard();
        let again = rig.restart();
        assert_eq!(again.replicas, recovered.replicas);
    }
    assert!(counted > 5, "{counted} of 60 frames were whole");
}
