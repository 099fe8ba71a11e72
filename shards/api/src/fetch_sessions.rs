//! Incremental fetch sessions (KIP-227): what a consumer fetches is remembered, so that it sends and gets only changes.
//!
//! Sessions live in one core's memory and survive their connection. A client that comes back on another core, or after
//! a restart, is told FETCH_SESSION_ID_NOT_FOUND and starts a new one, as the KIP foresees.

use std::collections::BTreeMap;

use heddle_model::{Mono, ShardId, TopicId};
use heddle_protocol::{ErrorCode, StrBytes};
use rustc_hash::FxHashMap;

/// A session younger than this, by its last use, is not given up for a new one (Kafka's
/// `min.incremental.fetch.session.eviction.ms`).
const EVICTION_MS: u64 = 120_000;

/// What all sessions of a core may keep together. One that would go beyond it is given up, or not begun: its client then
/// fetches in full. Bytes.
const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// No topic has a longer name, so such a one is answered and not kept. Bytes.
const NAME_BYTES_MAX: usize = 249;

/// A topic as its session names it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum TopicKey {
    Name(StrBytes),
    Id(TopicId),
}

/// What one partition is fetched with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Wanted {
    pub topic: TopicKey,
    pub partition: i32,
    pub from: i64,
    pub max_bytes: i32,
    /// -1: no check.
    pub leader_epoch: i32,
    /// -1: none.
    pub last_fetched_epoch: i32,
}

/// What a session's client was last told of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    pub high_watermark: i64,
    pub last_stable: i64,
    pub log_start: i64,
}

struct Kept {
    wanted: Wanted,
    told: Option<Told>,
}

/// What one partition of a session takes, with its places in two maps. Bytes.
const KEPT_BYTES: usize = size_of::<Kept>() + size_of::<((TopicKey, i32), u64)>() + 4 * size_of::<u64>();

fn kept_bytes(topic: &TopicKey) -> usize {
    match topic {
        TopicKey::Name(name) => KEPT_BYTES + name.len(),
        TopicKey::Id(_) => KEPT_BYTES,
    }
}

fn may_keep(topic: &TopicKey) -> bool {
    !matches!(topic, TopicKey::Name(name) if name.len() > NAME_BYTES_MAX)
}

#[derive(Default)]
struct Session {
    /// The epoch that the next request must carry.
    epoch: i32,
    by_id: bool,
    /// In fetch order: a partition that gave data goes to the end, so that each gets its turn.
    order: BTreeMap<u64, Kept>,
    place: FxHashMap<(TopicKey, i32), u64>,
    next: u64,
    last_used: Mono,
    kept_bytes: usize,
}

/// How a fetch answers: with everything, or with changes only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    Full,
    /// A full answer that begins this session.
    Begins(i32),
    Incremental(i32),
}

impl Mode {
    pub fn session_id(self) -> i32 {
        match self {
            Mode::Full => 0,
            Mode::Begins(id) | Mode::Incremental(id) => id,
        }
    }
}

pub(crate) struct FetchSessions {
    home: ShardId,
    sessions_max: usize,
    sessions: BTreeMap<i32, Session>,
    next_id: u32,
    kept_bytes: usize,
}

/// A fetch request as far as sessions are concerned.
pub(crate) struct SessionRequest {
    pub id: i32,
    pub epoch: i32,
    pub by_id: bool,
    pub wanted: Vec<Wanted>,
    pub forgotten: Vec<(TopicKey, i32)>,
}

impl FetchSessions {
    pub fn new(home: ShardId, sessions_max: usize) -> FetchSessions {
        FetchSessions { home, sessions_max, sessions: BTreeMap::new(), next_id: 0, kept_bytes: 0 }
    }

    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// What all sessions keep, bytes.
    pub fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// Which partitions a request fetches, in order, each once. Epoch -1 ends a session, 0 begins one, others go on with
    /// it.
    pub fn open(&mut self, now: Mono, request: SessionRequest) -> Result<(Mode, Vec<Wanted>), ErrorCode> {
        match request.epoch {
            -1 => {
                self.remove(request.id);
                Ok((Mode::Full, each_once(request.wanted)))
            }
            0 => {
                self.remove(request.id);
                Ok(self.begin(now, request))
            }
            _ => self.go_on(now, request),
        }
    }

