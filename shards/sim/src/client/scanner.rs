//! At the end of a run: everything that should be there is written to once more and read from its start to its end. Before
//! that, compacted topics are written to now and then, so that their segments close and are compacted.

use bytes::Bytes;
use heddle_model::Codec;
use heddle_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use heddle_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use heddle_protocol::messages::{
    BrokerId, ListOffsetsRequest, ListOffsetsResponse, ProduceRequest, ProduceResponse, TopicName,
};
use heddle_protocol::{Uuid, text};

use super::fetched::Fetch;
use super::{Cx, OUT_OF_RANGE, Request, Role, is_retriable};
use crate::check::{Part, Seen};
use crate::{record, wire};

const LIST: (i16, i16) = (2, 7);
const PRODUCE: (i16, i16) = (0, 13);
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;
/// Refusals of one question after which it will never be answered.
const PATIENCE: u32 = 200;

#[derive(Clone, Copy, Debug)]
enum Stage {
    Probe(u64),
    Start,
    End,
    Read,
}

#[derive(Default)]
pub struct Scanner {
    /// Only compacted topics are written to, and nothing is read.
    touches: bool,
    /// What stands before that is to be compacted from now on.
    begins: bool,
    parts: Option<Vec<Part>>,
    stage: Option<Stage>,
    fetch: Option<Fetch>,
    waiting: bool,
    start: i64,
    end: i64,
    position: i64,
    refusals: u32,
}

impl Scanner {
    /// It writes one record to each partition that is compacted. `begins`: what stands before is to be compacted.
    pub fn touching(begins: bool) -> Scanner {
        Scanner { touches: true, begins, ..Scanner::default() }
    }

