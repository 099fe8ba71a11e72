//! One consumer and one broker: a thread that fetches the consumer's partitions led there, with a fetch session, as the
//! Java client does.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use heddle_model::Codec;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, ListOffsetsRequest};

use super::cluster::Cluster;
use super::options::{ReadMode, Settings};
use super::tally::{CONNECTION_LOST, Clock, Tally, Window};
use super::wire::Blocking;

const OFFSET_OUT_OF_RANGE: i16 = 1;
const SESSION_ERRORS: [i16; 2] = [70, 71];
const UNPACK_LIMIT: usize = 64 << 20;
const TICK: u64 = 1_000_000_000;
/// How long all leaders may take to answer for their partitions.
const TOLD: Duration = Duration::from_secs(120);

/// What the threads of one consumer share: its partitions and the next offset of each.
pub struct Share {
    positions: Mutex<BTreeMap<i32, i64>>,
}

impl Share {
    /// The positions of consumer `index`: at the end of each of its partitions, or 0 for cold reads.
    pub fn start(cluster: &Cluster, settings: &Settings, index: usize) -> io::Result<Arc<Share>> {
        let partitions = 0..cluster.leaders().leaders.len() as i32;
        let mine: Vec<i32> = partitions.filter(|it| *it as usize % settings.consumers == index).collect();
        let timestamp = if settings.read == ReadMode::Cold { -2 } else { -1 };
        let positions = offsets(cluster, &mine, timestamp)?;
        Ok(Arc::new(Share { positions: Mutex::new(positions) }))
    }

    fn positions(&self) -> MutexGuard<'_, BTreeMap<i32, i64>> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the leaders where each partition starts (-2) or ends (-1), until all have told: a leader that has just been made one
/// may not know it yet.
pub fn offsets(cluster: &Cluster, partitions: &[i32], timestamp: i64) -> io::Result<BTreeMap<i32, i64>> {
    let mut found = BTreeMap::new();
    let begin = Instant::now();
    while begin.elapsed() < TOLD {
        let leaders = cluster.leaders();
        for (broker, address) in &leaders.brokers {
            let missing = partitions.iter().filter(|it| !found.contains_key(*it));
            let here = missing.filter(|it| leaders.leaders.get(**it as usize).copied().flatten() == Some(*broker));
            let here: Vec<_> = here
                .map(|it| ListOffsetsPartition::default().with_partition_index(*it).with_timestamp(timestamp))
                .collect();
            if here.is_empty() {
                continue;
            }
            let topic = ListOffsetsTopic::default().with_name(cluster.topic.clone()).with_partitions(here);
            let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
            let response = Blocking::connect(address)?.call(&request, cluster.versions.list_offsets)?;
            for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
                if partition.error_code == 0 {
                    found.insert(partition.partition_index, partition.offset);
                }
            }
        }
        if found.len() == partitions.len() {
            return Ok(found);
        }
        cluster.want_refresh();
        thread::sleep(Duration::from_millis(100));
    }
    Err(io::Error::other("not all partitions told their offsets"))
}

/// Kafka's incremental fetch session (KIP-227), the client's half.
#[derive(Default)]
struct Session {
    id: i32,
    epoch: i32,
    /// What the broker was last told: partition and offset.
    told: BTreeMap<i32, i64>,
}

impl Session {
    fn reset(&mut self) {
        *self = Session::default();
    }
}

pub struct Reader {
    pub clock: Clock,
    pub window: Window,
    pub settings: Settings,
    pub cluster: Arc<Cluster>,
    pub share: Arc<Share>,
    pub broker: i32,
    pub run: u64,
    pub over: Arc<AtomicBool>,
    pub report: Sender<Tally>,
}

impl Reader {
    /// Reads until told to stop.
    pub fn run(self) {
        let mut tally = Tally::default();
        let mut tick = self.clock.now() + TICK;
        while !self.over.load(Ordering::Acquire) {
            if let Err(_lost) = self.read(&mut tally, &mut tick) {
                tally.error(CONNECTION_LOST);
                self.cluster.want_refresh();
                thread::sleep(Duration::from_millis(100));
            }
        }
        // Nobody listening any more means that the run was broken off.
        let _ = self.report.send(tally);
    }

    /// One connection's life.
    fn read(&self, tally: &mut Tally, tick: &mut u64) -> io::Result<()> {
        let leaders = self.cluster.leaders();
        let address = leaders.brokers.get(&self.broker).ok_or_else(|| io::Error::other("the broker is gone"))?;
        let mut connection = Blocking::connect(address)?;
        let mut session = Session::default();
        while !self.over.load(Ordering::Acquire) {
            let now = self.clock.now();
            if now >= *tick {
                *tick = now + TICK;
                if self.report.send(std::mem::take(tally)).is_err() {
                    return Ok(());
                }
            }
            let wanted = self.wanted();
            if wanted.is_empty() {
                thread::sleep(Duration::from_millis(20));
                continue;
            }
            let request = self.request(&mut session, &wanted);
            let asked = self.clock.now();
            let response = connection.call(&request, self.cluster.versions.fetch)?;
            if SESSION_ERRORS.contains(&response.error_code) {
                session.reset();
                continue;
            }
            if response.error_code != 0 {
                tally.error(response.error_code);
                session.reset();
                thread::sleep(Duration::from_millis(20));
                continue;
            }
            if asked >= self.window.measured {
                tally.fetch_requests += 1;
                tally.fetch_us.saturating_record((self.clock.now() - asked) / 1000);
            }
            session.id = response.session_id;
            session.epoch = if session.id == 0 { 0 } else { session.epoch % i32::MAX + 1 };
            for partition in response.responses.iter().flat_map(|topic| &topic.partitions) {
                self.on_partition(partition, tally)?;
            }
        }
        Ok(())
    }

