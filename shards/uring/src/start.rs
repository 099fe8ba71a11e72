//! Starting the cores of a process, talking to them from outside, ending them.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement, PoolPlacement};
use heddle_border::Machine;
use heddle_model::ShardId;

use crate::clock::Clock;
use crate::core::{Core, FromCore, Parts, Shared};
use crate::flush::Durability;
use crate::listen::Occupancy;
use crate::mailbox::{Mailbox, News, Peer};
use crate::pool::Pool;
use crate::ring::Ring;
use crate::spin::Spin;
use crate::stats::{Counters, Stats};
use crate::trace::Trace;
use crate::work::{Threads, Workers};

/// The executor registers this much memory with the kernel; its own file I/O is not used. Bytes.
const EXECUTOR_IO_BYTES: usize = 64 * 1024;
/// The executor's preemption timer: as good as off. It is of no use here, since the loop gives the thread away by itself,
/// and it does harm: an executor of glommio 0.9 whose timer fires between its look at I/O and its first task takes
/// itself for idle and sleeps with tasks ready to run. With 1 ms and busy CPUs that happens every minute or so.
const PREEMPT: Duration = Duration::from_secs(3600);
/// Blocking threads of a core for cold file work.
const COLD_THREADS: usize = 2;

/// One core of the process.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// The core's place in `Options::cores`.
    pub shard: ShardId,
    /// The CPU that its thread is pinned to.
    pub cpu: Option<usize>,
    /// How long it spins before it sleeps, while that pays. Ignored unless it has a CPU for itself. Microseconds.
    pub spin_us: u64,
    /// Where its files are. It must exist: whoever makes it also makes its name durable.
    pub data_dir: PathBuf,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub cores: Vec<CoreConfig>,
    /// Entries of each core's submission queue.
    pub ring_entries: u32,
    /// Buffers that each core's connections receive into; a power of two.
    pub receive_buffers: u16,
    /// Size of each. Bytes.
    pub receive_buffer_bytes: usize,
    /// Threads for `Effect::Work`, shared by all cores.
    pub work_threads: usize,
    /// How durable writes are made; what suits the device if not said.
    pub durability: Option<Durability>,
    /// Record every disk operation in this file and its neighbour `.data`; for tests.
    pub trace_writes: Option<PathBuf>,
}

impl Options {
    pub fn new(cores: Vec<CoreConfig>) -> Options {
        Options {
            cores,
            ring_entries: 1024,
            receive_buffers: 64,
            receive_buffer_bytes: 64 * 1024,
            work_threads: 2,
            durability: None,
            trace_writes: None,
        }
    }

    fn check(&self) -> io::Result<()> {
        let in_order = self.cores.iter().enumerate().all(|(at, core)| usize::from(core.shard.0) == at);
        if self.cores.is_empty() || !in_order || self.cores.len() >= usize::from(ShardId::OUTSIDE.0) {
            let why = "cores are numbered from 0 without a gap, and there is at least one";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(())
    }

    /// Spinning on a CPU that another core of ours needs would keep it from its work.
    fn spin_of(&self, core: &CoreConfig) -> Spin {
        let sharers = self.cores.iter().filter(|other| other.cpu == core.cpu || other.cpu.is_none()).count();
        Spin::new(if core.cpu.is_some() && sharers == 1 { core.spin_us } else { 0 })
    }
}

/// The cores of this process. Dropping it lets them run on.
pub struct Running<M: Machine> {
    mailboxes: Vec<Arc<Mailbox<M::Mail>>>,
    counters: Vec<Arc<Counters>>,
    cores: Vec<ExecutorJoinHandle<io::Result<()>>>,
    workers: Threads,
}

/// Start a core for each of `options.cores`, each with the machine that `make` makes on its thread, and return when all
/// run. What a core has for the outside goes to `outside` on the core's thread, with the core's id: it must be quick. From
/// each core that is begun it hears `FromCore::Ended` once.
///
/// A core whose machine panics ends the process (abort), after a line that says so.
///
/// # Errors
/// If the kernel lacks something, a directory or a CPU does not exist. Nothing runs then.
pub fn start<M: Machine + 'static>(
    options: Options,
    make: impl Fn(ShardId) -> M + Send + Sync + 'static,
    outside: impl Fn(ShardId, FromCore<M::Mail>) + Send + Sync + 'static,
) -> io::Result<Running<M>> {
    options.check()?;
    let make = Arc::new(make);
    let (workers, worker_threads) = Workers::start(options.work_threads)?;
    let trace = options.trace_writes.as_deref().map(Trace::create).transpose()?.map(Arc::new);
    let counters: Vec<Arc<Counters>> = options.cores.iter().map(|_| Arc::default()).collect();

    let mut cores = Vec::new();
    let mut peers = Vec::new();
    let mut gates = Vec::new();
    for (config, counters) in options.cores.iter().zip(&counters) {
        let (ready, is_ready) = mpsc::channel();
        let (gate, opens) = mpsc::channel();
        let core = spawn(&options, config.clone(), counters.clone(), make.clone(), ready, opens)?;
        // A core that failed drops its sender; so do the gates of the others, which then end too.
        let Ok(ring) = is_ready.recv() else {
            return Err(match core.join() {
                Ok(Err(e)) => e,
                Ok(Ok(())) => io::Error::other("a core ended before it began"),
                Err(e) => io::Error::other(format!("core {}: {e}", config.shard)),
            });
        };
        cores.push(core);
        gates.push(gate);
        peers.push(Peer { mailbox: Arc::new(Mailbox::new()?), ring });
    }
    let mailboxes = peers.iter().map(|peer| peer.mailbox.clone()).collect();
    let shared = Arc::new(Shared {
        clock: Clock::start(),
        occupancy: Arc::new(Occupancy::new(peers.len())),
        device: Arc::default(),
        peers,
        workers,
        trace,
        outside: Box::new(outside),
    });
    for gate in gates {
        gate.send(shared.clone()).map_err(|_| io::Error::other("a core ended before it began"))?;
    }
    Ok(Running { mailboxes, counters, cores, workers: worker_threads })
}

