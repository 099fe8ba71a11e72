//! One producer without its sockets: records become due, gather in batches as in the Java client (linger, batch size, one
//! batch per partition and request), wait for their leader, come back when refused.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use heddle_model::{ProducerEpoch, ProducerId, Sequence};
use heddle_records::BatchBuilder;
use rustc_hash::FxHashMap;

use super::cluster::Leaders;
use super::options::Settings;
use super::tally::{Tally, Window};

/// How long a refused partition rests before its next try. Nanoseconds.
const RETRY_AFTER: u64 = 20_000_000;
/// What a record adds to its value in a batch, roughly: lengths, deltas, key. Bytes.
const RECORD_OVERHEAD_BYTES: usize = 16;

/// Records of one partition on their way.
#[derive(Debug)]
pub struct Batch {
    pub partition: u32,
    /// In order of making, within its producer.
    serial: u64,
    /// When its linger is over.
    deadline: u64,
    /// Due times of the records.
    pub due: Vec<u64>,
    /// What it counts against its producer's buffer. Bytes.
    weight: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Open(Box<BatchBuilder>),
    Sealed(Bytes),
}

impl Batch {
    fn bytes(&self) -> usize {
        match &self.content {
            Content::Open(builder) => builder.unpacked_bytes(),
            Content::Sealed(bytes) => bytes.len(),
        }
    }

