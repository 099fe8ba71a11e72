//! `__consumer_offsets` as a reader gets it: records with keys, and tombstones.

use bytes::Bytes;
use heddle_protocol::Uuid;
use heddle_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use heddle_protocol::messages::{BrokerId, FetchRequest, FetchResponse};
use heddle_records::HEADER_BYTES;

use super::mirror::Record;
use crate::wire;

const FETCH: (i16, i16) = (1, 13);

pub fn fetch(topic: u128, partition: i32, from: i64, correlation: i32) -> Bytes {
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_current_leader_epoch(-1)
        .with_fetch_offset(from)
        .with_last_fetched_epoch(-1)
        .with_log_start_offset(-1)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic_id(Uuid::from_u128(topic)).with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_id(0)
        .with_session_epoch(-1)
        .with_topics(vec![topic]);
    wire::frame(FETCH.0, FETCH.1, correlation, &request)
}

/// Of each batch where the next begins, and its records.
type Batches = Vec<(i64, Vec<Record>)>;

/// The batches, or the error instead of them.
///
/// # Errors
/// What is wrong with the bytes.
pub fn read(answer: Bytes) -> Result<Result<Batches, i16>, String> {
    let response: FetchResponse = wire::read(answer, FETCH.1)?;
    if response.error_code != 0 {
        return Ok(Err(response.error_code));
    }
    let data = response.responses.first().and_then(|topic| topic.partitions.first());
    let data = data.ok_or("no partition in a fetch's answer")?;
    if data.error_code != 0 {
        return Ok(Err(data.error_code));
    }
    let bytes = data.records.clone().unwrap_or_default();
    let mut found = Vec::new();
    for batch in heddle_records::batches(&bytes) {
        let (header, batch) = batch.map_err(|e| format!("not a batch: {e}"))?;
        if !heddle_records::crc_is_right(batch) {
            return Err(format!("the batch at {} has a wrong CRC", header.base_offset));
        }
        let mut records = Vec::new();
        for record in heddle_records::records(&batch[HEADER_BYTES..], header.count) {
            let record = record.map_err(|e| format!("a record does not read: {e}"))?;
            let key = record.key.ok_or("a coordinator's record has no key")?;
            records.push((Bytes::copy_from_slice(key), record.value.map(Bytes::copy_from_slice)));
        }
        found.push((header.next_offset().0, records));
    }
    Ok(Ok(found))
}
