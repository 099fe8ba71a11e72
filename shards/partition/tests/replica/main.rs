//! What a replica promises: nothing is answered or shown before it is durable, each ticket is answered once, a restart
//! keeps every acknowledged record and every producer's window.

mod bench;
mod epochs;
mod inspection;

use bench::*;
use heddle_model::*;
use heddle_partition::*;

#[test]
fn an_append_is_answered_only_when_durable() {
    for acks in [Acks::Leader, Acks::All] {
        let mut bench = Bench::new(TopicSettings::default());
        let ticket = bench.ask(append(batch(&["a", "b"]), acks));
        assert!(bench.answer(ticket).is_none());
        bench.flush();
        assert!(bench.answer(ticket).is_none(), "the write is under way, not done");
        bench.run();
        assert_eq!(base(bench.answer(ticket).unwrap()), 0);
        assert_eq!(base(&bench.append(batch(&["c"]))), 2);
    }
}

#[test]
fn readers_see_nothing_before_it_is_committed() {
    let mut bench = Bench::new(TopicSettings::default());
    let watch = Ask::Watch { from: Offset(0), visibility: Visibility::HighWatermark, min_bytes: 1, epoch: None };
    let watch = bench.ask(watch);
    let appended = bench.ask(append(batch(&["a"]), Acks::All));
    let early = bench.ask(read(0));
    let Some(Answer::Read(records)) = bench.answer(early) else { panic!("a read of nothing is answered at once") };
    assert!(records.parts.is_empty());
    assert_eq!(records.high_watermark, Offset(0));
    assert!(bench.answer(watch).is_none());
    bench.run();
    assert!(matches!(bench.answer(watch), Some(Answer::Ready)));
    assert_eq!(base(bench.answer(appended).unwrap()), 0);
    assert_eq!(bench.values(0), ["a"]);
}

#[test]
fn a_duplicate_gets_the_first_answer_and_not_before_the_first_copy_is_safe() {
    let mut bench = Bench::new(TopicSettings::default());
    let first = bench.ask(append(idempotent(0, &["a"]), Acks::All));
    let again = bench.ask(append(idempotent(0, &["a"]), Acks::All));
    assert!(bench.answer(again).is_none(), "its first copy is not committed");
    bench.run();
    assert_eq!(base(bench.answer(first).unwrap()), 0);
    assert_eq!(base(bench.answer(again).unwrap()), 0);
    assert_eq!(bench.values(0), ["a"]);
    let gap = bench.append(idempotent(7, &["x"]));
    assert!(matches!(gap, Answer::Refused(Refusal::OutOfOrderSequence)));
}

#[test]
fn a_crash_keeps_what_was_answered_and_the_producers_window() {
    let mut bench = Bench::new(TopicSettings::default());
    for i in 0..20 {
        assert_eq!(base(&bench.append(idempotent(i, &[&format!("v{i}")]))), i64::from(i));
    }
    let unanswered = bench.ask(append(idempotent(20, &["v20"]), Acks::All));
    assert!(bench.answer(unanswered).is_none());
    let epoch = bench.replica.epoch();
    bench.crash();
    assert!(bench.replica.is_serving());
    assert!(bench.replica.epoch() > epoch, "a new life is a new leader epoch");
    let kept: Vec<String> = (0..20).map(|i| format!("v{i}")).collect();
    assert_eq!(bench.values(0)[..20], kept[..]);
    assert_eq!(base(&bench.append(idempotent(19, &["v19"]))), 19, "a duplicate across the restart");
    assert_eq!(base(&bench.append(idempotent(20, &["v20"]))), 20);
}

