//! The driver beside a bare ring doing the same, in one run: echo, and durable 4 KiB writes one at a time; and what
//! mail from core to core and back takes, which a bare ring has no equal for.
//!
//! `versus [rounds] [directory]`. Server on CPU 0, client on CPU 1. CPU is that of the server's thread, per request.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use heddle_border::{Blocks, DiskOp, Done, Effect, Event, FileId, ListenerId, Machine, OpenMode, Out, Token, Turn};
use heddle_model::ShardId;
use heddle_uring::{CoreConfig, FromCore, Options, start};
use io_uring::{IoUring, cqueue, opcode, types};
use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

const LISTENER: ListenerId = ListenerId(0);
const FILE: FileId = FileId { owner: 1, seq: 1 };
const FILE_BYTES: u64 = 16 << 20;

fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).expect("the CPU is below 1,024");
    sched_setaffinity(Pid::from_raw(0), &set).expect("the CPU exists");
}

fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every thread has it").into()
}

// ---- the driver's side

enum Mail {
    Bound(SocketAddr),
    /// CPU of the core's thread so far.
    Cpu(Duration),
    Latencies(Vec<u64>),
    Report,
    /// Back and forth, this many times more.
    Ball(u32),
    Landed,
}

/// Echoes whatever comes; writes its file `writes` times.
struct Bench {
    sends: u32,
    writes: usize,
    started: Instant,
    latencies: Vec<u64>,
    begun: bool,
    me: ShardId,
}

impl Bench {
    fn new(me: ShardId, writes: usize) -> Bench {
        Bench { sends: 0, writes, started: Instant::now(), latencies: Vec::new(), begun: false, me }
    }

    fn write(&mut self, buf: Blocks, out: &mut Out<Mail>) {
        let seq = self.latencies.len() as u32;
        let at = (u64::from(seq) * 4096) % FILE_BYTES;
        self.started = Instant::now();
        let op = DiskOp::Write { file: FILE, at, buf, durable: true };
        out.effects.push(Effect::Disk { token: Token { owner: 1, seq }, op });
    }

    fn on_event(&mut self, event: Event, out: &mut Out<Mail>) {
        match event {
            Event::Listening { result, .. } => {
                out.mail.push((ShardId::OUTSIDE, Mail::Bound(result.expect("a free port is found"))));
            }
            Event::Received { conn, bytes } => {
                self.sends = self.sends.wrapping_add(1);
                let token = Token { owner: 2, seq: self.sends };
                out.effects.push(Effect::Send { conn, token, parts: vec![bytes] });
            }
            Event::Disk { result, .. } => match result.expect("the disk works") {
                Done::Opened { .. } => {
                    let op = DiskOp::Prewrite { file: FILE, from: 0, len: FILE_BYTES };
                    out.effects.push(Effect::Disk { token: Token { owner: 1, seq: 0 }, op });
                }
                Done::Finished => self.write(Blocks::zeroed(4096), out),
                Done::Written { buf } => {
                    self.latencies.push(self.started.elapsed().as_nanos() as u64);
                    if self.latencies.len() < self.writes {
                        self.write(buf, out);
                    } else {
                        out.mail.push((ShardId::OUTSIDE, Mail::Latencies(std::mem::take(&mut self.latencies))));
                    }
                }
                other => panic!("{other:?}"),
            },
            Event::Stop => out.effects.push(Effect::Halt),
            _ => {}
        }
    }
}

impl Machine for Bench {
    type Mail = Mail;

    fn turn(&mut self, turn: Turn<'_, Mail>, out: &mut Out<Mail>) {
        if !self.begun && self.me.0 == 0 {
            self.begun = true;
            let op = DiskOp::Open { file: FILE, path: "versus-driver".to_owned(), mode: OpenMode::Create };
            out.effects.push(if self.writes > 0 {
                Effect::Disk { token: Token { owner: 1, seq: 0 }, op }
            } else {
                Effect::Listen { listener: LISTENER, addr: "127.0.0.1:0".parse().expect("it is an address") }
            });
        }
        for event in turn.events.drain(..) {
            self.on_event(event, out);
        }
        for (_, mail) in turn.mail.drain(..) {
            out.mail.push(match mail {
                Mail::Ball(0) => (ShardId::OUTSIDE, Mail::Landed),
                Mail::Ball(left) => (ShardId(1 - self.me.0), Mail::Ball(left - 1)),
                _ => (ShardId::OUTSIDE, Mail::Cpu(thread_cpu())),
            });
        }
    }
}

/// Hands on what machines say; nobody may listen any more.
fn to(tell: mpsc::Sender<Mail>) -> impl Fn(ShardId, FromCore<Mail>) + Send + Sync + 'static {
    move |_, told| {
        if let FromCore::Mail(mail) = told {
            drop(tell.send(mail));
        }
    }
}

