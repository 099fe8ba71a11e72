use heddle_model::{Offset, TopicSettings};

use super::*;

/// Five closed segments of ten batches or so each, one that is written, and a tail.
fn rolled(seed: u64) -> World {
    let mut world = World::new(seed);
    world.now = Now { mono: Mono(0), wall: Wall(1_000_000) };
    world.settings = TopicSettings { segment_bytes: 100_000, file_delete_delay_ms: 0, ..TopicSettings::default() };
    for base in 0..60 {
        world.append(batch(base, 1, 9_000, 100_000 + base * 1_000));
        if base % 10 == 9 {
            world.settle_all();
        }
    }
    assert!(world.logs().len() >= 6, "{:?}", world.logs());
    world.append(batch(60, 1, 9_000, 160_000));
    world
}

fn bases(world: &World) -> Vec<i64> {
    world.logs().iter().map(|path| path[DIR.len() + 1..][..20].parse().expect("a number")).collect()
}

#[test]
fn unlimited_retention_keeps_everything() {
    let mut world = rolled(1);
    world.settings.retention_ms = -1;
    assert_eq!(world.log.retention(world.now, &world.settings), None);
    world.settings = TopicSettings { cleanup_delete: false, retention_ms: 1, retention_bytes: 1, ..world.settings };
    assert_eq!(world.log.retention(world.now, &world.settings), None, "only compacted");
}

#[test]
fn retention_by_time_goes_by_whole_segments() {
    let mut world = rolled(2);
    let all = bases(&world);
    // At 1,000,000 ms, records older than 980,000 ms: those before 120,000, offsets 0 to 19.
    for (newest_kept, lowest) in [(99_000, None), (109_500, Some(10)), (120_000, Some(20)), (159_000, Some(59))] {
        world.settings.retention_ms = 1_000_000 - newest_kept;
        let expected = lowest.and_then(|lowest| all.iter().copied().filter(|base| *base <= lowest && *base > 0).max());
        assert_eq!(world.log.retention(world.now, &world.settings), expected.map(Offset), "{newest_kept}");
    }
    world.settings.retention_ms = 800_000;
    assert_eq!(world.log.retention(world.now, &world.settings), Some(world.log.end()), "the last one with its tail");
}

#[test]
fn the_newest_record_decides_for_a_segment() {
    let mut world = World::new(3);
    world.append(batch(0, 1, 10, 999_999));
    world.append(batch(1, 1, 10, 5));
    world.settle_all();
    world.settings.retention_ms = 1_000;
    assert_eq!(world.log.retention(world.now, &world.settings), None);
    world.pass_ms(2_000);
    assert_eq!(world.log.retention(world.now, &world.settings), Some(Offset(2)));
    world.append(batch(2, 1, 10, 1_002_000));
    assert_eq!(world.log.retention(world.now, &world.settings), None, "a young record in the tail");
}

#[test]
fn records_without_time_age_from_their_writing() {
    let mut world = World::new(4);
    world.append(batch(0, 1, 10, -1));
    world.settle_all();
    world.settings.retention_ms = 1_000;
    assert_eq!(world.log.retention(world.now, &world.settings), None);
    world.pass_ms(2_000);
    assert_eq!(world.log.retention(world.now, &world.settings), Some(Offset(1)));
}

#[test]
fn a_jump_of_the_clock_deletes_nothing() {
    let mut world = World::new(5);
    world.append(batch(0, 1, 10, 999_000));
    world.settle_all();
    world.settings.retention_ms = 86_400_000;
    assert_eq!(world.log.retention(world.now, &world.settings), None);
    let jumped = Now { wall: Wall(world.now.wall.0 + 10 * 86_400_000), ..world.now };
    assert_eq!(world.log.retention(jumped, &world.settings), None);
    let a_day_later = Now { mono: jumped.mono.plus_ms(86_400_001), ..jumped };
    assert_eq!(world.log.retention(a_day_later, &world.settings), Some(Offset(1)));
}

#[test]
fn retention_by_size_keeps_at_least_the_limit() {
    let mut world = rolled(6);
    let all = bases(&world);
    let total = world.log.bytes();
    world.settings.retention_ms = -1;
    for limit in (0..=total + 10_000).step_by(9_973) {
        world.settings.retention_bytes = limit as i64;
        let start = world.log.retention(world.now, &world.settings);
        let Some(start) = start else {
            assert!(total - limit.min(total) < 110_000, "{limit} of {total}");
            continue;
        };
        assert!(all.contains(&start.0) || start == world.log.end());
        assert!(limit > 0 || start == world.log.end());
    }
    world.settings.retention_bytes = total as i64;
    assert_eq!(world.log.retention(world.now, &world.settings), None);
}

