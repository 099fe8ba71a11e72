//! Loading a log: what its side files say of it, the active segment's first, a closed segment's index at its first use.

use std::collections::BTreeMap;

use heddle_border::{DiskOp, Done, Effect, Entry, Failed};
use heddle_model::limits::BLOCK_BYTES;
use heddle_model::{Mark, Offset};

use crate::Log;
use crate::ask::{LoadFault, Output, ReadFault};
use crate::disk::Op;
use crate::lists::{List, Lists};
use crate::names::{self, Part};
use crate::query::Want;
use crate::sealed::Sealed;
use crate::seals::Sealing;
use crate::segment::{Index, Segment, SegmentKey, Span};
use crate::side_file::{SideFault, SideRead};

/// How far loading is.
pub(crate) enum Loading {
    Unloaded(Mark),
    Listing(Mark),
    Reading {
        mark: Mark,
        files: Vec<Listed>,
    },
    /// The active segment is known; older segments are taken from the lists that its list refers to.
    Linking(Box<Linking>),
    /// Side files that neither lists nor the mark name are looked into: compaction may have published them later.
    Sealing(Box<Sealing>),
    Loaded,
}

/// A file of the store's directory.
pub(crate) struct Listed {
    pub(crate) key: SegmentKey,
    pub(crate) part: Part,
    pub(crate) len: u64,
}

/// Following lists of segments back, from link to link.
pub(crate) struct Linking {
    pub(crate) mark: Mark,
    pub(crate) files: Vec<Listed>,
    pub(crate) active: Box<SideRead>,
    /// The links that were or are being read, youngest first.
    pub(crate) chain: Vec<SegmentKey>,
}

impl Log {
    /// Read what the mark covers: list the directory, read the active segment's side file. `Output::Loaded` follows, or
    /// `Output::LoadFailed`. Does nothing if it is loaded or being loaded.
    pub fn load(&mut self, out: &mut Vec<Effect>) {
        if let Loading::Unloaded(mark) = &self.loading
            && !self.removal.is_asked()
        {
            self.loading = Loading::Listing(mark.clone());
            self.disk.start(Op::List, DiskOp::List { path: names::directory(&self.disk.id) }, out);
        }
    }

    pub(crate) fn on_listed(&mut self, result: Result<Done, Failed>, out: &mut Vec<Effect>, events: &mut Vec<Output>) {
        let Loading::Listing(mark) = &self.loading else { panic!("only loading lists the directory") };
        let mark = mark.clone();
        let entries = match result {
            Ok(Done::Listed(entries)) => entries,
            Ok(other) => panic!("a listing was answered by {other:?}"),
            Err(failed) => return self.fail_load(mark, LoadFault::Io(failed.fault), out, events),
        };
        let key = SegmentKey { base: mark.segment, generation: mark.generation };
        let (files, side_bytes) = (listed(&entries), mark.side_bytes);
        let side = files.iter().find(|file| file.key == key && file.part == Part::Side);
        let damage = match side {
            _ if side_bytes == 0 || side_bytes % BLOCK_BYTES as u64 != 0 => Some("the mark names half a block"),
            _ if mark.offset < mark.segment => Some("the mark lies below its segment"),
            None => Some("the side file that the mark names does not exist"),
            Some(side) if side.len < side_bytes => Some("the side file is shorter than the mark says"),
            Some(_) => None,
        };
        if let Some(damage) = damage {
            return self.fail_load(mark, LoadFault::Damaged(damage.to_owned()), out, events);
        }
        self.loading = Loading::Reading { mark, files };
        self.read_side(key, side_bytes, out);
    }

    /// A side file was read to its end, or could not be.
    pub(crate) fn finish_side(
        &mut self,
        key: SegmentKey,
        side: SideRead,
        ended: Result<(), SideFault>,
        out: &mut Vec<Effect>,
        events: &mut Vec<Output>,
    ) {
        match std::mem::replace(&mut self.loading, Loading::Loaded) {
            Loading::Reading { mark, files } => match ended {
                Ok(()) => self.on_active_read(mark, files, side, out, events),
                Err(SideFault::Io(fault)) => self.fail_load(mark, LoadFault::Io(fault), out, events),
                Err(SideFault::Damaged(what)) => self.fail_load(mark, LoadFault::Damaged(what), out, events),
            },
            Loading::Linking(linking) => self.on_link_read(linking, side, ended, out, events),
            Loading::Sealing(sealing) => self.on_seal_read(sealing, side, ended, out, events),
            Loading::Loaded => {
                self.finish_index(key, side, ended);
                self.pump_queries(out, events);
            }
            Loading::Unloaded(_) | Loading::Listing(_) => panic!("a side file was read before it was asked for"),
        }
    }

    fn on_active_read(
        &mut self,
        mark: Mark,
        files: Vec<Listed>,
        side: SideRead,
        out: &mut Vec<Effect>,
        events: &mut Vec<Output>,
    ) {
        let active = &side.segment;
        if active.bytes != mark.segment_bytes || active.next != mark.offset {
            let (offset, bytes) = (active.next, active.bytes);
            let what = format!(
                "the side file ends at offset {offset}, byte {bytes}; the mark says {}, byte {}",
                mark.offset, mark.segment_bytes
            );
            return self.fail_load(mark, LoadFault::Damaged(what), out, events);
        }
        let list = side.list.clone();
        let linking = Linking { mark, files, active: Box::new(side), chain: Vec::new() };
        self.follow_link(Box::new(linking), &list, out, events);
    }

