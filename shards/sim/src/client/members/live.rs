//! What a coordinator says of its groups, in the words of `mirror.rs`.

use bytes::Bytes;
use heddle_protocol::messages::consumer_group_describe_response::{Assignment, TopicPartitions};
use heddle_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use heddle_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    GroupId, OffsetFetchRequest, OffsetFetchResponse,
};
use heddle_protocol::text;

use super::GROUP_NOT_FOUND;
use super::mirror::{Question, Said, line, offset_line, sorted};
use crate::client::admin::KEPT;
use crate::wire;

const DESCRIBE: (i16, i16) = (15, 5);
const DESCRIBE_CONSUMER: (i16, i16) = (69, 0);
const FETCH: (i16, i16) = (9, 8);

pub fn ask(question: Question, correlation: i32) -> Bytes {
    let group = GroupId(text(question.group()));
    match question {
        Question::Classic(_) => {
            let request = DescribeGroupsRequest::default().with_groups(vec![group]);
            wire::frame(DESCRIBE.0, DESCRIBE.1, correlation, &request)
        }
        Question::Modern(_) => {
            let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![group]);
            wire::frame(DESCRIBE_CONSUMER.0, DESCRIBE_CONSUMER.1, correlation, &request)
        }
        Question::Offsets(_) => {
            let all = OffsetFetchRequestGroup::default().with_group_id(group).with_topics(None);
            let request = OffsetFetchRequest::default().with_groups(vec![all]);
            wire::frame(FETCH.0, FETCH.1, correlation, &request)
        }
    }
}

pub enum Live {
    /// Nothing, if there is no such group. Of a KIP-848 group whose targets are made for its members also the partitions
    /// that these are to have.
    Said(Said, Option<Vec<(String, i32)>>),
    /// A rebalance is under way, of which the log knows nothing yet.
    Changing,
    Error(i16),
}

/// # Errors
/// If this is no answer to the question.
pub fn read(question: Question, answer: Bytes) -> Result<Live, String> {
    match question {
        Question::Classic(_) => classic(wire::read(answer, DESCRIBE.1)?),
        Question::Modern(_) => modern(wire::read(answer, DESCRIBE_CONSUMER.1)?),
        Question::Offsets(_) => offsets(wire::read(answer, FETCH.1)?),
    }
}

fn classic(response: DescribeGroupsResponse) -> Result<Live, String> {
    let group = response.groups.first().ok_or("no group in DescribeGroups' answer")?;
    if group.error_code != 0 {
        return Ok(Live::Error(group.error_code));
    }
    match group.group_state.as_str() {
        "Dead" => return Ok(Live::Said(Said::new(), None)),
        "Stable" | "Empty" => {}
        _ => return Ok(Live::Changing),
    }
    let head = line(&[&group.group_state, &group.protocol_type, &group.protocol_data]);
    let members = group.members.iter().map(|member| {
        let instance = member.group_instance_id.as_deref().unwrap_or("-");
        let metadata = format!("{:?} {:?}", member.member_metadata, member.member_assignment);
        line(&[&member.member_id, instance, &member.client_id, &member.client_host, &metadata])
    });
    Ok(Live::Said(sorted(head, members), None))
}

fn modern(response: ConsumerGroupDescribeResponse) -> Result<Live, String> {
    let group = response.groups.first().ok_or("no group in ConsumerGroupDescribe's answer")?;
    match group.error_code {
        0 => {}
        GROUP_NOT_FOUND => return Ok(Live::Said(Said::new(), None)),
        error => return Ok(Live::Error(error)),
    }
    let epochs = format!("{} {}", group.group_epoch, group.assignment_epoch);
    let head = line(&[&group.group_state, &epochs, &group.assignor_name]);
    let members = group.members.iter().map(|member| {
        let instance = member.instance_id.as_deref().unwrap_or("-");
        let parts = |assignment: &Assignment| {
            // Topics that come and go are told by names as long as they are there.
            let kept = assignment.topic_partitions.iter().filter(|topic| topic.topic_name.as_str() == KEPT);
            let all = kept.flat_map(|topic| {
                topic.partitions.iter().map(move |partition| format!("{}-{partition}", topic.topic_name.as_str()))
            });
            all.collect::<Vec<_>>().join(",")
        };
        let epoch = member.member_epoch.to_string();
        line(&[&member.member_id, instance, &epoch, &parts(&member.assignment), &parts(&member.target_assignment)])
    });
    let is_made = group.group_epoch == group.assignment_epoch && !group.members.is_empty();
    let targets = group.members.iter().flat_map(|member| &member.target_assignment.topic_partitions);
    let of_topic = |topic: &TopicPartitions| {
        let name = topic.topic_name.to_string();
        topic.partitions.iter().map(move |partition| (name.clone(), *partition)).collect::<Vec<_>>()
    };
    let targets = is_made.then(|| targets.flat_map(of_topic).collect());
    Ok(Live::Said(sorted(head, members), targets))
}

fn offsets(response: OffsetFetchResponse) -> Result<Live, String> {
    let group = response.groups.first().ok_or("no group in OffsetFetch's answer")?;
    if group.error_code != 0 {
        return Ok(Live::Error(group.error_code));
    }
    let lines = group.topics.iter().flat_map(|topic| {
        let line = |partition: i32, offset| offset_line(&topic.name, partition, offset);
        topic.partitions.iter().map(move |found| line(found.partition_index, found.committed_offset))
    });
    let mut lines: Said = lines.collect();
    lines.sort();
    Ok(Live::Said(lines, None))
}
