//! Written by generate/shapes.py from the decoders of the crate kafka-protocol; do not edit.
//! The wire shape of every request that a broker of ours may serve, for the walk in `shapes.rs`.

use super::shapes::{Field, Shape, Tag, Wire};

/// Key, lowest and highest version that the decoder knows, shape; ascending by key.
pub(crate) static REQUESTS: &[(i16, i16, i16, &Shape)] = &[
    (0, 3, 13, &R0_PRODUCE_REQUEST),
    (1, 4, 18, &R1_FETCH_REQUEST),
    (2, 1, 10, &R2_LIST_OFFSETS_REQUEST),
    (3, 0, 13, &R3_METADATA_REQUEST),
    (8, 2, 9, &R8_OFFSET_COMMIT_REQUEST),
    (9, 1, 9, &R9_OFFSET_FETCH_REQUEST),
    (10, 0, 6, &R10_FIND_COORDINATOR_REQUEST),
    (11, 0, 9, &R11_JOIN_GROUP_REQUEST),
    (12, 0, 4, &R12_HEARTBEAT_REQUEST),
    (13, 0, 5, &R13_LEAVE_GROUP_REQUEST),
    (14, 0, 5, &R14_SYNC_GROUP_REQUEST),
    (15, 0, 6, &R15_DESCRIBE_GROUPS_REQUEST),
    (16, 0, 5, &R16_LIST_GROUPS_REQUEST),
    (17, 0, 1, &R17_SASL_HANDSHAKE_REQUEST),
    (18, 0, 4, &R18_API_VERSIONS_REQUEST),
    (19, 2, 7, &R19_CREATE_TOPICS_REQUEST),
    (20, 1, 6, &R20_DELETE_TOPICS_REQUEST),
    (21, 0, 2, &R21_DELETE_RECORDS_REQUEST),
    (22, 0, 5, &R22_INIT_PRODUCER_ID_REQUEST),
    (23, 2, 4, &R23_OFFSET_FOR_LEADER_EPOCH_REQUEST),
    (24, 0, 5, &R24_ADD_PARTITIONS_TO_TXN_REQUEST),
    (25, 0, 4, &R25_ADD_OFFSETS_TO_TXN_REQUEST),
    (26, 0, 5, &R26_END_TXN_REQUEST),
    (27, 1, 1, &R27_WRITE_TXN_MARKERS_REQUEST),
    (28, 0, 5, &R28_TXN_OFFSET_COMMIT_REQUEST),
    (29, 1, 3, &R29_DESCRIBE_ACLS_REQUEST),
    (30, 1, 3, &R30_CREATE_ACLS_REQUEST),
    (31, 1, 3, &R31_DELETE_ACLS_REQUEST),
    (32, 1, 4, &R32_DESCRIBE_CONFIGS_REQUEST),
    (33, 0, 2, &R33_ALTER_CONFIGS_REQUEST),
    (34, 1, 2, &R34_ALTER_REPLICA_LOG_DIRS_REQUEST),
    (35, 1, 4, &R35_DESCRIBE_LOG_DIRS_REQUEST),
    (36, 0, 2, &R36_SASL_AUTHENTICATE_REQUEST),
    (37, 0, 3, &R37_CREATE_PARTITIONS_REQUEST),
    (42, 0, 2, &R42_DELETE_GROUPS_REQUEST),
    (43, 0, 2, &R43_ELECT_LEADERS_REQUEST),
    (44, 0, 1, &R44_INCREMENTAL_ALTER_CONFIGS_REQUEST),
    (45, 0, 1, &R45_ALTER_PARTITION_REASSIGNMENTS_REQUEST),
    (46, 0, 0, &R46_LIST_PARTITION_REASSIGNMENTS_REQUEST),
    (47, 0, 0, &R47_OFFSET_DELETE_REQUEST),
    (48, 0, 1, &R48_DESCRIBE_CLIENT_QUOTAS_REQUEST),
    (49, 0, 1, &R49_ALTER_CLIENT_QUOTAS_REQUEST),
    (50, 0, 0, &R50_DESCRIBE_USER_SCRAM_CREDENTIALS_REQUEST),
    (51, 0, 0, &R51_ALTER_USER_SCRAM_CREDENTIALS_REQUEST),
    (55, 0, 2, &R55_DESCRIBE_QUORUM_REQUEST),
    (57, 0, 2, &R57_UPDATE_FEATURES_REQUEST),
    (60, 0, 2, &R60_DESCRIBE_CLUSTER_REQUEST),
    (61, 0, 0, &R61_DESCRIBE_PRODUCERS_REQUEST),
    (65, 0, 0, &R65_DESCRIBE_TRANSACTIONS_REQUEST),
    (66, 0, 2, &R66_LIST_TRANSACTIONS_REQUEST),
    (68, 0, 1, &R68_CONSUMER_GROUP_HEARTBEAT_REQUEST),
    (69, 0, 1, &R69_CONSUMER_GROUP_DESCRIBE_REQUEST),
    (74, 0, 1, &R74_LIST_CONFIG_RESOURCES_REQUEST),
    (75, 0, 0, &R75_DESCRIBE_TOPIC_PARTITIONS_REQUEST),
];

