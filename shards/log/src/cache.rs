//! Spans kept in memory for readers. The least recently used goes first, when the shard asks for memory.

use std::collections::BTreeMap;

use bytes::Bytes;
use heddle_model::limits::BLOCK_BYTES;

use crate::segment::{SegmentKey, SpanKey};

/// What a span costs beyond its bytes: the slack of an aligned buffer.
const SLACK_BYTES: usize = BLOCK_BYTES;

struct Cached {
    bytes: Bytes,
    used: u64,
}

#[derive(Default)]
pub(crate) struct Cache {
    spans: BTreeMap<SpanKey, Cached>,
    by_use: BTreeMap<u64, SpanKey>,
    uses: u64,
    bytes: usize,
}

impl Cache {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn contains(&self, key: SpanKey) -> bool {
        self.spans.contains_key(&key)
    }

    /// The span's bytes, filling included; counts as a use.
    pub(crate) fn get(&mut self, key: SpanKey) -> Option<Bytes> {
        let cached = self.spans.get_mut(&key)?;
        self.uses += 1;
        self.by_use.remove(&cached.used);
        self.by_use.insert(self.uses, key);
        cached.used = self.uses;
        Some(cached.bytes.clone())
    }

    pub(crate) fn insert(&mut self, key: SpanKey, bytes: Bytes) {
        self.remove(key);
        self.uses += 1;
        self.bytes += bytes.len() + SLACK_BYTES;
        self.by_use.insert(self.uses, key);
        self.spans.insert(key, Cached { bytes, used: self.uses });
    }

    fn remove(&mut self, key: SpanKey) {
        if let Some(cached) = self.spans.remove(&key) {
            self.by_use.remove(&cached.used);
            self.bytes -= cached.bytes.len() + SLACK_BYTES;
        }
    }

    /// Drop every span of a segment.
    pub(crate) fn forget(&mut self, segment: SegmentKey) {
        let all = SpanKey { segment, at: 0 }..=SpanKey { segment, at: u64::MAX };
        let keys: Vec<SpanKey> = self.spans.range(all).map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| self.remove(key));
    }

    /// Drop spans, oldest use first, until `want` bytes are free or none is left. Returns the bytes freed.
    pub(crate) fn evict(&mut self, want: usize) -> usize {
        let before = self.bytes;
        while before - self.bytes < want
            && let Some((_, key)) = self.by_use.first_key_value()
        {
            self.remove(*key);
        }
        before - self.bytes
    }
}

#[cfg(test)]
mod tests {
    use heddle_model::Offset;

    use super::*;

    fn key(base: i64, at: u64) -> SpanKey {
        SpanKey { segment: SegmentKey { base: Offset(base), generation: 0 }, at }
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut cache = Cache::default();
        for at in 0..3 {
            cache.insert(key(0, at), Bytes::from(vec![0; 100]));
        }
        assert!(cache.get(key(0, 0)).is_some());
        assert_eq!(cache.evict(1), 100 + SLACK_BYTES);
        assert!(cache.contains(key(0, 0)) && !cache.contains(key(0, 1)) && cache.contains(key(0, 2)));
        cache.evict(usize::MAX);
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn forgetting_takes_one_segment_only() {
        let mut cache = Cache::default();
        for base in 0..3 {
            cache.insert(key(base, 0), Bytes::from_static(b"x"));
            cache.insert(key(base, 4096), Bytes::from_static(b"y"));
        }
        cache.forget(key(1, 0).segment);
        assert!(cache.contains(key(0, 4096)) && cache.contains(key(2, 0)) && !cache.contains(key(1, 4096)));
        assert_eq!(cache.bytes(), 4 * (1 + SLACK_BYTES));
    }
}
