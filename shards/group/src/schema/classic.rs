//! GroupMetadataValue: a classic group as of its last completed generation. Written as version 3; 0 to 4 are read.

use bytes::Bytes;

use crate::{InstanceId, Malformed, MemberId, Text};

use super::{Reader, Writer};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupMetadata {
    /// Empty: never had members.
    pub protocol_type: Text,
    pub generation: i32,
    pub protocol: Option<Text>,
    pub leader: Option<MemberId>,
    /// When the group entered its state; -1 if unknown. Milliseconds since 1970.
    pub since: i64,
    pub members: Vec<StoredMember>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredMember {
    pub member: MemberId,
    pub instance: Option<InstanceId>,
    pub client_id: Text,
    pub client_host: Text,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// Metadata of the group's chosen protocol.
    pub subscription: Bytes,
    pub assignment: Bytes,
}

/// The shortest member that any version can write.
const MEMBER_BYTES_MIN: usize = 15;

impl GroupMetadata {
    pub fn decode(value: Bytes) -> Result<GroupMetadata, Malformed> {
        let mut reader = Reader::new(value);
        let version = reader.version(4, 4)?;
        let protocol_type = reader.string()?.into();
        let generation = reader.i32()?;
        let protocol = reader.nullable_string()?.map(Text::from);
        let leader = reader.nullable_string()?.map(MemberId::from);
        let since = if version >= 2 { reader.i64()? } else { -1 };
        let count = reader.count(MEMBER_BYTES_MIN)?;
        let mut members = Vec::with_capacity(count);
        for _ in 0..count {
            let member = reader.string()?.into();
            let instance = if version >= 3 { reader.nullable_string()?.map(InstanceId::from) } else { None };
            let client_id = reader.string()?.into();
            let client_host = reader.string()?.into();
            let rebalance = if version >= 1 { reader.i32()? } else { -1 };
            let session_timeout_ms = reader.i32()?;
            members.push(StoredMember {
                member,
                instance,
                client_id,
                client_host,
                rebalance_timeout_ms: if rebalance == -1 { session_timeout_ms } else { rebalance },
                session_timeout_ms,
                subscription: reader.bytes()?,
                assignment: reader.bytes()?,
            });
            reader.skip_tagged()?;
        }
        reader.skip_tagged()?;
        Ok(GroupMetadata { protocol_type, generation, protocol, leader, since, members })
    }

    /// A group that has just come to be: what is written before its first generation.
    pub fn created() -> GroupMetadata {
        GroupMetadata {
            protocol_type: Text::default(),
            generation: 0,
            protocol: None,
            leader: None,
            since: -1,
            members: Vec::new(),
        }
    }

    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::version(3);
        writer.string(self.protocol_type.as_str());
        writer.i32(self.generation);
        writer.nullable_string(self.protocol.as_ref().map(Text::as_str));
        writer.nullable_string(self.leader.as_ref().map(MemberId::as_str));
        writer.i64(self.since);
        writer.count(self.members.len());
        for member in &self.members {
            writer.string(member.member.as_str());
            writer.nullable_string(member.instance.as_ref().map(InstanceId::as_str));
            writer.string(member.client_id.as_str());
            writer.string(member.client_host.as_str());
            writer.i32(member.rebalance_timeout_ms);
            writer.i32(member.session_timeout_ms);
            writer.bytes(&member.subscription);
            writer.bytes(&member.assignment);
        }
        writer.done()
    }
}
