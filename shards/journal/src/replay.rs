//! Replay: which bytes of the ring count, and what they say. Pure; `recovery.rs` fetches the bytes.
//!
//! 1. *Heads.* The first block of each file says which use of it stands there. A block that is no header has its file
//!    searched for headers; if it is zero, only the file's beginning: a file that is made ready is all zeros.
//! 2. *Newest.* From the youngest use backward, the first one counts whose opening checkpoint is whole or was known
//!    durable by a later frame of its run.
//! 3. *Walk.* From the oldest file that the newest names, along `previous`, frames are applied in order; each file up to
//!    the fence of the next. What lies at or below a fence was durable: where it cannot be read, it is damage. In the
//!    newest file, a frame that cannot be read is damage if a later frame knew it durable, and else the torn tail.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use heddle_model::ReplicaNumber;

use crate::format::Header;
use crate::image::{Frame, UseId, frame_at, headers, opening_is_whole};
use crate::report::{Damage, Report, Siblings};
use crate::story::Story;
use crate::walk::Walk;

/// The first block of a file, or less if the file is shorter. Bytes that could not be read are 0xff.
pub(crate) struct Head {
    pub slot: u32,
    pub path: String,
    pub block: Vec<u8>,
}

/// What replay wants next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// The whole file in this slot.
    Load(u32),
    Done,
}

/// One use of a file, by what any of its headers says.
#[derive(Clone, Debug)]
pub(crate) struct Use {
    pub slot: u32,
    pub of: UseId,
    pub fence: u64,
    pub previous: u64,
    pub records_from: u64,
    /// Its opening carries tails.
    pub tails: bool,
    /// The oldest file needed, as the latest header in the file says.
    pub oldest: u64,
}

enum Phase {
    /// Files whose first block says nothing are searched.
    Identify(Vec<u32>),
    /// Sequences of the uses that may be the newest, the youngest last.
    Newest(Vec<u64>),
    /// Files still to be read, oldest first.
    Walk {
        chain: VecDeque<u64>,
        started: bool,
    },
    Done,
}

/// What a replay found out about the ring.
pub(crate) struct Replay {
    phase: Phase,
    id: Option<u128>,
    pub paths: BTreeMap<u32, String>,
    uses: BTreeMap<u64, Use>,
    /// Per run, the highest frame that any of its frames knew durable.
    known: BTreeMap<u64, u64>,
    unclear: Vec<(u32, Vec<Header>)>,
    pub highest: Highest,
    /// The newest file's bytes, kept from finding it to walking it.
    kept: Option<(u32, Bytes)>,
    /// Files that must not be overwritten before the next run counts.
    pub chain: BTreeSet<u64>,
    /// Slots with files of another journal.
    pub foreign: Vec<u32>,
    /// Slots that cannot be read and tell nothing of what they hold: perhaps the newest file of all.
    pub hidden: Vec<u32>,
    /// Slots whose first block is all zeros, and in whose beginning stands nothing else.
    pub blank: Vec<u32>,
    /// The last frame that counts, and its header's sum if it could be read.
    pub last: Option<(u64, Option<u32>)>,
    /// The newest file that counts, 0 if none does.
    pub newest: u64,
    pub stories: BTreeMap<ReplicaNumber, Story>,
    /// A frame of records was lost.
    pub lost: bool,
    /// Part of the opening that replay begins with was lost, and with it perhaps tails.
    pub blind: bool,
    pub tails_lost: bool,
    /// The last frame that counts says that replicas may be missing.
    pub misses: bool,
    /// What the last frame that counts says of the data directory's journals.
    pub siblings: Siblings,
    pub report: Report,
}

/// The highest numbers that were ever seen, so that none is used twice.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Highest {
    pub run: u64,
    pub file: u64,
    pub frame: u64,
}

impl Replay {
    pub fn new(heads: Vec<Head>) -> Replay {
        let mut replay = Replay {
            phase: Phase::Done,
            id: None,
            paths: BTreeMap::new(),
            uses: BTreeMap::new(),
            known: BTreeMap::new(),
            unclear: Vec::new(),
            highest: Highest::default(),
            kept: None,
            chain: BTreeSet::new(),
            foreign: Vec::new(),
            hidden: Vec::new(),
            blank: Vec::new(),
            last: None,
            newest: 0,
            stories: BTreeMap::new(),
            lost: false,
            blind: false,
            tails_lost: false,
            misses: false,
            siblings: Siblings::default(),
            report: Report::default(),
        };
        let mut search = Vec::new();
        for head in heads {
            replay.paths.insert(head.slot, head.path);
            match Header::decode(&head.block) {
                Some(header) => replay.unclear.push((head.slot, vec![header])),
                None => {
                    if head.block.iter().all(|byte| *byte == 0) {
                        replay.blank.push(head.slot);
                    }
                    if !head.block.is_empty() {
                        search.push(head.slot);
                    }
                }
            }
        }
        search.reverse();
        replay.phase = Phase::Identify(search);
        replay.skip();
        replay
    }

