//! One node: its cores, each a `Shard` machine, the mail between them, its disk and its connections. Every act here is
//! one small step that the schedule chooses; what a step leads to happens in later steps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use heddle_border::{
    Blocks, ConnId, DiskOp, Done, Effect, Event, Failed, Fault, FileId, ListenerId, Machine, Out, Token, Turn, Work,
};
use heddle_fakedisk::{Dice, FakeDisk};
use heddle_model::{Mono, Now, ShardId, Wall};
use heddle_shard::{Mail, Metrics, Notice, Shard, ShardConfig};

use crate::compacting::{Compacting, Step};
use crate::lies::Lie;
use crate::link::{Heard, Link};
use crate::trace::Trace;

/// For the lie about full disks: with less than this free, the disk is full. Bytes.
const FULL_BYTES: u64 = 65_536;
/// Cores share a disk: the core stands in the upper bits of owners.
const CORE_SHIFT: u32 = 24;

struct Core {
    machine: Shard,
    events: VecDeque<Event>,
    mail: VecDeque<(ShardId, Mail)>,
    wake_at: Option<Mono>,
    works: Vec<(Token, Work)>,
    halted: bool,
}

pub struct Node {
    pub disk: FakeDisk,
    cores: Vec<Core>,
    /// Letters on their way, FIFO for each pair of cores.
    wires: BTreeMap<(u16, u16), VecDeque<Mail>>,
    pub links: BTreeMap<ConnId, Link>,
    /// What clients hear, to be taken by the simulator.
    pub heard: Vec<(ConnId, Heard)>,
    /// Lives so far.
    pub boots: u32,
    pub serving: bool,
    /// `Notice::Failed`.
    pub failed: Option<String>,
    /// `Notice::Log` since the beginning of this life.
    pub logs: Vec<String>,
    /// What cores told of themselves since they were asked.
    pub told: Vec<Metrics>,
    /// Asked of the disk in all lives.
    pub disk_operations: u64,
    /// What compaction asks of the disk.
    pub compacting: Compacting,
    /// Work that was done between turns, in all lives.
    pub works_done: u64,
    next_conn: u64,
    /// The zero of this life's monotonic clock, and what the wall clock is off. Microseconds, milliseconds.
    mono_base: u64,
    pub wall_off_ms: i64,
    pub lie: Option<Lie>,
    /// The last turn was taken for its time alone.
    pub idle_turn: bool,
    late: Vec<(Token, DiskOp)>,
    swallowed: BTreeSet<Token>,
    /// By home core and slot, the generation of the last ask that went to another core.
    generations: BTreeMap<(ShardId, u32), u32>,
    at_last_crash: Option<FakeDisk>,
}

impl Node {
    pub fn new(seed: u64, lie: Option<Lie>) -> Node {
        Node {
            disk: FakeDisk::new(seed),
            cores: Vec::new(),
            wires: BTreeMap::new(),
            links: BTreeMap::new(),
            heard: Vec::new(),
            boots: 0,
            serving: false,
            failed: None,
            logs: Vec::new(),
            told: Vec::new(),
            disk_operations: 0,
            compacting: Compacting::default(),
            works_done: 0,
            next_conn: 1,
            mono_base: 0,
            wall_off_ms: 0,
            lie,
            idle_turn: false,
            late: Vec::new(),
            swallowed: BTreeSet::new(),
            generations: BTreeMap::new(),
            at_last_crash: None,
        }
    }

    /// A new process begins.
    pub fn boot(&mut self, config: &ShardConfig, dice: &mut Dice) {
        self.boots += 1;
        self.mono_base = dice.below(1 << 40);
        (self.serving, self.failed) = (false, None);
        self.logs.clear();
        self.compacting = Compacting::default();
        let core = |shard| Core {
            machine: Shard::new(ShardId(shard), config.clone()),
            events: VecDeque::new(),
            mail: VecDeque::new(),
            wake_at: Some(Mono(0)),
            works: Vec::new(),
            halted: false,
        };
        self.cores = (0..config.shards).map(core).collect();
    }

    pub fn is_up(&self) -> bool {
        !self.cores.is_empty()
    }

