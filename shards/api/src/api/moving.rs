//! Connections that follow their records to another core. They leave when nothing of them is under way in either
//! direction; what has come in and was not begun goes with them.

use heddle_border::{ConnId, Effect};

use super::Api;
use crate::ask::{View, Wish};
use crate::connection::{Connection, PRODUCE};
use crate::dispatch::APIS;
use crate::follow::Origin;
use crate::jobs::JobId;

impl Api {
    /// An ask was answered there. Only Produce counts, and who fetches stays: fetch sessions live on their core.
    pub(super) fn follow(&mut self, id: JobId, from: Origin, view: &View<'_>) {
        let Some(job) = self.jobs.get(id).filter(|job| APIS[job.api].key == PRODUCE) else { return };
        let conn = job.conn;
        let may_go = |it: &&mut Connection| it.leaving.is_none() && !it.fetches;
        let Some(connection) = self.connections.get_mut(&conn).filter(may_go) else { return };
        if let Some(to) = connection.follow.on_answer(from, self.home, view.now.mono, &self.shared.config) {
            connection.leaving = Some(to);
            self.leaving.push(conn);
        }
    }

    /// Let those go that may.
    pub(super) fn see_off(&mut self, view: &View<'_>, wish: &mut Wish) {
        for conn in std::mem::take(&mut self.leaving) {
            // Who stops, closes its connections where they are.
            let Some(connection) = self.connections.get(&conn).filter(|it| !it.closing && !self.draining) else {
                continue;
            };
            if connection.may_leave() {
                self.hand_over(conn, view, wish);
            } else {
                self.leaving.push(conn);
            }
        }
    }

    fn hand_over(&mut self, conn: ConnId, view: &View<'_>, wish: &mut Wish) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let Some(to) = connection.leaving else { return };
        self.inbox_bytes -= connection.inbox.held_bytes();
        let unread = connection.inbox.take_stream();
        self.note_partial(conn, true, view, wish);
        self.connections.remove(&conn);
        self.stats.connections_moved += 1;
        wish.effects.push(Effect::Move { conn, to, unread });
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use heddle_model::{Offset, ShardId, Ticket};
    use heddle_partition::{Answer as Of, Appended};
    use heddle_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use heddle_protocol::messages::{FetchRequest, ProduceRequest, TopicName};
    use heddle_protocol::text;

    use crate::ApiConfig;
    use crate::ask::Answer;
    use crate::follow::Origin;
    use crate::testing::{World, batch, frame};

    const THERE: Origin = Origin { core: ShardId(0), is_calm: true };

    fn produce(correlation_id: i32) -> Bytes {
        let partition = PartitionProduceData::default().with_records(Some(batch(1)));
        let topic = TopicProduceData::default().with_name(TopicName(text("t"))).with_partition_data(vec![partition]);
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(1500).with_topic_data(vec![topic]);
        frame(0, 9, correlation_id, &request)
    }

    fn world() -> World {
        World::with(ApiConfig { follow_answers: 3, follow_ms: 0, ..ApiConfig::default() })
    }

    fn answer(world: &mut World, ticket: Ticket, from: Origin) {
        world.answers_from = from;
        let appended = Appended { base: Offset(1), append_time: None, log_start: Offset(0) };
        world.answer(ticket, Answer::Partition(Of::Appended(appended)));
    }

    #[test]
    fn it_leaves_when_all_is_answered_and_sent_with_what_it_has_not_begun() {
        let mut world = world();
        let conn = world.open(1);
        (1..=5).for_each(|n| world.receive(conn, produce(n)));
        let tickets: Vec<Ticket> = (0..5).map(|_| world.next_ask().0).collect();
        tickets[..3].iter().for_each(|ticket| answer(&mut world, *ticket, THERE));
        // From now on nothing more begins here.
        let rest = [produce(6), produce(7).slice(..30)];
        rest.iter().for_each(|bytes| world.receive(conn, bytes.clone()));
        assert!(world.asks.is_empty());
        tickets[3..].iter().for_each(|ticket| answer(&mut world, *ticket, THERE));
        assert_eq!(world.moved, [], "its answers have not left");
        world.all_sent();
        assert_eq!(world.moved, [(conn, THERE.core, rest.concat())]);
        let sent: Vec<i32> = std::iter::from_fn(|| world.response_frame(conn)).map(|(id, _)| id).collect();
        assert_eq!(sent, [1, 2, 3, 4, 5]);
        world.turn(|api, view, wish| api.on_closed(conn, view, wish));
        assert_eq!((world.api.stats().connections, world.api.stats().connections_moved), (0, 1));
        assert_eq!(world.api.memory(), 0);
    }

    #[test]
    fn it_stays_where_its_records_are() {
        for from in [Origin { core: ShardId(2), ..THERE }, Origin { is_calm: false, ..THERE }] {
            let mut world = world();
            let conn = world.open(1);
            for n in 1..=30 {
                world.receive(conn, produce(n));
                let (ticket, ..) = world.next_ask();
                answer(&mut world, ticket, from);
                world.all_sent();
            }
            assert_eq!(world.moved, [], "{from:?}");
        }
    }

    #[test]
    fn who_fetches_stays_with_its_sessions() {
        let mut world = world();
        let conn = world.open(1);
        world.request(conn, 1, 12, 0, &FetchRequest::default().with_session_epoch(-1));
        for n in 1..=30 {
            world.receive(conn, produce(n));
            let (ticket, ..) = world.next_ask();
            answer(&mut world, ticket, THERE);
            world.all_sent();
        }
        assert_eq!(world.moved, []);
    }

    #[test]
    fn one_that_ends_meanwhile_has_ended() {
        let mut world = world();
        let conn = world.open(1);
        (1..=4).for_each(|n| world.receive(conn, produce(n)));
        let tickets: Vec<Ticket> = (0..4).map(|_| world.next_ask().0).collect();
        tickets[..3].iter().for_each(|ticket| answer(&mut world, *ticket, THERE));
        world.turn(|api, view, wish| api.on_closed(conn, view, wish));
        answer(&mut world, tickets[3], THERE);
        world.all_sent();
        assert_eq!(world.moved, []);
    }

    #[test]
    fn who_stops_closes_it_here() {
        let mut world = world();
        let conn = world.open(1);
        (1..=4).for_each(|n| world.receive(conn, produce(n)));
        let tickets: Vec<Ticket> = (0..4).map(|_| world.next_ask().0).collect();
        tickets[..3].iter().for_each(|ticket| answer(&mut world, *ticket, THERE));
        world.turn(|api, view, wish| api.drain(view, wish));
        answer(&mut world, tickets[3], THERE);
        world.all_sent();
        assert_eq!((&world.moved[..], &world.closed[..]), (&[][..], &[conn][..]));
    }
}
