"""confluent-kafka's AdminClient, and what topics and groups do when it changes them."""

import time
import uuid

import pytest
from confluent_kafka import (
    Consumer, ConsumerGroupState, ConsumerGroupTopicPartitions, ConsumerGroupType, IsolationLevel, KafkaError,
    KafkaException, Producer, TopicCollection, TopicPartition)
from confluent_kafka.admin import (
    AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ConfigSource, NewPartitions, NewTopic,
    OffsetSpec, ResourceType)
from conftest import create_topic


@pytest.fixture
def admin(broker):
    return AdminClient({"bootstrap.servers": broker.address})


def the(futures):
    """The result of a call about one thing."""
    (future,) = futures.values()
    return future.result(30)


def refusal(act):
    """The error code that a call is refused with."""
    with pytest.raises(KafkaException) as refused:
        act()
    return refused.value.args[0].code()


def produce(broker, topic, count, partition=0, timestamp=0):
    producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 1})
    for i in range(count):
        producer.produce(topic, str(i), key=str(i), partition=partition, timestamp=timestamp + i if timestamp else 0)
    assert producer.flush(30) == 0


def group_consumer(broker, group, protocol="classic", **options):
    return Consumer({"bootstrap.servers": broker.address, "group.id": group, "group.protocol": protocol,
                     "auto.offset.reset": "earliest", "enable.auto.commit": False, "fetch.wait.max.ms": 20, **options})


def poll_one(consumer):
    message = consumer.poll(20)
    assert message is not None and message.error() is None, message and message.error()
    return message


def wait_until(condition, what):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def configs_of(admin, kind, name):
    return the(admin.describe_configs([ConfigResource(kind, name)]))


# ---- topics ----

def test_a_topic_is_created_described_and_deleted(broker, admin, topic):
    the(admin.create_topics([NewTopic(topic, 3, 1, config={"retention.ms": "1000000"})]))
    description = the(admin.describe_topics(TopicCollection([topic])))
    assert (description.name, description.is_internal, len(description.partitions)) == (topic, False, 3)
    assert [p.id for p in description.partitions] == [0, 1, 2]
    assert len({str(p.leader.id) for p in description.partitions}) == 1
    assert topic in admin.list_topics(timeout=10).topics
    assert refusal(lambda: the(admin.create_topics([NewTopic(topic, 3)]))) == KafkaError.TOPIC_ALREADY_EXISTS
    the(admin.delete_topics([topic]))
    assert topic not in admin.list_topics(timeout=10).topics
    assert refusal(lambda: the(admin.delete_topics([topic]))) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_a_topic_that_is_created_again_is_empty(broker, admin, topic):
    create_topic(broker, topic)
    produce(broker, topic, 10)
    the(admin.delete_topics([topic]))
    create_topic(broker, topic)
    produce(broker, topic, 1)
    found = the(admin.list_offsets({TopicPartition(topic, 0): OffsetSpec.latest()}))
    assert found.offset == 1


@pytest.mark.parametrize("new, code", [
    (dict(num_partitions=0), KafkaError.INVALID_PARTITIONS),
    (dict(num_partitions=1, replication_factor=2), KafkaError.INVALID_REPLICATION_FACTOR),
    (dict(num_partitions=1, config={"no.such.config": "1"}), KafkaError.INVALID_CONFIG),
    (dict(num_partitions=1, config={"retention.ms": "soon"}), KafkaError.INVALID_CONFIG),
    (dict(num_partitions=1, config={"cleanup.policy": "burn"}), KafkaError.INVALID_CONFIG),
    (dict(num_partitions=2, replica_assignment=[[77], [77]]), KafkaError.INVALID_REPLICA_ASSIGNMENT),
])
def test_what_a_topic_cannot_be(admin, topic, new, code):
    assert refusal(lambda: the(admin.create_topics([NewTopic(topic, **new)]))) == code
    assert topic not in admin.list_topics(timeout=10).topics


@pytest.mark.parametrize("name", ["a b", "x" * 250, ".", "..", "ü"])
def test_invalid_names(admin, name):
    assert refusal(lambda: the(admin.create_topics([NewTopic(name, 1)]))) == KafkaError.TOPIC_EXCEPTION


def test_names_that_differ_by_dot_and_underscore_only(admin, topic):
    the(admin.create_topics([NewTopic(f"{topic}.x", 1)]))
    assert refusal(lambda: the(admin.create_topics([NewTopic(f"{topic}_x", 1)]))) == KafkaError.TOPIC_EXCEPTION


def test_only_validating_creates_nothing(admin, topic):
    the(admin.create_topics([NewTopic(topic, 1)], validate_only=True))
    assert topic not in admin.list_topics(timeout=10).topics


