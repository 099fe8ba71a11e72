use heddle_model::{LeaderEpoch, Offset};
use heddle_partition::{Answer as Of, Ask, Refusal};
use heddle_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use heddle_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, TopicName};
use heddle_protocol::text;

use crate::ask::Answer;
use crate::testing::World;

fn request(topic: &str, partitions: &[i32]) -> OffsetForLeaderEpochRequest {
    let partition = |index: &i32| {
        OffsetForLeaderPartition::default().with_partition(*index).with_current_leader_epoch(3).with_leader_epoch(2)
    };
    let topic = OffsetForLeaderTopic::default()
        .with_topic(TopicName(text(topic)))
        .with_partitions(partitions.iter().map(partition).collect());
    OffsetForLeaderEpochRequest::default().with_topics(vec![topic])
}

#[test]
fn ends_unknown_ends_and_errors_in_every_version() {
    for version in 2..=4 {
        let mut world = World::new();
        world.create_topic("many", 3);
        let conn = world.open(1);
        world.request(conn, 23, version, 1, &request("many", &[0, 1, 2, 3]));
        let answers = [
            Of::EpochEnd { epoch: LeaderEpoch(1), end: Offset(44) },
            Of::NoEpochEnd,
            Of::Refused(Refusal::UnknownEpoch),
        ];
        for answer in answers {
            let (ticket, _, ask) = world.next_partition_ask();
            assert!(matches!(ask, Ask::EpochEnd { asked: LeaderEpoch(2), epoch: Some(LeaderEpoch(3)) }));
            world.answer(ticket, Answer::Partition(answer));
        }
        let response = world.response::<OffsetForLeaderEpochResponse>(conn, version).1;
        let got: Vec<_> = response.topics[0]
            .partitions
            .iter()
            .map(|p| (p.partition, p.error_code, p.leader_epoch, p.end_offset))
            .collect();
        assert_eq!(got, [(0, 0, 1, 44), (1, 0, -1, -1), (2, 75, -1, -1), (3, 3, -1, -1)]);
    }
}

/// What is asked for goes down as it is, also what no partition can have; of the asker's own epoch -1 is none.
#[test]
fn epochs_from_zero_on() {
    let (some, none) = (|wire| Some(LeaderEpoch(wire)), None);
    for (wire, own) in [(-2, some(-2)), (-1, none), (0, some(0)), (i32::MAX, some(i32::MAX))] {
        let mut world = World::new();
        let conn = world.open(1);
        let mut request = request("t", &[0]);
        let partition = &mut request.topics[0].partitions[0];
        (partition.current_leader_epoch, partition.leader_epoch) = (wire, wire);
        world.request(conn, 23, 4, 1, &request);
        let (ticket, _, ask) = world.next_partition_ask();
        assert!(matches!(ask, Ask::EpochEnd { asked: LeaderEpoch(asked), epoch } if asked == wire && epoch == own));
        world.answer(ticket, Answer::Partition(Of::EpochEnd { epoch: LeaderEpoch(0), end: Offset(0) }));
        let response = world.response::<OffsetForLeaderEpochResponse>(conn, 4).1;
        let partition = &response.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.leader_epoch, partition.end_offset), (0, 0, 0));
    }
}
