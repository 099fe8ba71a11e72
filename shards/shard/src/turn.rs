//! One turn of a core: take what happened, carry asks and answers until all is quiet, flush the journal once, hand out
//! effects.

mod carry;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use heddle_api::{Answer, Api, ApiConfig, Ask, Origin, Target, View, Wish};
use heddle_border::{Done, Effect, Event, Failed, Machine, Out, Turn};
use heddle_controller::Image;
use heddle_journal::{Journal, Ordinal};
use heddle_model::{Mono, Now, PartitionId, ReplicaNumber, ShardId, Ticket, TrustedClock};
use heddle_partition::{self as partition, News, Replica, World};
use rustc_hash::FxHashMap;

use crate::budget::Budget;
use crate::compaction::Compaction;
use crate::coordinators::Coordinators;
use crate::entropy::Entropy;
use crate::leaders::Leaders;
use crate::load::Load;
use crate::mail::{Level, Mail, Notice};
use crate::metrics::Gauges;
use crate::owners::{API, HOUSE, Owner, Owners, SPACE};
use crate::said::Said;
use crate::space::Space;
use crate::start::Start;
use crate::stop::Stop;
use crate::trouble::JournalTrouble;
use crate::{ShardConfig, metrics, survey};

pub(crate) use carry::{Abroad, Asks};

/// Letters and events taken in one turn; the rest waits for the next.
const EVENTS_A_TURN: usize = 4096;
const LETTERS_A_TURN: usize = 1024;
/// How often each replica's housekeeping comes around at least, and how often a portion of it is done. What
/// `log.cleaner.backoff.ms` and `log.retention.check.interval.ms` say counts between the two.
const MAINTENANCE_MS: u64 = 30_000;
const MAINTENANCE_PORTION_MS: u64 = 1000;
/// A turn that comes so much later than it was asked for tells that this core was absent: the process was stopped, or a
/// turn took as long. Milliseconds.
const ABSENCE_MS: u64 = 1000;

pub struct Shard {
    pub(crate) me: ShardId,
    pub(crate) config: ShardConfig,
    pub(crate) now: Now,
    /// The same, the wall clock as far as expiry may trust it.
    pub(crate) trusted: Now,
    clock: TrustedClock,
    pub(crate) start: Start,
    pub(crate) stop: Stop,
    pub(crate) owners: Owners,
    /// The core's own, then those adopted at start.
    pub(crate) journals: Vec<Journal>,
    pub(crate) replicas: Vec<Option<Box<Replica>>>,
    /// Slots of removed replicas, for the next ones: topics may come and go for ever.
    free_slots: Vec<usize>,
    pub(crate) by_partition: FxHashMap<PartitionId, usize>,
    pub(crate) by_number: FxHashMap<ReplicaNumber, usize>,
    pub(crate) api: Api,
    pub(crate) image: Arc<Image>,
    pub(crate) leaders: Leaders,
    pub(crate) coordinators: Coordinators,
    pub(crate) entropy: Entropy,
    pub(crate) budget: Budget,
    pub(crate) gauges: Gauges,
    load: Load,
    pub(crate) compaction: Compaction,
    pub(crate) trouble: JournalTrouble,
    said: Said,
    pub(crate) space: Space,
    /// Partitions whose replica is here, and cannot be opened.
    pub(crate) unopened: BTreeSet<PartitionId>,
    /// Replicas created or recovered that do not serve yet, and the image version last reported as reconciled.
    pub(crate) unserved: BTreeSet<ReplicaNumber>,
    pub(crate) reconciled: u64,
    /// Asks from a core whose image is younger than ours.
    pub(crate) early: Vec<(u64, Asks)>,
    maintain_at: Mono,
    maintain_next: usize,
    /// When this turn was asked for, at the latest.
    awaited: Option<Mono>,
    // What the rooms said during this turn; emptied by `carry`.
    pub(crate) asks: VecDeque<(Ticket, Target, Ask)>,
    /// Watches to end, and waiting members of groups whose clients are gone. They come behind all asks: one that overtook
    /// its watch would end nothing, and the watch would hold its answer slot until records arrive.
    cancels: Vec<(Ticket, Target)>,
    pub(crate) answers: Vec<(Ticket, partition::Answer)>,
    pub(crate) replies: Vec<(Ticket, Answer)>,
    pub(crate) news: Vec<News>,
    pub(crate) wish: Wish,
    pub(crate) effects: Vec<Effect>,
    pub(crate) letters: Vec<(ShardId, Mail)>,
    pub(crate) abroad: BTreeMap<ShardId, Abroad>,
    durable: Vec<(ReplicaNumber, Ordinal)>,
}

