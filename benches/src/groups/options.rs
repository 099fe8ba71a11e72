//! The command line.

use clap::{Parser, Subcommand};

/// Group members at the level of the wire, against any Kafka broker. Prints one JSON array of [figure, value] pairs.
#[derive(Parser, Debug)]
pub struct Cli {
    /// HOST:PORT of the broker.
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub broker: String,
    /// The server's process, for its CPU time; without it CPU is left out.
    #[arg(long)]
    pub server_pid: Option<u32>,
    #[command(subcommand)]
    pub run: Run,
}

#[derive(Subcommand, Clone, Debug)]
pub enum Run {
    /// Rebalances of one group of the classic protocol: time from the last member's JoinGroup sent to the last
    /// member's SyncGroup answered.
    Classic {
        #[arg(long, default_value_t = 1000)]
        members: usize,
        /// Rebalances measured; the group's forming is not one of them.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// One group of the KIP-848 protocol is formed: time from the last member's first heartbeat sent until every
    /// member holds its final assignment. Members heartbeat at the interval that the broker tells them, and at once
    /// when they took on a new assignment, as clients do.
    Consumer {
        #[arg(long, default_value_t = 1000)]
        members: usize,
        /// Groups formed, one after the other.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
    /// Members that join a group which other programs are in, on a topic of their own. Says `in` when each has its
    /// assignment; leaves when the standard input ends.
    Beside {
        /// The group.
        #[arg(long)]
        group: String,
        /// The members' own topic; it is created.
        #[arg(long)]
        topic: String,
        /// `consumer` for KIP-848, else the assignor of the classic protocol: range, cooperative-sticky.
        #[arg(long)]
        protocol: String,
        #[arg(long, default_value_t = 1000)]
        members: usize,
        /// Of the topic. Few: assignors of clients take minutes for a thousand members of a thousand partitions.
        #[arg(long, default_value_t = 20)]
        partitions: usize,
    },
    /// Committers of a group each, which commit again as soon as they are answered.
    Commits {
        #[arg(long, default_value_t = 64)]
        committers: usize,
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
    },
    /// Groups that commit at a fixed interval, open loop: latency counts from the time a commit is due.
    Groups {
        #[arg(long, default_value_t = 10_000)]
        groups: usize,
        /// Of each group, seconds.
        #[arg(long, default_value_t = 5.0)]
        interval: f64,
        #[arg(long, default_value_t = 30.0)]
        seconds: f64,
        /// Connections that the groups share; a request waits for none before it.
        #[arg(long, default_value_t = 1000)]
        connections: usize,
    },
}
