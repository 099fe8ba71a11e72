//! A world for tests: one `Api`, a cluster of two brokers, and answers by hand.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use heddle_border::{ConnId, Effect, ListenerId, Token};
use heddle_controller::{self as controller, BrokerConfig, Controller, NewTopic};
use heddle_model::{LeaderEpoch, Mono, NodeId, Now, PartitionId, PartitionIndex, ShardId, Ticket, Wall};
use heddle_protocol::{Decodable, Encodable, HeaderVersion, is_flexible};

use crate::ask::{Answer, Ask, Leaders, Target, View, Wish};
use crate::{Api, ApiConfig, Origin};

pub(crate) const ME: NodeId = NodeId(1);

#[derive(Default)]
pub(crate) struct LeaderMap(pub BTreeMap<PartitionId, (NodeId, LeaderEpoch)>);

impl Leaders for LeaderMap {
    fn leader(&self, partition: PartitionId) -> Option<(NodeId, LeaderEpoch)> {
        self.0.get(&partition).copied()
    }
}

pub(crate) struct World {
    pub api: Api,
    pub controller: Controller,
    pub leaders: LeaderMap,
    pub now: Mono,
    /// Asks not answered yet.
    pub asks: VecDeque<(Ticket, Target, Ask)>,
    pub cancels: Vec<(Ticket, Target)>,
    pub wake_at: Option<Mono>,
    /// What each connection was sent, and not read by the test yet.
    pub sent: BTreeMap<ConnId, BytesMut>,
    /// Sends, in order.
    pub tokens: VecDeque<Token>,
    pub closed: Vec<ConnId>,
    /// Who gives the answers: home, until a test says otherwise.
    pub answers_from: Origin,
    /// Connections that went to other cores, and what they took along.
    pub moved: Vec<(ConnId, ShardId, Vec<u8>)>,
    /// `true`: pause.
    pub reading: Vec<(ConnId, bool)>,
}

impl World {
    /// Topic `t` with two partitions, led here in epoch 3.
    pub fn new() -> World {
        World::with(ApiConfig::default())
    }

    pub fn with(config: ApiConfig) -> World {
        let broker_config = BrokerConfig::parse(BTreeMap::new()).expect("defaults");
        let mut world = World {
            api: Api::new(ShardId(2), 7, config),
            controller: Controller::new(Arc::new(broker_config)),
            leaders: LeaderMap::default(),
            now: Mono(1_000_000),
            asks: VecDeque::new(),
            cancels: Vec::new(),
            wake_at: None,
            sent: BTreeMap::new(),
            tokens: VecDeque::new(),
            closed: Vec::new(),
            answers_from: Origin { core: ShardId(2), is_calm: true },
            moved: Vec::new(),
            reading: Vec::new(),
        };
        for (id, host) in [(1, "one"), (2, "two")] {
            let broker = controller::Broker { id: NodeId(id), rack: None, host: host.into(), port: 9092 };
            world.decide(controller::Ask::Boot { cluster_id_if_new: "cluster".into(), broker });
        }
        world.create_topic("t", 2);
        world
    }

    pub fn decide(&mut self, ask: controller::Ask) -> controller::Answer {
        let now = Now { mono: self.now, wall: Wall(0) };
        let entropy = u128::from(self.controller.image().version) + 99;
        let decision = self.controller.decide(now, &ask, entropy);
        for record in &decision.records {
            self.controller.replay(&record.key, record.value.as_deref()).expect("its own record");
        }
        decision.answer
    }

    pub fn create_topic(&mut self, name: &str, partitions: i32) {
        let topic = NewTopic { partitions, ..NewTopic::with_defaults(name) };
        self.decide(controller::Ask::CreateTopics { topics: vec![topic], validate_only: false });
        for index in 0..partitions {
            let id = self.partition(name, index);
            self.leaders.0.insert(id, (ME, LeaderEpoch(3)));
        }
    }

    pub fn partition(&self, topic: &str, index: i32) -> PartitionId {
        let image = self.controller.image();
        image.topic(topic).expect("created").partition_id(PartitionIndex(index))
    }

