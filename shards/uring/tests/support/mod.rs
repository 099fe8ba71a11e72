//! A puppet: a machine that does what a test says and tells what it sees.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::VecDeque;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use bytes::Bytes;
use heddle_border::{
    Blocks, ConnId, DiskOp, Done, Effect, Event, Failed, FileId, ListenerId, Machine, OpenMode, Out, Token, Turn,
};
use heddle_model::{Mono, ShardId};
use heddle_uring::{CoreConfig, FromCore, Options, Running, Stats, start};

pub const PATIENCE: Duration = Duration::from_secs(10);

/// What a toiling puppet leaves itself.
const TOIL: Token = Token { owner: u32::MAX, seq: 0 };

pub enum Mail {
    /// Do this.
    Do(Vec<Effect>),
    /// Do this without a look at what has happened meanwhile, which comes again in the next turn.
    DoBlindly(Vec<Effect>),
    /// Send this many numbered letters to that core.
    Write {
        to: ShardId,
        letters: u32,
    },
    /// A numbered letter.
    Letter(u32),
    /// Take a turn at this distance from now, and tell. Microseconds.
    Wake(u64),
    /// Be busy, without sleeping, for this long. Microseconds.
    Toil(u64),
    Saw(Event),
    SawLetter {
        from: ShardId,
        number: u32,
    },
    Warned(String),
    Ended(Result<(), String>),
    /// Planned and actual time.
    Woke {
        planned: Mono,
        at: Mono,
    },
}

#[derive(Default)]
pub struct Puppet {
    alarm: Option<Mono>,
    toil_until: Option<Mono>,
    /// Connections it has let go, until they are closed.
    gone: Vec<ConnId>,
}

impl Machine for Puppet {
    type Mail = Mail;

    fn turn(&mut self, turn: Turn<'_, Mail>, out: &mut Out<Mail>) {
        let outside = ShardId::OUTSIDE;
        let is_blind = turn.mail.iter().any(|(_, mail)| matches!(mail, Mail::DoBlindly(_)));
        let toil = |event: &Event| matches!(event, Event::Worked { token: TOIL, .. });
        let taken = if is_blind { 0 } else { turn.events.len() };
        let seen = turn.events.drain(..taken).filter(|event| !toil(event));
        for event in seen {
            match &event {
                Event::Received { conn, .. } => assert!(!self.gone.contains(conn), "what came in goes along"),
                Event::Closed { conn } => self.gone.retain(|gone| gone != conn),
                _ => {}
            }
            out.mail.push((outside, Mail::Saw(event)));
        }
        for (from, mail) in turn.mail.drain(..) {
            match mail {
                Mail::Do(effects) | Mail::DoBlindly(effects) => {
                    self.gone.extend(effects.iter().filter_map(|effect| match effect {
                        Effect::Move { conn, .. } => Some(*conn),
                        _ => None,
                    }));
                    out.effects.extend(effects);
                }
                Mail::Write { to, letters } => out.mail.extend((0..letters).map(|n| (to, Mail::Letter(n)))),
                Mail::Letter(number) => out.mail.push((outside, Mail::SawLetter { from, number })),
                Mail::Wake(us) => self.alarm = Some(turn.now.mono.plus_us(us)),
                Mail::Toil(us) => self.toil_until = Some(turn.now.mono.plus_us(us)),
                Mail::Saw(_) | Mail::SawLetter { .. } | Mail::Warned(_) | Mail::Ended(_) | Mail::Woke { .. } => {
                    unreachable!("for the outside")
                }
            }
        }
        if self.toil_until.is_some_and(|end| turn.now.mono < end) {
            // A turn at once, and no sleep between.
            turn.events.push_back(Event::Worked { token: TOIL, result: None });
        }
        match self.alarm {
            Some(planned) if planned <= turn.now.mono => {
                self.alarm = None;
                out.mail.push((outside, Mail::Woke { planned, at: turn.now.mono }));
            }
            Some(planned) => out.wake(planned),
            None => {}
        }
    }
}

