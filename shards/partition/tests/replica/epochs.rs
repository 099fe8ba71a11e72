//! Leader epochs as clients meet them: the first is 0, each life has its own, and they tell where logs part.

use heddle_model::*;
use heddle_partition::*;
use heddle_records::Header;

use crate::bench::*;

#[test]
fn epochs_are_checked_and_tell_where_logs_part() {
    let mut bench = Bench::new(TopicSettings::default());
    bench.append(batch(&["a"]));
    let old = bench.replica.epoch();
    bench.kill();
    bench.append(batch(&["b"]));
    let now = bench.replica.epoch();
    let with = |epoch| match read(1) {
        Ask::Read(read) => Ask::Read(Read { epoch: Some(epoch), ..read }),
        _ => unreachable!(),
    };
    assert!(matches!(bench.done(with(old)), Answer::Refused(Refusal::FencedEpoch { .. })));
    assert!(matches!(bench.done(with(LeaderEpoch(now.0 + 1))), Answer::Refused(Refusal::UnknownEpoch)));
    let Answer::EpochEnd { epoch, end } = bench.done(Ask::EpochEnd { asked: old, epoch: None }) else { panic!() };
    assert_eq!((epoch, end), (old, Offset(1)));
    // Also beyond the end of the log.
    for from in [2, 9] {
        let answer = bench.done(read_after(from, old));
        let Answer::Read(records) = answer else { panic!("divergence is an answer: {answer:?}") };
        assert_eq!(records.diverging, Some((old, Offset(1))));
    }
    let unheard_of = bench.done(read_after(1, LeaderEpoch(now.0 + 1)));
    assert!(matches!(unheard_of, Answer::Refused(Refusal::OffsetOutOfRange { .. })), "{unheard_of:?}");
}

/// What Apache Kafka 4.3 answers for a new partition, step by step; but each of its restarts takes two epochs.
#[test]
fn the_first_leader_has_epoch_zero() {
    let mut bench = Bench::new(TopicSettings::default());
    let end = |bench: &mut Bench, asked| match bench.done(Ask::EpochEnd { asked: LeaderEpoch(asked), epoch: None }) {
        Answer::EpochEnd { epoch, end } => Some((epoch.0, end.0)),
        Answer::NoEpochEnd => None,
        other => panic!("{other:?}"),
    };
    let find = |bench: &mut Bench, query| {
        let (visibility, epoch) = (Visibility::HighWatermark, Some(bench.replica.epoch()));
        match bench.done(Ask::FindOffset { query, visibility, epoch }) {
            Answer::FoundOffset(found) => (found.offset.map(|offset| offset.0), found.epoch.0),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(bench.replica.epoch(), LeaderEpoch(0));
    assert_eq!(
        [-2, -1, 0, 1, i32::MAX].map(|asked| end(&mut bench, asked)),
        [Some((-2, 0)), None, Some((0, 0)), None, None]
    );
    assert_eq!(find(&mut bench, OffsetQuery::Latest), (Some(0), 0));
    assert_eq!(find(&mut bench, OffsetQuery::Earliest), (Some(0), 0));
    assert_eq!(find(&mut bench, OffsetQuery::AtOrAfter(0)), (None, -1));
    assert_eq!(find(&mut bench, OffsetQuery::MaxTimestamp), (None, -1));
    let refused = bench.done(Ask::EpochEnd { asked: LeaderEpoch(0), epoch: Some(LeaderEpoch(-2)) });
    assert!(matches!(refused, Answer::Refused(Refusal::FencedEpoch { epoch: LeaderEpoch(0), .. })), "{refused:?}");

    bench.append(batch(&["a"]));
    bench.append(batch(&["b"]));
    let Answer::Read(records) = bench.read(0) else { panic!() };
    assert_eq!(Header::read(&records.parts[0]).unwrap().leader_epoch, LeaderEpoch(0));
    assert_eq!([-1, 0, 1].map(|asked| end(&mut bench, asked)), [None, Some((0, 2)), None]);
    assert_eq!(find(&mut bench, OffsetQuery::AtOrAfter(0)), (Some(0), 0));

    bench.crash();
    bench.crash();
    bench.append(batch(&["c"]));
    assert_eq!(bench.replica.epoch(), LeaderEpoch(2));
    let ends = [Some((0, 2)), Some((0, 2)), Some((2, 3)), None];
    assert_eq!([0, 1, 2, 3].map(|asked| end(&mut bench, asked)), ends, "epoch 1 wrote nothing");
    assert_eq!(find(&mut bench, OffsetQuery::Latest), (Some(3), 2));
    assert_eq!(find(&mut bench, OffsetQuery::Earliest), (Some(0), 0));
    let Answer::Read(records) = bench.done(read_after(1, LeaderEpoch(1))) else { panic!() };
    assert_eq!(records.diverging, Some((LeaderEpoch(0), Offset(2))));

    assert!(matches!(bench.done(Ask::DeleteRecords { before: Some(Offset(2)) }), Answer::LowWatermark(Offset(2))));
    assert_eq!([0, 1, 2].map(|asked| end(&mut bench, asked)), [Some((0, 2)), Some((1, 2)), Some((2, 3))]);
    assert_eq!(find(&mut bench, OffsetQuery::Earliest), (Some(2), 2));
    assert!(matches!(bench.done(read_after(0, LeaderEpoch(1))), Answer::Refused(Refusal::OffsetOutOfRange { .. })));
    let Answer::Read(records) = bench.done(read_after(2, LeaderEpoch(1))) else { panic!() };
    assert_eq!((records.diverging, records.parts.len()), (None, 1), "what epoch 1 shares with us was deleted");
}

/// By it a partition that was just created is told from one whose leader is new.
#[test]
fn a_leader_that_does_not_serve_yet_says_its_epoch() {
    let refusals = |bench: &mut Bench| {
        let mut refusals = Vec::new();
        loop {
            let ticket = bench.ask(read(0));
            match bench.answer(ticket) {
                Some(Answer::Refused(Refusal::NotServing { epoch })) => refusals.push(epoch.0),
                Some(Answer::Refused(Refusal::NotLeader { leader: None, .. })) => {}
                other => {
                    assert!(bench.replica.is_serving(), "{other:?}");
                    return refusals;
                }
            }
            assert!(bench.step(), "something is under way");
        }
    };
    let mut bench = Bench::begin(TopicSettings::default());
    for epoch in [0, 1] {
        let refused = refusals(&mut bench);
        assert!(!refused.is_empty() && refused.iter().all(|one| *one == epoch), "{refused:?}");
        bench.run();
        bench.kill_and_begin();
    }
}
