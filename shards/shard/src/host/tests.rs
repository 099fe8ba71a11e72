//! The host of a coordinator against a partition that answers as the test says.

use heddle_model::{PartitionIndex, TopicId, Wall};

use super::*;

/// A number whose record no batch holds.
const HUGE: u8 = 200;

/// A set of numbers; each ask adds one.
#[derive(Default)]
struct Numbers {
    known: Vec<u8>,
    resumed: Vec<Mono>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Said {
    Loading,
    NotCoordinator,
    Interrupted,
    Added(u8),
}

impl Coordinator for Numbers {
    type Ask = u8;
    type Answer = Said;

    fn loading() -> Said {
        Said::Loading
    }

    fn not_coordinator() -> Said {
        Said::NotCoordinator
    }

    fn interrupted() -> Said {
        Said::Interrupted
    }

    fn decide(&mut self, _now: Now, ask: u8, ticket: Ticket, _entropy: u128) -> Decided<Said> {
        let value = if ask == HUGE { Bytes::from(vec![0; BATCH_BYTES_MAX]) } else { Bytes::from_static(b"x") };
        let records = vec![(Bytes::copy_from_slice(&[ask]), Some(value))];
        Decided { records, answers: vec![(ticket, Said::Added(ask))] }
    }

    fn replay(&mut self, key: &[u8], _value: Option<&[u8]>) -> Result<(), String> {
        self.known.push(*key.first().ok_or("an empty key")?);
        Ok(())
    }

    fn after_replay(&mut self) -> Option<Said> {
        None
    }

    fn tick(&mut self, _now: Now, _entropy: u128) -> Decided<Said> {
        Decided { records: Vec::new(), answers: Vec::new() }
    }

    fn next_deadline(&self) -> Option<Mono> {
        None
    }

    fn clear(&mut self) -> Vec<Ticket> {
        self.known.clear();
        Vec::new()
    }

    fn on_loaded(&mut self, _now: Now) {}

