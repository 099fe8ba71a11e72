"""confluent-kafka: librdkafka as most applications outside of Java use it."""

import time
import uuid

import pytest
from confluent_kafka import (
    OFFSET_BEGINNING, OFFSET_END, TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError,
    KafkaException, Producer, TopicPartition)
from confluent_kafka.admin import AdminClient, NewPartitions
from conftest import SHORT_SESSIONS, create_topic

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
# A batch of one record of up to 8,191 bytes without key and headers: its header, and the record's own fields.
ONE_RECORD_BATCH = 61 + 9


def producer(broker, **options):
    config = {key.replace("_", "."): value for key, value in options.items()}
    return Producer({"bootstrap.servers": broker.address, "linger.ms": 1, **config})


def consumer(broker, **options):
    config = {key.replace("_", "."): value for key, value in options.items()}
    return Consumer({
        "bootstrap.servers": broker.address, "group.id": f"g-{uuid.uuid4().hex}", "auto.offset.reset": "earliest",
        "enable.auto.commit": False, "fetch.wait.max.ms": 20, "log_level": 0, **config})


def produce(broker, topic, values, partition=0, **options):
    """Waits until all are acknowledged; their offsets."""
    client = producer(broker, **options)
    reports = []
    for value in values:
        client.produce(topic, value, partition=partition, on_delivery=lambda e, m: reports.append((e, m)))
    assert client.flush(30) == 0
    assert [error for error, _ in reports if error is not None] == []
    return [message.offset() for _, message in reports]


def produce_one(broker, topic, value, **how):
    """The delivery report of one record: (error, message)."""
    client = producer(broker, message_max_bytes=20_000_000)
    reports = []
    client.produce(topic, value, on_delivery=lambda e, m: reports.append((e, m)), **how)
    assert client.flush(30) == 0
    return reports[0]


def read(client, count, seconds=20):
    """The next `count` records."""
    messages = []
    deadline = time.monotonic() + seconds
    while len(messages) < count:
        assert time.monotonic() < deadline, f"{len(messages)} of {count} records after {seconds} s"
        for message in client.consume(count - len(messages), 0.1):
            assert message.error() is None, message.error()
            messages.append(message)
    return messages


def read_from(broker, topic, count, offset=OFFSET_BEGINNING, partition=0, **options):
    client = consumer(broker, **options)
    client.assign([TopicPartition(topic, partition, offset)])
    messages = read(client, count)
    client.close()
    return messages


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_keeps_keys_headers_and_order(broker, topic, codec):
    create_topic(broker, topic, 3)
    client = producer(broker, compression_codec=codec, linger_ms=20)
    headers = [("a", b"1"), ("a", b"2"), ("none", None), ("empty", b"")]
    for i in range(600):
        client.produce(topic, f"value {i} " * 10, key=f"key {i}", partition=i % 3, headers=headers)
    assert client.flush(30) == 0
    for partition in range(3):
        messages = read_from(broker, topic, 200, partition=partition)
        numbers = range(partition, 600, 3)
        assert [m.offset() for m in messages] == list(range(200))
        assert [m.key() for m in messages] == [f"key {i}".encode() for i in numbers]
        assert [m.value() for m in messages] == [(f"value {i} " * 10).encode() for i in numbers]
        assert messages[7].headers() == headers


def test_null_and_empty_keys_and_values(broker, topic):
    create_topic(broker, topic)
    client = producer(broker)
    pairs = [(None, None), (b"", b""), (b"key", None), (None, b"value")]
    for key, value in pairs:
        client.produce(topic, value, key=key, partition=0)
    assert client.flush(30) == 0
    assert [(m.key(), m.value()) for m in read_from(broker, topic, 4)] == pairs


def test_idempotent_producer_keeps_the_order(broker, topic):
    create_topic(broker, topic)
    values = [str(i) for i in range(5000)]
    offsets = produce(broker, topic, values, enable_idempotence=True, batch_num_messages=50, linger_ms=0)
    assert offsets == list(range(5000))
    assert [m.value().decode() for m in read_from(broker, topic, 5000)] == values


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_acks(broker, topic, acks):
    create_topic(broker, topic)
    produce(broker, topic, [str(i) for i in range(100)], acks=acks)
    assert len(read_from(broker, topic, 100)) == 100


