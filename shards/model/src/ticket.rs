//! The return address of a question that crosses cores.

use crate::ShardId;

/// Names one answer slot of one request at its home core. A slot's generation changes with each use, so a late
/// answer never reaches a stranger (trap 34). `part` tells the parts of one request apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket {
    pub home: ShardId,
    pub slot: u32,
    pub generation: u32,
    pub part: u32,
}
