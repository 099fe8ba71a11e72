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

pub trait Member {
    type Own: Debug;

    fn group(&self) -> &'static str;

    fn take_asked(&mut self) -> Option<Asked<Self::Own>>;

    /// Whether the coordinator is found.
    fn set_found(&mut self, found: bool);

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
    let asked = member.take_asked().ok_or("an answer without a question")?;
    let group = member.group();
    let (name, offsets) = member.positions();
    let error = match &asked {
        Asked::Find => {
            let error = found(answer)?;
            member.set_found(error == 0);
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
