//! The one client that creates and deletes topics and records, and looks whether they are there.

use std::collections::BTreeSet;

use bytes::Bytes;
use heddle_model::Codec;
use heddle_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use heddle_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use heddle_protocol::messages::delete_topics_request::DeleteTopicState;
use heddle_protocol::messages::metadata_request::MetadataRequestTopic;
use heddle_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, MetadataRequest, MetadataResponse, TopicName,
};
use heddle_protocol::{Uuid, text};

use super::{Cx, Request, Role, UNKNOWN_TOPIC, UNKNOWN_TOPIC_ID, is_retriable};
use crate::catalog::{State, Topic};
use crate::check::{Part, Seen};
use crate::plan::Trouble;
use crate::wire;

const METADATA: (i16, i16) = (3, 12);
const CREATE: (i16, i16) = (19, 7);
const DELETE: (i16, i16) = (20, 6);
const CUT: (i16, i16) = (21, 2);
const TOPIC_EXISTS: i16 = 36;
const OUT_OF_RANGE: i16 = 1;

/// The name of a topic that is never deleted.
pub const KEPT: &str = "kept";

#[derive(Debug)]
enum Asked {
    Look(String),
    Create(usize, String),
    Delete(usize, String),
    Cut(Part),
}

/// Configs of a topic that is compacted, with times that pass within a life.
fn compacted(expires: bool, cx: &mut Cx<'_>) -> Vec<(&'static str, String)> {
    let mut one_of = |choices: [i64; 3]| choices[cx.dice.below(3) as usize].to_string();
    let mut configs = vec![
        ("cleanup.policy", if expires { "compact,delete" } else { "compact" }.to_string()),
        ("segment.ms", one_of([60, 200, 600])),
        ("min.cleanable.dirty.ratio", "0.0".to_string()),
        ("delete.retention.ms", one_of([0, 1_500, 86_400_000])),
        ("min.compaction.lag.ms", one_of([0, 0, 700])),
        ("file.delete.delay.ms", one_of([0, 500, 60_000])),
    ];
    if expires {
        configs.push(("retention.ms", one_of([2_000, 5_000, 86_400_000])));
    }
    configs
}

#[derive(Default)]
pub struct Admin {
    asked: Option<Asked>,
    /// Names to look at before anything else: what was asked when the node died happened or did not.
    unsure: BTreeSet<String>,
    /// Names whose last request was answered with an error that promises nothing: it may still happen in this life.
    foggy: BTreeSet<String>,
    looks: u64,
}

impl Admin {
    fn names(cx: &Cx<'_>) -> Vec<String> {
        let kind = if cx.plan.keys.is_some() { "compacted" } else { "topic" };
        let others = (1..cx.plan.topics).map(|at| format!("{kind}-{at}"));
        std::iter::once(KEPT.to_string()).chain(others).collect()
    }

    fn look(&mut self, name: String, correlation: i32) -> Request {
        let topic = MetadataRequestTopic::default().with_name(Some(TopicName(text(&name))));
        let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
        self.asked = Some(Asked::Look(name));
        Request { frame: wire::frame(METADATA.0, METADATA.1, correlation, &request), answered: true }
    }

