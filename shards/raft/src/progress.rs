//! What a leader knows of one peer.

use crate::{ConfigId, LINES_MAX};
use heddle_model::{Offset, Point};
use std::collections::VecDeque;

/// Appends under way to one peer before it must acknowledge.
const IN_FLIGHT_MAX: usize = 64;

/// What an append tells beside the log itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct News {
    pub commit: Offset,
    pub config: ConfigId,
    pub log_start: Offset,
    pub log_start_safe: Offset,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The next append starts here.
    pub next: Point,
    /// The peer holds the log durably up to here, as it said in this term.
    pub acked: Option<Point>,
    /// The configuration that the peer holds durably.
    pub config: ConfigId,
    /// The log start that the peer holds durably.
    pub log_start: Offset,
    pub(crate) pace: Pace,
    /// The replica was asked for an append and has not fetched its header yet.
    pub(crate) wanted: bool,
    pub(crate) told: Option<News>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Pace {
    /// It is not known whether the peer contains `next`: one append at a time.
    Probing { outstanding: bool },
    /// The peer follows: appends are sent ahead of their acknowledgements. Their ends, oldest first.
    Streaming { in_flight: VecDeque<Point> },
}

impl Progress {
    pub(crate) fn new(next: Point) -> Progress {
        Progress {
            next,
            acked: None,
            config: ConfigId::default(),
            log_start: Offset::ZERO,
            pace: Pace::Probing { outstanding: false },
            wanted: false,
            told: None,
        }
    }

    /// Whether an append may be sent now and would say something new.
    pub(crate) fn is_due(&self, end: Point, news: News) -> bool {
        if self.wanted {
            return false;
        }
        match &self.pace {
            Pace::Probing { outstanding } => !outstanding,
            Pace::Streaming { in_flight } => {
                in_flight.len() < IN_FLIGHT_MAX && (self.next < end || self.told != Some(news))
            }
        }
    }

    pub(crate) fn on_sent(&mut self, to: Point, news: News) {
        self.wanted = false;
        self.told = Some(news);
        match &mut self.pace {
            Pace::Probing { outstanding } => *outstanding = true,
            Pace::Streaming { in_flight } => {
                if to > self.next {
                    in_flight.push_back(to);
                    self.next = to;
                }
            }
        }
    }

    pub(crate) fn on_ack(&mut self, at: Point) {
        self.acked = self.acked.max(Some(at));
        self.next = self.next.max(at);
        match &mut self.pace {
            Pace::Probing { .. } => self.pace = Pace::Streaming { in_flight: VecDeque::new() },
            Pace::Streaming { in_flight } => {
                while in_flight.front().is_some_and(|end| *end <= at) {
                    in_flight.pop_front();
                }
            }
        }
    }

    /// Whether a rejection of an append from `from` is news, and not about one that was overtaken.
    pub(crate) fn is_rejection_current(&self, from: Point) -> bool {
        match self.pace {
            Pace::Probing { .. } => from == self.next,
            Pace::Streaming { .. } => Some(from) > self.acked && from <= self.next,
        }
    }

    /// Starts over from `next`, one append at a time.
    pub(crate) fn probe(&mut self, next: Point) {
        self.next = next;
        self.pace = Pace::Probing { outstanding: false };
        self.told = None;
    }
}

/// How far one append from `from` can reach, given the lines above `from.term`.
pub(crate) fn reach(lines: &[(heddle_model::Term, Offset)], end: Offset) -> Offset {
    lines.get(LINES_MAX).map_or(end, |line| line.1)
}
