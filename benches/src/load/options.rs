//! What to run: a workload file, overridden by the command line, over the defaults.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use heddle_model::Codec;
use serde::{Deserialize, Serialize};

/// Open-loop load over the Kafka wire. Latency counts from the moment a record was due, whether or not the generator or
/// the broker kept up, so that a stall is charged to every record it delayed.
#[derive(Parser, Debug)]
#[command(name = "load")]
pub struct Cli {
    /// A file of settings, or the name of one in benches/workloads. The command line overrides it.
    #[arg(long)]
    pub workload: Option<String>,
    /// Bootstrap brokers, comma-separated.
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub brokers: String,
    /// The topic; by default a fresh name for each run. It is created if it does not exist.
    #[arg(long)]
    pub topic: Option<String>,
    /// Write the result here.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// A name for the broker under test, kept in the result.
    #[arg(long, default_value = "")]
    pub label: String,
    #[command(flatten)]
    pub overrides: Overrides,
}

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident: $kind:ty = $default:expr,)*) => {
        /// One workload in full. Times are milliseconds or seconds as named, sizes bytes.
        #[derive(Clone, Debug, Serialize)]
        pub struct Settings {
            $($(#[$doc])* pub $name: $kind,)*
        }

        #[derive(clap::Args, Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Overrides {
            $($(#[$doc])* #[arg(long)] pub $name: Option<$kind>,)*
        }

        impl Settings {
            /// The command line wins over the workload, the workload over the defaults.
            pub fn layered(command_line: Overrides, workload: Overrides) -> Settings {
                Settings { $($name: command_line.$name.or(workload.$name).unwrap_or($default),)* }
            }
        }
    };
}

settings! {
    /// Partitions of the topic, if it is created.
    partitions: i32 = 1,
    /// Replication factor of the topic, if it is created.
    replication: i16 = 1,
    /// Topic config min.insync.replicas, if the topic is created; 0 leaves the broker's default.
    min_insync: i16 = 0,
    /// Producers, each with its own connections.
    producers: usize = 4,
    /// Records per second, all producers together.
    rate: f64 = 10_000.0,
    /// Bytes of a record's value; at least 16, which carry its run and due time.
    record_size: usize = 1024,
    /// Distinct keys; 0: no keys, a producer fills one partition's batch, then turns to another (KIP-480).
    keys: u64 = 0,
    /// all, 1 or 0.
    acks: Acks = Acks::All,
    /// Idempotent producers, as the Java client's default.
    idempotent: bool = true,
    /// Linger: how long a batch waits for more records.
    batch_ms: f64 = 0.0,
    /// A batch is closed at this size.
    batch_bytes: usize = 16_384,
    /// Bytes of one produce request at most; it takes at most one batch per partition.
    request_bytes: usize = 1_048_576,
    /// Requests in flight per connection.
    in_flight: usize = 5,
    /// Packs batches.
    codec: CodecName = CodecName::None,
    /// Level of the codec.
    level: i32 = -1,
    /// What a producer holds before it stops making records; they stay due. Bytes.
    producer_buffer: usize = 33_554_432,
    /// Seconds before measuring.
    warmup: f64 = 5.0,
    /// Seconds measured.
    duration: f64 = 30.0,
    /// Seconds to wait for answers after the last record.
    drain: f64 = 10.0,
    /// Readers: none, tail (from the end, measures the way from due to read) or cold (from the start, over and over).
    read: ReadMode = ReadMode::None,
    /// Consumers, each reading its share of the partitions.
    consumers: usize = 1,
    /// Fetch: wait up to this long for fetch_min_bytes.
    fetch_wait_ms: i32 = 500,
    fetch_min_bytes: i32 = 1,
    fetch_max_bytes: i32 = 52_428_800,
    /// Fetch: bytes of one partition.
    partition_max_bytes: i32 = 1_048_576,
    /// Bytes written at full speed before the run, for cold reads.
    preload_bytes: u64 = 0,
    /// Threads that drive the producers.
    threads: usize = 1,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Acks {
    All,
    #[value(name = "1")]
    #[serde(rename = "1")]
    Leader,
    #[value(name = "0")]
    #[serde(rename = "0")]
    None,
}

impl Acks {
    pub fn on_wire(self) -> i16 {
        match self {
            Acks::All => -1,
            Acks::Leader => 1,
            Acks::None => 0,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadMode {
    None,
    Tail,
    Cold,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodecName {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl From<CodecName> for Codec {
    fn from(name: CodecName) -> Codec {
        match name {
            CodecName::None => Codec::None,
            CodecName::Gzip => Codec::Gzip,
            CodecName::Snappy => Codec::Snappy,
            CodecName::Lz4 => Codec::Lz4,
            CodecName::Zstd => Codec::Zstd,
        }
    }
}

impl Cli {
    /// The settings of this run.
    pub fn settings(&self) -> Result<Settings, String> {
        let workload = match &self.workload {
            None => Overrides::default(),
            Some(name) => {
                let text = read_workload(name)?;
                toml::from_str(&text).map_err(|error| format!("workload {name}: {error}"))?
            }
        };
        let settings = Settings::layered(self.overrides.clone(), workload);
        settings.check()?;
        Ok(settings)
    }
}

fn read_workload(name: &str) -> Result<String, String> {
    let places = [name.to_owned(), format!("benches/workloads/{name}.toml"), format!("workloads/{name}.toml")];
    let text = places.iter().find_map(|place| std::fs::read_to_string(place).ok());
    text.ok_or_else(|| format!("no workload file at any of {places:?}"))
}

impl Settings {
    fn check(&self) -> Result<(), String> {
        let wrong = if self.record_size < 16 {
            "record-size must be 16 or more"
        } else if !(self.rate > 0.0 && self.duration > 0.0 && self.warmup >= 0.0 && self.drain >= 0.0) {
            "rate and duration must be positive, warmup and drain not negative"
        } else if self.partitions < 1 || self.producers < 1 || self.threads < 1 || self.in_flight < 1 {
            "partitions, producers, threads and in-flight must be 1 or more"
        } else if self.read != ReadMode::None && self.consumers < 1 {
            "a reading workload needs consumers"
        } else if self.idempotent && self.acks != Acks::All {
            "idempotent producers need acks=all; add --idempotent false"
        } else {
            return Ok(());
        };
        Err(wrong.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_file_is_understood() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let cli = Cli::parse_from(["load", "--workload", path.to_str().unwrap()]);
            cli.settings().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            seen += 1;
        }
        assert!(seen > 0);
    }

    #[test]
    fn the_command_line_wins_over_the_workload() {
        let workload: Overrides = toml::from_str("rate = 5.0\npartitions = 7\nacks = \"1\"").unwrap();
        let cli = Cli::parse_from(["load", "--rate", "9", "--idempotent", "false"]);
        let settings = Settings::layered(cli.overrides, workload);
        assert_eq!((settings.rate, settings.partitions, settings.acks), (9.0, 7, Acks::Leader));
        assert!(!settings.idempotent && settings.producers == 4);
        assert!(toml::from_str::<Overrides>("no_such_setting = 1").is_err());
    }
}
