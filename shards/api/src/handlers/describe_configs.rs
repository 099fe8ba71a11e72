//! DescribeConfigs (32), versions 1 to 4: what is set, where it was set, and what else stood to choose.

use std::collections::BTreeSet;

use heddle_controller::{DescribedConfig, check_topic_name};
use heddle_protocol::messages::describe_configs_request::DescribeConfigsResource;
use heddle_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use heddle_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use heddle_protocol::{ErrorCode, text};

use crate::context::{Context, Started};
use crate::resources::{BROKER, GROUP, TOPIC, not_there};

/// Configs in one answer, give or take one resource's: any name is that of a group, and each group has all of them.
const CONFIGS_MAX: usize = 250_000;

/// Which of the two lengthy parts are asked for.
#[derive(Clone, Copy)]
struct Shown {
    synonyms: bool,
    documentation: bool,
}

pub(crate) fn start(request: DescribeConfigsRequest, cx: &mut Context<'_>) -> Started {
    let shown = Shown { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let (mut seen, mut left) = (BTreeSet::new(), CONFIGS_MAX);
    let mut results = Vec::new();
    for resource in request.resources {
        if !seen.insert((resource.resource_type, resource.resource_name.clone())) {
            continue;
        }
        let result = if left == 0 { too_many(&resource) } else { result(resource, shown, cx) };
        left = left.saturating_sub(result.configs.len());
        results.push(result);
    }
    cx.done(&DescribeConfigsResponse::default().with_results(results))
}

fn too_many(resource: &DescribeConfigsResource) -> DescribeConfigsResult {
    let message =
        format!("One answer describes no more than about {CONFIGS_MAX} configs: ask for fewer resources at once");
    DescribeConfigsResult::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(text(&resource.resource_name))
        .with_error_code(ErrorCode::PolicyViolation.code())
        .with_error_message(Some(text(&message)))
}

fn result(resource: DescribeConfigsResource, shown: Shown, cx: &Context<'_>) -> DescribeConfigsResult {
    let result = DescribeConfigsResult::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(text(&resource.resource_name));
    let configs = match configs_of(&resource, cx) {
        Ok(configs) => configs,
        Err((error, message)) => {
            return result.with_error_code(error.code()).with_error_message(Some(text(&message)));
        }
    };
    // No list, or an empty one, means all.
    let keys = resource.configuration_keys.filter(|keys| !keys.is_empty());
    let wanted = |config: &DescribedConfig| match &keys {
        None => true,
        Some(keys) => keys.iter().any(|key| key.as_str() == config.name),
    };
    let configs = configs.into_iter().filter(wanted).map(|config| describe(config, shown, cx.version()));
    result.with_configs(configs.collect())
}

fn configs_of(
    resource: &DescribeConfigsResource,
    cx: &Context<'_>,
) -> Result<Vec<DescribedConfig>, (ErrorCode, String)> {
    let name = resource.resource_name.as_str();
    let image = cx.view.image;
    match resource.resource_type {
        TOPIC => {
            check_topic_name(name).map_err(|message| (ErrorCode::InvalidTopicException, message))?;
            let topic = image
                .topic(name)
                .ok_or_else(|| (ErrorCode::UnknownTopicOrPartition, format!("The topic '{name}' does not exist.")))?;
            Ok(image.describe_overrides(&topic.overrides))
        }
        // The empty name: what was set for all brokers at once.
        BROKER if name.is_empty() => Ok(image.describe_all_brokers()),
        BROKER => match name.parse::<i32>() {
            Ok(id) if id == cx.view.me.0 => Ok(image.describe_broker()),
            Ok(_) => {
                let me = cx.view.me;
                let message = format!("Unexpected broker id, expected {me} or empty string, but received {name}");
                Err((ErrorCode::InvalidRequest, message))
            }
            Err(_) => Err((ErrorCode::InvalidRequest, format!("Broker id must be an integer, but it is: {name}"))),
        },
        GROUP if name.is_empty() => Err((ErrorCode::InvalidRequest, "Group name must not be empty".to_owned())),
        // A group need not exist to be configured.
        GROUP => Ok(image.describe_group(name)),
        other => {
            let message = not_there(other).map_or_else(|| format!("Unsupported resource type: {other}"), str::to_owned);
            Err((ErrorCode::InvalidRequest, message))
        }
    }
}

fn describe(config: DescribedConfig, shown: Shown, version: i16) -> DescribeConfigsResourceResult {
    let synonyms = config.synonyms.iter().filter(|_| shown.synonyms).map(|synonym| {
        DescribeConfigsSynonym::default()
            .with_name(text(synonym.name))
            .with_value(synonym.value.as_deref().map(text))
            .with_source(synonym.source as i8)
    });
    let described = DescribeConfigsResourceResult::default()
        .with_name(text(config.name))
        .with_value(config.value.as_deref().map(text))
        .with_read_only(config.read_only)
        .with_config_source(config.source as i8)
        .with_is_sensitive(config.sensitive)
        .with_synonyms(synonyms.collect());
    // Type and documentation came with version 3 (KIP-569).
    if version < 3 {
        return described;
    }
    let documentation = shown.documentation.then(|| text(config.documentation));
    described.with_config_type(config.kind as i8).with_documentation(documentation)
}
