//! Tests under want: a journal that is small for what it holds, and a disk that is full for long.

use crate::plan::{End, Life, Mood, Plan, Trouble};
use crate::record::Sizes;
use crate::{Lie, run_with};

/// Small batches on few partitions, none of which ever fills a span, and a ring of 256 KiB.
fn crowded(seed: u64) -> Plan {
    let life = |shards, steps| Life {
        shards,
        memory: 64 << 20,
        steps,
        end: End::Crash,
        trouble: None,
        after_compacting: None,
        after_deleting: None,
    };
    Plan {
        seed,
        nodes: 1,
        journal_files: 4,
        journal_file_bytes: 65_536,
        sizes: Sizes { least: 100, spread: 0 },
        records_a_batch: 4,
        topics: 3,
        partitions: 1,
        producers: 3,
        consumers: 2,
        classic_members: 0,
        modern_members: 0,
        mixed_members: None,
        expressions: false,
        expires: false,
        renews: false,
        keys: None,
        pace: 1,
        mood: Mood { turn: 13, disk: 3, mail: 3, net: 12, work: 5, client: 5 },
        lives: vec![life(1, 1_800), life(2, 1_200)],
    }
}

/// Tails that are carried along in the journal, though together they are too large for that, fill the ring as fast as
/// they free it: records are then not taken, or the disk is written to for ever.
#[test]
fn small_tails_that_crowd_a_ring_are_settled() {
    let failures: Vec<String> = (0..8).filter_map(|seed| run_with(crowded(seed), None, None, false).report()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Nothing but producers that fill a disk, and somebody who deletes topics.
fn full(seed: u64) -> Plan {
    let trouble = Some(Trouble::Full);
    let life = Life {
        shards: 1,
        memory: 4 << 20,
        steps: 20_000,
        end: End::Crash,
        trouble,
        after_compacting: None,
        after_deleting: None,
    };
    Plan {
        // Not tiny: the reserve for control records is a part of it.
        journal_files: 4,
        journal_file_bytes: 1 << 20,
        sizes: Sizes { least: 9_000, spread: 12_000 },
        topics: 5,
        consumers: 1,
        // What is refused is tried again after a second or two.
        pace: 100,
        lives: vec![life],
        ..crowded(seed)
    }
}

/// Records are refused, but whoever deletes a topic is not: how else should there be space again (trap 39)?
#[test]
fn on_a_full_disk_topics_can_be_deleted() {
    let failures: Vec<String> = (0..12).filter_map(|seed| run_with(full(seed), None, None, false).report()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The test above would notice.
#[test]
fn a_full_disk_that_takes_not_even_a_removal_is_found_out() {
    const CHECKER: &str = "removed-though-full";
    let found = (0..20).any(|seed| {
        let outcome = run_with(full(seed), Some(Lie::FullForAll), Some(CHECKER), false);
        outcome.found.is_some_and(|found| found.checker == CHECKER)
    });
    assert!(found, "nobody noticed");
}
