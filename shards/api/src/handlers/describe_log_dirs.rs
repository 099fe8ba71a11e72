//! DescribeLogDirs (35), versions 1 to 5: how many bytes each of this broker's replicas holds.

use std::collections::{BTreeMap, BTreeSet};

use heddle_model::PartitionId;
use heddle_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use heddle_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use heddle_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use heddle_protocol::{encode_log_dirs, text};

use crate::ask::{Answer, Ask, Target};
use crate::context::{Context, Reply, Started};

/// Bytes that are not known are -1.
const UNKNOWN: i64 = -1;

/// Each asked partition: topic, index, number of the ask.
type Asked = Vec<(String, i32, u32)>;

pub(crate) fn start(request: DescribeLogDirsRequest, cx: &mut Context<'_>) -> Started {
    let mut asked: Asked = Vec::new();
    for (name, id) in wanted(request.topics, cx) {
        let ask = Ask::Partition(heddle_partition::Ask::Describe);
        asked.push((name, id.index.0, cx.ask(Target::Partition(id), ask)));
    }
    // Sizes of the file system came with version 4 (KIP-827). The last ask.
    if cx.version() >= 4 {
        cx.ask(Target::House, Ask::Space);
    }
    cx.set_deadline_ms(cx.shared.config.request_timeout_ms);
    cx.gather(asked, finish)
}

/// The partitions asked for that have a replica here, in the order of names and indexes. No list means all.
fn wanted(topics: Option<Vec<DescribableLogDirTopic>>, cx: &Context<'_>) -> BTreeSet<(String, PartitionId)> {
    let (image, me) = (cx.view.image, cx.view.me);
    let Some(topics) = topics else {
        let all = image.topics().flat_map(|topic| topic.placements().map(move |placement| (topic, placement)));
        let here = all.filter(|(_, (_, placement))| placement.on(me).is_some());
        return here.map(|(topic, (id, _))| (topic.name.to_string(), id)).collect();
    };
    let mut wanted = BTreeSet::new();
    for asked in topics {
        let Some(topic) = image.topic(&asked.topic) else { continue };
        for index in asked.partitions {
            let id = topic.partition_id(heddle_model::PartitionIndex(index));
            if image.partition(id).is_some_and(|placement| placement.on(me).is_some()) {
                wanted.insert((topic.name.to_string(), id));
            }
        }
    }
    wanted
}

fn finish(asked: Asked, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for (name, index, part) in asked {
        // A replica that is just coming or going has no size to tell.
        let Answer::Partition(heddle_partition::Answer::Described(described)) = &answers[part as usize] else {
            continue;
        };
        let partition =
            DescribeLogDirsPartition::default().with_partition_index(index).with_partition_size(bytes(described.bytes));
        topics.entry(name).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        DescribeLogDirsTopic::default().with_name(TopicName(text(&name))).with_partitions(partitions)
    });
    let mut result = DescribeLogDirsResult::default().with_log_dir(text(directory(cx))).with_topics(topics.collect());
    if cx.version() >= 4 {
        let (total, usable) = match answers.last() {
            Some(Answer::Space { total, free }) => (bytes(*total), bytes(*free)),
            _ => (UNKNOWN, UNKNOWN),
        };
        result = result.with_total_bytes(total).with_usable_bytes(usable);
    }
    let response = DescribeLogDirsResponse::default().with_results(vec![result]);
    match cx.version() {
        5.. => Reply::encoded(encode_log_dirs(cx.caller.head.correlation_id, &response), &response),
        _ => cx.respond(&response),
    }
}

fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The data directory, as clients know it.
pub(crate) fn directory<'a>(cx: &'a Context<'_>) -> &'a str {
    cx.view.image.config().text("log.dirs").unwrap_or("data")
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use heddle_model::{Offset, Term};
    use heddle_partition::{Answer as Of, Described};
    use heddle_protocol::Encodable;

    use super::*;
    use crate::testing::{World, frame_of};

    fn body(version: i16) -> Bytes {
        let mut world = World::new();
        let conn = world.open(1);
        let mut request = BytesMut::new();
        DescribeLogDirsRequest::default().with_topics(None).encode(&mut request, 4).expect("fits the version");
        world.receive(conn, frame_of(35, version, 1, &request));
        let (log_start, leader) = (Offset(0), None);
        let described =
            Described { bytes: 7, log_start, high_watermark: Offset(0), end: Offset(0), term: Term(1), leader };
        while let Some((ticket, _, ask)) = world.asks.pop_front() {
            world.answer(
                ticket,
                match ask {
                    Ask::Partition(_) => Answer::Partition(Of::Described(described)),
                    _ => Answer::Space { total: 9, free: 3 },
                },
            );
        }
        world.response_frame(conn).expect("a response").1
    }

    /// The one field more of the one directory: behind it are only the two empty lists of tagged fields.
    #[test]
    fn in_version_5_the_directory_is_not_cordoned() {
        let (before, now) = (body(4), body(5));
        assert!(before.len() > 40 && before.ends_with(&[0, 0]));
        assert_eq!(now, [&before[..], &[0]].concat());
    }
}
