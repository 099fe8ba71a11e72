//! DescribeTransactions (65), version 0: no transactional id is known, for nobody coordinates transactions here.

use heddle_protocol::ErrorCode;
use heddle_protocol::messages::describe_transactions_response::TransactionState;
use heddle_protocol::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse, TransactionalId};

use crate::context::{Context, Started};

pub(crate) fn start(request: DescribeTransactionsRequest, cx: &mut Context<'_>) -> Started {
    let states = request.transactional_ids.into_iter().map(unknown).collect();
    cx.done(&DescribeTransactionsResponse::default().with_transaction_states(states))
}

fn unknown(id: TransactionalId) -> TransactionState {
    let error = if id.is_empty() { ErrorCode::InvalidRequest } else { ErrorCode::TransactionalIdNotFound };
    TransactionState::default().with_transactional_id(id).with_error_code(error.code())
}
