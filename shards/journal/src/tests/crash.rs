//! Crashes everywhere: nothing durable is lost, nothing else but a prefix comes back.

use heddle_fakedisk::Dice;

use super::rig::{Rig, config};
use crate::{Config, Record};

#[test]
fn an_empty_journal_is_ready_and_stays_empty() {
    let mut rig = Rig::new(1, config());
    rig.rest();
    let before = rig.journal.writer.id;
    rig.disk.crash();
    assert_eq!(rig.restart().id, before, "the identity stays");
}

#[test]
fn what_is_durable_comes_back_after_a_crash() {
    let mut rig = Rig::new(2, config());
    let replica = rig.create();
    for fill in 0..10 {
        rig.append_batch(replica, 200, fill);
    }
    rig.settle();
    assert_eq!(rig.models[&replica].durable, 11);
    rig.disk.crash_hard();
    let recovered = rig.restart();
    assert_eq!(recovered.replicas[&replica].tail.len(), 10);
}

#[test]
fn live_state_equals_replayed_state() {
    for seed in 0..40 {
        let mut dice = Dice::new(seed);
        let mut rig = Rig::new(seed, config());
        rig.work(&mut dice, 60);
        rig.rest();
        let live: Vec<_> = rig.present().into_iter().map(|r| (r, rig.journal.state(r).cloned())).collect();
        rig.disk.crash();
        let recovered = rig.restart();
        let replayed = recovered.replicas.iter().map(|(r, found)| (*r, Some(found.state.clone())));
        assert_eq!(live, replayed.collect::<Vec<_>>());
    }
}

#[test]
fn random_work_survives_crashes_at_any_moment() {
    for seed in 0..150 {
        let mut dice = Dice::new(seed);
        let mut rig = Rig::new(seed, config());
        for _ in 0..6 {
            let turns = dice.below(60) as usize;
            rig.work(&mut dice, turns);
            if dice.chance(20) {
                rig.disk.kill()
            } else {
                rig.disk.crash()
            }
            rig.restart();
        }
    }
}

#[test]
fn every_crash_point_of_a_script() {
    // The script: creation, appends over several files, marks, truncation, restatement, removal.
    let script = |rig: &mut Rig, steps: usize| {
        let mut left = steps;
        let mut turn = |rig: &mut Rig| {
            rig.flush();
            while left > 0 && rig.step() {
                left -= 1;
                rig.flush();
            }
            left > 0
        };
        let (a, b) = (rig.create(), rig.create());
        for round in 0..16u8 {
            for _ in 0..3 {
                rig.append_batch(a, 2500, round);
                rig.append_batch(b, 900, round);
                if !turn(rig) {
                    return false;
                }
            }
            match round {
                3 => rig.append(b, Record::Truncate { to: heddle_model::Offset(9), lines: 1 }),
                5 | 8 | 11 | 14 => rig.mark_all(a),
                9 => {
                    let (state, tail) = rig.models[&b].last().1.clone().unwrap();
                    rig.restate(b, state, tail);
                }
                13 => rig.gone(b),
                _ => {}
            }
            if !turn(rig) {
                return false;
            }
            if round == 13 {
                break;
            }
        }
        true
    };
    let mut steps = 0;
    loop {
        let mut rig = Rig::new(9, config());
        let done = script(&mut rig, steps);
        let (disk, models) = (rig.disk.clone(), rig.models.clone());
        for seed in 0..6 {
            rig.disk = disk.clone();
            rig.disk.reseed(seed);
            rig.models = models.clone();
            rig.disk.crash();
            rig.restart();
        }
        if done {
            break;
        }
        steps += 1;
    }
    assert!(steps > 40, "the script has many crash points: {steps}");
}

#[test]
fn a_crash_during_recovery_changes_nothing() {
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let mut rig = Rig::new(seed, config());
        rig.work(&mut dice, 40);
        rig.disk.crash();
        for _ in 0..2 {
            rig.begin_again();
            for _ in 0..dice.below(25) {
                rig.step();
                rig.flush();
            }
            if rig.journal.take_recovered().is_some() {
                break;
            }
            rig.disk.crash();
        }
        rig.disk.crash();
        rig.restart();
    }
}

#[test]
fn replaying_twice_gives_the_same() {
    for seed in 0..30 {
        let mut dice = Dice::new(seed);
        let mut rig = Rig::new(seed, config());
        rig.work(&mut dice, 50);
        rig.disk.crash();
        let disk = rig.disk.clone();
        let models = rig.models.clone();
        let first = rig.restart();
        rig.disk.crash_hard();
        let again = rig.restart();
        assert_eq!(first.replicas, again.replicas);
        rig.disk = disk;
        rig.models = models;
        assert_eq!(rig.restart().replicas, first.replicas);
    }
}

/// Trap 28.
#[test]
fn dropped_frames_never_come_back() {
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let mut rig = Rig::new(seed, config());
        let replica = rig.create();
        rig.settle();
        for fill in 0..12 {
            rig.append_batch(replica, 700, fill);
            rig.flush();
        }
        for _ in 0..dice.below(3) {
            rig.step();
        }
        rig.disk.crash();
        let first = rig.restart();
        rig.append_batch(replica, 100, 99);
        rig.settle();
        rig.disk.crash();
        let second = rig.restart();
        assert_eq!(second.replicas[&replica].tail.len(), first.replicas[&replica].tail.len() + 1);
    }
}

