use heddle_border::Fault;
use heddle_model::Offset;

use super::*;

fn settled(seed: u64, batches: usize, value: usize) -> World {
    let mut world = World::new(seed);
    world.append_many(batches, value);
    world.settle_all();
    world.drop_cache();
    world
}

#[test]
fn a_read_takes_what_fits_and_begins_where_asked() {
    let mut world = settled(1, 40, 1000);
    let one = world.batches[&0].bytes.len();
    let parts = world.read(Offset(7), Offset(40), 3 * one + 1, true).expect("no damage");
    let bases: Vec<i64> = parts.iter().flat_map(|part| bases_of(part)).collect();
    assert_eq!(bases, [7, 8, 9]);
    let parts = world.read(Offset(7), Offset(9), 1 << 20, true).expect("no damage");
    assert_eq!(parts.iter().flat_map(|part| bases_of(part)).collect::<Vec<i64>>(), [7, 8], "never beyond the bound");
    assert!(world.read(Offset(7), Offset(7), 1 << 20, true).expect("no damage").is_empty());
}

fn bases_of(part: &[u8]) -> Vec<i64> {
    batches(part).map(|batch| batch.expect("whole").0.base_offset.0).collect()
}

#[test]
fn the_first_batch_comes_whole_or_not_at_all() {
    let mut world = settled(2, 3, 5000);
    world.append_many(3, 5000);
    for from in 0..6 {
        let parts = world.read(Offset(from), Offset(6), 100, true).expect("no damage");
        assert_eq!(parts.iter().flat_map(|part| bases_of(part)).collect::<Vec<i64>>(), [from]);
        assert!(world.read(Offset(from), Offset(6), 100, false).expect("no damage").is_empty());
    }
}

#[test]
fn reads_within_a_batch_get_the_batch() {
    let mut world = World::new(3);
    world.append(batch(0, 10, 10, 0));
    world.append(batch(10, 10, 10, 0));
    for _ in 0..2 {
        for from in 0..20 {
            let parts = world.read(Offset(from), Offset(20), 1, true).expect("no damage");
            assert_eq!(bases_of(&parts[0]), [from / 10 * 10]);
        }
        world.settle_all();
        world.drop_cache();
    }
}

#[test]
fn one_read_passes_from_disk_to_cache_to_tail() {
    let mut world = settled(4, 10, 100);
    world.append_many(10, 100);
    world.settle_all();
    world.append_many(10, 100);
    let parts = world.read(Offset(0), Offset(30), 1 << 20, true).expect("no damage");
    assert_eq!(parts.iter().flat_map(|part| bases_of(part)).collect::<Vec<i64>>(), (0..30).collect::<Vec<i64>>());
}

#[test]
fn a_sequential_reader_finds_the_next_span_in_memory() {
    let mut world = World::new(5);
    world.settings.segment_bytes = i32::MAX;
    world.append_many(200, 10_000);
    world.settle_all();
    world.drop_cache();
    let first = world.read(Offset(0), Offset(200), 100_000, true).expect("no damage");
    let next = bases_of(&first[first.len() - 1]).last().expect("one") + 1;
    assert!(world.log.cached_bytes() > 2 * 200_000, "the span asked for and two ahead");
    let mut effects = Vec::new();
    let at_once = world.log.read(6, Offset(next + 30), Offset(200), 1000, true, &mut effects);
    assert!(matches!(at_once, Some(Ok(parts)) if !parts.is_empty()), "from memory");
}

#[test]
fn a_random_reader_fetches_only_what_it_reads() {
    let mut world = World::new(6);
    world.settings.segment_bytes = i32::MAX;
    world.append_many(200, 10_000);
    world.settle_all();
    world.drop_cache();
    world.read(Offset(111), Offset(200), 1000, true).expect("no damage");
    assert!(world.log.cached_bytes() < 2 * 270_000);
}

