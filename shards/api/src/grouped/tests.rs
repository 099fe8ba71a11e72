//! The group APIs in every version, against a real coordinator.

use heddle_border::ConnId;
use heddle_group::{Answer as Group, Context, GroupSettings, Groups, Soft, Topics};
use heddle_model::{LeaderEpoch, Mono, Now, Ticket, TopicId, Wall};
use heddle_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use heddle_protocol::messages::leave_group_request::MemberIdentity;
use heddle_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use heddle_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use heddle_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use heddle_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use heddle_protocol::messages::*;
use heddle_protocol::{Decodable, Encodable, HeaderVersion, StrBytes, text, topic_id_of};

use crate::ask::{Answer, Ask, Target};
use crate::testing::{ME, World};

/// The slot that the house answers in the place of clients that are gone.
const NOBODY: u32 = u32::MAX;

struct OneTopic(TopicId);

impl Topics for OneTopic {
    fn version(&self) -> u64 {
        1
    }

    fn by_name(&self, name: &str) -> Option<(TopicId, i32)> {
        (name == "t").then_some((self.0, 2))
    }

    fn by_id(&self, id: TopicId) -> Option<(heddle_group::TopicName, i32)> {
        (id == self.0).then(|| ("t".into(), 2))
    }

    fn each_name(&self, visit: &mut dyn FnMut(&str)) {
        visit("t");
    }
}

struct Cluster {
    world: World,
    groups: Groups,
    soft: Soft,
    topics: OneTopic,
    entropy: u128,
    correlation_id: i32,
}

impl Cluster {
    fn new() -> Cluster {
        let mut world = World::new();
        world.create_topic("__consumer_offsets", 3);
        let groups = Groups::new(GroupSettings { group_initial_rebalance_delay_ms: 0, ..GroupSettings::default() });
        let topics = OneTopic(world.partition("t", 0).topic);
        let soft = groups.lead(Context { now: now(&world), topics: &topics, entropy: 0 });
        Cluster { world, groups, soft, topics, entropy: 0, correlation_id: 0 }
    }

    /// Sends a request on a connection of its own; does not wait.
    fn send<R: Encodable>(&mut self, conn: u64, key: ApiKey, version: i16, request: &R) -> ConnId {
        let conn = self.world.open(conn);
        self.correlation_id += 1;
        self.world.request(conn, key as i16, version, self.correlation_id, request);
        self.run();
        conn
    }

    /// Brings asks to the coordinator and answers back, until nothing moves.
    fn run(&mut self) {
        while let Some((ticket, target, ask)) = self.world.asks.pop_front() {
            assert!(matches!(target, Target::Group(_) | Target::GroupPartition(_)), "{target:?}");
            let Ask::Group(ask) = ask else { panic!("{ask:?}") };
            self.entropy += 1;
            let context = Context { now: now(&self.world), topics: &self.topics, entropy: self.entropy };
            let decision = self.groups.decide(context, ask, ticket, &mut self.soft);
            self.carry_out(decision);
            let context = Context { now: now(&self.world), topics: &self.topics, entropy: 0 };
            let decision = self.groups.tick(context, &mut self.soft);
            self.carry_out(decision);
        }
    }

    fn carry_out(&mut self, decision: heddle_group::Decision) {
        for entry in &decision.records {
            self.groups.replay(&entry.key, entry.value.as_deref()).expect("its own record");
        }
        for (ticket, answer) in decision.answers.into_iter().filter(|(ticket, _)| ticket.slot != NOBODY) {
            self.world.answer(ticket, Answer::Group(answer));
        }
    }

    /// Time passes, and the coordinator looks for offsets that are over.
    fn expire(&mut self, wall_ms: i64) {
        self.world.now = self.world.now.plus_ms(600_000);
        let now = Now { mono: self.world.now, wall: Wall(wall_ms) };
        loop {
            let decision = self.groups.tick(Context { now, topics: &self.topics, entropy: 0 }, &mut self.soft);
            self.carry_out(decision);
            if self.soft.next_deadline().is_none_or(|at| at > now.mono) {
                return;
            }
        }
    }

    fn call<R: Encodable, A: Decodable + HeaderVersion>(&mut self, key: ApiKey, version: i16, request: &R) -> A {
        let conn = self.send(1000 + self.correlation_id as u64, key, version, request);
        self.world.response::<A>(conn, version).1
    }
}

fn now(world: &World) -> Now {
    Now { mono: Mono(world.now.0), wall: Wall(0) }
}

