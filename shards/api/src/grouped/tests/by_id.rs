//! OffsetCommit and OffsetFetch 10, which give topics by id. The crate cannot write such requests.

use bytes::{BufMut, BytesMut};
use heddle_protocol::{Uuid, uuid_of};

use super::*;
use crate::testing::frame_of;

/// A topic's partitions with their offsets and errors.
type Fetched = (Uuid, Vec<(i32, i64, i16)>);

/// A body in compact types, none of whose lengths is above 126.
#[derive(Default)]
struct Body(BytesMut);

impl Body {
    fn text(mut self, text: &str) -> Body {
        self = self.count(text.len());
        self.0.put_slice(text.as_bytes());
        self
    }

    fn null(mut self) -> Body {
        self.0.put_u8(0);
        self
    }

    fn count(mut self, count: usize) -> Body {
        self.0.put_u8(count as u8 + 1);
        self
    }

    fn int(mut self, int: i32) -> Body {
        self.0.put_i32(int);
        self
    }

    fn id(mut self, id: Uuid) -> Body {
        self.0.put_slice(id.as_bytes());
        self
    }

    /// No tagged fields.
    fn end(self) -> Body {
        self.null()
    }
}

/// Topics with (partition, offset) each.
fn commit_by_id(member: &str, epoch: i32, topics: &[(Uuid, &[(i32, i64)])]) -> Body {
    let mut body = Body::default().text("g").int(epoch).text(member).null().count(topics.len());
    for (id, partitions) in topics {
        body = body.id(*id).count(partitions.len());
        for (partition, offset) in *partitions {
            body = body.int(*partition);
            body.0.put_i64(*offset);
            body = body.int(-1).text("why").end();
        }
        body = body.end();
    }
    body.end()
}

/// `None`: all topics.
fn fetch_by_id(member: Option<(&str, i32)>, topics: Option<&[(Uuid, &[i32])]>) -> Body {
    let body = Body::default().count(1).text("g");
    let body = match member {
        Some((id, epoch)) => body.text(id).int(epoch),
        None => body.null().int(-1),
    };
    let Some(topics) = topics else {
        let mut body = body.null().end();
        body.0.put_u8(0);
        return body.end();
    };
    let mut body = body.count(topics.len());
    for (id, partitions) in topics {
        body = body.id(*id).count(partitions.len());
        body = partitions.iter().fold(body, |body, partition| body.int(*partition)).end();
    }
    body = body.end();
    body.0.put_u8(0);
    body.end()
}

impl Cluster {
    fn call_with<A: Decodable + HeaderVersion>(&mut self, key: ApiKey, body: Body) -> A {
        let conn = self.world.open(1000 + self.correlation_id as u64);
        self.correlation_id += 1;
        self.world.receive(conn, frame_of(key as i16, 10, self.correlation_id, &body.0));
        self.run();
        self.world.response::<A>(conn, 10).1
    }

    fn commit(&mut self, body: Body) -> Vec<(Uuid, Vec<(i32, i16)>)> {
        let committed: OffsetCommitResponse = self.call_with(ApiKey::OffsetCommit, body);
        let topics = committed.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|one| (one.partition_index, one.error_code));
            (topic.topic_id, partitions.collect())
        });
        topics.collect()
    }

    /// The group's error, and its topics.
    fn fetch(&mut self, body: Body) -> (i16, Vec<Fetched>) {
        let fetched: OffsetFetchResponse = self.call_with(ApiKey::OffsetFetch, body);
        let topics = fetched.groups[0].topics.iter().map(|topic| {
            assert_eq!(topic.name.as_str(), "");
            let partitions =
                topic.partitions.iter().map(|one| (one.partition_index, one.committed_offset, one.error_code));
            (topic.topic_id, partitions.collect())
        });
        (fetched.groups[0].error_code, topics.collect())
    }
}

/// What Apache Kafka 4.3.1 answers, but for the order of a commit's partitions.
#[test]
fn topics_are_given_by_id() {
    let mut cluster = Cluster::new();
    let (known, unknown, none) = (uuid_of(cluster.topics.0), Uuid::from_u128(7), Uuid::nil());
    let topics: [(Uuid, &[(i32, i64)]); 3] = [(unknown, &[(0, 1)]), (known, &[(0, 17), (7, 1)]), (none, &[(0, 1)])];
    let committed = cluster.commit(commit_by_id("", -1, &topics));
    assert_eq!(committed, [(unknown, vec![(0, 100)]), (known, vec![(0, 0), (7, 3)]), (none, vec![(0, 100)])]);
    let told = cluster.fetch(fetch_by_id(None, Some(&[(unknown, &[1, 7]), (known, &[0, 9]), (none, &[])])));
    let nothing = vec![(1, -1, 100), (7, -1, 100)];
    assert_eq!(told, (0, vec![(known, vec![(0, 17, 0), (9, -1, 0)]), (unknown, nothing), (none, vec![])]));
    assert_eq!(cluster.fetch(fetch_by_id(None, None)), (0, vec![(known, vec![(0, 17, 0)])]), "all that there is");
    assert_eq!(cluster.fetch(fetch_by_id(None, Some(&[]))), (0, vec![]));
}

#[test]
fn what_is_wrong_with_a_member_is_said_as_before() {
    let mut cluster = Cluster::new();
    let (known, unknown) = (uuid_of(cluster.topics.0), Uuid::from_u128(7));
    let joins = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group("g"))
        .with_member_id(text("me"))
        .with_rebalance_timeout_ms(60_000)
        .with_subscribed_topic_names(Some(vec![topic("t")]))
        .with_topic_partitions(Some(vec![]));
    let joined: ConsumerGroupHeartbeatResponse = cluster.call(ApiKey::ConsumerGroupHeartbeat, 1, &joins);
    let epoch = joined.member_epoch;
    let topics: [(Uuid, &[(i32, i64)]); 2] = [(unknown, &[(0, 1)]), (known, &[(0, 17)])];
    let stale = cluster.commit(commit_by_id("me", epoch + 7, &topics));
    assert_eq!(stale, [(unknown, vec![(0, 100)]), (known, vec![(0, 113)])]);
    assert_eq!(cluster.commit(commit_by_id("me", epoch, &topics[1..])), [(known, vec![(0, 0)])]);
    let stranger = Some(("other", epoch));
    assert_eq!(cluster.fetch(fetch_by_id(stranger, Some(&[(unknown, &[0])]))), (25, vec![]), "and of no topic");
    assert_eq!(cluster.fetch(fetch_by_id(Some(("me", epoch)), Some(&[(known, &[0])]))).1, [(known, vec![(0, 17, 0)])]);
}

/// Its name may be another topic's by now.
#[test]
fn offsets_of_a_topic_that_is_gone_have_no_id_to_be_told_by() {
    let mut cluster = Cluster::new();
    let known = uuid_of(cluster.topics.0);
    cluster.commit(commit_by_id("", -1, &[(known, &[(0, 17)])]));
    let gone = vec![heddle_controller::TopicRef::Name("t".into())];
    cluster.world.decide(heddle_controller::Ask::DeleteTopics { topics: gone });
    assert_eq!(cluster.groups.committed().count(), 1, "the sweep has not come yet");
    assert_eq!(cluster.fetch(fetch_by_id(None, None)), (0, vec![]));
    assert_eq!(cluster.fetch(fetch_by_id(None, Some(&[(known, &[0])]))), (0, vec![(known, vec![(0, -1, 100)])]));
}
