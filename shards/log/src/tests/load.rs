use heddle_border::Fault;
use heddle_model::Offset;
use proptest::prelude::*;

use super::*;
use crate::LoadFault;

fn rolled(seed: u64) -> World {
    let mut world = World::new(seed);
    world.settings.segment_bytes = 50_000;
    for _ in 0..8 {
        world.append_many(3, 7_000);
        world.settle_all();
    }
    world
}

fn side_of(mark: &Mark) -> String {
    format!("{DIR}/{:020}-{}.side", mark.segment.0, mark.generation)
}

#[test]
fn a_log_without_a_mark_is_loaded() {
    let log = Log::recover(ID, Offset(3), None, vec![batch(0, 5, 10, 0), batch(5, 5, 10, 0)]);
    assert!(log.is_loaded());
    assert_eq!((log.start(), log.settled(), log.end()), (Offset(3), Offset(0), Offset(10)));
}

#[test]
fn a_tail_that_the_mark_covers_is_dropped() {
    let world = rolled(1);
    let mark = world.mark().expect("settled");
    let all = world.batches.values().cloned().collect();
    let log = Log::recover(ID, Offset(0), Some(mark.clone()), all);
    assert_eq!((log.settled(), log.end(), log.tail_bytes()), (mark.offset, mark.offset, 0));
    assert!(!log.is_loaded());
}

#[test]
fn the_tail_is_served_and_grows_before_loading() {
    let mut world = rolled(2);
    world.append_many(4, 10);
    world.restart(world.mark());
    let mark = world.mark().expect("settled");
    assert!(!world.log.is_loaded());
    let parts = world.read(mark.offset, world.log.end(), 1 << 20, true).expect("from memory");
    assert_eq!(parts.len(), 4);
    world.append_many(2, 10);
    world.log.truncate(Offset(mark.offset.0 + 5));
    world.batches.split_off(&(mark.offset.0 + 5));
    assert!(!world.settle(world.log.end(), true), "not before it is loaded");
    assert!(!world.log.is_loaded() && world.log.retention(world.now, &world.settings).is_none());
    world.load();
    world.settle_all();
    world.check_content(1 << 20);
}

#[test]
fn loading_reads_one_side_file_and_opens_nothing_for_good() {
    let mut world = rolled(3);
    assert!(world.logs().len() > 2);
    let total = world.log.bytes();
    world.disk.crash();
    world.restart(world.mark());
    world.load();
    assert!(world.log.is_loaded());
    assert_eq!(world.log.bytes(), total, "sizes of closed segments are known without opening them");
    assert_eq!((world.disk.open_files(), world.log.cached_bytes()), (0, 0));
}

#[test]
fn a_failing_disk_is_said_and_loading_may_be_asked_again() {
    let mut world = rolled(4);
    world.restart(world.mark());
    world.disk.fail_reads_times(DIR, 1);
    assert!(matches!(world.load_fault(), Some(LoadFault::Io(Fault::Io(_)))));
    assert!(!world.log.is_loaded());
    world.load();
    assert!(world.log.is_loaded());
    world.check_content(1 << 20);
}

#[test]
fn questions_that_wait_for_a_failing_load_are_answered() {
    let mut world = rolled(5);
    world.restart(world.mark());
    world.disk.fail_reads_times(DIR, 1);
    assert!(matches!(world.read(Offset(0), Offset(5), 10, true), Err(ReadFault::Io(_))));
    assert!(world.read(Offset(0), Offset(5), 10, true).is_ok());
}

#[test]
fn a_mark_that_the_disk_does_not_bear_out_is_damage() {
    let world = rolled(6);
    let mark = world.mark().expect("settled");
    let block = 4096;
    let wrong = [
        Mark { side_bytes: mark.side_bytes + block, ..mark.clone() },
        Mark { side_bytes: mark.side_bytes - block, ..mark.clone() },
        Mark { side_bytes: 0, ..mark.clone() },
        Mark { side_bytes: 7, ..mark.clone() },
        Mark { segment_bytes: mark.segment_bytes + block, ..mark.clone() },
        Mark { offset: mark.offset.plus(1), ..mark.clone() },
        Mark { offset: Offset(0), ..mark.clone() },
        Mark { segment: Offset(1), ..mark.clone() },
        Mark { generation: 5, ..mark.clone() },
        Mark { side_bytes: u64::MAX - 4095, ..mark.clone() },
    ];
    for wrong in wrong {
        let mut world = rolled(6);
        world.batches.clear();
        world.restart(Some(wrong.clone()));
        assert!(matches!(world.load_fault(), Some(LoadFault::Damaged(_))), "{wrong:?}");
    }
}