/// A process of puppets, and what they saw.
pub struct Stage {
    running: Option<Running<Puppet>>,
    seen: Receiver<(ShardId, Mail)>,
    waiting: Mutex<VecDeque<(ShardId, Mail)>>,
    tokens: AtomicU32,
    pub dir: PathBuf,
}

pub const ONE: ShardId = ShardId(0);

impl Stage {
    pub fn new(name: &str, cores: u16) -> Stage {
        Stage::with(name, cores, |_| {})
    }

    pub fn with(name: &str, cores: u16, tune: impl FnOnce(&mut Options)) -> Stage {
        let dir = std::env::temp_dir().join(format!("heddle-uring-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let (tell, seen) = mpsc::channel();
        let cores = (0..cores)
            .map(|shard| CoreConfig { shard: ShardId(shard), cpu: None, spin_us: 0, data_dir: dir.clone() })
            .collect();
        let mut options = Options::new(cores);
        tune(&mut options);
        for core in &options.cores {
            std::fs::create_dir_all(&core.data_dir).expect("the directory can be made");
        }
        let running = start(
            options,
            |_| Puppet::default(),
            move |from, told| {
                let mail = match told {
                    FromCore::Mail(mail) => mail,
                    FromCore::Warning(text) => Mail::Warned(text),
                    FromCore::Ended(how) => Mail::Ended(how),
                };
                // The test may be over.
                drop(tell.send((from, mail)));
            },
        )
        .expect("the cores start");
        Stage { running: Some(running), seen, waiting: Mutex::default(), tokens: AtomicU32::new(0), dir }
    }

    pub fn running(&self) -> &Running<Puppet> {
        self.running.as_ref().unwrap()
    }

    pub fn stats(&self) -> Vec<Stats> {
        self.running().stats()
    }

    pub fn token(&self) -> Token {
        Token { owner: 7, seq: self.tokens.fetch_add(1, Ordering::Relaxed) }
    }

    pub fn act(&self, shard: ShardId, effects: Vec<Effect>) {
        self.running().mail(shard, Mail::Do(effects));
    }

    /// The first thing seen, of all that was not taken yet, that `want` takes.
    pub fn expect<T>(&self, what: &str, mut want: impl FnMut(ShardId, &mut Mail) -> Option<T>) -> T {
        self.within(PATIENCE, &mut want).unwrap_or_else(|| panic!("never saw {what}"))
    }

    pub fn within<T>(&self, time: Duration, mut want: impl FnMut(ShardId, &mut Mail) -> Option<T>) -> Option<T> {
        let mut waiting = self.waiting.lock().unwrap();
        for at in 0..waiting.len() {
            let (shard, mail) = &mut waiting[at];
            if let Some(found) = want(*shard, mail) {
                waiting.remove(at);
                return Some(found);
            }
        }
        let end = Instant::now() + time;
        while let Ok((shard, mut mail)) = self.seen.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if let Some(found) = want(shard, &mut mail) {
                return Some(found);
            }
            waiting.push_back((shard, mail));
        }
        None
    }

    pub fn listen(&self, shard: ShardId) -> SocketAddr {
        let addr = "127.0.0.1:0".parse().unwrap();
        self.act(shard, vec![Effect::Listen { listener: ListenerId(1), addr }]);
        self.expect("Listening", |_, mail| match mail {
            Mail::Saw(Event::Listening { result, .. }) => Some(result.expect("it listens")),
            _ => None,
        })
    }

    /// Connect, and say which core and id the connection got.
    pub fn connect(&self, addr: SocketAddr) -> (TcpStream, ShardId, ConnId) {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mine = stream.local_addr().unwrap();
        let (shard, conn) = self.expect("Opened", |shard, mail| match mail {
            Mail::Saw(Event::Opened { conn, peer, .. }) if *peer == mine => Some((shard, *conn)),
            _ => None,
        });
        (stream, shard, conn)
    }

    /// Take `len` bytes of what the connection received, in order.
    pub fn received(&self, from: ConnId, len: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < len {
            let bytes = self.expect("Received", |_, mail| match mail {
                Mail::Saw(Event::Received { conn, bytes }) if *conn == from => Some(bytes.clone()),
                _ => None,
            });
            assert!(!bytes.is_empty());
            all.extend_from_slice(&bytes);
        }
        all
    }

    /// The next bytes of a connection of this core, `None` at its end. Ids are each core's own.
    pub fn next_of(&self, core: ShardId, of: ConnId) -> Option<Bytes> {
        self.expect("Received or Closed", |at, mail| match mail {
            Mail::Saw(Event::Received { conn, bytes }) if at == core && *conn == of => Some(Some(bytes.clone())),
            Mail::Saw(Event::Closed { conn }) if at == core && *conn == of => Some(None),
            _ => None,
        })
    }

    /// The connection of this core ends; what it received until then.
    pub fn rest(&self, core: ShardId, of: ConnId) -> Vec<u8> {
        std::iter::from_fn(|| self.next_of(core, of)).flatten().collect()
    }

    pub fn send(&self, shard: ShardId, conn: ConnId, parts: Vec<Bytes>) -> Token {
        let token = self.token();
        self.act(shard, vec![Effect::Send { conn, token, parts }]);
        token
    }

    pub fn sent(&self, of: Token) {
        self.expect("Sent", |_, mail| match mail {
            Mail::Saw(Event::Sent { token, .. }) if *token == of => Some(()),
            _ => None,
        });
    }

    pub fn closed(&self, of: ConnId) {
        self.expect("Closed", |_, mail| match mail {
            Mail::Saw(Event::Closed { conn }) if *conn == of => Some(()),
            _ => None,
        });
    }

    /// Do a disk operation on core 0 and wait for its answer.
    pub fn disk(&self, op: DiskOp) -> Result<Done, Failed> {
        let token = self.token();
        self.act(ONE, vec![Effect::Disk { token, op }]);
        self.disk_answer(token)
    }

    pub fn disk_answer(&self, of: Token) -> Result<Done, Failed> {
        self.expect("Disk", |_, mail| match mail {
            Mail::Saw(Event::Disk { token, result }) if *token == of => {
                Some(std::mem::replace(result, Ok(Done::Finished)))
            }
            _ => None,
        })
    }

    pub fn open(&self, seq: u32, path: &str, mode: OpenMode) -> Result<(FileId, u64), Failed> {
        let file = FileId { owner: 3, seq };
        match self.disk(DiskOp::Open { file, path: path.to_owned(), mode })? {
            Done::Opened { len } => Ok((file, len)),
            other => panic!("open answered {other:?}"),
        }
    }

    /// No answer is left that nobody asked for.
    pub fn nothing_more(&self) {
        let more = self.within(Duration::from_millis(50), |_, mail| match mail {
            Mail::Saw(event) => Some(format!("{event:?}")),
            _ => None,
        });
        assert_eq!(more, None);
    }

    /// Wait for cores that were told to halt.
    pub fn join(mut self) {
        self.running.take().unwrap().join().expect("all cores halt");
        let _ = std::fs::remove_dir_all(&self.dir);
    }

    /// Stop every core, see `Stop` there, halt, and end.
    pub fn end(mut self) {
        let running = self.running.take().unwrap();
        running.stop();
        let cores = running.stats().len();
        for _ in 0..cores {
            let shard = self.expect("Stop", |shard, mail| matches!(mail, Mail::Saw(Event::Stop)).then_some(shard));
            running.mail(shard, Mail::Do(vec![Effect::Halt]));
        }
        for _ in 0..cores {
            self.expect("Ended", |_, mail| match mail {
                Mail::Ended(how) => Some(how.clone()),
                _ => None,
            })
            .expect("it could begin");
        }
        let left_behind = self.within(Duration::ZERO, |_, mail| match mail {
            Mail::Warned(text) if text.contains("operations under way") => Some(text.clone()),
            _ => None,
        });
        assert_eq!(left_behind, None);
        running.join().expect("all cores halt");
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Bytes that differ from place to place.
pub fn pattern(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0] ^ seed).collect()
}

pub fn blocks(bytes: &[u8]) -> Blocks {
    let mut blocks = Blocks::zeroed(bytes.len());
    blocks[..bytes.len()].copy_from_slice(bytes);
    blocks
}

pub fn read_exact(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

pub fn file_bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}
