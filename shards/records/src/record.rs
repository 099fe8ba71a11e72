//! One record, and walking the records of an unpacked payload.
//!
//! ```text
//! length            varint, bytes after it
//! attributes        1 byte, unused
//! timestamp delta   varlong, ms after the base timestamp
//! offset delta      varint
//! key               varint length (-1: null), bytes
//! value             varint length (-1: null), bytes
//! headers           varint count, then per header: varint length and key, varint length (-1: null) and value
//! ```

use crate::{Malformed, varint};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    pub offset_delta: i32,
    /// Milliseconds after the batch's base timestamp.
    pub timestamp_delta: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// The headers of one record: key (UTF-8 by convention, not checked) and value. Their bounds are already checked, so
/// walking them cannot fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Headers<'a> {
    left: i32,
    bytes: &'a [u8],
}

impl Headers<'_> {
    /// Headers not yet walked.
    pub fn count(&self) -> usize {
        self.left as usize
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let header = read_header(&mut self.bytes);
        assert!(header.is_ok(), "headers are checked when their record is read");
        header.ok()
    }
}

/// Walks exactly `count` records of an unpacked payload (the bytes after the 61 of the header). A payload that ends
/// early or goes on is an error; after an error nothing follows.
pub fn records(payload: &[u8], count: i32) -> Records<'_> {
    Records { bytes: payload, left: count, over: false }
}

#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    left: i32,
    over: bool,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        if self.left <= 0 {
            self.over = true;
            return (!self.bytes.is_empty()).then_some(Err(Malformed::Trailing));
        }
        self.left -= 1;
        let record = read_record(&mut self.bytes);
        self.over = record.is_err();
        Some(record)
    }
}

fn read_record<'a>(bytes: &mut &'a [u8]) -> Result<Record<'a>, Malformed> {
    let length = varint::read(bytes)?;
    let length = usize::try_from(length).map_err(|_| Malformed::Record)?;
    let Some((body, rest)) = bytes.split_at_checked(length) else {
        return Err(Malformed::Truncated);
    };
    *bytes = rest;
    read_body(body)
}

/// A record, from the bytes that its length counts.
pub(crate) fn read_body(body: &[u8]) -> Result<Record<'_>, Malformed> {
    // Inside a record, running out of bytes means that its inner lengths contradict its own.
    read_fields(body).map_err(|malformed| match malformed {
        Malformed::Truncated => Malformed::Record,
        other => other,
    })
}

fn read_fields(body: &[u8]) -> Result<Record<'_>, Malformed> {
    let Some((_attributes, mut body)) = body.split_first() else {
        return Err(Malformed::Record);
    };
    let timestamp_delta = varint::read_long(&mut body)?;
    let offset_delta = varint::read(&mut body)?;
    let key = read_nullable(&mut body)?;
    let value = read_nullable(&mut body)?;
    let headers = Headers { left: varint::read(&mut body)?, bytes: body };
    if headers.left < 0 {
        return Err(Malformed::Record);
    }
    // Each header takes two bytes or more, so a false count runs out of bytes quickly.
    for _ in 0..headers.left {
        read_header(&mut body)?;
    }
    if !body.is_empty() {
        return Err(Malformed::Record);
    }
    Ok(Record { offset_delta, timestamp_delta, key, value, headers })
}

fn read_header<'a>(bytes: &mut &'a [u8]) -> Result<(&'a [u8], Option<&'a [u8]>), Malformed> {
    let key = read_nullable(bytes)?.ok_or(Malformed::Record)?;
    let value = read_nullable(bytes)?;
    Ok((key, value))
}

/// A varint length and that many bytes; a negative length is null, as in the Java client.
fn read_nullable<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
    let Ok(length) = usize::try_from(varint::read(bytes)?) else {
        return Ok(None);
    };
    let Some((taken, rest)) = bytes.split_at_checked(length) else {
        return Err(Malformed::Record);
    };
    *bytes = rest;
    Ok(Some(taken))
}

/// Appends one record. Key and value may be null.
pub(crate) fn write_record<'h>(
    out: &mut Vec<u8>,
    offset_delta: i32,
    timestamp_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: impl ExactSizeIterator<Item = (&'h [u8], Option<&'h [u8]>)> + Clone,
) {
    let mut length = 1 + varint::size_long(timestamp_delta) + varint::size(offset_delta);
    length += nullable_size(key) + nullable_size(value) + varint::size(length_of(headers.len()));
    length += headers.clone().map(|(key, value)| nullable_size(Some(key)) + nullable_size(value)).sum::<usize>();
    varint::write(length_of(length), out);
    let body_at = out.len();
    out.push(0);
    varint::write_long(timestamp_delta, out);
    varint::write(offset_delta, out);
    write_nullable(key, out);
    write_nullable(value, out);
    varint::write(length_of(headers.len()), out);
    for (key, value) in headers {
        write_nullable(Some(key), out);
        write_nullable(value, out);
    }
    assert_eq!(out.len() - body_at, length, "a record is as long as it says");
}

fn nullable_size(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(varint::size(-1), |bytes| varint::size(length_of(bytes.len())) + bytes.len())
}

fn write_nullable(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    match bytes {
        None => varint::write(-1, out),
        Some(bytes) => {
            varint::write(length_of(bytes.len()), out);
            out.extend_from_slice(bytes);
        }
    }
}

/// Our own writers stay below the limits of `model`, far under 2 GiB.
fn length_of(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("what we write is shorter than 2 GiB")
}
