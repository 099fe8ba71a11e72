//! UpdateFeatures (57), versions 0 to 2 (KIP-584): the levels of features are those of the program. An update to the
//! level that a feature has succeeds, any other is refused in the words of Kafka's controller, all or nothing.

use heddle_protocol::messages::update_features_request::FeatureUpdateKey;
use heddle_protocol::messages::update_features_response::UpdatableFeatureResult;
use heddle_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use heddle_protocol::{ErrorCode, text};

use crate::context::{Context, Started};
use crate::handlers::api_versions::FEATURES;

pub(crate) fn start(request: UpdateFeaturesRequest, cx: &mut Context<'_>) -> Started {
    let wrong = request.feature_updates.iter().find_map(|update| wrong(update, cx));
    let error = if wrong.is_some() { ErrorCode::InvalidUpdateVersion } else { ErrorCode::None };
    let mut response = UpdateFeaturesResponse::default().with_error_code(error.code());
    if let Some(wrong) = wrong {
        let message = format!("The update failed for all features since the following feature had an error: {wrong}");
        response = response.with_error_message(Some(text(&message)));
    } else if cx.version() <= 1 {
        // A result for each feature stands in the answers up to version 1 only.
        let done = |update: FeatureUpdateKey| UpdatableFeatureResult::default().with_feature(update.feature);
        response = response.with_results(request.feature_updates.into_iter().map(done).collect());
    }
    cx.done(&response)
}

/// Why an update is refused.
fn wrong(update: &FeatureUpdateKey, cx: &Context<'_>) -> Option<String> {
    let (name, asked) = (&*update.feature, update.max_version_level);
    let why = match FEATURES.iter().find(|(feature, level)| *feature == name && *level > 0) {
        Some((_, level)) if asked == *level => return None,
        Some((_, level)) if asked > *level => {
            format!("Local controller {} only supports versions 0-{level}", cx.view.me)
        }
        Some(_) => "Features are not downgraded.".to_owned(),
        None => format!("Local controller {} does not support this feature.", cx.view.me),
    };
    Some(format!("Invalid update version {asked} for feature {name}. {why}"))
}
