//! Segments end where Kafka's would, and what stands before such an end is settled without force.

use super::*;

/// Settles what arriving records alone ask for.
fn settle_unforced(world: &mut World) {
    while world.settle(world.log.end(), false) {
        world.run();
    }
    world.run();
}

/// Where the log's segments begin, as far as their marks say.
fn bases(world: &World) -> Vec<i64> {
    let mut bases: Vec<i64> = world.marks.iter().map(|mark| mark.segment.0).collect();
    bases.dedup();
    bases
}

/// One batch of one small record at the log's end.
fn append_at(world: &mut World, timestamp: i64) {
    let end = world.log.end().0;
    world.append(batch(end, 1, 10, timestamp));
}

#[test]
fn a_batch_much_later_than_the_first_closes_the_segment() {
    let mut world = World::new(1);
    world.settings.segment_ms = 10_000;
    for timestamp in [5_000, 9_000, 15_000] {
        append_at(&mut world, timestamp);
    }
    settle_unforced(&mut world);
    assert_eq!(bases(&world), [], "nothing is full or old");
    append_at(&mut world, 15_001);
    settle_unforced(&mut world);
    assert_eq!(bases(&world), [0, 3], "a mark names the segment of the new batch, though that batch waits");
    assert_eq!((world.log.settled(), world.log.end()), (Offset(3), Offset(4)));
    world.drop_cache();
    world.check_content(1 << 20);
}

#[test]
fn what_is_not_committed_closes_nothing() {
    let mut world = World::new(2);
    world.settings.segment_ms = 10;
    for timestamp in [0, 5, 100, 200] {
        append_at(&mut world, timestamp);
    }
    assert!(!world.settle(Offset(1), false));
    assert!(world.settle(Offset(2), false));
    world.run();
    assert!(world.settle(Offset(2), false), "the next segment begins");
    world.run();
    assert!(!world.settle(Offset(2), false));
    assert_eq!(world.log.settled(), Offset(2));
    world.log.truncate(Offset(3));
    world.batches.split_off(&3);
    append_at(&mut world, 105);
    settle_unforced(&mut world);
    assert_eq!(bases(&world), [0, 2], "the batch that was cut ended no segment");
}

#[test]
fn the_age_of_a_segment_survives_a_restart() {
    let mut world = World::new(3);
    world.settings.segment_ms = 10_000;
    // One span whose first batch is not its newest.
    for timestamp in [5_000, 14_000, 9_000] {
        append_at(&mut world, timestamp);
    }
    world.settle_all();
    world.crash_and_load(world.mark());
    append_at(&mut world, 15_000);
    world.settle_all();
    assert_eq!(bases(&world), [0]);
    world.crash_and_load(world.mark());
    append_at(&mut world, 15_001);
    world.settle_all();
    assert_eq!(bases(&world), [0, 4], "10 s and 1 ms after the first batch");
}

#[test]
fn what_is_in_the_tail_at_a_restart_closes_segments_too() {
    let mut world = World::new(4);
    world.settings.segment_ms = 1_000;
    for timestamp in [0, 500, 2_000, 2_100, 9_000] {
        append_at(&mut world, timestamp);
    }
    world.restart(None);
    world.load();
    settle_unforced(&mut world);
    assert_eq!(bases(&world), [0, 2, 4]);
}

#[test]
fn records_without_time_age_by_the_clock() {
    let mut world = World::new(5);
    world.settings.segment_ms = 10_000;
    append_at(&mut world, -1);
    settle_unforced(&mut world);
    world.pass_ms(10_000);
    append_at(&mut world, -1);
    settle_unforced(&mut world);
    assert_eq!(bases(&world), []);
    world.pass_ms(1);
    append_at(&mut world, -1);
    settle_unforced(&mut world);
    assert_eq!(bases(&world), [0, 2]);
    world.settle_all();
    world.crash_and_load(world.mark());
    world.pass_ms(10_001);
    append_at(&mut world, -1);
    settle_unforced(&mut world);
    assert_eq!(bases(&world), [2, 3], "also after a restart");
}

#[test]
fn bytes_count_without_filling() {
    let mut world = World::new(6);
    let one = batch(0, 1, 1_000, 0).bytes.len();
    world.settings.segment_bytes = (one * 5 + 1) as i32;
    for _ in 0..5 {
        world.append_many(1, 1_000);
        settle_unforced(&mut world);
    }
    assert_eq!(bases(&world), [], "five fit, though five blocks would not");
    world.append_many(6, 1_000);
    settle_unforced(&mut world);
    assert_eq!(bases(&world), [0, 5, 10]);
    world.drop_cache();
    world.check_content(1 << 20);
}

#[test]
fn compaction_lag_closes_segments_of_compacted_topics_only() {
    let mut world = World::new(7);
    world.settings.max_compaction_lag_ms = 100;
    append_at(&mut world, 0);
    append_at(&mut world, 101);
    settle_unforced(&mut world);
    assert_eq!(bases(&world), []);
    world.settings.cleanup_compact = true;
    append_at(&mut world, 102);
    settle_unforced(&mut world);
    assert_eq!(bases(&world), [0, 2]);
}

#[test]
fn jitter_makes_segments_younger() {
    let mut world = World::new(8);
    (world.settings.segment_ms, world.settings.segment_jitter_ms) = (10_000, 9_999);
    for timestamp in (0..=10_000).step_by(100) {
        append_at(&mut world, timestamp);
    }
    settle_unforced(&mut world);
    let first = bases(&world);
    assert!(first.len() > 1, "{first:?}");
    world.settings.segment_jitter_ms = 0;
    let mut other = World::new(8);
    other.settings = world.settings.clone();
    for timestamp in (0..=10_000).step_by(100) {
        append_at(&mut other, timestamp);
    }
    settle_unforced(&mut other);
    assert_eq!(bases(&other), []);
}

#[test]
fn a_segment_for_each_record_becomes_a_few() {
    let mut world = World::new(9);
    world.settings.segment_ms = 1;
    for at in 0..100 {
        append_at(&mut world, at * 10);
    }
    settle_unforced(&mut world);
    let bases = bases(&world);
    assert_eq!((bases.len(), bases.last()), (9, Some(&99)), "all but the newest stands in closed segments: {bases:?}");
    world.drop_cache();
    world.check_content(1 << 20);
    world.crash_and_load(world.mark());
    world.check_content(1 << 20);
}

#[test]
fn a_round_that_fails_at_the_end_of_a_segment_is_made_good() {
    for steps in 0..12 {
        let mut world = World::new(10 + steps);
        world.settings.segment_ms = 10;
        for timestamp in [0, 5, 100, 105, 200] {
            append_at(&mut world, timestamp);
        }
        world.settle(world.log.end(), false);
        (0..steps).for_each(|_| _ = world.step());
        world.disk.fail_writes_times(DIR, 2);
        settle_unforced(&mut world);
        world.disk.heal();
        for _ in 0..10 {
            settle_unforced(&mut world);
            if world.log.wants_settle() {
                world.settle(world.log.end(), true);
                world.run();
            }
        }
        assert!(world.log.settled() >= Offset(4), "{steps}: {}", world.log.settled());
        world.drop_cache();
        world.check_content(1 << 20);
        world.crash_and_load(world.mark());
        world.check_content(1 << 20);
    }
}