    /// The batch's bytes, which are final from the first time on: a retry sends the same.
    pub fn sealed(&self) -> &Bytes {
        match &self.content {
            Content::Sealed(bytes) => bytes,
            Content::Open(_) => unreachable!("only sealed batches leave the queue"),
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<Batch>,
    /// Whether the partition stands in `ready`, `leaderless` or `resting`.
    listed: bool,
    next_sequence: Sequence,
}

/// Makes a batch final: its sequence is given out and its records are packed. A batch that comes back stays as it is.
fn seal(batch: &mut Batch, queue: &mut Queue, identity: Option<(ProducerId, ProducerEpoch)>, settings: &Settings) {
    let Content::Open(builder) = &mut batch.content else { return };
    if let Some((id, epoch)) = identity {
        builder.producer(id, epoch, queue.next_sequence);
        queue.next_sequence = queue.next_sequence.plus(builder.count());
    }
    builder.codec(settings.codec.into(), settings.level);
    batch.content = Content::Sealed(builder.build());
}

pub struct Producer {
    settings: Settings,
    leaders: std::sync::Arc<Leaders>,
    /// Id and epoch of an idempotent producer.
    identity: Option<(ProducerId, ProducerEpoch)>,
    run: u64,
    window: Window,
    /// Nanoseconds between two records, and when the first is due.
    interval: f64,
    first_due: f64,
    /// Records made so far, and in the whole run.
    made: u64,
    all: u64,
    noise: u64,
    value: Vec<u8>,
    key: Vec<u8>,
    sticky: u32,
    sticky_bytes: usize,
    serial: u64,
    held_bytes: usize,
    queues: FxHashMap<u32, Queue>,
    /// Open batches by the end of their linger: deadline, partition, serial.
    lingering: VecDeque<(u64, u32, u64)>,
    /// Partitions with a batch to send, by leader, in turn.
    ready: BTreeMap<i32, VecDeque<u32>>,
    leaderless: Vec<u32>,
    /// Refused partitions and when they may try again.
    resting: VecDeque<(u64, u32)>,
}

impl Producer {
    pub fn new(
        index: usize,
        settings: &Settings,
        leaders: std::sync::Arc<Leaders>,
        identity: Option<(i64, i16)>,
        run: u64,
        window: Window,
    ) -> Producer {
        let interval = settings.producers as f64 / settings.rate * 1e9;
        let first_due = window.start as f64 + interval * index as f64 / settings.producers as f64;
        let all = ((window.end as f64 - first_due) / interval).ceil().max(0.0) as u64;
        let mut producer = Producer {
            settings: settings.clone(),
            leaders,
            identity: identity.map(|(id, epoch)| (ProducerId(id), ProducerEpoch(epoch))),
            run,
            window,
            interval,
            first_due,
            made: 0,
            all,
            noise: (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ run,
            value: vec![0; settings.record_size],
            key: Vec::new(),
            sticky: 0,
            sticky_bytes: usize::MAX,
            serial: 0,
            held_bytes: 0,
            queues: FxHashMap::default(),
            lingering: VecDeque::new(),
            ready: BTreeMap::new(),
            leaderless: Vec::new(),
            resting: VecDeque::new(),
        };
        // Half noise, half text: codecs find about what they find in real records.
        for at in 0..producer.value.len() {
            producer.value[at] = if at % 64 < 32 { b'a' + (at % 26) as u8 } else { producer.random() as u8 };
        }
        producer
    }

    fn random(&mut self) -> u64 {
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 7;
        self.noise ^= self.noise << 17;
        self.noise
    }

    fn due(&self, record: u64) -> u64 {
        (self.first_due + self.interval * record as f64) as u64
    }

    /// When there is something to do without a word from a broker.
    pub fn wakes_at(&self) -> Option<u64> {
        let may_make = self.made < self.all && self.held_bytes < self.settings.producer_buffer;
        let record = may_make.then(|| self.due(self.made));
        let linger = self.lingering.front().map(|(deadline, ..)| *deadline);
        let retry = self.resting.front().map(|(at, _)| *at);
        [record, linger, retry].into_iter().flatten().min()
    }

    /// Whether every record has been made and answered.
    pub fn is_done(&self) -> bool {
        self.made == self.all && self.held_bytes == 0
    }

    /// Makes the records that are due, ends lingers and rests.
    pub fn on_time(&mut self, now: u64, tally: &mut Tally) {
        while self.made < self.all && self.held_bytes < self.settings.producer_buffer {
            let due = self.due(self.made);
            if due > now {
                break;
            }
            self.made += 1;
            if due >= self.window.measured {
                tally.behind_us.saturating_record((now - due) / 1000);
            }
            self.make(due, now);
        }
        while let Some(&(deadline, partition, serial)) = self.lingering.front() {
            if deadline > now {
                break;
            }
            self.lingering.pop_front();
            let queue = self.queues.get(&partition);
            if queue.and_then(|queue| queue.batches.front()).is_some_and(|front| front.serial <= serial) {
                self.list(partition);
            }
        }
        while let Some(&(at, partition)) = self.resting.front() {
            if at > now {
                break;
            }
            self.resting.pop_front();
            self.unlist(partition);
            self.list(partition);
        }
    }

    fn make(&mut self, due: u64, now: u64) {
        let partition = self.choose_partition();
        self.value[..8].copy_from_slice(&self.run.to_be_bytes());
        self.value[8..16].copy_from_slice(&due.to_be_bytes());
        let timestamp = self.window.wall_zero_ms + (due / 1_000_000) as i64;
        let record_bytes = self.value.len() + self.key.len() + RECORD_OVERHEAD_BYTES;
        let room = self.settings.batch_bytes.saturating_sub(record_bytes);
        let queue = self.queues.entry(partition).or_default();
        let open =
            queue.batches.back().is_some_and(|back| matches!(back.content, Content::Open(_)) && back.bytes() <= room);
        if !open {
            // The batch before it, if any, is full: it need not linger.
            let before_is_full = !queue.batches.is_empty();
            let deadline = now + (self.settings.batch_ms * 1e6) as u64;
            self.serial += 1;
            let content = Content::Open(Box::new(BatchBuilder::new(timestamp)));
            let serial = self.serial;
            queue.batches.push_back(Batch { partition, serial, deadline, due: Vec::new(), weight: 0, content });
            self.lingering.push_back((deadline, partition, self.serial));
            if before_is_full {
                self.list(partition);
            }
        }
        let queue = self.queues.entry(partition).or_default();
        let batch = queue.batches.back_mut().expect("one was just made sure of");
        let Content::Open(builder) = &mut batch.content else { unreachable!("it is open") };
        let key = (self.settings.keys > 0).then_some(&self.key[..]);
        builder.push(timestamp, key, Some(&self.value), &[]);
        batch.due.push(due);
        batch.weight += record_bytes;
        self.held_bytes += record_bytes;
        self.sticky_bytes = self.sticky_bytes.saturating_add(record_bytes);
    }

    fn choose_partition(&mut self) -> u32 {
        let partitions = self.leaders.leaders.len() as u64;
        if self.settings.keys > 0 {
            let key = self.random() % self.settings.keys;
            self.key.clear();
            self.key.extend_from_slice(format!("key-{key:012}").as_bytes());
            // Any fixed spread of keys over partitions will do.
            let mixed = (key ^ key >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
            return ((mixed ^ mixed >> 33) % partitions) as u32;
        }
        // Stays with a partition for one batch: until it is full or has left.
        let open = self.queues.get(&self.sticky).is_some_and(|queue| !queue.batches.is_empty());
        if !open || self.sticky_bytes >= self.settings.batch_bytes {
            self.sticky = (self.random() % partitions) as u32;
            self.sticky_bytes = 0;
        }
        self.sticky
    }

    /// Puts a partition in line for its leader, unless it already is.
    fn list(&mut self, partition: u32) {
        let Some(queue) = self.queues.get_mut(&partition) else { return };
        if queue.listed || queue.batches.is_empty() {
            return;
        }
        queue.listed = true;
        match self.leaders.leaders.get(partition as usize).copied().flatten() {
            Some(leader) => self.ready.entry(leader).or_default().push_back(partition),
            None => self.leaderless.push(partition),
        }
    }

    fn unlist(&mut self, partition: u32) {
        if let Some(queue) = self.queues.get_mut(&partition) {
            queue.listed = false;
        }
    }

    /// Brokers that something waits for.
    pub fn brokers(&self) -> Vec<i32> {
        self.ready.iter().filter(|(_, line)| !line.is_empty()).map(|(broker, _)| *broker).collect()
    }

    pub fn has_leaderless(&self) -> bool {
        !self.leaderless.is_empty()
    }

    /// The batches of the next request to `broker`: at most one per partition, oldest partitions first.
    pub fn take_request(&mut self, broker: i32, now: u64) -> Vec<Batch> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        let waiting = self.ready.get(&broker).map_or(0, VecDeque::len);
        for _ in 0..waiting {
            let line = self.ready.entry(broker).or_default();
            let Some(&partition) = line.front() else { break };
            let Some(queue) = self.queues.get_mut(&partition) else { break };
            let next = queue.batches.front().map_or(0, Batch::bytes);
            if !taken.is_empty() && bytes + next > self.settings.request_bytes {
                break;
            }
            line.pop_front();
            queue.listed = false;
            let Some(mut batch) = queue.batches.pop_front() else { continue };
            seal(&mut batch, queue, self.identity, &self.settings);
            bytes += batch.bytes();
            let more = queue.batches.front().is_some_and(|front| queue.batches.len() > 1 || front.deadline <= now);
            taken.push(batch);
            if more {
                self.list(partition);
            }
        }
        taken
    }

    /// The batch is settled, well or not: its room is free.
    pub fn on_settled(&mut self, batch: &Batch) {
        self.held_bytes -= batch.weight;
    }

    /// The batch must be sent again, in its old place, after a rest.
    pub fn on_refused(&mut self, batch: Batch, now: u64) {
        let partition = batch.partition;
        let queue = self.queues.entry(partition).or_default();
        let place = queue.batches.partition_point(|other| other.serial < batch.serial);
        queue.batches.insert(place, batch);
        if !queue.listed {
            queue.listed = true;
            self.resting.push_back((now + RETRY_AFTER, partition));
        }
    }

    /// A new picture: all waiting partitions line up anew.
    pub fn on_leaders(&mut self, leaders: std::sync::Arc<Leaders>) {
        self.leaders = leaders;
        let mut waiting = std::mem::take(&mut self.leaderless);
        waiting.extend(std::mem::take(&mut self.ready).into_values().flatten());
        for partition in waiting {
            self.unlist(partition);
            self.list(partition);
        }
    }

    /// The run is over: everything not acknowledged is counted with its age, records never made included. `in_flight`
    /// are the batches that the connections still hold.
    pub fn give_up<'a>(&'a self, in_flight: impl Iterator<Item = &'a Batch>, now: u64, tally: &mut Tally) {
        let queued = self.queues.values().flat_map(|queue| &queue.batches).chain(in_flight);
        let never_made = (self.made..self.all).map(|record| self.due(record));
        for due in queued.flat_map(|batch| batch.due.iter().copied()).chain(never_made) {
            if due >= self.window.measured {
                tally.unanswered += 1;
                tally.produce_us.saturating_record(now.saturating_sub(due) / 1000);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clap::Parser;
    use heddle_records::validate_shape;

    use super::super::options::Cli;
    use super::*;

    const MS: u64 = 1_000_000;

    fn producer(arguments: &str, partitions: usize) -> Producer {
        let arguments = format!("load --producers 1 --rate 1000 --record-size 100 {arguments}");
        let settings = Cli::parse_from(arguments.split_whitespace()).settings().unwrap();
        let leaders = Leaders { brokers: BTreeMap::new(), leaders: vec![Some(1); partitions] };
        let window = Window { start: 0, measured: 10 * MS, end: 50 * MS, wall_zero_ms: 0 };
        Producer::new(0, &settings, Arc::new(leaders), Some((7, 0)), 1, window)
    }

    fn taken(producer: &mut Producer, now: u64) -> Vec<usize> {
        producer.take_request(1, now).iter().map(|batch| batch.due.len()).collect()
    }

    #[test]
    fn records_keep_their_due_times_however_late_they_are_made() {
        let mut producer = producer("", 1);
        let mut tally = Tally::default();
        assert_eq!(producer.wakes_at(), Some(0));
        producer.on_time(20 * MS, &mut tally);
        let batches = producer.take_request(1, 20 * MS);
        assert_eq!(batches[0].due, (0..=20).map(|ms| ms * MS).collect::<Vec<_>>());
        assert_eq!(validate_shape(batches[0].sealed()).unwrap().count, 21);
        // Records due before the measured time do not count.
        assert_eq!((tally.behind_us.len(), tally.behind_us.max()), (11, 10_007));
        assert_eq!(producer.wakes_at(), Some(21 * MS));
    }

    #[test]
    fn a_batch_lingers_until_it_is_full_or_its_time_is_over() {
        let mut producer = producer("--batch-ms 5 --batch-bytes 550", 1);
        let mut tally = Tally::default();
        producer.on_time(2 * MS, &mut tally);
        assert_eq!(taken(&mut producer, 2 * MS), [0; 0]);
        // Four records to a batch: the fifth closes the first batch.
        producer.on_time(4 * MS, &mut tally);
        assert_eq!(taken(&mut producer, 4 * MS), [4]);
        assert_eq!(taken(&mut producer, 4 * MS), [0; 0]);
        producer.on_time(9 * MS, &mut tally);
        assert_eq!(taken(&mut producer, 9 * MS), [4]);
    }

    #[test]
    fn refused_batches_go_again_in_order_and_unchanged() {
        let mut producer = producer("--batch-bytes 550", 1);
        let mut tally = Tally::default();
        producer.on_time(11 * MS, &mut tally);
        let mut sent: Vec<Batch> = (0..3).flat_map(|_| producer.take_request(1, 11 * MS)).collect();
        let sequences: Vec<i32> = sent.iter().map(|it| validate_shape(it.sealed()).unwrap().base_sequence.0).collect();
        assert_eq!(sequences, [0, 4, 8]);
        let bytes: Vec<Bytes> = sent.iter().map(|batch| batch.sealed().clone()).collect();
        sent.reverse();
        for batch in sent {
            producer.on_refused(batch, 11 * MS);
        }
        assert_eq!(taken(&mut producer, 12 * MS), [0; 0], "a refused partition rests");
        producer.on_time(31 * MS, &mut tally);
        for expected in bytes {
            assert_eq!(producer.take_request(1, 31 * MS)[0].sealed(), &expected);
        }
    }

    #[test]
    fn without_keys_one_partition_fills_at_a_time_with_keys_all_do() {
        let mut tally = Tally::default();
        for (arguments, requests) in [("--batch-bytes 50000", 1..=1), ("--batch-bytes 50000 --keys 1000", 20..=51)] {
            let mut producer = producer(arguments, 40);
            producer.on_time(50 * MS, &mut tally);
            let batches = taken(&mut producer, 50 * MS);
            assert!(requests.contains(&batches.len()), "{arguments}: {batches:?}");
            assert_eq!(batches.iter().sum::<usize>(), 50);
        }
    }

    #[test]
    fn a_full_buffer_stops_the_making_but_not_the_clock() {
        let mut producer = producer("--producer-buffer 1000", 1);
        let mut tally = Tally::default();
        producer.on_time(40 * MS, &mut tally);
        let batches = producer.take_request(1, 40 * MS);
        assert_eq!(batches[0].due.len(), 9);
        assert_eq!(producer.wakes_at(), None);
        producer.on_settled(&batches[0]);
        assert_eq!(producer.wakes_at(), Some(9 * MS));
        assert!(!producer.is_done());
        // 9 were answered, 41 never made; all due from 10 ms on count with their age.
        producer.give_up(std::iter::empty(), 60 * MS, &mut tally);
        assert_eq!((tally.unanswered, tally.produce_us.len()), (40, 40));
        assert!(tally.produce_us.max() >= 50_000);
    }
}
