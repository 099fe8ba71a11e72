//! AlterUserScramCredentials (51), version 0 (KIP-554): there is no SASL here, so nobody can be given credentials, and
//! nobody has any that could be deleted.

use heddle_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use heddle_protocol::messages::{AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse};
use heddle_protocol::{ErrorCode, StrBytes, text};

use crate::context::{Context, Started};

pub(crate) fn start(request: AlterUserScramCredentialsRequest, cx: &mut Context<'_>) -> Started {
    let mut results: Vec<AlterUserScramCredentialsResult> = Vec::new();
    // A user has one result, its first.
    let mut refuse = |user: &StrBytes, error: ErrorCode, message: &str| {
        if results.iter().all(|result| result.user != *user) {
            let result = AlterUserScramCredentialsResult::default().with_user(text(user));
            results.push(result.with_error_code(error.code()).with_error_message(Some(text(message))));
        }
    };
    for upsertion in &request.upsertions {
        let message = "SCRAM credentials are not supported by this broker.";
        refuse(&upsertion.name, ErrorCode::UnsupportedVersion, message);
    }
    for deletion in &request.deletions {
        let message = "Attempt to delete a user credential that does not exist";
        refuse(&deletion.name, ErrorCode::ResourceNotFound, message);
    }
    cx.done(&AlterUserScramCredentialsResponse::default().with_results(results))
}
