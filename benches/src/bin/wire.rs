//! The Kafka wire: decoding a Produce request (guard included) and encoding a Fetch response, beside the crate that
//! knows all APIs and copies records.
//!
//! `cargo run --release -p heddle-benches --bin wire`

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use hdrhistogram::Histogram;
use heddle_model::TopicId;
use heddle_protocol::{ErrorCode, FetchPartition, FetchResponse, FetchTopic, decode_request, encode_fetch};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

const TIME_PER_LINE: Duration = Duration::from_millis(300);
const PRODUCE: i16 = 0;
const PRODUCE_VERSION: i16 = 12;
const FETCH_VERSION: i16 = 12;

fn main() {
    println!("{:<44} {:>10} {:>10}", "what", "p50 ns", "p99 ns");
    for (partitions, bytes) in [(1, 1_000), (1, 1 << 20), (100, 1_000)] {
        let body = produce(partitions, bytes);
        let name = format!("{partitions} x {bytes} B");
        measure(&format!("decode Produce, guarded, {name}"), || {
            assert!(decode_request(PRODUCE, PRODUCE_VERSION, black_box(body.clone())).is_ok());
        });
        measure(&format!("decode Produce, the crate alone, {name}"), || {
            assert!(ProduceRequest::decode(&mut black_box(body.clone()), PRODUCE_VERSION).is_ok());
        });
        let (ours, theirs) = fetch(partitions, bytes);
        measure(&format!("encode Fetch, scatter-gather, {name}"), || {
            black_box(encode_fetch(FETCH_VERSION, 7, black_box(&ours)));
        });
        measure(&format!("encode Fetch, the crate alone, {name}"), || {
            let mut out = BytesMut::new();
            theirs.encode(&mut out, FETCH_VERSION).expect("it encodes");
            black_box(out);
        });
    }
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str("orders"))
}

fn produce(partitions: i32, bytes: usize) -> Bytes {
    let data =
        |index| PartitionProduceData::default().with_index(index).with_records(Some(Bytes::from(vec![b'x'; bytes])));
    let topic = TopicProduceData::default().with_name(topic()).with_partition_data((0..partitions).map(data).collect());
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    let mut out = BytesMut::new();
    request.encode(&mut out, PRODUCE_VERSION).expect("it encodes");
    out.freeze()
}

fn fetch(partitions: i32, bytes: usize) -> (FetchResponse, kafka_protocol::messages::FetchResponse) {
    let records = Bytes::from(vec![b'x'; bytes]);
    let ours =
        |index| FetchPartition { records: vec![records.clone()], high_watermark: 9, ..FetchPartition::empty(index) };
    let theirs = |index| {
        PartitionData::default().with_partition_index(index).with_high_watermark(9).with_records(Some(records.clone()))
    };
    let ours = FetchResponse {
        error: ErrorCode::None,
        topics: vec![FetchTopic {
            name: StrBytes::from_static_str("orders"),
            id: TopicId::NONE,
            partitions: (0..partitions).map(ours).collect(),
        }],
        ..FetchResponse::default()
    };
    let theirs = kafka_protocol::messages::FetchResponse::default().with_responses(vec![
        FetchableTopicResponse::default().with_topic(topic()).with_partitions((0..partitions).map(theirs).collect()),
    ]);
    (ours, theirs)
}

fn measure(what: &str, mut act: impl FnMut()) {
    let mut times: Histogram<u64> = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("sound bounds");
    let end = Instant::now() + TIME_PER_LINE;
    // The first calls warm caches and allocator.
    (0..100).for_each(|_| act());
    while Instant::now() < end {
        let begun = Instant::now();
        act();
        times.saturating_record(begun.elapsed().as_nanos() as u64);
    }
    println!("{what:<44} {:>10} {:>10}", times.value_at_quantile(0.5), times.value_at_quantile(0.99));
}
