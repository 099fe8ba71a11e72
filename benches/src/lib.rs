//! Benches of Heddle: one bench per promise (`src/bin`), and the load generator that speaks to any Kafka broker.

pub mod groups;
pub mod load;
