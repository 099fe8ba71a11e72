//! DescribeUserScramCredentials (50), version 0 (KIP-554): no user has credentials, and none can be given.

use heddle_protocol::messages::describe_user_scram_credentials_response::DescribeUserScramCredentialsResult;
use heddle_protocol::messages::{DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse};
use heddle_protocol::{ErrorCode, text};

use crate::context::{Context, Started};

pub(crate) fn start(request: DescribeUserScramCredentialsRequest, cx: &mut Context<'_>) -> Started {
    // No list, or an empty one, means all users.
    let missing = request.users.unwrap_or_default().into_iter().map(|user| {
        let message = format!("Attempt to describe a user credential that does not exist: {}", &*user.name);
        DescribeUserScramCredentialsResult::default()
            .with_user(user.name)
            .with_error_code(ErrorCode::ResourceNotFound.code())
            .with_error_message(Some(text(&message)))
    });
    cx.done(&DescribeUserScramCredentialsResponse::default().with_results(missing.collect()))
}
