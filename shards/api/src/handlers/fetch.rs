//! Fetch (1), versions 4 to 18: read from many partitions, and wait until there is enough to read.
//!
//! ```text
//! start -> read (in rounds that fit max_bytes) -> enough, or something to report, or no time to wait -> answer
//!                    ^                          \-> watch all -> one is ready, or time is over -+
//!                    |                                                                          |
//!                    +------------- what was ready or had data, with the data this time --------+
//! ```
//!
//! While it watches, a fetch holds no data: only sizes and positions. Watches take no answer slots; a core that has too
//! many already lets a fetch look again a little later instead.

use heddle_model::{LeaderEpoch, NodeId, Offset, PartitionId};
use heddle_partition::{Answer as Of, Read, Records, Refusal, Visibility};
use heddle_protocol::messages::FetchRequest;
use heddle_protocol::messages::fetch_request::FetchTopic as RequestTopic;
use heddle_protocol::{ErrorCode, FetchResponse, StrBytes, encode_fetch, text, topic_id_of};

use crate::ask::{Answer, Ask, Target};
use crate::context::{Context, Flight, Reply, Started};
use crate::error_codes::ErrorCodes;
use crate::errors;
use crate::fetch_sessions::{Mode, SessionRequest, Told, TopicKey, Wanted};

mod answer;
#[cfg(test)]
mod tests;

/// When a fetch that may not watch looks again, and answers. Milliseconds.
const LOOK_AGAIN_MS: u64 = 100;
/// A round of reads asks for at least this much of each partition, if the request allows it. Bytes.
const READ_BYTES_MIN: usize = 4096;

pub(crate) fn start(request: FetchRequest, cx: &mut Context<'_>) -> Started {
    let session = session_request(&request, cx.version());
    let (mode, wanted) = match cx.shared.sessions.open(cx.view.now.mono, session) {
        Ok(opened) => opened,
        Err(error) => return Started::Done(refused(error, cx)),
    };
    let committed_only = request.isolation_level == 1;
    let mut fetch = Fetch {
        mode,
        visibility: if committed_only { Visibility::LastStable } else { Visibility::HighWatermark },
        committed_only,
        max_bytes: (request.max_bytes.max(0) as usize).min(cx.shared.config.fetch_bytes_max).min(cx.room),
        min_bytes: (request.min_bytes.max(0) as usize).min(request.max_bytes.max(0) as usize).min(cx.room),
        wanted: wanted.into_iter().map(|wanted| Part::new(wanted, cx)).collect(),
        stage: Stage::Reading,
        asked: Vec::new(),
        asked_from: 0,
        missing: 0,
        next: 0,
        out_of_time: request.max_wait_ms <= 0,
        watched: false,
        seen: 0,
    };
    if !fetch.out_of_time {
        cx.set_deadline_ms(request.max_wait_ms as u64);
    }
    match fetch.read_on(cx) {
        Some(reply) => Started::Done(reply),
        None => Started::Waiting(Box::new(fetch)),
    }
}

/// A refused session: an answer without partitions.
fn refused(error: ErrorCode, cx: &Context<'_>) -> Reply {
    let response = FetchResponse { error, ..FetchResponse::default() };
    reply(&response, cx)
}

fn reply(response: &FetchResponse, cx: &Context<'_>) -> Reply {
    let parts = encode_fetch(cx.version(), cx.caller.head.correlation_id, response);
    Reply::Send { parts, errors: response.errors() }
}

fn session_request(request: &FetchRequest, version: i16) -> SessionRequest {
    let by_id = version >= 13;
    let key = |name: &StrBytes, id| if by_id { TopicKey::Id(topic_id_of(id)) } else { TopicKey::Name(own(name)) };
    let wanted = |topic: &RequestTopic| -> Vec<Wanted> {
        let topic_key = key(&topic.topic, topic.topic_id);
        let wanted = topic.partitions.iter().map(|partition| Wanted {
            topic: topic_key.clone(),
            partition: partition.partition,
            from: partition.fetch_offset,
            max_bytes: partition.partition_max_bytes,
            leader_epoch: partition.current_leader_epoch,
            last_fetched_epoch: partition.last_fetched_epoch,
        });
        wanted.collect()
    };
    let forgotten = request.forgotten_topics_data.iter().flat_map(|topic| {
        let topic_key = key(&topic.topic, topic.topic_id);
        topic.partitions.iter().map(move |partition| (topic_key.clone(), *partition))
    });
    SessionRequest {
        id: request.session_id,
        // Versions below 7 have no sessions.
        epoch: if version >= 7 { request.session_epoch } else { -1 },
        by_id,
        wanted: request.topics.iter().flat_map(wanted).collect(),
        forgotten: forgotten.collect(),
    }
}

