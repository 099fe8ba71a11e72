//! Batches written by the Java client 4.1.0 (`golden/Golden.java`), read by us, and ours against its bytes.

use bytes::Bytes;
use heddle_model::{Codec, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampType};
use heddle_records::*;

const LIMIT: usize = 1 << 20;
const TIME: i64 = 1_700_000_000_000;
const PRODUCER: ProducerId = ProducerId(4711);
const EPOCH: ProducerEpoch = ProducerEpoch(3);

const SMALL: [(Codec, &[u8]); 5] = [
    (Codec::None, include_bytes!("../golden/none.batch")),
    (Codec::Gzip, include_bytes!("../golden/gzip.batch")),
    (Codec::Snappy, include_bytes!("../golden/snappy.batch")),
    (Codec::Lz4, include_bytes!("../golden/lz4.batch")),
    (Codec::Zstd, include_bytes!("../golden/zstd.batch")),
];

/// 2,000 records, several blocks of every codec.
const LARGE: [(Codec, &[u8]); 4] = [
    (Codec::Gzip, include_bytes!("../golden/gzip_2000.batch")),
    (Codec::Snappy, include_bytes!("../golden/snappy_2000.batch")),
    (Codec::Lz4, include_bytes!("../golden/lz4_2000.batch")),
    (Codec::Zstd, include_bytes!("../golden/zstd_2000.batch")),
];

fn small() -> BatchBuilder {
    let mut builder = BatchBuilder::new(TIME);
    builder
        .producer(PRODUCER, EPOCH, Sequence(17))
        .push(TIME, Some(b"k0"), Some(b"first value"), &[])
        .push(TIME + 250, None, Some(b"no key"), &[("h1", Some(b"x")), ("h2", None)])
        .push(TIME + 100, Some(b"k2"), None, &[]);
    builder
}

#[test]
fn our_unpacked_batch_is_javas_byte_for_byte() {
    assert_eq!(small().build(), SMALL[0].1);
}

#[test]
fn our_markers_are_javas_byte_for_byte() {
    for (commit, golden) in
        [(true, include_bytes!("../golden/commit.batch")), (false, include_bytes!("../golden/abort.batch"))]
    {
        let ours = marker(PRODUCER, EPOCH, commit, 9, TIME);
        assert_eq!(ours, &golden[..]);
        let expected = Marker { producer: PRODUCER, epoch: EPOCH, commit, coordinator_epoch: 9 };
        assert_eq!(marker_kind(golden), Some(expected));
        let header = validate_shape(golden).unwrap();
        assert!(header.is_control() && header.is_transactional());
    }
    assert_eq!(marker_kind(SMALL[0].1), None);
}

#[test]
fn header_fields() {
    for (codec, golden) in SMALL {
        let header = validate_shape(golden).unwrap();
        assert_eq!(header.codec(), Some(codec));
        assert_eq!(header.total_bytes(), golden.len());
        assert_eq!((header.base_offset, header.last_offset(), header.next_offset()), (Offset(0), Offset(2), Offset(3)));
        assert_eq!((header.count, header.last_offset_delta), (3, 2));
        assert_eq!((header.base_timestamp, header.max_timestamp), (TIME, TIME + 250));
        assert_eq!((header.producer_id, header.producer_epoch), (PRODUCER, EPOCH));
        assert_eq!((header.base_sequence, header.last_sequence()), (Sequence(17), Sequence(19)));
        assert_eq!((header.leader_epoch, header.timestamp_type()), (LeaderEpoch::NONE, TimestampType::CreateTime));
        assert!(header.has_producer() && !header.is_control() && !header.is_transactional());
    }
}

#[test]
fn records_of_every_codec() {
    for (codec, golden) in SMALL {
        let batch = Bytes::from_static(golden);
        inspect(&batch, LIMIT, |_, _| ()).unwrap();
        let payload = payload(&batch, LIMIT).unwrap();
        let found: Vec<_> = records(&payload, 3).collect::<Result<_, _>>().unwrap();
        assert_eq!(found[0].key, Some(&b"k0"[..]), "{codec:?}");
        assert_eq!(found[0].value, Some(&b"first value"[..]));
        assert_eq!((found[1].offset_delta, found[1].timestamp_delta), (1, 250));
        assert_eq!((found[1].key, found[1].value), (None, Some(&b"no key"[..])));
        let headers: Vec<_> = found[1].headers.collect();
        assert_eq!(headers, [(&b"h1"[..], Some(&b"x"[..])), (&b"h2"[..], None)]);
        assert_eq!((found[2].key, found[2].value), (Some(&b"k2"[..]), None));
        assert_eq!(found.len(), 3);
    }
}

