//! A connection's byte stream cut into frames. A piece that holds whole frames is sliced, not copied.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use heddle_protocol::{SizeRefused, read_size};

/// A frame that spans pieces grows by no more than this ahead of what has arrived, so that a size alone costs nothing.
const GROW_BYTES: usize = 64 * 1024;

#[derive(Default)]
pub(crate) struct Inbox {
    /// The beginning of a frame (size prefix included) whose end has not arrived.
    partial: BytesMut,
    frames: VecDeque<Bytes>,
    /// Of whole frames.
    frame_bytes: usize,
}

impl Inbox {
    /// Take the next piece of the stream. An error ends the connection: what follows cannot be understood.
    pub fn push(&mut self, mut piece: Bytes, frame_bytes_max: usize) -> Result<(), SizeRefused> {
        while !piece.is_empty() {
            if self.partial.is_empty() {
                match whole(&piece, frame_bytes_max)? {
                    Some(size) if piece.len() >= 4 + size => {
                        piece.advance(4);
                        self.add(piece.split_to(size));
                    }
                    _ => {
                        self.take_partial(&mut piece, GROW_BYTES);
                    }
                }
            } else {
                self.complete_partial(&mut piece, frame_bytes_max)?;
            }
        }
        Ok(())
    }

    pub fn front(&self) -> Option<&Bytes> {
        self.frames.front()
    }

    pub fn pop(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        self.frame_bytes -= frame.len();
        Some(frame)
    }

    /// Whole frames that wait.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// A frame has begun to arrive and has not ended.
    pub fn is_partial(&self) -> bool {
        !self.partial.is_empty()
    }

    pub fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    pub fn held_bytes(&self) -> usize {
        self.frame_bytes + self.partial.len()
    }

    /// Everything that was pushed and not popped, as the stream had it.
    pub fn take_stream(&mut self) -> Vec<Bytes> {
        let Inbox { partial, frames, .. } = std::mem::take(self);
        let mut stream = Vec::with_capacity(2 * frames.len() + 1);
        for frame in frames {
            let size = u32::try_from(frame.len()).expect("a frame's size came in four bytes");
            stream.push(Bytes::copy_from_slice(&size.to_be_bytes()));
            stream.push(frame);
        }
        stream.push(partial.freeze());
        stream.retain(|piece| !piece.is_empty());
        stream
    }

    pub fn clear(&mut self) {
        *self = Inbox::default();
    }

    fn add(&mut self, frame: Bytes) {
        self.frame_bytes += frame.len();
        self.frames.push_back(frame);
    }

    fn take_partial(&mut self, piece: &mut Bytes, bytes_max: usize) {
        let taken = piece.len().min(bytes_max);
        self.partial.extend_from_slice(&piece[..taken]);
        piece.advance(taken);
    }

    fn complete_partial(&mut self, piece: &mut Bytes, frame_bytes_max: usize) -> Result<(), SizeRefused> {
        if self.partial.len() < 4 {
            let missing = 4 - self.partial.len();
            self.take_partial(piece, missing);
        }
        let Some(size) = whole(&self.partial, frame_bytes_max)? else { return Ok(()) };
        let missing = 4 + size - self.partial.len().min(4 + size);
        if self.partial.capacity() == self.partial.len() {
            self.partial.reserve(missing.min(self.partial.len().max(GROW_BYTES)));
        }
        self.take_partial(piece, missing);
        if self.partial.len() == 4 + size {
            let mut frame = std::mem::take(&mut self.partial).freeze();
            frame.advance(4);
            self.add(frame);
        }
        Ok(())
    }
}

/// The size of the frame that `bytes` begins with, once its prefix is there.
fn whole(bytes: &[u8], frame_bytes_max: usize) -> Result<Option<usize>, SizeRefused> {
    match bytes.first_chunk::<4>() {
        Some(prefix) => read_size(*prefix, frame_bytes_max).map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(frames: &[Vec<u8>]) -> Vec<u8> {
        frames.iter().flat_map(|frame| [&(frame.len() as u32).to_be_bytes()[..], frame].concat()).collect()
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
            cuts in prop::collection::vec(1usize..30, 1..200),
        ) {
            let bytes = Bytes::from(stream(&frames));
            let mut inbox = Inbox::default();
            let (mut at, mut cut) = (0, 0);
            while at < bytes.len() {
                let end = (at + cuts[cut % cuts.len()]).min(bytes.len());
                inbox.push(bytes.slice(at..end), 1000).expect("small frames");
                (at, cut) = (end, cut + 1);
            }
            prop_assert_eq!(inbox.frame_bytes(), frames.iter().map(Vec::len).sum::<usize>());
            for frame in &frames {
                prop_assert_eq!(inbox.pop().expect("whole"), &frame[..]);
            }
            prop_assert_eq!((inbox.pop(), inbox.held_bytes()), (None, 0));
        }
    }

    proptest! {
        #[test]
        fn the_stream_can_be_taken_back(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
            cut in 0usize..400,
            popped in 0usize..3,
        ) {
            let bytes = Bytes::from(stream(&frames));
            let cut = cut.min(bytes.len());
            let mut inbox = Inbox::default();
            inbox.push(bytes.slice(..cut), 1000).expect("small frames");
            let gone: usize = (0..popped).filter_map(|_| inbox.pop()).map(|frame| 4 + frame.len()).sum();
            prop_assert_eq!(inbox.take_stream().concat(), &bytes[gone..cut]);
            prop_assert_eq!((inbox.len(), inbox.held_bytes()), (0, 0));
        }
    }

    #[test]
    fn a_whole_frame_is_not_copied() {
        let piece = Bytes::from(stream(&[vec![7; 5000], vec![8; 10]]));
        let mut inbox = Inbox::default();
        inbox.push(piece.clone(), 10_000).expect("fits");
        assert_eq!(inbox.pop().map(|frame| frame.as_ptr()), Some(piece[4..].as_ptr()));
    }

    #[test]
    fn a_size_alone_reserves_little() {
        let mut inbox = Inbox::default();
        inbox.push(Bytes::from_static(&[0, 0x60, 0, 0, 1, 2, 3]), 100 << 20).expect("below the bound");
        inbox.push(Bytes::from_static(&[4, 5, 6]), 100 << 20).expect("below the bound");
        assert!(inbox.partial.capacity() <= 2 * GROW_BYTES);
    }

    #[test]
    fn sizes_beyond_the_bound_end_the_stream_in_whatever_pieces_they_come() {
        let bytes = 11u32.to_be_bytes();
        let mut inbox = Inbox::default();
        assert!(inbox.push(Bytes::copy_from_slice(&bytes), 10).is_err());
        let mut inbox = Inbox::default();
        assert!(inbox.push(Bytes::copy_from_slice(&bytes[..2]), 10).is_ok());
        assert!(inbox.push(Bytes::copy_from_slice(&bytes[2..]), 10).is_err());
        let mut inbox = Inbox::default();
        assert!(inbox.push(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff]), 10).is_err());
    }
}
