//! The group coordinator: consumer groups of both protocols and the offsets that they commit.
//! Owns: one `Groups` for each partition of `__consumer_offsets`, the format of its records (Apache Kafka's own schemas).
//! Invariants: hard state changes by `replay` only; `decide` and `tick` change soft state only; equal records, equal state.
//! Does not know: where its records are stored, who replicates them, which core it runs on, versions of the Kafka wire.
//! Read first: `ask.rs`.

mod admin;
mod ask;
mod classic;
mod consumer;
mod decide;
mod decision;
mod door;
mod hard;
mod modern;
mod names;
mod offsets;
mod placement;
mod retention;
mod schema;
mod settings;
mod soft;
mod survey;
mod sweep;
mod timers;
mod topics;

pub use ask::*;
pub use consumer::is_regex;
pub use decision::*;
pub use hard::Groups;
pub use names::*;
pub use placement::partition_of;
pub use settings::*;
pub use soft::Soft;
pub use survey::*;
pub use topics::*;

#[cfg(test)]
mod script;
