//! What goes into a decision beside the ask, and what comes out.

use bytes::Bytes;
use heddle_model::{Now, ProducerEpoch, ProducerId, Ticket};

use crate::{Answer, Topics};

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
}

/// A record that this version cannot read. The house quarantines the partition: state would differ between replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed(pub &'static str);
