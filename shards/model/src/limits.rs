//! Every bound of the system, in one place, with how they relate.

/// The unit of direct I/O: frames, spans and files begin and end on it. Bytes.
pub const BLOCK_BYTES: usize = 4096;

/// Payload a journal frame takes before it is closed; a larger record travels alone. Bytes.
pub const FRAME_PAYLOAD_BYTES: usize = 256 * 1024;
/// What one replica may put into a frame in one round of filling. Bytes.
pub const FRAME_ROUND_BYTES: usize = 64 * 1024;
/// Journal frames being written at once.
pub const FRAMES_IN_FLIGHT: usize = 4;
/// Bytes of journal frames being written at once; one larger frame may still travel alone.
pub const FRAMES_IN_FLIGHT_BYTES: usize = 1024 * 1024;
/// Records waiting for a frame above which sockets are no longer read. Bytes.
pub const JOURNAL_WAITING_BYTES: usize = 4 * 1024 * 1024;
/// A full-sized file of the journal's ring. Bytes.
pub const JOURNAL_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// The ring's first file, small so that an empty directory is ready at once. Bytes.
pub const JOURNAL_FIRST_FILE_BYTES: u64 = 8 * 1024 * 1024;
/// Files of a full-grown ring.
pub const JOURNAL_FILES: usize = 8;
/// A core that goes quiet records, this much later, that its last frame was durable. Milliseconds.
pub const JOURNAL_QUIET_MS: u64 = 10;

/// The largest record batch that any setting may allow. Bytes.
pub const BATCH_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What the records of one packed batch may unpack to. They are looked through piece by piece and never held together.
/// Bytes.
pub const UNPACKED_BYTES_MAX: usize = 512 * 1024 * 1024;
/// What one span of a segment holds, unless a single batch is larger. Bytes.
pub const SPAN_BYTES: usize = 256 * 1024;
/// Segments grow by steps of this size. Bytes.
pub const SEGMENT_STEP_BYTES: u64 = 4 * 1024 * 1024;

/// Kafka's `socket.request.max.bytes` default. Bytes.
pub const REQUEST_BYTES_MAX: usize = 104_857_600;
/// Kafka's broker-side `fetch.max.bytes` default. Bytes.
pub const FETCH_BYTES_MAX: usize = 57_671_680;
/// Requests of one connection that may be under way at once.
pub const PIPELINE_REQUESTS_MAX: usize = 64;
/// Asks of one core that may be under way at once: the answer slots.
pub const ANSWER_SLOTS: usize = 65_536;
/// Batches of a producer that are remembered with their results (KIP-98: the client keeps at most 5 in flight).
pub const PRODUCER_BATCHES_REMEMBERED: usize = 5;

const _: () = assert!(FRAME_ROUND_BYTES <= FRAME_PAYLOAD_BYTES);
const _: () = assert!(FRAME_PAYLOAD_BYTES * FRAMES_IN_FLIGHT <= FRAMES_IN_FLIGHT_BYTES);
const _: () = assert!(JOURNAL_FIRST_FILE_BYTES <= JOURNAL_FILE_BYTES);
const _: () = assert!((BATCH_BYTES_MAX as u64) < JOURNAL_FILE_BYTES);
const _: () = assert!(BATCH_BYTES_MAX <= REQUEST_BYTES_MAX);
const _: () = assert!(BATCH_BYTES_MAX <= UNPACKED_BYTES_MAX);
const _: () = assert!(FETCH_BYTES_MAX >= BATCH_BYTES_MAX);
const _: () = assert!(SPAN_BYTES.is_multiple_of(BLOCK_BYTES));
const _: () = assert!(SEGMENT_STEP_BYTES.is_multiple_of(BLOCK_BYTES as u64));
const _: () = assert!(JOURNAL_FILE_BYTES.is_multiple_of(BLOCK_BYTES as u64));
