//! A client that commits an offset for a group without members and then only looks: the offset goes when
//! `offsets.retention.minutes` have passed, and not before.

use bytes::Bytes;

use super::{find, found, kept};
use crate::check::{Grouped, Seen};
use crate::client::admin::KEPT;
use crate::client::{Cx, Request, Role, UNKNOWN_TOPIC, is_retriable, register};
use crate::lies::Lie;

const GROUP: &str = "sleeper";
/// Between two looks. Milliseconds.
const REST_MS: u64 = 200;

#[derive(Debug)]
enum Asked {
    Find,
    /// With the time at which it left. Microseconds.
    Commit(u64),
    Fetch(u64),
}

#[derive(Default)]
pub struct Sleeper {
    found: bool,
    asked: Option<Asked>,
    /// Its commit was acknowledged, and it was not seen that this is gone.
    stands: bool,
    last_look: bool,
}

impl Sleeper {
    fn on_committed(&mut self, answer: Bytes, sent_us: u64, cx: &mut Cx<'_>) -> Result<i16, String> {
        let error = register::committed(answer)?;
        if error == 0 {
            self.stands = true;
            let acked_us = cx.now_us;
            cx.see(Seen::Grouped(Grouped::Resting { sent_us, acked_us }));
        }
        Ok(error)
    }

    fn on_fetched(&mut self, answer: Bytes, sent_us: u64, cx: &mut Cx<'_>) -> Result<i16, String> {
        let offset = match register::fetched(answer)? {
            Ok(offset) => offset,
            Err(error) => return Ok(error),
        };
        self.stands = offset != -1 && !cx.lies(Lie::ExpiredEarly, 20);
        let (is_there, now_us, boot) = (self.stands, cx.now_us, cx.boot);
        cx.see(Seen::Grouped(Grouped::RestingFound { sent_us, now_us, boot, is_there }));
        self.last_look = cx.draining;
        Ok(0)
    }
}

impl Role for Sleeper {
    fn next(&mut self, correlation: i32, cx: &mut Cx<'_>) -> Option<Request> {
        if self.asked.is_some() || (cx.draining && self.last_look) {
            return None;
        }
        if kept(cx).is_none() {
            self.last_look = cx.draining;
            return None;
        }
        if !self.found {
            self.asked = Some(Asked::Find);
            return Some(find(GROUP, correlation));
        }
        let frame = if self.stands || cx.draining {
            self.asked = Some(Asked::Fetch(cx.now_us));
            register::fetch(GROUP, KEPT, correlation)
        } else {
            self.asked = Some(Asked::Commit(cx.now_us));
            cx.see(Seen::Grouped(Grouped::RestingUnsure));
            register::commit(GROUP, KEPT, 1, correlation)
        };
        Some(Request { frame, answered: true })
    }

    fn on_answer(&mut self, _: i32, answer: Bytes, _asked: u64, cx: &mut Cx<'_>) -> Result<(), String> {
        let taken = self.asked.take().ok_or("an answer without a question")?;
        let error = match taken {
            Asked::Find => {
                let error = found(answer)?;
                self.found = error == 0;
                error
            }
            Asked::Commit(sent_us) => self.on_committed(answer, sent_us, cx)?,
            Asked::Fetch(sent_us) => self.on_fetched(answer, sent_us, cx)?,
        };
        let stands = self.stands;
        cx.say(|| format!("{GROUP}: {taken:?} is answered with error {error}, stands: {stands}"));
        cx.rest_ms = REST_MS;
        match error {
            0 => Ok(()),
            UNKNOWN_TOPIC if cx.checkers.loss_reported => Ok(()),
            error if is_retriable(error) => Ok(()),
            error => Err(format!("{GROUP}: {taken:?} is answered with error {error}")),
        }
    }

    fn on_lost(&mut self) {
        (self.asked, self.found, self.last_look) = (None, false, false);
    }

    fn is_done(&self) -> bool {
        self.asked.is_none() && self.last_look
    }

    fn eagerness(&self) -> u64 {
        60
    }
}
