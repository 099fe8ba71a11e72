//! Any sequence of decisions, replayed on an empty machine, gives the same state; also after compaction of the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use heddle_controller::*;
use heddle_model::{NodeId, Now, TopicId};
use proptest::prelude::*;

fn config() -> Arc<BrokerConfig> {
    let given = [("offsets.topic.num.partitions", "3"), ("log.retention.hours", "5")];
    let given = given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Arc::new(BrokerConfig::parse(given).expect("valid"))
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "a.b", "a_b", "c", "", "bad name", "__consumer_offsets"])
        .prop_map(str::to_owned)
}

const GROUP_CONFIG: &str = "consumer.session.timeout.ms";

fn configs() -> impl Strategy<Value = Vec<(String, Option<String>)>> {
    let names = [
        "retention.ms",
        "cleanup.policy",
        "log.retention.ms",
        "num.partitions",
        "min.insync.replicas",
        "x",
        GROUP_CONFIG,
    ];
    let values = ["1", "compact", "delete", "-1", "", "50000"];
    let pair =
        (prop::sample::select(names.to_vec()), prop::option::weighted(0.9, prop::sample::select(values.to_vec())));
    prop::collection::vec(pair.prop_map(|(n, v)| (n.to_owned(), v.map(str::to_owned))), 0..3)
}

fn nodes() -> impl Strategy<Value = Vec<NodeId>> {
    prop::collection::vec((1i32..5).prop_map(NodeId), 0..3)
}

fn ask() -> impl Strategy<Value = Ask> {
    let new = (name(), -1i32..300, -1i16..4, prop::collection::vec((0i32..3, nodes()), 0..2), configs()).prop_map(
        |(name, partitions, replication_factor, assignments, configs)| NewTopic {
            name,
            partitions,
            replication_factor,
            assignments,
            configs,
        },
    );
    let more = (name(), 0i32..600, prop::option::weighted(0.1, prop::collection::vec(nodes(), 0..2)))
        .prop_map(|(topic, count, assignments)| MorePartitions { topic, count, assignments });
    let op = prop::sample::select(vec![EditOp::Set, EditOp::Delete, EditOp::Append, EditOp::Subtract]);
    let edits = (configs(), op)
        .prop_map(|(c, op)| Change::Edit(c.into_iter().map(|(name, value)| Edit { name, op, value }).collect()));
    let change = prop_oneof![configs().prop_map(Change::Replace), edits];
    let resource = prop_oneof![
        3 => name().prop_map(Resource::Topic),
        1 => name().prop_map(Resource::Group),
        1 => prop::option::of((1i32..4).prop_map(NodeId)).prop_map(Resource::Broker),
    ];
    let config_change = (resource, change).prop_map(|(resource, change)| ConfigChange { resource, change });
    prop_oneof![
        2 => (1i32..4, prop::option::of(0u8..2)).prop_map(|(id, rack)| Ask::Boot {
            cluster_id_if_new: String::new(),
            broker: Broker { id: NodeId(id), rack: rack.map(|r| r.to_string()), host: "h".into(), port: 1 },
        }),
        4 => (prop::collection::vec(new, 0..3), prop::bool::weighted(0.1))
            .prop_map(|(topics, validate_only)| Ask::CreateTopics { topics, validate_only }),
        2 => prop::collection::vec(name().prop_map(TopicRef::Name), 0..3).prop_map(|topics| Ask::DeleteTopics { topics }),
        2 => (prop::collection::vec(more, 0..3), prop::bool::weighted(0.1))
            .prop_map(|(topics, validate_only)| Ask::CreatePartitions { topics, validate_only }),
        4 => (prop::collection::vec(config_change, 0..3), prop::bool::weighted(0.1))
            .prop_map(|(resources, validate_only)| Ask::AlterConfigs { resources, validate_only }),
        1 => (0u32..2000).prop_map(|count| Ask::ProducerIds { count }),
        1 => Just(Ask::EnsureInternalTopic(InternalTopic::Offsets)),
    ]
}

fn replayed(log: &[Entry]) -> Controller {
    let mut controller = Controller::new(config());
    for entry in log {
        controller.replay(&entry.key, entry.value.as_deref()).expect("own records");
    }
    controller
}

