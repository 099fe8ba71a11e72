//! The ring under pressure: growth, full disks, failing files, who is asked to settle.

use heddle_border::Fault;
use heddle_fakedisk::{Dice, FakeDisk};
use heddle_model::limits::{FRAME_PAYLOAD_BYTES, JOURNAL_WAITING_BYTES};
use heddle_model::{Offset, Term};

use super::rig::{Rig, config};
use crate::{Config, Pressure, Record};

/// One quiet replica pins the first file, a busy one fills the ring, and nobody settles.
fn fill_until(rig: &mut Rig, enough: impl Fn(&Rig) -> bool) {
    let replica = rig.create();
    for round in 0..400u32 {
        if enough(rig) {
            return;
        }
        rig.append_batch(replica, 3000, round as u8);
        rig.flush();
        while rig.step() {
            rig.flush();
        }
    }
    panic!("it never was enough");
}

#[test]
fn an_empty_directory_gets_its_small_first_file_and_then_full_ones_ahead_of_need() {
    let mut rig = Rig::new(1, config());
    assert_eq!(rig.journal.ring.len(0), 32_768);
    rig.settle();
    let lens: Vec<Option<u64>> = rig.disk.paths().into_iter().map(|(_, len)| len).collect();
    assert_eq!(lens, [None, Some(32_768), Some(65_536), Some(65_536)]);
    assert_eq!(rig.journal.stats().files_opened, 1);
}

#[test]
fn pressure_rises_with_the_ring_and_falls_when_replicas_settle() {
    let mut rig = Rig::new(2, config());
    let mut seen = Vec::new();
    for level in [Pressure::None, Pressure::SettleHard, Pressure::StopReading, Pressure::ControlOnly] {
        fill_until(&mut rig, |rig| rig.journal.pressure() >= level);
        seen.push(rig.journal.pressure());
    }
    assert_eq!(seen, [Pressure::None, Pressure::SettleHard, Pressure::StopReading, Pressure::ControlOnly]);
    for replica in rig.present() {
        rig.mark_all(replica);
    }
    rig.rest();
    assert_eq!(rig.journal.pressure(), Pressure::None);
    rig.disk.crash_hard();
    rig.restart();
}

#[test]
fn too_much_waiting_stops_reading() {
    let mut rig = Rig::new(3, Config { file_bytes: 1 << 24, ..config() });
    let replica = rig.create();
    while rig.journal.waiting_bytes() <= JOURNAL_WAITING_BYTES {
        rig.append_batch(replica, 100_000, 1);
    }
    assert_eq!(rig.journal.pressure(), Pressure::StopReading);
    rig.settle();
    assert_eq!((rig.journal.waiting_bytes(), rig.journal.pressure()), (0, Pressure::None));
}

#[test]
fn no_more_than_four_frames_and_a_mebibyte_are_in_flight() {
    let mut rig = Rig::new(4, Config { file_bytes: 1 << 24, first_file_bytes: 1 << 24, ..config() });
    let replica = rig.create();
    rig.rest();
    for fill in 0..100 {
        rig.append_batch(replica, 60_000, fill);
    }
    rig.flush();
    assert_eq!(rig.disk.pending(), 4);
    rig.flush();
    assert_eq!(rig.disk.pending(), 4);
    rig.settle();
    let frames = rig.journal.stats().frame_bytes / FRAME_PAYLOAD_BYTES as u64;
    assert!((20..40).contains(&frames), "6 MB went in frames near 256 KiB: {frames}");
    for _ in 0..3 {
        rig.append_batch(replica, 3_000_000, 7);
    }
    rig.flush();
    assert_eq!(rig.disk.pending(), 1, "a huge frame is alone");
    rig.settle();
}