fn group(name: &str) -> heddle_protocol::messages::GroupId {
    heddle_protocol::messages::GroupId(text(name))
}

fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

fn join(member: &str) -> JoinGroupRequest {
    let protocol =
        JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(b"meta".as_slice().into());
    JoinGroupRequest::default()
        .with_group_id(group("g"))
        .with_session_timeout_ms(10_000)
        .with_member_id(text(member))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

fn join_at(version: i16, member: &str) -> JoinGroupRequest {
    if version == 0 { join(member) } else { join(member).with_rebalance_timeout_ms(20_000) }
}

#[test]
fn a_member_joins_syncs_beats_and_leaves_in_every_version() {
    for version in 0..=9 {
        let mut cluster = Cluster::new();
        let mut joined: JoinGroupResponse = cluster.call(ApiKey::JoinGroup, version, &join_at(version, ""));
        if version >= 4 {
            assert_eq!(joined.error_code, 79);
            assert!(joined.member_id.starts_with("test-"), "the client's id is in it");
            assert_eq!(joined.protocol_name.is_none(), version >= 7, "null is not for older versions");
            joined = cluster.call(ApiKey::JoinGroup, version, &join_at(version, &joined.member_id));
        }
        assert_eq!((joined.error_code, joined.generation_id), (0, 1));
        assert_eq!(joined.leader, joined.member_id);
        assert_eq!(joined.members[0].metadata, b"meta".as_slice());
        let member = joined.member_id;

        let assignment = SyncGroupRequestAssignment::default()
            .with_member_id(member.clone())
            .with_assignment(b"all".as_slice().into());
        let mut sync = SyncGroupRequest::default()
            .with_group_id(group("g"))
            .with_generation_id(1)
            .with_member_id(member.clone())
            .with_assignments(vec![assignment]);
        let sync_version = version.min(5);
        if sync_version == 5 {
            let refused: SyncGroupResponse = cluster.call(ApiKey::SyncGroup, 5, &sync);
            assert_eq!(refused.error_code, 23, "the protocol is mandatory");
            sync = sync.with_protocol_type(Some(text("consumer"))).with_protocol_name(Some(text("range")));
        }
        let synced: SyncGroupResponse = cluster.call(ApiKey::SyncGroup, sync_version, &sync);
        assert_eq!((synced.error_code, synced.assignment), (0, b"all".as_slice().into()));
        assert_eq!(synced.protocol_name.is_some(), sync_version == 5);

        let beat = HeartbeatRequest::default().with_group_id(group("g")).with_member_id(member.clone());
        let beaten: HeartbeatResponse =
            cluster.call(ApiKey::Heartbeat, version.min(4), &beat.clone().with_generation_id(1));
        assert_eq!(beaten.error_code, 0);
        let beaten: HeartbeatResponse = cluster.call(ApiKey::Heartbeat, version.min(4), &beat.with_generation_id(2));
        assert_eq!(beaten.error_code, 22);

        let leave_version = version.min(5);
        let leave = LeaveGroupRequest::default().with_group_id(group("g"));
        let leave = if leave_version < 3 {
            leave.with_member_id(member)
        } else {
            let members = [member, text("nobody")].map(|id| MemberIdentity::default().with_member_id(id));
            leave.with_members(members.into())
        };
        let left: LeaveGroupResponse = cluster.call(ApiKey::LeaveGroup, leave_version, &leave);
        assert_eq!(left.error_code, 0);
        let errors: Vec<i16> = left.members.iter().map(|member| member.error_code).collect();
        assert_eq!(errors, if leave_version < 3 { vec![] } else { vec![0, 25] });
    }
}

#[test]
fn a_second_member_waits_for_the_first() {
    let mut cluster = Cluster::new();
    let first: JoinGroupResponse = cluster.call(ApiKey::JoinGroup, 3, &join_at(3, ""));
    let waiting = cluster.send(1, ApiKey::JoinGroup, 3, &join_at(3, ""));
    assert!(cluster.world.is_silent(waiting));
    let again: JoinGroupResponse = cluster.call(ApiKey::JoinGroup, 3, &join_at(3, &first.member_id));
    assert_eq!(again.members.len(), 2);
    let (_, second) = cluster.world.response::<JoinGroupResponse>(waiting, 3);
    assert_eq!((second.generation_id, second.members.len()), (again.generation_id, 0));
    assert_eq!(second.leader, first.member_id);
}

#[test]
fn whoever_waits_and_goes_leaves_no_answer_to_wait_for() {
    let mut cluster = Cluster::new();
    let first: JoinGroupResponse = cluster.call(ApiKey::JoinGroup, 3, &join_at(3, ""));
    let waiting = cluster.send(1, ApiKey::JoinGroup, 3, &join_at(3, ""));
    assert!(cluster.world.cancels.is_empty());
    cluster.world.turn(|api, view, wish| api.on_closed(waiting, view, wish));
    let [(ticket, Target::Group(group))] = &cluster.world.cancels[..] else { panic!("{:?}", cluster.world.cancels) };
    let nobody = Ticket { slot: NOBODY, ..*ticket };
    cluster.soft.cancel(group.as_str().into(), *ticket, nobody);
    let context = Context { now: now(&cluster.world), topics: &cluster.topics, entropy: 0 };
    let decision = cluster.groups.tick(context, &mut cluster.soft);
    assert_eq!(decision.answers.len(), 1);
    cluster.carry_out(decision);
    assert_eq!(cluster.world.turn(|api, _, _| api.stats().asks), 0, "its slot is free");
    // The member takes part all the same, as in Kafka.
    let again: JoinGroupResponse = cluster.call(ApiKey::JoinGroup, 3, &join_at(3, &first.member_id));
    assert_eq!(again.members.len(), 2);
}

fn commit(name: &str, partitions: &[(i32, i64)]) -> OffsetCommitRequest {
    let partition = |(index, offset): &(i32, i64)| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(*index)
            .with_committed_offset(*offset)
            .with_committed_metadata(Some(text("why")))
    };
    let wanted = OffsetCommitRequestTopic::default()
        .with_name(topic(name))
        .with_partitions(partitions.iter().map(partition).collect());
    OffsetCommitRequest::default().with_group_id(group("g")).with_topics(vec![wanted])
}

