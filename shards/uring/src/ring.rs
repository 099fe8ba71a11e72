//! One raw io_uring: submission, completion, waiting. Used by the thread that made it, and by no other.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, squeue};
use nix::libc;

/// What a completion belongs to; the top byte of its user data. The low half is the kind's own slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Nobody waits for it (cancellations).
    Nobody = 0,
    Accept = 1,
    Receive = 2,
    Send = 3,
    Disk = 4,
    /// The mailbox's eventfd was rung.
    Bell = 5,
    /// Another core rang by MSG_RING.
    Doorbell = 6,
    /// Our own MSG_RING failed; the slot is the core it went to.
    Rang = 7,
    /// A timeout of the parked core passed.
    Timeout = 8,
    /// A flush behind durable writes.
    Flush = 9,
}

impl Kind {
    pub(crate) fn data(self, slot: u32) -> u64 {
        (self as u64) << 56 | u64::from(slot)
    }
}

/// One completion.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    pub(crate) kind: Kind,
    pub(crate) slot: u32,
    pub(crate) result: i32,
    flags: u32,
}

impl Completion {
    fn of(entry: &cqueue::Entry) -> Completion {
        let data = entry.user_data();
        let kind = match (data >> 56) as u8 {
            1 => Kind::Accept,
            2 => Kind::Receive,
            3 => Kind::Send,
            4 => Kind::Disk,
            5 => Kind::Bell,
            6 => Kind::Doorbell,
            7 => Kind::Rang,
            8 => Kind::Timeout,
            9 => Kind::Flush,
            _ => Kind::Nobody,
        };
        Completion { kind, slot: data as u32, result: entry.result(), flags: entry.flags() }
    }

    /// The operation goes on and will complete again.
    pub(crate) fn more(&self) -> bool {
        cqueue::more(self.flags)
    }

    /// The provided buffer it used.
    pub(crate) fn buffer(&self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }
}

pub(crate) struct Ring {
    ring: IoUring,
    /// Entries that found the queue full.
    backlog: VecDeque<squeue::Entry>,
    pub(crate) enters: u64,
}

