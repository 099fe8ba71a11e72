//! ListPartitionReassignments (46), version 0: none. Replicas are not moved by hand.

use heddle_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use crate::context::{Context, Started};

pub(crate) fn start(_: ListPartitionReassignmentsRequest, cx: &mut Context<'_>) -> Started {
    cx.done(&ListPartitionReassignmentsResponse::default().with_error_message(None))
}
