//! Asks, answers and news between the rooms of this core, and to and from other cores.

use heddle_api::{Answer, Ask, Origin, Target};
use heddle_border::Out;
use heddle_model::{PartitionId, ShardId, Ticket};
use heddle_partition::{self as partition, News};

use crate::coordinators::HOST_SLOTS;
use crate::mail::{Level, Mail};
use crate::reconcile::CONTROLLER_REPLICA;

use super::Shard;

/// Questions on their way to rooms of a core.
pub(crate) type Asks = Vec<(Ticket, Target, Ask)>;

/// What one turn has for another core: one letter of each kind.
#[derive(Default)]
pub(crate) struct Abroad {
    asks: Asks,
    answers: Vec<(Ticket, Answer)>,
    cancels: Vec<(Ticket, Target)>,
}

impl Shard {
    /// Carry asks, answers and news between the rooms of this core until none is left.
    pub(super) fn carry(&mut self) {
        loop {
            if !(self.wish.effects.is_empty() && self.wish.asks.is_empty() && self.wish.cancels.is_empty()) {
                self.take_wishes();
            } else if let Some((ticket, target, ask)) = self.asks.pop_front() {
                self.ask(ticket, target, ask);
            } else if let Some((ticket, target)) = self.cancels.pop() {
                self.cancel(ticket, target);
            } else if !self.answers.is_empty() {
                for (ticket, answer) in std::mem::take(&mut self.answers) {
                    self.deliver_partition(ticket, answer);
                }
            } else if !self.replies.is_empty() {
                for (ticket, answer) in std::mem::take(&mut self.replies) {
                    self.deliver(ticket, answer);
                }
            } else if !self.news.is_empty() {
                for news in std::mem::take(&mut self.news) {
                    self.on_news(news);
                }
            } else {
                return;
            }
        }
    }

    fn take_wishes(&mut self) {
        self.effects.append(&mut self.wish.effects);
        for (ticket, target, ask) in std::mem::take(&mut self.wish.asks) {
            match self.route(&target) {
                Some(core) if core == self.me => self.asks.push_back((ticket, target, ask)),
                Some(core) => self.abroad.entry(core).or_default().asks.push((ticket, target, ask)),
                None => self.deliver(ticket, Answer::Unreachable),
            }
        }
        for (ticket, target) in std::mem::take(&mut self.wish.cancels) {
            match self.route(&target) {
                Some(core) if core == self.me => self.cancels.push((ticket, target)),
                Some(core) => self.abroad.entry(core).or_default().cancels.push((ticket, target)),
                // The partition is gone, and its replica answered everybody when it left.
                None => {}
            }
        }
    }

    /// The core of this node that can answer. `None`: no replica here.
    fn route(&self, target: &Target) -> Option<ShardId> {
        match target {
            Target::House => Some(self.me),
            Target::Controller | Target::Partition(PartitionId::CONTROLLER) => Some(self.core_of(CONTROLLER_REPLICA)),
            Target::Partition(partition) => {
                let placement = self.image.partition(*partition)?;
                Some(self.core_of(placement.on(self.config.node)?.number))
            }
            Target::Group(_) | Target::GroupPartition(_) | Target::Transaction(_) => {
                let partition = self.coordinators.partition_of(target, &self.image)?;
                self.route(&Target::Partition(partition))
            }
        }
    }

    pub(super) fn ask(&mut self, ticket: Ticket, target: Target, ask: Ask) {
        match (target, ask) {
            (Target::Partition(partition), Ask::Partition(ask)) => {
                let Some(slot) = self.by_partition.get(&partition).copied() else {
                    let refusal = if self.unopened.contains(&partition) {
                        partition::Refusal::Storage
                    } else {
                        partition::Refusal::UnknownPartition
                    };
                    return self.answers.push((ticket, partition::Answer::Refused(refusal)));
                };
                if matches!(&ask, partition::Ask::Append(append) if self.refuses(append)) {
                    let refused = partition::Answer::Refused(partition::Refusal::Storage);
                    return self.answers.push((ticket, refused));
                }
                self.with_replica(slot, |replica, world| replica.ask(ticket, ask, world));
                self.budget.touch(slot);
            }
            (_, Ask::Space) => self.ask_space(ticket),
            (target, ask) => self.ask_coordinator(ticket, target, ask),
        }
    }

