//! Commands as `verb ticket name=value …`.

use std::collections::BTreeMap;

use super::world::FakeTopics;
use bytes::Bytes;
use heddle_model::{LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId};

use crate::{
    Ask, CommitOffsets, ConsumerHeartbeat, DeleteOffsets, FetchOffsets, GroupOverrides, Groups, Heartbeat, InstanceId,
    Join, Leave, Leaver, List, MemberId, Migration, OffsetToCommit, Protocol, Sync, Text, TopicName, TopicPartitions,
    schema::{Writer, embedded::encode_assignment},
};

struct Arguments<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Arguments<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied()
    }

    fn text(&self, name: &str) -> &'a str {
        self.get(name).unwrap_or_default()
    }

    fn number(&self, name: &str, default: i32) -> i32 {
        self.get(name).map_or(default, |text| text.parse().expect("a number"))
    }

    fn member(&self) -> MemberId {
        MemberId::from(full_id(self.text("member")))
    }

    fn instance(&self) -> Option<InstanceId> {
        self.get("instance").map(InstanceId::new)
    }

    fn list(&self, name: &str) -> Vec<&'a str> {
        self.text(name).split(',').filter(|item| !item.is_empty()).collect()
    }
}

/// `a#1` is short for the id that client `a` got from the first entropy.
fn full_id(short: &str) -> String {
    match short.split_once('#') {
        Some((prefix, number)) => {
            format!("{prefix}-00000000-0000-4000-8000-{:012x}", number.parse::<u64>().expect("a number"))
        }
        None => short.to_owned(),
    }
}

pub fn parse(verb: &str, words: &[&str], topics: &FakeTopics) -> Ask {
    let pairs = words.iter().map(|word| word.split_once('=').unwrap_or((word, "")));
    let arguments = Arguments(pairs.collect());
    let group = arguments.get("group").unwrap_or("g").into();
    let generation = arguments.number("generation", -1);
    match verb {
        "join" => Ask::Join(join(&arguments)),
        "sync" => Ask::Sync(Sync {
            group,
            member: arguments.member(),
            instance: arguments.instance(),
            generation,
            protocol_type: arguments.get("type").map(Text::new),
            protocol: arguments.get("protocol").map(Text::new),
            assignments: arguments.list("assign").into_iter().map(assignment).collect(),
        }),
        "heartbeat" => {
            Ask::Heartbeat(Heartbeat { group, member: arguments.member(), instance: arguments.instance(), generation })
        }
        "leave" => Ask::Leave(Leave { group, members: arguments.list("members").into_iter().map(leaver).collect() }),
        "commit" => Ask::CommitOffsets(commit(&arguments, topics)),
        "fetch" => Ask::FetchOffsets(FetchOffsets {
            group,
            member: arguments.get("member").map(|_| arguments.member()),
            epoch: arguments.get("epoch").map(|text| text.parse().expect("a number")),
            topics: arguments.get("of").map(|_| partitions(&arguments.list("of"))),
            require_stable: arguments.get("stable").is_some(),
        }),
        "delete-offsets" => Ask::DeleteOffsets(DeleteOffsets {
            group,
            partitions: arguments.list("of").into_iter().map(partition).collect(),
        }),
        "list" => Ask::List(List {
            states: arguments.list("states").into_iter().map(Text::new).collect(),
            kinds: arguments.list("kinds").into_iter().map(Text::new).collect(),
        }),
        "beat" => Ask::ConsumerHeartbeat(consumer_heartbeat(&arguments, topics)),
        "describe-consumer" => Ask::ConsumerDescribe(group),
        "describe" => Ask::Describe(group),
        "delete" => Ask::Delete(group),
        "topic-deleted" => Ask::TopicsDeleted([arguments.text("topic").into()].into()),
        _ => panic!("no such command: {verb}"),
    }
}

fn join(arguments: &Arguments<'_>) -> Join {
    let session_timeout_ms = arguments.number("session", 10_000);
    let version = arguments.number("v", 9);
    Join {
        group: arguments.get("group").unwrap_or("g").into(),
        member: arguments.member(),
        instance: arguments.instance(),
        client_id: arguments.get("client").unwrap_or("c").into(),
        client_host: "/host".into(),
        session_timeout_ms,
        rebalance_timeout_ms: arguments.number("rebalance", 60_000),
        protocol_type: arguments.get("type").unwrap_or("consumer").into(),
        protocols: protocols(arguments),
        needs_known_id: version >= 4,
        can_skip_assignment: version >= 9,
        reason: None,
    }
}

/// `beat 1 member=a epoch=0 topics=t`: what a first heartbeat has to say is said if the epoch is 0.
fn consumer_heartbeat(arguments: &Arguments<'_>, topics: &FakeTopics) -> ConsumerHeartbeat {
    let epoch = arguments.number("epoch", 0);
    let owned = |items: Vec<&str>| -> Vec<TopicPartitions> {
        partitions(&items)
            .into_iter()
            .map(|(topic, partitions)| TopicPartitions {
                topic: topics.known.get(&topic).map_or(TopicId(9), |known| known.0),
                partitions,
            })
            .collect()
    };
    let first = (epoch == 0).then_some(60_000);
    ConsumerHeartbeat {
        group: arguments.get("group").unwrap_or("g").into(),
        member: arguments.text("member").into(),
        epoch,
        instance: arguments.instance(),
        rack: None,
        rebalance_timeout_ms: arguments.get("rebalance").map(|text| text.parse().expect("a number")).or(first),
        subscribed: arguments.get("topics").map(|_| arguments.list("topics").into_iter().map(TopicName::new).collect()),
        regex: arguments.get("regex").map(Text::new),
        assignor: arguments.get("assignor").map(Text::new),
        owned: (epoch == 0 || arguments.get("owned").is_some()).then(|| owned(arguments.list("owned"))),
        client_id: "c".into(),
        client_host: "/host".into(),
    }
}

