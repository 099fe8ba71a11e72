//! A core's mailbox: mail and news from other threads, and whether its owner sleeps.
//!
//! One lock a turn and sender, never held across a call; a sender rings the bell only of a core that said it sleeps.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use heddle_border::{ListenerId, Product, Token};
use heddle_model::ShardId;
use nix::sys::eventfd::EventFd;

/// What reaches a core beside mail.
pub(crate) enum News {
    /// A connection that another core accepted, or had, is this core's.
    Adopt(Arriving),
    Worked {
        token: Token,
        result: Option<Product>,
    },
    Stop,
}

/// A connection on its way to a core.
pub(crate) struct Arriving {
    pub(crate) socket: TcpStream,
    pub(crate) listener: ListenerId,
    /// How often it was a core's before.
    pub(crate) moves: u32,
    /// What came in on it and nobody has acted on, in order.
    pub(crate) unread: Vec<Bytes>,
}

pub(crate) struct Queues<M> {
    pub(crate) mail: VecDeque<(ShardId, M)>,
    pub(crate) news: Vec<News>,
    /// The core halted: what comes is dropped.
    closed: bool,
}

pub(crate) struct Mailbox<M> {
    queues: Mutex<Queues<M>>,
    /// Something may be in the queues.
    full: AtomicBool,
    /// The owner sleeps, or is about to and will look at `full` once more.
    asleep: AtomicBool,
    bell: EventFd,
}

impl<M> Mailbox<M> {
    pub(crate) fn new() -> nix::Result<Mailbox<M>> {
        Ok(Mailbox {
            queues: Mutex::new(Queues { mail: VecDeque::new(), news: Vec::new(), closed: false }),
            full: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            bell: EventFd::new()?,
        })
    }

    /// Put something in. True: the owner sleeps and the caller must wake it.
    #[must_use]
    pub(crate) fn put(&self, fill: impl FnOnce(&mut Queues<M>)) -> bool {
        let mut queues = self.lock();
        if queues.closed {
            return false;
        }
        fill(&mut queues);
        self.full.store(true, SeqCst);
        drop(queues);
        self.asleep.load(SeqCst) && self.asleep.swap(false, SeqCst)
    }

    /// Put something in from a thread without a ring.
    pub(crate) fn put_and_ring(&self, fill: impl FnOnce(&mut Queues<M>)) {
        if self.put(fill) {
            self.ring();
        }
    }

    /// Wake the owner, from any thread.
    pub(crate) fn ring(&self) {
        // An eventfd refuses only at 2^64-1 rings that nobody took; then it is ringing already.
        let _ = self.bell.write(1);
    }

    /// Move everything to the owner's queues, in order.
    pub(crate) fn take(&self, mail: &mut VecDeque<(ShardId, M)>, news: &mut Vec<News>) -> usize {
        if !self.full.load(SeqCst) {
            return 0;
        }
        let mut queues = self.lock();
        self.full.store(false, SeqCst);
        let taken = queues.mail.len();
        if mail.is_empty() {
            std::mem::swap(mail, &mut queues.mail);
        } else {
            mail.append(&mut queues.mail);
        }
        news.append(&mut queues.news);
        taken
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full.load(SeqCst)
    }

    /// Say that the owner is about to sleep. False: something came meanwhile, do not.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, SeqCst);
        if self.full.load(SeqCst) {
            self.asleep.store(false, SeqCst);
            return false;
        }
        true
    }

    pub(crate) fn awake(&self) {
        self.asleep.store(false, SeqCst);
    }

    /// Drop what is there and what will come.
    pub(crate) fn close(&self) {
        let mut queues = self.lock();
        queues.closed = true;
        let old = (std::mem::take(&mut queues.mail), std::mem::take(&mut queues.news));
        drop(queues);
        drop(old);
    }

    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    fn lock(&self) -> MutexGuard<'_, Queues<M>> {
        // Nothing under the lock can panic but an allocation; a core's panic aborts the process anyway.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where one core finds another.
pub(crate) struct Peer<M> {
    pub(crate) mailbox: std::sync::Arc<Mailbox<M>>,
    /// A duplicate of the core's ring, open as long as any core runs, for doorbells.
    pub(crate) ring: OwnedFd,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sleeper_is_rung() {
        let mailbox = Mailbox::<u32>::new().unwrap();
        assert!(!mailbox.put(|q| q.mail.push_back((ShardId(1), 1))));
        assert!(!mailbox.fall_asleep(), "there is mail");
        let (mut mail, mut news) = (VecDeque::new(), Vec::new());
        assert_eq!(mailbox.take(&mut mail, &mut news), 1);
        assert!(mailbox.fall_asleep());
        assert!(mailbox.put(|q| q.mail.push_back((ShardId(1), 2))), "the first wakes it");
        assert!(!mailbox.put(|q| q.mail.push_back((ShardId(1), 3))), "once");
        mailbox.take(&mut mail, &mut news);
        assert_eq!(mail, [(ShardId(1), 1), (ShardId(1), 2), (ShardId(1), 3)]);
    }

    #[test]
    fn a_closed_one_takes_nothing() {
        let mailbox = Mailbox::<u32>::new().unwrap();
        mailbox.close();
        assert!(!mailbox.put(|q| q.mail.push_back((ShardId(1), 1))));
        assert!(!mailbox.is_full());
    }
}
