//! Digests of spans: a map made of them is the map that the spans make, and nothing relies on them.

use heddle_fakedisk::Dice;
use heddle_model::limits::SPAN_BYTES;
use heddle_model::{Codec, ProducerEpoch, ProducerId, Sequence};
use heddle_records::recode;
use proptest::prelude::*;

use super::compact::Keyed;
use super::*;
use crate::clean::{Mapped, Rules, each_batch, map_span};
use crate::digest::{digest, is_whole, map_digest, with_batch};
use crate::keymap::KeyMap;
use crate::pages::{DIGEST_BYTES_MAX, PAGE_BYTES, Page, Pages, Said};
use crate::segment::{NO_TIMESTAMP, SegmentKey, Span};

/// The `.keys` files on the disk, and their bytes.
fn keys_files(world: &World) -> Vec<(String, Vec<u8>)> {
    let paths = world.disk.paths().into_iter().map(|(path, _)| path).filter(|path| path.ends_with(".keys"));
    paths.map(|path| (path.clone(), world.disk.content(&path).expect("it was listed"))).collect()
}

/// Some MiB in segments of a few spans, and their digests on the disk.
fn large(seed: u64, mebibytes: usize) -> Keyed {
    let mut keyed = Keyed::new(seed);
    keyed.world.settings.segment_bytes = 3 * SPAN_BYTES as i32 + 5_000;
    let mut dice = Dice::new(seed);
    let mut key = || (dice.below(200) as u8, Some(dice.below(200) as u8));
    for at in 0..mebibytes * 35 {
        let records: Vec<_> = (0..50).map(|_| key()).collect();
        keyed.put(&records, if at % 7 == 0 { Codec::Lz4 } else { Codec::None });
        if at % 10 == 9 {
            keyed.settle();
        }
    }
    keyed.settle();
    keyed.world.close_idle();
    keyed.world.drop_cache();
    keyed
}

#[test]
fn what_has_a_digest_is_not_read_to_map_it() {
    let mut keyed = large(1, 6);
    let files = keys_files(&keyed.world);
    assert!(files.len() >= 6 && files.iter().all(|(_, bytes)| !bytes.is_empty() && bytes.len() <= PAGE_BYTES));
    let read = |keyed: &mut Keyed| {
        let before = keyed.world.read_bytes;
        assert!(keyed.compact());
        let read = keyed.world.read_bytes - before;
        assert_eq!(keyed.failures(), 0);
        keyed.check_compacted();
        read
    };
    let mut without = large(1, 6);
    for (path, bytes) in keys_files(&without.world) {
        without.world.disk.corrupt(&path, 0, bytes.len() as u64);
    }
    let total = usize::try_from(keyed.world.log.bytes()).expect("small");
    let (with, without) = (read(&mut keyed), read(&mut without));
    assert!(with < total / 4, "{with} of {total} bytes were read");
    assert!(without > total, "{without} of {total} bytes were read without digests");
    for _ in 0..20 {
        keyed.world.delete_step();
    }
    let (left, logs) = (keys_files(&keyed.world), keyed.world.logs());
    assert!(left.len() < files.len() / 2, "{} of {} are left", left.len(), files.len());
    assert!(left.iter().all(|(path, _)| logs.contains(&path.replace(".keys", ".log"))), "they go with their segments");
    keyed.crash(3);
    keyed.check_compacted();
}

/// A crash takes back what was settled beyond the mark; other records take its place, with other keys, but digests of what
/// stood there before are on the disk.
#[test]
fn digests_of_what_a_crash_took_back_say_nothing() {
    for seed in 0..6 {
        let mut keyed = Keyed::new(seed);
        keyed.world.settings.segment_bytes = 3 * SPAN_BYTES as i32;
        let put = |keyed: &mut Keyed, keys: std::ops::Range<u8>| {
            for _ in 0..10 {
                let records: Vec<_> = keys.clone().map(|key| (key, Some(seed as u8))).collect();
                keyed.put(&records, Codec::None);
            }
            keyed.settle();
        };
        put(&mut keyed, 0..40);
        put(&mut keyed, 40..80);
        let mark = keyed.world.mark();
        let end = keyed.world.log.end().0;
        put(&mut keyed, 40..80);
        keyed.world.close_idle();
        assert_eq!(keys_files(&keyed.world).len(), 1);
        keyed.world.batches.split_off(&end);
        keyed.written.split_off(&end);
        keyed.world.restart(mark);
        keyed.world.load();
        put(&mut keyed, 80..120);
        // The keys of what was taken back come no more: a map that knew it would let go of their records before the mark.
        keyed.fill(seed, 1200, 30);
        keyed.world.drop_cache();
        assert!(keyed.compact());
        assert_eq!(keyed.failures(), 0);
        keyed.check_compacted();
    }
}

