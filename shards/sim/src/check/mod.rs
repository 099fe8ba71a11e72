//! What must hold, each in a small checker of its own that knows only what clients (or the disk's owner) see. A checker
//! that was never seen failing is not believed: `tests.rs` trips each with a lie.

mod acknowledged;
mod answered;
mod dead;
mod dense;
mod durable_before_seen;
mod epochs;
mod expiry;
mod files;
mod generations;
pub mod grouped;
mod groups;
mod last_batches;
mod latest;
mod live;
mod log_start;
mod matched;
mod offsets_kept;
mod one_per_key;
mod owners;
mod positions;
mod producer_ids;
mod producer_order;
mod reads_stable;
mod removed;
mod renewed;
mod slots;
mod targets;
mod tombstones;
mod topics;
mod twice;
mod unpacked;
mod watermark;
mod zombies;

use std::collections::BTreeMap;

use crate::record::{Keys, ReadBatch};
pub use grouped::{Grouped, Matching};

/// A partition of one incarnation of a topic: a topic created again under its old name is another (trap 36).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Part {
    pub topic: usize,
    pub index: i32,
}

/// What was seen. `asked` is when the request of an answer was sent, in steps: what was known before must show in it.
#[derive(Debug)]
pub enum Seen<'a> {
    /// A request left for this connection, and an answer arrived.
    Request {
        conn: u64,
        correlation: i32,
    },
    Response {
        conn: u64,
        correlation: i32,
    },
    Hangup {
        conn: u64,
    },
    /// Everybody had time enough: nothing may be unanswered.
    Quiet,
    Sent {
        part: Part,
        numbers: &'a [u64],
        writer: Option<u64>,
        boot: u32,
        /// Milliseconds since 1970.
        at_ms: i64,
    },
    Acked {
        part: Part,
        base: i64,
        numbers: &'a [u64],
    },
    Read {
        part: Part,
        asked: u64,
        /// When the answer is here. Milliseconds since 1970.
        at_ms: i64,
        from: i64,
        batches: &'a [ReadBatch],
    },
    Watermarks {
        part: Part,
        asked: u64,
        high: i64,
        start: i64,
    },
    OutOfRange {
        part: Part,
        asked: u64,
        position: i64,
    },
    /// DeleteRecords.
    CutAsked {
        part: Part,
        before: i64,
    },
    Cut {
        part: Part,
        low: i64,
    },
    /// All of a partition is about to be read, was read.
    ScanBegins {
        part: Part,
    },
    Scanned {
        part: Part,
        start: i64,
    },
    /// Its records have keys, and it is compacted. How long tombstones stay is not said where the clock jumps.
    TopicCompacted {
        topic: usize,
        keys: Keys,
        delete_retention_ms: Option<i64>,
    },
    /// Compaction had time for several rounds over everything below.
    CleanedBelow {
        part: Part,
        offset: i64,
    },
    TopicMade {
        topic: usize,
    },
    TopicDeleteAsked {
        topic: usize,
        partitions: i32,
    },
    TopicDeleted {
        topic: usize,
    },
    /// Metadata of a name: the incarnation that holds it now, `None` if there is none.
    TopicFound {
        name: &'a str,
        topic: Option<usize>,
        latest: usize,
    },
    /// A request to this incarnation was answered as if there were none.
    TopicMissing {
        topic: usize,
    },
    /// Directories of replicas that are gone from the disk, without a crash in between.
    DirsGone {
        names: &'a [String],
    },
    CommitAsked {
        offset: i64,
    },
    Committed {
        offset: i64,
    },
    CommittedFound {
        asked: u64,
        offset: i64,
    },
    Grouped(Grouped<'a>),
    /// At rest: answer slots that a core holds for asks that nobody has answered, and requests under way.
    Slots {
        core: u16,
        asks: usize,
        requests: usize,
    },
    /// The disk is full; it has space again.
    DiskFull,
    DiskFree,
    /// Work that was done between turns so far.
    Works {
        done: u64,
    },
    /// A batch was acknowledged that had to be unpacked before it was written.
    Unpacked,
    /// The process is gone: what it did not do it never does.
    LifeEnded,
    /// What was damaged is given up: what was seen before says nothing any more.
    LossAccepted,
}