static R0_PARTITION_PRODUCE_DATA: Shape = Shape {
    fields: &[
        Field { from: 3, to: 13, wire: Wire::Fixed(4) },
        Field { from: 9, to: 13, wire: Wire::CompactBytes },
        Field { from: 3, to: 8, wire: Wire::Bytes },
    ],
    flexible_from: 9,
    tags: &[],
};
static R0_TOPIC_PRODUCE_DATA: Shape = Shape {
    fields: &[
        Field { from: 9, to: 12, wire: Wire::CompactText },
        Field { from: 3, to: 8, wire: Wire::Text },
        Field { from: 13, to: 13, wire: Wire::Fixed(16) },
        Field { from: 9, to: 13, wire: Wire::CompactArray(&Wire::Struct(&R0_PARTITION_PRODUCE_DATA)) },
        Field { from: 3, to: 8, wire: Wire::Array(&Wire::Struct(&R0_PARTITION_PRODUCE_DATA)) },
    ],
    flexible_from: 9,
    tags: &[],
};
static R0_PRODUCE_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 9, to: 13, wire: Wire::CompactText },
        Field { from: 3, to: 8, wire: Wire::Text },
        Field { from: 3, to: 13, wire: Wire::Fixed(2) },
        Field { from: 3, to: 13, wire: Wire::Fixed(4) },
        Field { from: 9, to: 13, wire: Wire::CompactArray(&Wire::Struct(&R0_TOPIC_PRODUCE_DATA)) },
        Field { from: 3, to: 8, wire: Wire::Array(&Wire::Struct(&R0_TOPIC_PRODUCE_DATA)) },
    ],
    flexible_from: 9,
    tags: &[],
};
static R1_FETCH_PARTITION: Shape = Shape {
    fields: &[
        Field { from: 4, to: 18, wire: Wire::Fixed(4) },
        Field { from: 9, to: 18, wire: Wire::Fixed(4) },
        Field { from: 4, to: 18, wire: Wire::Fixed(8) },
        Field { from: 12, to: 18, wire: Wire::Fixed(4) },
        Field { from: 5, to: 18, wire: Wire::Fixed(8) },
        Field { from: 4, to: 18, wire: Wire::Fixed(4) },
    ],
    flexible_from: 12,
    tags: &[Tag { tag: 0, from: 17, wire: Wire::Fixed(16) }, Tag { tag: 1, from: 18, wire: Wire::Fixed(8) }],
};
static R1_FETCH_TOPIC: Shape = Shape {
    fields: &[
        Field { from: 12, to: 12, wire: Wire::CompactText },
        Field { from: 4, to: 11, wire: Wire::Text },
        Field { from: 13, to: 18, wire: Wire::Fixed(16) },
        Field { from: 12, to: 18, wire: Wire::CompactArray(&Wire::Struct(&R1_FETCH_PARTITION)) },
        Field { from: 4, to: 11, wire: Wire::Array(&Wire::Struct(&R1_FETCH_PARTITION)) },
    ],
    flexible_from: 12,
    tags: &[],
};
static R1_FORGOTTEN_TOPIC: Shape = Shape {
    fields: &[
        Field { from: 12, to: 12, wire: Wire::CompactText },
        Field { from: 7, to: 11, wire: Wire::Text },
        Field { from: 13, to: 18, wire: Wire::Fixed(16) },
        Field { from: 12, to: 18, wire: Wire::CompactArray(&Wire::Fixed(4)) },
        Field { from: 7, to: 11, wire: Wire::Array(&Wire::Fixed(4)) },
    ],
    flexible_from: 12,
    tags: &[],
};
static R1_REPLICA_STATE: Shape = Shape {
    fields: &[Field { from: 15, to: 18, wire: Wire::Fixed(4) }, Field { from: 15, to: 18, wire: Wire::Fixed(8) }],
    flexible_from: 12,
    tags: &[],
};
static R1_FETCH_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 4, to: 14, wire: Wire::Fixed(4) },
        Field { from: 4, to: 18, wire: Wire::Fixed(4) },
        Field { from: 4, to: 18, wire: Wire::Fixed(4) },
        Field { from: 4, to: 18, wire: Wire::Fixed(4) },
        Field { from: 4, to: 18, wire: Wire::Fixed(1) },
        Field { from: 7, to: 18, wire: Wire::Fixed(4) },
        Field { from: 7, to: 18, wire: Wire::Fixed(4) },
        Field { from: 12, to: 18, wire: Wire::CompactArray(&Wire::Struct(&R1_FETCH_TOPIC)) },
        Field { from: 4, to: 11, wire: Wire::Array(&Wire::Struct(&R1_FETCH_TOPIC)) },
        Field { from: 12, to: 18, wire: Wire::CompactArray(&Wire::Struct(&R1_FORGOTTEN_TOPIC)) },
        Field { from: 7, to: 11, wire: Wire::Array(&Wire::Struct(&R1_FORGOTTEN_TOPIC)) },
        Field { from: 12, to: 18, wire: Wire::CompactText },
        Field { from: 11, to: 11, wire: Wire::Text },
    ],
    flexible_from: 12,
    tags: &[
        Tag { tag: 0, from: 12, wire: Wire::CompactText },
        Tag { tag: 1, from: 15, wire: Wire::Struct(&R1_REPLICA_STATE) },
    ],
};
static R2_LIST_OFFSETS_PARTITION: Shape = Shape {
    fields: &[
        Field { from: 1, to: 10, wire: Wire::Fixed(4) },
        Field { from: 4, to: 10, wire: Wire::Fixed(4) },
        Field { from: 1, to: 10, wire: Wire::Fixed(8) },
    ],
    flexible_from: 6,
    tags: &[],
};
static R2_LIST_OFFSETS_TOPIC: Shape = Shape {
    fields: &[
        Field { from: 6, to: 10, wire: Wire::CompactText },
        Field { from: 1, to: 5, wire: Wire::Text },
        Field { from: 6, to: 10, wire: Wire::CompactArray(&Wire::Struct(&R2_LIST_OFFSETS_PARTITION)) },
        Field { from: 1, to: 5, wire: Wire::Array(&Wire::Struct(&R2_LIST_OFFSETS_PARTITION)) },
    ],
    flexible_from: 6,
    tags: &[],
};
static R2_LIST_OFFSETS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 1, to: 10, wire: Wire::Fixed(4) },
        Field { from: 2, to: 10, wire: Wire::Fixed(1) },
        Field { from: 6, to: 10, wire: Wire::CompactArray(&Wire::Struct(&R2_LIST_OFFSETS_TOPIC)) },
        Field { from: 1, to: 5, wire: Wire::Array(&Wire::Struct(&R2_LIST_OFFSETS_TOPIC)) },
        Field { from: 10, to: 10, wire: Wire::Fixed(4) },
    ],
    flexible_from: 6,
    tags: &[],
};
static R3_METADATA_REQUEST_TOPIC: Shape = Shape {
    fields: &[
        Field { from: 10, to: 13, wire: Wire::Fixed(16) },
        Field { from: 9, to: 13, wire: Wire::CompactText },
        Field { from: 0, to: 8, wire: Wire::Text },
    ],
    flexible_from: 9,
    tags: &[],
};
static R3_METADATA_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 9, to: 13, wire: Wire::CompactArray(&Wire::Struct(&R3_METADATA_REQUEST_TOPIC)) },
        Field { from: 0, to: 8, wire: Wire::Array(&Wire::Struct(&R3_METADATA_REQUEST_TOPIC)) },
        Field { from: 4, to: 13, wire: Wire::Fixed(1) },
        Field { from: 8, to: 10, wire: Wire::Fixed(1) },
        Field { from: 8, to: 13, wire: Wire::Fixed(1) },
    ],
    flexible_from: 9,
    tags: &[],
};
static R8_OFFSET_COMMIT_REQUEST_PARTITION: Shape = Shape {
    fields: &[
        Field { from: 2, to: 9, wire: Wire::Fixed(4) },
        Field { from: 2, to: 9, wire: Wire::Fixed(8) },
        Field { from: 6, to: 9, wire: Wire::Fixed(4) },
        Field { from: 8, to: 9, wire: Wire::CompactText },
        Field { from: 2, to: 7, wire: Wire::Text },
    ],
    flexible_from: 8,
    tags: &[],
};
static R8_OFFSET_COMMIT_REQUEST_TOPIC: Shape = Shape {
    fields: &[
        Field { from: 8, to: 9, wire: Wire::CompactText },
        Field { from: 2, to: 7, wire: Wire::Text },
        Field { from: 8, to: 9, wire: Wire::CompactArray(&Wire::Struct(&R8_OFFSET_COMMIT_REQUEST_PARTITION)) },
        Field { from: 2, to: 7, wire: Wire::Array(&Wire::Struct(&R8_OFFSET_COMMIT_REQUEST_PARTITION)) },
    ],
    flexible_from: 8,
    tags: &[],
};
static R8_OFFSET_COMMIT_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 8, to: 9, wire: Wire::CompactText },
        Field { from: 2, to: 7, wire: Wire::Text },
        Field { from: 2, to: 9, wire: Wire::Fixed(4) },
        Field { from: 8, to: 9, wire: Wire::CompactText },
        Field { from: 2, to: 7, wire: Wire::Text },
        Field { from: 8, to: 9, wire: Wire::CompactText },
        Field { from: 7, to: 7, wire: Wire::Text },
        Field { from: 2, to: 4, wire: Wire::Fixed(8) },
        Field { from: 8, to: 9, wire: Wire::CompactArray(&Wire::Struct(&R8_OFFSET_COMMIT_REQUEST_TOPIC)) },
        Field { from: 2, to: 7, wire: Wire::Array(&Wire::Struct(&R8_OFFSET_COMMIT_REQUEST_TOPIC)) },
    ],
    flexible_from: 8,
    tags: &[],
};
static R9_OFFSET_FETCH_REQUEST_TOPIC: Shape = Shape {
    fields: &[
        Field { from: 6, to: 7, wire: Wire::CompactText },
        Field { from: 1, to: 5, wire: Wire::Text },
        Field { from: 6, to: 7, wire: Wire::CompactArray(&Wire::Fixed(4)) },
        Field { from: 1, to: 5, wire: Wire::Array(&Wire::Fixed(4)) },
    ],
    flexible_from: 6,
    tags: &[],
};
static R9_OFFSET_FETCH_REQUEST_TOPICS: Shape = Shape {
    fields: &[
        Field { from: 8, to: 9, wire: Wire::CompactText },
        Field { from: 8, to: 9, wire: Wire::CompactArray(&Wire::Fixed(4)) },
    ],
    flexible_from: 6,
    tags: &[],
};
static R9_OFFSET_FETCH_REQUEST_GROUP: Shape = Shape {
    fields: &[
        Field { from: 8, to: 9, wire: Wire::CompactText },
        Field { from: 9, to: 9, wire: Wire::CompactText },
        Field { from: 9, to: 9, wire: Wire::Fixed(4) },
        Field { from: 8, to: 9, wire: Wire::CompactArray(&Wire::Struct(&R9_OFFSET_FETCH_REQUEST_TOPICS)) },
    ],
    flexible_from: 6,
    tags: &[],
};
static R9_OFFSET_FETCH_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 6, to: 7, wire: Wire::CompactText },
        Field { from: 1, to: 5, wire: Wire::Text },
        Field { from: 6, to: 7, wire: Wire::CompactArray(&Wire::Struct(&R9_OFFSET_FETCH_REQUEST_TOPIC)) },
        Field { from: 1, to: 5, wire: Wire::Array(&Wire::Struct(&R9_OFFSET_FETCH_REQUEST_TOPIC)) },
        Field { from: 8, to: 9, wire: Wire::CompactArray(&Wire::Struct(&R9_OFFSET_FETCH_REQUEST_GROUP)) },
        Field { from: 7, to: 9, wire: Wire::Fixed(1) },
    ],
    flexible_from: 6,
    tags: &[],
};
static R10_FIND_COORDINATOR_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 3, to: 3, wire: Wire::CompactText },
        Field { from: 0, to: 2, wire: Wire::Text },
        Field { from: 1, to: 6, wire: Wire::Fixed(1) },
        Field { from: 4, to: 6, wire: Wire::CompactArray(&Wire::CompactText) },
    ],
    flexible_from: 3,
    tags: &[],
};
static R11_JOIN_GROUP_REQUEST_PROTOCOL: Shape = Shape {
    fields: &[
        Field { from: 6, to: 9, wire: Wire::CompactText },
        Field { from: 0, to: 5, wire: Wire::Text },
        Field { from: 6, to: 9, wire: Wire::CompactBytes },
        Field { from: 0, to: 5, wire: Wire::Bytes },
    ],
    flexible_from: 6,
    tags: &[],
};
static R11_JOIN_GROUP_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 6, to: 9, wire: Wire::CompactText },
        Field { from: 0, to: 5, wire: Wire::Text },
        Field { from: 0, to: 9, wire: Wire::Fixed(4) },
        Field { from: 1, to: 9, wire: Wire::Fixed(4) },
        Field { from: 6, to: 9, wire: Wire::CompactText },
        Field { from: 0, to: 5, wire: Wire::Text },
        Field { from: 6, to: 9, wire: Wire::CompactText },
        Field { from: 5, to: 5, wire: Wire::Text },
        Field { from: 6, to: 9, wire: Wire::CompactText },
        Field { from: 0, to: 5, wire: Wire::Text },
        Field { from: 6, to: 9, wire: Wire::CompactArray(&Wire::Struct(&R11_JOIN_GROUP_REQUEST_PROTOCOL)) },
        Field { from: 0, to: 5, wire: Wire::Array(&Wire::Struct(&R11_JOIN_GROUP_REQUEST_PROTOCOL)) },
        Field { from: 8, to: 9, wire: Wire::CompactText },
    ],
    flexible_from: 6,
    tags: &[],
};
static R12_HEARTBEAT_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 4, to: 4, wire: Wire::CompactText },
        Field { from: 0, to: 3, wire: Wire::Text },
        Field { from: 0, to: 4, wire: Wire::Fixed(4) },
        Field { from: 4, to: 4, wire: Wire::CompactText },
        Field { from: 0, to: 3, wire: Wire::Text },
        Field { from: 4, to: 4, wire: Wire::CompactText },
        Field { from: 3, to: 3, wire: Wire::Text },
    ],
    flexible_from: 4,
    tags: &[],
};
static R13_MEMBER_IDENTITY: Shape = Shape {
    fields: &[
        Field { from: 4, to: 5, wire: Wire::CompactText },
        Field { from: 3, to: 3, wire: Wire::Text },
        Field { from: 4, to: 5, wire: Wire::CompactText },
        Field { from: 3, to: 3, wire: Wire::Text },
        Field { from: 5, to: 5, wire: Wire::CompactText },
    ],
    flexible_from: 4,
    tags: &[],
};
static R13_LEAVE_GROUP_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 4, to: 5, wire: Wire::CompactText },
        Field { from: 0, to: 3, wire: Wire::Text },
        Field { from: 0, to: 2, wire: Wire::Text },
        Field { from: 4, to: 5, wire: Wire::CompactArray(&Wire::Struct(&R13_MEMBER_IDENTITY)) },
        Field { from: 3, to: 3, wire: Wire::Array(&Wire::Struct(&R13_MEMBER_IDENTITY)) },
    ],
    flexible_from: 4,
    tags: &[],
};
static R14_SYNC_GROUP_REQUEST_ASSIGNMENT: Shape = Shape {
    fields: &[
        Field { from: 4, to: 5, wire: Wire::CompactText },
        Field { from: 0, to: 3, wire: Wire::Text },
        Field { from: 4, to: 5, wire: Wire::CompactBytes },
        Field { from: 0, to: 3, wire: Wire::Bytes },
    ],
    flexible_from: 4,
    tags: &[],
};
static R14_SYNC_GROUP_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 4, to: 5, wire: Wire::CompactText },
        Field { from: 0, to: 3, wire: Wire::Text },
        Field { from: 0, to: 5, wire: Wire::Fixed(4) },
        Field { from: 4, to: 5, wire: Wire::CompactText },
        Field { from: 0, to: 3, wire: Wire::Text },
        Field { from: 4, to: 5, wire: Wire::CompactText },
        Field { from: 3, to: 3, wire: Wire::Text },
        Field { from: 5, to: 5, wire: Wire::CompactText },
        Field { from: 5, to: 5, wire: Wire::CompactText },
        Field { from: 4, to: 5, wire: Wire::CompactArray(&Wire::Struct(&R14_SYNC_GROUP_REQUEST_ASSIGNMENT)) },
        Field { from: 0, to: 3, wire: Wire::Array(&Wire::Struct(&R14_SYNC_GROUP_REQUEST_ASSIGNMENT)) },
    ],
    flexible_from: 4,
    tags: &[],
};
static R15_DESCRIBE_GROUPS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 5, to: 6, wire: Wire::CompactArray(&Wire::CompactText) },
        Field { from: 0, to: 4, wire: Wire::Array(&Wire::Text) },
        Field { from: 3, to: 6, wire: Wire::Fixed(1) },
    ],
    flexible_from: 5,
    tags: &[],
};
static R16_LIST_GROUPS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 4, to: 5, wire: Wire::CompactArray(&Wire::CompactText) },
        Field { from: 5, to: 5, wire: Wire::CompactArray(&Wire::CompactText) },
    ],
    flexible_from: 3,
    tags: &[],
};
static R17_SASL_HANDSHAKE_REQUEST: Shape =
    Shape { fields: &[Field { from: 0, to: 1, wire: Wire::Text }], flexible_from: i16::MAX, tags: &[] };
