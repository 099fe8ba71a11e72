//! How full the ring is, and what the journal did so far.

/// How hard the journal presses its replicas to settle. Ordered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Pressure {
    None,
    /// Half the ring is used: settle harder.
    SettleHard,
    /// Three quarters, or too much waits for a frame: stop reading sockets.
    StopReading,
    /// Seven eighths, or no file to write to and none can be made: control records only.
    ControlOnly,
    /// Writes failed in two files in a row, or recovery cannot read its directory: nothing becomes durable.
    Broken,
}

/// Counted since the process started.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub frames: u64,
    /// Bytes written, headers and padding included.
    pub frame_bytes: u64,
    /// Bytes of client batches in them; `frame_bytes / payload_bytes` is the write amplification of this room.
    pub payload_bytes: u64,
    /// Records in them.
    pub records: u64,
    /// Frames whose write failed; they are written again elsewhere.
    pub write_failures: u64,
    /// Files taken into use, and files given up because a write failed.
    pub files_opened: u64,
    pub files_retired: u64,
    /// Times a file could not be made.
    pub files_refused: u64,
    /// Flushes that found no file to write to.
    pub stalls: u64,
}
