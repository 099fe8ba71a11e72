//! A core's start: find the journals, replay them, bring every replica to its core, then serve (RULES A, "Resharding").
//!
//! A replica lives on core `number % shards`. With another number of shards than last time its journal may be elsewhere:
//! each core offers what it found to the replica's core, which keeps the copy with the highest placement number, restates
//! it in its own journal if it came from another, and only when that is durable lets the other copies be dropped. Nobody
//! serves before everybody has offered.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use heddle_border::{DiskOp, Done, Effect, Failed, Fault, ListenerId, Token};
use heddle_controller::Image;
use heddle_journal::{Journal, Ordinal, Pressure, RecoveredReplica, Siblings};
use heddle_model::{PartitionId, ReplicaNumber, ShardId, Term};

use crate::mail::{Found, Level, Mail, Notice};
use crate::owners::{HOUSE, Owner};
use crate::reconcile::CONTROLLER_REPLICA;
use crate::turn::Shard;

const LIST_ROOT: u32 = 1;
const MADE_REPLICAS: u32 = 2;
const SYNCED_ROOT: u32 = 3;
const REMOVED_JOURNAL: u32 = 4;
const LIST_REPLICAS: u32 = 5;
const REMOVED_LITTER: u32 = 6;
const MADE_SIGN: u32 = 7;
const SYNCED_SIGN: u32 = 8;
/// Stages of an adopted journal's end, each with the journal's directory number in the low bits.
const RENAMED_JOURNAL: u32 = 1 << 16;
const SYNCED_RENAME: u32 = 2 << 16;
const STAGE: u32 = !0 << 16;

/// A journal that is done with is named so before its files go: half of it must never be taken for a damaged whole.
const DONE_WITH: &str = "removed-journal-";

const KAFKA_LISTENER: ListenerId = ListenerId(0);
/// A directory of the controller's replica. From before the first client is served it says that there were topics here,
/// or could have been: without it a data directory that lost its only journal would look like a new one.
const SIGN: &str = "replicas/0-0";

/// The controller's replica is number 0, so with any number of cores it lives in this journal.
const METADATA_JOURNAL: u32 = 0;

#[derive(Default)]
pub struct Start {
    begun: bool,
    done: bool,
    /// Directory numbers of `Shard::journals`.
    dirs: Vec<u32>,
    recovered: usize,
    offered_by: BTreeSet<ShardId>,
    /// What this core found in its journals, and what all cores found together.
    here: Found,
    found: Found,
    candidates: BTreeMap<ReplicaNumber, Vec<Candidate>>,
    /// Being restated here: until when, and who may drop their copy then.
    moving: BTreeMap<ReplicaNumber, (Ordinal, Vec<Holder>)>,
    /// Chosen, not yet named by an image.
    pub dormant: BTreeMap<ReplicaNumber, RecoveredReplica>,
    /// The newest image, if it came before this core knows what its replicas are.
    pub held_image: Option<Arc<Image>>,
    /// What adopted journals still hold, by index into `Shard::journals`.
    adopted: BTreeMap<usize, BTreeSet<ReplicaNumber>>,
    /// Adopted journals that hold nothing any more, until their last frame is written.
    ending: Vec<usize>,
    ended: BTreeSet<usize>,
    listening: bool,
    /// The listener is bound.
    pub accepting: bool,
    sign: Sign,
    /// A journal cannot be opened; said once.
    refused: bool,
    /// Directories of replicas: what is there of a replica that no journal knows was lost with its journal.
    directories: BTreeMap<ReplicaNumber, Vec<String>>,
    /// Replicas of which this core's journal knows nothing but that they were there, and whose loss is accepted.
    given_up: Vec<ReplicaNumber>,
    /// What was lost is not yet set apart durably on every core; these cores have done so.
    losses_open: bool,
    set_apart_by: BTreeSet<ShardId>,
    set_apart: bool,
}

/// Whether the data directory says, beside its journals, that it is in use.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Sign {
    #[default]
    Missing,
    BeingMade,
    There,
}

struct Candidate {
    holder: Holder,
    replica: RecoveredReplica,
}

/// A journal, by the core that reads it and its directory number.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Holder {
    core: ShardId,
    journal: u32,
}

