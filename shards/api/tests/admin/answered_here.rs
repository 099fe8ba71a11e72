//! APIs that are answered without asking anybody: what is not there is said in Kafka's words.

use heddle_model::{NodeId, Offset, PartitionId, Term};
use heddle_protocol::ErrorCode;
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::*;

use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::protocol::StrBytes;

use crate::broker::{Broker, versions};
use crate::topics::{create, name};

#[test]
fn access_rules_need_an_authorizer() {
    let mut broker = Broker::new(&[]);
    let disabled = ErrorCode::SecurityDisabled.code();
    for version in versions::<DescribeAclsRequest>() {
        assert_eq!(broker.call(version, &DescribeAclsRequest::default()).error_code, disabled);
        let creations = vec![create_acls_request::AclCreation::default(); 2];
        let created = broker.call(version, &CreateAclsRequest::default().with_creations(creations));
        assert!(created.results.len() == 2 && created.results.iter().all(|one| one.error_code == disabled));
        let filters = vec![DeleteAclsFilter::default(); 2];
        let deleted = broker.call(version, &DeleteAclsRequest::default().with_filters(filters));
        assert!(
            deleted.filter_results.len() == 2 && deleted.filter_results.iter().all(|one| one.error_code == disabled)
        );
    }
}

/// Without an authorizer everything is allowed that Kafka knows of for a cluster (KIP-430).
#[test]
fn operations_on_the_cluster_are_said_if_asked_for() {
    let mut broker = Broker::new(&[]);
    for version in versions::<DescribeClusterRequest>() {
        let request = DescribeClusterRequest::default();
        assert_eq!(broker.call(version, &request).cluster_authorized_operations, i32::MIN);
        let request = request.with_include_cluster_authorized_operations(true);
        assert_eq!(broker.call(version, &request).cluster_authorized_operations, 8096);
    }
}

#[test]
fn leaders_that_lead_need_no_election() {
    let mut broker = Broker::new(&[]);
    create(&mut broker, &[("a", 2)]);
    for version in versions::<ElectLeadersRequest>() {
        let asked = |topic: &str| TopicPartitions::default().with_topic(name(topic)).with_partitions(vec![0, 7]);
        let request = ElectLeadersRequest::default().with_topic_partitions(Some(vec![asked("a"), asked("b")]));
        let response = broker.call(version, &request);
        let results = response.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
        let said = results.map(|one| (one.error_code, one.error_message.as_deref().unwrap_or_default()));
        let unneeded = (84, "Leader election not needed for topic partition.");
        let unknown = [(3, "No such partition as a-7"), (3, "No such topic as b"), (3, "No such topic as b")];
        assert_eq!(said.collect::<Vec<_>>(), [&[unneeded], &unknown[..]].concat());
        assert_eq!(response.error_code, 0);
        let all = broker.call(version, &ElectLeadersRequest::default().with_topic_partitions(None));
        assert!(all.replica_election_results.is_empty());
    }
}

#[test]
fn replicas_stay_where_they_are() {
    let mut broker = Broker::new(&[]);
    create(&mut broker, &[("a", 1)]);
    let response = broker.call(0, &ListPartitionReassignmentsRequest::default().with_topics(None));
    assert!(response.error_code == 0 && response.error_message.is_none() && response.topics.is_empty());
    for version in versions::<AlterPartitionReassignmentsRequest>() {
        let mut alter = |topic: &str, index: i32, target: Option<&[i32]>| {
            let target = target.map(|ids| ids.iter().copied().map(BrokerId).collect());
            let partition = ReassignablePartition::default().with_partition_index(index).with_replicas(target);
            let topic = ReassignableTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
            let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
            let response = broker.call(version, &request);
            (response.error_code, response.responses[0].partitions[0].error_code)
        };
        assert_eq!(alter("a", 0, Some(&[1])), (0, 0));
        assert_eq!(alter("a", 0, None), (0, ErrorCode::NoReassignmentInProgress.code()));
        assert_eq!(alter("a", 1, Some(&[1])), (0, ErrorCode::UnknownTopicOrPartition.code()));
        assert_eq!(alter("b", 0, None), (0, ErrorCode::UnknownTopicOrPartition.code()));
        for wrong in [&[][..], &[2], &[1, 1]] {
            assert_eq!(alter("a", 0, Some(wrong)), (0, ErrorCode::InvalidReplicaAssignment.code()), "{wrong:?}");
        }
    }
}

