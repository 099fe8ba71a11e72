//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::level::LogLevel;
use crate::size::Size;

/// A Kafka-compatible broker: one thread, one io_uring ring and one journal per CPU core, every acknowledged record durable.
#[derive(Parser)]
#[command(name = "heddle", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the broker. With no options it serves 127.0.0.1:9092 and keeps its data in ./heddle-data.
    Start(StartFlags),
    /// Read the journals of a stopped broker and report what is damaged. Exits with 1 if anything is and stays so.
    Repair(RepairFlags),
}

#[derive(Args, Default)]
pub struct StartFlags {
    /// TOML file with the options below (dashes as underscores) and Kafka's broker configs in its table [kafka].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of all data; made if missing [default: ./heddle-data].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where Kafka clients connect; port 0 takes a free one [default: 127.0.0.1:9092].
    #[arg(long, value_name = "HOST:PORT")]
    pub kafka_addr: Option<String>,
    /// The address that clients are told to use [default: the Kafka address].
    #[arg(long, value_name = "HOST:PORT")]
    pub advertised_addr: Option<String>,
    /// Where /health, /ready and /metrics are served [default: 127.0.0.1:9644].
    #[arg(long, value_name = "HOST:PORT")]
    pub admin_addr: Option<String>,
    /// Cores to use; may differ at each start [default: all that the process may use, and its CPU quota pays for].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub shards: Option<u16>,
    /// Memory for batches, requests and cache, all cores together, as 512MiB or 4GiB
    /// [default: a quarter of the machine's or container's, at most 1GiB a core].
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Size>,
    /// This broker's id (Kafka's node.id) [default: 1].
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    pub node_id: Option<i32>,
    /// How long a core spins before it sleeps, in microseconds; only on a CPU of its own [default: 0].
    #[arg(long, value_name = "US", allow_negative_numbers = true)]
    pub spin_us: Option<u64>,
    /// The least level of lines that are logged, on standard error [default: info].
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    /// A Kafka broker config by its Kafka name, as num.partitions=3; may be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Record every write and sync of the disk driver in FILE, for crash tests.
    #[arg(long, value_name = "FILE", hide = true)]
    pub trace_writes: Option<PathBuf>,
}

#[derive(Args)]
pub struct RepairFlags {
    /// The broker's configuration file, for its data directory.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of the data [default: ./heddle-data].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Let damaged partitions go on from the last record that verifies. What lies behind it is lost.
    #[arg(long)]
    pub accept_loss: bool,
}
