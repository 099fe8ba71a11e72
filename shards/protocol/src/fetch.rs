//! FetchResponse, versions 4 to 18, encoded by hand: record data is not copied, it travels as parts of its own.
//!
//! ```text
//! response   throttle i32 | v7+: error i16, session i32 | [topic] | v12+: tags (v16+ 0: endpoints)
//! topic      v4-12: name | v13+: id u128 | [partition] | v12+: no tags
//! partition  index i32 | error i16 | high watermark i64 | last stable i64 | v5+: log start i64
//!            [aborted: producer i64, first offset i64 (v12+: no tags)], nullable
//!            v11+: preferred replica i32 | records: length, bytes | v12+: tags 0 diverging, 1 current leader
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use heddle_model::TopicId;
use kafka_protocol::protocol::StrBytes;

use crate::error_code::ErrorCode;

/// Record data up to this size is copied beside the fields around it: a part of its own costs more. Bytes.
const COPY_BYTES_MAX: usize = 512;

#[derive(Clone, Debug, Default)]
pub struct FetchResponse {
    pub throttle_ms: i32,
    pub error: ErrorCode,
    pub session_id: i32,
    pub topics: Vec<FetchTopic>,
    /// Addresses of the leaders named in partitions (KIP-951); left out below version 16.
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, Default)]
pub struct FetchTopic {
    /// Used below version 13.
    pub name: StrBytes,
    /// Used from version 13.
    pub id: TopicId,
    pub partitions: Vec<FetchPartition>,
}

#[derive(Clone, Debug)]
pub struct FetchPartition {
    pub index: i32,
    pub error: ErrorCode,
    pub high_watermark: i64,
    pub last_stable: i64,
    pub log_start: i64,
    /// Producer id and first offset; `None` (null) unless the reader asked for committed records only.
    pub aborted: Option<Vec<(i64, i64)>>,
    pub preferred_read_replica: i32,
    pub records: Vec<Bytes>,
    /// Epoch and its end offset; left out below version 12.
    pub diverging: Option<(i32, i64)>,
    /// Leader id and epoch; left out below version 12.
    pub current_leader: Option<(i32, i32)>,
}

impl FetchPartition {
    /// A partition without data: nothing known, nothing wrong.
    pub fn empty(index: i32) -> FetchPartition {
        FetchPartition {
            index,
            error: ErrorCode::None,
            high_watermark: -1,
            last_stable: -1,
            log_start: -1,
            aborted: None,
            preferred_read_replica: -1,
            records: Vec::new(),
            diverging: None,
            current_leader: None,
        }
    }