/// A string that does not keep its request's frame in memory, for sessions outlive it.
fn own(name: &StrBytes) -> StrBytes {
    text(name)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// To see how much there is.
    Reading,
    Watching,
    /// For the answer, after watching.
    ReadingAgain,
    /// One partition, whose next batch is larger than its limit.
    ReadingOne,
}

struct Fetch {
    mode: Mode,
    visibility: Visibility,
    committed_only: bool,
    max_bytes: usize,
    min_bytes: usize,
    wanted: Vec<Part>,
    stage: Stage,
    /// Whom the ask numbered `asked_from + i` of this round went to: an index into `wanted`, gone once answered.
    asked: Vec<Option<u32>>,
    asked_from: u32,
    missing: usize,
    /// The first of `wanted` that has not been asked in this stage.
    next: usize,
    out_of_time: bool,
    watched: bool,
    /// How much there was when watching last began. Bytes.
    seen: usize,
}

/// One partition of a fetch.
struct Part {
    wanted: Wanted,
    /// Its partition, or why there is none.
    id: Result<PartitionId, ErrorCode>,
    /// Has to be read (again) for the answer.
    stale: bool,
    outcome: Outcome,
}

enum Outcome {
    Unread,
    Read(Records),
    /// Read, and the data given back: the watermarks, and how much there was.
    Seen {
        told: Told,
        bytes: usize,
    },
    /// Nothing is told of the partition then: Kafka answers no watermarks, not even where it knows them.
    Failed {
        error: ErrorCode,
        leader: Option<(NodeId, LeaderEpoch)>,
    },
}

impl Part {
    fn new(wanted: Wanted, cx: &Context<'_>) -> Part {
        let image = cx.view.image;
        let topic = match &wanted.topic {
            TopicKey::Name(name) => image.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition),
            TopicKey::Id(id) => image.topic_by_id(*id).ok_or(ErrorCode::UnknownTopicId),
        };
        let id = topic.and_then(|topic| crate::topics::partition(topic, wanted.partition));
        let outcome = match id {
            Ok(_) => Outcome::Unread,
            Err(error) => Outcome::Failed { error, leader: None },
        };
        Part { wanted, id, stale: id.is_ok(), outcome }
    }

    fn bytes(&self) -> usize {
        match &self.outcome {
            Outcome::Read(records) => record_bytes(records),
            Outcome::Seen { bytes, .. } => *bytes,
            Outcome::Unread | Outcome::Failed { .. } => 0,
        }
    }

    /// Worth answering without waiting for more.
    fn is_news(&self) -> bool {
        match &self.outcome {
            Outcome::Read(records) => records.diverging.is_some(),
            Outcome::Failed { .. } => true,
            Outcome::Unread | Outcome::Seen { .. } => false,
        }
    }

    fn max_bytes(&self) -> usize {
        self.wanted.max_bytes.max(0) as usize
    }

    /// There is something to read, but its first batch is larger than what was allowed.
    fn is_cut_short(&self, visibility: Visibility) -> bool {
        let Outcome::Read(records) = &self.outcome else { return false };
        let end = match visibility {
            Visibility::HighWatermark => records.high_watermark,
            Visibility::LastStable => records.last_stable,
        };
        records.diverging.is_none() && record_bytes(records) == 0 && self.wanted.from < end.0
    }
}

/// What is told of a partition about which nothing is known.
const UNTOLD: Told = Told { high_watermark: -1, last_stable: -1, log_start: -1 };

fn told(records: &Records) -> Told {
    Told {
        high_watermark: records.high_watermark.0,
        last_stable: records.last_stable.0,
        log_start: records.log_start.0,
    }
}

fn record_bytes(records: &Records) -> usize {
    records.parts.iter().map(bytes::Bytes::len).sum()
}