    /// The process is gone. What becomes of the disk is the caller's choice.
    pub fn die(&mut self) {
        self.cores.clear();
        self.wires.clear();
        self.late.clear();
        self.swallowed.clear();
        self.generations.clear();
        self.serving = false;
        for (conn, _) in std::mem::take(&mut self.links) {
            self.heard.push((conn, Heard::Closed));
        }
    }

    /// After a crash: a disk that goes back to what it was at the crash before.
    pub fn on_crashed(&mut self, dice: &mut Dice) {
        if self.lie == Some(Lie::RolledBack) {
            let before = self.at_last_crash.replace(self.disk.clone());
            if let Some(before) = before.filter(|_| dice.chance(60)) {
                self.disk = before;
            }
        }
    }

    pub fn all_halted(&self) -> bool {
        self.cores.iter().all(|core| core.halted)
    }

    pub fn stop(&mut self) {
        self.cores.iter_mut().for_each(|core| core.events.push_back(Event::Stop));
    }

    fn now(&self, now_us: u64) -> Now {
        let shown_us = if self.lie == Some(Lie::ClockStopped) { 0 } else { now_us };
        Now { mono: Mono(self.mono_base + now_us), wall: Wall(true_wall_ms(shown_us) + self.wall_off_ms) }
    }

    /// When a sleeping core wants to run, in the simulator's time.
    pub fn next_wake(&self) -> Option<u64> {
        let wakes = self.cores.iter().filter(|core| !core.halted).filter_map(|core| core.wake_at);
        wakes.min().map(|at| at.0.saturating_sub(self.mono_base))
    }

    // ---- steps: each says whether it found something to do ----

    pub fn turn(&mut self, now_us: u64, dice: &mut Dice, trace: &mut Trace) -> bool {
        let now = self.now(now_us);
        let due = |core: &Core| {
            let woken = core.wake_at.is_some_and(|at| at <= now.mono);
            !core.halted && (woken || !core.events.is_empty() || !core.mail.is_empty())
        };
        let ready: Vec<usize> = (0..self.cores.len()).filter(|at| due(&self.cores[*at])).collect();
        if ready.is_empty() {
            return false;
        }
        let at = ready[dice.below(ready.len() as u64) as usize];
        let core = &mut self.cores[at];
        let inputs = (core.events.len(), core.mail.len());
        let mut out = Out::new();
        let turn = Turn { now, previous_us: 20, events: &mut core.events, mail: &mut core.mail };
        core.machine.turn(turn, &mut out);
        core.wake_at = out.wake_at;
        self.idle_turn = inputs == (0, 0);
        trace.add(1 << 32 | (at as u64) << 24 | (inputs.0 as u64) << 12 | inputs.1 as u64);
        for (to, mail) in out.mail {
            self.post(at, to, mail, dice, trace);
        }
        for effect in out.effects {
            self.apply(at, effect, dice, trace);
        }
        true
    }

    fn post(&mut self, from: usize, to: ShardId, mail: Mail, dice: &mut Dice, trace: &mut Trace) {
        match mail {
            Mail::Notice(Notice::Serving(_)) => self.serving = true,
            Mail::Notice(Notice::Failed(text)) => {
                trace.say(|| format!("failed: {text}"));
                self.failed.get_or_insert(text);
            }
            Mail::Notice(Notice::Log { text, .. }) => {
                trace.say(|| format!("log of core {from}: {text}"));
                self.logs.push(text);
            }
            Mail::Notice(Notice::Metrics { metrics, .. }) => self.told.push(*metrics),
            Mail::Notice(_) => {}
            _ if self.lie == Some(Lie::MailLost) && dice.chance(3) => {}
            Mail::Offered(_) if self.lie == Some(Lie::OffersLate) => {
                self.wires.entry((from as u16, to.0)).or_default().push_front(mail);
            }
            Mail::Cancels(_) if self.lie == Some(Lie::CancelsEarly) && dice.chance(50) => {}
            mut mail => {
                self.forge(&mut mail);
                self.wires.entry((from as u16, to.0)).or_default().push_back(mail);
            }
        }
    }

