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
use heddle_journal::{Journal, Ordinal, Pressure, RecoveredReplica};
use heddle_model::{ReplicaNumber, ShardId};

use crate::mail::{Mail, Notice};
use crate::owners::{HOUSE, Owner};
use crate::turn::Shard;

const LIST_ROOT: u32 = 1;
const MADE_REPLICAS: u32 = 2;
const SYNCED_ROOT: u32 = 3;
const REMOVED_JOURNAL: u32 = 4;
const LIST_REPLICAS: u32 = 5;
const REMOVED_LITTER: u32 = 6;

const KAFKA_LISTENER: ListenerId = ListenerId(0);

#[derive(Default)]
pub struct Start {
    begun: bool,
    done: bool,
    /// Directory numbers of `Shard::journals`.
    dirs: Vec<u32>,
    recovered: usize,
    offered_by: BTreeSet<ShardId>,
    /// Replicas found in all journals of this node.
    found: usize,
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
    /// A journal cannot be opened; said once.
    refused: bool,
    /// Directories of replicas: what is there of a replica that no journal knows was lost with its journal.
    directories: BTreeMap<ReplicaNumber, Vec<String>>,
    /// Some journal of this node may have lost replicas altogether.
    misses: bool,
    /// This core's journal holds nothing, not even an opening: it was not there, or is all garbage.
    own_is_new: bool,
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
        self.misses || self.own_is_new || self.directories.contains_key(&number)
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
                let what = match seq {
                    REMOVED_JOURNAL => {
                        return self.log(format!("an adopted journal could not be removed: {:?}", failed.fault));
                    }
                    REMOVED_LITTER => {
                        return self.log(format!("files of a removed partition stay behind: {:?}", failed.fault));
                    }
                    _ => "the data directory cannot be used",
                };
                return self.notice(Notice::Failed(format!("{what}: {}", describe(failed.fault))));
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
                        self.start.directories.entry(number).or_default().push(entry.name);
                    }
                }
                self.house_disk(LIST_ROOT, DiskOp::List { path: String::new() });
            }
            (LIST_ROOT, Done::Listed(entries)) => {
                let mut dirs: Vec<u32> =
                    entries.iter().filter_map(|e| e.name.strip_prefix("journal-")?.parse().ok()).collect();
                dirs.sort();
                self.open_journals(&dirs);
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
                let text = "its files can neither be read nor written; look at the disk and at the kernel's log";
                self.notice(Notice::Failed(format!("journal-{}: {text}", self.start.dirs[at])));
            }
            return;
        };
        for line in lines_of(&recovered.report) {
            self.log(format!("journal-{}: {line}", self.start.dirs[at]));
        }
        let holder = Holder { core: self.me, journal: self.start.dirs[at] };
        self.start.found += recovered.replicas.len();
        self.start.own_is_new |= at == 0 && recovered.report.frames == 0;
        if self.config.accept_loss {
            recovered.report.unknown.iter().for_each(|number| {
                self.journals[at].gone(*number);
            });
            self.journals[at].accept_losses();
        } else {
            self.start.misses |= recovered.report.may_miss_replicas || !recovered.report.unknown.is_empty();
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
            let (found, misses) = (self.start.found, self.start.misses);
            self.tell_all(|| Mail::Offered { found, misses });
            self.start.offered_by.insert(self.me);
            self.choose();
        }
    }

    pub(crate) fn on_offer(&mut self, from: ShardId, journal: u32, number: ReplicaNumber, replica: RecoveredReplica) {
        let holder = Holder { core: from, journal };
        self.start.candidates.entry(number).or_default().push(Candidate { holder, replica });
    }

    pub(crate) fn on_offered(&mut self, from: ShardId, found: usize, misses: bool) {
        self.start.found += found;
        self.start.misses |= misses;
        self.start.offered_by.insert(from);
        self.choose();
    }

    /// Everybody has offered: keep the newest copy of each replica.
    fn choose(&mut self) {
        if self.start.offered_by.len() < usize::from(self.config.shards) {
            return;
        }
        self.start.own_is_new &= self.start.found > 0;
        if self.start.own_is_new && !self.config.accept_loss {
            self.journals[0].suspect_losses();
        }
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
                    self.log(format!(
                        "replica {number}: its damage is accepted; it goes on from offset {}",
                        best.replica.tail.last().map_or(best.replica.state.log_start, |batch| batch.next)
                    ));
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
        self.remove_emptied_journals();
        self.serve_once_moved();
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
            if !self.journals[at].idle() {
                self.start.ending.push(at);
                continue;
            }
            self.journals[at].close(&mut self.effects);
            self.start.ended.insert(at);
            let path = format!("journal-{}", self.start.dirs[at]);
            self.house_disk(REMOVED_JOURNAL, DiskOp::RemoveTree { path });
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
        if self.core_of(crate::reconcile::CONTROLLER_REPLICA) == self.me {
            let start = &self.start;
            self.open_controller(start.found == 0 && !start.misses && start.directories.is_empty());
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
                let partition = heddle_partition::read_identity(replica.state.config.clone()).map(|(p, _)| p);
                let end = replica.tail.last().map_or(replica.state.log_start, |batch| batch.next);
                format!("replica {number} ({partition:?}) is damaged behind offset {end}")
            })
            .collect();
        let count = damaged.len();
        for line in damaged {
            self.log(line);
        }
        if count > 0 || self.start.misses || (self.start.own_is_new && !self.config.accept_loss) {
            let text = "damage was found (see above): damaged partitions take no writes, and are read up to the damage. \
                        `heddle repair --accept-loss` lets them go on without what is lost";
            self.notice(Notice::Failed(text.into()));
        }
        self.on_stop();
    }

    /// The first image was carried out: replicas that should be here and are not were set apart, each as damaged.
    pub(crate) fn settle_losses(&mut self) {
        if self.start.misses || self.start.own_is_new {
            self.journals[0].accept_losses();
        }
        self.remove_litter();
    }

    /// Directories of replicas that were removed, left behind by a process that ended before it had removed them.
    fn remove_litter(&mut self) {
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
        if !self.start.listening && !self.stop.is_asked() {
            self.start.listening = true;
            self.effects.push(Effect::Listen { listener: KAFKA_LISTENER, addr: self.config.kafka_addr });
        }
    }

    pub(crate) fn unlisten(&mut self) {
        if self.start.listening {
            self.effects.push(Effect::Unlisten { listener: KAFKA_LISTENER });
        }
    }

    pub(crate) fn on_listening(&mut self, result: Result<SocketAddr, Fault>) {
        let notice = match result {
            Ok(addr) => Notice::Serving(addr),
            Err(fault) => Notice::Failed(format!("cannot listen on {}: {}", self.config.kafka_addr, describe(fault))),
        };
        self.notice(notice);
    }
}

