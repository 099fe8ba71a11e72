//! Compaction: the newest record of each key stays, deleted keys stay deleted, offsets stay, whatever happens meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use heddle_fakedisk::Dice;
use heddle_model::{Codec, ProducerEpoch, ProducerId, Sequence};
use heddle_records::{payload, recode, records};
use proptest::prelude::*;

use super::*;
use crate::output::{SPANS_FULL, WRITES_AT_ONCE};
use crate::pages::PAGES_AHEAD;
use crate::round::SPANS_AT_WORK;
use crate::sources::{READS_AT_ONCE, SPANS_AHEAD};

pub type Key = u8;

/// Buffers of `SPAN_BYTES` that a round may have: of spans ahead, of the output's spans that are made, wait or are being
/// written, and those that work has spare.
const BUFFERS_MAX: usize = SPANS_AHEAD + 2 * SPANS_AT_WORK + SPANS_FULL + WRITES_AT_ONCE + 1;

/// A log of keyed records, and what was written to it.
pub struct Keyed {
    pub world: World,
    /// Key and value by offset; records of transactions are not listed.
    pub written: BTreeMap<i64, (Key, Option<u8>)>,
    pub live: BTreeSet<Offset>,
    pub map_bytes: usize,
}

impl Keyed {
    pub fn new(seed: u64) -> Keyed {
        let mut world = World::new(seed);
        world.now.wall = Wall(10_000_000);
        world.settings.segment_bytes = 12_000;
        world.settings.cleanup_compact = true;
        world.settings.cleanup_delete = false;
        world.settings.min_cleanable_dirty_ratio = 0.0;
        world.settings.file_delete_delay_ms = 0;
        Keyed { world, written: BTreeMap::new(), live: BTreeSet::new(), map_bytes: 1 << 16 }
    }

    /// One batch of these records; values are filled up so that segments roll.
    pub fn put(&mut self, records: &[(Key, Option<u8>)], codec: Codec) {
        let base = self.world.log.end().0;
        let mut builder = BatchBuilder::new(base);
        for (at, (key, value)) in records.iter().enumerate() {
            let value = value.map(|value| vec![value; 600]);
            builder.push(base + at as i64, Some(&[*key]), value.as_deref(), &[]);
            self.written.insert(base + at as i64, (*key, value.map(|value| value[0])));
        }
        let mut batch = stamped(&builder, base, records.len() as i64);
        batch.bytes = recode(&batch.bytes, codec, 0, 1 << 20).expect("packs");
        self.world.append(batch);
    }

    pub fn settle(&mut self) {
        self.world.settle_all();
    }

    pub fn start(&mut self) -> bool {
        let mut effects = Vec::new();
        let World { log, settings, now, outputs, .. } = &mut self.world;
        let (upto, live) = (log.end(), self.live.clone());
        let started = log.compact(*now, upto, settings, live, self.map_bytes, &mut effects, outputs);
        self.world.submit(effects);
        started
    }

    /// One round to its end.
    pub fn compact(&mut self) -> bool {
        let started = self.start();
        self.world.run();
        assert!(!self.world.log.is_compacting());
        started
    }

    pub fn debt(&mut self) -> crate::Debt {
        let World { log, settings, now, .. } = &mut self.world;
        let upto = log.end();
        log.compaction_debt(*now, upto, settings)
    }

    pub fn failures(&self) -> usize {
        self.world.outputs.iter().filter(|output| matches!(output, Output::CompactionFailed(_))).count()
    }

    /// Key and value by offset, as a reader finds them.
    pub fn found(&mut self) -> BTreeMap<i64, (Key, Option<u8>)> {
        let mut found = BTreeMap::new();
        let mut at = self.world.log.start();
        while at < self.world.log.end() {
            let parts = self.world.read(at, self.world.log.end(), 3_000, true).expect("nothing is damaged");
            assert!(!parts.is_empty(), "there is always a batch that leads on, at {at}");
            for batch in parts.iter().flat_map(|part| batches(part)) {
                let (header, bytes) = batch.expect("whole batches");
                assert!(heddle_records::crc_is_right(bytes));
                assert!(header.next_offset() > at, "nothing comes twice");
                at = header.next_offset();
                if header.is_transactional() || header.is_control() {
                    continue;
                }
                let unpacked = payload(&Bytes::copy_from_slice(bytes), 1 << 20).expect("unpacks");
                for record in records(&unpacked, header.count) {
                    let record = record.expect("reads");
                    let offset = header.base_offset.0 + i64::from(record.offset_delta);
                    found.insert(offset, (record.key.expect("keyed")[0], record.value.map(|value| value[0])));
                }
            }
        }
        found
    }

