//! The journal on the real driver, alone: group commit of 512-byte appends, a number of them always under way, over one
//! or thousands of replicas, without and with a bulk writer beside it. `ring` is its baseline.
//!
//! Every append is durable before it counts. Replicas are marked as settled now and then, so the ring recycles as in a
//! broker; what the segments would cost is the bulk writer's part.
//!
//! `journal [seconds] [directory] [cpu] [spin microseconds]`

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, mpsc};

use bytes::Bytes;
use hdrhistogram::Histogram;
use heddle_border::{Blocks, DiskOp, Effect, Event, FileId, Machine, OpenMode, Out, Token, Turn};
use heddle_journal::{Config, Journal, Mark, Record, ReplicaState, TailBatch};
use heddle_model::limits::{JOURNAL_FILE_BYTES, JOURNAL_FILES, JOURNAL_FIRST_FILE_BYTES, SPAN_BYTES};
use heddle_model::{Incarnation, Mono, NodeId, Now, Offset, Point, ReplicaNumber, ShardId, Term, Voter};
use heddle_records::BatchBuilder;
use heddle_uring::{CoreConfig, FromCore, Options};

const APPEND_BYTES: usize = 512;
/// Appends of a replica between two marks.
const MARK_EVERY: i64 = 256;
const JOURNAL: u32 = 1;
const NEIGHBOUR: u32 = 2;
const NEIGHBOUR_FILE: FileId = FileId { owner: NEIGHBOUR, seq: 0 };
const NEIGHBOUR_FILE_BYTES: u64 = 1 << 30;

#[derive(Clone, Copy)]
struct Case {
    replicas: usize,
    under_way: usize,
    /// Of durable 256 KiB writes beside the journal. MB/s.
    neighbour: u64,
    seconds: f64,
}

struct Found {
    appends: u64,
    seconds: f64,
    latency: Histogram<u64>,
    frames: u64,
    frame_bytes: u64,
}

/// One replica's appends that are not durable yet: ordinal and when it was asked for.
#[derive(Default)]
struct Line {
    end: i64,
    marked: i64,
    waiting: VecDeque<(u64, Mono)>,
}

impl Line {
    /// Everything durable, as if it stood in a segment.
    fn mark(&self) -> Mark {
        let offset = Offset(self.end - self.waiting.len() as i64);
        Mark { offset, store: 0, segment: Offset(0), generation: 0, segment_bytes: 0, side_bytes: 0 }
    }
}

struct Bench {
    case: Case,
    journal: Option<Journal>,
    running: bool,
    lines: Vec<Line>,
    next: usize,
    under_way: usize,
    batch: Bytes,
    begun: Mono,
    found: Found,
    neighbour: Neighbour,
}

#[derive(Default)]
struct Neighbour {
    ready: bool,
    at: u64,
    written: u64,
    under_way: usize,
    spare: Vec<Blocks>,
}

impl Bench {
    fn new(case: Case) -> Bench {
        let value = vec![b'x'; APPEND_BYTES - 61 - 10];
        let mut builder = BatchBuilder::new(1);
        let batch = builder.push(1, None, Some(&value), &[]).build();
        Bench {
            case,
            journal: None,
            running: false,
            lines: (0..case.replicas).map(|_| Line::default()).collect(),
            next: 0,
            under_way: 0,
            batch,
            begun: Mono(0),
            found: Found {
                appends: 0,
                seconds: 0.0,
                latency: Histogram::new_with_bounds(1, 60_000_000, 3).expect("sound bounds"),
                frames: 0,
                frame_bytes: 0,
            },
            neighbour: Neighbour::default(),
        }
    }

    fn open(&mut self, now: Now, out: &mut Out<Found>) {
        let config = Config {
            dir: "journal-0".into(),
            owner: JOURNAL,
            files: JOURNAL_FILES,
            file_bytes: JOURNAL_FILE_BYTES,
            first_file_bytes: JOURNAL_FIRST_FILE_BYTES,
            sync: true,
            accept_unreadable: false,
        };
        self.journal = Some(Journal::open(config, now, &mut out.effects));
        if self.case.neighbour > 0 {
            let open = DiskOp::Open { file: NEIGHBOUR_FILE, path: "neighbour".into(), mode: OpenMode::Create };
            out.effects.push(Effect::Disk { token: Token { owner: NEIGHBOUR, seq: 0 }, op: open });
        }
    }

