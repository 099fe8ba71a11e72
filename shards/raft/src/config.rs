//! Who belongs to a group. It stands beside the log, not in it (log-less reconfiguration, arXiv 2102.11960): a newer
//! one replaces an older one, (term, version) orders them.

use heddle_model::{Incarnation, NodeId, Term, Voter};

/// Voters, and separately learners, that a group may have.
pub const MEMBERS_MAX: usize = 32;

const FORMAT: u8 = 1;
const MEMBER_BYTES: usize = 8;
/// Bytes that an encoded configuration never exceeds.
pub const CONFIG_BYTES_MAX: usize = HEADER_BYTES + 2 * MEMBERS_MAX * MEMBER_BYTES;
const HEADER_BYTES: usize = 1 + 4 + 4 + 1 + 1;

/// Orders configurations: newer replaces older.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct ConfigId {
    pub term: Term,
    pub version: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    pub term: Term,
    pub version: u32,
    /// Sorted, no node twice. Empty only in a fresh learner that has not heard of its group yet.
    pub voters: Vec<Voter>,
    /// Sorted, no node twice, none of them a voter. They get the log, but neither vote nor count.
    pub learners: Vec<Voter>,
}

/// Why bytes or lists are not a configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigUnsound {
    /// Too short, too long, or of an unknown format.
    Bytes,
    /// More than `MEMBERS_MAX` voters or learners.
    TooMany,
    /// Not sorted, or a node named twice.
    Unordered,
    /// A negative term.
    Term,
}

impl Config {
    pub fn id(&self) -> ConfigId {
        ConfigId { term: self.term, version: self.version }
    }

    pub fn is_voter(&self, who: Voter) -> bool {
        self.voters.binary_search(&who).is_ok()
    }

    pub fn is_member(&self, who: Voter) -> bool {
        self.is_voter(who) || self.learners.binary_search(&who).is_ok()
    }

    /// Voters, then learners.
    pub fn members(&self) -> impl Iterator<Item = Voter> + '_ {
        self.voters.iter().chain(&self.learners).copied()
    }

    /// The rules every configuration obeys, also one that a peer sent.
    pub fn sound(&self) -> Result<(), ConfigUnsound> {
        if self.term.0 < 0 {
            return Err(ConfigUnsound::Term);
        }
        if self.voters.len() > MEMBERS_MAX || self.learners.len() > MEMBERS_MAX {
            return Err(ConfigUnsound::TooMany);
        }
        let rising = |list: &[Voter]| list.windows(2).all(|w| w[0].node < w[1].node);
        let apart = self
            .learners
            .iter()
            .all(|l| self.voters.iter().all(|v| v.node != l.node || v.incarnation != l.incarnation));
        if !rising(&self.voters) || !rising(&self.learners) || !apart {
            return Err(ConfigUnsound::Unordered);
        }
        Ok(())
    }

    /// `format u8 | term i32 | version u32 | voters u8 | learners u8 | (node i32, incarnation u32)*`, little-endian.
    pub fn encode(&self, out: &mut Vec<u8>) {
        assert!(self.sound().is_ok(), "only sound configurations are written: {self:?}");
        out.push(FORMAT);
        out.extend(self.term.0.to_le_bytes());
        out.extend(self.version.to_le_bytes());
        out.extend([self.voters.len() as u8, self.learners.len() as u8]);
        for member in self.members() {
            out.extend(member.node.0.to_le_bytes());
            out.extend(member.incarnation.0.to_le_bytes());
        }
    }

    /// Exactly one encoded configuration.
    pub fn decode(bytes: &[u8]) -> Result<Config, ConfigUnsound> {
        if bytes.len() < HEADER_BYTES || bytes[0] != FORMAT {
            return Err(ConfigUnsound::Bytes);
        }
        let word = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        let (voters, learners) = (bytes[9] as usize, bytes[10] as usize);
        if voters > MEMBERS_MAX || learners > MEMBERS_MAX {
            return Err(ConfigUnsound::TooMany);
        }
        if bytes.len() != HEADER_BYTES + (voters + learners) * MEMBER_BYTES {
            return Err(ConfigUnsound::Bytes);
        }
        let member = |n: usize| Voter {
            node: NodeId(i32::from_le_bytes(word(HEADER_BYTES + n * MEMBER_BYTES))),
            incarnation: Incarnation(u32::from_le_bytes(word(HEADER_BYTES + n * MEMBER_BYTES + 4))),
        };
        let config = Config {
            term: Term(i32::from_le_bytes(word(1))),
            version: u32::from_le_bytes(word(5)),
            voters: (0..voters).map(member).collect(),
            learners: (voters..voters + learners).map(member).collect(),
        };
        config.sound().map(|()| config)
    }
}