    pub fn check(&mut self) {
        let found = self.found();
        for (offset, record) in &found {
            assert_eq!(self.written.get(offset), Some(record), "what is there was written there");
        }
        let mut newest: BTreeMap<Key, (i64, Option<u8>)> = BTreeMap::new();
        newest.extend(self.written.iter().map(|(offset, (key, value))| (*key, (*offset, *value))));
        for (key, (offset, value)) in newest {
            match value {
                Some(_) => assert!(found.contains_key(&offset), "key {key} lost its newest value, at {offset}"),
                None => {
                    let older = found.iter().find(|(at, (other, _))| *other == key && **at < offset);
                    let returns = older.is_some() && !found.contains_key(&offset);
                    assert!(!returns, "the deleted key {key} returned: {older:?}");
                }
            }
        }
    }

    /// What a whole round leaves: each key once below what is still written.
    pub fn check_compacted(&mut self) {
        self.check();
        let upto = self.world.marks.last().expect("settled").segment.0;
        let mut keys = BTreeSet::new();
        for (offset, (key, _)) in self.found().into_iter().filter(|(offset, _)| *offset < upto) {
            let newest = self.written.range(..upto).rev().find(|(_, (other, _))| *other == key).expect("written");
            assert_eq!(*newest.0, offset, "key {key}");
            assert!(keys.insert(key));
        }
    }

    pub fn crash(&mut self, seed: u64) {
        self.world.disk.reseed(seed);
        if seed.is_multiple_of(3) {
            self.world.disk.crash_hard();
        }
        self.world.crash_and_load(self.world.mark());
    }

    pub fn fill(&mut self, seed: u64, batches: usize, keys: u64) {
        let mut dice = Dice::new(seed);
        for at in 0..batches {
            let count = 1 + dice.below(3);
            let records: Vec<(Key, Option<u8>)> = (0..count)
                .map(|_| (dice.below(keys) as Key, (dice.below(4) > 0).then(|| dice.below(200) as u8)))
                .collect();
            let codec = if dice.below(3) == 0 { Codec::Lz4 } else { Codec::None };
            self.put(&records, codec);
            if at % 5 == 4 {
                self.settle();
            }
        }
        self.settle();
    }
}

#[test]
fn the_newest_of_each_key_stays() {
    let mut keyed = Keyed::new(1);
    keyed.fill(1, 100, 10);
    let before = keyed.world.log.bytes();
    assert!(keyed.debt().is_due && keyed.debt().clean_bytes == 0);
    assert!(keyed.compact());
    keyed.check_compacted();
    assert_eq!(keyed.failures(), 0);
    assert!(keyed.world.log.bytes() < before / 2, "{} of {before}", keyed.world.log.bytes());
    assert_eq!(keyed.debt().dirty_bytes, 0);
    assert!(!keyed.compact(), "nothing is left to do");
    keyed.world.drop_cache();
    keyed.world.close_idle();
    keyed.check_compacted();
    for _ in 0..40 {
        keyed.world.delete_step();
    }
    keyed.check_compacted();
    let files = keyed.world.logs().len();
    keyed.fill(2, 60, 10);
    assert!(keyed.debt().ratio() > 0.5);
    assert!(keyed.compact());
    keyed.check_compacted();
    keyed.crash(5);
    for _ in 0..60 {
        keyed.world.delete_step();
    }
    let now = keyed.world.logs().len();
    assert!(now <= files, "small segments became one: {files} files, then {now}");
    keyed.check_compacted();
    assert_eq!(keyed.debt().dirty_bytes, 0, "what is clean is known after a restart");
}

