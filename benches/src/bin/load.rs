//! Open-loop load generator: `cargo run --release -p heddle-benches --bin load -- --workload one_partition_latency`.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use heddle_benches::load::cluster::Cluster;
use heddle_benches::load::consumer::{Reader, Share, offsets};
use heddle_benches::load::options::{Cli, ReadMode, Settings};
use heddle_benches::load::producer::Producer;
use heddle_benches::load::report::Report;
use heddle_benches::load::tally::{Clock, Tally, Window};
use heddle_benches::load::worker::Worker;

/// Between the last connection and the first record.
const BREATH: u64 = 200_000_000;
/// A preload that takes longer has failed.
const PRELOAD_SECONDS_MAX: f64 = 1800.0;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.settings().map_err(io::Error::other).and_then(|settings| run(&cli, &settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli, settings: &Settings) -> io::Result<()> {
    let clock = Clock::start();
    let wall_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?.as_millis() as i64;
    let run = wall_ms as u64;
    let topic = cli.topic.clone().unwrap_or_else(|| format!("load-{run}"));
    let cluster = Cluster::open(&cli.brokers, &topic, settings)?;
    // Nobody writes before every leader knows that it is one.
    let every: Vec<i32> = (0..cluster.leaders().leaders.len() as i32).collect();
    offsets(&cluster, &every, -1)?;
    let refresher = {
        let cluster = cluster.clone();
        thread::spawn(move || cluster.keep_fresh())
    };
    let load = Load { clock, wall_ms, run, cluster: cluster.clone() };
    if settings.preload_bytes > 0 {
        load.preload(settings)?;
    }
    let report = load.measure(settings)?;
    cluster.close();
    refresher.join().map_err(|_| io::Error::other("the refreshing thread panicked"))?;
    println!("{}", report.table(settings));
    if let Some(path) = &cli.json {
        let json = report.json(&cli.label, cli.workload.as_deref().unwrap_or(""), settings);
        std::fs::write(path, serde_json::to_string_pretty(&json)? + "\n")?;
    }
    Ok(())
}

struct Load {
    clock: Clock,
    wall_ms: i64,
    run: u64,
    cluster: Arc<Cluster>,
}

impl Load {
    /// Writes `preload_bytes` as fast as the broker takes them.
    fn preload(&self, settings: &Settings) -> io::Result<()> {
        let records = settings.preload_bytes as f64 / settings.record_size as f64;
        let seconds = 0.001;
        let flood = Settings {
            rate: records / seconds,
            warmup: 0.0,
            duration: seconds,
            drain: PRELOAD_SECONDS_MAX,
            read: ReadMode::None,
            batch_ms: 0.0,
            batch_bytes: settings.batch_bytes.max(256 * 1024),
            ..settings.clone()
        };
        eprintln!("preloading {:.0} MB", settings.preload_bytes as f64 / 1e6);
        let report = self.measure(&flood)?;
        let failed = report.unfinished();
        if failed > 0 { Err(io::Error::other(format!("preload: {failed} records were not written"))) } else { Ok(()) }
    }

    fn measure(&self, settings: &Settings) -> io::Result<Report> {
        let (report_to, reports) = channel();
        let over = Arc::new(AtomicBool::new(false));
        let warming = self.clock.now();
        let mut window = self.window(settings, warming);
        let mut identities = Vec::new();
        for _ in 0..settings.producers {
            identities.push(if settings.idempotent { Some(self.cluster.producer_id()?) } else { None });
        }
        let shares = match settings.read {
            ReadMode::None => Vec::new(),
            _ => (0..settings.consumers)
                .map(|index| Share::start(&self.cluster, settings, index))
                .collect::<io::Result<Vec<_>>>()?,
        };
        // All that takes its time is done: the window opens from here, after the connections.
        let ready = self.clock.now() + BREATH + settings.producers as u64 * 1_000_000;
        window = self.window(settings, ready.max(window.start));
        let workers = self.start_producers(settings, window, &identities, &report_to)?;
        let readers = self.start_readers(settings, window, &shares, &over, &report_to);
        drop(report_to);
        let report = collect(&self.clock, window, workers, &over, &reports)?;
        for reader in readers {
            reader.join().map_err(|_| io::Error::other("a reader panicked"))?;
        }
        Ok(report)
    }

    fn window(&self, settings: &Settings, start: u64) -> Window {
        let measured = start + (settings.warmup * 1e9) as u64;
        let end = measured + (settings.duration * 1e9) as u64;
        Window { start, measured, end, wall_zero_ms: self.wall_ms }
    }

    fn start_producers(
        &self,
        settings: &Settings,
        window: Window,
        identities: &[Option<(i64, i16)>],
        report_to: &Sender<Tally>,
    ) -> io::Result<Vec<JoinHandle<io::Result<()>>>> {
        let mut workers = Vec::new();
        for thread in 0..settings.threads {
            let mine = identities.iter().enumerate().skip(thread).step_by(settings.threads);
            let leaders = self.cluster.leaders();
            let producers = mine
                .map(|(index, identity)| Producer::new(index, settings, leaders.clone(), *identity, self.run, window));
            let producers = producers.collect();
            let mut worker =
                Worker::new(self.clock, window, settings, self.cluster.clone(), producers, report_to.clone())?;
            worker.warm()?;
            workers.push(worker);
        }
        Ok(workers.into_iter().map(|worker| thread::spawn(move || worker.run())).collect())
    }

    fn start_readers(
        &self,
        settings: &Settings,
        window: Window,
        shares: &[Arc<Share>],
        over: &Arc<AtomicBool>,
        report_to: &Sender<Tally>,
    ) -> Vec<JoinHandle<()>> {
        let mut readers = Vec::new();
        for share in shares {
            for &broker in self.cluster.leaders().brokers.keys() {
                let reader = Reader {
                    clock: self.clock,
                    window,
                    settings: settings.clone(),
                    cluster: self.cluster.clone(),
                    share: share.clone(),
                    broker,
                    run: self.run,
                    over: over.clone(),
                    report: report_to.clone(),
                };
                readers.push(thread::spawn(move || reader.run()));
            }
        }
        readers
    }
}

/// Gathers seconds until the producers are done, then stops the readers and gathers the rest.
fn collect(
    clock: &Clock,
    window: Window,
    workers: Vec<JoinHandle<io::Result<()>>>,
    over: &AtomicBool,
    reports: &Receiver<Tally>,
) -> io::Result<Report> {
    let mut report = Report::begin();
    let mut second = Tally::default();
    let mut next = clock.now() + 1_000_000_000;
    while !workers.iter().all(JoinHandle::is_finished) {
        let pause = Duration::from_nanos(next.saturating_sub(clock.now())).min(Duration::from_millis(50));
        match reports.recv_timeout(pause) {
            Ok(tally) => second.add(&tally),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let now = clock.now();
        if now >= next {
            next += 1_000_000_000;
            let at = now.saturating_sub(window.start) as f64 / 1e9;
            report.on_second(at, &std::mem::take(&mut second), now > window.measured);
        }
    }
    // What was written last is still on its way to the readers.
    thread::sleep(Duration::from_millis(200));
    over.store(true, Ordering::Release);
    for tally in reports {
        second.add(&tally);
    }
    report.on_rest(&second);
    for worker in workers {
        worker.join().map_err(|_| io::Error::other("a producer thread panicked"))??;
    }
    Ok(report)
}
