"""The disk is full: records are refused with an error that clients retry, everything else goes on, and when space returns
so do writes, in the same process (docs/TRAPS.md 17, 18, 39)."""

import os
import subprocess
import time

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from conftest import Broker
from test_power_loss import read_all

MIB = 1 << 20
DISK_BYTES = 420 * MIB


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, to be filled."""
    image, mounted = tmp_path / "disk.img", tmp_path / "disk"
    mounted.mkdir()
    with open(image, "wb") as file:
        file.truncate(DISK_BYTES)
    made = subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(image)], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"no file system can be made here: {made.stderr}")
    done = subprocess.run(["mount", "-o", "loop", str(image), str(mounted)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here, it takes root and loop devices: {done.stderr}")
    yield mounted
    subprocess.run(["umount", "-l", str(mounted)], check=True)


def start_on(disk, tmp_path):
    """A broker on the small disk, whose log is elsewhere."""
    broker = Broker(disk / "data", shards=1)
    broker.log_path = tmp_path / "broker.log"
    return broker


class Client:
    def __init__(self, broker):
        self.acknowledged, self.errors = {}, []
        self.broker = broker
        self.sent = 0
        self.producer = self.connect(3000)
        self.admin = AdminClient({"bootstrap.servers": broker.address, "log_level": 0})

    def connect(self, timeout_ms):
        return Producer({
            "bootstrap.servers": self.broker.address, "linger.ms": 5, "batch.size": 500_000, "log_level": 0,
            "message.timeout.ms": timeout_ms, "retry.backoff.ms": 100, "retry.backoff.max.ms": 300,
            "message.max.bytes": 2_000_000,
        })

    def send(self, topic, count, size=100_000):
        """The errors of these records."""
        self.errors = []
        for _ in range(count):
            value = f"{self.sent}-".ljust(size, "x")
            self.sent += 1
            while True:
                try:
                    self.producer.produce(topic, partition=0, value=value, on_delivery=self.delivered)
                    break
                except BufferError:
                    self.producer.poll(0.1)
            self.producer.poll(0)
        assert self.producer.flush(30) == 0
        return self.errors

    def delivered(self, error, message):
        if error is not None:
            self.errors.append(error)
        else:
            place = (message.topic(), message.partition(), message.offset())
            self.acknowledged[place] = message.value().decode()

    def create(self, topic, **config):
        for future in self.admin.create_topics([NewTopic(topic, 1, config=config)]).values():
            future.result(30)

    def delete(self, topic):
        for future in self.admin.delete_topics([topic], request_timeout=30).values():
            future.result(30)

    def check(self, topics):
        """What was acknowledged is read where it was said to be."""
        stored = read_all(self.broker, {topic: [0] for topic in topics})
        for (topic, partition, offset), value in self.acknowledged.items():
            if topic in topics:
                low, values = stored[topic, partition]
                assert values.get(offset) == value, f"{topic}-{partition}/{offset} of {low}..{low + len(values)}"


def fill(client, topic):
    """Produce until nothing is taken any more. The errors seen last."""
    for _ in range(60):
        errors = client.send(topic, 80)
        if len(errors) == 80:
            return errors
    raise AssertionError("the disk does not fill")


def eventually(seconds, act):
    deadline = time.monotonic() + seconds
    while not act():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)


def is_ahead(journal):
    """Whether the file being written and the two after it are there, every byte of them."""
    files = [path.stat() for path in journal.iterdir()]
    return len(files) >= 3 and all(file.st_blocks * 512 >= file.st_size > 0 for file in files)


def test_a_full_disk_refuses_records_and_nothing_else(small_disk, tmp_path):
    broker = start_on(small_disk, tmp_path)
    try:
        broker.start()
        client = Client(broker)
        client.create("keep", **{"segment.bytes": str(8 * MIB)})
        client.create("drop", **{"segment.bytes": str(8 * MIB)})
        assert client.send("keep", 100) == []
        assert client.send("drop", 600) == []

        errors = fill(client, "keep")
        # The client retries, and gives up by its own clock.
        assert {error.code() for error in errors} <= {KafkaError._MSG_TIMED_OUT, KafkaError.KAFKA_STORAGE_ERROR}
        assert broker.process.poll() is None, broker.log()
        free = os.statvfs(small_disk)
        assert "records are refused" in broker.log(), f"{free.f_bavail * free.f_bsize} bytes are free:\n{broker.log()}"
        assert broker.log().count("settling failed") <= 4, "trouble that lasts is said once"
        assert "delete topics or lower their retention" in broker.log(), "the operator is told what to do"
        assert broker.get("/health")[0] == 200

        # Readers read, all of it, and topics can be made and removed.
        client.check(["keep", "drop"])
        client.create("made-on-a-full-disk")
        assert client.send("keep", 3) != []
        client.delete("drop")
        client.producer = client.connect(30_000)
        assert client.send("keep", 20) == [], broker.log()
        assert "records are taken again" in broker.log()
        assert client.send("made-on-a-full-disk", 20) == []
        client.check(["keep", "made-on-a-full-disk"])

        # It was all true: another process finds it too.
        broker.kill()
        broker.start()
        client.check(["keep", "made-on-a-full-disk"])
        assert client.send("keep", 20) == [], broker.log()
        assert broker.stop() == 0
    finally:
        broker.end()


def test_others_fill_the_disk_and_make_room_again(small_disk, tmp_path):
    """Nothing of ours is removed: space comes from elsewhere, and the broker notices by itself."""
    broker = start_on(small_disk, tmp_path)
    ballast = small_disk / "ballast"
    try:
        broker.start()
        client = Client(broker)
        client.create("topic")
        assert client.send("topic", 50) == []
        # The journal makes its next files in the background, and would have all it needs a moment later.
        eventually(30, lambda: is_ahead(small_disk / "data" / "journal-0"))
        take_all_space(ballast)
        fill(client, "topic")
        assert broker.process.poll() is None, broker.log()
        client.check(["topic"])
        ballast.unlink()
        client.producer = client.connect(30_000)
        assert client.send("topic", 50) == [], broker.log()
        eventually(10, lambda: "records are taken again" in broker.log())
        client.check(["topic"])
        assert broker.stop() == 0
    finally:
        broker.end()


def test_a_start_on_a_full_disk_serves_what_is_there(small_disk, tmp_path):
    broker = start_on(small_disk, tmp_path)
    ballast = small_disk / "ballast"
    try:
        broker.start()
        client = Client(broker)
        client.create("topic")
        assert client.send("topic", 200) == []
        broker.kill()
        take_all_space(ballast)
        broker.start()
        client.check(["topic"])
        fill(client, "topic")
        broker.kill()
        broker.start()
        client.check(["topic"])
        ballast.unlink()
        client.producer = client.connect(30_000)
        assert client.send("topic", 50) == [], broker.log()
        client.check(["topic"])
        assert broker.stop() == 0
    finally:
        broker.end()


def take_all_space(path):
    with open(path, "wb", buffering=0) as file:
        for piece in (MIB, 4096):
            try:
                while True:
                    file.write(bytes(piece))
            except OSError:
                pass
        os.fsync(file.fileno())
