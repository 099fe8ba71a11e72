//! What must not pass: cuts, flips, lies about counts, bombs.

use bytes::Bytes;
use heddle_model::{Codec, Offset, Sequence};
use heddle_records::*;

const PACKING: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const NONE: &[u8] = include_bytes!("../golden/none.batch");
const ZSTD: &[u8] = include_bytes!("../golden/zstd.batch");

fn with_right_crc(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn with_bytes(batch: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut changed = batch.to_vec();
    changed[at..at + bytes.len()].copy_from_slice(bytes);
    with_right_crc(changed)
}

#[test]
fn every_cut_is_refused() {
    for golden in [NONE, ZSTD] {
        for length in 0..golden.len() {
            assert_eq!(validate_shape(&golden[..length]), Err(Malformed::Truncated), "{length} bytes");
            assert!(!crc_is_right(&golden[..length]));
            if length > 0 {
                assert_eq!(batches(&golden[..length]).collect::<Vec<_>>(), [Err(Malformed::Truncated)]);
            }
            // The length made to fit: the CRC still knows.
            if length >= HEADER_BYTES {
                let mut cut = golden[..length].to_vec();
                cut[8..12].copy_from_slice(&(length as i32 - 12).to_be_bytes());
                assert!(matches!(validate_shape(&cut), Err(Malformed::Crc { .. })));
                // And if the CRC is made to fit too, the records know.
                let cut = Bytes::from(with_right_crc(cut));
                assert!(inspect(&cut, 1 << 20, |_, _| ()).is_err(), "{length} bytes");
            }
        }
        let longer = [golden, &[0]].concat();
        assert_eq!(validate_shape(&longer), Err(Malformed::Trailing));
    }
}

#[test]
fn every_flipped_bit_is_refused_but_in_the_brokers_own_fields() {
    for at in 0..NONE.len() {
        for bit in 0..8 {
            let mut flipped = NONE.to_vec();
            flipped[at] ^= 1 << bit;
            let broker_owned = at < 8 || (12..16).contains(&at);
            assert_eq!(validate_shape(&flipped).is_ok(), broker_owned, "byte {at} bit {bit}");
        }
    }
}

#[test]
fn header_lies_are_refused() {
    let refusal = |at: usize, bytes: &[u8]| validate_shape(&with_bytes(NONE, at, bytes)).unwrap_err();
    assert_eq!(refusal(16, &[1]), Malformed::Magic(1));
    assert_eq!(refusal(8, &48i32.to_be_bytes()), Malformed::Length(48));
    assert_eq!(refusal(8, &(-1i32).to_be_bytes()), Malformed::Length(-1));
    assert_eq!(refusal(8, &i32::MAX.to_be_bytes()), Malformed::Truncated);
    assert_eq!(refusal(22, &[5]), Malformed::Codec(5));
    assert_eq!(refusal(57, &2i32.to_be_bytes()), Malformed::Count { count: 2, last_offset_delta: 2 });
    assert_eq!(refusal(57, &(-1i32).to_be_bytes()), Malformed::Count { count: -1, last_offset_delta: 2 });
    let two_of_three = [1i32.to_be_bytes(), 2i32.to_be_bytes()];
    let mut lying = with_bytes(NONE, 23, &two_of_three[0]);
    lying[57..61].copy_from_slice(&two_of_three[1]);
    assert_eq!(validate_shape(&with_right_crc(lying)), Err(Malformed::Trailing));
    let four = [3i32.to_be_bytes(), 4i32.to_be_bytes()];
    let mut lying = with_bytes(NONE, 23, &four[0]);
    lying[57..61].copy_from_slice(&four[1]);
    assert_eq!(validate_shape(&with_right_crc(lying)), Err(Malformed::Truncated));
    // Nothing at all in it.
    let empty = with_right_crc([&NONE[..8], &49i32.to_be_bytes(), &NONE[12..57], &[0; 4]].concat());
    assert_eq!(validate_shape(&empty), Err(Malformed::Count { count: 0, last_offset_delta: 2 }));
}

#[test]
fn offset_deltas_must_run_from_zero() {
    // The first record: length at 61, attributes 62, timestamp delta 63, offset delta 64.
    assert_eq!(NONE[64], 0);
    let skipping = with_bytes(NONE, 64, &[2]);
    assert_eq!(validate_shape(&skipping), Err(Malformed::OffsetDelta { expected: 0, found: 1 }));
}

#[test]
fn inner_lengths_must_fit() {
    // Key length of the first record at 65: 2 as zigzag 4.
    assert_eq!(NONE[65], 4);
    for lie in [2u8, 6, 0x7e] {
        assert_eq!(validate_shape(&with_bytes(NONE, 65, &[lie])), Err(Malformed::Record), "{lie}");
    }
}

#[test]
fn sequences_wrap_and_none_stays_none() {
    let mut header = Header::read(NONE).unwrap();
    header.base_sequence = Sequence(i32::MAX);
    assert_eq!(header.last_sequence(), Sequence(1));
    header.base_sequence = Sequence(-1);
    assert_eq!(header.last_sequence(), Sequence(-1));
}

#[test]
fn bombs_stop_at_the_limit() {
    let zeros = vec![0; 32 << 20];
    for codec in PACKING {
        let bomb = compress(&zeros, codec, -1);
        assert!(bomb.len() < 2 << 20, "{codec:?} packs to {}", bomb.len());
        assert_eq!(decompress(&bomb, codec, 1 << 20), Err(PayloadError::TooLarge { limit: 1 << 20 }));
    }
}

#[test]
fn the_limit_is_exact() {
    let unpacked: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    for codec in PACKING {
        let packed = compress(&unpacked, codec, -1);
        for limit in [0, 1, unpacked.len() - 1] {
            assert_eq!(decompress(&packed, codec, limit), Err(PayloadError::TooLarge { limit }), "{codec:?}");
        }
        for limit in [unpacked.len(), unpacked.len() + 1] {
            assert_eq!(decompress(&packed, codec, limit).as_ref(), Ok(&unpacked), "{codec:?}");
        }
        assert_eq!(decompress(&packed, codec, usize::MAX).as_ref(), Ok(&unpacked), "{codec:?}");
    }
}

#[test]
fn cut_and_false_packings_are_refused() {
    let unpacked: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    for codec in PACKING {
        let packed = compress(&unpacked, codec, -1);
        for length in [1, 3, 7, 15, 17, 40, packed.len() / 2, packed.len() - 1] {
            let cut = decompress(&packed[..length], codec, 1 << 20);
            assert!(cut.is_err(), "{codec:?} cut to {length} gives {:?}", cut.map(|cut| cut.len()));
        }
        assert!(decompress(b"this is not packed by anything", codec, 1 << 20).is_err(), "{codec:?}");
    }
}

#[test]
fn false_lengths_take_no_memory() {
    // Raw snappy that claims 4 GiB - 1, framed snappy whose block claims 2 GiB - 1.
    assert!(decompress(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0], Codec::Snappy, usize::MAX).is_err());
    let mut framed = compress(b"x", Codec::Snappy, 0);
    framed[16..20].copy_from_slice(&i32::MAX.to_be_bytes());
    assert!(decompress(&framed, Codec::Snappy, usize::MAX).is_err());
    // Headers: a record that claims 2^31-1 of them.
    let record = [&[0x18, 0, 0, 0, 1, 1][..], &[0xfe, 0xff, 0xff, 0xff, 0x0f], &[0; 2]].concat();
    assert_eq!(records(&record, 1).next(), Some(Err(Malformed::Record)));
}