#[test]
fn a_crash_at_every_completion_changes_nothing_for_readers() {
    let mut whole = Keyed::new(2);
    whole.fill(3, 40, 8);
    assert!(whole.start());
    let mut points = 0;
    while whole.world.step() {
        points += 1;
    }
    whole.check_compacted();
    assert!(points > 20, "{points}");
    for point in 0..=points {
        for seed in 0..2 {
            let mut keyed = Keyed::new(2);
            keyed.fill(3, 40, 8);
            keyed.start();
            (0..point).for_each(|_| _ = keyed.world.step());
            keyed.crash(seed * 1000 + point);
            keyed.check();
            // A second round over whatever the first left, with a crash after it.
            keyed.put(&[(1, None)], Codec::None);
            keyed.fill(4, 12, 8);
            keyed.compact();
            assert_eq!(keyed.failures(), 0, "{:?}", keyed.world.outputs);
            keyed.check_compacted();
            keyed.crash(seed);
            keyed.check_compacted();
            while keyed.world.delete_step() {}
            keyed.crash(seed + 7);
            keyed.check_compacted();
        }
    }
}

/// The process is killed at every completion, and the next one goes on with what it finds, removes what is replaced, and
/// loses its power: a seal that was written and not flushed must not be what it had relied on.
#[test]
fn what_a_killed_process_left_unflushed_is_durable_before_it_counts() {
    let mut whole = Keyed::new(2);
    whole.fill(3, 40, 8);
    assert!(whole.start());
    let mut points = 0;
    while whole.world.step() {
        points += 1;
    }
    let mut refused = 0;
    for point in 0..=points {
        for seed in 0..8 {
            let mut keyed = Keyed::new(2);
            keyed.fill(3, 40, 8);
            keyed.start();
            (0..point).for_each(|_| _ = keyed.world.step());
            keyed.world.disk.reseed(seed * 1000 + point);
            keyed.world.restart(keyed.world.mark());
            if seed == 0 {
                keyed.world.disk.fail_writes_times(DIR, 1);
                let fault = keyed.world.load_fault();
                assert!(matches!(fault, None | Some(LoadFault::Io(_))), "{fault:?}");
                refused += usize::from(fault.is_some());
                keyed.world.disk.heal();
            }
            keyed.world.load();
            assert!(keyed.world.log.is_loaded(), "{:?}", keyed.world.outputs);
            while keyed.world.delete_step() {}
            // The files that were removed are gone, or not.
            keyed.world.crash_and_load(keyed.world.mark());
            keyed.check();
        }
    }
    assert!(refused > 0, "a seal that cannot be made durable is not relied on");
}

#[test]
fn tombstones_go_after_their_time_and_not_before() {
    let mut keyed = Keyed::new(3);
    keyed.world.settings.delete_retention_ms = 60_000;
    for key in 0..20 {
        keyed.put(&[(key, Some(1))], Codec::None);
    }
    keyed.settle();
    for key in 0..20 {
        keyed.put(&[(key, None)], Codec::None);
    }
    let tombstones = |keyed: &mut Keyed| keyed.found().values().filter(|(_, value)| value.is_none()).count();
    for round in 0..4 {
        keyed.fill(10 + round, 40, 3);
        keyed.settle();
        assert!(keyed.compact());
        keyed.check();
        let left = tombstones(&mut keyed);
        assert!((left >= 17) == (round < 3), "{left} tombstones in round {round}");
        keyed.world.pass_ms(25_000);
        keyed.crash(round);
    }
    let found = keyed.found();
    assert!((3..20).all(|key| found.values().all(|(other, _)| *other != key)), "nothing of them is left");
}