def test_create_time_is_kept(broker, topic):
    create_topic(broker, topic)
    at = int(time.time() * 1000) - 86_400_000
    error, report = produce_one(broker, topic, b"v", partition=0, timestamp=at)
    assert error is None
    assert report.timestamp() == (TIMESTAMP_CREATE_TIME, at)
    assert read_from(broker, topic, 1)[0].timestamp() == (TIMESTAMP_CREATE_TIME, at)


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_log_append_time_is_the_brokers(broker, topic, codec):
    create_topic(broker, topic, message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000)
    client = producer(broker, compression_codec=codec)
    reports = []
    for i in range(3):
        client.produce(topic, b"v" * 500, partition=0, timestamp=1000 + i, on_delivery=lambda e, m: reports.append(m))
    assert client.flush(30) == 0
    after = int(time.time() * 1000)
    for message in reports + read_from(broker, topic, 3):
        kind, at = message.timestamp()
        assert kind == TIMESTAMP_LOG_APPEND_TIME
        assert before <= at <= after


def test_timestamps_too_far_in_the_future_are_refused(broker, topic):
    create_topic(broker, topic)
    later = int(time.time() * 1000) + 2 * 3_600_000
    error, _ = produce_one(broker, topic, b"v", partition=0, timestamp=later)
    assert error.code() == KafkaError.INVALID_TIMESTAMP
    create_topic(broker, topic + "-open", message_timestamp_after_max_ms=9223372036854775807)
    assert produce_one(broker, topic + "-open", b"v", partition=0, timestamp=later)[0] is None


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_max_message_bytes(broker, topic, over):
    create_topic(broker, topic, max_message_bytes=5000)
    error, _ = produce_one(broker, topic, b"v" * (5000 - ONE_RECORD_BATCH + over), partition=0)
    if over > 0:
        assert error.code() == KafkaError.MSG_SIZE_TOO_LARGE
    else:
        assert error is None


def test_the_default_limit_of_messages(broker, topic):
    create_topic(broker, topic)
    assert produce_one(broker, topic, b"v" * 1_048_000, partition=0)[0] is None
    assert produce_one(broker, topic, b"v" * 1_048_600, partition=0)[0].code() == KafkaError.MSG_SIZE_TOO_LARGE


def test_a_large_message_comes_though_the_consumer_asks_for_less(broker, topic):
    create_topic(broker, topic, max_message_bytes=16_000_000)
    value = bytes(range(256)) * 40_000
    assert produce_one(broker, topic, value, partition=0)[0] is None
    assert produce_one(broker, topic, b"small", partition=0)[0] is None
    messages = read_from(broker, topic, 2, max_partition_fetch_bytes=1000, fetch_message_max_bytes=1000)
    assert [m.value() for m in messages] == [value, b"small"]


@pytest.mark.parametrize("produced", CODECS)
@pytest.mark.parametrize("stored", ["uncompressed", "gzip", "snappy", "lz4", "zstd"])
def test_compression_type_of_the_topic(broker, topic, produced, stored):
    create_topic(broker, topic, compression_type=stored)
    values = [f"value {i} ".encode() * 50 for i in range(50)]
    assert produce(broker, topic, values, compression_codec=produced, linger_ms=20) == list(range(50))
    assert [m.value() for m in read_from(broker, topic, 50)] == values


def test_a_compacted_topic_refuses_records_without_key(broker, topic):
    create_topic(broker, topic, cleanup_policy="compact")
    error, _ = produce_one(broker, topic, b"v", partition=0)
    assert error.code() == KafkaError.INVALID_RECORD
    assert produce_one(broker, topic, b"v", partition=0, key=b"k")[0] is None
    assert read_from(broker, topic, 1)[0].key() == b"k"


def test_offsets_for_times(broker, topic):
    create_topic(broker, topic)
    client = producer(broker)
    base = int(time.time() * 1000) - 100_000
    for i in range(100):
        client.produce(topic, str(i), partition=0, timestamp=base + i * 10)
    assert client.flush(30) == 0
    reader = consumer(broker)

    def at(timestamp):
        (found,) = reader.offsets_for_times([TopicPartition(topic, 0, timestamp)], timeout=10)
        return found.offset

    assert at(base - 5) == 0
    assert at(base) == 0
    assert at(base + 500) == 50
    assert at(base + 501) == 51
    assert at(base + 990) == 99
    assert at(base + 991) == OFFSET_END
    reader.close()