#[test]
fn segments_below_the_start_go_one_at_a_time_after_their_delay() {
    let mut world = rolled(7);
    world.settings.file_delete_delay_ms = 60_000;
    let before = bases(&world);
    let start = Offset(before[3]);
    world.log.set_start(start);
    assert!(world.delete_step());
    assert_eq!(bases(&world), before, "not at once");
    world.pass_ms(59_999);
    assert!(world.delete_step());
    assert_eq!(bases(&world), before);
    world.pass_ms(1);
    for gone in 1..=3 {
        world.delete_step();
        assert_eq!(bases(&world), before[gone..], "one a call");
    }
    while world.delete_step() {}
    assert_eq!(bases(&world), before[3..]);
    world.check_content(1 << 20);
    world.crash_and_load(world.mark());
    world.check_content(1 << 20);
}

#[test]
fn a_start_within_a_segment_keeps_it() {
    let mut world = rolled(8);
    let before = bases(&world);
    world.log.set_start(Offset(before[2] - 1));
    while world.delete_step() {}
    assert_eq!(bases(&world), before[1..]);
    world.check_content(1 << 20);
}

#[test]
fn an_expired_segment_that_is_written_goes_with_the_next_settling() {
    let mut world = rolled(9);
    world.settle_all();
    let end = world.log.end();
    world.log.set_start(end);
    while world.delete_step() {}
    assert_eq!(bases(&world).len(), 1, "the mark still names it");
    assert!(world.log.wants_settle());
    world.settle_all();
    assert!(!world.log.wants_settle());
    while world.delete_step() {}
    assert_eq!(bases(&world), [end.0], "an empty one took its place");
    assert_eq!(world.log.bytes(), 0);
    world.crash_and_load(world.mark());
    assert_eq!((world.log.start(), world.log.end()), (end, end));
    world.append_many(3, 100);
    world.settle_all();
    world.check_content(1 << 20);
    world.crash_and_load(world.mark());
    world.check_content(1 << 20);
}

#[test]
fn what_the_durable_mark_names_is_never_removed() {
    let mut world = World::new(10);
    world.settings.file_delete_delay_ms = 0;
    world.append_many(5, 100);
    world.settle_all();
    let mark = world.mark();
    world.auto_mark = false;
    world.log.set_start(Offset(5));
    world.settle(Offset(5), true);
    world.run();
    assert_eq!(world.marks.len(), 2, "a new segment was given, and its mark is on its way");
    while world.delete_step() {}
    world.crash_and_load(mark);
    assert_eq!(world.log.end(), Offset(5));
}

#[test]
fn removed_files_that_come_back_are_removed_again() {
    for seed in 0..20 {
        let mut world = rolled(seed);
        let before = bases(&world);
        world.log.set_start(Offset(before[4]));
        while world.delete_step() {}
        world.crash_and_load(world.mark());
        while world.delete_step() {}
        assert_eq!(bases(&world), before[4..]);
        world.check_content(1 << 20);
    }
}

#[test]
fn reads_under_way_finish_before_their_file_goes() {
    let mut world = rolled(11);
    world.drop_cache();
    let mut effects = Vec::new();
    assert!(world.log.read(1, Offset(0), Offset(60), 100, true, &mut effects).is_none());
    world.submit(effects);
    world.step();
    world.log.set_start(Offset(50));
    let mut effects = Vec::new();
    for _ in 0..10 {
        world.log.delete_below_start(world.now, &world.settings, &mut effects);
    }
    world.submit(effects);
    world.run();
    assert!(world.outputs.iter().any(|output| matches!(output, Output::Read { id: 1, .. })));
    while world.delete_step() {}
    assert!(bases(&world)[0] > 30);
    world.check_content(1 << 20);
}

#[test]
fn removing_the_log_answers_everybody_and_leaves_nothing() {
    for steps in 0..12 {
        let mut world = rolled(12);
        world.drop_cache();
        world.settle(world.log.end(), true);
        let mut effects = Vec::new();
        let mut waiting = Vec::new();
        for id in 0..3 {
            if world.log.read(id, Offset(20 * id as i64), Offset(60), 100, true, &mut effects).is_none() {
                waiting.push(id);
            }
        }
        world.submit(effects);
        for _ in 0..steps {
            world.step();
        }
        let mut effects = Vec::new();
        world.log.remove(&mut effects);
        world.log.remove(&mut effects);
        world.submit(effects);
        assert!(!world.settle(world.log.end(), true));
        world.run();
        let answered = world
            .outputs
            .iter()
            .filter_map(|output| if let Output::Read { id, .. } = output { Some(*id) } else { None });
        let mut answered: Vec<u64> = answered.collect();
        answered.sort_unstable();
        assert_eq!(answered, waiting);
        let removed = world.outputs.iter().filter(|output| matches!(output, Output::Removed)).count();
        assert_eq!(removed, 1);
        assert_eq!(world.logs(), Vec::<String>::new());
        assert_eq!(world.disk.open_files(), 0);
        let mut effects = Vec::new();
        assert!(matches!(world.log.read(9, Offset(0), Offset(60), 1, true, &mut effects), Some(Err(_))));
    }
}

#[test]
fn a_log_without_files_can_be_removed() {
    let mut world = World::new(13);
    let mut effects = Vec::new();
    world.log.remove(&mut effects);
    world.submit(effects);
    world.run();
    assert!(matches!(world.outputs[..], [Output::Removed]));
}