    pub fn id(&self) -> Option<u128> {
        self.id
    }

    pub fn newest_slot(&self) -> Option<u32> {
        self.uses.get(&self.newest).map(|newest| newest.slot)
    }

    fn hide(&mut self, slot: u32) {
        let file = self.paths[&slot].clone();
        self.report.damage.push(Damage { file, at: 0, first: 0, last: 0, hit: Vec::new() });
        self.report.may_miss_replicas = true;
        self.hidden.push(slot);
    }

    /// The use that stands in each slot; slots without one hold nothing of this journal.
    pub fn uses(&self) -> impl Iterator<Item = (u32, u64)> {
        self.uses.values().map(|found| (found.slot, found.of.file))
    }

    pub fn next(&self) -> Next {
        match &self.phase {
            Phase::Identify(search) => Next::Load(*search.last().expect("an empty phase is skipped")),
            Phase::Newest(uses) => Next::Load(self.uses[uses.last().expect("an empty phase is skipped")].slot),
            Phase::Walk { chain, .. } => Next::Load(self.uses[chain.front().expect("an empty phase is skipped")].slot),
            Phase::Done => Next::Done,
        }
    }

    /// Go on with a file whose bytes are here still, if `next` names it.
    pub fn use_kept(&mut self) {
        while let (Next::Load(slot), Some((kept, image))) = (self.next(), &self.kept) {
            if slot != *kept {
                return;
            }
            let (files, bytes, image) = (self.report.files, self.report.bytes, image.clone());
            self.on_image(image, false);
            (self.report.files, self.report.bytes) = (files, bytes);
        }
    }

    /// Is this beginning of the file that `next` named all that will be looked at? Replay reads up to the fence of the
    /// next file, and what a start leaves behind of a file that it has just begun may be a few frames. A file that is
    /// kept ready has none.
    pub fn is_enough(&self, beginning: &[u8]) -> bool {
        let chain = match &self.phase {
            Phase::Identify(search) => {
                let is_blank = search.last().is_some_and(|slot| self.blank.contains(slot));
                return is_blank && headers(beginning, 0).next().is_none();
            }
            Phase::Walk { chain, .. } => chain,
            Phase::Newest(_) | Phase::Done => return false,
        };
        let (Some(file), Some(next)) = (chain.front(), chain.get(1)) else { return false };
        let (of, fence) = (self.uses[file].of, self.uses[next].fence);
        let (mut at, mut sum) = (0, None);
        while let Frame::Readable(header, entries) = frame_at(beginning, at, of, sum) {
            if !entries.iter().all(|entry| entry.good) {
                return false;
            }
            if header.number >= fence {
                return header.number == fence;
            }
            at += header.frame_bytes();
            sum = Some(header.sum);
        }
        false
    }

