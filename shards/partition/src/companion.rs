//! What stands beside a segment's batches: producer state at the settled end, written as a snapshot when a segment
//! opens and as changes after it. The log stores it without reading it.
//!
//! Format, big endian: `version u8 = 1 | kind u8 (0 snapshot, 1 changes) | count u32 | entries`. An entry is
//! `producer id i64 | present u8`, and if present `epoch i16 | coordinator epoch i32 | last timestamp i64 |
//! transaction start i64 (-1 none) | batches u8 | batches of (first i32, last i32, base i64, next i64, timestamp i64)`.

use std::collections::{BTreeSet, VecDeque};

use bytes::{Buf, BufMut, Bytes};
use heddle_log::Companion;
use heddle_model::limits::PRODUCER_BATCHES_REMEMBERED;
use heddle_model::{Offset, ProducerEpoch, ProducerId, Sequence};
use heddle_records::Header;

use crate::producers::{Producer, Producers, Remembered};

const VERSION: u8 = 1;
const SNAPSHOT: u8 = 0;
const CHANGES: u8 = 1;

/// Producer state as of the settled end, and who changed since it was last written.
#[derive(Default, Debug)]
pub struct Settled {
    producers: Producers,
    changed: BTreeSet<ProducerId>,
}

impl Settled {
    pub fn new(producers: Producers) -> Settled {
        Settled { producers, changed: BTreeSet::new() }
    }

    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// Forget expired producers here too, so that the next change says so on disk.
    pub fn forget(&mut self, gone: &[ProducerId]) {
        for id in gone {
            if self.producers.get(*id).is_some_and(|p| p.transaction_start.is_none()) {
                self.producers.restore(*id, None);
                self.changed.insert(*id);
            }
        }
    }
}

impl Companion for Settled {
    fn apply(&mut self, header: &Header, batch: &[u8]) {
        if header.has_producer() {
            let marker = if header.is_control() { heddle_records::marker_kind(batch) } else { None };
            self.producers.apply(header, marker);
            self.changed.insert(header.producer_id);
        }
    }

    fn snapshot(&mut self) -> Vec<u8> {
        self.changed.clear();
        let entries: Vec<(ProducerId, Option<&Producer>)> =
            self.producers.iter_sorted().map(|(id, p)| (id, Some(p))).collect();
        write(SNAPSHOT, &entries)
    }

    fn changes(&mut self) -> Vec<u8> {
        let changed = std::mem::take(&mut self.changed);
        let entries: Vec<(ProducerId, Option<&Producer>)> =
            changed.iter().map(|id| (*id, self.producers.get(*id))).collect();
        write(CHANGES, &entries)
    }
}

fn write(kind: u8, entries: &[(ProducerId, Option<&Producer>)]) -> Vec<u8> {
    if entries.is_empty() && kind == CHANGES {
        return Vec::new();
    }
    let mut out = Vec::with_capacity(6 + entries.len() * 200);
    out.put_u8(VERSION);
    out.put_u8(kind);
    out.put_u32(entries.len() as u32);
    for (id, producer) in entries {
        out.put_i64(id.0);
        out.put_u8(producer.is_some() as u8);
        let Some(p) = producer else { continue };
        out.put_i16(p.epoch.0);
        out.put_i32(p.coordinator_epoch);
        out.put_i64(p.last_timestamp);
        out.put_i64(p.transaction_start.map_or(-1, |o| o.0));
        out.put_u8(p.batches.len() as u8);
        for b in &p.batches {
            out.put_i32(b.first.0);
            out.put_i32(b.last.0);
            out.put_i64(b.base.0);
            out.put_i64(b.next.0);
            out.put_i64(b.timestamp);
        }
    }
    out
}

/// The bytes beside a segment are not what this room wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed(pub &'static str);

/// The state of the producers after reading a snapshot and the changes that follow it.
pub fn read_all(parts: &[Bytes]) -> Result<Producers, Malformed> {
    let mut producers = Producers::default();
    for part in parts {
        read(&mut producers, part.clone())?;
    }
    Ok(producers)
}

fn read(producers: &mut Producers, mut input: Bytes) -> Result<(), Malformed> {
    if input.is_empty() {
        return Ok(());
    }
    need(&input, 6)?;
    if input.get_u8() != VERSION {
        return Err(Malformed("unknown version of producer state"));
    }
    match input.get_u8() {
        SNAPSHOT => *producers = Producers::default(),
        CHANGES => {}
        _ => return Err(Malformed("unknown kind of producer state")),
    }
    for _ in 0..input.get_u32() {
        need(&input, 9)?;
        let id = ProducerId(input.get_i64());
        let present = input.get_u8() == 1;
        producers.restore(id, if present { Some(read_producer(&mut input)?) } else { None });
    }
    Ok(())
}

fn read_producer(input: &mut Bytes) -> Result<Producer, Malformed> {
    need(input, 23)?;
    let epoch = ProducerEpoch(input.get_i16());
    let coordinator_epoch = input.get_i32();
    let last_timestamp = input.get_i64();
    let start = input.get_i64();
    let count = input.get_u8() as usize;
    if count > PRODUCER_BATCHES_REMEMBERED {
        return Err(Malformed("more batches remembered than are ever kept"));
    }
    need(input, count * 32)?;
    let mut batches = VecDeque::with_capacity(count);
    for _ in 0..count {
        batches.push_back(Remembered {
            first: Sequence(input.get_i32()),
            last: Sequence(input.get_i32()),
            base: Offset(input.get_i64()),
            next: Offset(input.get_i64()),
            timestamp: input.get_i64(),
        });
    }
    let transaction_start = (start >= 0).then_some(Offset(start));
    Ok(Producer { epoch, batches, transaction_start, last_timestamp, coordinator_epoch })
}

fn need(input: &Bytes, bytes: usize) -> Result<(), Malformed> {
    if input.remaining() < bytes { Err(Malformed("producer state ends early")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_records::BatchBuilder;
    use proptest::prelude::*;

    fn header(id: i64, epoch: i16, sequence: i32, base: i64, transactional: bool) -> (Header, Bytes) {
        let mut builder = BatchBuilder::new(base);
        builder.push(base, None, Some(b"v"), &[]).producer(ProducerId(id), ProducerEpoch(epoch), Sequence(sequence));
        if transactional {
            builder.transactional();
        }
        let bytes = builder.build();
        let mut header = Header::read(&bytes).unwrap();
        header.base_offset = Offset(base);
        (header, bytes)
    }

    proptest! {
        /// Snapshot and changes, read back, give the live state: at every cut of any history.
        #[test]
        fn what_is_written_is_what_is_read(
            steps in proptest::collection::vec((0i64..5, 0i16..3, any::<bool>(), 0u8..4), 1..80)
        ) {
            let mut settled = Settled::default();
            let mut parts = vec![Bytes::from(settled.snapshot())];
            for (i, (id, epoch, transactional, action)) in steps.into_iter().enumerate() {
                let (header, bytes) = header(id, epoch, i as i32, i as i64, transactional);
                settled.apply(&header, &bytes);
                match action {
                    0 => parts = vec![Bytes::from(settled.snapshot())],
                    1 => { let gone = settled.producers.clone().expire(i as i64, 10); settled.forget(&gone); parts.push(settled.changes().into()) }
                    _ => parts.push(settled.changes().into()),
                }
                prop_assert_eq!(&read_all(&parts).unwrap(), settled.producers());
            }
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_all(&[Bytes::from(bytes)]);
        }
    }
}
