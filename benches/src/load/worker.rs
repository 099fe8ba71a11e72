//! A thread that drives many producers: one epoll, one timer, a connection for each producer and broker.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::cluster::Cluster;
use super::options::{Acks, Settings};
use super::producer::{Batch, Producer};
use super::tally::{CONNECTION_LOST, Clock, Tally, Window};
use super::wire;

const TIMER: u64 = u64::MAX;
const TICK: u64 = 1_000_000_000;
/// How long a lost connection rests before the next try. Nanoseconds.
const RECONNECT_AFTER: u64 = 100_000_000;
const DUPLICATE_SEQUENCE: i16 = 46;
const OUT_OF_ORDER_SEQUENCE: i16 = 45;

struct Request {
    correlation: i32,
    batches: Vec<Batch>,
}

struct Connection {
    producer: usize,
    broker: i32,
    stream: TcpStream,
    out: BytesMut,
    received: BytesMut,
    correlation: i32,
    in_flight: VecDeque<Request>,
}

pub struct Worker {
    clock: Clock,
    window: Window,
    settings: Settings,
    cluster: Arc<Cluster>,
    edition: u64,
    epoll: Epoll,
    timer: TimerFd,
    producers: Vec<Producer>,
    /// Slots keep their place; a broken connection leaves its slot empty.
    connections: Vec<Option<Connection>>,
    /// (producer, broker) to slot.
    routes: BTreeMap<(usize, i32), usize>,
    /// (producer, broker) that failed, and when to try again.
    resting: BTreeMap<(usize, i32), u64>,
    wakes: BinaryHeap<Reverse<(u64, usize)>>,
    /// The earliest entry of each producer in `wakes`, so that an answer adds none that is there already.
    planned: Vec<u64>,
    tally: Tally,
    report: Sender<Tally>,
}

