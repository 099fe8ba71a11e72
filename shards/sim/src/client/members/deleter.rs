//! A client that commits offsets for a group without members, deletes them one by one or with the group, and looks
//! whether they stay deleted (trap 32).

use bytes::Bytes;
use heddle_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use heddle_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, GroupId, OffsetDeleteRequest, OffsetDeleteResponse, TopicName,
};
use heddle_protocol::text;

use super::offsets::{Name, Offsets};
use super::{GROUP_NOT_FOUND, LONER, PACE_MS, find, found, is_definite, kept};
use crate::check::{Grouped, Seen};
use crate::client::admin::KEPT;
use crate::client::{Cx, Request, Role, UNKNOWN_TOPIC, is_retriable};
use crate::wire;

const DELETE_OFFSETS: (i16, i16) = (47, 0);
const DELETE_GROUPS: (i16, i16) = (42, 2);
const NAME: Name<'static> = Name { group: LONER, member: "", instance: None, generation: -1 };

#[derive(Debug)]
enum Asked {
    Find,
    Commit,
    Fetch,
    DeleteOffset,
    DeleteGroup,
}

#[derive(Default)]
pub struct Deleter {
    found: bool,
    asked: Option<Asked>,
    offsets: Offsets,
    /// Deletions under way.
    writes: Vec<u64>,
    last_look: bool,
}

impl Deleter {
    fn delete(&mut self, partitions: &[i32], cx: &mut Cx<'_>) {
        self.writes.clear();
        for partition in partitions {
            let write = *cx.next_number;
            *cx.next_number += 1;
            self.writes.push(write);
            let asked = Grouped::OffsetAsked { write, group: LONER, partition: *partition, offset: None };
            cx.see(Seen::Grouped(asked));
        }
    }

    fn delete_offset(&mut self, partition: i32, correlation: i32, cx: &mut Cx<'_>) -> Request {
        self.asked = Some(Asked::DeleteOffset);
        self.delete(&[partition], cx);
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(partition);
        let topic =
            OffsetDeleteRequestTopic::default().with_name(TopicName(text(KEPT))).with_partitions(vec![partition]);
        let request = OffsetDeleteRequest::default().with_group_id(GroupId(text(LONER))).with_topics(vec![topic]);
        Request { frame: wire::frame(DELETE_OFFSETS.0, DELETE_OFFSETS.1, correlation, &request), answered: true }
    }

    fn delete_group(&mut self, partitions: i32, correlation: i32, cx: &mut Cx<'_>) -> Request {
        self.asked = Some(Asked::DeleteGroup);
        self.delete(&(0..partitions).collect::<Vec<i32>>(), cx);
        let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(LONER))]);
        Request { frame: wire::frame(DELETE_GROUPS.0, DELETE_GROUPS.1, correlation, &request), answered: true }
    }

    fn on_deleted(&mut self, error: i16, cx: &mut Cx<'_>) {
        // A group that is not there has no offsets.
        let applied = error == 0 || error == GROUP_NOT_FOUND;
        for write in std::mem::take(&mut self.writes) {
            if applied || is_definite(error) {
                cx.see(Seen::Grouped(Grouped::OffsetSettled { write, applied }));
            }
        }
        self.offsets.forget();
    }
}

impl Role for Deleter {
    fn next(&mut self, correlation: i32, cx: &mut Cx<'_>) -> Option<Request> {
        if self.asked.is_some() || (cx.draining && self.last_look) {
            return None;
        }
        let Some((partitions, _)) = kept(cx) else {
            self.last_look = cx.draining;
            return None;
        };
        if !self.found {
            self.asked = Some(Asked::Find);
            return Some(find(LONER, correlation));
        }
        let all: Vec<i32> = (0..partitions).collect();
        let some = cx.dice.below(partitions as u64) as i32;
        match cx.dice.below(10) {
            _ if cx.draining || !self.offsets.unknown(&all).is_empty() => {
                self.asked = Some(Asked::Fetch);
                Some(self.offsets.fetch(LONER, all, correlation))
            }
            0 => Some(self.delete_group(partitions, correlation, cx)),
            1..=3 => Some(self.delete_offset(some, correlation, cx)),
            4..=5 => {
                self.offsets.forget();
                None
            }
            _ => {
                self.asked = Some(Asked::Commit);
                Some(self.offsets.commit(NAME, &[some], correlation, cx))
            }
        }
    }

    fn on_answer(&mut self, _: i32, answer: Bytes, asked: u64, cx: &mut Cx<'_>) -> Result<(), String> {
        let taken = self.asked.take().ok_or("an answer without a question")?;
        let error = match taken {
            Asked::Find => {
                let error = found(answer)?;
                self.found = error == 0;
                error
            }
            Asked::Commit => self.offsets.on_committed(NAME, answer, asked, cx)?,
            Asked::Fetch => {
                let error = self.offsets.on_fetched(LONER, answer, asked, cx)?;
                self.last_look = cx.draining && error == 0;
                error
            }
            Asked::DeleteOffset => {
                let response: OffsetDeleteResponse = wire::read(answer, DELETE_OFFSETS.1)?;
                let partition = response.topics.first().and_then(|topic| topic.partitions.first());
                let error = partition.map_or(response.error_code, |partition| partition.error_code);
                let error = if response.error_code == 0 { error } else { response.error_code };
                self.on_deleted(error, cx);
                error
            }
            Asked::DeleteGroup => {
                let response: DeleteGroupsResponse = wire::read(answer, DELETE_GROUPS.1)?;
                let error = response.results.first().ok_or("no group in DeleteGroups' answer")?.error_code;
                self.on_deleted(error, cx);
                error
            }
        };
        cx.say(|| format!("{LONER}: {taken:?} is answered with error {error}"));
        cx.rest_ms = PACE_MS;
        match error {
            0 | GROUP_NOT_FOUND => Ok(()),
            UNKNOWN_TOPIC if cx.checkers.loss_reported => Ok(()),
            error if is_retriable(error) => Ok(()),
            error => Err(format!("{LONER}: {taken:?} is answered with error {error}")),
        }
    }

    fn on_lost(&mut self) {
        (self.asked, self.found, self.last_look) = (None, false, false);
        self.writes.clear();
        self.offsets.on_lost();
    }

    fn is_done(&self) -> bool {
        self.asked.is_none() && self.last_look
    }

    fn eagerness(&self) -> u64 {
        20
    }
}
