//! What the journal and the log of one replica say to each other about its bytes.

use bytes::Bytes;

use crate::{Offset, Term};

/// How far a replica's bytes are settled: everything below `offset` stands in segments; bytes of the named segment and
/// its side file beyond these positions do not exist. Durable when the journal says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Exclusive end of what is settled.
    pub offset: Offset,
    /// Which of the replica's store directories; a reset begins a new one.
    pub store: u32,
    /// The base offset of the segment being written.
    pub segment: Offset,
    /// That segment's generation.
    pub generation: u32,
    /// Valid bytes of the segment file, a multiple of `BLOCK_BYTES`.
    pub segment_bytes: u64,
    /// Valid bytes of its side file, a multiple of `BLOCK_BYTES`.
    pub side_bytes: u64,
}

/// One record batch of a replica's tail.
#[derive(Clone, Debug, PartialEq)]
pub struct TailBatch {
    pub term: Term,
    /// The offset of its first record.
    pub base: Offset,
    /// The offset after its last record.
    pub next: Offset,
    /// A whole record batch v2, as stored.
    pub bytes: Bytes,
}