def test_seek_pause_and_positions(broker, topic):
    create_topic(broker, topic, 2)
    for partition in range(2):
        produce(broker, topic, [str(i) for i in range(100)], partition=partition)
    reader = consumer(broker)
    reader.assign([TopicPartition(topic, 0, 10), TopicPartition(topic, 1, OFFSET_END)])
    assert read(reader, 1)[0].offset() == 10
    reader.seek(TopicPartition(topic, 0, 90))
    assert [m.offset() for m in read(reader, 10)] == list(range(90, 100))
    reader.seek(TopicPartition(topic, 0, OFFSET_BEGINNING))
    assert read(reader, 1)[0].offset() == 0
    reader.pause([TopicPartition(topic, 0)])
    reader.seek(TopicPartition(topic, 1, 98))
    assert [(m.partition(), m.offset()) for m in read(reader, 2)] == [(1, 98), (1, 99)]
    reader.resume([TopicPartition(topic, 0)])
    assert read(reader, 1)[0].partition() == 0
    (position,) = reader.position([TopicPartition(topic, 1)])
    assert position.offset == 100
    reader.close()


def test_the_end_of_a_partition_is_told(broker, topic):
    create_topic(broker, topic)
    produce(broker, topic, ["a"])
    reader = consumer(broker, enable_partition_eof=True)
    reader.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert reader.poll(10).value() == b"a"
    assert reader.poll(10).error().code() == KafkaError._PARTITION_EOF
    reader.close()


def test_an_offset_out_of_range(broker, topic):
    create_topic(broker, topic)
    produce(broker, topic, ["a", "b"])
    assert read_from(broker, topic, 2, offset=1000)[0].offset() == 0
    reader = consumer(broker, auto_offset_reset="error")
    reader.assign([TopicPartition(topic, 0, 1000)])
    assert reader.poll(10).error().code() == KafkaError._AUTO_OFFSET_RESET
    reader.close()


def test_producing_creates_the_topic(broker, topic):
    assert produce_one(broker, topic, b"v")[0] is None
    assert read_from(broker, topic, 1)[0].value() == b"v"


def test_a_consumer_creates_the_topic_only_if_it_asks_to(broker, topic):
    asking = consumer(broker, allow_auto_create_topics=True, topic_metadata_refresh_interval_ms=200)
    asking.subscribe([topic])
    asking.poll(0.5)
    produce(broker, topic, ["v"])
    assert read(asking, 1)[0].value() == b"v"
    asking.close()
    quiet = consumer(broker)
    quiet.subscribe([topic + "-absent"])
    message = quiet.poll(10)
    assert message.error().code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    quiet.close()


@pytest.mark.parametrize("name", ["a b", "x" * 250, ".", "ü"])
def test_invalid_topic_names(broker, name):
    error, _ = produce_one(broker, name, b"v")
    assert error.code() in [KafkaError.TOPIC_EXCEPTION, KafkaError._UNKNOWN_TOPIC]


