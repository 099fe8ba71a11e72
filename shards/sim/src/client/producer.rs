//! A producer, idempotent or plain. The idempotent one does what Kafka's clients do: at most five batches under way,
//! after a failure all unacknowledged ones again in order, under their old sequences; and sometimes it sends a batch
//! twice though nothing failed.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use heddle_protocol::Uuid;
use heddle_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use heddle_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse};

use super::{Cx, OUT_OF_ORDER, Request, Role, STORAGE, UNKNOWN_TOPIC, UNKNOWN_TOPIC_ID, is_retriable};
use crate::check::{Grouped, Part, Seen};
use crate::lies::Lie;
use crate::record;
use crate::wire;

const IN_FLIGHT_MAX: usize = 5;
const PRODUCE: (i16, i16) = (0, 13);
const INIT: (i16, i16) = (22, 4);

struct Batch {
    numbers: Vec<u64>,
    sequence: i32,
    codec: heddle_model::Codec,
    at_ms: i64,
    sends: u32,
    under_way: u32,
}

pub struct Producer {
    idempotent: bool,
    acks: i16,
    id: Option<(i64, i16)>,
    /// The correlation of the question for an id.
    asking_id: Option<i32>,
    part: Option<Part>,
    next_sequence: i32,
    /// Not acknowledged, oldest first.
    queue: VecDeque<Batch>,
    /// Correlation to the sequence (idempotent) or first number (plain) of a batch.
    in_flight: BTreeMap<i32, u64>,
    /// Something failed: send all again once nothing is under way.
    again: bool,
    /// No batch under the present id was ever refused: then the broker must know every sequence.
    clean: bool,
    refusals: u32,
}

impl Producer {
    pub fn new(idempotent: bool, acks: i16) -> Producer {
        Producer {
            idempotent,
            acks,
            id: None,
            asking_id: None,
            part: None,
            next_sequence: 0,
            queue: VecDeque::new(),
            in_flight: BTreeMap::new(),
            again: false,
            clean: true,
            refusals: 0,
        }
    }

    fn settle_target(&mut self, cx: &mut Cx<'_>) -> Option<Part> {
        let idle = self.queue.is_empty() && self.in_flight.is_empty();
        let gone = self.part.is_some_and(|part| !cx.catalog.is_present(part.topic));
        if (idle && (gone || cx.dice.chance(2))) || self.part.is_none() {
            self.begin_anew();
            self.part = cx.catalog.pick(cx.dice);
        }
        self.part
    }

    /// Another id, and what was not acknowledged is given up.
    fn begin_anew(&mut self) {
        (self.id, self.part, self.next_sequence) = (None, None, 0);
        self.queue.clear();
        self.in_flight.clear();
        (self.again, self.clean, self.refusals) = (false, true, 0);
    }

    fn ask_id(&mut self, correlation: i32) -> Request {
        self.asking_id = Some(correlation);
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(i32::MAX)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        Request { frame: wire::frame(INIT.0, INIT.1, correlation, &request), answered: true }
    }

    fn send(&mut self, at: usize, correlation: i32, part: Part, cx: &mut Cx<'_>) -> Request {
        let batch = &mut self.queue[at];
        batch.sends += 1;
        batch.under_way += 1;
        let unmarked = batch.sends > 1 && cx.lies(Lie::RetryUnmarked, 50);
        let stamp = self.id.filter(|_| !unmarked).map(|(id, epoch)| (id, epoch, batch.sequence));
        let keys = cx.catalog.topics[part.topic].keys;
        let bytes = record::batch(cx.plan.sizes, keys, &batch.numbers, batch.at_ms, batch.codec, stamp);
        let writer = self.id.map(|(id, _)| id as u64);
        cx.see(Seen::Sent { part, numbers: &batch.numbers, writer, boot: cx.boot, at_ms: cx.wall_ms });
        cx.say(|| format!("produce {part:?} {:?} as {stamp:?}, acks {}", batch.numbers, self.acks));
        let name = if self.idempotent { batch.sequence as u64 } else { batch.numbers[0] };
        let answered = self.acks != 0;
        if answered {
            self.in_flight.insert(correlation, name);
        }
        let data = PartitionProduceData::default().with_index(part.index).with_records(Some(bytes));
        let topic = TopicProduceData::default()
            .with_topic_id(Uuid::from_u128(cx.catalog.topics[part.topic].id))
            .with_partition_data(vec![data]);
        let request =
            ProduceRequest::default().with_acks(self.acks).with_timeout_ms(30_000).with_topic_data(vec![topic]);
        if !answered {
            self.queue.remove(at);
        }
        Request { frame: wire::frame(PRODUCE.0, PRODUCE.1, correlation, &request), answered }
    }

    fn add_batch(&mut self, part: Part, cx: &mut Cx<'_>) {
        let count = 1 + cx.dice.below(cx.plan.records_a_batch);
        let first = *cx.next_number;
        *cx.next_number += count;
        self.queue.push_back(Batch {
            numbers: (first..first + count).collect(),
            sequence: self.next_sequence,
            codec: cx.catalog.topics[part.topic].codec,
            at_ms: cx.wall_ms,
            sends: 0,
            under_way: 0,
        });
        self.next_sequence += count as i32;
    }

