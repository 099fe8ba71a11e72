//! The codecs of record batches, as the Java client writes and reads them. Both directions take the records section
//! alone. Unpacking streams into memory that grows with what really comes out, up to the caller's limit.

use std::io::{self, Read, Write};

use heddle_model::Codec;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use crate::{PayloadError, snappy};

/// zlib's and zstd's own default levels, which Kafka's `compression.gzip.level` and `.zstd.level` default to.
const GZIP_LEVEL_DEFAULT: u32 = 6;
const GZIP_LEVEL_MAX: i32 = 9;
const ZSTD_LEVEL_DEFAULT: i32 = 3;
/// What a zstd reader takes at most as window (2^27 bytes), as zstd-jni does in the Java client. The window is touched
/// only as far as output is produced, so the output limit bounds it too.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// The first reservation for unpacked bytes; more only as output really arrives.
const UNPACKED_RESERVE_BYTES: usize = 64 * 1024;
const LZ4_MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
/// In the byte behind the magic: no block of the frame needs another one.
const LZ4_INDEPENDENT: u8 = 0x20;
/// What an `Unpacker` gives at a time, but for snappy, whose blocks are as large as their writer made them. Bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// Packs records. `level` is that of Kafka's `compression.gzip.level` (1-9, -1: default) and `compression.zstd.level`
/// (up to 22, 0: default); out of range it is clamped. Snappy has no levels, and lz4 is always packed at its fastest:
/// readers do not see the difference.
pub fn compress(records: &[u8], codec: Codec, level: i32) -> Vec<u8> {
    let packed = match codec {
        Codec::None => return records.to_vec(),
        Codec::Snappy => return snappy::pack(records),
        Codec::Gzip => gzip(records, level),
        Codec::Lz4 => lz4(records),
        Codec::Zstd => zstd::bulk::compress(records, zstd_level(level)),
    };
    // Packing into memory has no input that could be wrong; what is left is running out of memory.
    packed.expect("packing into memory does not fail")
}

fn gzip(records: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let level = u32::try_from(level.min(GZIP_LEVEL_MAX)).unwrap_or(GZIP_LEVEL_DEFAULT);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(records)?;
    encoder.finish()
}

/// One LZ4 frame of independent 64 KiB blocks without checksums of content: the Java client refuses linked blocks.
fn lz4(records: &[u8]) -> io::Result<Vec<u8>> {
    let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(records)?;
    Ok(encoder.finish()?)
}

fn zstd_level(level: i32) -> i32 {
    let range = zstd::compression_level_range();
    if level == 0 { ZSTD_LEVEL_DEFAULT } else { level.clamp(*range.start(), *range.end()) }
}

/// Unpacks records; more than `limit` bytes of output are refused. Bytes after the end of an lz4 frame are ignored, as in
/// the Java client; gzip members and zstd frames may follow one another.
pub fn decompress(packed: &[u8], codec: Codec, limit: usize) -> Result<Vec<u8>, PayloadError> {
    match codec {
        Codec::None if packed.len() > limit => Err(PayloadError::TooLarge { limit }),
        Codec::None => Ok(packed.to_vec()),
        Codec::Snappy => snappy::unpack(packed, limit),
        Codec::Gzip | Codec::Lz4 | Codec::Zstd => drain(reader(packed, codec)?, codec, limit),
    }
}

/// Whether it is an lz4 frame whose blocks need those before them. `decompress` reads it; the Java client, and so Apache
/// Kafka, does not.
pub fn is_linked_lz4(packed: &[u8]) -> bool {
    let frame = packed.strip_prefix(&LZ4_MAGIC);
    frame.and_then(<[u8]>::first).is_some_and(|flags| flags & LZ4_INDEPENDENT == 0)
}

fn reader<'a>(packed: &'a [u8], codec: Codec) -> Result<Box<dyn Read + 'a>, PayloadError> {
    Ok(match codec {
        Codec::None | Codec::Snappy => Box::new(packed),
        Codec::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Codec::Lz4 => Box::new(FrameDecoder::new(Endless(packed))),
        Codec::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(packed).and_then(|mut decoder| {
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Ok(decoder)
            });
            Box::new(decoder.map_err(|error| corrupt(codec, error))?)
        }
    })
}

/// Unpacks piece by piece, for who need not have all at once.
pub(crate) struct Unpacker<'a> {
    codec: Codec,
    source: Source<'a>,
}

enum Source<'a> {
    Stream(Box<dyn Read + 'a>),
    /// A reader is not asked again once it ended: what follows an lz4 frame is no part of it.
    Ended,
    Snappy(snappy::Blocks<'a>),
}

impl<'a> Unpacker<'a> {
    pub(crate) fn new(packed: &'a [u8], codec: Codec) -> Result<Unpacker<'a>, PayloadError> {
        let source = match codec {
            Codec::Snappy => Source::Snappy(snappy::Blocks::new(packed)),
            _ => Source::Stream(reader(packed, codec)?),
        };
        Ok(Unpacker { codec, source })
    }

    /// Appends the next piece. A snappy block of more than `block_bytes_max` is refused. Whether there was any.
    pub(crate) fn more(&mut self, out: &mut Vec<u8>, block_bytes_max: usize) -> Result<bool, PayloadError> {
        let before = out.len();
        match &mut self.source {
            Source::Ended => {}
            Source::Stream(reader) => {
                out.reserve(PIECE_BYTES);
                let read = reader.take(PIECE_BYTES as u64).read_to_end(out);
                if read.map_err(|error| corrupt(self.codec, error))? < PIECE_BYTES {
                    self.source = Source::Ended;
                }
            }
            Source::Snappy(blocks) => {
                // A block may be empty.
                while out.len() == before {
                    let Some(block) = blocks.next() else { break };
                    snappy::unpack_block(block?, before.saturating_add(block_bytes_max), out)?;
                }
            }
        }
        Ok(out.len() > before)
    }
}

/// A reader whose end is an error. The lz4 decoder takes an end between two blocks (`UnexpectedEof`) for the end of
/// the frame, though the frame's own end mark is missing.
struct Endless<'a>(&'a [u8]);

impl Read for Endless<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 if !into.is_empty() => Err(io::Error::new(io::ErrorKind::InvalidData, "the data is cut short")),
            taken => Ok(taken),
        }
    }
}

fn drain(decoder: impl Read, codec: Codec, limit: usize) -> Result<Vec<u8>, PayloadError> {
    let mut out = Vec::with_capacity(limit.min(UNPACKED_RESERVE_BYTES));
    let one_more = (limit as u64).saturating_add(1);
    decoder.take(one_more).read_to_end(&mut out).map_err(|error| corrupt(codec, error))?;
    if out.len() > limit {
        return Err(PayloadError::TooLarge { limit });
    }
    Ok(out)
}

fn corrupt(codec: Codec, error: io::Error) -> PayloadError {
    PayloadError::Corrupt(codec, error.to_string())
}
