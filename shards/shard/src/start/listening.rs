//! Letting clients in, and no more of them.

use std::net::SocketAddr;

use heddle_border::{DiskOp, Effect, Fault, ListenerId};

use crate::mail::Notice;
use crate::turn::Shard;

use super::Sign;
use super::directory::MADE_SIGN;

const KAFKA_LISTENER: ListenerId = ListenerId(0);
/// A directory of the controller's replica. From before the first client is served it says that there were topics here,
/// or could have been: without it a data directory that lost its only journal would look like a new one.
const SIGN: &str = "replicas/0-0";

impl Shard {
    /// All cores have what the first image asks for: let clients in.
    pub(crate) fn listen(&mut self) {
        if self.start.listening || self.stop.is_asked() {
            return;
        }
        match self.start.sign {
            Sign::Missing => {
                self.start.sign = Sign::BeingMade;
                self.house_disk(MADE_SIGN, DiskOp::MakeDir { path: SIGN.into() });
            }
            Sign::BeingMade => {}
            Sign::There => {
                self.start.listening = true;
                self.effects.push(Effect::Listen { listener: KAFKA_LISTENER, addr: self.config.kafka_addr });
            }
        }
    }

    pub(crate) fn unlisten(&mut self) {
        if self.start.listening {
            self.effects.push(Effect::Unlisten { listener: KAFKA_LISTENER });
        }
    }

    pub(crate) fn on_listening(&mut self, result: Result<SocketAddr, Fault>) {
        let notice = match result {
            Ok(addr) => {
                self.start.accepting = true;
                Notice::Serving(addr)
            }
            Err(fault) => Notice::Failed(format!("cannot listen on {}: {fault}", self.config.kafka_addr)),
        };
        self.notice(notice);
    }
}
