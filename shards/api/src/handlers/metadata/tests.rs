use heddle_controller::{Answer as Controller, Ask, Refusal, TopicResult};
use heddle_model::PartitionId;
use heddle_model::{LeaderEpoch, NodeId};
use heddle_protocol::messages::metadata_request::MetadataRequestTopic;
use heddle_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use heddle_protocol::{Uuid, text, uuid_of};

use crate::ApiConfig;
use crate::ask::{self, Answer};
use crate::testing::World;

fn named(names: &[&str]) -> MetadataRequest {
    let topic = |name: &&str| MetadataRequestTopic::default().with_name(Some(TopicName(text(name))));
    MetadataRequest::default().with_topics(Some(names.iter().map(topic).collect()))
}

fn ask(world: &mut World, version: i16, request: &MetadataRequest) -> MetadataResponse {
    let conn = world.open(world.now.0);
    world.now = world.now.plus_ms(1);
    world.request(conn, 3, version, 1, request);
    world.response(conn, version).1
}

fn summary(response: &MetadataResponse) -> Vec<(Option<&str>, i16, usize)> {
    response
        .topics
        .iter()
        .map(|t| (t.name.as_ref().map(|name| name.0.as_str()), t.error_code, t.partitions.len()))
        .collect()
}

#[test]
fn brokers_and_all_topics_in_every_version() {
    for version in 0..=13 {
        let mut world = World::new();
        world.leaders.0.insert(PartitionId::CONTROLLER, (NodeId(2), LeaderEpoch(5)));
        let all = if version == 0 { Some(Vec::new()) } else { None };
        let response = ask(&mut world, version, &MetadataRequest::default().with_topics(all));
        assert_eq!(summary(&response), [(Some("t"), 0, 2)], "version {version}");
        let brokers: Vec<_> = response.brokers.iter().map(|b| (b.node_id.0, b.host.as_str(), b.port)).collect();
        assert_eq!(brokers, [(1, "one", 9092), (2, "two", 9092)]);
        let partition = &response.topics[0].partitions[1];
        assert_eq!((partition.partition_index, partition.leader_id.0), (1, 1));
        assert_eq!(partition.leader_epoch, if version >= 7 { 3 } else { -1 });
        assert_eq!(response.controller_id.0, if version >= 1 { 2 } else { -1 });
        assert_eq!(response.cluster_id.as_deref(), (version >= 2).then_some("cluster"));
        let id = if version >= 10 { uuid_of(world.partition("t", 0).topic) } else { Uuid::nil() };
        assert_eq!(response.topics[0].topic_id, id);
        assert_eq!(response.topics[0].topic_authorized_operations, i32::MIN, "not asked for");
    }
}

/// Nobody is forbidden anything, so the answer is what Apache Kafka knows of topics and of the cluster (KIP-430).
#[test]
fn operations_are_said_if_asked_for() {
    for version in 8..=13 {
        let mut world = World::new();
        let request = named(&["t", "none", "bad name"]).with_allow_auto_topic_creation(false);
        let request = request.with_include_topic_authorized_operations(true);
        let response = ask(&mut world, version, &request);
        let operations: Vec<i32> = response.topics.iter().map(|topic| topic.topic_authorized_operations).collect();
        assert_eq!(operations, [3576; 3], "version {version}");
        assert_eq!(response.cluster_authorized_operations, i32::MIN, "not asked for");
    }
    for version in 8..=10 {
        let request = named(&["t"]).with_include_cluster_authorized_operations(true);
        let response = ask(&mut World::new(), version, &request);
        assert_eq!(response.cluster_authorized_operations, 8096);
        assert_eq!(response.topics[0].topic_authorized_operations, i32::MIN, "not asked for");
    }
    let unknown = MetadataRequestTopic::default().with_name(None).with_topic_id(Uuid::from_u128(9));
    let request = MetadataRequest::default().with_topics(Some(vec![unknown]));
    let response = ask(&mut World::new(), 12, &request.with_include_topic_authorized_operations(true));
    assert_eq!(response.topics[0].topic_authorized_operations, i32::MIN, "nobody knows which topic that would be");
}

#[test]
fn an_empty_list_means_none_from_version_1_on() {
    let mut world = World::new();
    assert_eq!(summary(&ask(&mut world, 1, &named(&[]))), []);
}

#[test]
fn topics_by_id() {
    let mut world = World::new();
    let id = uuid_of(world.partition("t", 0).topic);
    let by_id = |id| MetadataRequestTopic::default().with_name(None).with_topic_id(id);
    let request = MetadataRequest::default().with_topics(Some(vec![by_id(id), by_id(Uuid::from_u128(9))]));
    let response = ask(&mut world, 12, &request);
    assert_eq!(summary(&response), [(Some("t"), 0, 2), (None, 100, 0)]);
    assert_eq!(response.topics[1].topic_id, Uuid::from_u128(9));
    // Java's admin client sends an empty name beside the id.
    let request = MetadataRequest::default().with_topics(Some(vec![by_id(id).with_name(Some(TopicName(text(""))))]));
    assert_eq!(summary(&ask(&mut world, 12, &request)), [(Some("t"), 0, 2)]);
}

