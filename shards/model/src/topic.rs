//! The effective settings of one topic: its overrides laid over the broker's defaults, parsed once by the controller.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// A codec of record batches, numbered as in the batch attributes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Codec {
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

impl Codec {
    /// The codec in the low three bits of batch attributes.
    pub fn from_attributes(attributes: i16) -> Option<Codec> {
        match attributes & 7 {
            0 => Some(Codec::None),
            1 => Some(Codec::Gzip),
            2 => Some(Codec::Snappy),
            3 => Some(Codec::Lz4),
            4 => Some(Codec::Zstd),
            _ => None,
        }
    }
}

/// `compression.type` together with the level of the codec that it names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// Keep what the producer sent.
    Producer,
    /// Re-encode batches that arrive with another codec.
    Broker { codec: Codec, level: i32 },
}

/// Names and units are Kafka's topic configs; times are milliseconds, sizes bytes, -1 means unlimited where Kafka says so.
#[derive(Clone, PartialEq, Debug)]
pub struct TopicSettings {
    pub cleanup_delete: bool,
    pub cleanup_compact: bool,
    pub compression: Compression,
    pub timestamp_type: TimestampType,
    pub timestamp_before_max_ms: i64,
    pub timestamp_after_max_ms: i64,
    pub max_message_bytes: i32,
    pub min_insync_replicas: i32,
    pub retention_ms: i64,
    pub retention_bytes: i64,
    pub segment_bytes: i32,
    pub segment_ms: i64,
    pub segment_jitter_ms: i64,
    pub delete_retention_ms: i64,
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    /// `file.delete.delay.ms`: how long a removed segment's file stays.
    pub file_delete_delay_ms: i64,
    /// Broker-wide `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
}

impl Default for TopicSettings {
    /// Kafka 4.3's defaults.
    fn default() -> TopicSettings {
        TopicSettings {
            cleanup_delete: true,
            cleanup_compact: false,
            compression: Compression::Producer,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            max_message_bytes: 1_048_588,
            min_insync_replicas: 1,
            retention_ms: 604_800_000,
            retention_bytes: -1,
            segment_bytes: 1_073_741_824,
            segment_ms: 604_800_000,
            segment_jitter_ms: 0,
            delete_retention_ms: 86_400_000,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            file_delete_delay_ms: 60_000,
            producer_id_expiration_ms: 86_400_000,
        }
    }
}
