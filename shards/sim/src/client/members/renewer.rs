//! A client that commits offsets for a topic that is deleted and created again under its name: what was committed for
//! one goes with it, and is not there for the next.

use bytes::Bytes;
use heddle_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use heddle_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use heddle_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use heddle_protocol::text;

use super::{find, found, is_definite};
use crate::check::{Grouped, Seen};
use crate::client::{Cx, Request, Role, UNKNOWN_TOPIC, is_retriable};
use crate::lies::Lie;
use crate::wire;

const COMMIT: (i16, i16) = (8, 9);
const FETCH: (i16, i16) = (9, 8);
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

    fn commit(topic: &str, write: u64, correlation: i32) -> Bytes {
        let offset = write as i64;
        let partition = OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(offset);
        let topic =
            OffsetCommitRequestTopic::default().with_name(TopicName(text(topic))).with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(GROUP)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        wire::frame(COMMIT.0, COMMIT.1, correlation, &request)
    }

    fn fetch(topic: &str, correlation: i32) -> Bytes {
        let topic =
            OffsetFetchRequestTopics::default().with_name(TopicName(text(topic))).with_partition_indexes(vec![0]);
        let group =
            OffsetFetchRequestGroup::default().with_group_id(GroupId(text(GROUP))).with_topics(Some(vec![topic]));
        wire::frame(FETCH.0, FETCH.1, correlation, &OffsetFetchRequest::default().with_groups(vec![group]))
    }

    fn on_committed(answer: Bytes, write: u64, cx: &mut Cx<'_>) -> Result<i16, String> {
        let response: OffsetCommitResponse = wire::read(answer, COMMIT.1)?;
        let partition = response.topics.first().and_then(|topic| topic.partitions.first());
        let error = partition.ok_or("no partition in OffsetCommit's answer")?.error_code;
        if error == 0 || is_definite(error) {
            cx.see(Seen::Grouped(Grouped::RenewedSettled { write }));
        }
        Ok(error)
    }

    fn on_fetched(&mut self, answer: Bytes, born: u64, cx: &mut Cx<'_>) -> Result<i16, String> {
        let response: OffsetFetchResponse = wire::read(answer, FETCH.1)?;
        let group = response.groups.first().ok_or("no group in OffsetFetch's answer")?;
        let partition = group.topics.first().and_then(|topic| topic.partitions.first());
        let error = partition.map_or(group.error_code, |partition| partition.error_code.max(group.error_code));
        if error == 0 {
            let offset = partition.ok_or("no partition in OffsetFetch's answer")?.committed_offset;
            let mut write = u64::try_from(offset).ok();
            if cx.lie == Some(Lie::OffsetsOutlive) {
                write = write.or(self.last.map(|(write, _)| write));
            }
            let boot = cx.boot;
            cx.see(Seen::Grouped(Grouped::RenewedFound { write, born, boot }));
            self.is_clear = write.is_none_or(|write| self.last == Some((write, born)));
            self.looks += usize::from(cx.draining);
        }
        Ok(error)
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
            Renewer::commit(&topic, write, correlation)
        } else {
            self.asked = Some(Asked::Fetch(born));
            Renewer::fetch(&topic, correlation)
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
