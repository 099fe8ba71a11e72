//! Group members at the level of the wire: many connections, one thread, no client library. Read `net.rs`, then the runs.

pub mod beside;
pub mod classic;
pub mod commits;
pub mod consumer;
pub mod control;
pub mod measure;
pub mod net;
pub mod options;