/// Settled bytes and the producer state beside them.
#[test]
fn what_is_settled_is_found_again() {
    let mut bench = Bench::new(TopicSettings::default());
    let big = "x".repeat(50_000);
    for i in 0..20 {
        bench.append(idempotent(i, &[&big]));
    }
    let before = bench.replica.tail_bytes();
    bench.act(|replica, world| assert!(replica.settle(true, world)));
    bench.run();
    assert!(bench.replica.tail_bytes() < before, "settled batches leave the tail");
    assert_eq!(bench.values(0).len(), 20);
    bench.crash();
    assert_eq!(base(&bench.append(idempotent(19, &[&big]))), 19, "the window came from beside the segment");
    assert_eq!(base(&bench.append(idempotent(20, &["end"]))), 20);
    bench.replica.evict(usize::MAX);
    let values = bench.values(0);
    assert_eq!((values.len(), values[20].as_str()), (21, "end"));
}

#[test]
fn restating_supersedes_also_what_is_not_durable_yet() {
    let mut bench = Bench::new(TopicSettings::default());
    bench.append(batch(&["a"]));
    let late = bench.ask(append(batch(&["b"]), Acks::All));
    bench.act(|replica, world| _ = replica.restate(world));
    bench.run();
    assert_eq!(base(bench.answer(late).unwrap()), 1);
    let epoch = bench.replica.epoch();
    bench.crash();
    assert_eq!(bench.values(0), ["a", "b"]);
    assert!(bench.replica.epoch() > epoch);
}

#[test]
fn deleted_records_stay_deleted() {
    let mut bench = Bench::new(TopicSettings::default());
    for value in ["a", "b", "c", "d"] {
        bench.append(batch(&[value]));
    }
    let ticket = bench.ask(Ask::DeleteRecords { before: Some(Offset(2)) });
    assert!(bench.answer(ticket).is_none(), "not before the log start is durable");
    bench.run();
    assert!(matches!(bench.answer(ticket), Some(Answer::LowWatermark(Offset(2)))));
    assert!(matches!(bench.read(1), Answer::Refused(Refusal::OffsetOutOfRange { log_start: Offset(2), .. })));
    assert!(matches!(
        bench.done(Ask::DeleteRecords { before: Some(Offset(9)) }),
        Answer::Refused(Refusal::OffsetOutOfRange { .. })
    ));
    bench.crash();
    assert_eq!(bench.values(2), ["c", "d"]);
    assert!(matches!(bench.done(Ask::DeleteRecords { before: None }), Answer::LowWatermark(Offset(4))));
    let compacted = TopicSettings { cleanup_delete: false, cleanup_compact: true, ..TopicSettings::default() };
    let mut bench = Bench::new(compacted);
    assert!(matches!(bench.done(Ask::DeleteRecords { before: None }), Answer::Refused(Refusal::PolicyViolation)));
}

#[test]
fn batches_that_the_topic_does_not_take_are_refused_and_leave_no_trace() {
    let settings = TopicSettings { max_message_bytes: 1000, ..TopicSettings::default() };
    let mut bench = Bench::new(settings);
    let big = "x".repeat(1000);
    assert!(matches!(bench.append(batch(&[&big])), Answer::Refused(Refusal::BatchTooLarge { max: 1000, .. })));
    let mut broken = batch(&["a"]).to_vec();
    *broken.last_mut().unwrap() ^= 1;
    assert!(matches!(bench.append(broken.into()), Answer::Refused(Refusal::Corrupt(_))));
    let marker = heddle_records::marker(ProducerId(1), ProducerEpoch(0), true, 0, 0);
    assert!(matches!(bench.append(marker), Answer::Refused(Refusal::InvalidRecord { .. })));
    let mut future = heddle_records::BatchBuilder::new(1_700_000_000_000 + 7_200_000);
    future.push(1_700_000_000_000 + 7_200_000, None, Some(b"v"), &[]);
    let Answer::Refused(Refusal::InvalidTimestamp { records, .. }) = bench.append(future.build()) else { panic!() };
    assert_eq!(records.len(), 1);
    assert_eq!(base(&bench.append(batch(&["ok"]))), 0);
}

