//! Snappy as Kafka's clients write it: the Java client's framing (xerial snappy-java), or one raw snappy block.
//!
//! ```text
//! framing   82 "SNAPPY" 00, version i32 = 1, compatible i32 = 1, then blocks until the end
//! block     length i32, big-endian, and that many bytes of raw snappy
//! ```
//! A reader accepts a new framing header wherever a block may begin (concatenated streams).

use heddle_model::Codec;

use crate::PayloadError;

const FRAMING: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
/// What tells framing from raw snappy; the versions after it are not looked at.
const FRAMING_MAGIC_BYTES: usize = 8;
/// Unpacked bytes per block that we write: snappy-java's default.
const BLOCK_BYTES: usize = 32 * 1024;

pub(crate) fn pack(unpacked: &[u8]) -> Vec<u8> {
    let mut encoder = snap::raw::Encoder::new();
    let mut out = FRAMING.to_vec();
    for block in unpacked.chunks(BLOCK_BYTES) {
        let packed = encoder.compress_vec(block).expect("snappy packs any 32 KiB");
        let length = i32::try_from(packed.len()).expect("a packed block is small");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&packed);
    }
    out
}

pub(crate) fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, PayloadError> {
    let mut out = Vec::new();
    for block in Blocks::new(packed) {
        unpack_block(block?, limit, &mut out)?;
    }
    Ok(out)
}

/// The packed blocks, without what frames them. After an error nothing follows.
pub(crate) struct Blocks<'a> {
    rest: &'a [u8],
    /// One raw block, not taken yet.
    raw: bool,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(packed: &'a [u8]) -> Blocks<'a> {
        Blocks { rest: packed, raw: !packed.starts_with(&FRAMING[..FRAMING_MAGIC_BYTES]) }
    }

    fn framed(&mut self) -> Result<Option<&'a [u8]>, PayloadError> {
        let mut rest = std::mem::take(&mut self.rest);
        while rest.starts_with(&FRAMING[..FRAMING_MAGIC_BYTES]) {
            rest = rest.get(FRAMING.len()..).ok_or_else(|| corrupt("the framing header is cut short"))?;
        }
        if rest.is_empty() {
            return Ok(None);
        }
        let (length, after) = rest.split_first_chunk().ok_or_else(|| corrupt("a block's length is cut short"))?;
        let length =
            usize::try_from(i32::from_be_bytes(*length)).map_err(|_| corrupt("a block's length is negative"))?;
        let (block, after) = after.split_at_checked(length).ok_or_else(|| corrupt("a block is cut short"))?;
        self.rest = after;
        Ok(Some(block))
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<&'a [u8], PayloadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if std::mem::take(&mut self.raw) {
            return Some(Ok(std::mem::take(&mut self.rest)));
        }
        self.framed().transpose()
    }
}

/// Appends one unpacked block to `out`, which stays within `limit`.
pub(crate) fn unpack_block(block: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), PayloadError> {
    let unpacked_bytes = snap::raw::decompress_len(block).map_err(corrupt)?;
    if unpacked_bytes > limit - out.len() {
        return Err(PayloadError::TooLarge { limit });
    }
    // A block cannot unpack to more than about 64 times its size (a copy of up to 64 bytes takes two at least), so a larger
    // claim is a lie, told before memory is taken for it.
    if unpacked_bytes > block.len().saturating_mul(64) {
        return Err(corrupt("a block claims more than snappy can pack"));
    }
    let at = out.len();
    out.resize(at + unpacked_bytes, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut out[at..]).map_err(corrupt)?;
    out.truncate(at + written);
    Ok(())
}

fn corrupt(why: impl ToString) -> PayloadError {
    PayloadError::Corrupt(Codec::Snappy, why.to_string())
}
