use bytes::Bytes;
use heddle_border::ConnId;
use heddle_model::{LeaderEpoch, NodeId, Offset, ProducerId, Ticket};
use heddle_partition::{Answer as Of, Ask, Read, Records, Refusal, Visibility};
use heddle_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use heddle_protocol::messages::fetch_response::PartitionData;
use heddle_protocol::messages::{FetchRequest, FetchResponse, TopicName};
use heddle_protocol::{text, uuid_of};

use crate::ApiConfig;
use crate::ask::Answer;
use crate::testing::World;

struct Client {
    world: World,
    conn: ConnId,
    version: i16,
}

impl Client {
    fn new(version: i16) -> Client {
        Client::with(version, ApiConfig::default())
    }

    fn with(version: i16, config: ApiConfig) -> Client {
        let mut world = World::with(config);
        let conn = world.open(1);
        Client { world, conn, version }
    }

    fn topic(&self, partitions: &[(i32, i64)]) -> FetchTopic {
        let partition = |(index, from): &(i32, i64)| {
            FetchPartition::default().with_partition(*index).with_fetch_offset(*from).with_partition_max_bytes(100_000)
        };
        let topic = FetchTopic::default().with_partitions(partitions.iter().map(partition).collect());
        if self.version >= 13 {
            topic.with_topic_id(uuid_of(self.world.partition("t", 0).topic))
        } else {
            topic.with_topic(TopicName(text("t")))
        }
    }

    /// Long poll of 500 ms for 1 byte.
    fn request(&self, partitions: &[(i32, i64)]) -> FetchRequest {
        let topics = if partitions.is_empty() { Vec::new() } else { vec![self.topic(partitions)] };
        FetchRequest::default().with_max_wait_ms(500).with_min_bytes(1).with_max_bytes(1 << 20).with_topics(topics)
    }

    fn send(&mut self, request: &FetchRequest) {
        self.world.request(self.conn, 1, self.version, 1, request);
    }

    fn next_read(&mut self) -> (Ticket, i32, Read) {
        let (ticket, id, ask) = self.world.next_partition_ask();
        let Ask::Read(read) = ask else { panic!("not a read: {ask:?}") };
        (ticket, id.index.0, read)
    }

    fn next_watch(&mut self) -> (Ticket, i32, usize) {
        let (ticket, id, ask) = self.world.next_partition_ask();
        let Ask::Watch { min_bytes, .. } = ask else { panic!("not a watch: {ask:?}") };
        (ticket, id.index.0, min_bytes)
    }

    fn answer(&mut self, ticket: Ticket, answer: Of) {
        self.world.answer(ticket, Answer::Partition(answer));
    }

    fn response(&mut self) -> FetchResponse {
        self.world.response(self.conn, self.version).1
    }

    fn partitions(&mut self) -> Vec<PartitionData> {
        self.response().responses.into_iter().flat_map(|topic| topic.partitions).collect()
    }

    fn is_waiting(&self) -> bool {
        self.world.is_silent(self.conn)
    }
}

fn records(bytes: usize, high_watermark: i64) -> Records {
    let parts = if bytes == 0 { Vec::new() } else { vec![Bytes::from(vec![7; bytes])] };
    Records {
        parts,
        high_watermark: Offset(high_watermark),
        last_stable: Offset(high_watermark),
        log_start: Offset(0),
        aborted: Vec::new(),
        diverging: None,
    }
}

fn read(bytes: usize, high_watermark: i64) -> Of {
    Of::Read(records(bytes, high_watermark))
}

fn brief(partitions: &[PartitionData]) -> Vec<(i32, i16, i64, usize)> {
    let bytes = |p: &PartitionData| p.records.as_ref().map_or(0, Bytes::len);
    partitions.iter().map(|p| (p.partition_index, p.error_code, p.high_watermark, bytes(p))).collect()
}

