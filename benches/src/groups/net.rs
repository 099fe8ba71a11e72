//! Many connections of one thread: requests out, whole response frames in, whichever comes next.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, FindCoordinatorRequest, MetadataRequest, TopicName,
};
use kafka_protocol::protocol::{Request, StrBytes};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::load::wire::{self, Blocking};

/// No answer within this: the run has failed. Longer than any rebalance that is worth measuring.
const PATIENCE: Duration = Duration::from_secs(120);
/// Keys of one FindCoordinator request.
const KEYS_MAX: usize = 500;
const TOPIC_ALREADY_EXISTS: i16 = 36;

/// COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR: a broker that has just made
/// `__consumer_offsets` is found to be the coordinator before it is ready to be one.
pub fn is_not_ready(code: i16) -> bool {
    (14..=16).contains(&code)
}

/// What a connection received.
pub struct Received {
    /// The connection's index.
    pub from: usize,
    /// The request's correlation id, which the caller chose.
    pub correlation: i32,
    frame: Bytes,
}

impl Received {
    /// # Errors
    /// The frame is no response to such a request.
    pub fn read<R: Request>(self, version: i16) -> io::Result<R::Response> {
        wire::response::<R>(self.frame, version).map(|(_, body)| body)
    }
}

struct Connection {
    stream: TcpStream,
    out: BytesMut,
    received: BytesMut,
    wants_write: bool,
}

pub struct Net {
    epoll: Epoll,
    connections: Vec<Connection>,
    ready: VecDeque<Received>,
}

