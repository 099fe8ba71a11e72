"""Kafka Streams, unmodified: a word count with a repartition topic and two changelogs (java/WordCount.java)."""

import collections
import random
import shutil
import subprocess
import time
import uuid

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from conftest import SHORT_SESSIONS, create_topic
from kafka_tools import ROOT, Tools, classpath

WAIT_SECONDS = 60
# A Streams application does not leave its group when it is closed: the next one waits until its session has ended.
QUICK = ["session.timeout.ms=5000", "heartbeat.interval.ms=500", "repartition.purge.interval.ms=500"]


class WordCount:
    """The application, the lines it was given, and what it made of them."""

    def __init__(self, broker, directory):
        self.broker = broker
        self.name = f"words-{uuid.uuid4().hex[:8]}"
        self.state = directory / "state"
        self.log = directory / "words.log"
        self.process = None
        self.random = random.Random(1)
        self.words = collections.Counter()
        self.producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 2, "log_level": 0})
        for topic, partitions in [("in", 3), ("counts", 1), ("windows", 1)]:
            create_topic(broker, f"{self.name}-{topic}", partitions)

    def start(self, *configs):
        source = ROOT / "tests" / "clients" / "java" / "WordCount.java"
        command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", classpath(), str(source)]
        command += [self.broker.address, self.name, str(self.state), *QUICK, *configs]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def close(self):
        self.process.terminate()
        self.process.wait(30)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def feed(self, lines):
        """Produce lines of five words and wait until they are acknowledged."""
        for _ in range(lines):
            words = self.random.choices([f"w{number}" for number in range(40)], k=5)
            self.words.update(words)
            self.producer.produce(f"{self.name}-in", " ".join(words), key=str(self.random.random()))
        assert self.producer.flush(30) == 0

    def last(self, topic):
        """The last value of each key."""
        consumer = Consumer({"bootstrap.servers": self.broker.address, "group.id": "nobody", "log_level": 0,
                             "enable.partition.eof": True, "enable.auto.commit": False})
        consumer.assign([TopicPartition(f"{self.name}-{topic}", 0, 0)])
        found = {}
        while (message := consumer.poll(10)) is not None and not message.error():
            found[message.key().decode()] = int(message.value())
        consumer.close()
        return found

    def counted(self):
        """All counts, and the sums of all windows."""
        windows = collections.Counter()
        for window, count in self.last("windows").items():
            windows[window.split("@")[0]] += count
        return collections.Counter(self.last("counts")), windows

    def wait(self, is_right):
        """Until `is_right(counted, fed)` of the counts and of the windows."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            found = self.counted()
            if all(is_right(counted, self.words) for counted in found):
                return
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.2)
        raise AssertionError(f"counted {found}, fed {self.words}:\n{self.log.read_text()}")


def exact(counted, fed):
    return counted == fed


def at_least_once(counted, fed):
    return counted >= fed


@pytest.fixture
def words(make_broker, tmp_path):
    app = WordCount(make_broker(sets=SHORT_SESSIONS), tmp_path)
    yield app
    if app.process is not None and app.process.poll() is None:
        app.kill()


def test_a_word_count_is_exact_over_restarts_of_the_application(words):
    words.start()
    words.feed(1000)
    words.wait(exact)
    admin = AdminClient({"bootstrap.servers": words.broker.address})
    names = [f"{words.name}-{name}" for name in ["words-repartition", "counts-changelog", "windows-changelog"]]
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    described = [future.result(10) for future in admin.describe_configs(resources).values()]
    assert [config["cleanup.policy"].value for config in described] == ["delete", "compact", "compact,delete"]
    assert described[0]["retention.ms"].value == "-1" and described[0]["message.timestamp.type"].value == "CreateTime"
    # What the application has read of its repartition topic it deletes.
    probe = Consumer({"bootstrap.servers": words.broker.address, "group.id": "nobody"})
    deadline = time.monotonic() + WAIT_SECONDS
    while any(low < high for low, high in (
            probe.get_watermark_offsets(TopicPartition(names[0], number), 10) for number in range(3))):
        assert time.monotonic() < deadline, "records stay in the repartition topic"
        time.sleep(0.2)
    probe.close()
    words.close()
    words.feed(300)
    words.start()
    words.wait(exact)
    words.close()
    # A machine without the state reads it from the changelogs.
    shutil.rmtree(words.state)
    words.feed(300)
    words.start()
    words.wait(exact)


def test_nothing_is_lost_when_application_and_broker_are_killed(words):
    words.start()
    words.feed(500)
    words.wait(exact)
    words.feed(500)
    words.kill()
    words.feed(300)
    words.start()
    words.wait(at_least_once)
    words.feed(500)
    words.broker.kill()
    words.broker.start()
    words.feed(500)
    words.wait(at_least_once)
    words.close()
    # From the start again: Kafka's tool deletes what the application made, and puts it back to the first line.
    shutil.rmtree(words.state)
    internal = [f"{words.name}-{name}" for name in ["words-repartition", "counts-changelog", "windows-changelog"]]
    reset = ["--application-id", words.name, "--input-topics", f"{words.name}-in", "--internal-topics", ",".join(internal)]
    tools = Tools(words.broker.address)
    deadline = time.monotonic() + WAIT_SECONDS
    try:
        while (done := tools.run("kafka-streams-application-reset", *reset))[0] != 0:
            # Until the session of the closed application has ended.
            assert "still active" in "".join(done[1:]) and time.monotonic() < deadline, done
            time.sleep(0.3)
        assert set(tools.ok("kafka-topics", "--list").split()).isdisjoint(internal)
    finally:
        tools.end()
    # All is counted anew, and what was counted twice is no more.
    words.feed(100)
    words.start()
    words.wait(exact)


def test_the_group_protocol_of_streams_is_refused_at_once(words):
    words.start("group.protocol=streams")
    words.process.wait(WAIT_SECONDS)
    said = words.log.read_text()
    assert "UnsupportedVersionException: The cluster does not support the STREAMS group protocol" in said
    assert said.endswith("state ERROR\n")