#[test]
fn a_file_that_cannot_be_written_costs_no_more_than_reading() {
    let mut keyed = Keyed::new(7);
    let path = format!("{DIR}/{:020}-0.keys", 0);
    keyed.world.disk.fail_writes(&path);
    keyed.fill(3, 60, 9);
    assert_eq!(keyed.world.troubles(), 0);
    let files = keys_files(&keyed.world);
    assert!(files.iter().all(|(other, bytes)| *other != path || bytes.is_empty()));
    assert!(files.iter().any(|(_, bytes)| !bytes.is_empty()), "others can be written");
    assert!(keyed.compact());
    keyed.world.disk.heal();
    keyed.check_compacted();
    // Nor does one that cannot be read.
    let mut keyed = large(2, 2);
    keyed.world.disk.fail_reads(&format!("{DIR}/{:020}-0.keys", 0));
    let before = keyed.world.read_bytes;
    assert!(keyed.compact());
    assert_eq!(keyed.failures(), 0);
    assert!(keyed.world.read_bytes - before > 2 * SPAN_BYTES, "its spans are read");
    keyed.check_compacted();
}

/// So many records of 110 bytes, in segments of 3 MiB.
fn small_records(seed: u64, count: usize) -> Keyed {
    let mut keyed = Keyed::new(seed);
    keyed.world.settings.segment_bytes = 3 << 20;
    for batch in 0..count / 100 {
        let base = keyed.world.log.end().0;
        let mut builder = BatchBuilder::new(base);
        for at in 0..100 {
            let (key, value) = ((batch * 7 + at) as u8, batch as u8);
            builder.push(base, Some(&[key]), Some(&[value; 100]), &[]);
            keyed.written.insert(base + at as i64, (key, Some(value)));
        }
        keyed.world.append(stamped(&builder, base, 100));
        if batch % 10 == 9 {
            keyed.settle();
        }
    }
    keyed.settle();
    keyed.world.close_idle();
    keyed.world.drop_cache();
    keyed
}

/// A batch: how far behind the one before, its records' keys, a codec, whether it is of a transaction.
type Shape = (i64, Vec<Option<u8>>, u8, bool);

fn span_of(shapes: &[Shape]) -> (Bytes, Span) {
    let (mut bytes, mut base) = (Vec::new(), 1_000i64);
    for (gap, keys, codec, transactional) in shapes {
        base += gap;
        let mut builder = BatchBuilder::new(base);
        for key in keys {
            builder.push(base, key.as_ref().map(std::slice::from_ref), Some(b"value"), &[]);
        }
        if *transactional {
            builder.producer(ProducerId(1), ProducerEpoch(0), Sequence(0)).transactional();
        }
        let mut batch = stamped(&builder, base, keys.len() as i64).bytes;
        if *codec > 0 {
            batch = recode(&batch, if *codec > 1 { Codec::Lz4 } else { Codec::Zstd }, 0, 1 << 20).expect("packs");
        }
        base += keys.len() as i64;
        bytes.extend_from_slice(&batch);
    }
    let span = Span {
        base: Offset(1_000 + shapes[0].0),
        next: Offset(base),
        at: 0,
        len: bytes.len() as u32,
        crc: crc32c::crc32c(&bytes),
        max_timestamp: NO_TIMESTAMP,
        epoch: Term(3).epoch(),
        first_below_ms: 0,
    };
    (bytes.into(), span)
}

