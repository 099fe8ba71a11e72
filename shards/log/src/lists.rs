//! Which closed segments a segment's first side record lists, so that loading knows all of them from few files, and to
//! begin a segment costs little however many there are.
//!
//! A list reaches back to a *link*, an older segment that it names first; the link's own first side record lists what is
//! older than that, back to a link again. A list may hold 8 segments more with each link behind it, and then the
//! next link is made: with n segments, lists and links are both of the order of √n. 10,000 segments are 50 links, and no
//! list is longer than 25 KiB.
//!
//! Compaction takes segments away that older lists name. What such a list says is not repaired: the next list reaches
//! back beyond it, to the newest link that nothing was taken from. Until a mark names that segment, loading needs the
//! files of the old links, and they stay.

use heddle_model::Offset;

use crate::Log;
use crate::segment::{Segment, SegmentKey};

/// By how many segments a list may be longer for each link behind it.
const LIST_STEP: usize = 8;
/// Of a list, beyond what is not to be found otherwise: after a round of compaction over very many segments. What
/// compaction wrote says by its seal what it is, so loading also finds it where no list names it.
const LIST_MAX: usize = 4_096;

#[derive(Default)]
pub(crate) struct Lists {
    /// What the next list can build on, oldest first. Each names the one before, and what they list stands.
    links: Vec<SegmentKey>,
    /// The segment whose list was written last, unless something was taken from it since: the next link.
    latest: Option<SegmentKey>,
    /// By the segments whose lists loading may begin with: the links it needs then.
    needed: Vec<(SegmentKey, Vec<SegmentKey>)>,
}

/// What a segment's first side record says of older ones.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct List {
    pub(crate) segments: Vec<Segment>,
    /// The first of them is a link: its first side record lists what is older.
    pub(crate) is_linked: bool,
}

impl Lists {
    /// The log was loaded from the list of `active` by way of `chain`, youngest first. `replaced`: where compaction has
    /// put something in the place of what they list, at the lowest. Beyond the links that are still there, nobody builds
    /// on them.
    pub(crate) fn loaded(
        active: SegmentKey,
        mut chain: Vec<SegmentKey>,
        replaced: Option<Offset>,
        is_there: impl Fn(SegmentKey) -> bool,
    ) -> Lists {
        chain.reverse();
        let stands = |link: &&SegmentKey| is_there(**link) && replaced.is_none_or(|replaced| link.base < replaced);
        let links: Vec<SegmentKey> = chain.iter().take_while(stands).copied().collect();
        let is_whole = links.len() == chain.len() && replaced.is_none();
        Lists { links, latest: is_whole.then_some(active), needed: vec![(active, chain)] }
    }

    /// Compaction put something in the place of segments from `base` on.
    pub(crate) fn replaced(&mut self, base: Offset) {
        self.links.retain(|link| link.base < base);
        self.latest = None;
    }

    /// A mark that names this segment is durable: loading begins there, or later.
    pub(crate) fn marked(&mut self, segment: SegmentKey) {
        self.needed.retain(|(of, _)| *of >= segment);
    }

    /// Whether loading may need the files of a segment for what they say of others.
    pub(crate) fn needs(&self, key: SegmentKey) -> bool {
        self.needed.iter().any(|(_, links)| links.contains(&key))
    }
}

impl Log {
    /// What the first side record of `of`, the segment being written, says.
    pub(crate) fn list_for(&mut self, of: SegmentKey) -> List {
        let Lists { links, latest, needed } = &mut self.lists;
        // The oldest leave as the log start passes them, and with them all that they list.
        links.retain(|link| self.sealed.holds(*link));
        let since = |link: Option<&SegmentKey>| match link {
            Some(link) => self.sealed.partition_point(|segment| segment.key < *link),
            None => 0,
        };
        if self.sealed.len() - since(links.last()) > LIST_STEP * (links.len() + 1) {
            links.extend(latest.filter(|latest| self.sealed.find(*latest).is_some_and(|latest| latest.bytes > 0)));
        }
        needed.retain(|(other, _)| *other != of);
        needed.push((of, links.clone()));
        *latest = Some(of);
        let listed = &self.sealed[since(links.last())..];
        let mut too_many = listed.len().saturating_sub(LIST_MAX);
        let is_said = |segment: &&Segment| {
            let unsaid = too_many > 0 && segment.is_clean();
            too_many -= usize::from(unsaid);
            !unsaid
        };
        let segments = listed.iter().filter(is_said).map(Segment::without_index).collect();
        List { segments, is_linked: !links.is_empty() }
    }
}