#[test]
fn offsets_are_committed_fetched_and_deleted_in_every_version() {
    for version in 2..=9 {
        let mut cluster = Cluster::new();
        let request = commit("t", &[(0, 17), (7, 1)]).with_generation_id_or_member_epoch(-1);
        let committed: OffsetCommitResponse = cluster.call(ApiKey::OffsetCommit, version, &request);
        let errors: Vec<i16> = committed.topics[0].partitions.iter().map(|p| p.error_code).collect();
        assert_eq!(errors, [0, 3], "partition 7 does not exist");
        if version <= 4 {
            let request = commit("t", &[(1, 5)]).with_generation_id_or_member_epoch(-1).with_retention_time_ms(1_000);
            let _: OffsetCommitResponse = cluster.call(ApiKey::OffsetCommit, version, &request);
            let kept = |cluster: &Cluster| cluster.groups.committed().count();
            assert_eq!(kept(&cluster), 2);
            cluster.expire(2_000);
            assert_eq!(kept(&cluster), 1, "it said how long it lives");
        }
        let unknown: OffsetCommitResponse = cluster.call(ApiKey::OffsetCommit, version, &commit("none", &[(0, 1)]));
        assert_eq!(unknown.topics[0].partitions[0].error_code, 3);
        let late = commit("t", &[(0, 1)]).with_group_id(group("other")).with_generation_id_or_member_epoch(3);
        let refused: OffsetCommitResponse = cluster.call(ApiKey::OffsetCommit, version, &late);
        assert_eq!(refused.topics[0].partitions[0].error_code, if version >= 9 { 69 } else { 22 });
    }
    for version in 1..=9 {
        let mut cluster = Cluster::new();
        let request = commit("t", &[(0, 17)]).with_generation_id_or_member_epoch(-1);
        let _: OffsetCommitResponse = cluster.call(ApiKey::OffsetCommit, 5, &request);
        let fetched: Vec<(i32, i64, Option<StrBytes>, i16)> = if version < 8 {
            let wanted = OffsetFetchRequestTopic::default().with_name(topic("t")).with_partition_indexes(vec![0, 1]);
            let request = OffsetFetchRequest::default().with_group_id(group("g")).with_topics(Some(vec![wanted]));
            let response: OffsetFetchResponse = cluster.call(ApiKey::OffsetFetch, version, &request);
            let of = |p: &offset_fetch_response::OffsetFetchResponsePartition| {
                (p.partition_index, p.committed_offset, p.metadata.clone(), p.error_code)
            };
            response.topics[0].partitions.iter().map(of).collect()
        } else {
            let wanted = OffsetFetchRequestTopics::default().with_name(topic("t")).with_partition_indexes(vec![0, 1]);
            let known = OffsetFetchRequestGroup::default().with_group_id(group("g")).with_topics(Some(vec![wanted]));
            let unknown = OffsetFetchRequestGroup::default().with_group_id(group("none")).with_topics(None);
            let request = OffsetFetchRequest::default().with_groups(vec![known, unknown]);
            let response: OffsetFetchResponse = cluster.call(ApiKey::OffsetFetch, version, &request);
            assert!(response.groups[1].topics.is_empty() && response.groups[1].error_code == 0);
            let of = |p: &offset_fetch_response::OffsetFetchResponsePartitions| {
                (p.partition_index, p.committed_offset, p.metadata.clone(), p.error_code)
            };
            response.groups[0].topics[0].partitions.iter().map(of).collect()
        };
        let nothing = Some(StrBytes::default());
        assert_eq!(fetched, [(0, 17, Some(text("why")), 0), (1, -1, nothing, 0)], "never 0 where nothing is");
        if (2..8).contains(&version) {
            let request = OffsetFetchRequest::default().with_group_id(group("g")).with_topics(None);
            let all: OffsetFetchResponse = cluster.call(ApiKey::OffsetFetch, version, &request);
            assert_eq!(all.topics[0].partitions.len(), 1, "null: all that there is");
        }
        let partitions = [0, 9].map(|index| OffsetDeleteRequestPartition::default().with_partition_index(index));
        let of = |name| OffsetDeleteRequestTopic::default().with_name(topic(name)).with_partitions(partitions.to_vec());
        let request = OffsetDeleteRequest::default().with_group_id(group("g")).with_topics(vec![of("none"), of("t")]);
        let deleted: OffsetDeleteResponse = cluster.call(ApiKey::OffsetDelete, 0, &request);
        let errors = deleted.topics.iter().flat_map(|topic| topic.partitions.iter().map(|p| p.error_code));
        assert_eq!((deleted.error_code, errors.collect::<Vec<_>>()), (0, vec![3, 3, 0, 3]));
        let again: OffsetDeleteResponse = cluster.call(ApiKey::OffsetDelete, 0, &request);
        assert_eq!(again.error_code, 69, "a group without offsets and members is none");
        let nothing = OffsetDeleteRequest::default().with_group_id(group("g")).with_topics(vec![of("none")]);
        let nothing: OffsetDeleteResponse = cluster.call(ApiKey::OffsetDelete, 0, &nothing);
        let errors = nothing.topics[0].partitions.iter().map(|p| p.error_code);
        assert_eq!((nothing.error_code, errors.collect::<Vec<_>>()), (0, vec![3, 3]), "nothing to ask the group");
    }
}