/// However short the span is.
fn digest_of(bytes: &Bytes, span: &Span) -> Vec<u8> {
    let mut out = Vec::new();
    each_batch(bytes, span, Offset(i64::MIN), |keys| {
        out = with_batch(std::mem::take(&mut out), keys, span).expect("offsets lie near each other");
        Mapped::All
    })
    .expect("whole batches");
    assert!(is_whole(&out, span));
    out
}

proptest! {
    #[test]
    fn a_digest_makes_the_map_that_its_span_makes(
        shapes in proptest::collection::vec(
            (0i64..40, proptest::collection::vec(proptest::option::weighted(0.9, any::<u8>()), 1..9), 0u8..4, any::<bool>()),
            1..9,
        ),
        from in 990i64..1_100,
        live in 1_000i64..1_050,
        budget in 0usize..6_000,
    ) {
        let (bytes, span) = span_of(&shapes);
        let rules = Rules { start: Offset(0), live: std::sync::Arc::new([Offset(live)].into()) };
        let (mut of_span, mut of_digest) = (KeyMap::within(budget, 1_000), KeyMap::within(budget, 1_000));
        let mapped = map_span(&mut of_span, &bytes, &span, &rules, Offset(from)).expect("whole batches");
        let digest = digest_of(&bytes, &span);
        prop_assert_eq!(map_digest(&mut of_digest, &digest, &span, &rules, Offset(from)), mapped);
        prop_assert!(of_span == of_digest);
    }

    #[test]
    fn what_is_no_whole_digest_of_a_whole_page_says_nothing(
        keys in proptest::collection::vec(proptest::option::of(any::<u8>()), 1..9),
        strange in proptest::collection::vec(any::<u8>(), 0..300),
        cut in any::<u16>(),
    ) {
        let (bytes, span) = span_of(&[(0, keys.clone(), 0, false), (3, keys, 1, false)]);
        let digest = digest_of(&bytes, &span);
        let key = SegmentKey { base: Offset(0), generation: 0 };
        let page_of = |digest: &[u8]| {
            let mut page = Page::default();
            page.add(&span, digest);
            page.encode(&ID, key)
        };
        let said = |page: &[u8], key| {
            let mut pages = Pages::new(PAGE_BYTES as u64);
            let (at, _) = pages.next_read().expect("there is one");
            assert_eq!(pages.said_of(&span), Said::NotYet);
            pages.came(at, page, &ID, key);
            pages.said_of(&span)
        };
        let (page, cut) = (page_of(&digest), usize::from(cut));
        prop_assert_eq!(said(&page, key), Said::Digest(digest.clone().into()));
        prop_assert_eq!(said(&page, SegmentKey { generation: 1, ..key }), Said::Nothing);
        let end = 76 + digest.len();
        prop_assert_eq!(said(&page[..cut % end], key), Said::Nothing);
        prop_assert_eq!(said(&strange, key), Said::Nothing);
        let mut rotten = page.to_vec();
        rotten[cut % end] ^= 1;
        prop_assert_eq!(said(&rotten, key), Said::Nothing, "byte {}", cut % end);
        // The page is whole, and what it holds is not.
        prop_assert_eq!(said(&page_of(&digest[..cut % digest.len()]), key), Said::Nothing);
        prop_assert_eq!(said(&page_of(&strange), key), Said::Nothing);
        prop_assert_eq!(said(&page_of(&[&digest[..], &strange[..]].concat()), key) == Said::Nothing, !strange.is_empty());
    }
}

/// They stand on disks: no version may write them otherwise.
#[test]
fn pages_stay_the_same() {
    let (bytes, span) = span_of(&[(0, vec![Some(1), None, Some(2)], 0, false), (7, vec![Some(3)], 0, true)]);
    let digest = digest_of(&bytes, &span);
    let mut page = Page::default();
    page.add(&span, &digest);
    let page = page.encode(&ID, SegmentKey { base: Offset(1_000), generation: 2 });
    assert_eq!(
        (page.len(), digest.len(), crc32c::crc32c(&page), span.crc),
        (4_096, 2 * 12 + 2 * 16, 2_248_649_922, 1_477_646_225)
    );
}

