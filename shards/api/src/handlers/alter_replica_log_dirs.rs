//! AlterReplicaLogDirs (34), versions 1 and 2 (KIP-113): a broker has one data directory, so a replica can only stay.

use heddle_model::PartitionIndex;
use heddle_protocol::ErrorCode;
use heddle_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use heddle_protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};

use crate::context::{Context, Started};
use crate::handlers::describe_log_dirs;

pub(crate) fn start(request: AlterReplicaLogDirsRequest, cx: &mut Context<'_>) -> Started {
    let mut results = Vec::new();
    for dir in request.dirs {
        let is_known = *dir.path == *describe_log_dirs::directory(cx);
        for topic in dir.topics {
            let partitions = topic.partitions.iter().map(|index| {
                let error = match is_known {
                    true => outcome(&topic.name, *index, cx),
                    false => ErrorCode::LogDirNotFound,
                };
                AlterReplicaLogDirPartitionResult::default().with_partition_index(*index).with_error_code(error.code())
            });
            let partitions = partitions.collect();
            results
                .push(AlterReplicaLogDirTopicResult::default().with_topic_name(topic.name).with_partitions(partitions));
        }
    }
    cx.done(&AlterReplicaLogDirsResponse::default().with_results(results))
}

fn outcome(name: &str, index: i32, cx: &Context<'_>) -> ErrorCode {
    let image = cx.view.image;
    let placement = image.topic(name).and_then(|topic| image.partition(topic.partition_id(PartitionIndex(index))));
    match placement {
        None => ErrorCode::UnknownTopicOrPartition,
        Some(placement) if placement.on(cx.view.me).is_none() => ErrorCode::ReplicaNotAvailable,
        Some(_) => ErrorCode::None,
    }
}
