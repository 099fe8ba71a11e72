//! What a core is told at start.

use std::net::SocketAddr;
use std::sync::Arc;

use heddle_api::ApiConfig;
use heddle_controller::{Broker, BrokerConfig};
use heddle_model::NodeId;

#[derive(Clone)]
pub struct ShardConfig {
    pub shards: u16,
    pub node: NodeId,
    /// How this broker presents itself to clients.
    pub broker: Broker,
    pub kafka_addr: SocketAddr,
    /// Kafka's broker configs as given at start.
    pub settings: Arc<BrokerConfig>,
    pub api: ApiConfig,
    /// Memory this core may use for batches: tails, cache, requests and answers. Bytes.
    pub memory: usize,
    /// Files of the core's journal ring, and their size in bytes; the first is small (`model::limits`).
    pub journal_files: usize,
    pub journal_file_bytes: u64,
    /// Where ids come from that must not come twice: of topics, members, journals.
    pub seed: u128,
    /// Go on with damaged replicas as far as they verify, giving the rest up (`heddle repair --accept-loss`).
    pub accept_loss: bool,
    /// Recover, report, and stop: `heddle repair`.
    pub repair_only: bool,
}
