//! From options to running cores, and to their end.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

use heddle_api::ApiConfig;
use heddle_controller::Broker;
use heddle_model::limits::{JOURNAL_FILE_BYTES, JOURNAL_FILES};
use heddle_model::{NodeId, ShardId};
use heddle_shard::{Mail, Notice, Shard, ShardConfig};
use heddle_uring::{CoreConfig, Running};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};

use crate::admin::{self, Told};
use crate::cli::{RepairFlags, StartFlags};
use crate::directory;
use crate::options::Options;

/// Standard error, where a line that cannot be written is dropped: the log may be a file on the disk that is full, and
/// that must not end the broker (trap 18).
struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = io::stderr().flush();
        Ok(())
    }
}

/// What the main thread waits for.
enum Said {
    Signal,
    Notice(Notice),
}

/// Run the broker until it is asked to stop.
pub fn start(options: Options) -> Result<(), String> {
    run(options, false, false)
}

/// Recover a stopped broker's journals, say what is damaged, and end.
pub fn repair(flags: &RepairFlags) -> Result<(), String> {
    let data_dir = flags.data_dir.clone().unwrap_or_else(|| "heddle-data".into());
    // As many cores as there are journals: a repair moves nothing from one to another.
    let shards = Some(directory::journals(&data_dir).max(1));
    let start = StartFlags { data_dir: Some(data_dir), shards, ..StartFlags::default() };
    let options = Options::read(&start)?;
    if !options.data_dir.is_dir() {
        return Err(format!("data directory {}: there is none", options.data_dir.display()));
    }
    run(options, true, flags.accept_loss)?;
    println!("no partition is damaged");
    Ok(())
}

fn run(options: Options, repair_only: bool, accept_loss: bool) -> Result<(), String> {
    tracing_subscriber::fmt().with_writer(|| Log).with_target(false).log_internal_errors(false).init();
    let _held = directory::hold(&options.data_dir)?;
    raise_open_files();
    let (said, hear) = mpsc::channel();
    wait_for_signals(said.clone())?;

    let cores = cores(&options);
    let shard_config = shard_config(&options, repair_only, accept_loss)?;
    let mut driver = heddle_uring::Options::new(cores);
    driver.trace_writes = options.trace_writes.clone();
    let running = heddle_uring::start(
        driver,
        move |shard| Shard::new(shard, shard_config.clone()),
        move |_from, mail| {
            if let Mail::Notice(notice) = mail {
                // The main thread listens until all cores have ended.
                let _ = said.send(Said::Notice(notice));
            }
        },
    )
    .map_err(|e| format!("cannot start: {e}"))?;
    let running = Arc::new(running);
    let admin = if repair_only { None } else { Some(admin::Admin::start(options.admin_addr, running.clone())?) };

    let mut failed = None;
    let mut halted = 0;
    while halted < options.shards {
        match hear.recv() {
            Ok(Said::Signal) => {
                tracing::info!("stopping");
                running.stop();
            }
            Ok(Said::Notice(Notice::Serving(addr))) => say_serving(&options, addr),
            Ok(Said::Notice(Notice::Log(text))) => tracing::info!("{text}"),
            Ok(Said::Notice(Notice::Failed(text))) => {
                failed.get_or_insert(text);
                running.stop();
            }
            Ok(Said::Notice(Notice::Metrics { id, metrics })) => {
                if let Some(admin) = &admin {
                    admin.on_told(id, Told::Metrics(metrics));
                }
            }
            Ok(Said::Notice(Notice::Surveyed { id, shard, page })) => {
                if let Some(admin) = &admin {
                    admin.on_told(id, Told::Surveyed(shard, page));
                }
            }
            Ok(Said::Notice(Notice::Halted)) => halted += 1,
            Err(_) => return Err("all cores went away without a word".into()),
        }
    }
    match failed {
        Some(text) => Err(text),
        None => Ok(()),
    }
}

fn say_serving(options: &Options, addr: SocketAddr) {
    tracing::info!(
        "serving Kafka clients on {addr} (advertised {}:{}), admin on {}, data in {}, {} cores",
        options.advertised_host,
        options.advertised_port,
        options.admin_addr,
        options.data_dir.display(),
        options.shards
    );
}

fn cores(options: &Options) -> Vec<CoreConfig> {
    // With more shards than CPUs nobody has a CPU for itself, and pinning would only hurt.
    let pinned = usize::from(options.shards) <= options.cpus.len();
    (0..options.shards)
        .map(|shard| CoreConfig {
            shard: ShardId(shard),
            cpu: pinned.then(|| options.cpus[usize::from(shard)]),
            spin_us: options.spin_us,
            data_dir: options.data_dir.clone(),
        })
        .collect()
}

fn shard_config(options: &Options, repair_only: bool, accept_loss: bool) -> Result<ShardConfig, String> {
    let kafka = &options.kafka;
    Ok(ShardConfig {
        shards: options.shards,
        node: NodeId(options.node_id),
        broker: Broker {
            id: NodeId(options.node_id),
            rack: kafka.text("broker.rack").map(str::to_string),
            host: options.advertised_host.clone(),
            port: options.advertised_port,
        },
        kafka_addr: options.kafka_addr,
        settings: Arc::new(kafka.clone()),
        api: ApiConfig::of(kafka, usize::from(options.shards)),
        memory: (options.memory / u64::from(options.shards)) as usize,
        journal_files: JOURNAL_FILES,
        journal_file_bytes: JOURNAL_FILE_BYTES,
        seed: seed()?,
        accept_loss,
        repair_only,
    })
}

/// Random bits of the kernel, for ids.
fn seed() -> Result<u128, String> {
    use std::io::Read;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|e| format!("/dev/urandom: {e}"))?;
    Ok(u128::from_le_bytes(bytes))
}

/// Thousands of partitions need thousands of files.
fn raise_open_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(e) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!("open files stay limited to {soft}: {e}");
    }
}

/// SIGTERM and SIGINT become messages; called before any other thread exists, which then have them blocked too.
fn wait_for_signals(said: Sender<Said>) -> Result<(), String> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set.add(Signal::SIGINT);
    set.thread_block().map_err(|e| format!("signals: {e}"))?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            while set.wait().is_ok() {
                if said.send(Said::Signal).is_err() {
                    return;
                }
            }
        })
        .map(|_| ())
        .map_err(|e| format!("signals: {e}"))
}

/// The cores, as the admin server sees them.
pub type Cores = Arc<Running<Shard>>;