/// One core's thread. It tells its ring through `ready`, and begins when all cores are known through `opens`.
fn spawn<M: Machine + 'static>(
    options: &Options,
    config: CoreConfig,
    counters: Arc<Counters>,
    make: Arc<impl Fn(ShardId) -> M + Send + Sync + 'static>,
    ready: Sender<OwnedFd>,
    opens: Receiver<Arc<Shared<M::Mail>>>,
) -> io::Result<ExecutorJoinHandle<io::Result<()>>> {
    let placement = config.cpu.map_or(Placement::Unbound, Placement::Fixed);
    let spin = options.spin_of(&config);
    let (entries, buffers, buffer_bytes) =
        (options.ring_entries, options.receive_buffers, options.receive_buffer_bytes);
    let durability = options.durability;
    let begin = move || async move {
        let _guard = AbortOnPanic(config.shard);
        check_directory(&config.data_dir)?;
        let mut ring = Ring::new(entries)?;
        let pool = Pool::new(&mut ring, buffers, buffer_bytes)?;
        let descriptor = ring.duplicate()?;
        let durability = durability.unwrap_or_else(|| Durability::of(&config.data_dir));
        let parts = Parts { me: config.shard, ring, pool, data_dir: config.data_dir, durability, spin, counters };
        // Either end is gone only when the start was given up.
        if ready.send(descriptor).is_err() {
            return Ok(());
        }
        drop(ready);
        let Ok(shared) = opens.recv() else { return Ok(()) };
        let machine = make(config.shard);
        drop(make);
        let done = match Core::new(parts, shared.clone(), machine) {
            Ok(core) => {
                core.run().await;
                Ok(())
            }
            Err(e) => Err(e),
        };
        let told = match &done {
            Ok(()) => Ok(()),
            Err(e) => Err(format!("core {}: {e}", config.shard)),
        };
        (shared.outside)(config.shard, FromCore::Ended(told));
        done
    };
    LocalExecutorBuilder::new(placement)
        .name(&format!("heddle-{}", config.shard))
        .io_memory(EXECUTOR_IO_BYTES)
        .preempt_timer(PREEMPT)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(COLD_THREADS))
        .spawn(begin)
        .map_err(|e| io::Error::other(format!("core {}: {e}", config.shard)))
}

fn check_directory(dir: &Path) -> io::Result<()> {
    match std::fs::metadata(dir) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{}: not a directory", dir.display()))),
        Err(e) => Err(io::Error::new(e.kind(), format!("{}: {e}", dir.display()))),
    }
}

impl<M: Machine> Running<M> {
    /// Send mail to a core, as `ShardId::OUTSIDE`. In order for each calling thread.
    ///
    /// # Panics
    /// If there is no such core.
    pub fn mail(&self, to: ShardId, mail: M::Mail) {
        self.mailboxes[usize::from(to.0)].put_and_ring(|queues| queues.mail.push_back((ShardId::OUTSIDE, mail)));
    }

    /// `Event::Stop` to every core.
    pub fn stop(&self) {
        for mailbox in &self.mailboxes {
            mailbox.put_and_ring(|queues| queues.news.push(News::Stop));
        }
    }

    /// Each core's counters, by shard.
    pub fn stats(&self) -> Vec<Stats> {
        self.counters.iter().map(|counters| counters.read()).collect()
    }

    /// Wait until every core halted.
    ///
    /// # Errors
    /// What a core could not begin with, in words.
    pub fn join(self) -> Result<(), String> {
        let mut faults = BTreeSet::new();
        for core in self.cores {
            match core.join() {
                Ok(Ok(())) => {}
                Ok(Err(e)) => drop(faults.insert(e.to_string())),
                Err(e) => drop(faults.insert(e.to_string())),
            }
        }
        self.workers.join()?;
        if faults.is_empty() { Ok(()) } else { Err(faults.into_iter().collect::<Vec<_>>().join("; ")) }
    }
}

/// Half a broker is worse than none: a core that panics takes the process with it.
struct AbortOnPanic(ShardId);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("heddle: core {} panicked (see above); the process aborts", self.0);
            std::process::abort();
        }
    }
}