    fn all_parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        let wanted = |part: &Part| !self.touches || cx.catalog.topics[part.topic].keys.is_some();
        cx.catalog.parts().into_iter().filter(wanted).collect()
    }

    fn probe(&mut self, part: Part, correlation: i32, cx: &mut Cx<'_>) -> Request {
        let number = *cx.next_number;
        *cx.next_number += 1;
        self.stage = Some(Stage::Probe(number));
        cx.see(Seen::Sent { part, numbers: &[number], writer: None, boot: cx.boot, at_ms: cx.wall_ms });
        let keys = cx.catalog.topics[part.topic].keys;
        let batch = record::batch(cx.plan.sizes, keys, &[number], cx.wall_ms, Codec::None, None);
        let data = PartitionProduceData::default().with_index(part.index).with_records(Some(batch));
        let topic = TopicProduceData::default()
            .with_topic_id(Uuid::from_u128(cx.catalog.topics[part.topic].id))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
        Request { frame: wire::frame(PRODUCE.0, PRODUCE.1, correlation, &request), answered: true }
    }

    fn list(&self, part: Part, timestamp: i64, correlation: i32, cx: &Cx<'_>) -> Request {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(part.index)
            .with_current_leader_epoch(-1)
            .with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default()
            .with_name(TopicName(text(&cx.catalog.topics[part.topic].name)))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
        Request { frame: wire::frame(LIST.0, LIST.1, correlation, &request), answered: true }
    }

    fn read(&mut self, part: Part, correlation: i32, cx: &Cx<'_>) -> Request {
        let fetch = Fetch {
            part,
            from: self.position,
            max_wait_ms: 0,
            min_bytes: 1,
            max_bytes: 100_000,
            committed_only: false,
        };
        let frame = fetch.frame(correlation, cx);
        self.fetch = Some(fetch);
        Request { frame, answered: true }
    }

    fn next_part(&mut self) {
        self.stage = None;
        self.refusals = 0;
        if let Some(parts) = &mut self.parts {
            parts.pop();
        }
    }

    /// The question cannot be answered now. For ever is too long, unless the node said that it lost something.
    fn on_refused(&mut self, part: Part, error: i16, cx: &mut Cx<'_>) -> Result<(), String> {
        self.refusals += 1;
        cx.rest_ms = 100;
        cx.say(|| format!("at the end, {part:?} {:?}: error {error}", self.stage));
        if cx.checkers.loss_reported && (self.refusals > 3 || !is_retriable(error)) {
            self.next_part();
            return Ok(());
        }
        if !is_retriable(error) || self.refusals > PATIENCE {
            return Err(format!("{part:?}: at the end, {:?} is answered with error {error}", self.stage));
        }
        Ok(())
    }

    fn on_stage(&mut self, part: Part, answer: Bytes, asked: u64, cx: &mut Cx<'_>) -> Result<(), String> {
        match self.stage {
            Some(Stage::Probe(number)) => {
                let response: ProduceResponse = wire::read(answer, PRODUCE.1)?;
                let data = response.responses.first().and_then(|topic| topic.partition_responses.first());
                let data = data.ok_or("no partition in a produce's answer")?;
                if data.error_code != 0 {
                    self.stage = None;
                    return self.on_refused(part, data.error_code, cx);
                }
                cx.see(Seen::Acked { part, base: data.base_offset, numbers: &[number] });
                if self.begins {
                    cx.see(Seen::CleanedBelow { part, offset: data.base_offset });
                }
                self.stage = Some(Stage::Start);
                if self.touches {
                    self.next_part();
                }
            }
            Some(stage @ (Stage::Start | Stage::End)) => {
                let response: ListOffsetsResponse = wire::read(answer, LIST.1)?;
                let data = response.topics.first().and_then(|topic| topic.partitions.first());
                let data = data.ok_or("no partition in the answer of ListOffsets")?;
                if data.error_code != 0 {
                    return self.on_refused(part, data.error_code, cx);
                }
                if let Stage::Start = stage {
                    (self.start, self.position) = (data.offset, data.offset);
                    self.stage = Some(Stage::End);
                } else {
                    self.end = data.offset;
                    self.stage = Some(Stage::Read);
                    cx.see(Seen::Watermarks { part, asked, high: self.end, start: self.start });
                    cx.see(Seen::ScanBegins { part });
                }
            }
            Some(Stage::Read) => {
                let fetch = self.fetch.take().ok_or("an answer without a question")?;
                let fetched = fetch.read(answer, asked, cx)?;
                if fetched.error == OUT_OF_RANGE && cx.catalog.topics[part.topic].expires {
                    // It began there a moment ago.
                    self.stage = Some(Stage::Start);
                    return Ok(());
                }
                if fetched.error != 0 {
                    return self.on_refused(part, fetched.error, cx);
                }
                if fetched.next == self.position && self.position < self.end {
                    return self.on_refused(part, 5, cx);
                }
                (self.position, self.refusals) = (fetched.next, 0);
            }
            None => return Err("an answer without a question".into()),
        }
        if matches!(self.stage, Some(Stage::Read)) && self.position >= self.end {
            cx.see(Seen::Scanned { part, start: self.start });
            self.next_part();
        }
        Ok(())
    }
}

impl Role for Scanner {
    fn next(&mut self, correlation: i32, cx: &mut Cx<'_>) -> Option<Request> {
        if self.waiting {
            return None;
        }
        if self.parts.is_none() {
            self.parts = Some(self.all_parts(cx));
        }
        let part = *self.parts.as_ref()?.last()?;
        self.waiting = true;
        Some(match self.stage {
            None | Some(Stage::Probe(_)) => self.probe(part, correlation, cx),
            Some(Stage::Start) => self.list(part, EARLIEST, correlation, cx),
            Some(Stage::End) => self.list(part, LATEST, correlation, cx),
            Some(Stage::Read) => self.read(part, correlation, cx),
        })
    }

    fn on_answer(&mut self, _: i32, answer: Bytes, asked: u64, cx: &mut Cx<'_>) -> Result<(), String> {
        self.waiting = false;
        let part = self.parts.as_ref().and_then(|parts| parts.last()).copied();
        self.on_stage(part.ok_or("an answer without a question")?, answer, asked, cx)
    }

    fn on_lost(&mut self) {
        self.waiting = false;
        self.fetch = None;
        self.stage = None;
    }

    fn is_done(&self) -> bool {
        self.parts.as_ref().is_some_and(Vec::is_empty)
    }

    fn leaves(&self) -> bool {
        false
    }
}