#[test]
fn groups_are_listed_described_and_deleted_in_every_version() {
    let mut cluster = Cluster::new();
    let joined: JoinGroupResponse = cluster.call(ApiKey::JoinGroup, 3, &join_at(3, ""));
    let request = commit("t", &[(0, 17)]).with_group_id(group("simple")).with_generation_id_or_member_epoch(-1);
    let _: OffsetCommitResponse = cluster.call(ApiKey::OffsetCommit, 5, &request);
    for version in 0..=5 {
        let conn = cluster.world.open(5000 + version as u64);
        cluster.world.request(conn, ApiKey::ListGroups as i16, version, 1, &ListGroupsRequest::default());
        assert_eq!(cluster.world.asks.len(), 3, "every partition that is led here");
        let others: Vec<_> = cluster.world.asks.drain(1..).collect();
        cluster.run();
        cluster.world.answer(others[0].0, Answer::Group(Group::Listed(Vec::new())));
        cluster.world.answer(others[1].0, Answer::Unreachable);
        let (_, listed) = cluster.world.response::<ListGroupsResponse>(conn, version);
        let names: Vec<&str> = listed.groups.iter().map(|group| group.group_id.as_str()).collect();
        assert_eq!(names, ["g", "simple"]);
        let state = if version >= 4 { "CompletingRebalance" } else { "" };
        assert_eq!(listed.groups[0].group_state.as_str(), state);
        assert_eq!(listed.groups[0].group_type.as_str(), if version >= 5 { "classic" } else { "" });
    }
    for version in 0..=6 {
        let request = DescribeGroupsRequest::default().with_groups(vec![group("g"), group("none")]);
        let described: DescribeGroupsResponse = cluster.call(ApiKey::DescribeGroups, version, &request);
        let [known, unknown] = described.groups.as_slice() else { panic!("two groups") };
        assert_eq!(known.group_state.as_str(), "CompletingRebalance");
        assert_eq!(known.members[0].member_id, joined.member_id);
        assert_eq!(known.members[0].client_host.as_str(), "/127.0.0.1");
        assert_eq!(unknown.group_state.as_str(), "Dead");
        assert_eq!(unknown.error_code, if version >= 6 { 69 } else { 0 });
        assert_eq!((known.authorized_operations, unknown.authorized_operations), (i32::MIN, i32::MIN), "not asked for");
    }
    for version in 3..=6 {
        let request = DescribeGroupsRequest::default().with_groups(vec![group("g"), group("none")]);
        let request = request.with_include_authorized_operations(true);
        let described: DescribeGroupsResponse = cluster.call(ApiKey::DescribeGroups, version, &request);
        let operations: Vec<i32> = described.groups.iter().map(|group| group.authorized_operations).collect();
        assert_eq!(
            operations,
            [3400, if version >= 6 { i32::MIN } else { 3400 }],
            "a dead group is one before version 6"
        );
    }
    for version in 0..=2 {
        let request =
            DeleteGroupsRequest::default().with_groups_names(vec![group("g"), group("simple"), group("none")]);
        let deleted: DeleteGroupsResponse = cluster.call(ApiKey::DeleteGroups, version, &request);
        let errors: Vec<i16> = deleted.results.iter().map(|result| result.error_code).collect();
        assert_eq!(errors, [68, if version == 0 { 0 } else { 69 }, 69]);
    }
}

