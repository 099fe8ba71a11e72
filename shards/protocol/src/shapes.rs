//! The guard in front of the decoder: a walk over a request body that checks every length against what remains.
//!
//! The crate's decoder reserves memory for an array by the count on the wire, so five bytes could abort the process.
//! The walk reads exactly what the decoder will read (the table is generated from it), and refuses the body unless every
//! string, byte field, array element and tagged field is really there. What it passes costs memory in proportion to
//! the elements on the wire, and those are bounded too.

/// Array elements and tagged fields of one request. A struct takes a few hundred bytes decoded, so this bounds a
/// request's memory to well below `REQUEST_BYTES_MAX`, and is far above what a client sends in one request.
pub(crate) const ELEMENTS_MAX: usize = 250_000;

pub(crate) enum Wire {
    /// So many bytes.
    Fixed(u8),
    /// int16 length, -1 null.
    Text,
    /// varint length + 1, 0 null.
    CompactText,
    /// int32 length, -1 null.
    Bytes,
    /// varint length + 1, 0 null.
    CompactBytes,
    /// int32 count, -1 null.
    Array(&'static Wire),
    /// varint count + 1, 0 null.
    CompactArray(&'static Wire),
    Struct(&'static Shape),
    /// int8: 1 and the struct, or anything else and nothing.
    OptionStruct(&'static Shape),
}

/// A field that is on the wire in these versions.
pub(crate) struct Field {
    pub from: i16,
    pub to: i16,
    pub wire: Wire,
}

/// A tagged field that the decoder knows. Below `from` the decoder refuses it.
pub(crate) struct Tag {
    pub tag: u32,
    pub from: i16,
    pub wire: Wire,
}

pub(crate) struct Shape {
    pub fields: &'static [Field],
    /// The first version that ends with tagged fields.
    pub flexible_from: i16,
    pub tags: &'static [Tag],
}

/// What a body claims is not there, or it claims too much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Overrun;

/// Walk `body` as `shape` in `version`. Returns how many bytes the request takes; bytes behind it are ignored, as
/// Kafka does.
pub(crate) fn walk(shape: &'static Shape, version: i16, body: &[u8]) -> Result<usize, Overrun> {
    let mut walk = Walk { rest: body, version, elements_left: ELEMENTS_MAX };
    walk.shape(shape)?;
    Ok(body.len() - walk.rest.len())
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    elements_left: usize,
}

impl Walk<'_> {
    fn shape(&mut self, shape: &'static Shape) -> Result<(), Overrun> {
        for field in shape.fields {
            if (field.from..=field.to).contains(&self.version) {
                self.wire(&field.wire)?;
            }
        }
        if self.version >= shape.flexible_from { self.tagged_fields(shape) } else { Ok(()) }
    }

    fn wire(&mut self, wire: &'static Wire) -> Result<(), Overrun> {
        match wire {
            Wire::Fixed(bytes) => self.skip(usize::from(*bytes)),
            Wire::Text => {
                let length = i16::from_be_bytes(self.take()?);
                self.nullable(i32::from(length))
            }
            Wire::Bytes => {
                let length = i32::from_be_bytes(self.take()?);
                self.nullable(length)
            }
            Wire::CompactText | Wire::CompactBytes => match self.varint()? {
                0 => Ok(()),
                more => self.skip(more as usize - 1),
            },
            Wire::Array(element) => match i32::from_be_bytes(self.take()?) {
                -1 => Ok(()),
                count => self.elements(usize::try_from(count).map_err(|_| Overrun)?, element),
            },
            Wire::CompactArray(element) => match self.varint()? {
                0 => Ok(()),
                more => self.elements(more as usize - 1, element),
            },
            Wire::Struct(shape) => self.shape(shape),
            Wire::OptionStruct(shape) => match self.take::<1>()? {
                [1] => self.shape(shape),
                _ => Ok(()),
            },
        }
    }

    fn elements(&mut self, count: usize, element: &'static Wire) -> Result<(), Overrun> {
        if let Wire::Fixed(bytes) = element {
            return self.skip(count.checked_mul(usize::from(*bytes)).ok_or(Overrun)?);
        }
        // Every element takes a byte at least, so this bounds the loop as well.
        if count > self.rest.len() {
            return Err(Overrun);
        }
        self.spend(count)?;
        for _ in 0..count {
            self.wire(element)?;
        }
        Ok(())
    }

    fn tagged_fields(&mut self, shape: &'static Shape) -> Result<(), Overrun> {
        let count = self.varint()? as usize;
        if count > self.rest.len() {
            return Err(Overrun);
        }
        self.spend(count)?;
        for _ in 0..count {
            let tag = self.varint()?;
            let size = self.varint()? as usize;
            match shape.tags.iter().find(|known| known.tag == tag) {
                // The decoder reads a known tag by its type and does not look at the size, so the two must agree.
                Some(known) if self.version >= known.from => {
                    let before = self.rest.len();
                    self.wire(&known.wire)?;
                    if before - self.rest.len() != size {
                        return Err(Overrun);
                    }
                }
                Some(_) => return Err(Overrun),
                None => self.skip(size)?,
            }
        }
        Ok(())
    }

    fn spend(&mut self, elements: usize) -> Result<(), Overrun> {
        self.elements_left = self.elements_left.checked_sub(elements).ok_or(Overrun)?;
        Ok(())
    }

    fn nullable(&mut self, length: i32) -> Result<(), Overrun> {
        match length {
            -1 => Ok(()),
            length => self.skip(usize::try_from(length).map_err(|_| Overrun)?),
        }
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Overrun> {
        self.rest = self.rest.get(bytes..).ok_or(Overrun)?;
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Overrun> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Overrun)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Reads as the decoder does: five bytes at most, surplus bits dropped.
    fn varint(&mut self) -> Result<u32, Overrun> {
        let mut value = 0;
        for at in 0..5 {
            let [byte] = self.take()?;
            value |= u32::from(byte & 0x7f) << (at * 7);
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }
}
