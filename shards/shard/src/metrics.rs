//! What a core tells of itself: plain numbers, summed over cores and written as Prometheus text by the admin server.

use heddle_api::Stats as ApiCounts;
use heddle_journal::Stats as JournalStats;

use crate::compaction::map_bytes_limit;
use crate::reconcile::CONTROLLER_REPLICA;
use crate::turn::Shard;

/// Bounds of the turn length histogram. Microseconds.
pub const TURN_BOUNDS_US: [u64; 10] = [10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];

/// Counted by the house itself.
#[derive(Clone, Default, Debug)]
pub struct Gauges {
    /// Turns at most as long as each bound, and longer ones last.
    pub turns: [u64; TURN_BOUNDS_US.len() + 1],
    pub turns_us: u64,
}

impl Gauges {
    pub fn on_turn(&mut self, us: u64) {
        let at = TURN_BOUNDS_US.iter().position(|bound| us <= *bound).unwrap_or(TURN_BOUNDS_US.len());
        self.turns[at] += 1;
        self.turns_us += us;
    }
}

/// One core's numbers at one moment.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub shard: u16,
    /// Why clients should not be sent here; `None`: they should.
    pub unready: Option<String>,
    pub gauges: Gauges,
    pub api: ApiCounts,
    pub journal: JournalStats,
    pub journal_waiting_bytes: u64,
    pub partitions: u64,
    pub damaged_partitions: u64,
    /// Records of clients are refused, for the disk takes no more.
    pub refusing_records: bool,
    /// Files of segments that could not be removed, and take space.
    pub failed_removals: u64,
    pub tail_bytes: u64,
    pub cached_bytes: u64,
    pub request_bytes: u64,
    pub memory_bytes: u64,
    /// Bytes of closed segments that wait to be compacted, rounds ended, and how many of these failed.
    pub compaction_dirty_bytes: u64,
    pub compaction_rounds: u64,
    pub compaction_failures: u64,
    /// Memory of compaction's map of keys now, the most that it took so far, and the most that it may take.
    pub compaction_map_bytes: u64,
    pub compaction_map_bytes_limit: u64,
    pub compaction_map_bytes_max: u64,
}

/// Once the first image is carried out a core stays ready: topics that come later are made while others are served.
fn unready(shard: &Shard) -> Option<String> {
    let listens = shard.core_of(CONTROLLER_REPLICA) == shard.me;
    if shard.stop.is_asked() {
        Some("stopping".into())
    } else if shard.reconciled == 0 || (listens && !shard.start.accepting) {
        Some("starting".into())
    } else {
        shard.broken()
    }
}

pub(crate) fn scrape(shard: &Shard) -> Metrics {
    let replicas = || shard.replicas.iter().flatten();
    let journal = shard.journals.first();
    Metrics {
        shard: shard.me.0,
        unready: unready(shard),
        gauges: shard.gauges.clone(),
        api: shard.api.stats().clone(),
        journal: journal.map(|journal| journal.stats().clone()).unwrap_or_default(),
        journal_waiting_bytes: journal.map_or(0, |journal| journal.waiting_bytes() as u64),
        partitions: replicas().count() as u64,
        damaged_partitions: (replicas().filter(|r| r.is_damaged()).count() + shard.unopened.len()) as u64,
        refusing_records: shard.budget.is_refusing(),
        failed_removals: replicas().map(|r| r.failed_removals()).sum(),
        tail_bytes: shard.budget.tail_bytes() as u64,
        cached_bytes: shard.budget.cached_bytes() as u64,
        request_bytes: shard.api.memory() as u64,
        memory_bytes: shard.budget.memory() as u64,
        compaction_dirty_bytes: shard.compaction.dirty_bytes(),
        compaction_rounds: shard.compaction.rounds().0,
        compaction_failures: shard.compaction.rounds().1,
        compaction_map_bytes: shard.compaction.map_bytes() as u64,
        compaction_map_bytes_limit: map_bytes_limit(shard.budget.memory()) as u64,
        compaction_map_bytes_max: shard.compaction.map_bytes_max() as u64,
    }
}
