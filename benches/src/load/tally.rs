//! What happened: counts and latencies, gathered by each thread and sent to the main thread once a second.

use std::collections::BTreeMap;
use std::time::Instant;

use hdrhistogram::Histogram;

/// Nanoseconds since the program's start; all threads share one zero, so that a reader can tell a record's age.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    pub fn now(&self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

/// When the measured part of the run begins and ends, by the due times of records.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The first record is due here.
    pub start: u64,
    /// Records due from here on are measured.
    pub measured: u64,
    /// No record is due from here on.
    pub end: u64,
    /// The wall clock at the clock's zero, for record timestamps. Milliseconds since 1970.
    pub wall_zero_ms: i64,
}

/// Microseconds up to an hour, three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("the bounds are in order")
}

/// One second of one thread, or the whole run of all.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Due to acknowledged, microseconds, one value a record.
    pub produce_us: Histogram<u64>,
    /// Due to read, microseconds, one value a record.
    pub end_to_end_us: Histogram<u64>,
    /// Fetch sent to answered, microseconds.
    pub fetch_us: Histogram<u64>,
    /// Due to made: how far the generator itself ran behind, microseconds.
    pub behind_us: Histogram<u64>,
    pub acked_records: u64,
    /// Bytes of acknowledged batches.
    pub acked_bytes: u64,
    pub produce_requests: u64,
    pub batches: u64,
    pub read_records: u64,
    /// Bytes of batches read.
    pub read_bytes: u64,
    pub fetch_requests: u64,
    /// Records never acknowledged by the end; their age then is in `produce_us`.
    pub unanswered: u64,
    /// Records whose batch was refused for good.
    pub refused: u64,
    pub retried_batches: u64,
    pub reconnects: u64,
    /// By Kafka error code; -1000 is a broken connection.
    pub errors: BTreeMap<i16, u64>,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            produce_us: histogram(),
            end_to_end_us: histogram(),
            fetch_us: histogram(),
            behind_us: histogram(),
            acked_records: 0,
            acked_bytes: 0,
            produce_requests: 0,
            batches: 0,
            read_records: 0,
            read_bytes: 0,
            fetch_requests: 0,
            unanswered: 0,
            refused: 0,
            retried_batches: 0,
            reconnects: 0,
            errors: BTreeMap::new(),
        }
    }
}

/// Stands among Kafka's error codes for a connection that failed.
pub const CONNECTION_LOST: i16 = -1000;

impl Tally {
    pub fn error(&mut self, code: i16) {
        *self.errors.entry(code).or_default() += 1;
    }

    pub fn add(&mut self, other: &Tally) {
        for (ours, theirs) in [
            (&mut self.produce_us, &other.produce_us),
            (&mut self.end_to_end_us, &other.end_to_end_us),
            (&mut self.fetch_us, &other.fetch_us),
            (&mut self.behind_us, &other.behind_us),
        ] {
            ours.add(theirs).expect("equal bounds");
        }
        self.acked_records += other.acked_records;
        self.acked_bytes += other.acked_bytes;
        self.produce_requests += other.produce_requests;
        self.batches += other.batches;
        self.read_records += other.read_records;
        self.read_bytes += other.read_bytes;
        self.fetch_requests += other.fetch_requests;
        self.unanswered += other.unanswered;
        self.refused += other.refused;
        self.retried_batches += other.retried_batches;
        self.reconnects += other.reconnects;
        for (code, count) in &other.errors {
            *self.errors.entry(*code).or_default() += count;
        }
    }
}
