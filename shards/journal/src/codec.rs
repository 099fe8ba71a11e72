//! Bytes of states, marks and shadows. Reading never panics and allocates by checked lengths only.

use bytes::Bytes;
use heddle_model::{Incarnation, Mark, NodeId, Offset, Point, Term, Voter};

use crate::record::{Ordinal, ReplicaState};
use crate::shadow::{Shadow, Staged};

/// Little-endian integers off the front of a slice.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes }
    }

    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// `Some` only if everything was read.
    pub fn end(self) -> Option<()> {
        self.bytes.is_empty().then_some(())
    }
}

/// Bytes of an encoded mark.
pub(crate) const MARK_BYTES: usize = 40;

pub(crate) fn put_mark(mark: &Mark, out: &mut Vec<u8>) {
    out.extend_from_slice(&mark.offset.0.to_le_bytes());
    out.extend_from_slice(&mark.store.to_le_bytes());
    out.extend_from_slice(&mark.generation.to_le_bytes());
    out.extend_from_slice(&mark.segment.0.to_le_bytes());
    out.extend_from_slice(&mark.segment_bytes.to_le_bytes());
    out.extend_from_slice(&mark.side_bytes.to_le_bytes());
}

pub(crate) fn get_mark(reader: &mut Reader) -> Option<Mark> {
    let offset = Offset(reader.i64()?);
    let (store, generation) = (reader.u32()?, reader.u32()?);
    let segment = Offset(reader.i64()?);
    Some(Mark { offset, store, segment, generation, segment_bytes: reader.u64()?, side_bytes: reader.u64()? })
}

pub(crate) fn put_state(state: &ReplicaState, out: &mut Vec<u8>) {
    out.extend_from_slice(&state.placement.to_le_bytes());
    out.extend_from_slice(&state.term.0.to_le_bytes());
    out.push(u8::from(state.vote.is_some()));
    if let Some(vote) = state.vote {
        out.extend_from_slice(&vote.node.0.to_le_bytes());
        out.extend_from_slice(&vote.incarnation.0.to_le_bytes());
    }
    out.extend_from_slice(&state.log_start.0.to_le_bytes());
    out.extend_from_slice(&state.commit.0.to_le_bytes());
    out.extend_from_slice(&state.start.term.0.to_le_bytes());
    out.extend_from_slice(&state.start.offset.0.to_le_bytes());
    out.push(u8::from(state.mark.is_some()));
    if let Some(mark) = &state.mark {
        put_mark(mark, out);
    }
    out.extend_from_slice(&length(state.history.len()).to_le_bytes());
    for (term, start) in &state.history {
        out.extend_from_slice(&term.0.to_le_bytes());
        out.extend_from_slice(&start.0.to_le_bytes());
    }
    out.extend_from_slice(&length(state.config.len()).to_le_bytes());
    out.extend_from_slice(&state.config);
}

pub(crate) fn get_state(reader: &mut Reader) -> Option<ReplicaState> {
    let placement = reader.u32()?;
    let term = Term(reader.i32()?);
    let vote = match reader.flag()? {
        true => Some(Voter { node: NodeId(reader.i32()?), incarnation: Incarnation(reader.u32()?) }),
        false => None,
    };
    let (log_start, commit) = (Offset(reader.i64()?), Offset(reader.i64()?));
    let start = Point { term: Term(reader.i32()?), offset: Offset(reader.i64()?) };
    let mark = match reader.flag()? {
        true => Some(get_mark(reader)?),
        false => None,
    };
    let lines = reader.u32()? as usize;
    let mut rows = Reader::new(reader.take(lines.checked_mul(12)?)?);
    let mut history = Vec::with_capacity(lines);
    for _ in 0..lines {
        history.push((Term(rows.i32()?), Offset(rows.i64()?)));
    }
    let config_bytes = reader.u32()? as usize;
    let config = Bytes::copy_from_slice(reader.take(config_bytes)?);
    Some(ReplicaState { placement, term, vote, history, config, log_start, commit, mark, start })
}

/// A shadow for a checkpoint; its extents are not part of it, replay finds them anew.
pub(crate) fn put_shadow(shadow: &Shadow, out: &mut Vec<u8>) {
    out.push(u8::from(shadow.damaged));
    out.push(u8::from(shadow.state.is_some()));
    if let Some(state) = &shadow.state {
        put_state(state, out);
    }
    out.push(shadow.staged.as_ref().map_or(0, |staged| 1 + u8::from(staged.damaged)));
    if let Some(staged) = &shadow.staged {
        out.extend_from_slice(&staged.missing.to_le_bytes());
        put_state(&staged.state, out);
    }
}

/// The shadow of a checkpoint in file `file`.
pub(crate) fn get_shadow(bytes: &[u8], ordinal: Ordinal, file: u64) -> Option<Shadow> {
    let mut reader = Reader::new(bytes);
    let damaged = reader.flag()?;
    let state = match reader.flag()? {
        true => Some(get_state(&mut reader)?),
        false => None,
    };
    let staged = match reader.u8()? {
        0 => None,
        flag @ (1 | 2) => {
            let missing = reader.u32()?;
            Some(Staged::new(get_state(&mut reader)?, missing, flag == 2, file))
        }
        _ => return None,
    };
    reader.end()?;
    Some(Shadow::stated(ordinal, state, staged, damaged))
}

fn length(len: usize) -> u32 {
    u32::try_from(len).expect("what a replica states is far below 4 GiB")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state() -> impl Strategy<Value = ReplicaState> {
        let mark = (any::<[i64; 2]>(), any::<[u32; 2]>(), any::<[u64; 2]>()).prop_map(|(o, n, b)| Mark {
            offset: Offset(o[0]),
            store: n[0],
            segment: Offset(o[1]),
            generation: n[1],
            segment_bytes: b[0],
            side_bytes: b[1],
        });
        let vote = (any::<i32>(), any::<u32>());
        let vote = vote.prop_map(|(node, inc)| Voter { node: NodeId(node), incarnation: Incarnation(inc) });
        let history = proptest::collection::vec((any::<i32>(), any::<i64>()), 0..5);
        let config = proptest::collection::vec(any::<u8>(), 0..50);
        (
            any::<(u32, i32, i64, i64, i32, i64)>(),
            proptest::option::of(vote),
            proptest::option::of(mark),
            history,
            config,
        )
            .prop_map(|(n, vote, mark, history, config)| ReplicaState {
                placement: n.0,
                term: Term(n.1),
                vote,
                history: history.into_iter().map(|(term, start)| (Term(term), Offset(start))).collect(),
                config: config.into(),
                log_start: Offset(n.2),
                commit: Offset(n.3),
                mark,
                start: Point { term: Term(n.4), offset: Offset(n.5) },
            })
    }

    proptest! {
        #[test]
        fn shadows_come_back(first in proptest::option::of(state()), second in state(), staged: bool, damaged: bool) {
            let staged = staged.then(|| Staged::new(second, 3, damaged, 9));
            let shadow = Shadow::stated(Ordinal(7), first, staged, damaged);
            let mut bytes = Vec::new();
            put_shadow(&shadow, &mut bytes);
            prop_assert_eq!(get_shadow(&bytes, Ordinal(7), 9), Some(shadow));
            prop_assert_eq!(get_shadow(&bytes[..bytes.len() - 1], Ordinal(7), 9), None);
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = get_shadow(&bytes, Ordinal(1), 1);
        }
    }
}
