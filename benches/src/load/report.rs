//! The run in numbers: a progress line each second, a table and JSON at the end.

use std::io::{IsTerminal, Write, stderr};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::options::Settings;
use super::tally::{CONNECTION_LOST, Tally};

/// Quantiles of the tables.
const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];

pub struct Report {
    whole: Tally,
    seconds: Vec<Value>,
    on_terminal: bool,
}

impl Report {
    pub fn begin() -> Report {
        Report { whole: Tally::default(), seconds: Vec::new(), on_terminal: stderr().is_terminal() }
    }

    /// One second of all threads. `at`: seconds since the first record was due.
    pub fn on_second(&mut self, at: f64, second: &Tally, measured: bool) {
        self.whole.add(second);
        if measured {
            self.seconds.push(json!({
                "at": (at * 10.0).round() / 10.0,
                "acked_records": second.acked_records,
                "acked_bytes": second.acked_bytes,
                "read_records": second.read_records,
                "read_bytes": second.read_bytes,
                "produce_us": quantiles(&second.produce_us),
                "end_to_end_us": quantiles(&second.end_to_end_us),
            }));
        }
        if self.on_terminal {
            let line = format!(
                "{at:6.0} s  {:>8} acked/s  {:>7.1} MB/s  p50 {:>8.2} ms  p99 {:>8.2} ms  max {:>8.2} ms  read {:>7.1} MB/s  errors {}",
                second.acked_records,
                second.acked_bytes as f64 / 1e6,
                ms(&second.produce_us, 0.5),
                ms(&second.produce_us, 0.99),
                ms(&second.produce_us, 1.0),
                second.read_bytes as f64 / 1e6,
                self.whole.errors.values().sum::<u64>(),
            );
            // Progress is a courtesy: a closed terminal must not end the run.
            let _ = write!(stderr(), "\r\x1b[K{}{line}", if measured { "" } else { "(warm-up) " });
        }
    }

    /// Adds what arrived after the last full second.
    pub fn on_rest(&mut self, rest: &Tally) {
        self.whole.add(rest);
        if self.on_terminal {
            let _ = writeln!(stderr());
        }
    }

    /// Records that were not acknowledged, for whatever reason.
    pub fn unfinished(&self) -> u64 {
        self.whole.unanswered + self.whole.refused
    }

    pub fn table(&self, settings: &Settings) -> String {
        let whole = &self.whole;
        let mut out = format!(
            "acked {:.0} records/s of {:.0} wanted, {:.2} MB/s, {:.1} records a batch, {:.1} batches a request\n",
            whole.acked_records as f64 / settings.duration,
            settings.rate,
            whole.acked_bytes as f64 / 1e6 / settings.duration,
            whole.acked_records as f64 / whole.batches.max(1) as f64,
            // Requests are counted from the start, batches in the measured time only.
            whole.batches as f64 / whole.produce_requests.max(1) as f64 * (settings.duration + settings.warmup)
                / settings.duration,
        );
        if whole.read_bytes > 0 {
            out += &format!(
                "read {:.0} records/s, {:.2} MB/s, {} fetches\n",
                whole.read_records as f64 / settings.duration,
                whole.read_bytes as f64 / 1e6 / settings.duration,
                whole.fetch_requests
            );
        }
        out += &format!("{:<28}", "ms");
        for (name, _) in QUANTILES {
            out += &format!("{name:>10}");
        }
        for (name, histogram) in self.histograms() {
            if !histogram.is_empty() {
                out += &format!("\n{name:<28}");
                for (_, quantile) in QUANTILES {
                    out += &format!("{:>10.2}", ms(histogram, quantile));
                }
            }
        }
        for (what, count) in [
            ("unanswered records", whole.unanswered),
            ("refused records", whole.refused),
            ("retried batches", whole.retried_batches),
            ("reconnects", whole.reconnects),
        ] {
            if count > 0 {
                out += &format!("\n{what}: {count}");
            }
        }
        for (code, count) in &whole.errors {
            out += &match *code {
                CONNECTION_LOST => format!("\nconnections lost or refused: {count}"),
                code => format!("\nerror {code}: {count}"),
            };
        }
        out
    }

    fn histograms(&self) -> [(&'static str, &Histogram<u64>); 4] {
        [
            ("due to acknowledged", &self.whole.produce_us),
            ("due to read", &self.whole.end_to_end_us),
            ("fetch", &self.whole.fetch_us),
            ("generator behind", &self.whole.behind_us),
        ]
    }

    pub fn json(&self, label: &str, workload: &str, settings: &Settings) -> Value {
        let whole = &self.whole;
        json!({
            "label": label,
            "workload": workload,
            "settings": settings,
            "acked_records": whole.acked_records,
            "acked_records_per_second": whole.acked_records as f64 / settings.duration,
            "acked_bytes_per_second": whole.acked_bytes as f64 / settings.duration,
            "read_records": whole.read_records,
            "read_bytes_per_second": whole.read_bytes as f64 / settings.duration,
            "records_per_batch": whole.acked_records as f64 / whole.batches.max(1) as f64,
            "produce_requests": whole.produce_requests,
            "fetch_requests": whole.fetch_requests,
            "produce_us": quantiles(&whole.produce_us),
            "end_to_end_us": quantiles(&whole.end_to_end_us),
            "fetch_us": quantiles(&whole.fetch_us),
            "generator_behind_us": quantiles(&whole.behind_us),
            "unanswered_records": whole.unanswered,
            "refused_records": whole.refused,
            "retried_batches": whole.retried_batches,
            "reconnects": whole.reconnects,
            "errors": whole.errors,
            "seconds": self.seconds,
        })
    }
}

fn ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    if histogram.is_empty() { 0.0 } else { histogram.value_at_quantile(quantile) as f64 / 1000.0 }
}

/// `null` where nothing was measured.
fn quantiles(histogram: &Histogram<u64>) -> Value {
    if histogram.is_empty() {
        return Value::Null;
    }
    let mut out = serde_json::Map::new();
    for (name, quantile) in QUANTILES {
        out.insert(name.to_owned(), json!(histogram.value_at_quantile(quantile)));
    }
    out.insert("mean".to_owned(), json!(histogram.mean().round()));
    out.insert("count".to_owned(), json!(histogram.len()));
    Value::Object(out)
}
