//! Messages that no honest peer would send.

use heddle_model::{Offset, Point, Term};
use heddle_raft::{Append, AppendAck, AppendReject, Config, ConfigId, Message, Reset, VoteReply, VoteRequest};

/// Any message, its numbers drawn by `below`.
pub fn message(mut below: impl FnMut(usize) -> usize) -> Message {
    let mut number = move |usual: usize| match below(12) {
        0 => -1,
        1 => i64::from(i32::MAX),
        2 => i64::MAX,
        3 => i64::MIN,
        _ => below(usual) as i64,
    };
    let kind = number(9);
    let mut term = |usual| Term(number(usual) as i32);
    let (term, at_term, from_term, config_term) = (term(14), term(12), term(12), term(12));
    let mut offset = || Offset(number(14));
    let (log_start, commit) = (offset(), offset());
    let (at, from) = (Point { term: at_term, offset: offset() }, Point { term: from_term, offset: offset() });
    let granted = offset().0 % 2 == 0;
    let lines = (0..offset().0.clamp(0, 3)).map(|_| (Term(offset().0 as i32), offset())).collect();
    let member = |node| crate::replica::voter(node);
    let config = Config {
        term: config_term,
        version: offset().0 as u32,
        voters: (0..offset().0.clamp(0, 40)).map(|_| member(offset().0 as i32)).collect(),
        learners: vec![],
    };
    let id: ConfigId = config.id();
    match kind {
        0 => Message::PreVote(VoteRequest { term, end: at, config: id, handed_over: granted }),
        1 => Message::PreVoteReply(VoteReply { term, granted, log_start, config: Some(config) }),
        2 => Message::Vote(VoteRequest { term, end: at, config: id, handed_over: granted }),
        3 => Message::VoteReply(VoteReply { term, granted, log_start, config: Some(config) }),
        4 => Message::AppendAck(AppendAck { term, at, config: id, log_start }),
        5 => Message::AppendReject(AppendReject { term, from, hint: at }),
        6 => Message::Reset(Reset { term, at, line_start: log_start, commit, config }),
        7 => Message::StandNow { term },
        _ => {
            let config = granted.then_some(config);
            Message::Append(Append { term, from, lines, to: at, commit, log_start, log_start_safe: offset(), config })
        }
    }
}
