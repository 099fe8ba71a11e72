//! What a handler works with: the world, the request's caller, and the asks it makes.
//!
//! A handler file has `start`, which looks at the request and either answers at once or asks others; and `finish`,
//! which makes the response of their answers. `Context::gather` joins the two for every API that asks once. An API
//! that asks again (Fetch) is a `Flight` of its own.

use std::net::SocketAddr;

use bytes::Bytes;
use heddle_model::{Mono, ShardId};
use heddle_protocol::{Encodable, EncodeError, Head, HeaderVersion, StrBytes, encode_response, written_as};

use crate::ask::{Answer, Ask, Target, View, Wish};
use crate::config::ApiConfig;
use crate::error_codes::ErrorCodes;
use crate::fetch_sessions::FetchSessions;
use crate::jobs::JobId;
use crate::producer_ids::ProducerIds;

/// Who sent the request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Whose address group members are listed with.
    pub peer: SocketAddr,
    pub head: Head,
    /// Shares memory with the request's frame.
    pub client_id: Option<StrBytes>,
}

/// The end of a request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// One encoded response, with its size and header, and the errors that it tells.
    Send { parts: Vec<Bytes>, errors: Vec<i16> },
    /// Nothing is sent (`acks=0`).
    Nothing,
    /// The connection cannot go on.
    Close(Closed),
}

impl Reply {
    pub fn of<R: Encodable + HeaderVersion + ErrorCodes>(version: i16, correlation_id: i32, response: &R) -> Reply {
        Reply::encoded(encode_response(version, correlation_id, response), response)
    }

    /// The frame that a response was made.
    pub fn encoded<R: ErrorCodes>(frame: Result<Bytes, EncodeError>, response: &R) -> Reply {
        match frame {
            Ok(frame) => Reply::Send { parts: vec![frame], errors: response.errors() },
            Err(_) => Reply::Close(Closed::Unencodable),
        }
    }
}

/// Why a connection was closed from this side.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Closed {
    /// A frame with a size out of bounds.
    FrameSize,
    /// A request that cannot be decoded.
    Malformed,
    /// An API or a version that is not served.
    NotServed,
    /// An error of a produce that nobody reads an answer of.
    SilentProduce,
    /// A response that its own version cannot carry: our bug.
    Unencodable,
    Idle,
    /// The peer takes nothing of what was answered.
    Unread,
    /// The end of a frame does not come, though memory is short and it is all that is read.
    StalledFrame,
    TooManyConnections,
    Stopping,
}

impl Closed {
    /// As a label of metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Closed::FrameSize => "frame_size",
            Closed::Malformed => "malformed",
            Closed::NotServed => "not_served",
            Closed::SilentProduce => "silent_produce",
            Closed::Unencodable => "unencodable",
            Closed::Idle => "idle",
            Closed::Unread => "unread",
            Closed::StalledFrame => "stalled_frame",
            Closed::TooManyConnections => "too_many_connections",
            Closed::Stopping => "stopping",
        }
    }
}

impl Closed {
    pub(crate) const ALL: [Closed; 10] = [
        Closed::FrameSize,
        Closed::Malformed,
        Closed::NotServed,
        Closed::SilentProduce,
        Closed::Unencodable,
        Closed::Idle,
        Closed::Unread,
        Closed::StalledFrame,
        Closed::TooManyConnections,
        Closed::Stopping,
    ];
}

/// What a request's start comes to.
pub(crate) enum Started {
    Done(Reply),
    Waiting(Box<dyn Flight>),
}