impl Shard {
    pub fn new(me: ShardId, config: ShardConfig) -> Shard {
        let image = Arc::new(Image::empty(config.settings.clone()));
        Shard {
            me,
            now: Now::default(),
            trusted: Now::default(),
            clock: TrustedClock::default(),
            start: Start::default(),
            stop: Stop::default(),
            owners: Owners::default(),
            journals: Vec::new(),
            replicas: Vec::new(),
            free_slots: Vec::new(),
            by_partition: FxHashMap::default(),
            by_number: FxHashMap::default(),
            api: Api::new(me, API, ApiConfig { unsent_bytes_max: config.memory / 2, ..config.api.clone() }),
            coordinators: Coordinators::new(&config),
            image,
            leaders: Leaders::default(),
            entropy: Entropy::new(config.seed, me.0),
            budget: Budget::new(config.memory),
            gauges: Gauges::default(),
            load: Load::default(),
            compaction: Compaction::default(),
            trouble: JournalTrouble::default(),
            said: Said::default(),
            space: Space::default(),
            unopened: BTreeSet::new(),
            unserved: BTreeSet::new(),
            reconciled: 0,
            early: Vec::new(),
            maintain_at: Mono(0),
            maintain_next: 0,
            awaited: None,
            asks: VecDeque::new(),
            cancels: Vec::new(),
            answers: Vec::new(),
            replies: Vec::new(),
            news: Vec::new(),
            wish: Wish::default(),
            effects: Vec::new(),
            letters: Vec::new(),
            abroad: BTreeMap::new(),
            durable: Vec::new(),
            config,
        }
    }

    /// Whose core a replica of this node lives on.
    pub(crate) fn core_of(&self, number: ReplicaNumber) -> ShardId {
        ShardId((number.0 % u64::from(self.config.shards)) as u16)
    }