#[test]
fn a_compacted_topic_takes_only_records_with_keys_compressed_or_not() {
    let mut bench = Bench::new(TopicSettings { cleanup_compact: true, ..TopicSettings::default() });
    let Answer::Refused(Refusal::InvalidRecord { records, .. }) = bench.append(batch(&["a", "b"])) else { panic!() };
    assert_eq!(records.iter().map(|r| r.0).collect::<Vec<_>>(), [0, 1]);
    let packed = builder(&["a"]).codec(Codec::Gzip, -1).build();
    assert!(matches!(bench.append(packed), Answer::Refused(Refusal::InvalidRecord { .. })));
    let mut keyed = heddle_records::BatchBuilder::new(1_700_000_000_000);
    keyed.push(1_700_000_000_000, Some(b"k"), Some(b"v"), &[]);
    assert_eq!(base(&bench.append(keyed.codec(Codec::Gzip, -1).build())), 0);
}

#[test]
fn recoding_off_the_turn_keeps_the_order_of_arrival() {
    let compression = Compression::Broker { codec: Codec::Zstd, level: 3 };
    let mut bench = Bench::new(TopicSettings { compression, ..TopicSettings::default() });
    let first = bench.ask(append(idempotent(0, &["a"]), Acks::All));
    let second = bench.ask(append(idempotent(1, &["b"]), Acks::All));
    let already = builder(&["c"]).codec(Codec::Zstd, 3).build();
    let third = bench.ask(append(already, Acks::All));
    bench.run();
    let bases: Vec<i64> = [first, second, third].iter().map(|t| base(bench.answer(*t).unwrap())).collect();
    assert_eq!(bases, [0, 1, 2]);
    assert_eq!(bench.values(0), ["a", "b", "c"]);
    let Answer::Read(records) = bench.read(0) else { panic!() };
    for part in &records.parts {
        assert_eq!(heddle_records::Header::read(part).unwrap().codec(), Some(Codec::Zstd));
    }
}

/// Where Kafka packs a batch anew it counts its records itself. Elsewhere it fails on such a batch, or keeps what nobody can
/// read back in order.
#[test]
fn wrong_offset_deltas_are_put_right_where_the_batch_is_packed_anew() {
    let mut wrong = builder(&["a", "b"]).build().to_vec();
    // Of the second record; each says its own length first.
    let at = 62 + usize::from(wrong[61]) / 2 + 3;
    assert_eq!(wrong[at], 2, "1, in zigzag");
    wrong[at] = 10;
    let crc = crc32c::crc32c(&wrong[21..]);
    wrong[17..21].copy_from_slice(&crc.to_be_bytes());
    let wrong = bytes::Bytes::from(wrong);
    let compression = Compression::Broker { codec: Codec::Zstd, level: 3 };
    let mut bench = Bench::new(TopicSettings { compression, ..TopicSettings::default() });
    assert_eq!(base(&bench.append(wrong.clone())), 0);
    assert_eq!(base(&bench.append(batch(&["c"]))), 2);
    assert_eq!(bench.values(0), ["a", "b", "c"]);
    let mut bench = Bench::new(TopicSettings::default());
    assert!(matches!(bench.append(wrong), Answer::Refused(Refusal::InvalidRecord { .. })));
}

#[test]
fn append_time_is_stamped_and_told() {
    let mut bench =
        Bench::new(TopicSettings { timestamp_type: TimestampType::LogAppendTime, ..TopicSettings::default() });
    bench.now.wall = Wall(1_700_000_099_000);
    let Answer::Appended(appended) = bench.append(batch(&["a"])) else { panic!() };
    assert_eq!(appended.append_time, Some(1_700_000_099_000));
    let Answer::Read(records) = bench.read(0) else { panic!() };
    let header = heddle_records::Header::read(&records.parts[0]).unwrap();
    assert_eq!((header.timestamp_type(), header.max_timestamp), (TimestampType::LogAppendTime, 1_700_000_099_000));
    assert!(heddle_records::crc_is_right(&records.parts[0]));
}

