//! Kafka's primitive encodings, as far as coordinator records need them: plain (non-flexible) and flexible ones.
//! Reading never allocates by a length that the bytes at hand do not cover.

use bytes::{BufMut, Bytes, BytesMut};

use crate::Malformed;

type Result<T> = std::result::Result<T, Malformed>;

/// The longest text that Kafka's `string` can carry. Bytes.
pub const TEXT_BYTES_MAX: usize = i16::MAX as usize;

/// Consumes a record's key or value from its beginning. Lengths are varints in flexible versions (KIP-482), and each
/// structure ends with tagged fields there.
pub struct Reader {
    bytes: Bytes,
    flexible: bool,
}

impl Reader {
    pub fn new(bytes: Bytes) -> Reader {
        Reader { bytes, flexible: false }
    }

    /// The version that a value begins with, at most `newest`; versions are flexible from `flexible` on.
    pub fn version(&mut self, newest: i16, flexible: i16) -> Result<i16> {
        let version = self.i16()?;
        if !(0..=newest).contains(&version) {
            return Err(Malformed("version of a value"));
        }
        self.flexible = version >= flexible;
        Ok(version)
    }

    fn take(&mut self, count: usize) -> Result<Bytes> {
        if count > self.bytes.len() {
            return Err(Malformed("record ends early"));
        }
        Ok(self.bytes.split_to(count))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(&self.take(N)?);
        Ok(out)
    }

    pub fn i8(&mut self) -> Result<i8> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    pub fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub fn uuid(&mut self) -> Result<u128> {
        Ok(u128::from_be_bytes(self.array()?))
    }

    /// Unsigned varint, at most five bytes.
    pub fn varint(&mut self) -> Result<u32> {
        let mut value: u64 = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| Malformed("varint too large"));
            }
        }
        Err(Malformed("varint too long"))
    }

    fn text(&mut self, length: i64) -> Result<Option<String>> {
        if length < 0 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| Malformed("length"))?;
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Malformed("text is not UTF-8"))?;
        Ok(Some(text.to_owned()))
    }

    /// A length as this version writes it; -1 is null. `plain` reads the other versions'.
    fn length(&mut self, plain: impl FnOnce(&mut Reader) -> Result<i64>) -> Result<i64> {
        if self.flexible { Ok(i64::from(self.varint()?) - 1) } else { plain(self) }
    }

    pub fn nullable_string(&mut self) -> Result<Option<String>> {
        let length = self.length(|reader| reader.i16().map(i64::from))?;
        self.text(length)
    }

    pub fn string(&mut self) -> Result<String> {
        self.nullable_string()?.ok_or(Malformed("text is null"))
    }

    pub fn nullable_bytes(&mut self) -> Result<Option<Bytes>> {
        match self.length(|reader| reader.i32().map(i64::from))? {
            -1 => Ok(None),
            length => self.take(usize::try_from(length).map_err(|_| Malformed("length"))?).map(Some),
        }
    }

    pub fn bytes(&mut self) -> Result<Bytes> {
        self.nullable_bytes()?.ok_or(Malformed("bytes are null"))
    }

    /// How many elements follow, checked against what can be there if each takes at least `element_bytes`.
    pub fn count(&mut self, element_bytes: usize) -> Result<usize> {
        let count = self.length(|reader| reader.i32().map(i64::from))?;
        self.covered(count, element_bytes)
    }

    fn covered(&self, count: i64, element_bytes: usize) -> Result<usize> {
        let count = usize::try_from(count).map_err(|_| Malformed("array is null"))?;
        if count > self.bytes.len() / element_bytes.max(1) {
            return Err(Malformed("array longer than the record"));
        }
        Ok(count)
    }

    /// Walks the tagged fields that end a flexible structure; `known` sees those it may want, each with its own reader.
    pub fn tagged(&mut self, mut known: impl FnMut(u32, Reader) -> Result<()>) -> Result<()> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let length = self.varint()? as usize;
            known(tag, Reader { bytes: self.take(length)?, flexible: true })?;
        }
        Ok(())
    }

    /// Tagged fields, all of which this version ignores.
    pub fn skip_tagged(&mut self) -> Result<()> {
        self.tagged(|_, _| Ok(()))
    }
}

/// Builds a record's key or value.
#[derive(Default)]
pub struct Writer {
    bytes: BytesMut,
}

impl Writer {
    /// Every key and value begins with its version.
    pub fn version(version: i16) -> Writer {
        let mut writer = Writer::default();
        writer.i16(version);
        writer
    }

    pub fn done(self) -> Bytes {
        self.bytes.freeze()
    }

    pub fn i8(&mut self, value: i8) {
        self.bytes.put_i8(value);
    }

    pub fn i16(&mut self, value: i16) {
        self.bytes.put_i16(value);
    }

    pub fn i32(&mut self, value: i32) {
        self.bytes.put_i32(value);
    }

    pub fn i64(&mut self, value: i64) {
        self.bytes.put_i64(value);
    }

    pub fn uuid(&mut self, value: u128) {
        self.bytes.put_u128(value);
    }

    pub fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.put_u8(value as u8);
    }

    /// Longer text was refused when it came in.
    pub fn string(&mut self, text: &str) {
        assert!(text.len() <= TEXT_BYTES_MAX, "text is checked at the door");
        self.i16(text.len() as i16);
        self.bytes.put_slice(text.as_bytes());
    }

    pub fn nullable_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.i16(-1),
        }
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.i32(length_i32(bytes.len()));
        self.bytes.put_slice(bytes);
    }

    pub fn count(&mut self, count: usize) {
        self.i32(length_i32(count));
    }

    pub fn compact_count(&mut self, count: usize) {
        self.varint(length_i32(count) as u32 + 1);
    }

    pub fn compact_string(&mut self, text: &str) {
        self.compact_count(text.len());
        self.bytes.put_slice(text.as_bytes());
    }

    pub fn compact_nullable_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.compact_string(text),
            None => self.varint(0),
        }
    }

    pub fn compact_bytes(&mut self, bytes: &[u8]) {
        self.compact_count(bytes.len());
        self.bytes.put_slice(bytes);
    }

    pub fn no_tagged(&mut self) {
        self.varint(0);
    }

    /// One tagged field and no other.
    pub fn one_tagged(&mut self, tag: u32, field: Writer) {
        self.varint(1);
        self.varint(tag);
        self.varint(length_i32(field.bytes.len()) as u32);
        self.bytes.put_slice(&field.bytes);
    }
}

fn length_i32(length: usize) -> i32 {
    i32::try_from(length).expect("what is written came from requests, which are shorter")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip_at_their_bounds() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u32::MAX] {
            let mut writer = Writer::default();
            writer.varint(value);
            assert_eq!(Reader::new(writer.done()).varint(), Ok(value));
        }
        let too_long = Bytes::from_static(&[0xff; 6]);
        assert!(Reader::new(too_long).varint().is_err());
        let too_large = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x7f]);
        assert!(Reader::new(too_large).varint().is_err());
    }

    #[test]
    fn lengths_beyond_the_record_are_refused() {
        let huge = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 1, 2]);
        assert!(Reader::new(huge.clone()).count(1).is_err());
        assert!(Reader::new(huge.clone()).bytes().is_err());
        assert!(Reader::new(huge).string().is_err());
        assert!(Reader::new(Bytes::from_static(&[0xff, 0xff])).string().is_err(), "null where text must stand");
    }
}