impl Start {
    pub fn is_under_way(&self) -> bool {
        !self.done
    }

    /// Whether a replica that was placed here before this start, and that no journal knows, was lost. If not, the process
    /// ended before it was made.
    pub fn has_lost(&self, number: ReplicaNumber) -> bool {
        self.found.misses || self.directories.contains_key(&number)
    }
}

impl Found {
    fn add(&mut self, other: Found) {
        self.replicas += other.replicas;
        self.journals.extend(other.journals);
        self.misses |= other.misses;
        if other.expected.count > 0 {
            self.expected = other.expected;
        }
        self.had_metadata |= other.had_metadata;
    }

    /// The first `count` journals. FNV-1a over their identities.
    fn siblings(&self, count: u16) -> Siblings {
        let mut sum = 0xcbf2_9ce4_8422_2325_u64;
        for dir in 0..u32::from(count) {
            let id = self.journals.iter().find(|(other, ..)| *other == dir).map_or(0, |(_, id, _)| *id);
            sum = id.to_le_bytes().iter().fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
        }
        Siblings { count, sum: if count == 0 { 0 } else { sum } }
    }
}

impl Shard {
    pub(crate) fn begin_once(&mut self) {
        if self.start.begun {
            return;
        }
        self.start.begun = true;
        self.house_disk(MADE_REPLICAS, DiskOp::MakeDir { path: "replicas".into() });
    }

    fn house_disk(&mut self, seq: u32, op: DiskOp) {
        self.effects.push(Effect::Disk { token: Token { owner: HOUSE, seq }, op });
    }

    pub(crate) fn on_house_disk(&mut self, seq: u32, result: Result<Done, Failed>) {
        let done = match result {
            Ok(done) => done,
            Err(failed) => {
                let what = match (seq & STAGE, seq) {
                    (RENAMED_JOURNAL | SYNCED_RENAME, _) | (_, REMOVED_JOURNAL) => {
                        return self
                            .log(Level::Warn, format!("an adopted journal could not be removed: {}", failed.fault));
                    }
                    (_, REMOVED_LITTER) => {
                        return self
                            .log(Level::Warn, format!("files of a removed partition stay behind: {}", failed.fault));
                    }
                    // A full disk, most likely: who reads is served all the same, and the next start tries again.
                    (_, MADE_SIGN | SYNCED_SIGN) => {
                        self.start.sign = Sign::There;
                        return self.listen();
                    }
                    _ => "the data directory cannot be used",
                };
                return self.notice(Notice::Failed(format!("{what}: {}", failed.fault)));
            }
        };
        match (seq, done) {
            (MADE_REPLICAS, _) => self.house_disk(SYNCED_ROOT, DiskOp::SyncDir { path: String::new() }),
            (SYNCED_ROOT, _) => self.house_disk(LIST_REPLICAS, DiskOp::List { path: "replicas".into() }),
            (LIST_REPLICAS, Done::Listed(entries)) => {
                for entry in entries {
                    // `<replica>-<store>`; whatever else is there is not ours.
                    let number = entry.name.split_once('-').and_then(|(number, _)| number.parse().ok());
                    if let Some(number) = number.map(ReplicaNumber) {
                        if number == CONTROLLER_REPLICA {
                            self.start.sign = Sign::There;
                        }
                        self.start.directories.entry(number).or_default().push(entry.name);
                    }
                }
                self.house_disk(LIST_ROOT, DiskOp::List { path: String::new() });
            }
            (LIST_ROOT, Done::Listed(entries)) => {
                let number = |name: &str| Some(u32::from(name.strip_prefix("journal-")?.parse::<u16>().ok()?));
                let mut dirs: Vec<u32> = entries.iter().filter_map(|entry| number(&entry.name)).collect();
                if self.core_of(CONTROLLER_REPLICA) == self.me {
                    for done_with in entries.iter().filter(|entry| entry.name.starts_with(DONE_WITH)) {
                        self.house_disk(REMOVED_JOURNAL, DiskOp::RemoveTree { path: done_with.name.clone() });
                    }
                }
                dirs.sort();
                self.open_journals(&dirs);
            }
            (MADE_SIGN, _) => self.house_disk(SYNCED_SIGN, DiskOp::SyncDir { path: "replicas".into() }),
            (SYNCED_SIGN, _) => {
                self.start.sign = Sign::There;
                self.listen();
            }
            (seq, _) if seq & STAGE == RENAMED_JOURNAL => {
                self.house_disk(SYNCED_RENAME | seq & !STAGE, DiskOp::SyncDir { path: String::new() });
            }
            (seq, _) if seq & STAGE == SYNCED_RENAME => {
                self.house_disk(REMOVED_JOURNAL, DiskOp::RemoveTree { path: format!("{DONE_WITH}{}", seq & !STAGE) });
            }
            _ => {}
        }
    }

