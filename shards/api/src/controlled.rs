//! What the handlers of controller requests share: how long they wait, and what no answer means.

use std::collections::BTreeSet;

use heddle_controller::Refused;
use heddle_protocol::{ErrorCode, StrBytes, text};

use crate::ask::{Answer, Ask, Target};
use crate::context::Context;
use crate::errors;

/// An error and the sentence that goes with it.
pub(crate) type Failure = (ErrorCode, Option<StrBytes>);

/// Ask the controller and wait for as long as the request allows. Old clients send 0 for "do not wait until everybody
/// knows"; since the decision is all that is waited for here, that and less mean `request.timeout.ms`.
pub(crate) fn ask_controller(cx: &mut Context<'_>, ask: heddle_controller::Ask, timeout_ms: i32) {
    let ms = match u64::try_from(timeout_ms) {
        Ok(ms) if ms > 0 => ms,
        _ => cx.shared.config.request_timeout_ms,
    };
    cx.ask(Target::Controller, Ask::Controller(ask));
    cx.set_deadline_ms(ms);
}

/// The one answer of a request that asked the controller once, or why there is none.
pub(crate) fn controller_answer(answers: Vec<Answer>) -> Result<heddle_controller::Answer, Failure> {
    match answers.into_iter().next() {
        Some(Answer::Controller(heddle_controller::Answer::Refused(refused))) => Err(failure(&refused)),
        Some(Answer::Controller(answer)) => Ok(answer),
        // What was asked may still happen.
        Some(Answer::TimedOut) | None => {
            Err((ErrorCode::RequestTimedOut, Some(text("The controller did not answer in time."))))
        }
        Some(_) => Err((ErrorCode::NotController, Some(text("The controller cannot be reached at the moment.")))),
    }
}

pub(crate) fn failure(refused: &Refused) -> Failure {
    (errors::of_controller(refused.why), Some(text(&refused.text)))
}

/// Each name once, in the order of the first times.
pub(crate) fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(*name)).map(str::to_owned).collect()
}
