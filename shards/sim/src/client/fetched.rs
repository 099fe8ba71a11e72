//! A fetch of one partition, and what its answer says.

use bytes::Bytes;
use heddle_protocol::Uuid;
use heddle_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use heddle_protocol::messages::{BrokerId, FetchRequest, FetchResponse};

use super::Cx;
use crate::check::{Part, Seen};
use crate::lies::Lie;
use crate::{record, wire};

const FETCH: (i16, i16) = (1, 13);

pub struct Fetch {
    pub part: Part,
    pub from: i64,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub committed_only: bool,
}

impl Fetch {
    pub fn frame(&self, correlation: i32, cx: &Cx<'_>) -> Bytes {
        let partition = FetchPartition::default()
            .with_partition(self.part.index)
            .with_current_leader_epoch(-1)
            .with_fetch_offset(self.from)
            .with_last_fetched_epoch(-1)
            .with_log_start_offset(-1)
            .with_partition_max_bytes(self.max_bytes);
        let topic = FetchTopic::default()
            .with_topic_id(Uuid::from_u128(cx.catalog.topics[self.part.topic].id))
            .with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(self.max_wait_ms)
            .with_min_bytes(self.min_bytes)
            .with_max_bytes(1 << 20)
            .with_isolation_level(i8::from(self.committed_only))
            .with_session_id(0)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        wire::frame(FETCH.0, FETCH.1, correlation, &request)
    }

    /// Judges all that the answer says.
    ///
    /// # Errors
    /// If the answer does not fit the question, or its bytes are unsound.
    pub fn read(&self, answer: Bytes, asked: u64, cx: &mut Cx<'_>) -> Result<Fetched, String> {
        let response: FetchResponse = wire::read(answer, FETCH.1)?;
        if response.error_code != 0 {
            return Ok(Fetched { error: response.error_code, next: self.from });
        }
        let part = self.part;
        let [topic] = &response.responses[..] else { return Err("not one topic in a fetch's answer".into()) };
        let [data] = &topic.partitions[..] else { return Err("not one partition in a fetch's answer".into()) };
        if topic.topic_id.as_u128() != cx.catalog.topics[part.topic].id || data.partition_index != part.index {
            return Err(format!("{part:?}: the answer is another partition's"));
        }
        if data.error_code != 0 {
            return Ok(Fetched { error: data.error_code, next: self.from });
        }
        let (mut high, mut start) = (data.high_watermark, data.log_start_offset);
        if high > 0 && cx.lies(Lie::LowWatermark, 5) {
            high -= 1;
        }
        if cx.lies(Lie::StartMoved, 5) {
            start += 1;
        }
        cx.see(Seen::Watermarks { part, asked, high, start });
        let bytes = data.records.clone().unwrap_or_default();
        let keys = cx.catalog.topics[part.topic].keys;
        let mut batches = record::read(cx.plan.sizes, keys, &bytes).map_err(|text| format!("{part:?}: {text}"))?;
        if batches.len() > 1 && cx.lies(Lie::BatchMissing, 20) {
            batches.remove(0);
        }
        for batch in &mut batches {
            if cx.lie == Some(Lie::EpochReused) {
                batch.epoch = 0;
            }
            if !batch.records.is_empty() && cx.lies(Lie::BytesChanged, 5) {
                batch.records[0].1 ^= 1;
            }
            if keys.is_some() && cx.lie == Some(Lie::TombstoneDropped) {
                batch.records.retain(|(_, number)| !record::is_tombstone(*number));
            }
            if keys.is_some() && cx.lies(Lie::RecordMissing, 20) {
                batch.records.pop();
            }
        }
        if keys.is_some() && cx.lie == Some(Lie::LastBatchDropped) {
            batches.retain(|batch| !batch.records.is_empty());
        }
        let read = batches.last().map_or(self.from, |last| last.next);
        cx.say(|| format!("read {part:?} {}..{read}, start {start}, high watermark {high}", self.from));
        cx.see(Seen::Read { part, asked, at_ms: cx.wall_ms, from: self.from, batches: &batches });
        if let Some(beyond) = batches.last().filter(|last| last.next > data.high_watermark) {
            return Err(format!("{part:?}: read to {}, beyond the high watermark {high}", beyond.next));
        }
        Ok(Fetched { error: 0, next: batches.last().map_or(self.from, |last| last.next) })
    }
}

pub struct Fetched {
    pub error: i16,
    /// Where the next fetch begins.
    pub next: i64,
}
