"""Broker configs of groups that a member notices."""

import time

from confluent_kafka import Consumer, KafkaError
from conftest import SHORT_SESSIONS, create_topic


def consumer(broker, topic, protocol):
    client = Consumer({"bootstrap.servers": broker.address, "group.id": "g", "group.protocol": protocol,
                       "auto.offset.reset": "earliest", "fetch.wait.max.ms": 20, "log_level": 0})
    client.subscribe([topic])
    return client


def test_a_full_group_takes_no_more_members(make_broker, topic):
    protocol = "consumer"
    broker = make_broker(sets=SHORT_SESSIONS + ["group.consumer.max.size=1"])
    create_topic(broker, topic, 2)
    first = consumer(broker, topic, protocol)
    while not first.assignment():
        assert first.poll(0.05) is None
    second = consumer(broker, topic, protocol)
    error = second.poll(20).error()
    assert error.code() == KafkaError.GROUP_MAX_SIZE_REACHED or "maximum" in error.str().lower(), error
    second.close()
    first.close()


def test_an_assignor_that_the_broker_does_not_have_is_refused(make_broker, topic):
    broker = make_broker(sets=SHORT_SESSIONS + ["group.consumer.assignors=range"])
    create_topic(broker, topic, 2)
    config = {"bootstrap.servers": broker.address, "group.id": "g", "group.protocol": "consumer", "log_level": 0}
    asks_too_much = Consumer({**config, "group.remote.assignor": "uniform"})
    asks_too_much.subscribe([topic])
    error = asks_too_much.poll(20).error()
    # This client makes it a fatal error, and keeps the reason in its text.
    assert error.code() == KafkaError._FATAL and "assignor" in error.str(), error
    asks_too_much.close()
    content = Consumer({**config, "group.remote.assignor": "range"})
    content.subscribe([topic])
    deadline = time.monotonic() + 20
    while not content.assignment():
        assert time.monotonic() < deadline and content.poll(0.05) is None
    content.close()
