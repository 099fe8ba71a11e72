//! Reading one file of the ring: its frames in order, what each says to the stories, and what is lost where one cannot be
//! read although it was durable.

use std::collections::BTreeSet;

use bytes::Bytes;
use heddle_model::ReplicaNumber;
use heddle_model::limits::BLOCK_BYTES;

use crate::codec;
use crate::format::{FrameKind, Header};
use crate::image::{Frame, Judged, UseId, frame_at, headers};
use crate::record::{Body, Ordinal};
use crate::replay::{Replay, Use};
use crate::report::Damage;
use crate::shadow::Shadow;
use crate::story::Story;

enum Search {
    Found,
    Torn(u64),
    End,
}

/// The reading of one file.
pub(crate) struct Walk<'a> {
    pub image: &'a Bytes,
    pub found: &'a Use,
    /// The last of its frames that counts, if another file follows.
    pub fence: Option<u64>,
    /// The highest frame of its run that was known durable.
    pub known: u64,
    /// Replay begins with this file.
    pub start: bool,
    /// Replicas that its opening names; `None` once part of the opening is lost, or when it was dealt with.
    pub stated: Option<BTreeSet<ReplicaNumber>>,
    /// The replica that its opening named last: if the opening carries tails, more of its batches follow.
    pub last_stated: Option<ReplicaNumber>,
    pub at: usize,
    pub expected: Option<u64>,
}

impl Walk<'_> {
    fn fits(&self, header: &Header) -> bool {
        self.expected.is_none_or(|expected| header.number == expected)
            && self.fence.is_none_or(|fence| header.number <= fence)
    }

    fn was_durable(&self, number: u64) -> bool {
        self.fence.is_some_and(|fence| number <= fence) || number <= self.known
    }

    /// Does the frame at hand directly follow the last one taken?
    fn chains(&self, last: Option<(u64, Option<u32>)>) -> bool {
        match self.expected {
            Some(_) => true,
            None => !self.start && last.is_some_and(|(number, _)| number == self.found.fence),
        }
    }
}

impl Replay {
    /// Apply one file's frames. True: the torn tail is in it.
    pub(crate) fn walk(&mut self, walk: &mut Walk) -> bool {
        loop {
            if let (Some(expected), Some(fence)) = (walk.expected, walk.fence)
                && expected > fence
            {
                self.end_opening(walk);
                return false;
            }
            let previous_sum = self.last.and_then(|(_, sum)| sum).filter(|_| walk.chains(self.last));
            match frame_at(walk.image, walk.at, walk.found.of, previous_sum) {
                Frame::Readable(header, entries) if walk.fits(&header) => {
                    let whole = entries.iter().all(|entry| entry.good);
                    if !whole && !walk.was_durable(header.number) {
                        return self.drop_from(walk, header.number);
                    }
                    self.take(walk, &header, entries);
                }
                Frame::Unreadable(header) if walk.fits(&header) => {
                    if !walk.was_durable(header.number) {
                        return self.drop_from(walk, header.number);
                    }
                    self.lose(walk, header.number, header.number, header.kind == FrameKind::Opening);
                    let sum = header.sum;
                    self.pass(walk, &header, Some(sum));
                }
                _ => match self.search(walk) {
                    Search::Found => {}
                    Search::Torn(number) => return self.drop_from(walk, number),
                    Search::End => return false,
                },
            }
        }
    }

    /// A frame whose directory can be read and that was durable, or is whole.
    fn take(&mut self, walk: &mut Walk, header: &Header, entries: Vec<Judged>) {
        if header.kind == FrameKind::Records {
            self.end_opening(walk);
        }
        self.report.frames += 1;
        self.report.entries += entries.len() as u64;
        let mut hit = Vec::new();
        for Judged { row, place, good } in entries {
            let body = good.then(|| row.body(walk.image.slice(place))).flatten();
            match (header.kind, body) {
                (FrameKind::Opening, Some(body)) => self.on_stated(walk, row.replica, row.ordinal, body),
                (FrameKind::Opening, None) => {
                    if !row.is_stated_batch() {
                        self.lose_statement(walk);
                    } else if let Some(story) = self.stories.get_mut(&row.replica) {
                        story.lose_stated(&row);
                    }
                    hit.push(row.replica);
                }
                (FrameKind::Records, Some(body)) => self.on_record(walk, row.replica, row.ordinal, body),
                (FrameKind::Records, None) => {
                    let story = self.stories.entry(row.replica);
                    let story = story.or_insert_with(|| Story::new(Shadow::empty(row.ordinal), false));
                    story.expect(row.ordinal);
                    story.lose(&row);
                    hit.push(row.replica);
                }
            }
        }
        if !hit.is_empty() {
            let file = self.paths[&walk.found.slot].clone();
            let number = header.number;
            self.report.damage.push(Damage { file, at: walk.at as u64, first: number, last: number, hit });
        }
        self.pass(walk, header, Some(header.sum));
    }

    fn pass(&mut self, walk: &mut Walk, header: &Header, sum: Option<u32>) {
        self.misses = header.misses;
        self.siblings = header.siblings;
        self.last = Some((header.number, sum));
        walk.expected = Some(header.number + 1);
        walk.at += header.frame_bytes();
    }

