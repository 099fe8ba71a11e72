use heddle_model::{Codec, LeaderEpoch, Offset};
use proptest::prelude::*;

use super::*;

fn at(offset: i64, timestamp: i64) -> Found {
    Found::At { offset: Offset(offset), timestamp, epoch: LeaderEpoch(2) }
}

/// What a scan of all records says: the first in range with the right time.
fn scan(world: &World, start: i64, upto: i64, is_right: impl Fn(i64) -> bool) -> Found {
    for batch in world.batches.values().filter(|batch| batch.next.0 <= upto) {
        let header = Header::read(&batch.bytes).expect("a batch");
        for offset in batch.base.0.max(start)..batch.next.0 {
            let timestamp = header.base_timestamp + offset - batch.base.0;
            if is_right(timestamp) {
                return at(offset, timestamp);
            }
        }
    }
    Found::None
}

fn check(world: &mut World, time: i64, upto: i64) {
    let start = world.log.start().0;
    let expected = scan(world, start, upto, |timestamp| timestamp >= time);
    let found = world.found(|log, out| log.find_time(1, time, Offset(0), Offset(upto), out));
    assert_eq!(found, expected, "first at or after {time} in {start}..{upto}");
}

fn check_largest(world: &mut World, upto: i64) {
    let start = world.log.start().0;
    let newest = |batch: &TailBatch| Header::read(&batch.bytes).expect("a batch").max_timestamp;
    let largest = world.batches.values().filter(|batch| batch.next.0 <= upto && batch.next.0 > start).map(newest).max();
    let expected = largest.map_or(Found::None, |largest| scan(world, start, upto, |timestamp| timestamp == largest));
    let found = world.found(|log, out| log.max_timestamp(1, Offset(0), Offset(upto), out));
    assert_eq!(found, expected, "largest in {start}..{upto}");
}

#[test]
fn an_empty_log_has_no_times() {
    let mut world = World::new(1);
    assert_eq!(world.found(|log, out| log.find_time(1, 0, Offset(0), Offset(0), out)), Found::None);
    assert_eq!(world.found(|log, out| log.max_timestamp(1, Offset(0), Offset(0), out)), Found::None);
}

#[test]
fn times_are_found_across_segments_spans_and_tail() {
    let mut world = World::new(2);
    world.settings.segment_bytes = 60_000;
    for round in 0..60i64 {
        // Times wander, so that the order of offsets and that of times differ.
        world.append(batch(round * 4, 4, 1000, 1000 + round * 100 - (round % 5) * 350));
        if round % 3 == 2 && round < 50 {
            world.settle_all();
        }
    }
    assert!(world.logs().len() > 2);
    for restart in [false, true] {
        if restart {
            world.crash_and_load(world.mark());
            world.close_idle();
        }
        for time in (0..8000).step_by(77) {
            for upto in [0, 4, 100, 160, 236, 240] {
                check(&mut world, time, upto);
            }
            world.drop_cache();
        }
        for upto in (0..=240).step_by(4) {
            check_largest(&mut world, upto);
            world.drop_cache();
        }
    }
}

#[test]
fn records_below_the_start_do_not_count() {
    let mut world = World::new(3);
    world.append(batch(0, 10, 10, 100));
    world.append(batch(10, 10, 10, 50));
    world.settle_all();
    world.append(batch(20, 10, 10, 70));
    world.log.set_start(Offset(5));
    check(&mut world, 100, 30);
    check(&mut world, 0, 30);
    check_largest(&mut world, 30);
    world.log.set_start(Offset(10));
    check(&mut world, 55, 30);
    check_largest(&mut world, 30);
    check_largest(&mut world, 20);
    world.log.set_start(Offset(25));
    check_largest(&mut world, 30);
    check(&mut world, 10, 30);
}