static R18_API_VERSIONS_REQUEST: Shape = Shape {
    fields: &[Field { from: 3, to: 4, wire: Wire::CompactText }, Field { from: 3, to: 4, wire: Wire::CompactText }],
    flexible_from: 3,
    tags: &[],
};
static R19_CREATABLE_REPLICA_ASSIGNMENT: Shape = Shape {
    fields: &[
        Field { from: 2, to: 7, wire: Wire::Fixed(4) },
        Field { from: 5, to: 7, wire: Wire::CompactArray(&Wire::Fixed(4)) },
        Field { from: 2, to: 4, wire: Wire::Array(&Wire::Fixed(4)) },
    ],
    flexible_from: 5,
    tags: &[],
};
static R19_CREATABLE_TOPIC_CONFIG: Shape = Shape {
    fields: &[
        Field { from: 5, to: 7, wire: Wire::CompactText },
        Field { from: 2, to: 4, wire: Wire::Text },
        Field { from: 5, to: 7, wire: Wire::CompactText },
        Field { from: 2, to: 4, wire: Wire::Text },
    ],
    flexible_from: 5,
    tags: &[],
};
static R19_CREATABLE_TOPIC: Shape = Shape {
    fields: &[
        Field { from: 5, to: 7, wire: Wire::CompactText },
        Field { from: 2, to: 4, wire: Wire::Text },
        Field { from: 2, to: 7, wire: Wire::Fixed(4) },
        Field { from: 2, to: 7, wire: Wire::Fixed(2) },
        Field { from: 5, to: 7, wire: Wire::CompactArray(&Wire::Struct(&R19_CREATABLE_REPLICA_ASSIGNMENT)) },
        Field { from: 2, to: 4, wire: Wire::Array(&Wire::Struct(&R19_CREATABLE_REPLICA_ASSIGNMENT)) },
        Field { from: 5, to: 7, wire: Wire::CompactArray(&Wire::Struct(&R19_CREATABLE_TOPIC_CONFIG)) },
        Field { from: 2, to: 4, wire: Wire::Array(&Wire::Struct(&R19_CREATABLE_TOPIC_CONFIG)) },
    ],
    flexible_from: 5,
    tags: &[],
};
static R19_CREATE_TOPICS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 5, to: 7, wire: Wire::CompactArray(&Wire::Struct(&R19_CREATABLE_TOPIC)) },
        Field { from: 2, to: 4, wire: Wire::Array(&Wire::Struct(&R19_CREATABLE_TOPIC)) },
        Field { from: 2, to: 7, wire: Wire::Fixed(4) },
        Field { from: 2, to: 7, wire: Wire::Fixed(1) },
    ],
    flexible_from: 5,
    tags: &[],
};
static R20_DELETE_TOPIC_STATE: Shape = Shape {
    fields: &[Field { from: 6, to: 6, wire: Wire::CompactText }, Field { from: 6, to: 6, wire: Wire::Fixed(16) }],
    flexible_from: 4,
    tags: &[],
};
static R20_DELETE_TOPICS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 6, to: 6, wire: Wire::CompactArray(&Wire::Struct(&R20_DELETE_TOPIC_STATE)) },
        Field { from: 4, to: 5, wire: Wire::CompactArray(&Wire::CompactText) },
        Field { from: 1, to: 3, wire: Wire::Array(&Wire::Text) },
        Field { from: 1, to: 6, wire: Wire::Fixed(4) },
    ],
    flexible_from: 4,
    tags: &[],
};
static R21_DELETE_RECORDS_PARTITION: Shape = Shape {
    fields: &[Field { from: 0, to: 2, wire: Wire::Fixed(4) }, Field { from: 0, to: 2, wire: Wire::Fixed(8) }],
    flexible_from: 2,
    tags: &[],
};
static R21_DELETE_RECORDS_TOPIC: Shape = Shape {
    fields: &[
        Field { from: 2, to: 2, wire: Wire::CompactText },
        Field { from: 0, to: 1, wire: Wire::Text },
        Field { from: 2, to: 2, wire: Wire::CompactArray(&Wire::Struct(&R21_DELETE_RECORDS_PARTITION)) },
        Field { from: 0, to: 1, wire: Wire::Array(&Wire::Struct(&R21_DELETE_RECORDS_PARTITION)) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R21_DELETE_RECORDS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 2, to: 2, wire: Wire::CompactArray(&Wire::Struct(&R21_DELETE_RECORDS_TOPIC)) },
        Field { from: 0, to: 1, wire: Wire::Array(&Wire::Struct(&R21_DELETE_RECORDS_TOPIC)) },
        Field { from: 0, to: 2, wire: Wire::Fixed(4) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R22_INIT_PRODUCER_ID_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 2, to: 5, wire: Wire::CompactText },
        Field { from: 0, to: 1, wire: Wire::Text },
        Field { from: 0, to: 5, wire: Wire::Fixed(4) },
        Field { from: 3, to: 5, wire: Wire::Fixed(8) },
        Field { from: 3, to: 5, wire: Wire::Fixed(2) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R23_OFFSET_FOR_LEADER_PARTITION: Shape = Shape {
    fields: &[
        Field { from: 2, to: 4, wire: Wire::Fixed(4) },
        Field { from: 2, to: 4, wire: Wire::Fixed(4) },
        Field { from: 2, to: 4, wire: Wire::Fixed(4) },
    ],
    flexible_from: 4,
    tags: &[],
};
static R23_OFFSET_FOR_LEADER_TOPIC: Shape = Shape {
    fields: &[
        Field { from: 4, to: 4, wire: Wire::CompactText },
        Field { from: 2, to: 3, wire: Wire::Text },
        Field { from: 4, to: 4, wire: Wire::CompactArray(&Wire::Struct(&R23_OFFSET_FOR_LEADER_PARTITION)) },
        Field { from: 2, to: 3, wire: Wire::Array(&Wire::Struct(&R23_OFFSET_FOR_LEADER_PARTITION)) },
    ],
    flexible_from: 4,
    tags: &[],
};
static R23_OFFSET_FOR_LEADER_EPOCH_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 3, to: 4, wire: Wire::Fixed(4) },
        Field { from: 4, to: 4, wire: Wire::CompactArray(&Wire::Struct(&R23_OFFSET_FOR_LEADER_TOPIC)) },
        Field { from: 2, to: 3, wire: Wire::Array(&Wire::Struct(&R23_OFFSET_FOR_LEADER_TOPIC)) },
    ],
    flexible_from: 4,
    tags: &[],
};
static R24_ADD_PARTITIONS_TO_TXN_TOPIC: Shape = Shape {
    fields: &[
        Field { from: 3, to: 5, wire: Wire::CompactText },
        Field { from: 0, to: 2, wire: Wire::Text },
        Field { from: 3, to: 5, wire: Wire::CompactArray(&Wire::Fixed(4)) },
        Field { from: 0, to: 2, wire: Wire::Array(&Wire::Fixed(4)) },
    ],
    flexible_from: 3,
    tags: &[],
};
static R24_ADD_PARTITIONS_TO_TXN_TRANSACTION: Shape = Shape {
    fields: &[
        Field { from: 4, to: 5, wire: Wire::CompactText },
        Field { from: 4, to: 5, wire: Wire::Fixed(8) },
        Field { from: 4, to: 5, wire: Wire::Fixed(2) },
        Field { from: 4, to: 5, wire: Wire::Fixed(1) },
        Field { from: 4, to: 5, wire: Wire::CompactArray(&Wire::Struct(&R24_ADD_PARTITIONS_TO_TXN_TOPIC)) },
    ],
    flexible_from: 3,
    tags: &[],
};
static R24_ADD_PARTITIONS_TO_TXN_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 4, to: 5, wire: Wire::CompactArray(&Wire::Struct(&R24_ADD_PARTITIONS_TO_TXN_TRANSACTION)) },
        Field { from: 3, to: 3, wire: Wire::CompactText },
        Field { from: 0, to: 2, wire: Wire::Text },
        Field { from: 0, to: 3, wire: Wire::Fixed(8) },
        Field { from: 0, to: 3, wire: Wire::Fixed(2) },
        Field { from: 3, to: 3, wire: Wire::CompactArray(&Wire::Struct(&R24_ADD_PARTITIONS_TO_TXN_TOPIC)) },
        Field { from: 0, to: 2, wire: Wire::Array(&Wire::Struct(&R24_ADD_PARTITIONS_TO_TXN_TOPIC)) },
    ],
    flexible_from: 3,
    tags: &[],
};
static R25_ADD_OFFSETS_TO_TXN_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 3, to: 4, wire: Wire::CompactText },
        Field { from: 0, to: 2, wire: Wire::Text },
        Field { from: 0, to: 4, wire: Wire::Fixed(8) },
        Field { from: 0, to: 4, wire: Wire::Fixed(2) },
        Field { from: 3, to: 4, wire: Wire::CompactText },
        Field { from: 0, to: 2, wire: Wire::Text },
    ],
    flexible_from: 3,
    tags: &[],
};
static R26_END_TXN_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 3, to: 5, wire: Wire::CompactText },
        Field { from: 0, to: 2, wire: Wire::Text },
        Field { from: 0, to: 5, wire: Wire::Fixed(8) },
        Field { from: 0, to: 5, wire: Wire::Fixed(2) },
        Field { from: 0, to: 5, wire: Wire::Fixed(1) },
    ],
    flexible_from: 3,
    tags: &[],
};
static R27_WRITABLE_TXN_MARKER_TOPIC: Shape = Shape {
    fields: &[
        Field { from: 1, to: 1, wire: Wire::CompactText },
        Field { from: 1, to: 1, wire: Wire::CompactArray(&Wire::Fixed(4)) },
    ],
    flexible_from: 1,
    tags: &[],
};
static R27_WRITABLE_TXN_MARKER: Shape = Shape {
    fields: &[
        Field { from: 1, to: 1, wire: Wire::Fixed(8) },
        Field { from: 1, to: 1, wire: Wire::Fixed(2) },
        Field { from: 1, to: 1, wire: Wire::Fixed(1) },
        Field { from: 1, to: 1, wire: Wire::CompactArray(&Wire::Struct(&R27_WRITABLE_TXN_MARKER_TOPIC)) },
        Field { from: 1, to: 1, wire: Wire::Fixed(4) },
    ],
    flexible_from: 1,
    tags: &[],
};
static R27_WRITE_TXN_MARKERS_REQUEST: Shape = Shape {
    fields: &[Field { from: 1, to: 1, wire: Wire::CompactArray(&Wire::Struct(&R27_WRITABLE_TXN_MARKER)) }],
    flexible_from: 1,
    tags: &[],
};
static R28_TXN_OFFSET_COMMIT_REQUEST_PARTITION: Shape = Shape {
    fields: &[
        Field { from: 0, to: 5, wire: Wire::Fixed(4) },
        Field { from: 0, to: 5, wire: Wire::Fixed(8) },
        Field { from: 2, to: 5, wire: Wire::Fixed(4) },
        Field { from: 3, to: 5, wire: Wire::CompactText },
        Field { from: 0, to: 2, wire: Wire::Text },
    ],
    flexible_from: 3,
    tags: &[],
};
static R28_TXN_OFFSET_COMMIT_REQUEST_TOPIC: Shape = Shape {
    fields: &[
        Field { from: 3, to: 5, wire: Wire::CompactText },
        Field { from: 0, to: 2, wire: Wire::Text },
        Field { from: 3, to: 5, wire: Wire::CompactArray(&Wire::Struct(&R28_TXN_OFFSET_COMMIT_REQUEST_PARTITION)) },
        Field { from: 0, to: 2, wire: Wire::Array(&Wire::Struct(&R28_TXN_OFFSET_COMMIT_REQUEST_PARTITION)) },
    ],
    flexible_from: 3,
    tags: &[],
};
static R28_TXN_OFFSET_COMMIT_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 3, to: 5, wire: Wire::CompactText },
        Field { from: 0, to: 2, wire: Wire::Text },
        Field { from: 3, to: 5, wire: Wire::CompactText },
        Field { from: 0, to: 2, wire: Wire::Text },
        Field { from: 0, to: 5, wire: Wire::Fixed(8) },
        Field { from: 0, to: 5, wire: Wire::Fixed(2) },
        Field { from: 3, to: 5, wire: Wire::Fixed(4) },
        Field { from: 3, to: 5, wire: Wire::CompactText },
        Field { from: 3, to: 5, wire: Wire::CompactText },
        Field { from: 3, to: 5, wire: Wire::CompactArray(&Wire::Struct(&R28_TXN_OFFSET_COMMIT_REQUEST_TOPIC)) },
        Field { from: 0, to: 2, wire: Wire::Array(&Wire::Struct(&R28_TXN_OFFSET_COMMIT_REQUEST_TOPIC)) },
    ],
    flexible_from: 3,
    tags: &[],
};
static R29_DESCRIBE_ACLS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 1, to: 3, wire: Wire::Fixed(1) },
        Field { from: 2, to: 3, wire: Wire::CompactText },
        Field { from: 1, to: 1, wire: Wire::Text },
        Field { from: 1, to: 3, wire: Wire::Fixed(1) },
        Field { from: 2, to: 3, wire: Wire::CompactText },
        Field { from: 1, to: 1, wire: Wire::Text },
        Field { from: 2, to: 3, wire: Wire::CompactText },
        Field { from: 1, to: 1, wire: Wire::Text },
        Field { from: 1, to: 3, wire: Wire::Fixed(1) },
        Field { from: 1, to: 3, wire: Wire::Fixed(1) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R30_ACL_CREATION: Shape = Shape {
    fields: &[
        Field { from: 1, to: 3, wire: Wire::Fixed(1) },
        Field { from: 2, to: 3, wire: Wire::CompactText },
        Field { from: 1, to: 1, wire: Wire::Text },
        Field { from: 1, to: 3, wire: Wire::Fixed(1) },
        Field { from: 2, to: 3, wire: Wire::CompactText },
        Field { from: 1, to: 1, wire: Wire::Text },
        Field { from: 2, to: 3, wire: Wire::CompactText },
        Field { from: 1, to: 1, wire: Wire::Text },
        Field { from: 1, to: 3, wire: Wire::Fixed(1) },
        Field { from: 1, to: 3, wire: Wire::Fixed(1) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R30_CREATE_ACLS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 2, to: 3, wire: Wire::CompactArray(&Wire::Struct(&R30_ACL_CREATION)) },
        Field { from: 1, to: 1, wire: Wire::Array(&Wire::Struct(&R30_ACL_CREATION)) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R31_DELETE_ACLS_FILTER: Shape = Shape {
    fields: &[
        Field { from: 1, to: 3, wire: Wire::Fixed(1) },
        Field { from: 2, to: 3, wire: Wire::CompactText },
        Field { from: 1, to: 1, wire: Wire::Text },
        Field { from: 1, to: 3, wire: Wire::Fixed(1) },
        Field { from: 2, to: 3, wire: Wire::CompactText },
        Field { from: 1, to: 1, wire: Wire::Text },
        Field { from: 2, to: 3, wire: Wire::CompactText },
        Field { from: 1, to: 1, wire: Wire::Text },
        Field { from: 1, to: 3, wire: Wire::Fixed(1) },
        Field { from: 1, to: 3, wire: Wire::Fixed(1) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R31_DELETE_ACLS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 2, to: 3, wire: Wire::CompactArray(&Wire::Struct(&R31_DELETE_ACLS_FILTER)) },
        Field { from: 1, to: 1, wire: Wire::Array(&Wire::Struct(&R31_DELETE_ACLS_FILTER)) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R32_DESCRIBE_CONFIGS_RESOURCE: Shape = Shape {
    fields: &[
        Field { from: 1, to: 4, wire: Wire::Fixed(1) },
        Field { from: 4, to: 4, wire: Wire::CompactText },
        Field { from: 1, to: 3, wire: Wire::Text },
        Field { from: 4, to: 4, wire: Wire::CompactArray(&Wire::CompactText) },
        Field { from: 1, to: 3, wire: Wire::Array(&Wire::Text) },
    ],
    flexible_from: 4,
    tags: &[],
};
static R32_DESCRIBE_CONFIGS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 4, to: 4, wire: Wire::CompactArray(&Wire::Struct(&R32_DESCRIBE_CONFIGS_RESOURCE)) },
        Field { from: 1, to: 3, wire: Wire::Array(&Wire::Struct(&R32_DESCRIBE_CONFIGS_RESOURCE)) },
        Field { from: 1, to: 4, wire: Wire::Fixed(1) },
        Field { from: 3, to: 4, wire: Wire::Fixed(1) },
    ],
    flexible_from: 4,
    tags: &[],
};
static R33_ALTERABLE_CONFIG: Shape = Shape {
    fields: &[
        Field { from: 2, to: 2, wire: Wire::CompactText },
        Field { from: 0, to: 1, wire: Wire::Text },
        Field { from: 2, to: 2, wire: Wire::CompactText },
        Field { from: 0, to: 1, wire: Wire::Text },
    ],
    flexible_from: 2,
    tags: &[],
};
static R33_ALTER_CONFIGS_RESOURCE: Shape = Shape {
    fields: &[
        Field { from: 0, to: 2, wire: Wire::Fixed(1) },
        Field { from: 2, to: 2, wire: Wire::CompactText },
        Field { from: 0, to: 1, wire: Wire::Text },
        Field { from: 2, to: 2, wire: Wire::CompactArray(&Wire::Struct(&R33_ALTERABLE_CONFIG)) },
        Field { from: 0, to: 1, wire: Wire::Array(&Wire::Struct(&R33_ALTERABLE_CONFIG)) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R33_ALTER_CONFIGS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 2, to: 2, wire: Wire::CompactArray(&Wire::Struct(&R33_ALTER_CONFIGS_RESOURCE)) },
        Field { from: 0, to: 1, wire: Wire::Array(&Wire::Struct(&R33_ALTER_CONFIGS_RESOURCE)) },
        Field { from: 0, to: 2, wire: Wire::Fixed(1) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R34_ALTER_REPLICA_LOG_DIR_TOPIC: Shape = Shape {
    fields: &[
        Field { from: 2, to: 2, wire: Wire::CompactText },
        Field { from: 1, to: 1, wire: Wire::Text },
        Field { from: 2, to: 2, wire: Wire::CompactArray(&Wire::Fixed(4)) },
        Field { from: 1, to: 1, wire: Wire::Array(&Wire::Fixed(4)) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R34_ALTER_REPLICA_LOG_DIR: Shape = Shape {
    fields: &[
        Field { from: 2, to: 2, wire: Wire::CompactText },
        Field { from: 1, to: 1, wire: Wire::Text },
        Field { from: 2, to: 2, wire: Wire::CompactArray(&Wire::Struct(&R34_ALTER_REPLICA_LOG_DIR_TOPIC)) },
        Field { from: 1, to: 1, wire: Wire::Array(&Wire::Struct(&R34_ALTER_REPLICA_LOG_DIR_TOPIC)) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R34_ALTER_REPLICA_LOG_DIRS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 2, to: 2, wire: Wire::CompactArray(&Wire::Struct(&R34_ALTER_REPLICA_LOG_DIR)) },
        Field { from: 1, to: 1, wire: Wire::Array(&Wire::Struct(&R34_ALTER_REPLICA_LOG_DIR)) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R35_DESCRIBABLE_LOG_DIR_TOPIC: Shape = Shape {
    fields: &[
        Field { from: 2, to: 4, wire: Wire::CompactText },
        Field { from: 1, to: 1, wire: Wire::Text },
        Field { from: 2, to: 4, wire: Wire::CompactArray(&Wire::Fixed(4)) },
        Field { from: 1, to: 1, wire: Wire::Array(&Wire::Fixed(4)) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R35_DESCRIBE_LOG_DIRS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 2, to: 4, wire: Wire::CompactArray(&Wire::Struct(&R35_DESCRIBABLE_LOG_DIR_TOPIC)) },
        Field { from: 1, to: 1, wire: Wire::Array(&Wire::Struct(&R35_DESCRIBABLE_LOG_DIR_TOPIC)) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R36_SASL_AUTHENTICATE_REQUEST: Shape = Shape {
    fields: &[Field { from: 2, to: 2, wire: Wire::CompactBytes }, Field { from: 0, to: 1, wire: Wire::Bytes }],
    flexible_from: 2,
    tags: &[],
};
static R37_CREATE_PARTITIONS_ASSIGNMENT: Shape = Shape {
    fields: &[
        Field { from: 2, to: 3, wire: Wire::CompactArray(&Wire::Fixed(4)) },
        Field { from: 0, to: 1, wire: Wire::Array(&Wire::Fixed(4)) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R37_CREATE_PARTITIONS_TOPIC: Shape = Shape {
    fields: &[
        Field { from: 2, to: 3, wire: Wire::CompactText },
        Field { from: 0, to: 1, wire: Wire::Text },
        Field { from: 0, to: 3, wire: Wire::Fixed(4) },
        Field { from: 2, to: 3, wire: Wire::CompactArray(&Wire::Struct(&R37_CREATE_PARTITIONS_ASSIGNMENT)) },
        Field { from: 0, to: 1, wire: Wire::Array(&Wire::Struct(&R37_CREATE_PARTITIONS_ASSIGNMENT)) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R37_CREATE_PARTITIONS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 2, to: 3, wire: Wire::CompactArray(&Wire::Struct(&R37_CREATE_PARTITIONS_TOPIC)) },
        Field { from: 0, to: 1, wire: Wire::Array(&Wire::Struct(&R37_CREATE_PARTITIONS_TOPIC)) },
        Field { from: 0, to: 3, wire: Wire::Fixed(4) },
        Field { from: 0, to: 3, wire: Wire::Fixed(1) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R42_DELETE_GROUPS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 2, to: 2, wire: Wire::CompactArray(&Wire::CompactText) },
        Field { from: 0, to: 1, wire: Wire::Array(&Wire::Text) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R43_TOPIC_PARTITIONS: Shape = Shape {
    fields: &[
        Field { from: 2, to: 2, wire: Wire::CompactText },
        Field { from: 0, to: 1, wire: Wire::Text },
        Field { from: 2, to: 2, wire: Wire::CompactArray(&Wire::Fixed(4)) },
        Field { from: 0, to: 1, wire: Wire::Array(&Wire::Fixed(4)) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R43_ELECT_LEADERS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 1, to: 2, wire: Wire::Fixed(1) },
        Field { from: 2, to: 2, wire: Wire::CompactArray(&Wire::Struct(&R43_TOPIC_PARTITIONS)) },
        Field { from: 0, to: 1, wire: Wire::Array(&Wire::Struct(&R43_TOPIC_PARTITIONS)) },
        Field { from: 0, to: 2, wire: Wire::Fixed(4) },
    ],
    flexible_from: 2,
    tags: &[],
};
static R44_ALTERABLE_CONFIG: Shape = Shape {
    fields: &[
        Field { from: 1, to: 1, wire: Wire::CompactText },
        Field { from: 0, to: 0, wire: Wire::Text },
        Field { from: 0, to: 1, wire: Wire::Fixed(1) },
        Field { from: 1, to: 1, wire: Wire::CompactText },
        Field { from: 0, to: 0, wire: Wire::Text },
    ],
    flexible_from: 1,
    tags: &[],
};
static R44_ALTER_CONFIGS_RESOURCE: Shape = Shape {
    fields: &[
        Field { from: 0, to: 1, wire: Wire::Fixed(1) },
        Field { from: 1, to: 1, wire: Wire::CompactText },
        Field { from: 0, to: 0, wire: Wire::Text },
        Field { from: 1, to: 1, wire: Wire::CompactArray(&Wire::Struct(&R44_ALTERABLE_CONFIG)) },
        Field { from: 0, to: 0, wire: Wire::Array(&Wire::Struct(&R44_ALTERABLE_CONFIG)) },
    ],
    flexible_from: 1,
    tags: &[],
};
static R44_INCREMENTAL_ALTER_CONFIGS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 1, to: 1, wire: Wire::CompactArray(&Wire::Struct(&R44_ALTER_CONFIGS_RESOURCE)) },
        Field { from: 0, to: 0, wire: Wire::Array(&Wire::Struct(&R44_ALTER_CONFIGS_RESOURCE)) },
        Field { from: 0, to: 1, wire: Wire::Fixed(1) },
    ],
    flexible_from: 1,
    tags: &[],
};
static R45_REASSIGNABLE_PARTITION: Shape = Shape {
    fields: &[
        Field { from: 0, to: 1, wire: Wire::Fixed(4) },
        Field { from: 0, to: 1, wire: Wire::CompactArray(&Wire::Fixed(4)) },
    ],
    flexible_from: 0,
    tags: &[],
};
static R45_REASSIGNABLE_TOPIC: Shape = Shape {
    fields: &[
        Field { from: 0, to: 1, wire: Wire::CompactText },
        Field { from: 0, to: 1, wire: Wire::CompactArray(&Wire::Struct(&R45_REASSIGNABLE_PARTITION)) },
    ],
    flexible_from: 0,
    tags: &[],
};
static R45_ALTER_PARTITION_REASSIGNMENTS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 0, to: 1, wire: Wire::Fixed(4) },
        Field { from: 1, to: 1, wire: Wire::Fixed(1) },
        Field { from: 0, to: 1, wire: Wire::CompactArray(&Wire::Struct(&R45_REASSIGNABLE_TOPIC)) },
    ],
    flexible_from: 0,
    tags: &[],
};
static R46_LIST_PARTITION_REASSIGNMENTS_TOPICS: Shape = Shape {
    fields: &[
        Field { from: 0, to: 0, wire: Wire::CompactText },
        Field { from: 0, to: 0, wire: Wire::CompactArray(&Wire::Fixed(4)) },
    ],
    flexible_from: 0,
    tags: &[],
};
static R46_LIST_PARTITION_REASSIGNMENTS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 0, to: 0, wire: Wire::Fixed(4) },
        Field { from: 0, to: 0, wire: Wire::CompactArray(&Wire::Struct(&R46_LIST_PARTITION_REASSIGNMENTS_TOPICS)) },
    ],
    flexible_from: 0,
    tags: &[],
};
static R47_OFFSET_DELETE_REQUEST_PARTITION: Shape =
    Shape { fields: &[Field { from: 0, to: 0, wire: Wire::Fixed(4) }], flexible_from: i16::MAX, tags: &[] };
static R47_OFFSET_DELETE_REQUEST_TOPIC: Shape = Shape {
    fields: &[
        Field { from: 0, to: 0, wire: Wire::Text },
        Field { from: 0, to: 0, wire: Wire::Array(&Wire::Struct(&R47_OFFSET_DELETE_REQUEST_PARTITION)) },
    ],
    flexible_from: i16::MAX,
    tags: &[],
};
static R47_OFFSET_DELETE_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 0, to: 0, wire: Wire::Text },
        Field { from: 0, to: 0, wire: Wire::Array(&Wire::Struct(&R47_OFFSET_DELETE_REQUEST_TOPIC)) },
    ],
    flexible_from: i16::MAX,
    tags: &[],
};
static R48_COMPONENT_DATA: Shape = Shape {
    fields: &[
        Field { from: 1, to: 1, wire: Wire::CompactText },
        Field { from: 0, to: 0, wire: Wire::Text },
        Field { from: 0, to: 1, wire: Wire::Fixed(1) },
        Field { from: 1, to: 1, wire: Wire::CompactText },
        Field { from: 0, to: 0, wire: Wire::Text },
    ],
    flexible_from: 1,
    tags: &[],
};
static R48_DESCRIBE_CLIENT_QUOTAS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 1, to: 1, wire: Wire::CompactArray(&Wire::Struct(&R48_COMPONENT_DATA)) },
        Field { from: 0, to: 0, wire: Wire::Array(&Wire::Struct(&R48_COMPONENT_DATA)) },
        Field { from: 0, to: 1, wire: Wire::Fixed(1) },
    ],
    flexible_from: 1,
    tags: &[],
};
static R49_ENTITY_DATA: Shape = Shape {
    fields: &[
        Field { from: 1, to: 1, wire: Wire::CompactText },
        Field { from: 0, to: 0, wire: Wire::Text },
        Field { from: 1, to: 1, wire: Wire::CompactText },
        Field { from: 0, to: 0, wire: Wire::Text },
    ],
    flexible_from: 1,
    tags: &[],
};
static R49_OP_DATA: Shape = Shape {
    fields: &[
        Field { from: 1, to: 1, wire: Wire::CompactText },
        Field { from: 0, to: 0, wire: Wire::Text },
        Field { from: 0, to: 1, wire: Wire::Fixed(8) },
        Field { from: 0, to: 1, wire: Wire::Fixed(1) },
    ],
    flexible_from: 1,
    tags: &[],
};
static R49_ENTRY_DATA: Shape = Shape {
    fields: &[
        Field { from: 1, to: 1, wire: Wire::CompactArray(&Wire::Struct(&R49_ENTITY_DATA)) },
        Field { from: 0, to: 0, wire: Wire::Array(&Wire::Struct(&R49_ENTITY_DATA)) },
        Field { from: 1, to: 1, wire: Wire::CompactArray(&Wire::Struct(&R49_OP_DATA)) },
        Field { from: 0, to: 0, wire: Wire::Array(&Wire::Struct(&R49_OP_DATA)) },
    ],
    flexible_from: 1,
    tags: &[],
};
static R49_ALTER_CLIENT_QUOTAS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 1, to: 1, wire: Wire::CompactArray(&Wire::Struct(&R49_ENTRY_DATA)) },
        Field { from: 0, to: 0, wire: Wire::Array(&Wire::Struct(&R49_ENTRY_DATA)) },
        Field { from: 0, to: 1, wire: Wire::Fixed(1) },
    ],
    flexible_from: 1,
    tags: &[],
};
static R50_USER_NAME: Shape =
    Shape { fields: &[Field { from: 0, to: 0, wire: Wire::CompactText }], flexible_from: 0, tags: &[] };
static R50_DESCRIBE_USER_SCRAM_CREDENTIALS_REQUEST: Shape = Shape {
    fields: &[Field { from: 0, to: 0, wire: Wire::CompactArray(&Wire::Struct(&R50_USER_NAME)) }],
    flexible_from: 0,
    tags: &[],
};
static R51_SCRAM_CREDENTIAL_DELETION: Shape = Shape {
    fields: &[Field { from: 0, to: 0, wire: Wire::CompactText }, Field { from: 0, to: 0, wire: Wire::Fixed(1) }],
    flexible_from: 0,
    tags: &[],
};
static R51_SCRAM_CREDENTIAL_UPSERTION: Shape = Shape {
    fields: &[
        Field { from: 0, to: 0, wire: Wire::CompactText },
        Field { from: 0, to: 0, wire: Wire::Fixed(1) },
        Field { from: 0, to: 0, wire: Wire::Fixed(4) },
        Field { from: 0, to: 0, wire: Wire::CompactBytes },
        Field { from: 0, to: 0, wire: Wire::CompactBytes },
    ],
    flexible_from: 0,
    tags: &[],
};
static R51_ALTER_USER_SCRAM_CREDENTIALS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 0, to: 0, wire: Wire::CompactArray(&Wire::Struct(&R51_SCRAM_CREDENTIAL_DELETION)) },
        Field { from: 0, to: 0, wire: Wire::CompactArray(&Wire::Struct(&R51_SCRAM_CREDENTIAL_UPSERTION)) },
    ],
    flexible_from: 0,
    tags: &[],
};
static R55_PARTITION_DATA: Shape =
    Shape { fields: &[Field { from: 0, to: 2, wire: Wire::Fixed(4) }], flexible_from: 0, tags: &[] };
static R55_TOPIC_DATA: Shape = Shape {
    fields: &[
        Field { from: 0, to: 2, wire: Wire::CompactText },
        Field { from: 0, to: 2, wire: Wire::CompactArray(&Wire::Struct(&R55_PARTITION_DATA)) },
    ],
    flexible_from: 0,
    tags: &[],
};
static R55_DESCRIBE_QUORUM_REQUEST: Shape = Shape {
    fields: &[Field { from: 0, to: 2, wire: Wire::CompactArray(&Wire::Struct(&R55_TOPIC_DATA)) }],
    flexible_from: 0,
    tags: &[],
};
static R57_FEATURE_UPDATE_KEY: Shape = Shape {
    fields: &[
        Field { from: 0, to: 2, wire: Wire::CompactText },
        Field { from: 0, to: 2, wire: Wire::Fixed(2) },
        Field { from: 0, to: 0, wire: Wire::Fixed(1) },
        Field { from: 1, to: 2, wire: Wire::Fixed(1) },
    ],
    flexible_from: 0,
    tags: &[],
};
static R57_UPDATE_FEATURES_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 0, to: 2, wire: Wire::Fixed(4) },
        Field { from: 0, to: 2, wire: Wire::CompactArray(&Wire::Struct(&R57_FEATURE_UPDATE_KEY)) },
        Field { from: 1, to: 2, wire: Wire::Fixed(1) },
    ],
    flexible_from: 0,
    tags: &[],
};
static R60_DESCRIBE_CLUSTER_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 0, to: 2, wire: Wire::Fixed(1) },
        Field { from: 1, to: 2, wire: Wire::Fixed(1) },
        Field { from: 2, to: 2, wire: Wire::Fixed(1) },
    ],
    flexible_from: 0,
    tags: &[],
};
static R61_TOPIC_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 0, to: 0, wire: Wire::CompactText },
        Field { from: 0, to: 0, wire: Wire::CompactArray(&Wire::Fixed(4)) },
    ],
    flexible_from: 0,
    tags: &[],
};
static R61_DESCRIBE_PRODUCERS_REQUEST: Shape = Shape {
    fields: &[Field { from: 0, to: 0, wire: Wire::CompactArray(&Wire::Struct(&R61_TOPIC_REQUEST)) }],
    flexible_from: 0,
    tags: &[],
};
static R65_DESCRIBE_TRANSACTIONS_REQUEST: Shape = Shape {
    fields: &[Field { from: 0, to: 0, wire: Wire::CompactArray(&Wire::CompactText) }],
    flexible_from: 0,
    tags: &[],
};
static R66_LIST_TRANSACTIONS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 0, to: 2, wire: Wire::CompactArray(&Wire::CompactText) },
        Field { from: 0, to: 2, wire: Wire::CompactArray(&Wire::Fixed(8)) },
        Field { from: 1, to: 2, wire: Wire::Fixed(8) },
        Field { from: 2, to: 2, wire: Wire::CompactText },
    ],
    flexible_from: 0,
    tags: &[],
};
static R68_TOPIC_PARTITIONS: Shape = Shape {
    fields: &[
        Field { from: 0, to: 1, wire: Wire::Fixed(16) },
        Field { from: 0, to: 1, wire: Wire::CompactArray(&Wire::Fixed(4)) },
    ],
    flexible_from: 0,
    tags: &[],
};
static R68_CONSUMER_GROUP_HEARTBEAT_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 0, to: 1, wire: Wire::CompactText },
        Field { from: 0, to: 1, wire: Wire::CompactText },
        Field { from: 0, to: 1, wire: Wire::Fixed(4) },
        Field { from: 0, to: 1, wire: Wire::CompactText },
        Field { from: 0, to: 1, wire: Wire::CompactText },
        Field { from: 0, to: 1, wire: Wire::Fixed(4) },
        Field { from: 0, to: 1, wire: Wire::CompactArray(&Wire::CompactText) },
        Field { from: 1, to: 1, wire: Wire::CompactText },
        Field { from: 0, to: 1, wire: Wire::CompactText },
        Field { from: 0, to: 1, wire: Wire::CompactArray(&Wire::Struct(&R68_TOPIC_PARTITIONS)) },
    ],
    flexible_from: 0,
    tags: &[],
};
static R69_CONSUMER_GROUP_DESCRIBE_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 0, to: 1, wire: Wire::CompactArray(&Wire::CompactText) },
        Field { from: 0, to: 1, wire: Wire::Fixed(1) },
    ],
    flexible_from: 0,
    tags: &[],
};
static R74_LIST_CONFIG_RESOURCES_REQUEST: Shape = Shape {
    fields: &[Field { from: 1, to: 1, wire: Wire::CompactArray(&Wire::Fixed(1)) }],
    flexible_from: 0,
    tags: &[],
};
static R75_TOPIC_REQUEST: Shape =
    Shape { fields: &[Field { from: 0, to: 0, wire: Wire::CompactText }], flexible_from: 0, tags: &[] };
static R75_CURSOR: Shape = Shape {
    fields: &[Field { from: 0, to: 0, wire: Wire::CompactText }, Field { from: 0, to: 0, wire: Wire::Fixed(4) }],
    flexible_from: 0,
    tags: &[],
};
static R75_DESCRIBE_TOPIC_PARTITIONS_REQUEST: Shape = Shape {
    fields: &[
        Field { from: 0, to: 0, wire: Wire::CompactArray(&Wire::Struct(&R75_TOPIC_REQUEST)) },
        Field { from: 0, to: 0, wire: Wire::Fixed(4) },
        Field { from: 0, to: 0, wire: Wire::OptionStruct(&R75_CURSOR) },
    ],
    flexible_from: 0,
    tags: &[],
};