impl Flight for Fetch {
    fn on_answer(&mut self, part: u32, answer: Answer, cx: &mut Context<'_>) -> Option<Reply> {
        // Answers to an earlier round (cancelled watches) are of no interest.
        let place = part.checked_sub(self.asked_from).map(|at| at as usize);
        let index = place.and_then(|at| self.asked.get_mut(at)).and_then(Option::take)? as usize;
        self.missing -= 1;
        if self.stage == Stage::Watching {
            // Ready, refused or unreachable alike: reading says what it is.
            self.wanted[index].stale = true;
            return self.read_again(cx);
        }
        self.wanted[index].outcome = outcome(answer, &self.wanted[index], cx);
        if self.missing > 0 { None } else { self.read_on(cx) }
    }

    fn on_deadline(&mut self, cx: &mut Context<'_>) -> Option<Reply> {
        self.out_of_time = true;
        if self.stage == Stage::Watching { self.read_again(cx) } else { None }
    }

    fn on_gone(&mut self, cx: &mut Context<'_>) {
        self.cancel_watches(cx);
    }

    fn is_idle_wait(&self) -> bool {
        self.stage == Stage::Watching
    }

    /// The names are copies of their own.
    fn held_bytes(&self, _frame_bytes: usize) -> usize {
        self.wanted.len() * size_of::<Part>()
    }
}

impl Fetch {
    /// Ask the next round of reads; when all are read, see what they come to.
    fn read_on(&mut self, cx: &mut Context<'_>) -> Option<Reply> {
        self.begin_round(cx);
        let had = self.total();
        let mut left = self.max_bytes.saturating_sub(had);
        // Nothing left: the rest is asked for its watermarks only.
        let is_exhausted = had > 0 && left < READ_BYTES_MIN;
        while self.next < self.wanted.len() && self.stage != Stage::ReadingOne {
            let index = self.next;
            let part = &self.wanted[index];
            let Some(id) = part.id.ok().filter(|_| part.stale) else {
                self.next += 1;
                continue;
            };
            let limit = if is_exhausted { 0 } else { part.max_bytes().min(left) };
            // Too little left in this round; what it gives back goes to the next one.
            if !is_exhausted && self.missing > 0 && limit < part.max_bytes().min(READ_BYTES_MIN) {
                return None;
            }
            let first = had == 0 && self.missing == 0;
            self.ask_read(index, id, limit, first, cx);
            left -= limit;
            self.next += 1;
        }
        if self.missing > 0 { None } else { self.on_read(cx) }
    }

    /// All that was to be read is read.
    fn on_read(&mut self, cx: &mut Context<'_>) -> Option<Reply> {
        if self.total() == 0 && self.stage != Stage::ReadingOne && self.max_bytes > 0 {
            // The first batch of a fetch is returned whole, or its reader would never get past it.
            let cut_short = self.wanted.iter().position(|part| part.is_cut_short(self.visibility));
            if let Some((index, id)) = cut_short.and_then(|index| Some((index, self.wanted[index].id.ok()?))) {
                self.stage = Stage::ReadingOne;
                self.begin_round(cx);
                let limit = self.wanted[index].max_bytes();
                self.ask_read(index, id, limit, true, cx);
                return None;
            }
        }
        let enough = self.total() >= self.min_bytes || self.wanted.iter().any(Part::is_news);
        // Woken, and yet no more to give: limits are in the way, or there is nothing left in that range.
        let is_all = self.watched && self.total() <= self.seen;
        let is_one = self.stage == Stage::ReadingOne && self.total() > 0;
        let done = enough || is_all || is_one || self.out_of_time || self.wanted.is_empty();
        if done { Some(self.answer(cx)) } else { self.watch(cx) }
    }

    /// Give the data back and wait for more of it.
    fn watch(&mut self, cx: &mut Context<'_>) -> Option<Reply> {
        let share = (self.min_bytes - self.total()).div_ceil(self.wanted.len()).max(1);
        (self.watched, self.seen) = (true, self.total());
        self.stage = Stage::Watching;
        self.begin_round(cx);
        if !cx.may_watch(self.wanted.len()) {
            return self.look_again_later(cx);
        }
        for index in 0..self.wanted.len() {
            let part = &mut self.wanted[index];
            let bytes = part.bytes();
            // A partition that fills its limit has nothing more to wait for.
            let is_full = bytes > 0 && bytes >= part.max_bytes();
            part.stale = bytes > 0;
            if let Outcome::Read(records) = &part.outcome {
                part.outcome = Outcome::Seen { told: told(records), bytes };
            }
            let Some(id) = part.id.ok().filter(|_| !is_full) else { continue };
            let watch = heddle_partition::Ask::Watch {
                from: Offset(part.wanted.from),
                visibility: self.visibility,
                min_bytes: bytes + share,
                epoch: epoch(part.wanted.leader_epoch),
            };
            self.note(index, cx.watch(Target::Partition(id), Ask::Partition(watch)));
        }
        // Every partition is full, yet together they give less than was asked for: that is all there will be.
        if self.missing == 0 { self.read_again(cx) } else { None }
    }

