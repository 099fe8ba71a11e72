//! Memory aligned for direct I/O, without `unsafe`: a vector with one block of slack, entered at its first aligned byte.

use std::fmt;
use std::ops::{Deref, DerefMut};

use bytes::Bytes;
use heddle_model::limits::BLOCK_BYTES;

/// A buffer that starts on a multiple of `BLOCK_BYTES` in memory and is a whole number of blocks long.
pub struct Blocks {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl Blocks {
    /// A zeroed buffer of at least `bytes`, rounded up to whole blocks.
    pub fn zeroed(bytes: usize) -> Blocks {
        let len = bytes.next_multiple_of(BLOCK_BYTES);
        let memory = vec![0u8; len + BLOCK_BYTES];
        let start = memory.as_ptr().align_offset(BLOCK_BYTES);
        assert!(start < BLOCK_BYTES, "a byte pointer can always be aligned");
        Blocks { memory, start, len }
    }

    /// Shrink or grow (with whatever bytes are there) within the memory allotted at first, to whole blocks.
    ///
    /// # Panics
    /// If `bytes` is more than `capacity`.
    pub fn set_len(&mut self, bytes: usize) {
        let len = bytes.next_multiple_of(BLOCK_BYTES);
        assert!(len <= self.capacity(), "{len} bytes asked of a buffer of {}", self.capacity());
        self.len = len;
    }

    pub fn capacity(&self) -> usize {
        (self.memory.len() - BLOCK_BYTES).next_multiple_of(BLOCK_BYTES)
    }

    /// Share the bytes without copying them.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl Deref for Blocks {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl DerefMut for Blocks {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

impl AsRef<[u8]> for Blocks {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blocks({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_aligned_and_rounded_up() {
        for bytes in [0, 1, 4095, 4096, 4097, 300_000] {
            let blocks = Blocks::zeroed(bytes);
            assert_eq!(blocks.as_ptr() as usize % BLOCK_BYTES, 0);
            assert_eq!(blocks.len() % BLOCK_BYTES, 0);
            assert!(blocks.len() >= bytes && blocks.len() < bytes + BLOCK_BYTES);
        }
    }

    #[test]
    fn freezing_keeps_the_memory_where_it_is() {
        let mut blocks = Blocks::zeroed(8192);
        blocks[5000] = 7;
        let at = blocks.as_ptr();
        let bytes = blocks.freeze();
        assert_eq!(bytes.as_ptr(), at);
        assert_eq!(bytes[5000], 7);
    }

    #[test]
    #[should_panic(expected = "asked of a buffer")]
    fn does_not_outgrow_its_memory() {
        Blocks::zeroed(4096).set_len(4097);
    }
}