def test_partitions_are_added(broker, admin, topic):
    create_topic(broker, topic, 2)
    the(admin.create_partitions([NewPartitions(topic, 5)]))
    produce(broker, topic, 3, partition=4)
    assert len(the(admin.describe_topics(TopicCollection([topic]))).partitions) == 5
    assert refusal(lambda: the(admin.create_partitions([NewPartitions(topic, 5)]))) == KafkaError.INVALID_PARTITIONS
    assert refusal(lambda: the(admin.create_partitions([NewPartitions(topic, 1)]))) == KafkaError.INVALID_PARTITIONS
    absent = NewPartitions(f"{topic}-absent", 5)
    assert refusal(lambda: the(admin.create_partitions([absent]))) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_many_topics_at_once(admin, topic):
    names = [f"{topic}-{i}" for i in range(30)]
    for future in admin.create_topics([NewTopic(name, 4) for name in names]).values():
        future.result(30)
    assert set(names) <= set(admin.list_topics(timeout=10).topics)
    for future in admin.delete_topics(names).values():
        future.result(30)
    assert not set(names) & set(admin.list_topics(timeout=10).topics)


# ---- configs ----

def test_configs_of_a_topic(broker, admin, topic):
    create_topic(broker, topic, retention_ms=123456789)
    configs = configs_of(admin, ResourceType.TOPIC, topic)
    assert configs["retention.ms"].value == "123456789"
    assert configs["retention.ms"].source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    assert (configs["cleanup.policy"].value, configs["cleanup.policy"].is_default) == ("delete", True)
    assert configs["max.message.bytes"].value == "1048588"


def test_configs_are_altered_one_by_one(broker, admin, topic):
    create_topic(broker, topic, retention_ms=1000, segment_bytes=2000000)

    def alter(name, value, operation):
        entry = ConfigEntry(name, value, incremental_operation=operation)
        the(admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]))
        return configs_of(admin, ResourceType.TOPIC, topic)

    assert alter("retention.ms", "5000", AlterConfigOpType.SET)["retention.ms"].value == "5000"
    assert alter("cleanup.policy", "compact", AlterConfigOpType.APPEND)["cleanup.policy"].value == "delete,compact"
    assert alter("cleanup.policy", "delete", AlterConfigOpType.SUBTRACT)["cleanup.policy"].value == "compact"
    after = alter("retention.ms", None, AlterConfigOpType.DELETE)
    assert (after["retention.ms"].value, after["retention.ms"].is_default) == ("604800000", True)
    assert after["segment.bytes"].value == "2000000"
    wrong = [("retention.ms", "x", AlterConfigOpType.SET), ("nothing.such", "1", AlterConfigOpType.SET),
             ("retention.ms", "1", AlterConfigOpType.APPEND)]
    for name, value, operation in wrong:
        assert refusal(lambda: alter(name, value, operation)) == KafkaError.INVALID_CONFIG


def test_an_altered_config_takes_effect(broker, admin, topic):
    create_topic(broker, topic)
    entry = ConfigEntry("max.message.bytes", "200", incremental_operation=AlterConfigOpType.SET)
    the(admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]))
    reports = []
    producer = Producer({"bootstrap.servers": broker.address})
    producer.produce(topic, b"v" * 300, on_delivery=lambda e, m: reports.append(e))
    producer.flush(30)
    assert reports[0].code() == KafkaError.MSG_SIZE_TOO_LARGE


def test_configs_of_the_broker(admin):
    (broker_id,) = admin.list_topics(timeout=10).brokers
    configs = configs_of(admin, ResourceType.BROKER, str(broker_id))
    assert configs["num.partitions"].value == "1"
    assert configs["message.max.bytes"].value == "1048588"
    assert configs["offsets.topic.num.partitions"].value == "50"
    assert configs["group.min.session.timeout.ms"].source == ConfigSource.STATIC_BROKER_CONFIG.value


def test_configs_of_what_is_not_there(admin, topic):
    assert refusal(lambda: configs_of(admin, ResourceType.TOPIC, topic)) == KafkaError.UNKNOWN_TOPIC_OR_PART


# ---- records and offsets ----

def test_offsets_of_a_partition(broker, admin, topic):
    create_topic(broker, topic)
    base = int(time.time() * 1000) - 100_000

    def found(spec, level=IsolationLevel.READ_UNCOMMITTED):
        result = the(admin.list_offsets({TopicPartition(topic, 0): spec}, isolation_level=level))
        return result.offset, result.timestamp

    assert found(OffsetSpec.earliest())[0] == 0
    assert found(OffsetSpec.latest())[0] == 0
    assert found(OffsetSpec.max_timestamp()) == (-1, -1)
    produce(broker, topic, 10, timestamp=base)
    assert found(OffsetSpec.latest(), IsolationLevel.READ_COMMITTED)[0] == 10
    assert found(OffsetSpec.max_timestamp()) == (9, base + 9)
    assert found(OffsetSpec.for_timestamp(base + 4)) == (4, base + 4)
    assert found(OffsetSpec.for_timestamp(base + 40)) == (-1, -1)


