//! The framework driven with frames: order, pipelining, versions, bad frames, deadlines, backpressure, stopping.

use bytes::Bytes;
use heddle_controller::{Change, ConfigChange, Edit, EditOp, Resource};
use heddle_model::limits::PIPELINE_REQUESTS_MAX;
use heddle_model::{LeaderEpoch, Offset};
use heddle_partition::{Answer as Of, Appended, Refusal};
use heddle_protocol::messages::api_versions_response::ApiVersion;
use heddle_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use heddle_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
    TopicName,
};
use heddle_protocol::text;
use proptest::prelude::*;

use crate::ask::Answer;
use crate::testing::{World, batch, frame};
use crate::{ApiConfig, Target};

fn produce(acks: i16) -> ProduceRequest {
    let partition = PartitionProduceData::default().with_records(Some(batch(1)));
    let topic = TopicProduceData::default().with_name(TopicName(text("t"))).with_partition_data(vec![partition]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(1500).with_topic_data(vec![topic])
}

fn appended(base: i64) -> Answer {
    Answer::Partition(Of::Appended(Appended { base: Offset(base), append_time: None, log_start: Offset(0) }))
}

fn base_offset(response: &ProduceResponse) -> (i64, i16) {
    let partition = &response.responses[0].partition_responses[0];
    (partition.base_offset, partition.error_code)
}

/// What kcat sends first, byte for byte: ApiVersions v3 of librdkafka 2.3.
const LIBRDKAFKA_API_VERSIONS: &[u8] = &[
    0, 0, 0, 0x24, 0, 18, 0, 3, 0, 0, 0, 1, 0, 7, b'r', b'd', b'k', b'a', b'f', b'k', b'a', 0, 11, b'l', b'i', b'b',
    b'r', b'd', b'k', b'a', b'f', b'k', b'a', 6, b'2', b'.', b'3', b'.', b'0', 0,
];

#[test]
fn the_first_request_of_a_real_client() {
    let mut world = World::new();
    let conn = world.open(1);
    world.receive(conn, Bytes::from_static(LIBRDKAFKA_API_VERSIONS));
    let (correlation_id, response) = world.response::<ApiVersionsResponse>(conn, 3);
    assert_eq!((correlation_id, response.error_code), (1, 0));
    let range = |key: i16| response.api_keys.iter().find(|api| api.api_key == key);
    assert_eq!(range(0).map(|api| (api.min_version, api.max_version)), Some((0, 13)), "produce is advertised from 0");
    assert_eq!(range(1).map(|api| (api.min_version, api.max_version)), Some((4, 18)));
    assert_eq!(range(22).map(|api| api.max_version), Some(5));
    assert!(range(71).is_none() && range(72).is_none(), "no telemetry");
    let finalized: Vec<(&str, i16)> =
        response.finalized_features.iter().map(|f| (f.name.as_str(), f.max_version_level)).collect();
    assert_eq!(finalized, [("group.version", 1)], "KIP-848 is on, transactions are not there");
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let mut world = World::new();
    let conn = world.open(1);
    let mut bytes = LIBRDKAFKA_API_VERSIONS.to_vec();
    bytes[7] = 99;
    bytes.truncate(4 + 10);
    bytes[3] = 10;
    world.receive(conn, bytes);
    let (correlation_id, response) = world.response::<ApiVersionsResponse>(conn, 0);
    assert_eq!((correlation_id, response.error_code), (1, 35));
    let own = ApiVersion::default().with_api_key(18).with_min_version(0).with_max_version(4);
    assert_eq!(response.api_keys, [own]);
    assert!(world.closed.is_empty(), "the client tries again on the same connection");
}

#[test]
fn other_unknown_apis_and_versions_close_the_connection_without_a_word() {
    for (key, version) in [(3, 99), (0, 2), (4, 0), (52, 0), (-1, 0)] {
        let mut world = World::new();
        let conn = world.open(1);
        let mut bytes = LIBRDKAFKA_API_VERSIONS.to_vec();
        bytes[4..6].copy_from_slice(&i16::to_be_bytes(key));
        bytes[6..8].copy_from_slice(&i16::to_be_bytes(version));
        world.receive(conn, bytes);
        assert_eq!((world.closed.clone(), world.is_silent(conn)), (vec![conn], true), "{key} v{version}");
    }
}

#[test]
fn frames_out_of_bounds_and_garbage_close_the_connection() {
    let config = ApiConfig { request_bytes_max: 100, ..ApiConfig::default() };
    let short = [0u8, 0, 0, 3, 0, 3, 0];
    let metadata_that_aborts = [0u8, 0, 0, 15, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 3, 0x3c, 0x0c, 0, 0xb6];
    for bytes in [&[0u8, 0, 0, 101][..], &[0xff, 0xff, 0xff, 0xff], &[0, 0, 0, 0], &short, &metadata_that_aborts] {
        let mut world = World::with(config.clone());
        let conn = world.open(1);
        world.receive(conn, Bytes::copy_from_slice(bytes));
        assert_eq!((world.closed.clone(), world.is_silent(conn)), (vec![conn], true), "{bytes:?}");
        world.receive(conn, frame(18, 0, 1, &ApiVersionsRequest::default()));
        assert!(world.is_silent(conn), "nothing is read after the close");
    }
}

#[test]
fn produces_overlap_and_are_answered_in_order_in_one_send() {
    let mut world = World::new();
    let conn = world.open(1);
    let frames: Vec<Bytes> = (0..3).map(|id| frame(0, 9, id, &produce(-1))).collect();
    world.receive(conn, frames.concat());
    let tickets: Vec<_> = (0..3).map(|_| world.next_partition_ask().0).collect();
    world.answer(tickets[2], appended(30));
    world.answer(tickets[1], appended(20));
    assert!(world.is_silent(conn), "the first is not answered yet");
    world.answer(tickets[0], appended(10));
    assert_eq!(world.tokens.len(), 1, "one send for all that was answered in the turn");
    for (id, base) in [(0, 10), (1, 20), (2, 30)] {
        let (correlation_id, response) = world.response::<ProduceResponse>(conn, 9);
        assert_eq!((correlation_id, base_offset(&response)), (id, (base, 0)));
    }
}

#[test]
fn any_other_request_waits_for_those_before_it() {
    let mut world = World::new();
    let conn = world.open(1);
    world.request(conn, 0, 9, 1, &produce(-1));
    world.request(conn, 3, 9, 2, &MetadataRequest::default().with_topics(None));
    world.request(conn, 0, 9, 3, &produce(-1));
    let (ticket, ..) = world.next_partition_ask();
    assert!(world.asks.is_empty() && world.is_silent(conn), "metadata waits, and the second produce behind it");
    world.answer(ticket, appended(0));
    assert_eq!(world.response::<ProduceResponse>(conn, 9).0, 1);
    assert_eq!(world.response::<MetadataResponse>(conn, 9).0, 2);
    assert_eq!(world.asks.len(), 1, "the second produce has started");
}

#[test]
fn the_pipeline_is_bounded_and_the_socket_rests() {
    let mut world = World::new();
    let conn = world.open(1);
    let all = PIPELINE_REQUESTS_MAX * 2 + 1;
    for id in 0..all {
        world.request(conn, 0, 9, id as i32, &produce(1));
    }
    assert_eq!(world.asks.len(), PIPELINE_REQUESTS_MAX);
    assert_eq!(world.reading, [(conn, true)]);
    while let Some((ticket, ..)) = world.asks.pop_front() {
        world.answer(ticket, appended(0));
        world.all_sent();
    }
    assert_eq!(world.reading, [(conn, true), (conn, false)]);
    let answered = std::iter::from_fn(|| world.response_frame(conn)).map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(answered, (0..all as i32).collect::<Vec<_>>());
    assert_eq!(world.api.memory(), 0);
}

#[test]
fn a_produce_that_takes_too_long_is_answered_and_its_late_answer_dropped() {
    let mut world = World::new();
    let conn = world.open(1);
    world.request(conn, 0, 9, 1, &produce(-1));
    let (late, ..) = world.next_partition_ask();
    assert_eq!(world.wake_at, Some(world.now.plus_ms(1500)));
    world.pass_ms(1499);
    assert!(world.is_silent(conn));
    world.pass_ms(1);
    assert_eq!(base_offset(&world.response::<ProduceResponse>(conn, 9).1), (-1, 7), "REQUEST_TIMED_OUT");
    // The slot is reused by the next request; the late answer is not taken for its own.
    world.request(conn, 0, 9, 2, &produce(-1));
    let (ticket, ..) = world.next_partition_ask();
    assert_eq!((ticket.slot, ticket.generation), (late.slot, late.generation + 1));
    world.answer(late, appended(666));
    assert!(world.is_silent(conn));
    world.answer(ticket, appended(5));
    assert_eq!(base_offset(&world.response::<ProduceResponse>(conn, 9).1), (5, 0));
}

#[test]
fn acks_0_is_silent_and_an_error_closes() {
    let mut world = World::new();
    let conn = world.open(1);
    world.request(conn, 0, 9, 1, &produce(0));
    let (ticket, ..) = world.next_partition_ask();
    world.answer(ticket, appended(1));
    world.request(conn, 18, 0, 2, &ApiVersionsRequest::default());
    assert_eq!(world.response::<ApiVersionsResponse>(conn, 0).0, 2, "the silent one was no obstacle");
    world.request(conn, 0, 9, 3, &produce(0));
    let (ticket, ..) = world.next_partition_ask();
    world.answer(ticket, Answer::Partition(Of::Refused(Refusal::NotServing { epoch: LeaderEpoch(3) })));
    assert_eq!((world.closed.clone(), world.is_silent(conn)), (vec![conn], true));
}

#[test]
fn answers_to_a_connection_that_is_gone_are_dropped() {
    let mut world = World::new();
    let conn = world.open(1);
    world.request(conn, 0, 9, 1, &produce(-1));
    let (ticket, ..) = world.next_partition_ask();
    world.turn(|api, view, wish| api.on_closed(conn, view, wish));
    world.answer(ticket, appended(1));
    assert!(world.is_silent(conn));
    assert_eq!((world.api.memory(), world.wake_at.is_none_or(|at| at > world.now.plus_ms(1500))), (0, true));
}

#[test]
fn idle_connections_are_closed_and_busy_ones_are_not() {
    let mut world = World::new();
    let (idle, busy) = (world.open(1), world.open(2));
    world.pass_ms(590_000);
    world.request(busy, 18, 0, 1, &ApiVersionsRequest::default());
    world.pass_ms(11_000);
    assert_eq!(world.closed, [idle]);
}

#[test]
fn a_peer_that_takes_nothing_is_closed_and_a_slow_one_is_not() {
    let mut world = World::new();
    let (stuck, slow) = (world.open(1), world.open(2));
    let request = ApiVersionsRequest::default();
    world.request(stuck, 18, 0, 1, &request);
    let token = world.tokens.pop_back().expect("an answer");
    for _ in 0..2 {
        world.request(slow, 18, 0, 1, &request);
    }
    for round in 0..12 {
        world.pass_ms(60_000);
        // It goes on asking, without reading an answer.
        world.request(stuck, 18, 0, 2, &request);
        if round == 5 {
            let token = world.tokens.pop_front().expect("an answer");
            world.turn(|api, view, wish| api.on_sent(token, view, wish));
        }
    }
    assert_eq!(world.closed, [stuck]);
    world.turn(|api, view, wish| api.on_sent(token, view, wish));
    world.turn(|api, view, wish| api.on_closed(stuck, view, wish));
    world.all_sent();
    assert_eq!(world.api.memory(), 0);
}

#[test]
fn answers_that_wait_for_an_older_one_count_and_are_given_back() {
    let mut world = World::new();
    let conn = world.open(1);
    let frames: Vec<Bytes> = (0..2).map(|id| frame(0, 9, id, &produce(-1))).collect();
    world.receive(conn, frames.concat());
    let (_, second) = (world.next_ask(), world.next_partition_ask().0);
    let before = world.api.memory();
    world.answer(second, appended(20));
    assert_eq!(world.api.memory(), before - frames[1].len() + 4 + world.api.unsent_bytes);
    assert!(world.api.unsent_bytes > 0);
    world.turn(|api, view, wish| api.on_closed(conn, view, wish));
    assert_eq!(world.api.memory(), 0);
}

/// `acks=-1` without time to wait: as long as any request may take, for the records are appended at once.
#[test]
fn a_produce_without_a_timeout_is_not_timed_out_at_once() {
    for timeout_ms in [0, -1] {
        let mut world = World::new();
        let conn = world.open(1);
        world.request(conn, 0, 9, 1, &produce(-1).with_timeout_ms(timeout_ms));
        assert_eq!(world.wake_at, Some(world.now.plus_ms(30_000)));
        world.pass_ms(0);
        let (ticket, ..) = world.next_partition_ask();
        world.answer(ticket, appended(4));
        assert_eq!(base_offset(&world.response::<ProduceResponse>(conn, 9).1), (4, 0));
    }
}

#[test]
fn draining_answers_what_is_under_way_and_closes() {
    let mut world = World::new();
    let (busy, quiet) = (world.open(1), world.open(2));
    world.request(busy, 0, 9, 1, &produce(-1));
    world.turn(|api, view, wish| api.drain(view, wish));
    assert_eq!(world.closed, [quiet]);
    world.request(busy, 18, 0, 2, &ApiVersionsRequest::default());
    let (ticket, ..) = world.next_partition_ask();
    world.answer(ticket, appended(4));
    assert_eq!(base_offset(&world.response::<ProduceResponse>(busy, 9).1), (4, 0));
    assert!(world.is_silent(busy), "no new request was taken");
    assert_eq!(world.closed, [quiet, busy]);
    for conn in [quiet, busy] {
        assert!(!world.api.is_drained());
        world.turn(|api, view, wish| api.on_closed(conn, view, wish));
    }
    assert!(world.api.is_drained());
}

#[test]
fn too_many_connections() {
    let mut world = World::with(ApiConfig { connections_max: 1, ..ApiConfig::default() });
    world.open(1);
    let second = world.open(2);
    assert_eq!(world.closed, [second]);
}

/// Kafka lets those be that are there, too.
#[test]
fn the_most_connections_may_be_set_while_running() {
    let mut world = World::with(ApiConfig { cores: 2, ..ApiConfig::default() });
    let allow = |world: &mut World, most: &str| {
        let edit = Edit { name: "max.connections".into(), op: EditOp::Set, value: Some(most.into()) };
        let change = ConfigChange { resource: Resource::Broker(None), change: Change::Edit(vec![edit]) };
        let ask = heddle_controller::Ask::AlterConfigs { resources: vec![change], validate_only: false };
        let answer = world.decide(ask);
        assert!(matches!(&answer, heddle_controller::Answer::AlteredConfigs(all) if all[0].1.is_ok()), "{answer:?}");
        world.turn(|api, view, wish| api.on_image(view, wish));
    };
    for conn in 1..=3 {
        world.open(conn);
    }
    allow(&mut world, "4");
    let refused = world.open(4);
    assert_eq!(world.closed, [refused], "this core's half is two, and three are there");
    world.turn(|api, view, wish| api.on_closed(refused, view, wish));
    allow(&mut world, "8");
    world.open(5);
    assert_eq!(world.closed, [refused]);
}

#[test]
fn requests_are_counted() {
    let mut world = World::new();
    let conn = world.open(1);
    world.request(conn, 0, 9, 1, &produce(-1));
    let (ticket, target, _) = world.next_ask();
    assert_eq!(target, Target::Partition(world.partition("t", 0)));
    assert_eq!((world.api.stats().in_flight, world.api.stats().asks), (1, 1));
    world.now = world.now.plus_ms(3);
    world.answer(ticket, appended(4));
    let stats = world.api.stats();
    assert_eq!((stats.in_flight, stats.asks, stats.connections), (0, 0, 1));
    let produce = stats.apis.iter().find(|api| api.key == 0).expect("served");
    assert_eq!((produce.latency.count(), produce.latency.sum_us()), (1, 3000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever comes in, nothing panics, and a connection is either open or was closed once.
    #[test]
    fn garbage_in_any_cutting(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 1..20)) {
        let mut world = World::new();
        let conn = world.open(1);
        for piece in pieces {
            world.receive(conn, piece);
        }
        prop_assert!(world.closed.len() <= 1);
    }

    #[test]
    fn known_heads_with_garbage_bodies(key in 0i16..76, version in 0i16..19, body in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut world = World::new();
        let conn = world.open(1);
        let mut bytes = (body.len() as i32 + 10).to_be_bytes().to_vec();
        bytes.extend(key.to_be_bytes());
        bytes.extend(version.to_be_bytes());
        bytes.extend([0, 0, 0, 9, 0xff, 0xff]);
        bytes.extend(body);
        world.receive(conn, bytes);
        prop_assert!(world.closed.len() <= 1);
    }
}
