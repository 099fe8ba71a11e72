"""A journal that cannot be read in full: what the user sees, what still works, and `heddle repair` (docs/RULES.md C)."""

import pathlib
import re
import shutil
import struct
import subprocess
import time

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from conftest import HEDDLE, Broker
from test_power_loss import read_all
from test_short_memory import crc32c

TOPICS = [f"topic-{n}" for n in range(4)]
EACH = 10
BLOCK = 4096


def value(topic, number):
    return f"{topic}/value-{number}/{'x' * 200}"


def produce(broker, topic, values, patience_ms=20_000):
    """The errors of these records, each sent alone."""
    errors = []
    producer = Producer({
        "bootstrap.servers": broker.address, "linger.ms": 0, "message.timeout.ms": patience_ms, "log_level": 0,
        "retry.backoff.ms": 50,
    })
    for each in values:
        producer.produce(topic, partition=0, value=each, on_delivery=lambda error, _: error and errors.append(error))
        assert producer.flush(20) == 0
    return errors


def refused(broker, topic):
    """The error of one record that is retried for a while."""
    return produce(broker, topic, ["refused"], 1500)


def stored(broker, topic):
    low, values = read_all(broker, {topic: [0]})[topic, 0]
    assert low == 0
    return list(values.values())


def before_damage(broker, topic, count):
    """The `count` records before the damage, read from offset 0. Where the partition ends is not known, and said so."""
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "damage", "enable.auto.commit": False})
    with pytest.raises(KafkaException) as refusal:
        consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)
    assert refusal.value.args[0].code() == KafkaError.KAFKA_STORAGE_ERROR
    values = []
    consumer.assign([TopicPartition(topic, 0, 0)])
    deadline = time.monotonic() + 20
    while len(values) < count and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            values.append(message.value().decode())
    # Behind them comes nothing.
    late = consumer.poll(1)
    assert late is None or late.error() is not None
    consumer.close()
    return values