    /// The own journal, and those of cores that this start does not have, shared out among the cores.
    fn open_journals(&mut self, found: &[u32]) {
        let shards = u32::from(self.config.shards);
        let me = u32::from(self.me.0);
        let orphans = found.iter().copied().filter(|dir| *dir >= shards && *dir % shards == me);
        for dir in std::iter::once(me).chain(orphans) {
            let at = self.journals.len();
            let owner = self.owners.give(Owner::Journal(at));
            let config = heddle_journal::Config {
                dir: format!("journal-{dir}"),
                owner,
                files: self.config.journal_files,
                file_bytes: self.config.journal_file_bytes,
                first_file_bytes: heddle_model::limits::JOURNAL_FIRST_FILE_BYTES.min(self.config.journal_file_bytes),
                sync: true,
                accept_unreadable: self.config.accept_loss,
            };
            self.start.dirs.push(dir);
            self.journals.push(Journal::open(config, self.now, &mut self.effects));
            if at > 0 {
                self.start.adopted.insert(at, BTreeSet::new());
            }
        }
    }

    pub(crate) fn on_start_journal(&mut self, at: usize) {
        let Some(recovered) = self.journals[at].take_recovered() else {
            if self.journals[at].pressure() == Pressure::Broken && !self.start.refused {
                self.start.refused = true;
                let text = match self.journals[at].stuck() {
                    Some(place) => format!(
                        "{place}: it cannot be read, however often it is tried. Nothing is taken for lost: look at the \
                         disk and at the kernel's log; `heddle repair --accept-loss` gives up what cannot be read"
                    ),
                    None => "its files cannot be written; look at the disk and at the kernel's log".into(),
                };
                self.notice(Notice::Failed(format!("journal-{}: {text}", self.start.dirs[at])));
            }
            return;
        };
        for (level, line) in lines_of(&recovered.report) {
            self.log(level, format!("journal-{}: {line}", self.start.dirs[at]));
        }
        let holder = Holder { core: self.me, journal: self.start.dirs[at] };
        let found = &mut self.start.here;
        found.replicas += recovered.replicas.len();
        found.journals.push((holder.journal, recovered.id, recovered.report.frames > 0));
        if holder.journal == METADATA_JOURNAL {
            found.expected = recovered.report.siblings;
        } else {
            found.had_metadata |= recovered.report.siblings.count > 0;
        }
        if self.config.accept_loss {
            if at == 0 {
                self.start.given_up = recovered.report.unknown;
            } else {
                recovered.report.unknown.iter().for_each(|number| {
                    self.journals[at].gone(*number);
                });
            }
            self.journals[at].accept_losses();
        } else {
            found.misses |= recovered.report.may_miss_replicas || !recovered.report.unknown.is_empty();
        }
        for (number, replica) in recovered.replicas {
            if at > 0 {
                self.start.adopted.entry(at).or_default().insert(number);
            }
            let core = self.core_of(number);
            if core == self.me {
                self.start.candidates.entry(number).or_default().push(Candidate { holder, replica });
            } else {
                let letter = Mail::Offer { journal: holder.journal, number, replica: Box::new(replica) };
                self.letters.push((core, letter));
            }
        }
        self.start.recovered += 1;
        if self.start.recovered == self.journals.len() {
            let here = std::mem::take(&mut self.start.here);
            self.tell_all(|| Mail::Offered(here.clone()));
            self.start.found.add(here);
            self.start.offered_by.insert(self.me);
            self.choose();
        }
    }

