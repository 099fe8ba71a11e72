//! One use of one file as bytes: finding its frames and judging them.

use std::ops::Range;

use heddle_model::limits::BLOCK_BYTES;

use crate::format::{FrameKind, Header, Row, decode_directory};

/// Names one use of a file; frames of other uses in it are leftovers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct UseId {
    pub id: u128,
    pub run: u64,
    pub file: u64,
}

impl UseId {
    pub fn of(header: &Header) -> UseId {
        UseId { id: header.id, run: header.run, file: header.file }
    }
}

/// A directory row, where its payload stands in the image, and whether the payload is what the row names.
pub(crate) struct Judged {
    pub row: Row,
    pub place: Range<usize>,
    pub good: bool,
}

/// What stands at one place of a file.
pub(crate) enum Frame {
    /// No header of this use.
    Nothing,
    /// A header whose directory cannot be read, or that does not follow the frame before it.
    Unreadable(Header),
    /// A readable directory; the frame is whole if all its entries are good.
    Readable(Header, Vec<Judged>),
}

/// Every header in the file, of whatever use, with its position.
pub(crate) fn headers(image: &[u8], from: usize) -> impl Iterator<Item = (usize, Header)> {
    let blocks = image.get(from..).unwrap_or_default().chunks(BLOCK_BYTES).enumerate();
    blocks.filter_map(move |(index, block)| Some((from + index * BLOCK_BYTES, Header::decode(block)?)))
}

/// The frame at `at`. `previous_sum`: what it must say of the one before, if that is known.
pub(crate) fn frame_at(image: &[u8], at: usize, of: UseId, previous_sum: Option<u32>) -> Frame {
    let Some(bytes) = image.get(at..) else { return Frame::Nothing };
    let Some(header) = Header::decode(bytes).filter(|header| UseId::of(header) == of) else { return Frame::Nothing };
    if previous_sum.is_some_and(|sum| header.previous_sum != sum) {
        return Frame::Unreadable(header);
    }
    let Some(rows) = decode_directory(&header, bytes) else { return Frame::Unreadable(header) };
    let judge = |(row, place): (Row, Range<usize>)| {
        let good = row.vouches_for(&bytes[place.clone()]);
        Judged { row, place: at + place.start..at + place.end, good }
    };
    Frame::Readable(header, rows.into_iter().map(judge).collect())
}

/// Is the checkpoint that opens the file there in full?
pub(crate) fn opening_is_whole(image: &[u8], of: UseId) -> bool {
    let (mut at, mut last) = (0, None);
    loop {
        let Frame::Readable(header, entries) = frame_at(image, at, of, last.map(|(_, sum)| sum)) else { return false };
        let follows = last.is_none_or(|(number, _)| header.number == number + 1);
        if !follows || header.kind != FrameKind::Opening || !entries.iter().all(|entry| entry.good) {
            return false;
        }
        if header.number + 1 == header.records_from {
            return true;
        }
        at += header.frame_bytes();
        last = Some((header.number, header.sum));
    }
}
