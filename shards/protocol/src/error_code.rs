//! Kafka's error codes: the wire numbers and what a client may conclude from them.

macro_rules! codes {
    ($($name:ident = $code:literal),* $(,)?) => {
        /// A Kafka error code. The numbers are Kafka's.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        #[repr(i16)]
        pub enum ErrorCode {
            #[default]
            None = 0,
            $($name = $code),*
        }

        impl ErrorCode {
            /// Every code but `None`.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$name),*];
        }
    };
}

codes! {
    UnknownServerError = -1,
    OffsetOutOfRange = 1,
    CorruptMessage = 2,
    UnknownTopicOrPartition = 3,
    InvalidFetchSize = 4,
    LeaderNotAvailable = 5,
    NotLeaderOrFollower = 6,
    RequestTimedOut = 7,
    BrokerNotAvailable = 8,
    ReplicaNotAvailable = 9,
    MessageTooLarge = 10,
    OffsetMetadataTooLarge = 12,
    NetworkException = 13,
    CoordinatorLoadInProgress = 14,
    CoordinatorNotAvailable = 15,
    NotCoordinator = 16,
    InvalidTopicException = 17,
    RecordListTooLarge = 18,
    NotEnoughReplicas = 19,
    NotEnoughReplicasAfterAppend = 20,
    InvalidRequiredAcks = 21,
    IllegalGeneration = 22,
    InconsistentGroupProtocol = 23,
    InvalidGroupId = 24,
    UnknownMemberId = 25,
    InvalidSessionTimeout = 26,
    RebalanceInProgress = 27,
    InvalidCommitOffsetSize = 28,
    TopicAuthorizationFailed = 29,
    GroupAuthorizationFailed = 30,
    ClusterAuthorizationFailed = 31,
    InvalidTimestamp = 32,
    UnsupportedSaslMechanism = 33,
    IllegalSaslState = 34,
    UnsupportedVersion = 35,
    TopicAlreadyExists = 36,
    InvalidPartitions = 37,
    InvalidReplicationFactor = 38,
    InvalidReplicaAssignment = 39,
    InvalidConfig = 40,
    NotController = 41,
    InvalidRequest = 42,
    UnsupportedForMessageFormat = 43,
    PolicyViolation = 44,
    OutOfOrderSequenceNumber = 45,
    DuplicateSequenceNumber = 46,
    InvalidProducerEpoch = 47,
    InvalidTxnState = 48,
    InvalidProducerIdMapping = 49,
    InvalidTransactionTimeout = 50,
    ConcurrentTransactions = 51,
    TransactionCoordinatorFenced = 52,
    TransactionalIdAuthorizationFailed = 53,
    SecurityDisabled = 54,
    OperationNotAttempted = 55,
    KafkaStorageError = 56,
    LogDirNotFound = 57,
    SaslAuthenticationFailed = 58,
    UnknownProducerId = 59,
    ReassignmentInProgress = 60,
    NonEmptyGroup = 68,
    GroupIdNotFound = 69,
    FetchSessionIdNotFound = 70,
    InvalidFetchSessionEpoch = 71,
    ListenerNotFound = 72,
    TopicDeletionDisabled = 73,
    FencedLeaderEpoch = 74,
    UnknownLeaderEpoch = 75,
    UnsupportedCompressionType = 76,
    StaleBrokerEpoch = 77,
    OffsetNotAvailable = 78,
    MemberIdRequired = 79,
    PreferredLeaderNotAvailable = 80,
    GroupMaxSizeReached = 81,
    FencedInstanceId = 82,
    EligibleLeadersNotAvailable = 83,
    ElectionNotNeeded = 84,
    NoReassignmentInProgress = 85,
    GroupSubscribedToTopic = 86,
    InvalidRecord = 87,
    UnstableOffsetCommit = 88,
    ThrottlingQuotaExceeded = 89,
    ProducerFenced = 90,
    ResourceNotFound = 91,
    DuplicateResource = 92,
    UnacceptableCredential = 93,
    InvalidUpdateVersion = 95,
    UnknownTopicId = 100,
    InconsistentTopicId = 103,
    TransactionalIdNotFound = 105,
    FetchSessionTopicIdError = 106,
    FencedMemberEpoch = 110,
    UnreleasedInstanceId = 111,
    UnsupportedAssignor = 112,
    StaleMemberEpoch = 113,
    MismatchedEndpointType = 114,
    UnsupportedEndpointType = 115,
    TransactionAbortable = 120,
    InvalidRegularExpression = 128,
    RebootstrapRequired = 129,
}

impl ErrorCode {
    /// The number on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The code with this number.
    pub fn of(code: i16) -> Option<ErrorCode> {
        if code == 0 {
            Some(ErrorCode::None)
        } else {
            ErrorCode::ALL.iter().copied().find(|known| known.code() == code)
        }
    }

    /// Kafka's name, as NOT_LEADER_OR_FOLLOWER.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        name
    }

    pub const fn is_error(self) -> bool {
        !matches!(self, ErrorCode::None)
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::ResponseError;

    use super::*;

    /// The names and numbers agree with the crate's list, which is generated from Kafka's.
    #[test]
    fn numbers_are_kafkas() {
        for code in ErrorCode::ALL {
            let theirs = ResponseError::try_from_code(code.code());
            // The crate's list ends before the newest codes.
            let Some(theirs) = theirs else {
                assert!(code.code() > 113, "{code:?} is not Kafka's");
                continue;
            };
            let plain = |name: String| name.to_lowercase().replace("exception", "");
            let (ours, theirs) = (plain(format!("{code:?}")), plain(format!("{theirs:?}")));
            if !theirs.starts_with("unknown(") && !theirs.is_empty() {
                assert_eq!(ours, theirs.replace("topicinvalid", "invalidtopic"), "{}", code.code());
            }
        }
    }

    #[test]
    fn codes_have_kafkas_names() {
        assert_eq!(ErrorCode::NotLeaderOrFollower.name(), "NOT_LEADER_OR_FOLLOWER");
        assert_eq!(ErrorCode::None.name(), "NONE");
        assert_eq!((ErrorCode::of(6), ErrorCode::of(0)), (Some(ErrorCode::NotLeaderOrFollower), Some(ErrorCode::None)));
        assert_eq!(ErrorCode::of(-1), Some(ErrorCode::UnknownServerError));
        assert_eq!(ErrorCode::of(11), None);
    }
}
