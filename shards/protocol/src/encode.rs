//! Response structs to bytes: `int32 size | header | body` in one allocation.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

/// The struct sets a field that this version lacks, or is larger than a frame can be. Our bug, never the client's; the
/// connection cannot go on, the process can.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodeError(pub String);

/// Encode a response with its size prefix and header.
pub fn encode_response<R>(version: i16, correlation_id: i32, response: &R) -> Result<Bytes, EncodeError>
where
    R: Encodable + HeaderVersion,
{
    let failed = |error: &dyn std::fmt::Display| EncodeError(error.to_string());
    let header = if R::header_version(version) >= 1 { 5 } else { 4 };
    let size = header + response.compute_size(version).map_err(|error| failed(&error))?;
    let prefix = i32::try_from(size).map_err(|error| failed(&error))?;
    let mut out = BytesMut::with_capacity(4 + size);
    out.put_i32(prefix);
    out.put_i32(correlation_id);
    if header == 5 {
        out.put_u8(0);
    }
    response.encode(&mut out, version).map_err(|error| failed(&error))?;
    if out.len() != 4 + size {
        return Err(EncodeError(format!("{} bytes where {} were announced", out.len() - 4, size)));
    }
    Ok(out.freeze())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{ApiVersionsResponse, HeartbeatResponse};

    use super::*;

    #[test]
    fn header_versions() {
        let heartbeat = HeartbeatResponse::default();
        assert_eq!(&encode_response(3, 9, &heartbeat).expect("fits")[..], [0, 0, 0, 10, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            &encode_response(4, 9, &heartbeat).expect("fits")[..],
            [0, 0, 0, 12, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0]
        );
        // ApiVersions answers with header 0 even in flexible versions.
        let versions = ApiVersionsResponse::default();
        assert_eq!(
            &encode_response(3, 9, &versions).expect("fits")[..],
            [0, 0, 0, 12, 0, 0, 0, 9, 0, 0, 1, 0, 0, 0, 0, 0]
        );
    }

    #[test]
    fn a_field_that_the_version_lacks_is_an_error() {
        let response =
            kafka_protocol::messages::InitProducerIdResponse::default().with_ongoing_txn_producer_id(7.into());
        assert!(encode_response(0, 1, &response).is_err());
    }
}
