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

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> GroupMetadata {
        GroupMetadata {
            protocol_type: "consumer".into(),
            generation: 7,
            protocol: Some("range".into()),
            leader: None,
            since: 1_700_000_000_000,
            members: vec![StoredMember {
                member: "m".into(),
                instance: Some("i".into()),
                client_id: "c".into(),
                client_host: "/h".into(),
                rebalance_timeout_ms: 300_000,
                session_timeout_ms: 45_000,
                subscription: Bytes::from_static(b"subscription"),
                assignment: Bytes::new(),
            }],
        }
    }

    /// As Kafka's schema lays out the other versions.
    fn written(group: &GroupMetadata, version: i16) -> Bytes {
        let mut writer = Writer::version(version);
        let flexible = version >= 4;
        let text = |writer: &mut Writer, text: Option<&str>| match (flexible, text) {
            (true, text) => writer.compact_nullable_string(text),
            (false, text) => writer.nullable_string(text),
        };
        let count =
            |writer: &mut Writer, count| if flexible { writer.compact_count(count) } else { writer.count(count) };
        let bytes =
            |writer: &mut Writer, bytes| if flexible { writer.compact_bytes(bytes) } else { writer.bytes(bytes) };
        text(&mut writer, Some(group.protocol_type.as_str()));
        writer.i32(group.generation);
        text(&mut writer, group.protocol.as_ref().map(Text::as_str));
        text(&mut writer, group.leader.as_ref().map(MemberId::as_str));
        if version >= 2 {
            writer.i64(group.since);
        }
        count(&mut writer, group.members.len());
        for member in &group.members {
            text(&mut writer, Some(member.member.as_str()));
            if version >= 3 {
                text(&mut writer, member.instance.as_ref().map(InstanceId::as_str));
            }
            text(&mut writer, Some(member.client_id.as_str()));
            text(&mut writer, Some(member.client_host.as_str()));
            if version >= 1 {
                writer.i32(member.rebalance_timeout_ms);
            }
            writer.i32(member.session_timeout_ms);
            bytes(&mut writer, &member.subscription);
            bytes(&mut writer, &member.assignment);
            if flexible {
                writer.no_tagged();
            }
        }
        if flexible {
            writer.no_tagged();
        }
        writer.done()
    }

    #[test]
    fn every_version_is_read() {
        let group = group();
        assert_eq!(group.encode(), written(&group, 3));
        for version in 0..=4 {
            let mut expected = group.clone();
            let member = &mut expected.members[0];
            if version < 1 {
                member.rebalance_timeout_ms = member.session_timeout_ms;
            }
            if version < 2 {
                expected.since = -1;
            }
            if version < 3 {
                expected.members[0].instance = None;
            }
            assert_eq!(GroupMetadata::decode(written(&group, version)), Ok(expected), "version {version}");
        }
        assert!(GroupMetadata::decode(written(&group, 5)).is_err(), "a version that does not exist yet");
    }
}
