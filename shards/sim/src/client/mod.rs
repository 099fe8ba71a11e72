//! Clients: each has one connection at a time, and a role that says what it asks and what it makes of the answers.

pub mod admin;
pub mod committer;
pub mod consumer;
pub mod fetched;
pub mod members;
pub mod producer;
pub mod register;
pub mod scanner;

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use heddle_border::ConnId;
use heddle_fakedisk::Dice;

use crate::catalog::Catalog;
use crate::check::{Checkers, Seen};
use crate::lies::Lie;
use crate::link::Heard;
use crate::node::Node;
use crate::plan::Plan;
use crate::trace::Trace;
use crate::wire;

/// What all clients share.
pub struct Cx<'a> {
    pub plan: &'a Plan,
    pub dice: &'a mut Dice,
    pub catalog: &'a mut Catalog,
    pub checkers: &'a mut Checkers,
    pub trace: &'a mut Trace,
    pub next_number: &'a mut u64,
    pub lie: Option<Lie>,
    /// The present step.
    pub at: u64,
    pub boot: u32,
    pub wall_ms: i64,
    pub now_us: u64,
    /// Said by a role that was refused: how long it waits before it asks again.
    pub rest_ms: u64,
    /// Nothing new is begun any more.
    pub draining: bool,
}

impl Cx<'_> {
    pub fn see(&mut self, seen: Seen<'_>) {
        self.checkers.see(self.at, seen);
    }

    pub fn say(&mut self, line: impl FnOnce() -> String) {
        let at = self.at;
        self.trace.say(|| format!("{at}: {}", line()));
    }

    /// Whether a lie of this kind is told now.
    pub fn lies(&mut self, lie: Lie, percent: u64) -> bool {
        self.lie == Some(lie) && self.dice.chance(percent)
    }
}

pub struct Request {
    pub frame: Bytes,
    /// False: acks=0, to which nothing is answered.
    pub answered: bool,
}

pub trait Role {
    fn next(&mut self, correlation: i32, cx: &mut Cx<'_>) -> Option<Request>;

    /// `asked`: the step in which the request left.
    ///
    /// # Errors
    /// If this is no sound answer to what was asked.
    fn on_answer(&mut self, correlation: i32, answer: Bytes, asked: u64, cx: &mut Cx<'_>) -> Result<(), String>;

    /// The connection ended: what is unanswered will stay so.
    fn on_lost(&mut self);

    /// Nothing is left to do.
    fn is_done(&self) -> bool;

    /// How often of a hundred times it acts when it may.
    fn eagerness(&self) -> u64 {
        100
    }

    /// Whether it sometimes goes away in the middle of something.
    fn leaves(&self) -> bool {
        true
    }
}

pub struct Client {
    pub conn: Option<ConnId>,
    stream: BytesMut,
    correlation: i32,
    asked: BTreeMap<i32, u64>,
    /// Of planted faults: an answer kept back.
    kept_back: Option<(i32, Bytes)>,
    rest_until_us: u64,
    pub role: Box<dyn Role>,
}

impl Client {
    pub fn new(role: Box<dyn Role>) -> Client {
        Client {
            conn: None,
            stream: BytesMut::new(),
            correlation: 0,
            asked: BTreeMap::new(),
            kept_back: None,
            rest_until_us: 0,
            role,
        }
    }

    pub fn is_done(&self) -> bool {
        self.asked.is_empty() && self.role.is_done()
    }

    /// Connect, ask something, or go away. Says whether anything was done.
    pub fn step(&mut self, node: &mut Node, cx: &mut Cx<'_>) -> bool {
        if !node.serving || !node.is_up() || cx.now_us < self.rest_until_us {
            return false;
        }
        if !cx.draining && !cx.dice.chance(self.role.eagerness()) {
            return false;
        }
        let Some(conn) = self.conn else {
            self.conn = Some(node.connect());
            return true;
        };
        if !cx.draining && self.role.leaves() && cx.dice.below(500) == 0 {
            if let Some(link) = node.links.get_mut(&conn) {
                link.left = true;
            }
            self.on_lost(conn, cx);
            return true;
        }
        let Some(request) = self.role.next(self.correlation, cx) else { return false };
        if request.answered {
            cx.see(Seen::Request { conn: conn.0, correlation: self.correlation });
            self.asked.insert(self.correlation, cx.at);
        }
        self.correlation += 1;
        if let Some(link) = node.links.get_mut(&conn) {
            link.to_server.push_back(request.frame);
        }
        true
    }

    pub fn hear(&mut self, conn: ConnId, heard: Heard, cx: &mut Cx<'_>) {
        if self.conn != Some(conn) {
            return;
        }
        let parts = match heard {
            Heard::Bytes(parts) => parts,
            Heard::Closed => return self.on_lost(conn, cx),
        };
        parts.iter().for_each(|part| self.stream.extend_from_slice(part));
        while let Some((correlation, answer)) = wire::next_answer(&mut self.stream) {
            self.take(conn, correlation, answer, cx);
        }
    }

    /// One answer, as the network brings it: in lies twice, never, or behind the next.
    fn take(&mut self, conn: ConnId, correlation: i32, answer: Bytes, cx: &mut Cx<'_>) {
        if cx.lies(Lie::AnswerLost, 1) {
            return;
        }
        if self.kept_back.is_none() && cx.lies(Lie::AnswersSwapped, 10) {
            self.kept_back = Some((correlation, answer));
            return;
        }
        if cx.lies(Lie::AnsweredTwice, 2) {
            self.on_answer(conn, correlation, answer.clone(), cx);
        }
        self.on_answer(conn, correlation, answer, cx);
        if let Some((correlation, answer)) = self.kept_back.take() {
            self.on_answer(conn, correlation, answer, cx);
        }
    }

    fn on_answer(&mut self, conn: ConnId, correlation: i32, answer: Bytes, cx: &mut Cx<'_>) {
        cx.see(Seen::Response { conn: conn.0, correlation });
        let Some(asked) = self.asked.remove(&correlation) else { return };
        if let Err(text) = self.role.on_answer(correlation, answer, asked, cx) {
            cx.checkers.fail("sound-answers", format!("{text} (step {})", cx.at));
        }
        let rest_ms = std::mem::take(&mut cx.rest_ms);
        self.rest_until_us = self.rest_until_us.max(cx.now_us + rest_ms * 1000);
    }

    fn on_lost(&mut self, conn: ConnId, cx: &mut Cx<'_>) {
        cx.see(Seen::Hangup { conn: conn.0 });
        cx.say(|| format!("connection {} ended", conn.0));
        self.conn = None;
        self.stream.clear();
        self.asked.clear();
        self.kept_back = None;
        self.role.on_lost();
    }
}

/// Errors after which a client simply asks again.
pub fn is_retriable(error: i16) -> bool {
    // Timed out, not available, loading, not coordinator, not leader, not enough replicas, storage, network,
    // leader or controller not there, stale or unknown epoch.
    matches!(error, 5 | 6 | 7 | 13 | 14 | 15 | 16 | 19 | 20 | 41 | 56 | 74 | 76)
}

/// KAFKA_STORAGE_ERROR, UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, OUT_OF_ORDER_SEQUENCE_NUMBER,
/// OFFSET_OUT_OF_RANGE.
pub const STORAGE: i16 = 56;
pub const UNKNOWN_TOPIC: i16 = 3;
pub const UNKNOWN_TOPIC_ID: i16 = 100;
pub const OUT_OF_ORDER: i16 = 45;
pub const OUT_OF_RANGE: i16 = 1;
