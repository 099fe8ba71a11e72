//! A decision as lines of text.

use bytes::Bytes;

use crate::{
    Answer, ConsumerDescribed, ConsumerHeartbeatAnswer, Decision, Described, FetchedOffset, InstanceId, Joined,
    MemberId, OffsetOutcome, Refusal, Text, TopicName, TopicPartitions,
    schema::{
        GroupMetadata, Key, StoredOffset,
        consumer::{CurrentValue, EpochValue, MemberValue, RegexValue, decode_target, decode_target_epoch},
        embedded::{decode_assignment, subscribed_topics},
    },
};

pub fn decision(decision: &Decision) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in &decision.records {
        let mark = if decision.producer.is_some() { "+txn" } else { "+" };
        lines.push(short(&format!("{mark} {}", record(&entry.key, entry.value.as_ref()))));
    }
    for (ticket, answer) in &decision.answers {
        lines.push(short(&format!("{}: {}", ticket.slot, text(answer))));
    }
    lines
}

/// Ids made of counted entropy, as scripts write them.
fn short(line: &str) -> String {
    let mark = "-00000000-0000-4000-8000-";
    let mut rest = line;
    let mut out = String::new();
    while let Some(at) = rest.find(mark) {
        let number = &rest[at + mark.len()..at + mark.len() + 12];
        out.push_str(&format!("{}#{}", &rest[..at], u64::from_str_radix(number, 16).expect("hex")));
        rest = &rest[at + mark.len() + 12..];
    }
    out + rest
}

fn bytes(bytes: &Bytes) -> String {
    // A subscription of version 0 reads better as its topics.
    match subscribed_topics(bytes.clone()) {
        Some(topics) => format!("{topics:?}"),
        None => bytes.escape_ascii().to_string(),
    }
}

