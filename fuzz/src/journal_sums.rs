//! Makes the sums of a journal's frames right again after their content was changed, so that mutation gets past them.
//! The format stands in the journal's `lib.rs`; it is written down here a second time on purpose.

use heddle_model::limits::BLOCK_BYTES;

use crate::image::{File, Image};

const MAGIC: &[u8] = b"HDLJRNL\x01";
const HEADER_BYTES: usize = 128;
const ENTRY_BYTES: usize = 80;
/// Kinds of entries that carry record batches, which are summed by themselves.
const BATCHES: [u8; 3] = [1, 9, 12];
const BATCH_HEAD_BYTES: usize = 21;

pub fn mend(image: &mut Image) {
    image.files.values_mut().for_each(mend_file);
}

fn mend_file(file: &mut File) {
    let mut before = None;
    for at in (0..file.bytes.len()).step_by(BLOCK_BYTES) {
        if file.bytes[at..].starts_with(MAGIC) {
            let sum = mend_frame(&mut file.bytes[at..], before);
            before = Some(sum);
        }
    }
}

/// Gives the header's sum.
fn mend_frame(frame: &mut [u8], before: Option<u32>) -> u32 {
    let entries = u32_at(frame, 12) as usize;
    let directory_end = entries.checked_mul(ENTRY_BYTES).map(|bytes| bytes.saturating_add(HEADER_BYTES));
    if let Some(end) = directory_end.filter(|end| *end <= frame.len()) {
        mend_payloads(frame, entries, end);
        let sum = crc32c::crc32c(&frame[HEADER_BYTES..end]);
        put(frame, 104, sum);
    }
    // In a row of frames only: the first frame of a file follows one of another file.
    if let Some(before) = before {
        put(frame, 108, before);
    }
    let sum = crc32c::crc32c(&frame[..HEADER_BYTES - 4]);
    put(frame, HEADER_BYTES - 4, sum);
    sum
}

fn mend_payloads(frame: &mut [u8], entries: usize, mut at: usize) {
    for entry in 0..entries {
        let row = HEADER_BYTES + entry * ENTRY_BYTES;
        let bytes = u32_at(frame, row + 20) as usize;
        let Some(end) = at.checked_add(bytes).filter(|end| *end <= frame.len()) else { return };
        if BATCHES.contains(&frame[row + 16]) {
            if bytes > BATCH_HEAD_BYTES {
                let sum = crc32c::crc32c(&frame[at + BATCH_HEAD_BYTES..end]);
                frame[at + 17..at + 21].copy_from_slice(&sum.to_be_bytes());
                frame.copy_within(at..at + BATCH_HEAD_BYTES, row + 56);
            }
        } else {
            let sum = crc32c::crc32c(&frame[at..end]);
            put(frame, row + 28, sum);
        }
        at = end;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn put(bytes: &mut [u8], at: usize, sum: u32) {
    bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
}