    fn begin(&mut self, now: Now) {
        let journal = self.journal.as_mut().expect("it was opened in the first turn");
        let me = Voter { node: NodeId(1), incarnation: Incarnation(0) };
        for number in 0..self.case.replicas {
            let state = ReplicaState {
                placement: 0,
                term: Term(1),
                vote: Some(me),
                history: vec![(Term(1), Offset(0))],
                config: Bytes::from_static(b"bench"),
                log_start: Offset(0),
                commit: Offset(0),
                mark: None,
                start: Point::default(),
            };
            journal.create(ReplicaNumber(number as u64), state);
        }
        self.running = true;
        self.begun = now.mono;
    }

    fn append(&mut self, now: Mono) {
        let number = self.next;
        self.next = (number + 1) % self.lines.len();
        let line = &mut self.lines[number];
        let (base, next) = (Offset(line.end), Offset(line.end + 1));
        line.end += 1;
        let batch = TailBatch { term: Term(1), base, next, bytes: self.batch.clone() };
        let journal = self.journal.as_mut().expect("it runs");
        let ordinal = journal.append(ReplicaNumber(number as u64), Record::Append(batch, base));
        line.waiting.push_back((ordinal.0, now));
        self.under_way += 1;
    }

    fn on_durable(&mut self, now: Mono) {
        let mut durable = Vec::new();
        let journal = self.journal.as_mut().expect("it runs");
        journal.take_durable(&mut durable);
        for (number, ordinal) in durable {
            let line = &mut self.lines[number.0 as usize];
            while line.waiting.front().is_some_and(|(of, _)| *of <= ordinal.0) {
                let (_, asked) = line.waiting.pop_front().expect("the front was just seen");
                self.found.latency.saturating_record(now.since_us(asked));
                self.found.appends += 1;
                self.under_way -= 1;
            }
            if line.end >= line.marked + MARK_EVERY {
                line.marked = line.end;
                journal.append(number, Record::Mark(line.mark()));
            }
        }
    }

    /// Replicas that keep the ring from recycling are marked, as settling them would.
    fn settle_wanted(&mut self) {
        let journal = self.journal.as_mut().expect("it runs");
        let mut wanted = Vec::new();
        journal.wants(&mut wanted);
        for number in wanted {
            let state = journal.state(number).expect("a replica of ours").clone();
            let mark = self.lines[number.0 as usize].mark();
            if state.mark.as_ref() != Some(&mark) {
                journal.append(number, Record::Mark(mark));
            }
        }
    }

    fn drive_neighbour(&mut self, now: Mono, out: &mut Out<Found>) {
        let due = now.since_us(self.begun) * self.case.neighbour;
        while self.neighbour.ready && self.neighbour.written < due && self.neighbour.under_way < 8 {
            let buf = self.neighbour.spare.pop().unwrap_or_else(|| Blocks::zeroed(SPAN_BYTES));
            let at = self.neighbour.at;
            self.neighbour.at = (at + SPAN_BYTES as u64) % NEIGHBOUR_FILE_BYTES;
            self.neighbour.written += SPAN_BYTES as u64;
            self.neighbour.under_way += 1;
            let op = DiskOp::Write { file: NEIGHBOUR_FILE, at, buf, durable: true };
            out.effects.push(Effect::Disk { token: Token { owner: NEIGHBOUR, seq: 2 }, op });
        }
    }

