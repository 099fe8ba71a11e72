//! The bytes inside the controller's records: LEB128 numbers, texts with their length in front. Nothing is trusted:
//! a length is compared with what is left before anything is allocated.

use crate::record::Malformed;

#[derive(Default)]
pub struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn byte(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// LEB128: seven bits a byte, the lowest first.
    pub fn number(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
        self
    }

    pub fn fixed_i32(&mut self, value: i32) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn fixed_u128(&mut self, value: u128) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }
}

pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed("a record ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    pub fn number(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("a number of more than 64 bits"))
    }

    /// A count of items that take at least one byte each.
    pub fn count(&mut self) -> Result<usize, Malformed> {
        let count = self.number()?;
        if count > self.rest.len() as u64 {
            return Err(Malformed("a count beyond the record"));
        }
        Ok(count as usize)
    }

    pub fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Malformed> {
        T::try_from(self.number()?).map_err(|_| Malformed("a number out of its range"))
    }

    pub fn fixed_i32(&mut self) -> Result<i32, Malformed> {
        let bytes = self.take(4)?;
        Ok(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub fn fixed_u128(&mut self) -> Result<u128, Malformed> {
        let bytes = self.take(16)?;
        Ok(bytes.iter().fold(0, |value, &byte| value << 8 | u128::from(byte)))
    }

    pub fn text(&mut self) -> Result<String, Malformed> {
        let count = self.count()?;
        let bytes = self.take(count)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Malformed("a text that is not UTF-8"))
    }

    pub fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("bytes behind the end of a record")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_and_texts_come_back(number: u64, text: String, wide: u128, int: i32) {
            let mut out = Writer::default();
            out.number(number).text(&text).fixed_u128(wide).fixed_i32(int).byte(7);
            let mut read = Reader::new(&out.bytes);
            prop_assert_eq!(read.number(), Ok(number));
            prop_assert_eq!(read.text(), Ok(text));
            prop_assert_eq!(read.fixed_u128(), Ok(wide));
            prop_assert_eq!(read.fixed_i32(), Ok(int));
            prop_assert!(read.end().is_err());
            prop_assert_eq!(read.byte(), Ok(7));
            prop_assert!(read.end().is_ok());
        }
    }

    #[test]
    fn what_is_too_long_is_refused() {
        assert!(Reader::new(&[0xff; 11]).number().is_err());
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).number(), Ok(u64::MAX));
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).number().is_err());
        assert!(Reader::new(&[200, 1, 65]).text().is_err());
        assert!(Reader::new(&[1, 0xff]).text().is_err());
        assert!(Reader::new(&[0x80]).number().is_err());
    }
}
