//! What is found by looking through a client's records, packed or not: their own times count, lies are refused, and the
//! log start hides what stands below it.

use bytes::Bytes;
use heddle_model::*;
use heddle_partition::*;
use heddle_records::{BatchBuilder, HEADER_BYTES, Header, set_append_time, set_base_offset, set_create_time};

use crate::bench::*;

const NOW: i64 = 1_700_000_000_000;
const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// Records at these times, the last of `bytes` bytes: beyond some thousand they are looked through off the turn.
fn timed(times: &[i64], bytes: usize, codec: Codec) -> BatchBuilder {
    let mut builder = BatchBuilder::new(times[0]);
    for (at, time) in times.iter().enumerate() {
        let value = if at + 1 == times.len() { vec![b'v'; bytes] } else { b"v".to_vec() };
        builder.push(*time, Some(b"k"), Some(&value), &[]);
    }
    builder.codec(codec, -1);
    builder
}

/// A header that says something else, under a right CRC.
fn saying(batch: &Bytes, at: usize, bytes: &[u8]) -> Bytes {
    let mut lying = batch.to_vec();
    lying[at..at + bytes.len()].copy_from_slice(bytes);
    let max_timestamp = Header::read(batch).unwrap().max_timestamp;
    set_create_time(&mut lying, max_timestamp - 1);
    lying.into()
}

fn with_max_timestamp(batch: &Bytes, max_timestamp: i64) -> Bytes {
    let mut lying = batch.to_vec();
    set_create_time(&mut lying, max_timestamp);
    lying.into()
}

fn find(bench: &mut Bench, query: OffsetQuery) -> (Option<i64>, i64) {
    match bench.done(Ask::FindOffset { query, visibility: Visibility::HighWatermark, epoch: None }) {
        Answer::FoundOffset(found) => (found.offset.map(|o| o.0), found.timestamp),
        other => panic!("{other:?}"),
    }
}

fn header_at(bench: &mut Bench, offset: i64) -> Header {
    let Answer::Read(records) = bench.read(offset) else { panic!("reads are answered") };
    assert!(heddle_records::crc_is_right(&records.parts[0][..Header::read(&records.parts[0]).unwrap().total_bytes()]));
    Header::read(&records.parts[0]).unwrap()
}

/// Clients exist that send -1, and any other number may stand there too: the records say when they were written.
#[test]
fn the_largest_time_is_that_of_the_records_whatever_the_client_says() {
    for codec in CODECS {
        for (bytes, claimed) in [(10, -1), (10, 0), (10, NOW + 900_000), (60_000, -1), (60_000, 5)] {
            let mut bench = Bench::new(TopicSettings::default());
            let mut builder = timed(&[NOW - 50, NOW - 10, NOW - 30], bytes, codec);
            let honest = builder.producer(ProducerId(5), ProducerEpoch(0), Sequence(0)).build();
            let batch = with_max_timestamp(&honest, claimed);
            assert_eq!(base(&bench.append(batch.clone())), 0, "{codec:?}");
            assert_eq!(header_at(&mut bench, 0).max_timestamp, NOW - 10, "{codec:?} {claimed}");
            assert_eq!(find(&mut bench, OffsetQuery::AtOrAfter(NOW - 20)), (Some(1), NOW - 10), "{codec:?} {claimed}");
            assert_eq!(find(&mut bench, OffsetQuery::MaxTimestamp), (Some(1), NOW - 10), "{codec:?} {claimed}");
            // Housekeeping forgets producers that wrote nothing for a day, and this one wrote just now.
            bench.act(|replica, world| replica.maintain(0, world));
            assert_eq!(base(&bench.append(batch)), 0, "a duplicate, {codec:?} {claimed}");
        }
    }
}

#[test]
fn packed_lies_and_garbage_are_refused_and_leave_no_trace() {
    for codec in &CODECS[1..] {
        for bytes in [10, 60_000] {
            let mut bench = Bench::new(TopicSettings::default());
            let good = timed(&[NOW, NOW, NOW], bytes, *codec).build();
            for count in [2i32, 4, i32::MAX] {
                let lying = saying(&good, 23, &(count - 1).to_be_bytes());
                let lying = saying(&lying, 57, &count.to_be_bytes());
                let answer = bench.append(lying);
                assert!(matches!(answer, Answer::Refused(Refusal::InvalidRecord { .. })), "{codec:?}: {answer:?}");
            }
            let packed = vec![b'x'; bytes];
            let garbage = Bytes::from([&good[..HEADER_BYTES], &packed].concat());
            let length = (garbage.len() - 12) as i32;
            let answer = bench.append(saying(&garbage, 8, &length.to_be_bytes()));
            assert!(matches!(answer, Answer::Refused(Refusal::InvalidRecord { .. })), "{codec:?}: {answer:?}");
            assert_eq!(base(&bench.append(good)), 0, "nothing was appended");
        }
    }
}

/// What Apache Kafka refuses for the sake of its own clients, though it could be read here.
#[test]
fn a_base_offset_and_linked_lz4_blocks_are_refused() {
    let mut bench = Bench::new(TopicSettings::default());
    let good = timed(&[NOW, NOW, NOW], 60_000, Codec::Lz4).build();
    let mut moved = good.to_vec();
    set_base_offset(&mut moved, Offset(50));
    let linked = saying(&good, HEADER_BYTES + 4, &[good[HEADER_BYTES + 4] & !0x20]);
    for wrong in [moved.into(), linked] {
        let answer = bench.append(wrong);
        let Answer::Refused(Refusal::InvalidRecord { message, .. }) = &answer else { panic!("{answer:?}") };
        assert!(message.contains("is 50") || message.contains("depend on each other"), "{message}");
    }
    assert_eq!(base(&bench.append(good)), 0, "nothing was appended");
}