#[test]
fn data_is_answered_at_once_in_every_version() {
    for version in 4..=18 {
        let mut client = Client::new(version);
        client.send(&client.request(&[(0, 5), (1, 6)]));
        let (first, index, asked) = client.next_read();
        assert_eq!((index, asked.from, asked.max_bytes, asked.at_least_one), (0, Offset(5), 100_000, true));
        assert_eq!(asked.visibility, Visibility::HighWatermark);
        let (second, index, asked) = client.next_read();
        assert_eq!((index, asked.from, asked.at_least_one), (1, Offset(6), false));
        client.answer(second, read(0, 6));
        assert!(client.is_waiting());
        client.answer(first, read(900, 9));
        assert_eq!(brief(&client.partitions()), [(0, 0, 9, 900), (1, 0, 6, 0)], "version {version}");
        assert!(client.world.asks.is_empty());
    }
}

#[test]
fn waits_for_data_and_reads_again_only_what_has_some() {
    let mut client = Client::new(13);
    client.send(&client.request(&[(0, 5), (1, 6)]));
    for high_watermark in [5, 6] {
        let (ticket, ..) = client.next_read();
        client.answer(ticket, read(0, high_watermark));
    }
    let (first, _, min_bytes) = client.next_watch();
    let (second, ..) = client.next_watch();
    assert_eq!((min_bytes, client.is_waiting()), (1, true));
    assert_eq!(client.world.wake_at, Some(client.world.now.plus_ms(500)));
    client.answer(second, Of::Ready);
    assert_eq!(client.world.cancels.len(), 1);
    assert_eq!(client.world.cancels[0].0, first);
    let (ticket, index, _) = client.next_read();
    assert_eq!((index, client.world.asks.len()), (1, 0));
    client.answer(first, Of::Ready);
    assert!(client.is_waiting(), "the answer to a cancelled watch changes nothing");
    client.answer(ticket, read(70, 8));
    assert_eq!(brief(&client.partitions()), [(0, 0, 5, 0), (1, 0, 8, 70)]);
}

#[test]
fn time_runs_out_without_data() {
    let mut client = Client::new(13);
    client.send(&client.request(&[(0, 5)]));
    let (ticket, ..) = client.next_read();
    client.answer(ticket, read(0, 5));
    let (watch, ..) = client.next_watch();
    client.world.pass_ms(499);
    assert!(client.is_waiting());
    client.world.pass_ms(1);
    assert_eq!(client.world.cancels[0].0, watch);
    assert_eq!(brief(&client.partitions()), [(0, 0, 5, 0)]);
    client.answer(watch, Of::Ready);
    assert!(client.is_waiting());
}

#[test]
fn no_time_to_wait_or_nothing_to_wait_for() {
    let mut client = Client::new(13);
    for request in [client.request(&[(0, 5)]).with_max_wait_ms(0), client.request(&[(0, 5)]).with_min_bytes(0)] {
        client.send(&request);
        let (ticket, ..) = client.next_read();
        client.answer(ticket, read(0, 5));
        assert_eq!(brief(&client.partitions()), [(0, 0, 5, 0)]);
    }
    client.send(&client.request(&[]));
    assert_eq!(brief(&client.partitions()), []);
}

#[test]
fn too_little_data_waits_for_more_without_holding_it() {
    let mut client = Client::new(13);
    client.send(&client.request(&[(0, 5)]).with_min_bytes(1000));
    let (ticket, ..) = client.next_read();
    client.answer(ticket, read(300, 9));
    let (watch, _, min_bytes) = client.next_watch();
    assert_eq!(min_bytes, 1000);
    client.answer(watch, Of::Ready);
    let (ticket, ..) = client.next_read();
    client.answer(ticket, read(1100, 19));
    assert_eq!(brief(&client.partitions()), [(0, 0, 19, 1100)]);

    client.send(&client.request(&[(0, 5)]).with_min_bytes(1000));
    let (ticket, ..) = client.next_read();
    client.answer(ticket, read(300, 9));
    client.next_watch();
    client.world.pass_ms(500);
    let (ticket, ..) = client.next_read();
    client.answer(ticket, read(300, 9));
    assert_eq!(brief(&client.partitions()), [(0, 0, 9, 300)], "what there is when time is over");
}

#[test]
fn woken_without_growth_is_no_endless_loop() {
    let mut client = Client::new(13);
    client.send(&client.request(&[(0, 5)]).with_min_bytes(1000));
    let (ticket, ..) = client.next_read();
    client.answer(ticket, read(300, 9));
    let (watch, ..) = client.next_watch();
    client.answer(watch, Of::Ready);
    let (ticket, ..) = client.next_read();
    client.answer(ticket, read(300, 9));
    assert_eq!(brief(&client.partitions()), [(0, 0, 9, 300)]);
}

