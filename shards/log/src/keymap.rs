//! The newest offset of each key, in memory that was handed in: a table of fixed size that may become full. Beside it, how
//! many of these newest records each span holds: a span without any need not be read again.

use heddle_model::Offset;
use siphasher::sip128::SipHasher13;

/// 111 bits of hash of the key, in the low `SPAN_BITS` of the second word the number of the span that holds the record,
/// then the offset plus one. All zero is an empty slot.
type Slot = [u64; 3];

const SLOT_BYTES: usize = size_of::<Slot>();
/// Even the smallest table makes progress.
const SLOTS_MIN: usize = 16;

const SPAN_BITS: u32 = 17;
/// The number of a span of which nothing is known.
const NO_SPAN: u64 = (1 << SPAN_BITS) - 1;
/// Spans of which that is known; further ones count as needed. Their entries take a few MiB at most.
const SPANS_MAX: usize = NO_SPAN as usize;

/// A span whose records were noted.
#[cfg_attr(test, derive(PartialEq))]
struct Noted {
    next: Offset,
    /// Records in it that are the newest of their keys.
    newest: u32,
    /// Something else in it stays.
    kept: bool,
}

/// Keys stand in it by 111 bits of hash: two keys that share them all would count as one, as in Kafka those that share
/// 128 do. Among a million keys there are two in one case of 10^22.
#[cfg_attr(test, derive(PartialEq))]
pub(crate) struct KeyMap {
    slots: Vec<Slot>,
    len: usize,
    /// Where each span begins, in order.
    bases: Vec<Offset>,
    spans: Vec<Noted>,
}

/// A key as the table knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hashed([u64; 2]);

/// Bytes of a key's hash together with a small number.
pub(crate) const HASHED_BYTES: usize = 16;
/// The largest number that goes with it.
pub(crate) const BESIDE_MAX: u64 = NO_SPAN;

impl Hashed {
    pub(crate) fn of(key: &[u8]) -> Hashed {
        let hash = SipHasher13::new().hash(key);
        Hashed([hash.h1, hash.h2 & !NO_SPAN])
    }

    /// The hash and a number of at most `BESIDE_MAX` in the bits that it leaves free.
    pub(crate) fn to_bytes(self, beside: u64) -> [u8; HASHED_BYTES] {
        assert!(beside <= BESIDE_MAX, "it takes bits of the hash");
        (u128::from(self.0[0]) | u128::from(self.0[1] | beside) << 64).to_le_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; HASHED_BYTES]) -> (Hashed, u64) {
        let both = u128::from_le_bytes(bytes);
        let (low, high) = (both as u64, (both >> 64) as u64);
        (Hashed([low, high & !NO_SPAN]), high & NO_SPAN)
    }
}

impl KeyMap {
    /// A table of at most `budget` bytes, and no larger than `keys` keys need.
    pub(crate) fn within(budget: usize, keys: u64) -> KeyMap {
        let needed = usize::try_from(keys).map_or(usize::MAX, |keys| keys.saturating_add(keys / 6).saturating_add(8));
        let slots = (budget / SLOT_BYTES).min(needed).max(SLOTS_MIN);
        KeyMap { slots: vec![[0; 3]; slots], len: 0, bases: Vec::new(), spans: Vec::new() }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.slots.len() * SLOT_BYTES
    }

    /// Where the search for a key begins: its hash, scaled to the table.
    fn home(&self, key: Hashed) -> usize {
        ((u128::from(key.0[0]) * self.slots.len() as u128) >> 64) as usize
    }

    /// Where the key stands, or the empty slot where it would.
    fn slot(&self, key: Hashed) -> usize {
        let mut at = self.home(key);
        while self.slots[at][2] != 0 && [self.slots[at][0], self.slots[at][1] & !NO_SPAN] != key.0 {
            at = if at + 1 == self.slots.len() { 0 } else { at + 1 };
        }
        at
    }

    /// What is noted from here on stands in this span, behind all before it.
    pub(crate) fn begin_span(&mut self, base: Offset, next: Offset) {
        if self.spans.len() < SPANS_MAX {
            self.bases.push(base);
            self.spans.push(Noted { next, newest: 0, kept: false });
        }
    }

    /// The span that began last holds something that is not in this map and may stay.
    pub(crate) fn keep_span(&mut self) {
        if let Some(last) = self.spans.last_mut() {
            last.kept = true;
        }
    }

    /// Whether newer records than those of the span that begins at `base` are known for all its keys, and nothing else
    /// in it stays.
    pub(crate) fn replaces_span(&self, base: Offset) -> bool {
        self.bases.binary_search(&base).is_ok_and(|at| self.spans[at].newest == 0 && !self.spans[at].kept)
    }

    /// The number of the span that a record to be noted stands in: the one that began last, if that is counted.
    fn span_of(&self, offset: Offset) -> u64 {
        match self.spans.last() {
            Some(last) if offset < last.next => self.spans.len() as u64 - 1,
            _ => NO_SPAN,
        }
    }

    /// A span gained or lost a newest record.
    fn count(&mut self, span: u64, by: i32) {
        if let Some(noted) = self.spans.get_mut(span as usize) {
            noted.newest = noted.newest.saturating_add_signed(by);
        }
    }

