//! ListConfigResources (74), versions 0 and 1: which topics, brokers and groups have configs. Loggers and client metrics
//! have none of their own here (KIP-1142).

use heddle_protocol::messages::list_config_resources_response::ConfigResource;
use heddle_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use heddle_protocol::{ErrorCode, text};

use crate::context::{Context, Started};
use crate::resources::{BROKER, GROUP, TOPIC};

const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;

pub(crate) fn start(request: ListConfigResourcesRequest, cx: &mut Context<'_>) -> Started {
    // Version 0 lists client metrics only; from then on an empty list means all types.
    let types = match (cx.version(), request.resource_types) {
        (0, _) => vec![CLIENT_METRICS],
        (_, types) if types.is_empty() => vec![TOPIC, BROKER, GROUP],
        (_, types) => types,
    };
    if types.iter().any(|one| ![TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP].contains(one)) {
        let error = ErrorCode::UnsupportedVersion.code();
        return cx.done(&ListConfigResourcesResponse::default().with_error_code(error));
    }
    let resource = |name: &str, kind| ConfigResource::default().with_resource_name(text(name)).with_resource_type(kind);
    let mut resources = Vec::new();
    if types.contains(&TOPIC) {
        resources.extend(cx.view.image.topics().map(|topic| resource(&topic.name, TOPIC)));
    }
    if types.contains(&BROKER) {
        resources.extend(cx.view.image.brokers().map(|broker| resource(&broker.id.to_string(), BROKER)));
    }
    if types.contains(&GROUP) {
        resources.extend(cx.view.image.configured_groups().map(|group| resource(group, GROUP)));
    }
    cx.done(&ListConfigResourcesResponse::default().with_config_resources(resources))
}
