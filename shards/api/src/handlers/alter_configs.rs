//! AlterConfigs (33), versions 0 to 2: what is named is all that is set from now on.

use heddle_controller::{Ask, Change};
use heddle_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use heddle_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use heddle_protocol::text;

use crate::ask::Answer;
use crate::context::{Context, Reply, Started};
use crate::controlled::ask_controller;
use crate::resources::{Changes, Named};

pub(crate) fn start(request: AlterConfigsRequest, cx: &mut Context<'_>) -> Started {
    let changes = request.resources.into_iter().map(|resource| {
        let named = Named { kind: resource.resource_type, name: resource.resource_name.to_string() };
        let configs = resource.configs.into_iter();
        let configs = configs.map(|config| (config.name.to_string(), config.value.map(|value| value.to_string())));
        (named, Ok(Change::Replace(configs.collect())))
    });
    let changes = Changes::of(changes.collect());
    if !changes.asked.is_empty() {
        let ask = Ask::AlterConfigs { resources: changes.asked.clone(), validate_only: request.validate_only };
        ask_controller(cx, ask, 0);
    }
    cx.gather(changes, finish)
}

fn finish(changes: Changes, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let responses = changes.outcomes(answers).into_iter().map(|(named, (error, message))| {
        AlterConfigsResourceResponse::default()
            .with_resource_type(named.kind)
            .with_resource_name(text(&named.name))
            .with_error_code(error.code())
            .with_error_message(message)
    });
    cx.respond(&AlterConfigsResponse::default().with_responses(responses.collect()))
}
