//! DeleteTopics (20), versions 1 to 6: by name, from version 6 on also by id.

use heddle_controller::{Answer as Controller, Ask, DeletedTopic, TopicRef};
use heddle_model::TopicId;
use heddle_protocol::messages::delete_topics_request::DeleteTopicState;
use heddle_protocol::messages::delete_topics_response::DeletableTopicResult;
use heddle_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use heddle_protocol::{ErrorCode, text, topic_id_of, uuid_of};

use crate::ask::Answer;
use crate::context::{Context, Reply, Started};
use crate::controlled::{Failure, ask_controller, controller_answer, failure};

/// What was asked for, and what is wrong already without asking.
struct Wanted {
    topics: Vec<TopicRef>,
    wrong: Vec<DeletableTopicResult>,
}

pub(crate) fn start(request: DeleteTopicsRequest, cx: &mut Context<'_>) -> Started {
    let mut wanted = Wanted { topics: Vec::new(), wrong: Vec::new() };
    wanted.topics.extend(request.topic_names.into_iter().map(|name| TopicRef::Name(name.to_string())));
    for topic in request.topics {
        match topic_ref(&topic) {
            Ok(topic) => wanted.topics.push(topic),
            Err(message) => {
                let wrong = DeletableTopicResult::default().with_name(topic.name).with_topic_id(topic.topic_id);
                let wrong = wrong.with_error_code(ErrorCode::InvalidRequest.code());
                wanted.wrong.push(wrong.with_error_message(Some(text(message))));
            }
        }
    }
    if !wanted.topics.is_empty() {
        ask_controller(cx, Ask::DeleteTopics { topics: wanted.topics.clone() }, request.timeout_ms);
    }
    cx.gather(wanted, finish)
}

fn topic_ref(topic: &DeleteTopicState) -> Result<TopicRef, &'static str> {
    match (&topic.name, topic_id_of(topic.topic_id)) {
        (Some(name), TopicId::NONE) => Ok(TopicRef::Name(name.to_string())),
        (Some(_), _) => Err("You may not specify both topic name and topic id."),
        (None, TopicId::NONE) => Err("Neither topic name nor id were specified."),
        (None, id) => Ok(TopicRef::Id(id)),
    }
}

fn finish(wanted: Wanted, answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    let mut responses = wanted.wrong;
    if !answers.is_empty() {
        match controller_answer(answers) {
            Ok(Controller::DeletedTopics(results)) => responses.extend(results.iter().map(|one| describe(one, cx))),
            Ok(other) => unreachable!("DeleteTopics is answered by its results, not by {other:?}"),
            Err(failed) => {
                let missing = |topic| DeletedTopic { topic, found: None, result: Ok(()) };
                let topics = wanted.topics.into_iter().map(missing);
                responses.extend(topics.map(|topic| with_failure(describe(&topic, cx), failed.clone(), cx)));
            }
        }
    }
    cx.respond(&DeleteTopicsResponse::default().with_responses(responses))
}

fn describe(deleted: &DeletedTopic, cx: &Context<'_>) -> DeletableTopicResult {
    let (asked_name, asked_id) = match &deleted.topic {
        TopicRef::Name(name) => (Some(name), TopicId::NONE),
        TopicRef::Id(id) => (None, *id),
    };
    let (id, name) = deleted.found.as_ref().map_or((asked_id, asked_name), |(id, name)| (*id, Some(name)));
    let mut described = DeletableTopicResult::default().with_name(name.map(|name| TopicName(text(name))));
    if cx.version() >= 6 {
        described = described.with_topic_id(uuid_of(id));
    }
    match &deleted.result {
        Ok(()) => described,
        Err(refused) => with_failure(described, failure(refused), cx),
    }
}

/// Below version 3 of the request a disabled deletion was INVALID_REQUEST; the sentence came with version 5.
fn with_failure(described: DeletableTopicResult, failure: Failure, cx: &Context<'_>) -> DeletableTopicResult {
    let (error, message) = failure;
    let error = match error {
        ErrorCode::TopicDeletionDisabled if cx.version() < 3 => ErrorCode::InvalidRequest,
        error => error,
    };
    let described = described.with_error_code(error.code());
    if cx.version() >= 5 { described.with_error_message(message) } else { described }
}
