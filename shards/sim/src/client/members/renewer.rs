//! A client that commits offsets for a topic that is deleted and created again under its name: what was committed for
//! one goes with it, and is not there for the next.

use bytes::Bytes;

use super::{find, found, is_definite};
use crate::check::{Grouped, Seen};
use crate::client::{Cx, Request, Role, UNKNOWN_TOPIC, is_retriable, register};
use crate::lies::Lie;

const GROUP: &str = "renewer";
/// Between two looks: time enough for a piece of a sweep. Milliseconds.
const REST_MS: u64 = 20;
/// At the end it looks so often: more than the checker's patience.
const LAST_LOOKS: usize = 40;

#[derive(Debug)]
enum Asked {
    Find,
    /// The offset is the number of the write.
    Commit(u64),
    /// With the step in which the topic that is there was asked for.
    Fetch(u64),
}

#[derive(Default)]
pub struct Renewer {
    found: bool,
    asked: Option<Asked>,
    /// The last commit, and the topic it was for.
    last: Option<(u64, u64)>,
    /// Nothing was fetched last, or what was committed for the topic that is there.
    is_clear: bool,
    looks: usize,
}

impl Renewer {
    /// The topic that is there for certain: its name, and the step in which it was asked for.
    fn topic(cx: &Cx<'_>) -> Option<(String, u64)> {
        let names = ["topic-1", "compacted-1"];
        let mut found = names.into_iter().filter_map(|name| cx.catalog.latest(name));
        let topic = &cx.catalog.topics[found.find(|at| cx.catalog.is_present(*at))?];
        Some((topic.name.clone(), topic.asked))
    }

    fn on_committed(answer: Bytes, write: u64, cx: &mut Cx<'_>) -> Result<i16, String> {
        let error = register::committed(answer)?;
        if error == 0 || is_definite(error) {
            cx.see(Seen::Grouped(Grouped::RenewedSettled { write }));
        }
        Ok(error)
    }

    fn on_fetched(&mut self, answer: Bytes, born: u64, cx: &mut Cx<'_>) -> Result<i16, String> {
        let offset = match register::fetched(answer)? {
            Ok(offset) => offset,
            Err(error) => return Ok(error),
        };
        let mut write = u64::try_from(offset).ok();
        if cx.lie == Some(Lie::OffsetsOutlive) {
            write = write.or(self.last.map(|(write, _)| write));
        }
        let boot = cx.boot;
        cx.see(Seen::Grouped(Grouped::RenewedFound { write, born, boot }));
        self.is_clear = write.is_none_or(|write| self.last == Some((write, born)));
        self.looks += usize::from(cx.draining);
        Ok(0)
    }
}

impl Role for Renewer {
    fn next(&mut self, correlation: i32, cx: &mut Cx<'_>) -> Option<Request> {
        if self.asked.is_some() || (cx.draining && self.looks >= LAST_LOOKS) {
            return None;
        }
        let Some((topic, born)) = Renewer::topic(cx) else {
            self.looks += usize::from(cx.draining);
            return None;
        };
        if !self.found {
            self.asked = Some(Asked::Find);
            return Some(find(GROUP, correlation));
        }
        // Not before it was seen what is there: a commit would hide it.
        let frame = if std::mem::take(&mut self.is_clear) && !cx.draining && cx.dice.chance(50) {
            let write = *cx.next_number;
            *cx.next_number += 1;
            self.last = Some((write, born));
            self.asked = Some(Asked::Commit(write));
            cx.see(Seen::Grouped(Grouped::RenewedAsked { write }));
            register::commit(GROUP, &topic, write as i64, correlation)
        } else {
            self.asked = Some(Asked::Fetch(born));
            register::fetch(GROUP, &topic, correlation)
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
            Asked::Commit(write) => Renewer::on_committed(answer, write, cx)?,
            Asked::Fetch(born) => self.on_fetched(answer, born, cx)?,
        };
        cx.say(|| format!("{GROUP}: {taken:?} is answered with error {error}"));
        cx.rest_ms = REST_MS;
        match error {
            // The topic may be gone by now.
            0 | UNKNOWN_TOPIC => Ok(()),
            error if is_retriable(error) => Ok(()),
            error => Err(format!("{GROUP}: {taken:?} is answered with error {error}")),
        }
    }

    fn on_lost(&mut self) {
        (self.asked, self.found, self.is_clear) = (None, false, false);
    }

    fn is_done(&self) -> bool {
        self.asked.is_none() && self.looks >= LAST_LOOKS
    }

    fn eagerness(&self) -> u64 {
        40
    }
}