#[test]
fn what_is_replaced_as_a_whole_is_read_once() {
    let mut keyed = Keyed::new(9);
    keyed.world.settings.segment_bytes = 3 << 20;
    keyed.world.settings.segment_ms = i64::MAX;
    // The same 400 keys over and over: a span holds each of them once or so, only the newest span matters.
    for _ in 0..30 {
        for first in (0..200).step_by(10) {
            let records: Vec<(Key, Option<u8>)> = (first..first + 10).map(|key| (key as Key, Some(1))).collect();
            keyed.put(&records, Codec::None);
        }
        while keyed.world.settle(keyed.world.log.end(), false) {
            keyed.world.run();
        }
    }
    keyed.settle();
    // The first segment is closed once a second one is begun.
    keyed.world.settings.segment_bytes = 1;
    keyed.put(&[(250, Some(1))], Codec::None);
    keyed.settle();
    let segments = keyed.world.log.sealed.len();
    let spans = keyed.world.log.sealed.iter().map(|segment| segment.spans().len()).sum::<usize>();
    keyed.world.drop_cache();
    keyed.world.settings.segment_bytes = 3 << 20;
    keyed.world.reads = 0;
    assert!(keyed.compact());
    let reads = keyed.world.reads;
    keyed.check_compacted();
    // Each segment's index too, and twice the newest span or two.
    assert!(spans > 10 && reads < spans + segments + 4, "{reads} reads of {spans} spans in {segments} segments");
}

/// Buffers of the round under way, wherever they are.
fn buffers(log: &Log, works: usize) -> usize {
    let Some(run) = &log.compaction.run else { return 0 };
    let read = run.source.iter().flat_map(|source| &source.ahead).filter(|ahead| !ahead.is_digested()).count();
    let full = run.output.as_ref().map_or(0, |output| output.full.len());
    // Work has spare buffers for what it makes, and one that is not full yet.
    let made = if run.output.is_some() { works * SPANS_AT_WORK + 1 } else { 0 };
    read + full + run.writes + run.stock.len() + made
}

#[test]
fn memory_beside_the_map_is_bounded_and_used_again() {
    let mut keyed = Keyed::new(10);
    keyed.world.settings.segment_bytes = 24 << 20;
    keyed.world.settings.segment_ms = i64::MAX;
    // 200 keys over and over in the first half, each but once in the second: little of the one stays, all of the other.
    let (batches, records) = (1200, 30);
    for at in 0..batches * records {
        let key = if at < batches * records / 2 { at % 200 } else { at };
        if at % records == 0 && at > 0 {
            keyed.world.settle(keyed.world.log.end(), false);
            keyed.world.run();
        }
        let base = keyed.world.log.end().0;
        let mut builder = BatchBuilder::new(base);
        builder.push(base, Some(&(key as u32).to_be_bytes()), Some(&[7; 600]), &[]);
        keyed.world.append(stamped(&builder, base, 1));
    }
    keyed.settle();
    keyed.world.settings.segment_bytes = 1;
    keyed.put(&[(250, Some(1))], Codec::None);
    keyed.settle();
    let spans = keyed.world.log.sealed.iter().map(|segment| segment.spans().len()).sum::<usize>();
    keyed.world.drop_cache();
    keyed.world.settings.segment_bytes = 24 << 20;
    keyed.map_bytes = 8 << 20;
    assert!(keyed.start());
    let (mut most, mut reads) = (0, 0);
    keyed.world.worked = 0;
    loop {
        most = most.max(buffers(&keyed.world.log, keyed.world.works.len()));
        reads = reads.max(keyed.world.log.compaction.run.as_ref().map_or(0, |run| run.reads));
        if !keyed.world.step() {
            break;
        }
    }
    assert_eq!(keyed.failures(), 0);
    assert_eq!(keyed.debt().dirty_bytes, 0);
    let most_reads = READS_AT_ONCE + PAGES_AHEAD;
    assert!((READS_AT_ONCE..=most_reads).contains(&reads), "the disk is kept busy, and not more than that: {reads}");
    assert!((20..=BUFFERS_MAX).contains(&most), "{most} buffers");
    // Half of them are read twice.
    let worked = keyed.world.worked;
    assert!(spans > 60 && worked * SPANS_AT_WORK < spans * 13 / 8, "{worked} pieces of work for {spans} spans");
}

