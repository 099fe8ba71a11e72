//! Reads `__consumer_offsets`, replays it, and compares what comes of it with what the coordinator says: of groups of both
//! protocols, and of committed offsets (trap 11).
//!
//! ```text
//! end of the log -> replay up to it -> ask the coordinator -> equal? done
//!                                      end of the log again -> replay batch by batch until equal; if never, it differs
//! ```
//!
//! Of a log that is compacted meanwhile the batches in between may be gone, and with them the state that was told: then it
//! is asked again, until nothing changes any more.

use std::collections::BTreeMap;

use bytes::Bytes;
use heddle_group::partition_of;
use heddle_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use heddle_protocol::messages::metadata_request::MetadataRequestTopic;
use heddle_protocol::messages::{
    BrokerId, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse, TopicName,
};
use heddle_protocol::text;

use super::mirror::{Mirror, Question, Said};
use super::{CLASSIC, LONER, MIXED, MODERN, PACE_MS, kept, live, log, matching};
use crate::check::{Grouped, Seen};
use crate::client::admin::KEPT;
use crate::client::{Cx, Request, Role, is_retriable};
use crate::lies::Lie;
use crate::wire;

const METADATA: (i16, i16) = (3, 12);
const LIST: (i16, i16) = (2, 7);
const LATEST: i64 = -1;
/// A leader's first answer before it knows the end of its log.
const OFFSET_NOT_AVAILABLE: i16 = 78;
const OFFSETS: &str = "__consumer_offsets";
const QUESTIONS: [Question; 8] = [
    Question::Classic(CLASSIC),
    Question::Modern(MODERN),
    Question::Offsets(CLASSIC),
    Question::Offsets(MODERN),
    Question::Offsets(LONER),
    // It is of one protocol or the other; to the wrong question there is no such group.
    Question::Classic(MIXED),
    Question::Modern(MIXED),
    Question::Offsets(MIXED),
];
/// How often, at the end, a group is asked for that is still changing by itself.
const PATIENCE: u32 = 400;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    End,
    Read(i64),
    Ask,
    EndBehind,
    ReadBehind(i64),
}

pub struct Auditor {
    /// Id and number of partitions.
    topic: Option<(u128, i32)>,
    mirrors: BTreeMap<i32, Mirror>,
    /// Of `QUESTIONS`.
    question: usize,
    stage: Stage,
    said: Said,
    waiting: bool,
    tries: u32,
    /// Something is damaged: nothing is compared any more.
    off: bool,
    /// Draining: questions that are answered.
    answered: usize,
    done: bool,
}

impl Default for Auditor {
    fn default() -> Auditor {
        Auditor {
            topic: None,
            mirrors: BTreeMap::new(),
            question: 0,
            stage: Stage::End,
            said: Said::new(),
            waiting: false,
            tries: 0,
            off: false,
            answered: 0,
            done: false,
        }
    }
}

impl Auditor {
    fn question(&self) -> Question {
        QUESTIONS[self.question]
    }

    fn partition(&self) -> i32 {
        let (_, partitions) = self.topic.unwrap_or((0, 1));
        partition_of(self.question().group(), partitions).0
    }

    fn mirror(&mut self) -> &mut Mirror {
        let partition = self.partition();
        self.mirrors.entry(partition).or_default()
    }

    fn metadata(correlation: i32) -> Bytes {
        let topic = MetadataRequestTopic::default().with_name(Some(TopicName(text(OFFSETS))));
        let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
        wire::frame(METADATA.0, METADATA.1, correlation, &request)
    }

    fn end(&self, correlation: i32) -> Bytes {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(self.partition())
            .with_current_leader_epoch(-1)
            .with_timestamp(LATEST);
        let topic = ListOffsetsTopic::default().with_name(TopicName(text(OFFSETS))).with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
        wire::frame(LIST.0, LIST.1, correlation, &request)
    }

    /// On to the next question. At the end each has to be answered.
    fn next_question(&mut self, answered: bool) {
        self.stage = Stage::End;
        if answered {
            self.question = (self.question + 1) % QUESTIONS.len();
            (self.answered, self.tries) = (self.answered + 1, 0);
        }
    }

    fn on_metadata(&mut self, answer: Bytes, cx: &mut Cx<'_>) -> Result<(), String> {
        let response: MetadataResponse = wire::read(answer, METADATA.1)?;
        let topic = response.topics.first().ok_or("no topic in a metadata answer")?;
        if topic.error_code == 0 {
            self.topic = Some((topic.topic_id.as_u128(), topic.partitions.len() as i32));
        } else {
            // Nobody asked for a coordinator yet.
            self.done = cx.draining;
            cx.rest_ms = PACE_MS;
        }
        Ok(())
    }

    fn on_end(&mut self, answer: Bytes, cx: &mut Cx<'_>) -> Result<(), String> {
        let response: ListOffsetsResponse = wire::read(answer, LIST.1)?;
        let data = response.topics.first().and_then(|topic| topic.partitions.first());
        let data = data.ok_or("no partition in the answer of ListOffsets")?;
        if data.error_code != 0 {
            return self.on_error(data.error_code, cx);
        }
        let behind = self.stage == Stage::EndBehind;
        self.stage = if behind { Stage::ReadBehind(data.offset) } else { Stage::Read(data.offset) };
        self.advance(cx)
    }