    fn begin(&mut self, now: Mono, request: SessionRequest) -> (Mode, Vec<Wanted>) {
        let wanted = each_once(request.wanted);
        let needed = wanted.iter().map(|wanted| kept_bytes(&wanted.topic)).sum();
        if wanted.is_empty() || !self.make_room(now, needed) {
            return (Mode::Full, wanted);
        }
        let id = self.new_id(now);
        let mut session = Session { epoch: 1, by_id: request.by_id, last_used: now, ..Session::default() };
        for wanted in wanted.iter().filter(|wanted| may_keep(&wanted.topic)) {
            session.put(wanted.clone());
        }
        self.kept_bytes += session.kept_bytes;
        self.sessions.insert(id, session);
        (Mode::Begins(id), wanted)
    }

    fn go_on(&mut self, now: Mono, request: SessionRequest) -> Result<(Mode, Vec<Wanted>), ErrorCode> {
        let session = self.sessions.get_mut(&request.id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != request.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.by_id != request.by_id {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        self.kept_bytes -= session.kept_bytes;
        let (keep, pass): (Vec<_>, Vec<_>) = request.wanted.into_iter().partition(|wanted| may_keep(&wanted.topic));
        for wanted in keep {
            session.put(wanted);
        }
        for forgotten in &request.forgotten {
            session.forget(forgotten);
        }
        if self.kept_bytes + session.kept_bytes > KEPT_BYTES_MAX {
            // The client begins anew, and gets a full answer if there is still no room then.
            self.sessions.remove(&request.id);
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        self.kept_bytes += session.kept_bytes;
        // Epochs wrap from 2^31-1 to 1: 0 would begin a session.
        session.epoch = session.epoch.checked_add(1).unwrap_or(1);
        session.last_used = now;
        let mut wanted = session.wanted();
        wanted.extend(each_once(pass));
        Ok((Mode::Incremental(request.id), wanted))
    }

    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.kept_bytes -= session.kept_bytes;
        }
    }

    /// Whether an incremental answer has to list this partition; remembers what is told. `has_news` is true for
    /// records, errors and divergence.
    pub fn tell(
        &mut self,
        mode: Mode,
        topic: &TopicKey,
        partition: i32,
        told: Told,
        has_news: bool,
        data: bool,
    ) -> bool {
        let listed = !matches!(mode, Mode::Incremental(_)) || has_news;
        let Some(session) = self.sessions.get_mut(&mode.session_id()) else { return true };
        let key = (topic.clone(), partition);
        let Some(at) = session.place.get(&key).copied() else { return true };
        let Some(kept) = session.order.get_mut(&at) else { return true };
        let changed = kept.told != Some(told);
        kept.told = Some(told);
        if data {
            session.move_last(key, at);
        }
        listed || changed
    }

    /// Room for one more that keeps so much: evicts those that were not used for longest, if that is long enough.
    fn make_room(&mut self, now: Mono, needed: usize) -> bool {
        if needed > KEPT_BYTES_MAX {
            return false;
        }
        while self.sessions.len() >= self.sessions_max || self.kept_bytes + needed > KEPT_BYTES_MAX {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.last_used);
            let Some((id, _)) = oldest.filter(|(_, session)| session.last_used.plus_ms(EVICTION_MS) <= now) else {
                return false;
            };
            self.remove(*id);
        }
        true
    }

    /// Positive and this core's own. Begins at the time, so that ids of an earlier life are rarely met again.
    fn new_id(&mut self, now: Mono) -> i32 {
        if self.next_id == 0 {
            self.next_id = (now.0 / 1000) as u32;
        }
        loop {
            self.next_id = self.next_id.wrapping_add(1);
            let id = ((self.next_id << 8) | u32::from(self.home.0 & 0xff)) & 0x7fff_ffff;
            if id != 0 && !self.sessions.contains_key(&(id as i32)) {
                return id as i32;
            }
        }
    }
}

impl Session {
    fn put(&mut self, wanted: Wanted) {
        let key = (wanted.topic.clone(), wanted.partition);
        if let Some(kept) = self.place.get(&key).and_then(|at| self.order.get_mut(at)) {
            kept.wanted = wanted;
            return;
        }
        self.kept_bytes += kept_bytes(&wanted.topic);
        self.place.insert(key, self.next);
        self.order.insert(self.next, Kept { wanted, told: None });
        self.next += 1;
    }

    fn forget(&mut self, key: &(TopicKey, i32)) {
        if let Some(at) = self.place.remove(key) {
            self.order.remove(&at);
            self.kept_bytes -= kept_bytes(&key.0);
        }
    }

    fn move_last(&mut self, key: (TopicKey, i32), at: u64) {
        if let Some(kept) = self.order.remove(&at) {
            self.order.insert(self.next, kept);
            self.place.insert(key, self.next);
            self.next += 1;
        }
    }

