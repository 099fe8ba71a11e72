//! The connections of one core.
//!
//! A connection is `Open`; then `Flushing` (the machine closed it, sends are still leaving), then `Draining` (all is
//! sent, our side is shut, what the peer still says is thrown away, so that no reset overtakes our last bytes); then
//! `Ended`, until the kernel gave all its memory back. `Closed` is told on leaving `Open`/`Flushing`, once. One that moves
//! to another core is `Leaving` until its last receive here has ended, so that no byte is read twice or out of order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use bytes::Bytes;
use heddle_border::{ConnId, Event, ListenerId, Token};
use heddle_model::{Mono, ShardId};
use io_uring::{opcode, types};
use nix::libc;
use slab::Slab;

use crate::fault;
use crate::listen::Occupancy;
use crate::mailbox::Arriving;
use crate::outbox::Outbox;
use crate::pool::{GROUP, Pool};
use crate::ring::{Completion, Kind, Ring};
use crate::stats::Counters;

/// A connection's id is its slot and, above these bits, a number that is never used twice.
const SLOT_BITS: u32 = 24;
/// How long a closed connection may stand still while its last sends leave. Milliseconds.
const FLUSH_MS: u64 = 10_000;
/// How long we listen to a peer after our last byte. Milliseconds.
const DRAIN_MS: u64 = 1_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Open,
    Flushing,
    Draining,
    Leaving,
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Receiving {
    Idle,
    Armed,
    /// Cancelled, its last completion is still to come.
    Ending,
}

struct Conn {
    id: ConnId,
    socket: TcpStream,
    listener: ListenerId,
    phase: Phase,
    receiving: Receiving,
    paused: bool,
    outbox: Outbox,
    /// When the peer last took something.
    moved: Mono,
    /// How often it was another core's before.
    moves: u32,
    /// Where a leaving one goes.
    to: ShardId,
    /// What a leaving one takes along, in order.
    unread: Vec<Bytes>,
}

pub(crate) struct Net {
    me: ShardId,
    conns: Slab<Conn>,
    opened: u64,
    pool: Pool,
    deadlines: BinaryHeap<Reverse<(Mono, ConnId)>>,
    occupancy: Arc<Occupancy>,
    /// Those that have left, and where they go.
    left: Vec<(Arriving, ShardId)>,
}

/// What a step of the network needs beside its own state.
pub(crate) struct Step<'a> {
    pub(crate) ring: &'a mut Ring,
    pub(crate) events: &'a mut VecDeque<Event>,
    pub(crate) now: Mono,
    pub(crate) counters: &'a Counters,
}

impl Net {
    pub(crate) fn new(me: ShardId, pool: Pool, occupancy: Arc<Occupancy>) -> Net {
        Net { me, conns: Slab::new(), opened: 0, pool, deadlines: BinaryHeap::new(), occupancy, left: Vec::new() }
    }

    /// A connection is this core's now. One that its peer has given up already is dropped without a word.
    pub(crate) fn adopt(&mut self, arriving: Arriving, step: &mut Step<'_>) {
        let Arriving { socket, listener, moves, unread } = arriving;
        let peer = match (socket.set_nodelay(true), socket.peer_addr()) {
            (Ok(()), Ok(peer)) if self.conns.vacant_key() < 1 << SLOT_BITS => peer,
            _ => return self.occupancy.release(self.me),
        };
        let entry = self.conns.vacant_entry();
        let slot = entry.key();
        let id = ConnId(self.opened << SLOT_BITS | slot as u64);
        self.opened += 1;
        entry.insert(Conn {
            id,
            socket,
            listener,
            phase: Phase::Open,
            receiving: Receiving::Idle,
            paused: false,
            outbox: Outbox::new(),
            moved: step.now,
            moves,
            to: self.me,
            unread: Vec::new(),
        });
        step.counters.accepted.add(u64::from(moves == 0));
        step.events.push_back(Event::Opened { conn: id, listener, peer, moves });
        let unread = unread.into_iter().filter(|bytes| !bytes.is_empty());
        step.events.extend(unread.map(|bytes| Event::Received { conn: id, bytes }));
        self.receive(slot, step);
    }

