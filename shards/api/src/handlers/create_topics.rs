//! CreateTopics (19), versions 2 to 7: topics are made by the controller, each with its own error.

use heddle_controller::{Answer as Controller, Ask, CreatedTopic, DescribedConfig, NewTopic};
use heddle_model::NodeId;
use heddle_protocol::messages::create_topics_request::CreatableTopic;
use heddle_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use heddle_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};
use heddle_protocol::{text, uuid_of};

use crate::ask::Answer;
use crate::context::{Context, Reply, Started};
use crate::controlled::{Failure, ask_controller, controller_answer, distinct, failure};

pub(crate) fn start(request: CreateTopicsRequest, cx: &mut Context<'_>) -> Started {
    let topics: Vec<NewTopic> = request.topics.into_iter().map(new_topic).collect();
    let names = distinct(topics.iter().map(|topic| topic.name.as_str()));
    let ask = Ask::CreateTopics { topics, validate_only: request.validate_only };
    ask_controller(cx, ask, request.timeout_ms);
    cx.gather(names, finish)
}

fn new_topic(topic: CreatableTopic) -> NewTopic {
    let assignments = topic.assignments.into_iter().map(|assignment| {
        let brokers = assignment.broker_ids.into_iter().map(|id| NodeId(id.0));
        (assignment.partition_index, brokers.collect())
    });
    let configs =
        topic.configs.into_iter().map(|config| (config.name.to_string(), config.value.map(|v| v.to_string())));
    NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: configs.collect(),
    }
}

fn finish(names: Vec<String>, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let topics = match controller_answer(answers) {
        Ok(Controller::CreatedTopics(results)) => results
            .into_iter()
            .map(|result| match &result.result {
                Ok(created) => describe(&result.name, created, cx),
                Err(refused) => failed(&result.name, failure(refused)),
            })
            .collect(),
        Ok(other) => unreachable!("CreateTopics is answered by its results, not by {other:?}"),
        Err(failure) => names.iter().map(|name| failed(name, failure.clone())).collect(),
    };
    cx.respond(&CreateTopicsResponse::default().with_topics(topics))
}

fn failed(name: &str, (error, message): Failure) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(TopicName(text(name)))
        .with_error_code(error.code())
        .with_error_message(message)
}

fn describe(name: &str, created: &CreatedTopic, cx: &Context<'_>) -> CreatableTopicResult {
    let described = CreatableTopicResult::default().with_name(TopicName(text(name))).with_error_message(None);
    // Counts and configs came with version 5 (KIP-525), the id with version 7.
    if cx.version() < 5 {
        return described;
    }
    let configs = cx.view.image.describe_overrides(&created.overrides);
    let described = described
        .with_num_partitions(created.partitions)
        .with_replication_factor(created.replication_factor)
        .with_configs(Some(configs.into_iter().map(describe_config).collect()));
    if cx.version() >= 7 { described.with_topic_id(uuid_of(created.id)) } else { described }
}

fn describe_config(config: DescribedConfig) -> CreatableTopicConfigs {
    CreatableTopicConfigs::default()
        .with_name(text(config.name))
        .with_value(config.value.as_deref().map(text))
        .with_read_only(config.read_only)
        .with_config_source(config.source as i8)
        .with_is_sensitive(config.sensitive)
}
