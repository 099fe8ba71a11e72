//! Tests of several groups together: replicas with a pretended journal and records, a pretended network, and checkers that look at
//! every step. `script` plays text scripts on it, `walk` takes random steps.

mod checkers;
mod hostile;
mod replica;
mod script;
mod walk;
mod world;

/// A fault put in on purpose, to see that the checkers find it. Each is a lie told at the border of a group, which makes
/// the honest group behave as if the rule were missing from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Planted {
    /// Votes compare log ends by offset alone.
    VoteByOffset,
    /// A leader counts acknowledgements of older terms.
    CommitOldTerm,
    /// A cut is forgotten by the disk.
    NoCut,
    /// Membership changes before the last change reached a majority.
    EarlyChange,
    /// Votes go to candidates with an older configuration.
    VoteOldConfig,
    /// Votes and acknowledgements leave before they are durable.
    PromiseEarly,
    /// A new leader does not take over the largest log start of its voters.
    ForgetLogStart,
}
