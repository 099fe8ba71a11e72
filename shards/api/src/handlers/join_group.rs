//! JoinGroup (11), versions 0 to 9: a member comes, or comes again. Answered when its generation begins.

use heddle_group::{Answer as Group, Ask, Join, Joined, MemberId, Protocol, Refusal, Text};
use heddle_protocol::messages::join_group_response::JoinGroupResponseMember;
use heddle_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use heddle_protocol::{StrBytes, text};

use crate::ask::{Answer, Target};
use crate::context::{Context, Reply, Started};
use crate::grouped::{ask_group, client_host, client_id, code, group_answer, instance, instance_text, member_text};

pub(crate) fn start(request: JoinGroupRequest, cx: &mut Context<'_>) -> Started {
    let version = cx.version();
    let protocols = request
        .protocols
        .into_iter()
        .map(|protocol| Protocol { name: Text::new(&protocol.name), metadata: protocol.metadata });
    let ask = Ask::Join(Join {
        group: request.group_id.as_str().into(),
        member: MemberId::new(&request.member_id),
        instance: instance(&request.group_instance_id),
        client_id: client_id(cx),
        client_host: client_host(cx),
        session_timeout_ms: request.session_timeout_ms,
        // Version 0 knows one timeout only.
        rebalance_timeout_ms: if version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms },
        protocol_type: Text::new(&request.protocol_type),
        protocols: protocols.collect(),
        // KIP-394.
        needs_known_id: version >= 4,
        // KIP-814.
        can_skip_assignment: version >= 9,
        reason: request.reason.as_deref().map(Text::new),
    });
    ask_group(cx, &request.group_id, ask);
    cx.gather_from(Target::Group(request.group_id.to_string()), request.member_id, finish)
}

fn finish(member: StrBytes, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    match group_answer(answers.into_iter().next()) {
        Ok(Group::Joined(joined)) => cx.respond(&joined_response(joined, cx.version())),
        Ok(other) => unreachable!("JoinGroup is answered by a generation, not by {other:?}"),
        Err(refusal) => {
            let member = match &refusal {
                Refusal::MemberIdRequired(id) => member_text(id),
                _ => text(&member),
            };
            let mut response = JoinGroupResponse::default()
                .with_error_code(code(Some(&refusal)))
                .with_generation_id(-1)
                .with_member_id(member);
            // The name may be null from version 7 on only.
            response.protocol_name = (cx.version() < 7).then(StrBytes::default);
            cx.respond(&response)
        }
    }
}

fn joined_response(joined: Joined, version: i16) -> JoinGroupResponse {
    let members = joined.members.iter().map(|member| {
        let listed = JoinGroupResponseMember::default()
            .with_member_id(member_text(&member.member))
            .with_metadata(member.metadata.clone());
        if version >= 5 { listed.with_group_instance_id(instance_text(&member.instance)) } else { listed }
    });
    let mut response = JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_name(Some(text(joined.protocol.as_str())))
        .with_leader(member_text(&joined.leader))
        .with_member_id(member_text(&joined.member))
        .with_members(members.collect());
    if version >= 7 {
        response = response.with_protocol_type(Some(text(joined.protocol_type.as_str())));
    }
    if version >= 9 { response.with_skip_assignment(joined.skip_assignment) } else { response }
}