/// `protocols=range,sticky:other-metadata`; without metadata it is a subscription to `topics`.
fn protocols(arguments: &Arguments<'_>) -> Vec<Protocol> {
    let names = arguments.get("protocols").unwrap_or("range");
    let protocol = |item: &str| match item.split_once(':') {
        Some((name, metadata)) => Protocol { name: name.into(), metadata: Bytes::copy_from_slice(metadata.as_bytes()) },
        None => Protocol {
            name: item.into(),
            metadata: subscription(&arguments.list("topics"), arguments.get("owned").map(|_| arguments.list("owned"))),
        },
    };
    names.split(',').filter(|item| !item.is_empty()).map(protocol).collect()
}

/// A consumer's subscription, version 0, or 1 if it says what it owns.
fn subscription(topics: &[&str], owned: Option<Vec<&str>>) -> Bytes {
    let mut writer = Writer::version(i16::from(owned.is_some()));
    writer.count(topics.len());
    topics.iter().for_each(|topic| writer.string(topic));
    writer.i32(-1);
    if let Some(owned) = owned {
        let owned = partitions(&owned);
        writer.count(owned.len());
        for (topic, indexes) in owned {
            writer.string(topic.as_str());
            writer.count(indexes.len());
            indexes.iter().for_each(|index| writer.i32(index.0));
        }
    }
    writer.done()
}

/// `member:text`, or `member:@t-0@t-1` for what a consumer's leader sends.
fn assignment(item: &str) -> (MemberId, Bytes) {
    let (member, text) = item.split_once(':').expect("member:assignment");
    let assignment = match text.strip_prefix('@') {
        Some(list) => encode_assignment(0, &partitions(&list.split('@').collect::<Vec<_>>())),
        None => Bytes::copy_from_slice(text.as_bytes()),
    };
    (MemberId::from(full_id(member)), assignment)
}

fn leaver(item: &str) -> Leaver {
    let (member, instance) = match item.split_once('@') {
        Some((member, instance)) => (member, Some(InstanceId::new(instance))),
        None => (item, None),
    };
    Leaver { member: MemberId::from(full_id(member)), instance, reason: None }
}

/// `offsets=topic-0:17,topic-1:4:metadata`.
fn commit(arguments: &Arguments<'_>, topics: &FakeTopics) -> CommitOffsets {
    let offset = |item: &str| {
        let mut parts = item.splitn(3, ':');
        let (topic, index) = partition(parts.next().expect("topic-partition"));
        OffsetToCommit {
            topic_id: topics.known.get(&topic).map(|(id, _)| *id),
            topic,
            partition: index,
            offset: Offset(parts.next().expect("an offset").parse().expect("a number")),
            leader_epoch: arguments.get("leader-epoch").map(|text| LeaderEpoch(text.parse().expect("a number"))),
            metadata: parts.next().unwrap_or_default().into(),
        }
    };
    CommitOffsets {
        group: arguments.get("group").unwrap_or("g").into(),
        member: arguments.member(),
        instance: arguments.instance(),
        generation: arguments.number("generation", -1),
        knows_epochs: arguments.number("v", 9) >= 9,
        producer: arguments.get("producer").map(|text| (ProducerId(text.parse().expect("a number")), ProducerEpoch(0))),
        retention_ms: arguments.get("retention").map(|text| text.parse().expect("a number")),
        offsets: arguments.list("offsets").into_iter().map(offset).collect(),
    }
}

fn partition(item: &str) -> (TopicName, PartitionIndex) {
    let (topic, index) = item.rsplit_once('-').expect("topic-partition");
    (topic.into(), PartitionIndex(index.parse().expect("a number")))
}

fn partitions(items: &[&str]) -> Vec<(TopicName, Vec<PartitionIndex>)> {
    let mut topics: Vec<(TopicName, Vec<PartitionIndex>)> = Vec::new();
    for item in items {
        let (topic, index) = partition(item);
        match topics.last_mut() {
            Some((last, indexes)) if *last == topic => indexes.push(index),
            _ => topics.push((topic, vec![index])),
        }
    }
    topics
}

pub fn configure(groups: &mut Groups, overrides: &mut GroupOverrides, name: &str, value: &str) {
    let mut settings = groups.settings.clone();
    let number: i64 = value.parse().unwrap_or_default();
    match name {
        "group.initial.rebalance.delay.ms" => settings.group_initial_rebalance_delay_ms = number as i32,
        "group.max.size" => settings.group_max_size = number as usize,
        "offset.metadata.max.bytes" => settings.offset_metadata_max_bytes = number as usize,
        "offsets.retention.ms" => settings.offsets_retention_ms = number,
        "consumer.session.timeout.ms" => overrides.consumer_session_timeout_ms = Some(number as i32),
        "consumer.heartbeat.interval.ms" => overrides.consumer_heartbeat_interval_ms = Some(number as i32),
        "consumer.assignment.interval.ms" => overrides.consumer_assignment_interval_ms = Some(number as i32),
        "group.consumer.assignment.interval.ms" => settings.group_consumer_assignment_interval_ms = number as i32,
        "group.consumer.max.size" => settings.group_consumer_max_size = number as usize,
        "group.consumer.migration.policy" => {
            settings.group_consumer_migration_policy = match value {
                "disabled" => Migration::Disabled,
                "upgrade" => Migration::Upgrade,
                "downgrade" => Migration::Downgrade,
                _ => Migration::Bidirectional,
            };
        }
        _ => panic!("no such setting: {name}"),
    }
    groups.configure(settings);
}
