use heddle_model::Offset;
use heddle_model::limits::{BATCH_BYTES_MAX, SPAN_BYTES};

use super::*;

#[test]
fn an_idle_log_is_small_and_quiet() {
    assert!(size_of::<Log>() < 1024, "{}", size_of::<Log>());
    let mut world = World::new(1);
    assert!(!world.settle(Offset(0), true));
    assert!(!world.log.busy() && world.log.is_loaded());
    assert_eq!((world.log.end(), world.log.bytes(), world.log.cached_bytes()), (Offset(0), 0, 0));
}

#[test]
fn settling_moves_the_tail_to_disk() {
    let mut world = World::new(2);
    world.append_many(10, 100);
    let tail = world.log.tail_bytes();
    assert!(tail > 1000);
    assert!(!world.settle(Offset(10), false), "no full span yet");
    assert!(world.settle(Offset(10), true));
    assert_eq!(world.log.settled(), Offset(0), "not before the mark is durable");
    world.run();
    assert_eq!(world.log.settled(), Offset(10));
    assert_eq!(world.log.tail_bytes(), 0);
    assert!(world.log.cached_bytes() >= tail, "its memory is cache now");
    assert_eq!(world.companion.all.len(), 10);
    world.check_content(1 << 20);
    world.drop_cache();
    world.check_content(1 << 20);
}

#[test]
fn memory_stays_until_the_mark_is_durable() {
    let mut world = World::new(3);
    world.auto_mark = false;
    world.append_many(5, 50);
    world.settle(Offset(5), true);
    world.run();
    assert_eq!(world.marks.len(), 1);
    assert_eq!((world.log.settled(), world.log.cached_bytes()), (Offset(0), 0));
    assert!(world.log.tail_bytes() > 0);
    world.journal_marks();
    assert_eq!((world.log.settled(), world.log.tail_bytes()), (Offset(5), 0));
}

#[test]
fn only_what_is_committed_is_settled() {
    let mut world = World::new(4);
    world.append(batch(0, 4, 10, 0));
    world.append(batch(4, 4, 10, 0));
    assert!(world.settle(Offset(7), true));
    world.run();
    assert_eq!(world.log.settled(), Offset(4), "the batch that reaches beyond waits");
    assert!(!world.settle(Offset(7), true));
    world.log.truncate(Offset(4));
    assert_eq!(world.log.end(), Offset(4));
}

#[test]
fn full_spans_go_without_force_and_a_rest_waits() {
    let mut world = World::new(5);
    world.append_many(60, 10_000);
    assert!(world.settle(world.log.end(), false));
    world.run();
    let settled = world.log.settled().0;
    assert!((50..55).contains(&settled), "two spans of 25 batches or so: {settled}");
    assert!(!world.settle(world.log.end(), false));
    world.check_content(1 << 16);
}

#[test]
fn rounds_follow_each_other_while_earlier_ones_are_under_way() {
    let mut world = World::new(6);
    world.settings.segment_bytes = 1 << 30;
    world.append_many(3, 1000);
    assert!(world.settle(world.log.end(), true));
    world.append_many(3, 1000);
    assert!(world.settle(world.log.end(), true), "two in flight");
    world.append_many(300, 10_000);
    assert!(world.settle(world.log.end(), true), "four spans in flight");
    assert!(!world.settle(world.log.end(), true), "and no more");
    world.run();
    assert_eq!(world.marks.len(), 3);
    world.settle_all();
    assert_eq!(world.log.settled(), world.log.end());
    world.drop_cache();
    world.check_content(100_000);
}

#[test]
fn a_batch_larger_than_a_span_travels_alone() {
    let mut world = World::new(7);
    world.settings.segment_bytes = i32::MAX;
    world.append_many(1, 10);
    world.append(batch(1, 1, 3 * SPAN_BYTES, 5));
    world.append_many(1, 10);
    assert!(world.settle(world.log.end(), false));
    world.settle_all();
    assert_eq!(world.log.settled(), Offset(3));
    world.drop_cache();
    world.check_content(1000);
    let max = batch(3, 1, BATCH_BYTES_MAX - 1000, 5);
    assert!(max.bytes.len() <= BATCH_BYTES_MAX);
    world.append(max);
    world.settle_all();
    world.crash_and_load(world.mark());
    world.check_content(1000);
}

