//! Identities and positions. All are plain integers with a name.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number!(
    /// A broker of the cluster (Kafka's `broker.id` / `node.id`).
    NodeId(i32)
);
number!(
    /// One core of this node. `ShardId::OUTSIDE` is the world beyond the cores (the admin thread).
    ShardId(u16)
);
number!(
    /// How many times a node joined a group anew; a voter is (node, incarnation).
    Incarnation(u32)
);
number!(
    /// One partition's copy on one node, never reused: the journal's key.
    ReplicaNumber(u64)
);
number!(
    /// A partition's index within its topic.
    PartitionIndex(i32)
);
number!(
    /// A client-visible record offset; 0 is the first record of a topic.
    Offset(i64)
);
number!(
    /// A Raft term. 0 is before any leader; a partition's first leader leads in term 1.
    Term(i32)
);
number!(
    /// Kafka's leader epoch, as clients and batch headers have it: the term less one, for in Apache Kafka a partition's
    /// first leader leads in epoch 0. -1 is "none", and is what term 0 becomes.
    LeaderEpoch(i32)
);
number!(
    /// Kafka's producer id.
    ProducerId(i64)
);
number!(
    /// Kafka's producer epoch.
    ProducerEpoch(i16)
);
number!(
    /// A producer's record sequence within one partition; wraps from 2^31-1 to 0.
    Sequence(i32)
);

impl ShardId {
    pub const OUTSIDE: ShardId = ShardId(u16::MAX);
}

impl Offset {
    pub const ZERO: Offset = Offset(0);

    /// The offset `records` further on.
    pub fn plus(self, records: i64) -> Offset {
        Offset(self.0 + records)
    }
}

impl Term {
    pub fn next(self) -> Term {
        Term(self.0.checked_add(1).expect("terms do not run out"))
    }

    /// What clients know the term as.
    pub fn epoch(self) -> LeaderEpoch {
        LeaderEpoch(self.0.saturating_sub(1))
    }
}

impl LeaderEpoch {
    /// Nobody led, or nobody says who did: Kafka's `NO_PARTITION_LEADER_EPOCH` and `UNDEFINED_EPOCH`.
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);

    /// The term that clients know by this epoch. `None` for what no term ever becomes: below -1, and 2^31-1.
    pub fn term(self) -> Option<Term> {
        self.0.checked_add(1).filter(|term| *term >= 0).map(Term)
    }

    /// `None` where the number says "none".
    pub fn known(self) -> Option<LeaderEpoch> {
        (self != LeaderEpoch::NONE).then_some(self)
    }
}

impl ProducerId {
    pub const NONE: ProducerId = ProducerId(-1);

    pub fn is_some(self) -> bool {
        self.0 >= 0
    }
}

impl Sequence {
    /// The sequence `records` further on, wrapping as Kafka's clients do.
    pub fn plus(self, records: i32) -> Sequence {
        Sequence((self.0.wrapping_add(records)) & i32::MAX)
    }
}

/// A topic's identity: Kafka's topic id, a UUID. Zero means "none".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub u128);

impl TopicId {
    pub const NONE: TopicId = TopicId(0);
    /// The controller's own log, `__cluster_metadata`, as in Apache Kafka.
    pub const CLUSTER_METADATA: TopicId = TopicId(1);
}

/// 16 bytes as Kafka writes ids: 22 characters of URL-safe base64 without padding.
pub fn base64_id(bits: u128) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |at: u32| {
        let six = if at < 21 { bits >> (122 - 6 * at) } else { bits << 4 } & 63;
        char::from(DIGITS[six as usize])
    };
    (0..22).map(digit).collect()
}

/// As Kafka's tools show it.
impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64_id(self.0))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionId {
    pub topic: TopicId,
    pub index: PartitionIndex,
}

impl PartitionId {
    pub const CONTROLLER: PartitionId = PartitionId { topic: TopicId::CLUSTER_METADATA, index: PartitionIndex(0) };
}

/// A member of a replica group. A node that lost what it promised comes back as a later incarnation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Voter {
    pub node: NodeId,
    pub incarnation: Incarnation,
}

/// A position in a replicated log: the prefix ending at `offset` whose last history line is `term`.
/// Equal points mean equal prefixes; points compare by term, then offset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Point {
    pub term: Term,
    pub offset: Offset,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partitions_first_leader_has_epoch_zero() {
        assert_eq!((Term(1).epoch(), Term(8).epoch()), (LeaderEpoch(0), LeaderEpoch(7)));
        assert_eq!((Term(0).epoch(), Term(0).epoch().known()), (LeaderEpoch::NONE, None));
        assert_eq!(LeaderEpoch(0).known(), Some(LeaderEpoch(0)));
        for term in [0, 1, 2, i32::MAX] {
            assert_eq!(Term(term).epoch().term(), Some(Term(term)));
        }
        for epoch in [i32::MIN, -2, i32::MAX] {
            assert_eq!(LeaderEpoch(epoch).term(), None, "{epoch} is no term's");
        }
    }

    #[test]
    fn ids_are_shown_as_kafka_shows_them() {
        assert_eq!(base64_id(0), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(TopicId(1).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(base64_id(u128::MAX), "_____________________w");
    }
}
