//! OffsetCommitValue: one committed offset. Written as version 4, with the topic's id, or as 1 if it has an end of its own,
//! as Kafka 4.3 does; 0 to 4 are read.

use bytes::Bytes;
use heddle_model::{LeaderEpoch, Offset, TopicId};

use crate::{CommittedOffset, Malformed, Text};

use super::{Reader, Writer};

/// The tag of the topic's id.
const TOPIC_ID: u32 = 0;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredOffset {
    pub committed: CommittedOffset,
    /// Version 1's explicit end of life. Milliseconds since 1970.
    pub expires_at: Option<i64>,
    /// Which topic had the name when it was committed; version 4 may say it.
    pub topic_id: Option<TopicId>,
    /// Place in the order of replay: tells whether a transaction's commit is older than what stands.
    pub order: u64,
}

impl StoredOffset {
    pub fn decode(value: Bytes, order: u64) -> Result<StoredOffset, Malformed> {
        let mut reader = Reader::new(value);
        let version = reader.version(4, 4)?;
        let offset = Offset(reader.i64()?);
        let leader_epoch = if version >= 3 { reader.i32()? } else { -1 };
        let metadata = reader.string()?;
        let committed_at = reader.i64()?;
        let expires_at = if version == 1 { reader.i64()? } else { -1 };
        let mut topic_id = None;
        reader.tagged(|tag, mut field| {
            if tag == TOPIC_ID {
                topic_id = Some(TopicId(field.uuid()?)).filter(|id| id.0 != 0);
            }
            Ok(())
        })?;
        Ok(StoredOffset {
            committed: CommittedOffset {
                offset,
                leader_epoch: (leader_epoch >= 0).then_some(LeaderEpoch(leader_epoch)),
                metadata: Text::from(metadata),
                committed_at,
            },
            expires_at: (expires_at >= 0).then_some(expires_at),
            topic_id,
            order,
        })
    }
}

impl CommittedOffset {
    /// `expires_at`: the explicit end of life. The version that can say it has no leader epoch and no topic id.
    pub(crate) fn encode(&self, expires_at: Option<i64>, topic_id: Option<TopicId>) -> Bytes {
        let Some(expires_at) = expires_at else { return self.encode_with(topic_id) };
        let mut writer = Writer::version(1);
        writer.i64(self.offset.0);
        writer.string(self.metadata.as_str());
        writer.i64(self.committed_at);
        writer.i64(expires_at);
        writer.done()
    }

    fn encode_with(&self, topic_id: Option<TopicId>) -> Bytes {
        let mut writer = Writer::version(4);
        writer.i64(self.offset.0);
        writer.i32(self.leader_epoch.map_or(-1, |epoch| epoch.0));
        writer.compact_string(self.metadata.as_str());
        writer.i64(self.committed_at);
        match topic_id {
            Some(id) => {
                let mut field = Writer::default();
                field.uuid(id.0);
                writer.one_tagged(TOPIC_ID, field);
            }
            None => writer.no_tagged(),
        }
        writer.done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that Kafka 4.3's own OffsetCommitValue reads.
    #[test]
    fn the_topic_id_stands_where_kafka_writes_it() {
        let committed = CommittedOffset {
            offset: Offset(17),
            leader_epoch: Some(LeaderEpoch(3)),
            metadata: "m".into(),
            committed_at: 5,
        };
        let id = TopicId(0x1122_3344_5566_7788_99aa_bbcc_ddee_ff00);
        let value = committed.encode(None, Some(id));
        let expected = [
            &[0, 4, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 3, 2, b'm', 0, 0, 0, 0, 0, 0, 0, 5, 1, 0, 16][..],
            &id.0.to_be_bytes(),
        ];
        assert_eq!(value[..], expected.concat());
        let stored = StoredOffset::decode(value, 1).expect("its own");
        assert_eq!((stored.committed, stored.topic_id, stored.expires_at), (committed.clone(), Some(id), None));
        let without = StoredOffset::decode(committed.encode(None, None), 1).expect("its own");
        assert_eq!((without.committed, without.topic_id), (committed.clone(), None));
        // The version with an end of its own knows neither id nor epoch, as in Kafka.
        let ends = StoredOffset::decode(committed.encode(Some(9), Some(id)), 1).expect("its own");
        assert_eq!((ends.committed.leader_epoch, ends.topic_id, ends.expires_at), (None, None, Some(9)));
    }
}