#[test]
fn a_replica_can_only_be_moved_to_the_directory_it_is_in() {
    let mut broker = Broker::new(&[("log.dirs", "/data")]);
    create(&mut broker, &[("a", 1)]);
    for version in versions::<AlterReplicaLogDirsRequest>() {
        let mut alter = |path: &str| {
            let topic = AlterReplicaLogDirTopic::default().with_name(name("a")).with_partitions(vec![0, 1]);
            let dir = AlterReplicaLogDir::default().with_path(StrBytes::from_string(path.to_owned()));
            let request = AlterReplicaLogDirsRequest::default().with_dirs(vec![dir.with_topics(vec![topic])]);
            let response = broker.call(version, &request);
            response.results[0].partitions.iter().map(|one| one.error_code).collect::<Vec<_>>()
        };
        assert_eq!(alter("/data"), [0, ErrorCode::UnknownTopicOrPartition.code()]);
        assert_eq!(alter("/other"), [ErrorCode::LogDirNotFound.code(); 2]);
    }
}

#[test]
fn features_have_the_levels_they_have() {
    let mut broker = Broker::new(&[]);
    for version in versions::<UpdateFeaturesRequest>() {
        let mut update = |feature: &str, level| {
            let key = FeatureUpdateKey::default().with_feature(StrBytes::from_string(feature.to_owned()));
            let request =
                UpdateFeaturesRequest::default().with_feature_updates(vec![key.with_max_version_level(level)]);
            let response = broker.call(version, &request);
            let each: Vec<i16> = response.results.iter().map(|one| one.error_code).collect();
            assert_eq!(each, vec![0; usize::from(version <= 1 && response.error_code == 0)]);
            response.error_code
        };
        assert_eq!(update("group.version", 1), 0);
        for (feature, level) in [("group.version", 2), ("group.version", 0), ("made.up", 1)] {
            assert_eq!(update(feature, level), ErrorCode::InvalidUpdateVersion.code(), "{feature} {level}");
        }
    }
}

#[test]
fn there_are_no_quotas_and_no_credentials() {
    let mut broker = Broker::new(&[]);
    for version in versions::<DescribeClientQuotasRequest>() {
        let response = broker.call(version, &DescribeClientQuotasRequest::default());
        assert_eq!((response.error_code, response.entries), (0, Some(vec![])));
    }
    let all = broker.call(0, &DescribeUserScramCredentialsRequest::default().with_users(None));
    assert!(all.error_code == 0 && all.results.is_empty());
    let user = describe_user_scram_credentials_request::UserName::default();
    let user = user.with_name(StrBytes::from_static_str("eve"));
    let one = broker.call(0, &DescribeUserScramCredentialsRequest::default().with_users(Some(vec![user])));
    assert_eq!(one.results[0].error_code, ErrorCode::ResourceNotFound.code());
}

#[test]
fn quotas_and_credentials_are_refused_and_not_silently_forgotten() {
    let mut broker = Broker::new(&[]);
    for version in versions::<AlterClientQuotasRequest>() {
        let entity = alter_client_quotas_request::EntityData::default();
        let entity = vec![entity.with_entity_type(StrBytes::from_static_str("user")).with_entity_name(None)];
        let entry = |remove| {
            let op = alter_client_quotas_request::OpData::default().with_remove(remove);
            let op = op.with_key(StrBytes::from_static_str("producer_byte_rate")).with_value(1.0);
            alter_client_quotas_request::EntryData::default().with_entity(entity.clone()).with_ops(vec![op])
        };
        let request = AlterClientQuotasRequest::default().with_entries(vec![entry(false), entry(true)]);
        let entries = broker.call(version, &request).entries;
        let told: Vec<_> = entries.iter().map(|one| (one.error_code, one.error_message.is_some())).collect();
        assert_eq!(told, [(ErrorCode::UnsupportedVersion.code(), true), (0, false)]);
        assert!(entries.iter().all(|one| &*one.entity[0].entity_type == "user"));
    }
    let user = |name: &'static str| StrBytes::from_static_str(name);
    let request = AlterUserScramCredentialsRequest::default()
        .with_deletions(vec![
            alter_user_scram_credentials_request::ScramCredentialDeletion::default().with_name(user("bob")),
            alter_user_scram_credentials_request::ScramCredentialDeletion::default().with_name(user("eve")),
        ])
        .with_upsertions(vec![
            alter_user_scram_credentials_request::ScramCredentialUpsertion::default().with_name(user("eve")),
        ]);
    let results = broker.call(0, &request).results;
    let told: Vec<_> = results.iter().map(|one| (&*one.user, one.error_code)).collect();
    let expected = [("eve", ErrorCode::UnsupportedVersion), ("bob", ErrorCode::ResourceNotFound)];
    assert_eq!(told, expected.map(|(name, error)| (name, error.code())));
}