    /// One turn: call in, flush, take what is wished.
    pub fn turn<T>(&mut self, act: impl FnOnce(&mut Api, &View<'_>, &mut Wish) -> T) -> T {
        let image = self.controller.image();
        let now = Now { mono: self.now, wall: Wall(0) };
        let view = View { image: &image, leaders: &self.leaders, now, me: ME };
        let mut wish = Wish::new();
        let out = act(&mut self.api, &view, &mut wish);
        self.api.flush(&view, &mut wish);
        self.wake_at = wish.wake_at;
        self.asks.extend(wish.asks);
        self.cancels.extend(wish.cancels);
        for effect in wish.effects {
            match effect {
                Effect::Send { conn, token, parts } => {
                    self.tokens.push_back(token);
                    self.sent.entry(conn).or_default().extend_from_slice(&parts.concat());
                }
                Effect::Close { conn } => self.closed.push(conn),
                Effect::Move { conn, to, unread } => self.moved.push((conn, to, unread.concat())),
                Effect::Pause { conn } => self.reading.push((conn, true)),
                Effect::Resume { conn } => self.reading.push((conn, false)),
                _ => panic!("an effect that is not this room's"),
            }
        }
        out
    }

    pub fn open(&mut self, conn: u64) -> ConnId {
        let conn = ConnId(conn);
        let peer = SocketAddr::from(([127, 0, 0, 1], 5000));
        self.turn(|api, view, wish| api.on_opened(conn, peer, ListenerId(0), 0, view, wish));
        conn
    }

    pub fn receive(&mut self, conn: ConnId, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.turn(|api, view, wish| api.on_received(conn, bytes, view, wish));
    }

    pub fn request<R: Encodable>(&mut self, conn: ConnId, key: i16, version: i16, correlation_id: i32, request: &R) {
        self.receive(conn, frame(key, version, correlation_id, request));
    }

    /// The oldest unanswered ask.
    pub fn next_ask(&mut self) -> (Ticket, Target, Ask) {
        self.asks.pop_front().expect("something was asked")
    }

    pub fn next_partition_ask(&mut self) -> (Ticket, PartitionId, heddle_partition::Ask) {
        match self.next_ask() {
            (ticket, Target::Partition(id), Ask::Partition(ask)) => (ticket, id, ask),
            other => panic!("not an ask to a partition: {other:?}"),
        }
    }

    pub fn answer(&mut self, ticket: Ticket, answer: Answer) {
        let from = self.answers_from;
        self.turn(|api, view, wish| api.on_answer(ticket, answer, from, view, wish));
    }

    pub fn pass_ms(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.turn(|api, view, wish| api.on_time(view, wish));
    }

    /// Every send so far has left.
    pub fn all_sent(&mut self) {
        for token in std::mem::take(&mut self.tokens) {
            self.turn(|api, view, wish| api.on_sent(token, view, wish));
        }
    }

    /// The next response frame sent on the connection: correlation id, and what follows it.
    pub fn response_frame(&mut self, conn: ConnId) -> Option<(i32, Bytes)> {
        let sent = self.sent.entry(conn).or_default();
        let size = u32::from_be_bytes(*sent.first_chunk::<4>()?) as usize;
        let mut frame = sent.split_to(4 + size).freeze().split_off(4);
        let correlation_id = i32::from_be_bytes(*frame.split_to(4).first_chunk::<4>()?);
        Some((correlation_id, frame))
    }

    pub fn response<R: Decodable + HeaderVersion>(&mut self, conn: ConnId, version: i16) -> (i32, R) {
        let (correlation_id, mut frame) = self.response_frame(conn).expect("a response");
        if R::header_version(version) == 1 {
            assert_eq!(frame.split_to(1)[0], 0, "no tagged fields in a response header");
        }
        let response = R::decode(&mut frame, version).expect("decodes");
        assert!(frame.is_empty(), "the response ends where its frame ends");
        (correlation_id, response)
    }

    pub fn is_silent(&self, conn: ConnId) -> bool {
        self.sent.get(&conn).is_none_or(|sent| sent.is_empty())
    }
}

/// A request frame with its size prefix, from client `test`.
pub(crate) fn frame<R: Encodable>(key: i16, version: i16, correlation_id: i32, request: &R) -> Bytes {
    let mut body = BytesMut::new();
    request.encode(&mut body, version).expect("fits the version");
    frame_of(key, version, correlation_id, &body)
}

/// The same around a body that is written already.
pub(crate) fn frame_of(key: i16, version: i16, correlation_id: i32, request: &[u8]) -> Bytes {
    let mut body = BytesMut::new();
    body.put_i16(key);
    body.put_i16(version);
    body.put_i32(correlation_id);
    body.put_i16(4);
    body.put_slice(b"test");
    if is_flexible(key, version) {
        body.put_u8(0);
    }
    body.put_slice(request);
    let mut out = BytesMut::new();
    out.put_i32(body.len() as i32);
    out.put(body);
    out.freeze()
}

/// Bytes that pass for one batch at the door: its length and magic are right, the rest is `filler`.
pub(crate) fn batch(filler: u8) -> Bytes {
    let mut bytes = vec![filler; 70];
    bytes[8..12].copy_from_slice(&58i32.to_be_bytes());
    bytes[16] = 2;
    Bytes::from(bytes)
}
