//! Disk operations under way, each with what it is for.

use heddle_border::{DiskOp, Effect, FileId, Token};
use rustc_hash::FxHashMap;

/// What an operation is for. Numbers are slots of the ring, or a frame's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    MakeDir,
    SyncParent,
    List,
    Open(u32),
    Head(u32),
    Chunk { at: u64, bytes: usize },
    SyncNewest,
    Create(u32),
    Prewrite(u32),
    SyncMade(u32),
    Frame(u64),
    Close(u32),
    Remove(u32),
}

pub(crate) struct Asker {
    owner: u32,
    next_seq: u32,
    next_file: u32,
    under_way: FxHashMap<u32, Purpose>,
}

impl Asker {
    pub fn new(owner: u32) -> Asker {
        Asker { owner, next_seq: 0, next_file: 0, under_way: FxHashMap::default() }
    }

    pub fn ask(&mut self, purpose: Purpose, op: DiskOp, out: &mut Vec<Effect>) {
        while self.under_way.contains_key(&self.next_seq) {
            self.next_seq = self.next_seq.wrapping_add(1);
        }
        let token = Token { owner: self.owner, seq: self.next_seq };
        self.next_seq = self.next_seq.wrapping_add(1);
        self.under_way.insert(token.seq, purpose);
        out.push(Effect::Disk { token, op });
    }

    /// The purpose of the operation that was answered.
    pub fn answered(&mut self, seq: u32) -> Purpose {
        self.under_way.remove(&seq).expect("each operation is answered once")
    }

    pub fn file(&mut self) -> FileId {
        let file = FileId { owner: self.owner, seq: self.next_file };
        self.next_file = self.next_file.checked_add(1).expect("files are opened rarely");
        file
    }

    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }
}
