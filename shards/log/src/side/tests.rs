//! Side records come back as written, and nothing else is taken for one.

use heddle_model::{LeaderEpoch, Offset};
use proptest::prelude::*;

use super::reader::Fields;
use super::*;

const ID: Identity = Identity { owner: 1, replica: ReplicaNumber(5), store: 2 };

fn key(base: i64) -> SegmentKey {
    SegmentKey { base: Offset(base), generation: 1 }
}

fn span(base: i64, next: i64, at: u64, len: u32) -> Span {
    let (base, next, epoch) = (Offset(base), Offset(next), LeaderEpoch(3));
    Span { base, next, at, len, crc: 7, max_timestamp: 11, epoch, first_below_ms: 5 }
}

fn first() -> Record {
    let mut older = Segment::empty(key(0)).without_index();
    (older.next, older.bytes, older.side_bytes, older.max_timestamp) = (Offset(100), 8192, 4096, 55);
    Record {
        written_ms: 1234,
        spans: vec![span(100, 110, 0, 5000), span(115, 120, 8192, 10)],
        list: List { segments: vec![older], is_linked: false },
        own: None,
        snapshot: Some(b"everything".to_vec()),
        changes: Vec::new(),
    }
}

fn second() -> Record {
    Record { spans: vec![span(120, 121, 12288, 4096)], changes: vec![9; 10_000], ..Record::default() }
}

/// Two records as they follow each other in a file.
fn file() -> Vec<u8> {
    let place = Place::first(&ID, key(100));
    let (one, chain) = first().encode(&place);
    let (two, _) = second().encode(&Place { at: one.len() as u64, chain, ..place });
    [&one[..], &two[..]].concat()
}

fn read(bytes: &[u8]) -> Result<Vec<Record>, String> {
    let mut reader = Reader::new(&ID, key(100), bytes.len() as u64);
    let (mut records, mut at) = (Vec::new(), 0);
    while !reader.is_over() {
        match reader.next(&bytes[at..])? {
            Step::Short(_) => return Err("short".to_owned()),
            Step::Record(record, len) => {
                at += len;
                records.push(record);
            }
        }
    }
    Ok(records)
}

#[test]
fn records_come_back_as_written() {
    assert_eq!(read(&file()), Ok(vec![first(), second()]));
}

#[test]
fn a_record_that_is_not_all_there_is_waited_for() {
    let file = file();
    let mut reader = Reader::new(&ID, key(100), file.len() as u64);
    for len in [0, 1, HEADER_BYTES - 1, HEADER_BYTES, BLOCK_BYTES - 1] {
        assert!(matches!(reader.next(&file[..len]), Ok(Step::Short(_))), "{len}");
    }
    assert!(matches!(reader.next(&file), Ok(Step::Record(_, BLOCK_BYTES))));
    assert_eq!(reader.next(&file[BLOCK_BYTES..][..BLOCK_BYTES]), Ok(Step::Short(3 * BLOCK_BYTES as u64)));
}

#[test]
fn a_record_counts_only_in_its_place() {
    let file = file();
    for wrong in [
        Reader::new(&Identity { replica: ReplicaNumber(6), ..ID }, key(100), file.len() as u64),
        Reader::new(&Identity { store: 3, ..ID }, key(100), file.len() as u64),
        Reader::new(&ID, key(99), file.len() as u64),
        Reader::new(&ID, SegmentKey { generation: 2, ..key(100) }, file.len() as u64),
    ] {
        assert!(wrong.clone().next(&file).is_err());
    }
    let mut second_first = Reader::new(&ID, key(100), file.len() as u64);
    assert!(second_first.next(&file[BLOCK_BYTES..]).is_err(), "not at the position of the first");
}

#[test]
fn a_record_of_another_chain_does_not_follow() {
    let mut file = file();
    let place = Place { at: BLOCK_BYTES as u64, chain: 99, ..Place::first(&ID, key(100)) };
    let (stale, _) = second().encode(&place);
    file[BLOCK_BYTES..].copy_from_slice(&stale);
    assert!(read(&file).is_err());
}

#[test]
fn a_record_does_not_reach_beyond_the_mark() {
    let file = file();
    let mut reader = Reader::new(&ID, key(100), 2 * BLOCK_BYTES as u64);
    assert!(matches!(reader.next(&file), Ok(Step::Record(..))));
    assert!(reader.next(&file[BLOCK_BYTES..]).is_err());
}

#[test]
fn every_flipped_bit_is_seen() {
    let whole = file();
    let counted = (HEADER_BYTES + first().content_bytes()) * 8;
    for bit in 0..counted {
        let mut file = whole.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&file).is_err(), "bit {bit}");
    }
}

#[test]
fn a_list_with_a_link_comes_back_and_is_not_read_by_who_knows_no_links() {
    let mut record = first();
    record.list.is_linked = true;
    let (bytes, _) = record.encode(&Place::first(&ID, key(100)));
    assert_eq!((bytes[4], bytes[6]), (4, 1 | 2 | 8), "version and flags");
    assert_eq!(read(&bytes), Ok(vec![record]));
    let summed = |change: &dyn Fn(&mut [u8])| {
        let mut bytes = bytes.to_vec();
        change(&mut bytes);
        let crc = crc32c::crc32c(&bytes[..76]);
        bytes[76..80].copy_from_slice(&crc.to_le_bytes());
        read(&bytes)
    };
    assert!(summed(&|_| ()).is_ok());
    assert!(summed(&|bytes| bytes[4] = 3).is_err(), "a version without links");
    assert!(summed(&|bytes| bytes[6] &= !8).is_err(), "a version with links, and none");
    let mut younger = first();
    younger.list = List { segments: vec![Segment::empty(SegmentKey { generation: 2, ..key(100) })], is_linked: false };
    let (bytes, _) = younger.encode(&Place::first(&ID, key(100)));
    assert!(read(&bytes).is_ok());
    let mut linked = bytes.to_vec();
    (linked[4], linked[6]) = (2, linked[6] | 8);
    let crc = crc32c::crc32c(&linked[..76]);
    linked[76..80].copy_from_slice(&crc.to_le_bytes());
    assert!(read(&linked).is_err(), "a link is older than who names it");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..20_000)) {
        prop_assert!(bytes.is_empty() || read(&bytes).is_err());
    }

    #[test]
    fn right_checksums_over_wrong_content_never_panic(
        patches in proptest::collection::vec((4usize..72, any::<u8>()), 0..6),
        content in proptest::collection::vec((HEADER_BYTES..BLOCK_BYTES, any::<u8>()), 0..20),
    ) {
        let mut file = file();
        for (at, byte) in patches.into_iter().chain(content) {
            file[at] = byte;
        }
        let mut fields = Fields(&file[44..60]);
        let [spans, sealed, snapshot, changes] = [(); 4].map(|()| fields.u32() as usize);
        let len = spans * SPAN_ENTRY_BYTES + sealed * SEALED_ENTRY_BYTES + snapshot + changes;
        if let Some(content) = file.get(HEADER_BYTES..HEADER_BYTES + len) {
            let crc = crc32c::crc32c(content);
            file[72..76].copy_from_slice(&crc.to_le_bytes());
        }
        let crc = crc32c::crc32c(&file[..76]);
        file[76..80].copy_from_slice(&crc.to_le_bytes());
        if let Ok(records) = read(&file) {
            prop_assert!(records.iter().all(|record| record.spans.iter().all(|span| span.base < span.next)));
        }
    }
}
