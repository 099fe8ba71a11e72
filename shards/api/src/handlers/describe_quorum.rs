//! DescribeQuorum (55), versions 0 to 2 (KIP-595, KIP-853): who leads and who votes on the controller's log.

use heddle_model::{PartitionId, Term};
use heddle_partition::Described;
use heddle_protocol::messages::describe_quorum_request::TopicData as AskedTopic;
use heddle_protocol::messages::describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData};
use heddle_protocol::messages::{BrokerId, DescribeQuorumRequest, DescribeQuorumResponse, TopicName};
use heddle_protocol::{ErrorCode, text};

use crate::ask::{Answer, Ask, Target};
use crate::context::{Context, Reply, Started};

const TOPIC: &str = "__cluster_metadata";

/// What was asked for: topics, and the indexes of their partitions.
type Asked = Vec<(TopicName, Vec<i32>)>;

pub(crate) fn start(request: DescribeQuorumRequest, cx: &mut Context<'_>) -> Started {
    let indexes = |topic: &AskedTopic| topic.partitions.iter().map(|partition| partition.partition_index).collect();
    let asked: Asked =
        request.topics.iter().map(|topic| (TopicName(text(&topic.topic_name)), indexes(topic))).collect();
    if is_sound(&asked) {
        cx.ask(Target::Partition(PartitionId::CONTROLLER), Ask::Partition(heddle_partition::Ask::Describe));
        cx.set_deadline_ms(cx.shared.config.request_timeout_ms);
    }
    cx.gather(asked, finish)
}

/// There is one such log. Kafka refuses a request that asks for anything else beside it, as a whole.
fn is_sound(asked: &Asked) -> bool {
    matches!(&asked[..], [(name, indexes)] if name.as_str() == TOPIC && indexes[..] == [PartitionId::CONTROLLER.index.0])
}

fn finish(asked: Asked, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let described = match answers.into_iter().next() {
        None => Err(ErrorCode::UnknownTopicOrPartition),
        Some(Answer::Partition(heddle_partition::Answer::Described(described))) => Ok(described),
        Some(Answer::TimedOut) => Err(ErrorCode::RequestTimedOut),
        Some(_) => Err(ErrorCode::NotLeaderOrFollower),
    };
    let topics = asked.into_iter().map(|(name, indexes)| {
        let partitions = indexes.into_iter().map(|index| partition(index, &described, cx)).collect();
        TopicData::default().with_topic_name(name).with_partitions(partitions)
    });
    let mut response = DescribeQuorumResponse::default().with_error_message(None).with_topics(topics.collect());
    if cx.version() >= 2 && described.is_ok() {
        response = response.with_nodes(nodes(cx));
    }
    cx.respond(&response)
}

fn partition(index: i32, described: &Result<Described, ErrorCode>, cx: &Context<'_>) -> PartitionData {
    let data = PartitionData::default().with_partition_index(index).with_error_message(None);
    let leader = cx.view.leaders.leader(PartitionId::CONTROLLER);
    let led = described.as_ref().map_err(|error| *error).and_then(|described| {
        let leader = described.leader.or(leader.map(|(node, _)| node));
        leader.map(|leader| (leader, described)).ok_or(ErrorCode::LeaderNotAvailable)
    });
    match led {
        Ok((leader, described)) => {
            // KRaft's first leader has epoch 1, as raft's has term 1.
            let Term(epoch) = described.term;
            // The log has one voter, its leader, and nobody else reads it.
            let mut voter =
                ReplicaState::default().with_replica_id(BrokerId(leader.0)).with_log_end_offset(described.end.0);
            if cx.version() >= 1 {
                let now = cx.view.now.wall.0;
                voter = voter.with_last_fetch_timestamp(now).with_last_caught_up_timestamp(now);
            }
            data.with_leader_id(BrokerId(leader.0))
                .with_leader_epoch(epoch)
                .with_high_watermark(described.high_watermark.0)
                .with_current_voters(vec![voter])
        }
        Err(error) => {
            let data = data.with_error_code(error.code()).with_leader_id(BrokerId(-1)).with_leader_epoch(-1);
            let data = data.with_high_watermark(-1);
            if cx.version() < 2 {
                return data;
            }
            let message = match error {
                ErrorCode::UnknownTopicOrPartition => format!("The quorum is that of {TOPIC}, partition 0, alone."),
                _ => "The controller's log cannot be reached at the moment.".to_owned(),
            };
            data.with_error_message(Some(text(&message)))
        }
    }
}

/// Where the voters are reached: they listen where clients do.
fn nodes(cx: &Context<'_>) -> Vec<Node> {
    let leader = cx.view.leaders.leader(PartitionId::CONTROLLER).and_then(|(node, _)| cx.view.image.broker(node));
    let node = leader.map(|broker| {
        let listener = Listener::default().with_name(text("PLAINTEXT")).with_host(text(&broker.host));
        Node::default().with_node_id(BrokerId(broker.id.0)).with_listeners(vec![listener.with_port(broker.port)])
    });
    node.into_iter().collect()
}
