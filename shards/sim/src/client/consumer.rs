//! A consumer: reads one partition from somewhere to its end, with long polls, then another.

use bytes::Bytes;

use super::fetched::Fetch;
use super::{Cx, OUT_OF_RANGE, Request, Role, STORAGE, UNKNOWN_TOPIC, UNKNOWN_TOPIC_ID, is_retriable};
use crate::check::{Part, Seen};

#[derive(Default)]
pub struct Consumer {
    position: Option<(Part, i64)>,
    fetch: Option<Fetch>,
    /// Where records are known to be, to begin behind deleted ones.
    fetches: u32,
}

impl Role for Consumer {
    fn next(&mut self, correlation: i32, cx: &mut Cx<'_>) -> Option<Request> {
        if self.fetch.is_some() || cx.draining {
            return None;
        }
        if self.position.is_none_or(|(part, _)| !cx.catalog.is_present(part.topic)) || self.fetches > 30 {
            self.fetches = 0;
            self.position = cx.catalog.pick(cx.dice).map(|part| (part, 0));
        }
        let (part, from) = self.position?;
        self.fetches += 1;
        let fetch = Fetch {
            part,
            from,
            max_wait_ms: [0, 5, 100, 500][cx.dice.below(4) as usize],
            min_bytes: [1, 1, 500, 20_000][cx.dice.below(4) as usize],
            max_bytes: [1, 1_000, 20_000, 1 << 20][cx.dice.below(4) as usize],
            committed_only: cx.dice.chance(50),
        };
        let frame = fetch.frame(correlation, cx);
        self.fetch = Some(fetch);
        Some(Request { frame, answered: true })
    }

    fn on_answer(&mut self, _: i32, answer: Bytes, asked: u64, cx: &mut Cx<'_>) -> Result<(), String> {
        let fetch = self.fetch.take().ok_or("an answer without a question")?;
        let fetched = fetch.read(answer, asked, cx)?;
        let part = fetch.part;
        match fetched.error {
            0 => self.position = Some((part, fetched.next)),
            UNKNOWN_TOPIC | UNKNOWN_TOPIC_ID => {
                cx.see(Seen::TopicMissing { topic: part.topic });
                self.position = None;
            }
            OUT_OF_RANGE => {
                cx.see(Seen::OutOfRange { part, asked, position: fetch.from });
                // Deleted meanwhile: look for the start a few records on.
                self.position = Some((part, fetch.from + 1 + cx.dice.below(4) as i64));
            }
            STORAGE => self.position = None,
            error if is_retriable(error) => {}
            error => return Err(format!("{part:?}: a fetch is answered with error {error}")),
        }
        Ok(())
    }

    fn on_lost(&mut self) {
        self.fetch = None;
    }

    fn is_done(&self) -> bool {
        true
    }

    fn eagerness(&self) -> u64 {
        40
    }
}
