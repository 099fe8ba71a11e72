//! IncrementalAlterConfigs (44), versions 0 and 1: single configs are set, deleted, or changed as lists (KIP-339).

use heddle_controller::{Ask, Change, Edit, EditOp};
use heddle_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use heddle_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use heddle_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use heddle_protocol::{ErrorCode, text};

use crate::ask::Answer;
use crate::context::{Context, Reply, Started};
use crate::controlled::{Failure, ask_controller};
use crate::resources::{Changes, Named};

pub(crate) fn start(request: IncrementalAlterConfigsRequest, cx: &mut Context<'_>) -> Started {
    let changes = request.resources.into_iter().map(|resource| {
        let named = Named { kind: resource.resource_type, name: resource.resource_name.to_string() };
        (named, edits(resource))
    });
    let changes = Changes::of(changes.collect());
    if !changes.asked.is_empty() {
        let ask = Ask::AlterConfigs { resources: changes.asked.clone(), validate_only: request.validate_only };
        ask_controller(cx, ask, 0);
    }
    cx.gather(changes, finish)
}

fn edits(resource: AlterConfigsResource) -> Result<Change, Failure> {
    let edits = resource.configs.into_iter().map(|config| {
        let op = match config.config_operation {
            0 => EditOp::Set,
            1 => EditOp::Delete,
            2 => EditOp::Append,
            3 => EditOp::Subtract,
            other => {
                let message = format!("Unknown operation type {other}.");
                return Err((ErrorCode::InvalidRequest, Some(text(&message))));
            }
        };
        Ok(Edit { name: config.name.to_string(), op, value: config.value.map(|value| value.to_string()) })
    });
    edits.collect::<Result<_, _>>().map(Change::Edit)
}

fn finish(changes: Changes, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let responses = changes.outcomes(answers).into_iter().map(|(named, (error, message))| {
        AlterConfigsResourceResponse::default()
            .with_resource_type(named.kind)
            .with_resource_name(text(&named.name))
            .with_error_code(error.code())
            .with_error_message(message)
    });
    cx.respond(&IncrementalAlterConfigsResponse::default().with_responses(responses.collect()))
}
