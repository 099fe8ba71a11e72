//! What this room asks of others, and how it sees the world. The house carries asks and brings answers.

use std::sync::Arc;

use heddle_border::Effect;
use heddle_controller::Image;
use heddle_model::{LeaderEpoch, Mono, NodeId, Now, PartitionId, PartitionIndex, Ticket};

/// Whom an ask is for. The house knows where that is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Target {
    /// This node's replica of the partition.
    Partition(PartitionId),
    /// The controller, wherever it leads.
    Controller,
    /// The coordinator of this group id.
    Group(String),
    /// The group coordinator on this partition of `__consumer_offsets`, if this node leads it (ListGroups).
    GroupPartition(PartitionIndex),
    /// The coordinator of this transactional id.
    Transaction(String),
    /// The core itself.
    House,
}

#[derive(Clone, Debug)]
pub enum Ask {
    Partition(heddle_partition::Ask),
    Controller(heddle_controller::Ask),
    Group(heddle_group::Ask),
    /// Of the house: how large the data directory's file system is.
    Space,
}

#[derive(Clone, Debug)]
pub enum Answer {
    Partition(heddle_partition::Answer),
    Controller(heddle_controller::Answer),
    Group(heddle_group::Answer),
    /// Bytes of the data directory's file system, and those of them that can still be written.
    Space {
        total: u64,
        free: u64,
    },
    /// There is no such core, replica or coordinator here: the ask was not delivered, nothing happened.
    Unreachable,
    /// Never from outside: this room's deadline for the request passed. What was asked may still happen.
    TimedOut,
}

/// Who leads what, as far as this core knows.
pub trait Leaders {
    /// The leader and its epoch; `None` while there is none.
    fn leader(&self, partition: PartitionId) -> Option<(NodeId, LeaderEpoch)>;
}

/// The world during one call.
pub struct View<'a> {
    pub image: &'a Arc<Image>,
    pub leaders: &'a dyn Leaders,
    pub now: Now,
    pub me: NodeId,
}

/// What this room wants done. The house carries it out after the call, in order.
#[derive(Default)]
pub struct Wish {
    pub effects: Vec<Effect>,
    /// Every ask is answered once by `Api::on_answer`, also after its cancel.
    pub asks: Vec<(Ticket, Target, Ask)>,
    /// Asks that may be answered at once, because nobody waits any more (watches).
    pub cancels: Vec<(Ticket, Target)>,
    /// Call `Api::on_time` then. Set by `Api::flush` alone.
    pub wake_at: Option<Mono>,
}

impl Wish {
    pub fn new() -> Wish {
        Wish::default()
    }
}