/// What a checker found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    pub checker: &'static str,
    pub text: String,
}

pub type Verdict = Result<(), String>;

trait Checker {
    /// `at` is the present step.
    fn see(&mut self, at: u64, seen: &Seen<'_>) -> Verdict;
}

/// Of every checker its name, and whether it still applies once the node has said that it lost something.
const ALL: &[(&str, bool)] = &[
    ("acknowledged-present", false),
    ("none-twice", true),
    ("producer-order", true),
    ("dense", true),
    ("reads-stable", true),
    ("durable-before-seen", false),
    ("answered-once", true),
    ("watermark-forward", false),
    ("positions-stay-valid", false),
    ("log-start-as-asked", false),
    ("one-life-per-epoch", false),
    ("topics-kept", false),
    ("files-kept", true),
    ("group-offsets-forward", false),
    ("committed-offsets-kept", false),
    ("generation-disjoint", false),
    ("zombies-fenced", false),
    ("one-owner", false),
    ("targets-whole", false),
    ("live-equals-replayed", false),
    ("offsets-expire", false),
    ("offsets-go-with-topics", false),
    ("expressions-matched", false),
    ("producer-ids-once", false),
    ("latest-kept", false),
    ("dead-stay-dead", false),
    ("one-per-key", false),
    ("tombstones-in-time", false),
    ("last-batches-kept", false),
    ("slots-returned", true),
    ("unpacked-between-turns", true),
    ("removed-though-full", true),
];

/// The names of all checkers. Beside them a run fails by `no-panic`, `no-stall` and `sound-answers`.
pub const CHECKERS: &[&str] = &[
    "acknowledged-present",
    "none-twice",
    "producer-order",
    "dense",
    "reads-stable",
    "durable-before-seen",
    "answered-once",
    "watermark-forward",
    "positions-stay-valid",
    "log-start-as-asked",
    "one-life-per-epoch",
    "topics-kept",
    "files-kept",
    "group-offsets-forward",
    "committed-offsets-kept",
    "generation-disjoint",
    "zombies-fenced",
    "one-owner",
    "targets-whole",
    "live-equals-replayed",
    "offsets-expire",
    "offsets-go-with-topics",
    "expressions-matched",
    "producer-ids-once",
    "latest-kept",
    "dead-stay-dead",
    "one-per-key",
    "tombstones-in-time",
    "last-batches-kept",
    "slots-returned",
    "unpacked-between-turns",
    "removed-though-full",
];

fn make(name: &str) -> Box<dyn Checker> {
    match name {
        "acknowledged-present" => Box::<acknowledged::Acknowledged>::default(),
        "none-twice" => Box::<twice::Twice>::default(),
        "producer-order" => Box::<producer_order::ProducerOrder>::default(),
        "dense" => Box::<dense::Dense>::default(),
        "reads-stable" => Box::<reads_stable::ReadsStable>::default(),
        "durable-before-seen" => Box::<durable_before_seen::DurableBeforeSeen>::default(),
        "answered-once" => Box::<answered::Answered>::default(),
        "watermark-forward" => Box::<watermark::Watermark>::default(),
        "positions-stay-valid" => Box::<positions::Positions>::default(),
        "log-start-as-asked" => Box::<log_start::LogStart>::default(),
        "one-life-per-epoch" => Box::<epochs::Epochs>::default(),
        "topics-kept" => Box::<topics::Topics>::default(),
        "files-kept" => Box::<files::Files>::default(),
        "group-offsets-forward" => Box::<groups::Groups>::default(),
        "committed-offsets-kept" => Box::<offsets_kept::OffsetsKept>::default(),
        "generation-disjoint" => Box::<generations::Generations>::default(),
        "zombies-fenced" => Box::<zombies::Zombies>::default(),
        "one-owner" => Box::<owners::Owners>::default(),
        "targets-whole" => Box::<targets::Targets>::default(),
        "live-equals-replayed" => Box::<live::Live>::default(),
        "offsets-expire" => Box::<expiry::Expiry>::default(),
        "offsets-go-with-topics" => Box::<renewed::Renewed>::default(),
        "expressions-matched" => Box::<matched::Matched>::default(),
        "producer-ids-once" => Box::<producer_ids::ProducerIds>::default(),
        "latest-kept" => Box::<latest::Latest>::default(),
        "dead-stay-dead" => Box::<dead::Dead>::default(),
        "one-per-key" => Box::<one_per_key::OnePerKey>::default(),
        "tombstones-in-time" => Box::<tombstones::Tombstones>::default(),
        "last-batches-kept" => Box::<last_batches::LastBatches>::default(),
        "slots-returned" => Box::<slots::Slots>::default(),
        "unpacked-between-turns" => Box::<unpacked::Unpacked>::default(),
        "removed-though-full" => Box::<removed::Removed>::default(),
        other => panic!("there is no checker {other}"),
    }
}

/// All checkers of a run, and the first thing that one of them found.
pub struct Checkers {
    all: Vec<(&'static str, bool, Box<dyn Checker>)>,
    only: Option<String>,
    /// The node said that data is damaged: what it then does not serve is not counted as lost in silence.
    pub loss_reported: bool,
    /// Losses were accepted: only what was written since is known.
    pub loss_accepted: bool,
    pub found: Option<Violation>,
}

impl Checkers {
    /// `only`: the one checker to hear. For planted faults, which trip several.
    pub fn new(only: Option<&str>) -> Checkers {
        let wanted = |name: &str| only.is_none_or(|only| only == name);
        let all = ALL.iter().filter(|(name, _)| wanted(name));
        let all = all.map(|(name, always)| (*name, *always, make(name))).collect();
        Checkers { all, only: only.map(str::to_string), loss_reported: false, loss_accepted: false, found: None }
    }