    /// The file that `next` named, in full or as much as `is_enough`. Blocks that could not be read are 0xff, and
    /// `unreadable` says so.
    pub fn on_image(&mut self, image: Bytes, unreadable: bool) {
        self.report.files += 1;
        self.report.bytes += image.len() as u64;
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Identify(mut search) => {
                let slot = search.pop().expect("it was asked for");
                let found: Vec<Header> = headers(&image, 0).map(|(_, header)| header).collect();
                if !found.is_empty() {
                    self.blank.retain(|blank| *blank != slot);
                }
                if unreadable && found.is_empty() {
                    self.hide(slot);
                }
                self.unclear.push((slot, found));
                self.phase = Phase::Identify(search);
            }
            Phase::Newest(mut uses) => {
                let file = uses.pop().expect("it was asked for");
                self.phase = Phase::Newest(uses);
                if self.counts(file, &image) {
                    self.kept = Some((self.uses[&file].slot, image));
                    self.begin_walk(file);
                }
            }
            Phase::Walk { chain, started } => self.on_walk(chain, started, image),
            Phase::Done => unreachable!("nothing was asked for"),
        }
        self.skip();
    }

    /// Leave phases in which nothing is left to do.
    fn skip(&mut self) {
        if matches!(&self.phase, Phase::Identify(search) if search.is_empty()) {
            self.identify();
            self.phase = Phase::Newest(self.uses.keys().copied().collect());
        }
        match &self.phase {
            Phase::Newest(uses) if uses.is_empty() => {
                // Nothing counts. If more than a first frame was ever written, something did.
                self.report.may_miss_replicas |= self.highest.frame > 1;
                self.phase = Phase::Done;
            }
            Phase::Walk { chain, .. } if chain.is_empty() => {
                self.report.may_miss_replicas |= self.misses;
                self.report.siblings = self.siblings;
                self.phase = Phase::Done;
            }
            _ => {}
        }
    }

    /// Give every file to its latest use, and this journal the identity that most of its files have.
    fn identify(&mut self) {
        let mut files: BTreeMap<u128, (usize, u64)> = BTreeMap::new();
        for (_, found) in &self.unclear {
            if let Some(header) = found.iter().max_by_key(|header| header.file) {
                let votes = files.entry(header.id).or_default();
                *votes = (votes.0 + 1, votes.1.max(header.file));
            }
        }
        self.id = files.into_iter().max_by_key(|(_, votes)| *votes).map(|(id, _)| id);
        for (slot, found) in std::mem::take(&mut self.unclear) {
            let own = found.iter().filter(|header| Some(header.id) == self.id);
            for header in own.clone() {
                self.highest.see(header);
            }
            if let Some(header) = own.max_by_key(|header| (header.file, header.number)) {
                let found = Use {
                    slot,
                    of: UseId::of(header),
                    fence: header.fence,
                    previous: header.previous,
                    records_from: header.records_from,
                    tails: header.tails,
                    oldest: header.oldest,
                };
                self.uses.insert(header.file, found);
            } else if !found.is_empty() {
                self.foreign.push(slot);
                self.report.foreign.push(self.paths[&slot].clone());
            }
        }
    }

    /// Does this use of a file count? Also learn what its frames know.
    fn counts(&mut self, file: u64, image: &[u8]) -> bool {
        let found = self.uses.get_mut(&file).expect("candidates are uses");
        let known = self.known.entry(found.of.run).or_default();
        for (_, header) in headers(image, 0).filter(|(_, header)| Some(header.id) == self.id) {
            self.highest.see(&header);
            if UseId::of(&header) == found.of {
                *known = (*known).max(header.known);
                found.oldest = found.oldest.max(header.oldest);
            }
        }
        opening_is_whole(image, found.of) || *known + 1 >= found.records_from
    }

    /// Follow `previous` from the newest file that counts to the oldest that is needed.
    fn begin_walk(&mut self, newest: u64) {
        self.newest = newest;
        self.bound_newest(newest);
        let oldest = self.uses[&newest].oldest;
        let mut chain = VecDeque::from([newest]);
        let mut at = newest;
        while at > oldest {
            let previous = self.uses[&at].previous;
            // Sequences only fall along the chain, whatever a header says.
            if previous >= at || !self.uses.contains_key(&previous) {
                self.lose_file(self.uses[&at].fence);
                break;
            }
            chain.push_front(previous);
            at = previous;
        }
        self.chain = chain.iter().copied().collect();
        self.phase = Phase::Walk { chain, started: false };
    }

    /// Later files that do not count still tell where the newest one ended: all up to their fence was durable when they
    /// were opened. What their frames of the same run know beyond that stands in themselves.
    fn bound_newest(&mut self, newest: u64) {
        let run = self.uses[&newest].of.run;
        let after = self.uses.range(newest + 1..).map(|(_, found)| found).filter(|found| found.previous == newest);
        let (same, later): (Vec<&Use>, Vec<&Use>) = after.partition(|found| found.of.run == run);
        let known = self.known.entry(run).or_default();
        match same.iter().map(|found| found.fence).min() {
            Some(fence) => *known = fence,
            None => *known = later.iter().map(|found| found.fence).fold(*known, u64::max),
        }
    }

    fn lose_file(&mut self, last: u64) {
        self.report.damage.push(Damage { file: String::new(), at: 0, first: 0, last, hit: Vec::new() });
        self.lost = true;
        self.report.may_miss_replicas = true;
    }

    fn on_walk(&mut self, mut chain: VecDeque<u64>, started: bool, image: Bytes) {
        let file = *chain.front().expect("it was asked for");
        let found = self.uses[&file].clone();
        // If the first checkpoint is damaged, an older file that is still there gives a better start.
        let older = self.uses.get(&found.previous).filter(|older| older.of.file < file);
        if let (false, false, Some(older)) = (started, opening_is_whole(&image, found.of), older) {
            chain.push_front(older.of.file);
            self.chain.insert(older.of.file);
            self.phase = Phase::Walk { chain, started };
            return;
        }
        chain.pop_front();
        let fence = chain.front().map(|next| self.uses[next].fence);
        let mut walk = Walk {
            known: self.known.get(&found.of.run).copied().unwrap_or(0),
            start: !started,
            fence,
            image: &image,
            found: &found,
            stated: Some(BTreeSet::new()),
            last_stated: None,
            at: 0,
            expected: None,
        };
        if started && found.tails {
            // Older files were not needed any more, and may be gone: only this opening says for certain what the tails are.
            self.stories.values_mut().for_each(|story| story.unsure = true);
        }
        let torn = self.walk(&mut walk);
        for story in self.stories.values_mut() {
            story.detach(&image);
        }
        if torn {
            chain.clear();
        }
        self.phase = Phase::Walk { chain, started: true };
    }
}

impl Highest {
    fn see(&mut self, header: &Header) {
        self.run = self.run.max(header.run);
        self.file = self.file.max(header.file);
        self.frame = self.frame.max(header.number);
    }
}
