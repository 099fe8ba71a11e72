//! What is refused before anything else is looked at: ids that cannot be, and text that no record could hold.

use crate::{Ask, GroupId, GroupSettings, Join, Protocol, Refusal, Text, schema::TEXT_BYTES_MAX};

pub(crate) fn admit(ask: &Ask, settings: &GroupSettings) -> Result<(), Refusal> {
    match ask {
        Ask::Join(join) => admit_join(join, settings),
        Ask::Sync(sync) => admit_group(&sync.group),
        Ask::Heartbeat(heartbeat) => admit_group(&heartbeat.group),
        Ask::Leave(leave) => admit_group(&leave.group),
        Ask::CommitOffsets(commit) => {
            fits(commit.group.as_str())?;
            commit.offsets.iter().try_for_each(|offset| fits(offset.topic.as_str()))
        }
        Ask::ConsumerHeartbeat(heartbeat) => admit_group(&heartbeat.group),
        // These write nothing that is not stored already.
        Ask::FetchOffsets(_)
        | Ask::DeleteOffsets(_)
        | Ask::List(_)
        | Ask::Describe(_)
        | Ask::Delete(_)
        | Ask::ConsumerDescribe(_)
        | Ask::TopicDeleted(_) => Ok(()),
    }
}

fn admit_group(group: &GroupId) -> Result<(), Refusal> {
    if group.is_empty() { Err(Refusal::InvalidGroupId) } else { fits(group.as_str()) }
}

fn admit_join(join: &Join, settings: &GroupSettings) -> Result<(), Refusal> {
    admit_group(&join.group)?;
    let sessions = settings.group_min_session_timeout_ms..=settings.group_max_session_timeout_ms;
    if !sessions.contains(&join.session_timeout_ms) {
        return Err(Refusal::InvalidSessionTimeout);
    }
    for text in [join.member.as_str(), join.client_host.as_str(), join.protocol_type.as_str()] {
        fits(text)?;
    }
    // A member's id is made of these, with a UUID behind.
    let prefixes = [Some(join.client_id.as_str()), join.instance.as_ref().map(|instance| instance.as_str())];
    if prefixes.into_iter().flatten().any(|text| text.len() > TEXT_BYTES_MAX - 64) {
        return Err(too_long());
    }
    join.protocols.iter().map(|protocol: &Protocol| &protocol.name).try_for_each(|name: &Text| fits(name.as_str()))
}

pub(crate) fn fits(text: &str) -> Result<(), Refusal> {
    if text.len() <= TEXT_BYTES_MAX { Ok(()) } else { Err(too_long()) }
}

fn too_long() -> Refusal {
    Refusal::InvalidRequest("a name is longer than 32767 bytes".to_owned())
}