    pub(crate) fn on_offer(&mut self, from: ShardId, journal: u32, number: ReplicaNumber, replica: RecoveredReplica) {
        let holder = Holder { core: from, journal };
        self.start.candidates.entry(number).or_default().push(Candidate { holder, replica });
    }

    pub(crate) fn on_offered(&mut self, from: ShardId, found: Found) {
        self.start.found.add(found);
        self.start.offered_by.insert(from);
        self.choose();
    }

    /// Everybody has offered: keep the newest copy of each replica.
    fn choose(&mut self) {
        if self.start.offered_by.len() < usize::from(self.config.shards) {
            return;
        }
        self.judge_losses();
        let own = Holder { core: self.me, journal: u32::from(self.me.0) };
        for (number, mut copies) in std::mem::take(&mut self.start.candidates) {
            copies.sort_by_key(|copy| (copy.replica.state.placement, copy.holder == own));
            let mut best = copies.pop().expect("a candidate was entered with each number");
            let mut losers: Vec<Holder> = copies.iter().map(|copy| copy.holder).collect();
            let heal = best.replica.damaged && self.config.accept_loss;
            if best.holder != own || heal {
                if best.holder != own {
                    losers.push(best.holder);
                    losers.retain(|holder| *holder != own);
                    best.replica.state.placement += 1;
                }
                if heal {
                    best.replica.damaged = false;
                    // Who knew the membership was in its term, though the record of that may be lost.
                    let config = heddle_partition::read_identity(best.replica.state.config.clone());
                    best.replica.state.term = config.map_or(Term(0), |(_, c)| c.term).max(best.replica.state.term);
                    let end = best.replica.tail.last().map_or(best.replica.state.log_start, |batch| batch.next);
                    self.log(
                        Level::Warn,
                        format!("replica {number}: its damage is accepted; it goes on from offset {end}"),
                    );
                }
                let (state, tail) = (best.replica.state.clone(), best.replica.tail.clone());
                let journal = &mut self.journals[0];
                let damaged = best.replica.damaged;
                let ordinal = if damaged {
                    journal.restate_damaged(number, state, tail)
                } else {
                    journal.restate(number, state, tail)
                };
                self.start.moving.insert(number, (ordinal, losers));
            } else {
                losers.into_iter().for_each(|holder| self.drop_copy(holder, number));
            }
            self.start.dormant.insert(number, best.replica);
        }
        for number in std::mem::take(&mut self.start.given_up) {
            // Unless a copy of it was found in another journal, which just took its place.
            if !self.start.moving.contains_key(&number) {
                self.journals[0].gone(number);
            }
        }
        self.remove_emptied_journals();
        self.serve_once_moved();
    }

    /// All that was found is known: is a journal missing, or a new one in the place of another? What is then not found
    /// anywhere was lost with it. The cluster's metadata names replicas only after its journal has said, durably, which
    /// journals there are.
    fn judge_losses(&mut self) {
        let found = &mut self.start.found;
        found.had_metadata |= self.start.directories.contains_key(&CONTROLLER_REPLICA);
        let mut lost: Vec<String> = Vec::new();
        for dir in 0..u32::from(found.expected.count.max(u16::from(found.had_metadata))) {
            if !found.journals.iter().any(|(other, _, held)| *other == dir && *held) {
                lost.push(format!("damaged: journal-{dir} is missing, or nothing in it can be read"));
            }
        }
        if lost.is_empty() && found.siblings(found.expected.count) != found.expected {
            lost.push("damaged: a journal of this data directory was lost, and another stands in its place".into());
        }
        if !self.config.accept_loss {
            found.misses |= !lost.is_empty();
            if found.misses {
                // Said until every core has dealt with it: a start that does not get so far must not be the last to know.
                self.start.losses_open = true;
                self.journals[0].suspect_losses();
            }
        }
        self.journals[0].set_siblings(self.start.found.siblings(self.config.shards));
        if self.core_of(CONTROLLER_REPLICA) == self.me {
            lost.into_iter().for_each(|line| self.log(Level::Error, line));
        }
    }

