//! Counts for operators, per core.

use std::collections::BTreeMap;

use heddle_protocol::ErrorCode;

use crate::context::{Closed, Reply};
use crate::dispatch::APIS;
use crate::histogram::Histogram;

#[derive(Clone, Debug)]
pub struct ApiStats {
    pub name: &'static str,
    pub key: i16,
    /// Answered requests and the time from their start to their answer.
    pub latency: Histogram,
    /// Errors in answers, by code: one for each partition, topic or group that has one.
    pub errors: BTreeMap<ErrorCode, u64>,
}

impl ApiStats {
    pub(crate) fn on_reply(&mut self, took_us: u64, reply: &Reply) {
        self.latency.record(took_us);
        if let Reply::Send { errors, .. } = reply {
            for code in errors {
                *self.errors.entry(ErrorCode::of(*code).unwrap_or(ErrorCode::UnknownServerError)).or_default() += 1;
            }
        }
    }
}

#[derive(Clone, Debug)]
pub struct Stats {
    /// In the order of the keys.
    pub apis: Vec<ApiStats>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Open now.
    pub connections: usize,
    pub connections_opened: u64,
    /// Connections that went to the core their records go to.
    pub connections_moved: u64,
    /// Requests under way now.
    pub in_flight: usize,
    /// Asks under way now, those of requests that ended by their deadline included.
    pub asks: usize,
    /// Connections closed from this side, by reason; every reason is there from the start.
    pub closed: BTreeMap<&'static str, u64>,
    /// Fetch sessions kept now.
    pub fetch_sessions: usize,
}

impl Stats {
    pub(crate) fn new() -> Stats {
        let of = |served: &crate::dispatch::Served| ApiStats {
            name: served.name,
            key: served.key,
            latency: Histogram::default(),
            errors: BTreeMap::new(),
        };
        Stats {
            apis: APIS.iter().map(of).collect(),
            bytes_in: 0,
            bytes_out: 0,
            connections: 0,
            connections_opened: 0,
            connections_moved: 0,
            in_flight: 0,
            asks: 0,
            closed: Closed::ALL.into_iter().map(|why| (why.name(), 0)).collect(),
            fetch_sessions: 0,
        }
    }
}
