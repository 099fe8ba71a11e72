//! A frame from an unauthenticated client: header and body of any API and version. Nothing panics, and no length on the
//! wire is allocated for before it is checked (the run's memory limit would trip).
#![no_main]

use bytes::Bytes;
use heddle_protocol::{decode_request, peek, split_header, versions_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let frame = Bytes::copy_from_slice(data);
    let _ = peek(&frame);
    if let Ok((header, body)) = split_header(frame) {
        let _ = decode_request(header.head.key, header.head.version, body);
    }
    // The first two bytes choose among the known, so that little is wasted on others.
    if let [key, version, body @ ..] = data
        && let Some(known) = versions_of(i16::from(key % 96))
    {
        let span = (known.max - known.min + 1) as u8;
        let _ = decode_request(known.key, known.min + i16::from(version % span), Bytes::copy_from_slice(body));
    }
});