#[test]
fn errors_and_divergence_end_the_wait() {
    let moved = Refusal::NotLeader { leader: Some(NodeId(2)), epoch: LeaderEpoch(8) };
    let range = Refusal::OffsetOutOfRange { log_start: Offset(3), high_watermark: Offset(40) };
    let interrupted = Refusal::Interrupted { leader: None, epoch: LeaderEpoch(8) };
    for (refusal, error) in [(moved, 6), (range, 1), (interrupted, 6), (Refusal::UnknownPartition, 3)] {
        let mut client = Client::new(16);
        client.send(&client.request(&[(0, 5)]));
        let (ticket, ..) = client.next_read();
        client.answer(ticket, Of::Refused(refusal));
        let response = client.response();
        let partition = &response.responses[0].partitions[0];
        assert_eq!((partition.error_code, &partition.aborted_transactions), (error, &None));
        let told = (partition.high_watermark, partition.last_stable_offset, partition.log_start_offset);
        assert_eq!(told, (-1, -1, -1), "as Kafka's, also of an offset out of range");
        if error == 6 && partition.current_leader.leader_id.0 == 2 {
            assert_eq!(response.node_endpoints[0].host.as_str(), "two");
        }
    }
    let mut client = Client::new(12);
    client.send(&client.request(&[(0, 5)]));
    let (ticket, ..) = client.next_read();
    client.answer(ticket, Of::Read(Records { diverging: Some((LeaderEpoch(2), Offset(4))), ..records(0, 9) }));
    let partition = client.partitions().remove(0);
    assert_eq!((partition.diverging_epoch.epoch, partition.diverging_epoch.end_offset), (2, 4));
}

/// The first leader's epoch is 0, and -1 is none; so is every negative number, to Kafka, in a fetch.
#[test]
fn epochs_from_zero_on_are_asked_for_and_told() {
    for (wire, asked) in [(i32::MIN, None), (-1, None), (0, Some(0)), (1, Some(1)), (i32::MAX, Some(i32::MAX))] {
        let asked = asked.map(LeaderEpoch);
        let mut client = Client::new(12);
        let mut request = client.request(&[(0, 5)]);
        let partition = &mut request.topics[0].partitions[0];
        (partition.current_leader_epoch, partition.last_fetched_epoch) = (wire, wire);
        client.send(&request);
        let (ticket, _, read) = client.next_read();
        assert_eq!((read.epoch, read.last_fetched), (asked, asked));
        client.answer(ticket, Of::Read(Records { diverging: Some((LeaderEpoch(0), Offset(0))), ..records(0, 9) }));
        let diverging = client.partitions().remove(0).diverging_epoch;
        assert_eq!((diverging.epoch, diverging.end_offset), (0, 0));
    }
    let mut client = Client::new(16);
    client.send(&client.request(&[(0, 5)]));
    let (ticket, ..) = client.next_read();
    client.answer(ticket, Of::Refused(Refusal::FencedEpoch { leader: Some(NodeId(2)), epoch: LeaderEpoch(0) }));
    let partition = client.partitions().remove(0);
    let leader = (partition.current_leader.leader_id.0, partition.current_leader.leader_epoch);
    assert_eq!((partition.error_code, leader), (74, (2, 0)));
}

#[test]
fn leadership_lost_while_watching_is_reported() {
    let mut client = Client::new(13);
    client.send(&client.request(&[(0, 5)]));
    let (ticket, ..) = client.next_read();
    client.answer(ticket, read(0, 5));
    let (watch, ..) = client.next_watch();
    client.answer(watch, Of::Refused(Refusal::NotLeader { leader: None, epoch: LeaderEpoch(4) }));
    let (ticket, ..) = client.next_read();
    client.answer(ticket, Of::Refused(Refusal::NotLeader { leader: None, epoch: LeaderEpoch(4) }));
    assert_eq!(client.partitions()[0].error_code, 6);
}

