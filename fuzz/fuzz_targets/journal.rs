//! A journal's whole ring of files, harmed in any way, its sums left wrong or made right again: recovery ends, says what
//! is lost, and work goes on. Where sums were left wrong, what it gives back was once written, what one rotten block takes
//! away is reported, and a second start says the same.
#![no_main]

use std::cell::OnceCell;

use heddle_fuzz::image::{Harm, take};
use heddle_fuzz::journal_life::{History, Life, batch, fresh_state};
use heddle_fuzz::journal_sums;
use heddle_journal::{Record, Recovered, RecoveredReplica};
use heddle_model::{Offset, ReplicaNumber, Term};
use libfuzzer_sys::fuzz_target;

/// Journals to begin with.
const HISTORIES: u64 = 24;

thread_local! {
    static MADE: OnceCell<Vec<History>> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    let mut input = data;
    let (Some(which), Some(style)) = (take(&mut input), take(&mut input)) else { return };
    MADE.with(|made| {
        let histories = made.get_or_init(|| (0..HISTORIES).map(History::make).collect());
        check(&histories[usize::from(which) % histories.len()], style & 1 == 1, input);
    });
});

fn check(history: &History, mended: bool, mut input: &[u8]) {
    let mut image = history.image.clone();
    let harm = image.harm(&mut input);
    if mended {
        journal_sums::mend(&mut image);
    }
    let mut life = Life::begin(image.disk());
    let first = life.recover();
    if !mended {
        check_written(history, &first);
        check_reported(history, harm, &first);
    }

    // Nobody did anything: a second start finds the same.
    life.rest();
    let mut life = life.next();
    let second = life.recover();
    if !mended {
        check_same(&first, &second);
    }

    // Work goes on.
    let known = |number: &ReplicaNumber| second.replicas.contains_key(number) || second.report.unknown.contains(number);
    let fresh = (1..).map(ReplicaNumber).find(|number| !known(number)).expect("numbers do not end");
    life.journal.create(fresh, fresh_state());
    let new = batch(Term(1), Offset(0), 100, 1);
    life.journal.append(fresh, Record::Append(new.clone(), Offset(0)));
    let mut expected = second.replicas;
    for (number, replica) in &mut expected {
        let state = &mut replica.state;
        (state.term, state.vote) = (Term(state.term.0.saturating_add(1)), None);
        life.journal.append(*number, Record::State { term: state.term, vote: None });
    }
    life.rest();
    let third = life.next().recover();
    let found = &third.replicas[&fresh];
    assert!(found.tail == [new], "what was just written is there");
    for (number, replica) in expected.iter().filter(|_| !mended) {
        check_replica(*number, replica, &third);
    }
}

fn check_same(first: &Recovered, second: &Recovered) {
    first.replicas.iter().for_each(|(number, replica)| check_replica(*number, replica, second));
    assert_eq!(second.replicas.len(), first.replicas.len());
    assert_eq!(second.report.unknown, first.report.unknown);
    assert_eq!(second.report.may_miss_replicas, first.report.may_miss_replicas);
}

fn check_replica(number: ReplicaNumber, before: &RecoveredReplica, found: &Recovered) {
    let now = found.replicas.get(&number).unwrap_or_else(|| panic!("{number} is gone"));
    assert_eq!((&now.state, now.damaged), (&before.state, before.damaged), "{number}");
    assert!(now.tail == before.tail, "{number}: {} batches, then {}", before.tail.len(), now.tail.len());
}

/// Sums were left as they were: whatever is given back was written once.
fn check_written(history: &History, found: &Recovered) {
    for (number, replica) in &found.replicas {
        assert!(history.numbers.contains(number), "{number} was never created");
        let strange = replica.tail.iter().find(|batch| !history.batches.contains(&batch.bytes));
        assert!(strange.is_none(), "{number} holds what was never written");
    }
}

/// One block of a journal at rest has rotted: whoever is not what it was is told of.
fn check_reported(history: &History, harm: Harm, found: &Recovered) {
    if !history.rested || harm.acts != 1 || !harm.rot_only {
        return;
    }
    for (number, before) in &history.found.replicas {
        let now = found.replicas.get(number);
        let told = now.is_some_and(|now| now.damaged)
            || found.report.unknown.contains(number)
            || (now.is_none() && found.report.may_miss_replicas);
        let state = |replica: &RecoveredReplica| (replica.state.clone(), replica.tail.len());
        let (was, is) = (state(before), now.map(state));
        assert!(told || now == Some(before), "{number} was {was:?} and is {is:?}: {:?}", found.report);
    }
}