#[test]
fn a_small_map_needs_more_rounds() {
    let mut keyed = Keyed::new(4);
    keyed.fill(20, 150, 200);
    keyed.map_bytes = 0;
    let mut rounds = 0;
    while keyed.debt().is_due {
        assert!(keyed.compact());
        keyed.check();
        rounds += 1;
        assert!(rounds < 200);
        if rounds == 4 {
            keyed.crash(1);
        }
    }
    assert!(rounds > 5, "{rounds}");
    keyed.check_compacted();
}

#[test]
fn failing_and_full_disks_end_a_round_and_the_next_succeeds() {
    for seed in 0..60 {
        let mut keyed = Keyed::new(seed);
        keyed.fill(30 + seed, 40, 8);
        keyed.start();
        (0..seed).for_each(|_| _ = keyed.world.step());
        if seed % 2 == 0 {
            keyed.world.disk.fail_writes_times(DIR, 1);
        } else {
            keyed.world.disk.fill(keyed.world.disk.used_bytes());
        }
        keyed.world.run();
        keyed.world.disk.heal();
        keyed.check();
        keyed.world.outputs.clear();
        keyed.compact();
        keyed.check();
        keyed.crash(seed);
        keyed.compact();
        assert_eq!(keyed.failures(), 0);
        keyed.check_compacted();
        while keyed.world.delete_step() {}
        keyed.crash(seed);
        keyed.check_compacted();
    }
}

#[test]
fn a_live_producer_keeps_its_last_batch_emptied() {
    let mut keyed = Keyed::new(5);
    let mut builder = BatchBuilder::new(0);
    builder.push(0, Some(&[1]), Some(b"x"), &[]).producer(ProducerId(9), ProducerEpoch(2), Sequence(17));
    keyed.world.append(stamped(&builder, 0, 1));
    keyed.written.insert(0, (1, Some(b'x')));
    keyed.put(&[(1, Some(2))], Codec::None);
    keyed.fill(40, 60, 3);
    keyed.live.insert(Offset(0));
    assert!(keyed.compact());
    keyed.check_compacted();
    let parts = keyed.world.read(Offset(0), Offset(1), 1, true).expect("reads");
    let header = Header::read(&parts[0]).expect("a batch");
    assert_eq!((header.count, header.producer_id, header.last_sequence()), (0, ProducerId(9), Sequence(17)));
    keyed.live.clear();
    keyed.fill(41, 60, 3);
    assert!(keyed.compact());
    let parts = keyed.world.read(Offset(0), keyed.world.log.end(), 1, true).expect("reads");
    assert!(Header::read(&parts[0]).expect("a batch").base_offset > Offset(0), "in a gap comes the next batch");
}

#[test]
fn transactions_stay_whole_and_hold_tombstones_back() {
    let mut keyed = Keyed::new(6);
    keyed.world.settings.delete_retention_ms = 0;
    let mut builder = BatchBuilder::new(0);
    builder.push(0, Some(&[1]), Some(b"x"), &[]).producer(ProducerId(9), ProducerEpoch(2), Sequence(0)).transactional();
    keyed.world.append(stamped(&builder, 0, 1));
    keyed.put(&[(1, None)], Codec::None);
    for round in 0..3 {
        keyed.fill(50 + round, 40, 1);
        keyed.put(&[(1, None)], Codec::None);
        keyed.fill(60 + round, 40, 1);
        keyed.compact();
        keyed.world.pass_ms(5_000);
    }
    // All that is compacted is clean now, and its tombstones are of age.
    for round in 0..2 {
        keyed.fill(70 + round, 40, 1);
        assert!(keyed.compact());
        keyed.world.pass_ms(5_000);
    }
    let parts = keyed.world.read(Offset(0), keyed.world.log.end(), 1, true).expect("reads");
    assert_eq!(Header::read(&parts[0]).expect("a batch").count, 1, "nobody knows here whether it was aborted");
    assert!(keyed.found().values().any(|record| *record == (1, None)), "it still hides that record");
}

#[test]
fn lags_hold_back_and_push() {
    let mut keyed = Keyed::new(7);
    keyed.fill(70, 60, 5);
    keyed.world.settings.min_cleanable_dirty_ratio = 1.0;
    keyed.world.settings.max_compaction_lag_ms = 20_000_000;
    assert!(!keyed.debt().is_due && keyed.debt().dirty_bytes > 0);
    keyed.world.settings.max_compaction_lag_ms = 9_000_000;
    assert!(keyed.debt().is_due, "records carry times soon after 1970");
    keyed.world.settings.min_compaction_lag_ms = 10_000_000;
    assert_eq!(keyed.debt().dirty_bytes, 0);
    assert!(!keyed.compact());
}

