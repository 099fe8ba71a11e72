"""kafka-python 3: an implementation of its own, with newer request versions than librdkafka asks for."""

import time
import uuid

import pytest
from conftest import create_topic
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions
from kafka.errors import (
    InvalidPartitionsError, InvalidTimestampError, InvalidTopicError, MessageSizeTooLargeError,
    TopicAlreadyExistsError, UnknownTopicOrPartitionError)
from kafka.structs import OffsetAndMetadata

CODECS = [None, "gzip", "snappy", "lz4", "zstd"]


@pytest.fixture
def admin(broker):
    client = KafkaAdminClient(bootstrap_servers=broker.address)
    yield client
    client.close()


def produce(broker, topic, values, partition=0, **options):
    """Their metadata, once all are acknowledged."""
    producer = KafkaProducer(bootstrap_servers=broker.address, **options)
    futures = [producer.send(topic, value=value, partition=partition) for value in values]
    metadata = [future.get(timeout=30) for future in futures]
    producer.close()
    return metadata


def consumer(broker, **options):
    return KafkaConsumer(bootstrap_servers=broker.address, enable_auto_commit=False, auto_offset_reset="earliest",
                         fetch_max_wait_ms=20, **options)


def join(broker, topic, **options):
    """A member of a group. Alone and without knowing the topic, it assigns itself nothing, and may stay so (Apache Kafka
    sees the same of it)."""
    client = consumer(broker, group_id=f"g-{topic}", **options)
    client.partitions_for_topic(topic)
    client.subscribe([topic])
    return client


def read(client, count, seconds=20):
    messages = []
    deadline = time.monotonic() + seconds
    while len(messages) < count:
        assert time.monotonic() < deadline, f"{len(messages)} of {count} records after {seconds} s"
        for batch in client.poll(timeout_ms=3000, max_records=count - len(messages)).values():
            messages += batch
    return messages


def read_from(broker, topic, count, offset=0, partition=0, **options):
    client = consumer(broker, **options)
    client.assign([TopicPartition(topic, partition)])
    client.seek(TopicPartition(topic, partition), offset)
    messages = read(client, count)
    client.close()
    return messages


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_keeps_keys_headers_and_order(broker, topic, codec):
    create_topic(broker, topic)
    producer = KafkaProducer(bootstrap_servers=broker.address, compression_type=codec, linger_ms=20)
    for i in range(300):
        producer.send(topic, key=b"key %d" % i, value=b"value %d " % i * 10, headers=[("a", b"1"), ("b", b"")])
    producer.close()
    messages = read_from(broker, topic, 300)
    assert [m.offset for m in messages] == list(range(300))
    assert [m.key for m in messages] == [b"key %d" % i for i in range(300)]
    assert [m.value for m in messages] == [b"value %d " % i * 10 for i in range(300)]
    assert list(messages[5].headers) == [("a", b"1"), ("b", b"")]


def test_idempotent_producer(broker, topic):
    create_topic(broker, topic)
    values = [b"%d" % i for i in range(2000)]
    metadata = produce(broker, topic, values, enable_idempotence=True, batch_size=500)
    assert [m.offset for m in metadata] == list(range(2000))
    assert [m.value for m in read_from(broker, topic, 2000)] == values


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_acks(broker, topic, acks):
    create_topic(broker, topic)
    produce(broker, topic, [b"v"] * 50, acks=acks, enable_idempotence=False)
    assert len(read_from(broker, topic, 50)) == 50


def test_timestamps(broker, topic):
    create_topic(broker, topic)
    create_topic(broker, f"{topic}-append", message_timestamp_type="LogAppendTime")
    producer = KafkaProducer(bootstrap_servers=broker.address)
    before = int(time.time() * 1000)
    # Within retention.ms: a record of 1970 is deleted whenever retention comes by, here as on Kafka.
    said = before - 3_600_000
    assert producer.send(topic, value=b"v", partition=0, timestamp_ms=said).get(30).timestamp == said
    assert producer.send(f"{topic}-append", value=b"v", partition=0, timestamp_ms=said).get(30).timestamp >= before
    with pytest.raises(InvalidTimestampError):
        producer.send(topic, value=b"v", partition=0, timestamp_ms=before + 2 * 3_600_000).get(30)
    producer.close()
    (created,) = read_from(broker, topic, 1)
    assert (created.timestamp, created.timestamp_type) == (said, 0)
    (appended,) = read_from(broker, f"{topic}-append", 1)
    assert appended.timestamp_type == 1
    assert before <= appended.timestamp <= int(time.time() * 1000)


