//! What a core answers for a replica that it has and cannot open.

use std::net::SocketAddr;

use bytes::Bytes;
use heddle_api::Leaders as _;
use heddle_controller::{Broker, BrokerConfig};
use heddle_journal::{RecoveredReplica, ReplicaState};
use heddle_model::{Incarnation, NodeId, Offset, PartitionIndex, Point, Term, TopicId, TopicSettings, Voter};

use super::*;

pub(crate) fn shard() -> Shard {
    let kafka = BrokerConfig::parse(BTreeMap::new()).expect("nothing is given");
    Shard::new(
        ShardId(0),
        ShardConfig {
            shards: 1,
            node: NodeId(1),
            broker: Broker { id: NodeId(1), rack: None, host: "one".into(), port: 9092 },
            kafka_addr: SocketAddr::from(([127, 0, 0, 1], 9092)),
            api: ApiConfig::of(&kafka, 1),
            settings: Arc::new(kafka),
            memory: 1 << 20,
            journal_files: 3,
            journal_file_bytes: 1 << 16,
            seed: 1,
            accept_loss: false,
            repair_only: false,
        },
    )
}

#[test]
fn a_replica_that_cannot_be_opened_answers_with_its_storage_and_is_not_unknown() {
    let mut shard = shard();
    let (number, me) = (ReplicaNumber(7), Voter { node: NodeId(1), incarnation: Incarnation(0) });
    let state = ReplicaState {
        placement: 0,
        term: Term(3),
        vote: None,
        history: vec![(Term(0), Offset(0))],
        // Not what a partition writes: nobody can say whose replica this is.
        config: Bytes::from_static(b"?"),
        log_start: Offset(0),
        commit: Offset(0),
        mark: None,
        start: Point::default(),
    };
    shard.start.dormant.insert(number, RecoveredReplica { state, tail: Vec::new(), damaged: true });
    let topic = TopicId(9);
    let partition = |index| PartitionId { topic, index: PartitionIndex(index) };
    shard.seat(partition(0), number, me, vec![me], Arc::new(TopicSettings::default()), false);
    let mut answered = |index| {
        let ticket = Ticket { home: ShardId(0), slot: 5, generation: 0, part: 0 };
        shard.ask(ticket, Target::Partition(partition(index)), Ask::Partition(partition::Ask::Describe));
        std::mem::take(&mut shard.answers)
    };
    let refused = |answers: &[(Ticket, partition::Answer)]| match answers {
        [(_, partition::Answer::Refused(refusal))] => format!("{refusal:?}"),
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(refused(&answered(0)), "Storage");
    assert_eq!(refused(&answered(1)), "UnknownPartition");
    assert_eq!(shard.leaders.leader(partition(0)), Some((NodeId(1), Term(3))), "clients come here to hear of it");
    assert!(shard.start.dormant.contains_key(&number), "the journal's copy is carried along");
    assert_eq!(metrics::scrape(&shard).damaged_partitions, 1);
}