#[test]
fn large_batches_of_every_codec() {
    for (codec, golden) in LARGE {
        let batch = Bytes::from_static(golden);
        assert_eq!(validate_shape(golden).unwrap().codec(), Some(codec));
        inspect(&batch, LIMIT, |_, _| ()).unwrap();
        let payload = payload(&batch, LIMIT).unwrap();
        for (record, i) in records(&payload, 2000).zip(0i64..) {
            let record = record.unwrap();
            assert_eq!((i64::from(record.offset_delta), record.timestamp_delta), (i, i));
            assert_eq!(record.key, Some(format!("key-{}", i % 7).as_bytes()));
        }
    }
}

#[test]
fn timestamps_are_found_in_every_codec() {
    for (_, golden) in SMALL {
        let mut stamped = golden.to_vec();
        set_base_offset(&mut stamped, Offset(1000));
        let batch = Bytes::from(stamped);
        let find = |at_or_after| find_timestamp(&batch, at_or_after, Offset(0), LIMIT).unwrap();
        assert_eq!(find(0), Some((Offset(1000), TIME)));
        assert_eq!(find(TIME), Some((Offset(1000), TIME)));
        assert_eq!(find(TIME + 1), Some((Offset(1001), TIME + 250)));
        assert_eq!(find(TIME + 250), Some((Offset(1001), TIME + 250)));
        assert_eq!(find(TIME + 251), None);
        assert_eq!(max_timestamp_record(&batch, Offset(0), LIMIT).unwrap(), Some((Offset(1001), TIME + 250)));

        let mut lying = batch.to_vec();
        lying[35..43].copy_from_slice(&(TIME + 9999).to_be_bytes());
        let lying = Bytes::from(lying);
        assert_eq!(max_timestamp_record(&lying, Offset(0), LIMIT).unwrap(), Some((Offset(1001), TIME + 250)));
        assert_eq!(find_timestamp(&lying, TIME + 251, Offset(0), LIMIT).unwrap(), None);

        let mut appended = batch.to_vec();
        set_append_time(&mut appended, TIME + 5000);
        let batch = Bytes::from(appended);
        assert!(crc_is_right(&batch));
        assert_eq!(Header::read(&batch).unwrap().timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(find_timestamp(&batch, TIME + 5000, Offset(0), LIMIT).unwrap(), Some((Offset(1000), TIME + 5000)));
        assert_eq!(find_timestamp(&batch, TIME + 5001, Offset(0), LIMIT).unwrap(), None);
        assert_eq!(max_timestamp_record(&batch, Offset(0), LIMIT).unwrap(), Some((Offset(1000), TIME + 5000)));
    }
}

#[test]
fn raw_snappy_and_several_gzip_members_are_read() {
    let unpacked = payload(&Bytes::from_static(SMALL[0].1), LIMIT).unwrap();
    let raw = snap::raw::Encoder::new().compress_vec(&unpacked).unwrap();
    assert_eq!(decompress(&raw, Codec::Snappy, LIMIT).unwrap(), unpacked);
    let (front, back) = unpacked.split_at(20);
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Zstd] {
        let two = [compress(front, codec, -1), compress(back, codec, -1)].concat();
        assert_eq!(decompress(&two, codec, LIMIT).unwrap(), unpacked, "{codec:?}");
    }
}

#[test]
fn recoding_keeps_the_records_and_the_header() {
    for (from, golden) in SMALL {
        for to in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let recoded = recode(&Bytes::from_static(golden), to, -1, LIMIT).unwrap();
            let header = validate_shape(&recoded).unwrap();
            assert_eq!(header.codec(), Some(to), "from {from:?}");
            assert_eq!(recode(&recoded, Codec::None, 0, LIMIT).unwrap(), SMALL[0].1);
        }
    }
}
