//! Producer sequences and open transactions of one partition (KIP-98, KIP-360, KIP-890).
//!
//! The state is a pure function of the batches in the log, in order: `apply` is the only way it changes, live and in
//! recovery. Two copies exist in a replica: one at the log's end, which decides, and one at the settled end, which is
//! written beside the segments (`companion.rs`).

use std::collections::{BTreeMap, VecDeque};

use heddle_model::limits::PRODUCER_BATCHES_REMEMBERED;
use heddle_model::{Offset, ProducerEpoch, ProducerId, Sequence};
use heddle_records::{Header, Marker};
use rustc_hash::FxHashMap;

use crate::ActiveProducer;

/// A batch that was appended, so that its duplicate gets its first answer again (trap 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remembered {
    pub first: Sequence,
    pub last: Sequence,
    pub base: Offset,
    pub next: Offset,
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Producer {
    pub epoch: ProducerEpoch,
    /// Newest last; at most `PRODUCER_BATCHES_REMEMBERED`. Empty after a marker of a newer epoch.
    pub batches: VecDeque<Remembered>,
    pub transaction_start: Option<Offset>,
    /// Of the newest batch or marker. Milliseconds since 1970.
    pub last_timestamp: i64,
    pub coordinator_epoch: i32,
}

/// What a producer's next batch is, in view of its earlier ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// In order: append it.
    Next,
    /// One of the remembered batches again.
    Duplicate(Remembered),
    OutOfOrder,
    StaleEpoch,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Producers {
    by_id: FxHashMap<ProducerId, Producer>,
    /// Open transactions by their first offset.
    open: BTreeMap<Offset, ProducerId>,
}

impl Producers {
    pub fn get(&self, id: ProducerId) -> Option<&Producer> {
        self.by_id.get(&id)
    }

    /// The first offset of the earliest open transaction: the last stable offset does not pass it.
    pub fn first_open(&self) -> Option<Offset> {
        self.open.keys().next().copied()
    }

    /// Judge a batch that carries a producer id.
    ///
    /// Where nothing is known of the producer (expired, or its records deleted) any first sequence is accepted, as
    /// Kafka does; a newer epoch starts at sequence 0.
    pub fn check(&self, header: &Header) -> Check {
        let Some(known) = self.by_id.get(&header.producer_id) else { return Check::Next };
        if header.producer_epoch < known.epoch {
            return Check::StaleEpoch;
        }
        if header.producer_epoch > known.epoch {
            return if header.base_sequence == Sequence(0) { Check::Next } else { Check::OutOfOrder };
        }
        let last = header.last_sequence();
        if let Some(found) = known.batches.iter().find(|b| b.first == header.base_sequence && b.last == last) {
            return Check::Duplicate(*found);
        }
        let expected = match known.batches.back() {
            Some(newest) => newest.last.plus(1),
            // Only markers of this epoch are known: the epoch has not written yet.
            None => Sequence(0),
        };
        if header.base_sequence == expected { Check::Next } else { Check::OutOfOrder }
    }

    /// Take a batch that entered the log. `marker` is given for control batches that end a transaction.
    pub fn apply(&mut self, header: &Header, marker: Option<Marker>) {
        if !header.has_producer() {
            return;
        }
        let producer = self.by_id.entry(header.producer_id).or_insert_with(|| Producer {
            epoch: header.producer_epoch,
            batches: VecDeque::new(),
            transaction_start: None,
            last_timestamp: header.max_timestamp,
            coordinator_epoch: -1,
        });
        if header.producer_epoch > producer.epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        producer.last_timestamp = producer.last_timestamp.max(header.max_timestamp);
        if let Some(marker) = marker {
            producer.coordinator_epoch = marker.coordinator_epoch;
            if let Some(start) = producer.transaction_start.take() {
                self.open.remove(&start);
            }
            return;
        }
        if header.is_control() {
            return;
        }
        if header.is_transactional() && producer.transaction_start.is_none() {
            producer.transaction_start = Some(header.base_offset);
            self.open.insert(header.base_offset, header.producer_id);
        }
        if producer.batches.len() == PRODUCER_BATCHES_REMEMBERED {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Remembered {
            first: header.base_sequence,
            last: header.last_sequence(),
            base: header.base_offset,
            next: header.next_offset(),
            timestamp: header.max_timestamp,
        });
    }

    /// Forget producers that wrote nothing for `expiration_ms` and have no open transaction.
    pub fn expire(&mut self, wall_ms: i64, expiration_ms: i64) -> Vec<ProducerId> {
        let mut gone: Vec<ProducerId> = self
            .by_id
            .iter()
            .filter(|(_, p)| p.transaction_start.is_none() && wall_ms.saturating_sub(p.last_timestamp) > expiration_ms)
            .map(|(id, _)| *id)
            .collect();
        gone.sort();
        for id in &gone {
            self.by_id.remove(id);
        }
        gone
    }

    /// For DescribeProducers, in id order.
    pub fn active(&self) -> Vec<ActiveProducer> {
        let mut all: Vec<ActiveProducer> = self
            .by_id
            .iter()
            .map(|(id, p)| ActiveProducer {
                id: *id,
                epoch: p.epoch,
                last_sequence: p.batches.back().map_or(Sequence(-1), |b| b.last),
                last_timestamp: p.last_timestamp,
                transaction_start: p.transaction_start,
                coordinator_epoch: p.coordinator_epoch,
            })
            .collect();
        all.sort_by_key(|p| p.id);
        all
    }