#[test]
fn batches_at_below_and_above_a_span_and_a_block() {
    let overhead = batch(0, 1, SPAN_BYTES, 0).bytes.len() - SPAN_BYTES;
    for size in [4096, SPAN_BYTES] {
        for delta in [-1, 0, 1] {
            let mut world = World::new(8);
            let value = size.checked_add_signed(delta).expect("positive") - overhead;
            world.append_many(1, value);
            let exact = world.log.tail_bytes();
            world.append_many(2, value);
            world.settle_all();
            world.drop_cache();
            world.check_content(size);
            assert!(exact.abs_diff(size) <= 4, "{exact} is about {size}");
        }
    }
}

#[test]
fn segments_roll_by_size_and_nothing_is_lost() {
    let mut world = World::new(9);
    world.settings.segment_bytes = 1 << 20;
    world.append_many(400, 10_000);
    world.settle_all();
    assert!(world.logs().len() >= 4, "{:?}", world.logs());
    for (path, len) in world.disk.paths() {
        if path.ends_with(".log") {
            assert!(len.expect("a file") <= 1 << 20, "{path} is {len:?} long");
        }
    }
    world.drop_cache();
    world.close_idle();
    world.check_content(300_000);
    world.crash_and_load(world.mark());
    world.check_content(1 << 20);
}

#[test]
fn segments_roll_where_offsets_grow_too_far() {
    let mut world = World::new(11);
    world.append_many(2, 10);
    world.append(batch(i64::from(i32::MAX), 1, 10, 0));
    world.append(batch(i64::from(i32::MAX) + 1, 1, 10, 0));
    world.settle_all();
    assert_eq!(world.logs().len(), 2);
    world.drop_cache();
    world.check_content(1 << 20);
}

#[test]
fn gaps_between_batches_are_kept() {
    let mut world = World::new(12);
    for base in [5, 90, 1000] {
        world.append(batch(base, 3, 20, 0));
    }
    world.settle_all();
    world.append(batch(2000, 1, 20, 0));
    world.drop_cache();
    world.check_content(1 << 20);
    for from in [0, 5, 8, 50, 92, 93, 1003, 1999, 2000] {
        let parts = world.read(Offset(from), Offset(2001), 1, true).expect("no damage");
        let header = Header::read(&parts[0]).expect("a batch");
        assert!(header.next_offset() > Offset(from), "{from}");
    }
}

#[test]
fn truncation_cuts_the_tail_only() {
    let mut world = World::new(13);
    world.append_many(6, 10);
    assert!(world.settle(Offset(3), true));
    world.log.truncate(Offset(4));
    assert_eq!(world.log.end(), Offset(4));
    world.batches.split_off(&4);
    world.run();
    world.append(batch(4, 3, 77, 0));
    world.log.truncate(Offset(5));
    assert_eq!(world.log.end(), Offset(4), "a batch is cut whole");
    world.batches.split_off(&4);
    world.append_many(3, 5);
    world.settle_all();
    world.drop_cache();
    world.check_content(64);
}

#[test]
#[should_panic(expected = "below what is settled")]
fn what_is_being_settled_is_never_cut() {
    let mut world = World::new(14);
    world.append_many(6, 10);
    world.settle(Offset(3), true);
    world.log.truncate(Offset(2));
}

#[test]
fn a_log_may_begin_anywhere() {
    let mut world = World::new(15);
    world.log = Log::create(ID, Offset(500));
    assert_eq!((world.log.start(), world.log.end()), (Offset(500), Offset(500)));
    world.append_many(3, 10);
    world.settle_all();
    assert_eq!(world.logs(), [format!("{DIR}/00000000000000000500-0.log")]);
    world.crash_and_load(world.mark());
    world.check_content(1 << 20);
}