def test_records_are_deleted(broker, admin, topic):
    create_topic(broker, topic)
    produce(broker, topic, 20)
    assert the(admin.delete_records([TopicPartition(topic, 0, 5)])).low_watermark == 5
    assert the(admin.delete_records([TopicPartition(topic, 0, 3)])).low_watermark == 5
    consumer = group_consumer(broker, f"g-{topic}")
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10) == (5, 20)
    consumer.assign([TopicPartition(topic, 0, 0)])
    assert poll_one(consumer).offset() == 5
    consumer.close()
    beyond = [TopicPartition(topic, 0, 21)]
    assert refusal(lambda: the(admin.delete_records(beyond))) == KafkaError.OFFSET_OUT_OF_RANGE
    assert the(admin.delete_records([TopicPartition(topic, 0, -1)])).low_watermark == 20


def test_the_cluster(broker, admin):
    cluster = admin.describe_cluster().result(30)
    assert [f"{node.host}:{node.port}" for node in cluster.nodes] == [broker.address]
    assert cluster.controller.id == cluster.nodes[0].id
    assert cluster.cluster_id == admin.list_topics(timeout=10).cluster_id
    assert len(cluster.cluster_id) == 22


# ---- groups ----

@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_is_listed_described_and_deleted(broker, admin, topic, protocol):
    create_topic(broker, topic, 2)
    produce(broker, topic, 5)
    group = f"g-{topic}"
    consumer = group_consumer(broker, group, protocol, **{"client.id": "me"})
    consumer.subscribe([topic])
    consumer.commit(message=poll_one(consumer), asynchronous=False)
    kind = ConsumerGroupType.CONSUMER if protocol == "consumer" else ConsumerGroupType.CLASSIC

    def listed(**filters):
        return {g.group_id: g for g in admin.list_consumer_groups(**filters).result(30).valid}

    wait_until(lambda: listed()[group].state == ConsumerGroupState.STABLE, "the group is stable")
    assert listed()[group].type == kind
    assert group in listed(states={ConsumerGroupState.STABLE}, types={kind})
    assert group not in listed(states={ConsumerGroupState.EMPTY})
    described = the(admin.describe_consumer_groups([group]))
    assert (described.state, described.type) == (ConsumerGroupState.STABLE, kind)
    (member,) = described.members
    assert member.client_id == "me"
    assert {p.partition for p in member.assignment.topic_partitions} == {0, 1}
    assert refusal(lambda: the(admin.delete_consumer_groups([group]))) == KafkaError.NON_EMPTY_GROUP
    consumer.close()
    wait_until(lambda: listed()[group].state == ConsumerGroupState.EMPTY, "the group is empty")
    the(admin.delete_consumer_groups([group]))
    assert group not in listed()
    assert refusal(lambda: the(admin.delete_consumer_groups([group]))) == KafkaError.GROUP_ID_NOT_FOUND


def test_offsets_of_a_group_are_listed_and_altered(broker, admin, topic):
    create_topic(broker, topic, 3)
    group = f"g-{topic}"
    wanted = [TopicPartition(topic, 0, 4), TopicPartition(topic, 2, 6)]
    the(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)]))

    def offsets(partitions=None):
        result = the(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, partitions)]))
        return {p.partition: p.offset for p in result.topic_partitions}

    assert offsets() == {0: 4, 2: 6}
    assert offsets([TopicPartition(topic, 0), TopicPartition(topic, 1)]) == {0: 4, 1: -1001}
    produce(broker, topic, 10)
    consumer = group_consumer(broker, group)
    consumer.subscribe([topic])
    assert poll_one(consumer).offset() == 4
    busy = [ConsumerGroupTopicPartitions(group, wanted)]
    refused = the(admin.alter_consumer_group_offsets(busy)).topic_partitions
    assert [p.error.code() for p in refused] == [KafkaError.UNKNOWN_MEMBER_ID] * 2
    consumer.close()


def test_deleting_a_topic_deletes_its_committed_offsets(broker, admin, topic):
    create_topic(broker, topic)
    group = f"g-{topic}"
    the(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 4)])]))
    the(admin.delete_topics([topic]))

    def left():
        result = the(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
        return result.topic_partitions

    wait_until(lambda: left() == [], "the offsets are gone")


def test_a_group_that_nobody_knows(admin):
    group = f"g-{uuid.uuid4().hex}"
    described = the(admin.describe_consumer_groups([group]))
    assert described.state == ConsumerGroupState.DEAD
    result = the(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
    assert result.topic_partitions == []