def test_max_message_bytes(broker, topic):
    create_topic(broker, topic, max_message_bytes=5000)
    produce(broker, topic, [b"v" * 4930])
    with pytest.raises(MessageSizeTooLargeError):
        produce(broker, topic, [b"v" * 4931])


def test_a_large_message(broker, topic):
    create_topic(broker, topic, max_message_bytes=9_000_000)
    value = bytes(range(256)) * 8_000
    produce(broker, topic, [value, b"small"], max_request_size=9_000_000)
    messages = read_from(broker, topic, 2, max_partition_fetch_bytes=1000)
    assert [m.value for m in messages] == [value, b"small"]


@pytest.mark.parametrize("codec", [None, "gzip"])
def test_what_the_broker_compresses_anew_is_read(broker, topic, codec):
    for stored in ["uncompressed", "gzip", "snappy", "lz4", "zstd"]:
        name = f"{topic}-{stored}"
        create_topic(broker, name, compression_type=stored)
        values = [b"value %d " % i * 30 for i in range(20)]
        produce(broker, name, values, compression_type=codec, linger_ms=20)
        assert [m.value for m in read_from(broker, name, 20)] == values


def test_the_broker_compresses_what_came_uncompressed(broker, admin, topic):
    create_topic(broker, topic, compression_type="zstd")
    produce(broker, topic, [b"the same again and again " * 400] * 100, linger_ms=50)
    (node,) = admin.describe_log_dirs([topic])
    partitions = [p for directory in node["log_dirs"] for found in directory["topics"] for p in found["partitions"]]
    assert 0 < sum(p["partition_size"] for p in partitions) < 100_000, "of one million bytes"


def test_seek_and_offsets(broker, topic):
    # Its records are of 1970: retention may come by at any moment.
    create_topic(broker, topic, retention_ms=-1)
    producer = KafkaProducer(bootstrap_servers=broker.address)
    for i in range(100):
        producer.send(topic, value=b"%d" % i, partition=0, timestamp_ms=1_000_000 + i * 10)
    producer.close()
    client = consumer(broker)
    own = TopicPartition(topic, 0)
    client.assign([own])
    assert client.beginning_offsets([own]) == {own: 0}
    assert client.end_offsets([own]) == {own: 100}
    found = client.offsets_for_times({own: 1_000_501})[own]
    assert (found.offset, found.timestamp) == (51, 1_000_510)
    assert client.offsets_for_times({own: 2_000_000})[own] is None
    client.seek(own, 90)
    assert [m.offset for m in read(client, 10)] == list(range(90, 100))
    client.seek_to_beginning(own)
    assert read(client, 1)[0].offset == 0
    client.seek(own, 5000)
    assert read(client, 1)[0].offset == 0, "out of range: back to the earliest"
    assert client.partitions_for_topic(topic) == {0}
    client.close()


def test_a_group_commits_and_resumes(broker, topic):
    create_topic(broker, topic, 2)
    produce(broker, topic, [b"%d" % i for i in range(50)])
    own, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    first = join(broker, topic)
    read(first, 50)
    first.commit({own: OffsetAndMetadata(30, "half way", -1)})
    assert first.committed(own) == 30
    assert first.committed(other) is None
    first.close()
    second = join(broker, topic)
    assert read(second, 1)[0].offset == 30
    second.close()


def test_a_pattern(broker, topic):
    create_topic(broker, f"{topic}.a")
    produce(broker, f"{topic}.a", [b"v"])
    client = consumer(broker, group_id=f"g-{topic}")
    client.topics()
    client.subscribe(pattern=f"^{topic}\\..*")
    assert read(client, 1)[0].topic == f"{topic}.a"
    client.close()


# ---- administration ----

