//! Writing `.keys` files: the spans of a compacted topic are digested off the turn once they are written, and their
//! digests go to the segment's file a page at a time. Where this cannot keep up, or fails, spans go without: compaction
//! reads them itself.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use heddle_border::{Blocks, DiskOp, Done, Effect, Failed, OpenMode, Product, Token};
use heddle_model::limits::SPAN_BYTES;

use crate::compact::COMPACTION_WORK;
use crate::digest::digest;
use crate::disk::{FileKey, Op};
use crate::names::Part;
use crate::pages::{DIGEST_BYTES_MAX, PAGE_BYTES, Page};
use crate::segment::{SegmentKey, Span};
use crate::settle::Round;
use crate::{Identity, Log};

/// The number of this work in its token: one piece is under way at a time.
pub const DIGEST_WORK: u32 = COMPACTION_WORK + 1;

/// Spans of one piece of work: what clients wait for may wait behind it.
const SPANS_AT_WORK: usize = 4;
/// Bytes of spans that wait to be digested: of two rounds. Spans that find no room go without, as larger ones do.
const BYTES_WAITING: usize = 2 * SPANS_AT_WORK * SPAN_BYTES;
/// Pages that wait to be written.
const PAGES_WAITING: usize = 4;

type Digest = (SegmentKey, Span, Vec<u8>);

#[derive(Default)]
pub(crate) struct Digesting {
    /// Whether spans that are written now will be compacted.
    is_wanted: bool,
    waiting: VecDeque<(SegmentKey, Span, Bytes)>,
    waiting_bytes: usize,
    working: bool,
    page: Option<(SegmentKey, Page)>,
    /// Something came to the page since `close_idle` last looked.
    touched: bool,
    full: VecDeque<(SegmentKey, Blocks)>,
    /// The segment whose file is being made or written.
    writing: Option<SegmentKey>,
    /// Where no more can be written.
    broken: Option<SegmentKey>,
    /// The `.keys` files that there are, and their bytes.
    files: BTreeMap<SegmentKey, u64>,
}

impl Digesting {
    /// The spans of a round were written and count.
    pub(crate) fn take(&mut self, round: &Round) {
        let mut written: Vec<_> = round.written.iter().collect();
        // They were written in any order.
        written.sort_by_key(|(place, _)| place.at);
        for ((place, bytes), span) in written.into_iter().zip(&round.record.spans) {
            assert_eq!(place.at, span.at, "all spans of a round are written");
            let fits = self.waiting_bytes + bytes.len() <= BYTES_WAITING && self.full.len() < PAGES_WAITING;
            if self.is_wanted && fits {
                self.waiting_bytes += bytes.len();
                self.waiting.push_back((place.segment, *span, bytes.clone()));
            }
        }
    }

    /// A file of an earlier life.
    pub(crate) fn found(&mut self, key: SegmentKey, bytes: u64) {
        self.files.insert(key, bytes);
    }

    /// The segment goes. Whether it has a file, which goes with it.
    pub(crate) fn forget(&mut self, key: SegmentKey) -> bool {
        self.files.remove(&key).is_some()
    }

    /// Bytes of memory that `let_go` frees.
    pub(crate) fn bytes(&self) -> usize {
        self.waiting_bytes + self.page.as_ref().map_or(0, |(_, page)| page.bytes())
    }

    /// Memory is short: what waits goes without.
    pub(crate) fn let_go(&mut self) -> usize {
        let bytes = self.bytes();
        (self.waiting, self.waiting_bytes, self.page) = (VecDeque::new(), 0, None);
        bytes
    }

    fn close_page(&mut self, id: &Identity) {
        if let Some((key, page)) = self.page.take() {
            self.full.push_back((key, page.encode(id, key)));
        }
    }

    fn add(&mut self, (key, span, digest): Digest, id: &Identity) {
        if self.page.as_ref().is_some_and(|(of, page)| *of != key || !page.has_room(&digest)) {
            self.close_page(id);
        }
        let (_, page) = self.page.get_or_insert_with(|| (key, Page::default()));
        page.add(&span, &digest);
        self.touched = true;
    }
}

impl Log {
    /// Whether spans that are written from now on will be compacted here, and are worth a digest.
    pub fn want_digests(&mut self, is_wanted: bool) {
        if is_wanted {
            self.digesting.get_or_insert_default().is_wanted = true;
        } else if let Some(digesting) = &mut self.digesting {
            digesting.is_wanted = false;
        }
    }

    /// The bytes of a segment's `.keys` file, if it has one.
    pub(crate) fn keys_bytes(&self, key: SegmentKey) -> Option<u64> {
        self.digesting.as_ref()?.files.get(&key).copied()
    }