#[test]
fn those_who_pin_the_oldest_file_are_named_a_few_at_a_time() {
    let mut rig = Rig::new(5, Config { file_bytes: 1 << 18, first_file_bytes: 1 << 18, ..config() });
    let quiet: Vec<_> = (0..100).map(|_| rig.create()).collect();
    for replica in &quiet {
        rig.append_batch(*replica, 100, 1);
    }
    rig.settle();
    let mut wanted = Vec::new();
    rig.journal.wants(&mut wanted);
    assert_eq!(wanted, []);
    fill_until(&mut rig, |rig| rig.journal.pressure() >= Pressure::SettleHard);
    rig.journal.wants(&mut wanted);
    assert_eq!(wanted, quiet[..64]);
    wanted.clear();
    rig.journal.wants(&mut wanted);
    assert_eq!(wanted[..36], quiet[64..]);
    for (at, replica) in quiet.into_iter().enumerate() {
        if at % 2 == 0 {
            rig.mark_all(replica);
        } else {
            let (state, tail) = rig.models[&replica].last().1.clone().unwrap();
            rig.restate(replica, state, tail);
        }
    }
    let busy = rig.present()[100];
    rig.mark_all(busy);
    rig.rest();
    wanted.clear();
    rig.journal.wants(&mut wanted);
    assert_eq!(wanted, [], "restated replicas pin the youngest file only");
    rig.disk.crash();
    rig.restart();
}

/// Nobody writes any more, and tails that fit one file are carried along as often as the journal asks: it must stop asking,
/// however they happen to lie.
#[test]
fn those_who_are_carried_along_come_to_rest() {
    for seed in 0..40 {
        let mut rig = Rig::new(seed, config());
        let replicas: Vec<_> = (0..10).map(|_| rig.create()).collect();
        let (small, large) = replicas.split_at(2);
        small.iter().for_each(|replica| rig.append_batch(*replica, 200, 1));
        large.iter().for_each(|replica| rig.append_batch(*replica, 5000 + seed as usize * 75, 1));
        for part in [large, small, large] {
            for replica in part {
                let (state, tail) = rig.models[replica].last().1.clone().unwrap();
                rig.restate(*replica, state, tail);
            }
            rig.settle();
        }
        let mut wanted = Vec::new();
        let mut rounds = 0;
        loop {
            rig.flush();
            wanted.clear();
            rig.journal.wants(&mut wanted);
            wanted.retain(|replica| rig.models[replica].durable == rig.models[replica].last().0);
            rounds += wanted.len();
            for replica in &wanted {
                let (state, tail) = rig.models[replica].last().1.clone().unwrap();
                rig.restate(*replica, state, tail);
            }
            if !rig.step() && wanted.is_empty() {
                break;
            }
            assert!(rounds < 100, "seed {seed}: asked again and again");
        }
    }
}

/// Trap 18, this room's half.
#[test]
fn a_full_disk_refuses_growth_and_the_journal_goes_on_when_space_returns() {
    for seed in 0..20 {
        let mut rig = Rig::new(seed, config());
        rig.settle();
        let used = rig.disk.used_bytes();
        rig.disk.fill(used);
        let replica = rig.create();
        for round in 0..100 {
            rig.append_batch(replica, 3000, round);
            rig.flush();
            while rig.step() {
                rig.flush();
            }
        }
        assert_eq!(rig.journal.pressure(), Pressure::ControlOnly);
        assert!(rig.journal.trouble().is_some_and(|(_, fault)| fault == Fault::NoSpace));
        assert!(rig.journal.stats().files_refused > 0 && !rig.journal.is_broken_for_good());
        assert!(rig.journal.waiting_bytes() > 0, "there is no room for all");
        let durable = rig.models[&replica].durable;
        assert!(durable < 101 && durable > 20);
        if seed % 2 == 0 {
            rig.disk.crash();
            rig.begin_again();
            for _ in 0..200 {
                rig.step();
                rig.flush();
                rig.now.mono = rig.now.mono.plus_ms(50);
            }
            rig.disk.fill(u64::MAX);
            let recovered = rig.recover();
            assert!(recovered.replicas[&replica].tail.len() as u64 >= durable - 1);
        } else {
            rig.disk.fill(u64::MAX);
            let wake = rig.journal.wake_at().expect("it tries again");
            rig.now.mono = wake;
            rig.settle();
            assert_eq!((rig.journal.waiting_bytes(), rig.models[&replica].durable), (0, 101));
            assert_eq!(rig.journal.trouble(), None);
            rig.disk.crash();
            rig.restart();
        }
    }
}