/// What is empty has only the time at which it was written, and the clock was ahead then.
#[test]
fn what_is_clean_holds_nothing_back_however_young() {
    let mut keyed = Keyed::new(17);
    let wall = keyed.world.now.wall;
    keyed.world.now.wall = Wall(wall.0 + 864_000_000);
    keyed.fill(71, 60, 5);
    keyed.world.now.wall = wall;
    keyed.world.settings.min_compaction_lag_ms = 700;
    assert!(keyed.compact());
    assert!(keyed.world.log.sealed.iter().any(|segment| segment.bytes == 0 && segment.newest_ms() > wall.0));
    keyed.fill(72, 60, 5);
    assert!(keyed.debt().is_due);
    assert!(keyed.compact());
    keyed.check_compacted();
}

#[test]
fn reads_and_lookups_between_the_steps_see_one_state() {
    let mut keyed = Keyed::new(8);
    keyed.fill(80, 80, 6);
    let timestamps = |keyed: &mut Keyed, time| {
        let upto = keyed.world.log.end();
        keyed.world.found(|log, out| log.find_time(6, time, Offset(0), upto, out))
    };
    keyed.start();
    let mut steps = 0;
    while keyed.world.step() {
        steps += 1;
        if steps % 4 == 0 && steps < 300 {
            // The question is asked, and answered some steps later.
            let mut effects = Vec::new();
            keyed.world.drop_cache();
            let from = Offset(steps % keyed.world.log.end().0);
            let answer = keyed.world.log.read(77, from, keyed.world.log.end(), 9_000, true, &mut effects);
            keyed.world.submit(effects);
            if let Some(parts) = answer {
                assert!(!parts.expect("nothing is damaged").is_empty());
            }
        }
    }
    let answers = std::mem::take(&mut keyed.world.outputs);
    let mut answered = 0;
    for output in answers {
        if let Output::Read { id: 77, result } = output {
            assert!(!result.expect("nothing is damaged").is_empty());
            answered += 1;
        }
    }
    assert!(answered > 3, "{answered}");
    keyed.check_compacted();
    // Offsets and timestamps are the same numbers here: the first record at or behind a time.
    let found = keyed.found();
    for time in (0..keyed.world.log.end().0).step_by(7) {
        let expected = found.range(time..).next().map(|(offset, _)| *offset);
        match timestamps(&mut keyed, time) {
            Found::At { offset, .. } => assert_eq!(Some(offset.0), expected, "{time}"),
            Found::Compressed { batch } => {
                let header = Header::read(&batch).expect("a batch");
                let expected = Offset(expected.expect("there is one"));
                assert!(header.base_offset <= expected && expected < header.next_offset());
            }
            Found::None => assert_eq!(expected, None),
        }
    }
}

#[test]
fn retention_goes_on_beside_compaction() {
    for seed in 0..30 {
        let mut keyed = Keyed::new(seed);
        keyed.fill(90 + seed, 60, 8);
        keyed.start();
        (0..seed * 3).for_each(|_| _ = keyed.world.step());
        let start = Offset(keyed.world.log.end().0 * 2 / 3);
        keyed.world.log.set_start(start);
        keyed.written.retain(|offset, _| *offset >= start.0);
        // A round whose files go under it may fail; the next does not.
        for _ in 0..20 {
            let mut effects = Vec::new();
            keyed.world.log.delete_below_start(keyed.world.now, &keyed.world.settings, &mut effects);
            keyed.world.submit(effects);
            (0..3).for_each(|_| _ = keyed.world.step());
        }
        keyed.world.run();
        keyed.world.outputs.clear();
        keyed.compact();
        assert_eq!(keyed.failures(), 0, "{:?}", keyed.world.outputs);
        keyed.crash(seed);
        let found = keyed.found();
        let newest: BTreeMap<Key, i64> = keyed.written.iter().map(|(offset, (key, _))| (*key, *offset)).collect();
        assert!(newest.values().all(|offset| found.contains_key(offset)));
    }
}

