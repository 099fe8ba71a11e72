//! One partition of `__consumer_offsets`, replayed by somebody who only reads it, and what it then says of its groups.

use bytes::Bytes;
use heddle_group::{
    Answer, Ask, ConsumerDescribed, Context, Described, FetchOffsets, FetchedOffset, GroupId, GroupSettings, Groups,
    OffsetOutcome, TopicName, Topics,
};
use heddle_model::{Mono, Now, ShardId, Ticket, TopicId, Wall};

use crate::catalog::Catalog;
use crate::client::admin::KEPT;

/// What is asked of the coordinator and of its mirror.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    Classic(&'static str),
    Modern(&'static str),
    Offsets(&'static str),
}

impl Question {
    pub fn group(self) -> &'static str {
        match self {
            Question::Classic(group) | Question::Modern(group) | Question::Offsets(group) => group,
        }
    }
}

/// Lines that are equal if what they were made of is.
pub type Said = Vec<String>;

pub struct Mirror {
    groups: Groups,
    /// Replayed up to here.
    pub next: i64,
}

impl Default for Mirror {
    fn default() -> Mirror {
        Mirror { groups: Groups::new(GroupSettings::default()), next: 0 }
    }
}

/// A record's key, and its value if it is no tombstone.
pub type Record = (Bytes, Option<Bytes>);

impl Mirror {
    /// `whole`: the log was never compacted, so what each batch leaves is a state that was.
    ///
    /// # Errors
    /// If a record is none that a coordinator writes.
    pub fn replay(&mut self, records: &[Record], next: i64, whole: bool) -> Result<(), String> {
        for (key, value) in records {
            self.groups.replay(key, value.as_deref()).map_err(|malformed| malformed.0.to_string())?;
        }
        if whole {
            self.groups.check();
        }
        self.next = next;
        Ok(())
    }

    pub fn says(&self, question: Question, catalog: &Catalog) -> Said {
        let topics = Known(catalog);
        let context = Context { now: Now { mono: Mono(0), wall: Wall(0) }, topics: &topics, entropy: 0 };
        let ticket = Ticket { home: ShardId(0), slot: 0, generation: 0, part: 0 };
        let mut soft = self.groups.lead(context);
        let group = GroupId::new(question.group());
        let ask = match question {
            Question::Classic(_) => Ask::Describe(group),
            Question::Modern(_) => Ask::ConsumerDescribe(group),
            Question::Offsets(_) => {
                let (member, epoch, topics, require_stable) = (None, None, None, false);
                Ask::FetchOffsets(FetchOffsets { group, member, epoch, topics, require_stable })
            }
        };
        let decision = self.groups.decide(context, ask, ticket, &mut soft);
        match decision.answers.into_iter().next().map(|(_, answer)| answer) {
            Some(Answer::Described(described)) => classic(&described),
            Some(Answer::ConsumerDescribed(described)) => modern(&described),
            Some(Answer::Fetched(topics)) => offsets(&topics),
            _ => Vec::new(),
        }
    }
}

fn classic(described: &Described) -> Said {
    let head = line(&[described.state.name(), described.protocol_type.as_str(), described.protocol.as_str()]);
    let members = described.members.iter().map(|member| {
        let instance = member.instance.as_ref().map_or("-", |instance| instance.as_str());
        let metadata = format!("{:?} {:?}", member.metadata, member.assignment);
        line(&[member.member.as_str(), instance, member.client_id.as_str(), member.client_host.as_str(), &metadata])
    });
    sorted(head, members)
}

fn modern(described: &ConsumerDescribed) -> Said {
    let epochs = format!("{} {}", described.epoch, described.assignment_epoch);
    let head = line(&[described.state.name(), &epochs, described.assignor.as_str()]);
    let members = described.members.iter().map(|member| {
        let instance = member.instance.as_ref().map_or("-", |instance| instance.as_str());
        let parts = |list: &[(TopicName, heddle_group::TopicPartitions)]| {
            let kept = list.iter().filter(|(topic, _)| topic.as_str() == KEPT);
            let all = kept.flat_map(|(topic, item)| {
                item.partitions.iter().map(move |partition| format!("{topic}-{}", partition.0))
            });
            all.collect::<Vec<_>>().join(",")
        };
        let epoch = member.epoch.to_string();
        line(&[member.member.as_str(), instance, &epoch, &parts(&member.assignment), &parts(&member.target)])
    });
    sorted(head, members)
}

fn offsets(topics: &[(TopicName, Vec<FetchedOffset>)]) -> Said {
    let lines = topics.iter().flat_map(|(topic, offsets)| {
        offsets.iter().filter_map(move |fetched| match &fetched.outcome {
            OffsetOutcome::Known(known) => Some(offset_line(topic.as_str(), fetched.partition.0, known.offset.0)),
            OffsetOutcome::Nothing | OffsetOutcome::Pending => None,
        })
    });
    let mut lines: Said = lines.collect();
    lines.sort();
    lines
}

pub fn offset_line(topic: &str, partition: i32, offset: i64) -> String {
    format!("{topic}-{partition} at {offset}")
}