    fn on_neighbour(
        &mut self,
        seq: u32,
        result: Result<heddle_border::Done, heddle_border::Failed>,
        out: &mut Out<Found>,
    ) {
        match (seq, result.expect("the disk works")) {
            (0, _) => {
                let op = DiskOp::Allocate { file: NEIGHBOUR_FILE, from: 0, len: NEIGHBOUR_FILE_BYTES };
                out.effects.push(Effect::Disk { token: Token { owner: NEIGHBOUR, seq: 1 }, op });
            }
            (1, _) => self.neighbour.ready = true,
            (_, heddle_border::Done::Written { buf }) => {
                self.neighbour.spare.push(buf);
                self.neighbour.under_way -= 1;
            }
            (_, other) => panic!("{other:?} is no answer to a write"),
        }
    }
}

impl Machine for Bench {
    type Mail = Found;

    fn turn(&mut self, turn: Turn<'_, Found>, out: &mut Out<Found>) {
        let now = turn.now;
        if self.journal.is_none() {
            self.open(now, out);
        }
        while let Some(event) = turn.events.pop_front() {
            match event {
                Event::Disk { token, result } if token.owner == JOURNAL => {
                    let journal = self.journal.as_mut().expect("it was opened");
                    journal.on_disk(now, token.seq, result, &mut out.effects);
                }
                Event::Disk { token, result } => self.on_neighbour(token.seq, result, out),
                _ => {}
            }
        }
        let journal = self.journal.as_mut().expect("it was opened");
        if !self.running && journal.take_recovered().is_some() {
            self.begin(now);
        }
        if self.running {
            self.on_durable(now.mono);
            self.settle_wanted();
            while self.under_way < self.case.under_way {
                self.append(now.mono);
            }
            self.drive_neighbour(now.mono, out);
        }
        let journal = self.journal.as_mut().expect("it was opened");
        journal.flush(now, &mut out.effects);
        out.wake_at = journal.wake_at();
        let spent = now.mono.since_us(self.begun) as f64 / 1e6;
        if self.running && spent >= self.case.seconds {
            self.running = false;
            let stats = journal.stats();
            let (frames, frame_bytes) = (stats.frames, stats.frame_bytes);
            let latency = std::mem::replace(&mut self.found.latency, Histogram::new(3).expect("sound"));
            let found = Found { appends: self.found.appends, seconds: spent, latency, frames, frame_bytes };
            out.mail.push((ShardId::OUTSIDE, found));
            out.effects.push(Effect::Halt);
        }
    }
}

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let seconds: f64 = args.next().map_or(Ok(3.0), |n| n.parse()).map_err(io::Error::other)?;
    let dir = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let cpu: Option<usize> = args.next().map(|n| n.parse()).transpose().map_err(io::Error::other)?;
    let spin_us: u64 = args.next().map_or(Ok(0), |n| n.parse()).map_err(io::Error::other)?;
    for neighbour in [0, 200] {
        for (replicas, under_way) in [(1, 1), (1, 64), (1, 512), (2000, 64), (2000, 512)] {
            let case = Case { replicas, under_way, neighbour, seconds };
            let data_dir = dir.join(format!("heddle-journal-{}", std::process::id()));
            std::fs::create_dir_all(&data_dir)?;
            let (tell, hear) = mpsc::channel();
            let tell = Mutex::new(tell);
            let core = CoreConfig { shard: ShardId(0), cpu, spin_us, data_dir: data_dir.clone() };
            let running = heddle_uring::start(
                Options::new(vec![core]),
                move |_| Bench::new(case),
                move |_, told| {
                    if let FromCore::Mail(found) = told {
                        tell.lock().expect("one core sends").send(found).expect("the bench listens");
                    }
                },
            )?;
            let found = hear.recv().map_err(io::Error::other)?;
            running.join().map_err(io::Error::other)?;
            std::fs::remove_dir_all(data_dir)?;
            let quantile = |q| found.latency.value_at_quantile(q);
            println!(
                "{under_way:>4} under way, {replicas:>4} replicas, neighbour {neighbour:>3} MB/s: {:>9.0} appends/s, \
                 p50 {:>5} us, p99 {:>5} us, p99.9 {:>6} us, {:>6.0} bytes a frame",
                found.appends as f64 / found.seconds,
                quantile(0.5),
                quantile(0.99),
                quantile(0.999),
                found.frame_bytes as f64 / found.frames.max(1) as f64,
            );
        }
    }
    Ok(())
}
