//! The raw baseline of the journal: a bare io_uring doing what a journal must, and nothing else.
//!
//! Group commit: a number of 512-byte appends is always under way; all that wait go into one frame of whole blocks,
//! written with RWF_DSYNC at the end of the file, at most four frames at once. An append is durable when its frame and
//! all earlier ones are. And alone: durable 4 KiB writes at a fixed depth. Both on a pre-written and on a merely
//! allocated file, because the first write into an unwritten extent costs a file-system journal commit.
//!
//! `ring [seconds] [directory]`

#![allow(unsafe_code, reason = "a bare ring is the subject; buffers live until the program ends")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use heddle_border::Blocks;
use heddle_model::limits::{BLOCK_BYTES, FRAME_PAYLOAD_BYTES, FRAMES_IN_FLIGHT};
use io_uring::{IoUring, opcode, types};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::libc;

const APPEND_BYTES: usize = 512;
/// A file is used once round, so that an allocated one meets unwritten extents all the time. Bytes.
const FILE_BYTES: u64 = 2 << 30;

struct Bare {
    ring: IoUring,
    file: File,
}

impl Bare {
    fn write(&mut self, buffer: &Blocks, at: u64, slot: usize) {
        let entry = opcode::Write::new(types::Fd(self.file.as_raw_fd()), buffer.as_ptr(), buffer.len() as u32)
            .offset(at)
            .rw_flags(libc::RWF_DSYNC)
            .build()
            .user_data((slot as u64) << 32 | buffer.len() as u64);
        // SAFETY: the callers keep their buffers, whole and in place, until the write has completed.
        unsafe { self.ring.submission().push(&entry) }.expect("the queue is large enough");
    }

    /// Wait for at least one write; the slots of those that completed.
    fn completed(&mut self) -> io::Result<Vec<usize>> {
        self.ring.submit_and_wait(1)?;
        let done = self.ring.completion().map(|done| {
            let (slot, len) = ((done.user_data() >> 32) as usize, done.user_data() as u32);
            assert_eq!(done.result(), len as i32, "the disk writes everything");
            slot
        });
        Ok(done.collect())
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Prepared {
    Prewritten,
    Allocated,
}

fn prepare(path: &Path, prepared: Prepared, bytes: u64) -> io::Result<Bare> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(true).custom_flags(libc::O_DIRECT).open(path)?;
    fallocate(&file, FallocateFlags::empty(), 0, bytes as i64)?;
    if prepared == Prepared::Prewritten {
        let zeros = Blocks::zeroed(1 << 20);
        for at in (0..bytes).step_by(zeros.len()) {
            file.write_all_at(&zeros, at)?;
        }
    }
    file.sync_all()?;
    let ring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().setup_coop_taskrun().build(256)?;
    Ok(Bare { ring, file })
}

struct Measured {
    latencies: Histogram<u64>,
    appends: u64,
    written: u64,
    took: Duration,
}

impl Measured {
    fn new() -> Measured {
        let latencies = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in order");
        Measured { latencies, appends: 0, written: 0, took: Duration::ZERO }
    }

    fn tell(&self, what: &str, prepared: Prepared) {
        let us = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        println!(
            "{what:28} {:10} {:9.0}/s  p50 {:7.0} us  p99 {:7.0} us  p99.9 {:7.0} us  {:4.0} MB/s",
            format!("{prepared:?}"),
            self.appends as f64 / self.took.as_secs_f64(),
            us(0.5),
            us(0.99),
            us(0.999),
            self.written as f64 / 1e6 / self.took.as_secs_f64(),
        );
    }
}

struct Frame {
    buffer: Blocks,
    /// When each append in it was asked for.
    asked: Vec<Instant>,
    durable: bool,
}

/// `under_way` appends, always; each is asked again as soon as it is durable.
fn group_commit(bare: &mut Bare, under_way: usize, time: Duration) -> io::Result<Measured> {
    let mut measured = Measured::new();
    let start = Instant::now();
    let mut frames: Vec<Frame> = (0..FRAMES_IN_FLIGHT)
        .map(|_| Frame { buffer: Blocks::zeroed(FRAME_PAYLOAD_BYTES), asked: Vec::new(), durable: false })
        .collect();
    let mut waiting: Vec<Instant> = vec![start; under_way];
    let (mut first, mut next, mut end) = (0usize, 0usize, 0u64);
    while start.elapsed() < time || first < next {
        while start.elapsed() < time && next - first < frames.len() && !waiting.is_empty() {
            let slot = next % frames.len();
            let frame = &mut frames[slot];
            let take = waiting.len().min(FRAME_PAYLOAD_BYTES / APPEND_BYTES);
            frame.asked.extend(waiting.drain(..take));
            frame.buffer.set_len((take * APPEND_BYTES).next_multiple_of(BLOCK_BYTES));
            frame.buffer[..take * APPEND_BYTES].fill(next as u8);
            if end + frame.buffer.len() as u64 > FILE_BYTES {
                end = 0;
            }
            bare.write(&frame.buffer, end, slot);
            end += frame.buffer.len() as u64;
            next += 1;
        }
        for slot in bare.completed()? {
            frames[slot].durable = true;
        }
        while first < next && frames[first % FRAMES_IN_FLIGHT].durable {
            let frame = &mut frames[first % FRAMES_IN_FLIGHT];
            let now = Instant::now();
            measured.appends += frame.asked.len() as u64;
            measured.written += frame.buffer.len() as u64;
            for asked in frame.asked.drain(..) {
                measured.latencies.saturating_record((now - asked).as_nanos() as u64);
                waiting.push(now);
            }
            frame.durable = false;
            first += 1;
        }
    }
    measured.took = start.elapsed();
    Ok(measured)
}

/// Durable writes of one block, `depth` at once.
fn alone(bare: &mut Bare, depth: usize, time: Duration) -> io::Result<Measured> {
    let mut measured = Measured::new();
    let start = Instant::now();
    let buffer = Blocks::zeroed(BLOCK_BYTES);
    let mut asked = vec![start; depth];
    let mut end = 0u64;
    let mut idle: Vec<usize> = (0..depth).collect();
    while start.elapsed() < time || idle.len() < depth {
        while start.elapsed() < time
            && let Some(slot) = idle.pop()
        {
            asked[slot] = Instant::now();
            bare.write(&buffer, end % FILE_BYTES, slot);
            end += BLOCK_BYTES as u64;
        }
        for slot in bare.completed()? {
            measured.latencies.saturating_record(asked[slot].elapsed().as_nanos() as u64);
            measured.appends += 1;
            measured.written += BLOCK_BYTES as u64;
            idle.push(slot);
        }
    }
    measured.took = start.elapsed();
    Ok(measured)
}

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let seconds: f64 = args.next().map_or(Ok(3.0), |n| n.parse()).map_err(io::Error::other)?;
    let time = Duration::from_secs_f64(seconds);
    let dir = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let path = dir.join(format!("heddle-ring-{}", std::process::id()));
    for prepared in [Prepared::Prewritten, Prepared::Allocated] {
        for depth in [1, 16] {
            let measured = alone(&mut prepare(&path, prepared, FILE_BYTES)?, depth, time)?;
            measured.tell(&format!("4 KiB writes, {depth} at once"), prepared);
        }
        for under_way in [1, 64, 512] {
            let measured = group_commit(&mut prepare(&path, prepared, FILE_BYTES)?, under_way, time)?;
            measured.tell(&format!("512 B appends, {under_way} under way"), prepared);
        }
    }
    std::fs::remove_file(path)
}