pub fn line(parts: &[&str]) -> String {
    parts.join(" | ")
}

pub fn sorted(head: String, members: impl Iterator<Item = String>) -> Said {
    let mut members: Said = members.collect();
    members.sort();
    members.insert(0, head);
    members
}

/// The topics as the clients know them: enough to give partitions their names.
struct Known<'a>(&'a Catalog);

impl Topics for Known<'_> {
    fn version(&self) -> u64 {
        self.0.topics.len() as u64
    }

    fn by_name(&self, name: &str) -> Option<(TopicId, i32)> {
        let topic = &self.0.topics[self.0.latest(name)?];
        Some((TopicId(topic.id), topic.partitions))
    }

    fn by_id(&self, id: TopicId) -> Option<(TopicName, i32)> {
        let topic = &self.0.topics[self.0.by_id(id.0)?];
        Some((TopicName::new(&topic.name), topic.partitions))
    }

    fn each_name(&self, visit: &mut dyn FnMut(&str)) {
        self.0.topics.iter().for_each(|topic| visit(&topic.name));
    }
}

#[cfg(test)]
mod tests {
    use heddle_group::{ConsumerHeartbeat, MemberId, Soft, TopicPartitions};
    use heddle_model::PartitionIndex;

    use super::*;
    use crate::panics;

    struct OneTopic;

    const TOPIC: TopicId = TopicId(7);

    impl Topics for OneTopic {
        fn version(&self) -> u64 {
            1
        }

        fn by_name(&self, name: &str) -> Option<(TopicId, i32)> {
            (name == KEPT).then_some((TOPIC, 2))
        }

        fn by_id(&self, id: TopicId) -> Option<(TopicName, i32)> {
            (id == TOPIC).then(|| (TopicName::new(KEPT), 2))
        }

        fn each_name(&self, visit: &mut dyn FnMut(&str)) {
            visit(KEPT);
        }
    }

    struct Coordinator {
        groups: Groups,
        soft: Soft,
        batches: Vec<Vec<Record>>,
    }

    impl Coordinator {
        fn beat(&mut self, member: &str, epoch: i32, owned: &[i32]) -> i32 {
            let partitions = owned.iter().copied().map(PartitionIndex).collect();
            let owned = (!owned.is_empty()).then_some(TopicPartitions { topic: TOPIC, partitions });
            let heartbeat = ConsumerHeartbeat {
                group: GroupId::new("g"),
                member: MemberId::new(member),
                epoch,
                instance: None,
                rack: None,
                rebalance_timeout_ms: Some(60_000),
                subscribed: Some(vec![TopicName::new(KEPT)]),
                regex: None,
                assignor: None,
                owned: Some(owned.into_iter().collect()),
                client_id: "c".into(),
                client_host: "h".into(),
            };
            let now = Now { mono: Mono(self.batches.len() as u64 * 10_000_000), wall: Wall(0) };
            let context = Context { now, topics: &OneTopic, entropy: 1 };
            let ticket = Ticket { home: ShardId(0), slot: 1, generation: 0, part: 0 };
            let decision = self.groups.decide(context, Ask::ConsumerHeartbeat(heartbeat), ticket, &mut self.soft);
            for entry in &decision.records {
                self.groups.replay(&entry.key, entry.value.as_deref()).expect("its own record");
            }
            self.batches.push(decision.records.into_iter().map(|entry| (entry.key, entry.value)).collect());
            match decision.answers.as_slice() {
                [(_, Answer::ConsumerHeartbeat(answer))] => answer.epoch,
                other => panic!("{other:?}"),
            }
        }
    }

    /// One member hands a partition to another and leaves. Whoever has read the first batch when the log is compacted finds
    /// the partition with both: what the first gave up is said by a record that its tombstone replaced.
    #[test]
    fn what_the_batches_of_a_compacted_log_leave_in_between_is_no_state_that_was() {
        let mut coordinator =
            Coordinator { groups: Groups::new(GroupSettings::default()), soft: Soft::default(), batches: Vec::new() };
        let first = coordinator.beat("a", 0, &[]);
        let joined = coordinator.beat("b", 0, &[]);
        let asked = coordinator.beat("a", first, &[0, 1]);
        coordinator.beat("a", asked, &[]);
        coordinator.beat("b", joined, &[]);
        coordinator.beat("a", -1, &[]);
        coordinator.groups.check();
        let batches = coordinator.batches;
        let kept = |at: usize, key: &Bytes| batches[at + 1..].iter().flatten().all(|(later, _)| later != key);
        let read = |whole: bool| {
            let mut mirror = Mirror::default();
            mirror.replay(&batches[0], 1, whole)?;
            for (at, batch) in batches.iter().enumerate().skip(1) {
                let left: Vec<Record> = batch.iter().filter(|(key, _)| kept(at, key)).cloned().collect();
                mirror.replay(&left, at as i64 + 1, whole)?;
            }
            mirror.groups.check();
            Ok::<(), String>(())
        };
        assert_eq!(read(false), Ok(()));
        let said = panics::caught(|| read(true)).expect_err("in between two hold one partition");
        assert!(said.contains("each partition is held once"), "{said}");
    }
}
