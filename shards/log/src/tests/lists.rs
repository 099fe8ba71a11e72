//! Many segments: each list names few of them, and together they name all.

use heddle_model::Codec;
use proptest::prelude::*;

use super::compact::{Key, Keyed};
use super::*;
use crate::LoadFault;
use crate::lists::List;
use crate::segment::SegmentKey;
use crate::side::{Reader, Step};

/// Each batch is a segment of its own.
fn many(seed: u64, segments: usize) -> World {
    let mut world = World::new(seed);
    world.settings.segment_bytes = 1;
    world.settings.file_delete_delay_ms = 0;
    grow(&mut world, segments);
    world
}

fn grow(world: &mut World, segments: usize) {
    for _ in 0..segments {
        world.append_many(1, 10);
        world.settle_all();
    }
}

fn side(key: SegmentKey) -> String {
    format!("{DIR}/{:020}-{}.side", key.base.0, key.generation)
}

/// What a segment's first side record lists.
fn list(world: &World, key: SegmentKey) -> List {
    let content = world.disk.content(&side(key)).expect("it exists");
    match Reader::new(&ID, key, content.len() as u64).next(&content) {
        Ok(Step::Record(record, _)) => record.list,
        other => panic!("{key:?}: {other:?}"),
    }
}

/// The links that loading would go by, youngest first.
fn chain(world: &World) -> Vec<SegmentKey> {
    let mut chain = Vec::new();
    let mut found = list(world, world.log.active.as_ref().expect("there is one").key);
    while found.is_linked {
        let link = found.segments[0].key;
        chain.push(link);
        found = list(world, link);
    }
    chain
}

fn keys(world: &World) -> Vec<SegmentKey> {
    world.log.segments().map(|segment| segment.key).collect()
}

fn crash(world: &mut World) {
    let before = keys(world);
    world.crash_and_load(world.mark());
    assert_eq!(keys(world), before);
}

#[test]
fn lists_and_links_grow_with_the_square_root() {
    let mut world = many(1, 1_000);
    let lens: Vec<usize> = world.log.segments().map(|segment| list(&world, segment.key).segments.len()).collect();
    let links = chain(&world).len();
    assert!(lens.iter().all(|len| *len <= 8 * (links + 1) + 1), "{links} links, {lens:?}");
    assert!((12..=16).contains(&links), "{links}");
    let listed: usize = lens.iter().sum();
    assert!(listed < 1_000 * 130, "{listed}");
    world.reads = 0;
    crash(&mut world);
    assert_eq!(world.reads, links + 1, "the active segment's side file, and each link's first record");
    assert_eq!((world.disk.open_files(), world.log.cached_bytes()), (0, 0));
    grow(&mut world, 30);
    crash(&mut world);
    world.check_content(1 << 20);
}

#[test]
fn links_below_the_log_start_are_not_missed() {
    let mut world = many(2, 200);
    let all = chain(&world).len();
    for start in [37, 90, 91, 150, 199, 200] {
        world.log.set_start(Offset(start));
        while world.delete_step() {}
        crash(&mut world);
        assert_eq!(world.log.segments().next().map(|segment| segment.next), Some(Offset(start + 1).min(Offset(200))));
        world.check_content(1 << 20);
    }
    grow(&mut world, 30);
    while world.delete_step() {}
    assert!(chain(&world).len() < all);
    crash(&mut world);
    world.check_content(1 << 20);
}

#[test]
fn a_rotten_link_is_damage_and_said_where() {
    let mut world = many(3, 100);
    let link = side(chain(&world)[1]);
    for at in [0, 50, 81, 200] {
        world.disk.corrupt(&link, at, 1);
        world.restart(world.mark());
        let fault = world.load_fault();
        let Some(LoadFault::Damaged(what)) = fault else { panic!("byte {at}: {fault:?}") };
        assert!(what.contains("the list of older segments in segment"), "{what}");
        world.disk.corrupt(&link, at, 1);
    }
    world.disk.fail_reads_times(&link, 1);
    world.restart(world.mark());
    assert!(matches!(world.load_fault(), Some(LoadFault::Io(_))));
    world.load();
    world.check_content(1 << 20);
}

fn put_and_settle(keyed: &mut Keyed, count: u64, key: impl Fn(u64) -> Key) {
    for at in 0..count {
        keyed.put(&[(key(at), Some(at as u8))], Codec::None);
        keyed.settle();
    }
}

