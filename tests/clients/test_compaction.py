"""Compacted topics: of each key the newest value stays, deleted keys go, offsets stay, also across kill -9."""

import random
import re
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from conftest import create_topic

KEYS = 100
# A replica's turn to be looked at comes every 15 s (log.cleaner.backoff.ms).
WAIT_SECONDS = 120


def produce(broker, topic, records, codec):
    """Writes (key, value) pairs and gives back the newest offset and value of each key."""
    producer = Producer({"bootstrap.servers": broker.address, "compression.type": codec, "linger.ms": 20,
                         "enable.idempotence": True, "queue.buffering.max.messages": 1_000_000})
    newest = {}

    def delivered(error, message):
        assert error is None, error
        newest[message.key().decode()] = (message.offset(), message.value())

    for key, value in records:
        producer.produce(topic, key=key, value=value, on_delivery=delivered)
        producer.poll(0)
    assert producer.flush(60) == 0
    return newest


def consume(broker, topic, offset):
    """Everything from an offset to the end: (offset, key, value), in order."""
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "reads", "enable.auto.commit": False,
                         "enable.partition.eof": True, "check.crcs": True})
    consumer.assign([TopicPartition(topic, 0, offset)])
    found, deadline = [], time.monotonic() + 60
    while time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            break
        found.append((message.offset(), message.key().decode(), message.value()))
    consumer.close()
    assert time.monotonic() < deadline, "the end was never reached"
    return found


def metric(broker, name):
    return sum(float(value) for value in re.findall(rf"^{name}{{[^}}]*}} (\S+)$", broker.get("/metrics")[1], re.M))


def wait_until_compacted(broker, rounds):
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        ended = metric(broker, "heddle_compaction_rounds_total")
        if ended > rounds and metric(broker, "heddle_compaction_dirty_bytes") == 0:
            return
        time.sleep(0.5)
    raise AssertionError(f"nothing was compacted:\n{broker.log()}")


def check(broker, topic, newest, written, tombstones=True):
    """What is found, once rounds have come by everything: the first may end before the last segment is closed."""
    expected = {key: entry for key, entry in newest.items() if entry[1] is not None}
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = consume(broker, topic, 0)
        values = {key: (offset, value) for offset, key, value in found if value is not None}
        is_over = values == expected and (tombstones or all(value is not None for _, _, value in found))
        if is_over or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    offsets = [offset for offset, _, _ in found]
    assert offsets == sorted(set(offsets))
    assert values == expected
    assert len(found) < written * 2 / 3, "most of it was replaced"
    # Offsets of records that are gone lead on to the next that is there.
    for start in [1, offsets[len(offsets) // 2] - 1, offsets[-1]]:
        assert consume(broker, topic, start)[0][0] == next(offset for offset in offsets if offset >= start)
    return found


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_compaction(make_broker, codec):
    broker = make_broker(shards=1)
    topic = "compacted"
    create_topic(broker, topic, cleanup_policy="compact", segment_bytes=1 << 20, min_cleanable_dirty_ratio=0,
                 delete_retention_ms=0, file_delete_delay_ms=100)
    # Values that do not pack, so that segments fill under every codec.
    value = lambda at: b"%d:" % at + random.Random(at).randbytes(1500)
    records = [(f"k{at % KEYS}", value(at)) for at in range(6000)] + [(f"gone{n}", b"x") for n in range(20)]
    records += [(f"gone{n}", None) for n in range(20)]
    newest = produce(broker, topic, records, codec)
    newest.update(produce(broker, topic, [(f"k{at % KEYS}", value(at)) for at in range(6000, 7500)], codec))
    wait_until_compacted(broker, 0)
    check(broker, topic, newest, 7500)
    broker.kill()
    broker.start()
    check(broker, topic, newest, 7500)
    newest.update(produce(broker, topic, [(f"k{at % KEYS}", value(at)) for at in range(7500, 10500)], codec))
    wait_until_compacted(broker, 0)
    found = check(broker, topic, newest, 10500, tombstones=False)
    assert not [key for _, key, _ in found if key.startswith("gone")], "tombstones went too"
    assert metric(broker, "heddle_compaction_failures_total") == 0
    admin = AdminClient({"bootstrap.servers": broker.address})
    partition = TopicPartition(topic, 0)
    last = admin.list_offsets({partition: OffsetSpec.latest()})[partition].result(30).offset
    largest = admin.list_offsets({partition: OffsetSpec.max_timestamp()})[partition].result(30).offset
    assert last == len(records) + 4500 and found[-1][0] == last - 1
    assert largest in [offset for offset, _, _ in found]
