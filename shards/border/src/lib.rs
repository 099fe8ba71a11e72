//! The vocabulary between logic and world.
//! Owns: `Event`, `Effect`, tokens, the `Machine` trait, aligned buffers.
//! Invariants: every effect with a token is answered by exactly one event, also on failure and at shutdown. Nothing
//! else may be assumed: in particular no order between two disk operations, or between disk and network.
//! Does not know: any room's types; it carries bytes, ids, tokens and time.
//! Read first: this file is all there is, with `blocks.rs` for the buffers of direct I/O and `product.rs` for work
//! off the turn.

mod blocks;
mod product;

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use heddle_model::{Mono, Now, ShardId};

pub use blocks::Blocks;
pub use product::{Product, Work};

/// Ties an answer to its question. `owner` says which room of a core asked (the core hands owners out, 0 is the core
/// itself, and never reuses one), `seq` is that room's own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token {
    pub owner: u32,
    pub seq: u32,
}

/// A file as its core calls it, from `Open` until `Close`; chosen by the asker, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileId {
    pub owner: u32,
    pub seq: u32,
}

/// A client connection of this core, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub u64);

/// A socket that accepts connections; chosen by the asker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ListenerId(pub u8);

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The listener accepts connections at this address (port 0 resolved), or could not be bound.
    Listening { listener: ListenerId, result: Result<SocketAddr, Fault> },
    /// A connection now belongs to this core. `moves`: how often it was another core's before.
    Opened { conn: ConnId, listener: ListenerId, peer: SocketAddr, moves: u32 },
    /// The next bytes of the connection's stream, in order, never empty.
    Received { conn: ConnId, bytes: Bytes },
    /// The effect `Send` with this token was handed to the network, or dropped because the connection ended.
    Sent { conn: ConnId, token: Token },
    /// The connection ended: once, and last for this connection but for outstanding `Sent`.
    Closed { conn: ConnId },
    /// A disk operation ended.
    Disk { token: Token, result: Result<Done, Failed> },
    /// Work ended. `None`: it panicked, which is our bug, but its asker still gets this answer.
    Worked { token: Token, result: Option<Product> },
    /// The process was asked to stop; the machine answers in its own time with `Effect::Halt`.
    Stop,
}

/// What shall happen.
pub enum Effect {
    /// Accept connections at `addr`. The driver gives each to the core that has the fewest.
    Listen {
        listener: ListenerId,
        addr: SocketAddr,
    },
    /// Accept no more.
    Unlisten {
        listener: ListenerId,
    },
    /// Send these parts, after all parts sent before on this connection.
    Send {
        conn: ConnId,
        token: Token,
        parts: Vec<Bytes>,
    },
    /// Stop, and go on, reading the connection's socket. Bytes already read still arrive after `Pause`.
    Pause {
        conn: ConnId,
    },
    Resume {
        conn: ConnId,
    },
    /// Close after what was sent before has left.
    Close {
        conn: ConnId,
    },
    /// Hand the connection to another core, where it is opened anew and begins with `unread`, then with what came in and
    /// this core has not been told. Here it ends with `Closed`, as it does when the peer ends it first. All that was sent
    /// on it must have left.
    Move {
        conn: ConnId,
        to: ShardId,
        unread: Vec<Bytes>,
    },
    Disk {
        token: Token,
        op: DiskOp,
    },
    /// Work of unbounded cost, done off the turn.
    Work {
        token: Token,
        run: Work,
    },
    /// Everything is finished; end this core's loop.
    Halt,
}

