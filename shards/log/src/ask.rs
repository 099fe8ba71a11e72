//! What a log tells its owner, and what it needs from it. The asks themselves are the methods of `Log`.

use std::fmt;

use bytes::Bytes;
use heddle_border::Fault;
use heddle_model::{LeaderEpoch, Mark, Offset, ReplicaNumber};
use heddle_records::Header;

/// Whose log this is: `owner` stands in its tokens and file ids, `replica` and `store` name its directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    pub owner: u32,
    pub replica: ReplicaNumber,
    pub store: u32,
}

/// What accompanies the batches (producer state, aborted transactions) and must be found again beside them. The log
/// advances it in settle order and keeps its bytes without looking into them.
pub trait Companion {
    /// One batch is about to be settled. Each batch is applied once.
    fn apply(&mut self, header: &Header, batch: &[u8]);
    /// The whole state after everything applied.
    fn snapshot(&mut self) -> Vec<u8>;
    /// What changed since the last `snapshot` or `changes`.
    fn changes(&mut self) -> Vec<u8>;
}

/// What happened, in order.
#[derive(Debug)]
pub enum Output {
    /// The log is loaded. `companion`: the last snapshot, then the changes after it, all as of the mark.
    Loaded { companion: Vec<Bytes> },
    /// The log stays unloaded; `load` may be asked again.
    LoadFailed(LoadFault),
    /// Durable in segment and side file up to here: to be journaled, then `on_marked`.
    Settled(Mark),
    /// The answer to `read`.
    Read { id: u64, result: Result<Vec<Bytes>, ReadFault> },
    /// The answer to `find_time` or `max_timestamp`.
    Found { id: u64, result: Result<Found, ReadFault> },
    /// Settling failed; everything stays in the tail. The next `settle` tries again.
    Trouble(Fault),
    /// A round of compaction ended.
    Compacted,
    /// A round of compaction ended early, in words for the operator. It may be asked for again.
    CompactionFailed(String),
    /// The directory is gone.
    Removed,
}

/// Why a log could not be loaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoadFault {
    Io(Fault),
    /// What the disk holds is not what the mark says; in words, for the operator.
    Damaged(String),
}

/// Why a read could not be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadFault {
    /// The bytes of these offsets (`to` exclusive) fail their checksum: a hole, to be taken from a peer.
    Damaged {
        from: Offset,
        to: Offset,
    },
    Io(Fault),
}

impl fmt::Display for LoadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadFault::Io(fault) => fault.fmt(f),
            LoadFault::Damaged(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for ReadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadFault::Damaged { from, to } => write!(f, "offsets {from} to {to} fail their checksum"),
            ReadFault::Io(fault) => fault.fmt(f),
        }
    }
}

/// Where a timestamp was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    None,
    At {
        offset: Offset,
        /// Milliseconds since 1970.
        timestamp: i64,
        epoch: LeaderEpoch,
    },
    /// The batch that holds it, to be unpacked off the turn. Records below the log start do not count.
    Compressed {
        batch: Bytes,
    },
}