/// The order of arrival is that of offsets also where one batch is looked through off the turn and the next is not.
#[test]
fn a_small_batch_does_not_overtake_a_large_one() {
    let mut bench = Bench::new(TopicSettings::default());
    let first = bench.ask(append(timed(&[NOW], 60_000, Codec::Lz4).build(), Acks::All));
    let second = bench.ask(append(timed(&[NOW], 10, Codec::Lz4).build(), Acks::All));
    let third = bench.ask(append(timed(&[NOW], 10, Codec::None).build(), Acks::All));
    bench.run();
    let bases: Vec<i64> = [first, second, third].iter().map(|t| base(bench.answer(*t).unwrap())).collect();
    assert_eq!(bases, [0, 1, 2]);
}

#[test]
fn times_out_of_bounds_are_found_inside_packed_batches() {
    let late = NOW + 7_200_000;
    for codec in CODECS {
        for bytes in [10, 60_000] {
            let mut bench = Bench::new(TopicSettings::default());
            let batch = with_max_timestamp(&timed(&[NOW, late, NOW, -1], bytes, codec).build(), NOW);
            let answer = bench.append(batch);
            let Answer::Refused(Refusal::InvalidTimestamp { records, .. }) = &answer else { panic!("{answer:?}") };
            assert_eq!(records.iter().map(|record| record.0).collect::<Vec<_>>(), [1], "{codec:?}");
            assert_eq!(base(&bench.append(timed(&[NOW, -1], bytes, codec).build())), 0, "-1 is no time, {codec:?}");
        }
    }
}

#[test]
fn a_refusal_names_a_bounded_number_of_records() {
    let mut bench = Bench::new(TopicSettings::default());
    let batch = timed(&[NOW + 7_200_000; 5000], 1, Codec::Gzip).build();
    let answer = bench.append(batch);
    let Answer::Refused(Refusal::InvalidTimestamp { records, .. }) = &answer else { panic!("{answer:?}") };
    assert_eq!(records.len(), 1000);
}

#[test]
fn what_is_too_large_is_refused_before_it_is_looked_at() {
    let mut bench = Bench::new(TopicSettings { max_message_bytes: 1000, ..TopicSettings::default() });
    let mut broken = timed(&[NOW], 2000, Codec::None).build().to_vec();
    *broken.last_mut().unwrap() ^= 1;
    assert!(matches!(bench.append(broken.into()), Answer::Refused(Refusal::BatchTooLarge { max: 1000, .. })));
}

/// As Kafka: the bit is the broker's. It is cleared where records have times of their own, and refused elsewhere.
#[test]
fn a_clients_append_time_bit_is_not_taken_over() {
    let bit = |max_timestamp| {
        let mut batch = timed(&[NOW - 50, NOW - 10], 10, Codec::None).build().to_vec();
        set_append_time(&mut batch, max_timestamp);
        Bytes::from(batch)
    };
    let mut bench = Bench::new(TopicSettings::default());
    assert_eq!(base(&bench.append(bit(NOW))), 0);
    let header = header_at(&mut bench, 0);
    assert_eq!((header.timestamp_type(), header.max_timestamp), (TimestampType::CreateTime, NOW - 10));
    assert!(matches!(bench.append(bit(-1)), Answer::Refused(Refusal::InvalidTimestamp { .. })));
    let stamps = TopicSettings { timestamp_type: TimestampType::LogAppendTime, ..TopicSettings::default() };
    let mut bench = Bench::new(stamps);
    assert!(matches!(bench.append(bit(NOW)), Answer::Refused(Refusal::InvalidTimestamp { .. })));
}

#[test]
fn times_below_the_log_start_are_not_found() {
    for codec in CODECS {
        let mut bench = Bench::new(TopicSettings::default());
        bench.append(timed(&[200, 100, 100], 10, codec).build());
        bench.append(timed(&[90, 100, 180], 10, codec).build());
        bench.done(Ask::DeleteRecords { before: Some(Offset(1)) });
        assert_eq!(find(&mut bench, OffsetQuery::AtOrAfter(50)), (Some(1), 100), "{codec:?}");
        assert_eq!(find(&mut bench, OffsetQuery::AtOrAfter(150)), (Some(5), 180), "{codec:?}");
        assert_eq!(find(&mut bench, OffsetQuery::AtOrAfter(190)), (None, -1), "{codec:?}");
        assert_eq!(find(&mut bench, OffsetQuery::MaxTimestamp), (Some(5), 180), "{codec:?}");
        bench.append(timed(&[170], 10, codec).build());
        bench.done(Ask::DeleteRecords { before: Some(Offset(2)) });
        assert_eq!(find(&mut bench, OffsetQuery::AtOrAfter(95)), (Some(2), 100), "{codec:?}");
        bench.done(Ask::DeleteRecords { before: Some(Offset(7)) });
        assert_eq!(find(&mut bench, OffsetQuery::MaxTimestamp), (None, -1), "{codec:?}");
    }
}

/// A batch is bounded by what it is on the wire; what it unpacks to passes by in pieces.
#[test]
fn a_batch_may_unpack_to_more_than_a_batch_may_be() {
    let mut bench = Bench::new(TopicSettings { cleanup_compact: true, ..TopicSettings::default() });
    let mut builder = BatchBuilder::new(NOW);
    let value = vec![7; 1 << 20];
    for _ in 0..40 {
        builder.push(NOW, Some(b"k"), Some(&value), &[]);
    }
    let batch = builder.codec(Codec::Zstd, 1).build();
    assert_eq!(base(&bench.append(batch)), 0);
    assert_eq!(find(&mut bench, OffsetQuery::AtOrAfter(NOW)), (Some(0), NOW));
}