#[test]
fn offsets_are_found_by_time() {
    let mut bench = Bench::new(TopicSettings::default());
    bench.append(batch(&["a"]));
    let mut later = heddle_records::BatchBuilder::new(1_700_000_005_000);
    later.push(1_700_000_005_000, None, Some(b"b"), &[]);
    bench.append(later.codec(Codec::Lz4, 9).build());
    let mut find =
        |query| match bench.done(Ask::FindOffset { query, visibility: Visibility::HighWatermark, epoch: None }) {
            Answer::FoundOffset(found) => (found.offset.map(|o| o.0), found.timestamp),
            other => panic!("{other:?}"),
        };
    assert_eq!(find(OffsetQuery::Earliest), (Some(0), -1));
    assert_eq!(find(OffsetQuery::Latest), (Some(2), -1));
    assert_eq!(find(OffsetQuery::AtOrAfter(1_700_000_000_001)), (Some(1), 1_700_000_005_000));
    assert_eq!(find(OffsetQuery::AtOrAfter(1_700_000_009_000)), (None, -1));
    assert_eq!(find(OffsetQuery::MaxTimestamp), (Some(1), 1_700_000_005_000));
}

/// A client's header may claim what no record has.
#[test]
fn a_search_by_time_is_not_led_astray_by_a_header_that_claims_too_much() {
    let mut bench = Bench::new(TopicSettings::default());
    let time = 1_700_000_000_000;
    let mut packed = builder(&["a", "b"]).codec(Codec::Gzip, -1).build().to_vec();
    packed[35..43].copy_from_slice(&(time + 900_000i64).to_be_bytes());
    let crc = crc32c::crc32c(&packed[21..]);
    packed[17..21].copy_from_slice(&crc.to_be_bytes());
    bench.append(packed.into());
    let mut later = heddle_records::BatchBuilder::new(time + 5000);
    later.push(time + 5000, None, Some(b"c"), &[]);
    bench.append(later.build());
    let mut find =
        |query| match bench.done(Ask::FindOffset { query, visibility: Visibility::HighWatermark, epoch: None }) {
            Answer::FoundOffset(found) => (found.offset.map(|o| o.0), found.timestamp),
            other => panic!("{other:?}"),
        };
    assert_eq!(find(OffsetQuery::AtOrAfter(time + 1)), (Some(2), time + 5000));
    assert_eq!(find(OffsetQuery::AtOrAfter(time + 6000)), (None, -1));
    assert_eq!(find(OffsetQuery::MaxTimestamp), (Some(2), time + 5000));
}

#[test]
fn a_deleted_partition_answers_everybody_and_leaves_nothing() {
    let mut bench = Bench::new(TopicSettings::default());
    bench.append(batch(&["a"]));
    bench.act(|replica, world| assert!(replica.settle(true, world)));
    bench.run();
    let waiting = bench.ask(append(batch(&["b"]), Acks::All));
    let watch =
        bench.ask(Ask::Watch { from: Offset(9), visibility: Visibility::HighWatermark, min_bytes: 1, epoch: None });
    bench.act(|replica, world| replica.leave(world));
    bench.run();
    assert!(matches!(bench.answer(waiting), Some(Answer::Refused(Refusal::Interrupted { .. }))));
    assert!(bench.answer(watch).is_some());
    assert!(bench.news.iter().any(|n| matches!(n, News::Removed { replica } if *replica == NUMBER)));
    assert!(!bench.disk.paths().iter().any(|(path, _)| path.starts_with("replicas/7")));
    let late = bench.ask(read(0));
    assert!(matches!(bench.answer(late), Some(Answer::Refused(Refusal::UnknownPartition))));
}

