//! What has one value a core: name, kind, help, and where it is found.

use heddle_shard::Metrics;
use heddle_uring::Stats as DriverStats;

/// One metric; `of` gives a core's value.
pub struct Column<T> {
    pub name: &'static str,
    pub kind: &'static str,
    pub help: &'static str,
    pub of: fn(&T) -> f64,
}

const fn counter<T>(name: &'static str, help: &'static str, of: fn(&T) -> f64) -> Column<T> {
    Column { name, kind: "counter", help, of }
}

const fn gauge<T>(name: &'static str, help: &'static str, of: fn(&T) -> f64) -> Column<T> {
    Column { name, kind: "gauge", help, of }
}

pub const NETWORK: &[Column<Metrics>] = &[
    counter("heddle_received_bytes_total", "Bytes received from clients.", |m| m.api.bytes_in as f64),
    counter("heddle_sent_bytes_total", "Bytes sent to clients.", |m| m.api.bytes_out as f64),
    gauge("heddle_connections", "Open client connections.", |m| m.api.connections as f64),
    counter("heddle_connections_opened_total", "Client connections since start.", |m| m.api.connections_opened as f64),
    counter(
        "heddle_connections_moved_total",
        "Client connections that went to the core that their records go to.",
        |m| m.api.connections_moved as f64,
    ),
    gauge("heddle_requests_in_flight", "Requests not yet answered.", |m| m.api.in_flight as f64),
    gauge("heddle_asks_in_flight", "Questions of requests to partitions and groups, not yet answered.", |m| {
        m.api.asks as f64
    }),
    gauge("heddle_fetch_sessions", "Incremental fetch sessions kept.", |m| m.api.fetch_sessions as f64),
];

pub const JOURNAL: &[Column<Metrics>] = &[
    counter("heddle_journal_frames_total", "Durable writes of the journal.", |m| m.journal.frames as f64),
    counter("heddle_journal_bytes_total", "Bytes of those writes, padding included.", |m| m.journal.frame_bytes as f64),
    counter("heddle_journal_payload_bytes_total", "Bytes of records in them.", |m| m.journal.payload_bytes as f64),
    gauge("heddle_journal_waiting_bytes", "Records that wait for a frame.", |m| m.journal_waiting_bytes as f64),
    counter("heddle_journal_write_failures_total", "Writes of the journal that the disk refused.", |m| {
        m.journal.write_failures as f64
    }),
    counter("heddle_journal_files_refused_total", "Times a file of the journal could not be made.", |m| {
        m.journal.files_refused as f64
    }),
    counter("heddle_journal_stalls_total", "Times the journal found no file to write to.", |m| m.journal.stalls as f64),
    gauge("heddle_refusing_records", "1: records of clients are refused, for the disk takes no more.", |m| {
        f64::from(u8::from(m.refusing_records))
    }),
];

pub const DISK: &[Column<DriverStats>] = &[
    counter(
        "heddle_disk_written_bytes_total",
        "Bytes written to disk, journal and segments; over the payload bytes this is the write amplification.",
        |s| s.disk_written_bytes as f64,
    ),
    counter("heddle_disk_writes_total", "Disk writes.", |s| s.disk_writes as f64),
    counter("heddle_disk_read_bytes_total", "Bytes read from disk.", |s| s.disk_read_bytes as f64),
    counter("heddle_disk_reads_total", "Disk reads.", |s| s.disk_reads as f64),
    counter("heddle_disk_syncs_total", "Syncs of files.", |s| s.disk_syncs as f64),
    counter(
        "heddle_disk_cold_operations_total",
        "File operations done off the core's loop: opening, removing, allocating, listing.",
        |s| s.cold as f64,
    ),
];

pub const MEMORY: &[Column<Metrics>] =
    &[gauge("heddle_memory_limit_bytes", "Memory that the core may use for these.", |m| m.memory_bytes as f64)];

pub const PARTITIONS: &[Column<Metrics>] = &[
    gauge("heddle_partitions", "Replicas on the core.", |m| m.partitions as f64),
    gauge("heddle_damaged_partitions", "Replicas whose journal is damaged: read-only until repaired.", |m| {
        m.damaged_partitions as f64
    }),
    gauge(
        "heddle_failed_removals",
        "Files of segments that could not be removed since their partition was loaded.",
        |m| m.failed_removals as f64,
    ),
];

pub const COMPACTION: &[Column<Metrics>] = &[
    gauge(
        "heddle_compaction_dirty_bytes",
        "Bytes of closed segments of compacted topics that wait to be compacted.",
        |m| m.compaction_dirty_bytes as f64,
    ),
    counter("heddle_compaction_rounds_total", "Rounds of compaction ended.", |m| m.compaction_rounds as f64),
    counter("heddle_compaction_failures_total", "Rounds of compaction that failed; each is tried again.", |m| {
        m.compaction_failures as f64
    }),
    gauge(
        "heddle_compaction_map_bytes_max",
        "The most memory that the map of keys of a round of compaction took so far.",
        |m| m.compaction_map_bytes_max as f64,
    ),
    gauge("heddle_compaction_map_bytes_limit", "The most memory that the map of keys of a round may take.", |m| {
        m.compaction_map_bytes_limit as f64
    }),
];

pub const TURNS: &[Column<DriverStats>] = &[
    counter("heddle_parks_total", "Times the core went to sleep.", |s| s.parks as f64),
    counter("heddle_ring_enters_total", "System calls of the ring.", |s| s.enters as f64),
    counter("heddle_ring_completions_total", "Operations that the ring completed.", |s| s.completions as f64),
    counter("heddle_spins_won_total", "Times the core waited by spinning and something came.", |s| s.spins_won as f64),
    counter("heddle_mail_total", "Letters to other cores.", |s| s.mail_out as f64),
    counter("heddle_doorbells_total", "Times another core was woken because there was mail for it.", |s| {
        s.doorbells as f64
    }),
    counter("heddle_works_total", "Pieces of work handed to helper threads, as compression is.", |s| s.works as f64),
];