impl Worker {
    pub fn new(
        clock: Clock,
        window: Window,
        settings: &Settings,
        cluster: Arc<Cluster>,
        producers: Vec<Producer>,
        report: Sender<Tally>,
    ) -> io::Result<Worker> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        Ok(Worker {
            clock,
            window,
            settings: settings.clone(),
            edition: cluster.edition(),
            cluster,
            epoll,
            timer,
            planned: vec![u64::MAX; producers.len()],
            producers,
            connections: Vec::new(),
            routes: BTreeMap::new(),
            resting: BTreeMap::new(),
            wakes: BinaryHeap::new(),
            tally: Tally::default(),
            report,
        })
    }

    /// Opens every connection that will be needed, so that connecting is not measured.
    pub fn warm(&mut self) -> io::Result<()> {
        let leaders = self.cluster.leaders();
        let used: std::collections::BTreeSet<i32> = leaders.leaders.iter().copied().flatten().collect();
        for producer in 0..self.producers.len() {
            for &broker in &used {
                self.open(producer, broker)?;
            }
        }
        Ok(())
    }

    /// Drives the producers until all is answered or the time to drain is over. The last tally is returned.
    pub fn run(mut self) -> io::Result<()> {
        for producer in 0..self.producers.len() {
            self.schedule(producer);
        }
        let over = self.window.end + (self.settings.drain * 1e9) as u64;
        let mut tick = self.clock.now() + TICK;
        let mut events = [EpollEvent::empty(); 256];
        loop {
            let now = self.clock.now();
            if now >= tick {
                tick += TICK;
                let done = std::mem::take(&mut self.tally);
                // Nobody listening any more means that the run was broken off.
                if self.report.send(done).is_err() {
                    return Ok(());
                }
            }
            if now >= over || self.producers.iter().all(Producer::is_done) {
                break;
            }
            self.sleep_until(tick.min(self.wakes.peek().map_or(u64::MAX, |Reverse((at, _))| *at)), &mut events)?;
        }
        self.finish();
        Ok(())
    }

    fn sleep_until(&mut self, wake: u64, events: &mut [EpollEvent]) -> io::Result<()> {
        let now = self.clock.now();
        let timeout = if wake <= now {
            EpollTimeout::ZERO
        } else {
            // epoll's own timeout counts in milliseconds, too coarse for open-loop due times.
            let pause = TimeSpec::from_duration(Duration::from_nanos(wake - now));
            self.timer.set(Expiration::OneShot(pause), TimerSetTimeFlags::empty())?;
            EpollTimeout::NONE
        };
        let count = match self.epoll.wait(events, timeout) {
            Ok(count) => count,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in &events[..count] {
            match event.data() {
                TIMER => match self.timer.wait() {
                    Ok(()) | Err(nix::errno::Errno::EAGAIN) => {}
                    Err(error) => return Err(error.into()),
                },
                slot => self.on_socket(slot as usize),
            }
        }
        if self.edition != self.cluster.edition() {
            self.on_leaders();
        }
        self.on_time();
        Ok(())
    }

    fn on_leaders(&mut self) {
        self.edition = self.cluster.edition();
        let leaders = self.cluster.leaders();
        for producer in 0..self.producers.len() {
            self.producers[producer].on_leaders(leaders.clone());
            self.send_what_is_ready(producer);
            self.schedule(producer);
        }
    }

    fn on_time(&mut self) {
        let now = self.clock.now();
        while let Some(&Reverse((at, producer))) = self.wakes.peek() {
            if at > now {
                break;
            }
            self.wakes.pop();
            if at == self.planned[producer] {
                self.planned[producer] = u64::MAX;
            }
            self.producers[producer].on_time(now, &mut self.tally);
            self.send_what_is_ready(producer);
            self.schedule(producer);
        }
    }

    /// An entry that is overtaken by an earlier one wakes a producer for nothing, which does no harm.
    fn schedule(&mut self, producer: usize) {
        let rest = self.resting.range((producer, i32::MIN)..=(producer, i32::MAX)).map(|(_, at)| *at).min();
        let wake = self.producers[producer].wakes_at().into_iter().chain(rest).min();
        if let Some(at) = wake.filter(|at| *at < self.planned[producer]) {
            self.planned[producer] = at;
            self.wakes.push(Reverse((at, producer)));
        }
    }

    fn open(&mut self, producer: usize, broker: i32) -> io::Result<usize> {
        let leaders = self.cluster.leaders();
        let address = leaders.brokers.get(&broker).ok_or_else(|| io::Error::other("a leader without an address"))?;
        let stream = wire::connect(address)?;
        stream.set_nonblocking(true)?;
        let slot = self.connections.len();
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        self.epoll.add(&stream, EpollEvent::new(flags, slot as u64))?;
        self.connections.push(Some(Connection {
            producer,
            broker,
            stream,
            out: BytesMut::new(),
            received: BytesMut::new(),
            correlation: 0,
            in_flight: VecDeque::new(),
        }));
        self.routes.insert((producer, broker), slot);
        Ok(slot)
    }

    fn send_what_is_ready(&mut self, producer: usize) {
        if self.producers[producer].has_leaderless() {
            self.cluster.want_refresh();
        }
        for broker in self.producers[producer].brokers() {
            let now = self.clock.now();
            if self.resting.get(&(producer, broker)).is_some_and(|at| *at > now) {
                continue;
            }
            self.resting.remove(&(producer, broker));
            let slot = match self.routes.get(&(producer, broker)) {
                Some(slot) => *slot,
                None => match self.open(producer, broker) {
                    Ok(slot) => {
                        self.tally.reconnects += 1;
                        slot
                    }
                    Err(_) => {
                        self.tally.error(CONNECTION_LOST);
                        self.resting.insert((producer, broker), now + RECONNECT_AFTER);
                        self.cluster.want_refresh();
                        continue;
                    }
                },
            };
            if let Err(_broken) = self.send(producer, slot) {
                self.on_broken(slot);
            }
        }
    }

    /// Fills the connection's free places with requests and writes what the socket takes.
    fn send(&mut self, producer: usize, slot: usize) -> io::Result<()> {
        let Some(connection) = &mut self.connections[slot] else { return Ok(()) };
        while connection.in_flight.len() < self.settings.in_flight {
            let batches = self.producers[producer].take_request(connection.broker, self.clock.now());
            if batches.is_empty() {
                break;
            }
            connection.correlation = connection.correlation.wrapping_add(1);
            let request = produce_request(&self.cluster, &self.settings, &batches);
            let frame = wire::frame(&request, self.cluster.versions.produce, connection.correlation)?;
            connection.out.extend_from_slice(&frame);
            self.tally.produce_requests += 1;
            connection.in_flight.push_back(Request { correlation: connection.correlation, batches });
        }
        connection.flush()?;
        if self.settings.acks == Acks::None && connection.out.is_empty() {
            let sent: Vec<Request> = connection.in_flight.drain(..).collect();
            for batch in sent.into_iter().flat_map(|request| request.batches) {
                self.on_acknowledged(producer, batch);
            }
        }
        Ok(())
    }

    fn on_socket(&mut self, slot: usize) {
        let Some(connection) = &mut self.connections[slot] else { return };
        let producer = connection.producer;
        let mut outcome = connection.fill();
        while outcome.is_ok() {
            let Some(connection) = &mut self.connections[slot] else { return };
            match wire::take_frame(&mut connection.received) {
                Ok(Some(frame)) => outcome = self.on_response(slot, frame),
                Ok(None) => break,
                Err(error) => outcome = Err(error),
            }
        }
        if outcome.and_then(|()| self.send(producer, slot)).is_err() {
            self.on_broken(slot);
        }
        self.schedule(producer);
    }

    fn on_response(&mut self, slot: usize, frame: bytes::Bytes) -> io::Result<()> {
        let (correlation, response) = wire::response::<ProduceRequest>(frame, self.cluster.versions.produce)?;
        let Some(connection) = &mut self.connections[slot] else { return Ok(()) };
        let producer = connection.producer;
        let request = connection.in_flight.pop_front().filter(|request| request.correlation == correlation);
        let request = request.ok_or_else(|| io::Error::other("an answer to no request"))?;
        let codes = codes_by_partition(&response);
        for batch in request.batches {
            match codes.get(&(batch.partition as i32)) {
                Some(0 | &DUPLICATE_SEQUENCE) => self.on_acknowledged(producer, batch),
                Some(&code) => self.on_refused(producer, batch, code),
                None => self.on_refused(producer, batch, -1),
            }
        }
        Ok(())
    }

    fn on_acknowledged(&mut self, producer: usize, batch: Batch) {
        let now = self.clock.now();
        for due in batch.due.iter().filter(|due| **due >= self.window.measured) {
            self.tally.produce_us.saturating_record((now - due) / 1000);
            self.tally.acked_records += 1;
        }
        if batch.due.last().is_some_and(|due| *due >= self.window.measured) {
            self.tally.batches += 1;
            self.tally.acked_bytes += batch.sealed().len() as u64;
        }
        self.producers[producer].on_settled(&batch);
    }

    fn on_refused(&mut self, producer: usize, batch: Batch, code: i16) {
        self.tally.error(code);
        let again = is_retriable(code) || code == OUT_OF_ORDER_SEQUENCE && self.settings.idempotent;
        if again {
            self.tally.retried_batches += 1;
            self.cluster.want_refresh();
            self.producers[producer].on_refused(batch, self.clock.now());
        } else {
            self.tally.refused += batch.due.len() as u64;
            self.producers[producer].on_settled(&batch);
        }
    }

    /// All that was in flight comes back to its producer.
    fn on_broken(&mut self, slot: usize) {
        let Some(connection) = self.connections[slot].take() else { return };
        let Connection { producer, broker, in_flight, .. } = connection;
        self.tally.error(CONNECTION_LOST);
        self.routes.remove(&(producer, broker));
        let now = self.clock.now();
        self.resting.insert((producer, broker), now + RECONNECT_AFTER);
        self.cluster.want_refresh();
        for batch in in_flight.into_iter().flat_map(|request| request.batches) {
            self.tally.retried_batches += 1;
            self.producers[producer].on_refused(batch, now);
        }
        self.schedule(producer);
    }

    fn finish(mut self) {
        let now = self.clock.now();
        for (index, producer) in self.producers.iter().enumerate() {
            let connections = self.connections.iter().flatten().filter(|connection| connection.producer == index);
            let in_flight = connections.flat_map(|connection| &connection.in_flight);
            producer.give_up(in_flight.flat_map(|request| &request.batches), now, &mut self.tally);
        }
        // Nobody listening any more means that the run was broken off.
        let _ = self.report.send(self.tally);
    }
}

impl Connection {
    fn fill(&mut self) -> io::Result<()> {
        let mut piece = [0; 65_536];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.received.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.out.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn produce_request(cluster: &Cluster, settings: &Settings, batches: &[Batch]) -> ProduceRequest {
    let data = |batch: &Batch| {
        let partition = PartitionProduceData::default().with_index(batch.partition as i32);
        partition.with_records(Some(batch.sealed().clone()))
    };
    let topic = TopicProduceData::default()
        .with_name(cluster.topic.clone())
        .with_partition_data(batches.iter().map(data).collect());
    ProduceRequest::default().with_acks(settings.acks.on_wire()).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

fn codes_by_partition(response: &ProduceResponse) -> BTreeMap<i32, i16> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    partitions.map(|partition| (partition.index, partition.error_code)).collect()
}

/// What Kafka's clients try again: unknown topic or partition, no or wrong leader, timeouts, network, replicas short,
/// storage, epochs.
fn is_retriable(code: i16) -> bool {
    matches!(code, 2 | 3 | 5 | 6 | 7 | 13 | 19 | 20 | 56 | 74 | 75 | 89)
}
