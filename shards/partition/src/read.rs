//! The read path: bounds and epochs are checked here, bytes come from the log, now or after disk reads.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use heddle_border::{Effect, Token};
use heddle_log::{COMPACTION_WORK, Found, ReadFault};
use heddle_model::limits::BATCH_BYTES_MAX;
use heddle_model::{Offset, Term, Ticket};

use crate::replica::{Replica, World};
use crate::write::refuse;
use crate::{Answer, FoundOffset, OffsetQuery, Read, Records, Refusal, Visibility};

/// Reads that wait for the disk or for work off the turn.
#[derive(Default)]
pub(crate) struct Reads {
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
    /// Timestamp searches in compressed batches, by work number. Counted apart from `Line`'s work.
    decoding: BTreeMap<u32, Search>,
}

enum Waiting {
    Records(Ticket),
    Offset(Search),
}

/// A search by time.
#[derive(Clone, Copy)]
struct Search {
    ticket: Ticket,
    query: OffsetQuery,
    visibility: Visibility,
}

/// Work numbers of searches start here, those of `Line` below the log's own.
const SEARCH_WORK: u32 = 1 << 31;
const _: () = assert!(COMPACTION_WORK < SEARCH_WORK);
/// What work on a packed batch gives: the offset, timestamp and leader epoch of the record, or where the next batch begins.
const FOUND_BYTES: usize = 20;
const NEXT_BYTES: usize = 8;

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
        if read.from < start || read.from > end {
            let high_watermark = self.high_watermark();
            return refuse(ticket, Refusal::OffsetOutOfRange { log_start: start, high_watermark }, world);
        }
        if let Some(diverging) = read.last_fetched.and_then(|epoch| self.diverges(epoch, read.from)) {
            let answer = Records { diverging: Some(diverging), ..self.no_records() };
            world.answers.push((ticket, Answer::Read(answer)));
            return;
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
                self.reads.waiting.insert(id, Waiting::Records(ticket));
            }
        }
    }

    pub(crate) fn on_read(&mut self, id: u64, result: Result<Vec<Bytes>, ReadFault>, world: &mut World<'_>) {
        match self.reads.waiting.remove(&id) {
            Some(Waiting::Records(ticket)) => self.answer_read(ticket, result, world),
            Some(Waiting::Offset(_)) | None => unreachable!("the log answers each read once, as it was asked"),
        }
    }

    fn answer_read(&mut self, ticket: Ticket, result: Result<Vec<Bytes>, ReadFault>, world: &mut World<'_>) {
        match result {
            Ok(parts) => world.answers.push((ticket, Answer::Read(Records { parts, ..self.no_records() }))),
            Err(fault) => {
                self.report(format!("a read failed: {fault:?}"), world);
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
        epoch: Option<Term>,
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
        epoch: Option<Term>,
        world: &mut World<'_>,
    ) {
        if let Err(refusal) = self.may_read(epoch) {
            return refuse(ticket, refusal, world);
        }
        if self.damaged && matches!(query, OffsetQuery::Latest | OffsetQuery::MaxTimestamp) {
            // Where the log ended is not known, and offsets that were handed out never go back (trap 19).
            return refuse(ticket, Refusal::Storage, world);
        }
        match query {
            OffsetQuery::Latest => {
                let visible = self.visible(visibility);
                self.answer_offset(ticket, Some(visible), -1, self.group.term(), world);
            }
            OffsetQuery::Earliest => {
                let term = self.group.history().point(self.log_start()).term;
                self.answer_offset(ticket, Some(self.log_start()), -1, term, world);
            }
            OffsetQuery::MaxTimestamp | OffsetQuery::AtOrAfter(_) => {
                self.search(Search { ticket, query, visibility }, self.log_start(), world);
            }
        }
    }

    /// Look for a record by its time, from `from` on.
    fn search(&mut self, search: Search, from: Offset, world: &mut World<'_>) {
        let visible = self.visible(search.visibility);
        let id = self.reads.number();
        let result = match search.query {
            OffsetQuery::AtOrAfter(time) => self.log.find_time(id, from, time, visible, world.effects),
            _ => self.log.max_timestamp(id, visible, world.effects),
        };
        match result {
            Some(result) => self.answer_found(search, result, world),
            None => {
                self.reads.waiting.insert(id, Waiting::Offset(search));
            }
        }
    }

    /// Where a reader's view ends.
    fn visible(&self, visibility: Visibility) -> Offset {
        match visibility {
            Visibility::HighWatermark => self.high_watermark(),
            Visibility::LastStable => self.last_stable(),
        }
    }

    pub(crate) fn on_found(&mut self, id: u64, result: Result<Found, ReadFault>, world: &mut World<'_>) {
        match self.reads.waiting.remove(&id) {
            Some(Waiting::Offset(search)) => self.answer_found(search, result, world),
            Some(Waiting::Records(_)) | None => unreachable!("the log answers each search once, as it was asked"),
        }
    }

    fn answer_found(&mut self, search: Search, result: Result<Found, ReadFault>, world: &mut World<'_>) {
        let ticket = search.ticket;
        match result {
            Ok(Found::None) if self.damaged => refuse(ticket, Refusal::Storage, world),
            Ok(Found::None) => self.answer_offset(ticket, None, -1, Term(-1), world),
            Ok(Found::At { offset, timestamp, term }) => {
                self.answer_offset(ticket, Some(offset), timestamp, term, world)
            }
            Ok(Found::Compressed { batch }) => self.search_off_turn(search, batch, world),
            Err(fault) => {
                self.report(format!("a search by time failed: {fault:?}"), world);
                refuse(ticket, Refusal::Storage, world);
            }
        }
    }

    fn search_off_turn(&mut self, search: Search, batch: Bytes, world: &mut World<'_>) {
        let work = SEARCH_WORK | (self.reads.number() as u32 & (SEARCH_WORK - 1));
        self.reads.decoding.insert(work, search);
        let run = Box::new(move || {
            let found = match search.query {
                OffsetQuery::AtOrAfter(time) => heddle_records::find_timestamp(&batch, time, BATCH_BYTES_MAX),
                _ => heddle_records::max_timestamp_record(&batch, BATCH_BYTES_MAX),
            };
            let mut out = BytesMut::with_capacity(FOUND_BYTES);
            match (found, heddle_records::Header::read(&batch)) {
                (Ok(Some((offset, timestamp))), Ok(header)) => {
                    out.put_i64(offset.0);
                    out.put_i64(timestamp);
                    out.put_i32(header.leader_epoch.0);
                }
                (Ok(None), Ok(header)) => out.put_i64(header.next_offset().0),
                (Err(_), _) | (_, Err(_)) => {}
            }
            out.freeze()
        });
        world.effects.push(Effect::Work { token: Token { owner: self.owner, seq: work }, run });
    }

    /// Work off the turn ended: a search here, or a batch of the write path.
    pub fn on_worked(&mut self, work: u32, result: Option<Bytes>, world: &mut World<'_>) {
        if work == COMPACTION_WORK {
            return self.on_compaction_worked(result, world);
        }
        if work & SEARCH_WORK == 0 {
            return self.on_prepared(work, result, world);
        }
        // Not found: the partition was removed meanwhile, and the ticket was answered then.
        let Some(search) = self.reads.decoding.remove(&work) else { return };
        let ticket = search.ticket;
        match result {
            Some(mut bytes) if bytes.len() == FOUND_BYTES => {
                let (offset, timestamp, term) = (Offset(bytes.get_i64()), bytes.get_i64(), Term(bytes.get_i32()));
                // The batch may begin below the log start; records there do not exist any more.
                let offset = offset.max(self.log_start());
                self.answer_offset(ticket, Some(offset), timestamp, term, world);
            }
            // The header claims a time that no record of the batch has: the search goes on behind it.
            Some(mut bytes) if bytes.len() == NEXT_BYTES => match search.query {
                OffsetQuery::AtOrAfter(_) => self.search(search, Offset(bytes.get_i64()), world),
                _ => self.answer_offset(ticket, None, -1, Term(-1), world),
            },
            _ => refuse(ticket, Refusal::Corrupt("a stored batch does not decode".into()), world),
        }
    }

    /// The replica goes away, perhaps before the work off the turn is done.
    pub(crate) fn refuse_searches(&mut self, world: &mut World<'_>) {
        for search in std::mem::take(&mut self.reads.decoding).into_values() {
            refuse(search.ticket, Refusal::UnknownPartition, world);
        }
    }

    fn answer_offset(&self, ticket: Ticket, offset: Option<Offset>, timestamp: i64, term: Term, world: &mut World<'_>) {
        world.answers.push((ticket, Answer::FoundOffset(FoundOffset { offset, timestamp, term })));
    }

    pub(crate) fn epoch_end(&mut self, ticket: Ticket, asked: Term, epoch: Option<Term>, world: &mut World<'_>) {
        if let Err(refusal) = self.may_read(epoch) {
            return refuse(ticket, refusal, world);
        }
        let answer = match self.group.history().epoch_end(asked, self.log.end()) {
            // The term may have gone on where nothing can be read.
            Some((_, end)) if self.damaged && end >= self.log.end() => {
                return refuse(ticket, Refusal::Storage, world);
            }
            Some((term, end)) => Answer::EpochEnd { term, end },
            None => Answer::NoEpochEnd,
        };
        world.answers.push((ticket, answer));
    }

    /// Leadership and the reader's leader epoch (KIP-320).
    fn may_read(&self, epoch: Option<Term>) -> Result<(), Refusal> {
        if !self.damaged && !self.group.is_serving() {
            return Err(self.not_serving());
        }
        match epoch {
            Some(epoch) if epoch < self.group.term() => {
                Err(Refusal::FencedEpoch { leader: self.leader(), term: self.group.term() })
            }
            Some(epoch) if epoch > self.group.term() => Err(Refusal::UnknownEpoch),
            _ => Ok(()),
        }
    }

    /// KIP-595: a reader whose last record has `epoch` and who reads from `from` shares our log only up to here.
    fn diverges(&self, epoch: Term, from: Offset) -> Option<(Term, Offset)> {
        let (term, end) = self.group.history().epoch_end(epoch, self.log.end())?;
        (term < epoch || end < from).then_some((term, end))
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
