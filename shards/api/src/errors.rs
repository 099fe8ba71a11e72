//! The one map from refusals to Kafka's error codes, and what a client may conclude from a code.
//!
//! What depends on a request's version stands in that request's handler; everything else stands here.

use heddle_protocol::ErrorCode;

/// What a refused partition ask is on the wire.
///
/// `Interrupted` is the one refusal after which an append may have happened: it becomes REQUEST_TIMED_OUT, which
/// promises nothing (trap 6). None becomes UNKNOWN_SERVER_ERROR (trap 9).
pub(crate) fn of_partition(refusal: &heddle_partition::Refusal) -> ErrorCode {
    use heddle_partition::Refusal;
    match refusal {
        Refusal::UnknownPartition => ErrorCode::UnknownTopicOrPartition,
        Refusal::NotLeader { .. } => ErrorCode::NotLeaderOrFollower,
        Refusal::NotServing { .. } => ErrorCode::NotLeaderOrFollower,
        Refusal::FencedEpoch { .. } => ErrorCode::FencedLeaderEpoch,
        Refusal::UnknownEpoch => ErrorCode::UnknownLeaderEpoch,
        Refusal::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        Refusal::BatchTooLarge { .. } => ErrorCode::MessageTooLarge,
        Refusal::BatchBeyondSegment { .. } => ErrorCode::RecordListTooLarge,
        Refusal::Corrupt(_) => ErrorCode::CorruptMessage,
        Refusal::InvalidRecord { .. } => ErrorCode::InvalidRecord,
        Refusal::InvalidTimestamp { .. } => ErrorCode::InvalidTimestamp,
        Refusal::UnsupportedCompression => ErrorCode::UnsupportedCompressionType,
        Refusal::OutOfOrderSequence => ErrorCode::OutOfOrderSequenceNumber,
        Refusal::StaleProducerEpoch => ErrorCode::InvalidProducerEpoch,
        Refusal::NotInTransaction => ErrorCode::InvalidTxnState,
        Refusal::NotEnoughReplicas => ErrorCode::NotEnoughReplicas,
        Refusal::Storage => ErrorCode::KafkaStorageError,
        Refusal::PolicyViolation => ErrorCode::PolicyViolation,
        Refusal::Interrupted { .. } => ErrorCode::RequestTimedOut,
    }
}

/// What a refused controller ask is on the wire.
pub(crate) fn of_controller(refusal: heddle_controller::Refusal) -> ErrorCode {
    use heddle_controller::Refusal;
    match refusal {
        Refusal::NotController => ErrorCode::NotController,
        // Promises nothing, because what was decided may survive.
        Refusal::Interrupted => ErrorCode::RequestTimedOut,
        // Retriable without a metadata refresh: the same node will be ready soon.
        Refusal::NotReady => ErrorCode::RequestTimedOut,
        Refusal::InvalidTopicName => ErrorCode::InvalidTopicException,
        Refusal::TopicExists => ErrorCode::TopicAlreadyExists,
        Refusal::UnknownTopicName => ErrorCode::UnknownTopicOrPartition,
        Refusal::UnknownTopicId => ErrorCode::UnknownTopicId,
        Refusal::InvalidPartitions => ErrorCode::InvalidPartitions,
        Refusal::InvalidReplicationFactor => ErrorCode::InvalidReplicationFactor,
        Refusal::InvalidReplicaAssignment => ErrorCode::InvalidReplicaAssignment,
        Refusal::InvalidConfig => ErrorCode::InvalidConfig,
        Refusal::InvalidRequest => ErrorCode::InvalidRequest,
        Refusal::TopicDeletionDisabled => ErrorCode::TopicDeletionDisabled,
        Refusal::PolicyViolation => ErrorCode::PolicyViolation,
        Refusal::UnknownBroker => ErrorCode::InvalidRequest,
    }
}

/// What a refused group ask is on the wire.
pub(crate) fn of_group(refusal: &heddle_group::Refusal) -> ErrorCode {
    use heddle_group::Refusal;
    match refusal {
        Refusal::Loading => ErrorCode::CoordinatorLoadInProgress,
        Refusal::NotCoordinator => ErrorCode::NotCoordinator,
        Refusal::NotAvailable => ErrorCode::CoordinatorNotAvailable,
        Refusal::InvalidGroupId => ErrorCode::InvalidGroupId,
        Refusal::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        Refusal::UnknownMember => ErrorCode::UnknownMemberId,
        Refusal::IllegalGeneration => ErrorCode::IllegalGeneration,
        Refusal::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        Refusal::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
        Refusal::GroupFull => ErrorCode::GroupMaxSizeReached,
        Refusal::GroupTooLarge => ErrorCode::UnknownServerError,
        Refusal::MemberIdRequired(_) => ErrorCode::MemberIdRequired,
        Refusal::FencedInstance => ErrorCode::FencedInstanceId,
        Refusal::GroupNotFound => ErrorCode::GroupIdNotFound,
        Refusal::NonEmptyGroup => ErrorCode::NonEmptyGroup,
        Refusal::SubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
        Refusal::MetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
        Refusal::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
        Refusal::CommitTooLarge => ErrorCode::InvalidCommitOffsetSize,
        Refusal::FencedMemberEpoch(_) => ErrorCode::FencedMemberEpoch,
        Refusal::StaleMemberEpoch => ErrorCode::StaleMemberEpoch,
        Refusal::UnreleasedInstance(_) => ErrorCode::UnreleasedInstanceId,
        Refusal::UnsupportedAssignor(_) => ErrorCode::UnsupportedAssignor,
        Refusal::InvalidRegex(_) => ErrorCode::InvalidRegularExpression,
        Refusal::InvalidRequest(_) => ErrorCode::InvalidRequest,
        Refusal::UnsupportedVersion => ErrorCode::UnsupportedVersion,
        Refusal::ProtocolDisabled => ErrorCode::UnsupportedVersion,
    }
}

