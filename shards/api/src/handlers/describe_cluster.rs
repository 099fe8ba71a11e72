//! DescribeCluster (60), versions 0 to 2: brokers and controller, for admin tools.

use heddle_model::PartitionId;
use heddle_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use heddle_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use heddle_protocol::{ErrorCode, text};

use crate::context::{Context, Started};
use crate::operations::{self, if_asked};

/// Endpoint type 1; 2 would be controllers, which have no listener of their own here.
const BROKERS: i8 = 1;

pub(crate) fn start(request: DescribeClusterRequest, cx: &mut Context<'_>) -> Started {
    if cx.version() >= 1 && request.endpoint_type != BROKERS {
        let response = DescribeClusterResponse::default()
            .with_error_code(ErrorCode::MismatchedEndpointType.code())
            .with_error_message(Some(text("This listener is for brokers, not for controllers")));
        return cx.done(&response);
    }
    let image = cx.view.image;
    let brokers = image.brokers().map(|broker| {
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(broker.id.0))
            .with_host(text(&broker.host))
            .with_port(i32::from(broker.port))
            .with_rack(broker.rack.as_deref().map(text))
    });
    let controller = cx.view.leaders.leader(PartitionId::CONTROLLER).map_or(cx.view.me, |(node, _)| node);
    let permitted = if_asked(request.include_cluster_authorized_operations, operations::OF_CLUSTER);
    let response = DescribeClusterResponse::default()
        .with_cluster_authorized_operations(permitted)
        .with_cluster_id(text(&image.cluster_id))
        .with_controller_id(BrokerId(controller.0))
        .with_brokers(brokers.collect());
    cx.done(&response)
}
