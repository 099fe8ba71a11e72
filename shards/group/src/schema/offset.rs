//! OffsetCommitValue: one committed offset. Written as version 3, which every tool can read, or as 1 if it has an end of
//! its own, as in Kafka; 0 to 4 are read.

use bytes::Bytes;
use heddle_model::{LeaderEpoch, Offset};

use crate::{CommittedOffset, Malformed, Text};

use super::{Reader, Writer};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredOffset {
    pub committed: CommittedOffset,
    /// Version 1's explicit end of life. Milliseconds since 1970.
    pub expires_at: Option<i64>,
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
        reader.skip_tagged()?;
        Ok(StoredOffset {
            committed: CommittedOffset {
                offset,
                leader_epoch: (leader_epoch >= 0).then_some(LeaderEpoch(leader_epoch)),
                metadata: Text::from(metadata),
                committed_at,
            },
            expires_at: (expires_at >= 0).then_some(expires_at),
            order,
        })
    }
}

impl CommittedOffset {
    /// `expires_at`: the explicit end of life. The version that can say it has no leader epoch.
    pub(crate) fn encode(&self, expires_at: Option<i64>) -> Bytes {
        let mut writer = Writer::version(if expires_at.is_some() { 1 } else { 3 });
        writer.i64(self.offset.0);
        if expires_at.is_none() {
            writer.i32(self.leader_epoch.map_or(-1, |epoch| epoch.0));
        }
        writer.string(self.metadata.as_str());
        writer.i64(self.committed_at);
        expires_at.into_iter().for_each(|at| writer.i64(at));
        writer.done()
    }
}
