//! Group coordinators on a core whose partition takes no decision.

use heddle_model::TopicId;

use super::*;
use crate::turn::tests::shard;

fn nothing() -> partition::Answer {
    partition::Answer::Read(partition::Records {
        parts: Vec::new(),
        high_watermark: Offset::ZERO,
        last_stable: Offset::ZERO,
        log_start: Offset::ZERO,
        aborted: Vec::new(),
        diverging: None,
    })
}

#[test]
fn what_groups_cannot_be_told_now_they_are_told_later() {
    let mut shard = shard();
    let at = PartitionId { topic: TopicId(9), index: PartitionIndex(0) };
    shard.coordinators.groups.insert(at.index, Host::new(at, GroupRoom::new(shard.image.clone())));
    let untold = |shard: &Shard| -> Vec<String> {
        shard.coordinators.untold.get(&at.index).into_iter().flatten().map(|topic| topic.to_string()).collect()
    };
    shard.coordinators_on_image(true, &["elsewhere".into()]);
    assert!(untold(&shard).is_empty(), "whoever leads is told");
    let now = shard.now;
    let host = shard.coordinators.groups.get_mut(&at.index).expect("just put there");
    host.on_leading(&mut Vec::new());
    let read = host.load(now, Offset::ZERO).expect("it reads");
    shard.coordinators_on_image(true, &["while-loading".into()]);
    let host = shard.coordinators.groups.get_mut(&at.index).expect("just put there");
    host.on_answer(now, read.sequence, nothing(), &mut Vec::new());
    assert!(host.is_up());
    shard.tell_of_topics_gone(at);
    // It has no partition here that would take a decision.
    shard.coordinators_on_image(true, &["while-broken".into()]);
    shard.tick_coordinators();
    assert_eq!(untold(&shard), ["while-broken", "while-loading"]);
    assert!(shard.replies.is_empty());
}

/// Who asks is sent away, and its session ends meanwhile: it could not be heard.
#[test]
fn whoever_is_turned_away_is_not_missed() {
    let mut shard = shard();
    let at = PartitionId { topic: TopicId(9), index: PartitionIndex(0) };
    let mut host = Host::new(at, GroupRoom::new(shard.image.clone()));
    host.on_leading(&mut Vec::new());
    let read = host.load(shard.now, Offset::ZERO).expect("it reads");
    host.on_answer(shard.now, read.sequence, nothing(), &mut Vec::new());
    assert!(host.is_up() && !host.is_suspended());
    shard.coordinators.groups.insert(at.index, host);
    let ticket = Ticket { home: shard.me, slot: 1, generation: 0, part: 0 };
    shard.ask_group(ticket, at, group::Ask::List(group::List::default()));
    assert!(matches!(shard.replies[..], [(_, Answer::Group(group::Answer::Refused(group::Refusal::NotCoordinator)))]));
    let suspended = |shard: &Shard| shard.coordinators.groups[&at.index].is_suspended();
    assert!(suspended(&shard));
    // The same if something is due: offsets are to expire.
    let now = Now { mono: shard.now.mono.plus_ms(3_600_000), ..shard.now };
    let host = shard.coordinators.groups.get_mut(&at.index).expect("it is there");
    host.tick(shard.now, Offset::ZERO, 0, &mut Vec::new());
    assert!(!suspended(&shard));
    shard.now = now;
    shard.tick_coordinators();
    assert!(suspended(&shard));
}
