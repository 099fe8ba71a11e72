//! What several targets share: a virtual disk's files as bytes, and what a fuzzer does to them between two lives.

pub mod image;
pub mod journal_life;
pub mod journal_sums;
pub mod log_life;
pub mod side_sums;