/// The header's lies about packed records, which only a walk finds out: what a client sends is looked through in full.
#[test]
fn packed_records_are_looked_through() {
    for codec in PACKING {
        let mut builder = BatchBuilder::new(1000);
        for (timestamp, value) in [(1200, &b"a"[..]), (1100, b"b"), (1100, &[7; 200_000])] {
            builder.push(timestamp, None, Some(value), &[]);
        }
        let good = builder.codec(codec, -1).build();
        let mut seen = Vec::new();
        let largest = inspect(&good, 1 << 20, |record, timestamp| seen.push((record.offset_delta, timestamp)));
        assert_eq!((largest, seen), (Ok(1200), vec![(0, 1200), (1, 1100), (2, 1100)]), "{codec:?}");
        assert_eq!(inspect(&good, 200_000, |_, _| ()), Err(PayloadError::TooLarge { limit: 200_000 }), "{codec:?}");
        for (count, refused) in
            [(2i32, Malformed::Trailing), (4, Malformed::Truncated), (i32::MAX, Malformed::Truncated)]
        {
            let lying = with_bytes(&with_bytes(&good, 23, &(count - 1).to_be_bytes()), 57, &count.to_be_bytes());
            assert!(validate_header(&lying).is_ok());
            assert_eq!(inspect(&lying.into(), 1 << 20, |_, _| ()), Err(refused.into()), "{codec:?}");
        }
        let garbage = with_right_crc([&good[..8], &53i32.to_be_bytes(), &good[12..61], b"xxxx"].concat());
        assert!(validate_header(&garbage).is_ok());
        assert!(inspect(&garbage.into(), 1 << 20, |_, _| ()).is_err(), "{codec:?}");
        // Records that say of themselves that they are longer than anything.
        let huge = with_packed(&good, &compress(&[0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0], codec, -1));
        assert!(matches!(inspect(&huge, 1 << 20, |_, _| ()), Err(PayloadError::TooLarge { .. })), "{codec:?}");
        let skipping = with_packed(&good, &compress(&[12, 0, 0, 2, 1, 1, 0], codec, -1));
        let expected = Err(Malformed::OffsetDelta { expected: 0, found: 1 }.into());
        assert_eq!(inspect(&skipping, 1 << 20, |_, _| ()), expected, "{codec:?}");
        // Three records that all call themselves the first.
        let same = with_packed(
            &good,
            &compress(&[12, 0, 2, 0, 1, 1, 0, 12, 0, 4, 0, 1, 1, 0, 12, 0, 6, 0, 1, 1, 0], codec, -1),
        );
        let numbered = renumber(&same, 1 << 20).expect("whole records");
        let mut seen = Vec::new();
        inspect(&numbered, 1 << 20, |record, _| seen.push((record.offset_delta, record.timestamp_delta)))
            .expect("numbered");
        assert_eq!(seen, [(0, 1), (1, 2), (2, 3)], "{codec:?}");
        assert!(validate_shape(&numbered).is_ok());
        assert!(renumber(&skipping, 1 << 20).is_err(), "{codec:?}: one record where three are said to be");
    }
}