    /// Read the list that `list` refers to. What lies below the log start may be gone, and everything older with it.
    fn follow_link(&mut self, mut linking: Box<Linking>, list: &List, out: &mut Vec<Effect>, events: &mut Vec<Output>) {
        match list.segments.first().filter(|link| list.is_linked && link.next > self.start) {
            Some(link) => {
                linking.chain.push(link.key);
                self.loading = Loading::Linking(linking);
                self.begin_side(link.key, link.side_bytes, true, out);
            }
            None => self.look_for_seals(*linking, out, events),
        }
    }

    fn on_link_read(
        &mut self,
        mut linking: Box<Linking>,
        side: SideRead,
        ended: Result<(), SideFault>,
        out: &mut Vec<Effect>,
        events: &mut Vec<Output>,
    ) {
        let key = side.segment.key;
        let what = match ended {
            Ok(()) if side.reader.at() > 0 && side.own.is_none() => {
                linking.active.list.segments.extend(side.list.segments.iter().cloned());
                return self.follow_link(linking, &side.list, out, events);
            }
            Ok(()) => "it is not there".to_owned(),
            Err(SideFault::Io(fault)) => return self.fail_load(linking.mark, LoadFault::Io(fault), out, events),
            Err(SideFault::Damaged(what)) => what,
        };
        let what = format!("the list of older segments in segment {}-{}: {what}", key.base, key.generation);
        self.fail_load(linking.mark, LoadFault::Damaged(what), out, events);
    }

    pub(crate) fn finish_load(&mut self, sealing: Sealing, out: &mut Vec<Effect>, events: &mut Vec<Output>) {
        let Sealing { active: side, files, chain, found, .. } = sealing;
        let (active, start) = (side.segment, self.start);
        let replaced = found.iter().map(|own| own.key.base).min();
        let (needed, rest): (Vec<Segment>, Vec<Segment>) = newest_generations(side.list.segments, found)
            .into_iter()
            .partition(|segment| segment.next > start && (segment.bytes > 0 || segment.is_clean()));
        for segment in rest {
            self.removal.add_segment(segment.key);
        }
        let allocated = files.iter().find(|file| file.key == active.key && file.part == Part::Log);
        self.settling.resume(&active, side.reader.chain(), allocated.map_or(0, |file| file.len));
        self.marked = Some(active.key);
        self.sealed = Sealed::new(needed);
        self.lists = Lists::loaded(active.key, chain, replaced, |link| self.sealed.holds(link));
        for file in &files {
            let known = file.key == active.key || self.sealed.holds(file.key) || self.removal.holds(file.key);
            let is_needed = self.lists.needs(file.key);
            if file.part == Part::Keys && (known || is_needed) {
                self.digesting.get_or_insert_default().found(file.key, file.len);
            }
            if !known && is_needed {
                self.removal.add_replaced(file.key);
            } else if !known {
                self.removal.add_stray(vec![self.disk.path(file.key, file.part)]);
            }
        }
        if active.bytes > 0 && active.next <= start {
            self.settling.ask_roll();
        }
        self.active = Some(active);
        self.loading = Loading::Loaded;
        events.push(Output::Loaded { companion: side.companion });
        self.pump_queries(out, events);
    }

    pub(crate) fn fail_load(&mut self, mark: Mark, fault: LoadFault, out: &mut Vec<Effect>, events: &mut Vec<Output>) {
        let (from, to) = (self.start.min(mark.offset), mark.offset);
        self.loading = Loading::Unloaded(mark);
        let hit = match &fault {
            LoadFault::Io(fault) => ReadFault::Io(*fault),
            LoadFault::Damaged(_) => ReadFault::Damaged { from, to },
        };
        events.push(Output::LoadFailed(fault));
        self.fault_queries(hit, |want| *want == Want::Load);
        self.pump_queries(out, events);
    }

    /// A closed segment's index is there, or is known up to where its side file is damaged.
    fn finish_index(&mut self, key: SegmentKey, side: SideRead, ended: Result<(), SideFault>) {
        if let Err(SideFault::Io(fault)) = ended {
            return self.fault_queries(ReadFault::Io(fault), |want| *want == Want::Index(key));
        }
        let Some(segment) = self.sealed.find(key) else {
            // Removed meanwhile; who waits for it finds its offsets gone.
            return;
        };
        let whole = ended.is_ok() && side.segment.bytes == segment.bytes && side.segment.next == segment.next;
        let spans: Vec<Span> = side.segment.spans().to_vec();
        let hole: Option<Offset> = (!whole).then(|| side.reader.next_offset().min(segment.next));
        self.sealed.set_index(key, Index::Known { spans, hole });
    }
}

/// Of the segments listed and those that compaction published since, the newest of each range. What compaction writes
/// covers whole segments, under a generation above theirs.
fn newest_generations(listed: Vec<Segment>, published: Vec<Segment>) -> Vec<Segment> {
    let mut all: Vec<Segment> = listed.into_iter().chain(published).collect();
    all.sort_by_key(|segment| std::cmp::Reverse((segment.key.generation, segment.key.base)));
    // They do not overlap, so only the nearest can meet another.
    let mut newest: BTreeMap<SegmentKey, Segment> = BTreeMap::new();
    for segment in all {
        let behind = SegmentKey { base: segment.next, generation: 0 };
        let nearest = newest.range(..behind).next_back();
        if nearest.is_none_or(|(_, newer)| newer.next <= segment.key.base) {
            newest.insert(segment.key, segment);
        }
    }
    newest.into_values().collect()
}

/// The files that belong to segments; others are none of ours.
fn listed(entries: &[Entry]) -> Vec<Listed> {
    let files = entries.iter().filter(|entry| !entry.is_dir);
    files
        .filter_map(|entry| names::parse(&entry.name).map(|(key, part)| Listed { key, part, len: entry.len }))
        .collect()
}
