//! What is measured beside latency: the CPU time that the server took, and how a row of figures is printed.

use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;
use nix::unistd::{SysconfVar, sysconf};
use serde_json::{Value, json};

/// The server's process, if it was named.
#[derive(Clone, Copy)]
pub struct Server(pub Option<u32>);

impl Server {
    /// CPU time that all its threads have taken since its start. Seconds, in steps of the kernel's tick.
    ///
    /// # Errors
    /// There is no such process.
    pub fn cpu(self) -> io::Result<Option<f64>> {
        let Some(pid) = self.0 else { return Ok(None) };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name before may hold anything, the last bracket ends it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let (Some(user), Some(system)) = (ticks(11), ticks(12)) else {
            return Err(io::Error::other(format!("/proc/{pid}/stat is not understood: {stat}")));
        };
        let a_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100) as f64;
        Ok(Some((user + system) / a_second))
    }
}

/// Latencies up to ten minutes, in microseconds, to three digits.
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Latency {
        Latency(Histogram::new_with_max(600_000_000, 3).expect("bounds that the histogram takes"))
    }
}

impl Latency {
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(took.as_micros() as u64);
    }

    pub fn len(&self) -> u64 {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Milliseconds.
    pub fn at(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1e3
    }

    /// Milliseconds.
    pub fn max(&self) -> f64 {
        self.0.max() as f64 / 1e3
    }
}

/// One run's figures, by name, in the order they were added.
#[derive(Default)]
pub struct Figures(Vec<(String, f64)>);

impl Figures {
    pub fn add(&mut self, name: impl Into<String>, value: f64) {
        self.0.push((name.into(), value));
    }

    pub fn add_latency(&mut self, of: &Latency) {
        self.add("p50 ms", of.at(0.5));
        self.add("p99 ms", of.at(0.99));
        self.add("max ms", of.max());
    }

    pub fn json(&self) -> Value {
        // An object of serde_json sorts its names; pairs keep their order.
        json!(self.0)
    }
}

/// Middle and largest of some measurements.
pub fn median_and_max(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let median = values.get(values.len() / 2).copied().unwrap_or(0.0);
    (median, values.last().copied().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_cpu_time_grows() {
        let me = Server(Some(std::process::id()));
        let before = me.cpu().expect("we are").expect("named");
        let mut sum = 0u64;
        while me.cpu().expect("we are").expect("named") < before + 0.03 {
            (0..1_000_000u64).for_each(|i| sum = sum.wrapping_mul(31).wrapping_add(i));
        }
        assert_eq!(Server(None).cpu().expect("nobody"), None);
        assert_ne!(sum, 1);
    }

    #[test]
    fn the_middle_and_the_largest() {
        assert_eq!(median_and_max(vec![3.0, 1.0, 2.0]), (2.0, 3.0));
        assert_eq!(median_and_max(vec![]), (0.0, 0.0));
    }
}
