//! Metrics as Prometheus text (exposition format 0.0.4), one series per core where a core is the unit.

use std::borrow::Cow;
use std::fmt::Write;

use heddle_api::Histogram;
use heddle_group::Commit;
use heddle_shard::{Metrics, TURN_BOUNDS_US};
use heddle_uring::{SYNC_BOUNDS_US, Stats as DriverStats};

use crate::lag::Lag;

/// `lag` is left out if a core did not tell its part in time.
pub fn write(shards: &[Metrics], drivers: &[DriverStats], lag: Option<&Lag>) -> String {
    let mut page = Page { text: String::with_capacity(32 * 1024) };
    requests(&mut page, shards);
    network(&mut page, shards, drivers);
    journal(&mut page, shards, drivers);
    memory(&mut page, shards);
    compaction(&mut page, shards);
    turns(&mut page, shards, drivers);
    if let Some(lag) = lag {
        groups(&mut page, lag);
    }
    page.text
}

struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = match labels {
            "" => writeln!(self.text, "{name} {value}"),
            labels => writeln!(self.text, "{name}{{{labels}}} {value}"),
        };
    }

    fn by_shard(&mut self, name: &str, kind: &str, help: &str, shards: &[Metrics], of: impl Fn(&Metrics) -> f64) {
        self.head(name, kind, help);
        for m in shards {
            self.value(name, &format!("shard=\"{}\"", m.shard), of(m));
        }
    }

    fn by_driver(&mut self, name: &str, kind: &str, help: &str, all: &[DriverStats], of: impl Fn(&DriverStats) -> f64) {
        self.head(name, kind, help);
        for (shard, stats) in all.iter().enumerate() {
            self.value(name, &format!("shard=\"{shard}\""), of(stats));
        }
    }

    /// One core's counts by fixed bounds, longer ones last; bounds and sum in microseconds, written in seconds.
    fn bounded(&mut self, name: &str, shard: usize, bounds_us: &[u64], counts: &[u64], sum_us: u64) {
        let mut seen = 0;
        for (bound, count) in bounds_us.iter().zip(counts) {
            seen += count;
            let le = *bound as f64 / 1e6;
            self.value(&format!("{name}_bucket"), &format!("shard=\"{shard}\",le=\"{le}\""), seen);
        }
        let all: u64 = counts.iter().sum();
        self.value(&format!("{name}_bucket"), &format!("shard=\"{shard}\",le=\"+Inf\""), all);
        self.value(&format!("{name}_sum"), &format!("shard=\"{shard}\""), sum_us as f64 / 1e6);
        self.value(&format!("{name}_count"), &format!("shard=\"{shard}\""), all);
    }

    /// `labels` without braces; values recorded in microseconds, written in seconds.
    fn histogram(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut seen = 0;
        for (upper_us, count) in histogram.buckets() {
            seen += count;
            let le = upper_us as f64 / 1e6;
            self.value(&format!("{name}_bucket"), &format!("{labels}{comma}le=\"{le}\""), seen);
        }
        self.value(&format!("{name}_bucket"), &format!("{labels}{comma}le=\"+Inf\""), histogram.count());
        self.value(&format!("{name}_sum"), labels, histogram.sum_us() as f64 / 1e6);
        self.value(&format!("{name}_count"), labels, histogram.count());
    }
}

fn requests(page: &mut Page, shards: &[Metrics]) {
    let name = "heddle_request_duration_seconds";
    page.head(name, "histogram", "From a request's start to its answer, by Kafka API.");
    let Some(first) = shards.first() else { return };
    for (at, api) in first.api.apis.iter().enumerate() {
        let mut all = Histogram::default();
        shards.iter().filter_map(|m| m.api.apis.get(at)).for_each(|of| all.merge(&of.latency));
        if all.count() > 0 {
            page.histogram(name, &format!("api=\"{}\"", api.name), &all);
        }
    }
}