    /// Hand a connection to another core, with `unread` and whatever its machine has not been told yet.
    pub(crate) fn leave(&mut self, conn: ConnId, to: ShardId, unread: Vec<Bytes>, step: &mut Step<'_>) {
        let Some(slot) = self.find(conn).filter(|slot| self.conns[*slot].phase == Phase::Open) else { return };
        let leaving = &mut self.conns[slot];
        assert!(leaving.outbox.is_empty(), "all that was sent on a connection has left before it moves");
        (leaving.phase, leaving.to, leaving.unread) = (Phase::Leaving, to, unread);
        for event in std::mem::take(step.events) {
            match event {
                Event::Received { conn: of, bytes } if of == conn => leaving.unread.push(bytes),
                other => step.events.push_back(other),
            }
        }
        if leaving.receiving == Receiving::Armed {
            leaving.receiving = Receiving::Ending;
            step.ring.cancel(Kind::Receive.data(slot as u32));
        }
        self.finish_leaving(slot, step);
    }

    /// A connection that has left, and where it goes.
    pub(crate) fn take_left(&mut self) -> Option<(Arriving, ShardId)> {
        self.left.pop()
    }

    /// With its last receive ended, nothing of it is here any more.
    fn finish_leaving(&mut self, slot: usize, step: &mut Step<'_>) {
        if self.conns[slot].receiving != Receiving::Idle {
            return;
        }
        let Conn { id, socket, listener, moves, to, unread, .. } = self.conns.remove(slot);
        step.events.push_back(Event::Closed { conn: id });
        self.occupancy.transfer(self.me, to);
        self.left.push((Arriving { socket, listener, moves: moves + 1, unread }, to));
    }

    pub(crate) fn send(&mut self, conn: ConnId, token: Token, parts: Vec<Bytes>, step: &mut Step<'_>) {
        match self.find(conn) {
            Some(slot) if self.conns[slot].phase == Phase::Open => {
                self.conns[slot].outbox.push(token, parts);
                self.flush(slot, step);
            }
            _ => step.events.push_back(Event::Sent { conn, token }),
        }
    }

    pub(crate) fn pause(&mut self, conn: ConnId, step: &mut Step<'_>) {
        let Some(slot) = self.find(conn) else { return };
        let conn = &mut self.conns[slot];
        if conn.phase == Phase::Open {
            conn.paused = true;
            if conn.receiving == Receiving::Armed {
                conn.receiving = Receiving::Ending;
                step.ring.cancel(Kind::Receive.data(slot as u32));
            }
        }
    }

    pub(crate) fn resume(&mut self, conn: ConnId, step: &mut Step<'_>) {
        let Some(slot) = self.find(conn) else { return };
        self.conns[slot].paused = false;
        self.receive(slot, step);
    }

    pub(crate) fn close(&mut self, conn: ConnId, step: &mut Step<'_>) {
        let Some(slot) = self.find(conn) else { return };
        if self.conns[slot].phase == Phase::Open {
            self.conns[slot].phase = Phase::Flushing;
            self.conns[slot].moved = step.now;
            self.deadlines.push(Reverse((step.now.plus_ms(FLUSH_MS), conn)));
            self.flush(slot, step);
        }
    }

    pub(crate) fn on_received(&mut self, done: Completion, step: &mut Step<'_>) {
        let slot = done.slot as usize;
        let conn = &mut self.conns[slot];
        if !done.more() {
            conn.receiving = Receiving::Idle;
        }
        if let Some(buffer) = done.buffer() {
            if done.result > 0 && conn.phase == Phase::Open {
                let bytes = self.pool.take(buffer, done.result as usize);
                step.counters.received_bytes.add(bytes.len() as u64);
                step.events.push_back(Event::Received { conn: conn.id, bytes });
            } else if done.result > 0 && conn.phase == Phase::Leaving {
                conn.unread.push(self.pool.take(buffer, done.result as usize));
            } else {
                self.pool.give_back(buffer);
            }
        }
        if conn.phase == Phase::Ended {
            return self.end(slot, step);
        }
        if done.result == 0 && conn.phase == Phase::Flushing {
            // The peer will say no more, but may well read what is still leaving.
            return;
        }
        // Cancelled, out of buffers for a moment (they are back by now) or interrupted: the stream goes on.
        let goes_on = done.result > 0
            || fault::is_again(done.result)
            || matches!(-done.result, libc::ECANCELED | libc::ENOBUFS if done.result < 0);
        if goes_on && conn.phase == Phase::Leaving {
            self.finish_leaving(slot, step);
        } else if goes_on {
            self.receive(slot, step);
        } else {
            self.end(slot, step);
        }
    }

    pub(crate) fn on_sent(&mut self, done: Completion, step: &mut Step<'_>) {
        let slot = done.slot as usize;
        let conn = &mut self.conns[slot];
        let id = conn.id;
        if done.result > 0 {
            step.counters.sent_bytes.add(done.result as u64);
            conn.moved = step.now;
            conn.outbox.on_sent(done.result as usize, |token| step.events.push_back(Event::Sent { conn: id, token }));
        } else {
            conn.outbox.on_failed();
            if !fault::is_again(done.result) {
                return self.end(slot, step);
            }
        }
        if conn.phase == Phase::Ended { self.end(slot, step) } else { self.flush(slot, step) }
    }