    /// A lie: tickets have no generations, so that an answer goes to whoever holds its slot now.
    fn forge(&mut self, mail: &mut Mail) {
        if self.lie != Some(Lie::GenerationsForgotten) {
            return;
        }
        match mail {
            Mail::Asks { asks, .. } => {
                let tickets = asks.iter().map(|(ticket, ..)| ((ticket.home, ticket.slot), ticket.generation));
                self.generations.extend(tickets);
            }
            Mail::Answers { answers, .. } => {
                for (ticket, _) in answers {
                    let latest = self.generations.get(&(ticket.home, ticket.slot));
                    ticket.generation = latest.copied().unwrap_or(ticket.generation);
                }
            }
            _ => {}
        }
    }

    /// Ask every core how it is; `told` has the answers later.
    pub fn scrape(&mut self) {
        self.told.clear();
        self.cores.iter_mut().for_each(|core| core.mail.push_back((ShardId::OUTSIDE, Mail::Scrape { id: 0 })));
    }

    /// Whether every core has answered.
    pub fn has_told(&self) -> bool {
        self.told.len() == self.cores.len()
    }

    fn apply(&mut self, at: usize, effect: Effect, dice: &mut Dice, trace: &mut Trace) {
        let core = &mut self.cores[at];
        match effect {
            Effect::Listen { listener, addr } => {
                core.events.push_back(Event::Listening { listener, result: Ok(addr) });
            }
            Effect::Unlisten { .. } => self.serving = false,
            Effect::Send { conn, token, parts } => {
                trace.add(2 << 32 | conn.0);
                parts.iter().for_each(|part| trace.add_bytes(part));
                match self.links.get_mut(&conn) {
                    Some(link) => link.to_client.push_back((token, parts)),
                    None => core.events.push_back(Event::Sent { conn, token }),
                }
            }
            Effect::Pause { conn } => self.with_link(conn, |link| link.paused = true),
            Effect::Resume { conn } => self.with_link(conn, |link| link.paused = false),
            Effect::Close { conn } => self.with_link(conn, |link| link.closing = true),
            Effect::Move { conn, to, unread } => self.move_link(at, conn, to, unread, dice, trace),
            Effect::Disk { token, op } => self.submit(at, token, op, dice, trace),
            // A lie: what has no bound is done within the turn.
            Effect::Work { token, run } if self.lie == Some(Lie::WorkWithinTurns) => {
                core.events.push_back(Event::Worked { token, result: Some(run()) });
            }
            Effect::Work { token, run } => core.works.push((token, run)),
            Effect::Halt => core.halted = true,
        }
    }

    fn with_link(&mut self, conn: ConnId, act: impl FnOnce(&mut Link)) {
        if let Some(link) = self.links.get_mut(&conn) {
            act(link);
        }
    }

