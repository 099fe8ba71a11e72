//! One client connection: bytes in both directions, in pieces, and how it ends.

use std::collections::VecDeque;

use bytes::Bytes;
use heddle_border::Token;

#[derive(Default)]
pub struct Link {
    pub core: usize,
    /// How often it went to another core.
    pub moves: u32,
    /// What the client sent and the node has not read.
    pub to_server: VecDeque<Bytes>,
    /// What the node sent and the client has not read.
    pub to_client: VecDeque<(Token, Vec<Bytes>)>,
    pub paused: bool,
    /// The node closes after what it sent has left.
    pub closing: bool,
    /// The client went away.
    pub left: bool,
}

impl Link {
    /// Whether the network has something to do here.
    pub fn is_busy(&self) -> bool {
        self.left || self.closing || !self.to_client.is_empty() || (!self.paused && !self.to_server.is_empty())
    }
}

/// What a client sees of its connection.
pub enum Heard {
    Bytes(Vec<Bytes>),
    Closed,
}
