//! CreateTopics, DeleteTopics, CreatePartitions, DescribeTopicPartitions.

use heddle_protocol::ErrorCode;
use kafka_protocol::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;

use crate::broker::{Broker, Mood, versions};

pub fn name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

pub fn code(error: ErrorCode) -> i16 {
    error.code()
}

pub fn topic(topic: &str, partitions: i32) -> CreatableTopic {
    CreatableTopic::default().with_name(name(topic)).with_num_partitions(partitions).with_replication_factor(1)
}

pub fn create(broker: &mut Broker, topics: &[(&str, i32)]) {
    let topics = topics.iter().map(|(name, partitions)| topic(name, *partitions)).collect();
    let response = broker.call(7, &CreateTopicsRequest::default().with_topics(topics));
    assert!(response.topics.iter().all(|topic| topic.error_code == 0), "{response:?}");
}

#[test]
fn topics_are_created_in_every_version() {
    let mut broker = Broker::new(&[]);
    for version in versions::<CreateTopicsRequest>() {
        let (good, bad) = (format!("good-{version}"), format!("bad {version}"));
        let config = CreatableTopicConfig::default().with_name("retention.ms".into()).with_value(Some("77".into()));
        let topics = vec![topic(&good, 3).with_configs(vec![config]), topic(&bad, 1), topic(&good[..4], 0)];
        let request = CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(1000);
        let response = broker.call(version, &request);
        let [made, refused, none] = &response.topics[..] else { panic!("{response:?}") };
        assert_eq!((made.error_code, &made.name, &made.error_message), (0, &name(&good), &None));
        assert_eq!(refused.error_code, code(ErrorCode::InvalidTopicException));
        assert!(refused.error_message.as_ref().is_some_and(|text| text.contains("invalid")));
        assert_eq!(none.error_code, code(ErrorCode::InvalidPartitions));
        let image = broker.image();
        let known = image.topic(&good).expect("made");
        assert_eq!((known.partitions.len(), known.settings.retention_ms), (3, 77));
        if version >= 5 {
            assert_eq!((made.num_partitions, made.replication_factor), (3, 1));
            let configs = made.configs.as_ref().expect("configs");
            let retention = configs.iter().find(|config| &*config.name == "retention.ms").expect("described");
            assert_eq!((retention.value.as_deref(), retention.config_source), (Some("77"), 1));
            assert_eq!((refused.num_partitions, refused.replication_factor), (-1, -1));
        }
        if version >= 7 {
            assert_eq!(made.topic_id.as_u128(), known.id.0);
        }
    }
}

#[test]
fn a_request_says_what_it_may_not() {
    let mut broker = Broker::new(&[]);
    let assignment = |index, brokers: &[i32]| {
        CreatableReplicaAssignment::default()
            .with_partition_index(index)
            .with_broker_ids(brokers.iter().map(|id| BrokerId(*id)).collect())
    };
    let by_hand = topic("hand", -1).with_replication_factor(-1).with_assignments(vec![assignment(0, &[1])]);
    let wrong = topic("wrong", -1).with_replication_factor(-1).with_assignments(vec![assignment(0, &[2])]);
    let topics =
        vec![by_hand, wrong, topic("twice", 1), topic("twice", 1), topic("many", 1).with_replication_factor(2)];
    let response = broker.call(7, &CreateTopicsRequest::default().with_topics(topics).with_validate_only(true));
    let codes: Vec<(String, i16)> = response.topics.iter().map(|t| (t.name.to_string(), t.error_code)).collect();
    let expected = [
        ("hand", ErrorCode::None),
        ("wrong", ErrorCode::InvalidReplicaAssignment),
        ("twice", ErrorCode::InvalidRequest),
        ("many", ErrorCode::InvalidReplicationFactor),
    ];
    assert_eq!(codes, expected.map(|(name, error)| (name.to_owned(), code(error))));
    assert_eq!(broker.image().topic_count(), 0, "validate_only creates nothing");
    assert!(response.topics[0].topic_id.is_nil());
}

