//! The controller as a coordinator that a host can carry.

use std::sync::Arc;

use heddle_controller as controller;
use heddle_controller::{BrokerConfig, Controller, Image};
use heddle_model::{Mono, Now, Ticket};

use crate::host::{Coordinator, Decided};

/// What comes out of the controller's host.
#[derive(Clone)]
pub enum FromController {
    Answer(controller::Answer),
    /// The image of a committed decision.
    Publish(Arc<Image>),
}

pub struct ControllerRoom {
    config: Arc<BrokerConfig>,
    controller: Controller,
    published: u64,
}

impl ControllerRoom {
    pub fn new(config: Arc<BrokerConfig>) -> ControllerRoom {
        ControllerRoom { controller: Controller::new(config.clone()), config, published: 0 }
    }
}

impl Coordinator for ControllerRoom {
    type Ask = controller::Ask;
    type Answer = FromController;

    fn loading() -> FromController {
        let text = "the controller is loading its log; try again";
        FromController::Answer(controller::Answer::Refused(controller::Refusal::NotReady.because(text)))
    }

    fn not_coordinator() -> FromController {
        let text = "this node does not lead the controller's log";
        FromController::Answer(controller::Answer::Refused(controller::Refusal::NotController.because(text)))
    }

    fn interrupted() -> FromController {
        let text = "leadership of the controller's log ended; what was asked may have been done";
        FromController::Answer(controller::Answer::Refused(controller::Refusal::Interrupted.because(text)))
    }

    fn decide(&mut self, now: Now, ask: controller::Ask, ticket: Ticket, entropy: u128) -> Decided<FromController> {
        let decision = self.controller.decide(now, &ask, entropy);
        let records = decision.records.into_iter().map(|entry| (entry.key, entry.value)).collect();
        Decided { records, answers: vec![(ticket, FromController::Answer(decision.answer))] }
    }

    fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        self.controller.replay(key, value).map_err(|malformed| format!("{malformed:?}"))
    }

    fn after_replay(&mut self) -> Option<FromController> {
        let image = self.controller.image();
        if image.version == self.published {
            return None;
        }
        self.published = image.version;
        Some(FromController::Publish(image))
    }

    fn tick(&mut self, _now: Now, _entropy: u128) -> Decided<FromController> {
        Decided { records: Vec::new(), answers: Vec::new() }
    }

    fn next_deadline(&self) -> Option<Mono> {
        None
    }

    fn clear(&mut self) -> Vec<Ticket> {
        *self = ControllerRoom::new(self.config.clone());
        Vec::new()
    }

    fn on_loaded(&mut self, _now: Now) {}

    fn on_resumed(&mut self, _now: Now) {}
}