    fn find(&self, name: u64) -> Option<usize> {
        self.queue
            .iter()
            .position(|batch| if self.idempotent { batch.sequence as u64 == name } else { batch.numbers[0] == name })
    }

    fn on_id(&mut self, answer: Bytes, cx: &mut Cx<'_>) -> Result<(), String> {
        self.asking_id = None;
        let response: InitProducerIdResponse = wire::read(answer, INIT.1)?;
        match response.error_code {
            0 => {
                let before = i64::from(cx.lies(Lie::IdGivenTwice, 30));
                let (id, epoch) = (response.producer_id.0 - before, response.producer_epoch);
                cx.see(Seen::Grouped(Grouped::ProducerIdGiven { id, epoch }));
                self.id = Some((id, epoch));
            }
            error if is_retriable(error) => {}
            error => return Err(format!("InitProducerId is answered with error {error}")),
        }
        Ok(())
    }

    fn on_refused(&mut self, name: u64, error: i16, part: Part, asked: u64, cx: &mut Cx<'_>) -> Result<(), String> {
        cx.say(|| format!("refused {part:?} batch {name}: error {error}"));
        let was_clean = std::mem::replace(&mut self.clean, false);
        if error == UNKNOWN_TOPIC || error == UNKNOWN_TOPIC_ID {
            cx.see(Seen::TopicMissing { topic: part.topic });
            self.begin_anew();
            return Ok(());
        }
        if error == OUT_OF_ORDER && self.idempotent {
            if was_clean && !cx.checkers.loss_reported {
                return Err(format!("{part:?}: the sequence {name} of step {asked} is answered as out of order"));
            }
            self.begin_anew();
            return Ok(());
        }
        if !is_retriable(error) {
            return Err(format!("{part:?}: a produce is answered with error {error}"));
        }
        self.refusals += 1;
        cx.rest_ms = 20;
        let hopeless = error == STORAGE && self.refusals > 20 && cx.draining;
        match self.find(name) {
            _ if hopeless => self.begin_anew(),
            Some(_) if self.idempotent => self.again = true,
            // A plain producer sends nothing twice: it could not know better.
            Some(at) => drop(self.queue.remove(at)),
            None => {}
        }
        Ok(())
    }
}

impl Role for Producer {
    fn next(&mut self, correlation: i32, cx: &mut Cx<'_>) -> Option<Request> {
        if cx.draining && self.queue.is_empty() {
            return None;
        }
        let part = self.settle_target(cx)?;
        if self.idempotent && self.id.is_none() {
            return self.asking_id.is_none().then(|| self.ask_id(correlation));
        }
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            return None;
        }
        if self.again {
            if !self.in_flight.is_empty() {
                return None;
            }
            self.again = false;
            self.queue.iter_mut().for_each(|batch| batch.under_way = 0);
        }
        if let Some(at) = self.queue.iter().position(|batch| batch.under_way == 0) {
            return Some(self.send(at, correlation, part, cx));
        }
        if self.idempotent && !self.queue.is_empty() && cx.dice.chance(3) {
            let at = cx.dice.below(self.queue.len() as u64) as usize;
            return Some(self.send(at, correlation, part, cx));
        }
        if cx.draining || self.queue.len() >= IN_FLIGHT_MAX {
            return None;
        }
        self.add_batch(part, cx);
        Some(self.send(self.queue.len() - 1, correlation, part, cx))
    }

    fn on_answer(&mut self, correlation: i32, answer: Bytes, asked: u64, cx: &mut Cx<'_>) -> Result<(), String> {
        let Some(name) = self.in_flight.remove(&correlation) else {
            return if self.asking_id == Some(correlation) { self.on_id(answer, cx) } else { Ok(()) };
        };
        let response: ProduceResponse = wire::read(answer, PRODUCE.1)?;
        let part = self.part.ok_or("an answer without a question")?;
        let [topic] = &response.responses[..] else { return Err("not one topic in a produce's answer".into()) };
        let [data] = &topic.partition_responses[..] else { return Err("not one partition in the answer".into()) };
        if topic.topic_id.as_u128() != cx.catalog.topics[part.topic].id || data.index != part.index {
            return Err(format!("{part:?}: the answer is another partition's"));
        }
        let found = self.find(name);
        if let Some(at) = found {
            let batch = &mut self.queue[at];
            batch.under_way = batch.under_way.saturating_sub(1);
        }
        if data.error_code != 0 {
            return self.on_refused(name, data.error_code, part, asked, cx);
        }
        self.refusals = 0;
        if let Some(batch) = found.and_then(|at| self.queue.remove(at)) {
            cx.see(Seen::Acked { part, base: data.base_offset, numbers: &batch.numbers });
            if cx.catalog.topics[part.topic].recoded {
                cx.see(Seen::Unpacked);
            }
            cx.say(|| format!("acked {part:?} {:?} at {}", batch.numbers, data.base_offset));
        }
        Ok(())
    }

    fn on_lost(&mut self) {
        self.asking_id = None;
        self.in_flight.clear();
        if self.idempotent {
            self.queue.iter_mut().for_each(|batch| batch.under_way = 0);
        } else {
            self.queue.clear();
        }
        self.again = false;
    }

    fn is_done(&self) -> bool {
        self.queue.is_empty()
    }

    fn eagerness(&self) -> u64 {
        60
    }
}