/// Trap 29.
#[test]
fn small_state_outlives_the_file_it_was_written_to() {
    let mut rig = Rig::new(4, config());
    let (quiet, busy) = (rig.create(), rig.create());
    let vote = Some(heddle_model::Voter { node: heddle_model::NodeId(3), incarnation: heddle_model::Incarnation(1) });
    rig.append(quiet, Record::State { term: heddle_model::Term(9), vote });
    rig.rest();
    let opened = rig.journal.stats().files_opened;
    for round in 0..200u8 {
        rig.append_batch(busy, 3000, round);
        rig.mark_all(busy);
        rig.settle();
    }
    assert!(rig.journal.stats().files_opened > opened + 8, "the ring went round");
    rig.disk.crash();
    let recovered = rig.restart();
    assert_eq!(recovered.replicas[&quiet].state.vote, vote);
}

/// Trap 27: all files are recycled, every frame has the same layout, and batches end where sectors do. So a frame torn at
/// such a place has a good header and directory, and behind it whole old batches with good CRCs of their own.
#[test]
fn a_torn_frame_over_old_batches_of_the_same_size_is_not_believed() {
    let lens = [2 * 512 - (128 + 4 * 80), 1024, 3072, 2048];
    let mut rig = Rig::new(1, config());
    let replica = rig.create();
    rig.settle();
    let append = |rig: &mut Rig, round: u8| {
        for len in lens {
            rig.append_batch(replica, len, round);
        }
    };
    for round in 0..80 {
        append(&mut rig, round);
        rig.settle();
        rig.mark_all(replica);
        rig.settle();
    }
    append(&mut rig, 200);
    rig.flush();
    assert_eq!(rig.disk.pending(), 1, "one frame is being written");
    let (disk, models) = (rig.disk.clone(), rig.models.clone());
    for torn in 0..=24 {
        rig.disk = disk.clone();
        rig.models = models.clone();
        rig.disk.crash_torn(torn);
        let recovered = rig.restart();
        let whole = torn * 512 >= 448 + lens.iter().sum::<usize>();
        assert_eq!(recovered.replicas[&replica].tail.len(), if whole { 4 } else { 0 }, "torn after {torn} sectors");
    }
}

/// Checkpoints of several frames: files change, are dropped and freed while one is half written.
#[test]
fn openings_of_several_frames() {
    let large = Config { files: 3, file_bytes: 1 << 20, first_file_bytes: 1 << 19, ..config() };
    for seed in 0..12 {
        let mut dice = Dice::new(seed);
        let mut rig = Rig::new(seed, large.clone());
        for _ in 0..5 {
            let replica = rig.create();
            rig.append(replica, Record::Config(vec![seed as u8; 90_000].into()));
        }
        rig.settle();
        for _ in 0..2 {
            let busy = rig.present()[0];
            for _ in 0..8 + dice.below(8) {
                rig.append_batch(busy, 100_000, 3);
                if dice.chance(60) {
                    rig.mark_all(busy);
                }
                rig.flush();
                for _ in 0..dice.below(5) {
                    rig.step();
                    rig.flush();
                }
            }
            rig.disk.crash();
            rig.restart();
        }
    }
}

#[test]
fn frames_of_exactly_a_block_and_one_byte_around_it() {
    use crate::format::{ENTRY_BYTES, HEADER_BYTES};
    for (around, blocks) in [(-1i64, 1), (0, 1), (1, 2)] {
        let mut rig = Rig::new(5, config());
        let replica = rig.create();
        rig.settle();
        let before = rig.journal.stats().frame_bytes;
        let len = (4096 - HEADER_BYTES - ENTRY_BYTES) as i64 + around;
        rig.append_batch(replica, len as usize, 1);
        rig.settle();
        assert_eq!(rig.journal.stats().frame_bytes - before, blocks * 4096);
        rig.append_batch(replica, 100, 2);
        rig.settle();
        rig.disk.crash_hard();
        assert_eq!(rig.restart().replicas[&replica].tail.len(), 2);
    }
}

#[test]
fn a_record_larger_than_a_frame_or_even_a_file_travels() {
    let mut rig = Rig::new(6, config());
    let replica = rig.create();
    rig.append_batch(replica, 50_000, 1);
    rig.append_batch(replica, 300_000, 2);
    rig.append_batch(replica, 100, 3);
    rig.settle();
    rig.disk.crash_hard();
    let recovered = rig.restart();
    let sizes: Vec<usize> = recovered.replicas[&replica].tail.iter().map(|batch| batch.bytes.len()).collect();
    assert_eq!(sizes, [50_000, 300_000, 100]);
}

#[test]
fn many_restarts_do_not_use_the_ring_up() {
    let mut rig = Rig::new(7, config());
    let replica = rig.create();
    for _ in 0..40 {
        rig.append_batch(replica, 300, 1);
        rig.settle();
        rig.disk.crash();
        rig.restart();
    }
    let files = rig.disk.paths().len() - 1;
    assert!(files <= config().files + 1, "{files} files");
    assert_eq!(rig.models[&replica].last().1.as_ref().unwrap().1.len(), 40);
}

#[test]
fn several_journals_and_sizes_work_alike() {
    for (files, file_bytes) in [(2, 32_768), (3, 131_072), (8, 65_536)] {
        for seed in 0..15 {
            let mut dice = Dice::new(seed);
            let small = Config { files, file_bytes, first_file_bytes: 16_384, ..config() };
            let mut rig = Rig::new(seed, small);
            for _ in 0..3 {
                rig.work(&mut dice, 40);
                rig.disk.crash();
                rig.restart();
            }
        }
    }
}
