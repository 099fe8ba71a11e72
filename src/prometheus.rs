//! Metrics as Prometheus text (exposition format 0.0.4), one series per core where a core is the unit.

mod tables;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use heddle_api::{Histogram, REQUEST_BOUNDS_US};
use heddle_group::Commit;
use heddle_shard::{Metrics, TURN_BOUNDS_US};
use heddle_uring::{SYNC_BOUNDS_US, Stats as DriverStats};

use crate::lag::{Lag, Topic};
use crate::process::Process;
use tables::Column;

/// Everything that a page is written from.
pub struct Scrape<'a> {
    /// The cores that answered in time.
    pub shards: &'a [Metrics],
    /// All cores.
    pub drivers: &'a [DriverStats],
    /// `None`: a core did not tell its part in time.
    pub lag: Option<&'a Lag>,
    pub process: Process,
    /// When the process began, seconds since 1970.
    pub since: f64,
    /// Size of the data directory's file system, and what is free of it. Bytes.
    pub space: Option<(u64, u64)>,
}

/// What is summed over the cores is left out if one did not answer: a sum without it would take a counter back.
pub fn write(scrape: &Scrape<'_>) -> String {
    let mut page = Page { text: String::with_capacity(64 * 1024) };
    let (shards, drivers) = (scrape.shards, scrape.drivers);
    process(&mut page, scrape);
    if shards.len() == drivers.len() {
        requests(&mut page, shards);
    }
    network(&mut page, shards);
    journal(&mut page, shards);
    disk(&mut page, scrape);
    memory(&mut page, shards);
    partitions(&mut page, shards);
    compaction(&mut page, shards);
    turns(&mut page, shards, drivers);
    if let Some(lag) = scrape.lag {
        groups(&mut page, lag);
        topics(&mut page, lag);
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

    fn by_shard(&mut self, columns: &[Column<Metrics>], shards: &[Metrics]) {
        for Column { name, kind, help, of } in columns {
            self.head(name, kind, help);
            for m in shards {
                self.value(name, &format!("shard=\"{}\"", m.shard), of(m));
            }
        }
    }

    fn by_driver(&mut self, columns: &[Column<DriverStats>], all: &[DriverStats]) {
        for Column { name, kind, help, of } in columns {
            self.head(name, kind, help);
            for (shard, stats) in all.iter().enumerate() {
                self.value(name, &format!("shard=\"{shard}\""), of(stats));
            }
        }
    }

    /// Counts by fixed bounds, those above all of them last; bounds and sum in microseconds, written in seconds.
    fn bounded(&mut self, name: &str, labels: &str, bounds_us: &[u64], counts: &[u64], sum_us: u64) {
        let mut seen = 0;
        for (bound, count) in bounds_us.iter().zip(counts) {
            seen += count;
            let le = *bound as f64 / 1e6;
            self.value(&format!("{name}_bucket"), &format!("{labels},le=\"{le}\""), seen);
        }
        let all: u64 = counts.iter().sum();
        self.value(&format!("{name}_bucket"), &format!("{labels},le=\"+Inf\""), all);
        self.value(&format!("{name}_sum"), labels, sum_us as f64 / 1e6);
        self.value(&format!("{name}_count"), labels, all);
    }

    /// One value without labels, if it is known.
    fn single(&mut self, name: &str, kind: &str, help: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.head(name, kind, help);
            self.value(name, "", value);
        }
    }
}

fn process(page: &mut Page, scrape: &Scrape<'_>) {
    let name = "heddle_build_info";
    page.head(name, "gauge", "Always 1; the version is in the label.");
    page.value(name, concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), 1);
    let help = "Cores of the broker, and of these those that answered this scrape in time.";
    page.single("heddle_cores", "gauge", help, Some(scrape.drivers.len()));
    page.single("heddle_cores_answering", "gauge", help, Some(scrape.shards.len()));
    let process = &scrape.process;
    let help = "User and system CPU time.";
    page.single("process_cpu_seconds_total", "counter", help, process.cpu_seconds);
    page.single("process_resident_memory_bytes", "gauge", "Resident memory.", process.resident_bytes);
    page.single("process_virtual_memory_bytes", "gauge", "Virtual memory.", process.virtual_bytes);
    page.single("process_threads", "gauge", "Threads.", process.threads);
    page.single("process_open_fds", "gauge", "Open file descriptors.", process.open_files);
    page.single("process_max_fds", "gauge", "The most there may be.", process.open_files_max);
    let help = "When the process began, seconds since 1970.";
    page.single("process_start_time_seconds", "gauge", help, Some(scrape.since));
}

fn requests(page: &mut Page, shards: &[Metrics]) {
    let name = "heddle_request_duration_seconds";
    page.head(name, "histogram", "From a request's start to its answer, by Kafka API.");
    let Some(first) = shards.first() else { return };
    for (at, api) in first.api.apis.iter().enumerate() {
        let mut all = Histogram::default();
        shards.iter().filter_map(|m| m.api.apis.get(at)).for_each(|of| all.merge(&of.latency));
        if all.count() > 0 {
            let labels = format!("api=\"{}\"", api.name);
            page.bounded(name, &labels, &REQUEST_BOUNDS_US, all.counts(), all.sum_us());
        }
    }
    let name = "heddle_request_errors_total";
    page.head(
        name,
        "counter",
        "Errors in answers, by Kafka API and code: one for each partition, topic or group with it.",
    );
    for (at, api) in first.api.apis.iter().enumerate() {
        let mut all = BTreeMap::new();
        for (code, count) in shards.iter().filter_map(|m| m.api.apis.get(at)).flat_map(|of| &of.errors) {
            *all.entry(*code).or_insert(0) += count;
        }
        for (code, count) in all {
            page.value(name, &format!("api=\"{}\",error=\"{}\"", api.name, code.name()), count);
        }
    }
}

