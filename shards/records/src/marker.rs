//! Transaction markers: control batches of one record that end a producer's transaction in a partition (KIP-98).
//!
//! Key: version i16 = 0, type i16 (0 abort, 1 commit). Value: version i16 = 0, coordinator epoch i32.

use bytes::Bytes;
use heddle_model::{Codec, ProducerEpoch, ProducerId, Sequence};

use crate::{BatchBuilder, HEADER_BYTES, Header, records};

const ABORT: i16 = 0;
const COMMIT: i16 = 1;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marker {
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    pub commit: bool,
    pub coordinator_epoch: i32,
}

/// Builds a marker; `timestamp` in milliseconds since 1970.
pub fn marker(
    producer: ProducerId,
    epoch: ProducerEpoch,
    commit: bool,
    coordinator_epoch: i32,
    timestamp: i64,
) -> Bytes {
    let kind = if commit { COMMIT } else { ABORT };
    let mut key = [0; 4];
    key[2..].copy_from_slice(&kind.to_be_bytes());
    let mut value = [0; 6];
    value[2..].copy_from_slice(&coordinator_epoch.to_be_bytes());
    BatchBuilder::new(timestamp)
        .producer(producer, epoch, Sequence(-1))
        .transactional()
        .control()
        .push(timestamp, Some(&key), Some(&value), &[])
        .build()
}

/// What a batch says if it is a transaction marker; `None` for data, other control records, and whatever cannot be read.
/// Later versions of key and value may be longer (Kafka reads them so).
pub fn marker_kind(batch: &[u8]) -> Option<Marker> {
    let header = Header::read(batch).ok()?;
    if !header.is_control() || header.codec() != Some(Codec::None) || header.total_bytes() != batch.len() {
        return None;
    }
    let record = records(&batch[HEADER_BYTES..], header.count).next()?.ok()?;
    let &[_, _, kind_high, kind_low, ..] = record.key? else {
        return None;
    };
    let &[_, _, a, b, c, d, ..] = record.value? else {
        return None;
    };
    let commit = match i16::from_be_bytes([kind_high, kind_low]) {
        ABORT => false,
        COMMIT => true,
        _ => return None,
    };
    Some(Marker {
        producer: header.producer_id,
        epoch: header.producer_epoch,
        commit,
        coordinator_epoch: i32::from_be_bytes([a, b, c, d]),
    })
}
