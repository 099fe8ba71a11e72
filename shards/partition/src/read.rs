//! The read path: bounds and epochs are checked here, bytes come from the log, now or after disk reads.

use std::collections::BTreeMap;

use bytes::Bytes;
use heddle_border::{Effect, Product, Token};
use heddle_log::{COMPACTION_WORK, DIGEST_WORK, Found, ReadFault};
use heddle_model::limits::UNPACKED_BYTES_MAX;
use heddle_model::{LeaderEpoch, Offset, Ticket};
use heddle_records::{Header, PayloadError};

use crate::replica::{Replica, World};
use crate::write::refuse;
use crate::{Answer, FoundOffset, OffsetQuery, Read, Records, Refusal, Visibility};

/// Reads that wait for the disk or for work off the turn.
#[derive(Default)]
pub(crate) struct Reads {
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
    /// Timestamp searches in compressed batches by work number, each with its batch. Counted apart from `Line`'s work.
    decoding: BTreeMap<u32, (Search, Header)>,
}

enum Waiting {
    /// From where.
    Records(Ticket, Offset),
    Offset(Search),
}

/// A search by time.
#[derive(Clone, Copy)]
struct Search {
    ticket: Ticket,
    /// `AtOrAfter`; `None`: the largest.
    at_or_after: Option<i64>,
    from: Offset,
    upto: Offset,
    /// Found before `from`, in view of which a larger one is sought.
    best: Option<(Offset, i64, LeaderEpoch)>,
}

/// How much of a reader's log is ours.
enum Shared {
    /// Nobody can tell: it has an epoch that is not known here.
    Nothing,
    /// Up to the end of this epoch, the largest not above the reader's.
    Upto(LeaderEpoch, Offset),
    /// All, as far as the reader says.
    All,
}

/// Work numbers of searches start here, those of `Line` below the log's own.
const SEARCH_WORK: u32 = 1 << 31;
const _: () = assert!(COMPACTION_WORK < DIGEST_WORK && DIGEST_WORK < SEARCH_WORK);
/// What a search off the turn found: offset and timestamp.
type Searched = Result<Option<(Offset, i64)>, PayloadError>;

impl Reads {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Replica {
    pub(crate) fn read(&mut self, ticket: Ticket, read: Read, world: &mut World<'_>) {
        if let Err(refusal) = self.may_read(read.epoch) {
            return refuse(ticket, refusal, world);
        }
        let (start, end) = (self.log_start(), self.log.end());
        if self.damaged && read.from >= end {
            // What stood there is not known, so it is not out of range.
            return refuse(ticket, Refusal::Storage, world);
        }
        // As Kafka does it: a reader whose log departs from ours hears so even if it asks for what lies beyond the end.
        let shared = if read.from < start { Shared::Nothing } else { self.shared(read.last_fetched, read.from) };
        match shared {
            Shared::All if read.from <= end => {}
            // The reader's epoch may be one that was lost.
            Shared::Nothing if self.damaged && read.from >= start => return refuse(ticket, Refusal::Storage, world),
            Shared::All | Shared::Nothing => {
                let high_watermark = self.high_watermark();
                return refuse(ticket, Refusal::OffsetOutOfRange { log_start: start, high_watermark }, world);
            }
            Shared::Upto(epoch, end) => {
                let answer = Records { diverging: Some((epoch, end)), ..self.no_records() };
                world.answers.push((ticket, Answer::Read(answer)));
                return;
            }
        }
        let upto = self.visible(read.visibility);
        if read.from >= upto || (read.max_bytes == 0 && !read.at_least_one) {
            world.answers.push((ticket, Answer::Read(self.no_records())));
            return;
        }
        let id = self.reads.number();
        match self.log.read(id, read.from, upto, read.max_bytes, read.at_least_one, world.effects) {
            Some(result) => self.answer_read(ticket, result, world),
            None => {
                self.reads.waiting.insert(id, Waiting::Records(ticket, read.from));
            }
        }
    }

    pub(crate) fn on_read(&mut self, id: u64, result: Result<Vec<Bytes>, ReadFault>, world: &mut World<'_>) {
        match self.reads.waiting.remove(&id) {
            Some(Waiting::Records(ticket, from)) if from < self.log_start() => {
                // Records were deleted meanwhile, perhaps the very first: what comes behind them does not follow.
                let (log_start, high_watermark) = (self.log_start(), self.high_watermark());
                refuse(ticket, Refusal::OffsetOutOfRange { log_start, high_watermark }, world);
            }
            Some(Waiting::Records(ticket, _)) => self.answer_read(ticket, result, world),
            Some(Waiting::Offset(_)) | None => unreachable!("the log answers each read once, as it was asked"),
        }
    }

