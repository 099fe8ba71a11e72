//! What a log of many small segments costs: to begin one, to load, to delete what retention leaves behind, to compact.
//! Each number is the longest turn of its kind, or the bytes of one write. The disk is memory and answers at once.
//! `cargo run --release -p heddle-log --example segments [SEGMENTS...]`

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use heddle_border::{DiskOp, Done, Effect, Entry, Failed, Fault, FileId, Token};
use heddle_log::{Companion, Identity, Log, Output};
use heddle_model::{Mark, Mono, Now, Offset, ReplicaNumber, TailBatch, Term, TopicSettings, Wall};
use heddle_records::{BatchBuilder, Header, set_base_offset, set_leader_epoch};

const ID: Identity = Identity { owner: 1, replica: ReplicaNumber(1), store: 0 };

struct Nothing;

impl Companion for Nothing {
    fn apply(&mut self, _: &Header, _: &[u8]) {}
    fn snapshot(&mut self) -> Vec<u8> {
        Vec::new()
    }
    fn changes(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

/// Files by their paths.
#[derive(Default)]
struct Memory {
    files: BTreeMap<String, Vec<u8>>,
    open: BTreeMap<FileId, String>,
    written_bytes: usize,
    write_bytes_max: usize,
    read_bytes: usize,
    ops: usize,
}

impl Memory {
    fn act(&mut self, op: DiskOp) -> Result<Done, Failed> {
        self.ops += 1;
        Ok(match op {
            DiskOp::Open { file, path, .. } => {
                let len = self.files.entry(path.clone()).or_default().len() as u64;
                self.open.insert(file, path);
                Done::Opened { len }
            }
            DiskOp::Close { file } => {
                self.open.remove(&file);
                Done::Finished
            }
            DiskOp::Read { file, at, mut buf } => {
                let content = &self.files[&self.open[&file]];
                let at = (at as usize).min(content.len());
                let len = buf.len().min(content.len() - at);
                buf[..len].copy_from_slice(&content[at..at + len]);
                self.read_bytes += len;
                Done::Read { buf, len }
            }
            DiskOp::Write { file, at, buf, .. } => {
                let path = &self.open[&file];
                let content = self.files.get_mut(path).expect("it was opened");
                let (at, end) = (at as usize, at as usize + buf.len());
                content.resize(content.len().max(end), 0);
                content[at..end].copy_from_slice(&buf);
                self.written_bytes += buf.len();
                self.write_bytes_max = self.write_bytes_max.max(buf.len());
                Done::Written { buf }
            }
            DiskOp::Remove { path } => match self.files.remove(&path) {
                Some(_) => Done::Finished,
                None => return Err(Failed { fault: Fault::NotFound, buf: None }),
            },
            DiskOp::List { .. } => {
                let entry = |(path, content): (&String, &Vec<u8>)| Entry {
                    name: path.rsplit('/').next().unwrap_or_default().to_owned(),
                    len: content.len() as u64,
                    is_dir: false,
                };
                Done::Listed(self.files.iter().map(entry).collect())
            }
            _ => Done::Finished,
        })
    }
}

struct World {
    log: Log,
    disk: Memory,
    settings: TopicSettings,
    now: Now,
    mark: Option<Mark>,
    queue: VecDeque<Effect>,
    longest: Duration,
    spent: Duration,
}

impl World {
    fn new() -> World {
        World {
            log: Log::create(ID, Offset(0)),
            disk: Memory::default(),
            // A batch per segment.
            settings: TopicSettings {
                segment_bytes: 4096,
                cleanup_compact: true,
                file_delete_delay_ms: 0,
                ..TopicSettings::default()
            },
            now: Now { mono: Mono(1_000_000), wall: Wall(1_000_000_000) },
            mark: None,
            queue: VecDeque::new(),
            longest: Duration::ZERO,
            spent: Duration::ZERO,
        }
    }

    /// One act of the log, and then everything that comes of it, each step timed by itself.
    fn turn<T>(&mut self, act: impl FnOnce(&mut World, &mut Vec<Effect>, &mut Vec<Output>) -> T) -> T {
        let (mut effects, mut events) = (Vec::new(), Vec::new());
        let result = self.timed(|world| act(world, &mut effects, &mut events));
        self.take(effects, events);
        while let Some(effect) = self.queue.pop_front() {
            let (mut effects, mut events) = (Vec::new(), Vec::new());
            match effect {
                Effect::Disk { token: Token { seq, .. }, op } => {
                    let result = self.disk.act(op);
                    let now = self.now;
                    self.timed(|world| world.log.on_disk(now, seq, result, &mut effects, &mut events));
                }
                Effect::Work { token: Token { seq, .. }, run } => {
                    let product = run();
                    self.timed(|world| world.log.on_worked(seq, Some(product), &mut effects, &mut events));
                }
                _ => panic!("a log has effects on the disk, and work, only"),
            }
            self.take(effects, events);
        }
        result
    }

    fn timed<T>(&mut self, act: impl FnOnce(&mut World) -> T) -> T {
        let begin = Instant::now();
        let result = act(self);
        let took = begin.elapsed();
        self.longest = self.longest.max(took);
        self.spent += took;
        result
    }

    fn take(&mut self, effects: Vec<Effect>, events: Vec<Output>) {
        self.queue.extend(effects);
        for event in events {
            match event {
                Output::Settled(mark) => {
                    self.log.on_marked(&mark);
                    self.mark = Some(mark);
                }
                Output::LoadFailed(_) | Output::Trouble(_) | Output::CompactionFailed(_) => panic!("{event:?}"),
                _ => {}
            }
        }
    }

    /// One more segment, of one batch with a key of its own.
    fn roll(&mut self) {
        let base = self.log.end();
        let mut builder = BatchBuilder::new(base.0);
        builder.push(base.0, Some(&base.0.to_le_bytes()), Some(b"value"), &[]);
        let mut bytes = builder.build().to_vec();
        set_base_offset(&mut bytes, base);
        set_leader_epoch(&mut bytes, Term(1).epoch());
        self.log.append(TailBatch { term: Term(1), base, next: base.plus(1), bytes: Bytes::from(bytes) });
        self.turn(|world, out, _| {
            let World { log, settings, now, .. } = world;
            assert!(log.settle(*now, log.end(), true, settings, &mut Nothing, out), "there is a batch to settle");
        });
    }

    fn restart(&mut self) {
        self.log = Log::recover(ID, self.log.start(), self.mark.clone(), Vec::new());
        self.turn(|world, out, _| world.log.load(out));
        assert!(self.log.is_loaded());
    }

    fn begin(&mut self) {
        (self.longest, self.spent) = (Duration::ZERO, Duration::ZERO);
        let disk = &mut self.disk;
        (disk.written_bytes, disk.write_bytes_max, disk.read_bytes, disk.ops) = (0, 0, 0, 0);
    }

    fn report(&self, what: &str) {
        let disk = &self.disk;
        println!(
            "  {what}: longest turn {:.3} ms, all {:.2} ms, {} operations, {} KiB written, at most {} KiB at once, {} KiB read",
            self.longest.as_secs_f64() * 1e3,
            self.spent.as_secs_f64() * 1e3,
            disk.ops,
            disk.written_bytes / 1024,
            disk.write_bytes_max / 1024,
            disk.read_bytes / 1024,
        );
    }
}

fn measure(segments: usize) {
    println!("{segments} segments");
    let mut world = World::new();
    while world.log.end().0 < segments as i64 {
        world.roll();
    }
    world.report("all rolls from the first on");
    world.begin();
    (0..100).for_each(|_| world.roll());
    world.report("100 more");
    world.begin();
    (0..1000).for_each(|_| assert!(world.timed(|world| world.log.cached_bytes()) < usize::MAX));
    world.report("1,000 looks at what it has cached");
    world.begin();
    world.restart();
    world.report("load");
    world.begin();
    world.turn(|world, out, events| {
        let World { log, settings, now, .. } = world;
        assert!(log.compact(*now, log.end(), settings, BTreeSet::new(), 1 << 24, out, events), "there is debt");
    });
    assert!(!world.log.is_compacting());
    world.report("compact all");
    world.begin();
    world.restart();
    world.report("load what was compacted since the last roll");
    world.begin();
    world.roll();
    world.report("the first roll behind it");
    world.begin();
    (0..100).for_each(|_| world.roll());
    world.report("100 more");
    world.begin();
    world.restart();
    world.report("load");
    let end = world.log.end();
    world.log.set_start(end);
    world.begin();
    while world.turn(|world, out, _| world.log.delete_below_start(world.now, &world.settings, out)) {}
    world.report("delete all");
}

fn main() {
    let counts: Vec<usize> = std::env::args().skip(1).map(|arg| arg.parse().expect("a number of segments")).collect();
    let counts = if counts.is_empty() { vec![100, 1_000, 10_000] } else { counts };
    counts.into_iter().for_each(measure);
}
