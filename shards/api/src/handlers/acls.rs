//! DescribeAcls (29), CreateAcls (30) and DeleteAcls (31), versions 1 to 3: there is no authorizer, and each is told so
//! in the words of a Kafka broker without one. Tools and MirrorMaker know this answer and go on.

use heddle_protocol::messages::create_acls_response::AclCreationResult;
use heddle_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use heddle_protocol::messages::{
    CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse, DescribeAclsRequest,
    DescribeAclsResponse,
};
use heddle_protocol::{ErrorCode, StrBytes, text};

use crate::context::{Context, Started};

const DISABLED: i16 = ErrorCode::SecurityDisabled as i16;

fn message() -> Option<StrBytes> {
    Some(text("No Authorizer is configured."))
}

pub(crate) fn describe(_: DescribeAclsRequest, cx: &mut Context<'_>) -> Started {
    let described = Some(text("No Authorizer is configured on the broker"));
    cx.done(&DescribeAclsResponse::default().with_error_code(DISABLED).with_error_message(described))
}

pub(crate) fn create(request: CreateAclsRequest, cx: &mut Context<'_>) -> Started {
    let refused = |_| AclCreationResult::default().with_error_code(DISABLED).with_error_message(message());
    cx.done(&CreateAclsResponse::default().with_results(request.creations.iter().map(refused).collect()))
}

pub(crate) fn delete(request: DeleteAclsRequest, cx: &mut Context<'_>) -> Started {
    let refused = |_| DeleteAclsFilterResult::default().with_error_code(DISABLED).with_error_message(message());
    cx.done(&DeleteAclsResponse::default().with_filter_results(request.filters.iter().map(refused).collect()))
}