#[test]
fn there_are_no_transactions() {
    let mut broker = Broker::new(&[]);
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    for version in versions::<ListTransactionsRequest>() {
        let mut list = |states: &[&str], pattern: Option<&str>| {
            let request = ListTransactionsRequest::default()
                .with_state_filters(states.iter().map(|state| text(state)).collect())
                .with_transactional_id_pattern(pattern.map(text));
            let response = broker.call(version, &request);
            assert_eq!(response.transaction_states, []);
            (response.error_code, response.unknown_state_filters.iter().map(|state| state.to_string()).collect())
        };
        let unknown = |states: &[&str]| (0, states.iter().map(|state| state.to_string()).collect::<Vec<_>>());
        assert_eq!(list(&[], None), unknown(&[]));
        let known = ["Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead"];
        assert_eq!(list(&known, None), unknown(&[]));
        assert_eq!(list(&["PrepareEpochFence", "ongoing", "No", "", "No"], None), unknown(&["", "No", "ongoing"]));
        if version >= 2 {
            assert_eq!(list(&["No"], Some("a.*|b")), unknown(&["No"]));
            for wrong in ["a(", "(?<=a)b", "(a)\\1"] {
                assert_eq!(list(&["No"], Some(wrong)), (ErrorCode::InvalidRegularExpression.code(), vec![]), "{wrong}");
            }
        }
    }
    let ids = ["a", "", "a"].map(|id| TransactionalId(text(id))).to_vec();
    let request = DescribeTransactionsRequest::default().with_transactional_ids(ids);
    let states = broker.call(0, &request).transaction_states;
    let told: Vec<_> = states.iter().map(|one| (one.transactional_id.as_str(), one.error_code)).collect();
    let (unknown, wrong) = (ErrorCode::TransactionalIdNotFound.code(), ErrorCode::InvalidRequest.code());
    assert_eq!(told, [("a", unknown), ("", wrong), ("a", unknown)]);
    assert!(states.iter().all(|one| (one.producer_id, one.producer_epoch, one.topics.len()) == (ProducerId(0), 0, 0)));
}

#[test]
fn the_quorum_is_that_of_the_controllers_log() {
    let mut broker = Broker::new(&[]);
    let described = heddle_partition::Described {
        bytes: 1,
        log_start: Offset(0),
        high_watermark: Offset(8),
        end: Offset(9),
        term: Term(3),
        leader: Some(NodeId(1)),
    };
    let asked = |topic: &str, index| {
        let partition = describe_quorum_request::PartitionData::default().with_partition_index(index);
        let topic = describe_quorum_request::TopicData::default().with_topic_name(name(topic));
        DescribeQuorumRequest::default().with_topics(vec![topic.with_partitions(vec![partition])])
    };
    for version in versions::<DescribeQuorumRequest>() {
        broker.partitions.insert(PartitionId::CONTROLLER, heddle_partition::Answer::Described(described));
        let response = broker.call(version, &asked("__cluster_metadata", 0));
        let one = &response.topics[0].partitions[0];
        assert_eq!((response.error_code, one.error_code, one.partition_index), (0, 0, 0));
        if version >= 2 {
            assert_eq!((&response.error_message, &one.error_message), (&None, &None));
        }
        assert_eq!((one.leader_id, one.leader_epoch, one.high_watermark), (BrokerId(1), 3, 8));
        let voters: Vec<_> = one.current_voters.iter().map(|voter| (voter.replica_id, voter.log_end_offset)).collect();
        assert_eq!((voters, one.observers.len()), (vec![(BrokerId(1), 9)], 0));
        let ports: Vec<_> = response.nodes.iter().map(|node| (node.node_id, node.listeners[0].port)).collect();
        assert_eq!(ports, if version >= 2 { vec![(BrokerId(1), 9092)] } else { vec![] });
        for (topic, index) in [("__cluster_metadata", 1), ("a", 0)] {
            let response = broker.call(version, &asked(topic, index));
            let one = &response.topics[0].partitions[0];
            assert_eq!((one.error_code, one.partition_index), (ErrorCode::UnknownTopicOrPartition.code(), index));
        }
        broker.partitions.clear();
        let response = broker.call(version, &asked("__cluster_metadata", 0));
        assert_eq!(response.topics[0].partitions[0].error_code, ErrorCode::NotLeaderOrFollower.code());
    }
}

#[test]
fn resources_with_configs_are_listed() {
    let mut broker = Broker::new(&[]);
    create(&mut broker, &[("a", 1), ("b", 1)]);
    let mut list = |version, types: &[i8]| {
        let request = ListConfigResourcesRequest::default().with_resource_types(types.to_vec());
        let response = broker.call(version, &request);
        let pairs = response.config_resources.iter().map(|one| (one.resource_type, one.resource_name.to_string()));
        (response.error_code, pairs.collect::<Vec<_>>())
    };
    let (a, b, me) = ((2, "a".to_owned()), (2, "b".to_owned()), (4, "1".to_owned()));
    assert_eq!(list(0, &[]), (0, vec![]));
    assert_eq!(list(1, &[]), (0, vec![a.clone(), b.clone(), me.clone()]));
    assert_eq!(list(1, &[2]), (0, vec![a, b]));
    assert_eq!(list(1, &[4, 32]), (0, vec![me]));
    assert_eq!(list(1, &[3]).0, ErrorCode::UnsupportedVersion.code());
}
