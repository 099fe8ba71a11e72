//! Tests of a coordinator that could not hear its members for a while: nobody is out for what the broker did not read.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use heddle_api::ApiConfig;
use heddle_border::ConnId;
use heddle_controller::{Broker, BrokerConfig};
use heddle_fakedisk::Dice;
use heddle_model::NodeId;
use heddle_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use heddle_protocol::messages::*;
use heddle_protocol::{Decodable, Encodable, HeaderVersion, StrBytes, text};
use heddle_shard::ShardConfig;

use crate::link::Heard;
use crate::node::Node;
use crate::trace::Trace;
use crate::wire;

const SESSION_MS: u64 = 6_000;
const UNKNOWN_MEMBER_ID: i16 = 25;

/// A node with one core, and one member of a group.
struct Bench {
    node: Node,
    dice: Dice,
    trace: Trace,
    now_us: u64,
    conn: ConnId,
    heard: BytesMut,
    correlation: i32,
    member: StrBytes,
}

impl Bench {
    fn new() -> Bench {
        let given = [("offsets.topic.num.partitions", "1"), ("group.initial.rebalance.delay.ms", "0")];
        let given = given.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let kafka = BrokerConfig::parse(given).expect("sound");
        let config = ShardConfig {
            shards: 1,
            node: NodeId(1),
            broker: Broker { id: NodeId(1), rack: None, host: "node-1".into(), port: 9092 },
            kafka_addr: SocketAddr::from(([127, 0, 0, 1], 9092)),
            api: ApiConfig::of(&kafka, 1),
            settings: Arc::new(kafka),
            memory: 64 << 20,
            journal_files: 4,
            journal_file_bytes: 65_536,
            seed: 1,
            accept_loss: false,
            repair_only: false,
        };
        let (mut node, mut dice) = (Node::new(1, None), Dice::new(1));
        node.boot(&config, &mut dice);
        let mut bench = Bench {
            node,
            dice,
            trace: Trace::new(false),
            now_us: 0,
            conn: ConnId(0),
            heard: BytesMut::new(),
            correlation: 0,
            member: StrBytes::default(),
        };
        bench.pass(1_000);
        assert!(bench.node.serving);
        bench.join();
        bench
    }

    fn join(&mut self) {
        self.conn = self.node.connect();
        let find = FindCoordinatorRequest::default().with_key(text("g"));
        while self.call::<_, FindCoordinatorResponse>(10, 1, &find).error_code != 0 {}
        let protocol = JoinGroupRequestProtocol::default().with_name(text("p"));
        let request = JoinGroupRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_session_timeout_ms(SESSION_MS as i32)
            .with_rebalance_timeout_ms(60_000)
            .with_protocol_type(text("t"))
            .with_protocols(vec![protocol]);
        self.member = loop {
            let joined: JoinGroupResponse = self.call(11, 3, &request);
            if joined.error_code == 0 {
                break joined.member_id;
            }
        };
        let sync = SyncGroupRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_generation_id(1)
            .with_member_id(self.member.clone());
        assert_eq!(self.call::<_, SyncGroupResponse>(14, 2, &sync).error_code, 0);
    }

    /// Whatever can happen at this moment happens; turns only if the core runs.
    fn settle(&mut self, runs: bool) {
        for _ in 0..100_000 {
            let (node, dice, trace) = (&mut self.node, &mut self.dice, &mut self.trace);
            let moved = (runs && node.turn(self.now_us, dice, trace))
                || node.disk_step(dice, trace)
                || node.mail_step(dice, trace)
                || node.work_step(dice, trace)
                || node.net_step(dice, trace);
            for (_, heard) in std::mem::take(&mut node.heard) {
                let Heard::Bytes(parts) = heard else { panic!("the node closed the connection") };
                parts.iter().for_each(|part| self.heard.extend_from_slice(part));
            }
            if !moved {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    /// Time passes, and the core runs whenever it asks to.
    fn pass(&mut self, ms: u64) {
        let end = self.now_us + ms * 1000;
        self.settle(true);
        while let Some(at) = self.node.next_wake().filter(|at| *at <= end) {
            self.now_us = at.max(self.now_us + 1);
            self.settle(true);
        }
        self.now_us = end.max(self.now_us);
        self.settle(true);
    }

    fn send<R: Encodable>(&mut self, key: i16, version: i16, request: &R) {
        self.correlation += 1;
        let frame = wire::frame(key, version, self.correlation, request);
        self.node.links.get_mut(&self.conn).expect("connected").to_server.push_back(frame);
    }

    fn answer<A: Decodable + HeaderVersion>(&mut self, version: i16) -> A {
        for _ in 0..1_000 {
            self.settle(true);
            if let Some((correlation, answer)) = wire::next_answer(&mut self.heard) {
                assert_eq!(correlation, self.correlation);
                return wire::read(answer, version).expect("an answer");
            }
            self.pass(10);
        }
        panic!("no answer");
    }

    fn call<R: Encodable, A: Decodable + HeaderVersion>(&mut self, key: i16, version: i16, request: &R) -> A {
        self.send(key, version, request);
        self.answer(version)
    }

    fn send_heartbeat(&mut self) {
        let request = HeartbeatRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_generation_id(1)
            .with_member_id(self.member.clone());
        self.send(12, 1, &request);
    }

    fn heartbeat(&mut self) -> i16 {
        self.send_heartbeat();
        self.answer::<HeartbeatResponse>(1).error_code
    }
}

#[test]
fn a_silent_member_is_out() {
    let mut bench = Bench::new();
    bench.pass(SESSION_MS - 500);
    assert_eq!(bench.heartbeat(), 0);
    bench.pass(SESSION_MS + 500);
    assert_eq!(bench.heartbeat(), UNKNOWN_MEMBER_ID);
}

/// Both are seen in one turn: the heartbeat that has arrived, and the session whose time is over.
#[test]
fn what_has_arrived_counts_before_what_is_due() {
    let mut bench = Bench::new();
    assert_eq!(bench.heartbeat(), 0);
    let beaten_us = bench.now_us;
    bench.pass(SESSION_MS - 100);
    bench.send_heartbeat();
    bench.settle(false);
    bench.now_us = beaten_us + (SESSION_MS + 100) * 1000;
    assert_eq!(bench.answer::<HeartbeatResponse>(1).error_code, 0);
}

/// SIGSTOP, a suspended machine: what members sent meanwhile may be read later than the first turn.
#[test]
fn a_node_that_was_absent_gives_every_session_its_whole_time() {
    let mut bench = Bench::new();
    assert_eq!(bench.heartbeat(), 0);
    bench.now_us += 10 * SESSION_MS * 1000;
    bench.pass(500);
    assert_eq!(bench.heartbeat(), 0);
    bench.pass(SESSION_MS + 500);
    assert_eq!(bench.heartbeat(), UNKNOWN_MEMBER_ID, "it sends again from now on");
}
