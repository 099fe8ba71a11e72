//! Whatever is built is read back; whatever is read, however broken, is answered without panic or excess.

use bytes::Bytes;
use heddle_model::{Codec, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampType};
use heddle_records::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

const LIMIT: usize = 1 << 20;
const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

type Bytestring = Vec<u8>;

#[derive(Clone, Debug)]
struct Sample {
    timestamp: i64,
    key: Option<Bytestring>,
    value: Option<Bytestring>,
    headers: Vec<(String, Option<Bytestring>)>,
}

prop_compose! {
    fn sample()(
        timestamp in any::<i64>(),
        key in of(vec(any::<u8>(), 0..80)),
        value in of(vec(0u8..4, 0..400)),
        headers in vec(("[a-z]{0,9}", of(vec(any::<u8>(), 0..9))), 0..4),
    ) -> Sample {
        Sample { timestamp, key, value, headers }
    }
}

fn codec() -> impl Strategy<Value = Codec> {
    (0..CODECS.len()).prop_map(|at| CODECS[at])
}

fn build(samples: &[Sample], base: i64, codec: Codec, level: i32) -> Bytes {
    let mut builder = BatchBuilder::new(base);
    for sample in samples {
        let headers: Vec<_> = sample.headers.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        builder.push(sample.timestamp, sample.key.as_deref(), sample.value.as_deref(), &headers);
    }
    builder.producer(ProducerId(7), ProducerEpoch(1), Sequence(i32::MAX - 1)).codec(codec, level).build()
}

fn assert_holds(batch: &Bytes, samples: &[Sample]) {
    let header = validate_shape(batch).unwrap();
    let largest = samples.iter().map(|sample| sample.timestamp).max();
    assert_eq!(inspect(batch, LIMIT, |_, _| ()).ok(), largest);
    let payload = payload(batch, LIMIT).unwrap();
    let found: Vec<_> = records(&payload, header.count).collect::<Result<_, _>>().unwrap();
    assert_eq!(found.len(), samples.len());
    for (record, sample) in found.iter().zip(samples) {
        assert_eq!(header.timestamp_of(record.timestamp_delta), sample.timestamp);
        assert_eq!(record.key, sample.key.as_deref());
        assert_eq!(record.value, sample.value.as_deref());
        let headers: Vec<_> = sample.headers.iter().map(|(key, value)| (key.as_bytes(), value.as_deref())).collect();
        assert_eq!(record.headers.count(), headers.len());
        assert_eq!(record.headers.collect::<Vec<_>>(), headers);
    }
}

/// Calls every reader; only that each returns matters.
fn read_all_ways(bytes: &[u8]) {
    let batch = Bytes::copy_from_slice(bytes);
    let _ = (Header::read(bytes), crc_is_right(bytes), validate_shape(bytes), marker_kind(bytes));
    for walked in batches(bytes).take(bytes.len() + 1) {
        let Ok((header, _)) = walked else { break };
        let _ = (header.last_offset(), header.next_offset(), header.last_sequence(), header.timestamp_of(i64::MAX));
    }
    let _ = (inspect(&batch, LIMIT, |_, _| ()), find_timestamp(&batch, 5, Offset(3), LIMIT));
    let _ = max_timestamp_record(&batch, Offset(3), LIMIT);
    let _ = (
        recode(&batch, Codec::Gzip, 1, LIMIT),
        retain(&batch, 1, LIMIT, |all| all.iter().map(|record| record.key.is_some()).collect()),
    );
    for count in [-1, 0, 1, i32::MAX] {
        assert!(records(bytes, count).count() <= bytes.len() + 1);
    }
    for codec in CODECS {
        assert!(decompress(bytes, codec, LIMIT).is_ok_and(|out| out.len() <= LIMIT) || bytes.len() < LIMIT);
    }
}

/// Makes the CRC right again, so that a broken batch gets past it.
fn with_right_crc(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() >= HEADER_BYTES {
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn built_is_read_back(samples in vec(sample(), 1..20), base: i64, codec in codec(), level in -10i32..25) {
        assert_holds(&build(&samples, base, codec, level), &samples);
    }

    #[test]
    fn recoded_is_read_back(samples in vec(sample(), 1..20), from in codec(), to in codec()) {
        assert_holds(&recode(&build(&samples, 0, from, 1), to, 1, LIMIT).unwrap(), &samples);
    }

    #[test]
    fn stamping_keeps_the_crc(samples in vec(sample(), 1..5), codec in codec(), offset: i64, epoch: i32, ms: i64) {
        let mut batch = build(&samples, 0, codec, 1).to_vec();
        set_base_offset(&mut batch, Offset(offset));
        set_leader_epoch(&mut batch, LeaderEpoch(epoch));
        prop_assert!(crc_is_right(&batch));
        set_append_time(&mut batch, ms);
        let header = validate_shape(&batch).unwrap();
        prop_assert_eq!((header.base_offset, header.leader_epoch, header.max_timestamp), (Offset(offset), LeaderEpoch(epoch), ms));
        prop_assert_eq!(header.codec(), Some(codec));
        set_create_time(&mut batch, ms / 2);
        let header = validate_shape(&batch).unwrap();
        prop_assert_eq!((header.timestamp_type(), header.max_timestamp), (TimestampType::CreateTime, ms / 2));
        prop_assert_eq!(header.codec(), Some(codec));
    }

    #[test]
    fn walking_gives_each_batch(all in vec((vec(sample(), 1..4), codec()), 0..5)) {
        let built: Vec<_> = all.iter().map(|(samples, codec)| build(samples, 0, *codec, 1)).collect();
        let joined = built.concat();
        let walked: Vec<_> = batches(&joined).map(|walked| walked.unwrap().1.to_vec()).collect();
        prop_assert_eq!(walked, built);
    }

    #[test]
    fn retained_records_stay_where_they_are(samples in vec(sample(), 1..20), codec in codec(), mask: u32) {
        let batch = build(&samples, 0, codec, 1);
        let kept = |delta: i32| mask & 1 << delta != 0;
        let rest = retain(&batch, 1, LIMIT, |all| all.iter().map(|record| kept(record.offset_delta)).collect()).unwrap();
        prop_assert!(crc_is_right(&rest));
        let (before, after) = (Header::read(&batch).unwrap(), Header::read(&rest).unwrap());
        prop_assert_eq!(before.last_offset(), after.last_offset());
        prop_assert_eq!(before.last_sequence(), after.last_sequence());
        let payload = payload(&rest, LIMIT).unwrap();
        let mut found = records(&payload, after.count).map(|record| record.unwrap());
        let expected = samples.iter().zip(0..).filter(|(_, delta)| kept(*delta));
        let mut newest = None;
        for (sample, delta) in expected {
            let record = found.next().unwrap();
            prop_assert_eq!((record.offset_delta, record.key), (delta, sample.key.as_deref()));
            newest = newest.max(Some(sample.timestamp));
        }
        prop_assert!(found.next().is_none());
        prop_assert_eq!(after.max_timestamp, newest.unwrap_or(before.max_timestamp));
    }

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..300)) {
        read_all_ways(&bytes);
    }

    #[test]
    fn broken_batches_with_right_crc_are_survived(
        samples in vec(sample(), 1..6),
        codec in codec(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = build(&samples, 0, codec, 1).to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read_all_ways(&with_right_crc(bytes));
    }
}
