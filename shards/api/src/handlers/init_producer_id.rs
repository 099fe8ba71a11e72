//! InitProducerId (22), versions 0 to 5: an id for an idempotent producer.

use heddle_controller::Answer as Controller;
use heddle_protocol::ErrorCode;
use heddle_protocol::messages::{self, InitProducerIdRequest, InitProducerIdResponse};

use crate::ask::{Answer, Ask, Target};
use crate::context::{Context, Reply, Started};
use crate::errors;
use crate::producer_ids::BLOCK;

pub(crate) fn start(request: InitProducerIdRequest, cx: &mut Context<'_>) -> Started {
    match request.transactional_id.as_deref().map(|id| id.is_empty()) {
        Some(true) => return Started::Done(failed(ErrorCode::InvalidRequest, cx)),
        // Nobody coordinates transactions. A client that does not ask for the coordinator first must not retry either.
        Some(false) => return Started::Done(failed(ErrorCode::UnsupportedVersion, cx)),
        None => {}
    }
    // An id without an epoch, or an epoch without an id, is a client's mistake (KIP-360).
    if (request.producer_id.0 == -1) != (request.producer_epoch == -1) {
        return Started::Done(failed(ErrorCode::InvalidRequest, cx));
    }
    // Without a transactional id they are not looked at otherwise: the producer gets a new id.
    if let Some(id) = cx.shared.producer_ids.take() {
        return Started::Done(granted(id, cx));
    }
    cx.ask(Target::Controller, Ask::Controller(heddle_controller::Ask::ProducerIds { count: BLOCK }));
    cx.set_deadline_ms(cx.shared.config.request_timeout_ms);
    cx.gather((), finish)
}

fn finish(_: (), answers: Vec<Answer>, cx: &mut Context<'_>) -> Reply {
    match answers.into_iter().next() {
        Some(Answer::Controller(Controller::ProducerIds { first, count })) => {
            cx.shared.producer_ids.add(first, count);
            match cx.shared.producer_ids.take() {
                Some(id) => granted(id, cx),
                None => failed(ErrorCode::CoordinatorNotAvailable, cx),
            }
        }
        // Producers retry on COORDINATOR_LOAD_IN_PROGRESS; NOT_CONTROLLER would be fatal to them.
        Some(Answer::Controller(Controller::Refused(refused))) => match errors::of_controller(refused.why) {
            ErrorCode::NotController | ErrorCode::RequestTimedOut => failed(ErrorCode::CoordinatorLoadInProgress, cx),
            other => failed(other, cx),
        },
        _ => failed(ErrorCode::CoordinatorLoadInProgress, cx),
    }
}

fn granted(id: heddle_model::ProducerId, cx: &Context<'_>) -> Reply {
    let response =
        InitProducerIdResponse::default().with_producer_id(messages::ProducerId(id.0)).with_producer_epoch(0);
    cx.respond(&response)
}

fn failed(error: ErrorCode, cx: &Context<'_>) -> Reply {
    let response = InitProducerIdResponse::default().with_error_code(error.code());
    cx.respond(&response.with_producer_id(messages::ProducerId(-1)).with_producer_epoch(-1))
}

#[cfg(test)]
mod tests;