    /// The connection is the other core's, with all that this one was not told.
    fn move_link(
        &mut self,
        at: usize,
        conn: ConnId,
        to: ShardId,
        mut unread: Vec<Bytes>,
        dice: &mut Dice,
        trace: &mut Trace,
    ) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        assert!(link.to_client.is_empty(), "all that was sent on a connection has left before it moves");
        let to = usize::from(to.0);
        trace.add(9 << 32 | conn.0);
        (link.core, link.paused, link.moves) = (to, false, link.moves + 1);
        let moves = link.moves;
        for event in std::mem::take(&mut self.cores[at].events) {
            match event {
                Event::Received { conn: of, bytes } if of == conn => unread.push(bytes),
                other => self.cores[at].events.push_back(other),
            }
        }
        self.cores[at].events.push_back(Event::Closed { conn });
        if self.lie == Some(Lie::MoveForgetful) && dice.chance(50) {
            unread.clear();
        }
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        let events = &mut self.cores[to].events;
        events.push_back(Event::Opened { conn, listener: ListenerId(0), peer, moves });
        events
            .extend(unread.into_iter().filter(|bytes| !bytes.is_empty()).map(|bytes| Event::Received { conn, bytes }));
    }

    fn submit(&mut self, at: usize, token: Token, op: DiskOp, dice: &mut Dice, trace: &mut Trace) {
        let shared = Token { owner: token.owner | (at as u32) << CORE_SHIFT, ..token };
        assert!(token.owner >> CORE_SHIFT == 0, "owners fit below the core");
        let mut op = of_core(op, at);
        self.disk_operations += 1;
        note(&op, trace);
        let step = self.compacting.note(&op);
        match (self.lie, &mut op) {
            (Some(Lie::EarlyDurable), DiskOp::Write { buf, durable: true, .. }) if dice.chance(30) => {
                let result = Ok(Done::Written { buf: Blocks::zeroed(buf.len()) });
                self.cores[at].events.push_back(Event::Disk { token, result });
                self.late.push((shared, op));
                return;
            }
            (Some(Lie::NotFlushed), DiskOp::Write { durable, .. }) if dice.chance(40) => *durable = false,
            (Some(Lie::NothingCompacted), DiskOp::Open { .. }) if step == Some(Step::Write) => {
                let result = Err(Failed { fault: Fault::NoSpace, buf: None });
                self.cores[at].events.push_back(Event::Disk { token, result });
                return;
            }
            (Some(Lie::CopyNotSynced), _) if step == Some(Step::Sync) => return self.answer_done(at, token),
            (Some(Lie::SealNotFlushed), DiskOp::Write { durable, .. }) if step == Some(Step::Seal) => *durable = false,
            (Some(Lie::FullForAll), DiskOp::Write { buf, .. }) if self.disk.free_bytes() < FULL_BYTES => {
                let failed = Failed { fault: Fault::NoSpace, buf: Some(Blocks::zeroed(buf.len())) };
                self.cores[at].events.push_back(Event::Disk { token, result: Err(failed) });
                return;
            }
            (_, DiskOp::Close { .. }) => self.submit_late(),
            _ => {}
        }
        self.disk.submit(shared, op);
    }

    /// A lie: something is done that is not.
    fn answer_done(&mut self, at: usize, token: Token) {
        self.cores[at].events.push_back(Event::Disk { token, result: Ok(Done::Finished) });
    }

    fn submit_late(&mut self) {
        for (token, op) in std::mem::take(&mut self.late) {
            self.swallowed.insert(token);
            self.disk.submit(token, op);
        }
    }

    /// A lie: somebody removes a directory, and the node never asked.
    pub fn remove_tree(&mut self, path: String) {
        let token = Token { owner: u32::MAX, seq: 0 };
        if self.swallowed.insert(token) {
            self.disk.submit(token, DiskOp::RemoveTree { path });
        }
    }

    /// Between two lives: a directory is gone for good.
    pub fn lose_tree(&mut self, path: String) {
        let token = |seq| Token { owner: u32::MAX, seq };
        for (seq, op) in [DiskOp::RemoveTree { path }, DiskOp::SyncDir { path: String::new() }].into_iter().enumerate()
        {
            self.disk.submit(token(seq as u32), op);
            self.disk.complete(token(seq as u32));
        }
    }

    /// One disk operation ends.
    pub fn disk_step(&mut self, dice: &mut Dice, trace: &mut Trace) -> bool {
        if !self.late.is_empty() && dice.chance(4) {
            self.submit_late();
        }
        let Some(Event::Disk { token, result }) = self.disk.step() else { return false };
        trace.add(3 << 32 | u64::from(token.owner) << 8 | u64::from(token.seq));
        trace.add(u64::from(result.is_ok()));
        if !self.swallowed.remove(&token) {
            let at = (token.owner >> CORE_SHIFT) as usize;
            let token = Token { owner: token.owner & ((1 << CORE_SHIFT) - 1), ..token };
            self.cores[at].events.push_back(Event::Disk { token, result });
        }
        true
    }

    /// One letter arrives.
    pub fn mail_step(&mut self, dice: &mut Dice, trace: &mut Trace) -> bool {
        let busy: Vec<(u16, u16)> = self.wires.iter().filter(|(_, wire)| !wire.is_empty()).map(|(k, _)| *k).collect();
        if busy.is_empty() {
            return false;
        }
        let pair = busy[dice.below(busy.len() as u64) as usize];
        let mail = self.wires.get_mut(&pair).and_then(VecDeque::pop_front).expect("a busy wire has mail");
        trace.add(4 << 32 | u64::from(pair.0) << 16 | u64::from(pair.1));
        self.cores[usize::from(pair.1)].mail.push_back((ShardId(pair.0), mail));
        true
    }

    /// Work off the turn ends.
    pub fn work_step(&mut self, dice: &mut Dice, trace: &mut Trace) -> bool {
        let busy: Vec<usize> = (0..self.cores.len()).filter(|at| !self.cores[*at].works.is_empty()).collect();
        if busy.is_empty() {
            return false;
        }
        let core = &mut self.cores[busy[dice.below(busy.len() as u64) as usize]];
        let (token, run) = core.works.remove(dice.below(core.works.len() as u64) as usize);
        let product = run();
        self.works_done += 1;
        trace.add(10 << 32 | u64::from(token.owner) << 8 | u64::from(token.seq & 0xff));
        core.events.push_back(Event::Worked { token, result: Some(product) });
        true
    }

    /// One connection moves: bytes to the node or to the client, or its end.
    pub fn net_step(&mut self, dice: &mut Dice, trace: &mut Trace) -> bool {
        let busy: Vec<ConnId> = self.links.iter().filter(|(_, link)| link.is_busy()).map(|(conn, _)| *conn).collect();
        if busy.is_empty() {
            return false;
        }
        let conn = busy[dice.below(busy.len() as u64) as usize];
        let link = self.links.get_mut(&conn).expect("a busy link is there");
        let core = &mut self.cores[link.core];
        trace.add(5 << 32 | conn.0);
        let readable = !link.paused && !link.to_server.is_empty();
        if link.left || (link.closing && link.to_client.is_empty()) {
            let link = self.links.remove(&conn).expect("it was just seen");
            core.events.push_back(Event::Closed { conn });
            core.events.extend(link.to_client.into_iter().map(|(token, _)| Event::Sent { conn, token }));
            self.heard.push((conn, Heard::Closed));
        } else if !link.to_client.is_empty() && (!readable || dice.chance(50)) {
            let (token, parts) = link.to_client.pop_front().expect("it was just seen");
            core.events.push_back(Event::Sent { conn, token });
            self.heard.push((conn, Heard::Bytes(parts)));
        } else if readable {
            let mut bytes = link.to_server.pop_front().expect("it was just seen");
            if bytes.len() > 1 && dice.chance(10) {
                let rest = bytes.split_off(1 + dice.below(bytes.len() as u64 - 1) as usize);
                link.to_server.push_front(rest);
            }
            core.events.push_back(Event::Received { conn, bytes });
        }
        true
    }

    /// A client connects, to the core that has the fewest.
    pub fn connect(&mut self) -> ConnId {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        let held = |at: usize| self.links.values().filter(|link| link.core == at).count();
        let core = (0..self.cores.len()).min_by_key(|at| held(*at)).expect("a serving node has cores");
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        self.cores[core].events.push_back(Event::Opened { conn, listener: ListenerId(0), peer, moves: 0 });
        self.links.insert(conn, Link { core, ..Link::default() });
        conn
    }
}