    fn cancel(&mut self, ticket: Ticket, target: Target) {
        for (_, asks) in &mut self.early {
            if let Some(at) = asks.iter().position(|(early, ..)| *early == ticket) {
                return match asks.remove(at).1 {
                    Target::Partition(_) => self.answers.push((ticket, partition::Answer::Ready)),
                    _ => self.replies.push((ticket, Answer::Unreachable)),
                };
            }
        }
        if let Target::Group(group) = &target
            && let Some(partition) = self.coordinators.partition_of(&target, &self.image)
        {
            return self.coordinators.cancel(partition.index, group, ticket, self.me);
        }
        let Target::Partition(partition) = target else { return };
        if let Some(slot) = self.by_partition.get(&partition).copied() {
            self.with_replica(slot, |replica, world| replica.cancel(ticket, world));
        }
    }

    fn deliver_partition(&mut self, ticket: Ticket, answer: partition::Answer) {
        if ticket.home == self.me && ticket.slot >= HOST_SLOTS {
            self.on_host_answer(ticket, answer);
        } else {
            self.deliver(ticket, Answer::Partition(answer));
        }
    }

    pub(crate) fn deliver(&mut self, ticket: Ticket, answer: Answer) {
        if Shard::is_for_house(ticket) {
            return;
        }
        if ticket.home == self.me {
            let origin = Origin { core: self.me, is_calm: self.load.is_calm() };
            self.with_api(|api, view, wish| api.on_answer(ticket, answer, origin, view, wish));
        } else {
            self.abroad.entry(ticket.home).or_default().answers.push((ticket, answer));
        }
    }

    fn on_news(&mut self, news: News) {
        match news {
            News::Leader { partition, leader, epoch, serving } => self.on_leader(partition, leader, epoch, serving),
            News::Trouble { partition, what } => {
                if self.said.is_news(partition, &what, self.now.mono) {
                    self.log(Level::Warn, format!("{}: {what}", self.name_of(partition)));
                }
            }
            News::Removed { replica } => self.on_removed(replica),
            News::Peer { partition, .. } | News::Replicate { partition, .. } | News::Restate { partition, .. } => {
                panic!("{partition:?} has a peer, and this broker is alone")
            }
        }
    }

    /// Everything answered in this turn leaves, one send for each connection. That frees slots for requests that waited,
    /// and those may be answered at once again.
    pub(super) fn answer_clients(&mut self) {
        loop {
            self.with_api(|api, view, wish| api.flush(view, wish));
            if self.wish.asks.is_empty() && self.wish.cancels.is_empty() {
                break;
            }
            self.carry();
        }
        self.carry();
    }

    pub(super) fn hand_out(&mut self, out: &mut Out<Mail>) {
        out.effects.append(&mut self.effects);
        out.mail.append(&mut self.letters);
        for (core, abroad) in &mut self.abroad {
            if !abroad.asks.is_empty() {
                let asks = std::mem::take(&mut abroad.asks);
                out.mail.push((*core, Mail::Asks { image: self.image.version, asks }));
            }
            if !abroad.cancels.is_empty() {
                out.mail.push((*core, Mail::Cancels(std::mem::take(&mut abroad.cancels))));
            }
            if !abroad.answers.is_empty() {
                let answers = std::mem::take(&mut abroad.answers);
                out.mail.push((*core, Mail::Answers { answers, is_calm: self.load.is_calm() }));
            }
        }
    }
}
