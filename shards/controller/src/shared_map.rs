//! A sorted map whose copies share what did not change: the image is replaced with each decision while readers hold
//! the one before, so its maps must be cheap to copy and change.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// A chunk that reaches this many entries becomes two.
const CHUNK_MAX: usize = 128;
/// Neighbours that together have no more than this become one.
const CHUNK_MERGED: usize = 64;

type Chunk<K, V> = Arc<Vec<(K, V)>>;

/// A copy costs one count for each 64 to 128 entries, a change copies one chunk.
#[derive(Clone)]
pub struct SharedMap<K, V> {
    /// Sorted, none empty.
    chunks: Vec<Chunk<K, V>>,
    len: usize,
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> SharedMap<K, V> {
        SharedMap { chunks: Vec::new(), len: 0 }
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key)?)?;
        let at = chunk.binary_search_by(|(other, _)| other.borrow().cmp(key)).ok()?;
        Some(&chunk[at].1)
    }

    /// The only chunk that may hold `key`: the last one that does not begin behind it. `None` if all do.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        self.chunks.partition_point(|chunk| chunk[0].0.borrow() <= key).checked_sub(1)
    }

    pub fn insert(&mut self, key: K, value: V) {
        let Some(at) = self.chunk_of(&key).or(if self.chunks.is_empty() { None } else { Some(0) }) else {
            self.chunks.push(Arc::new(vec![(key, value)]));
            self.len = 1;
            return;
        };
        let chunk = Arc::make_mut(&mut self.chunks[at]);
        match chunk.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(place) => chunk[place].1 = value,
            Err(place) => {
                chunk.insert(place, (key, value));
                self.len += 1;
            }
        }
        if chunk.len() >= CHUNK_MAX {
            let upper = chunk.split_off(CHUNK_MAX / 2);
            self.chunks.insert(at + 1, Arc::new(upper));
        }
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.chunk_of(key)?;
        let place = self.chunks[at].binary_search_by(|(other, _)| other.borrow().cmp(key)).ok()?;
        let (_, value) = Arc::make_mut(&mut self.chunks[at]).remove(place);
        self.len -= 1;
        self.tidy(at);
        Some(value)
    }

    /// After a removal from this chunk.
    fn tidy(&mut self, at: usize) {
        if self.chunks[at].is_empty() {
            self.chunks.remove(at);
        } else if self.chunks.get(at + 1).is_some_and(|next| next.len() + self.chunks[at].len() <= CHUNK_MERGED) {
            let next = self.chunks.remove(at + 1);
            Arc::make_mut(&mut self.chunks[at]).extend(next.iter().cloned());
        }
    }

    /// In the order of the keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|(key, value)| (key, value))
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The values of `key` and all behind it.
    pub fn values_from<'a, Q: Ord + ?Sized>(&'a self, key: &Q) -> impl Iterator<Item = &'a V> + use<'a, Q, K, V>
    where
        K: Borrow<Q>,
    {
        let first = self.chunk_of(key).unwrap_or(0);
        let skipped = self.chunks.get(first).map_or(0, |chunk| chunk.partition_point(|(k, _)| k.borrow() < key));
        self.chunks[first..].iter().flat_map(|chunk| chunk.iter()).skip(skipped).map(|(_, value)| value)
    }
}

impl<K: Ord + Clone, V: Clone + PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &SharedMap<K, V>) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Ord + Clone + fmt::Debug, V: Clone + fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u16, u8),
        Remove(u16),
        /// Take away a whole range, so that chunks shrink and merge.
        Clear(u16, u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            30 => (0u16..800, any::<u8>()).prop_map(|(key, value)| Step::Insert(key, value)),
            10 => (0u16..800).prop_map(Step::Remove),
            1 => (0u16..800, 0u16..300).prop_map(|(from, count)| Step::Clear(from, from + count)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn behaves_as_a_sorted_map(steps in prop::collection::vec(step(), 0..900), probe in 0u16..900) {
            let mut map = SharedMap::default();
            let mut model = BTreeMap::new();
            let mut kept = Vec::new();
            for (at, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert(key, value) => {
                        map.insert(key, value);
                        model.insert(key, value);
                    }
                    Step::Remove(key) => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                    Step::Clear(from, to) => {
                        for key in from..to {
                            prop_assert_eq!(map.remove(&key), model.remove(&key));
                        }
                    }
                }
                prop_assert!(map.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() < CHUNK_MAX));
                if at % 200 == 0 {
                    kept.push((map.clone(), model.clone()));
                }
            }
            kept.push((map, model));
            // Copies taken on the way have not changed since.
            for (map, model) in &kept {
                prop_assert_eq!(map.len(), model.len());
                prop_assert!(map.iter().eq(model.iter()));
                prop_assert!(map.iter().rev().eq(model.iter().rev()));
                prop_assert_eq!(map.get(&probe), model.get(&probe));
                prop_assert!(map.values_from(&probe).eq(model.range(probe..).map(|(_, value)| value)));
            }
        }
    }

    #[test]
    fn a_change_copies_one_chunk() {
        let mut map = SharedMap::default();
        (0..10_000).for_each(|key| map.insert(key, key));
        let before = map.clone();
        map.insert(5_000, 0);
        let shared = map.chunks.iter().filter(|chunk| before.chunks.iter().any(|old| Arc::ptr_eq(old, chunk))).count();
        assert_eq!(shared, map.chunks.len() - 1);
        assert_eq!((before.get(&5_000), map.get(&5_000)), (Some(&5_000), Some(&0)));
    }
}
