"""Consumer lag and group states on /metrics, beside what Apache Kafka's own tool says."""

import re
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from conftest import create_topic
from kafka_tools import Tools

LINE = re.compile(r"^(\w+)\{(.*)\} (\S+)$", re.M)
LABEL = re.compile(r'(\w+)="([^"]*)"')


def scrape(broker, name):
    """The metric's values by labels."""
    status, text = broker.get("/metrics")
    assert status == 200
    found = [match for match in LINE.finditer(text) if match[1] == name]
    return {frozenset(LABEL.findall(match[2])): int(match[3]) for match in found}


def by_partition(values, group, topic):
    mine = [(dict(labels), value) for labels, value in values.items()]
    return {int(labels["partition"]): value for labels, value in mine
            if (labels["consumergroup"], labels["topic"]) == (group, topic)}


def states(broker):
    counts = {(dict(labels)["protocol"], dict(labels)["state"]): value
              for labels, value in scrape(broker, "heddle_groups").items()}
    assert set(counts) == {("Classic", "Empty"), ("Classic", "PreparingRebalance"), ("Classic", "CompletingRebalance"),
                           ("Classic", "Stable"), ("Consumer", "Empty"), ("Consumer", "Assigning"),
                           ("Consumer", "Reconciling"), ("Consumer", "Stable")}
    return counts


def described(address, group, topic):
    """Committed offset, end and lag by partition, as kafka-consumer-groups --describe says."""
    tools = Tools(address)
    try:
        said = tools.ok("kafka-consumer-groups", "--describe", "--group", group, seconds=40)
    finally:
        tools.end()
    line = rf"^{group}\s+{topic}\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s"
    return {int(p): (int(offset), int(end), int(lag)) for p, offset, end, lag in re.findall(line, said, re.M)}


def produce(broker, topic, counts):
    producer = Producer({"bootstrap.servers": broker.address})
    for partition, count in enumerate(counts):
        for number in range(count):
            producer.produce(topic, str(number), partition=partition)
    assert producer.flush(30) == 0


def test_lag_is_what_kafkas_tool_says(broker, topic):
    group = f"lag-{topic}"
    create_topic(broker, topic, 5)
    # Partitions lie on both cores, and most not on the one that keeps the group.
    produce(broker, topic, [10, 20, 30, 40, 0])
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": group})
    offsets = {0: 0, 1: 7, 2: 30, 4: 0}
    consumer.commit(offsets=[TopicPartition(topic, p, o) for p, o in offsets.items()], asynchronous=False)
    consumer.close()
    assert by_partition(scrape(broker, "kafka_consumergroup_current_offset"), group, topic) == offsets
    lag = by_partition(scrape(broker, "kafka_consumergroup_lag"), group, topic)
    assert lag == {0: 10, 1: 13, 2: 0, 4: 0}
    expected = described(broker.address, group, topic)
    assert {p: (offsets[p], offsets[p] + lag[p], lag[p]) for p in lag} == expected
    produce(broker, topic, [0, 5, 0, 0, 2])
    assert by_partition(scrape(broker, "kafka_consumergroup_lag"), group, topic) == {0: 10, 1: 18, 2: 0, 4: 2}


def test_many_groups_are_told_over_many_pages(make_broker, topic):
    """More committed offsets than one page of a core holds."""
    broker = make_broker(sets=["offsets.topic.num.partitions=3", "group.initial.rebalance.delay.ms=0"])
    create_topic(broker, topic, 400)
    produce(broker, topic, [1] * 400)
    expected = {}
    for number in range(9):
        consumer = Consumer({"bootstrap.servers": broker.address, "group.id": f"g{number}"})
        offsets = [TopicPartition(topic, p, p % 2) for p in range(400)]
        consumer.commit(offsets=offsets, asynchronous=False)
        consumer.close()
        expected[f"g{number}"] = {p: 1 - p % 2 for p in range(400)}
    lag = scrape(broker, "kafka_consumergroup_lag")
    assert len(lag) == 9 * 400
    assert {group: by_partition(lag, group, topic) for group in expected} == expected
    assert states(broker)[("Classic", "Empty")] == 9


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_states_of_groups_are_counted(make_broker, topic, protocol):
    broker = make_broker(sets=["group.initial.rebalance.delay.ms=0"])
    create_topic(broker, topic)
    kind = {"classic": "Classic", "consumer": "Consumer"}[protocol]
    assert set(states(broker).values()) == {0}
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "g", "group.protocol": protocol})
    consumer.subscribe([topic])
    deadline = time.monotonic() + 30
    while states(broker)[(kind, "Stable")] != 1:
        assert time.monotonic() < deadline, states(broker)
        consumer.poll(0.05)
    assert sum(states(broker).values()) == 1
    consumer.close()
    while states(broker)[(kind, "Empty")] != 1:
        assert time.monotonic() < deadline, states(broker)
    assert sum(states(broker).values()) == 1
