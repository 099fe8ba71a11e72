//! A member's positions: committed, and fetched when partitions come to it.

use std::collections::BTreeMap;

use bytes::Bytes;
use heddle_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use heddle_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use heddle_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use heddle_protocol::text;

use super::is_definite;
use crate::check::{Grouped, Seen};
use crate::client::admin::KEPT;
use crate::client::{Cx, Request};
use crate::lies::Lie;
use crate::wire;

const COMMIT: (i16, i16) = (8, 9);
const FETCH: (i16, i16) = (9, 8);

/// In whose name a commit is made.
#[derive(Clone, Copy)]
pub struct Name<'a> {
    pub group: &'a str,
    pub member: &'a str,
    pub instance: Option<&'a str>,
    /// Generation or member epoch; -1 for who is no member.
    pub generation: i32,
}

#[derive(Default)]
pub struct Offsets {
    /// `None`: nothing is committed.
    known: BTreeMap<i32, Option<i64>>,
    /// The commits under way: number, partition, offset.
    writes: Vec<(u64, i32, i64)>,
    /// Partitions asked for.
    asked: Vec<i32>,
}

impl Offsets {
    /// Positions are not known any more: others may have moved them.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    pub fn unknown(&self, owned: &[i32]) -> Vec<i32> {
        owned.iter().copied().filter(|partition| !self.known.contains_key(partition)).collect()
    }

    /// Further on in each of the partitions; now and then back, on purpose.
    pub fn commit(&mut self, name: Name<'_>, partitions: &[i32], correlation: i32, cx: &mut Cx<'_>) -> Request {
        self.writes.clear();
        let mut listed = Vec::with_capacity(partitions.len());
        for partition in partitions {
            // Never an offset that stood there before something was deleted.
            let known = self.known.get(partition).copied().flatten().unwrap_or(*cx.next_number as i64);
            let back = cx.dice.chance(5);
            let offset = if back { (known - 10).max(1) } else { known + 1 + cx.dice.below(4) as i64 };
            let write = *cx.next_number;
            *cx.next_number += 1;
            self.writes.push((write, *partition, offset));
            cx.see(Seen::Grouped(Grouped::OffsetAsked {
                write,
                group: name.group,
                partition: *partition,
                offset: Some(offset),
            }));
            listed.push(
                OffsetCommitRequestPartition::default().with_partition_index(*partition).with_committed_offset(offset),
            );
        }
        let topic = OffsetCommitRequestTopic::default().with_name(TopicName(text(KEPT))).with_partitions(listed);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(name.group)))
            .with_generation_id_or_member_epoch(name.generation)
            .with_member_id(text(name.member))
            .with_group_instance_id(name.instance.map(text))
            .with_topics(vec![topic]);
        Request { frame: wire::frame(COMMIT.0, COMMIT.1, correlation, &request), answered: true }
    }

    /// The error that says what to do: the first.
    pub fn on_committed(&mut self, name: Name<'_>, answer: Bytes, asked: u64, cx: &mut Cx<'_>) -> Result<i16, String> {
        let response: OffsetCommitResponse = wire::read(answer, COMMIT.1)?;
        let answered = response.topics.first().map(|topic| topic.partitions.clone()).unwrap_or_default();
        let mut worst = 0;
        for (write, partition, offset) in std::mem::take(&mut self.writes) {
            let found = answered.iter().find(|answered| answered.partition_index == partition);
            let mut error = found.ok_or("a partition is missing in OffsetCommit's answer")?.error_code;
            if error != 0 && is_definite(error) && cx.lies(Lie::FenceForgotten, 30) {
                error = 0;
            }
            if error == 0 {
                self.known.insert(partition, Some(offset));
                cx.see(Seen::Grouped(Grouped::CommittedAs { group: name.group, generation: name.generation, asked }));
            }
            if error == 0 || is_definite(error) {
                cx.see(Seen::Grouped(Grouped::OffsetSettled { write, applied: error == 0 }));
            }
            worst = if worst == 0 { error } else { worst };
        }
        cx.say(|| format!("{} {}: commit is answered with error {worst}", name.group, name.member));
        Ok(worst)
    }

    pub fn fetch(&mut self, group: &str, partitions: Vec<i32>, correlation: i32) -> Request {
        self.asked = partitions.clone();
        let topic =
            OffsetFetchRequestTopics::default().with_name(TopicName(text(KEPT))).with_partition_indexes(partitions);
        let group =
            OffsetFetchRequestGroup::default().with_group_id(GroupId(text(group))).with_topics(Some(vec![topic]));
        let request = OffsetFetchRequest::default().with_groups(vec![group]);
        Request { frame: wire::frame(FETCH.0, FETCH.1, correlation, &request), answered: true }
    }

    pub fn on_fetched(&mut self, group: &str, answer: Bytes, asked: u64, cx: &mut Cx<'_>) -> Result<i16, String> {
        let response: OffsetFetchResponse = wire::read(answer, FETCH.1)?;
        let answered = response.groups.first().ok_or("no group in OffsetFetch's answer")?;
        if answered.error_code != 0 {
            return Ok(answered.error_code);
        }
        let listed = answered.topics.first().map(|topic| topic.partitions.clone()).unwrap_or_default();
        for partition in std::mem::take(&mut self.asked) {
            let found = listed.iter().find(|listed| listed.partition_index == partition);
            let found = found.ok_or("a partition is missing in OffsetFetch's answer")?;
            if found.error_code != 0 {
                return Ok(found.error_code);
            }
            let mut offset = found.committed_offset;
            if offset == -1 && cx.lies(Lie::ZeroForNothing, 50) {
                offset = 0;
            }
            let offset = (offset != -1).then_some(offset);
            cx.say(|| format!("{group}: {partition} is at {offset:?}"));
            cx.see(Seen::Grouped(Grouped::OffsetFound { group, partition, asked, offset }));
            self.known.insert(partition, offset);
        }
        Ok(0)
    }

    /// The connection ended: nobody knows what became of the commits.
    pub fn on_lost(&mut self) {
        self.writes.clear();
        self.asked.clear();
        self.forget();
    }
}