/// What may have happened is not answered as if it had not (trap 6).
#[test]
fn a_controller_that_does_not_answer() {
    let mut broker = Broker::new(&[]);
    let expected = [
        (Mood::Unreachable, ErrorCode::NotController),
        (Mood::Silent, ErrorCode::RequestTimedOut),
        (Mood::Interrupted, ErrorCode::RequestTimedOut),
    ];
    for (mood, error) in expected {
        broker.mood = mood;
        let request =
            CreateTopicsRequest::default().with_topics(vec![topic("a", 1), topic("b", 1)]).with_timeout_ms(50);
        let response = broker.call(5, &request);
        assert_eq!(response.topics.iter().map(|t| t.error_code).collect::<Vec<_>>(), [code(error); 2]);
        let request = DeleteTopicsRequest::default().with_topic_names(vec![name("a")]);
        assert_eq!(broker.call(5, &request).responses[0].error_code, code(error));
        let more = CreatePartitionsTopic::default().with_name(name("a")).with_count(3).with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![more]);
        assert_eq!(broker.call(3, &request).results[0].error_code, code(error));
    }
}

#[test]
fn topics_are_deleted_in_every_version() {
    let mut broker = Broker::new(&[]);
    for version in versions::<DeleteTopicsRequest>() {
        create(&mut broker, &[("a", 1), ("b", 1)]);
        let ids = ["a", "b"].map(|name| broker.image().topic(name).expect("made").id);
        let request = if version < 6 {
            DeleteTopicsRequest::default().with_topic_names(vec![name("a"), name("b"), name("c")])
        } else {
            let by_name = |n| DeleteTopicState::default().with_name(Some(name(n)));
            let by_id = |id| DeleteTopicState::default().with_name(None).with_topic_id(heddle_protocol::uuid_of(id));
            let both = by_id(ids[0]).with_name(Some(name("a")));
            let none = DeleteTopicState::default().with_name(None);
            let unknown = by_id(heddle_model::TopicId(99));
            DeleteTopicsRequest::default().with_topics(vec![
                by_name("a"),
                by_id(ids[1]),
                by_name("c"),
                unknown,
                both,
                none,
            ])
        };
        let response = broker.call(version, &request.with_timeout_ms(100));
        let of = |wanted: &str| {
            let named = response.responses.iter().filter(|one| one.name == Some(name(wanted)));
            named.map(|one| one.error_code).collect::<Vec<_>>()
        };
        assert_eq!(of("b"), [0]);
        assert_eq!(of("c"), [code(ErrorCode::UnknownTopicOrPartition)]);
        assert_eq!(broker.image().topic_count(), 0);
        if version < 6 {
            assert_eq!(of("a"), [0]);
            continue;
        }
        assert_eq!(of("a"), [code(ErrorCode::InvalidRequest), 0]);
        let nameless: Vec<i16> = response.responses.iter().filter(|r| r.name.is_none()).map(|r| r.error_code).collect();
        assert_eq!(nameless, [code(ErrorCode::InvalidRequest), code(ErrorCode::UnknownTopicId)]);
        let b = response.responses.iter().find(|one| one.name == Some(name("b"))).expect("answered");
        assert_eq!(b.topic_id.as_u128(), ids[1].0);
    }
}

#[test]
fn deletion_can_be_off() {
    let mut broker = Broker::new(&[("delete.topic.enable", "false")]);
    create(&mut broker, &[("a", 1)]);
    let request = DeleteTopicsRequest::default().with_topic_names(vec![name("a")]);
    assert_eq!(broker.call(5, &request).responses[0].error_code, code(ErrorCode::TopicDeletionDisabled));
    assert_eq!(broker.call(2, &request).responses[0].error_code, code(ErrorCode::InvalidRequest));
    assert!(broker.call(1, &DeleteTopicsRequest::default()).responses.is_empty());
}

#[test]
fn topics_grow_in_every_version() {
    let mut broker = Broker::new(&[]);
    create(&mut broker, &[("a", 1)]);
    for version in versions::<CreatePartitionsRequest>() {
        let more = |n: &str, count| CreatePartitionsTopic::default().with_name(name(n)).with_count(count);
        let now = broker.image().topic("a").expect("made").partitions.len() as i32;
        let by_hand = CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1)]);
        let topics =
            vec![more("a", now + 1).with_assignments(Some(vec![by_hand])), more("b", 3).with_assignments(None)];
        let response = broker.call(version, &CreatePartitionsRequest::default().with_topics(topics));
        let codes: Vec<i16> = response.results.iter().map(|one| one.error_code).collect();
        assert_eq!(codes, [0, code(ErrorCode::UnknownTopicOrPartition)]);
        assert!(response.results.iter().all(|one| one.error_message.is_none()), "as in Kafka");
        assert_eq!(broker.image().topic("a").expect("made").partitions.len() as i32, now + 1);
        let topics = vec![more("a", now).with_assignments(None)];
        let response = broker.call(version, &CreatePartitionsRequest::default().with_topics(topics));
        assert_eq!(response.results[0].error_code, code(ErrorCode::InvalidPartitions));
        assert!(response.results[0].error_message.is_some());
    }
}