fn network(page: &mut Page, shards: &[Metrics], drivers: &[DriverStats]) {
    let of = |m: &Metrics| m.api.bytes_in as f64;
    page.by_shard("heddle_received_bytes_total", "counter", "Bytes received from clients.", shards, of);
    let of = |m: &Metrics| m.api.bytes_out as f64;
    page.by_shard("heddle_sent_bytes_total", "counter", "Bytes sent to clients.", shards, of);
    let of = |m: &Metrics| m.api.connections as f64;
    page.by_shard("heddle_connections", "gauge", "Open client connections.", shards, of);
    let of = |m: &Metrics| m.api.connections_opened as f64;
    page.by_shard("heddle_connections_opened_total", "counter", "Client connections since start.", shards, of);
    let of = |m: &Metrics| m.api.in_flight as f64;
    page.by_shard("heddle_requests_in_flight", "gauge", "Requests not yet answered.", shards, of);
    let of = |m: &Metrics| m.api.asks as f64;
    page.by_shard("heddle_asks_in_flight", "gauge", "Questions between cores not yet answered.", shards, of);
    let of = |m: &Metrics| m.api.fetch_sessions as f64;
    page.by_shard("heddle_fetch_sessions", "gauge", "Incremental fetch sessions kept.", shards, of);
    let name = "heddle_connections_closed_total";
    page.head(name, "counter", "Connections closed by the broker, by reason.");
    for m in shards {
        for (reason, count) in &m.api.closed {
            page.value(name, &format!("shard=\"{}\",reason=\"{reason}\"", m.shard), count);
        }
    }
    let of = |s: &DriverStats| s.accepted as f64;
    page.by_driver("heddle_accepted_total", "counter", "Sockets accepted.", drivers, of);
}

fn journal(page: &mut Page, shards: &[Metrics], drivers: &[DriverStats]) {
    let of = |m: &Metrics| m.journal.frames as f64;
    page.by_shard("heddle_journal_frames_total", "counter", "Durable writes of the journal.", shards, of);
    let of = |m: &Metrics| m.journal.frame_bytes as f64;
    page.by_shard("heddle_journal_bytes_total", "counter", "Bytes of those writes, padding included.", shards, of);
    let of = |m: &Metrics| m.journal.payload_bytes as f64;
    page.by_shard("heddle_journal_payload_bytes_total", "counter", "Bytes of records in them.", shards, of);
    let of = |m: &Metrics| m.journal_waiting_bytes as f64;
    page.by_shard("heddle_journal_waiting_bytes", "gauge", "Records that wait for a frame.", shards, of);
    let of = |s: &DriverStats| s.disk_written_bytes as f64;
    let help = "Bytes written to disk, journal and segments; over the payload bytes this is the write amplification.";
    page.by_driver("heddle_disk_written_bytes_total", "counter", help, drivers, of);
    let of = |s: &DriverStats| s.disk_writes as f64;
    page.by_driver("heddle_disk_writes_total", "counter", "Disk writes.", drivers, of);
    let of = |s: &DriverStats| s.disk_read_bytes as f64;
    page.by_driver("heddle_disk_read_bytes_total", "counter", "Bytes read from disk.", drivers, of);
    let of = |s: &DriverStats| s.disk_reads as f64;
    page.by_driver("heddle_disk_reads_total", "counter", "Disk reads.", drivers, of);
    let name = "heddle_disk_sync_duration_seconds";
    page.head(name, "histogram", "Durable writes and syncs, from their submission to their completion.");
    for (shard, of) in drivers.iter().enumerate() {
        page.bounded(name, shard, &SYNC_BOUNDS_US, &of.syncs.counts, of.syncs.sum_us);
    }
}

