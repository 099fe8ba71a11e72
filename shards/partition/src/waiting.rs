//! Who waits for this replica, and for what. Every ticket taken in is answered exactly once.

use std::collections::{BTreeMap, VecDeque};

use heddle_model::{LeaderEpoch, NodeId, Offset, Ticket};

use crate::{Acks, Answer, Appended, Refusal, Visibility};

/// A produce that was appended and waits to be durable, or committed, up to `next`.
#[derive(Clone, Copy, Debug)]
struct Produce {
    ticket: Ticket,
    next: Offset,
    answer: Appended,
}

/// A reader that waits for something to read.
#[derive(Clone, Copy, Debug)]
struct Watch {
    visibility: Visibility,
    /// Nothing below this is new to the reader.
    from: Offset,
    missing_bytes: usize,
}

#[derive(Default, Debug)]
pub struct Waiting {
    /// In order of `next`, but for duplicates, which wait for an older offset.
    for_durable: VecDeque<Produce>,
    for_commit: VecDeque<Produce>,
    /// By ticket: a connection that ends cancels any number of them at once.
    watches: BTreeMap<Ticket, Watch>,
}

impl Waiting {
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.for_durable.is_empty() && self.for_commit.is_empty() && self.watches.is_empty()
    }

    pub fn produce(&mut self, ticket: Ticket, acks: Acks, next: Offset, answer: Appended) {
        let queue = match acks {
            Acks::Leader => &mut self.for_durable,
            Acks::All => &mut self.for_commit,
        };
        let at = queue.partition_point(|p| p.next <= next);
        queue.insert(at, Produce { ticket, next, answer });
    }

    pub fn watch(&mut self, ticket: Ticket, from: Offset, visibility: Visibility, missing_bytes: usize) {
        let known = self.watches.insert(ticket, Watch { from, visibility, missing_bytes });
        assert!(known.is_none(), "a ticket is used once");
    }

    /// Stop a watch whose time is over; it is still answered, once.
    pub fn cancel(&mut self, ticket: Ticket, answers: &mut Vec<(Ticket, Answer)>) {
        if self.watches.remove(&ticket).is_some() {
            answers.push((ticket, Answer::Ready));
        }
    }

    pub fn on_durable(&mut self, end: Offset, answers: &mut Vec<(Ticket, Answer)>) {
        release(&mut self.for_durable, end, answers);
    }

    pub fn on_commit(&mut self, high_watermark: Offset, answers: &mut Vec<(Ticket, Answer)>) {
        release(&mut self.for_commit, high_watermark, answers);
    }

    /// `bytes` of batches up to `end` became visible to readers of this kind.
    pub fn on_visible(&mut self, kind: Visibility, end: Offset, bytes: usize, answers: &mut Vec<(Ticket, Answer)>) {
        self.watches.retain(|ticket, watch| {
            if watch.visibility != kind || end <= watch.from {
                return true;
            }
            watch.missing_bytes = watch.missing_bytes.saturating_sub(bytes);
            if watch.missing_bytes > 0 {
                return true;
            }
            answers.push((*ticket, Answer::Ready));
            false
        });
    }

    /// Something that every reader should see now: a new epoch, damage.
    pub fn wake_readers(&mut self, answers: &mut Vec<(Ticket, Answer)>) {
        answers.extend(std::mem::take(&mut self.watches).into_keys().map(|ticket| (ticket, Answer::Ready)));
    }

    /// Leadership ended: nobody here will be told the truth by this replica any more.
    pub fn interrupt(&mut self, leader: Option<NodeId>, epoch: LeaderEpoch, answers: &mut Vec<(Ticket, Answer)>) {
        let refused = Answer::Refused(Refusal::Interrupted { leader, epoch });
        for produce in self.for_durable.drain(..).chain(self.for_commit.drain(..)) {
            answers.push((produce.ticket, refused.clone()));
        }
        self.wake_readers(answers);
    }
}

fn release(queue: &mut VecDeque<Produce>, end: Offset, answers: &mut Vec<(Ticket, Answer)>) {
    while queue.front().is_some_and(|p| p.next <= end) {
        let produce = queue.pop_front().expect("the front was just seen");
        answers.push((produce.ticket, Answer::Appended(produce.answer)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_model::ShardId;

    fn ticket(slot: u32) -> Ticket {
        Ticket { home: ShardId(0), slot, generation: 0, part: 0 }
    }

    fn appended(base: i64) -> Appended {
        Appended { base: Offset(base), append_time: None, log_start: Offset(0) }
    }

    fn slots(answers: &[(Ticket, Answer)]) -> Vec<u32> {
        answers.iter().map(|(t, _)| t.slot).collect()
    }

    #[test]
    fn acks_wait_for_their_own_condition() {
        let mut waiting = Waiting::default();
        let mut answers = Vec::new();
        waiting.produce(ticket(1), Acks::Leader, Offset(5), appended(4));
        waiting.produce(ticket(2), Acks::All, Offset(5), appended(4));
        waiting.on_durable(Offset(4), &mut answers);
        assert!(answers.is_empty());
        waiting.on_durable(Offset(5), &mut answers);
        assert_eq!(slots(&answers), [1]);
        waiting.on_commit(Offset(5), &mut answers);
        assert_eq!(slots(&answers), [1, 2]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn a_duplicate_of_an_older_batch_does_not_wait_for_newer_ones() {
        let mut waiting = Waiting::default();
        let mut answers = Vec::new();
        waiting.produce(ticket(1), Acks::All, Offset(10), appended(9));
        waiting.produce(ticket(2), Acks::All, Offset(7), appended(6));
        waiting.on_commit(Offset(7), &mut answers);
        assert_eq!(slots(&answers), [2]);
    }

    #[test]
    fn a_watch_counts_bytes_and_ends_once() {
        let mut waiting = Waiting::default();
        let mut answers = Vec::new();
        waiting.watch(ticket(1), Offset(3), Visibility::HighWatermark, 100);
        waiting.watch(ticket(2), Offset(3), Visibility::LastStable, 1);
        waiting.on_visible(Visibility::HighWatermark, Offset(3), 500, &mut answers);
        assert!(answers.is_empty(), "nothing beyond what the reader has");
        waiting.on_visible(Visibility::HighWatermark, Offset(4), 60, &mut answers);
        waiting.on_visible(Visibility::HighWatermark, Offset(5), 60, &mut answers);
        assert_eq!(slots(&answers), [1]);
        waiting.cancel(ticket(1), &mut answers);
        assert_eq!(slots(&answers), [1], "already answered");
        waiting.cancel(ticket(2), &mut answers);
        assert_eq!(slots(&answers), [1, 2]);
    }

    #[test]
    fn losing_leadership_answers_everybody() {
        let mut waiting = Waiting::default();
        let mut answers = Vec::new();
        waiting.produce(ticket(1), Acks::Leader, Offset(5), appended(4));
        waiting.produce(ticket(2), Acks::All, Offset(5), appended(4));
        waiting.watch(ticket(3), Offset(0), Visibility::HighWatermark, 1);
        waiting.interrupt(None, LeaderEpoch(4), &mut answers);
        assert_eq!(slots(&answers), [1, 2, 3]);
        assert!(waiting.is_empty());
    }
}