    fn wanted(&self) -> BTreeMap<i32, i64> {
        let leaders = self.cluster.leaders();
        let led_here = |partition: i32| leaders.leaders.get(partition as usize).copied().flatten() == Some(self.broker);
        self.share.positions().iter().map(|(partition, at)| (*partition, *at)).filter(|it| led_here(it.0)).collect()
    }

    /// Without a session all partitions; with one, what changed since the broker was last told.
    fn request(&self, session: &mut Session, wanted: &BTreeMap<i32, i64>) -> FetchRequest {
        if session.epoch == 0 {
            session.told.clear();
        }
        let changed = wanted.iter().filter(|(partition, at)| session.told.get(partition) != Some(at));
        let asked = changed.map(|(partition, at)| {
            let asked = FetchPartition::default().with_partition(*partition).with_fetch_offset(*at);
            asked.with_partition_max_bytes(self.settings.partition_max_bytes)
        });
        let asked: Vec<_> = asked.collect();
        let lost: BTreeSet<i32> = session.told.keys().copied().filter(|it| !wanted.contains_key(it)).collect();
        session.told = wanted.clone();
        let mut request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(self.settings.fetch_wait_ms)
            .with_min_bytes(self.settings.fetch_min_bytes)
            .with_max_bytes(self.settings.fetch_max_bytes)
            .with_session_id(session.id)
            .with_session_epoch(session.epoch);
        if !asked.is_empty() {
            let topic = FetchTopic::default().with_topic(self.cluster.topic.clone()).with_partitions(asked);
            request = request.with_topics(vec![topic]);
        }
        if !lost.is_empty() {
            let lost = lost.into_iter().collect();
            let topic = ForgottenTopic::default().with_topic(self.cluster.topic.clone()).with_partitions(lost);
            request = request.with_forgotten_topics_data(vec![topic]);
        }
        request
    }

    fn on_partition(&self, data: &PartitionData, tally: &mut Tally) -> io::Result<()> {
        let partition = data.partition_index;
        if data.error_code == OFFSET_OUT_OF_RANGE {
            tally.error(data.error_code);
            let start = offsets(&self.cluster, &[partition], -2)?;
            self.share.positions().extend(start);
            return Ok(());
        }
        if data.error_code != 0 {
            tally.error(data.error_code);
            self.cluster.want_refresh();
            thread::sleep(Duration::from_millis(5));
            return Ok(());
        }
        let from = self.share.positions().get(&partition).copied().unwrap_or(0);
        let next = match &data.records {
            Some(bytes) => self.on_records(bytes, from, tally)?,
            None => from,
        };
        // A cold reader that reached the end begins again.
        let next = if self.settings.read == ReadMode::Cold && next >= data.high_watermark { 0 } else { next };
        self.share.positions().insert(partition, next.max(if next == 0 { data.log_start_offset } else { 0 }));
        Ok(())
    }

    /// Reads whole batches; the last may be cut short, as Kafka's brokers do. Gives the next offset.
    fn on_records(&self, bytes: &Bytes, from: i64, tally: &mut Tally) -> io::Result<i64> {
        let now = self.clock.now();
        let measured = (self.window.measured..self.window.end).contains(&now);
        let mut next = from;
        for (header, batch) in heddle_records::batches(bytes).map_while(Result::ok) {
            if header.next_offset().0 <= from {
                continue;
            }
            next = header.next_offset().0;
            if measured {
                tally.read_bytes += batch.len() as u64;
                tally.read_records += header.count.max(0) as u64;
            }
            // Cold reads measure bytes, not ages.
            if header.is_control() || self.settings.read == ReadMode::Cold {
                continue;
            }
            let payload = match header.codec() {
                Some(Codec::None) => bytes.slice_ref(&batch[heddle_records::HEADER_BYTES..]),
                _ => heddle_records::payload(&bytes.slice_ref(batch), UNPACK_LIMIT).map_err(io::Error::other)?,
            };
            for record in heddle_records::records(&payload, header.count) {
                let value = record.map_err(io::Error::other)?.value.unwrap_or_default();
                if let Some((run, due)) = stamp(value)
                    && run == self.run
                    && due >= self.window.measured
                {
                    tally.end_to_end_us.saturating_record(now.saturating_sub(due) / 1000);
                }
            }
        }
        Ok(next)
    }
}

/// The run and the due time that the producer wrote into a value.
fn stamp(value: &[u8]) -> Option<(u64, u64)> {
    let (run, rest) = value.split_first_chunk::<8>()?;
    let due = rest.first_chunk::<8>()?;
    Some((u64::from_be_bytes(*run), u64::from_be_bytes(*due)))
}
