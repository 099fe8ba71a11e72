//! What is refused before anything else is looked at: ids that cannot be, and text that no record could hold.

use crate::{Ask, ConsumerHeartbeat, GroupId, GroupSettings, Join, Protocol, Refusal, Text, schema::TEXT_BYTES_MAX};

/// What the topics of one subscription, or the protocols of one classic member, may take together. Bytes.
const SUBSCRIPTION_BYTES_MAX: usize = 1 << 20;

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
        Ask::ConsumerHeartbeat(heartbeat) => admit_heartbeat(heartbeat, settings),
        // DescribeGroups knows the empty id, for the sake of old clients; its successor does not.
        Ask::ConsumerDescribe(group) if group.is_empty() => Err(Refusal::InvalidGroupId),
        // These write nothing that is not stored already.
        Ask::FetchOffsets(_)
        | Ask::DeleteOffsets(_)
        | Ask::List(_)
        | Ask::Describe(_)
        | Ask::Delete(_)
        | Ask::ConsumerDescribe(_)
        | Ask::TopicsDeleted(_) => Ok(()),
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
    join.protocols.iter().try_for_each(|protocol: &Protocol| fits(protocol.name.as_str()))?;
    // The group's record holds it, beside that of all others.
    let bytes: usize =
        join.protocols.iter().map(|protocol| protocol.name.as_str().len() + protocol.metadata.len()).sum();
    if bytes > SUBSCRIPTION_BYTES_MAX { Err(Refusal::GroupTooLarge) } else { Ok(()) }
}

/// KIP-848: which fields which epoch needs.
fn admit_heartbeat(ask: &ConsumerHeartbeat, settings: &GroupSettings) -> Result<(), Refusal> {
    if !settings.consumer_protocol_enabled {
        return Err(Refusal::ProtocolDisabled);
    }
    refuse_if(ask.group.is_empty(), "GroupId can't be empty.")?;
    refuse_if(ask.instance.as_ref().is_some_and(|id| id.is_empty()), "InstanceId can't be empty.")?;
    refuse_if(ask.rack.as_ref().is_some_and(Text::is_empty), "RackId can't be empty.")?;
    refuse_if(ask.member.is_empty() && ask.epoch != 0, "MemberId can't be empty.")?;
    match ask.epoch {
        1.. | -1 => {}
        0 => {
            refuse_if(ask.rebalance_timeout_ms.is_none(), "RebalanceTimeoutMs must be provided in first request.")?;
            let owns_nothing = ask.owned.as_ref().is_some_and(|owned| owned.is_empty());
            refuse_if(!owns_nothing, "TopicPartitions must be empty when (re-)joining.")?;
            let subscribes = ask.subscribed.is_some() || ask.regex.as_ref().is_some_and(|regex| !regex.is_empty());
            let text = "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.";
            refuse_if(!subscribes, text)?;
        }
        -2 => refuse_if(ask.instance.is_none(), "InstanceId can't be null.")?,
        _ => refuse_if(true, "MemberEpoch is invalid.")?,
    }
    if let Some(name) = &ask.assignor {
        let supported = &settings.group_consumer_assignors;
        if !supported.iter().any(|assignor| assignor.name() == name.as_str()) {
            let names: Vec<&str> = supported.iter().map(|assignor| assignor.name()).collect();
            let names = names.join(", ");
            let text = format!("ServerAssignor {name} is not supported. Supported assignors: {names}.");
            return Err(Refusal::UnsupportedAssignor(text));
        }
    }
    for text in [ask.group.as_str(), ask.member.as_str(), ask.client_id.as_str(), ask.client_host.as_str()] {
        fits(text)?;
    }
    let optional = [ask.instance.as_ref().map(|id| id.as_str()), ask.rack.as_ref().map(Text::as_str)];
    optional.into_iter().chain([ask.regex.as_ref().map(Text::as_str)]).flatten().try_for_each(fits)?;
    let bytes: usize = ask.subscribed.iter().flatten().map(|topic| topic.as_str().len() + 8).sum();
    refuse_if(bytes > SUBSCRIPTION_BYTES_MAX, "The subscription is larger than 1 MiB.")
}

fn refuse_if(wrong: bool, text: &str) -> Result<(), Refusal> {
    if wrong { Err(Refusal::InvalidRequest(text.to_owned())) } else { Ok(()) }
}

pub(crate) fn fits(text: &str) -> Result<(), Refusal> {
    if text.len() <= TEXT_BYTES_MAX { Ok(()) } else { Err(too_long()) }
}

fn too_long() -> Refusal {
    Refusal::InvalidRequest("a name is longer than 32767 bytes".to_owned())
}
