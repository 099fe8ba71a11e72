//! A client that commits an offset for a group without members and then only looks: the offset goes when
//! `offsets.retention.minutes` have passed, and not before.

use bytes::Bytes;
use heddle_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use heddle_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use heddle_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use heddle_protocol::text;

use super::{find, found, kept};
use crate::check::{Grouped, Seen};
use crate::client::admin::KEPT;
use crate::client::{Cx, Request, Role, UNKNOWN_TOPIC, is_retriable};
use crate::lies::Lie;
use crate::wire;

const COMMIT: (i16, i16) = (8, 9);
const FETCH: (i16, i16) = (9, 8);
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
    fn commit(correlation: i32) -> Bytes {
        let partition = OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(1);
        let topic =
            OffsetCommitRequestTopic::default().with_name(TopicName(text(KEPT))).with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(GROUP)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        wire::frame(COMMIT.0, COMMIT.1, correlation, &request)
    }

    fn fetch(correlation: i32) -> Bytes {
        let topic =
            OffsetFetchRequestTopics::default().with_name(TopicName(text(KEPT))).with_partition_indexes(vec![0]);
        let group =
            OffsetFetchRequestGroup::default().with_group_id(GroupId(text(GROUP))).with_topics(Some(vec![topic]));
        wire::frame(FETCH.0, FETCH.1, correlation, &OffsetFetchRequest::default().with_groups(vec![group]))
    }

    fn on_committed(&mut self, answer: Bytes, sent_us: u64, cx: &mut Cx<'_>) -> Result<i16, String> {
        let response: OffsetCommitResponse = wire::read(answer, COMMIT.1)?;
        let partition = response.topics.first().and_then(|topic| topic.partitions.first());
        let error = partition.ok_or("no partition in OffsetCommit's answer")?.error_code;
        if error == 0 {
            self.stands = true;
            let acked_us = cx.now_us;
            cx.see(Seen::Grouped(Grouped::Resting { sent_us, acked_us }));
        }
        Ok(error)
    }

    fn on_fetched(&mut self, answer: Bytes, sent_us: u64, cx: &mut Cx<'_>) -> Result<i16, String> {
        let response: OffsetFetchResponse = wire::read(answer, FETCH.1)?;
        let group = response.groups.first().ok_or("no group in OffsetFetch's answer")?;
        let partition = group.topics.first().and_then(|topic| topic.partitions.first());
        let error = partition.map_or(group.error_code, |partition| partition.error_code.max(group.error_code));
        if error == 0 {
            let partition = partition.ok_or("no partition in OffsetFetch's answer")?;
            self.stands = partition.committed_offset != -1 && !cx.lies(Lie::ExpiredEarly, 20);
            let (is_there, now_us, boot) = (self.stands, cx.now_us, cx.boot);
            cx.see(Seen::Grouped(Grouped::RestingFound { sent_us, now_us, boot, is_there }));
            self.last_look = cx.draining;
        }
        Ok(error)
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
            Sleeper::fetch(correlation)
        } else {
            self.asked = Some(Asked::Commit(cx.now_us));
            cx.see(Seen::Grouped(Grouped::RestingUnsure));
            Sleeper::commit(correlation)
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
