//! A piece of compaction's work, done off the turn: a few spans in order, and everything that it needs, which it has for
//! itself meanwhile and gives back.

use std::sync::Arc;

use bytes::Bytes;
use heddle_border::Blocks;
use heddle_model::Offset;

use crate::clean::{Mapped, Rules, Unreadable, map_span, retain_span};
use crate::digest::map_digest;
use crate::keymap::KeyMap;
use crate::packing::{Packing, Stock};
use crate::segment::Span;

/// A span, or what is known of it.
pub(crate) enum Fetched {
    /// Its bytes, filling included, in memory of the round …
    Read(Blocks),
    /// … or the cache's own.
    Cached(Bytes),
    /// Its digest, which is all that a map needs.
    Digest(Bytes),
}

/// Keeps the memory of what was read while a part of it is in use.
struct Lent(Arc<Blocks>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Fetched {
    /// Have `act` look at the bytes. Their memory goes to the stock unless `act` kept some of it.
    fn lend<T>(self, stock: &mut Stock, act: impl FnOnce(&Bytes, &mut Stock) -> T) -> T {
        match self {
            Fetched::Cached(bytes) | Fetched::Digest(bytes) => act(&bytes, stock),
            Fetched::Read(blocks) => {
                let blocks = Arc::new(blocks);
                let bytes = Bytes::from_owner(Lent(blocks.clone()));
                let made = act(&bytes, stock);
                drop(bytes);
                Arc::into_inner(blocks).into_iter().for_each(|blocks| stock.give(blocks));
                made
            }
        }
    }
}

pub(crate) struct Piece {
    /// Not empty.
    pub(crate) spans: Vec<(Span, Fetched)>,
    pub(crate) map: KeyMap,
    pub(crate) stock: Stock,
    pub(crate) rules: Rules,
    pub(crate) act: Act,
}

/// What is done on each span.
pub(crate) enum Act {
    /// Keys of records from here on are noted.
    Map { from: Offset },
    /// What stays is packed. `drop_tombstones` and `opaque` as in `retain_span`.
    Copy { drop_tombstones: bool, opaque: bool, packing: Packing },
}

/// What a piece gives back.
pub(crate) struct Outcome {
    pub(crate) map: KeyMap,
    pub(crate) stock: Stock,
    /// Or what is wrong with a span, in words.
    pub(crate) result: Result<Came, String>,
}

pub(crate) enum Came {
    Mapped(Mapped),
    Copied { packing: Packing, opaque: bool },
}

impl Piece {
    pub(crate) fn run(self) -> Outcome {
        let Piece { spans, mut map, mut stock, rules, act } = self;
        let result = match act {
            Act::Map { from } => {
                let mut mapped = Ok(Mapped::All);
                for (span, fetched) in spans {
                    mapped = match fetched {
                        Fetched::Digest(digest) => Ok(map_digest(&mut map, &digest, &span, &rules, from)),
                        fetched => fetched
                            .lend(&mut stock, |bytes, _| map_span(&mut map, bytes, &span, &rules, from))
                            .map_err(|unreadable| in_words(&span, unreadable)),
                    };
                    if mapped != Ok(Mapped::All) {
                        break;
                    }
                }
                mapped.map(Came::Mapped)
            }
            Act::Copy { drop_tombstones, mut opaque, mut packing } => {
                let copied = spans.into_iter().try_for_each(|(span, fetched)| {
                    fetched.lend(&mut stock, |bytes, stock| {
                        let kept = retain_span(&map, bytes, &span, &rules, drop_tombstones, &mut opaque);
                        let kept = kept.map_err(|unreadable| in_words(&span, unreadable))?;
                        kept.iter().for_each(|kept| packing.add(kept, stock));
                        Ok(())
                    })
                });
                copied.map(|()| Came::Copied { packing, opaque })
            }
        };
        Outcome { map, stock, result }
    }
}

fn in_words(span: &Span, Unreadable(what): Unreadable) -> String {
    format!("offsets {} to {} {what}", span.base, span.next)
}
