//! DescribeClientQuotas (48), versions 0 and 1 (KIP-546): there are none, and none can be set.

use heddle_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};

use crate::context::{Context, Started};

pub(crate) fn start(_: DescribeClientQuotasRequest, cx: &mut Context<'_>) -> Started {
    cx.done(&DescribeClientQuotasResponse::default().with_entries(Some(Vec::new())))
}
