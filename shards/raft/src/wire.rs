//! Messages as bytes. `format u8 | kind u8 | term i32 | fields`, all little-endian; a point is `term i32, offset i64`, a
//! configuration `bytes u16` (0: none) and itself. A message is exactly as long as its fields.

use crate::message::{Append, AppendAck, AppendReject, LINES_MAX, Message, Reset, VoteReply, VoteRequest};
use crate::{Config, ConfigId};
use heddle_model::{Offset, Point, Term};

const FORMAT: u8 = 1;

/// The bytes are no message of this format. `on_message` still checks that the fields agree with each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Undecodable;

impl Message {
    /// Appends the encoded message to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut w = Writer(out);
        w.u8(FORMAT);
        w.u8(self.kind());
        w.term(self.term());
        match self {
            Message::PreVote(m) | Message::Vote(m) => {
                w.point(m.end);
                w.config_id(m.config);
                w.u8(m.handed_over.into());
            }
            Message::PreVoteReply(m) | Message::VoteReply(m) => {
                w.u8(m.granted.into());
                w.offset(m.log_start);
                w.config(m.config.as_ref());
            }
            Message::Append(m) => w.append(m),
            Message::AppendAck(m) => {
                w.point(m.at);
                w.config_id(m.config);
                w.offset(m.log_start);
            }
            Message::AppendReject(m) => {
                w.point(m.from);
                w.point(m.hint);
            }
            Message::Reset(m) => {
                w.point(m.at);
                w.offset(m.line_start);
                w.offset(m.commit);
                w.config(Some(&m.config));
            }
            Message::StandNow { .. } => {}
        }
    }

    /// Exactly one encoded message.
    pub fn decode(bytes: &[u8]) -> Result<Message, Undecodable> {
        let mut r = Reader(bytes);
        let message = r.message().ok_or(Undecodable)?;
        if r.0.is_empty() { Ok(message) } else { Err(Undecodable) }
    }

    fn kind(&self) -> u8 {
        match self {
            Message::PreVote(_) => 1,
            Message::PreVoteReply(_) => 2,
            Message::Vote(_) => 3,
            Message::VoteReply(_) => 4,
            Message::Append(_) => 5,
            Message::AppendAck(_) => 6,
            Message::AppendReject(_) => 7,
            Message::Reset(_) => 8,
            Message::StandNow { .. } => 9,
        }
    }
}

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn term(&mut self, term: Term) {
        self.0.extend(term.0.to_le_bytes());
    }

    fn offset(&mut self, offset: Offset) {
        self.0.extend(offset.0.to_le_bytes());
    }

    fn point(&mut self, point: Point) {
        self.term(point.term);
        self.offset(point.offset);
    }

    fn config_id(&mut self, id: ConfigId) {
        self.term(id.term);
        self.0.extend(id.version.to_le_bytes());
    }

    fn config(&mut self, config: Option<&Config>) {
        let at = self.0.len();
        self.0.extend([0, 0]);
        if let Some(config) = config {
            config.encode(self.0);
        }
        let bytes = u16::try_from(self.0.len() - at - 2).expect("a configuration is small");
        self.0[at..at + 2].copy_from_slice(&bytes.to_le_bytes());
    }

    fn append(&mut self, m: &Append) {
        self.point(m.from);
        self.point(m.to);
        self.offset(m.commit);
        self.offset(m.log_start);
        self.offset(m.log_start_safe);
        let lines = u16::try_from(m.lines.len()).expect("an append carries few lines");
        self.0.extend(lines.to_le_bytes());
        for (term, start) in &m.lines {
            self.point(Point { term: *term, offset: *start });
        }
        self.config(m.config.as_ref());
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn message(&mut self) -> Option<Message> {
        if self.u8()? != FORMAT {
            return None;
        }
        let (kind, term) = (self.u8()?, self.term()?);
        Some(match kind {
            1 => Message::PreVote(self.vote_request(term)?),
            2 => Message::PreVoteReply(self.vote_reply(term)?),
            3 => Message::Vote(self.vote_request(term)?),
            4 => Message::VoteReply(self.vote_reply(term)?),
            5 => Message::Append(self.append(term)?),
            6 => {
                let (at, config) = (self.point()?, self.config_id()?);
                Message::AppendAck(AppendAck { term, at, config, log_start: self.offset()? })
            }
            7 => Message::AppendReject(AppendReject { term, from: self.point()?, hint: self.point()? }),
            8 => {
                let (at, line_start, commit) = (self.point()?, self.offset()?, self.offset()?);
                Message::Reset(Reset { term, at, line_start, commit, config: self.config()?? })
            }
            9 => Message::StandNow { term },
            _ => return None,
        })
    }

    fn vote_request(&mut self, term: Term) -> Option<VoteRequest> {
        Some(VoteRequest { term, end: self.point()?, config: self.config_id()?, handed_over: self.flag()? })
    }

    fn vote_reply(&mut self, term: Term) -> Option<VoteReply> {
        Some(VoteReply { term, granted: self.flag()?, log_start: self.offset()?, config: self.config()? })
    }

    fn append(&mut self, term: Term) -> Option<Append> {
        let (from, to) = (self.point()?, self.point()?);
        let (commit, log_start, log_start_safe) = (self.offset()?, self.offset()?, self.offset()?);
        let count = usize::from(u16::from_le_bytes(self.bytes()?));
        if count > LINES_MAX {
            return None;
        }
        let lines = (0..count).map(|_| self.point().map(|p| (p.term, p.offset))).collect::<Option<Vec<_>>>()?;
        Some(Append { term, from, lines, to, commit, log_start, log_start_safe, config: self.config()? })
    }

    /// The outer `None` is an error, the inner one "no configuration".
    fn config(&mut self) -> Option<Option<Config>> {
        let count = usize::from(u16::from_le_bytes(self.bytes()?));
        let (config, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        if count == 0 { Some(None) } else { Config::decode(config).ok().map(Some) }
    }

    fn config_id(&mut self) -> Option<ConfigId> {
        Some(ConfigId { term: self.term()?, version: u32::from_le_bytes(self.bytes()?) })
    }

    fn point(&mut self) -> Option<Point> {
        Some(Point { term: self.term()?, offset: self.offset()? })
    }

    fn offset(&mut self) -> Option<Offset> {
        self.bytes().map(|bytes| Offset(i64::from_le_bytes(bytes)))
    }

    fn term(&mut self) -> Option<Term> {
        self.bytes().map(|bytes| Term(i32::from_le_bytes(bytes)))
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn u8(&mut self) -> Option<u8> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }
}