#[test]
fn without_a_leader_or_with_one_that_is_unknown() {
    let mut world = World::new();
    let (first, second) = (world.partition("t", 0), world.partition("t", 1));
    world.leaders.0.remove(&first);
    world.leaders.0.insert(second, (NodeId(77), LeaderEpoch(4)));
    let response = ask(&mut world, 9, &named(&["t"]));
    for partition in &response.topics[0].partitions {
        assert_eq!((partition.leader_id.0, partition.leader_epoch, partition.error_code), (-1, -1, 5));
    }
}

#[test]
fn missing_topics_are_created_only_if_both_sides_agree() {
    let mut world = World::new();
    let request = named(&["new"]).with_allow_auto_topic_creation(false);
    assert_eq!(summary(&ask(&mut world, 4, &request)), [(Some("new"), 3, 0)]);
    let mut world = World::with(ApiConfig { auto_create_topics: false, ..ApiConfig::default() });
    assert_eq!(summary(&ask(&mut world, 4, &named(&["new"]))), [(Some("new"), 3, 0)]);
    let bad = named(&["bad name", "", "..", "t", "t"]);
    assert_eq!(
        summary(&ask(&mut world, 4, &bad)),
        [(Some("bad name"), 17, 0), (Some(""), 17, 0), (Some(".."), 17, 0), (Some("t"), 0, 2)]
    );
    assert!(world.asks.is_empty());
}

#[test]
fn a_topic_is_created_and_found_by_the_next_request() {
    let mut world = World::new();
    let conn = world.open(1);
    world.request(conn, 3, 9, 1, &named(&["new", "t"]));
    let (ticket, target, ask::Ask::Controller(ask)) = world.next_ask() else { panic!("a controller's ask") };
    assert_eq!(target, ask::Target::Controller);
    assert!(matches!(&ask, Ask::CreateTopics { topics, .. } if topics.len() == 1 && topics[0].name == "new"));
    assert!(world.is_silent(conn));
    let answer = world.decide(ask);
    world.answer(ticket, Answer::Controller(answer));
    assert_eq!(summary(&world.response(conn, 9).1), [(Some("new"), 3, 0), (Some("t"), 0, 2)]);
    world.request(conn, 3, 9, 2, &named(&["new"]));
    let response = world.response::<MetadataResponse>(conn, 9).1;
    assert_eq!(summary(&response), [(Some("new"), 0, 1)]);
    assert_eq!(response.topics[0].partitions[0].error_code, 5, "no leader yet");
}

#[test]
fn what_creation_may_come_to() {
    let failed = |why: Refusal| {
        let result = Err(why.because("why"));
        Answer::Controller(Controller::CreatedTopics(vec![TopicResult { name: "new".into(), result }]))
    };
    let cases = [
        (Some(failed(Refusal::TopicExists)), 3),
        (Some(failed(Refusal::InvalidReplicationFactor)), 38),
        (Some(failed(Refusal::InvalidTopicName)), 17),
        (Some(Answer::Controller(Controller::Refused(Refusal::NotController.because("")))), 3),
        (Some(Answer::Unreachable), 3),
        (None, 3),
    ];
    for (answer, error) in cases {
        let mut world = World::new();
        let conn = world.open(1);
        world.request(conn, 3, 9, 1, &named(&["new"]));
        let (ticket, ..) = world.next_ask();
        match answer {
            Some(answer) => world.answer(ticket, answer),
            None => world.pass_ms(1000),
        }
        assert_eq!(summary(&world.response(conn, 9).1), [(Some("new"), error, 0)]);
    }
}

#[test]
fn internal_topics_are_created_as_such() {
    let mut world = World::new();
    let conn = world.open(1);
    world.request(conn, 3, 9, 1, &named(&["__consumer_offsets"]));
    let (_, _, ask) = world.next_ask();
    assert!(matches!(ask, ask::Ask::Controller(Ask::EnsureInternalTopic(_))));
}

/// One request to the controller with all of them: one decision, one image, and the bounds of a request hold.
#[test]
fn missing_topics_are_created_together() {
    let mut world = World::new();
    let conn = world.open(1);
    world.request(conn, 3, 9, 1, &named(&["a", "t", "b", "bad name", "c"]));
    let (ticket, _, ask::Ask::Controller(Ask::CreateTopics { topics, .. })) = world.next_ask() else { panic!() };
    assert_eq!(topics.iter().map(|topic| topic.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(world.asks.is_empty());
    let refused = |name: &str, why: Refusal| TopicResult { name: name.into(), result: Err(why.because("why")) };
    let results = vec![
        refused("a", Refusal::PolicyViolation),
        refused("b", Refusal::InvalidReplicationFactor),
        refused("c", Refusal::TopicExists),
    ];
    world.answer(ticket, Answer::Controller(Controller::CreatedTopics(results)));
    let expected =
        [(Some("a"), 3, 0), (Some("t"), 0, 2), (Some("b"), 38, 0), (Some("bad name"), 17, 0), (Some("c"), 3, 0)];
    assert_eq!(summary(&world.response(conn, 9).1), expected);
}
