//! A client that sends anything, and owners that answer anything: the door to the broker answers each request once, in
//! order, or closes the connection, and in the end holds nothing.
#![no_main]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use heddle_api::{Answer, Api, ApiConfig, Ask, Leaders, Origin, Target, View, Wish};
use heddle_border::{ConnId, Effect, ListenerId, Token};
use heddle_controller::{self as controller, BrokerConfig, Controller};
use heddle_model::{LeaderEpoch, Mono, NodeId, Now, Offset, PartitionId, ShardId, Term, Ticket, Wall};
use heddle_partition::{self as partition, Refusal};
use heddle_protocol::{is_flexible, versions_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&style, mut rest)) = data.split_first() else { return };
    let mut world = World::new(style);
    let mut correlation = 0;
    while let Some(frame) = take_request(&mut rest, correlation) {
        correlation += 1;
        // Cut somewhere, as a network does.
        let at = usize::from(style) % frame.len();
        world.receive(frame.slice(..at));
        world.receive(frame.slice(at..));
        if style & 1 == 0 {
            world.answer_all();
        }
    }
    if !rest.is_empty() {
        world.receive(Bytes::copy_from_slice(rest));
    }
    world.end();
});

/// API key, version, length, body: a whole frame with a right header around a body of any bytes.
fn take_request(data: &mut &[u8], correlation: i32) -> Option<Bytes> {
    let (&[key, version, length], rest) = data.split_first_chunk::<3>()?;
    let known = versions_of(i16::from(key))?;
    let (body, rest) = rest.split_at_checked(usize::from(length))?;
    *data = rest;
    let version = known.min + i16::from(version % (known.max - known.min + 1) as u8);
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    frame.put_i16(known.key);
    frame.put_i16(version);
    frame.put_i32(correlation);
    frame.put_i16(-1);
    if is_flexible(known.key, version) {
        frame.put_u8(0);
    }
    frame.put_slice(body);
    let size = frame.len() as i32 - 4;
    frame[..4].copy_from_slice(&size.to_be_bytes());
    Some(frame.freeze())
}

const ME: NodeId = NodeId(1);
const CONN: ConnId = ConnId(1);

struct AllHere;

impl Leaders for AllHere {
    fn leader(&self, _: PartitionId) -> Option<(NodeId, LeaderEpoch)> {
        Some((ME, LeaderEpoch(3)))
    }
}

struct World {
    api: Api,
    controller: Controller,
    now: Mono,
    style: u8,
    open: bool,
    asks: VecDeque<(Ticket, Ask)>,
    sends: VecDeque<Token>,
    sent: BytesMut,
    next_correlation: i32,
}

impl World {
    fn new(style: u8) -> World {
        let mut world = World {
            api: Api::new(ShardId(0), 1, ApiConfig::default()),
            controller: Controller::new(Arc::new(BrokerConfig::default())),
            now: Mono(1_000_000),
            style,
            open: true,
            asks: VecDeque::new(),
            sends: VecDeque::new(),
            sent: BytesMut::new(),
            next_correlation: 0,
        };
        let broker = controller::Broker { id: ME, rack: None, host: "one".into(), port: 9092 };
        world.decide(&controller::Ask::Boot { cluster_id_if_new: "cluster".into(), broker });
        let topic = controller::NewTopic {
            name: "t".into(),
            partitions: 2,
            replication_factor: -1,
            assignments: Vec::new(),
            configs: Vec::new(),
        };
        world.decide(&controller::Ask::CreateTopics { topics: vec![topic], validate_only: false });
        let peer: SocketAddr = ([127, 0, 0, 1], 9).into();
        world.act(|api, view, wish| api.on_opened(CONN, peer, ListenerId(0), 0, view, wish));
        world
    }

    fn decide(&mut self, ask: &controller::Ask) -> controller::Answer {
        let now = Now { mono: self.now, wall: Wall(0) };
        let entropy = u128::from(self.controller.image().version) + 99;
        let decision = self.controller.decide(now, ask, entropy);
        for record in &decision.records {
            self.controller.replay(&record.key, record.value.as_deref()).expect("its own record");
        }
        decision.answer
    }