    /// Without watching: all is read again at a deadline that is not far.
    fn look_again_later(&mut self, cx: &mut Context<'_>) -> Option<Reply> {
        for part in &mut self.wanted {
            part.stale = part.id.is_ok();
        }
        let soon = cx.view.now.mono.plus_ms(LOOK_AGAIN_MS);
        cx.deadline = Some(cx.deadline.map_or(soon, |deadline| deadline.min(soon)));
        None
    }

    /// Stop watching, and read what has changed or had data.
    fn read_again(&mut self, cx: &mut Context<'_>) -> Option<Reply> {
        self.cancel_watches(cx);
        self.stage = Stage::ReadingAgain;
        self.next = 0;
        for part in &mut self.wanted {
            if part.stale {
                part.outcome = Outcome::Unread;
            }
        }
        self.read_on(cx)
    }

    fn cancel_watches(&mut self, cx: &mut Context<'_>) {
        if self.stage != Stage::Watching {
            return;
        }
        for (at, asked) in self.asked.iter().enumerate() {
            if let Some(id) = asked.and_then(|index| self.wanted[index as usize].id.ok()) {
                cx.cancel(self.asked_from + at as u32, Target::Partition(id));
            }
        }
    }

    fn begin_round(&mut self, cx: &Context<'_>) {
        self.asked.clear();
        self.asked_from = cx.parts;
        self.missing = 0;
    }

    fn note(&mut self, index: usize, part: u32) {
        debug_assert_eq!(part, self.asked_from + self.asked.len() as u32);
        self.asked.push(Some(index as u32));
        self.missing += 1;
    }

    fn ask_read(&mut self, index: usize, id: PartitionId, max_bytes: usize, at_least_one: bool, cx: &mut Context<'_>) {
        let wanted = &self.wanted[index].wanted;
        let read = Read {
            from: Offset(wanted.from),
            max_bytes,
            at_least_one,
            visibility: self.visibility,
            epoch: epoch(wanted.leader_epoch),
            last_fetched: epoch(wanted.last_fetched_epoch),
        };
        self.note(index, cx.ask(Target::Partition(id), Ask::Partition(heddle_partition::Ask::Read(read))));
    }

    fn total(&self) -> usize {
        self.wanted.iter().map(Part::bytes).sum()
    }
}

/// Kafka takes any negative epoch of a fetch for none.
fn epoch(wire: i32) -> Option<LeaderEpoch> {
    (wire >= 0).then_some(LeaderEpoch(wire))
}

fn outcome(answer: Answer, part: &Part, cx: &Context<'_>) -> Outcome {
    let known = || part.id.ok().and_then(|id| cx.view.leaders.leader(id));
    let failed = |error| Outcome::Failed { error, leader: None };
    let moved = |leader: Option<(NodeId, LeaderEpoch)>| Outcome::Failed {
        error: ErrorCode::NotLeaderOrFollower,
        leader: leader.or_else(known),
    };
    match answer {
        Answer::Partition(Of::Read(records)) => Outcome::Read(records),
        // Reading leaves nothing behind, so an interrupted read is simply to be asked elsewhere.
        Answer::Partition(Of::Refused(
            Refusal::NotLeader { leader, epoch } | Refusal::Interrupted { leader, epoch },
        )) => moved(leader.map(|node| (node, epoch))),
        Answer::Partition(Of::Refused(Refusal::FencedEpoch { leader, epoch })) => {
            Outcome::Failed { error: ErrorCode::FencedLeaderEpoch, leader: leader.map(|node| (node, epoch)) }
        }
        Answer::Partition(Of::Refused(refusal)) => failed(errors::of_partition(&refusal)),
        Answer::Unreachable | Answer::TimedOut => moved(None),
        // No other answer belongs to a read.
        Answer::Partition(_) | Answer::Controller(_) | Answer::Group(_) | Answer::Space { .. } => {
            failed(ErrorCode::UnknownServerError)
        }
    }
}
