//! Request bodies to structs, behind the guard.

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, RequestKind};

use crate::newer;
use crate::shapes::walk;
use crate::shapes_table::REQUESTS;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// No such API, or not in this version.
    UnknownVersion,
    /// A length on the wire exceeds what is there, or a bound of ours.
    Overrun,
    /// Everything is there, but the decoder refuses it: not UTF-8, null where null is not allowed.
    Malformed(String),
}

/// Decode a request's body (the frame without its header). Strings and records share memory with `body`.
pub fn decode_request(key: i16, version: i16, mut body: Bytes) -> Result<RequestKind, DecodeError> {
    let version = newer::written_as(key, version);
    if let Some(newer) = newer::find(key, version) {
        walk(newer.shape, version, &body).map_err(|_| DecodeError::Overrun)?;
        return (newer.read)(&mut body);
    }
    let at = REQUESTS.binary_search_by_key(&key, |request| request.0).map_err(|_| DecodeError::UnknownVersion)?;
    let (_, min, max, shape) = &REQUESTS[at];
    if !(*min..=*max).contains(&version) {
        return Err(DecodeError::UnknownVersion);
    }
    walk(shape, version, &body).map_err(|_| DecodeError::Overrun)?;
    let api = ApiKey::try_from(key).map_err(|_| DecodeError::UnknownVersion)?;
    RequestKind::decode(api, &mut body, version).map_err(|error| DecodeError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use proptest::prelude::*;
    use proptest::test_runner::TestRng;

    use super::*;
    use crate::shapes::{ELEMENTS_MAX, Shape, Wire};

    /// Writes a well-formed body by its shape, drawing every choice from `rng`.
    struct Writer<'a> {
        out: BytesMut,
        version: i16,
        rng: &'a mut TestRng,
    }

    impl Writer<'_> {
        fn below(&mut self, bound: u32) -> u32 {
            self.rng.next_u32() % bound
        }

        fn varint(&mut self, mut value: u32) {
            while value >= 0x80 {
                self.out.put_u8(value as u8 | 0x80);
                value >>= 7;
            }
            self.out.put_u8(value as u8);
        }

        fn shape(&mut self, shape: &Shape) {
            for field in shape.fields {
                if (field.from..=field.to).contains(&self.version) {
                    self.wire(&field.wire);
                }
            }
            if self.version >= shape.flexible_from {
                let known: Vec<_> = shape.tags.iter().filter(|tag| tag.from <= self.version).collect();
                self.varint(known.len() as u32 + 1);
                for tag in known {
                    let mut inner = Writer { out: BytesMut::new(), version: self.version, rng: self.rng };
                    inner.wire(&tag.wire);
                    let bytes = inner.out;
                    self.varint(tag.tag);
                    self.varint(bytes.len() as u32);
                    self.out.put_slice(&bytes);
                }
                self.varint(777);
                self.varint(3);
                self.out.put_slice(b"new");
            }
        }

        fn wire(&mut self, wire: &Wire) {
            match wire {
                Wire::Fixed(bytes) => {
                    for _ in 0..*bytes {
                        let byte = self.below(256) as u8;
                        self.out.put_u8(byte);
                    }
                }
                Wire::Text => {
                    let len = self.below(4);
                    self.out.put_i16(len as i16);
                    self.letters(len);
                }
                Wire::Bytes => {
                    let len = self.below(4);
                    self.out.put_i32(len as i32);
                    self.letters(len);
                }
                Wire::CompactText | Wire::CompactBytes => {
                    let len = self.below(4);
                    self.varint(len + 1);
                    self.letters(len);
                }
                Wire::Array(element) => {
                    let count = self.below(4);
                    self.out.put_i32(count as i32);
                    (0..count).for_each(|_| self.wire(element));
                }
                Wire::CompactArray(element) => {
                    let count = self.below(4);
                    self.varint(count + 1);
                    (0..count).for_each(|_| self.wire(element));
                }
                Wire::Struct(shape) => self.shape(shape),
                Wire::OptionStruct(shape) => {
                    if self.below(2) == 1 {
                        self.out.put_i8(1);
                        self.shape(shape);
                    } else {
                        self.out.put_i8(-1);
                    }
                }
            }
        }

        fn letters(&mut self, len: u32) {
            (0..len).for_each(|at| self.out.put_u8(b'a' + at as u8));
        }
    }

    fn written(shape: &'static Shape, version: i16, rng: &mut TestRng) -> Bytes {
        let mut writer = Writer { out: BytesMut::new(), version, rng };
        writer.shape(shape);
        writer.out.freeze()
    }

    fn rng() -> TestRng {
        TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha)
    }

    /// The table agrees with the crate: what is written by a shape decodes, and both read the same number of bytes.
    #[test]
    fn every_shape_in_every_version_is_what_the_decoder_reads() {
        let mut rng = rng();
        for (key, min, max, shape) in REQUESTS {
            for version in *min..=*max {
                for _ in 0..20 {
                    let body = written(shape, version, &mut rng);
                    assert_eq!(walk(shape, version, &body), Ok(body.len()), "walk of {key} v{version}");
                    let mut rest = body.clone();
                    let api = ApiKey::try_from(*key).expect("known");
                    let decoded = RequestKind::decode(api, &mut rest, version);
                    assert!(decoded.is_ok(), "decode of {key} v{version}: {decoded:?} {body:?}");
                    assert_eq!(rest.len(), 0, "rest of {key} v{version}");
                    assert!(decode_request(key.to_owned(), version, body).is_ok());
                }
            }
        }
    }

    /// The same of the versions that are read here.
    #[test]
    fn every_newer_shape_is_what_is_read() {
        let mut rng = rng();
        for newer in newer::NEWER {
            for _ in 0..200 {
                let body = written(newer.shape, newer.version, &mut rng);
                assert_eq!(walk(newer.shape, newer.version, &body), Ok(body.len()), "walk of {}", newer.key);
                let mut rest = body.clone();
                let read = (newer.read)(&mut rest);
                assert!(read.is_ok(), "{}: {read:?} {body:?}", newer.key);
                assert_eq!(rest.len(), 0, "rest of {}", newer.key);
            }
        }
    }

    /// All that is accepted, with the shape and the version that a body is written by.
    fn every_version() -> Vec<(i16, i16, &'static Shape, i16)> {
        let versions = |(key, min, max, shape): &(i16, i16, i16, &'static Shape)| {
            let (key, max, shape) = (*key, *max, *shape);
            let newer = newer::newest(key).map(|version| match newer::find(key, version) {
                Some(newer) => (key, version, newer.shape, version),
                None => (key, version, shape, newer::written_as(key, version)),
            });
            (*min..=max).map(move |version| (key, version, shape, version)).chain(newer).collect::<Vec<_>>()
        };
        REQUESTS.iter().flat_map(versions).collect()
    }

    #[test]
    fn a_body_cut_anywhere_is_refused() {
        let mut rng = rng();
        for (key, version, shape, written_as) in every_version() {
            let body = written(shape, written_as, &mut rng);
            assert!(decode_request(key, version, body.clone()).is_ok(), "{key} v{version}");
            for cut in 0..body.len() {
                let result = decode_request(key, version, body.slice(..cut));
                assert_eq!(result.err(), Some(DecodeError::Overrun), "{key} v{version} at {cut}");
            }
        }
    }

    /// The bytes that abort a process which trusts the crate: an array of 0x033c0c00 topics.
    #[test]
    fn the_metadata_bytes_that_abort() {
        let body = Bytes::from_static(&[0x03, 0x3c, 0x0c, 0x00, 0xb6]);
        assert_eq!(decode_request(3, 1, body).err(), Some(DecodeError::Overrun));
    }

    #[test]
    fn too_many_elements_are_refused_though_they_are_there() {
        let body = |count: usize| {
            let mut out = BytesMut::new();
            out.put_i32(count as i32);
            (0..count).for_each(|_| out.put_i16(0));
            out.freeze()
        };
        assert!(decode_request(3, 1, body(ELEMENTS_MAX)).is_ok());
        assert_eq!(decode_request(3, 1, body(ELEMENTS_MAX + 1)).err(), Some(DecodeError::Overrun));
    }

    #[test]
    fn a_known_tag_with_a_wrong_size_is_refused() {
        // Fetch v12, empty, with tag 0 (cluster id) holding "a": once with its right size 2, once with 3.
        let body = |size: u8| {
            let mut out = BytesMut::new();
            out.put_bytes(0, 4 + 4 + 4 + 4 + 1 + 4 + 4);
            out.put_slice(&[1, 1, 1, 1, 0, size, 2, b'a', 0]);
            out.freeze()
        };
        assert!(decode_request(1, 12, body(2)).is_ok());
        assert_eq!(decode_request(1, 12, body(3)).err(), Some(DecodeError::Overrun));
    }

    #[test]
    fn unknown_keys_and_versions() {
        assert_eq!(decode_request(4, 0, Bytes::new()).err(), Some(DecodeError::UnknownVersion));
        assert_eq!(decode_request(0, 2, Bytes::new()).err(), Some(DecodeError::UnknownVersion));
        assert_eq!(decode_request(0, 14, Bytes::new()).err(), Some(DecodeError::UnknownVersion));
        assert_eq!(decode_request(-1, -1, Bytes::new()).err(), Some(DecodeError::UnknownVersion));
    }

    /// The place of one in `every_version`.
    fn any_request() -> impl Strategy<Value = usize> {
        0..every_version().len()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// A capacity beyond the frame would abort or exceed the walk's bounds; here it would be seen as an abort.
        #[test]
        fn random_bodies_never_panic(at in any_request(), body in prop::collection::vec(any::<u8>(), 0..200)) {
            let (key, version, ..) = every_version()[at];
            let _ = decode_request(key, version, Bytes::from(body));
        }

        #[test]
        fn damaged_bodies_never_panic(at in any_request(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
            let (key, version, shape, written_as) = every_version()[at];
            let mut body = written(shape, written_as, &mut rng()).to_vec();
            for (index, byte) in flips {
                if !body.is_empty() {
                    let at = index.index(body.len());
                    body[at] = byte;
                }
            }
            let _ = decode_request(key, version, Bytes::from(body));
        }
    }
}
