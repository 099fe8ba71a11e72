//! Counts for operators, per core.

use std::collections::BTreeMap;

use crate::dispatch::APIS;
use crate::histogram::Histogram;

#[derive(Clone, Debug)]
pub struct ApiStats {
    pub name: &'static str,
    pub key: i16,
    /// Answered requests and the time from their start to their answer.
    pub latency: Histogram,
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
    /// Requests under way now.
    pub in_flight: usize,
    /// Asks under way now, those of requests that ended by their deadline included.
    pub asks: usize,
    /// Connections closed from this side, by reason.
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
        };
        Stats {
            apis: APIS.iter().map(of).collect(),
            bytes_in: 0,
            bytes_out: 0,
            connections: 0,
            connections_opened: 0,
            in_flight: 0,
            asks: 0,
            closed: BTreeMap::new(),
            fetch_sessions: 0,
        }
    }
}