def test_topics(broker, admin, topic):
    admin.create_topics({topic: {"num_partitions": 2, "configs": {"retention.ms": "5000000"}}})
    assert topic in admin.list_topics()
    (described,) = admin.describe_topics([topic])
    assert [p["partition_index"] for p in described["partitions"]] in [[0, 1], [1, 0]]
    with pytest.raises(TopicAlreadyExistsError):
        admin.create_topics({topic: {"num_partitions": 2}})
    with pytest.raises(InvalidTopicError):
        admin.create_topics({"a b": {"num_partitions": 2}})
    admin.create_partitions({topic: NewPartitions(4)})
    (described,) = admin.describe_topic_partitions([topic])["topics"]
    assert [p["partition_index"] for p in described["partitions"]] == [0, 1, 2, 3]
    with pytest.raises(InvalidPartitionsError):
        admin.create_partitions({topic: NewPartitions(4)})
    admin.delete_topics([topic])
    assert topic not in admin.list_topics()
    with pytest.raises(UnknownTopicOrPartitionError):
        admin.delete_topics([topic])


def test_a_topic_is_deleted_by_its_id(broker, admin, topic):
    create_topic(broker, topic)
    (described,) = admin.describe_topics([topic])
    identity = described["topic_id"]
    admin.delete_topics([identity if isinstance(identity, uuid.UUID) else uuid.UUID(identity)])
    assert topic not in admin.list_topics()


def test_configs(broker, admin, topic):
    create_topic(broker, topic)

    def altered(incremental, **configs):
        values = {name.replace("_", "."): value for name, value in configs.items()}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, values)], incremental=incremental)
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        return {name: config["value"] for name, config in found["topic"][topic].items()}

    configs = altered(True, retention_ms="7000000", cleanup_policy="compact")
    assert (configs["retention.ms"], configs["cleanup.policy"]) == ("7000000", "compact")
    configs = altered(False, max_message_bytes="2000")
    assert (configs["max.message.bytes"], configs["retention.ms"]) == ("2000", "7000000")


def test_records_and_offsets(broker, admin, topic):
    create_topic(broker, topic)
    produce(broker, topic, [b"%d" % i for i in range(20)])
    own = TopicPartition(topic, 0)
    assert admin.delete_records({own: 5})[own]["low_watermark"] == 5
    assert admin.list_partition_offsets({own: -2})[own].offset == 5
    assert admin.list_partition_offsets({own: -1})[own].offset == 20
    assert 5 <= admin.list_partition_offsets({own: -3})[own].offset < 20
    assert read_from(broker, topic, 1, offset=5)[0].value == b"5"


def test_the_cluster(broker, admin):
    cluster = admin.describe_cluster()
    assert [f"{b['host']}:{b['port']}" for b in cluster["brokers"]] == [broker.address]
    assert cluster["controller_id"] == cluster["brokers"][0].get("node_id", cluster["brokers"][0].get("broker_id"))


def test_producers_are_described(broker, admin, topic):
    create_topic(broker, topic)
    produce(broker, topic, [b"a", b"b", b"c"], enable_idempotence=True, linger_ms=50)
    own = TopicPartition(topic, 0)
    (state,) = admin.describe_producers([own])[own].active_producers
    assert (state.last_sequence, state.producer_epoch) == (2, 0)


def test_there_are_no_transactions(admin):
    assert not any(admin.list_transactions().values())
    assert not any(admin.list_transactions(transactional_id_pattern="a.*").values())


def test_groups(broker, admin, topic):
    create_topic(broker, topic)
    produce(broker, topic, [b"a", b"b"])
    group, own = f"g-{topic}", TopicPartition(topic, 0)
    client = join(broker, topic, client_id="me")
    read(client, 2)
    client.commit()
    described = admin.describe_groups([group])[group]
    assert described["group_state"].lower() == "stable"
    assert [m["client_id"] for m in described["members"]] == ["me"]
    assert group in [g["group_id"] for g in admin.list_groups()]
    client.close()
    assert admin.list_group_offsets(group)[group][own].offset == 2
    admin.alter_group_offsets(group, {own: OffsetAndMetadata(1, "", -1)})
    assert admin.list_group_offsets(group)[group][own].offset == 1
    admin.delete_group_offsets(group, [own])
    assert own not in admin.list_group_offsets(group)[group]
    admin.delete_groups([group])
    assert group not in [g["group_id"] for g in admin.list_groups()]
