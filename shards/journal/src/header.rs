//! A frame's header as bytes. The table stands in `lib.rs`.

use heddle_model::limits::BLOCK_BYTES;

use crate::codec::Reader;
use crate::format::ENTRY_BYTES;
use crate::report::Siblings;

const MAGIC: [u8; 8] = *b"HDLJRNL\x01";
/// What the bytes of a journal, and of the batches in it, mean. Version 1 counts leader epochs from 1, not from 0.
pub const VERSION: u16 = 2;
/// A frame's header. Bytes.
pub(crate) const HEADER_BYTES: usize = 128;
/// More than any frame holds; keeps arithmetic on read sizes small. Bytes.
const FRAME_BYTES_MAX: u64 = 1 << 30;
/// No run, file, frame or record is ever numbered so high; keeps arithmetic on read numbers safe.
pub(crate) const SANE: u64 = 1 << 62;
const MISSES: u8 = 1;
const TAILS: u8 = 2;

/// What a frame is part of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FrameKind {
    /// The checkpoint that opens a file.
    Opening = 1,
    Records = 2,
}

/// The first 128 bytes of a frame. All that a reader needs to place the frame and its file is in every one of them, so
/// that no single rotten block makes a file's place unknown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub kind: FrameKind,
    /// Damage may have hidden replicas, and nobody has dealt with that yet.
    pub misses: bool,
    /// The opening of this file carries the replicas' tails.
    pub tails: bool,
    pub entries: u32,
    pub id: u128,
    /// One life of a process on this journal.
    pub run: u64,
    /// The sequence of this use of the file.
    pub file: u64,
    pub number: u64,
    /// The highest frame known durable when this one was written.
    pub known: u64,
    /// The oldest file, by sequence, that replay needs.
    pub oldest: u64,
    /// The last frame that counts before this file's first.
    pub fence: u64,
    /// The sequence of the file that the fence stands in; 0: none.
    pub previous: u64,
    /// The first frame after this file's opening.
    pub records_from: u64,
    pub payload_bytes: u64,
    pub directory_sum: u32,
    /// `sum` of the frame that counts before this one; 0: none.
    pub previous_sum: u32,
    /// Journals of the data directory, as the caller said.
    pub siblings: Siblings,
    pub sum: u32,
}

impl Header {
    pub fn decode(bytes: &[u8]) -> Option<Header> {
        let (version, sum, mut reader) = Header::open(bytes)?;
        if version != VERSION {
            return None;
        }
        let kind = match reader.u8()? {
            1 => FrameKind::Opening,
            2 => FrameKind::Records,
            _ => return None,
        };
        let flags = reader.u8()?;
        let header = Header {
            kind,
            misses: flags & MISSES != 0,
            tails: flags & TAILS != 0,
            entries: reader.u32()?,
            id: reader.u128()?,
            run: reader.u64()?,
            file: reader.u64()?,
            number: reader.u64()?,
            known: reader.u64()?,
            oldest: reader.u64()?,
            fence: reader.u64()?,
            previous: reader.u64()?,
            records_from: reader.u64()?,
            payload_bytes: reader.u64()?,
            directory_sum: reader.u32()?,
            previous_sum: reader.u32()?,
            siblings: Siblings { count: reader.u16()?, sum: reader.u64()? },
            sum,
        };
        let sane = header.payload_bytes <= FRAME_BYTES_MAX
            && u64::from(header.entries) * ENTRY_BYTES as u64 <= FRAME_BYTES_MAX
            && header.number.max(header.file).max(header.run).max(header.records_from) < SANE
            && header.number > header.fence
            && header.number > header.known
            && header.records_from > header.fence;
        sane.then_some(header)
    }

    /// The format version of a whole header, if it is another one than is read here.
    pub fn other_version(bytes: &[u8]) -> Option<u16> {
        let (version, ..) = Header::open(bytes)?;
        (version != VERSION).then_some(version)
    }

    /// Version and sum of a whole header, and what follows the version.
    fn open(bytes: &[u8]) -> Option<(u16, u32, Reader<'_>)> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let sum = u32::from_le_bytes(bytes[HEADER_BYTES - 4..].try_into().ok()?);
        if bytes[..MAGIC.len()] != MAGIC || crc32c::crc32c(&bytes[..HEADER_BYTES - 4]) != sum {
            return None;
        }
        let mut reader = Reader::new(&bytes[MAGIC.len()..]);
        Some((reader.u16()?, sum, reader))
    }

    /// Writes the header and its own sum, which is returned.
    pub fn encode(&self, out: &mut [u8]) -> u32 {
        let flags = if self.misses { MISSES } else { 0 } | if self.tails { TAILS } else { 0 };
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[self.kind as u8, flags]);
        bytes.extend_from_slice(&self.entries.to_le_bytes());
        bytes.extend_from_slice(&self.id.to_le_bytes());
        let places = [self.run, self.file, self.number, self.known, self.oldest, self.fence, self.previous];
        for number in places.into_iter().chain([self.records_from, self.payload_bytes]) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.directory_sum.to_le_bytes());
        bytes.extend_from_slice(&self.previous_sum.to_le_bytes());
        bytes.extend_from_slice(&self.siblings.count.to_le_bytes());
        bytes.extend_from_slice(&self.siblings.sum.to_le_bytes());
        bytes.resize(HEADER_BYTES - 4, 0);
        let sum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        out[..HEADER_BYTES].copy_from_slice(&bytes);
        sum
    }

    pub fn directory_bytes(&self) -> usize {
        self.entries as usize * ENTRY_BYTES
    }

    /// The whole frame with its padding. Bytes.
    pub fn frame_bytes(&self) -> usize {
        let bytes = HEADER_BYTES + self.directory_bytes() + self.payload_bytes as usize;
        bytes.next_multiple_of(BLOCK_BYTES)
    }
}
