//! The records that clients write: each has a number, and its bytes follow from the number and the run's sizes, so any
//! record that is read can be judged byte by byte. Records of compacted topics have keys, some are tombstones, and both
//! follow from the number too, which stands in a header.

use bytes::Bytes;
use heddle_model::{Codec, ProducerEpoch, ProducerId, Sequence};
use heddle_records::{BatchBuilder, HEADER_BYTES, Record};

/// How long records are. Bytes.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub least: usize,
    /// Added to `least`, different from record to record. 0: all records have one size, so that leftovers in a recycled
    /// journal file look just like what is written over them (trap 27).
    pub spread: usize,
}

impl Sizes {
    pub fn value(self, number: u64) -> Vec<u8> {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let len = self.least + if self.spread == 0 { 0 } else { (mixed % self.spread as u64) as usize };
        let mut value = Vec::with_capacity(len + 8);
        value.extend_from_slice(&number.to_be_bytes());
        for at in 0..len.div_ceil(8) {
            let counter = u64::from(at as u8) * 0x0101_0101_0101_0101;
            value.extend_from_slice(&(mixed ^ counter).to_be_bytes());
        }
        value.truncate(8 + len);
        value
    }

    /// The number of a record with exactly the bytes that were written.
    pub fn number_of(self, value: &[u8]) -> Option<u64> {
        let number = u64::from_be_bytes(*value.first_chunk()?);
        (self.value(number) == value).then_some(number)
    }
}

/// Of records with keys: how many keys there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keys(pub u64);

impl Keys {
    pub fn key_of(self, number: u64) -> u64 {
        number.wrapping_mul(0xd6e8_feb8_6659_fd93).rotate_left(32) % self.0
    }
}

/// One in five records with a key deletes it.
pub fn is_tombstone(number: u64) -> bool {
    (number.wrapping_mul(0xa076_1d64_78bd_642f) >> 40).is_multiple_of(5)
}

/// Who writes: a producer id, its epoch, and the sequence of a batch.
pub type Stamp = Option<(i64, i16, i32)>;

pub fn batch(sizes: Sizes, keys: Option<Keys>, numbers: &[u64], at_ms: i64, codec: Codec, stamp: Stamp) -> Bytes {
    let mut batch = BatchBuilder::new(at_ms);
    for number in numbers {
        let value = sizes.value(*number);
        match keys {
            None => batch.push(at_ms, None, Some(&value), &[]),
            Some(keys) => {
                let value = if is_tombstone(*number) { None } else { Some(&value[..]) };
                let header = number.to_be_bytes();
                batch.push(at_ms, Some(&keys.key_of(*number).to_be_bytes()), value, &[(NUMBER, Some(&header))])
            }
        };
    }
    if let Some((id, epoch, sequence)) = stamp {
        batch.producer(ProducerId(id), ProducerEpoch(epoch), Sequence(sequence));
    }
    batch.codec(codec, 1).build()
}

/// A batch as a reader got it.
#[derive(Clone, Debug)]
pub struct ReadBatch {
    pub base: i64,
    pub next: i64,
    pub epoch: i32,
    pub stamp: Stamp,
    /// Offset and number of each record.
    pub records: Vec<(i64, u64)>,
}

/// The header that holds a record's number.
const NUMBER: &str = "number";

/// The number of a record that is exactly as it was written.
fn number_of(sizes: Sizes, keys: Option<Keys>, record: &Record<'_>) -> Option<u64> {
    let Some(keys) = keys else { return sizes.number_of(record.value?).filter(|_| record.key.is_none()) };
    let mut headers = record.headers;
    let (_, number) = headers.next().filter(|(name, _)| *name == NUMBER.as_bytes())?;
    let number = u64::from_be_bytes(number?.try_into().ok()?);
    let value = if is_tombstone(number) { None } else { Some(sizes.value(number)) };
    let is_whole = record.key == Some(&keys.key_of(number).to_be_bytes()[..]) && record.value == value.as_deref();
    is_whole.then_some(number)
}

/// Everything in a fetch's answer.
///
/// # Errors
/// What is wrong with the bytes.
pub fn read(sizes: Sizes, keys: Option<Keys>, bytes: &Bytes) -> Result<Vec<ReadBatch>, String> {
    let mut found = Vec::new();
    for batch in heddle_records::batches(bytes) {
        let (header, batch) = batch.map_err(|e| format!("not a batch: {e}"))?;
        if !heddle_records::crc_is_right(batch) {
            return Err(format!("the batch at {} has a wrong CRC", header.base_offset));
        }
        let batch = bytes.slice_ref(batch);
        let payload = if header.attributes & 7 == 0 {
            batch.slice(HEADER_BYTES..)
        } else {
            heddle_records::payload(&batch, 1 << 24).map_err(|e| format!("a batch does not unpack: {e:?}"))?
        };
        let mut records = Vec::new();
        for record in heddle_records::records(&payload, header.count) {
            let record = record.map_err(|e| format!("a record does not read: {e}"))?;
            let offset = header.base_offset.0 + i64::from(record.offset_delta);
            let number = number_of(sizes, keys, &record);
            records.push((offset, number.ok_or(format!("the record at {offset} is none that was written"))?));
        }
        let (base, next, epoch) = (header.base_offset.0, header.next_offset().0, header.leader_epoch.0);
        let stamp = (header.producer_id.0, header.producer_epoch.0, header.base_sequence.0);
        let stamp = header.has_producer().then_some(stamp);
        found.push(ReadBatch { base, next, epoch, stamp, records });
    }
    Ok(found)
}
