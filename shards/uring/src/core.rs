//! The loop of one core: reap, turn, submit, wait.
//!
//! How it waits is in `core/wait.rs`, how it ends in `core/halt.rs`.

mod halt;
mod wait;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use glommio::io::BufferedFile;
use heddle_border::{Effect, Event, Machine, Out, Turn};
use heddle_model::{Mono, Now, ShardId};
use io_uring::{opcode, squeue, types};
use nix::sys::eventfd::EventFd;

use crate::clock::Clock;
use crate::cold::Outcome;
use crate::disk::{self, Disk};
use crate::flush::Durability;
use crate::listen::{Accepted, Listeners, Occupancy};
use crate::mailbox::{Arriving, Mailbox, News, Peer};
use crate::net::{self, Net};
use crate::pool::Pool;
use crate::reads::Device;
use crate::ring::{Completion, Kind, Ring};
use crate::spin::Spin;
use crate::stats::Counters;
use crate::trace::Trace;
use crate::work::Workers;

/// What all cores of a process share.
pub(crate) struct Shared<M> {
    pub(crate) clock: Clock,
    pub(crate) peers: Vec<Peer<M>>,
    pub(crate) occupancy: Arc<Occupancy>,
    pub(crate) device: Arc<Device>,
    pub(crate) workers: Workers,
    pub(crate) trace: Option<Arc<Trace>>,
    pub(crate) outside: Box<dyn Fn(ShardId, FromCore<M>) + Send + Sync>,
}

/// What a core tells those who started it.
#[derive(Debug)]
pub enum FromCore<M> {
    /// Mail of its machine to `ShardId::OUTSIDE`.
    Mail(M),
    /// Something that a person should know, and that the machine cannot: a line of text.
    Warning(String),
    /// Its thread is done: it halted, or could not begin. The last that is heard of it.
    Ended(Result<(), String>),
}

/// What a core has before the cores know each other.
pub(crate) struct Parts {
    pub(crate) me: ShardId,
    pub(crate) ring: Ring,
    pub(crate) pool: Pool,
    pub(crate) data_dir: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) spin: Spin,
    pub(crate) counters: Arc<Counters>,
}

pub(crate) struct Core<M: Machine> {
    me: ShardId,
    machine: M,
    shared: Arc<Shared<M::Mail>>,
    mailbox: Arc<Mailbox<M::Mail>>,
    counters: Arc<Counters>,
    ring: Ring,
    net: Net,
    listeners: Listeners,
    disk: Disk,
    spin: Spin,
    /// Rung by the ring and by cold tasks while the loop is suspended in the executor.
    bridge: Rc<EventFd>,
    /// The same, as the executor reads it.
    awaited: BufferedFile,
    events: VecDeque<Event>,
    mail: VecDeque<(ShardId, M::Mail)>,
    out: Out<M::Mail>,
    /// Mail of this turn, by core.
    outgoing: Vec<Vec<M::Mail>>,
    completions: Vec<Completion>,
    news: Vec<News>,
    outcomes: Vec<Outcome>,
    /// Read after each wait and each turn.
    now: Mono,
    previous_us: u64,
    wake_at: Option<Mono>,
    yielded: Mono,
    /// The ring's own timeout that is under way, for sleeping in the executor.
    timeout: Option<Mono>,
    bell_word: Box<[u8; 8]>,
    bell_armed: bool,
    halted: bool,
}

impl<M: Machine> Core<M> {
    /// To be called on the core's thread, within its executor.
    pub(crate) fn new(mut parts: Parts, shared: Arc<Shared<M::Mail>>, machine: M) -> io::Result<Core<M>> {
        let bridge = Rc::new(EventFd::new()?);
        parts.ring.register_eventfd(bridge.as_raw_fd())?;
        // SAFETY: a descriptor of our own, given away to the file.
        let awaited = unsafe { BufferedFile::from_raw_fd(nix::unistd::dup(&bridge)?.into_raw_fd()) };
        let me = parts.me;
        let now = shared.clock.mono();
        Ok(Core {
            me,
            machine,
            mailbox: shared.peers[usize::from(me.0)].mailbox.clone(),
            counters: parts.counters,
            ring: parts.ring,
            net: Net::new(me, parts.pool, shared.occupancy.clone()),
            listeners: Listeners::new(shared.occupancy.clone()),
            disk: Disk::new(
                parts.data_dir,
                parts.durability,
                shared.device.clone(),
                bridge.clone(),
                shared.trace.clone(),
            ),
            spin: parts.spin,
            bridge,
            awaited,
            events: VecDeque::new(),
            mail: VecDeque::new(),
            out: Out::new(),
            outgoing: shared.peers.iter().map(|_| Vec::new()).collect(),
            completions: Vec::new(),
            news: Vec::new(),
            outcomes: Vec::new(),
            now,
            previous_us: 0,
            wake_at: None,
            yielded: now,
            timeout: None,
            bell_word: Box::new([0; 8]),
            bell_armed: false,
            halted: false,
            shared,
        })
    }

