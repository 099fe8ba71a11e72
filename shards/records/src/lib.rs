//! Kafka's record batch v2 (KIP-98) as bytes: header view, CRC32C, walking, codecs, building small batches, markers.
//! Owns: the batch format, the codecs and their output limits, and the only fields that a broker rewrites.
//! Invariants: no reader panics or allocates by an unchecked length, whatever the bytes; every writer's CRC is right.
//! Does not know: partitions, requests, files, message sets older than v2.
//! Read first: `header.rs`, which draws the format.

mod builder;
mod codec;
mod error;
mod header;
mod inspect;
mod marker;
mod payload;
mod record;
mod renumber;
mod retain;
mod snappy;
mod stamp;
mod validate;
pub mod varint;

pub use builder::BatchBuilder;
pub use codec::{compress, decompress, is_linked_lz4};
pub use error::{Malformed, PayloadError};
pub use header::{HEADER_BYTES, Header};
pub use inspect::{find_timestamp, inspect, max_timestamp_record};
pub use marker::{Marker, marker, marker_kind};
pub use payload::{payload, recode};
pub use record::{Headers, Record, Records, records};
pub use renumber::renumber;
pub use retain::retain;
pub use stamp::{set_append_time, set_base_offset, set_create_time, set_leader_epoch};
pub use validate::{Batches, batches, crc_is_right, validate_header, validate_shape};
