//! The group coordinator: consumer groups of both protocols and the offsets that they commit.
//! Owns: one `Groups` for each partition of `__consumer_offsets`, the format of its records (Apache Kafka's own schemas).
//! Invariants: hard state changes by `replay` only; `decide` and `tick` change soft state only; equal records, equal state.
//! Does not know: where its records are stored, who replicates them, which core it runs on, versions of the Kafka wire.
//! Read first: `ask.rs`.

mod ask;
mod decision;
mod names;
mod settings;
mod topics;

pub use ask::*;
pub use decision::*;
pub use names::*;
pub use settings::*;
pub use topics::*;