    fn on_resumed(&mut self, now: Now) {
        self.resumed.push(now.mono);
    }
}

fn at(ms: u64) -> Now {
    Now { mono: Mono(0).plus_ms(ms), wall: Wall(0) }
}

fn ticket(slot: u32) -> Ticket {
    Ticket { home: ShardId(0), slot, generation: 0, part: 0 }
}

fn host() -> Host<Numbers> {
    let partition = PartitionId { topic: TopicId(1), index: PartitionIndex(0) };
    Host::new(partition, Numbers::default())
}

fn records(numbers: &[u8]) -> partition::Answer {
    let mut parts = Vec::new();
    for (base, number) in numbers.iter().enumerate() {
        let mut batch = BatchBuilder::new(0);
        batch.push(0, Some(&[*number]), Some(b"x"), &[]);
        let mut batch = batch.build().to_vec();
        heddle_records::set_base_offset(&mut batch, Offset(base as i64));
        parts.push(Bytes::from(batch));
    }
    let end = Offset(numbers.len() as i64);
    partition::Answer::Read(partition::Records {
        parts,
        high_watermark: end,
        last_stable: end,
        log_start: Offset::ZERO,
        aborted: Vec::new(),
        diverging: None,
    })
}

fn appended() -> partition::Answer {
    partition::Answer::Appended(partition::Appended { base: Offset(0), append_time: None, log_start: Offset(0) })
}

fn storage() -> partition::Answer {
    partition::Answer::Refused(partition::Refusal::Storage)
}

/// A host that leads and has loaded these.
fn up(host: &mut Host<Numbers>, numbers: &[u8]) {
    let mut answers = Vec::new();
    host.on_leading(&mut answers);
    let read = host.load(at(0), Offset::ZERO).expect("it reads");
    assert!(host.on_answer(at(0), read.sequence, records(numbers), &mut answers).is_none());
    assert!(host.is_up() && answers.is_empty());
    assert_eq!(host.coordinator.known, numbers);
}

fn add(host: &mut Host<Numbers>, number: u8, answers: &mut Vec<(Ticket, Said)>) -> u64 {
    host.ask(at(0), ticket(u32::from(number)), number, 0, answers).expect("it appends").sequence
}

#[test]
fn answers_wait_for_the_commit_of_what_they_rest_on() {
    let (mut host, mut answers) = (host(), Vec::new());
    up(&mut host, &[1]);
    let (two, three) = (add(&mut host, 2, &mut answers), add(&mut host, 3, &mut answers));
    assert!(answers.is_empty());
    host.on_answer(at(1), two, appended(), &mut answers);
    assert_eq!(answers, [(ticket(2), Said::Added(2))]);
    host.on_answer(at(1), three, appended(), &mut answers);
    assert_eq!(answers[1..], [(ticket(3), Said::Added(3))]);
}

#[test]
fn a_load_that_was_refused_is_tried_again() {
    let (mut host, mut answers) = (host(), Vec::new());
    host.on_leading(&mut answers);
    let read = host.load(at(0), Offset::ZERO).expect("it reads");
    host.on_answer(at(5), read.sequence, storage(), &mut answers);
    assert!(host.ask(at(5), ticket(1), 1, 0, &mut answers).is_none());
    assert_eq!(answers, [(ticket(1), Said::Loading)]);
    assert_eq!(host.next_deadline(), Some(at(5 + RETRY_MS).mono));
    let now = at(5 + RETRY_MS);
    let read = host.tick(now, Offset::ZERO, 0, &mut answers).expect("it reads again");
    assert!(host.tick(now, Offset::ZERO, 0, &mut answers).is_none(), "once");
    host.on_answer(now, read.sequence, records(&[7]), &mut answers);
    assert!(host.is_up());
    assert_eq!(host.coordinator.known, [7]);
}

#[test]
fn a_refused_decision_drops_the_state_and_the_replay_misses_nothing_under_way() {
    let (mut host, mut answers) = (host(), Vec::new());
    up(&mut host, &[1]);
    let (two, three) = (add(&mut host, 2, &mut answers), add(&mut host, 3, &mut answers));
    host.on_answer(at(1), three, storage(), &mut answers);
    assert_eq!(answers, [(ticket(2), Said::Interrupted), (ticket(3), Said::Interrupted)]);
    let now = at(1 + RETRY_MS);
    assert!(host.tick(now, Offset::ZERO, 0, &mut answers).is_none(), "an append is under way, and may yet commit");
    host.on_answer(now, two, appended(), &mut answers);
    assert_eq!(answers.len(), 2, "answered already");
    let now = at(1 + 2 * RETRY_MS);
    assert_eq!(host.next_deadline(), Some(now.mono));
    let read = host.tick(now, Offset::ZERO, 0, &mut answers).expect("it reads");
    host.on_answer(now, read.sequence, records(&[1, 2]), &mut answers);
    assert_eq!(host.coordinator.known, [1, 2]);
}

#[test]
fn sequences_do_not_run_out() {
    let (mut host, mut answers) = (host(), Vec::new());
    host.sequence = u64::from(u32::MAX) - 2;
    up(&mut host, &[]);
    for number in 0..5 {
        let sequence = add(&mut host, number, &mut answers);
        host.on_answer(at(1), sequence, appended(), &mut answers);
        assert_eq!(answers.pop(), Some((ticket(u32::from(number)), Said::Added(number))));
    }
}

#[test]
fn whoever_waits_is_told_when_leadership_ends() {
    let (mut host, mut answers) = (host(), Vec::new());
    up(&mut host, &[]);
    let one = add(&mut host, 1, &mut answers);
    host.on_lost(&mut answers);
    assert_eq!(answers, [(ticket(1), Said::Interrupted)]);
    assert!(host.ask(at(1), ticket(2), 2, 0, &mut answers).is_none());
    assert_eq!(answers[1..], [(ticket(2), Said::NotCoordinator)]);
    host.on_answer(at(1), one, appended(), &mut answers);
    assert_eq!(answers.len(), 2, "each is answered once");
}

#[test]
fn a_decision_that_no_batch_holds_was_not_made() {
    let (mut host, mut answers) = (host(), Vec::new());
    up(&mut host, &[1]);
    let two = add(&mut host, 2, &mut answers);
    assert!(host.ask(at(1), ticket(3), HUGE, 0, &mut answers).is_none(), "nothing is appended");
    assert_eq!(answers, [(ticket(3), Said::Interrupted), (ticket(2), Said::Interrupted)]);
    host.on_answer(at(2), two, appended(), &mut answers);
    let now = at(1 + RETRY_MS);
    assert_eq!(host.next_deadline(), Some(now.mono));
    let read = host.tick(now, Offset::ZERO, 0, &mut answers).expect("it reads");
    host.on_answer(now, read.sequence, records(&[1, 2]), &mut answers);
    assert_eq!(host.coordinator.known, [1, 2]);
}

#[test]
fn deadlines_start_anew_once_somebody_can_be_heard_again() {
    let (mut host, mut answers) = (host(), Vec::new());
    host.suspend();
    up(&mut host, &[]);
    host.tick(at(1), Offset::ZERO, 0, &mut answers);
    assert!(host.coordinator.resumed.is_empty(), "they began when it was loaded");
    host.suspend();
    host.suspend();
    host.tick(at(2), Offset::ZERO, 0, &mut answers);
    host.tick(at(3), Offset::ZERO, 0, &mut answers);
    host.suspend();
    for (ms, number) in [(4, 1), (5, 2)] {
        let append = host.ask(at(ms), ticket(1), number, 0, &mut answers).expect("it appends");
        host.on_answer(at(ms), append.sequence, appended(), &mut answers);
    }
    assert_eq!(host.coordinator.resumed, [at(2).mono, at(4).mono]);
    host.suspend();
    host.on_lost(&mut answers);
    up(&mut host, &[]);
    host.tick(at(6), Offset::ZERO, 0, &mut answers);
    assert_eq!(host.coordinator.resumed.len(), 2);
}