    fn answer_read(&mut self, ticket: Ticket, result: Result<Vec<Bytes>, ReadFault>, world: &mut World<'_>) {
        match result {
            Ok(parts) => {
                self.traffic.sent_bytes += parts.iter().map(|part| part.len() as u64).sum::<u64>();
                world.answers.push((ticket, Answer::Read(Records { parts, ..self.no_records() })));
            }
            Err(fault) => {
                self.report(format!("a read failed: {fault}"), world);
                refuse(ticket, Refusal::Storage, world);
            }
        }
    }

    pub(crate) fn watch(
        &mut self,
        ticket: Ticket,
        from: Offset,
        visibility: Visibility,
        min_bytes: usize,
        epoch: Option<LeaderEpoch>,
        world: &mut World<'_>,
    ) {
        let visible = self.visible(visibility);
        let have = if visible > from { self.log.bytes_between(from, visible) } else { 0 };
        if self.damaged || self.may_read(epoch).is_err() || from < self.log_start() || have >= min_bytes.max(1) {
            world.answers.push((ticket, Answer::Ready));
            return;
        }
        self.waiting.watch(ticket, from, visibility, min_bytes.max(1) - have);
    }

    pub(crate) fn find_offset(
        &mut self,
        ticket: Ticket,
        query: OffsetQuery,
        visibility: Visibility,
        epoch: Option<LeaderEpoch>,
        world: &mut World<'_>,
    ) {
        if let Err(refusal) = self.may_read(epoch) {
            return refuse(ticket, refusal, world);
        }
        let visible = self.visible(visibility);
        if self.damaged && matches!(query, OffsetQuery::Latest | OffsetQuery::MaxTimestamp) {
            // Where the log ended is not known, and offsets that were handed out never go back (trap 19).
            return refuse(ticket, Refusal::Storage, world);
        }
        let at_or_after = match query {
            OffsetQuery::Latest => return self.answer_offset(ticket, Some(visible), -1, self.epoch(), world),
            OffsetQuery::Earliest => {
                let epoch = self.group.history().point(self.log_start()).term.epoch();
                return self.answer_offset(ticket, Some(self.log_start()), -1, epoch, world);
            }
            OffsetQuery::MaxTimestamp => None,
            OffsetQuery::AtOrAfter(time) => Some(time),
        };
        let search = Search { ticket, at_or_after, from: self.log_start(), upto: visible, best: None };
        self.search(search, world);
    }

    fn visible(&self, visibility: Visibility) -> Offset {
        match visibility {
            Visibility::HighWatermark => self.high_watermark(),
            Visibility::LastStable => self.last_stable(),
        }
    }

    fn search(&mut self, search: Search, world: &mut World<'_>) {
        let (id, Search { from, upto, .. }) = (self.reads.number(), search);
        let result = match search.at_or_after {
            Some(time) => self.log.find_time(id, time, from, upto, world.effects),
            None => self.log.max_timestamp(id, from, upto, world.effects),
        };
        match result {
            Some(result) => self.on_search(search, result, world),
            None => {
                self.reads.waiting.insert(id, Waiting::Offset(search));
            }
        }
    }

    pub(crate) fn on_found(&mut self, id: u64, result: Result<Found, ReadFault>, world: &mut World<'_>) {
        match self.reads.waiting.remove(&id) {
            Some(Waiting::Offset(search)) => self.on_search(search, result, world),
            Some(Waiting::Records(..)) | None => unreachable!("the log answers each search once, as it was asked"),
        }
    }

    fn on_search(&mut self, search: Search, result: Result<Found, ReadFault>, world: &mut World<'_>) {
        match result {
            Ok(Found::None) => self.end_search(search, None, world),
            Ok(Found::At { offset, timestamp, epoch }) => {
                self.end_search(search, Some((offset, timestamp, epoch)), world)
            }
            Ok(Found::Compressed { batch }) => self.search_off_turn(search, batch, world),
            Err(fault) => {
                self.report(format!("a search by time failed: {fault}"), world);
                refuse(search.ticket, Refusal::Storage, world);
            }
        }
    }

    fn end_search(&mut self, search: Search, found: Option<(Offset, i64, LeaderEpoch)>, world: &mut World<'_>) {
        // The earlier of two with the same time.
        let found = match (search.best, found) {
            (Some(best), Some(found)) => Some(if found.1 > best.1 { found } else { best }),
            (best, found) => best.or(found),
        };
        match found {
            Some((offset, timestamp, epoch)) => {
                self.answer_offset(search.ticket, Some(offset), timestamp, epoch, world)
            }
            None if self.damaged => refuse(search.ticket, Refusal::Storage, world),
            None => self.answer_offset(search.ticket, None, -1, LeaderEpoch::NONE, world),
        }
    }

