//! One core's clients. The house calls in with what happened and carries out what is wished.
//!
//! ```text
//! on_received -> inbox -> advance -> start -> handler.start -> asks            (wish.asks)
//! on_answer   -> job   -> flight.on_answer -> reply -> connection.answer -> outbox
//! on_answer   -> follow: a connection whose records go to another core moves there  (api/moving.rs)
//! flush       -> one Send per connection with answers, wake_at                  (once, last in a turn)
//! ```

mod moving;
mod reading;
mod sending;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use heddle_border::{ConnId, Effect, ListenerId, Token};
use heddle_model::limits::ANSWER_SLOTS;
use heddle_model::{Mono, ShardId, Ticket};
use heddle_protocol::{decode_request, split_header, text};
use rustc_hash::FxHashMap;

use crate::admit::{Admission, admit};
use crate::ask::{Answer, View, Wish};
use crate::config::ApiConfig;
use crate::connection::{Connection, FETCH};
use crate::context::{Caller, Closed, Context, Flight, Reply, Shared, Started, WATCH};
use crate::dispatch::APIS;
use crate::fetch_sessions::FetchSessions;
use crate::follow::Origin;
use crate::handlers::api_versions;
use crate::jobs::{Job, JobId, Jobs};
use crate::producer_ids::ProducerIds;
use crate::stats::Stats;

pub use reading::Reading;

pub struct Api {
    home: ShardId,
    /// Of our tokens.
    owner: u32,
    shared: Shared,
    connections: FxHashMap<ConnId, Connection>,
    jobs: Jobs,
    /// Sends on their way: whose, and how many bytes.
    sends: FxHashMap<u32, (ConnId, usize)>,
    next_send: u32,
    /// Connections with something to flush, in the order they got it.
    dirty: Vec<ConnId>,
    /// Connections whose next request waits for an answer slot.
    starved: VecDeque<ConnId>,
    /// Connections that move to another core when nothing of them is under way.
    leaving: Vec<ConnId>,
    asks_under_way: usize,
    watches_under_way: usize,
    unsent_bytes: usize,
    job_bytes: usize,
    inbox_bytes: usize,
    reading: Reading,
    /// Connections by the frame that has begun to arrive and has not ended, in the order these began.
    partials: BTreeMap<u64, ConnId>,
    frames_begun: u64,
    /// The one that is read while only the oldest frame is, and since when it brought nothing.
    oldest: Option<(ConnId, Mono)>,
    draining: bool,
    idle_check_at: Option<Mono>,
    stats: Stats,
}

impl Api {
    /// `owner` marks the tokens of this room's sends.
    pub fn new(home: ShardId, owner: u32, config: ApiConfig) -> Api {
        let sessions = FetchSessions::new(home, config.fetch_sessions_max);
        Api {
            home,
            owner,
            shared: Shared { config, sessions, producer_ids: ProducerIds::default() },
            connections: FxHashMap::default(),
            jobs: Jobs::default(),
            sends: FxHashMap::default(),
            next_send: 0,
            dirty: Vec::new(),
            starved: VecDeque::new(),
            leaving: Vec::new(),
            asks_under_way: 0,
            watches_under_way: 0,
            unsent_bytes: 0,
            job_bytes: 0,
            inbox_bytes: 0,
            reading: Reading::All,
            partials: BTreeMap::new(),
            frames_begun: 0,
            oldest: None,
            draining: false,
            idle_check_at: None,
            stats: Stats::new(),
        }
    }

    /// `_listener` will say what security applies; there is one kind so far. `moves`: how often it was another core's
    /// before.
    pub fn on_opened(
        &mut self,
        conn: ConnId,
        peer: SocketAddr,
        _listener: ListenerId,
        moves: u32,
        view: &View<'_>,
        wish: &mut Wish,
    ) {
        self.stats.connections_opened += u64::from(moves == 0);
        let mut connection = Connection::new(peer, moves, view.now.mono);
        if self.reading != Reading::All {
            connection.paused = true;
            wish.effects.push(Effect::Pause { conn });
        }
        let known = self.connections.insert(conn, connection);
        assert!(known.is_none(), "a connection id is used once");
        if self.draining {
            self.close(conn, Closed::Stopping, view, wish);
        } else if moves == 0 && self.connections.len() > self.shared.config.connections_max {
            self.close(conn, Closed::TooManyConnections, view, wish);
        }
        if self.idle_check_at.is_none() {
            self.idle_check_at = Some(view.now.mono.plus_ms(self.shared.config.idle_ms));
        }
    }

