//! What the groups of this core have committed, and where its partitions end, the two halves of every consumer's lag; and
//! what went through its partitions. Told in pages to the admin server, which takes one half from the other and sums up by
//! topic; the core that keeps a group's offsets need not be the one that keeps the partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use heddle_group::{Bookmark, Commit, GroupKind, GroupState};
use heddle_model::{Offset, PartitionIndex};
use heddle_partition::Traffic;

use crate::turn::Shard;

/// Groups, members and committed offsets of one page, and replicas of one page: a fraction of a millisecond each.
const ITEMS_A_PAGE: usize = 1_000;
const REPLICAS_A_PAGE: usize = 2_000;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Survey {
    /// Groups and their committed offsets, of the partition of `__consumer_offsets` and from the place in it.
    Groups(PartitionIndex, Bookmark),
    /// Partitions, from this slot of a replica.
    Partitions(usize),
}

impl Survey {
    /// From the first group of the first partition.
    pub fn groups() -> Survey {
        Survey::Groups(PartitionIndex(0), Bookmark::default())
    }

    /// From the first replica.
    pub fn partitions() -> Survey {
        Survey::Partitions(0)
    }
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SurveyPage {
    pub states: BTreeMap<(GroupKind, GroupState), usize>,
    pub committed: Vec<Commit>,
    pub partitions: Vec<SurveyedPartition>,
    /// What to ask next; `None`: all is told.
    pub next: Option<Survey>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SurveyedPartition {
    pub topic: Arc<str>,
    pub index: PartitionIndex,
    /// The high watermark, if this core leads: what kafka-consumer-groups calls the log end offset.
    pub end: Option<Offset>,
    pub bytes: u64,
    pub traffic: Traffic,
}

pub(crate) fn survey(shard: &Shard, from: Survey) -> SurveyPage {
    match from {
        Survey::Groups(partition, from) => groups(shard, partition, &from),
        Survey::Partitions(from) => partitions(shard, from),
    }
}

/// A page of one partition's groups: one that has few ends the page early, which costs a letter and no more.
fn groups(shard: &Shard, partition: PartitionIndex, from: &Bookmark) -> SurveyPage {
    let rooms = || shard.coordinators.group_rooms();
    let Some((at, room)) = rooms().find(|(index, _)| *index >= partition) else { return SurveyPage::default() };
    let start = Bookmark::default();
    let from = if at == partition { from } else { &start };
    let page = room.survey(from, ITEMS_A_PAGE);
    let behind = || rooms().find(|(index, _)| *index > at).map(|(index, _)| (index, Bookmark::default()));
    let next = page.next.map(|bookmark| (at, bookmark)).or_else(behind);
    SurveyPage {
        states: page.states,
        committed: page.committed,
        partitions: Vec::new(),
        next: next.map(|(index, bookmark)| Survey::Groups(index, bookmark)),
    }
}

fn partitions(shard: &Shard, from: usize) -> SurveyPage {
    let until = from.saturating_add(REPLICAS_A_PAGE).min(shard.replicas.len());
    let replicas = shard.replicas.get(from..until).unwrap_or_default().iter().flatten();
    let of = |replica: &heddle_partition::Replica| {
        let partition = replica.partition();
        Some(SurveyedPartition {
            topic: shard.image.topic_by_id(partition.topic)?.name.clone(),
            index: partition.index,
            end: replica.is_serving().then(|| replica.high_watermark()),
            bytes: replica.bytes(),
            traffic: replica.traffic(),
        })
    };
    SurveyPage {
        partitions: replicas.filter_map(|replica| of(replica)).collect(),
        next: (until < shard.replicas.len()).then_some(Survey::Partitions(until)),
        ..SurveyPage::default()
    }
}
