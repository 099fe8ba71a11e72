//! CreatePartitions (37), versions 0 to 3: a topic grows to a total count of partitions.

use heddle_controller::{Answer as Controller, Ask, MorePartitions, Refusal, Refused};
use heddle_model::NodeId;
use heddle_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use heddle_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use heddle_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, TopicName};
use heddle_protocol::{ErrorCode, text};

use crate::ask::Answer;
use crate::context::{Context, Reply, Started};
use crate::controlled::{Failure, ask_controller, controller_answer, distinct, failure};

pub(crate) fn start(request: CreatePartitionsRequest, cx: &mut Context<'_>) -> Started {
    let topics: Vec<MorePartitions> = request.topics.into_iter().map(more_partitions).collect();
    let names = distinct(topics.iter().map(|topic| topic.topic.as_str()));
    let ask = Ask::CreatePartitions { topics, validate_only: request.validate_only };
    ask_controller(cx, ask, request.timeout_ms);
    cx.gather(names, finish)
}

fn more_partitions(topic: CreatePartitionsTopic) -> MorePartitions {
    let assignments = topic.assignments.map(|lists| {
        lists.into_iter().map(|list| list.broker_ids.into_iter().map(|id| NodeId(id.0)).collect()).collect()
    });
    MorePartitions { topic: topic.name.to_string(), count: topic.count, assignments }
}

fn finish(names: Vec<String>, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let results = match controller_answer(answers) {
        Ok(Controller::CreatedPartitions(results)) => results
            .into_iter()
            .map(|topic| {
                describe(&topic.name, topic.result.as_ref().map_or_else(refusal, |()| (ErrorCode::None, None)))
            })
            .collect(),
        Ok(other) => unreachable!("CreatePartitions is answered by its results, not by {other:?}"),
        Err(failure) => names.iter().map(|name| describe(name, failure.clone())).collect(),
    };
    cx.respond(&CreatePartitionsResponse::default().with_results(results))
}

/// Of a topic that is not there Kafka says no more than the error: clients have a sentence of their own for it.
fn refusal(refused: &Refused) -> Failure {
    let (error, message) = failure(refused);
    (error, message.filter(|_| refused.why != Refusal::UnknownTopicName))
}

fn describe(name: &str, (error, message): Failure) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult::default()
        .with_name(TopicName(text(name)))
        .with_error_code(error.code())
        .with_error_message(message)
}