    fn on_record(&mut self, walk: &Walk, replica: ReplicaNumber, ordinal: Ordinal, body: Body) {
        if body == Body::Gone {
            self.stories.remove(&replica);
            return;
        }
        let story = self.stories.entry(replica).or_insert_with(|| {
            let begins = matches!(body, Body::Restate { .. });
            let before = Ordinal(ordinal.0.saturating_sub(1));
            let mut story = Story::new(Shadow::empty(before), begins);
            // Its beginning is unknown. If only a checkpoint was lost, the next one tells it.
            if !begins && (self.lost || self.tails_lost || !self.blind) {
                story.miss();
            }
            story
        });
        story.expect(ordinal);
        story.apply(ordinal, body, walk.found.of.file);
    }

    /// An entry of a checkpoint.
    fn on_stated(&mut self, walk: &mut Walk, replica: ReplicaNumber, ordinal: Ordinal, body: Body) {
        let file = walk.found.of.file;
        match body {
            Body::Shadow(bytes) => {
                let Some(stated) = codec::get_shadow(&bytes, ordinal, file) else {
                    self.lose_statement(walk);
                    return;
                };
                if let Some(all) = &mut walk.stated {
                    all.insert(replica);
                }
                walk.last_stated = Some(replica);
                match self.stories.get_mut(&replica) {
                    Some(story) => {
                        story.compare(stated);
                        story.unsure &= !walk.found.tails;
                    }
                    None => {
                        let mut story = Story::new(stated, true);
                        story.shadow.damaged |= (self.lost || self.tails_lost) && !walk.start;
                        // An older file is missing, and perhaps batches with it.
                        story.unsure = self.lost && walk.start && !walk.found.tails;
                        self.stories.insert(replica, story);
                    }
                }
            }
            Body::ShadowBatch(batch) => {
                if let Some(story) = self.stories.get_mut(&replica) {
                    story.add(batch, file);
                }
            }
            _ => {}
        }
    }

    /// Part of an opening cannot be read. It repeats what is known, except where replay begins.
    fn lose_statement(&mut self, walk: &mut Walk) {
        walk.stated = None;
        if walk.start {
            self.blind = true;
            self.tails_lost |= walk.found.tails;
        }
    }

    /// Whole frames of an opening cannot be read. If it carries tails, batches of the replica named last may stand there.
    fn lose_statements(&mut self, walk: &mut Walk) {
        self.lose_statement(walk);
        let last = walk.last_stated.take().filter(|_| walk.found.tails);
        if let Some(story) = last.and_then(|last| self.stories.get_mut(&last)) {
            if walk.start {
                story.miss();
            } else {
                story.unsure = true;
            }
        }
    }

    /// The opening is over. If all of it could be read, whoever it does not name is gone.
    fn end_opening(&mut self, walk: &mut Walk) {
        if let Some(all) = walk.stated.take().filter(|_| !walk.start) {
            self.stories.retain(|replica, _| all.contains(replica));
            self.report.may_miss_replicas = !self.hidden.is_empty();
        }
    }

    /// Frames that were durable and cannot be read at all.
    fn lose(&mut self, walk: &mut Walk, first: u64, last: u64, opening: bool) {
        let file = self.paths[&walk.found.slot].clone();
        self.report.damage.push(Damage { file, at: walk.at as u64, first, last, hit: Vec::new() });
        if first < walk.found.records_from {
            self.lose_statements(walk);
        } else {
            // The opening comes before the loss and says nothing of it.
            self.end_opening(walk);
        }
        if !opening && last >= walk.found.records_from {
            self.lost = true;
            self.report.may_miss_replicas = true;
            for story in self.stories.values_mut() {
                story.suspect = true;
            }
        } else if walk.start {
            self.report.may_miss_replicas = true;
        }
    }

    /// No frame is where one should be.
    fn search(&mut self, walk: &mut Walk) -> Search {
        if let Some(expected) = walk.expected.filter(|expected| !walk.was_durable(*expected)) {
            return Search::Torn(expected);
        }
        let from = walk.at + BLOCK_BYTES;
        let later = |header: &Header| {
            UseId::of(header) == walk.found.of
                && walk.expected.is_none_or(|expected| header.number > expected)
                && walk.fence.is_none_or(|fence| header.number <= fence)
        };
        let found = headers(walk.image, from).find(|(_, header)| later(header));
        let first = walk.expected.unwrap_or(walk.found.fence + 1);
        let Some((at, header)) = found else {
            // A use counts only if its opening is whole or known durable, so one of the two bounds the loss.
            let last = walk.fence.unwrap_or(walk.known).max(first);
            self.lose(walk, first, last, false);
            self.last = Some((last, None));
            return match walk.fence {
                Some(_) => Search::End,
                None => Search::Torn(last + 1),
            };
        };
        self.lose(walk, first, header.number - 1, false);
        self.last = Some((header.number - 1, None));
        walk.at = at;
        walk.expected = Some(header.number);
        Search::Found
    }

    /// Frame `number` is torn: it and the rest of its run do not count.
    fn drop_from(&mut self, walk: &mut Walk, number: u64) -> bool {
        self.end_opening(walk);
        let dropped = headers(walk.image, walk.at)
            .filter(|(_, header)| UseId::of(header) == walk.found.of && header.number >= number);
        self.report.frames_dropped += dropped.count() as u64;
        true
    }
}
