"""MirrorMaker 2, unmodified: topics, their configs and the offsets of groups go from one broker to another."""

import subprocess
import time

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from conftest import SHORT_SESSIONS, create_topic
from kafka_tools import classpath

WAIT_SECONDS = 90
RECORDS = 1000


@pytest.fixture
def mirror(tmp_path):
    """Starts MirrorMaker between two brokers; gives its process, whose output is in the returned file."""
    running = []

    def start(source, target):
        copies = ["checkpoints.topic", "heartbeats.topic", "offset-syncs.topic", "offset.storage", "status.storage",
                  "config.storage"]
        each = ["refresh.topics", "refresh.groups", "sync.topic.configs", "emit.checkpoints", "emit.heartbeats",
                "sync.group.offsets"]
        (tmp_path / "plugins").mkdir()
        properties = tmp_path / "mirror.properties"
        properties.write_text("\n".join([
            "clusters=here,there", f"here.bootstrap.servers={source.address}",
            f"there.bootstrap.servers={target.address}",
            "here->there.enabled=true", "there->here.enabled=false", "topics=lines.*", "groups=readers.*",
            "replication.factor=1", "sync.group.offsets.enabled=true", "offset.lag.max=0",
            "offset.flush.interval.ms=500", "plugin.discovery=service_load", f"plugin.path={tmp_path}/plugins",
            *(f"{kind}.replication.factor=1" for kind in copies), *(f"{what}.interval.seconds=1" for what in each),
        ]))
        said = tmp_path / "mirror.log"
        command = ["java", "-Xmx400m", "-XX:TieredStopAtLevel=1", "-cp", classpath()]
        with open(said, "ab") as log:
            running.append(subprocess.Popen([*command, "org.apache.kafka.connect.mirror.MirrorMaker", str(properties)],
                                            stdout=log, stderr=log))
        return running[-1], said

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait()


def ends(broker, topic):
    """The end of each of the topic's partitions; none while it does not exist, or is too new to be read."""
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "nobody", "allow.auto.create.topics": False})
    try:
        found = consumer.list_topics(timeout=10).topics.get(topic)
        partitions = [] if found is None else sorted(found.partitions)
        return [consumer.get_watermark_offsets(TopicPartition(topic, number), 10)[1] for number in partitions]
    except KafkaException:
        return []
    finally:
        consumer.close()


def test_topics_configs_and_offsets_are_mirrored(make_broker, mirror):
    here, there = make_broker("here", sets=SHORT_SESSIONS), make_broker("there", sets=SHORT_SESSIONS)
    create_topic(here, "lines", 3, retention_ms=123456789)
    producer = Producer({"bootstrap.servers": here.address})
    for number in range(RECORDS):
        producer.produce("lines", f"line {number}", key=str(number))
    assert producer.flush(30) == 0
    reader = Consumer({"bootstrap.servers": here.address, "group.id": "readers", "auto.offset.reset": "earliest",
                       "enable.auto.commit": False})
    reader.subscribe(["lines"])
    for _ in range(RECORDS):
        message = reader.poll(20)
        assert message is not None and message.error() is None
    reader.commit(asynchronous=False)
    reader.close()
    process, said = mirror(here, there)
    admin = AdminClient({"bootstrap.servers": there.address})
    config = ConfigResource(ResourceType.TOPIC, "here.lines")

    def until(what, is_so):
        deadline = time.monotonic() + WAIT_SECONDS
        while not is_so():
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline, f"not within {WAIT_SECONDS} s: {what}\n{said.read_text()}"
            time.sleep(0.2)

    def committed():
        """What stands for the group over there, by partition."""
        asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions("readers")])
        found = asked["readers"].result(10).topic_partitions
        assert all(one.topic == "here.lines" for one in found)
        return {one.partition: one.offset for one in found}

    def mirrored():
        """Records of which a killed broker's answer was lost may be there twice."""
        source, target = ends(here, "lines"), ends(there, "here.lines")
        return len(source) == len(target) == 3 and all(copy >= end for copy, end in zip(target, source))

    until("all records", lambda: sum(ends(there, "here.lines")) == RECORDS)
    assert ends(there, "here.lines") == ends(here, "lines")
    described = lambda: admin.describe_configs([config])[config].result(10)
    until("the config", lambda: described()["retention.ms"].value == "123456789")
    # The group has read all, and so it has over there.
    until("the offsets", lambda: committed() == dict(enumerate(ends(there, "here.lines"))))
    for broker in [there, here]:
        broker.kill()
        broker.start()
        for number in range(RECORDS):
            producer.produce("lines", f"line {number}", key=str(number))
        assert producer.flush(30) == 0
        until("all records after a crash", mirrored)
    process.terminate()
    process.wait(40)