    pub(crate) fn cores(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.config.shards).map(ShardId)
    }

    pub(crate) fn tell_all(&mut self, letter: impl Fn() -> Mail) {
        let me = self.me;
        for core in self.cores().filter(|core| *core != me) {
            self.letters.push((core, letter()));
        }
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        self.letters.push((ShardId::OUTSIDE, Mail::Notice(notice)));
    }

    pub(crate) fn log(&mut self, level: Level, text: String) {
        self.notice(Notice::Log { level, text });
    }

    // ---- events ----

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Opened { conn, listener, peer, moves } => {
                self.with_api(|api, view, wish| api.on_opened(conn, peer, listener, moves, view, wish))
            }
            Event::Received { conn, bytes } => {
                self.with_api(|api, view, wish| api.on_received(conn, bytes, view, wish))
            }
            Event::Sent { token, .. } => self.with_api(|api, view, wish| api.on_sent(token, view, wish)),
            Event::Closed { conn } => self.with_api(|api, view, wish| api.on_closed(conn, view, wish)),
            Event::Disk { token, result } if token.owner == HOUSE => self.on_house_disk(token.seq, result),
            Event::Disk { token, result } if token.owner == SPACE => self.on_space(token.seq, result),
            Event::Disk { token, result } => self.on_disk(token.owner, token.seq, result),
            Event::Worked { token, result } => {
                if let Some(Owner::Replica(slot)) = self.owners.find(token.owner) {
                    self.with_replica(slot, |replica, world| replica.on_worked(token.seq, result, world));
                    self.end_compaction();
                }
            }
            Event::Listening { result, .. } => self.on_listening(result),
            Event::Stop => self.on_stop(),
        }
    }

    fn on_disk(&mut self, owner: u32, seq: u32, result: Result<Done, Failed>) {
        match self.owners.find(owner) {
            Some(Owner::Journal(at)) => {
                self.journals[at].on_disk(self.now, seq, result, &mut self.effects);
                self.on_journal(at);
            }
            Some(Owner::Replica(slot)) => {
                self.with_replica(slot, |replica, world| replica.on_disk(seq, result, world));
                self.budget.touch(slot);
            }
            None => panic!("owner {owner} was released while its disk operation was under way"),
        }
    }

    fn on_journal(&mut self, at: usize) {
        if self.start.is_under_way() {
            self.on_start_journal(at);
        }
        if at != 0 {
            return;
        }
        let mut durable = std::mem::take(&mut self.durable);
        self.journals[0].take_durable(&mut durable);
        for (number, ordinal) in durable.drain(..) {
            self.on_start_durable(number, ordinal);
            self.budget.on_durable(number, ordinal);
            if let Some(slot) = self.by_number.get(&number).copied() {
                self.with_replica(slot, |replica, world| replica.on_durable(ordinal, world));
                self.budget.touch(slot);
            }
        }
        self.durable = durable;
        self.report_losses();
    }

    // ---- mail ----

    fn on_mail(&mut self, from: ShardId, mail: Mail) {
        match mail {
            Mail::Asks { image, asks } if image > self.image.version => self.early.push((image, asks)),
            Mail::Asks { asks, .. } => self.asks.extend(asks),
            Mail::Answers { answers, is_calm } => {
                let origin = Origin { core: from, is_calm };
                for (ticket, answer) in answers {
                    self.with_api(|api, view, wish| api.on_answer(ticket, answer, origin, view, wish));
                }
            }
            Mail::Cancels(cancels) => self.cancels.extend(cancels),
            Mail::Image(image) => self.on_image(image),
            Mail::Reconciled { version } => self.on_reconciled(from, version),
            Mail::Leaders(leaders) => {
                leaders.into_iter().for_each(|(partition, leader, epoch)| self.leaders.learn(partition, leader, epoch))
            }
            Mail::Offer { journal, number, replica } => self.on_offer(from, journal, number, *replica),
            Mail::Offered(found) => self.on_offered(from, found),
            Mail::Drop { journal, number } => self.on_drop(journal, number),
            Mail::LossesSetApart => self.on_losses_set_apart(from),
            Mail::LossesSettled => self.on_losses_settled(),
            Mail::Drained => self.on_drained(from),
            Mail::Scrape { id } => {
                let metrics = Box::new(metrics::scrape(self));
                self.notice(Notice::Metrics { id, metrics });
            }
            Mail::Survey { id, from } => {
                let page = Box::new(survey::survey(self, from));
                self.notice(Notice::Surveyed { id, shard: self.me, page });
            }
            Mail::Notice(_) => unreachable!("notices go out, never in"),
        }
    }

    // ---- the rooms, each lent what it may touch ----

    pub(crate) fn with_api(&mut self, act: impl FnOnce(&mut Api, &View<'_>, &mut Wish)) {
        let view = View { image: &self.image, leaders: &self.leaders, now: self.now, me: self.config.node };
        act(&mut self.api, &view, &mut self.wish);
    }

    /// A slot for a replica that is about to come.
    pub(crate) fn take_slot(&mut self) -> usize {
        self.free_slots.pop().unwrap_or_else(|| {
            self.replicas.push(None);
            self.replicas.len() - 1
        })
    }

    /// Nobody sits there, and no operation of whoever did is under way.
    pub(crate) fn free_slot(&mut self, slot: usize) {
        assert!(self.replicas[slot].is_none(), "a seat is given up before it is free");
        self.free_slots.push(slot);
    }

    pub(crate) fn with_replica(&mut self, slot: usize, act: impl FnOnce(&mut Replica, &mut World<'_>)) {
        let Some(replica) = self.replicas[slot].as_mut() else { return };
        let mut world = World {
            now: self.now,
            journal: &mut self.journals[0],
            effects: &mut self.effects,
            answers: &mut self.answers,
            news: &mut self.news,
        };
        act(replica, &mut world);
    }

    /// A partition as a person calls it.
    pub(crate) fn name_of(&self, partition: PartitionId) -> String {
        match self.image.topic_by_id(partition.topic) {
            Some(topic) => format!("{}-{}", topic.name, partition.index),
            None if partition == PartitionId::CONTROLLER => "__cluster_metadata-0".into(),
            None => format!("partition {} of topic id {}", partition.index, partition.topic),
        }
    }

    // ---- time ----

    /// What others sent while nobody was here is still to be read, some of it by other cores: nobody is missed for that.
    fn note_absence(&mut self) {
        if self.awaited.is_some_and(|at| self.now.mono >= at.plus_ms(ABSENCE_MS)) {
            self.coordinators.suspend();
        }
    }

    fn on_time(&mut self) {
        if self.start.is_under_way() {
            return;
        }
        self.with_api(|api, view, wish| api.on_time(view, wish));
        self.tick_coordinators();
        if self.now.mono >= self.maintain_at {
            self.maintain_at = self.now.mono.plus_ms(MAINTENANCE_PORTION_MS);
            let config_ms = |name| u64::try_from(self.image.config().number(name)).unwrap_or(0);
            let (backoff_ms, check_ms) =
                (config_ms("log.cleaner.backoff.ms"), config_ms("log.retention.check.interval.ms"));
            // Where room is wanted nothing waits.
            let check_ms = if self.budget.is_stuck(self.now.mono) { 0 } else { check_ms };
            let portions =
                backoff_ms.min(check_ms).clamp(MAINTENANCE_PORTION_MS, MAINTENANCE_MS) / MAINTENANCE_PORTION_MS;
            let portion = self.replicas.len().div_ceil(portions as usize);
            for _ in 0..portion {
                let slot = self.maintain_next % self.replicas.len();
                self.maintain_next = slot + 1;
                let trusted = self.trusted;
                self.with_replica(slot, |replica, world| {
                    world.now = trusted;
                    replica.maintain(check_ms, world);
                });
                self.budget.touch(slot);
                self.weigh_compaction(slot);
            }
            self.advance_compaction();
        }
    }

    fn wake(&self, out: &mut Out<Mail>) {
        let deadlines = [
            self.journals.iter().filter_map(Journal::wake_at).min(),
            self.wish.wake_at,
            self.stop.deadline(),
            self.budget.wake_at(),
        ];
        deadlines.into_iter().flatten().for_each(|at| out.wake(at));
        if let Some(at) = self.coordinators.next_deadline() {
            out.wake(at);
        }
        if self.replicas.iter().any(Option::is_some) {
            out.wake(self.maintain_at);
        }
    }
}

impl Machine for Shard {
    type Mail = Mail;

    fn turn(&mut self, turn: Turn<'_, Mail>, out: &mut Out<Mail>) {
        self.now = turn.now;
        self.trusted = self.clock.read(turn.now);
        self.gauges.on_turn(turn.previous_us);
        self.load.on_turn(turn.now.mono, turn.previous_us);
        self.note_absence();
        self.begin_once();
        for _ in 0..LETTERS_A_TURN {
            let Some((from, mail)) = turn.mail.pop_front() else { break };
            self.on_mail(from, mail);
        }
        for _ in 0..EVENTS_A_TURN {
            let Some(event) = turn.events.pop_front() else { break };
            self.on_event(event);
        }
        // What has arrived counts before what is due: a heartbeat was in time if it is here before its session's end is.
        self.carry();
        self.on_time();
        self.carry();
        self.spend_budget();
        self.carry();
        self.answer_clients();
        self.advance_stop();
        self.flush_journals();
        self.hand_out(out);
        self.wake(out);
        if !turn.events.is_empty() || !turn.mail.is_empty() {
            out.wake(self.now.mono);
        }
        self.awaited = out.wake_at.map(|at| at.max(self.now.mono));
    }
}

#[cfg(test)]
pub(crate) mod tests;