    fn search_off_turn(&mut self, search: Search, batch: Bytes, world: &mut World<'_>) {
        let header = Header::read(&batch).expect("the log hands out whole batches");
        let work = SEARCH_WORK | (self.reads.number() as u32 & (SEARCH_WORK - 1));
        // The batch may begin below the log start; records there do not exist any more.
        let search = Search { from: search.from.max(self.log_start()), ..search };
        self.reads.decoding.insert(work, (search, header));
        let run = Box::new(move || {
            let found: Searched = match search.at_or_after {
                Some(time) => heddle_records::find_timestamp(&batch, time, search.from, UNPACKED_BYTES_MAX),
                None => heddle_records::max_timestamp_record(&batch, search.from, UNPACKED_BYTES_MAX),
            };
            Product::new(found)
        });
        world.effects.push(Effect::Work { token: Token { owner: self.owner, seq: work }, run });
    }

    fn on_searched(&mut self, search: Search, header: Header, result: Option<Product>, world: &mut World<'_>) {
        let found = match result.map(Product::take::<Searched>) {
            Some(Ok(found)) => found.map(|(offset, timestamp)| (offset, timestamp, header.leader_epoch)),
            Some(Err(_)) | None => {
                return refuse(search.ticket, Refusal::Corrupt("a stored batch does not decode".into()), world);
            }
        };
        let behind = Search { from: header.next_offset(), ..search };
        match (search.at_or_after, found) {
            (Some(_), None) => self.search(behind, world),
            // The batch's largest timestamp may stand below the start: what is left of it competes with what follows.
            (None, _) if header.base_offset < search.from => self.search(Search { best: found, ..behind }, world),
            (_, found) => self.end_search(search, found, world),
        }
    }

    /// Work off the turn ended: a search here, or a batch of the write path.
    pub fn on_worked(&mut self, work: u32, result: Option<Product>, world: &mut World<'_>) {
        if work == COMPACTION_WORK || work == DIGEST_WORK {
            return self.on_log_worked(work, result, world);
        }
        if work & SEARCH_WORK == 0 {
            return self.on_prepared(work, result, world);
        }
        // Not found: the partition was removed meanwhile, and the ticket was answered then.
        if let Some((search, header)) = self.reads.decoding.remove(&work) {
            self.on_searched(search, header, result, world);
        }
    }

    /// The replica goes away, perhaps before the work off the turn is done.
    pub(crate) fn refuse_searches(&mut self, world: &mut World<'_>) {
        for (search, _) in std::mem::take(&mut self.reads.decoding).into_values() {
            refuse(search.ticket, Refusal::UnknownPartition, world);
        }
    }

    fn answer_offset(
        &self,
        ticket: Ticket,
        offset: Option<Offset>,
        timestamp: i64,
        epoch: LeaderEpoch,
        world: &mut World<'_>,
    ) {
        world.answers.push((ticket, Answer::FoundOffset(FoundOffset { offset, timestamp, epoch })));
    }

    pub(crate) fn epoch_end(
        &mut self,
        ticket: Ticket,
        asked: LeaderEpoch,
        epoch: Option<LeaderEpoch>,
        world: &mut World<'_>,
    ) {
        if let Err(refusal) = self.may_read(epoch) {
            return refuse(ticket, refusal, world);
        }
        let answer = match self.group.history().epoch_end(asked, self.log_start(), self.log.end()) {
            // The epoch may have gone on where nothing can be read.
            Some((_, end)) if self.damaged && end >= self.log.end() => {
                return refuse(ticket, Refusal::Storage, world);
            }
            Some((epoch, end)) => Answer::EpochEnd { epoch, end },
            None => Answer::NoEpochEnd,
        };
        world.answers.push((ticket, answer));
    }

    /// Leadership and the reader's leader epoch (KIP-320).
    fn may_read(&self, epoch: Option<LeaderEpoch>) -> Result<(), Refusal> {
        if !self.damaged && !self.examined && !self.group.is_serving() {
            return Err(self.not_serving());
        }
        match epoch {
            Some(epoch) if epoch < self.epoch() => {
                Err(Refusal::FencedEpoch { leader: self.leader(), epoch: self.epoch() })
            }
            Some(epoch) if epoch > self.epoch() => Err(Refusal::UnknownEpoch),
            _ => Ok(()),
        }
    }

    /// KIP-595: what a reader whose last record has epoch `last` and who reads from `from` shares with our log.
    fn shared(&self, last: Option<LeaderEpoch>, from: Offset) -> Shared {
        let Some(last) = last else { return Shared::All };
        match self.group.history().epoch_end(last, self.log_start(), self.log.end()) {
            None => Shared::Nothing,
            Some((epoch, end)) if epoch < last || end < from => Shared::Upto(epoch, end),
            Some(_) => Shared::All,
        }
    }

    fn no_records(&self) -> Records {
        Records {
            parts: Vec::new(),
            high_watermark: self.high_watermark(),
            last_stable: self.last_stable(),
            log_start: self.log_start(),
            aborted: Vec::new(),
            diverging: None,
        }
    }
}