    /// Turn until the machine halts.
    pub(crate) async fn run(mut self) {
        self.listen_to_bell();
        self.turn();
        while !self.halted {
            if !self.has_input() {
                self.wait().await;
            } else {
                self.ring.poll();
                self.yield_if_due().await;
                self.now = self.shared.clock.mono();
            }
            self.collect();
            if self.has_input() || self.wake_at.is_some_and(|at| at <= self.now) {
                self.turn();
            }
        }
        self.wind_up().await;
    }

    fn has_input(&self) -> bool {
        !self.events.is_empty() || !self.mail.is_empty()
    }

    fn turn(&mut self) {
        let now = Now { mono: self.now, wall: self.shared.clock.wall() };
        let turn = Turn { now, previous_us: self.previous_us, events: &mut self.events, mail: &mut self.mail };
        self.machine.turn(turn, &mut self.out);
        self.now = self.shared.clock.mono();
        self.previous_us = self.now.since_us(now.mono);
        self.counters.turns.add(1);
        self.wake_at = self.out.wake_at.take();
        let mut effects = std::mem::take(&mut self.out.effects);
        effects.drain(..).for_each(|effect| self.apply(effect));
        self.out.effects = effects;
        self.see_off();
        self.post();
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Send { conn, token, parts } => {
                let (net, mut step) = self.net_step();
                net.send(conn, token, parts, &mut step);
            }
            Effect::Disk { token, op } => {
                let (disk, mut step) = self.disk_step();
                disk.submit(token, op, &mut step);
            }
            Effect::Pause { conn } => {
                let (net, mut step) = self.net_step();
                net.pause(conn, &mut step);
            }
            Effect::Resume { conn } => {
                let (net, mut step) = self.net_step();
                net.resume(conn, &mut step);
            }
            Effect::Close { conn } => {
                let (net, mut step) = self.net_step();
                net.close(conn, &mut step);
            }
            Effect::Move { conn, to, unread } => {
                let (net, mut step) = self.net_step();
                net.leave(conn, to, unread, &mut step);
            }
            Effect::Listen { listener, addr } => {
                self.listeners.listen(listener, addr, &mut self.ring, &mut self.events);
            }
            Effect::Unlisten { listener } => self.listeners.unlisten(listener, &mut self.ring),
            Effect::Work { token, run } => {
                self.counters.works.add(1);
                self.shared.workers.run(token, run, self.mailbox.clone());
            }
            Effect::Halt => self.halted = true,
        }
    }

    /// Hand the turn's mail out: one lock a core that gets some.
    fn post(&mut self) {
        for (to, mail) in self.out.mail.drain(..) {
            if to == self.me {
                self.mail.push_back((to, mail));
            } else if to == ShardId::OUTSIDE {
                (self.shared.outside)(self.me, FromCore::Mail(mail));
            } else {
                self.outgoing[usize::from(to.0)].push(mail);
            }
        }
        for to in 0..self.outgoing.len() {
            if !self.outgoing[to].is_empty() {
                let me = self.me;
                let batch = &mut self.outgoing[to];
                self.counters.mail_out.add(batch.len() as u64);
                let wake = self.shared.peers[to]
                    .mailbox
                    .put(|queues| queues.mail.extend(batch.drain(..).map(|mail| (me, mail))));
                // A halted core takes none.
                batch.clear();
                if wake {
                    self.ring_doorbell(to);
                }
            }
        }
    }

    fn ring_doorbell(&mut self, to: usize) {
        self.counters.doorbells.add(1);
        let fd = types::Fd(self.shared.peers[to].ring.as_raw_fd());
        let entry = opcode::MsgRingData::new(fd, 0, Kind::Doorbell.data(0), None)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(Kind::Rang.data(to as u32));
        // SAFETY: no memory; the descriptor is open as long as any core has `shared`.
        unsafe { self.ring.push(entry) };
    }

    /// Take everything that happened since the last turn.
    fn collect(&mut self) {
        let mut completions = std::mem::take(&mut self.completions);
        self.ring.reap(&mut completions);
        self.counters.completions.add(completions.len() as u64);
        completions.drain(..).for_each(|done| self.on_completion(done));
        self.completions = completions;

        let taken = self.mailbox.take(&mut self.mail, &mut self.news);
        self.counters.mail_in.add(taken as u64);
        let mut news = std::mem::take(&mut self.news);
        news.drain(..).for_each(|news| self.on_news(news));
        self.news = news;

        let mut outcomes = std::mem::take(&mut self.outcomes);
        let (disk, mut step) = self.disk_step();
        disk.take_cold(&mut outcomes, &mut step);
        self.outcomes = outcomes;
        if let Some(text) = self.disk.take_warning() {
            (self.shared.outside)(self.me, FromCore::Warning(text));
        }

        let (net, mut step) = self.net_step();
        net.on_time(&mut step);
        self.see_off();
        self.listeners.on_time(self.now, &mut self.ring);
    }

    fn on_completion(&mut self, done: Completion) {
        match done.kind {
            Kind::Receive => {
                let (net, mut step) = self.net_step();
                net.on_received(done, &mut step);
            }
            Kind::Send => {
                let (net, mut step) = self.net_step();
                net.on_sent(done, &mut step);
            }
            Kind::Disk => {
                let (disk, mut step) = self.disk_step();
                disk.on_done(done, &mut step);
            }
            Kind::Flush => {
                let (disk, mut step) = self.disk_step();
                disk.on_flushed(done, &mut step);
            }
            Kind::Accept => {
                if let Some(accepted) = self.listeners.on_accept(done, self.now, &mut self.ring) {
                    self.hand_over(accepted);
                }
            }
            Kind::Bell => {
                self.bell_armed = false;
                if !self.halted {
                    self.listen_to_bell();
                }
            }
            Kind::Rang => self.shared.peers[done.slot as usize].mailbox.ring(),
            Kind::Timeout => self.timeout = None,
            // Waking up was all they were for.
            Kind::Doorbell | Kind::Nobody => {}
        }
    }

    fn on_news(&mut self, news: News) {
        match news {
            News::Adopt(arriving) => {
                let (net, mut step) = self.net_step();
                net.adopt(arriving, &mut step);
            }
            News::Worked { token, result } => self.events.push_back(Event::Worked { token, result }),
            News::Stop => self.events.push_back(Event::Stop),
        }
    }

    fn hand_over(&mut self, accepted: Accepted) {
        let Accepted { socket, listener, to } = accepted;
        let arriving = Arriving { socket, listener, moves: 0, unread: Vec::new() };
        if to == self.me {
            let (net, mut step) = self.net_step();
            return net.adopt(arriving, &mut step);
        }
        self.send_over(arriving, to);
    }

    /// Hand out the connections that have left this core.
    fn see_off(&mut self) {
        while let Some((arriving, to)) = self.net.take_left() {
            self.send_over(arriving, to);
        }
    }

    fn send_over(&mut self, arriving: Arriving, to: ShardId) {
        let to = usize::from(to.0);
        // A core that has halted takes none, which closes the socket.
        if self.shared.peers[to].mailbox.put(|queues| queues.news.push(News::Adopt(arriving))) {
            self.ring_doorbell(to);
        }
    }

    fn listen_to_bell(&mut self) {
        let fd = types::Fd(self.mailbox.bell().as_raw_fd());
        let entry = opcode::Read::new(fd, self.bell_word.as_mut_ptr(), 8).build().user_data(Kind::Bell.data(0));
        // SAFETY: the word is boxed, and the core waits for this read before it ends; the mailbox outlives the core.
        unsafe { self.ring.push(entry) };
        self.bell_armed = true;
    }

    fn note_enters(&mut self) {
        self.counters.enters.add(std::mem::take(&mut self.ring.enters));
    }

    fn net_step(&mut self) -> (&mut Net, net::Step<'_>) {
        let step =
            net::Step { ring: &mut self.ring, events: &mut self.events, now: self.now, counters: &self.counters };
        (&mut self.net, step)
    }

    fn disk_step(&mut self) -> (&mut Disk, disk::Step<'_>) {
        let clock = self.shared.clock;
        let step = disk::Step { ring: &mut self.ring, events: &mut self.events, counters: &self.counters, clock };
        (&mut self.disk, step)
    }
}