    /// When `on_time` wants to be called.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    pub(crate) fn on_time(&mut self, step: &mut Step<'_>) {
        while self.deadline().is_some_and(|at| at <= step.now) {
            let Some(Reverse((_, conn))) = self.deadlines.pop() else { break };
            let Some(slot) = self.find(conn) else { continue };
            let moved = self.conns[slot].moved.plus_ms(FLUSH_MS);
            if self.conns[slot].phase == Phase::Flushing && moved > step.now {
                self.deadlines.push(Reverse((moved, conn)));
            } else {
                self.end(slot, step);
            }
        }
    }

    /// End everything at once, for a core that halts.
    pub(crate) fn end_all(&mut self, step: &mut Step<'_>) {
        let slots: Vec<usize> = self.conns.iter().map(|(slot, _)| slot).collect();
        slots.into_iter().for_each(|slot| self.end(slot, step));
    }

    /// Every send has left or failed.
    pub(crate) fn is_flushed(&self) -> bool {
        self.conns.iter().all(|(_, conn)| conn.outbox.is_empty() || conn.phase == Phase::Ended)
    }

    /// The kernel holds no memory of this core's connections.
    pub(crate) fn is_idle(&self) -> bool {
        self.conns.is_empty()
    }

    fn find(&self, conn: ConnId) -> Option<usize> {
        let slot = (conn.0 & ((1 << SLOT_BITS) - 1)) as usize;
        self.conns.get(slot).filter(|found| found.id == conn).map(|_| slot)
    }

    fn receive(&mut self, slot: usize, step: &mut Step<'_>) {
        let conn = &mut self.conns[slot];
        let wanted = match conn.phase {
            Phase::Open => !conn.paused,
            Phase::Flushing | Phase::Leaving | Phase::Ended => false,
            Phase::Draining => true,
        };
        if !wanted || conn.receiving != Receiving::Idle {
            return;
        }
        conn.receiving = Receiving::Armed;
        let entry = opcode::RecvMulti::new(types::Fd(conn.socket.as_raw_fd()), GROUP).build();
        // SAFETY: the pool's buffers and the socket outlive the receive: both wait for its last completion.
        unsafe { step.ring.push(entry.user_data(Kind::Receive.data(slot as u32))) };
    }

    /// Send what waits; when nothing is left of a closed connection, say goodbye.
    fn flush(&mut self, slot: usize, step: &mut Step<'_>) {
        let conn = &mut self.conns[slot];
        let (id, fd) = (conn.id, types::Fd(conn.socket.as_raw_fd()));
        let sent = |token| step.events.push_back(Event::Sent { conn: id, token });
        if let Some(entry) = conn.outbox.next(fd, sent) {
            // SAFETY: the outbox keeps parts, vectors and header in place until the operation has ended, and the
            // socket is closed only then.
            unsafe { step.ring.push(entry.user_data(Kind::Send.data(slot as u32))) };
        } else if conn.phase == Phase::Flushing && conn.outbox.is_empty() {
            conn.phase = Phase::Draining;
            step.counters.closed.add(1);
            step.events.push_back(Event::Closed { conn: id });
            self.deadlines.push(Reverse((step.now.plus_ms(DRAIN_MS), id)));
            // It fails only where the peer is gone, which the receive will tell.
            let _ = conn.socket.shutdown(Shutdown::Write);
            self.receive(slot, step);
        }
    }

    /// The stream is over, or given up. Called again whenever the kernel gave something back.
    fn end(&mut self, slot: usize, step: &mut Step<'_>) {
        let conn = &mut self.conns[slot];
        let id = conn.id;
        if conn.phase != Phase::Ended {
            if conn.phase != Phase::Draining {
                step.counters.closed.add(1);
                step.events.push_back(Event::Closed { conn: id });
            }
            conn.phase = Phase::Ended;
            // Ends what the kernel has in flight on the socket; it fails only where the peer was faster.
            let _ = conn.socket.shutdown(Shutdown::Both);
            if conn.receiving == Receiving::Armed {
                conn.receiving = Receiving::Ending;
                step.ring.cancel(Kind::Receive.data(slot as u32));
            }
        }
        if conn.outbox.is_busy() {
            return;
        }
        conn.outbox.drop_all(|token| step.events.push_back(Event::Sent { conn: id, token }));
        if conn.receiving == Receiving::Idle {
            self.conns.remove(slot);
            self.occupancy.release(self.me);
        }
    }
}