    /// Write the page that is being filled if nothing came to it since the last call: it takes memory.
    pub(crate) fn close_idle_page(&mut self, out: &mut Vec<Effect>) {
        let Some(digesting) = &mut self.digesting else { return };
        if !std::mem::take(&mut digesting.touched) {
            digesting.close_page(&self.disk.id);
            self.write_pages(out);
        }
    }

    /// Have what waits digested.
    pub(crate) fn digest_more(&mut self, out: &mut Vec<Effect>) {
        let is_removed = self.removal.is_asked();
        let Some(digesting) = self.digesting.as_mut().filter(|_| !is_removed) else { return };
        if digesting.working || digesting.waiting.is_empty() {
            return;
        }
        digesting.working = true;
        let count = digesting.waiting.len().min(SPANS_AT_WORK);
        let spans: Vec<_> = digesting.waiting.drain(..count).collect();
        digesting.waiting_bytes -= spans.iter().map(|(_, _, bytes)| bytes.len()).sum::<usize>();
        let token = Token { owner: self.disk.id.owner, seq: DIGEST_WORK };
        let run = move || {
            let of = |(key, span, bytes)| digest(&bytes, &span, DIGEST_BYTES_MAX).map(|digest| (key, span, digest));
            Product::new(spans.into_iter().filter_map(of).collect::<Vec<Digest>>())
        };
        out.push(Effect::Work { token, run: Box::new(run) });
    }

    /// `None`: the work did not end, and these spans go without.
    pub(crate) fn on_digested(&mut self, result: Option<Product>, out: &mut Vec<Effect>) {
        let digesting = self.digesting.as_mut().expect("who asked for work stays");
        assert!(std::mem::take(&mut digesting.working), "work is answered once");
        for digest in result.map(Product::take::<Vec<Digest>>).into_iter().flatten() {
            digesting.add(digest, &self.disk.id);
        }
        self.write_pages(out);
        self.digest_more(out);
    }

    /// Write the pages that are full, one after the other.
    fn write_pages(&mut self, out: &mut Vec<Effect>) {
        let is_removed = self.removal.is_asked();
        while let Some(digesting) = self.digesting.as_mut().filter(|_| !is_removed)
            && digesting.writing.is_none()
            && let Some((key, page)) = digesting.full.pop_front()
        {
            let file = FileKey { segment: key, part: Part::Keys };
            let is_there = self.sealed.holds(key) || self.active.as_ref().is_some_and(|active| active.key == key);
            if digesting.broken == Some(key) || !is_there {
                continue;
            }
            if self.disk.is_open(file) {
                let bytes = digesting.files.get(&key).copied().unwrap_or(0);
                let at = bytes.next_multiple_of(PAGE_BYTES as u64);
                let end = at + page.len() as u64;
                digesting.writing = Some(key);
                let write = |file| DiskOp::Write { file, at, buf: page, durable: false };
                self.disk.start_on(Op::WriteKeys { key, end }, file, write, out);
                return;
            }
            digesting.full.push_front((key, page));
            if self.disk.is_known(file) {
                return;
            }
            digesting.writing = Some(key);
            let mode = if digesting.files.contains_key(&key) { OpenMode::Existing } else { OpenMode::Create };
            self.open_keys(key, mode, out);
        }
    }

    /// Open the segment's `.keys` file, or make it.
    pub(crate) fn open_keys(&mut self, key: SegmentKey, mode: OpenMode, out: &mut Vec<Effect>) {
        let file = FileKey { segment: key, part: Part::Keys };
        self.disk.open(Op::OpenKeys(file), file, mode, out);
    }

    pub(crate) fn on_keys_opened(&mut self, file: FileKey, result: Result<Done, Failed>, out: &mut Vec<Effect>) {
        self.disk.on_opened(file, result.is_ok());
        let digesting = self.digesting.as_mut().expect("nobody else opens these files");
        // Or a reader had opened it.
        digesting.writing.take_if(|key| *key == file.segment);
        if result.is_ok() {
            digesting.files.entry(file.segment).or_insert(0);
        } else {
            digesting.broken = Some(file.segment);
            self.give_up_pages(file.segment);
        }
        self.write_pages(out);
    }

    pub(crate) fn on_keys_written(
        &mut self,
        key: SegmentKey,
        end: u64,
        result: Result<Done, Failed>,
        out: &mut Vec<Effect>,
    ) {
        let digesting = self.digesting.as_mut().expect("nobody else writes these files");
        digesting.writing = None;
        match (result, digesting.files.get_mut(&key)) {
            (Ok(_), Some(bytes)) => *bytes = end,
            _ => digesting.broken = Some(key),
        }
        self.write_pages(out);
    }
}
