//! The gate that every request passes before it is decoded: version, and later authentication, authorization, quotas.

use heddle_protocol::{API_VERSIONS, Head, peek, versions_of};

use crate::context::Closed;
use crate::dispatch;

#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    /// Decode it and start the entry of this index in the dispatch table.
    Serve(Head, usize),
    /// ApiVersions in a version that we do not know. Its body is not read: the answer is a version 0 body with
    /// UNSUPPORTED_VERSION, from which the client learns the range.
    UnknownApiVersions(Head),
    Refuse(Closed),
}

/// Judge a frame by its first bytes. Kafka closes the connection on an API or version that it does not serve.
pub(crate) fn admit(frame: &[u8]) -> Admission {
    let Ok(head) = peek(frame) else { return Admission::Refuse(Closed::Malformed) };
    let (Some(at), Some(versions)) = (dispatch::find(head.key), versions_of(head.key)) else {
        return Admission::Refuse(Closed::NotServed);
    };
    match versions.accepts(head.version) {
        true => Admission::Serve(head, at),
        false if head.key == API_VERSIONS => Admission::UnknownApiVersions(head),
        false => Admission::Refuse(Closed::NotServed),
    }
}