    pub(crate) fn on_start_durable(&mut self, number: ReplicaNumber, ordinal: Ordinal) {
        let Some((awaited, _)) = self.start.moving.get(&number) else { return };
        if ordinal >= *awaited {
            let (_, losers) = self.start.moving.remove(&number).expect("it was just seen");
            losers.into_iter().for_each(|holder| self.drop_copy(holder, number));
            self.serve_once_moved();
        }
    }

    fn drop_copy(&mut self, holder: Holder, number: ReplicaNumber) {
        if holder.core == self.me {
            self.on_drop(holder.journal, number);
        } else {
            self.letters.push((holder.core, Mail::Drop { journal: holder.journal, number }));
        }
    }

    /// A copy in one of this core's journals was superseded.
    pub(crate) fn on_drop(&mut self, journal: u32, number: ReplicaNumber) {
        let at = self.start.dirs.iter().position(|dir| *dir == journal).expect("only what was offered is dropped");
        if at == 0 {
            self.journals[0].gone(number);
        } else if let Some(left) = self.start.adopted.get_mut(&at) {
            left.remove(&number);
            self.remove_emptied_journals();
        }
    }

    fn remove_emptied_journals(&mut self) {
        let emptied: Vec<usize> =
            self.start.adopted.iter().filter(|(_, left)| left.is_empty()).map(|(at, _)| *at).collect();
        for at in emptied {
            self.start.adopted.remove(&at);
            self.journals[at].on_stop();
            self.start.ending.push(at);
        }
    }

    /// Nothing is queued or under way in any journal still in use.
    pub(crate) fn journals_are_idle(&self) -> bool {
        self.journals.iter().enumerate().all(|(at, journal)| journal.idle() || self.start.ended.contains(&at))
    }

    /// At the end of a turn: journals write what the turn brought; adopted ones that are done with go.
    pub(crate) fn flush_journals(&mut self) {
        for (at, journal) in self.journals.iter_mut().enumerate() {
            if !self.start.ended.contains(&at) {
                journal.flush(self.now, &mut self.effects);
            }
        }
        for at in std::mem::take(&mut self.start.ending) {
            // An image is published once the journal of the cluster's metadata has said, durably, which journals there
            // are now. One that goes before that would be missed by the next start.
            if self.image.version == 0 || !self.journals[at].idle() {
                self.start.ending.push(at);
                continue;
            }
            self.journals[at].close(&mut self.effects);
            self.start.ended.insert(at);
            let dir = self.start.dirs[at];
            let (from, to) = (format!("journal-{dir}"), format!("{DONE_WITH}{dir}"));
            self.house_disk(RENAMED_JOURNAL | dir, DiskOp::Rename { from, to });
        }
    }

    fn serve_once_moved(&mut self) {
        if self.start.done || !self.start.moving.is_empty() {
            return;
        }
        self.start.done = true;
        if self.config.repair_only {
            return self.report_and_stop();
        }
        if let Some(image) = self.start.held_image.take() {
            self.on_image(image);
        }
        if self.core_of(CONTROLLER_REPLICA) == self.me {
            let start = &self.start;
            let fresh = start.found.replicas == 0 && !start.found.misses && start.directories.is_empty();
            self.open_controller(fresh);
        }
    }

    /// `heddle repair`: say what is damaged, change nothing beyond what was accepted, and end.
    fn report_and_stop(&mut self) {
        let damaged: Vec<String> = self
            .start
            .dormant
            .iter()
            .filter(|(_, replica)| replica.damaged)
            .map(|(number, replica)| {
                let end = replica.tail.last().map_or(replica.state.log_start, |batch| batch.next);
                // The names of topics stand in the metadata's log, which a repair does not open.
                let whose = match heddle_partition::read_identity(replica.state.config.clone()) {
                    Some((PartitionId::CONTROLLER, _)) => "the cluster's metadata".into(),
                    Some((partition, _)) => format!("partition {} of topic id {}", partition.index, partition.topic),
                    None => "of no partition that can be told".into(),
                };
                format!("replica {number} ({whose}) is damaged behind offset {end}")
            })
            .collect();
        let count = damaged.len();
        for line in damaged {
            self.log(Level::Error, line);
        }
        if count > 0 || self.start.found.misses {
            let text = "damage was found (see above): damaged partitions take no writes, and are read up to the damage. \
                        `heddle repair --accept-loss` lets them go on without what is lost";
            self.notice(Notice::Failed(text.into()));
        }
        self.on_stop();
    }

