//! The buffers that the kernel receives into, shared by all connections of a core.
//!
//! A little is copied out and its buffer goes back at once. When much came, the buffer itself is handed on and a new
//! one takes its place: no copy, and whoever keeps the bytes starves nobody.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use io_uring::types::BufRingEntry;

use crate::ring::Ring;

const PAGE_BYTES: usize = 4096;
/// The id of the one group of buffers.
pub(crate) const GROUP: u16 = 0;

pub(crate) struct Pool {
    entries: *mut BufRingEntry,
    layout: Layout,
    count: u16,
    tail: u16,
    buffer_bytes: usize,
    buffers: Vec<Vec<u8>>,
}

impl Pool {
    /// `count` buffers, a power of two up to 32,768, of `buffer_bytes` each. Their memory is touched on first use.
    pub(crate) fn new(ring: &mut Ring, count: u16, buffer_bytes: usize) -> io::Result<Pool> {
        if !count.is_power_of_two() || count > 1 << 15 || buffer_bytes == 0 || u32::try_from(buffer_bytes).is_err() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "receive buffers: a power of two of up to 4 GiB"));
        }
        let bytes = usize::from(count) * size_of::<BufRingEntry>();
        let layout = Layout::from_size_align(bytes, PAGE_BYTES).map_err(io::Error::other)?;
        // SAFETY: the layout has a size, as count is not 0.
        let entries: *mut BufRingEntry = unsafe { alloc_zeroed(layout) }.cast();
        if entries.is_null() {
            handle_alloc_error(layout);
        }
        let mut pool = Pool { entries, layout, count, tail: 0, buffer_bytes, buffers: Vec::new() };
        // SAFETY: page aligned, of `count` entries, freed with `pool`, which lives until the ring is drained.
        unsafe { ring.register_buffers(entries as u64, count, GROUP)? };
        for id in 0..count {
            pool.buffers.push(Vec::with_capacity(buffer_bytes));
            pool.provide(id);
        }
        pool.publish();
        Ok(pool)
    }

    /// The `len` bytes that the kernel put into buffer `id`.
    pub(crate) fn take(&mut self, id: u16, len: usize) -> Bytes {
        assert!(id < self.count && len <= self.buffer_bytes, "the kernel fills the buffers it was given");
        let buffer = &mut self.buffers[usize::from(id)];
        // SAFETY: the kernel wrote the first `len` bytes, which are within the capacity, and gave the buffer back.
        unsafe { buffer.set_len(len) };
        let bytes = if len * 2 >= self.buffer_bytes {
            Bytes::from(std::mem::replace(buffer, Vec::with_capacity(self.buffer_bytes)))
        } else {
            let copy = Bytes::copy_from_slice(buffer);
            buffer.clear();
            copy
        };
        self.provide(id);
        self.publish();
        bytes
    }

    /// Give a buffer back unread.
    pub(crate) fn give_back(&mut self, id: u16) {
        assert!(id < self.count, "the kernel names buffers it was given");
        self.provide(id);
        self.publish();
    }

    fn provide(&mut self, id: u16) {
        let buffer = &mut self.buffers[usize::from(id)];
        let place = usize::from(self.tail & (self.count - 1));
        // SAFETY: `place` is below `count`; the kernel does not read an entry at or beyond the tail, so it is ours.
        let entry = unsafe { &mut *self.entries.add(place) };
        entry.set_addr(buffer.as_mut_ptr() as u64);
        entry.set_len(self.buffer_bytes as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&self) {
        // SAFETY: `entries` is the base of the ring; its tail is a naturally aligned u16 within the first entry, which
        // the kernel reads with acquire order and nobody else writes.
        let tail = unsafe { &*BufRingEntry::tail(self.entries).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `new`. The core drops its pool only after the last receive ended.
        unsafe { dealloc(self.entries.cast(), self.layout) };
    }
}