/// The sentence that goes with a refused partition ask, for protocol versions that carry one.
pub(crate) fn partition_text(refusal: &heddle_partition::Refusal) -> Option<String> {
    use heddle_partition::Refusal;
    match refusal {
        Refusal::BatchTooLarge { bytes, max } => {
            Some(format!("The record batch is {bytes} bytes, max.message.bytes is {max}"))
        }
        Refusal::BatchBeyondSegment { bytes, max } => {
            Some(format!("The record batch is {bytes} bytes, segment.bytes is {max}"))
        }
        Refusal::Corrupt(text) => Some(text.clone()),
        Refusal::InvalidRecord { message, .. } | Refusal::InvalidTimestamp { message, .. } => Some(message.clone()),
        Refusal::UnknownPartition
        | Refusal::NotLeader { .. }
        | Refusal::NotServing { .. }
        | Refusal::FencedEpoch { .. }
        | Refusal::UnknownEpoch
        | Refusal::OffsetOutOfRange { .. }
        | Refusal::UnsupportedCompression
        | Refusal::OutOfOrderSequence
        | Refusal::StaleProducerEpoch
        | Refusal::NotInTransaction
        | Refusal::NotEnoughReplicas
        | Refusal::Storage
        | Refusal::PolicyViolation
        | Refusal::Interrupted { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use heddle_model::{LeaderEpoch, NodeId, Offset};
    use heddle_partition::Refusal;

    use super::*;

    /// Codes after which the operation may have happened, now or later. All others promise that it did not.
    const INDEFINITE: &[ErrorCode] = &[
        ErrorCode::UnknownServerError,
        ErrorCode::RequestTimedOut,
        ErrorCode::NetworkException,
        ErrorCode::NotEnoughReplicasAfterAppend,
    ];

    fn every_partition_refusal() -> Vec<(Refusal, bool)> {
        let (leader, epoch) = (Some(NodeId(1)), LeaderEpoch(2));
        let (message, records) = (String::from("why"), Vec::new());
        vec![
            (Refusal::UnknownPartition, false),
            (Refusal::NotLeader { leader, epoch }, false),
            (Refusal::NotServing { epoch }, false),
            (Refusal::FencedEpoch { leader, epoch }, false),
            (Refusal::UnknownEpoch, false),
            (Refusal::OffsetOutOfRange { log_start: Offset(0), high_watermark: Offset(0) }, false),
            (Refusal::BatchTooLarge { bytes: 2, max: 1 }, false),
            (Refusal::BatchBeyondSegment { bytes: 2, max: 1 }, false),
            (Refusal::Corrupt(String::new()), false),
            (Refusal::InvalidRecord { message: message.clone(), records: records.clone() }, false),
            (Refusal::InvalidTimestamp { message, records }, false),
            (Refusal::UnsupportedCompression, false),
            (Refusal::OutOfOrderSequence, false),
            (Refusal::StaleProducerEpoch, false),
            (Refusal::NotInTransaction, false),
            (Refusal::NotEnoughReplicas, false),
            (Refusal::Storage, false),
            (Refusal::PolicyViolation, false),
            (Refusal::Interrupted { leader, epoch }, true),
        ]
    }

    #[test]
    fn what_may_have_happened_is_never_answered_definitely() {
        for (refusal, may_have_happened) in every_partition_refusal() {
            let code = of_partition(&refusal);
            assert_eq!(INDEFINITE.contains(&code), may_have_happened, "{refusal:?} -> {code:?}");
        }
    }

    #[test]
    fn produce_never_answers_unknown_server_error() {
        for (refusal, _) in every_partition_refusal() {
            assert_ne!(of_partition(&refusal), ErrorCode::UnknownServerError);
            assert!(of_partition(&refusal).is_error());
        }
    }

    #[test]
    fn controller_refusals_have_a_code_of_their_own_or_a_reason() {
        for refusal in heddle_controller::Refusal::ALL {
            assert!(of_controller(*refusal).is_error());
            assert_ne!(of_controller(*refusal), ErrorCode::UnknownServerError);
        }
    }
}
