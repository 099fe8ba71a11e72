//! LeaveGroup (13), versions 0 to 5: members go. From version 3 on several at once, each with its error.

use heddle_group::{Answer as Group, Ask, Leave, Leaver, MemberId, Text};
use heddle_protocol::messages::leave_group_response::MemberResponse;
use heddle_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use crate::ask::Answer;
use crate::context::{Context, Reply, Started};
use crate::grouped::{ask_group, code, group_answer, instance, instance_text, member_text};

pub(crate) fn start(request: LeaveGroupRequest, cx: &mut Context<'_>) -> Started {
    let members = if cx.version() < 3 {
        vec![Leaver { member: MemberId::new(&request.member_id), instance: None, reason: None }]
    } else {
        let leaver = |member: &heddle_protocol::messages::leave_group_request::MemberIdentity| Leaver {
            member: MemberId::new(&member.member_id),
            instance: instance(&member.group_instance_id),
            reason: member.reason.as_deref().map(Text::new),
        };
        request.members.iter().map(leaver).collect()
    };
    let ask = Ask::Leave(Leave { group: request.group_id.as_str().into(), members });
    ask_group(cx, &request.group_id, ask);
    cx.gather((), finish)
}

fn finish(_: (), answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let response = LeaveGroupResponse::default();
    let left = match group_answer(answers.into_iter().next()) {
        Ok(Group::Left(left)) => left,
        Ok(other) => unreachable!("LeaveGroup is answered for each member, not by {other:?}"),
        Err(refusal) => return cx.respond(&response.with_error_code(code(Some(&refusal)))),
    };
    if cx.version() < 3 {
        let refusal = left.first().and_then(|(_, refusal)| refusal.as_ref());
        return cx.respond(&response.with_error_code(code(refusal)));
    }
    let members = left.iter().map(|(leaver, refusal)| {
        MemberResponse::default()
            .with_member_id(member_text(&leaver.member))
            .with_group_instance_id(instance_text(&leaver.instance))
            .with_error_code(code(refusal.as_ref()))
    });
    cx.respond(&response.with_members(members.collect()))
}