/// An assignment of the consumer protocol, or other text.
fn assigned(bytes: &Bytes) -> String {
    match decode_assignment(bytes.clone()) {
        Ok(topics) => topics.iter().map(|(topic, indexes)| format!("{topic}{indexes:?}")).collect(),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

fn record(key: &Bytes, value: Option<&Bytes>) -> String {
    let key = Key::decode(key.clone()).expect("our own key");
    let value = value.cloned();
    match key {
        Key::Offset { group, topic, partition } => match value {
            None => format!("offset {group} {topic}-{partition} gone"),
            Some(value) => {
                let stored = StoredOffset::decode(value, 0).expect("our own value").committed;
                format!("offset {group} {topic}-{partition} {:?}", stored)
            }
        },
        Key::Group(group) => match value {
            None => format!("group {group} gone"),
            Some(value) => format!("group {group} {}", metadata(&GroupMetadata::decode(value).expect("our own value"))),
        },
        key => consumer_record(key, value),
    }
}

fn consumer_record(key: Key, value: Option<Bytes>) -> String {
    let (what, text) = match (key, value) {
        (Key::Epoch(group), Some(value)) => {
            (format!("epoch {group}"), EpochValue::decode(value).expect("our own value").epoch.to_string())
        }
        (Key::Epoch(group), None) => (format!("epoch {group}"), "gone".to_owned()),
        (Key::Member(group, member), value) => (format!("member {group} {member}"), member_value(value)),
        (Key::TargetEpoch(group), value) => (
            format!("target-epoch {group}"),
            value.map_or("gone".to_owned(), |value| decode_target_epoch(value).expect("our own value").to_string()),
        ),
        (Key::Target(group, member), value) => (
            format!("target {group} {member}"),
            value.map_or("gone".to_owned(), |value| partitions(&decode_target(value).expect("our own value"))),
        ),
        (Key::Current(group, member), value) => (format!("current {group} {member}"), current(value)),
        (Key::Regex(group, regex), value) => (
            format!("regex {group} {regex}"),
            value
                .map_or("gone".to_owned(), |value| format!("{:?}", RegexValue::decode(value).expect("our own").topics)),
        ),
        (key, _) => (format!("{key:?}"), String::new()),
    };
    format!("{what} {text}")
}

fn member_value(value: Option<Bytes>) -> String {
    let Some(value) = value else { return "gone".to_owned() };
    let value = MemberValue::decode(value).expect("our own value");
    let mut text = format!("{:?}", value.subscribed);
    for (name, part) in [("regex", &value.regex), ("assignor", &value.assignor)] {
        if let Some(part) = part {
            text.push_str(&format!(" {name}={part}"));
        }
    }
    if let Some(classic) = &value.classic {
        let names: Vec<&str> = classic.protocols.iter().map(|protocol| protocol.name.as_str()).collect();
        text.push_str(&format!(" classic={}", names.join(",")));
    }
    text + &at(value.instance.as_ref())
}

fn current(value: Option<Bytes>) -> String {
    let Some(value) = value else { return "gone".to_owned() };
    let value = CurrentValue::decode(value).expect("our own value");
    let state = ["stable", "unrevoked", "unreleased"].get(value.state as usize).copied().unwrap_or("unknown");
    let revoking =
        if value.revoking.is_empty() { String::new() } else { format!(" revoking {}", partitions(&value.revoking)) };
    format!("epoch={} ({}) {state} {}{revoking}", value.epoch, value.previous_epoch, partitions(&value.assigned))
}

fn partitions(list: &[TopicPartitions]) -> String {
    let each: Vec<String> = list.iter().map(|item| format!("{:x}{:?}", item.topic.0, item.partitions)).collect();
    format!("{{{}}}", each.join(" "))
}

fn beat(answer: &ConsumerHeartbeatAnswer) -> String {
    let assignment =
        answer.assignment.as_ref().map_or(String::new(), |assignment| format!(" {}", partitions(assignment)));
    format!("{} epoch={} interval={}{assignment}", answer.member, answer.epoch, answer.interval_ms)
}

fn consumer_described(group: &ConsumerDescribed) -> String {
    let list = |list: &[(TopicName, TopicPartitions)]| {
        let each: Vec<String> = list.iter().map(|(name, item)| format!("{name}{:?}", item.partitions)).collect();
        each.join(" ")
    };
    let members: Vec<String> = group
        .members
        .iter()
        .map(|m| {
            let classic = if m.classic { " classic" } else { "" };
            format!(
                "{}{}{classic} epoch={} {} -> {}",
                m.member,
                at(m.instance.as_ref()),
                m.epoch,
                list(&m.assignment),
                list(&m.target)
            )
        })
        .collect();
    format!(
        "{:?} epoch={}/{} {} [{}]",
        group.state,
        group.epoch,
        group.assignment_epoch,
        group.assignor,
        members.join(", ")
    )
}

fn metadata(metadata: &GroupMetadata) -> String {
    let members: Vec<String> = metadata
        .members
        .iter()
        .map(|m| {
            format!("{}{} {}={}", m.member, at(m.instance.as_ref()), bytes(&m.subscription), assigned(&m.assignment))
        })
        .collect();
    format!(
        "generation={} {}/{} leader={} members=[{}]",
        metadata.generation,
        metadata.protocol_type,
        metadata.protocol.as_ref().map_or("-", Text::as_str),
        metadata.leader.as_ref().map_or("-", MemberId::as_str),
        members.join(", ")
    )
}

fn at(instance: Option<&InstanceId>) -> String {
    instance.map(|instance| format!("@{instance}")).unwrap_or_default()
}

fn text(answer: &Answer) -> String {
    match answer {
        Answer::Joined(joined) => joined_text(joined),
        Answer::Synced(synced) => {
            format!("synced {}/{} {}", synced.protocol_type, synced.protocol, assigned(&synced.assignment))
        }
        Answer::Left(left) => {
            let each: Vec<String> = left
                .iter()
                .map(|(leaver, refusal)| {
                    format!("{}{} {}", leaver.member, at(leaver.instance.as_ref()), outcome(refusal))
                })
                .collect();
            format!("left {}", each.join(", "))
        }
        Answer::Committed(partitions) => format!("committed {}", outcomes(partitions)),
        Answer::OffsetsDeleted(partitions) => format!("deleted {}", outcomes(partitions)),
        Answer::Fetched(topics) => {
            let each: Vec<String> = topics.iter().flat_map(|(topic, offsets)| fetched(topic, offsets)).collect();
            format!("fetched {}", each.join(", "))
        }
        Answer::Listed(groups) => {
            let each: Vec<String> = groups
                .iter()
                .map(|g| format!("{} {} {:?} '{}'", g.group, g.kind.name(), g.state, g.protocol_type))
                .collect();
            format!("listed {}", each.join(", "))
        }
        Answer::Described(described) => described_text(described),
        Answer::Alive => "alive".to_owned(),
        Answer::Deleted => "deleted".to_owned(),
        Answer::Forgotten(count) => format!("forgotten {count}"),
        Answer::Refused(refusal) => format!("{refusal:?}"),
        Answer::ConsumerHeartbeat(answer) => beat(answer),
        Answer::ConsumerDescribed(group) => consumer_described(group),
    }
}

fn joined_text(joined: &Joined) -> String {
    let members: Vec<String> = joined
        .members
        .iter()
        .map(|m| format!("{}{}={}", m.member, at(m.instance.as_ref()), bytes(&m.metadata)))
        .collect();
    let skip = if joined.skip_assignment { " skip-assignment" } else { "" };
    format!(
        "joined {} generation={} {}/{} leader={}{skip} [{}]",
        joined.member,
        joined.generation,
        joined.protocol_type,
        joined.protocol,
        joined.leader,
        members.join(", ")
    )
}

fn outcome(refusal: &Option<Refusal>) -> String {
    refusal.as_ref().map_or("ok".to_owned(), |refusal| format!("{refusal:?}"))
}

fn outcomes(partitions: &[(TopicName, heddle_model::PartitionIndex, Option<Refusal>)]) -> String {
    let each: Vec<String> =
        partitions.iter().map(|(topic, index, refusal)| format!("{topic}-{index} {}", outcome(refusal))).collect();
    each.join(", ")
}

fn fetched(topic: &TopicName, offsets: &[FetchedOffset]) -> Vec<String> {
    offsets
        .iter()
        .map(|offset| match &offset.outcome {
            OffsetOutcome::Known(known) => format!("{topic}-{} {known:?}", offset.partition),
            OffsetOutcome::Nothing => format!("{topic}-{} nothing", offset.partition),
            OffsetOutcome::Pending => format!("{topic}-{} pending", offset.partition),
        })
        .collect()
}

fn described_text(described: &Described) -> String {
    let members: Vec<String> = described
        .members
        .iter()
        .map(|m| {
            let instance = at(m.instance.as_ref());
            format!(
                "{}{instance} {} {} {}={}",
                m.member,
                m.client_id,
                m.client_host,
                bytes(&m.metadata),
                assigned(&m.assignment)
            )
        })
        .collect();
    format!("{:?} '{}' '{}' [{}]", described.state, described.protocol_type, described.protocol, members.join(", "))
}