/// Drop superseded records among those that `chosen` picks; tombstones stay.
fn compacted(log: &[Entry], chosen: impl Fn(usize) -> bool) -> Vec<Entry> {
    let last: BTreeMap<_, _> = log.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
    let kept = |(at, entry): &(usize, &Entry)| last[&entry.key] == *at || !chosen(*at);
    log.iter().enumerate().filter(kept).map(|(_, entry)| entry.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn replay_gives_the_same_state(asks in prop::collection::vec((ask(), any::<u128>()), 0..25), pick: u64) {
        let mut live = Controller::new(config());
        let mut log = Vec::new();
        let mut ids = std::collections::BTreeSet::<TopicId>::new();
        let mut next_id = 0;
        for (ask, entropy) in &asks {
            let before = live.image();
            let decision = live.decide(Now::default(), ask, *entropy);
            prop_assert_eq!(&live.decide(Now::default(), ask, *entropy), &decision);
            for entry in &decision.records {
                live.replay(&entry.key, entry.value.as_deref()).expect("own records");
            }
            live.check();
            let grown = u64::from(live.image().topics().ne(before.topics()));
            prop_assert!(live.image().version >= before.version + grown);
            if let Answer::ProducerIds { first, count } = decision.answer {
                prop_assert!(first.0 >= next_id);
                next_id = first.0 + i64::from(count);
            }
            if let Answer::CreatedTopics(topics) = &decision.answer {
                for created in topics.iter().filter_map(|t| t.result.as_ref().ok()).filter(|t| t.id != TopicId::NONE) {
                    prop_assert!(ids.insert(created.id), "a topic id twice");
                    prop_assert!(live.image().topic_by_id(created.id).is_some());
                }
            }
            // Whoever is gone was removed explicitly (trap 35).
            for topic in before.topics().filter(|topic| live.image().topic_by_id(topic.id).is_none()) {
                for replica in topic.partitions.iter().flat_map(|placement| &placement.replicas) {
                    prop_assert!(live.image().is_removed(replica.number));
                }
            }
            log.extend(decision.records);
        }
        prop_assert_eq!(&*replayed(&log).image(), &*live.image());
        prop_assert_eq!(&*replayed(&compacted(&log, |_| true)).image(), &*live.image());
        let some = compacted(&log, |at| pick.rotate_left(at as u32) & 1 == 1);
        prop_assert_eq!(&*replayed(&some).image(), &*live.image());
        let ask = Ask::CreateTopics { topics: vec![NewTopic::with_defaults("fresh")], validate_only: false };
        prop_assert_eq!(replayed(&some).decide(Now::default(), &ask, 5), live.decide(Now::default(), &ask, 5));
    }

    #[test]
    fn no_bytes_make_replay_panic(key: Vec<u8>, value: Option<Vec<u8>>, kind in 0u8..10) {
        let mut controller = Controller::new(config());
        let _ = controller.replay(&key, value.as_deref());
        let _ = controller.replay(&[kind], value.as_deref());
    }
}

/// Each decision of the largest requests stays within its bound.
#[test]
fn the_largest_decisions_fit() {
    let mut controller = Controller::new(config());
    let mut run = |ask: Ask| {
        let decision = controller.decide(Now::default(), &ask, 3);
        let bytes: usize = decision.records.iter().map(|e| e.key.len() + e.value.as_ref().map_or(0, |v| v.len())).sum();
        assert!(bytes <= DECISION_BYTES_MAX, "{bytes}");
        for entry in &decision.records {
            controller.replay(&entry.key, entry.value.as_deref()).expect("own records");
        }
        controller.check();
        (decision.answer, bytes)
    };
    for id in 1..6 {
        let broker = Broker { id: NodeId(id), rack: None, host: "host".into(), port: 9092 };
        run(Ask::Boot { cluster_id_if_new: "c".into(), broker });
    }
    let big =
        |name: String, partitions| NewTopic { partitions, replication_factor: 5, ..NewTopic::with_defaults(name) };
    let topics = vec![big("wide".into(), REQUEST_PARTITIONS_MAX as i32), big("more".into(), 1)];
    let (answer, bytes) = run(Ask::CreateTopics { topics, validate_only: false });
    let Answer::CreatedTopics(results) = answer else { panic!("{answer:?}") };
    assert!(results[0].result.is_ok(), "{:?}, {bytes}", results[0]);
    assert_eq!(results[1].result.as_ref().map_err(|r| r.why), Err(Refusal::PolicyViolation));
    for round in 0..3 {
        let topics = (0..10_000).map(|n| big(format!("t-{round}-{n}"), 1)).collect();
        let (answer, _) = run(Ask::CreateTopics { topics, validate_only: false });
        let Answer::CreatedTopics(results) = answer else { panic!("{answer:?}") };
        let made = results.iter().filter(|r| r.result.is_ok()).count();
        let refused = results.iter().filter_map(|r| r.result.as_ref().err()).all(|r| r.why == Refusal::PolicyViolation);
        assert!(made > 3_000 && refused, "{made}");
    }
    let refs = (0..10_000).map(|n| TopicRef::Name(format!("t-0-{n}"))).chain([TopicRef::Name("wide".into())]);
    run(Ask::DeleteTopics { topics: refs.collect() });
}
