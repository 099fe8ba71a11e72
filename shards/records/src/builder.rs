//! Building small batches: coordinator records, markers, tests.

use bytes::Bytes;
use heddle_model::{Codec, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};

use crate::header::{CONTROL_BIT, MAGIC, TRANSACTIONAL_BIT};
use crate::{Header, compress, record};

/// Collects records and builds one batch with base offset 0 and leader epoch -1, as a client would send it.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    base_timestamp: i64,
    max_timestamp: i64,
    attributes: i16,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    base_sequence: Sequence,
    codec: Codec,
    level: i32,
    count: i32,
    records: Vec<u8>,
}

impl BatchBuilder {
    /// `base_timestamp`: milliseconds since 1970; by convention that of the first record.
    pub fn new(base_timestamp: i64) -> BatchBuilder {
        BatchBuilder {
            base_timestamp,
            max_timestamp: base_timestamp,
            attributes: 0,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch(-1),
            base_sequence: Sequence(-1),
            codec: Codec::None,
            level: 0,
            count: 0,
            records: Vec::new(),
        }
    }

    /// Adds a record; `timestamp` in milliseconds since 1970.
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> &mut BatchBuilder {
        let delta = timestamp.wrapping_sub(self.base_timestamp);
        let headers = headers.iter().map(|(key, value)| (key.as_bytes(), *value));
        record::write_record(&mut self.records, self.count, delta, key, value, headers);
        self.max_timestamp = if self.count == 0 { timestamp } else { self.max_timestamp.max(timestamp) };
        self.count += 1;
        self
    }

    /// Makes it the batch of an idempotent producer.
    pub fn producer(&mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: Sequence) -> &mut BatchBuilder {
        (self.producer_id, self.producer_epoch, self.base_sequence) = (id, epoch, base_sequence);
        self
    }

    pub fn transactional(&mut self) -> &mut BatchBuilder {
        self.attributes |= TRANSACTIONAL_BIT;
        self
    }

    pub(crate) fn control(&mut self) -> &mut BatchBuilder {
        self.attributes |= CONTROL_BIT;
        self
    }

    /// Packs the records when built. `level` as in `compress`.
    pub fn codec(&mut self, codec: Codec, level: i32) -> &mut BatchBuilder {
        (self.codec, self.level) = (codec, level);
        self
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Records added so far.
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Bytes of the batch before packing, header included.
    pub fn unpacked_bytes(&self) -> usize {
        crate::HEADER_BYTES + self.records.len()
    }

    /// The batch. There must be at least one record.
    pub fn build(&self) -> Bytes {
        assert!(self.count > 0, "a batch has at least one record");
        let header = Header {
            base_offset: Offset::ZERO,
            batch_length: 0,
            leader_epoch: LeaderEpoch::NONE,
            magic: MAGIC,
            crc: 0,
            attributes: self.attributes | self.codec as i16,
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            count: self.count,
        };
        let batch = match self.codec {
            Codec::None => header.join(&self.records),
            codec => header.join(&compress(&self.records, codec, self.level)),
        };
        Bytes::from(batch.expect("what we build is shorter than 2 GiB"))
    }
}