/// What an operator should know of a recovery; nothing, if all was well.
fn lines_of(report: &heddle_journal::Report) -> Vec<String> {
    let mut lines = Vec::new();
    for damage in &report.damage {
        let place =
            if damage.file.is_empty() { "a missing file".into() } else { format!("{} at {}", damage.file, damage.at) };
        let hit: Vec<String> = damage.hit.iter().map(|number| number.to_string()).collect();
        let hit = if hit.is_empty() { "no replica by name".into() } else { format!("replicas {}", hit.join(", ")) };
        lines
            .push(format!("damaged: frames {} to {} in {place} cannot be read; hit: {hit}", damage.first, damage.last));
    }
    if !report.unknown.is_empty() {
        lines.push(format!("damaged: nothing is known of replicas {:?}", report.unknown));
    }
    if report.may_miss_replicas {
        lines.push("damaged: replicas may have been created of which nothing is known".into());
    }
    for file in &report.foreign {
        lines.push(format!("{file} belongs to another journal and is left alone"));
    }
    lines
}

/// A fault in words.
fn describe(fault: Fault) -> String {
    match fault {
        Fault::NoSpace => "no space is left on the device".into(),
        Fault::NotFound => "no such file or directory".into(),
        Fault::AlreadyExists => "it exists already".into(),
        Fault::Io(errno) => std::io::Error::from_raw_os_error(errno).to_string(),
    }
}