fn memory(page: &mut Page, shards: &[Metrics]) {
    let name = "heddle_memory_bytes";
    page.head(name, "gauge", "Memory in use by purpose; limit is what the core may use.");
    for m in shards {
        let uses = [
            ("tail", m.tail_bytes),
            ("cache", m.cached_bytes),
            ("requests", m.request_bytes),
            ("compaction", m.compaction_map_bytes),
            ("limit", m.memory_bytes),
        ];
        for (purpose, bytes) in uses {
            page.value(name, &format!("shard=\"{}\",purpose=\"{purpose}\"", m.shard), bytes);
        }
    }
    let of = |m: &Metrics| m.partitions as f64;
    page.by_shard("heddle_partitions", "gauge", "Replicas on the core.", shards, of);
    let of = |m: &Metrics| m.damaged_partitions as f64;
    let help = "Replicas whose journal is damaged: read-only until repaired.";
    page.by_shard("heddle_damaged_partitions", "gauge", help, shards, of);
}

fn compaction(page: &mut Page, shards: &[Metrics]) {
    let of = |m: &Metrics| m.compaction_dirty_bytes as f64;
    let help = "Bytes of closed segments of compacted topics that wait to be compacted.";
    page.by_shard("heddle_compaction_dirty_bytes", "gauge", help, shards, of);
    let of = |m: &Metrics| m.compaction_rounds as f64;
    page.by_shard("heddle_compaction_rounds_total", "counter", "Rounds of compaction ended.", shards, of);
    let of = |m: &Metrics| m.compaction_failures as f64;
    let help = "Rounds of compaction that failed; each is tried again.";
    page.by_shard("heddle_compaction_failures_total", "counter", help, shards, of);
    let of = |m: &Metrics| m.compaction_map_bytes_max as f64;
    let help = "The most memory that the map of keys of a round of compaction took so far, and may take.";
    page.by_shard("heddle_compaction_map_bytes_max", "gauge", help, shards, of);
    let of = |m: &Metrics| m.compaction_map_bytes_limit as f64;
    page.by_shard("heddle_compaction_map_bytes_limit", "gauge", help, shards, of);
}

fn turns(page: &mut Page, shards: &[Metrics], drivers: &[DriverStats]) {
    let name = "heddle_turn_duration_seconds";
    page.head(name, "histogram", "Length of a core's turns.");
    for m in shards {
        let turns = &m.gauges;
        page.bounded(name, usize::from(m.shard), &TURN_BOUNDS_US, &turns.turns, turns.turns_us);
    }
    let of = |m: &Metrics| m.queued_asks as f64;
    page.by_shard("heddle_queued_asks", "gauge", "Questions waiting within a core.", shards, of);
    let of = |s: &DriverStats| s.parks as f64;
    page.by_driver("heddle_parks_total", "counter", "Times the core went to sleep.", drivers, of);
    let of = |s: &DriverStats| s.enters as f64;
    page.by_driver("heddle_ring_enters_total", "counter", "System calls of the ring.", drivers, of);
}

/// The names of committed offsets and lag are those of kafka_exporter, which dashboards and alerts know.
fn groups(page: &mut Page, lag: &Lag) {
    let name = "heddle_groups";
    page.head(name, "gauge", "Groups coordinated here, by protocol (kind of group) and state.");
    for (kind, state, count) in lag.states() {
        let labels = format!("protocol=\"{}\",state=\"{}\"", kind.name(), state.name());
        page.value(name, &labels, count);
    }
    let labels = |commit: &Commit| {
        let (group, topic) = (label(commit.group.as_str()), label(commit.topic.as_str()));
        format!("consumergroup=\"{group}\",topic=\"{topic}\",partition=\"{}\"", commit.partition)
    };
    let name = "kafka_consumergroup_current_offset";
    page.head(name, "gauge", "The offset that a group has committed.");
    for commit in lag.committed() {
        page.value(name, &labels(commit), commit.offset);
    }
    let name = "kafka_consumergroup_lag";
    page.head(name, "gauge", "Records between a group's committed offset and the partition's high watermark.");
    for commit in lag.committed() {
        if let Some(behind) = lag.of(commit) {
            page.value(name, &labels(commit), behind);
        }
    }
}

/// A label's value in the text format: group ids may hold anything.
fn label(text: &str) -> Cow<'_, str> {
    if !text.contains(['\\', '"', '\n']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_holds_any_text() {
        assert_eq!(label("readers"), "readers");
        assert_eq!(label("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
