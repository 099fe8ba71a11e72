//! An `Api` with a real controller behind it and partitions that answer what the test says.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use heddle_api::*;
use heddle_border::{ConnId, Effect, ListenerId};
use heddle_controller::{BrokerConfig, Controller, Image};
use heddle_model::{LeaderEpoch, NodeId, Now, PartitionId, ShardId, Ticket};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

pub const ME: NodeId = NodeId(1);
const CONN: ConnId = ConnId(7);

/// How the world treats asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Answering,
    Unreachable,
    /// Asks stay unanswered until their deadline.
    Silent,
    /// Leadership of the controller's log ended while the answer waited.
    Interrupted,
}

pub struct Broker {
    api: Api,
    controller: Controller,
    pub mood: Mood,
    pub partitions: BTreeMap<PartitionId, heddle_partition::Answer>,
    pub asked: Vec<(Target, Ask)>,
    now: Now,
    entropy: u128,
}

struct LedHere;

impl Leaders for LedHere {
    fn leader(&self, _: PartitionId) -> Option<(NodeId, LeaderEpoch)> {
        Some((ME, LeaderEpoch(3)))
    }
}

impl Broker {
    pub fn new(config: &[(&str, &str)]) -> Broker {
        let given = config.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let config = Arc::new(BrokerConfig::parse(given).expect("a valid config"));
        let api_config = ApiConfig { describe_partitions_max: 5, ..ApiConfig::default() };
        let mut broker = Broker {
            api: Api::new(ShardId(0), 9, api_config),
            controller: Controller::new(config),
            mood: Mood::Answering,
            partitions: BTreeMap::new(),
            asked: Vec::new(),
            now: Now::default(),
            entropy: 1,
        };
        let boot = heddle_controller::Ask::Boot {
            cluster_id_if_new: "cluster".into(),
            broker: heddle_controller::Broker { id: ME, rack: None, host: "localhost".into(), port: 9092 },
        };
        broker.decide(&boot);
        let image = broker.image();
        let (view, mut wish) = (view(&image, broker.now), Wish::new());
        broker.api.on_opened(CONN, ([127, 0, 0, 1], 4).into(), ListenerId(0), 0, &view, &mut wish);
        broker
    }

    pub fn image(&self) -> Arc<Image> {
        self.controller.image()
    }

    fn decide(&mut self, ask: &heddle_controller::Ask) -> heddle_controller::Answer {
        self.entropy += 1;
        let decision = self.controller.decide(self.now, ask, self.entropy);
        for entry in &decision.records {
            self.controller.replay(&entry.key, entry.value.as_deref()).expect("own records");
        }
        decision.answer
    }

    /// Send a request in a version; the response must come, and fit that version.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.asked.clear();
        let mut wish = Wish::new();
        let image = self.image();
        self.api.on_received(CONN, encode(version, request), &view(&image, self.now), &mut wish);
        let mut sent = Vec::new();
        loop {
            let image = self.image();
            self.api.flush(&view(&image, self.now), &mut wish);
            let (effects, asks, wake_at) = (wish.effects, wish.asks, wish.wake_at);
            wish = Wish::new();
            for effect in effects {
                match effect {
                    Effect::Send { parts, .. } => sent.extend(parts),
                    Effect::Close { .. } => panic!("{} version {version} closed the connection", R::KEY),
                    _ => {}
                }
            }
            if !sent.is_empty() {
                return decode::<R>(version, &sent);
            }
            if asks.is_empty() || self.mood == Mood::Silent {
                let at = wake_at.expect("a request that waits has a deadline");
                self.now.mono = self.now.mono.max(at);
                self.api.on_time(&view(&image, self.now), &mut wish);
            }
            for (ticket, target, ask) in asks {
                self.answer(ticket, target, ask, &mut wish);
            }
        }
    }

    fn answer(&mut self, ticket: Ticket, target: Target, ask: Ask, wish: &mut Wish) {
        let answer = match (self.mood, &target, &ask) {
            (Mood::Silent, ..) => None,
            (Mood::Unreachable, ..) => Some(Answer::Unreachable),
            (Mood::Interrupted, Target::Controller, Ask::Controller(_)) => {
                let refused = heddle_controller::Refusal::Interrupted.because("gone");
                Some(Answer::Controller(heddle_controller::Answer::Refused(refused)))
            }
            (_, Target::Controller, Ask::Controller(ask)) => Some(Answer::Controller(self.decide(ask))),
            (_, Target::Partition(id), Ask::Partition(_)) => {
                Some(self.partitions.get(id).cloned().map_or(Answer::Unreachable, Answer::Partition))
            }
            (_, Target::House, Ask::Space) => Some(Answer::Space { total: 1000, free: 400 }),
            other => panic!("nobody asks {:?}", (other.1, other.2)),
        };
        self.asked.push((target, ask));
        if let Some(answer) = answer {
            let image = self.image();
            let from = Origin { core: ShardId(0), is_calm: true };
            self.api.on_answer(ticket, answer, from, &view(&image, self.now), wish);
        }
    }
}

fn view(image: &Arc<Image>, now: Now) -> View<'_> {
    View { image, leaders: &LedHere, now, me: ME }
}

fn encode<R: Request>(version: i16, request: &R) -> Bytes {
    let api = ApiKey::try_from(R::KEY).expect("known");
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(42)
        .with_client_id(Some(StrBytes::from_static_str("test")));
    let mut frame = BytesMut::new();
    header.encode(&mut frame, api.request_header_version(version)).expect("a header");
    request.encode(&mut frame, version).expect("a request of this version");
    let mut out = BytesMut::new();
    out.put_i32(frame.len() as i32);
    out.put(frame);
    out.freeze()
}

fn decode<R: Request>(version: i16, parts: &[Bytes]) -> R::Response {
    let mut bytes = Bytes::from(parts.concat());
    assert_eq!(bytes.get_i32() as usize, bytes.len());
    let header = ResponseHeader::decode(&mut bytes, R::Response::header_version(version)).expect("a header");
    assert_eq!(header.correlation_id, 42);
    let response = R::Response::decode(&mut bytes, version).expect("a response of this version");
    assert!(bytes.is_empty(), "bytes behind the response");
    response
}

/// All versions of a request that the broker advertises.
pub fn versions<R: Request>() -> std::ops::RangeInclusive<i16> {
    let range = R::VERSIONS;
    range.min..=range.max
}