impl Net {
    /// One connection to each address, in their order.
    ///
    /// # Errors
    /// One cannot be opened.
    pub fn open(addresses: &[String]) -> io::Result<Net> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut connections = Vec::with_capacity(addresses.len());
        for (index, address) in addresses.iter().enumerate() {
            let stream = wire::connect(address)?;
            stream.set_nonblocking(true)?;
            epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
            let (out, received) = (BytesMut::new(), BytesMut::new());
            connections.push(Connection { stream, out, received, wants_write: false });
        }
        Ok(Net { epoll, connections, ready: VecDeque::new() })
    }

    pub fn len(&self) -> usize {
        self.connections.len()
    }

    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Sends at once as much as the socket takes; the rest follows in `next`.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn send<R: Request>(&mut self, to: usize, request: &R, version: i16, correlation: i32) -> io::Result<()> {
        let frame = wire::frame(request, version, correlation)?;
        self.connections[to].out.extend_from_slice(&frame);
        self.write(to)
    }

    /// The next response; `None` once `until` has passed.
    ///
    /// # Errors
    /// A connection is lost, or nothing came for two minutes.
    pub fn next(&mut self, until: Option<Instant>) -> io::Result<Option<Received>> {
        let patience = Instant::now() + PATIENCE;
        let mut events = [EpollEvent::empty(); 256];
        loop {
            if let Some(received) = self.ready.pop_front() {
                return Ok(Some(received));
            }
            let now = Instant::now();
            let limit = until.unwrap_or(patience).min(patience);
            if now >= limit && until.is_some_and(|until| now >= until) {
                return Ok(None);
            }
            if now >= patience {
                return Err(io::Error::other("the broker has not answered for two minutes"));
            }
            let wait_us = limit.saturating_duration_since(now).as_micros();
            // Milliseconds are too coarse to keep due times: the last one is polled for.
            let wait = u16::try_from(wait_us / 1_000).unwrap_or(1_000);
            let count = self.epoll.wait(&mut events, EpollTimeout::from(wait))?;
            for event in &events[..count] {
                let index = event.data() as usize;
                if event.events().contains(EpollFlags::EPOLLOUT) {
                    self.write(index)?;
                }
                if event.events().intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
                    self.read(index)?;
                }
            }
        }
    }

    fn write(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        while !connection.out.is_empty() {
            match connection.stream.write(&connection.out) {
                Ok(count) => connection.out.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let wants_write = !connection.out.is_empty();
        if wants_write != connection.wants_write {
            connection.wants_write = wants_write;
            let write = if wants_write { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
            let mut event = EpollEvent::new(EpollFlags::EPOLLIN | write, index as u64);
            self.epoll.modify(&connection.stream, &mut event)?;
        }
        Ok(())
    }

    fn read(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let mut piece = [0; 64 * 1024];
        loop {
            match connection.stream.read(&mut piece) {
                Ok(0) => return Err(io::Error::other("the broker closed a connection")),
                Ok(count) => connection.received.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        while let Some(frame) = wire::take_frame(&mut connection.received)? {
            let correlation = frame.first_chunk::<4>().copied().map(i32::from_be_bytes);
            let correlation = correlation.ok_or_else(|| io::Error::other("a response without correlation id"))?;
            self.ready.push_back(Received { from: index, correlation, frame });
        }
        Ok(())
    }
}

/// The broker's newest version of an API, or ours if that is older.
///
/// # Errors
/// The broker does not have the API.
pub fn agree<R: Request>(connection: &mut Blocking, ours: i16) -> io::Result<i16> {
    let response = connection.call(&ApiVersionsRequest::default(), 0)?;
    let theirs = response.api_keys.iter().find(|api| api.api_key == R::KEY);
    theirs.map(|api| ours.min(api.max_version)).ok_or_else(|| io::Error::other(format!("no API {}", R::KEY)))
}

/// Who coordinates each group, as HOST:PORT. The first question of all makes a broker create `__consumer_offsets`, and
/// takes a while.
///
/// # Errors
/// There is no coordinator after two minutes.
pub fn coordinators(connection: &mut Blocking, groups: &[String]) -> io::Result<Vec<String>> {
    let mut found = Vec::with_capacity(groups.len());
    for groups in groups.chunks(KEYS_MAX) {
        let keys = groups.iter().map(|group| StrBytes::from_string(group.clone())).collect();
        let request = FindCoordinatorRequest::default().with_key_type(0).with_coordinator_keys(keys);
        let begin = Instant::now();
        loop {
            let response = connection.call(&request, 4)?;
            if response.coordinators.iter().all(|coordinator| coordinator.error_code == 0) {
                found.extend(response.coordinators.iter().map(|one| format!("{}:{}", one.host, one.port)));
                break;
            }
            if begin.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("no coordinator: {:?}", response.coordinators.first())));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(found)
}

/// A topic that is there and has leaders.
///
/// # Errors
/// It cannot be created, or has no leaders after two minutes.
pub fn create_topic(connection: &mut Blocking, name: &str, partitions: i32) -> io::Result<()> {
    let name = TopicName(StrBytes::from_string(name.to_owned()));
    let topic = CreatableTopic::default().with_name(name.clone()).with_num_partitions(partitions);
    let topic = topic.with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(60_000);
    let version = agree::<CreateTopicsRequest>(connection, 7)?;
    let response = connection.call(&request, version)?;
    match response.topics.first() {
        Some(result) if result.error_code == 0 || result.error_code == TOPIC_ALREADY_EXISTS => {}
        other => return Err(io::Error::other(format!("the topic was not created: {other:?}"))),
    }
    let wanted = MetadataRequestTopic::default().with_name(Some(name));
    let request = MetadataRequest::default().with_topics(Some(vec![wanted])).with_allow_auto_topic_creation(false);
    let version = agree::<MetadataRequest>(connection, 12)?;
    let begin = Instant::now();
    loop {
        let response = connection.call(&request, version)?;
        let topic = response.topics.first().filter(|topic| topic.error_code == 0);
        let led = topic.map_or(0, |topic| topic.partitions.iter().filter(|one| one.leader_id.0 >= 0).count());
        if led == partitions as usize {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            return Err(io::Error::other("the topic has no leaders"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
