use heddle_controller::{Answer as Controller, Refusal};
use heddle_model::ProducerId;
use heddle_protocol::messages::{self, InitProducerIdRequest, InitProducerIdResponse, TransactionalId};
use heddle_protocol::text;

use crate::ask::{Answer, Ask, Target};
use crate::producer_ids::BLOCK;
use crate::testing::World;

fn request(transactional: Option<&str>) -> InitProducerIdRequest {
    InitProducerIdRequest::default().with_transactional_id(transactional.map(|id| TransactionalId(text(id))))
}

#[test]
fn one_block_serves_many_producers_in_every_version() {
    let mut world = World::new();
    let conn = world.open(1);
    world.request(conn, 22, 0, 1, &request(None));
    let (ticket, target, Ask::Controller(ask)) = world.next_ask() else { panic!("the controller") };
    assert_eq!((target, ask), (Target::Controller, heddle_controller::Ask::ProducerIds { count: BLOCK }));
    world.answer(ticket, Answer::Controller(Controller::ProducerIds { first: ProducerId(5000), count: BLOCK }));
    let response = world.response::<InitProducerIdResponse>(conn, 0).1;
    assert_eq!((response.error_code, response.producer_id.0, response.producer_epoch), (0, 5000, 0));
    for version in 1..=5 {
        world.request(conn, 22, version, 1, &request(None));
        let response = world.response::<InitProducerIdResponse>(conn, version).1;
        assert_eq!((response.error_code, response.producer_id.0), (0, 5000 + i64::from(version)));
    }
    assert!(world.asks.is_empty());
}

#[test]
fn transactional_ids_and_failures() {
    let mut world = World::new();
    let conn = world.open(1);
    for (id, error) in [("", 42), ("orders", 35)] {
        world.request(conn, 22, 4, 1, &request(Some(id)));
        let response = world.response::<InitProducerIdResponse>(conn, 4).1;
        assert_eq!((response.error_code, response.producer_id.0, response.producer_epoch), (error, -1, -1));
    }
    let answers = [
        Answer::Unreachable,
        Answer::Controller(Controller::Refused(Refusal::NotController.because(""))),
        Answer::Controller(Controller::Refused(Refusal::NotReady.because(""))),
    ];
    for answer in answers {
        world.request(conn, 22, 4, 1, &request(None));
        let (ticket, ..) = world.next_ask();
        world.answer(ticket, answer);
        assert_eq!(world.response::<InitProducerIdResponse>(conn, 4).1.error_code, 14, "retriable for producers");
    }
}

#[test]
fn an_id_and_its_epoch_come_together_or_not_at_all() {
    let mut world = World::new();
    let conn = world.open(1);
    for version in 3..=5 {
        for (id, epoch) in [(5, -1), (-1, 3)] {
            let half = request(None).with_producer_id(messages::ProducerId(id)).with_producer_epoch(epoch);
            world.request(conn, 22, version, 1, &half);
            let response = world.response::<InitProducerIdResponse>(conn, version).1;
            assert_eq!((response.error_code, response.producer_id.0, response.producer_epoch), (42, -1, -1));
        }
    }
    assert!(world.asks.is_empty());
    let whole = request(None).with_producer_id(messages::ProducerId(5)).with_producer_epoch(3);
    world.request(conn, 22, 5, 1, &whole);
    assert!(matches!(world.next_ask(), (_, Target::Controller, _)), "a new id is taken");
}
