//! The answer of a fetch: what each partition came to, as the wire has it in each version.

use heddle_model::NodeId;
use heddle_protocol::{Endpoint, ErrorCode, FetchPartition, FetchResponse, FetchTopic, text};

use rustc_hash::FxHashMap;

use super::{Fetch, Outcome, Part, UNTOLD, reply, told};
use crate::context::{Context, Reply};
use crate::fetch_sessions::{Mode, Told, TopicKey, Wanted};

impl Fetch {
    pub(super) fn answer(&mut self, cx: &mut Context<'_>) -> Reply {
        let mut topics: Vec<FetchTopic> = Vec::new();
        // Each topic is named once, in whatever order its partitions come.
        let mut places: FxHashMap<TopicKey, usize> = FxHashMap::default();
        let mut current: Option<(TopicKey, usize)> = None;
        let mut leaders = Vec::new();
        for part in std::mem::take(&mut self.wanted) {
            let Part { wanted, outcome, id, .. } = part;
            let (mut partition, leader) = self.partition(&wanted, outcome, cx);
            if id.is_err() {
                // As Kafka: where there is no such partition the list is empty, in other errors it is null.
                partition.aborted = Some(Vec::new());
            }
            if !self.is_listed(&wanted, &partition, cx) {
                continue;
            }
            leaders.extend(leader);
            let place = match current.take().filter(|(key, _)| *key == wanted.topic) {
                Some((_, place)) => place,
                None => *places.entry(wanted.topic.clone()).or_insert_with(|| {
                    topics.push(topic(&wanted.topic));
                    topics.len() - 1
                }),
            };
            topics[place].partitions.push(partition);
            current = Some((wanted.topic, place));
        }
        let endpoints = endpoints(leaders, cx);
        let session_id = self.mode.session_id();
        let response = FetchResponse { session_id, topics, endpoints, ..FetchResponse::default() };
        reply(&response, cx)
    }

    fn partition(&self, wanted: &Wanted, outcome: Outcome, cx: &Context<'_>) -> (FetchPartition, Option<NodeId>) {
        let empty = FetchPartition::empty(wanted.partition);
        let with = |told: Told| FetchPartition {
            high_watermark: told.high_watermark,
            last_stable: told.last_stable,
            log_start: told.log_start,
            aborted: self.committed_only.then(Vec::new),
            ..empty.clone()
        };
        match outcome {
            Outcome::Read(records) => {
                let partition = with(told(&records));
                let aborted = records.aborted.iter().map(|(producer, first)| (producer.0, first.0));
                let aborted = self.committed_only.then(|| aborted.collect());
                let diverging = records.diverging.map(|(term, end)| (term.0, end.0));
                (FetchPartition { aborted, diverging, records: records.parts, ..partition }, None)
            }
            Outcome::Seen { told, .. } => (with(told), None),
            Outcome::Unread => (with(UNTOLD), None),
            Outcome::Failed { error, leader } => {
                // Versions 4 and 5 do not know KAFKA_STORAGE_ERROR; looking for another leader is the right reaction.
                let unknown = error == ErrorCode::KafkaStorageError && cx.version() <= 5;
                let error = if unknown { ErrorCode::NotLeaderOrFollower } else { error };
                let current_leader = leader.filter(|_| cx.version() >= 16).map(|(node, term)| (node.0, term.0));
                let aborted = None;
                let partition = FetchPartition { error, current_leader, aborted, ..with(UNTOLD) };
                (partition, leader.map(|(node, _)| node))
            }
        }
    }

    /// Whether the answer mentions the partition: in an incremental answer, only if there is something new.
    fn is_listed(&self, wanted: &Wanted, partition: &FetchPartition, cx: &mut Context<'_>) -> bool {
        if self.mode == Mode::Full {
            return true;
        }
        let told = Told {
            high_watermark: partition.high_watermark,
            last_stable: partition.last_stable,
            log_start: partition.log_start,
        };
        let has_data = partition.record_bytes() > 0;
        let has_news = has_data || partition.error.is_error() || partition.diverging.is_some();
        cx.shared.sessions.tell(self.mode, &wanted.topic, wanted.partition, told, has_news, has_data)
    }
}

fn topic(key: &TopicKey) -> FetchTopic {
    match key {
        TopicKey::Name(name) => FetchTopic { name: name.clone(), ..FetchTopic::default() },
        TopicKey::Id(id) => FetchTopic { id: *id, ..FetchTopic::default() },
    }
}

fn endpoints(mut leaders: Vec<NodeId>, cx: &Context<'_>) -> Vec<Endpoint> {
    leaders.sort_unstable();
    leaders.dedup();
    let known = leaders.iter().filter_map(|node| cx.view.image.broker(*node));
    let endpoint = known.map(|broker| Endpoint {
        node: broker.id.0,
        host: text(&broker.host),
        port: i32::from(broker.port),
        rack: broker.rack.as_deref().map(text),
    });
    endpoint.collect()
}
