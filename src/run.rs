//! From options to running cores, and to their end.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use heddle_api::ApiConfig;
use heddle_controller::Broker;
use heddle_model::limits::{JOURNAL_FILE_BYTES, JOURNAL_FILES};
use heddle_model::{NodeId, ShardId};
use heddle_shard::{Mail, Notice, Shard, ShardConfig};
use heddle_uring::{CoreConfig, FromCore, Running};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::level_filters::LevelFilter;

use crate::admin::{self, Admin, Told};
use crate::cli::{RepairFlags, StartFlags};
use crate::directory;
use crate::level::log;
use crate::options::Options;
use crate::signals;

/// Signals this close together are one wish to stop: `timeout` signals the process and, at once, its group.
const ONE_WISH: Duration = Duration::from_secs(1);

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
    Core(FromCore<Mail>),
}

/// Run the broker until it is asked to stop.
pub fn start(options: Options) -> Result<(), String> {
    run(options, false, false)
}

/// Recover a stopped broker's journals, say what is damaged, and end.
pub fn repair(flags: &RepairFlags) -> Result<(), String> {
    let data_dir = Options::data_dir(flags.config.as_deref(), flags.data_dir.as_deref())?;
    if !data_dir.is_dir() {
        return Err(format!("data directory {}: there is none", data_dir.display()));
    }
    // As many cores as there are journals: a repair moves nothing from one to another.
    let shards = Some(directory::journals(&data_dir).max(1));
    let config = flags.config.clone();
    let start = StartFlags { config, data_dir: Some(data_dir), shards, ..StartFlags::default() };
    run(Options::read(&start)?, true, flags.accept_loss)?;
    println!("no partition is damaged");
    Ok(())
}

fn run(options: Options, repair_only: bool, accept_loss: bool) -> Result<(), String> {
    tracing_subscriber::fmt()
        .with_writer(|| Log)
        .with_ansi(io::stderr().is_terminal())
        .with_max_level(LevelFilter::from(options.log_level))
        .with_target(false)
        .log_internal_errors(false)
        .init();
    let _held = directory::hold(&options.data_dir)?;
    if !repair_only {
        options.doubts.iter().for_each(|text| tracing::warn!("{text}"));
    }
    raise_open_files();
    let (said, hear) = mpsc::channel();
    let on_signal = said.clone();
    // Before any other thread exists: those that come have the signals blocked too.
    signals::wait(move || on_signal.send(Said::Signal).is_ok())?;
    // Before the cores run: who cannot have the port must not have begun.
    let bound = if repair_only { None } else { Some(admin::bind(options.admin_addr)?) };

    let shard_config = shard_config(&options, repair_only, accept_loss)?;
    let mut driver = heddle_uring::Options::new(cores(&options));
    driver.trace_writes = options.trace_writes.clone();
    let running = heddle_uring::start(
        driver,
        move |shard| Shard::new(shard, shard_config.clone()),
        // The main thread listens until all cores have ended.
        move |_from, told| drop(said.send(Said::Core(told))),
    )
    .map_err(|e| format!("cannot start: {e}"))?;
    let running = Arc::new(running);
    let admin = bound.map(|bound| bound.serve(running.clone(), options.data_dir.clone())).transpose()?;

    let mut failed = None;
    let (mut ended, mut stopping): (u16, Option<Instant>) = (0, None);
    while ended < options.shards {
        let Ok(said) = hear.recv() else { return Err("all cores went away without a word".into()) };
        match said {
            Said::Signal => match stopping {
                None => {
                    tracing::info!("stopping; asked again after a second, it ends at once");
                    stopping = Some(Instant::now());
                    running.stop();
                }
                Some(first) if first.elapsed() < ONE_WISH => {}
                Some(_) => {
                    tracing::warn!("asked again: ends at once");
                    std::process::exit(1);
                }
            },
            Said::Core(FromCore::Mail(Mail::Notice(notice))) => {
                if let Some(text) = on_notice(notice, &options, admin.as_ref()) {
                    failed.get_or_insert(text);
                    running.stop();
                }
            }
            Said::Core(FromCore::Mail(_)) => {}
            Said::Core(FromCore::Warning(text)) => tracing::warn!("{text}"),
            Said::Core(FromCore::Ended(how)) => {
                ended += 1;
                if let Err(text) = how {
                    failed.get_or_insert(text);
                    running.stop();
                }
            }
        }
    }
    if let Some(admin) = admin {
        admin.end();
    }
    if let Some(running) = Arc::into_inner(running)
        && let Err(text) = running.join()
    {
        failed.get_or_insert(text);
    }
    match failed {
        Some(text) => Err(text),
        None => Ok(()),
    }
}

/// Gives the reason if the broker cannot go on.
fn on_notice(notice: Notice, options: &Options, admin: Option<&Admin>) -> Option<String> {
    let tell = |id, told| {
        if let Some(admin) = admin {
            admin.on_told(id, told);
        }
    };
    match notice {
        Notice::Serving(addr) => say_serving(options, addr),
        Notice::Log { level, text } => log(level, &text),
        Notice::Failed(text) => return Some(text),
        Notice::Metrics { id, metrics } => tell(id, Told::Metrics(metrics)),
        Notice::Surveyed { id, shard, page } => tell(id, Told::Surveyed(shard, page)),
        // The driver says when its thread is done, which is later.
        Notice::Halted => {}
    }
    None
}

fn say_serving(options: &Options, addr: std::net::SocketAddr) {
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

/// The cores, as the admin server sees them.
pub type Cores = Arc<Running<Shard>>;