#[test]
fn old_versions_do_not_know_storage_errors() {
    for (version, error) in [(4, 6), (5, 6), (6, 56)] {
        let mut client = Client::new(version);
        client.send(&client.request(&[(0, 5)]));
        let (ticket, ..) = client.next_read();
        client.answer(ticket, Of::Refused(Refusal::Storage));
        assert_eq!(client.partitions()[0].error_code, error);
    }
}

#[test]
fn committed_only() {
    let mut client = Client::new(13);
    client.send(&client.request(&[(0, 5)]).with_isolation_level(1));
    let (ticket, _, asked) = client.next_read();
    assert_eq!(asked.visibility, Visibility::LastStable);
    client.answer(ticket, Of::Read(Records { aborted: vec![(ProducerId(8), Offset(6))], ..records(10, 9) }));
    let aborted = client.partitions().remove(0).aborted_transactions.expect("a list");
    assert_eq!((aborted[0].producer_id.0, aborted[0].first_offset), (8, 6));
}

#[test]
fn a_batch_larger_than_its_limit_is_read_though_the_first_partition_is_empty() {
    let mut client = Client::new(13);
    client.send(&client.request(&[(0, 5), (1, 6)]));
    let (first, ..) = client.next_read();
    let (second, _, asked) = client.next_read();
    assert!(!asked.at_least_one);
    client.answer(first, read(0, 5));
    client.answer(second, read(0, 7));
    let (ticket, index, asked) = client.next_read();
    assert_eq!((index, asked.at_least_one), (1, true));
    client.answer(ticket, read(300_000, 7));
    assert_eq!(brief(&client.partitions()), [(0, 0, 5, 0), (1, 0, 7, 300_000)]);
}

#[test]
fn a_range_emptied_by_compaction_is_waited_on_not_spun_on() {
    let mut client = Client::new(13);
    client.send(&client.request(&[(0, 5)]));
    for _ in 0..2 {
        let (ticket, ..) = client.next_read();
        client.answer(ticket, read(0, 9));
    }
    let (watch, ..) = client.next_watch();
    client.answer(watch, Of::Ready);
    let (ticket, ..) = client.next_read();
    client.answer(ticket, read(33, 12));
    assert_eq!(brief(&client.partitions()), [(0, 0, 12, 33)]);
}

#[test]
fn the_whole_limit_is_kept_in_rounds() {
    let mut client = Client::new(13);
    client.world.create_topic("many", 4);
    let topic = client.world.partition("many", 0).topic;
    let partition = |index| FetchPartition::default().with_partition(index).with_partition_max_bytes(100_000);
    let topic = FetchTopic::default().with_topic_id(uuid_of(topic)).with_partitions((0..4).map(partition).collect());
    client.send(&client.request(&[]).with_max_bytes(150_000).with_topics(vec![topic]));
    // 100,000 and what is left of 150,000; then nothing is left until something is given back.
    let (first, _, asked) = client.next_read();
    assert_eq!(asked.max_bytes, 100_000);
    let (second, _, asked) = client.next_read();
    assert_eq!((asked.max_bytes, client.world.asks.len()), (50_000, 0));
    client.answer(first, read(100_000, 9));
    client.answer(second, read(1_000, 9));
    let (third, index, asked) = client.next_read();
    assert_eq!((index, asked.max_bytes, client.world.asks.len()), (2, 49_000, 0));
    client.answer(third, read(48_000, 9));
    let (fourth, index, asked) = client.next_read();
    assert_eq!((index, asked.max_bytes, asked.at_least_one), (3, 0, false), "only its watermarks");
    client.answer(fourth, read(0, 9));
    assert_eq!(brief(&client.partitions()).iter().map(|p| p.3).collect::<Vec<_>>(), [100_000, 1_000, 48_000, 0]);
}

#[test]
fn unknown_topics_and_partitions() {
    let mut client = Client::new(13);
    client.send(&client.request(&[(0, 5), (9, 0)]));
    let (ticket, ..) = client.next_read();
    client.answer(ticket, read(0, 5));
    let partitions = client.partitions();
    assert_eq!(brief(&partitions), [(0, 0, 5, 0), (9, 3, -1, 0)], "an error ends the wait");
    let aborted: Vec<_> =
        partitions.iter().map(|partition| partition.aborted_transactions.as_ref().map(Vec::len)).collect();
    assert_eq!(aborted, [None, Some(0)], "as Kafka's");
    let mut request = client.request(&[(0, 5)]);
    request.topics[0].topic_id = heddle_protocol::Uuid::from_u128(1234);
    client.send(&request);
    assert_eq!(client.partitions()[0].error_code, 100);
}

