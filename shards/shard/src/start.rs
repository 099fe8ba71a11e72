//! A core's start: find the journals, replay them, bring every replica to its core, then serve (RULES A, "Resharding").
//!
//! A replica lives on core `number % shards`. With another number of shards than last time its journal may be elsewhere:
//! each core offers what it found to the replica's core, which keeps the copy with the highest placement number, restates
//! it in its own journal if it came from another, and only when that is durable lets the other copies be dropped. Nobody
//! serves before everybody has offered.

mod adopted;
mod directory;
mod listening;
mod losses;
mod repair;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use heddle_border::DiskOp;
use heddle_controller::Image;
use heddle_journal::{FORMAT_VERSION, Journal, Ordinal, Pressure, RecoveredReplica, Siblings, Stuck};
use heddle_model::{ReplicaNumber, ShardId, Term};

use crate::mail::{Found, Level, Mail, Notice};
use crate::owners::Owner;
use crate::reconcile::CONTROLLER_REPLICA;
use crate::turn::Shard;

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
    /// A repair has read what it can of the cluster's metadata.
    examined: bool,
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
        self.house_disk(directory::MADE_REPLICAS, DiskOp::MakeDir { path: "replicas".into() });
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
                    Some(Stuck::OtherFormat { file, version }) => format!(
                        "{file} is in journal format {version}, and this heddle reads format {FORMAT_VERSION} only (before \
                         format 2 leader epochs began at 1 and not at 0). Nothing was changed and nothing is converted: \
                         start the heddle that wrote this data directory, or give this one another --data-dir"
                    ),
                    Some(Stuck::Unreadable(place)) => format!(
                        "{place}: it cannot be read, however often it is tried. Nothing is taken for lost: look at the \
                         disk and at the kernel's log; `heddle repair --accept-loss` gives up what cannot be read"
                    ),
                    None => "its files cannot be written; look at the disk and at the kernel's log".into(),
                };
                self.notice(Notice::Failed(format!("journal-{}: {text}", self.start.dirs[at])));
            }
            return;
        };
        for (level, line) in losses::lines_of(&recovered.report) {
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

    pub(crate) fn on_start_durable(&mut self, number: ReplicaNumber, ordinal: Ordinal) {
        let Some((awaited, _)) = self.start.moving.get(&number) else { return };
        if ordinal >= *awaited {
            let (_, losers) = self.start.moving.remove(&number).expect("it was just seen");
            losers.into_iter().for_each(|holder| self.drop_copy(holder, number));
            self.serve_once_moved();
        }
    }

    fn serve_once_moved(&mut self) {
        if self.start.done || !self.start.moving.is_empty() {
            return;
        }
        self.start.done = true;
        if self.config.repair_only {
            return self.examine();
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
}