#[test]
fn a_partition_deleted_while_it_loads_stays_deleted() {
    let mut bench = Bench::new(TopicSettings { retention_ms: 1, ..TopicSettings::default() });
    bench.append(batch(&["a"]));
    bench.act(|replica, world| assert!(replica.settle(true, world)));
    bench.run();
    bench.kill();
    // Its records are expired: housekeeping would raise the log start, had it a say.
    bench.now = Now { mono: bench.now.mono.plus_ms(60_000), wall: Wall(bench.now.wall.0 + 60_000) };
    let parked = bench.ask(read(0));
    bench.act(|replica, world| replica.leave(world));
    // Housekeeping comes around at any time.
    bench.act(|replica, world| replica.maintain(0, world));
    while bench.step() {
        bench.act(|replica, world| replica.maintain(0, world));
        bench.act(|replica, world| _ = replica.settle(true, world));
    }
    assert!(matches!(bench.answer(parked), Some(Answer::Refused(Refusal::UnknownPartition))));
    assert_eq!(bench.news.iter().filter(|n| matches!(n, News::Removed { .. })).count(), 1);
    assert!(!bench.disk.paths().iter().any(|(path, _)| path.starts_with("replicas/7")));
}

/// A partition is looked at by its own time, which comes after half of the interval at the earliest.
#[test]
fn retention_looks_once_an_interval() {
    const EVERY_MS: u64 = 300_000;
    let mut bench = Bench::new(TopicSettings { retention_ms: 1, ..TopicSettings::default() });
    let pass = |bench: &mut Bench, ms: u64| {
        bench.now = Now { mono: bench.now.mono.plus_ms(ms), wall: Wall(bench.now.wall.0 + ms as i64) };
        bench.act(|replica, world| replica.maintain(EVERY_MS, world));
        bench.run();
        bench.replica.log_start()
    };
    bench.append(batch(&["a"]));
    bench.act(|replica, world| replica.maintain(EVERY_MS, world));
    assert_eq!(pass(&mut bench, EVERY_MS / 2 - 1), Offset(0), "too early");
    assert_eq!(pass(&mut bench, EVERY_MS / 2 + 2), Offset(1), "its time has come");
    bench.append(batch(&["b"]));
    assert_eq!(pass(&mut bench, EVERY_MS - 1), Offset(1), "the next look is an interval later");
    assert_eq!(pass(&mut bench, 1), Offset(2));
    bench.append(batch(&["c"]));
    bench.now.wall = Wall(bench.now.wall.0 + 10);
    bench.now.mono = bench.now.mono.plus_ms(10);
    bench.act(|replica, world| replica.maintain(0, world));
    bench.run();
    assert_eq!(bench.replica.log_start(), Offset(3), "where room is wanted nothing waits");
}

#[test]
fn a_partition_deleted_during_a_search_off_the_turn_answers_it_once() {
    let mut bench = Bench::new(TopicSettings::default());
    bench.append(builder(&["a"]).codec(Codec::Lz4, 9).build());
    let query = OffsetQuery::MaxTimestamp;
    let search = bench.ask(Ask::FindOffset { query, visibility: Visibility::HighWatermark, epoch: None });
    assert!(bench.answer(search).is_none(), "the work off the turn is not done");
    bench.act(|replica, world| replica.leave(world));
    assert!(matches!(bench.answer(search), Some(Answer::Refused(Refusal::UnknownPartition))));
    bench.run();
}

#[test]
fn a_watch_that_waits_for_the_load_can_be_cancelled() {
    let mut bench = Bench::new(TopicSettings::default());
    bench.append(batch(&["a"]));
    bench.act(|replica, world| assert!(replica.settle(true, world)));
    bench.run();
    bench.kill();
    let watch = Ask::Watch { from: Offset(1), visibility: Visibility::HighWatermark, min_bytes: 1, epoch: None };
    let watch = bench.ask(watch);
    assert!(bench.answer(watch).is_none(), "nothing is loaded");
    let ticket = Ticket { home: ShardId(0), slot: watch, generation: 0, part: 0 };
    bench.act(|replica, world| replica.cancel(ticket, world));
    assert!(matches!(bench.answer(watch), Some(Answer::Ready)));
    bench.run();
}