#[test]
fn a_member_of_the_new_protocol() {
    for version in 0..=1 {
        let mut cluster = Cluster::new();
        let first = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(group("g"))
            .with_rebalance_timeout_ms(60_000)
            .with_subscribed_topic_names(Some(vec![topic("t")]))
            .with_topic_partitions(Some(vec![]));
        let mut answer: ConsumerGroupHeartbeatResponse = cluster.call(ApiKey::ConsumerGroupHeartbeat, version, &first);
        if version == 1 {
            assert_eq!(answer.error_code, 42, "the member makes its own id");
            let first = first.with_member_id(text("me"));
            answer = cluster.call(ApiKey::ConsumerGroupHeartbeat, version, &first);
        }
        assert_eq!((answer.error_code, answer.member_epoch), (0, 2));
        let assigned = answer.assignment.expect("told").topic_partitions;
        assert_eq!(topic_id_of(assigned[0].topic_id), cluster.topics.0);
        assert_eq!(assigned[0].partitions, [0, 1]);
        let stale = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(group("g"))
            .with_member_id(answer.member_id.expect("told"))
            .with_member_epoch(9);
        let fenced: ConsumerGroupHeartbeatResponse = cluster.call(ApiKey::ConsumerGroupHeartbeat, version, &stale);
        assert_eq!(fenced.error_code, 110);
        assert!(fenced.error_message.is_some() && fenced.assignment.is_none());

        let request =
            ConsumerGroupDescribeRequest::default().with_group_ids(vec![group("g"), group("none"), group("")]);
        let described: ConsumerGroupDescribeResponse = cluster.call(ApiKey::ConsumerGroupDescribe, version, &request);
        let [known, unknown, nameless] = described.groups.as_slice() else { panic!("three groups") };
        assert_eq!(nameless.error_code, 24, "tools must not ask with the other API, which knows the empty name");
        assert_eq!((known.group_state.as_str(), known.assignor_name.as_str()), ("Stable", "uniform"));
        assert_eq!(
            (known.group_epoch, known.assignment_epoch, known.members[0].member_epoch),
            (2, 2, 2),
            "as in Kafka"
        );
        assert_eq!(known.members[0].subscribed_topic_regex.as_deref(), Some(""));
        assert_eq!(known.members[0].assignment.topic_partitions[0].topic_name.as_str(), "t");
        assert_eq!(known.members[0].member_type, if version == 1 { 1 } else { -1 });
        assert_eq!(unknown.error_code, 69);
        assert_eq!(known.authorized_operations, i32::MIN, "not asked for");
        let described: ConsumerGroupDescribeResponse =
            cluster.call(ApiKey::ConsumerGroupDescribe, version, &request.with_include_authorized_operations(true));
        let operations: Vec<i32> = described.groups.iter().map(|group| group.authorized_operations).collect();
        assert_eq!(operations, [3400, i32::MIN, i32::MIN]);
        let classic = DescribeGroupsRequest::default().with_groups(vec![group("g")]);
        let described: DescribeGroupsResponse = cluster.call(ApiKey::DescribeGroups, 6, &classic);
        assert_eq!(described.groups[0].error_code, 69, "tools then ask with the other API");
    }
}

