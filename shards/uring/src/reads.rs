//! How much a core reads at once. What a device is given at once a durable write waits behind: at four reads of 256 KiB a
//! small write and its flush took 1.4 ms instead of 0.23, at two of 64 KiB 0.35 ms, while the reads still moved 0.6 times
//! as much. So reads are small and few while the device is written to, by whichever core, and large otherwise.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use heddle_model::Mono;

/// Bytes of reads that a core has under way at once; a larger read goes alone.
const AT_ONCE_BYTES: usize = 2 * 1024 * 1024;
/// Bytes that a read moves at once beside durable writes …
const PIECE_BYTES: usize = 64 * 1024;
/// … and of all reads of a core.
const BESIDE_WRITES_BYTES: usize = 4 * PIECE_BYTES;
/// As long after a durable write that clients may wait for reads stay small. Microseconds.
const MEMORY_US: u64 = 1_000_000;
/// That time is noted anew so much later, at the earliest. Microseconds.
const NOTE_US: u64 = 250_000;

/// The device under the data directory, which is what all cores share.
#[derive(Default)]
pub(crate) struct Device {
    /// Until when its durable writes are felt. Microseconds of the monotonic clock.
    written_until: AtomicU64,
}

/// The reads of one core.
pub(crate) struct Reads {
    device: Arc<Device>,
    /// Bytes in the ring.
    under_way: usize,
    /// Slots of operations that wait, in order; one that has begun comes before those that have not.
    waiting: VecDeque<usize>,
    /// What this core had heard when it last wrote durably.
    heard: u64,
}

impl Device {
    fn is_written(&self, now: Mono) -> bool {
        now.0 < self.written_until.load(Relaxed)
    }

    /// Stored only now and then: all cores read it all the time.
    fn note_writes(&self, now: Mono) {
        if self.written_until.load(Relaxed) < now.0 + MEMORY_US - NOTE_US {
            self.written_until.store(now.0 + MEMORY_US, Relaxed);
        }
    }
}

impl Reads {
    pub(crate) fn new(device: Arc<Device>) -> Reads {
        Reads { device, under_way: 0, waiting: VecDeque::new(), heard: 0 }
    }

    /// This core writes durably. `heard` grows with what clients and other cores, whose clients may wait, send it: if that
    /// was nothing since the last time, nobody waits for this, as when compaction seals what it wrote.
    pub(crate) fn on_durable_write(&mut self, now: Mono, heard: u64) {
        if heard != self.heard {
            self.heard = heard;
            self.device.note_writes(now);
        }
    }

    pub(crate) fn wait(&mut self, slot: usize) {
        self.waiting.push_back(slot);
    }

    /// Of a read `asked` bytes were to come, and there is more to read of it.
    pub(crate) fn on_piece(&mut self, slot: usize, asked: usize) {
        self.under_way -= asked;
        self.waiting.push_front(slot);
    }

    pub(crate) fn on_end(&mut self, asked: usize) {
        self.under_way -= asked;
    }

    /// The next read to go on with, and how many bytes of it to ask for. `rest`: what a read in a slot still wants.
    pub(crate) fn next(&mut self, now: Mono, rest: impl Fn(usize) -> usize) -> Option<(usize, usize)> {
        let slot = *self.waiting.front()?;
        let (piece, most) =
            if self.device.is_written(now) { (PIECE_BYTES, BESIDE_WRITES_BYTES) } else { (usize::MAX, AT_ONCE_BYTES) };
        let bytes = rest(slot).min(piece);
        if self.under_way > 0 && self.under_way + bytes > most {
            return None;
        }
        self.waiting.pop_front();
        self.under_way += bytes;
        Some((slot, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(reads: &mut Reads, now: Mono, rest: usize) -> Vec<usize> {
        std::iter::from_fn(|| reads.next(now, |_| rest).map(|(_, bytes)| bytes)).collect()
    }

    fn eight_waiting(device: &Arc<Device>) -> Reads {
        let mut reads = Reads::new(device.clone());
        (0..8).for_each(|slot| reads.wait(slot));
        reads
    }

    #[test]
    fn reads_are_large_while_nobody_writes_and_a_larger_one_goes_alone() {
        let device = Arc::<Device>::default();
        let now = Mono(5_000_000);
        assert_eq!(asked(&mut eight_waiting(&device), now, 256 << 10), [256 << 10; 8]);
        assert_eq!(asked(&mut eight_waiting(&device), now, 3 << 20), [3 << 20]);
    }

    #[test]
    fn reads_of_all_cores_are_small_beside_durable_writes_of_one() {
        let device = Arc::<Device>::default();
        let (mut writer, mut reader) = (Reads::new(device.clone()), eight_waiting(&device));
        let begun = Mono(5_000_000);
        writer.on_durable_write(begun, 1);
        assert_eq!(asked(&mut reader, begun.plus_us(MEMORY_US - 1), 256 << 10), [PIECE_BYTES; 4]);
        reader.on_piece(0, PIECE_BYTES);
        let (slot, bytes) = reader.next(begun.plus_us(10), |_| 192 << 10).unwrap();
        assert_eq!((slot, bytes), (0, PIECE_BYTES), "what has begun goes on first");
        (0..4).for_each(|_| reader.on_end(PIECE_BYTES));
        let later = begun.plus_us(MEMORY_US);
        assert_eq!(asked(&mut reader, later, 256 << 10), [256 << 10; 4], "a second later");
    }

    #[test]
    fn writes_that_no_client_asked_for_are_not_felt() {
        let device = Arc::<Device>::default();
        let mut reads = eight_waiting(&device);
        reads.on_durable_write(Mono(0), 7);
        let later = Mono(MEMORY_US);
        reads.on_durable_write(later, 7);
        assert_eq!(asked(&mut reads, later, 256 << 10), [256 << 10; 8]);
        reads.on_durable_write(later, 8);
        reads.on_end(8 * (256 << 10));
        (0..8).for_each(|slot| reads.wait(slot));
        assert_eq!(asked(&mut reads, later, 256 << 10), [PIECE_BYTES; 4]);
    }
}