PROTOCOLS = ["classic", "consumer"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_commits_are_resumed_from(broker, topic, protocol):
    create_topic(broker, topic, 2)
    produce(broker, topic, [str(i) for i in range(100)])
    group = f"g-{topic}"
    first = consumer(broker, group_id=group, group_protocol=protocol)
    first.subscribe([topic])
    messages = read(first, 30)
    committed = first.commit(message=messages[-1], asynchronous=False)
    assert [(p.partition, p.offset, p.error) for p in committed] == [(0, 30, None)]
    (own,) = first.committed([TopicPartition(topic, 0)], timeout=10)
    assert own.offset == 30
    (none,) = first.committed([TopicPartition(topic, 1)], timeout=10)
    assert none.offset < 0, "what was never committed is not 0"
    first.close()
    second = consumer(broker, group_id=group, group_protocol=protocol)
    second.subscribe([topic])
    assert read(second, 1)[0].offset() == 30
    second.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_automatic_commits_at_close(broker, topic, protocol):
    create_topic(broker, topic)
    produce(broker, topic, [str(i) for i in range(50)])
    options = {"group_id": f"g-{topic}", "group_protocol": protocol, "enable_auto_commit": True}
    first = consumer(broker, **options)
    first.subscribe([topic])
    read(first, 20)
    first.close()
    second = consumer(broker, **options)
    second.subscribe([topic])
    assert read(second, 1)[0].offset() == 20
    second.close()


def test_commits_carry_metadata(broker, topic):
    create_topic(broker, topic)
    client = consumer(broker, group_id=f"g-{topic}")
    client.commit(offsets=[TopicPartition(topic, 0, 7, "why")], asynchronous=False)
    (found,) = client.committed([TopicPartition(topic, 0)], timeout=10)
    assert (found.offset, found.metadata) == (7, "why")
    client.commit(offsets=[TopicPartition(topic, 0, 7, "m" * 4000)], asynchronous=False)
    with pytest.raises(KafkaException) as refused:
        client.commit(offsets=[TopicPartition(topic, 0, 8, "m" * 4200)], asynchronous=False)
    assert refused.value.args[0].code() == KafkaError.OFFSET_METADATA_TOO_LARGE
    client.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pattern_subscribes_to_topics_that_match(broker, topic, protocol):
    for name in ["a", "b"]:
        create_topic(broker, f"{topic}.{name}")
        produce(broker, f"{topic}.{name}", [name])
    create_topic(broker, f"other.{topic}")
    client = consumer(broker, group_protocol=protocol, topic_metadata_refresh_interval_ms=200)
    client.subscribe([f"^{topic}\\..*"])
    assert sorted(m.value() for m in read(client, 2)) == [b"a", b"b"]
    assert {p.topic for p in client.assignment()} == {f"{topic}.a", f"{topic}.b"}
    client.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_new_partitions_reach_the_group(broker, topic, protocol):
    create_topic(broker, topic)
    produce(broker, topic, ["first"])
    client = consumer(broker, group_protocol=protocol, topic_metadata_refresh_interval_ms=200)
    client.subscribe([topic])
    client.commit(message=read(client, 1)[0], asynchronous=False)
    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.create_partitions([NewPartitions(topic, 4)])[topic].result(30)
    produce(broker, topic, ["second"], partition=3)
    assert read(client, 1)[0].partition() == 3
    client.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_committed_offsets_survive_kill_9(make_broker, topic, protocol):
    broker = make_broker(sets=SHORT_SESSIONS)
    create_topic(broker, topic, 3)
    for partition in range(3):
        produce(broker, topic, [str(i) for i in range(20)], partition=partition)
    client = consumer(broker, group_id="g", group_protocol=protocol)
    client.subscribe([topic])
    read(client, 60)
    client.commit(offsets=[TopicPartition(topic, p, 5 + p) for p in range(3)], asynchronous=False)
    broker.kill()
    broker.start()
    fresh = consumer(broker, group_id="g")
    found = fresh.committed([TopicPartition(topic, p) for p in range(3)], timeout=20)
    assert [p.offset for p in found] == [5, 6, 7]
    fresh.close()
    client.close()


def test_a_transactional_producer_is_refused_at_once(broker):
    client = producer(broker, transactional_id="nobody")
    begun = time.monotonic()
    with pytest.raises(KafkaException) as refused:
        client.init_transactions(20)
    assert "Transactions are not served by this broker" in str(refused.value)
    assert refused.value.args[0].fatal() and time.monotonic() - begun < 10


def moved_connections(broker):
    lines = broker.get("/metrics")[1].splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("heddle_connections_moved_total{"))


def test_a_producer_follows_its_partition_to_another_core(make_broker):
    """Two topics of one partition, on the two cores: the producer of both in turn is on the wrong core at least once, and
    its connection moves while requests are under way. Nothing is lost, doubled or out of order for that."""
    broker = make_broker(shards=2)
    topics = ["here", "there"]
    for topic in topics:
        create_topic(broker, topic, 1)
    client = producer(broker, linger_ms=0, enable_idempotence=True)
    reports = []
    sent = 0
    for topic in topics:
        deadline = time.monotonic() + (2 if topic == "here" else 30)
        while moved_connections(broker) < 1 and time.monotonic() < deadline:
            for _ in range(50):
                client.produce(topic, str(sent).encode(), on_delivery=lambda error, _: reports.append(error))
                sent += 1
            client.poll(0.005)
    assert moved_connections(broker) >= 1
    for topic in topics:
        for _ in range(500):
            client.produce(topic, str(sent).encode(), on_delivery=lambda error, _: reports.append(error))
            sent += 1
    assert client.flush(30) == 0
    assert len(reports) == sent and set(reports) == {None}
    reader = consumer(broker)
    reader.assign([TopicPartition(topic, 0, OFFSET_BEGINNING) for topic in topics])
    seen = {topic: [] for topic in topics}
    deadline = time.monotonic() + 30
    while sum(map(len, seen.values())) < sent:
        assert time.monotonic() < deadline
        for message in reader.consume(1000, timeout=1):
            assert message.error() is None
            seen[message.topic()].append(int(message.value()))
    reader.close()
    for numbers in seen.values():
        assert numbers == sorted(set(numbers))
