//! DeleteRecords, DescribeLogDirs, DescribeProducers.

use heddle_api::Ask;
use heddle_model::{LeaderEpoch, Offset, PartitionId, PartitionIndex, ProducerEpoch, Sequence, Term};
use heddle_partition::{ActiveProducer, Answer, Described, Refusal};
use heddle_protocol::ErrorCode;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::*;

use crate::broker::{Broker, Mood, versions};
use crate::topics::{code, create, name};

fn id(broker: &Broker, topic: &str, index: i32) -> PartitionId {
    PartitionId { topic: broker.image().topic(topic).expect("made").id, index: PartitionIndex(index) }
}

#[test]
fn records_are_deleted_in_every_version() {
    let mut broker = Broker::new(&[]);
    create(&mut broker, &[("a", 4), ("__consumer_offsets", 1)]);
    let (first, second, third) = (id(&broker, "a", 0), id(&broker, "a", 1), id(&broker, "a", 2));
    broker.partitions.insert(first, Answer::LowWatermark(Offset(40)));
    broker.partitions.insert(second, Answer::Refused(Refusal::PolicyViolation));
    let out_of_range = Refusal::OffsetOutOfRange { log_start: Offset(1), high_watermark: Offset(2) };
    broker.partitions.insert(third, Answer::Refused(out_of_range));
    for version in versions::<DeleteRecordsRequest>() {
        let partition =
            |(index, offset)| DeleteRecordsPartition::default().with_partition_index(index).with_offset(offset);
        let topic = |topic: &str, partitions: &[(i32, i64)]| {
            let partitions = partitions.iter().copied().map(partition).collect();
            DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(partitions)
        };
        let topics = vec![
            topic("a", &[(0, 40), (1, 5), (2, 7), (3, -1), (4, 0), (0, -2)]),
            topic("b", &[(0, 1)]),
            topic("__consumer_offsets", &[(0, 1)]),
        ];
        let request = DeleteRecordsRequest::default().with_topics(topics).with_timeout_ms(100);
        let response = broker.call(version, &request);
        let answers: Vec<Vec<(i32, i64, i16)>> = response
            .topics
            .iter()
            .map(|t| t.partitions.iter().map(|p| (p.partition_index, p.low_watermark, p.error_code)).collect())
            .collect();
        let expected = [
            vec![
                (0, 40, 0),
                (1, -1, code(ErrorCode::PolicyViolation)),
                (2, -1, code(ErrorCode::OffsetOutOfRange)),
                (3, -1, code(ErrorCode::NotLeaderOrFollower)),
                (4, -1, code(ErrorCode::UnknownTopicOrPartition)),
                (0, -1, code(ErrorCode::OffsetOutOfRange)),
            ],
            vec![(0, -1, code(ErrorCode::UnknownTopicOrPartition))],
            vec![(0, -1, code(ErrorCode::InvalidTopicException))],
        ];
        assert_eq!(answers, expected);
        let before: Vec<Option<Offset>> = broker
            .asked
            .iter()
            .map(|(_, ask)| match ask {
                Ask::Partition(heddle_partition::Ask::DeleteRecords { before }) => *before,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(before, [Some(Offset(40)), Some(Offset(5)), Some(Offset(7)), None]);
    }
    broker.mood = Mood::Silent;
    let partition = DeleteRecordsPartition::default().with_partition_index(0).with_offset(1);
    let topic = DeleteRecordsTopic::default().with_name(name("a")).with_partitions(vec![partition]);
    let response = broker.call(2, &DeleteRecordsRequest::default().with_topics(vec![topic]));
    assert_eq!(response.topics[0].partitions[0].error_code, code(ErrorCode::RequestTimedOut));
}

#[test]
fn log_dirs_are_described_in_every_version() {
    let mut broker = Broker::new(&[("log.dirs", "somewhere")]);
    create(&mut broker, &[("a", 2), ("b", 1)]);
    for (topic, index, bytes) in [("a", 0, 10), ("a", 1, 20), ("b", 0, 30)] {
        let offset = Offset(0);
        let described =
            Described { bytes, log_start: offset, high_watermark: offset, end: offset, term: Term(1), leader: None };
        broker.partitions.insert(id(&broker, topic, index), Answer::Described(described));
    }
    for version in versions::<DescribeLogDirsRequest>() {
        let mut sizes = |topics: Option<&[(&str, &[i32])]>| {
            let topics = topics.map(|topics| {
                let topic = |(topic, partitions): &(&str, &[i32])| {
                    DescribableLogDirTopic::default().with_topic(name(topic)).with_partitions(partitions.to_vec())
                };
                topics.iter().map(topic).collect()
            });
            let response = broker.call(version, &DescribeLogDirsRequest::default().with_topics(topics));
            let [dir] = &response.results[..] else { panic!("{response:?}") };
            assert_eq!((dir.error_code, &*dir.log_dir), (0, "somewhere"));
            if version >= 4 {
                assert_eq!((dir.total_bytes, dir.usable_bytes), (1000, 400));
            }
            let sizes = |topic: &describe_log_dirs_response::DescribeLogDirsTopic| {
                (
                    topic.name.to_string(),
                    topic.partitions.iter().map(|p| (p.partition_index, p.partition_size)).collect(),
                )
            };
            dir.topics.iter().map(sizes).collect::<Vec<(String, Vec<(i32, i64)>)>>()
        };
        let (a, b) = ("a".to_owned(), "b".to_owned());
        assert_eq!(sizes(None), [(a.clone(), vec![(0, 10), (1, 20)]), (b.clone(), vec![(0, 30)])]);
        assert_eq!(sizes(Some(&[("a", &[1, 1, 7, -1]), ("nobody", &[0])])), [(a, vec![(1, 20)])]);
        assert_eq!(sizes(Some(&[])), []);
    }
}

#[test]
fn producers_are_described() {
    let mut broker = Broker::new(&[]);
    create(&mut broker, &[("a", 3)]);
    let producer = ActiveProducer {
        id: heddle_model::ProducerId(8),
        epoch: ProducerEpoch(2),
        last_sequence: Sequence(5),
        last_timestamp: 1000,
        transaction_start: None,
        coordinator_epoch: -1,
    };
    let open = ActiveProducer { transaction_start: Some(Offset(30)), ..producer };
    let (first, second) = (id(&broker, "a", 0), id(&broker, "a", 1));
    broker.partitions.insert(first, Answer::Producers(vec![producer, open]));
    let refusal = Refusal::NotLeader { leader: None, epoch: LeaderEpoch(1) };
    broker.partitions.insert(second, Answer::Refused(refusal));
    let topic = |topic: &str| {
        let topic = describe_producers_request::TopicRequest::default().with_name(name(topic));
        topic.with_partition_indexes(vec![0, 1, 2, 3])
    };
    let request = DescribeProducersRequest::default().with_topics(vec![topic("a"), topic("b")]);
    let response = broker.call(0, &request);
    let codes = |at: usize| response.topics[at].partitions.iter().map(|p| p.error_code).collect::<Vec<_>>();
    let (elsewhere, unknown) = (code(ErrorCode::NotLeaderOrFollower), code(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(codes(0), [0, elsewhere, elsewhere, unknown]);
    assert_eq!(codes(1), [unknown; 4]);
    let words = |at: usize| response.topics[0].partitions[at].error_message.as_deref();
    assert_eq!((words(0), words(3)), (None, Some("This server does not host this topic-partition.")));
    let described = &response.topics[0].partitions[0].active_producers;
    let shown: Vec<_> =
        described.iter().map(|p| (p.producer_id.0, p.producer_epoch, p.current_txn_start_offset)).collect();
    assert_eq!(shown, [(8, 2, -1), (8, 2, 30)]);
}