#[test]
fn sessions_answer_with_changes_only() {
    let mut client = Client::new(13);
    client.send(&client.request(&[(0, 5), (1, 6)]).with_session_epoch(0));
    for _ in 0..2 {
        let (ticket, ..) = client.next_read();
        client.answer(ticket, read(10, 7));
    }
    let response = client.response();
    let id = response.session_id;
    assert!(id > 0);
    assert_eq!(response.responses[0].partitions.len(), 2);

    let next = client.request(&[(0, 6)]).with_session_id(id).with_session_epoch(1).with_max_wait_ms(0);
    client.send(&next);
    let reads: Vec<_> = (0..2).map(|_| client.next_read()).collect();
    assert_eq!(reads.iter().map(|(_, index, read)| (*index, read.from.0)).collect::<Vec<_>>(), [(0, 6), (1, 6)]);
    client.answer(reads[0].0, read(0, 7));
    client.answer(reads[1].0, read(20, 7));
    let response = client.response();
    assert_eq!(response.session_id, id);
    assert_eq!(brief(&response.responses[0].partitions), [(1, 0, 7, 20)], "partition 0 has nothing new");

    client.send(&client.request(&[]).with_session_id(id).with_session_epoch(1));
    assert_eq!(client.response().error_code, 71);
    client.send(&client.request(&[]).with_session_id(id + 1).with_session_epoch(1));
    assert_eq!(client.response().error_code, 70);
    assert!(client.world.asks.is_empty());
}

#[test]
fn a_connection_that_ends_cancels_its_watch() {
    let mut client = Client::new(13);
    client.send(&client.request(&[(0, 5)]));
    let (ticket, ..) = client.next_read();
    client.answer(ticket, read(0, 5));
    let (watch, ..) = client.next_watch();
    let conn = client.conn;
    client.world.turn(|api, view, wish| api.on_closed(conn, view, wish));
    assert_eq!(client.world.cancels[0].0, watch);
    client.answer(watch, Of::Ready);
    assert_eq!(client.world.api.memory(), 0);
}

#[test]
fn stopping_answers_a_waiting_fetch() {
    let mut client = Client::new(13);
    client.send(&client.request(&[(0, 5)]));
    let (ticket, ..) = client.next_read();
    client.answer(ticket, read(0, 5));
    client.world.turn(|api, view, wish| api.drain(view, wish));
    assert_eq!(brief(&client.partitions()), [(0, 0, 5, 0)]);
    assert_eq!(client.world.closed, [client.conn]);
}

/// A request is a map: of a partition that is named ever so often only the last counts, and it is asked once.
#[test]
fn a_partition_named_again_and_again_is_fetched_once() {
    for (version, epoch) in [(12, -1), (12, 0), (13, -1)] {
        let mut client = Client::new(version);
        let many: Vec<(i32, i64)> = (0..60_000).map(|from| (0, from)).collect();
        client.send(&client.request(&many).with_session_epoch(epoch));
        let (ticket, _, asked) = client.next_read();
        assert_eq!((asked.from, client.world.asks.len()), (Offset(59_999), 0));
        client.answer(ticket, read(0, 59_999));
        client.next_watch();
        assert!(client.world.asks.is_empty());
        assert!(client.world.api.memory() < 10_000, "the frame is gone");
        client.world.pass_ms(500);
        assert_eq!(client.partitions().len(), 1);
    }
}

