//! The Kafka wire: bytes to request structs and back.
//! Owns: framing, the header peek, the table of versions, error codes, the guard in front of the decoder, fetch encoding.
//! Invariants: no input panics or allocates by a length that was not checked against the frame; nothing is defaulted silently.
//! Does not know: state, topics, partitions, who asks; record data passes through as opaque bytes.
//! Read first: `frame.rs`, then `decode.rs`; `shapes.rs` is the guard.

mod decode;
mod encode;
mod error_code;
mod fetch;
mod frame;
mod newer;
mod shapes;
mod shapes_table;
mod versions;

pub use decode::{DecodeError, decode_request};
pub use encode::{EncodeError, encode_response};
pub use error_code::ErrorCode;
pub use fetch::{Endpoint, FetchPartition, FetchResponse, FetchTopic, encode_fetch};
pub use frame::{Head, Header, MalformedHeader, SizeRefused, peek, read_size, split_header};
pub use newer::{encode_log_dirs, written_as};
pub use versions::{API_VERSIONS, Versions, is_flexible, versions_of};

pub use kafka_protocol::messages;
pub use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
pub use uuid::Uuid;

use heddle_model::TopicId;

/// A topic id as the wire's UUID.
pub fn uuid_of(id: TopicId) -> Uuid {
    Uuid::from_u128(id.0)
}

/// The wire's UUID as a topic id; the zero UUID is `TopicId::NONE`.
pub fn topic_id_of(uuid: Uuid) -> TopicId {
    TopicId(uuid.as_u128())
}

/// A wire string that owns its bytes.
pub fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}
