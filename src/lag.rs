//! How far consumer groups are behind, and what went through each topic. Each core tells in pages what its groups have
//! committed, then where its partitions end and what they saw; here, off all cores' turns, one is taken from the other,
//! and partitions are summed up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use heddle_group::{Commit, GroupKind, GroupState};
use heddle_model::{Offset, PartitionIndex, ShardId};
use heddle_shard::{Mail, Survey, SurveyPage, Traffic};

use crate::run::Cores;

#[derive(Default)]
pub struct Lag {
    states: BTreeMap<(GroupKind, GroupState), usize>,
    committed: Vec<Commit>,
    ends: HashMap<Arc<str>, HashMap<PartitionIndex, Offset>>,
    topics: BTreeMap<Arc<str>, Topic>,
}

/// A topic's partitions of this broker together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Topic {
    pub bytes: u64,
    pub traffic: Traffic,
}

impl Lag {
    /// What all cores say, page by page. `None`: a core does not answer, and part of a sum would say something wrong.
    ///
    /// Commits are read before ends, as kafka-consumer-groups does: what is committed in between is not behind the end.
    pub fn ask(cores: &Cores, id: u64, mut hear: impl FnMut() -> Option<(ShardId, SurveyPage)>) -> Option<Lag> {
        let mut lag = Lag::default();
        for first in [Survey::groups(), Survey::partitions()] {
            let mut unfinished = cores.stats().len();
            for shard in 0..unfinished {
                cores.mail(ShardId(shard as u16), Mail::Survey { id, from: first.clone() });
            }
            while unfinished > 0 {
                let (shard, page) = hear()?;
                match lag.take(page) {
                    Some(from) => cores.mail(shard, Mail::Survey { id, from }),
                    None => unfinished -= 1,
                }
            }
        }
        Some(lag)
    }

    fn take(&mut self, page: SurveyPage) -> Option<Survey> {
        for (state, count) in page.states {
            *self.states.entry(state).or_insert(0) += count;
        }
        self.committed.extend(page.committed);
        for partition in page.partitions {
            let topic = self.topics.entry(partition.topic.clone()).or_default();
            topic.bytes += partition.bytes;
            topic.traffic.received_bytes += partition.traffic.received_bytes;
            topic.traffic.received_records += partition.traffic.received_records;
            topic.traffic.sent_bytes += partition.traffic.sent_bytes;
            if let Some(end) = partition.end {
                self.ends.entry(partition.topic).or_default().insert(partition.index, end);
            }
        }
        page.next
    }

    /// Every state that a group of either kind can be seen in, with how many are: none is told as 0.
    pub fn states(&self) -> impl Iterator<Item = (GroupKind, GroupState, usize)> {
        use GroupState::{Assigning, CompletingRebalance, Empty, PreparingRebalance, Reconciling, Stable};
        let classic = [Empty, PreparingRebalance, CompletingRebalance, Stable].map(|state| (GroupKind::Classic, state));
        let consumer = [Empty, Assigning, Reconciling, Stable].map(|state| (GroupKind::Consumer, state));
        let all = classic.into_iter().chain(consumer);
        all.map(|(kind, state)| (kind, state, self.states.get(&(kind, state)).copied().unwrap_or(0)))
    }

    pub fn topics(&self) -> &BTreeMap<Arc<str>, Topic> {
        &self.topics
    }

    pub fn committed(&self) -> &[Commit] {
        &self.committed
    }

    /// Records between what is committed and the partition's end, as kafka-consumer-groups counts them. `None`: this
    /// broker does not lead the partition, or there is none.
    pub fn of(&self, commit: &Commit) -> Option<i64> {
        let end = self.ends.get(commit.topic.as_str())?.get(&commit.partition)?;
        Some(end.0 - commit.offset.0)
    }
}

#[cfg(test)]
mod tests {
    use heddle_shard::SurveyedPartition;

    use super::*;

    fn commit(topic: &str, partition: i32, offset: i64) -> Commit {
        Commit { group: "g".into(), topic: topic.into(), partition: PartitionIndex(partition), offset: Offset(offset) }
    }

    #[test]
    fn lag_is_the_end_less_what_is_committed() {
        let mut lag = Lag::default();
        let states = BTreeMap::from([((GroupKind::Classic, GroupState::Stable), 2)]);
        let committed = vec![commit("t", 0, 7), commit("t", 1, 10), commit("gone", 0, 1)];
        let next = Some(Survey::partitions());
        let page = SurveyPage { states: states.clone(), committed, partitions: Vec::new(), next: next.clone() };
        assert_eq!(lag.take(page), next);
        // Another core's.
        let traffic = Traffic { received_bytes: 5, received_records: 1, sent_bytes: 50 };
        let partition = |index, end| SurveyedPartition {
            topic: "t".into(),
            index: PartitionIndex(index),
            end,
            bytes: 100,
            traffic,
        };
        let ten = Some(Offset(10));
        let partitions = vec![partition(0, ten), partition(1, ten), partition(2, None)];
        assert_eq!(lag.take(SurveyPage { states, partitions, ..SurveyPage::default() }), None);
        let traffic = Traffic { received_bytes: 15, received_records: 3, sent_bytes: 150 };
        assert_eq!(lag.topics().get("t"), Some(&Topic { bytes: 300, traffic }));
        let lags: Vec<Option<i64>> = lag.committed().iter().map(|commit| lag.of(commit)).collect();
        assert_eq!(lags, [Some(3), Some(0), None]);
        let told: Vec<usize> = lag.states().map(|(_, _, count)| count).collect();
        assert_eq!(told, [0, 0, 0, 4, 0, 0, 0, 0]);
    }
}