/// A request that waits for answers.
pub(crate) trait Flight {
    /// The answer to the ask numbered `part`.
    fn on_answer(&mut self, part: u32, answer: Answer, cx: &mut Context<'_>) -> Option<Reply>;
    /// The time set with `Context::set_deadline` has come.
    fn on_deadline(&mut self, cx: &mut Context<'_>) -> Option<Reply>;
    /// The connection is gone, nobody reads the answer: cancel what only waits.
    fn on_gone(&mut self, _cx: &mut Context<'_>) {}
    /// Waits for something that may not happen soon, and can answer now instead (when the core stops).
    fn is_idle_wait(&self) -> bool {
        false
    }
    /// Bytes of memory that the request keeps while it waits. `frame_bytes` is its frame, which most keep a part of.
    fn held_bytes(&self, frame_bytes: usize) -> usize {
        frame_bytes
    }
}

/// What handlers keep between requests, one of each per core.
pub(crate) struct Shared {
    pub config: ApiConfig,
    pub sessions: FetchSessions,
    pub producer_ids: ProducerIds,
}

/// Set in a ticket's part: the ask is a watch.
pub(crate) const WATCH: u32 = 1 << 31;

pub(crate) struct Context<'a> {
    pub view: &'a View<'a>,
    pub caller: &'a Caller,
    pub shared: &'a mut Shared,
    pub(crate) wish: &'a mut Wish,
    pub(crate) home: ShardId,
    pub(crate) job: JobId,
    pub(crate) parts: u32,
    pub(crate) asked: usize,
    pub(crate) watched: usize,
    /// Watches that this core has under way without those of this call.
    pub(crate) watches: usize,
    /// What the answers on their way out may still take of this core's memory. Bytes.
    pub(crate) room: usize,
    pub(crate) deadline: Option<Mono>,
}

impl Context<'_> {
    /// The request's version.
    pub fn version(&self) -> i16 {
        self.caller.head.version
    }

    /// Ask; the answer comes with the returned number. Numbers go up by one from 0 within a request.
    pub fn ask(&mut self, target: Target, ask: Ask) -> u32 {
        let part = self.parts;
        self.parts += 1;
        self.asked += 1;
        self.wish.asks.push((self.job.ticket(self.home, part), target, ask));
        part
    }

    /// Ask for something that may take as long as it likes: it takes no answer slot, and can be cancelled.
    pub fn watch(&mut self, target: Target, ask: Ask) -> u32 {
        let part = self.parts;
        self.parts += 1;
        self.watched += 1;
        self.wish.asks.push((self.job.ticket(self.home, part | WATCH), target, ask));
        part
    }

    /// Whether this core may begin so many more watches.
    pub fn may_watch(&self, more: usize) -> bool {
        self.watches + self.watched + more <= self.shared.config.watches_max
    }

    /// Say that nobody waits for this watch any more. It is still answered, once.
    pub fn cancel(&mut self, part: u32, target: Target) {
        self.wish.cancels.push((self.job.ticket(self.home, part | WATCH), target));
    }

    /// The same for an ask that waits for others.
    pub fn cancel_ask(&mut self, part: u32, target: Target) {
        self.wish.cancels.push((self.job.ticket(self.home, part), target));
    }

    /// When `Flight::on_deadline` is due, counted from now. Replaces an earlier deadline.
    pub fn set_deadline_ms(&mut self, ms: u64) {
        self.deadline = Some(self.view.now.mono.plus_ms(ms));
    }

    /// Encode a response in the request's version.
    pub fn respond<R: Encodable + HeaderVersion + ErrorCodes>(&self, response: &R) -> Reply {
        let Head { key, version, correlation_id } = self.caller.head;
        Reply::of(written_as(key, version), correlation_id, response)
    }

    pub fn done<R: Encodable + HeaderVersion + ErrorCodes>(&self, response: &R) -> Started {
        Started::Done(self.respond(response))
    }

    /// Wait for the answers of all asks made so far, then `finish` with them in the order of the asks. If a deadline
    /// is set and passes first, what is missing is `Answer::TimedOut`.
    pub fn gather<S: 'static>(&mut self, state: S, finish: Finish<S>) -> Started {
        self.gather_cancelling(None, state, finish)
    }

    /// The same where an answer may take long: once the connection is gone, the asks are cancelled at their target.
    pub fn gather_from<S: 'static>(&mut self, target: Target, state: S, finish: Finish<S>) -> Started {
        self.gather_cancelling(Some(target), state, finish)
    }

    fn gather_cancelling<S: 'static>(&mut self, target: Option<Target>, state: S, finish: Finish<S>) -> Started {
        let missing = self.parts as usize;
        if missing == 0 {
            return Started::Done(finish(state, Vec::new(), self));
        }
        let answers = std::iter::repeat_with(|| None).take(missing).collect();
        Started::Waiting(Box::new(Gather { state: Some(state), answers, missing, finish, cancel_at: target }))
    }
}

/// Makes the reply of a request's state and of its answers.
pub(crate) type Finish<S> = fn(S, Vec<Answer>, &mut Context<'_>) -> Reply;

struct Gather<S> {
    state: Option<S>,
    answers: Vec<Option<Answer>>,
    missing: usize,
    finish: Finish<S>,
    cancel_at: Option<Target>,
}

impl<S> Gather<S> {
    fn finish(&mut self, cx: &mut Context<'_>) -> Option<Reply> {
        let answers = self.answers.drain(..).map(|answer| answer.unwrap_or(Answer::TimedOut)).collect();
        let state = self.state.take()?;
        Some((self.finish)(state, answers, cx))
    }
}

impl<S> Flight for Gather<S> {
    fn on_answer(&mut self, part: u32, answer: Answer, cx: &mut Context<'_>) -> Option<Reply> {
        let place = &mut self.answers[part as usize];
        assert!(place.is_none(), "an ask is answered once");
        *place = Some(answer);
        self.missing -= 1;
        if self.missing == 0 { self.finish(cx) } else { None }
    }

    fn on_deadline(&mut self, cx: &mut Context<'_>) -> Option<Reply> {
        self.finish(cx)
    }

    fn on_gone(&mut self, cx: &mut Context<'_>) {
        let Some(target) = &self.cancel_at else { return };
        for part in (0..self.answers.len()).filter(|part| self.answers[*part].is_none()) {
            cx.cancel_ask(part as u32, target.clone());
        }
    }
}
