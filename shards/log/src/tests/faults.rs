//! Full and failing disks while settling.

use heddle_border::Fault;
use heddle_model::Offset;

use super::*;

#[test]
fn a_full_disk_keeps_everything_and_settling_resumes() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        world.settings.segment_bytes = 400_000;
        world.append_many(30, 10_000);
        world.settle_all();
        // Anything from no byte at all to a good part of what is to be written.
        world.disk.fill(world.disk.used_bytes() + seed * 20_000);
        world.append_many(90, 10_000);
        for _ in 0..30 {
            world.settle(world.log.end(), true);
            world.run();
        }
        assert!(world.troubles() > 0, "seed {seed}: it must hurt");
        assert!(
            world.outputs.iter().all(|output| !matches!(output, Output::Trouble(fault) if *fault != Fault::NoSpace))
        );
        assert!(world.log.settled() < world.log.end());
        assert!(world.log.wants_settle());
        world.check_content(1 << 20);
        world.disk.heal();
        world.settle_all();
        assert_eq!(world.log.settled(), world.log.end());
        world.drop_cache();
        world.check_content(1 << 20);
        assert_eq!(world.companion.all.len(), 120);
        world.crash_and_load(world.mark());
        world.check_content(1 << 20);
    }
}

#[test]
fn a_little_space_is_used_to_the_last_step() {
    let mut world = World::new(100);
    world.append_many(1, 10);
    world.settle_all();
    // Room for one more block of each file, but not for a step of allocation.
    let used = world.disk.used_bytes();
    world.append_many(20, 10_000);
    world.disk.fill(used + 210_000);
    world.settle_all();
    assert_eq!(world.log.settled(), world.log.end(), "{:?}", world.outputs);
    assert_eq!(world.troubles(), 0);
}

#[test]
fn a_failing_segment_is_closed_for_ever_at_its_mark() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        world.append_many(10, 1000);
        world.settle_all();
        let old = world.logs()[0].clone();
        let before = world.disk.content(&old).expect("it exists");
        let mark = world.mark().expect("settled");
        world.append_many(60, 10_000);
        let (bad, times) = if seed % 2 == 0 { (old.clone(), 1) } else { (old.replace(".log", ".side"), 1) };
        world.disk.fail_writes_times(&bad, times + (seed % 3) as u32);
        world.settle(world.log.end(), true);
        world.settle(world.log.end(), true);
        world.run();
        assert_eq!(world.troubles(), 1, "said once");
        world.settle_all();
        assert_eq!(world.log.settled(), world.log.end());
        assert_eq!(world.logs().len(), 2, "{:?}", world.logs());
        let after = world.disk.content(&old).expect("it exists");
        let marked = mark.segment_bytes as usize;
        assert_eq!(after[..marked], before[..marked], "settled bytes never change");
        world.drop_cache();
        world.check_content(1 << 20);
        world.crash_and_load(world.mark());
        world.check_content(1 << 20);
    }
}

#[test]
fn a_failure_before_anything_was_settled_leaves_no_trace() {
    for seed in 0..30 {
        let mut world = World::new(seed);
        world.append_many(10, 1000);
        world.disk.fail_writes_times(DIR, 1 + (seed % 2) as u32);
        world.settle_all();
        while world.log.settled() < world.log.end() {
            assert!(world.settle(world.log.end(), true));
            world.run();
        }
        while world.delete_step() {}
        assert_eq!(world.logs().len(), 1, "the file that failed is gone: {:?}", world.logs());
        world.crash_and_load(world.mark());
        world.check_content(1 << 20);
    }
}

#[test]
fn a_crash_amid_failures_loads_what_was_marked() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        world.settings.segment_bytes = 300_000;
        world.auto_mark = seed % 2 == 0;
        for round in 0..6 {
            world.append_many(15, 5_000);
            match (seed / 2 + round) % 4 {
                0 => world.disk.fail_writes_times(DIR, 1),
                1 => world.disk.fill(world.disk.used_bytes() + 30_000),
                _ => world.disk.heal(),
            }
            world.settle(world.log.end(), true);
            for _ in 0..(seed % 7) * 3 {
                world.step();
            }
            if round % 2 == 1 {
                world.journal_marks();
            }
        }
        world.disk.heal();
        // The journal may have made any mark durable that was given.
        let mark = match seed % 3 {
            0 => world.mark(),
            _ => world.marks.last().cloned(),
        };
        world.crash_and_load(mark);
        world.check_content(1 << 20);
        world.auto_mark = true;
        world.settle_all();
        assert_eq!(world.log.settled(), world.log.end());
        world.drop_cache();
        world.check_content(1 << 20);
    }
}

#[test]
fn names_left_over_from_an_unmarked_life_are_passed_over_and_removed() {
    let mut world = World::new(3);
    world.append_many(5, 100);
    world.auto_mark = false;
    world.settle(world.log.end(), true);
    world.run();
    world.disk.kill();
    world.restart(None);
    world.auto_mark = true;
    world.settle_all();
    assert_eq!(world.log.settled(), world.log.end());
    assert_eq!(world.troubles(), 0);
    while world.delete_step() {}
    assert_eq!(world.logs(), [format!("{DIR}/{:020}-1.log", 0)]);
    world.crash_and_load(world.mark());
    world.check_content(1 << 20);
}

#[test]
fn a_segment_that_cannot_be_opened_again_is_closed_for_ever() {
    let mut world = World::new(4);
    world.append_many(5, 100);
    world.settle_all();
    world.close_idle();
    let path = world.logs()[0].replace(".log", ".side");
    world.disk.submit(heddle_border::Token { owner: 0, seq: 0 }, heddle_border::DiskOp::Remove { path });
    world.disk.run_all();
    world.append_many(5, 100);
    world.settle_all();
    while world.log.settled() < world.log.end() {
        assert!(world.settle(world.log.end(), true));
        world.run();
    }
    assert_eq!(world.troubles(), 1);
    assert_eq!(world.log.settled(), Offset(10));
    world.check_content(1 << 20);
}