#[test]
fn a_full_disk_does_not_stop_a_ring_whose_replicas_settle() {
    let mut rig = Rig::new(8, config());
    let replica = rig.create();
    rig.append_batch(replica, 100, 1);
    rig.settle();
    let used = rig.disk.used_bytes();
    rig.disk.fill(used);
    for round in 0..300u32 {
        rig.append_batch(replica, 3000, round as u8);
        if round % 5 == 0 {
            rig.mark_all(replica);
        }
        rig.settle();
    }
    assert_eq!(rig.journal.waiting_bytes(), 0);
    assert!(rig.disk.used_bytes() <= used);
    rig.disk.crash();
    rig.restart();
}

/// Trap 39: whatever clients may still write, and however much of it is taken before the first is written, something
/// small can be written behind it.
#[test]
fn where_the_ring_cannot_grow_what_waits_leaves_the_reserve() {
    for bytes in [300, 3_000, 20_000, 60_000] {
        let mut rig = Rig::new(4, Config { file_bytes: 1 << 20, first_file_bytes: 1 << 20, ..config() });
        let used = rig.disk.used_bytes();
        rig.disk.fill(used);
        let replica = rig.create();
        rig.settle();
        assert!(rig.journal.trouble().is_some(), "no file can be made");
        let mut taken = 0;
        while rig.journal.pressure_with(bytes) < Pressure::ControlOnly && taken < 4_000 {
            rig.append_batch(replica, bytes, taken as u8);
            taken += 1;
        }
        rig.settle();
        assert!((10..3_000).contains(&taken), "{bytes}: {taken} taken");
        rig.append_batch(replica, 300, 0);
        rig.settle();
        let last = rig.models[&replica].last().0;
        assert_eq!((rig.journal.waiting_bytes(), rig.models[&replica].durable), (0, last), "{bytes}: {taken} taken");
        rig.disk.heal();
        rig.disk.crash();
        rig.restart();
    }
}

/// Trap 39 once more: a frame is made of what clients had written while other files were ready, and then there is none that
/// it fits. What is small goes into the rest of the last file, though it came later, and the rest follows once there is space.
#[test]
fn what_is_small_passes_by_what_does_not_fit() {
    let mut rig = Rig::new(5, Config { file_bytes: 1 << 20, first_file_bytes: 1 << 20, ..config() });
    let used = rig.disk.used_bytes();
    rig.disk.fill(used);
    let (large, small) = (rig.create(), rig.create());
    rig.settle();
    let mut taken = 0;
    while rig.journal.waiting_bytes() == 0 {
        rig.append_batch(large, 120_000, taken as u8);
        rig.settle();
        taken += 1;
        assert!(taken < 200, "files end");
    }
    let (waiting, written) = (rig.journal.waiting_bytes(), rig.models[&large].durable);
    for round in 0..3 {
        rig.append_batch(large, 120_000, round);
        rig.append_batch(small, 300, round);
        rig.settle();
        assert_eq!(rig.models[&small].durable, rig.models[&small].last().0, "round {round}");
    }
    assert!(rig.journal.waiting_bytes() > waiting && rig.models[&large].durable == written, "there is no room for it");
    rig.disk.heal();
    rig.disk.fill(u64::MAX);
    rig.now.mono = rig.now.mono.plus_ms(2_000);
    rig.settle();
    for model in rig.models.values() {
        assert_eq!(model.last().0, model.durable, "all of it is written, in order");
    }
    rig.disk.crash();
    rig.restart();
}

#[test]
fn an_empty_directory_on_a_full_disk_waits_for_space() {
    let mut disk = FakeDisk::new(1);
    disk.fill(0);
    let mut rig = Rig::begin(disk, config());
    for _ in 0..50 {
        rig.step();
        rig.flush();
        rig.now.mono = rig.now.mono.plus_ms(100);
    }
    assert!(rig.journal.take_recovered().is_none());
    assert_eq!(rig.journal.pressure(), Pressure::ControlOnly);
    rig.disk.fill(u64::MAX);
    rig.recover();
}