#[test]
fn a_transaction_that_nobody_could_end_is_not_begun() {
    let mut bench = Bench::new(TopicSettings::default());
    let mut builder = builder(&["a"]);
    builder.producer(ProducerId(5), ProducerEpoch(0), Sequence(0)).transactional();
    let refused = bench.append(builder.build());
    assert!(matches!(refused, Answer::Refused(Refusal::NotInTransaction)), "{refused:?}");
}

/// It lost records, and nobody knows which: what is left is read, all else is refused, and nothing is out of range.
#[test]
fn a_damaged_replica_answers_with_its_damage() {
    let mut bench = Bench::new(TopicSettings::default());
    for value in ["a", "b", "c"] {
        bench.append(batch(&[value]));
    }
    let epoch = bench.replica.epoch();
    bench.damage();
    let Answer::Read(records) = bench.read(0) else { panic!("what is left is read") };
    assert_eq!((records.parts.len(), records.high_watermark), (3, Offset(3)));
    let find = |query| Ask::FindOffset { query, visibility: Visibility::HighWatermark, epoch: None };
    let early = bench.done(find(OffsetQuery::Earliest));
    assert!(matches!(&early, Answer::FoundOffset(found) if found.offset == Some(Offset(0))), "{early:?}");
    let first = bench.done(find(OffsetQuery::AtOrAfter(0)));
    assert!(matches!(&first, Answer::FoundOffset(found) if found.offset == Some(Offset(0))), "{first:?}");
    let refused = [
        read(3),
        read(7),
        read_after(1, LeaderEpoch(epoch.0 + 1)),
        append(batch(&["d"]), Acks::All),
        append(batch(&["d"]), Acks::Leader),
        find(OffsetQuery::Latest),
        find(OffsetQuery::MaxTimestamp),
        find(OffsetQuery::AtOrAfter(i64::MAX)),
        Ask::EpochEnd { asked: epoch, epoch: None },
        Ask::DeleteRecords { before: Some(Offset(1)) },
    ];
    for ask in refused {
        let (said, answer) = (format!("{ask:?}"), bench.done(ask));
        assert!(matches!(answer, Answer::Refused(Refusal::Storage)), "{said}: {answer:?}");
    }
    let watch = Ask::Watch { from: Offset(3), visibility: Visibility::HighWatermark, min_bytes: 1, epoch: None };
    assert!(matches!(bench.done(watch), Answer::Ready), "nobody waits for what never comes");
}

/// Its segments cannot be opened, so the tail cannot be settled: that is tried again by whoever paces it, not at once.
#[test]
fn a_tail_that_waits_for_a_load_that_failed_wants_to_be_settled_later() {
    let mut bench = Bench::new(TopicSettings::default());
    bench.append(batch(&["a"]));
    bench.act(|replica, world| assert!(replica.settle(true, world)));
    bench.run();
    bench.append(batch(&["b"]));
    let side = bench.disk.paths().into_iter().find(|(path, _)| path.ends_with(".side")).expect("a segment has one").0;
    let sound = bench.disk.clone();
    bench.disk.corrupt(&side, 16, 40);
    bench.crash();
    assert!(!bench.replica.wants_settle(), "nobody tried");
    assert!(matches!(bench.read(0), Answer::Refused(Refusal::Storage)));
    assert!(bench.replica.wants_settle());
    bench.act(|replica, world| assert!(!replica.settle(true, world), "it is loaded first"));
    bench.run();
    assert!(bench.replica.wants_settle(), "that failed too");
    bench.disk = sound;
    bench.crash();
    assert_eq!(bench.values(0), ["a", "b"]);
    assert!(!bench.replica.wants_settle());
}
