use bytes::BytesMut;
use heddle_border::ConnId;
use heddle_model::{LeaderEpoch, NodeId, Offset};
use heddle_partition::{Answer as Of, Ask, FoundOffset, OffsetQuery, Refusal, Visibility};
use heddle_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use heddle_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use heddle_protocol::messages::{BrokerId, ListOffsetsRequest, ListOffsetsResponse, TopicName};
use heddle_protocol::{Encodable, text};

use crate::ask::Answer;
use crate::testing::{World, frame_of};

fn request(topic: &str, partitions: &[(i32, i64)]) -> ListOffsetsRequest {
    let partition = |(index, timestamp): &(i32, i64)| {
        ListOffsetsPartition::default().with_partition_index(*index).with_timestamp(*timestamp)
    };
    let topic = ListOffsetsTopic::default()
        .with_name(TopicName(text(topic)))
        .with_partitions(partitions.iter().map(partition).collect());
    ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic])
}

/// Version 11 is written as 10 is.
fn ask(world: &mut World, conn: ConnId, version: i16, request: &ListOffsetsRequest) {
    let mut body = BytesMut::new();
    request.encode(&mut body, version.min(10)).expect("fits the version");
    world.receive(conn, frame_of(2, version, 1, &body));
}

fn partitions(world: &mut World, conn: ConnId, version: i16) -> Vec<ListOffsetsPartitionResponse> {
    world.response::<ListOffsetsResponse>(conn, version.min(10)).1.topics[0].partitions.clone()
}

/// The question that a timestamp becomes, or the error that it is answered with at once.
fn query(version: i16, timestamp: i64) -> Result<OffsetQuery, i16> {
    let mut world = World::new();
    let conn = world.open(1);
    ask(&mut world, conn, version, &request("t", &[(0, timestamp)]));
    match world.asks.is_empty() {
        true => Err(partitions(&mut world, conn, version)[0].error_code),
        false => match world.next_partition_ask().2 {
            Ask::FindOffset { query, .. } => Ok(query),
            other => panic!("{other:?}"),
        },
    }
}

#[test]
fn special_timestamps_by_version() {
    assert_eq!(query(1, -1), Ok(OffsetQuery::Latest));
    assert_eq!(query(1, -2), Ok(OffsetQuery::Earliest));
    assert_eq!(query(1, 0), Ok(OffsetQuery::AtOrAfter(0)));
    assert_eq!(query(6, -3), Err(35));
    assert_eq!(query(7, -3), Ok(OffsetQuery::MaxTimestamp));
    assert_eq!(query(7, -4), Err(35));
    assert_eq!(query(8, -4), Ok(OffsetQuery::Earliest));
    assert_eq!(query(8, -5), Err(35));
    assert_eq!(query(9, -5), Err(0), "nothing is tiered");
    assert_eq!(query(10, -6), Err(35));
    assert_eq!(query(11, -6), Err(0), "nothing waits to be");
    assert_eq!(query(11, -7), Err(35));
}

#[test]
fn found_and_not_found_in_every_version() {
    for version in 1..=11 {
        let mut world = World::new();
        let conn = world.open(1);
        ask(&mut world, conn, version, &request("t", &[(0, 5), (1, 6)]));
        let (first, ..) = world.next_partition_ask();
        let (second, ..) = world.next_partition_ask();
        let found =
            |offset| Answer::Partition(Of::FoundOffset(FoundOffset { offset, timestamp: 55, epoch: LeaderEpoch(2) }));
        world.answer(first, found(Some(Offset(9))));
        world.answer(second, found(None));
        let all = partitions(&mut world, conn, version);
        let epoch = if version >= 4 { 2 } else { -1 };
        assert_eq!((all[0].offset, all[0].timestamp, all[0].leader_epoch), (9, 55, epoch));
        assert_eq!((all[1].offset, all[1].timestamp, all[1].error_code), (-1, -1, 0), "never 0 where nothing is");
    }
}

#[test]
fn isolation_epoch_and_duplicates() {
    let mut world = World::new();
    let conn = world.open(1);
    let mut asked = request("t", &[(0, -1), (1, -1), (1, -1)]).with_isolation_level(1);
    asked.topics[0].partitions[0].current_leader_epoch = 7;
    world.request(conn, 2, 5, 1, &asked);
    let (ticket, _, ask) = world.next_partition_ask();
    assert!(matches!(ask, Ask::FindOffset { visibility: Visibility::LastStable, epoch: Some(LeaderEpoch(7)), .. }));
    assert!(world.asks.is_empty(), "a partition named twice is not asked");
    world.answer(ticket, Answer::Unreachable);
    let errors: Vec<i16> = partitions(&mut world, conn, 5).iter().map(|p| p.error_code).collect();
    assert_eq!(errors, [6, 42, 42]);
}

#[test]
fn only_minus_one_is_no_epoch() {
    let known = [i32::MIN, -2, 0, 1, i32::MAX].map(|wire| (wire, Some(LeaderEpoch(wire))));
    for (wire, asked) in [(-1, None)].into_iter().chain(known) {
        let mut world = World::new();
        let conn = world.open(1);
        let mut request = request("t", &[(0, -1)]);
        request.topics[0].partitions[0].current_leader_epoch = wire;
        world.request(conn, 2, 9, 1, &request);
        let (ticket, _, ask) = world.next_partition_ask();
        assert!(matches!(ask, Ask::FindOffset { epoch, .. } if epoch == asked), "{wire}: {ask:?}");
        let first = FoundOffset { offset: Some(Offset(0)), timestamp: -1, epoch: LeaderEpoch(0) };
        world.answer(ticket, Answer::Partition(Of::FoundOffset(first)));
        let partition = &partitions(&mut world, conn, 9)[0];
        assert_eq!((partition.offset, partition.timestamp, partition.leader_epoch), (0, -1, 0));
    }
}

#[test]
fn refusals() {
    let interrupted = Refusal::Interrupted { leader: Some(NodeId(2)), epoch: LeaderEpoch(1) };
    let not_serving = |epoch| Refusal::NotServing { epoch: LeaderEpoch(epoch) };
    for (version, refusal, error) in [
        (4, not_serving(1), 5),
        (5, not_serving(1), 78),
        // Just created: as any partition that is not led here.
        (4, not_serving(0), 6),
        (5, not_serving(0), 6),
        (5, interrupted, 6),
        (5, Refusal::UnknownEpoch, 75),
        (5, Refusal::Storage, 56),
    ] {
        let mut world = World::new();
        let conn = world.open(1);
        world.request(conn, 2, version, 1, &request("t", &[(0, -1)]));
        let (ticket, ..) = world.next_partition_ask();
        world.answer(ticket, Answer::Partition(Of::Refused(refusal)));
        let partition = &partitions(&mut world, conn, version)[0];
        assert_eq!((partition.error_code, partition.offset), (error, -1));
    }
    let mut world = World::new();
    let conn = world.open(1);
    world.request(conn, 2, 5, 1, &request("none", &[(0, -1)]));
    assert_eq!(partitions(&mut world, conn, 5)[0].error_code, 3);
}
