//! Listening sockets: multishot accept, and which core gets the connection.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use heddle_border::{Event, ListenerId};
use heddle_model::{Mono, ShardId};
use io_uring::{opcode, types};
use nix::libc;
use nix::sys::socket::{Backlog, listen};
use slab::Slab;

use crate::fault;
use crate::ring::{Completion, Kind, Ring};

/// Connections the kernel completes for us before we accept them.
const BACKLOG: i32 = 1024;
/// How long accepting rests when the process is short of descriptors. Milliseconds.
const REST_MS: u64 = 100;

/// Open connections of each core; a halted core counts as full.
pub(crate) struct Occupancy(Vec<AtomicUsize>);

impl Occupancy {
    pub(crate) fn new(cores: usize) -> Occupancy {
        Occupancy((0..cores).map(|_| AtomicUsize::new(0)).collect())
    }

    /// The core with the fewest connections has one more. `None` if all halted.
    fn assign(&self) -> Option<ShardId> {
        let (core, open) = self.0.iter().enumerate().min_by_key(|(_, open)| open.load(Relaxed))?;
        if open.load(Relaxed) >= usize::MAX / 2 {
            return None;
        }
        open.fetch_add(1, Relaxed);
        Some(ShardId(core as u16))
    }

    /// A connection of `from` becomes one of `to`.
    pub(crate) fn transfer(&self, from: ShardId, to: ShardId) {
        self.0[usize::from(to.0)].fetch_add(1, Relaxed);
        self.release(from);
    }

    pub(crate) fn release(&self, core: ShardId) {
        self.0[usize::from(core.0)].fetch_sub(1, Relaxed);
    }

    pub(crate) fn retire(&self, core: ShardId) {
        self.0[usize::from(core.0)].fetch_add(usize::MAX / 2, Relaxed);
    }
}

struct Listener {
    id: ListenerId,
    socket: TcpListener,
    accepting: bool,
    closing: bool,
}

pub(crate) struct Listeners {
    slots: Slab<Listener>,
    occupancy: Arc<Occupancy>,
    rest_until: Option<Mono>,
}

/// An accepted connection and the core that shall have it.
pub(crate) struct Accepted {
    pub(crate) socket: TcpStream,
    pub(crate) listener: ListenerId,
    pub(crate) to: ShardId,
}

impl Listeners {
    pub(crate) fn new(occupancy: Arc<Occupancy>) -> Listeners {
        Listeners { slots: Slab::new(), occupancy, rest_until: None }
    }

    pub(crate) fn listen(&mut self, id: ListenerId, addr: SocketAddr, ring: &mut Ring, events: &mut VecDeque<Event>) {
        let result = open(addr);
        let result = match result {
            Ok((socket, addr)) => {
                let slot = self.slots.insert(Listener { id, socket, accepting: false, closing: false });
                self.accept(slot, ring);
                Ok(addr)
            }
            Err(e) => Err(fault::from_error(&e)),
        };
        events.push_back(Event::Listening { listener: id, result });
    }

    pub(crate) fn unlisten(&mut self, id: ListenerId, ring: &mut Ring) {
        let found: Vec<usize> = self.slots.iter().filter(|(_, l)| l.id == id).map(|(slot, _)| slot).collect();
        for slot in found {
            self.slots[slot].closing = true;
            if self.slots[slot].accepting {
                ring.cancel(Kind::Accept.data(slot as u32));
            } else {
                self.slots.remove(slot);
            }
        }
    }

    fn accept(&mut self, slot: usize, ring: &mut Ring) {
        let listener = &mut self.slots[slot];
        listener.accepting = true;
        let entry = opcode::AcceptMulti::new(types::Fd(listener.socket.as_raw_fd()))
            .flags(libc::SOCK_CLOEXEC)
            .build()
            .user_data(Kind::Accept.data(slot as u32));
        // SAFETY: no memory; the socket is closed only when the accept has ended.
        unsafe { ring.push(entry) };
    }

    pub(crate) fn on_accept(&mut self, done: Completion, now: Mono, ring: &mut Ring) -> Option<Accepted> {
        let slot = done.slot as usize;
        // SAFETY: an accept's result, when not negative, is a new descriptor that nobody else owns.
        let socket = (done.result >= 0).then(|| unsafe { OwnedFd::from_raw_fd(done.result) });
        let listener = &mut self.slots[slot];
        let (id, closing) = (listener.id, listener.closing);
        if !done.more() {
            listener.accepting = false;
            if closing {
                self.slots.remove(slot);
            } else if socket.is_some() || fault::is_again(done.result) || done.result == -libc::ECONNABORTED {
                self.accept(slot, ring);
            } else {
                // Out of descriptors or memory: accepting at once would fail at once.
                self.rest_until = Some(now.plus_ms(REST_MS));
            }
        }
        let socket = TcpStream::from(socket?);
        if closing {
            return None;
        }
        let to = self.occupancy.assign()?;
        Some(Accepted { socket, listener: id, to })
    }

    /// When `on_time` wants to be called.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        self.rest_until
    }

    pub(crate) fn on_time(&mut self, now: Mono, ring: &mut Ring) {
        if self.rest_until.is_none_or(|at| at > now) {
            return;
        }
        self.rest_until = None;
        let resting: Vec<usize> = self.slots.iter().filter(|(_, l)| !l.accepting).map(|(slot, _)| slot).collect();
        for slot in resting {
            self.accept(slot, ring);
        }
    }

    pub(crate) fn close_all(&mut self, ring: &mut Ring) {
        for (slot, listener) in &mut self.slots {
            listener.closing = true;
            ring.cancel(Kind::Accept.data(slot as u32));
        }
        self.slots.retain(|_, listener| listener.accepting);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.slots.is_empty()
    }
}

/// A listening socket; the standard library sets SO_REUSEADDR.
fn open(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = TcpListener::bind(addr)?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    let addr = socket.local_addr()?;
    Ok((socket, addr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emptiest_core_gets_the_next() {
        let occupancy = Occupancy::new(3);
        let order: Vec<u16> = (0..4).map(|_| occupancy.assign().unwrap().0).collect();
        assert_eq!(order, [0, 1, 2, 0]);
        occupancy.release(ShardId(2));
        assert_eq!(occupancy.assign(), Some(ShardId(2)));
        (0..3).for_each(|core| occupancy.retire(ShardId(core)));
        assert_eq!(occupancy.assign(), None);
    }
}
