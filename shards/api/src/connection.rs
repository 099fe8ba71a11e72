//! One client connection: what waits, what is under way, and in which order answers leave.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use heddle_model::limits::PIPELINE_REQUESTS_MAX;
use heddle_model::{Mono, ShardId};

use crate::follow::Follow;
use crate::inbox::Inbox;
use crate::jobs::JobId;

/// Whole frames that may wait before the socket is no longer read. Bytes.
const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// Answers handed out but not yet on the network, above which no further request starts. Bytes.
const UNSENT_BYTES_MAX: usize = 1024 * 1024;

/// Keys of the requests that a connection treats in their own way.
pub(crate) const PRODUCE: i16 = 0;
pub(crate) const FETCH: i16 = 1;

pub(crate) struct Connection {
    pub peer: SocketAddr,
    pub inbox: Inbox,
    /// Requests under way, oldest first; an answer leaves when it is the first.
    places: VecDeque<Place>,
    /// The number of `places[0]`.
    first_place: u64,
    /// Answers of this turn, in order.
    pub outbox: Vec<Bytes>,
    /// Of answers that have not left, in their place or on their way.
    pub unsent_bytes: usize,
    pub last_active: Mono,
    /// When the peer last took something, or got something to take.
    pub moved: Mono,
    /// The number of the frame that has begun to arrive and has not ended.
    pub partial: Option<u64>,
    pub paused: bool,
    /// No further request is taken; it closes when the last answer has left.
    pub closing: bool,
    /// `Effect::Close` was given.
    pub closed: bool,
    /// Already in the list of connections to flush.
    pub dirty: bool,
    /// Already in the list of connections that wait for an answer slot.
    pub starved: bool,
    pub follow: Follow,
    /// It has fetched: its fetch sessions are on this core.
    pub fetches: bool,
    /// The core it moves to when what is under way has been answered; no further request starts here.
    pub leaving: Option<ShardId>,
}

struct Place {
    key: i16,
    job: Option<JobId>,
    /// `Some` once answered; empty if nothing is to be sent.
    answer: Option<Vec<Bytes>>,
}

impl Connection {
    /// `moves`: how often it was another core's before.
    pub fn new(peer: SocketAddr, moves: u32, now: Mono) -> Connection {
        Connection {
            peer,
            inbox: Inbox::default(),
            places: VecDeque::new(),
            first_place: 0,
            outbox: Vec::new(),
            unsent_bytes: 0,
            last_active: now,
            moved: now,
            partial: None,
            paused: false,
            closing: false,
            closed: false,
            dirty: false,
            starved: false,
            follow: Follow::new(moves, now),
            fetches: false,
            leaving: None,
        }
    }

    /// Only Produce after Produce overlaps; any other request starts when those before it are answered.
    pub fn may_start(&self, key: i16) -> bool {
        if self.closing || self.leaving.is_some() || self.unsent_bytes > UNSENT_BYTES_MAX {
            return false;
        }
        self.places.is_empty()
            || (key == PRODUCE
                && self.places.len() < PIPELINE_REQUESTS_MAX
                && self.places.iter().all(|place| place.key == PRODUCE))
    }

    /// Whether reading the socket has to rest until requests have been worked off.
    pub fn is_full(&self) -> bool {
        self.inbox.len() >= PIPELINE_REQUESTS_MAX || self.inbox.frame_bytes() > WAITING_BYTES_MAX
    }

    pub fn is_quiet(&self) -> bool {
        self.places.is_empty()
    }

    /// Nothing of it is under way in either direction.
    pub fn may_leave(&self) -> bool {
        self.places.is_empty() && self.unsent_bytes == 0
    }

    pub fn open_place(&mut self, key: i16) -> u64 {
        self.fetches |= key == FETCH;
        self.places.push_back(Place { key, job: None, answer: None });
        self.first_place + self.places.len() as u64 - 1
    }

    pub fn set_job(&mut self, place: u64, job: JobId) {
        self.place(place).job = Some(job);
    }

    /// The answer of a request; it and those ready behind it move to the outbox when it is the oldest.
    pub fn answer(&mut self, place: u64, parts: Vec<Bytes>) {
        self.unsent_bytes += bytes_of(&parts);
        let open = self.place(place);
        assert!(open.answer.is_none(), "a request is answered once");
        open.answer = Some(parts);
        while let Some(Place { answer: Some(parts), .. }) = self.places.front_mut() {
            self.outbox.append(parts);
            self.places.pop_front();
            self.first_place += 1;
        }
    }

    /// Forget every request under way; returns the jobs that worked on them.
    pub fn abandon(&mut self) -> Vec<JobId> {
        self.first_place += self.places.len() as u64;
        let answers = self.places.iter().filter_map(|place| place.answer.as_ref());
        self.unsent_bytes -= answers.map(|parts| bytes_of(parts)).sum::<usize>();
        self.places.drain(..).filter(|place| place.answer.is_none()).filter_map(|place| place.job).collect()
    }

    fn place(&mut self, number: u64) -> &mut Place {
        let at = number.checked_sub(self.first_place).expect("a place is open until it is answered");
        &mut self.places[at as usize]
    }
}

fn bytes_of(parts: &[Bytes]) -> usize {
    parts.iter().map(Bytes::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        Connection::new(SocketAddr::from(([127, 0, 0, 1], 9)), 0, Mono(0))
    }

    #[test]
    fn answers_leave_in_request_order() {
        let mut connection = connection();
        let places: Vec<u64> = (0..3).map(|_| connection.open_place(PRODUCE)).collect();
        connection.answer(places[1], vec![Bytes::from_static(b"b")]);
        assert!(connection.outbox.is_empty());
        connection.answer(places[0], vec![Bytes::from_static(b"a")]);
        assert_eq!(connection.outbox.concat(), b"ab");
        connection.answer(places[2], Vec::new());
        assert_eq!(connection.outbox.concat(), b"ab");
        assert!(connection.is_quiet());
    }

    #[test]
    fn only_produce_overlaps_produce() {
        let mut connection = connection();
        assert!(connection.may_start(3));
        let first = connection.open_place(PRODUCE);
        assert!(connection.may_start(PRODUCE) && !connection.may_start(3));
        connection.answer(first, Vec::new());
        connection.open_place(3);
        assert!(!connection.may_start(PRODUCE) && !connection.may_start(3));
    }

    #[test]
    fn the_pipeline_is_bounded_at_its_limit() {
        let mut connection = connection();
        for _ in 0..PIPELINE_REQUESTS_MAX {
            assert!(connection.may_start(PRODUCE));
            connection.open_place(PRODUCE);
        }
        assert!(!connection.may_start(PRODUCE));
    }
}
