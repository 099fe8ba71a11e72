//! What the broker adds to the disk: durable 4 KiB writes and acknowledged single-record produces, one at a time, in
//! alternating slices of one run, so that both meet the same disk.
//!
//! `taskset -c 1 round_trip --brokers HOST:PORT`, against `taskset -c 0 heddle start --shards 1 --spin-us 2000`.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;
use heddle_benches::load::wire::{Blocking, Versions};
use heddle_border::Blocks;
use heddle_model::limits::BLOCK_BYTES;
use heddle_records::BatchBuilder;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{CreateTopicsRequest, ProduceRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use nix::libc;

/// The raw file is written round and round. Bytes.
const FILE_BYTES: u64 = 64 << 20;

#[derive(Parser)]
struct Cli {
    #[arg(long, default_value = "127.0.0.1:9092")]
    brokers: String,
    /// Bytes of the record's value.
    #[arg(long, default_value_t = 512)]
    record_size: usize,
    /// Alternating slices of each kind.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Length of a slice.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Where the raw file goes: on the disk that the broker writes to.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
}

fn main() -> io::Result<()> {
    let cli = Cli::parse();
    let slice = Duration::from_secs_f64(cli.seconds);
    let path = cli.dir.join(format!("heddle-round-trip-{}", std::process::id()));
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create_new(true).custom_flags(libc::O_DIRECT | libc::O_DSYNC);
    let file = options.open(&path)?;
    let zeros = Blocks::zeroed(1 << 20);
    for at in (0..FILE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    let block = Blocks::zeroed(BLOCK_BYTES);
    let mut at = 0;
    let raw = || {
        at = (at + BLOCK_BYTES as u64) % FILE_BYTES;
        file.write_all_at(&block, at)
    };
    let measured = Topic::create(&cli).and_then(|mut topic| alternate(&cli, slice, raw, || topic.produce()));
    std::fs::remove_file(&path)?;
    let (raw, produce) = measured?;
    tell("durable 4 KiB write", &raw);
    tell("produce, acks=all", &produce);
    println!(
        "the broker adds at p50: {} us",
        produce.value_at_quantile(0.5) as i64 - raw.value_at_quantile(0.5) as i64
    );
    Ok(())
}

type Latencies = Histogram<u64>;

fn alternate(
    cli: &Cli,
    slice: Duration,
    mut raw: impl FnMut() -> io::Result<()>,
    mut produce: impl FnMut() -> io::Result<()>,
) -> io::Result<(Latencies, Latencies)> {
    let bounds = || Histogram::new_with_bounds(1, 60_000_000, 3).map_err(io::Error::other);
    let (mut alone, mut whole) = (bounds()?, bounds()?);
    for _ in 0..cli.rounds {
        repeat(slice, &mut alone, &mut raw)?;
        repeat(slice, &mut whole, &mut produce)?;
    }
    Ok((alone, whole))
}

/// One after the other without a pause, so that neither side measures how fast an idle machine wakes up.
fn repeat(slice: Duration, into: &mut Latencies, once: &mut impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < slice {
        let asked = Instant::now();
        once()?;
        into.saturating_record(asked.elapsed().as_micros() as u64);
    }
    Ok(())
}

fn tell(what: &str, of: &Latencies) {
    let at = |quantile| of.value_at_quantile(quantile);
    println!("{what:20} {:7} times  p50 {:5} us  p99 {:6} us  p99.9 {:6} us", of.len(), at(0.5), at(0.99), at(0.999));
}

struct Topic {
    connection: Blocking,
    version: i16,
    request: ProduceRequest,
}

impl Topic {
    fn create(cli: &Cli) -> io::Result<Topic> {
        let mut connection = Blocking::connect(&cli.brokers)?;
        let versions = Versions::agree(&mut connection)?;
        let name = TopicName(StrBytes::from_string(format!("round-trip-{}", std::process::id())));
        let topic = CreatableTopic::default().with_name(name.clone()).with_num_partitions(1).with_replication_factor(1);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
        connection.call(&request, versions.create_topics)?;
        let mut batch = BatchBuilder::new(0);
        batch.push(0, None, Some(&vec![b'x'; cli.record_size]), &[]);
        let partition = PartitionProduceData::default().with_index(0).with_records(Some(batch.build()));
        let data = TopicProduceData::default().with_name(name).with_partition_data(vec![partition]);
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![data]);
        Ok(Topic { connection, version: versions.produce, request })
    }

    fn produce(&mut self) -> io::Result<()> {
        let response = self.connection.call(&self.request, self.version)?;
        let codes = response.responses.iter().flat_map(|topic| &topic.partition_responses);
        match codes.map(|partition| partition.error_code).find(|code| *code != 0) {
            None => Ok(()),
            Some(code) => Err(io::Error::other(format!("the record was refused with error {code}"))),
        }
    }
}
