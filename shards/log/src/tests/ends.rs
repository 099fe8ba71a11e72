use heddle_model::Offset;

use super::*;

#[test]
fn ends_follow_a_batch_on_its_way_down() {
    let mut world = World::new(1);
    world.auto_mark = false;
    world.append_many(4, 100);
    let one = world.batches[&0].bytes.len();
    let ends = |world: &World| (world.log.settling(), world.log.unsettled_bytes(), world.log.is_settling());
    assert_eq!(ends(&world), (Offset(0), 4 * one, false));
    world.settle(Offset(3), true);
    assert_eq!(ends(&world), (Offset(3), one, true));
    world.run();
    assert_eq!(ends(&world), (Offset(3), one, true), "its mark is not durable");
    assert_eq!(world.log.tail().count(), 4);
    world.journal_marks();
    assert_eq!(ends(&world), (Offset(3), one, false));
    let tail: Vec<Offset> = world.log.tail().map(|batch| batch.base).collect();
    assert_eq!(tail, [Offset(3)]);
}

#[test]
fn bytes_between_counts_the_tail_and_knows_of_segments() {
    let mut world = World::new(2);
    world.append_many(6, 100);
    let one = world.batches[&0].bytes.len();
    world.settle(Offset(3), true);
    world.run();
    let between = |from, upto| world.log.bytes_between(Offset(from), Offset(upto));
    assert_eq!(between(3, 6), 3 * one);
    assert_eq!(between(4, 5), one);
    assert_eq!(between(6, 6), 0);
    assert_eq!(between(0, 3), 1);
    assert_eq!(between(0, 6), 3 * one + 1);
    assert_eq!(between(2, 2), 0);
}