/// A batch that straddles the start, with its largest time below it: what is left of it competes with what follows.
#[test]
fn the_largest_time_below_the_start_does_not_hide_others() {
    for (behind, expected) in [(140, at(2, 150)), (150, at(2, 150)), (160, at(4, 160))] {
        let mut world = World::new(6);
        let mut builder = BatchBuilder::new(200);
        for timestamp in [200, 100, 150, 120] {
            builder.push(timestamp, None, Some(b"v"), &[]);
        }
        world.append(stamped(&builder, 0, 4));
        world.append(batch(4, 1, 5, behind));
        world.log.set_start(Offset(1));
        for _ in 0..2 {
            let found = world.found(|log, out| log.max_timestamp(1, Offset(0), Offset(5), out));
            assert_eq!(found, expected);
            let found = world.found(|log, out| log.find_time(1, 110, Offset(3), Offset(5), out));
            assert_eq!(found, at(3, 120), "from where it is asked");
            world.settle_all();
            world.drop_cache();
        }
    }
}

#[test]
fn packed_batches_are_handed_out_to_be_unpacked() {
    let mut world = World::new(4);
    let mut builder = BatchBuilder::new(500);
    builder.push(500, None, Some(b"a"), &[]).push(700, None, Some(b"b"), &[]).codec(Codec::Gzip, -1);
    world.append(batch(0, 2, 5, 0));
    world.append(stamped(&builder, 2, 2));
    world.append(batch(4, 2, 5, 300));
    for _ in 0..2 {
        let packed = Found::Compressed { batch: world.batches[&2].bytes.clone() };
        assert_eq!(world.found(|log, out| log.find_time(1, 600, Offset(0), Offset(6), out)), packed);
        assert_eq!(world.found(|log, out| log.max_timestamp(1, Offset(0), Offset(6), out)), packed);
        assert_eq!(world.found(|log, out| log.find_time(1, 1, Offset(0), Offset(6), out)), at(1, 1));
        assert_eq!(world.found(|log, out| log.find_time(1, 701, Offset(0), Offset(6), out)), Found::None);
        world.settle_all();
        world.drop_cache();
    }
}

#[test]
fn a_hole_is_said_where_the_answer_may_lie() {
    let mut world = World::new(5);
    world.settings.segment_bytes = 20_000;
    world.append_many(30, 1000);
    world.settle_all();
    world.crash_and_load(world.mark());
    let path = world.logs()[0].replace(".log", ".side");
    world.disk.corrupt(&path, 90, 1);
    let mut effects = Vec::new();
    assert!(world.log.find_time(1, 2, Offset(0), Offset(30), &mut effects).is_none());
    world.submit(effects);
    world.run();
    let hit = world
        .outputs
        .iter()
        .any(|output| matches!(output, Output::Found { result: Err(ReadFault::Damaged { from: Offset(0), .. }), .. }));
    assert!(hit, "{:?}", world.outputs);
    world.outputs.clear();
    assert!(matches!(world.read(Offset(2), Offset(30), 10, true), Err(ReadFault::Damaged { from: Offset(0), .. })));
    check(&mut world, 29, 30);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn lookups_agree_with_a_scan(
        shapes in proptest::collection::vec((1i64..5, 1usize..8000, 0i64..1000, 0u8..4), 1..40),
        start in 0i64..30,
        questions in proptest::collection::vec((0i64..1010, 0usize..41), 1..20),
    ) {
        let mut world = World::new(7);
        world.settings.segment_bytes = 40_000;
        let mut ends = vec![0];
        for (count, value, time, act) in shapes {
            let end = world.log.end().0;
            world.append(batch(end, count, value, time));
            ends.push(world.log.end().0);
            match act {
                0 => world.settle_all(),
                1 => world.drop_cache(),
                _ => {}
            }
        }
        world.log.set_start(Offset(start.min(world.log.end().0)));
        for (time, upto) in questions {
            let upto = ends[upto % ends.len()];
            check(&mut world, time, upto);
            check_largest(&mut world, upto);
        }
    }
}
