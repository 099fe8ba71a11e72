//! Which sockets are read while memory or the journal is short.

use heddle_border::{ConnId, Effect};
use heddle_model::Mono;

use crate::ask::{View, Wish};
use crate::context::Closed;

use super::Api;

/// Which sockets are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    All,
    /// Memory is short: only the one whose unfinished frame began first, for that frame is let go when it has ended and
    /// not before.
    OldestFrame,
    /// The journal is short: what comes in would have no place to go.
    Nothing,
}

/// How long the only frame that is read may bring nothing. Milliseconds.
const STALLED_FRAME_MS: u64 = 10_000;

impl Api {
    /// Memory or journal pressure: which sockets are read from now on.
    pub fn read_sockets(&mut self, reading: Reading, view: &View<'_>, wish: &mut Wish) {
        self.reading = reading;
        self.oldest = None;
        self.choose_oldest(view.now.mono);
        for conn in self.sorted_connections() {
            self.adjust_reading(conn, wish);
        }
    }

    /// The only frame that is read may not stand still.
    pub(super) fn close_stalled(&mut self, view: &View<'_>, wish: &mut Wish) {
        if let Some((conn, _)) = self.oldest.filter(|_| self.stalls_at().is_some_and(|at| at <= view.now.mono)) {
            if self.connections.get(&conn).is_some_and(|connection| connection.paused) {
                // Its requests are being worked off first.
                self.oldest = Some((conn, view.now.mono));
            } else {
                self.close(conn, Closed::StalledFrame, view, wish);
            }
        }
    }

    /// Keep the order of unfinished frames. `ended`: the one that was noted is whole, or gone.
    pub(super) fn note_partial(&mut self, conn: ConnId, ended: bool, view: &View<'_>, wish: &mut Wish) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if ended && let Some(number) = connection.partial.take() {
            self.partials.remove(&number);
        }
        if connection.partial.is_none() && connection.inbox.is_partial() {
            self.frames_begun += 1;
            connection.partial = Some(self.frames_begun);
            self.partials.insert(self.frames_begun, conn);
        }
        let was = self.oldest;
        self.choose_oldest(view.now.mono);
        match (was, &mut self.oldest) {
            (Some((old, since)), Some((new, began))) if old == *new => {
                // Its time begins anew only with what it brings itself.
                *began = if *new == conn { view.now.mono } else { since };
            }
            (was, is) => {
                let changed: Vec<ConnId> = was.into_iter().chain(*is).map(|(conn, _)| conn).collect();
                changed.into_iter().for_each(|conn| self.adjust_reading(conn, wish));
            }
        }
    }

    fn choose_oldest(&mut self, now: Mono) {
        let first = self.partials.first_key_value().filter(|_| self.reading == Reading::OldestFrame);
        self.oldest = first.map(|(_, conn)| (*conn, now));
    }

    /// When the one frame that is read counts as stalled.
    pub(super) fn stalls_at(&self) -> Option<Mono> {
        self.oldest.map(|(_, since)| since.plus_ms(STALLED_FRAME_MS))
    }

    pub(super) fn adjust_reading(&mut self, conn: ConnId, wish: &mut Wish) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let may_read = match self.reading {
            Reading::All => true,
            Reading::OldestFrame => self.oldest.is_some_and(|(oldest, _)| oldest == conn),
            Reading::Nothing => false,
        };
        let pause = (!may_read || connection.is_full()) && !connection.closing;
        if pause != connection.paused && !connection.closed {
            connection.paused = pause;
            wish.effects.push(if pause { Effect::Pause { conn } } else { Effect::Resume { conn } });
        }
    }
}

#[cfg(test)]
mod tests {
    use heddle_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

    use super::*;
    use crate::testing::{World, frame};

    fn read_sockets(world: &mut World, reading: Reading) {
        world.turn(|api, view, wish| api.read_sockets(reading, view, wish));
    }

    #[test]
    fn pressure_pauses_every_socket_new_ones_too() {
        for reading in [Reading::Nothing, Reading::OldestFrame] {
            let mut world = World::new();
            let first = world.open(1);
            read_sockets(&mut world, reading);
            let second = world.open(2);
            read_sockets(&mut world, Reading::All);
            assert_eq!(world.reading, [(first, true), (second, true), (first, false), (second, false)]);
        }
    }

    /// Memory that unfinished frames hold is given back by their ends alone: one of them is read at any time.
    #[test]
    fn the_frame_that_began_first_goes_on_when_memory_is_short() {
        let mut world = World::new();
        let [quiet, first, second] = [1, 2, 3].map(|conn| world.open(conn));
        let request = frame(18, 0, 1, &ApiVersionsRequest::default());
        world.receive(first, request.slice(..7));
        world.receive(second, request.slice(..9));
        read_sockets(&mut world, Reading::OldestFrame);
        assert_eq!(world.reading, [(quiet, true), (second, true)]);
        world.reading.clear();
        // Another frame begins behind the first's: that is the youngest.
        world.receive(first, [&request[7..], &request[..5]].concat());
        assert_eq!(world.response::<ApiVersionsResponse>(first, 0).0, 1);
        assert_eq!(world.reading, [(first, true), (second, false)]);
        world.reading.clear();
        world.receive(second, request.slice(9..));
        assert_eq!(world.response::<ApiVersionsResponse>(second, 0).0, 1);
        assert_eq!(world.reading, [(second, true), (first, false)]);
        world.reading.clear();
        read_sockets(&mut world, Reading::All);
        assert_eq!(world.reading, [(quiet, false), (second, false)]);
    }

    #[test]
    fn the_only_frame_that_is_read_may_not_stand_still() {
        let mut world = World::new();
        let (stalled, next) = (world.open(1), world.open(2));
        world.receive(stalled, vec![0, 0, 0, 100, 0]);
        world.receive(next, vec![0, 0, 0, 100, 0]);
        world.pass_ms(60_000);
        assert!(world.closed.is_empty(), "while there is memory, slow peers are let be");
        read_sockets(&mut world, Reading::OldestFrame);
        assert_eq!((world.reading.clone(), world.wake_at), (vec![(next, true)], Some(world.now.plus_ms(10_000))));
        world.pass_ms(9_000);
        world.receive(stalled, vec![1]);
        world.pass_ms(9_999);
        assert!(world.closed.is_empty(), "it brought something");
        world.pass_ms(1);
        assert_eq!(world.closed, [stalled]);
        assert_eq!(world.reading, [(next, true), (next, false)]);
        world.turn(|api, view, wish| api.on_closed(stalled, view, wish));
        assert_eq!(world.api.request_bytes(), 5);
    }

    #[test]
    fn who_is_not_read_is_not_idle() {
        let mut world = World::new();
        let conn = world.open(1);
        read_sockets(&mut world, Reading::Nothing);
        for _ in 0..20 {
            world.pass_ms(60_000);
        }
        assert!(world.closed.is_empty());
        read_sockets(&mut world, Reading::All);
        for _ in 0..11 {
            world.pass_ms(60_000);
        }
        assert_eq!(world.closed, [conn]);
    }
}
