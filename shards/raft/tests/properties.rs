//! Properties of the parts that stand alone: histories, configurations, messages.

use heddle_model::{Incarnation, LeaderEpoch, NodeId, Offset, Point, Term, Voter};
use heddle_raft::{Append, AppendAck, AppendReject, Config, ConfigId, History, Message, Reset, VoteReply, VoteRequest};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

fn term() -> impl Strategy<Value = Term> + Clone {
    (0..40).prop_map(Term)
}

fn offset() -> impl Strategy<Value = Offset> + Clone {
    (0i64..60).prop_map(Offset)
}

fn point() -> impl Strategy<Value = Point> + Clone {
    (term(), offset()).prop_map(|(term, offset)| Point { term, offset })
}

/// A log as a list: the term of each record. Its history follows, with some empty terms thrown in. Nobody writes in term
/// 0, which is before any leader.
fn log() -> impl Strategy<Value = (Vec<(Term, Offset)>, Offset)> {
    btree_map(0..30, 0i64..4, 1..10).prop_map(|terms| {
        let mut end = 0;
        let lines = terms.into_iter().map(|(term, records)| {
            let records = if term == 0 { 0 } else { records };
            end += records;
            (Term(term), Offset(end - records))
        });
        let lines = lines.collect();
        (lines, Offset(end))
    })
}

fn config() -> impl Strategy<Value = Config> + Clone {
    let member = |nodes: std::collections::BTreeSet<i32>| {
        nodes.into_iter().map(|n| Voter { node: NodeId(n), incarnation: Incarnation(n as u32 % 3) }).collect::<Vec<_>>()
    };
    let lists = (btree_set(0..20, 0..6).prop_map(member), btree_set(20..40, 0..4).prop_map(member));
    (term(), any::<u32>(), lists).prop_map(|(term, version, (voters, learners))| Config {
        term,
        version,
        voters,
        learners,
    })
}

fn message() -> impl Strategy<Value = Message> {
    let id = (term(), any::<u32>()).prop_map(|(term, version)| ConfigId { term, version });
    let request = (term(), point(), id.clone(), any::<bool>())
        .prop_map(|(term, end, config, handed_over)| VoteRequest { term, end, config, handed_over });
    let reply = (term(), any::<bool>(), offset(), proptest::option::of(config()))
        .prop_map(|(term, granted, log_start, config)| VoteReply { term, granted, log_start, config });
    let news = (offset(), offset(), offset(), proptest::option::of(config()));
    let append =
        (term(), point(), point(), vec((term(), offset()), 0..5), news).prop_map(|(term, from, to, lines, n)| {
            let (commit, log_start, log_start_safe, config) = n;
            Append { term, from, lines, to, commit, log_start, log_start_safe, config }
        });
    prop_oneof![
        request.clone().prop_map(Message::PreVote),
        request.prop_map(Message::Vote),
        reply.clone().prop_map(Message::PreVoteReply),
        reply.prop_map(Message::VoteReply),
        append.prop_map(Message::Append),
        (term(), point(), id, offset()).prop_map(|(term, at, config, log_start)| {
            Message::AppendAck(AppendAck { term, at, config, log_start })
        }),
        (term(), point(), point())
            .prop_map(|(term, from, hint)| { Message::AppendReject(AppendReject { term, from, hint }) }),
        (term(), point(), offset(), offset(), config()).prop_map(|(term, at, line_start, commit, config)| {
            Message::Reset(Reset { term, at, line_start, commit, config })
        }),
        term().prop_map(|term| Message::StandNow { term }),
    ]
}

