//! A client's requests: bytes of a connection in, asks out; answers in, bytes out.
//! Owns: connections and request order, the dispatch table, fetch sessions, one file per Kafka API, the map to error codes.
//! Invariants: each accepted request is answered once and in order, or its connection closes; what is pending is bounded.
//! Does not know: raft, log, which core or node owns what; it returns asks and gets answers.
//! Read first: `ask.rs`, `api.rs`, `context.rs`, then any file in `handlers/`.

mod admit;
mod api;
mod ask;
mod config;
mod connection;
mod context;
mod controlled;
mod dispatch;
mod error_codes;
mod errors;
mod fetch_sessions;
mod follow;
mod grouped;
mod handlers;
mod histogram;
mod inbox;
mod jobs;
mod operations;
mod producer_ids;
mod resources;
mod stats;
#[cfg(test)]
mod testing;
mod topics;

pub use api::{Api, Reading};
pub use ask::{Answer, Ask, Leaders, Target, View, Wish};
pub use config::ApiConfig;
pub use follow::Origin;
pub use histogram::{Histogram, REQUEST_BOUNDS_US};
pub use stats::{ApiStats, Stats};
