//! Zigzag variable-length numbers of at most 5 (varint) or 10 bytes (varlong), as in Protocol Buffers' sint32/sint64.

use crate::Malformed;

/// Takes a 32-bit number off the front of `bytes`.
pub fn read(bytes: &mut &[u8]) -> Result<i32, Malformed> {
    // Most lengths and deltas of real records fit one byte.
    if let [first, rest @ ..] = *bytes
        && *first < 0x80
    {
        *bytes = rest;
        return Ok(unzigzag32(u32::from(*first)));
    }
    Ok(unzigzag32(read_unsigned(bytes, 32)? as u32))
}

/// Takes a 64-bit number off the front of `bytes`.
pub fn read_long(bytes: &mut &[u8]) -> Result<i64, Malformed> {
    let raw = read_unsigned(bytes, 64)?;
    Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

/// Appends a 32-bit number.
pub fn write(value: i32, out: &mut Vec<u8>) {
    write_unsigned(u64::from(zigzag32(value)), out);
}

/// Appends a 64-bit number.
pub fn write_long(value: i64, out: &mut Vec<u8>) {
    write_unsigned(zigzag64(value), out);
}

/// The bytes that `write` appends for `value`.
pub fn size(value: i32) -> usize {
    size_unsigned(u64::from(zigzag32(value)))
}

/// The bytes that `write_long` appends for `value`.
pub fn size_long(value: i64) -> usize {
    size_unsigned(zigzag64(value))
}

fn zigzag32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag32(raw: u32) -> i32 {
    (raw >> 1) as i32 ^ -((raw & 1) as i32)
}

/// Takes an unsigned number of at most `bits_max` bits off the front, or nothing.
fn read_unsigned(bytes: &mut &[u8], bits_max: u32) -> Result<u64, Malformed> {
    let bytes_max = bits_max.div_ceil(7) as usize;
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(bytes_max).enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * at as u32;
        // The last byte has room for 4 bits of 32, 1 bit of 64.
        if bits_max - shift < 7 && bits >> (bits_max - shift) != 0 {
            return Err(Malformed::Varint);
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Ok(value);
        }
    }
    Err(if bytes.len() < bytes_max { Malformed::Truncated } else { Malformed::Varint })
}

fn write_unsigned(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn size_unsigned(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_encodings() {
        for (value, bytes) in [
            (0, &[0x00][..]),
            (-1, &[0x01]),
            (1, &[0x02]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            write(value, &mut out);
            assert_eq!(out, bytes, "{value}");
            assert_eq!(size(value), bytes.len());
            assert_eq!(read(&mut &out[..]), Ok(value));
        }
    }

    #[test]
    fn too_long_and_too_short() {
        assert_eq!(read(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00][..]), Err(Malformed::Varint));
        assert_eq!(read(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), Err(Malformed::Varint));
        assert_eq!(read(&mut &[0xff, 0xff][..]), Err(Malformed::Truncated));
        assert_eq!(read(&mut &[][..]), Err(Malformed::Truncated));
        assert_eq!(read_long(&mut &[0xff; 11][..]), Err(Malformed::Varint));
        let two_bits_in_the_tenth = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert_eq!(read_long(&mut &two_bits_in_the_tenth[..]), Err(Malformed::Varint));
    }

    proptest! {
        #[test]
        fn round_trip(value: i32, long: i64, rest: Vec<u8>) {
            let mut out = Vec::new();
            write(value, &mut out);
            prop_assert_eq!(out.len(), size(value));
            write_long(long, &mut out);
            prop_assert_eq!(out.len(), size(value) + size_long(long));
            out.extend_from_slice(&rest);
            let mut bytes = &out[..];
            prop_assert_eq!(read(&mut bytes), Ok(value));
            prop_assert_eq!(read_long(&mut bytes), Ok(long));
            prop_assert_eq!(bytes, &rest[..]);
        }

        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let mut rest = &bytes[..];
            if read(&mut rest).is_ok() {
                prop_assert!(bytes.len() - rest.len() <= 5);
            } else {
                prop_assert_eq!(rest, &bytes[..]);
            }
            let mut rest = &bytes[..];
            if read_long(&mut rest).is_ok() {
                prop_assert!(bytes.len() - rest.len() <= 10);
            } else {
                prop_assert_eq!(rest, &bytes[..]);
            }
        }
    }
}
