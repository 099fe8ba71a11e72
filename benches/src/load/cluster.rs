//! Who leads what: the topic's leaders, shared by all threads and refreshed when one of them saw a change.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{CreateTopicsRequest, InitProducerIdRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::options::Settings;
use super::wire::{Blocking, Versions};

const TOPIC_ALREADY_EXISTS: i16 = 36;
/// How long a fresh topic may take until every partition has a leader.
const TOPIC_READY: Duration = Duration::from_secs(120);

/// One picture of the topic.
#[derive(Clone, Debug, Default)]
pub struct Leaders {
    /// Broker to "host:port".
    pub brokers: BTreeMap<i32, String>,
    /// By partition; `None` while there is no leader.
    pub leaders: Vec<Option<i32>>,
}

pub struct Cluster {
    bootstrap: Vec<String>,
    pub topic: TopicName,
    pub versions: Versions,
    picture: Mutex<Arc<Leaders>>,
    /// Grows with each new picture.
    edition: AtomicU64,
    wanted: AtomicBool,
    over: AtomicBool,
}

impl Cluster {
    /// Connects, creates the topic if it is not there, waits until each partition has a leader.
    pub fn open(brokers: &str, topic: &str, settings: &Settings) -> io::Result<Arc<Cluster>> {
        let bootstrap: Vec<String> = brokers.split(',').map(|broker| broker.trim().to_owned()).collect();
        let mut connection = any(&bootstrap)?;
        let versions = Versions::agree(&mut connection)?;
        let topic = TopicName(StrBytes::from_string(topic.to_owned()));
        create_topic(&mut connection, versions, &topic, settings)?;
        let begin = Instant::now();
        let leaders = loop {
            match picture(&mut connection, versions, &topic) {
                Ok(found) if found.leaders.iter().all(Option::is_some) && !found.leaders.is_empty() => break found,
                found if begin.elapsed() > TOPIC_READY => {
                    return Err(io::Error::other(format!("the topic has no leaders: {found:?}")));
                }
                _ => thread::sleep(Duration::from_millis(100)),
            }
        };
        Ok(Arc::new(Cluster {
            bootstrap,
            topic,
            versions,
            picture: Mutex::new(Arc::new(leaders)),
            edition: AtomicU64::new(1),
            wanted: AtomicBool::new(false),
            over: AtomicBool::new(false),
        }))
    }

    pub fn leaders(&self) -> Arc<Leaders> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn edition(&self) -> u64 {
        self.edition.load(Ordering::Acquire)
    }

    /// Somebody saw a leader change or lost a connection.
    pub fn want_refresh(&self) {
        self.wanted.store(true, Ordering::Release);
    }

    /// Ends `keep_fresh`.
    pub fn close(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Refreshes the picture when wanted; runs on a thread of its own.
    pub fn keep_fresh(&self) {
        while !self.over.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(20));
            if !self.wanted.swap(false, Ordering::AcqRel) {
                continue;
            }
            let addresses: Vec<String> =
                self.leaders().brokers.values().cloned().chain(self.bootstrap.clone()).collect();
            match any(&addresses).and_then(|mut connection| picture(&mut connection, self.versions, &self.topic)) {
                Ok(found) if !found.leaders.is_empty() => {
                    *self.picture.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(found);
                    self.edition.fetch_add(1, Ordering::AcqRel);
                }
                _ => self.want_refresh(),
            }
        }
    }

    /// A fresh producer id and epoch.
    pub fn producer_id(&self) -> io::Result<(i64, i16)> {
        let mut connection = any(&self.bootstrap)?;
        let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(60_000);
        for _ in 0..100 {
            let response = connection.call(&request, self.versions.init_producer_id)?;
            if response.error_code == 0 {
                return Ok((response.producer_id.0, response.producer_epoch));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(io::Error::other("no producer id was to be had"))
    }
}

fn any(addresses: &[String]) -> io::Result<Blocking> {
    let mut last = io::Error::other("no brokers named");
    for address in addresses {
        match Blocking::connect(address) {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn create_topic(
    connection: &mut Blocking,
    versions: Versions,
    topic: &TopicName,
    settings: &Settings,
) -> io::Result<()> {
    let mut configs = Vec::new();
    if settings.min_insync > 0 {
        let value = StrBytes::from_string(settings.min_insync.to_string());
        let name = StrBytes::from_static_str("min.insync.replicas");
        configs.push(CreatableTopicConfig::default().with_name(name).with_value(Some(value)));
    }
    let wanted = CreatableTopic::default()
        .with_name(topic.clone())
        .with_num_partitions(settings.partitions)
        .with_replication_factor(settings.replication)
        .with_configs(configs);
    let request = CreateTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(60_000);
    let response = connection.call(&request, versions.create_topics)?;
    match response.topics.first() {
        Some(result) if result.error_code == 0 || result.error_code == TOPIC_ALREADY_EXISTS => Ok(()),
        other => Err(io::Error::other(format!("the topic was not created: {other:?}"))),
    }
}

fn picture(connection: &mut Blocking, versions: Versions, topic: &TopicName) -> io::Result<Leaders> {
    let wanted = MetadataRequestTopic::default().with_name(Some(topic.clone()));
    let request = MetadataRequest::default().with_topics(Some(vec![wanted])).with_allow_auto_topic_creation(false);
    let response = connection.call(&request, versions.metadata)?;
    let brokers = response.brokers.iter().map(|it| (it.node_id.0, format!("{}:{}", it.host, it.port))).collect();
    let partitions = response.topics.first().map(|topic| topic.partitions.as_slice()).unwrap_or_default();
    let mut leaders = vec![None; partitions.len()];
    for partition in partitions {
        let place = usize::try_from(partition.partition_index).ok().and_then(|index| leaders.get_mut(index));
        let place = place.ok_or_else(|| io::Error::other("partition indexes with gaps"))?;
        *place = (partition.leader_id.0 >= 0).then_some(partition.leader_id.0);
    }
    Ok(Leaders { brokers, leaders })
}
