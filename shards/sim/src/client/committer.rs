//! A client without a group member's life: it commits ever higher offsets for a group and reads them back.

use bytes::Bytes;
use heddle_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use heddle_protocol::text;

use super::admin::KEPT;
use super::{Cx, Request, Role, UNKNOWN_TOPIC, is_retriable, register};
use crate::check::Seen;
use crate::wire;

const FIND: (i16, i16) = (10, 4);
const GROUP: &str = "group";

#[derive(Debug)]
enum Asked {
    Find,
    Commit(i64),
    Fetch,
}

#[derive(Default)]
pub struct Committer {
    found: bool,
    asked: Option<Asked>,
    next: i64,
    /// At the end: fetched once more.
    last_look: bool,
}

impl Committer {
    fn find(&mut self, correlation: i32) -> Request {
        self.asked = Some(Asked::Find);
        let request = FindCoordinatorRequest::default().with_key_type(0).with_coordinator_keys(vec![text(GROUP)]);
        Request { frame: wire::frame(FIND.0, FIND.1, correlation, &request), answered: true }
    }

    fn commit(&mut self, correlation: i32, cx: &mut Cx<'_>) -> Request {
        let offset = self.next;
        self.next += 1;
        self.asked = Some(Asked::Commit(offset));
        cx.see(Seen::CommitAsked { offset });
        Request { frame: register::commit(GROUP, KEPT, offset, correlation), answered: true }
    }

    fn fetch(&mut self, correlation: i32) -> Request {
        self.asked = Some(Asked::Fetch);
        Request { frame: register::fetch(GROUP, KEPT, correlation), answered: true }
    }

    fn on_fetched(&mut self, answer: Bytes, asked: u64, cx: &mut Cx<'_>) -> Result<i16, String> {
        let offset = match register::fetched(answer)? {
            Ok(offset) => offset,
            Err(error) => return Ok(error),
        };
        cx.see(Seen::CommittedFound { asked, offset });
        self.last_look = cx.draining;
        Ok(0)
    }
}

impl Role for Committer {
    fn next(&mut self, correlation: i32, cx: &mut Cx<'_>) -> Option<Request> {
        if self.asked.is_some() || (cx.draining && self.last_look) {
            return None;
        }
        let kept = cx.catalog.latest(KEPT).filter(|at| cx.catalog.is_present(*at));
        if kept.is_none() {
            self.last_look = cx.draining;
            return None;
        }
        Some(match self.found {
            false => self.find(correlation),
            true if cx.draining || cx.dice.chance(30) => self.fetch(correlation),
            true => self.commit(correlation, cx),
        })
    }

    fn on_answer(&mut self, _: i32, answer: Bytes, asked: u64, cx: &mut Cx<'_>) -> Result<(), String> {
        let what = format!("{:?}", self.asked);
        let error = match self.asked.take().ok_or("an answer without a question")? {
            Asked::Find => {
                let response: FindCoordinatorResponse = wire::read(answer, FIND.1)?;
                let error = response.coordinators.first().ok_or("no coordinator in the answer")?.error_code;
                self.found = error == 0;
                error
            }
            Asked::Commit(offset) => {
                let error = register::committed(answer)?;
                if error == 0 {
                    cx.see(Seen::Committed { offset });
                }
                error
            }
            Asked::Fetch => self.on_fetched(answer, asked, cx)?,
        };
        cx.say(|| format!("group: {what} is answered with error {error}"));
        if error != 0 {
            cx.rest_ms = 20;
        }
        if error == 0 || is_retriable(error) || (error == UNKNOWN_TOPIC && cx.checkers.loss_reported) {
            return Ok(());
        }
        Err(format!("a group's request is answered with error {error}"))
    }

    fn on_lost(&mut self) {
        (self.asked, self.found, self.last_look) = (None, false, false);
    }

    fn is_done(&self) -> bool {
        self.asked.is_none() && self.last_look
    }

    fn eagerness(&self) -> u64 {
        10
    }
}
