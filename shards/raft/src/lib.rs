//! One replicated log's agreement, in numbers only: who leads, what is committed, who belongs.
//! Owns: term, vote, role, each peer's progress, commit, the history of (term, start), membership, the log start.
//! Invariants: `Group::check`, asserted after every transition; no message leaves before what it promises is durable.
//! Does not know: records, files, clocks, Kafka, or that there are thousands of groups.
//! Read first: `group.rs` (the whole of it: events in, instructions out), then `roles.rs`.

mod check;
mod config;
mod election;
mod follow;
mod group;
mod history;
mod instruction;
mod lead;
mod membership;
mod message;
mod progress;
mod quorum;
mod roles;
mod wire;

pub use config::{CONFIG_BYTES_MAX, Config, ConfigId, ConfigUnsound, MEMBERS_MAX};
pub use group::{Group, Restored, Unsound};
pub use history::History;
pub use instruction::{ChangeRefusal, Durable, Fault, Instruction, TransferRefusal};
pub use message::{Append, AppendAck, AppendReject, LINES_MAX, Message, Reset, VoteReply, VoteRequest};
pub use progress::Progress;
pub use roles::Role;
pub use wire::Undecodable;
