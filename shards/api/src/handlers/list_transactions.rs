//! ListTransactions (66), versions 0 to 2: none, for nobody coordinates transactions here. What is wrong with the
//! question is said all the same (KIP-664, KIP-1152).

use std::collections::BTreeSet;

use heddle_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};
use heddle_protocol::{ErrorCode, StrBytes};

use crate::context::{Context, Started};

/// The states that a transaction can be in, by Kafka's names.
const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

pub(crate) fn start(request: ListTransactionsRequest, cx: &mut Context<'_>) -> Started {
    let pattern = request.transactional_id_pattern.as_deref().unwrap_or_default();
    if !heddle_group::is_regex(pattern) {
        let error = ErrorCode::InvalidRegularExpression;
        return cx.done(&ListTransactionsResponse::default().with_error_code(error.code()));
    }
    // Each once.
    let unknown: BTreeSet<StrBytes> =
        request.state_filters.into_iter().filter(|state| !STATES.contains(&state.as_str())).collect();
    cx.done(&ListTransactionsResponse::default().with_unknown_state_filters(unknown.into_iter().collect()))
}