    fn create(&mut self, name: String, correlation: i32, cx: &mut Cx<'_>) -> Request {
        let partitions = 1 + cx.dice.below(cx.plan.partitions as u64) as i32;
        let (codec, recode) = match cx.dice.below(6) {
            0 => (Codec::Lz4, None),
            1 => (Codec::None, Some("lz4")),
            2 => (Codec::Gzip, Some("snappy")),
            _ => (Codec::None, None),
        };
        let mut topic = CreatableTopic::default()
            .with_name(TopicName(text(&name)))
            .with_num_partitions(partitions)
            .with_replication_factor(1);
        let mut configs: Vec<(&str, String)> =
            recode.map(|codec| ("compression.type", codec.into())).into_iter().collect();
        let keys = cx.plan.keys.filter(|_| name != KEPT);
        let expires = keys.is_some() && name.ends_with('2');
        if keys.is_some() {
            configs.extend(compacted(expires, cx));
        }
        let wait = configs.iter().find(|(name, _)| *name == "delete.retention.ms");
        let delete_retention_ms = wait.filter(|_| !cx.plan.has(Trouble::ClockJump)).and_then(|(_, ms)| ms.parse().ok());
        let config = |(name, value): (&str, String)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(&value)))
        };
        topic = topic.with_configs(configs.into_iter().map(config).collect());
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let (at, recoded) = (cx.catalog.topics.len(), recode.is_some());
        self.asked = Some(Asked::Create(at, name.clone()));
        cx.catalog.topics.push(Topic {
            name,
            id: 0,
            partitions,
            state: State::Creating,
            asked: cx.at,
            since: 0,
            codec,
            recoded,
            keys,
            delete_retention_ms,
            expires,
        });
        cx.catalog.describe(at).into_iter().for_each(|seen| cx.see(seen));
        Request { frame: wire::frame(CREATE.0, CREATE.1, correlation, &request), answered: true }
    }

    fn delete(&mut self, at: usize, correlation: i32, cx: &mut Cx<'_>) -> Request {
        let topic = &mut cx.catalog.topics[at];
        topic.state = State::Deleting;
        cx.catalog.deleting = Some(cx.at);
        let topic = &cx.catalog.topics[at];
        let (partitions, name) = (topic.partitions, topic.name.clone());
        let state = DeleteTopicState::default().with_name(None).with_topic_id(Uuid::from_u128(topic.id));
        let request = DeleteTopicsRequest::default().with_topics(vec![state]).with_timeout_ms(10_000);
        cx.see(Seen::TopicDeleteAsked { topic: at, partitions });
        self.asked = Some(Asked::Delete(at, name));
        Request { frame: wire::frame(DELETE.0, DELETE.1, correlation, &request), answered: true }
    }

    /// Delete some of the records, or with -1 all of them.
    fn cut(&mut self, part: Part, correlation: i32, cx: &mut Cx<'_>) -> Request {
        let before = if cx.dice.chance(20) { -1 } else { cx.dice.below(40) as i64 };
        let partition = DeleteRecordsPartition::default().with_partition_index(part.index).with_offset(before);
        let name = TopicName(text(&cx.catalog.topics[part.topic].name));
        let topic = DeleteRecordsTopic::default().with_name(name).with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        cx.see(Seen::CutAsked { part, before: if before < 0 { i64::MAX } else { before } });
        self.asked = Some(Asked::Cut(part));
        Request { frame: wire::frame(CUT.0, CUT.1, correlation, &request), answered: true }
    }

    fn on_look(&mut self, name: String, answer: Bytes, cx: &mut Cx<'_>) -> Result<(), String> {
        let response: MetadataResponse = wire::read(answer, METADATA.1)?;
        let [topic] = &response.topics[..] else { return Err("not one topic in a metadata answer".into()) };
        let found = match topic.error_code {
            0 => Some(topic.topic_id.as_u128()),
            UNKNOWN_TOPIC => None,
            // A leader is missing; the topic is there.
            5 => Some(topic.topic_id.as_u128()),
            error => return Err(format!("metadata of {name} is answered with error {error}")),
        };
        let Some(latest) = cx.catalog.latest(&name) else {
            return match found {
                Some(_) => Err(format!("{name} is there and was never created")),
                None => Ok(()),
            };
        };
        let known = found.map(|id| cx.catalog.by_id(id));
        // An id that nobody knows is that of the creation whose answer was lost.
        let holder = match known {
            Some(None) if cx.catalog.topics[latest].state == State::Creating => {
                cx.catalog.topics[latest].id = found.unwrap_or_default();
                Some(latest)
            }
            Some(None) => return Err(format!("{name} has an id that was never given")),
            Some(Some(holder)) => Some(holder),
            None => None,
        };
        cx.see(Seen::TopicFound { name: &name, topic: holder, latest });
        self.unsure.remove(&name);
        let topic = &mut cx.catalog.topics[latest];
        match (topic.state, holder == Some(latest)) {
            (State::Creating, true) => {
                (topic.state, topic.since) = (State::Present, cx.at);
                self.foggy.remove(&name);
                cx.see(Seen::TopicMade { topic: latest });
            }
            (State::Deleting, false) => {
                topic.state = State::Gone;
                self.foggy.remove(&name);
                cx.see(Seen::TopicDeleted { topic: latest });
            }
            // What was asked may still happen.
            _ if self.foggy.contains(&name) => {}
            (State::Creating, false) => topic.state = State::Gone,
            (State::Deleting, true) => topic.state = State::Present,
            (State::Present | State::Gone, _) => {}
        }
        Ok(())
    }

    fn on_created(&mut self, at: usize, answer: Bytes, cx: &mut Cx<'_>) -> Result<(), String> {
        let response: CreateTopicsResponse = wire::read(answer, CREATE.1)?;
        let [result] = &response.topics[..] else { return Err("not one topic in the answer of CreateTopics".into()) };
        let name = cx.catalog.topics[at].name.clone();
        match result.error_code {
            0 => {
                let id = result.topic_id.as_u128();
                if id == 0 || cx.catalog.by_id(id).is_some() {
                    return Err(format!("{name} is created with the used id {id:x}"));
                }
                let topic = &mut cx.catalog.topics[at];
                (topic.id, topic.state, topic.since) = (id, State::Present, cx.at);
                cx.see(Seen::TopicMade { topic: at });
            }
            error if is_retriable(error) => drop(self.foggy.insert(name)),
            TOPIC_EXISTS => return Err(format!("{name} is refused as existing")),
            error => return Err(format!("CreateTopics is answered with error {error}")),
        }
        Ok(())
    }

    fn on_deleted(&mut self, at: usize, answer: Bytes, cx: &mut Cx<'_>) -> Result<(), String> {
        let response: DeleteTopicsResponse = wire::read(answer, DELETE.1)?;
        let [result] = &response.responses[..] else { return Err("not one topic in DeleteTopics' answer".into()) };
        match result.error_code {
            0 => {
                cx.catalog.topics[at].state = State::Gone;
                cx.see(Seen::TopicDeleted { topic: at });
            }
            UNKNOWN_TOPIC | UNKNOWN_TOPIC_ID => return Err("a topic that is there cannot be deleted".into()),
            error if is_retriable(error) => drop(self.foggy.insert(cx.catalog.topics[at].name.clone())),
            error => return Err(format!("DeleteTopics is answered with error {error}")),
        }
        Ok(())
    }

    fn on_cut(&mut self, part: Part, answer: Bytes, cx: &mut Cx<'_>) -> Result<(), String> {
        let response: DeleteRecordsResponse = wire::read(answer, CUT.1)?;
        let result = response.topics.first().and_then(|topic| topic.partitions.first());
        let result = result.ok_or("not one partition in DeleteRecords' answer")?;
        match result.error_code {
            0 => cx.see(Seen::Cut { part, low: result.low_watermark }),
            OUT_OF_RANGE => {}
            UNKNOWN_TOPIC => cx.see(Seen::TopicMissing { topic: part.topic }),
            error if is_retriable(error) => {}
            error => return Err(format!("DeleteRecords is answered with error {error}")),
        }
        Ok(())
    }
}

