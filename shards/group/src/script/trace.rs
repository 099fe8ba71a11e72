//! A decision as lines of text.

use bytes::Bytes;

use crate::{
    Answer, Decision, Described, FetchedOffset, InstanceId, Joined, MemberId, OffsetOutcome, Refusal, Text, TopicName,
    schema::{GroupMetadata, Key, StoredOffset},
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
    match crate::classic::subscribed_topics(bytes.clone()) {
        Some(topics) => format!("{topics:?}"),
        None => bytes.escape_ascii().to_string(),
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
        Key::Unknown(version) => format!("unknown {version}"),
    }
}

fn metadata(metadata: &GroupMetadata) -> String {
    let members: Vec<String> = metadata
        .members
        .iter()
        .map(|m| format!("{}{} {}={}", m.member, at(m.instance.as_ref()), bytes(&m.subscription), bytes(&m.assignment)))
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
            format!("synced {}/{} {}", synced.protocol_type, synced.protocol, bytes(&synced.assignment))
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
        Answer::ConsumerHeartbeat(answer) => format!("{answer:?}"),
        Answer::ConsumerDescribed(answer) => format!("{answer:?}"),
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
                bytes(&m.assignment)
            )
        })
        .collect();
    format!("{:?} '{}' '{}' [{}]", described.state, described.protocol_type, described.protocol, members.join(", "))
}
