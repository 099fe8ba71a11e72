//! APIs that are answered without asking anybody: what is not there is said in Kafka's words.

use heddle_protocol::ErrorCode;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::*;

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

#[test]
fn leaders_that_lead_need_no_election() {
    let mut broker = Broker::new(&[]);
    create(&mut broker, &[("a", 2)]);
    for version in versions::<ElectLeadersRequest>() {
        let asked = |topic: &str| TopicPartitions::default().with_topic(name(topic)).with_partitions(vec![0, 7]);
        let request = ElectLeadersRequest::default().with_topic_partitions(Some(vec![asked("a"), asked("b")]));
        let response = broker.call(version, &request);
        let codes = response.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
        let codes: Vec<i16> = codes.map(|partition| partition.error_code).collect();
        assert_eq!((response.error_code, codes), (0, vec![84, 3, 3, 3]));
        let all = broker.call(version, &ElectLeadersRequest::default().with_topic_partitions(None));
        assert!(all.replica_election_results.is_empty());
    }
}

#[test]
fn nothing_is_ever_reassigned() {
    let mut broker = Broker::new(&[]);
    let response = broker.call(0, &ListPartitionReassignmentsRequest::default().with_topics(None));
    assert!(response.error_code == 0 && response.topics.is_empty());
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