#[test]
fn the_coordinator_is_the_leader_of_the_groups_partition() {
    for version in 0..=6 {
        let mut cluster = Cluster::new();
        let request = FindCoordinatorRequest::default();
        let request = match version {
            0..4 => request.with_key(text("g")),
            _ => request.with_coordinator_keys(vec![text("g"), text("h")]),
        };
        let found = |world: &mut World| {
            let conn = world.open(9000 + world.now.0);
            world.now = Mono(world.now.0 + 1);
            world.request(conn, 10, version, 1, &request);
            let (_, found) = world.response::<FindCoordinatorResponse>(conn, version);
            match version {
                0..4 => (found.node_id.0, found.host.to_string(), found.port, found.error_code),
                _ => {
                    assert_eq!(found.coordinators.len(), 2);
                    let one = &found.coordinators[0];
                    assert_eq!(one.key.as_str(), "g");
                    (one.node_id.0, one.host.to_string(), one.port, one.error_code)
                }
            }
        };
        assert_eq!(found(&mut cluster.world), (ME.0, "one".to_owned(), 9092, 0));
        // 'g' is 103 in Java: partition 1 of 3.
        let id = cluster.world.partition("__consumer_offsets", 103 % 3);
        cluster.world.leaders.0.insert(id, (heddle_model::NodeId(2), LeaderEpoch(4)));
        assert_eq!(found(&mut cluster.world), (2, "two".to_owned(), 9092, 0));
        cluster.world.leaders.0.remove(&id);
        assert_eq!(found(&mut cluster.world), (-1, String::new(), -1, 15));
    }
}

#[test]
fn the_first_search_creates_the_topic() {
    let mut world = World::new();
    let conn = world.open(1);
    world.request(conn, 10, 3, 1, &FindCoordinatorRequest::default().with_key(text("g")));
    let (ticket, target, ask) = world.next_ask();
    assert_eq!(target, Target::Controller);
    let Ask::Controller(ask) = ask else { panic!("{ask:?}") };
    let answer = world.decide(ask);
    assert!(world.is_silent(conn));
    world.answer(ticket, Answer::Controller(answer));
    let (_, found) = world.response::<FindCoordinatorResponse>(conn, 3);
    assert_eq!(found.error_code, 15, "there is no leader yet");
    let topic = world.controller.image().topic("__consumer_offsets").expect("created").partitions.len();
    assert_eq!(topic, 50);
}

#[test]
fn transactions_have_no_coordinator_and_no_other_types_either() {
    let mut world = World::new();
    // librdkafka asks in versions up to 2, and asks for ever unless it is told that it must not.
    for (kind, error) in [(1, 53), (2, 42), (9, 42)] {
        let conn = world.open(kind as u64);
        let request = FindCoordinatorRequest::default().with_key(text("x")).with_key_type(kind);
        world.request(conn, 10, 3, 1, &request);
        let answer = world.response::<FindCoordinatorResponse>(conn, 3).1;
        assert_eq!(answer.error_code, error);
        assert!(answer.error_message.is_some_and(|text| text.ends_with('.')));
    }
    let conn = world.open(20);
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("x")]).with_key_type(1);
    world.request(conn, 10, 4, 1, &request);
    assert_eq!(world.response::<FindCoordinatorResponse>(conn, 4).1.coordinators[0].error_code, 35);
}

#[test]
fn a_coordinator_that_is_loading_or_elsewhere() {
    let beat = HeartbeatRequest::default().with_group_id(group("g")).with_member_id(text("m"));
    for (answer, error) in [
        (Answer::Group(Group::Refused(heddle_group::Refusal::Loading)), 0),
        (Answer::Group(Group::Refused(heddle_group::Refusal::NotCoordinator)), 16),
        (Answer::Unreachable, 16),
    ] {
        let mut world = World::new();
        let conn = world.open(1);
        world.request(conn, 12, 4, 1, &beat);
        let (ticket, target, _) = world.next_ask();
        assert_eq!(target, Target::Group("g".to_owned()));
        world.answer(ticket, answer);
        assert_eq!(world.response::<HeartbeatResponse>(conn, 4).1.error_code, error);
    }
}

mod by_id;