#[test]
fn a_flipped_byte_is_a_hole_and_nothing_else_is() {
    let mut world = World::new(7);
    world.append_many(30, 100);
    world.settle(Offset(10), true);
    world.run();
    world.settle(Offset(20), true);
    world.run();
    world.settle_all();
    world.drop_cache();
    // The second span begins at the second block; its filling is under the checksum too.
    for at in [4096, 5000, 8191] {
        let path = world.logs()[0].clone();
        world.disk.corrupt(&path, at, 1);
        world.drop_cache();
        let damaged = ReadFault::Damaged { from: Offset(10), to: Offset(20) };
        assert_eq!(world.read(Offset(15), Offset(30), 1 << 20, true), Err(damaged));
        let before = world.read(Offset(3), Offset(30), 1 << 20, true).expect("the part before the hole");
        assert_eq!(before.iter().flat_map(|part| bases_of(part)).last(), Some(9));
        assert!(world.read(Offset(20), Offset(30), 1 << 20, true).is_ok());
        world.disk.corrupt(&path, at, 1);
    }
    world.drop_cache();
    world.check_content(1 << 20);
}

#[test]
fn a_failing_read_is_said_and_may_be_asked_again() {
    let mut world = settled(8, 10, 100);
    world.disk.fail_reads_times(DIR, 1);
    assert!(matches!(world.read(Offset(0), Offset(10), 1 << 20, true), Err(ReadFault::Io(Fault::Io(_)))));
    world.check_content(1 << 20);
}

#[test]
fn a_missing_file_is_a_hole() {
    let mut world = World::new(9);
    world.settings.segment_bytes = 20_000;
    world.append_many(30, 1000);
    world.settle_all();
    world.drop_cache();
    world.close_idle();
    let path = world.logs()[0].clone();
    let mut effects = Vec::new();
    world.log.load(&mut effects);
    assert!(effects.is_empty(), "it is loaded");
    world.disk.submit(heddle_border::Token { owner: 0, seq: 0 }, heddle_border::DiskOp::Remove { path });
    world.disk.run_all();
    let result = world.read(Offset(0), Offset(30), 1 << 20, true);
    assert!(matches!(result, Err(ReadFault::Damaged { from: Offset(0), .. })), "{result:?}");
    assert!(world.read(Offset(29), Offset(30), 1 << 20, true).is_ok());
}

#[test]
fn many_questions_share_one_fetch_and_all_are_answered() {
    let mut world = settled(10, 20, 100);
    world.close_idle();
    let mut effects = Vec::new();
    for id in 0..10 {
        assert!(world.log.read(id, Offset(id as i64), Offset(20), 1 << 20, true, &mut effects).is_none());
    }
    world.submit(effects);
    assert_eq!(world.disk.pending(), 1, "one open");
    world.run();
    let mut ids: Vec<u64> = Vec::new();
    for output in &world.outputs {
        if let Output::Read { id, result: Ok(parts) } = output {
            assert_eq!(bases_of(&parts[0])[0], *id as i64);
            ids.push(*id);
        }
    }
    assert_eq!(ids, (0..10).collect::<Vec<u64>>());
}

#[test]
fn reads_wait_for_loading_and_start_it() {
    let mut world = settled(11, 20, 100);
    world.restart(world.mark());
    assert!(!world.log.is_loaded());
    let parts = world.read(Offset(4), Offset(20), 1 << 20, true).expect("no damage");
    assert_eq!(bases_of(&parts[0])[0], 4);
    assert!(world.log.is_loaded());
}

#[test]
fn files_close_when_idle_and_open_again() {
    let mut world = settled(12, 20, 100);
    world.close_idle();
    world.check_content(500);
    world.close_idle();
    world.append_many(5, 100);
    world.settle_all();
    world.close_idle();
    world.drop_cache();
    world.check_content(1 << 20);
}

#[test]
fn eviction_while_a_read_is_under_way_does_not_starve_it() {
    let mut world = World::new(13);
    world.settings.segment_bytes = i32::MAX;
    world.append_many(100, 10_000);
    world.settle_all();
    world.drop_cache();
    let mut effects = Vec::new();
    assert!(world.log.read(1, Offset(0), Offset(100), 1 << 20, true, &mut effects).is_none());
    world.submit(effects);
    while world.step() {
        world.log.evict(usize::MAX);
    }
    let answered = world
        .outputs
        .iter()
        .any(|output| matches!(output, Output::Read { result: Ok(parts), .. } if !parts.is_empty()));
    assert!(answered);
}
