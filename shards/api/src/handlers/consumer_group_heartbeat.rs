//! ConsumerGroupHeartbeat (68), versions 0 and 1 (KIP-848): everything that a member of the new protocol has to say.

use heddle_group::{Answer as Group, Ask, ConsumerHeartbeat, MemberId, Refusal, Text, TopicName};
use heddle_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use heddle_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use heddle_protocol::{StrBytes, text};

use crate::ask::Answer;
use crate::context::{Context, Reply, Started};
use crate::grouped::{
    ask_group, client_host, client_id, code, group_answer, instance, member_text, partitions_from, partitions_to,
};

pub(crate) fn start(request: ConsumerGroupHeartbeatRequest, cx: &mut Context<'_>) -> Started {
    // KIP-1082: from version 1 on the member makes its own id.
    if cx.version() >= 1 && request.member_id.is_empty() {
        return cx.done(&refused(&Refusal::InvalidRequest("MemberId can't be empty.".to_owned())));
    }
    let owned = request
        .topic_partitions
        .map(|topics| topics.into_iter().map(|topic| partitions_from(topic.topic_id, &topic.partitions)).collect());
    let subscribed =
        request.subscribed_topic_names.map(|names| names.iter().map(|name| TopicName::new(name)).collect());
    let ask = Ask::ConsumerHeartbeat(ConsumerHeartbeat {
        group: request.group_id.as_str().into(),
        member: MemberId::new(&request.member_id),
        epoch: request.member_epoch,
        instance: instance(&request.instance_id),
        rack: request.rack_id.as_deref().map(Text::new),
        // -1: unchanged.
        rebalance_timeout_ms: (request.rebalance_timeout_ms != -1).then_some(request.rebalance_timeout_ms),
        subscribed,
        regex: request.subscribed_topic_regex.as_deref().map(Text::new),
        assignor: request.server_assignor.as_deref().map(Text::new),
        owned,
        client_id: client_id(cx),
        client_host: client_host(cx),
    });
    ask_group(cx, &request.group_id, ask);
    cx.gather((), finish)
}

fn finish(_: (), answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let answer = match group_answer(answers.into_iter().next()) {
        Ok(Group::ConsumerHeartbeat(answer)) => answer,
        Ok(other) => unreachable!("a heartbeat is answered by the member's state, not by {other:?}"),
        Err(refusal) => return cx.respond(&refused(&refusal)),
    };
    let assignment = answer.assignment.map(|list| {
        let topics = list.iter().map(|item| {
            let (topic, partitions) = partitions_to(item);
            TopicPartitions::default().with_topic_id(topic).with_partitions(partitions)
        });
        Assignment::default().with_topic_partitions(topics.collect())
    });
    let response = ConsumerGroupHeartbeatResponse::default()
        .with_member_id(Some(member_text(&answer.member)))
        .with_member_epoch(answer.epoch)
        .with_heartbeat_interval_ms(answer.interval_ms)
        .with_assignment(assignment);
    cx.respond(&response)
}

fn refused(refusal: &Refusal) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse::default().with_error_code(code(Some(refusal))).with_error_message(message(refusal))
}

/// The sentence that goes with the code; clients log it.
fn message(refusal: &Refusal) -> Option<StrBytes> {
    let sentence = match refusal {
        Refusal::FencedMemberEpoch(sentence)
        | Refusal::UnreleasedInstance(sentence)
        | Refusal::UnsupportedAssignor(sentence)
        | Refusal::InvalidRegex(sentence)
        | Refusal::InvalidRequest(sentence) => sentence,
        Refusal::ProtocolDisabled => "The consumer group protocol is not enabled.",
        _ => return None,
    };
    Some(text(sentence))
}