    fn act(&mut self, act: impl FnOnce(&mut Api, &View<'_>, &mut Wish)) {
        let image = self.controller.image();
        let now = Now { mono: self.now, wall: Wall(0) };
        let view = View { image: &image, leaders: &AllHere, now, me: ME };
        let mut wish = Wish::new();
        act(&mut self.api, &view, &mut wish);
        self.api.flush(&view, &mut wish);
        self.asks.extend(wish.asks.into_iter().map(|(ticket, _, ask): (_, Target, _)| (ticket, ask)));
        for effect in wish.effects {
            match effect {
                Effect::Send { token, parts, .. } => {
                    assert!(self.open, "nothing is sent after a close");
                    self.sends.push_back(token);
                    parts.iter().for_each(|part| self.sent.extend_from_slice(part));
                }
                Effect::Close { .. } => self.open = false,
                _ => {}
            }
        }
        self.check_order();
    }

    /// Responses come in the order of requests; only acks=0 leaves one out.
    fn check_order(&mut self) {
        while let Some(size) = self.sent.first_chunk::<4>().map(|size| i32::from_be_bytes(*size) as usize) {
            assert!(size >= 4 && self.sent.len() >= 4 + size, "a send is whole responses");
            let correlation = i32::from_be_bytes([self.sent[4], self.sent[5], self.sent[6], self.sent[7]]);
            assert!(correlation >= self.next_correlation, "in order, each once");
            self.next_correlation = correlation.saturating_add(1);
            self.sent.advance(4 + size);
        }
    }

    fn receive(&mut self, bytes: Bytes) {
        if self.open && !bytes.is_empty() {
            self.act(|api, view, wish| api.on_received(CONN, bytes, view, wish));
        }
    }

    fn answer_all(&mut self) {
        for _ in 0..10_000 {
            if let Some(token) = self.sends.pop_front() {
                self.act(|api, view, wish| api.on_sent(token, view, wish));
            } else if let Some((ticket, ask)) = self.asks.pop_front() {
                let answer = self.answer(&ask);
                let from = Origin { core: ShardId(0), is_calm: true };
                self.act(|api, view, wish| api.on_answer(ticket, answer, from, view, wish));
            } else {
                return;
            }
        }
        panic!("asks without end");
    }

    fn answer(&mut self, ask: &Ask) -> Answer {
        match (self.style >> 1) % 4 {
            0 => return Answer::Unreachable,
            1 if matches!(ask, Ask::Partition(_)) => {
                let refusal = Refusal::NotLeader { leader: Some(ME), epoch: LeaderEpoch(4) };
                return Answer::Partition(partition::Answer::Refused(refusal));
            }
            _ => {}
        }
        match ask {
            Ask::Partition(ask) => Answer::Partition(answer_of_partition(ask)),
            Ask::Controller(ask) => Answer::Controller(self.decide(ask)),
            Ask::Group(_) => Answer::Unreachable,
            Ask::Space => Answer::Space { total: 1 << 40, free: 1 << 39 },
        }
    }

    fn end(mut self) {
        self.answer_all();
        // Whatever waits for a time, waits no longer.
        self.now = self.now.plus_ms(i32::MAX as u64);
        self.act(|api, view, wish| api.on_time(view, wish));
        self.answer_all();
        self.act(|api, view, wish| api.drain(view, wish));
        self.answer_all();
        self.act(|api, view, wish| api.on_closed(CONN, view, wish));
        self.answer_all();
        assert!(self.api.is_drained());
    }
}

fn answer_of_partition(ask: &partition::Ask) -> partition::Answer {
    use partition::{Answer as A, Ask as Q};
    match ask {
        Q::Append(_) => {
            A::Appended(partition::Appended { base: Offset(5), append_time: None, log_start: Offset::ZERO })
        }
        Q::Read(_) => A::Read(partition::Records {
            parts: vec![Bytes::from_static(b"a batch"), Bytes::from_static(b"another")],
            high_watermark: Offset(9),
            last_stable: Offset(9),
            log_start: Offset::ZERO,
            aborted: Vec::new(),
            diverging: None,
        }),
        Q::Watch { .. } => A::Ready,
        Q::FindOffset { .. } => {
            A::FoundOffset(partition::FoundOffset { offset: Some(Offset(3)), timestamp: 4, epoch: LeaderEpoch(3) })
        }
        Q::EpochEnd { .. } => A::EpochEnd { epoch: LeaderEpoch(3), end: Offset(9) },
        Q::DeleteRecords { .. } => A::LowWatermark(Offset(2)),
        Q::Describe => A::Described(partition::Described {
            bytes: 100,
            log_start: Offset::ZERO,
            high_watermark: Offset(9),
            end: Offset(9),
            term: Term(3),
            leader: Some(ME),
        }),
        Q::Producers => A::Producers(Vec::new()),
    }
}
