"""One member of a consumer group as a process of its own, so that a test can kill it.

    member.py CLIENT ADDRESS GROUP TOPIC [INSTANCE_ID]

CLIENT is one of classic, cooperative, kip848 (all confluent-kafka), kafka-python, aiokafka.
Each line of standard output is JSON: the assignment after a change ({"assigned": [0, 1]}), what a change took away
({"revoked": [1]}), records before their offsets are committed ({"got": [[partition, offset, value], ...]}), or an error
that the client reported ({"error": text}). SIGTERM closes the consumer as an application does.
"""

import asyncio
import json
import logging
import signal
import sys

SESSION_MS = 2500
HEARTBEAT_MS = 300


class Ending:
    """Becomes true at SIGTERM."""

    def __init__(self):
        self.now = False
        signal.signal(signal.SIGTERM, self.on_signal)

    def on_signal(self, *_):
        self.now = True


def say(**what):
    print(json.dumps(what), flush=True)


def confluent(kind, address, group, topic, instance, ending):
    from confluent_kafka import Consumer, KafkaException

    config = {
        "bootstrap.servers": address, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
        "fetch.wait.max.ms": 50, "topic.metadata.refresh.interval.ms": 500, "reconnect.backoff.max.ms": 200,
        "log_level": 0,
    }
    if kind == "kip848":
        config["group.protocol"] = "consumer"
    else:
        strategy = "cooperative-sticky" if kind == "cooperative" else "range"
        config.update({"session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": HEARTBEAT_MS,
                       "partition.assignment.strategy": strategy})
    if instance:
        config["group.instance.id"] = instance
    consumer = Consumer(config)
    assigned = set()

    def on_assign(consumer, partitions):
        changed = {p.partition for p in partitions}
        assigned.update(changed)
        say(assigned=sorted(assigned))

    def on_revoke(consumer, partitions):
        gone = {p.partition for p in partitions}
        assigned.difference_update(gone)
        say(revoked=sorted(gone))

    consumer.subscribe([topic], on_assign=on_assign, on_revoke=on_revoke, on_lost=on_revoke)
    while not ending.now:
        messages = consumer.consume(200, 0.1)
        good = [m for m in messages if m.error() is None]
        for message in messages:
            if message.error() is not None:
                say(error=str(message.error()))
        if good:
            say(got=[[m.partition(), m.offset(), m.value().decode()] for m in good])
            try:
                consumer.commit(asynchronous=False)
            except KafkaException as error:
                say(error=str(error))
    consumer.close()


def kafka_python(address, group, topic, instance, ending):
    from kafka import ConsumerRebalanceListener, KafkaConsumer
    from kafka.errors import KafkaError

    consumer = KafkaConsumer(
        bootstrap_servers=address, group_id=group, group_instance_id=instance, auto_offset_reset="earliest",
        enable_auto_commit=False, fetch_max_wait_ms=50, session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=HEARTBEAT_MS, metadata_max_age_ms=500, reconnect_backoff_max_ms=200,
    )

    class Listener(ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked):
            say(revoked=sorted(p.partition for p in revoked))

        def on_partitions_assigned(self, assigned):
            say(assigned=sorted(p.partition for p in consumer.assignment()))

    # A leader of this client assigns at once, and nothing if it does not know the topic yet.
    consumer.partitions_for_topic(topic)
    consumer.subscribe([topic], listener=Listener())
    while not ending.now:
        try:
            # This client forgets an assignment that arrives after its poll timed out.
            batches = consumer.poll(timeout_ms=3000, max_records=200)
            messages = [m for batch in batches.values() for m in batch]
            if messages:
                say(got=[[m.partition, m.offset, m.value.decode()] for m in messages])
                consumer.commit()
        except KafkaError as error:
            say(error=repr(error))
    consumer.close()


async def aio(address, group, topic, instance, ending):
    from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
    from aiokafka.errors import KafkaError

    consumer = AIOKafkaConsumer(
        bootstrap_servers=address, group_id=group, group_instance_id=instance, auto_offset_reset="earliest",
        enable_auto_commit=False, fetch_max_wait_ms=50, session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=HEARTBEAT_MS, metadata_max_age_ms=500,
    )

    class Listener(ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked):
            say(revoked=sorted(p.partition for p in revoked))

        def on_partitions_assigned(self, assigned):
            say(assigned=sorted(p.partition for p in assigned))

    consumer.subscribe([topic], listener=Listener())
    await consumer.start()
    while not ending.now:
        try:
            batches = await consumer.getmany(timeout_ms=100, max_records=200)
            messages = [m for batch in batches.values() for m in batch]
            if messages:
                say(got=[[m.partition, m.offset, m.value.decode()] for m in messages])
                await consumer.commit()
        except KafkaError as error:
            say(error=repr(error))
    await consumer.stop()


def main():
    logging.basicConfig(level=logging.WARNING)
    kind, address, group, topic, *instance = sys.argv[1:]
    instance = instance[0] if instance else None
    ending = Ending()
    if kind == "aiokafka":
        asyncio.run(aio(address, group, topic, instance, ending))
    elif kind == "kafka-python":
        kafka_python(address, group, topic, instance, ending)
    else:
        confluent(kind, address, group, topic, instance, ending)


if __name__ == "__main__":
    main()
