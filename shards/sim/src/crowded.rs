//! Tests of a journal that is small for what it holds: small tails of many batches, most of the ring together.

use crate::plan::{End, Life, Mood, Plan};
use crate::record::Sizes;
use crate::run_with;

/// Small batches on few partitions, none of which ever fills a span, and a ring of 256 KiB.
fn crowded(seed: u64) -> Plan {
    let life = |shards, steps| Life {
        shards,
        memory: 64 << 20,
        steps,
        end: End::Crash,
        trouble: None,
        after_compacting: None,
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
