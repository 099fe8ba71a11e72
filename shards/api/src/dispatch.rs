//! The dispatch table: API key -> handler. ApiVersions names exactly what stands here.

use heddle_protocol::messages::{ApiKey, RequestKind};

use crate::context::{Closed, Context, Reply, Started};
use crate::handlers::*;

pub(crate) struct Served {
    pub key: i16,
    pub name: &'static str,
    pub start: fn(RequestKind, &mut Context<'_>) -> Started,
}

macro_rules! apis {
    ($($api:ident => $start:path),* $(,)?) => {
        pub(crate) static APIS: &[Served] = &[$(Served {
            key: ApiKey::$api as i16,
            name: stringify!($api),
            start: |request, cx| match request {
                RequestKind::$api(request) => $start(request, cx),
                // The decoder is asked for this key's request, so it is no other.
                _ => Started::Done(Reply::Close(Closed::Malformed)),
            },
        }),*];
    };
}

// In the order of the keys. A new API is its file in `handlers/` and its line here.
apis! {
    Produce => produce::start,
    Fetch => fetch::start,
    ListOffsets => list_offsets::start,
    Metadata => metadata::start,
    OffsetCommit => offset_commit::start,
    OffsetFetch => offset_fetch::start,
    FindCoordinator => find_coordinator::start,
    JoinGroup => join_group::start,
    Heartbeat => heartbeat::start,
    LeaveGroup => leave_group::start,
    SyncGroup => sync_group::start,
    DescribeGroups => describe_groups::start,
    ListGroups => list_groups::start,
    ApiVersions => api_versions::start,
    CreateTopics => create_topics::start,
    DeleteTopics => delete_topics::start,
    DeleteRecords => delete_records::start,
    InitProducerId => init_producer_id::start,
    OffsetForLeaderEpoch => offset_for_leader_epoch::start,
    DescribeAcls => acls::describe,
    CreateAcls => acls::create,
    DeleteAcls => acls::delete,
    DescribeConfigs => describe_configs::start,
    AlterConfigs => alter_configs::start,
    AlterReplicaLogDirs => alter_replica_log_dirs::start,
    DescribeLogDirs => describe_log_dirs::start,
    CreatePartitions => create_partitions::start,
    DeleteGroups => delete_groups::start,
    ElectLeaders => elect_leaders::start,
    IncrementalAlterConfigs => incremental_alter_configs::start,
    AlterPartitionReassignments => alter_partition_reassignments::start,
    ListPartitionReassignments => list_partition_reassignments::start,
    OffsetDelete => offset_delete::start,
    DescribeClientQuotas => describe_client_quotas::start,
    AlterClientQuotas => alter_client_quotas::start,
    DescribeUserScramCredentials => describe_user_scram_credentials::start,
    AlterUserScramCredentials => alter_user_scram_credentials::start,
    DescribeQuorum => describe_quorum::start,
    UpdateFeatures => update_features::start,
    DescribeCluster => describe_cluster::start,
    DescribeProducers => describe_producers::start,
    DescribeTransactions => describe_transactions::start,
    ListTransactions => list_transactions::start,
    ConsumerGroupHeartbeat => consumer_group_heartbeat::start,
    ConsumerGroupDescribe => consumer_group_describe::start,
    ListConfigResources => list_config_resources::start,
    DescribeTopicPartitions => describe_topic_partitions::start,
}

/// The index of an API in the table.
pub(crate) fn find(key: i16) -> Option<usize> {
    APIS.binary_search_by_key(&key, |served| served.key).ok()
}

#[cfg(test)]
mod tests {
    use heddle_protocol::versions_of;

    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_keys_and_decodable() {
        assert!(APIS.windows(2).all(|pair| pair[0].key < pair[1].key));
        assert!(APIS.iter().all(|served| versions_of(served.key).is_some()));
    }
}