impl Ring {
    /// SINGLE_ISSUER and DEFER_TASKRUN want Linux 6.1.
    pub(crate) fn new(entries: u32) -> io::Result<Ring> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(entries.saturating_mul(4))
            .build(entries)
            .map_err(|e| {
                let why = format!("io_uring with deferred task work (Linux 6.1 or later, not disabled by sysctl): {e}");
                io::Error::new(e.kind(), why)
            })?;
        let params = ring.params();
        if !params.is_feature_nodrop() || !params.is_feature_ext_arg() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this io_uring lacks NODROP or EXT_ARG"));
        }
        Ok(Ring { ring, backlog: VecDeque::new(), enters: 0 })
    }

    /// A duplicate of the ring's descriptor, for others to ring it.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        // SAFETY: the ring's descriptor is open as long as `self`.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }.try_clone_to_owned()
    }

    /// Signal `eventfd` at completions, but only between `enable_eventfd` and `disable_eventfd`.
    pub(crate) fn register_eventfd(&mut self, eventfd: RawFd) -> io::Result<()> {
        self.ring.submitter().register_eventfd(eventfd)?;
        self.disable_eventfd();
        Ok(())
    }

    pub(crate) fn enable_eventfd(&mut self) {
        self.ring.completion().enable_eventfd();
    }

    pub(crate) fn disable_eventfd(&mut self) {
        self.ring.completion().disable_eventfd();
    }

    /// Give the kernel a ring of provided buffers.
    ///
    /// # Safety
    /// `address` is page aligned and holds `entries` ring entries, which outlive this ring or its last receive.
    pub(crate) unsafe fn register_buffers(&mut self, address: u64, entries: u16, group: u16) -> io::Result<()> {
        // SAFETY: the caller's promise.
        unsafe { self.ring.submitter().register_buf_ring_with_flags(address, entries, group, 0) }
    }

    /// Queue an operation; it starts with the next `submit`, `poll` or `wait`.
    ///
    /// # Safety
    /// Whatever memory and descriptor `entry` names stays valid, and unshared where the kernel writes, until its last
    /// completion was reaped.
    pub(crate) unsafe fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: the caller's promise.
        if self.backlog.is_empty() && unsafe { self.ring.submission().push(&entry) }.is_ok() {
            return;
        }
        self.backlog.push_back(entry);
        self.submit();
    }

    /// Queue a cancellation of the operation with this user data.
    pub(crate) fn cancel(&mut self, data: u64) {
        let entry = io_uring::opcode::AsyncCancel::new(data).build().user_data(Kind::Nobody.data(0));
        // SAFETY: the entry names no memory.
        unsafe { self.push(entry) };
    }

    /// Start what is queued and run what the kernel put off, without waiting.
    pub(crate) fn poll(&mut self) {
        if self.has_work() || !self.backlog.is_empty() {
            self.submit();
        }
    }

    /// Completions are there, or will be after `poll`.
    pub(crate) fn has_work(&mut self) -> bool {
        let queue = self.ring.submission();
        let work = !queue.is_empty() || queue.taskrun() || queue.cq_overflow();
        drop(queue);
        work
    }

    pub(crate) fn has_completions(&mut self) -> bool {
        !self.ring.completion().is_empty()
    }

    fn submit(&mut self) {
        loop {
            self.enters += 1;
            match self.ring.submit() {
                Ok(_) => {}
                Err(e) if is_passing(&e) => {}
                Err(e) => panic!("io_uring_enter: {e}"),
            }
            if !self.refill() {
                return;
            }
        }
    }

    /// Move the backlog into the queue. True: the queue is full again and there is more.
    fn refill(&mut self) -> bool {
        let mut queue = self.ring.submission();
        let mut moved = false;
        while let Some(entry) = self.backlog.front() {
            // SAFETY: `push` was promised that it stays valid.
            if unsafe { queue.push(entry) }.is_err() {
                return moved;
            }
            moved = true;
            self.backlog.pop_front();
        }
        false
    }

    /// Start what is queued and sleep until a completion, or `timeout`.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) {
        if !self.backlog.is_empty() {
            self.submit();
        }
        self.enters += 1;
        let result = match timeout {
            None => self.ring.submit_and_wait(1),
            Some(timeout) => {
                let span = Timespec::new().sec(timeout.as_secs()).nsec(timeout.subsec_nanos());
                self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&span))
            }
        };
        match result {
            Ok(_) => {}
            Err(e) if is_passing(&e) || e.raw_os_error() == Some(libc::ETIME) => {}
            Err(e) => panic!("io_uring_enter: {e}"),
        }
    }

    /// Move all completions out.
    pub(crate) fn reap(&mut self, into: &mut Vec<Completion>) {
        into.extend(self.ring.completion().map(|entry| Completion::of(&entry)));
    }
}

/// Interrupted, or short of room until completions are reaped: the loop comes again.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nop(slot: u32) -> squeue::Entry {
        io_uring::opcode::Nop::new().build().user_data(Kind::Send.data(slot))
    }

    #[test]
    fn more_entries_than_fit_all_complete_once() {
        let mut ring = Ring::new(4).unwrap();
        for slot in 0..100 {
            // SAFETY: a no-op names no memory.
            unsafe { ring.push(nop(slot)) };
        }
        let mut seen = Vec::new();
        while seen.len() < 100 {
            ring.poll();
            ring.reap(&mut seen);
        }
        let mut slots: Vec<u32> = seen.iter().map(|c| c.slot).collect();
        slots.sort_unstable();
        assert!(slots.into_iter().eq(0..100));
        assert!(seen.iter().all(|c| c.kind == Kind::Send));
    }

    #[test]
    fn waiting_ends_by_time() {
        let mut ring = Ring::new(4).unwrap();
        let start = std::time::Instant::now();
        ring.wait(Some(Duration::from_millis(20)));
        assert!(start.elapsed() >= Duration::from_millis(19));
        assert!(!ring.has_completions());
    }
}