    /// Every producer, in id order.
    pub fn iter_sorted(&self) -> impl Iterator<Item = (ProducerId, &Producer)> {
        let mut ids: Vec<ProducerId> = self.by_id.keys().copied().collect();
        ids.sort();
        ids.into_iter().map(|id| (id, &self.by_id[&id]))
    }

    /// Put back what was written beside a segment.
    pub fn restore(&mut self, id: ProducerId, producer: Option<Producer>) {
        if let Some(start) = self.by_id.remove(&id).and_then(|old| old.transaction_start) {
            self.open.remove(&start);
        }
        if let Some(producer) = producer {
            if let Some(start) = producer.transaction_start {
                self.open.insert(start, id);
            }
            self.by_id.insert(id, producer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_records::BatchBuilder;
    use proptest::prelude::*;

    fn batch(id: i64, epoch: i16, sequence: i32, records: i32, base: i64) -> Header {
        let mut builder = BatchBuilder::new(1000);
        for i in 0..records {
            builder.push(1000 + i as i64, None, Some(b"v"), &[]);
        }
        let bytes = builder.producer(ProducerId(id), ProducerEpoch(epoch), Sequence(sequence)).build();
        let mut header = Header::read(&bytes).unwrap();
        header.base_offset = Offset(base);
        header
    }

    #[test]
    fn the_window_remembers_five_batches_and_no_more() {
        let mut producers = Producers::default();
        for i in 0..6 {
            let header = batch(7, 0, i * 2, 2, i as i64 * 2);
            assert_eq!(producers.check(&header), Check::Next);
            producers.apply(&header, None);
        }
        assert_eq!(producers.check(&batch(7, 0, 0, 2, 0)), Check::OutOfOrder, "the sixth oldest is forgotten");
        for i in 1..6 {
            let Check::Duplicate(found) = producers.check(&batch(7, 0, i * 2, 2, 99)) else { panic!("batch {i}") };
            assert_eq!(found.base, Offset(i as i64 * 2));
        }
        assert_eq!(producers.check(&batch(7, 0, 13, 1, 99)), Check::OutOfOrder, "a gap");
        assert_eq!(producers.check(&batch(7, 0, 12, 1, 99)), Check::Next);
    }

    #[test]
    fn epochs_fence_and_start_at_zero() {
        let mut producers = Producers::default();
        producers.apply(&batch(7, 3, 41, 1, 0), None);
        assert_eq!(producers.check(&batch(7, 2, 42, 1, 0)), Check::StaleEpoch);
        assert_eq!(producers.check(&batch(7, 4, 42, 1, 0)), Check::OutOfOrder);
        assert_eq!(producers.check(&batch(7, 4, 0, 1, 0)), Check::Next);
        producers.apply(&batch(7, 4, 0, 1, 1), None);
        assert_eq!(producers.check(&batch(7, 4, 1, 1, 0)), Check::Next);
    }

    #[test]
    fn sequences_wrap() {
        let mut producers = Producers::default();
        producers.apply(&batch(7, 0, i32::MAX - 1, 2, 0), None);
        assert_eq!(producers.check(&batch(7, 0, 0, 1, 2)), Check::Next);
        producers.apply(&batch(7, 0, i32::MAX, 3, 2), None);
        assert_eq!(producers.check(&batch(7, 0, 2, 1, 5)), Check::Next);
    }

    #[test]
    fn an_unknown_producer_may_start_anywhere() {
        assert_eq!(Producers::default().check(&batch(1, 5, 1234, 1, 0)), Check::Next);
    }

    #[test]
    fn expiry_spares_open_transactions() {
        let mut producers = Producers::default();
        producers.apply(&batch(1, 0, 0, 1, 0), None);
        let mut open = batch(2, 0, 0, 1, 1);
        open.attributes |= 1 << 4;
        producers.apply(&open, None);
        assert_eq!(producers.first_open(), Some(Offset(1)));
        assert_eq!(producers.expire(10_000, 5_000), vec![ProducerId(1)]);
        assert!(producers.get(ProducerId(2)).is_some());
    }

    proptest! {
        /// Whatever order batches arrive in, what is accepted as `Next` forms one gapless sequence per epoch.
        #[test]
        fn accepted_sequences_have_no_gap(tries in proptest::collection::vec((0i32..12, 1i32..4), 1..60)) {
            let mut producers = Producers::default();
            producers.apply(&batch(9, 0, 0, 1, 0), None);
            let mut expected = 1;
            let mut offset = 1;
            for (sequence, records) in tries {
                let header = batch(9, 0, sequence, records, offset);
                match producers.check(&header) {
                    Check::Next => {
                        prop_assert_eq!(sequence, expected);
                        producers.apply(&header, None);
                        expected += records;
                        offset += records as i64;
                    }
                    Check::Duplicate(found) => prop_assert!(found.first == header.base_sequence && found.last == header.last_sequence()),
                    Check::OutOfOrder => prop_assert_ne!(sequence, expected),
                    Check::StaleEpoch => prop_assert!(false),
                }
            }
        }
    }
}