fn network(page: &mut Page, shards: &[Metrics]) {
    page.by_shard(tables::NETWORK, shards);
    let name = "heddle_connections_closed_total";
    page.head(name, "counter", "Connections closed by the broker, by reason.");
    for m in shards {
        for (reason, count) in &m.api.closed {
            page.value(name, &format!("shard=\"{}\",reason=\"{reason}\"", m.shard), count);
        }
    }
}

fn journal(page: &mut Page, shards: &[Metrics]) {
    page.by_shard(tables::JOURNAL, shards);
}

fn disk(page: &mut Page, scrape: &Scrape<'_>) {
    let drivers = scrape.drivers;
    page.by_driver(tables::DISK, drivers);
    let name = "heddle_disk_sync_duration_seconds";
    page.head(name, "histogram", "Durable writes and syncs, from their submission to their completion.");
    for (shard, of) in drivers.iter().enumerate() {
        page.bounded(name, &format!("shard=\"{shard}\""), &SYNC_BOUNDS_US, &of.syncs.counts, of.syncs.sum_us);
    }
    let (total, free) = scrape.space.unzip();
    page.single("heddle_data_directory_size_bytes", "gauge", "Size of the data directory's file system.", total);
    page.single("heddle_data_directory_free_bytes", "gauge", "What the broker may still write there.", free);
}

fn memory(page: &mut Page, shards: &[Metrics]) {
    let name = "heddle_memory_bytes";
    page.head(name, "gauge", "Memory in use, by purpose.");
    for m in shards {
        let uses = [
            ("tail", m.tail_bytes),
            ("cache", m.cached_bytes),
            ("requests", m.request_bytes),
            ("compaction", m.compaction_map_bytes),
        ];
        for (purpose, bytes) in uses {
            page.value(name, &format!("shard=\"{}\",purpose=\"{purpose}\"", m.shard), bytes);
        }
    }
    page.by_shard(tables::MEMORY, shards);
}

fn partitions(page: &mut Page, shards: &[Metrics]) {
    page.by_shard(tables::PARTITIONS, shards);
}

fn compaction(page: &mut Page, shards: &[Metrics]) {
    page.by_shard(tables::COMPACTION, shards);
}

fn turns(page: &mut Page, shards: &[Metrics], drivers: &[DriverStats]) {
    let name = "heddle_turn_duration_seconds";
    page.head(name, "histogram", "Length of a core's turns.");
    for m in shards {
        let turns = &m.gauges;
        page.bounded(name, &format!("shard=\"{}\"", m.shard), &TURN_BOUNDS_US, &turns.turns, turns.turns_us);
    }
    page.by_driver(tables::TURNS, drivers);
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

fn topics(page: &mut Page, lag: &Lag) {
    type Of = fn(&Topic) -> u64;
    let columns: [(&str, &str, &str, Of); 4] = [
        ("heddle_topic_size_bytes", "gauge", "Bytes of the topic's logs.", |t| t.bytes),
        ("heddle_topic_received_bytes_total", "counter", "Bytes of batches taken, since start.", |t| {
            t.traffic.received_bytes
        }),
        ("heddle_topic_received_records_total", "counter", "Records taken, since start.", |t| {
            t.traffic.received_records
        }),
        ("heddle_topic_sent_bytes_total", "counter", "Bytes of batches read for fetches, since start.", |t| {
            t.traffic.sent_bytes
        }),
    ];
    for (name, kind, help, of) in columns {
        page.head(name, kind, help);
        for (topic, found) in lag.topics() {
            page.value(name, &format!("topic=\"{topic}\""), of(found));
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

    fn page() -> Page {
        Page { text: String::new() }
    }

    /// What Prometheus sums over brokers and computes quantiles of must have the same bounds everywhere.
    #[test]
    fn every_bound_is_written_also_of_empty_buckets() {
        let mut page = page();
        page.bounded("x", "api=\"a\"", &[1_000, 2_000_000], &[0, 3, 1], 5_000_000);
        let lines = [
            "x_bucket{api=\"a\",le=\"0.001\"} 0",
            "x_bucket{api=\"a\",le=\"2\"} 3",
            "x_bucket{api=\"a\",le=\"+Inf\"} 4",
            "x_sum{api=\"a\"} 5",
            "x_count{api=\"a\"} 4",
        ];
        assert_eq!(page.text.lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn a_core_that_is_silent_leaves_a_gap_and_no_smaller_sum() {
        let drivers = [DriverStats::default(), DriverStats::default()];
        let (lag, space) = (None, Some((100, 40)));
        let page = write(&Scrape { shards: &[], drivers: &drivers, lag, process: Process::read(), since: 1.5, space });
        assert!(!page.contains("heddle_request_duration_seconds"), "{page}");
        for line in [
            "heddle_cores 2",
            "heddle_cores_answering 0",
            "process_start_time_seconds 1.5",
            "heddle_data_directory_free_bytes 40",
            "heddle_parks_total{shard=\"1\"} 0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in {page}");
        }
    }

    #[test]
    fn a_label_holds_any_text() {
        assert_eq!(label("readers"), "readers");
        assert_eq!(label("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