#[test]
fn links_that_compaction_replaced_stay_until_the_next_list() {
    let mut keyed = Keyed::new(4);
    keyed.world.settings.segment_bytes = 1;
    put_and_settle(&mut keyed, 120, |at| at as Key);
    let links = chain(&keyed.world);
    assert!(links.len() > 3);
    assert!(keyed.compact());
    let found = keyed.found();
    for round in 0..3 {
        while keyed.world.delete_step() {}
        let there = |link: &SegmentKey| keyed.world.disk.content(&side(*link)).is_some();
        assert!(links.iter().all(there), "round {round}: loading still needs them");
        assert!(keyed.world.logs().len() < 120 + links.len() + 2, "and nothing else that was replaced");
        keyed.crash(round);
        assert_eq!(keyed.found(), found);
    }
    put_and_settle(&mut keyed, 1, |_| 5);
    while keyed.world.delete_step() {}
    assert_eq!(keyed.world.logs().len(), keys(&keyed.world).len(), "nothing is left over");
    keyed.crash(9);
    keyed.check_compacted();
    put_and_settle(&mut keyed, 60, |at| at as Key);
    keyed.crash(10);
    keyed.check();
}

#[test]
fn after_half_a_round_the_next_list_builds_on_no_link_that_passes_over_it() {
    let mut keyed = Keyed::new(5);
    keyed.world.settings.segment_bytes = 1;
    put_and_settle(&mut keyed, 120, |at| at as Key);
    let links = chain(&keyed.world);
    let (youngest, oldest) = (links[0], links[links.len() - 1]);
    assert!(keyed.start());
    while keyed.world.log.sealed.holds(oldest) {
        assert!(keyed.world.step());
    }
    assert!(keyed.world.log.sealed.holds(youngest));
    keyed.crash(1);
    put_and_settle(&mut keyed, 1, |_| 200);
    while keyed.world.delete_step() {}
    assert!(keyed.world.disk.content(&side(oldest)).is_none());
    let found = keyed.found();
    keyed.crash(2);
    assert_eq!(keyed.found(), found);
}

#[derive(Clone, Debug)]
enum Act {
    Grow(u64, bool),
    Compact,
    Steps(usize),
    Start(u8),
    Delete(usize),
    Crash(u64, bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1u64..25, any::<bool>()).prop_map(|(count, same)| Act::Grow(count, same)),
        2 => Just(Act::Compact),
        3 => (1usize..200).prop_map(Act::Steps),
        1 => any::<u8>().prop_map(Act::Start),
        3 => (1usize..60).prop_map(Act::Delete),
        3 => (any::<u64>(), any::<bool>()).prop_map(|(seed, quiet)| Act::Crash(seed, quiet)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever was begun, compacted and deleted: loading finds the same segments.
    #[test]
    fn any_life_is_found_again(seed in any::<u64>(), acts in proptest::collection::vec(act(), 1..30)) {
        let mut keyed = Keyed::new(seed);
        keyed.world.settings.segment_bytes = 1;
        let mut rng = heddle_fakedisk::Dice::new(seed);
        for act in acts {
            match act {
                Act::Grow(count, same) => {
                    let first = rng.below(200);
                    put_and_settle(&mut keyed, count, |at| if same { first as Key } else { (first + at) as Key });
                }
                Act::Compact => _ = keyed.start(),
                Act::Steps(count) => (0..count).for_each(|_| _ = keyed.world.step()),
                Act::Start(part) => {
                    let (start, end) = (keyed.world.log.start().0, keyed.world.log.settled().0);
                    let start = Offset(start + (end - start) * i64::from(part) / 256);
                    keyed.world.log.set_start(start);
                    keyed.written.retain(|offset, _| *offset >= start.0);
                }
                Act::Delete(times) => {
                    for _ in 0..times {
                        let mut effects = Vec::new();
                        keyed.world.log.delete_below_start(keyed.world.now, &keyed.world.settings, &mut effects);
                        keyed.world.submit(effects);
                        (0..3).for_each(|_| _ = keyed.world.step());
                    }
                }
                Act::Crash(seed, quiet) => {
                    if quiet {
                        keyed.world.run();
                        let found = keyed.found();
                        keyed.crash(seed);
                        prop_assert_eq!(keyed.found(), found);
                    } else {
                        keyed.crash(seed);
                    }
                    keyed.check();
                }
            }
        }
        keyed.world.run();
        keyed.crash(seed);
        keyed.check();
    }
}