#[test]
fn a_rotten_side_file_is_damage() {
    let mut world = rolled(7);
    let mark = world.mark().expect("settled");
    for at in [0, 50, 79, 81, 200] {
        world.disk.corrupt(&side_of(&mark), at, 1);
        world.restart(world.mark());
        assert!(matches!(world.load_fault(), Some(LoadFault::Damaged(_))), "byte {at}");
        world.disk.corrupt(&side_of(&mark), at, 1);
    }
    world.load();
    world.check_content(1 << 20);
}

#[test]
fn a_rotten_side_file_of_a_closed_segment_is_a_hole_from_there_on() {
    let mut world = World::new(8);
    world.settings.segment_bytes = 50_000;
    for _ in 0..8 {
        world.append_many(3, 4_000);
        world.settle_all();
    }
    world.crash_and_load(world.mark());
    let side = world.logs()[0].replace(".log", ".side");
    // Its second record.
    world.disk.corrupt(&side, 4096 + 90, 1);
    assert!(world.read(Offset(2), Offset(20), 10, true).is_ok());
    let to = {
        let result = world.read(Offset(3), Offset(20), 10, true);
        let Err(ReadFault::Damaged { from: Offset(3), to }) = result else { panic!("{result:?}") };
        to
    };
    assert!(world.read(to, Offset(20), 10, true).is_ok(), "the next segment is whole");
}

#[test]
fn a_large_companion_survives() {
    struct Large(Seen);
    impl Companion for Large {
        fn apply(&mut self, header: &Header, batch: &[u8]) {
            self.0.apply(header, batch);
        }
        fn snapshot(&mut self) -> Vec<u8> {
            vec![7; 1_500_000]
        }
        fn changes(&mut self) -> Vec<u8> {
            vec![8; 700_000]
        }
    }
    let mut world = World::new(9);
    let mut large = Large(Seen::default());
    for _ in 0..3 {
        world.append_many(1, 10);
        let mut effects = Vec::new();
        let end = world.log.end();
        assert!(world.log.settle(world.now, end, true, &world.settings, &mut large, &mut effects));
        world.submit(effects);
        world.run();
    }
    world.restart(world.mark());
    let mut effects = Vec::new();
    world.log.load(&mut effects);
    world.submit(effects);
    world.run();
    let Some(Output::Loaded { companion }) = world.outputs.first() else { panic!("{:?}", world.outputs) };
    let lens: Vec<usize> = companion.iter().map(Bytes::len).collect();
    assert_eq!(lens, [1_500_000, 700_000, 700_000]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Whatever the side file holds, loading ends, with the log as it was or with damage said.
    #[test]
    fn rot_anywhere_is_found_or_harmless(
        rot in proptest::collection::vec((0u64..20_000, 1u64..300), 1..5),
        closed in any::<bool>(),
    ) {
        let mut world = rolled(10);
        world.crash_and_load(world.mark());
        let mark = world.mark().expect("settled");
        let side = if closed { world.logs()[0].replace(".log", ".side") } else { side_of(&mark) };
        let len = world.disk.content(&side).expect("it exists").len() as u64;
        for (at, bytes) in rot {
            let at = at % len;
            world.disk.corrupt(&side, at, bytes.min(len - at));
        }
        world.restart(world.mark());
        let fault = world.load_fault();
        prop_assert_eq!(fault.is_none(), world.log.is_loaded());
        if fault.is_none() {
            let mut at = Offset(0);
            while at < world.log.end() {
                match world.read(at, world.log.end(), 10_000, true) {
                    Ok(parts) => {
                        for part in parts {
                            for batch in batches(&part) {
                                let (header, bytes) = batch.expect("whole");
                                prop_assert_eq!(bytes, &world.batches[&header.base_offset.0].bytes[..]);
                                at = header.next_offset();
                            }
                        }
                    }
                    Err(ReadFault::Damaged { to, .. }) => {
                        prop_assert!(to > at);
                        at = to;
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
    }
}