#[test]
fn what_would_not_be_much_shorter_has_no_digest() {
    let (bytes, span) = span_of(&[(0, vec![Some(1); 40], 0, false)]);
    assert_eq!(digest(&bytes, &span, DIGEST_BYTES_MAX), None, "its records are of 20 bytes");
    let packed = span_of(&[(0, vec![Some(1); 4_000], 1, false)]);
    assert_eq!(digest(&packed.0, &packed.1, DIGEST_BYTES_MAX), None);
}

/// One segment with several pages. Its records go while they are mapped, at any step.
#[test]
fn a_segment_that_goes_while_it_is_mapped_takes_its_digests_along() {
    let mut met = 0;
    for steps in (0..60).step_by(3) {
        let mut keyed = small_records(9, 33_000);
        let keys = keys_files(&keyed.world);
        assert!(keys.iter().any(|(_, bytes)| bytes.len() > 4 * PAGE_BYTES), "it has several pages");
        if steps == 0 {
            let (before, total) = (keyed.world.read_bytes, keyed.world.log.bytes());
            assert!(keyed.compact());
            keyed.check_compacted();
            let read = (keyed.world.read_bytes - before) as u64;
            assert!(read < total / 2, "{read} bytes were read of {total}");
            continue;
        }
        assert!(keyed.start());
        (0..steps).for_each(|_| _ = keyed.world.step());
        met += usize::from(keyed.world.log.is_compacting());
        let start = keyed.world.log.settled();
        keyed.world.log.set_start(start);
        for _ in 0..40 {
            keyed.world.delete_step();
            keyed.world.step();
        }
        keyed.world.run();
        assert!(!keyed.world.log.is_compacting());
        while keyed.world.delete_step() {}
        let (left, logs) = (keys_files(&keyed.world), keyed.world.logs());
        let is_with_its_log = |path: &String| logs.contains(&path.replace(".keys", ".log"));
        assert!(left.iter().all(|(path, _)| is_with_its_log(path)), "{left:?} beside {logs:?}");
        keyed.world.close_idle();
    }
    assert!(met > 10, "most of them met a round under way: {met}");
}

#[test]
fn spans_are_found_in_pages_in_order() {
    let key = SegmentKey { base: Offset(0), generation: 0 };
    let span = |at: i64| Span {
        base: Offset(at),
        next: Offset(at + 1),
        at: at as u64,
        ..span_of(&[(0, vec![None], 0, false)]).1
    };
    // One batch, one offset, no record that is told of.
    let digest = |is_partial: u8| [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, is_partial << 7];
    let page = |spans: &[i64]| {
        let mut page = Page::default();
        spans.iter().for_each(|at| page.add(&span(*at), &digest(0)));
        page.encode(&ID, key)
    };
    let stale = Span { crc: 1, ..span(7) };
    let mut third = Page::default();
    third.add(&stale, &digest(1));
    third.add(&span(7), &digest(0));
    let contents = [page(&[1, 2, 4]), page(&[5]), third.encode(&ID, key), page(&[9])];
    let mut pages = Pages::new(4 * PAGE_BYTES as u64);
    let mut asked = Vec::new();
    let mut said = Vec::new();
    for at in 0..11 {
        loop {
            asked.extend(std::iter::from_fn(|| pages.next_read()));
            assert!(asked.len() <= 3, "few are in memory");
            match pages.said_of(&span(at)) {
                Said::Digest(digest) => said.push((at, digest[11])),
                Said::Nothing => {}
                Said::NotYet => {
                    // The youngest first.
                    let (place, len) = asked.pop().expect("it waits for something");
                    assert_eq!(len, PAGE_BYTES);
                    pages.came(place, &contents[place as usize / PAGE_BYTES], &ID, key);
                    continue;
                }
            }
            break;
        }
    }
    assert_eq!(said, [1, 2, 4, 5, 7, 9].map(|at| (at, 0)));
    // One that cannot be read says nothing, and hides nothing behind it.
    let mut pages = Pages::new(2 * PAGE_BYTES as u64);
    while pages.next_read().is_some() {}
    pages.came(0, &[], &ID, key);
    pages.came(PAGE_BYTES as u64, &contents[1], &ID, key);
    assert_eq!(pages.said_of(&span(4)), Said::Nothing);
    assert_eq!(pages.said_of(&span(5)), Said::Digest(digest(0).to_vec().into()));
}