#[test]
fn a_failed_write_retires_its_file_and_goes_on_in_the_next() {
    let mut retired = 0;
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let mut rig = Rig::new(seed, config());
        rig.work(&mut dice, 10);
        rig.settle();
        let path = rig.journal.ring.path(rig.journal.writer.place().unwrap().0).to_owned();
        for _ in 0..3 {
            rig.act(&mut dice);
            rig.flush();
        }
        rig.disk.fail_writes(&path);
        rig.work(&mut dice, 10);
        rig.settle();
        retired += rig.journal.stats().files_retired;
        assert!(rig.journal.stats().write_failures >= rig.journal.stats().files_retired);
        assert!(rig.journal.pressure() < Pressure::Broken);
        assert_eq!(rig.journal.trouble(), None, "it went on in another file");
        for model in rig.models.values() {
            assert_eq!(model.last().0, model.durable, "everything was written elsewhere");
        }
        if dice.chance(50) {
            rig.work(&mut dice, 10);
        }
        rig.disk.heal();
        rig.disk.crash();
        rig.restart();
    }
    assert!(retired > 50, "{retired} files of 60 were given up");
}

#[test]
fn crashes_while_a_file_is_given_up() {
    for seed in 0..80 {
        let mut dice = Dice::new(seed);
        let mut rig = Rig::new(seed, config());
        rig.work(&mut dice, 8);
        let times = 1 + dice.below(2) as u32;
        rig.disk.fail_writes_times("journal-0/0000000", times);
        for _ in 0..4 {
            rig.act(&mut dice);
        }
        rig.flush();
        for _ in 0..dice.below(12) {
            rig.step();
            rig.flush();
        }
        rig.disk.heal();
        rig.disk.crash();
        rig.restart();
    }
}

#[test]
fn two_failures_in_a_row_break_the_journal_and_nothing_is_acknowledged() {
    let mut rig = Rig::new(1, config());
    let replica = rig.create();
    rig.append_batch(replica, 100, 1);
    rig.rest();
    rig.disk.fail_writes("journal-0/");
    rig.append(replica, Record::State { term: Term(9), vote: None });
    rig.settle();
    assert_eq!((rig.journal.pressure(), rig.models[&replica].durable), (Pressure::Broken, 2));
    assert!(rig.journal.trouble().is_some_and(|(path, _)| path.starts_with("journal-0/0000000")));
    assert!(rig.journal.is_broken_for_good());
    assert!(rig.journal.state(replica).is_some(), "what is known can still be read");
    rig.disk.heal();
    rig.now.mono = rig.now.mono.plus_ms(60_000);
    rig.settle();
    assert_eq!(rig.journal.pressure(), Pressure::Broken, "this life gave up");
    rig.disk.crash();
    rig.restart();
    rig.append(replica, Record::State { term: Term(10), vote: None });
    rig.rest();
}

#[test]
fn ordinals_and_quiet_frames() {
    let mut rig = Rig::new(1, config());
    let replica = rig.create();
    rig.append(replica, Record::LogStart(Offset(0)));
    rig.settle();
    let frames = rig.journal.stats().frames;
    let wake = rig.journal.wake_at().expect("a quiet frame is due");
    assert!(wake > rig.now.mono && wake <= rig.now.mono.plus_ms(10));
    rig.flush();
    assert_eq!(rig.journal.stats().frames, frames, "not yet");
    rig.now.mono = wake;
    rig.settle();
    assert_eq!(rig.journal.stats().frames, frames + 1);
    assert_eq!(rig.journal.wake_at(), None, "idle means asleep");
    assert!(rig.journal.idle());
    let mut out = Vec::new();
    rig.journal.close(&mut out);
    assert_eq!(out.len(), 3, "all files are closed");
}

#[test]
fn replicas_that_left_leave_nothing() {
    let mut rig = Rig::new(1, config());
    let (a, b) = (rig.create(), rig.create());
    rig.append_batch(a, 100, 1);
    rig.gone(a);
    rig.rest();
    assert_eq!((rig.journal.state(a), rig.journal.pins.len()), (None, 0));
    rig.disk.crash();
    let recovered = rig.restart();
    assert_eq!(recovered.replicas.keys().collect::<Vec<_>>(), [&b]);
}