/// The batch's header before other packed bytes.
fn with_packed(batch: &[u8], packed: &[u8]) -> Bytes {
    let length = (HEADER_BYTES - 12 + packed.len()) as i32;
    with_right_crc([&batch[..8], &length.to_be_bytes(), &batch[12..HEADER_BYTES], packed].concat()).into()
}

/// More than anybody wants to hold passes by in pieces.
#[test]
fn large_payloads_are_seen_though_never_held() {
    let value = vec![5u8; 1 << 20];
    for codec in PACKING {
        let mut builder = BatchBuilder::new(1000);
        for _ in 0..48 {
            builder.push(1000, Some(b"k"), Some(&value), &[]);
        }
        let batch = builder.codec(codec, 1).build();
        assert!(payload(&batch, 32 << 20).is_err(), "{codec:?}");
        let mut seen = 0;
        assert_eq!(inspect(&batch, 64 << 20, |record, _| seen += record.value.map_or(0, <[u8]>::len)), Ok(1000));
        assert_eq!(seen, 48 << 20, "{codec:?}");
        assert_eq!(find_timestamp(&batch, 1000, Offset(47), 64 << 20), Ok(Some((Offset(47), 1000))), "{codec:?}");
    }
}

#[test]
fn a_search_by_time_begins_where_it_is_told() {
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut builder = BatchBuilder::new(100);
        for timestamp in [200, 100, 150, 150] {
            builder.push(timestamp, None, Some(b"v"), &[]);
        }
        let mut batch = builder.codec(codec, -1).build().to_vec();
        set_base_offset(&mut batch, Offset(10));
        let plain = Bytes::from(batch.clone());
        let find = |time, start| find_timestamp(&plain, time, Offset(start), 1 << 20).unwrap().map(|it| (it.0.0, it.1));
        let largest = |start| max_timestamp_record(&plain, Offset(start), 1 << 20).unwrap().map(|it| (it.0.0, it.1));
        assert_eq!((find(120, 0), find(120, 11), find(120, 13)), (Some((10, 200)), Some((12, 150)), Some((13, 150))));
        assert_eq!((find(160, 11), find(120, 14), find(201, 0)), (None, None, None));
        assert_eq!(
            (largest(0), largest(11), largest(13), largest(14)),
            (Some((10, 200)), Some((12, 150)), Some((13, 150)), None)
        );
        set_append_time(&mut batch, 500);
        let stamped = Bytes::from(batch);
        let find = |start| find_timestamp(&stamped, 400, Offset(start), 1 << 20).unwrap();
        assert_eq!((find(0), find(12), find(14)), (Some((Offset(10), 500)), Some((Offset(12), 500)), None));
        assert_eq!(max_timestamp_record(&stamped, Offset(12), 1 << 20).unwrap(), Some((Offset(12), 500)));
    }
}
