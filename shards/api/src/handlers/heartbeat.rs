//! Heartbeat (12), versions 0 to 4: a classic member is alive, and hears of a rebalance.

use heddle_group::{Ask, Heartbeat, MemberId, Refusal};
use heddle_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use crate::ask::Answer;
use crate::context::{Context, Reply, Started};
use crate::grouped::{ask_group, code, group_answer, instance};

pub(crate) fn start(request: HeartbeatRequest, cx: &mut Context<'_>) -> Started {
    let ask = Ask::Heartbeat(Heartbeat {
        group: request.group_id.as_str().into(),
        member: MemberId::new(&request.member_id),
        instance: instance(&request.group_instance_id),
        generation: request.generation_id,
    });
    ask_group(cx, &request.group_id, ask);
    cx.gather((), finish)
}

fn finish(_: (), answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let refusal = match group_answer(answers.into_iter().next()) {
        // While the group is being read nobody's session runs: as Kafka does, there is nothing to complain about.
        Ok(_) | Err(Refusal::Loading) => None,
        Err(refusal) => Some(refusal),
    };
    cx.respond(&HeartbeatResponse::default().with_error_code(code(refusal.as_ref())))
}