#[test]
fn a_log_that_is_removed_meanwhile_leaves_nothing() {
    for seed in 0..40 {
        let mut keyed = Keyed::new(seed);
        keyed.fill(100, 40, 8);
        keyed.start();
        (0..seed).for_each(|_| _ = keyed.world.step());
        let mut effects = Vec::new();
        keyed.world.log.remove(&mut effects);
        keyed.world.submit(effects);
        keyed.world.run();
        assert!(keyed.world.outputs.iter().any(|output| matches!(output, Output::Removed)));
        assert_eq!(keyed.world.logs(), Vec::<String>::new());
        assert_eq!(keyed.world.disk.open_files(), 0);
    }
}

#[derive(Clone, Debug)]
enum Act {
    Put(Vec<(Key, Option<u8>)>, bool),
    Settle,
    Compact(usize),
    Steps(usize),
    Crash(u64),
    Pass(u64),
    Delete,
    Evict,
    Idle,
    Fault(bool),
}

fn act() -> impl Strategy<Value = Act> {
    let record = (0u8..6, proptest::option::weighted(0.6, any::<u8>()));
    prop_oneof![
        12 => (proptest::collection::vec(record, 1..4), any::<bool>()).prop_map(|(records, pack)| Act::Put(records, pack)),
        5 => Just(Act::Settle),
        4 => (0usize..600).prop_map(Act::Compact),
        6 => (1usize..25).prop_map(Act::Steps),
        2 => any::<u64>().prop_map(Act::Crash),
        2 => (1u64..40_000).prop_map(Act::Pass),
        2 => Just(Act::Delete),
        1 => Just(Act::Evict),
        1 => Just(Act::Idle),
        1 => any::<bool>().prop_map(Act::Fault),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_life_keeps_the_newest_values_and_deleted_keys_deleted(
        seed in any::<u64>(),
        delete_retention_ms in prop_oneof![Just(0i64), Just(20_000i64)],
        acts in proptest::collection::vec(act(), 1..120),
    ) {
        let mut keyed = Keyed::new(seed);
        keyed.world.settings.segment_bytes = 4_096;
        keyed.world.settings.delete_retention_ms = delete_retention_ms;
        for act in acts {
            match act {
                Act::Put(records, pack) => keyed.put(&records, if pack { Codec::Zstd } else { Codec::None }),
                Act::Settle => _ = keyed.world.settle(keyed.world.log.end(), true),
                Act::Compact(map_bytes) => {
                    keyed.map_bytes = map_bytes;
                    keyed.start();
                }
                Act::Steps(count) => (0..count).for_each(|_| _ = keyed.world.step()),
                Act::Crash(seed) => {
                    keyed.world.disk.heal();
                    keyed.crash(seed);
                    keyed.check();
                }
                Act::Pass(ms) => keyed.world.pass_ms(ms),
                Act::Delete => {
                    let mut effects = Vec::new();
                    keyed.world.log.delete_below_start(keyed.world.now, &keyed.world.settings, &mut effects);
                    keyed.world.submit(effects);
                }
                Act::Evict => _ = keyed.world.log.evict(usize::MAX),
                Act::Idle => {
                    let mut effects = Vec::new();
                    keyed.world.log.close_idle(&mut effects);
                    keyed.world.submit(effects);
                }
                Act::Fault(full) => {
                    if full {
                        keyed.world.disk.fill(keyed.world.disk.used_bytes() + 9_000);
                    } else {
                        keyed.world.disk.fail_writes_times(DIR, 1);
                    }
                }
            }
        }
        keyed.world.disk.heal();
        keyed.world.run();
        keyed.settle();
        keyed.check();
        keyed.crash(seed);
        keyed.check();
        keyed.map_bytes = 1 << 16;
        keyed.compact();
        prop_assert_eq!(keyed.failures(), 0);
        keyed.check();
        keyed.crash(seed);
        keyed.check();
    }
}