    fn wanted(&self) -> Vec<Wanted> {
        self.order.values().map(|kept| kept.wanted.clone()).collect()
    }
}

/// A request is a map of partitions: of one that is named again only the last counts, in the first one's place.
fn each_once(wanted: Vec<Wanted>) -> Vec<Wanted> {
    if wanted.len() < 2 {
        return wanted;
    }
    let mut places: FxHashMap<(TopicKey, i32), usize> = FxHashMap::default();
    let mut once: Vec<Wanted> = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        let place = *places.entry((wanted.topic.clone(), wanted.partition)).or_insert(once.len());
        if place == once.len() { once.push(wanted) } else { once[place] = wanted }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(partition: i32, from: i64) -> Wanted {
        Wanted {
            topic: TopicKey::Id(TopicId(5)),
            partition,
            from,
            max_bytes: 1000,
            leader_epoch: -1,
            last_fetched_epoch: -1,
        }
    }

    fn request(id: i32, epoch: i32, wanted: Vec<Wanted>) -> SessionRequest {
        SessionRequest { id, epoch, by_id: true, wanted, forgotten: Vec::new() }
    }

    fn told(high_watermark: i64) -> Told {
        Told { high_watermark, last_stable: high_watermark, log_start: 0 }
    }

    fn order(wanted: &[Wanted]) -> Vec<(i32, i64)> {
        wanted.iter().map(|w| (w.partition, w.from)).collect()
    }

    #[test]
    fn a_session_remembers_updates_and_forgets() {
        let mut sessions = FetchSessions::new(ShardId(3), 10);
        let (mode, all) = sessions.open(Mono(1), request(0, 0, vec![wanted(0, 5), wanted(1, 6)])).expect("new");
        let id = mode.session_id();
        assert_eq!((mode, id > 0, id & 0xff), (Mode::Begins(id), true, 3));
        assert_eq!(order(&all), [(0, 5), (1, 6)]);
        let (mode, all) = sessions.open(Mono(2), request(id, 1, vec![wanted(0, 9), wanted(2, 1)])).expect("goes on");
        assert_eq!(mode, Mode::Incremental(id));
        assert_eq!(order(&all), [(0, 9), (1, 6), (2, 1)]);
        let forget = SessionRequest { forgotten: vec![(TopicKey::Id(TopicId(5)), 1)], ..request(id, 2, Vec::new()) };
        assert_eq!(order(&sessions.open(Mono(3), forget).expect("goes on").1), [(0, 9), (2, 1)]);
    }

    #[test]
    fn refusals() {
        let mut sessions = FetchSessions::new(ShardId(0), 10);
        assert_eq!(sessions.open(Mono(1), request(77, 1, Vec::new())), Err(ErrorCode::FetchSessionIdNotFound));
        let id = sessions.open(Mono(1), request(0, 0, vec![wanted(0, 0)])).expect("new").0.session_id();
        assert_eq!(sessions.open(Mono(1), request(id, 2, Vec::new())), Err(ErrorCode::InvalidFetchSessionEpoch));
        let by_name = SessionRequest { by_id: false, ..request(id, 1, Vec::new()) };
        assert_eq!(sessions.open(Mono(1), by_name), Err(ErrorCode::FetchSessionTopicIdError));
        assert_eq!(sessions.open(Mono(1), request(id, -1, Vec::new())), Ok((Mode::Full, Vec::new())));
        assert_eq!(sessions.open(Mono(1), request(id, 1, Vec::new())), Err(ErrorCode::FetchSessionIdNotFound));
    }

    #[test]
    fn only_changes_are_told_and_who_gave_data_goes_last() {
        let mut sessions = FetchSessions::new(ShardId(0), 10);
        let (begins, _) = sessions.open(Mono(1), request(0, 0, vec![wanted(0, 0), wanted(1, 0)])).expect("new");
        let topic = TopicKey::Id(TopicId(5));
        assert!(sessions.tell(begins, &topic, 0, told(4), false, false), "a full answer lists all");
        assert!(sessions.tell(begins, &topic, 1, told(4), false, false));
        let (mode, _) = sessions.open(Mono(2), request(begins.session_id(), 1, Vec::new())).expect("goes on");
        assert!(!sessions.tell(mode, &topic, 0, told(4), false, false), "nothing new");
        assert!(sessions.tell(mode, &topic, 1, told(5), false, false), "a high watermark moved");
        assert!(sessions.tell(mode, &topic, 0, told(4), true, true), "data");
        let (_, all) = sessions.open(Mono(3), request(begins.session_id(), 2, Vec::new())).expect("goes on");
        assert_eq!(order(&all), [(1, 0), (0, 0)]);
    }

    #[test]
    fn a_full_cache_gives_up_only_what_is_long_unused() {
        let mut sessions = FetchSessions::new(ShardId(0), 1);
        let first = sessions.open(Mono(0), request(0, 0, vec![wanted(0, 0)])).expect("new").0;
        let young = Mono(0).plus_ms(EVICTION_MS - 1);
        assert_eq!(sessions.open(young, request(0, 0, vec![wanted(0, 0)])).expect("full answer").0, Mode::Full);
        let old = Mono(0).plus_ms(EVICTION_MS);
        let second = sessions.open(old, request(0, 0, vec![wanted(0, 0)])).expect("new").0;
        assert!(matches!(second, Mode::Begins(id) if id != first.session_id()));
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn each_partition_is_fetched_once_with_what_was_said_last() {
        let mut sessions = FetchSessions::new(ShardId(0), 0);
        let named = || vec![wanted(0, 1), wanted(1, 2), wanted(0, 3)];
        for epoch in [-1, 0] {
            let (mode, all) = sessions.open(Mono(1), request(0, epoch, named())).expect("in full");
            assert_eq!((mode, order(&all)), (Mode::Full, vec![(0, 3), (1, 2)]));
        }
    }

    fn of_name(name: &str, partition: i32) -> Wanted {
        Wanted { topic: TopicKey::Name(heddle_protocol::text(name)), ..wanted(partition, 0) }
    }

    #[test]
    fn names_that_no_topic_has_are_answered_and_not_kept() {
        let long = "x".repeat(250);
        let mut sessions = FetchSessions::new(ShardId(0), 10);
        let by_name = |id, epoch, wanted| SessionRequest { by_id: false, ..request(id, epoch, wanted) };
        let (mode, all) = sessions.open(Mono(1), by_name(0, 0, vec![of_name(&long, 0), of_name("a", 0)])).expect("new");
        assert_eq!(all.len(), 2);
        let topic = of_name(&long, 0).topic;
        assert!(sessions.tell(mode, &topic, 0, told(-1), true, false), "it is answered");
        let kept = sessions.kept_bytes();
        let (mode, all) = sessions.open(Mono(2), by_name(mode.session_id(), 1, vec![of_name(&long, 1)])).expect("on");
        assert_eq!(all.len(), 2, "the kept one and the new one");
        assert!(sessions.tell(mode, &of_name(&long, 1).topic, 1, told(-1), true, false));
        assert_eq!(sessions.kept_bytes(), kept);
    }

    #[test]
    fn what_all_sessions_keep_is_bounded_and_counted() {
        let partitions = (KEPT_BYTES_MAX / KEPT_BYTES / 2) as i32;
        let half = |from: i32| (from..from + partitions).map(|partition| wanted(partition, 0)).collect::<Vec<_>>();
        let mut sessions = FetchSessions::new(ShardId(0), 10);
        let first = sessions.open(Mono(0), request(0, 0, half(0))).expect("new").0;
        let second = sessions.open(Mono(0), request(0, 0, half(0))).expect("new").0;
        assert!(matches!((first, second), (Mode::Begins(_), Mode::Begins(_))));
        assert!(sessions.kept_bytes() <= KEPT_BYTES_MAX);
        let third = sessions.open(Mono(1), request(0, 0, half(0))).expect("in full");
        assert_eq!((third.0, third.1.len()), (Mode::Full, partitions as usize));
        let grown = sessions.open(Mono(1), request(second.session_id(), 1, half(partitions)));
        assert_eq!(grown.map(|_| ()), Err(ErrorCode::FetchSessionIdNotFound));
        let old = Mono(0).plus_ms(EVICTION_MS);
        assert!(matches!(sessions.open(old, request(0, 0, half(0))).expect("new").0, Mode::Begins(_)));
        let forgotten = (0..partitions).map(|partition| (TopicKey::Id(TopicId(5)), partition)).collect();
        let forget = SessionRequest { forgotten, ..request(first.session_id(), 1, Vec::new()) };
        assert_eq!(sessions.open(old, forget).expect("goes on").1.len(), 0);
        sessions.open(old, request(first.session_id(), -1, Vec::new())).expect("ends");
        let left = sessions.sessions.values().map(|session| session.kept_bytes).sum::<usize>();
        assert_eq!(sessions.kept_bytes(), left);
        assert!(left <= KEPT_BYTES_MAX / 2);
    }
}