/// What a clock shows that is right, as those of the clients are. Milliseconds since 1970.
pub fn true_wall_ms(now_us: u64) -> i64 {
    1_760_000_000_000 + (now_us / 1000) as i64
}

/// The operation with its file named apart from other cores' files.
fn of_core(op: DiskOp, at: usize) -> DiskOp {
    let name = |file: FileId| FileId { owner: file.owner | (at as u32) << CORE_SHIFT, ..file };
    match op {
        DiskOp::Open { file, path, mode } => DiskOp::Open { file: name(file), path, mode },
        DiskOp::Close { file } => DiskOp::Close { file: name(file) },
        DiskOp::Read { file, at, buf } => DiskOp::Read { file: name(file), at, buf },
        DiskOp::Write { file, at, buf, durable } => DiskOp::Write { file: name(file), at, buf, durable },
        DiskOp::Sync { file } => DiskOp::Sync { file: name(file) },
        DiskOp::Allocate { file, from, len } => DiskOp::Allocate { file: name(file), from, len },
        DiskOp::Prewrite { file, from, len } => DiskOp::Prewrite { file: name(file), from, len },
        other => other,
    }
}

fn note(op: &DiskOp, trace: &mut Trace) {
    match op {
        DiskOp::Write { file, at, buf, durable } => {
            trace.add(6 << 32 | u64::from(file.owner) << 8 | u64::from(*durable));
            trace.add(*at);
            trace.add_bytes(buf);
        }
        DiskOp::Open { path, .. }
        | DiskOp::Remove { path }
        | DiskOp::RemoveTree { path }
        | DiskOp::MakeDir { path }
        | DiskOp::SyncDir { path } => {
            trace.add(7 << 32);
            trace.add_bytes(path.as_bytes());
        }
        _ => trace.add(8 << 32),
    }
}
