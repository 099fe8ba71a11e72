//! The fields that a broker rewrites, in place, in its own copy of a batch.
//!
//! The batch has been validated: a slice shorter than a header is our own bug.

use heddle_model::{LeaderEpoch, Offset};

use crate::HEADER_BYTES;
use crate::header::{APPEND_TIME_BIT, ATTRIBUTES_AT, BASE_OFFSET_AT, CRC_AT, LEADER_EPOCH_AT, MAX_TIMESTAMP_AT};

/// Gives the batch its place in the log. The CRC does not cover it.
pub fn set_base_offset(batch: &mut [u8], offset: Offset) {
    assert!(batch.len() >= HEADER_BYTES, "only whole batches are stamped");
    batch[BASE_OFFSET_AT..][..8].copy_from_slice(&offset.0.to_be_bytes());
}

/// Stamps Kafka's partition leader epoch. The CRC does not cover it.
pub fn set_leader_epoch(batch: &mut [u8], epoch: LeaderEpoch) {
    assert!(batch.len() >= HEADER_BYTES, "only whole batches are stamped");
    batch[LEADER_EPOCH_AT..][..4].copy_from_slice(&epoch.0.to_be_bytes());
}

/// Makes the batch one of `LogAppendTime`: `ms` since 1970 becomes the time of all its records. Takes exactly one
/// batch and recomputes its CRC.
pub fn set_append_time(batch: &mut [u8], ms: i64) {
    assert!(batch.len() >= HEADER_BYTES, "only whole batches are stamped");
    let was = i16::from_be_bytes([batch[ATTRIBUTES_AT], batch[ATTRIBUTES_AT + 1]]);
    set_times(batch, was | APPEND_TIME_BIT, ms);
}

/// Makes the batch one of `CreateTime`, whose records keep their own times: `max_timestamp` is the largest of them, ms
/// since 1970. Takes exactly one batch; its CRC is recomputed only if something changes.
pub fn set_create_time(batch: &mut [u8], max_timestamp: i64) {
    assert!(batch.len() >= HEADER_BYTES, "only whole batches are stamped");
    let was = i16::from_be_bytes([batch[ATTRIBUTES_AT], batch[ATTRIBUTES_AT + 1]]);
    let stated = &batch[MAX_TIMESTAMP_AT..][..8];
    if was & APPEND_TIME_BIT != 0 || stated != max_timestamp.to_be_bytes() {
        set_times(batch, was & !APPEND_TIME_BIT, max_timestamp);
    }
}

fn set_times(batch: &mut [u8], attributes: i16, max_timestamp: i64) {
    batch[ATTRIBUTES_AT..][..2].copy_from_slice(&attributes.to_be_bytes());
    batch[MAX_TIMESTAMP_AT..][..8].copy_from_slice(&max_timestamp.to_be_bytes());
    let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    batch[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
}
