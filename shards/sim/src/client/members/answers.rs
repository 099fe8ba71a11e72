//! What members of both protocols do with an answer.

use std::fmt::Debug;

use bytes::Bytes;

use super::offsets::{Name, Offsets};
use super::{PACE_MS, found};
use crate::client::Cx;

/// What a member asked: what all ask, or what only those of its protocol do.
#[derive(Debug)]
pub enum Asked<Own> {
    Find,
    Commit,
    Fetch,
    Own(Own),
}

/// What a member of either protocol has to do with its coordinator.
pub struct Talk<Own> {
    pub group: &'static str,
    /// Whether the coordinator is found.
    pub found: bool,
    pub asked: Option<Asked<Own>>,
    pub offsets: Offsets,
}

impl<Own> Talk<Own> {
    pub fn new(group: &'static str) -> Talk<Own> {
        Talk { group, found: false, asked: None, offsets: Offsets::default() }
    }
}

pub trait Member {
    type Own: Debug;

    fn talk(&mut self) -> &mut Talk<Self::Own>;

    /// In whose name it commits, and where it is.
    fn positions(&mut self) -> (Name<'_>, &mut Offsets);

    /// The answer to a question of its own; its error.
    fn on_own(&mut self, asked: &Self::Own, answer: Bytes, cx: &mut Cx<'_>) -> Result<i16, String>;

    fn on_error(&mut self, asked: &Asked<Self::Own>, error: i16, cx: &mut Cx<'_>) -> Result<(), String>;

    fn is_in(&self) -> bool;

    /// What may happen to a process at any time.
    fn live(&mut self, cx: &mut Cx<'_>);
}

/// Take an answer; `step`: when its question left.
///
/// # Errors
/// If this is no sound answer to what was asked.
pub fn take<M: Member>(member: &mut M, answer: Bytes, step: u64, cx: &mut Cx<'_>) -> Result<(), String> {
    let talk = member.talk();
    let asked = talk.asked.take().ok_or("an answer without a question")?;
    let group = talk.group;
    let (name, offsets) = member.positions();
    let error = match &asked {
        Asked::Find => {
            let error = found(answer)?;
            member.talk().found = error == 0;
            error
        }
        Asked::Commit => offsets.on_committed(name, answer, step, cx)?,
        Asked::Fetch => offsets.on_fetched(group, answer, step, cx)?,
        Asked::Own(own) => member.on_own(own, answer, cx)?,
    };
    if error != 0 {
        cx.rest_ms = PACE_MS;
        return member.on_error(&asked, error, cx);
    }
    if member.is_in() && !cx.draining {
        member.live(cx);
    }
    Ok(())
}