def repair(broker, *flags):
    command = [HEDDLE, "repair", "--data-dir", str(broker.data_dir), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def fails_to_start(broker):
    """What it says; it must not hang."""
    done = subprocess.run(broker.command(), capture_output=True, text=True, timeout=20)
    assert done.returncode == 1, done.stderr
    assert "panicked" not in done.stderr
    return done.stderr


def flip(data_dir, text, at=lambda place: place):
    """Change one byte of a journal file: where `text` stands, or a place found from there."""
    flipped = 0
    for path in pathlib.Path(data_dir).glob("journal-*/*.j"):
        content = path.read_bytes()
        place = content.find(text.encode())
        while place >= 0:
            with open(path, "r+b") as file:
                file.seek(at(place))
                file.write(bytes([content[at(place)] ^ 0x55]))
            flipped += 1
            place = content.find(text.encode(), place + 1)
    assert flipped > 0, f"{text} stands in no journal"


@pytest.fixture
def stopped(make_broker):
    """A broker that was killed; every topic holds EACH records, none of them settled."""
    broker = make_broker(shards=2)
    admin = AdminClient({"bootstrap.servers": broker.address})
    futures = admin.create_topics([NewTopic(t, 1) for t in TOPICS])
    for future in futures.values():
        future.result(30)
    for number in range(EACH):
        for topic in TOPICS:
            assert produce(broker, topic, [value(topic, number)]) == []
    broker.kill()
    return broker


def check_damaged(broker, hit, left):
    """`hit` can be read up to the damage and takes no records; the other topics know of nothing."""
    assert f"{hit}-0: its journal is damaged" in broker.log()
    assert before_damage(broker, hit, left) == [value(hit, n) for n in range(left)]
    errors = refused(broker, hit)
    assert [error.code() for error in errors] in ([KafkaError._MSG_TIMED_OUT], [KafkaError.KAFKA_STORAGE_ERROR])
    for topic in TOPICS:
        if topic != hit:
            before = stored(broker, topic)
            assert before[:EACH] == [value(topic, n) for n in range(EACH)]
            assert produce(broker, topic, ["more"]) == []
            assert stored(broker, topic) == before + ["more"]


@pytest.mark.parametrize("where", ["payload", "header"])
def test_a_damaged_frame_quarantines_its_partition_until_the_loss_is_accepted(stopped, where):
    broker, hit, lost = stopped, TOPICS[2], 5
    frame = (lambda place: place) if where == "payload" else (lambda place: place // BLOCK * BLOCK + 24)
    flip(broker.data_dir, value(hit, lost), frame)

    broker.start()
    check_damaged(broker, hit, lost)
    # Neither a clean stop, nor another start, nor a move to another core makes it forgotten.
    assert broker.stop() == 0
    for shards in (2, 1, 3):
        broker.shards = shards
        broker.start()
        check_damaged(broker, hit, lost)
        broker.kill()

    for _ in range(2):
        done = repair(broker)
        assert done.returncode == 1, "damage is there, and stays"
        named = rf"partition 0 of topic {hit}, id [\w-]{{22}}\) is damaged behind offset {lost}"
        assert re.search(named, done.stderr), done.stderr
        assert "heddle repair --accept-loss" in done.stderr
    done = repair(broker, "--accept-loss")
    assert done.returncode == 0, done.stderr
    assert "no partition is damaged" in done.stdout
    assert f"goes on from offset {lost}" in done.stderr
    assert repair(broker).returncode == 0, "nothing is left to repair"

    broker.start()
    assert stored(broker, hit) == [value(hit, n) for n in range(lost)]
    assert produce(broker, hit, ["goes on"]) == []
    assert stored(broker, hit) == [value(hit, n) for n in range(lost)] + ["goes on"]
    assert broker.stop() == 0
    broker.start()
    assert stored(broker, hit)[-1] == "goes on"


def test_damaged_metadata_is_said_and_can_be_accepted(stopped):
    broker = stopped
    # The name of the last topic, in the controller's log: topics are created together, so the others go with it.
    flip(broker.data_dir, TOPICS[3] + "\x00")
    said = fails_to_start(broker)
    assert "metadata log is damaged" in said
    assert "heddle repair" in said
    done = repair(broker)
    assert done.returncode == 1
    assert "(the cluster's metadata) is damaged behind offset" in done.stderr
    assert repair(broker, "--accept-loss").returncode == 0
    broker.start()
    assert broker.stop() == 0


def test_a_journal_that_is_gone_leaves_no_partition_looking_empty(stopped):
    broker = stopped
    shutil.rmtree(broker.data_dir / "journal-1")
    broker.start()
    lost = [topic for topic in TOPICS if f"{topic}-0: its journal is damaged" in broker.log()]
    assert lost and len(lost) < len(TOPICS)
    for topic in TOPICS:
        if topic in lost:
            assert before_damage(broker, topic, 0) == []
            assert refused(broker, topic) != []
        else:
            assert stored(broker, topic) == [value(topic, n) for n in range(EACH)]
            assert produce(broker, topic, ["more"]) == []
    broker.kill()
    # It is not forgotten, and later topics are none of it.
    broker.start()
    assert all(refused(broker, topic) != [] for topic in lost)
    for partition in range(4):
        assert produce(broker, f"later-{partition}", ["new"]) == []
    assert broker.stop() == 0
    assert repair(broker).returncode == 1
    assert repair(broker, "--accept-loss").returncode == 0
    broker.start()
    for topic in lost:
        assert produce(broker, topic, ["anew"]) == []
        assert stored(broker, topic) == ["anew"]


def test_a_journal_of_garbage_leaves_no_partition_looking_empty(stopped):
    broker = stopped
    for path in (broker.data_dir / "journal-1").glob("*.j"):
        with open(path, "r+b") as file:
            file.write(b"\xa5" * (1 << 20))
    broker.start()
    lost = [topic for topic in TOPICS if f"{topic}-0: its journal is damaged" in broker.log()]
    assert lost and len(lost) < len(TOPICS)
    for topic in lost:
        assert refused(broker, topic) != []
    assert broker.stop() == 0
    assert repair(broker).returncode == 1
    assert repair(broker, "--accept-loss").returncode == 0
    assert repair(broker).returncode == 0
    broker.start()
    for topic in TOPICS:
        assert produce(broker, topic, ["goes on"]) == []


def test_without_the_metadata_log_nothing_is_begun_anew(stopped):
    broker = stopped
    kept = broker.data_dir.parent / "kept"
    shutil.move(broker.data_dir / "journal-0", kept)
    said = fails_to_start(broker)
    assert "metadata log" in said and "Restore the missing journal directory" in said
    # The user restores it.
    shutil.rmtree(broker.data_dir / "journal-0")
    shutil.move(kept, broker.data_dir / "journal-0")
    broker.start()
    for topic in TOPICS:
        assert stored(broker, topic) == [value(topic, n) for n in range(EACH)]


def test_a_journal_directory_that_cannot_be_read_is_said(stopped):
    broker = stopped
    shutil.move(broker.data_dir / "journal-1", broker.data_dir.parent / "kept")
    (broker.data_dir / "journal-1").write_text("not a directory")
    said = fails_to_start(broker)
    assert "journal-1" in said and "cannot be read, however often it is tried" in said


def test_a_directory_of_another_format_is_refused_and_left_alone(stopped):
    broker = stopped
    kept = {path: path.read_bytes() for path in broker.data_dir.glob("journal-*/*.j")}
    other = {}
    for path, content in kept.items():
        head = content[:8] + struct.pack("<H", 1) + content[10:124]
        other[path] = head + struct.pack("<I", crc32c(head)) + content[128:] if any(content[:128]) else content
        path.write_bytes(other[path])
    said = fails_to_start(broker)
    assert "is in journal format 1, and this heddle reads format 2 only" in said and "leader epochs began at 1" in said
    refused = repair(broker, "--accept-loss")
    assert refused.returncode != 0 and "is in journal format 1" in refused.stderr, refused.stderr
    assert {path: path.read_bytes() for path in broker.data_dir.glob("journal-*/*.j")} == other
    for path, content in kept.items():
        path.write_bytes(content)
    broker.start()
    for topic in TOPICS:
        assert stored(broker, topic) == [value(topic, n) for n in range(EACH)]