/// Ordinary consumers of idle partitions, 66,000 of them on one core: they do not keep others from being served.
#[test]
fn watches_take_no_answer_slots() {
    let mut client = Client::new(12);
    client.world.create_topic("wide", 1000);
    let partition = |index| FetchPartition::default().with_partition(index).with_partition_max_bytes(1000);
    let wide = FetchTopic::default().with_topic(TopicName(text("wide")));
    let request = client.request(&[]).with_topics(vec![wide.with_partitions((0..1000).map(partition).collect())]);
    for conn in 0..66 {
        let conn = client.world.open(100 + conn);
        client.world.request(conn, 1, 12, 1, &request);
        for _ in 0..1000 {
            let (ticket, ..) = client.next_read();
            client.answer(ticket, read(0, 0));
        }
        assert_eq!(client.world.asks.len(), 1000, "all are watched");
        client.world.asks.clear();
    }
    assert_eq!(client.world.api.stats().asks, 66_000);
    client.send(&client.request(&[(0, 5)]));
    let (ticket, ..) = client.next_read();
    client.answer(ticket, read(70, 6));
    assert_eq!(brief(&client.partitions()), [(0, 0, 6, 70)]);
}

#[test]
fn a_core_with_too_many_watches_looks_again_soon() {
    let mut client = Client::with(13, ApiConfig { watches_max: 1, ..ApiConfig::default() });
    client.send(&client.request(&[(0, 5), (1, 6)]));
    for high_watermark in [5, 6] {
        let (ticket, ..) = client.next_read();
        client.answer(ticket, read(0, high_watermark));
    }
    assert!(client.world.asks.is_empty() && client.is_waiting());
    assert_eq!(client.world.wake_at, Some(client.world.now.plus_ms(100)));
    client.world.pass_ms(100);
    for bytes in [0, 40] {
        let (ticket, ..) = client.next_read();
        client.answer(ticket, read(bytes, 7));
    }
    assert_eq!(brief(&client.partitions()), [(0, 0, 7, 0), (1, 0, 7, 40)]);
    assert!(client.world.cancels.is_empty());
}

/// Answers that are not taken leave less for others, and in the end nothing for fetches, and for nobody else.
#[test]
fn fetches_share_what_unsent_answers_leave() {
    let mut client = Client::with(13, ApiConfig { unsent_bytes_max: 1 << 20, ..ApiConfig::default() });
    let request = client.request(&[(0, 5)]).with_max_bytes(50 << 20);
    let topic = |bytes| {
        let mut topic = client.topic(&[(0, 5)]);
        topic.partitions[0].partition_max_bytes = bytes;
        topic
    };
    let request = request.with_topics(vec![topic(50 << 20)]);
    client.send(&request);
    let (ticket, _, asked) = client.next_read();
    assert_eq!(asked.max_bytes, 256 << 10, "a part of what is left");
    client.answer(ticket, read(700 << 10, 9));
    let stuck = std::mem::take(&mut client.world.tokens);
    client.conn = client.world.open(2);
    client.send(&request);
    let (ticket, _, asked) = client.next_read();
    assert!(asked.max_bytes < 100 << 10, "{}", asked.max_bytes);
    client.answer(ticket, read(400 << 10, 9));
    client.conn = client.world.open(3);
    client.send(&request);
    assert!(client.world.asks.is_empty(), "it waits until something was taken");
    let other = client.world.open(4);
    client.world.request(other, 18, 0, 1, &heddle_protocol::messages::ApiVersionsRequest::default());
    assert!(!client.world.is_silent(other), "others do not");
    for token in stuck {
        client.world.turn(|api, view, wish| api.on_sent(token, view, wish));
    }
    assert_eq!(client.next_read().1, 0);
}

#[test]
fn each_topic_is_named_once_in_an_answer() {
    let mut client = Client::new(12);
    client.world.create_topic("u", 1);
    let partition = |index| FetchPartition::default().with_partition(index).with_partition_max_bytes(1000);
    let topic = |name: &str, index| {
        FetchTopic::default().with_topic(TopicName(text(name))).with_partitions(vec![partition(index)])
    };
    let request = client.request(&[]).with_topics(vec![topic("t", 0), topic("u", 0), topic("t", 1)]);
    client.send(&request.with_session_epoch(0).with_max_wait_ms(0));
    for _ in 0..3 {
        let (ticket, ..) = client.next_read();
        client.answer(ticket, read(0, 0));
    }
    let response = client.response();
    let names: Vec<_> = response.responses.iter().map(|t| (t.topic.as_str(), t.partitions.len())).collect();
    assert_eq!(names, [("t", 2), ("u", 1)]);
}