impl Role for Admin {
    fn next(&mut self, correlation: i32, cx: &mut Cx<'_>) -> Option<Request> {
        if self.asked.is_some() {
            return None;
        }
        if let Some(name) = self.unsure.first().cloned() {
            return Some(self.look(name, correlation));
        }
        if cx.draining {
            return None;
        }
        let names = Admin::names(cx);
        let free = |name: &String| {
            let latest = cx.catalog.latest(name);
            !self.foggy.contains(name) && latest.is_none_or(|at| cx.catalog.topics[at].state == State::Gone)
        };
        if let Some(name) = names.iter().find(|name| free(name)).cloned() {
            return Some(self.create(name, correlation, cx));
        }
        if !cx.dice.chance(4) {
            return None;
        }
        let part = cx.catalog.pick(cx.dice)?;
        let deletable = part.topic > 0 && cx.catalog.topics[part.topic].name != KEPT;
        let deletes = if cx.plan.renews { 7 } else { 2 };
        match cx.dice.below(10) {
            kind if kind < deletes && deletable => Some(self.delete(part.topic, correlation, cx)),
            2..=4 if cx.catalog.topics[part.topic].may_be_cut() => Some(self.cut(part, correlation, cx)),
            _ => {
                self.looks += 1;
                let name = names[(self.looks % names.len() as u64) as usize].clone();
                Some(self.look(name, correlation))
            }
        }
    }

    fn on_answer(&mut self, _: i32, answer: Bytes, _asked: u64, cx: &mut Cx<'_>) -> Result<(), String> {
        if let Some(asked) = &self.asked {
            cx.say(|| format!("answered: {asked:?}"));
        }
        match self.asked.take() {
            Some(Asked::Look(name)) => self.on_look(name, answer, cx),
            Some(Asked::Create(at, _)) => self.on_created(at, answer, cx),
            Some(Asked::Delete(at, _)) => self.on_deleted(at, answer, cx),
            Some(Asked::Cut(part)) => self.on_cut(part, answer, cx),
            None => Err("an answer without a question".into()),
        }
    }

    fn on_lost(&mut self) {
        // This client never leaves by itself: the node is dead, and nothing happens any more.
        self.unsure.append(&mut self.foggy);
        if let Some(Asked::Create(_, name) | Asked::Delete(_, name)) = self.asked.take() {
            self.unsure.insert(name);
        }
    }

    fn is_done(&self) -> bool {
        self.asked.is_none() && self.unsure.is_empty()
    }

    fn eagerness(&self) -> u64 {
        50
    }

    fn leaves(&self) -> bool {
        false
    }
}
