//! Every crash point: bytes beyond the mark do not exist, marked bytes always do.

use heddle_fakedisk::Dice;
use proptest::prelude::*;

use super::*;

/// A workload of appends, settling, rolls; returns how many completions it has.
fn workload(world: &mut World, stop_after: usize) -> usize {
    world.settings.segment_bytes = 150_000;
    let mut steps = 0;
    for round in 0..16 {
        world.append_many(4 + round % 3, 9_000);
        world.settle(world.log.end(), true);
        for _ in 0..(round % 4) * 3 {
            if steps == stop_after {
                return steps;
            }
            steps += usize::from(world.step());
        }
        if round % 3 == 2 {
            world.journal_marks();
        }
    }
    while world.settle(world.log.end(), true) || world.log.busy() {
        if steps == stop_after {
            return steps;
        }
        steps += usize::from(world.step());
    }
    steps
}

#[test]
fn every_crash_point_of_a_workload_loads_and_goes_on() {
    let mut whole = World::new(1);
    whole.auto_mark = false;
    let points = workload(&mut whole, usize::MAX);
    assert!(points > 40, "{points}");
    for point in 0..=points {
        for seed in 0..4 {
            let mut world = World::new(1);
            world.auto_mark = false;
            workload(&mut world, point);
            world.disk.reseed(seed * 1000 + point as u64);
            // The mark may have reached the journal just before the crash, or not.
            let mark = if seed % 2 == 0 { world.mark() } else { world.marks.last().cloned() };
            world.crash_and_load_with(mark, seed == 0);
            world.check_content(50_000);
            world.auto_mark = true;
            world.append_many(3, 3_000);
            world.settle_all();
            world.drop_cache();
            world.check_content(50_000);
            world.crash_and_load(world.mark());
            world.check_content(50_000);
        }
    }
}

#[test]
fn garbage_beyond_the_mark_is_never_read() {
    let mut world = World::new(5);
    world.append_many(10, 2_000);
    world.settle_all();
    let first = world.mark();
    world.append_many(10, 2_000);
    world.settle_all();
    world.append_many(10, 2_000);
    world.settle_all();
    world.disk.kill();
    // Another leader's records take the place of what was settled beyond the first mark.
    world.batches.split_off(&10);
    for base in 10..17 {
        let other = batch(base, 1, 1_999, base + 5);
        world.batches.insert(base, other);
    }
    world.restart(first);
    world.load();
    assert_eq!(world.log.end(), Offset(17));
    world.check_content(1 << 20);
    world.settle_all();
    world.drop_cache();
    world.check_content(1 << 20);
    world.crash_and_load(world.mark());
    world.check_content(1 << 20);
}

impl World {
    fn crash_and_load_with(&mut self, mark: Option<Mark>, hard: bool) {
        if hard {
            self.disk.crash_hard();
        }
        self.crash_and_load(mark);
    }
}

/// A step of a random life.
#[derive(Clone, Debug)]
enum Act {
    Append(usize, usize),
    Settle(bool),
    Steps(usize),
    Journal,
    CloseIdle,
    Evict,
    Read(u8, usize),
    Crash(bool),
    Fill(u64),
    FailWrite,
    Heal,
    Delete(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1usize..6, 1usize..40_000).prop_map(|(count, value)| Act::Append(count, value)),
        6 => any::<bool>().prop_map(Act::Settle),
        8 => (1usize..12).prop_map(Act::Steps),
        4 => Just(Act::Journal),
        1 => Just(Act::CloseIdle),
        1 => Just(Act::Evict),
        2 => (any::<u8>(), 1usize..200_000).prop_map(|(from, max)| Act::Read(from, max)),
        2 => any::<bool>().prop_map(Act::Crash),
        1 => (0u64..200_000).prop_map(Act::Fill),
        1 => Just(Act::FailWrite),
        2 => Just(Act::Heal),
        1 => any::<u8>().prop_map(Act::Delete),
    ]
}

fn perform(world: &mut World, act: Act, dice: &mut Dice) {
    let offset_at = |world: &World, at: u8| {
        let (start, end) = (world.log.start().0, world.log.end().0);
        Offset(start + (end - start) * i64::from(at) / 256)
    };
    match act {
        Act::Append(count, value) => world.append_many(count, value),
        Act::Settle(force) => _ = world.settle(world.log.end(), force),
        Act::Steps(count) => (0..count).for_each(|_| _ = world.step()),
        Act::Journal => world.journal_marks(),
        Act::Evict => _ = world.log.evict(usize::MAX),
        Act::CloseIdle => {
            let mut effects = Vec::new();
            world.log.close_idle(&mut effects);
            world.submit(effects);
        }
        Act::Read(at, max) => {
            let from = offset_at(world, at);
            let parts = world.read(from, world.log.end(), max, true).expect("nothing is damaged");
            if from < world.log.end() {
                let header = Header::read(&parts[0]).expect("a whole batch");
                assert!(header.base_offset <= from && from < header.next_offset());
            }
        }
        Act::Crash(latest) => {
            world.disk.heal();
            let mark = if latest { world.marks.last().cloned() } else { world.mark() };
            world.disk.reseed(dice.roll());
            world.crash_and_load(mark);
        }
        Act::Fill(room) => world.disk.fill(world.disk.used_bytes() + room),
        Act::FailWrite => world.disk.fail_writes_times(DIR, 1),
        Act::Heal => world.disk.heal(),
        Act::Delete(at) => {
            let start = offset_at(world, at);
            world.log.set_start(start);
            world.settings.file_delete_delay_ms = 0;
            let mut effects = Vec::new();
            world.log.delete_below_start(world.now, &world.settings, &mut effects);
            world.submit(effects);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_life_keeps_every_batch(seed in any::<u64>(), acts in proptest::collection::vec(act(), 1..60)) {
        let mut world = World::new(seed);
        world.auto_mark = false;
        world.settings.segment_bytes = 200_000;
        let mut dice = Dice::new(seed ^ 1);
        for act in acts {
            perform(&mut world, act, &mut dice);
        }
        world.disk.heal();
        world.run();
        world.journal_marks();
        world.auto_mark = true;
        for _ in 0..3 {
            world.settle_all();
        }
        prop_assert_eq!(world.log.settled(), world.log.end());
        world.drop_cache();
        world.check_content(100_000);
        world.crash_and_load(world.mark());
        world.check_content(100_000);
    }
}
