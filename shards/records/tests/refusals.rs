//! What must not pass: cuts, flips, lies about counts, bombs.

use bytes::Bytes;
use heddle_model::{Codec, Sequence};
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
                assert!(validate_payload(&cut, 1 << 20).is_err(), "{length} bytes");
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