    /// All that there was to be read is read.
    fn advance(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        let next = self.mirror().next;
        match self.stage {
            Stage::Read(end) if next >= end => self.stage = Stage::Ask,
            Stage::ReadBehind(end) if next >= end => {
                self.tries += 1;
                if cx.plan.compacts_groups() && (!cx.draining || self.tries <= PATIENCE) {
                    cx.rest_ms = PACE_MS;
                    self.next_question(!cx.draining);
                    return Ok(());
                }
                let (question, replayed) = (self.question(), self.replayed(cx));
                let text = format!("{question:?}: said is {:?}, the log up to {end} makes {replayed:?}", self.said);
                cx.see(Seen::Grouped(Grouped::LiveDiffers { text }));
                self.next_question(true);
            }
            _ => {}
        }
        Ok(())
    }

    fn replayed(&mut self, cx: &Cx<'_>) -> Said {
        let question = self.question();
        self.mirror().says(question, cx.catalog)
    }

    fn on_read(&mut self, answer: Bytes, cx: &mut Cx<'_>) -> Result<(), String> {
        let batches = match log::read(answer)? {
            Ok(batches) => batches,
            Err(error) => return self.on_error(error, cx),
        };
        for (next, mut records) in batches {
            if next <= self.mirror().next {
                continue;
            }
            // As if compaction had dropped tombstones before the values that they delete (trap 32).
            records.retain(|(_, value)| value.is_some() || !cx.lies(Lie::TombstoneDropped, 50));
            self.mirror().replay(&records, next, !cx.plan.compacts_groups())?;
            if matches!(self.stage, Stage::ReadBehind(_)) && self.replayed(cx) == self.said {
                // The next question may be another partition's; what is left of this one is read again.
                self.next_question(true);
                return Ok(());
            }
        }
        self.advance(cx)
    }

    fn on_said(&mut self, answer: Bytes, asked: u64, cx: &mut Cx<'_>) -> Result<(), String> {
        match live::read(self.question(), answer)? {
            live::Live::Said(mut said, mut targets) => {
                if said.len() > 1 && cx.lies(Lie::StateDiffers, 30) {
                    said.pop();
                    targets.iter_mut().for_each(|targets| targets.truncate(targets.len().saturating_sub(1)));
                }
                if let (Some(targets), Some((of, _))) = (targets, kept(cx)) {
                    let group = self.question().group();
                    if cx.plan.expressions && group == MODERN {
                        let (targets, matching) = (&targets[..], &matching(cx)[..]);
                        cx.see(Seen::Grouped(Grouped::Matched { asked, targets, matching }));
                    }
                    let kept = targets.iter().filter(|(topic, _)| topic == KEPT);
                    let partitions: Vec<i32> = kept.map(|(_, partition)| *partition).collect();
                    cx.see(Seen::Grouped(Grouped::Targets { group, partitions: &partitions, of }));
                }
                self.said = said;
                if self.replayed(cx) == self.said {
                    self.next_question(true);
                } else {
                    self.stage = Stage::EndBehind;
                }
                Ok(())
            }
            live::Live::Changing => {
                self.tries += 1;
                if cx.draining && self.tries > PATIENCE {
                    return Err(format!("{:?} never comes to rest", self.question()));
                }
                cx.rest_ms = PACE_MS;
                // While it lives there are others to ask for.
                self.next_question(!cx.draining);
                Ok(())
            }
            live::Live::Error(error) => self.on_error(error, cx),
        }
    }

    fn on_error(&mut self, error: i16, cx: &mut Cx<'_>) -> Result<(), String> {
        cx.say(|| format!("auditor: {:?} of {:?} is answered with error {error}", self.stage, self.question()));
        cx.rest_ms = PACE_MS;
        self.next_question(false);
        if is_retriable(error) || error == OFFSET_NOT_AVAILABLE || cx.checkers.loss_reported {
            return Ok(());
        }
        Err(format!("the auditor is answered with error {error}"))
    }
}

impl Role for Auditor {
    fn next(&mut self, correlation: i32, cx: &mut Cx<'_>) -> Option<Request> {
        self.off |= cx.checkers.loss_reported || cx.checkers.loss_accepted;
        if !cx.draining {
            (self.done, self.answered) = (false, 0);
        }
        self.done |= self.off || (cx.draining && self.answered > QUESTIONS.len());
        if self.waiting || self.done {
            return None;
        }
        let frame = match (self.topic, self.stage) {
            (None, _) => Auditor::metadata(correlation),
            (_, Stage::End | Stage::EndBehind) => self.end(correlation),
            (Some((topic, _)), Stage::Read(_) | Stage::ReadBehind(_)) => {
                let (partition, from) = (self.partition(), self.mirror().next);
                log::fetch(topic, partition, from, correlation)
            }
            (_, Stage::Ask) => live::ask(self.question(), correlation),
        };
        self.waiting = true;
        Some(Request { frame, answered: true })
    }

    fn on_answer(&mut self, _: i32, answer: Bytes, asked: u64, cx: &mut Cx<'_>) -> Result<(), String> {
        self.waiting = false;
        if self.topic.is_none() {
            return self.on_metadata(answer, cx);
        }
        match self.stage {
            Stage::End | Stage::EndBehind => self.on_end(answer, cx),
            Stage::Read(_) | Stage::ReadBehind(_) => self.on_read(answer, cx),
            Stage::Ask => self.on_said(answer, asked, cx),
        }
    }

    fn on_lost(&mut self) {
        (self.waiting, self.done, self.answered) = (false, self.off, 0);
        self.stage = Stage::End;
    }

    fn is_done(&self) -> bool {
        !self.waiting && self.done
    }

    fn eagerness(&self) -> u64 {
        60
    }
}