/// One disk operation. Paths are relative to the data directory, `/` between their parts. All reads and writes are
/// direct: positions and sizes are multiples of `BLOCK_BYTES`. Operations under way at once may complete, and reach the
/// disk, in any order and in any part.
#[derive(Debug)]
pub enum DiskOp {
    /// `Create`: the file must not exist. Its directory entry is durable only after `SyncDir` of its directory.
    Open {
        file: FileId,
        path: String,
        mode: OpenMode,
    },
    /// Answered also if writes to the file are under way: they are finished first.
    Close {
        file: FileId,
    },
    Read {
        file: FileId,
        at: u64,
        buf: Blocks,
    },
    /// `durable`: on completion the written bytes, and only they, survive a crash (RWF_DSYNC), together with what is
    /// needed to read them back (file size, allocation).
    Write {
        file: FileId,
        at: u64,
        buf: Blocks,
        durable: bool,
    },
    /// All completed writes of the file survive a crash (fdatasync).
    Sync {
        file: FileId,
    },
    /// Reserve space; bytes never written read as zeros there, and the file is at least `from + len` long. Durable with the next sync.
    Allocate {
        file: FileId,
        from: u64,
        len: u64,
    },
    /// Write zeros and sync, so that later durable writes need no file-system journal. Slow, done in the background. Refused
    /// as a whole if there is no room for all of it, as far as that is known before.
    Prewrite {
        file: FileId,
        from: u64,
        len: u64,
    },
    /// Remove a file; it is an error if it does not exist.
    Remove {
        path: String,
    },
    /// Remove a directory and everything in it; success if it does not exist. Slow, done in the background.
    RemoveTree {
        path: String,
    },
    Rename {
        from: String,
        to: String,
    },
    /// Create a directory; success if it exists.
    MakeDir {
        path: String,
    },
    /// The directory's entries (names created, removed, renamed) survive a crash.
    SyncDir {
        path: String,
    },
    /// An empty list if the directory does not exist.
    List {
        path: String,
    },
    /// Space of the file system that holds the data directory.
    Space,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    Create,
    Existing,
    ReadOnly,
}

/// How a disk operation ended well.
#[derive(Debug)]
pub enum Done {
    Opened {
        len: u64,
    },
    /// `len` bytes were read into `buf`; less than the buffer only at the end of the file.
    Read {
        buf: Blocks,
        len: usize,
    },
    /// The whole buffer was written; the buffer comes back for reuse.
    Written {
        buf: Blocks,
    },
    Listed(Vec<Entry>),
    Space {
        total: u64,
        free: u64,
    },
    /// Every other operation.
    Finished,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    pub name: String,
    pub len: u64,
    pub is_dir: bool,
}

/// How a disk operation failed; a buffer that was lent comes back.
#[derive(Debug)]
pub struct Failed {
    pub fault: Fault,
    pub buf: Option<Blocks>,
}

/// What the world refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// ENOSPC, EDQUOT.
    NoSpace,
    NotFound,
    AlreadyExists,
    /// EIO and everything else, by its errno.
    Io(i32),
}

impl Fault {
    /// What the operator can do about it while the broker runs, to stand behind the fault; empty: nothing that is known.
    pub fn remedy(self) -> &'static str {
        match self {
            Fault::NoSpace => " (free some, delete topics or lower their retention: writes resume by themselves)",
            Fault::NotFound | Fault::AlreadyExists | Fault::Io(_) => "",
        }
    }
}

/// In the words of the system's own messages.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoSpace => f.write_str("no space is left on the device"),
            Fault::NotFound => f.write_str("no such file or directory"),
            Fault::AlreadyExists => f.write_str("it exists already"),
            Fault::Io(errno) => std::io::Error::from_raw_os_error(*errno).fmt(f),
        }
    }
}

/// A core's whole logic, as a driver sees it.
pub trait Machine {
    /// What cores send each other.
    type Mail: Send + 'static;

    /// Take everything that happened, act, and say what shall happen. Never blocks.
    fn turn(&mut self, turn: Turn<'_, Self::Mail>, out: &mut Out<Self::Mail>);
}

/// The input of a turn. `events` and `mail` are drained by the machine, oldest first; what it leaves comes again.
pub struct Turn<'a, M> {
    pub now: Now,
    /// How long the previous turn took, by the driver's clock. Microseconds.
    pub previous_us: u64,
    pub events: &'a mut std::collections::VecDeque<Event>,
    pub mail: &'a mut std::collections::VecDeque<(ShardId, M)>,
}

/// The output of a turn. Mail from one core to another arrives once and in order.
pub struct Out<M> {
    pub effects: Vec<Effect>,
    pub mail: Vec<(ShardId, M)>,
    /// Take a turn at this time even if nothing happens. Holds until the next turn, which sets it anew.
    pub wake_at: Option<Mono>,
}

impl<M> Out<M> {
    pub fn new() -> Out<M> {
        Out { effects: Vec::new(), mail: Vec::new(), wake_at: None }
    }

    /// Ask for a turn at `at` at the latest.
    pub fn wake(&mut self, at: Mono) {
        self.wake_at = Some(self.wake_at.map_or(at, |other| other.min(at)));
    }
}

impl<M> Default for Out<M> {
    fn default() -> Out<M> {
        Out::new()
    }
}
