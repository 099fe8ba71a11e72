"""kill -9 under load: what was acknowledged is there, once, in order."""

import threading

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from conftest import create_topic


def read_all(broker, topic, partitions):
    """Every record of every partition up to its end: (partition, offset, value)."""
    consumer = Consumer({
        "bootstrap.servers": broker.address, "group.id": "unused", "enable.auto.commit": False,
        "fetch.wait.max.ms": 10,  # a change of partition waits for the fetch under way
    })
    found = []
    for partition in range(partitions):
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
        consumer.assign([TopicPartition(topic, partition, low)])
        next_offset = low
        while next_offset < high:
            message = consumer.poll(10)
            assert message is not None, f"nothing comes at {partition}/{next_offset}, the end is {high}"
            assert message.error() is None, message.error()
            assert message.offset() == next_offset, "offsets are dense"
            found.append((partition, message.offset(), message.value().decode()))
            next_offset = message.offset() + 1
    consumer.close()
    return found


class Load:
    """An idempotent producer that remembers what was acknowledged."""

    def __init__(self, broker, topic):
        self.producer = Producer({
            "bootstrap.servers": broker.address, "enable.idempotence": True, "linger.ms": 1,
            "message.timeout.ms": 60000, "retry.backoff.ms": 50, "reconnect.backoff.max.ms": 200,
            "log_level": 0,
        })
        self.topic = topic
        self.acknowledged = {}
        self.failed = []
        self.sent = 0
        self.enough = threading.Event()

    def send(self, count):
        for _ in range(count):
            self.send_values(str(self.sent), 1)

    def send_values(self, prefix, count):
        """`count` records of one prefix, each with its own number."""
        for number in range(count):
            value = prefix if count == 1 else f"{prefix}-{number}"
            while True:
                try:
                    self.producer.produce(self.topic, value=value, key=value, on_delivery=self.delivered)
                    break
                except BufferError:
                    self.producer.poll(0.05)
            self.sent += 1
            self.producer.poll(0)

    def delivered(self, error, message):
        if error is not None:
            self.failed.append((message.value(), str(error)))
        else:
            self.acknowledged[message.value().decode()] = (message.partition(), message.offset())
            if len(self.acknowledged) % 500 == 0:
                self.enough.set()


@pytest.mark.parametrize("restart_shards", [[2, 2], [1, 3]])
def test_kill_9_loses_nothing_that_was_acknowledged(make_broker, topic, restart_shards):
    broker = make_broker()
    create_topic(broker, topic, 6)
    load = Load(broker, topic)
    for shards in restart_shards:
        load.send(3000)
        load.producer.poll(0.05)
        broker.kill()
        load.send(500)
        broker.shards = shards
        broker.start()
    load.send(1000)
    assert load.producer.flush(60) == 0
    assert load.failed == []
    assert len(load.acknowledged) == load.sent

    stored = read_all(broker, topic, 6)
    values = [value for _, _, value in stored]
    assert len(values) == len(set(values)), "an idempotent producer's records are there once"
    where = {value: (partition, offset) for partition, offset, value in stored}
    missing = {v for v in load.acknowledged if where.get(v) != load.acknowledged[v]}
    assert not missing, f"{len(missing)} acknowledged records are not where they were said to be"


def test_sigterm_ends_cleanly_and_keeps_everything(make_broker, topic):
    broker = make_broker()
    create_topic(broker, topic, 3)
    load = Load(broker, topic)
    load.send(2000)
    assert load.producer.flush(30) == 0
    assert broker.stop() == 0
    broker.start()
    assert len(read_all(broker, topic, 3)) == 2000
