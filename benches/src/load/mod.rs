//! The open-loop load generator. Read `options.rs`, then `producer.rs`.

pub mod cluster;
pub mod consumer;
pub mod options;
pub mod producer;
pub mod report;
pub mod tally;
pub mod wire;
pub mod worker;