    pub fn record_bytes(&self) -> usize {
        self.records.iter().map(Bytes::len).sum()
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Endpoint {
    pub node: i32,
    pub host: StrBytes,
    pub port: i32,
    pub rack: Option<StrBytes>,
}

/// Encode with size prefix and header. The parts in order are the frame; large record slices are parts as they are.
pub fn encode_fetch(version: i16, correlation_id: i32, response: &FetchResponse) -> Vec<Bytes> {
    let mut encoder = Encoder { version, out: BytesMut::with_capacity(256), slices: Vec::new(), sliced_bytes: 0 };
    encoder.response(correlation_id, response);
    encoder.finish()
}

struct Encoder {
    version: i16,
    /// Everything but the record data that travels in parts of its own.
    out: BytesMut,
    /// Record data, and the position in `out` before which it goes.
    slices: Vec<(usize, Bytes)>,
    sliced_bytes: usize,
}

impl Encoder {
    fn flexible(&self) -> bool {
        self.version >= 12
    }

    fn response(&mut self, correlation_id: i32, response: &FetchResponse) {
        self.out.put_i32(0);
        self.out.put_i32(correlation_id);
        if self.flexible() {
            self.out.put_u8(0);
        }
        self.out.put_i32(response.throttle_ms);
        if self.version >= 7 {
            self.out.put_i16(response.error.code());
            self.out.put_i32(response.session_id);
        }
        self.count(response.topics.len());
        for topic in &response.topics {
            self.topic(topic);
        }
        if self.flexible() {
            self.endpoints(&response.endpoints);
        }
    }

    fn topic(&mut self, topic: &FetchTopic) {
        if self.version >= 13 {
            self.out.put_u128(topic.id.0);
        } else {
            self.text(&topic.name);
        }
        self.count(topic.partitions.len());
        for partition in &topic.partitions {
            self.partition(partition);
        }
        self.no_tags();
    }

    fn partition(&mut self, partition: &FetchPartition) {
        self.out.put_i32(partition.index);
        self.out.put_i16(partition.error.code());
        self.out.put_i64(partition.high_watermark);
        self.out.put_i64(partition.last_stable);
        if self.version >= 5 {
            self.out.put_i64(partition.log_start);
        }
        self.aborted(partition.aborted.as_deref());
        if self.version >= 11 {
            self.out.put_i32(partition.preferred_read_replica);
        }
        self.records(&partition.records);
        if self.flexible() {
            self.partition_tags(partition);
        }
    }

    fn aborted(&mut self, aborted: Option<&[(i64, i64)]>) {
        let Some(aborted) = aborted else {
            if self.flexible() {
                self.out.put_u8(0)
            } else {
                self.out.put_i32(-1)
            }
            return;
        };
        self.count(aborted.len());
        for (producer, first) in aborted {
            self.out.put_i64(*producer);
            self.out.put_i64(*first);
            self.no_tags();
        }
    }

    fn records(&mut self, parts: &[Bytes]) {
        let bytes = parts.iter().map(Bytes::len).sum::<usize>();
        if self.flexible() {
            self.varint(bytes + 1)
        } else {
            self.out.put_i32(bytes as i32)
        }
        if bytes <= COPY_BYTES_MAX {
            parts.iter().for_each(|part| self.out.put_slice(part));
            return;
        }
        for part in parts.iter().filter(|part| !part.is_empty()) {
            self.slices.push((self.out.len(), part.clone()));
        }
        self.sliced_bytes += bytes;
    }

    fn partition_tags(&mut self, partition: &FetchPartition) {
        self.varint(usize::from(partition.diverging.is_some()) + usize::from(partition.current_leader.is_some()));
        if let Some((epoch, end)) = partition.diverging {
            self.out.put_slice(&[0, 13]);
            self.out.put_i32(epoch);
            self.out.put_i64(end);
            self.out.put_u8(0);
        }
        if let Some((leader, epoch)) = partition.current_leader {
            self.out.put_slice(&[1, 9]);
            self.out.put_i32(leader);
            self.out.put_i32(epoch);
            self.out.put_u8(0);
        }
    }

    fn endpoints(&mut self, endpoints: &[Endpoint]) {
        if self.version < 16 || endpoints.is_empty() {
            return self.out.put_u8(0);
        }
        let mut inner = Encoder { version: self.version, out: BytesMut::new(), slices: Vec::new(), sliced_bytes: 0 };
        inner.count(endpoints.len());
        for endpoint in endpoints {
            inner.out.put_i32(endpoint.node);
            inner.text(&endpoint.host);
            inner.out.put_i32(endpoint.port);
            match &endpoint.rack {
                Some(rack) => inner.text(rack),
                None => inner.out.put_u8(0),
            }
            inner.no_tags();
        }
        self.out.put_slice(&[1, 0]);
        self.varint(inner.out.len());
        self.out.put_slice(&inner.out);
    }

    fn count(&mut self, count: usize) {
        if self.flexible() { self.varint(count + 1) } else { self.out.put_i32(count as i32) }
    }

    fn text(&mut self, text: &str) {
        if self.flexible() {
            self.varint(text.len() + 1)
        } else {
            self.out.put_i16(text.len() as i16)
        }
        self.out.put_slice(text.as_bytes());
    }

    fn no_tags(&mut self) {
        if self.flexible() {
            self.out.put_u8(0);
        }
    }

    fn varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.out.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.put_u8(value as u8);
    }

    fn finish(mut self) -> Vec<Bytes> {
        let size = self.out.len() - 4 + self.sliced_bytes;
        let size = i32::try_from(size).expect("a fetch answer is bounded by FETCH_BYTES_MAX and one batch");
        self.out[..4].copy_from_slice(&size.to_be_bytes());
        let fields = self.out.freeze();
        let mut parts = Vec::with_capacity(2 * self.slices.len() + 1);
        let mut from = 0;
        for (at, slice) in self.slices {
            if at > from {
                parts.push(fields.slice(from..at));
                from = at;
            }
            parts.push(slice);
        }
        if from < fields.len() {
            parts.push(fields.slice(from..));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::fetch_response::{
        AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
    };
    use kafka_protocol::messages::{self, BrokerId, TopicName};
    use proptest::prelude::*;

    use super::*;
    use crate::{encode_response, uuid_of};

    /// The same answer as the crate's struct, for a version.
    fn theirs(version: i16, response: &FetchResponse) -> messages::FetchResponse {
        let partition = |p: &FetchPartition| {
            let mut out = PartitionData::default()
                .with_partition_index(p.index)
                .with_error_code(p.error.code())
                .with_high_watermark(p.high_watermark)
                .with_last_stable_offset(p.last_stable)
                .with_log_start_offset(p.log_start)
                .with_aborted_transactions(p.aborted.as_ref().map(|all| {
                    all.iter()
                        .map(|(id, first)| {
                            AbortedTransaction::default().with_producer_id((*id).into()).with_first_offset(*first)
                        })
                        .collect()
                }))
                .with_records(Some(Bytes::from(p.records.concat())));
            if version >= 11 {
                out = out.with_preferred_read_replica(BrokerId(p.preferred_read_replica));
            }
            if let (Some((epoch, end)), true) = (p.diverging, version >= 12) {
                out = out.with_diverging_epoch(EpochEndOffset::default().with_epoch(epoch).with_end_offset(end));
            }
            if let (Some((id, epoch)), true) = (p.current_leader, version >= 12) {
                out = out.with_current_leader(
                    LeaderIdAndEpoch::default().with_leader_id(BrokerId(id)).with_leader_epoch(epoch),
                );
            }
            out
        };
        let topic = |t: &FetchTopic| {
            FetchableTopicResponse::default()
                .with_topic(TopicName(t.name.clone()))
                .with_topic_id(uuid_of(t.id))
                .with_partitions(t.partitions.iter().map(partition).collect())
        };
        let mut out = messages::FetchResponse::default()
            .with_throttle_time_ms(response.throttle_ms)
            .with_error_code(response.error.code())
            .with_responses(response.topics.iter().map(topic).collect());
        if version >= 7 {
            out = out.with_session_id(response.session_id);
        }
        if version >= 16 {
            out = out.with_node_endpoints(
                response
                    .endpoints
                    .iter()
                    .map(|e| {
                        NodeEndpoint::default()
                            .with_node_id(BrokerId(e.node))
                            .with_host(e.host.clone())
                            .with_port(e.port)
                            .with_rack(e.rack.clone())
                    })
                    .collect(),
            );
        }
        out
    }

    fn any_partition() -> impl Strategy<Value = FetchPartition> {
        let records = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600).prop_map(Bytes::from), 0..3);
        let epochs = (prop::option::of((0..9i32, 0..9i64)), prop::option::of((0..9i32, 0..9i32)));
        let aborted = prop::option::of(prop::collection::vec((any::<i64>(), any::<i64>()), 0..3));
        (any::<i32>(), any::<[i64; 3]>(), aborted, records, epochs, any::<bool>()).prop_map(
            |(index, [high_watermark, last_stable, log_start], aborted, records, epochs, failed)| FetchPartition {
                index,
                error: if failed { ErrorCode::NotLeaderOrFollower } else { ErrorCode::None },
                high_watermark,
                last_stable,
                log_start,
                aborted,
                preferred_read_replica: -1,
                records,
                diverging: epochs.0,
                current_leader: epochs.1,
            },
        )
    }

    fn any_response() -> impl Strategy<Value = FetchResponse> {
        let topic = ("[a-z]{1,200}", any::<u128>(), prop::collection::vec(any_partition(), 0..3)).prop_map(
            |(name, id, partitions)| FetchTopic { name: StrBytes::from_string(name), id: TopicId(id), partitions },
        );
        let endpoint = (0..9i32, "[a-z]{1,9}", prop::option::of("[a-z]{1,9}")).prop_map(|(node, host, rack)| {
            Endpoint { node, host: StrBytes::from_string(host), port: 9092, rack: rack.map(StrBytes::from_string) }
        });
        (any::<i32>(), any::<i32>(), prop::collection::vec(topic, 0..3), prop::collection::vec(endpoint, 0..20))
            .prop_map(|(throttle_ms, session_id, topics, endpoints)| FetchResponse {
                throttle_ms,
                error: ErrorCode::None,
                session_id,
                topics,
                endpoints,
            })
    }

    proptest! {
        #[test]
        fn byte_for_byte_what_the_crate_encodes(response in any_response()) {
            for version in 4..=18 {
                let ours = encode_fetch(version, 77, &response).concat();
                let theirs = encode_response(version, 77, &theirs(version, &response)).expect("fits the version");
                prop_assert_eq!(&ours[..], &theirs[..], "version {}", version);
            }
        }
    }

    #[test]
    fn large_records_are_not_copied() {
        let records = Bytes::from(vec![7u8; 100_000]);
        let partition = FetchPartition { records: vec![records.clone()], ..FetchPartition::empty(0) };
        let topic = FetchTopic { partitions: vec![partition], ..FetchTopic::default() };
        let parts = encode_fetch(13, 1, &FetchResponse { topics: vec![topic], ..FetchResponse::default() });
        assert!(parts.iter().any(|part| part.as_ptr() == records.as_ptr() && part.len() == records.len()));
    }
}