    pub fn on_received(&mut self, conn: ConnId, bytes: Bytes, view: &View<'_>, wish: &mut Wish) {
        let draining = self.draining;
        let taken = self.connections.get_mut(&conn).filter(|connection| !connection.closing && !draining);
        let Some(connection) = taken else { return };
        self.stats.bytes_in += bytes.len() as u64;
        connection.last_active = view.now.mono;
        let (held, frames) = (connection.inbox.held_bytes(), connection.inbox.len());
        let pushed = connection.inbox.push(bytes, self.shared.config.request_bytes_max);
        self.inbox_bytes = self.inbox_bytes - held + connection.inbox.held_bytes();
        let ended = connection.inbox.len() > frames;
        self.note_partial(conn, ended, view, wish);
        if pushed.is_err() {
            return self.close(conn, Closed::FrameSize, view, wish);
        }
        self.advance(conn, view, wish);
    }

    /// The send with this token left, or was dropped with its connection.
    pub fn on_sent(&mut self, token: Token, view: &View<'_>, wish: &mut Wish) {
        let Some((conn, bytes)) = self.sends.remove(&token.seq) else { return };
        self.unsent_bytes -= bytes;
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.unsent_bytes -= bytes;
            connection.last_active = view.now.mono;
            connection.moved = view.now.mono;
            self.advance(conn, view, wish);
        }
    }

    /// The connection ended. Nothing is sent on it any more.
    pub fn on_closed(&mut self, conn: ConnId, view: &View<'_>, wish: &mut Wish) {
        self.abandon(conn, view, wish);
        let Some(connection) = self.connections.remove(&conn) else { return };
        // What was never handed out; the rest is told as sent.
        self.unsent_bytes -= connection.outbox.iter().map(Bytes::len).sum::<usize>();
    }

    /// The one answer to an ask. Late ones are dropped.
    pub fn on_answer(&mut self, ticket: Ticket, answer: Answer, from: Origin, view: &View<'_>, wish: &mut Wish) {
        let is_watch = ticket.part & WATCH != 0;
        let under_way = if is_watch { &mut self.watches_under_way } else { &mut self.asks_under_way };
        *under_way = under_way.checked_sub(1).expect("an ask is answered once");
        let id = JobId { slot: ticket.slot, generation: ticket.generation };
        self.follow(id, from, view);
        self.step(id, view, wish, |flight, cx| flight.on_answer(ticket.part & !WATCH, answer, cx));
    }

    /// Deadlines of requests, idle connections. Due at `Wish::wake_at`; may be called at any time.
    pub fn on_time(&mut self, view: &View<'_>, wish: &mut Wish) {
        while let Some(id) = self.jobs.due(view.now.mono) {
            self.step(id, view, wish, |flight, cx| {
                cx.deadline = None;
                flight.on_deadline(cx)
            });
        }
        if self.idle_check_at.is_some_and(|at| at <= view.now.mono) {
            self.close_idle(view, wish);
        }
        self.close_stalled(view, wish);
    }

    /// A new image, and the configs in it. Requests read it when they start and finish; none waits for one.
    pub fn on_image(&mut self, view: &View<'_>, _wish: &mut Wish) {
        self.shared.config.follow(view.image.config());
    }

    /// Stop: take no further request, answer those under way, close.
    pub fn drain(&mut self, view: &View<'_>, wish: &mut Wish) {
        self.draining = true;
        self.partials.clear();
        self.oldest = None;
        for id in self.jobs.ids() {
            self.step(id, view, wish, |flight, cx| if flight.is_idle_wait() { flight.on_deadline(cx) } else { None });
        }
        for conn in self.sorted_connections() {
            if let Some(connection) = self.connections.get_mut(&conn) {
                self.inbox_bytes -= connection.inbox.held_bytes();
                connection.inbox.clear();
                if connection.is_quiet() {
                    self.close(conn, Closed::Stopping, view, wish);
                }
            }
        }
    }

    /// After `drain`: every connection ended and every ask was answered.
    pub fn is_drained(&self) -> bool {
        self.draining && self.connections.is_empty() && self.asks_under_way + self.watches_under_way == 0
    }

    /// The last call of a turn: everything answered in it leaves, one send for each connection.
    pub fn flush(&mut self, view: &View<'_>, wish: &mut Wish) {
        // Each once: who still may not start is back at the end of the line.
        for _ in 0..self.starved.len() {
            if self.asks_under_way >= ANSWER_SLOTS {
                break;
            }
            let Some(conn) = self.starved.pop_front() else { break };
            if let Some(connection) = self.connections.get_mut(&conn) {
                connection.starved = false;
            }
            self.advance(conn, view, wish);
        }
        for conn in std::mem::take(&mut self.dirty) {
            self.send(conn, wish);
        }
        self.see_off(view, wish);
        self.stats.connections = self.connections.len();
        self.stats.in_flight = self.jobs.under_way();
        self.stats.asks = self.asks_under_way + self.watches_under_way;
        self.stats.fetch_sessions = self.shared.sessions.len();
        wish.wake_at = self.jobs.next_deadline().into_iter().chain(self.idle_check_at).chain(self.stalls_at()).min();
    }

    /// As of the last flush.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Requests, unsent answers and fetch sessions held, bytes.
    pub fn memory(&self) -> usize {
        self.request_bytes() + self.unsent_bytes + self.shared.sessions.kept_bytes()
    }

    /// Requests held, whole or in part, waiting or under way. Bytes. Reading less keeps them from growing; unsent answers
    /// it would not, as those wait for their readers.
    pub fn request_bytes(&self) -> usize {
        self.inbox_bytes + self.job_bytes
    }

    /// Start what may start, and read or rest accordingly.
    fn advance(&mut self, conn: ConnId, view: &View<'_>, wish: &mut Wish) {
        while let Some(connection) = self.connections.get_mut(&conn) {
            let Some(frame) = connection.inbox.front() else { break };
            // A frame too short for a key starts at once, and is refused there.
            let key = frame.first_chunk::<2>().map_or(-1, |key| i16::from_be_bytes(*key));
            if !connection.may_start(key) {
                break;
            }
            // What a fetch reads stays in memory until its peer took it; others do not wait for that.
            let full = key == FETCH && self.unsent_bytes >= self.shared.config.unsent_bytes_max;
            if self.asks_under_way >= ANSWER_SLOTS || full {
                if !connection.starved {
                    connection.starved = true;
                    self.starved.push_back(conn);
                }
                break;
            }
            let Some(frame) = connection.inbox.pop() else { break };
            self.inbox_bytes -= frame.len();
            self.start(conn, key, frame, view, wish);
        }
        self.adjust_reading(conn, wish);
    }

    fn start(&mut self, conn: ConnId, key: i16, frame: Bytes, view: &View<'_>, wish: &mut Wish) {
        let (head, api) = match admit(&frame) {
            Admission::Serve(head, api) => (head, api),
            Admission::UnknownApiVersions(head) => {
                let Some(connection) = self.connections.get_mut(&conn) else { return };
                let place = connection.open_place(key);
                return self.complete(conn, place, api_versions::unknown_version(head), view, wish);
            }
            Admission::Refuse(why) => return self.close(conn, why, view, wish),
        };
        let frame_bytes = frame.len();
        let decoded = split_header(frame).ok().and_then(|(header, body)| {
            let request = decode_request(head.key, head.version, body).ok()?;
            Some((header, request))
        });
        let Some((header, request)) = decoded else { return self.close(conn, Closed::Malformed, view, wish) };
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let place = connection.open_place(key);
        let mut caller = Caller { peer: connection.peer, head: header.head, client_id: header.client_id };
        let id = self.jobs.reserve();
        let (room, watches) = (self.room(), self.watches_under_way);
        let mut cx = Context {
            view,
            caller: &caller,
            shared: &mut self.shared,
            wish,
            home: self.home,
            job: id,
            parts: 0,
            asked: 0,
            watched: 0,
            watches,
            room,
            deadline: None,
        };
        let started = (APIS[api].start)(request, &mut cx);
        let (parts, asked, watched, deadline) = (cx.parts, cx.asked, cx.watched, cx.deadline);
        self.asks_under_way += asked;
        self.watches_under_way += watched;
        match started {
            Started::Done(reply) => {
                self.jobs.release(id);
                self.stats.apis[api].on_reply(0, &reply);
                self.complete(conn, place, reply, view, wish);
            }
            Started::Waiting(flight) => {
                let started = view.now.mono;
                let held_bytes = flight.held_bytes(frame_bytes);
                if held_bytes != frame_bytes {
                    // The frame goes, and with it the client's name.
                    caller.client_id = caller.client_id.as_deref().map(text);
                }
                self.job_bytes += held_bytes;
                if let Some(connection) = self.connections.get_mut(&conn) {
                    connection.set_job(place, id);
                }
                self.jobs.insert(
                    id,
                    Job { conn, place, caller, api, started, held_bytes, parts, deadline, due: None, flight },
                );
            }
        }
    }

    /// Let a job act. Nothing happens if it is over.
    fn step(
        &mut self,
        id: JobId,
        view: &View<'_>,
        wish: &mut Wish,
        act: impl FnOnce(&mut dyn Flight, &mut Context<'_>) -> Option<Reply>,
    ) {
        let Some(mut job) = self.jobs.take(id) else { return };
        let (room, watches) = (self.room(), self.watches_under_way);
        let mut cx = Context {
            view,
            caller: &job.caller,
            shared: &mut self.shared,
            wish,
            home: self.home,
            job: id,
            parts: job.parts,
            asked: 0,
            watched: 0,
            watches,
            room,
            deadline: job.deadline,
        };
        let reply = act(job.flight.as_mut(), &mut cx);
        let (parts, asked, watched, deadline) = (cx.parts, cx.asked, cx.watched, cx.deadline);
        (job.parts, job.deadline) = (parts, deadline);
        self.asks_under_way += asked;
        self.watches_under_way += watched;
        let Some(reply) = reply else { return self.jobs.put_back(id, job) };
        self.jobs.end(id, job.due);
        self.job_bytes -= job.held_bytes;
        self.stats.apis[job.api].on_reply(view.now.mono.since_us(job.started), &reply);
        self.complete(job.conn, job.place, reply, view, wish);
        self.advance(job.conn, view, wish);
    }

    /// A request's end reaches its connection.
    fn complete(&mut self, conn: ConnId, place: u64, reply: Reply, view: &View<'_>, wish: &mut Wish) {
        let parts = match reply {
            Reply::Send { parts, .. } => parts,
            Reply::Nothing => Vec::new(),
            Reply::Close(why) => return self.close(conn, why, view, wish),
        };
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let unsent = connection.unsent_bytes;
        if unsent == 0 {
            connection.moved = view.now.mono;
        }
        connection.answer(place, parts);
        self.unsent_bytes += connection.unsent_bytes - unsent;
        if !connection.outbox.is_empty() {
            self.touch(conn);
        }
        if self.draining && self.connections.get(&conn).is_some_and(Connection::is_quiet) {
            self.close(conn, Closed::Stopping, view, wish);
        }
    }

    /// Take nothing more from the connection; it ends after what was answered has left.
    fn close(&mut self, conn: ConnId, why: Closed, view: &View<'_>, wish: &mut Wish) {
        let Some(connection) = self.connections.get_mut(&conn).filter(|connection| !connection.closing) else { return };
        connection.closing = true;
        *self.stats.closed.entry(why.name()).or_default() += 1;
        self.abandon(conn, view, wish);
        self.touch(conn);
    }

    /// Forget the requests under way on a connection.
    fn abandon(&mut self, conn: ConnId, view: &View<'_>, wish: &mut Wish) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        self.inbox_bytes -= connection.inbox.held_bytes();
        connection.inbox.clear();
        let unsent = connection.unsent_bytes;
        let jobs = connection.abandon();
        self.unsent_bytes -= unsent - connection.unsent_bytes;
        self.note_partial(conn, true, view, wish);
        for id in jobs {
            // The job being worked on right now has been taken out already.
            let Some(mut job) = self.jobs.take(id) else { continue };
            let mut cx = Context {
                view,
                caller: &job.caller,
                shared: &mut self.shared,
                wish,
                home: self.home,
                job: id,
                parts: job.parts,
                asked: 0,
                watched: 0,
                watches: self.watches_under_way,
                room: 0,
                deadline: None,
            };
            job.flight.on_gone(&mut cx);
            assert_eq!(cx.asked + cx.watched, 0, "who is gone asks nothing");
            self.job_bytes -= job.held_bytes;
            self.jobs.end(id, job.due);
        }
    }

    fn close_idle(&mut self, view: &View<'_>, wish: &mut Wish) {
        let now = view.now.mono;
        let idle_ms = self.shared.config.idle_ms;
        for conn in self.sorted_connections() {
            let Some(connection) = self.connections.get_mut(&conn) else { continue };
            if connection.paused {
                // Who is not read has no chance to say anything.
                connection.last_active = now;
            }
            let is_idle = connection.is_quiet() && connection.unsent_bytes == 0;
            if is_idle && connection.last_active.plus_ms(idle_ms) <= now {
                self.close(conn, Closed::Idle, view, wish);
            } else if connection.unsent_bytes > 0 && connection.moved.plus_ms(idle_ms) <= now {
                self.close(conn, Closed::Unread, view, wish);
            }
        }
        // A sweep at a tenth of the time: a connection closes at most that much later than it could.
        self.idle_check_at = if self.connections.is_empty() { None } else { Some(now.plus_ms((idle_ms / 10).max(1))) };
    }

    fn touch(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.get_mut(&conn).filter(|connection| !connection.dirty) {
            connection.dirty = true;
            self.dirty.push(conn);
        }
    }

    fn sorted_connections(&self) -> Vec<ConnId> {
        let mut all: Vec<ConnId> = self.connections.keys().copied().collect();
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests;