    /// Tell once the first image is carried out: replicas that should be here and are not were set apart, each as damaged,
    /// and that is durable.
    pub(crate) fn report_losses(&mut self) {
        let due = self.start.losses_open && !self.start.set_apart;
        if due && self.image.version > 0 && self.journals[0].idle() {
            self.start.set_apart = true;
            let controller = self.core_of(CONTROLLER_REPLICA);
            if controller == self.me {
                self.on_losses_set_apart(self.me);
            } else {
                self.letters.push((controller, Mail::LossesSetApart));
            }
        }
    }

    pub(crate) fn on_losses_set_apart(&mut self, from: ShardId) {
        self.start.set_apart_by.insert(from);
        if self.start.set_apart_by.len() == usize::from(self.config.shards) {
            self.tell_all(|| Mail::LossesSettled);
            self.on_losses_settled();
        }
    }

    /// Every core has set apart what was lost: from now on no journal needs to tell of it.
    pub(crate) fn on_losses_settled(&mut self) {
        if std::mem::take(&mut self.start.losses_open) {
            self.journals[0].accept_losses();
        }
    }

    /// Directories of replicas that were removed, left behind by a process that ended before it had removed them.
    pub(crate) fn remove_litter(&mut self) {
        for (number, names) in std::mem::take(&mut self.start.directories) {
            let known = self.by_number.contains_key(&number) || self.start.dormant.contains_key(&number);
            if self.core_of(number) == self.me && !known && self.image.is_removed(number) {
                for name in names {
                    self.house_disk(REMOVED_LITTER, DiskOp::RemoveTree { path: format!("replicas/{name}") });
                }
            }
        }
    }

    /// All cores have what the first image asks for: let clients in.
    pub(crate) fn listen(&mut self) {
        if self.start.listening || self.stop.is_asked() {
            return;
        }
        match self.start.sign {
            Sign::Missing => {
                self.start.sign = Sign::BeingMade;
                self.house_disk(MADE_SIGN, DiskOp::MakeDir { path: SIGN.into() });
            }
            Sign::BeingMade => {}
            Sign::There => {
                self.start.listening = true;
                self.effects.push(Effect::Listen { listener: KAFKA_LISTENER, addr: self.config.kafka_addr });
            }
        }
    }

    pub(crate) fn unlisten(&mut self) {
        if self.start.listening {
            self.effects.push(Effect::Unlisten { listener: KAFKA_LISTENER });
        }
    }

    pub(crate) fn on_listening(&mut self, result: Result<SocketAddr, Fault>) {
        let notice = match result {
            Ok(addr) => {
                self.start.accepting = true;
                Notice::Serving(addr)
            }
            Err(fault) => Notice::Failed(format!("cannot listen on {}: {fault}", self.config.kafka_addr)),
        };
        self.notice(notice);
    }
}

/// What an operator should know of a recovery; nothing, if all was well.
fn lines_of(report: &heddle_journal::Report) -> Vec<(Level, String)> {
    let mut lines = Vec::new();
    for damage in &report.damage {
        let place =
            if damage.file.is_empty() { "a missing file".into() } else { format!("{} at {}", damage.file, damage.at) };
        let hit: Vec<String> = damage.hit.iter().map(|number| number.to_string()).collect();
        let hit = if hit.is_empty() { "no replica by name".into() } else { format!("replicas {}", hit.join(", ")) };
        let line = format!("damaged: frames {} to {} in {place} cannot be read; hit: {hit}", damage.first, damage.last);
        lines.push((Level::Error, line));
    }
    if !report.unknown.is_empty() {
        let unknown: Vec<String> = report.unknown.iter().map(|number| number.to_string()).collect();
        lines.push((Level::Error, format!("damaged: nothing is known of replicas {}", unknown.join(", "))));
    }
    if report.may_miss_replicas {
        lines.push((Level::Error, "damaged: replicas may have been created of which nothing is known".into()));
    }
    for file in &report.foreign {
        lines.push((Level::Warn, format!("{file} belongs to another journal and is left alone")));
    }
    lines
}
