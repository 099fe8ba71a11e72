//! The requests of administrators, each in every version, against a real controller.

mod answered_here;
mod broker;
mod configs;
mod partitions;
mod topics;
