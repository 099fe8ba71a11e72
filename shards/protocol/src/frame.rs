//! Frames and request headers: `int32 size | header | body`.
//!
//! Request header: `int16 key | int16 version | int32 correlation id | nullable string client id`, and in flexible
//! versions tagged fields behind it (the client id stays a classic string there).

use bytes::{Buf, Bytes};
use kafka_protocol::protocol::StrBytes;

use crate::versions::is_flexible;

/// Why a frame's size is not accepted; the connection cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SizeRefused {
    Negative(i32),
    TooLarge { bytes: usize, max: usize },
}

/// The size of the frame that follows these four bytes. Bytes, without the four.
pub fn read_size(prefix: [u8; 4], max: usize) -> Result<usize, SizeRefused> {
    let size = i32::from_be_bytes(prefix);
    let bytes = usize::try_from(size).map_err(|_| SizeRefused::Negative(size))?;
    if bytes > max { Err(SizeRefused::TooLarge { bytes, max }) } else { Ok(bytes) }
}

/// The part of a request header that is the same in every version, unknown ones included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    pub key: i16,
    pub version: i16,
    pub correlation_id: i32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    pub head: Head,
    /// Shares memory with the frame.
    pub client_id: Option<StrBytes>,
}

/// The frame is too short for a header, or its client id is not UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MalformedHeader;

/// Key, version and correlation id of a frame.
pub fn peek(frame: &[u8]) -> Result<Head, MalformedHeader> {
    let mut bytes = frame;
    Ok(Head {
        key: bytes.try_get_i16().map_err(|_| MalformedHeader)?,
        version: bytes.try_get_i16().map_err(|_| MalformedHeader)?,
        correlation_id: bytes.try_get_i32().map_err(|_| MalformedHeader)?,
    })
}

/// Split a frame into its header and its body. The key and version must be known ones: they say which header this is.
pub fn split_header(mut frame: Bytes) -> Result<(Header, Bytes), MalformedHeader> {
    let head = peek(&frame)?;
    frame.advance(8);
    let length = frame.try_get_i16().map_err(|_| MalformedHeader)?;
    let client_id = match usize::try_from(length) {
        Ok(length) if length <= frame.len() => {
            Some(StrBytes::from_utf8(frame.split_to(length)).map_err(|_| MalformedHeader)?)
        }
        Err(_) if length == -1 => None,
        _ => return Err(MalformedHeader),
    };
    if is_flexible(head.key, head.version) {
        skip_tagged_fields(&mut frame)?;
    }
    Ok((Header { head, client_id }, frame))
}

fn skip_tagged_fields(frame: &mut Bytes) -> Result<(), MalformedHeader> {
    for _ in 0..varint(frame)? {
        varint(frame)?;
        let size = varint(frame)? as usize;
        if size > frame.len() {
            return Err(MalformedHeader);
        }
        frame.advance(size);
    }
    Ok(())
}

/// As `UNSIGNED_VARINT`: five bytes at most.
pub(crate) fn varint(frame: &mut Bytes) -> Result<u32, MalformedHeader> {
    let mut value = 0;
    for at in 0..5 {
        let byte = u32::from(frame.try_get_u8().map_err(|_| MalformedHeader)?);
        value |= (byte & 0x7f) << (at * 7);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(MalformedHeader)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_at_and_beyond_the_bounds() {
        assert_eq!(read_size(100i32.to_be_bytes(), 100), Ok(100));
        assert_eq!(read_size(101i32.to_be_bytes(), 100), Err(SizeRefused::TooLarge { bytes: 101, max: 100 }));
        assert_eq!(read_size((-1i32).to_be_bytes(), 100), Err(SizeRefused::Negative(-1)));
        assert_eq!(read_size([0x80, 0, 0, 0], 100), Err(SizeRefused::Negative(i32::MIN)));
    }

    #[test]
    fn a_flexible_header_skips_tagged_fields() {
        let frame = Bytes::from_static(&[0, 18, 0, 3, 0, 0, 0, 7, 0, 2, b'm', b'e', 1, 9, 2, 0xaa, 0xbb, 0x42]);
        let (header, body) = split_header(frame).expect("well formed");
        assert_eq!(header.head, Head { key: 18, version: 3, correlation_id: 7 });
        assert_eq!(header.client_id.as_deref(), Some("me"));
        assert_eq!(&body[..], [0x42]);
    }

    #[test]
    fn a_classic_header_ends_at_the_client_id() {
        let frame = Bytes::from_static(&[0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0x42]);
        let (header, body) = split_header(frame).expect("well formed");
        assert_eq!(header.client_id, None);
        assert_eq!(&body[..], [0x42]);
    }

    #[test]
    fn headers_that_lie_about_lengths_are_refused() {
        for bad in [
            &[0, 3, 0, 1, 0, 0, 0][..],
            &[0, 3, 0, 1, 0, 0, 0, 7, 0],
            &[0, 3, 0, 1, 0, 0, 0, 7, 0, 5, b'x'],
            &[0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xfe],
            &[0, 3, 0, 1, 0, 0, 0, 7, 0, 1, 0xff],
            &[0, 18, 0, 3, 0, 0, 0, 7, 0, 0, 1, 1, 9],
            &[0, 18, 0, 3, 0, 0, 0, 7, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(split_header(Bytes::copy_from_slice(bad)), Err(MalformedHeader), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(frame in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = split_header(Bytes::from(frame));
        }
    }
}