/// The pages, each as topics with the indexes of their partitions, or with their error.
fn pages(broker: &mut Broker, names: &[&str], limit: i32) -> Vec<Vec<(String, i16, Vec<i32>)>> {
    let mut pages = Vec::new();
    let mut cursor: Option<(TopicName, i32)> = None;
    loop {
        let topics = names.iter().map(|n| TopicRequest::default().with_name(name(n))).collect();
        let from = cursor.take().map(|(topic, at)| Cursor::default().with_topic_name(topic).with_partition_index(at));
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(topics)
            .with_response_partition_limit(limit)
            .with_cursor(from);
        let response = broker.call(0, &request);
        assert!(
            response.topics.iter().all(|topic| topic.topic_authorized_operations == 3576),
            "told without being asked"
        );
        let page = response.topics.iter().map(|topic| {
            let indexes = topic.partitions.iter().map(|partition| partition.partition_index).collect();
            (topic.name.as_ref().map_or(String::new(), |n| n.to_string()), topic.error_code, indexes)
        });
        pages.push(page.collect());
        match response.next_cursor {
            Some(next) => cursor = Some((next.topic_name, next.partition_index)),
            None => return pages,
        }
        assert!(pages.len() < 100, "the pages never end");
    }
}

#[test]
fn partitions_are_described_page_by_page() {
    let mut broker = Broker::new(&[]);
    create(&mut broker, &[("b", 3), ("a", 2), ("c", 4)]);
    let all = |name: &str, from: i32, to: i32| (name.to_owned(), 0, (from..to).collect::<Vec<_>>());
    // The broker's own limit is 5 here.
    let fives = vec![vec![all("a", 0, 2), all("b", 0, 3)], vec![all("c", 0, 4)]];
    assert_eq!(pages(&mut broker, &[], 2000), fives);
    assert_eq!(pages(&mut broker, &["c", "a", "b", "a"], 2000), fives);
    let ones: usize = pages(&mut broker, &[], 0).iter().map(Vec::len).sum();
    assert_eq!(ones, 9);
    let expected =
        vec![vec![all("a", 0, 2), all("b", 0, 1)], vec![all("b", 1, 3), all("c", 0, 1)], vec![all("c", 1, 4)]];
    assert_eq!(pages(&mut broker, &[], 3), expected);
    let missing = ("aa".to_owned(), code(ErrorCode::UnknownTopicOrPartition), vec![]);
    let bad = ("a b".to_owned(), code(ErrorCode::InvalidTopicException), vec![]);
    assert_eq!(pages(&mut broker, &["aa", "a", "a b"], 9), vec![vec![all("a", 0, 2), bad, missing]]);
}

#[test]
fn a_cursor_that_points_nowhere() {
    let mut broker = Broker::new(&[]);
    create(&mut broker, &[("a", 2), ("b", 2)]);
    let mut ask = |topics: &[&str], topic: &str, at: i32| {
        let cursor = Cursor::default().with_topic_name(name(topic)).with_partition_index(at);
        let topics = topics.iter().map(|n| TopicRequest::default().with_name(name(n))).collect();
        let request = DescribeTopicPartitionsRequest::default().with_topics(topics).with_cursor(Some(cursor));
        let response = broker.call(0, &request.with_response_partition_limit(10));
        response.topics.iter().map(|topic| (topic.error_code, topic.partitions.len())).collect::<Vec<_>>()
    };
    let invalid = (code(ErrorCode::InvalidRequest), 0);
    assert_eq!(ask(&["a"], "b", 0), [invalid]);
    assert_eq!(ask(&["a"], "a", -1), [invalid]);
    assert_eq!(ask(&[], "a", -1), []);
    // The topic of the cursor was deleted meanwhile, or never had so many partitions.
    assert_eq!(ask(&[], "aa", 1), [(0, 2)]);
    assert_eq!(ask(&[], "a", 7), [(0, 0), (0, 2)]);
}