    /// Have the places of these keys near: the memory is asked for all of them at once, while each is looked up after the
    /// other.
    pub(crate) fn fetch<'a>(&self, keys: impl IntoIterator<Item = &'a Hashed>) {
        std::hint::black_box(keys.into_iter().fold(0, |near, key| near ^ self.slots[self.home(*key)][2]));
    }

    /// A record of the key stands at `offset`, beyond all noted before. False: there is no room for another key.
    pub(crate) fn note(&mut self, key: Hashed, offset: Offset) -> bool {
        let at = self.slot(key);
        let newest = offset.0.max(0) as u64 + 1;
        let known = self.slots[at][2];
        if known == 0 {
            if self.len >= self.slots.len() / 8 * 7 {
                return false;
            }
            self.len += 1;
        }
        if newest > known {
            if known > 0 {
                self.count(self.slots[at][1] & NO_SPAN, -1);
            }
            let span = self.span_of(offset);
            self.count(span, 1);
            self.slots[at] = [key.0[0], key.0[1] | span, newest];
        }
        true
    }

    /// Whether a newer record of the key than the one at `offset` is known.
    pub(crate) fn replaces(&self, key: Hashed, offset: Offset) -> bool {
        self.slots[self.slot(key)][2] > offset.0.max(0) as u64 + 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_knows_the_newest_of_each_key(notes in proptest::collection::vec((0u8..60, 0i64..1000), 0..200)) {
            let mut map = KeyMap::within(100 * SLOT_BYTES, u64::MAX);
            let mut model: BTreeMap<u8, i64> = BTreeMap::new();
            for (key, offset) in notes {
                prop_assert!(map.note(Hashed::of(&[key]), Offset(offset)));
                let newest = model.entry(key).or_insert(offset);
                *newest = (*newest).max(offset);
            }
            for key in 0u8..=70 {
                for offset in [0, 1, 500, 999] {
                    let newer = model.get(&key).is_some_and(|newest| *newest > offset);
                    prop_assert_eq!(map.replaces(Hashed::of(&[key]), Offset(offset)), newer);
                }
            }
        }
    }

    /// They stand on disks: no version may hash otherwise.
    #[test]
    fn hashes_stay_the_same() {
        let bytes = Hashed::of(b"key").to_bytes(5);
        assert_eq!(Hashed::from_bytes(bytes), (Hashed::of(b"key"), 5));
        let hex = |bytes: [u8; HASHED_BYTES]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            (hex(bytes), hex(Hashed::of(b"").to_bytes(0))),
            ("15a064b5394e551f050016ffc40f0a88".to_owned(), "0db4d9615d9334210000fa31d05e1cb9".to_owned())
        );
    }

    #[test]
    fn a_table_is_as_large_as_its_keys_need() {
        for keys in [0u64, 1, 13, 14, 15, 100, 1_000, 4_097] {
            let mut map = KeyMap::within(1 << 30, keys);
            assert!(map.bytes() <= (keys as usize * 2 + 16) * SLOT_BYTES, "{keys}: {}", map.bytes());
            assert!((0..keys).all(|key| map.note(Hashed::of(&key.to_le_bytes()), Offset(3))), "{keys}");
        }
    }

    #[test]
    fn a_span_without_newest_records_is_known() {
        let mut map = KeyMap::within(1 << 16, 100);
        let note = |map: &mut KeyMap, key: u8, offset| assert!(map.note(Hashed::of(&[key]), Offset(offset)));
        map.begin_span(Offset(10), Offset(20));
        (10..20).for_each(|at| note(&mut map, at as u8, at));
        map.begin_span(Offset(25), Offset(27));
        note(&mut map, 10, 25);
        map.keep_span();
        map.begin_span(Offset(30), Offset(60));
        assert!(map.replaces_span(Offset(30)), "nothing in it has a key");
        (11..19).for_each(|key| note(&mut map, key, 20 + i64::from(key)));
        note(&mut map, 10, 50);
        assert!(!map.replaces_span(Offset(10)), "the newest of key 19 is there");
        assert!(!map.replaces_span(Offset(25)), "something else is there");
        note(&mut map, 19, 51);
        note(&mut map, 19, 52);
        assert!(map.replaces_span(Offset(10)));
        assert!(!map.replaces_span(Offset(30)) && !map.replaces_span(Offset(11)));
    }

    #[test]
    fn spans_beyond_those_that_are_counted_are_read() {
        let mut map = KeyMap::within(1 << 16, 100);
        let spans = SPANS_MAX as i64 + 3;
        for span in 0..spans {
            map.begin_span(Offset(span), Offset(span + 1));
            assert!(map.note(Hashed::of(&[(span % 2) as u8]), Offset(span)));
        }
        assert!(map.replaces_span(Offset(0)) && map.replaces_span(Offset(SPANS_MAX as i64 - 1)));
        assert!(!map.replaces_span(Offset(SPANS_MAX as i64)) && !map.replaces_span(Offset(spans - 1)));
        assert!(map.replaces(Hashed::of(&[0]), Offset(spans - 4)));
        assert!(!map.replaces(Hashed::of(&[0]), Offset(spans - 2)));
        assert!(!map.replaces(Hashed::of(&[1]), Offset(spans - 1)));
    }

    #[test]
    fn a_full_table_takes_known_keys_only() {
        let mut map = KeyMap::within(0, u64::MAX);
        let taken = (0..100u8).take_while(|key| map.note(Hashed::of(&[*key]), Offset(5))).count();
        assert_eq!(taken, SLOTS_MIN / 8 * 7);
        assert!(map.note(Hashed::of(&[0]), Offset(9)));
        assert!(map.replaces(Hashed::of(&[0]), Offset(8)) && !map.replaces(Hashed::of(&[0]), Offset(9)));
        assert!(!map.note(Hashed::of(&[200]), Offset(9)));
        assert!(!map.replaces(Hashed::of(&[200]), Offset(0)));
    }
}
