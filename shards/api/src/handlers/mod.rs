//! One file per Kafka API: `start` (request -> asks) and `finish` (answers -> response).

pub(crate) mod api_versions;
pub(crate) mod describe_cluster;
pub(crate) mod fetch;
pub(crate) mod init_producer_id;
pub(crate) mod list_offsets;
pub(crate) mod metadata;
pub(crate) mod offset_for_leader_epoch;
pub(crate) mod produce;