fn with_driver<T>(
    dir: &Path,
    writes: usize,
    spin_us: u64,
    act: impl FnOnce(&dyn Fn(), &mpsc::Receiver<Mail>) -> T,
) -> T {
    let (tell, told) = mpsc::channel();
    let core = CoreConfig { shard: ShardId(0), cpu: Some(0), spin_us, data_dir: dir.to_owned() };
    let (make, outside) = (move |me| Bench::new(me, writes), to(tell));
    let running = start(Options::new(vec![core]), make, outside).expect("it starts");
    let done = act(&|| running.mail(ShardId(0), Mail::Report), &told);
    if std::env::var_os("STATS").is_some() {
        println!("{:?}", running.stats()[0]);
    }
    running.stop();
    running.join().expect("it ends");
    done
}

fn cpu_of(told: &mpsc::Receiver<Mail>) -> Duration {
    match told.recv() {
        Ok(Mail::Cpu(cpu)) => cpu,
        _ => panic!("the core tells its CPU"),
    }
}

// ---- the bare ring's side

fn bare_ring() -> IoUring {
    let mut builder = IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun().setup_coop_taskrun().setup_cqsize(4096);
    builder.build(1024).expect("Linux 6.1")
}

fn push(ring: &mut IoUring, entry: io_uring::squeue::Entry) {
    // SAFETY: this program keeps its buffers until the end.
    unsafe { ring.submission().push(&entry) }.expect("the queue is large enough");
}

/// Echo by one receive into the connection's own buffer a request, as the usual tuned server does.
fn bare_echo(listener: TcpListener, connections: usize, bytes: usize, cpu: mpsc::Sender<Duration>) {
    pin(0);
    let sockets: Vec<TcpStream> = (0..connections)
        .map(|_| {
            let socket = listener.accept().expect("the client connects").0;
            socket.set_nodelay(true).expect("TCP has it");
            socket
        })
        .collect();
    let mut ring = bare_ring();
    let mut buffers: Vec<Vec<u8>> = (0..connections).map(|_| vec![0; bytes]).collect();
    let fd = |at: usize| types::Fd(sockets[at].as_raw_fd());
    for (at, buffer) in buffers.iter_mut().enumerate() {
        push(&mut ring, opcode::Recv::new(fd(at), buffer.as_mut_ptr(), bytes as u32).build().user_data(at as u64));
    }
    let (start, mut open) = (thread_cpu(), connections);
    let mut done: Vec<cqueue::Entry> = Vec::new();
    while open > 0 {
        ring.submit_and_wait(1).expect("the ring works");
        done.extend(ring.completion());
        for entry in done.drain(..) {
            let (at, sent) = ((entry.user_data() & 0xffff_ffff) as usize, entry.user_data() >> 32 == 1);
            let pointer = buffers[at].as_mut_ptr();
            if entry.result() <= 0 {
                open -= 1;
            } else if sent {
                push(&mut ring, opcode::Recv::new(fd(at), pointer, bytes as u32).build().user_data(at as u64));
            } else {
                let send = opcode::Send::new(fd(at), pointer, entry.result() as u32).flags(libc::MSG_WAITALL);
                push(&mut ring, send.build().user_data(1 << 32 | at as u64));
            }
        }
    }
    // The client may have gone.
    let _ = cpu.send(thread_cpu() - start);
}

fn prewritten(path: &Path) -> File {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)
        .expect("direct I/O works");
    let zeros = Blocks::zeroed(1 << 20);
    for at in 0..FILE_BYTES >> 20 {
        file.write_all_at(&zeros, at << 20).expect("there is space");
    }
    file.sync_all().expect("it syncs");
    file
}

fn bare_writes(dir: &Path, writes: usize) -> Vec<u64> {
    let path = dir.join("versus-bare");
    let thread = std::thread::spawn(move || {
        pin(0);
        let file = prewritten(&path);
        let (mut ring, buffer) = (bare_ring(), Blocks::zeroed(4096));
        let mut latencies = Vec::with_capacity(writes);
        for at in 0..writes as u64 {
            let start = Instant::now();
            let write = opcode::Write::new(types::Fd(file.as_raw_fd()), buffer.as_ptr(), 4096)
                .offset(at * 4096 % FILE_BYTES)
                .rw_flags(libc::RWF_DSYNC);
            push(&mut ring, write.build());
            ring.submit_and_wait(1).expect("the ring works");
            assert_eq!(ring.completion().next().map(|done| done.result()), Some(4096));
            latencies.push(start.elapsed().as_nanos() as u64);
        }
        latencies
    });
    thread.join().expect("it ends")
}

// ---- the comparison

