//! Where the error codes of each response stand, so that answers can be counted by them.

use heddle_protocol::messages::*;

/// A response that may say what went wrong, as a whole or for parts of it.
pub(crate) trait ErrorCodes {
    /// Every error code, those of success included.
    fn each_error_code(&self, tell: &mut dyn FnMut(i16));

    /// The codes that are errors, one for each place where it stands.
    fn errors(&self) -> Vec<i16> {
        let mut errors = Vec::new();
        self.each_error_code(&mut |code| {
            if code != 0 {
                errors.push(code);
            }
        });
        errors
    }
}

macro_rules! walk {
    ($of:expr, $tell:ident,) => {};
    ($of:expr, $tell:ident, $list:ident [ $($inner:tt)* ] $($rest:tt)*) => {
        for part in &$of.$list {
            walk!(part, $tell, $($inner)*);
        }
        walk!($of, $tell, $($rest)*);
    };
    ($of:expr, $tell:ident, $code:ident $($rest:tt)*) => {
        $tell($of.$code);
        walk!($of, $tell, $($rest)*);
    };
}

/// Names of fields; what stands in brackets are fields of each item of a list.
macro_rules! error_codes {
    ($($response:ident { $($fields:tt)* })*) => {
        $(impl ErrorCodes for $response {
            fn each_error_code(&self, tell: &mut dyn FnMut(i16)) {
                walk!(self, tell, $($fields)*);
            }
        })*
    };
}

error_codes! {
    AlterClientQuotasResponse { entries [error_code] }
    AlterConfigsResponse { responses [error_code] }
    AlterPartitionReassignmentsResponse { error_code responses [partitions [error_code]] }
    AlterReplicaLogDirsResponse { results [partitions [error_code]] }
    AlterUserScramCredentialsResponse { results [error_code] }
    ApiVersionsResponse { error_code }
    ConsumerGroupDescribeResponse { groups [error_code] }
    ConsumerGroupHeartbeatResponse { error_code }
    CreateAclsResponse { results [error_code] }
    CreatePartitionsResponse { results [error_code] }
    CreateTopicsResponse { topics [error_code] }
    DeleteAclsResponse { filter_results [error_code matching_acls [error_code]] }
    DeleteGroupsResponse { results [error_code] }
    DeleteRecordsResponse { topics [partitions [error_code]] }
    DeleteTopicsResponse { responses [error_code] }
    DescribeAclsResponse { error_code }
    DescribeClientQuotasResponse { error_code }
    DescribeClusterResponse { error_code }
    DescribeConfigsResponse { results [error_code] }
    DescribeGroupsResponse { groups [error_code] }
    DescribeLogDirsResponse { error_code results [error_code] }
    DescribeProducersResponse { topics [partitions [error_code]] }
    DescribeQuorumResponse { error_code topics [partitions [error_code]] }
    DescribeTopicPartitionsResponse { topics [error_code partitions [error_code]] }
    DescribeTransactionsResponse { transaction_states [error_code] }
    DescribeUserScramCredentialsResponse { error_code results [error_code] }
    ElectLeadersResponse { error_code replica_election_results [partition_result [error_code]] }
    FindCoordinatorResponse { error_code coordinators [error_code] }
    HeartbeatResponse { error_code }
    IncrementalAlterConfigsResponse { responses [error_code] }
    InitProducerIdResponse { error_code }
    JoinGroupResponse { error_code }
    LeaveGroupResponse { error_code members [error_code] }
    ListConfigResourcesResponse { error_code }
    ListGroupsResponse { error_code }
    ListOffsetsResponse { topics [partitions [error_code]] }
    ListPartitionReassignmentsResponse { error_code }
    ListTransactionsResponse { error_code }
    MetadataResponse { topics [error_code partitions [error_code]] }
    OffsetCommitResponse { topics [partitions [error_code]] }
    OffsetDeleteResponse { error_code topics [partitions [error_code]] }
    OffsetFetchResponse {
        error_code
        topics [partitions [error_code]]
        groups [error_code topics [partitions [error_code]]]
    }
    OffsetForLeaderEpochResponse { topics [partitions [error_code]] }
    ProduceResponse { responses [partition_responses [error_code]] }
    SyncGroupResponse { error_code }
    UpdateFeaturesResponse { error_code results [error_code] }
}

impl ErrorCodes for heddle_protocol::FetchResponse {
    fn each_error_code(&self, tell: &mut dyn FnMut(i16)) {
        tell(self.error.code());
        self.topics.iter().flat_map(|topic| &topic.partitions).for_each(|partition| tell(partition.error.code()));
    }
}
