//! Makes the sums of side records right again after their content was changed, so that mutation gets past them. The
//! format stands in the log's `lib.rs`; it is written down here a second time on purpose.

use heddle_model::limits::BLOCK_BYTES;

use crate::image::Image;

const MAGIC: &[u8] = b"HSID";
const HEADER_BYTES: usize = 80;
const SPAN_BYTES: u64 = 48;
const SEALED_BYTES: u64 = 56;

pub fn mend(image: &mut Image) {
    for (path, file) in &mut image.files {
        if path.ends_with(".side") {
            mend_file(&mut file.bytes);
        }
    }
}

fn mend_file(bytes: &mut [u8]) {
    let mut before = None;
    for at in (0..bytes.len()).step_by(BLOCK_BYTES) {
        let record = &mut bytes[at..];
        if !record.starts_with(MAGIC) {
            continue;
        }
        let count = |at: usize| u64::from(u32_at(record, at));
        let content = count(44) * SPAN_BYTES + count(48) * SEALED_BYTES + count(52) + count(56);
        if let Some(content) =
            usize::try_from(content).ok().and_then(|len| record.get(HEADER_BYTES..HEADER_BYTES + len))
        {
            let sum = crc32c::crc32c(content);
            put(record, 72, sum);
        }
        if let Some(before) = before {
            put(record, 40, before);
        }
        let sum = crc32c::crc32c(&record[..76]);
        put(record, 76, sum);
        before = Some(sum);
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn put(bytes: &mut [u8], at: usize, sum: u32) {
    bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
}