proptest! {
    #[test]
    fn a_history_contains_exactly_the_points_of_its_lines((lines, end) in log(), asked in point()) {
        let history = History::from_lines(lines.clone()).unwrap();
        let line = lines.iter().position(|line| line.0 == asked.term);
        let expected = line.is_some_and(|at| {
            let to = lines.get(at + 1).map_or(end, |next| next.1);
            lines[at].1 <= asked.offset && asked.offset <= to
        });
        prop_assert_eq!(history.contains(asked, end), expected);
    }

    #[test]
    fn points_at_an_offset_are_contained_and_are_the_extremes((lines, end) in log(), at in 0i64..60) {
        let history = History::from_lines(lines.clone()).unwrap();
        let at = Offset(at % (end.0 + 1));
        let all: Vec<Point> = lines.iter().map(|line| Point { term: line.0, offset: at }).collect();
        let all: Vec<Point> = all.into_iter().filter(|p| history.contains(*p, end)).collect();
        prop_assert_eq!(Some(history.point(at)), all.iter().max().copied());
        prop_assert_eq!(Some(history.smallest_point(at)), all.iter().min().copied());
    }

    #[test]
    fn the_largest_point_not_above_is_the_largest((lines, end) in log(), asked in term()) {
        let history = History::from_lines(lines.clone()).unwrap();
        let best = lines.iter().filter(|line| line.0 <= asked).map(|line| line.0).max();
        let best = best.map(|term| Point { term, offset: history.end_of(term, end).unwrap() });
        prop_assert_eq!(history.largest_not_above(asked, end), best);
        if let Some(point) = best {
            prop_assert!(history.contains(point, end));
            let beyond = Point { term: point.term, offset: Offset(point.offset.0 + 1) };
            prop_assert!(!history.contains(beyond, end));
        }
    }

    /// The table that Kafka's `LeaderEpochFileCache` keeps: each new leader's epoch replaces those that wrote nothing, and
    /// of what stands below the log start one entry is left, which begins there.
    #[test]
    fn epoch_end_answers_as_kafka_does((lines, end) in log(), start in 0i64..60, asked in -3i32..40) {
        let (asked, start) = (LeaderEpoch(asked), Offset(start % (end.0 + 1)));
        let mut history = History::from_lines(lines.clone()).unwrap();
        history.trim(start);
        let mut table: Vec<(LeaderEpoch, Offset)> = Vec::new();
        // Nobody leads in term 0, and so it has no records either.
        for (term, from) in lines.iter().filter(|line| line.0 > Term(0)) {
            table.retain(|entry| entry.1 < *from);
            table.push((term.epoch(), *from));
        }
        let below = table.iter().rposition(|entry| entry.1 <= start);
        if let Some(at) = below {
            table.drain(..at);
            table[0].1 = start;
        }
        let higher = table.iter().find(|entry| entry.0 > asked).map(|entry| entry.1);
        let floor = table.iter().rev().find(|entry| entry.0 <= asked).map(|entry| entry.0);
        let expected = match higher {
            _ if asked == LeaderEpoch::NONE => None,
            None => (floor == Some(asked)).then_some((asked, end)),
            Some(start) => Some((floor.unwrap_or(asked), start)),
        };
        prop_assert_eq!(history.epoch_end(asked, start, end), expected);
    }

    #[test]
    fn trimming_keeps_every_point_from_the_log_start_on((lines, end) in log(), start in 0i64..60, asked in point()) {
        let history = History::from_lines(lines).unwrap();
        let start = Offset(start % (end.0 + 1));
        let mut trimmed = history.clone();
        trimmed.trim(start);
        prop_assert!(trimmed.contains(history.smallest_point(start), end));
        // At the log start itself an empty term that ended there may be forgotten.
        if asked.offset > start {
            prop_assert_eq!(trimmed.contains(asked, end), history.contains(asked, end));
        }
    }

    #[test]
    fn a_cut_leaves_a_prefix((lines, _) in log(), at in 0usize..10) {
        let mut history = History::from_lines(lines.clone()).unwrap();
        let at = at % lines.len();
        history.cut(lines[at].0);
        prop_assert_eq!(history.lines(), &lines[..=at]);
    }

    #[test]
    fn configurations_come_back_from_their_bytes(config in config(), spoilt in any::<(u16, u8)>()) {
        let mut bytes = vec![];
        config.encode(&mut bytes);
        prop_assert!(bytes.len() <= heddle_raft::CONFIG_BYTES_MAX);
        prop_assert_eq!(Config::decode(&bytes), Ok(config));
        prop_assert!(Config::decode(&bytes[..bytes.len() - 1]).is_err());
        let at = usize::from(spoilt.0) % bytes.len();
        bytes[at] = spoilt.1;
        if let Ok(config) = Config::decode(&bytes) {
            prop_assert!(config.sound().is_ok());
        }
    }

    #[test]
    fn messages_come_back_from_their_bytes(message in message(), extra in any::<u8>()) {
        let mut bytes = vec![];
        message.encode(&mut bytes);
        let decoded = Message::decode(&bytes);
        prop_assert_eq!(decoded.as_ref(), Ok(&message));
        for shorter in 0..bytes.len() {
            prop_assert!(Message::decode(&bytes[..shorter]).is_err());
        }
        bytes.push(extra);
        prop_assert!(Message::decode(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let mut framed = vec![1, bytes.first().copied().unwrap_or(0) % 10];
        framed.extend(&bytes);
        for bytes in [&bytes, &framed] {
            if let Ok(message) = Message::decode(bytes) {
                let mut again = vec![];
                message.encode(&mut again);
                prop_assert_eq!(&again, bytes);
            }
        }
    }

    #[test]
    fn lines_that_are_no_history_are_refused(lines in vec((-1..5, -1i64..5), 0..4)) {
        let lines: Vec<_> = lines.into_iter().map(|(term, start)| (Term(term), Offset(start))).collect();
        let sound = !lines.is_empty()
            && lines.iter().all(|line| line.0.0 >= 0 && line.1.0 >= 0)
            && lines.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1);
        prop_assert_eq!(History::from_lines(lines).is_some(), sound);
    }
}
