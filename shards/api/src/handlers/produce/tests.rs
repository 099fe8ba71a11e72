use bytes::Bytes;
use heddle_model::{LeaderEpoch, NodeId, Offset};
use heddle_partition::{Acks, Answer as Of, Appended, Ask, Refusal};
use heddle_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use heddle_protocol::messages::produce_response::PartitionProduceResponse;
use heddle_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use heddle_protocol::{Uuid, text, uuid_of};

use crate::ask::Answer;
use crate::testing::{World, batch};

fn request(topic: TopicProduceData, partitions: Vec<(i32, Option<Bytes>)>) -> ProduceRequest {
    let partition = |(index, records)| PartitionProduceData::default().with_index(index).with_records(records);
    let topic = topic.with_partition_data(partitions.into_iter().map(partition).collect());
    ProduceRequest::default().with_acks(-1).with_timeout_ms(1000).with_topic_data(vec![topic])
}

fn named(name: &str) -> TopicProduceData {
    TopicProduceData::default().with_name(TopicName(text(name)))
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Partition(Of::Refused(refusal))
}

/// The one partition of the answer to a batch whose append was refused so.
fn answered(version: i16, refusal: Refusal) -> (PartitionProduceResponse, ProduceResponse) {
    let mut world = World::new();
    let conn = world.open(1);
    let id = uuid_of(world.partition("t", 0).topic);
    let topic = if version >= 13 { TopicProduceData::default().with_topic_id(id) } else { named("t") };
    world.request(conn, 0, version, 1, &request(topic, vec![(0, Some(batch(1)))]));
    let (ticket, ..) = world.next_partition_ask();
    world.answer(ticket, refused(refusal));
    let response = world.response::<ProduceResponse>(conn, version).1;
    (response.responses[0].partition_responses[0].clone(), response)
}

#[test]
fn batches_go_to_their_partitions_and_offsets_come_back_in_every_version() {
    for version in 3..=13 {
        let mut world = World::new();
        let conn = world.open(1);
        let id = uuid_of(world.partition("t", 0).topic);
        let topic = if version >= 13 { TopicProduceData::default().with_topic_id(id) } else { named("t") };
        let request = request(topic, vec![(1, Some(batch(7))), (0, Some(batch(8)))]);
        world.request(conn, 0, version, 5, &request);
        let (first, id, ask) = world.next_partition_ask();
        assert_eq!(id, world.partition("t", 1));
        let Ask::Append(append) = ask else { panic!("an append") };
        assert_eq!((append.acks, append.batch, append.zstd_allowed), (Acks::All, batch(7), version >= 7));
        let (second, ..) = world.next_partition_ask();
        let appended = |base, time| {
            Answer::Partition(Of::Appended(Appended { base: Offset(base), append_time: time, log_start: Offset(3) }))
        };
        world.answer(second, appended(20, Some(777)));
        world.answer(first, appended(10, None));
        let (correlation_id, response) = world.response::<ProduceResponse>(conn, version);
        assert_eq!(correlation_id, 5);
        let partitions = &response.responses[0].partition_responses;
        let got: Vec<_> = partitions.iter().map(|p| (p.index, p.base_offset, p.log_append_time_ms)).collect();
        assert_eq!(got, [(1, 10, -1), (0, 20, 777)]);
        assert_eq!(partitions[0].log_start_offset, if version >= 5 { 3 } else { -1 });
        assert_eq!(response.responses[0].topic_id, if version >= 13 { uuid_of(id.topic) } else { Uuid::nil() });
    }
}

#[test]
fn refused_before_anything_is_asked() {
    let mut world = World::new();
    world.create_topic("__consumer_offsets", 1);
    let conn = world.open(1);
    let two = Bytes::from([&batch(1)[..], &batch(2)[..]].concat());
    let mut old = batch(1).to_vec();
    old[16] = 1;
    let cases = [
        (named("none"), 0, Some(batch(1)), 3),
        (named("t"), 2, Some(batch(1)), 3),
        (named("t"), -1, Some(batch(1)), 3),
        (named("t"), 0, None, 87),
        (named("t"), 0, Some(Bytes::new()), 87),
        (named("t"), 0, Some(two), 87),
        (named("t"), 0, Some(batch(1).slice(..69)), 87),
        (named("t"), 0, Some(Bytes::from(old)), 87),
        (named("__consumer_offsets"), 0, Some(batch(1)), 17),
    ];
    for (topic, partition, records, error) in cases {
        world.request(conn, 0, 9, 1, &request(topic, vec![(partition, records)]));
        let response = world.response::<ProduceResponse>(conn, 9).1;
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!((partition.error_code, partition.base_offset), (error, -1));
    }
    let by_id = TopicProduceData::default().with_topic_id(Uuid::from_u128(666));
    world.request(conn, 0, 13, 1, &request(by_id, vec![(0, Some(batch(1)))]));
    let response = world.response::<ProduceResponse>(conn, 13).1;
    assert_eq!(response.responses[0].partition_responses[0].error_code, 100);
    world.request(conn, 0, 9, 1, &request(named("t"), vec![(0, Some(batch(1)))]).with_acks(2));
    let response = world.response::<ProduceResponse>(conn, 9).1;
    assert_eq!(response.responses[0].partition_responses[0].error_code, 21);
    assert!(world.asks.is_empty());
}

#[test]
fn a_moved_leader_is_named_with_its_address() {
    let refusal = || Refusal::NotLeader { leader: Some(NodeId(2)), epoch: LeaderEpoch(9) };
    let (partition, response) = answered(10, refusal());
    assert_eq!(partition.error_code, 6);
    assert_eq!((partition.current_leader.leader_id.0, partition.current_leader.leader_epoch), (2, 9));
    let endpoint = &response.node_endpoints[0];
    assert_eq!((endpoint.node_id.0, endpoint.host.as_str(), endpoint.port), (2, "two", 9092));
    let (partition, response) = answered(9, refusal());
    assert_eq!((partition.error_code, partition.current_leader.leader_id.0), (6, -1));
    assert!(response.node_endpoints.is_empty());
}

#[test]
fn bad_records_are_named() {
    let refusal = || Refusal::InvalidRecord { message: "no key".into(), records: vec![(2, "null key".into())] };
    let (partition, _) = answered(8, refusal());
    assert_eq!((partition.error_code, partition.error_message.as_deref()), (87, Some("no key")));
    assert_eq!(partition.record_errors[0].batch_index, 2);
    assert_eq!(partition.record_errors[0].batch_index_error_message.as_deref(), Some("null key"));
    assert_eq!(answered(7, refusal()).0.error_message, None);
}

#[test]
fn codes_that_depend_on_the_version_or_promise_nothing() {
    assert_eq!(answered(10, Refusal::NotInTransaction).0.error_code, 48);
    assert_eq!(answered(11, Refusal::NotInTransaction).0.error_code, 120);
    let interrupted = Refusal::Interrupted { leader: Some(NodeId(2)), epoch: LeaderEpoch(9) };
    assert_eq!(answered(13, interrupted).0.error_code, 7, "the append may have happened");
    assert_eq!(answered(13, Refusal::Storage).0.error_code, 56);
}
