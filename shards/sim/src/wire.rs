//! Requests and answers as bytes, as a client has them.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use heddle_protocol::{Decodable, Encodable, HeaderVersion, is_flexible};

/// A request frame with its size prefix.
pub fn frame<R: Encodable>(key: i16, version: i16, correlation: i32, request: &R) -> Bytes {
    let mut body = BytesMut::new();
    body.put_i16(key);
    body.put_i16(version);
    body.put_i32(correlation);
    body.put_i16(3);
    body.put_slice(b"sim");
    if is_flexible(key, version) {
        body.put_u8(0);
    }
    request.encode(&mut body, version).expect("the simulator's requests fit their versions");
    let mut out = BytesMut::with_capacity(body.len() + 4);
    out.put_i32(body.len() as i32);
    out.put(body);
    out.freeze()
}

/// The next whole answer of a stream: correlation id, and what follows it.
pub fn next_answer(stream: &mut BytesMut) -> Option<(i32, Bytes)> {
    let size = u32::from_be_bytes(*stream.first_chunk()?) as usize;
    if stream.len() < 4 + size {
        return None;
    }
    let mut answer = stream.split_to(4 + size).freeze();
    answer.advance(4);
    Some((answer.get_i32(), answer))
}

/// # Errors
/// If the bytes are not such an answer.
pub fn read<R: Decodable + HeaderVersion>(mut answer: Bytes, version: i16) -> Result<R, String> {
    if R::header_version(version) == 1 {
        if answer.first() != Some(&0) {
            return Err("a response header with tagged fields".into());
        }
        answer.advance(1);
    }
    let response = R::decode(&mut answer, version).map_err(|e| format!("an answer does not decode: {e}"))?;
    if answer.is_empty() { Ok(response) } else { Err(format!("{} bytes behind an answer", answer.len())) }
}
