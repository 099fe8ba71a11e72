//! SyncGroup (14), versions 0 to 5: the leader brings the assignment, each member gets its own.

use heddle_group::{Answer as Group, Ask, MemberId, Refusal, Sync, Text};
use heddle_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use heddle_protocol::{ErrorCode, text};

use crate::ask::{Answer, Target};
use crate::context::{Context, Reply, Started};
use crate::grouped::{ask_group, code, group_answer, instance};

pub(crate) fn start(request: SyncGroupRequest, cx: &mut Context<'_>) -> Started {
    // Optional in the schema only: KIP-559 makes both mandatory in the version that brings them.
    if cx.version() >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        let response = SyncGroupResponse::default();
        return cx.done(&response.with_error_code(ErrorCode::InconsistentGroupProtocol.code()));
    }
    let assignments =
        request.assignments.into_iter().map(|item| (MemberId::new(&item.member_id), item.assignment)).collect();
    let ask = Ask::Sync(Sync {
        group: request.group_id.as_str().into(),
        member: MemberId::new(&request.member_id),
        instance: instance(&request.group_instance_id),
        generation: request.generation_id,
        protocol_type: request.protocol_type.as_deref().map(Text::new),
        protocol: request.protocol_name.as_deref().map(Text::new),
        assignments,
    });
    ask_group(cx, &request.group_id, ask);
    cx.gather_from(Target::Group(request.group_id.to_string()), (), finish)
}

fn finish(_: (), answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let synced = match group_answer(answers.into_iter().next()) {
        Ok(Group::Synced(synced)) => synced,
        Ok(other) => unreachable!("SyncGroup is answered by an assignment, not by {other:?}"),
        Err(refusal) => return cx.respond(&refused(&refusal)),
    };
    let response = SyncGroupResponse::default().with_assignment(synced.assignment);
    if cx.version() < 5 {
        return cx.respond(&response);
    }
    let response = response.with_protocol_type(Some(text(synced.protocol_type.as_str())));
    cx.respond(&response.with_protocol_name(Some(text(synced.protocol.as_str()))))
}

fn refused(refusal: &Refusal) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(code(Some(refusal)))
}