/// Keeps one request of `bytes` under way on each connection. Requests a second.
fn client(addr: SocketAddr, connections: usize, bytes: usize, time: Duration) -> (u64, f64) {
    let mut streams: Vec<TcpStream> = (0..connections)
        .map(|_| {
            let stream = TcpStream::connect(addr).expect("it listens");
            stream.set_nodelay(true).expect("TCP has it");
            stream
        })
        .collect();
    let mut buffer = vec![7; bytes];
    for stream in &mut streams {
        stream.write_all(&buffer).expect("it reads");
    }
    let (start, mut requests) = (Instant::now(), 0u64);
    while start.elapsed() < time {
        for stream in &mut streams {
            stream.read_exact(&mut buffer).expect("it answers");
            stream.write_all(&buffer).expect("it reads");
            requests += 1;
        }
    }
    (requests, requests as f64 / start.elapsed().as_secs_f64())
}

fn echo(dir: &Path, connections: usize, bytes: usize, time: Duration) -> [(f64, f64); 2] {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port is found");
    let addr = listener.local_addr().expect("it is bound");
    let (cpu, bare_cpu) = mpsc::channel();
    let server = std::thread::spawn(move || bare_echo(listener, connections, bytes, cpu));
    let (requests, rate) = client(addr, connections, bytes, time);
    let bare = (rate, bare_cpu.recv().expect("it tells").as_nanos() as f64 / requests as f64);
    server.join().expect("it ends");
    let driver = with_driver(dir, 0, 0, |report, told| {
        let Ok(Mail::Bound(addr)) = told.recv() else { panic!("it listens") };
        report();
        let before = cpu_of(told);
        let (requests, rate) = client(addr, connections, bytes, time);
        report();
        (rate, (cpu_of(told) - before).as_nanos() as f64 / requests as f64)
    });
    [bare, driver]
}

/// Microseconds of a round trip between two cores.
fn mail(dir: &Path, spin_us: u64) -> f64 {
    const TRIPS: u32 = 20_000;
    let (tell, told) = mpsc::channel();
    let core = |n| CoreConfig { shard: ShardId(n), cpu: Some(n.into()), spin_us, data_dir: dir.to_owned() };
    let outside = to(tell);
    let running = start(Options::new(vec![core(0), core(1)]), |me| Bench::new(me, 0), outside).expect("it starts");
    let mut took = Duration::ZERO;
    for trips in [1000, TRIPS] {
        let start = Instant::now();
        running.mail(ShardId(1), Mail::Ball(trips * 2));
        while !matches!(told.recv(), Ok(Mail::Landed)) {}
        took = start.elapsed();
    }
    running.stop();
    running.join().expect("it ends");
    took.as_nanos() as f64 / 1000.0 / f64::from(TRIPS)
}

fn quantiles(mut latencies: Vec<u64>) -> (f64, f64) {
    latencies.sort_unstable();
    let at = |q: f64| latencies[((latencies.len() - 1) as f64 * q) as usize] as f64 / 1000.0;
    (at(0.5), at(0.99))
}

fn main() {
    let mut args = std::env::args().skip(1);
    let rounds: usize = args.next().map_or(3, |n| n.parse().expect("a number of rounds"));
    let dir: PathBuf = args.next().map_or_else(|| std::env::temp_dir().join("heddle-versus"), PathBuf::from);
    std::fs::create_dir_all(&dir).expect("the directory can be made");
    pin(1);
    for round in 1..=rounds {
        for (connections, bytes) in [(1, 64), (32, 64), (8, 65536)] {
            let [bare, driver] = echo(&dir, connections, bytes, Duration::from_secs(2));
            println!(
                "round {round}: echo {connections:2} x {bytes:5} B: bare {:7.0}/s {:6.0} ns CPU, driver {:7.0}/s {:6.0} ns CPU: {:.2} x rate, {:.2} x CPU",
                bare.0,
                bare.1,
                driver.0,
                driver.1,
                driver.0 / bare.0,
                driver.1 / bare.1
            );
        }
        println!("round {round}: mail there and back: {:.1} us, spinning {:.2} us", mail(&dir, 0), mail(&dir, 200));
        let bare = quantiles(bare_writes(&dir, 3000));
        let _ = std::fs::remove_file(dir.join("versus-driver"));
        let driver = with_driver(&dir, 3000, 0, |_, told| match told.recv() {
            Ok(Mail::Latencies(latencies)) => quantiles(latencies),
            _ => panic!("it tells"),
        });
        println!(
            "round {round}: durable 4 KiB: bare p50 {:.0} us, p99 {:.0} us; driver p50 {:.0} us, p99 {:.0} us",
            bare.0, bare.1, driver.0, driver.1
        );
    }
    std::fs::remove_dir_all(&dir).expect("the directory can be removed");
}
