//! ApiVersions (18), versions 0 to 4: what is served here. The first request of every client.

use heddle_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use heddle_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use heddle_protocol::{API_VERSIONS, ErrorCode, Head, text, versions_of};

use crate::context::{Context, Reply, Started};
use crate::dispatch::APIS;

/// Finalized features: name and level. A level of 0 means off, and is left out: old Java clients fail to parse a
/// supported feature whose minimum is 0. `group.version` 1 turns KIP-848 on, `transaction.version` 2 KIP-890.
pub(crate) const FEATURES: &[(&str, i16)] = &[("group.version", 1), ("transaction.version", 0)];

pub(crate) fn start(request: ApiVersionsRequest, cx: &mut Context<'_>) -> Started {
    let named = |name: &str| is_software_name(name);
    let error =
        if cx.version() >= 3 && !(named(&request.client_software_name) && named(&request.client_software_version)) {
            ErrorCode::InvalidRequest
        } else {
            ErrorCode::None
        };
    let mut response = ApiVersionsResponse::default().with_error_code(error.code());
    if !error.is_error() {
        response = response.with_api_keys(APIS.iter().filter_map(|served| range(served.key)).collect());
        if cx.version() >= 3 {
            response = with_features(response);
        }
    }
    cx.done(&response)
}

/// The answer to a version of ApiVersions that we do not know: a version 0 body that names the ones we do.
pub(crate) fn unknown_version(head: Head) -> Reply {
    let response = ApiVersionsResponse::default()
        .with_error_code(ErrorCode::UnsupportedVersion.code())
        .with_api_keys(range(API_VERSIONS).into_iter().collect());
    Reply::of(0, head.correlation_id, &response)
}

fn range(key: i16) -> Option<ApiVersion> {
    let versions = versions_of(key)?;
    let range = ApiVersion::default().with_api_key(key);
    Some(range.with_min_version(versions.advertised_min).with_max_version(versions.max))
}

fn with_features(response: ApiVersionsResponse) -> ApiVersionsResponse {
    let on = || FEATURES.iter().filter(|(_, level)| *level > 0);
    let supported = on().map(|(name, level)| {
        SupportedFeatureKey::default().with_name(text(name)).with_min_version(1).with_max_version(*level)
    });
    let finalized = on().map(|(name, level)| {
        FinalizedFeatureKey::default()
            .with_name(text(name))
            .with_min_version_level(*level)
            .with_max_version_level(*level)
    });
    response
        .with_supported_features(supported.collect())
        .with_finalized_features_epoch(0)
        .with_finalized_features(finalized.collect())
}

/// KIP-511: letters, digits, `-` and `.`, the first and last alphanumeric.
fn is_software_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names() {
        for good in ["apache-kafka-java", "4.1.0", "a", "librdkafka"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "a_b", "ä"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }
}
