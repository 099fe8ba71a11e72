//! Whether a connection should live on another core: where its records go.
//!
//! A produce request that one core receives and another stores wakes two cores where one would do. A producer of one
//! partition, or of a few that share a core, is better off there; `kafka-producer-perf-test` with one partition, on two
//! CPUs that the client needs too, brings 30 % more records through and takes 30 % less of the broker's CPU. So a
//! connection whose answers to Produce come from one other core, nearly all and for a while, moves to it, unless that core
//! is busy: then it is better that others do the network's share of its work.

use heddle_model::{Mono, ShardId};

use crate::config::ApiConfig;

/// Each move makes the next watch so many times as long: a client that changes its mind does not drag its connection
/// along all day.
const PATIENCE: u64 = 4;
const PATIENCE_MOVES_MAX: u32 = 8;
/// How many of a hundred answers come from a core that is followed.
const SHARE_PERCENT: u32 = 90;

/// Who answered an ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    pub core: ShardId,
    /// It has time to spare for the network.
    pub is_calm: bool,
}

/// Of one connection.
pub(crate) struct Follow {
    /// How often the connection moved already.
    moves: u32,
    since: Mono,
    answers: u32,
    /// Who gave the first of them, and how many more.
    core: ShardId,
    agreeing: u32,
}

impl Follow {
    pub fn new(moves: u32, now: Mono) -> Follow {
        Follow { moves, since: now, answers: 0, core: ShardId(0), agreeing: 0 }
    }

    /// A part of a produce request was answered. `Some`: the connection belongs on that core.
    pub fn on_answer(&mut self, origin: Origin, home: ShardId, now: Mono, config: &ApiConfig) -> Option<ShardId> {
        if self.answers == 0 {
            (self.since, self.core, self.agreeing) = (now, origin.core, 0);
        }
        self.answers += 1;
        self.agreeing += u32::from(origin.core == self.core);
        let watch_ms = config.follow_ms * PATIENCE.pow(self.moves.min(PATIENCE_MOVES_MAX));
        if self.answers < config.follow_answers || now < self.since.plus_ms(watch_ms) {
            return None;
        }
        let agree = u64::from(self.agreeing) * 100 >= u64::from(self.answers) * u64::from(SHARE_PERCENT);
        self.answers = 0;
        (agree && self.core != home && origin.is_calm).then_some(self.core)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: ShardId = ShardId(0);

    /// What comes of answers of these cores, in turn, one each 10 ms.
    fn watched(follow: &mut Follow, from: &[u16], is_calm: bool, answers: u64) -> Option<(u64, ShardId)> {
        let config = ApiConfig::default();
        (0..answers).find_map(|at| {
            let origin = Origin { core: ShardId(from[at as usize % from.len()]), is_calm };
            follow.on_answer(origin, HOME, Mono(at * 10_000), &config).map(|to| (at, to))
        })
    }

    #[test]
    fn a_producer_of_another_cores_partition_goes_there() {
        assert_eq!(watched(&mut Follow::new(0, Mono(0)), &[3], true, 1000), Some((63, ShardId(3))));
    }

    #[test]
    fn each_move_makes_the_next_slower() {
        let after = |moves| watched(&mut Follow::new(moves, Mono(0)), &[3], true, 4_000_000).map(|(at, _)| at * 10);
        assert_eq!(after(1), Some(2_000));
        assert_eq!(after(3), Some(32_000));
        assert_eq!(after(8), after(80));
    }

    #[test]
    fn who_is_at_home_or_everywhere_or_not_welcome_stays() {
        assert_eq!(watched(&mut Follow::new(0, Mono(0)), &[0], true, 1000), None);
        assert_eq!(watched(&mut Follow::new(0, Mono(0)), &[1, 2], true, 1000), None);
        assert_eq!(watched(&mut Follow::new(0, Mono(0)), &[1, 1, 1, 1, 0], true, 1000), None);
        assert_eq!(watched(&mut Follow::new(0, Mono(0)), &[1], false, 1000), None);
    }

    #[test]
    fn few_answers_say_nothing() {
        assert_eq!(watched(&mut Follow::new(0, Mono(0)), &[1], true, 63), None);
    }

    #[test]
    fn a_few_strays_do_not_matter() {
        let mut from = vec![1; 19];
        from.push(0);
        assert_eq!(watched(&mut Follow::new(0, Mono(0)), &from, true, 1000).map(|(_, to)| to), Some(ShardId(1)));
    }
}