    /// What was lost is accepted: offsets of what is given up are written anew, so what was seen before says nothing any
    /// more. Which topics were to be deleted is not among it.
    pub fn begin_again(&mut self) {
        for (name, _, checker) in self.all.iter_mut().filter(|(name, ..)| *name != "files-kept") {
            *checker = make(name);
        }
        (self.loss_reported, self.loss_accepted) = (false, true);
    }

    pub fn see(&mut self, at: u64, seen: Seen<'_>) {
        for (name, always, checker) in &mut self.all {
            let verdict = checker.see(at, &seen);
            if let Err(text) = verdict
                && self.found.is_none()
                && (*always || !self.loss_reported)
            {
                self.found = Some(Violation { checker: name, text: format!("{text} (step {at})") });
            }
        }
    }

    /// What is no checker's: a panic, a standstill, an answer that is none.
    pub fn fail(&mut self, name: &'static str, text: String) {
        if self.found.is_none() && self.only.as_ref().is_none_or(|only| only == name) {
            self.found = Some(Violation { checker: name, text });
        }
    }
}

/// Something that only grows: what was known of it before a time.
#[derive(Default)]
struct Highest {
    history: Vec<(u64, i64)>,
}

impl Highest {
    fn raise(&mut self, at: u64, value: i64) {
        if self.history.last().is_none_or(|(_, known)| value > *known) {
            self.history.push((at, value));
        }
    }

    fn before(&self, at: u64) -> Option<i64> {
        let behind = self.history.partition_point(|(when, _)| *when < at);
        behind.checked_sub(1).map(|last| self.history[last].1)
    }
}

type ByPart<T> = BTreeMap<Part, T>;
