//! DeleteGroups (42), versions 0 to 2: groups without members go, with what they committed.

use heddle_group::Ask;
use heddle_protocol::messages::delete_groups_response::DeletableGroupResult;
use heddle_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse, GroupId};

use crate::ask::Answer;
use crate::context::{Context, Reply, Started};
use crate::grouped::{ask_group, code, group_answer};

pub(crate) fn start(request: DeleteGroupsRequest, cx: &mut Context<'_>) -> Started {
    for group in &request.groups_names {
        ask_group(cx, group, Ask::Delete(group.as_str().into()));
    }
    cx.gather(request.groups_names, finish)
}

fn finish(groups: Vec<GroupId>, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let results = groups.into_iter().zip(answers).map(|(id, answer)| {
        let refusal = group_answer(Some(answer)).err();
        DeletableGroupResult::default().with_group_id(id).with_error_code(code(refusal.as_ref()))
    });
    cx.respond(&DeleteGroupsResponse::default().with_results(results.collect()))
}
