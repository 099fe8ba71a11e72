//! What goes into a decision beside the ask, and what comes out.

use bytes::Bytes;
use heddle_model::{Now, ProducerEpoch, ProducerId, Ticket, limits};

use crate::{Answer, Topics, schema::Key};

/// Records, and bytes of them, after which work stops, to go on at once in the next turn.
const RECORDS_A_TURN: usize = 2_000;
const BYTES_A_TURN: usize = limits::BATCH_BYTES_MAX / 8;
/// What one step that cannot be divided may write: with what a turn has written before, it still fits one batch. Bytes.
const STEP_BYTES_MAX: usize = limits::BATCH_BYTES_MAX / 4 * 3;
/// What a record takes beside its key and its value, at most. Bytes.
const FRAMING_BYTES: usize = 32;

/// The world as one decision sees it.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub now: Now,
    pub topics: &'a dyn Topics,
    /// Fresh random bits for each ask: new member ids are made of them.
    pub entropy: u128,
}

/// One record for the group's partition of `__consumer_offsets`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub key: Bytes,
    /// `None`: a tombstone.
    pub value: Option<Bytes>,
}

/// The house appends `records` as one batch, replays them at once, and sends the answers once the batch is committed
/// (without records: once what is appended already is committed). Answers may go to tickets of earlier asks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Decision {
    pub records: Vec<Entry>,
    /// Set when the batch belongs to a transaction (TxnOffsetCommit): it is appended as this producer's transactional
    /// batch and replayed by `replay_pending`.
    pub producer: Option<(ProducerId, ProducerEpoch)>,
    pub answers: Vec<(Ticket, Answer)>,
    /// What the records take, at most. Bytes.
    bytes: usize,
}

/// How far a decision was before a step.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    pub records: usize,
    bytes: usize,
}

impl Decision {
    pub(crate) fn write(&mut self, key: &Key, value: Option<Bytes>) {
        let key = key.encode();
        self.bytes += FRAMING_BYTES + key.len() + value.as_ref().map_or(0, Bytes::len);
        self.records.push(Entry { key, value });
    }

    /// Whether this is enough for one turn.
    pub(crate) fn is_full(&self) -> bool {
        self.records.len() >= RECORDS_A_TURN || self.bytes >= BYTES_A_TURN
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { records: self.records.len(), bytes: self.bytes }
    }

    /// Whether what was written since may stay.
    pub(crate) fn fits_since(&self, mark: Mark) -> bool {
        self.bytes - mark.bytes <= STEP_BYTES_MAX
    }

    pub(crate) fn take_back(&mut self, mark: Mark) {
        self.records.truncate(mark.records);
        self.bytes = mark.bytes;
    }
}

/// A record that this version cannot read. The house quarantines the partition: state would differ between replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed(pub &'static str);
