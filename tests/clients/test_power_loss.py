"""The power fails: whatever point of the disk's work it hits, what was acknowledged is there.

The simulator cannot see a sync that the real driver forgets, and kill -9 does not lose the page cache. So the real
driver's writes and syncs are recorded under load, the record is cut, what nobody had synced by then is dropped (or kept
at random), and the real binary is started on what is left.

HEDDLE_CUTS=all tries every point of the trace; HEDDLE_CUTS=300 that many; HEDDLE_SEED picks other ones.
"""

import concurrent.futures
import os
import pathlib
import random
import shutil
import threading

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from conftest import Broker
from power_loss import cut, read_trace

CUTS = os.environ.get("HEDDLE_CUTS", "36")
SEED = int(os.environ.get("HEDDLE_SEED", "1"))
WORKERS = 2
QUIET = {"log_level": 0}


class Facts:
    """What clients were told, and how long the trace was by then: a cut there or later must know it."""

    def __init__(self, trace):
        self.trace = pathlib.Path(trace)
        self.created, self.deletion, self.deleted = {}, {}, {}
        self.records, self.sent, self.trimming, self.trimmed = [], {}, {}, {}

    def now(self):
        return self.trace.stat().st_size

    def told_by(self, position):
        return sum(1 for *_, at in self.records if at <= position)


class Load:
    """Topics, an idempotent producer, deletions: enough for segments to be written, closed and removed."""

    def __init__(self, broker, facts, tag):
        self.facts, self.tag = facts, tag
        self.admin = AdminClient({"bootstrap.servers": broker.address, **QUIET})
        self.producer = Producer({
            "bootstrap.servers": broker.address, "enable.idempotence": True, "linger.ms": 1, "batch.size": 100_000, **QUIET,
        })

    def create(self, topic, partitions, **config):
        self.wait(self.admin.create_topics([NewTopic(topic, partitions, config=config)]))
        self.facts.created[topic] = (partitions, self.facts.now())

    def delete(self, topic):
        self.facts.deletion[topic] = self.facts.now()
        self.wait(self.admin.delete_topics([topic]))
        self.facts.deleted[topic] = self.facts.now()

    def trim(self, topic, partition, before):
        self.facts.trimming[topic, partition] = before
        self.wait(self.admin.delete_records([TopicPartition(topic, partition, before)]))
        self.facts.trimmed[topic, partition] = (before, self.facts.now())

    def wait(self, futures):
        for future in futures.values():
            future.result(30)

    def send(self, topic, partition, count, size):
        for _ in range(count):
            value = f"{self.tag}-{len(self.facts.sent)}-".ljust(size, "x")
            self.facts.sent[value] = (topic, partition)
            self.producer.produce(topic, partition=partition, value=value, on_delivery=self.delivered)
            self.producer.poll(0)
        assert self.producer.flush(30) == 0

    def delivered(self, error, message):
        assert error is None, error
        place = (message.topic(), message.partition(), message.offset(), message.value().decode())
        self.facts.records.append((*place, self.facts.now()))

    def run(self):
        tag = self.tag
        self.create(f"{tag}-small", 3)
        self.create(f"{tag}-large", 1, **{"segment.bytes": str(1 << 20)})
        self.create(f"{tag}-gone", 2)
        for _ in range(4):
            for partition in range(3):
                self.send(f"{tag}-small", partition, 5, 20)
            self.send(f"{tag}-large", 0, 12, 50_000)
            self.send(f"{tag}-gone", 1, 4, 80_000)
        self.trim(f"{tag}-large", 0, 30)
        self.delete(f"{tag}-gone")
        self.create(f"{tag}-late", 1)
        for _ in range(3):
            self.send(f"{tag}-late", 0, 1, 20)
            self.send(f"{tag}-small", 1, 3, 100)
            self.send(f"{tag}-large", 0, 8, 50_000)


def record(directory, name, base=None):
    """A broker's life under load, recorded. Gives the trace and what its clients were told."""
    trace = directory / f"{name}.trace"
    data = directory / f"{name}-data"
    if base:
        shutil.copytree(base, data)
    facts = Facts(trace)
    broker = Broker(data, flags=["--trace-writes", str(trace)])
    try:
        broker.start()
        Load(broker, facts, name).run()
        assert broker.stop() == 0
    finally:
        broker.end()
    return trace, facts


def read_all(broker, topics):
    """Every record: (topic, partition) to its first offset and its values by offset."""
    consumer = Consumer({
        "bootstrap.servers": broker.address, "group.id": "unused", "enable.auto.commit": False,
        "enable.partition.eof": False, "auto.offset.reset": "error", "fetch.wait.max.ms": 20, **QUIET,
    })
    found, ends = {}, {}
    for topic, partitions in topics.items():
        for partition in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
            found[topic, partition] = (low, {})
            if low < high:
                ends[topic, partition] = (low, high)
    consumer.assign([TopicPartition(t, p, low) for (t, p), (low, _) in ends.items()])
    left = sum(high - low for low, high in ends.values())
    while left > 0:
        messages = consumer.consume(left, timeout=10)
        assert messages, f"{left} records do not come: {ends}"
        for message in messages:
            assert message.error() is None, message.error()
            low, values = found[message.topic(), message.partition()]
            assert message.offset() == low + len(values), "offsets are dense"
            values[message.offset()] = message.value().decode()
            left -= message.offset() < ends[message.topic(), message.partition()][1]
    consumer.close()
    return found


def check(broker, facts, position):
    """What was told by `position` holds."""
    admin = AdminClient({"bootstrap.servers": broker.address, **QUIET})
    topics = {name: list(topic.partitions) for name, topic in admin.list_topics(timeout=20).topics.items()}
    for topic, (partitions, at) in facts.created.items():
        if at <= position and facts.deletion.get(topic, position + 1) > position:
            assert topic in topics, f"topic {topic} was created and is gone"
            assert len(topics[topic]) == partitions
        if facts.deleted.get(topic, position + 1) <= position:
            assert topic not in topics, f"topic {topic} was deleted and is back"
    stored = read_all(broker, topics)
    seen = set()
    for (topic, partition), (low, values) in stored.items():
        for value in values.values():
            assert facts.sent.get(value) == (topic, partition), f"{topic}-{partition} holds what was not sent there"
            assert value not in seen, "a record is there twice"
            seen.add(value)
        assert low <= facts.trimming.get((topic, partition), 0), f"{topic}-{partition} begins at {low}"
        before, at = facts.trimmed.get((topic, partition), (0, 0))
        assert low >= before or at > position, f"deleted records of {topic}-{partition} are back"
    for topic, partition, offset, value, at in facts.records:
        if at > position or topic not in topics:
            continue
        low, values = stored[topic, partition]
        assert offset < low or values.get(offset) == value, \
            f"acknowledged record {topic}-{partition}/{offset} is lost, the log is {low} to {low + len(values)}"
    if topics:
        write_one(broker, sorted(topics)[0])


def write_one(broker, topic):
    """Writes go on."""
    failed = []
    producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 0, **QUIET})
    producer.produce(topic, partition=0, value="after", on_delivery=lambda error, _: failed.append(error))
    assert producer.flush(20) == 0
    assert failed == [None]


class Cuts:
    """Tries cuts of a trace, some at a time."""

    def __init__(self, directory, trace, facts, base=None):
        self.directory, self.trace, self.facts, self.base = directory, trace, facts, base
        self.free = threading.Semaphore(WORKERS)

    def attempt(self, number, position, mercy):
        data = self.directory / f"cut-{number}"
        cut(self.trace, position, data, mercy, SEED * 1_000_003 + number, self.base)
        broker = Broker(data)
        try:
            broker.start()
            check(broker, self.facts, position)
            broker.kill()
        except (AssertionError, KafkaException) as error:
            kept = f"HEDDLE_SEED={SEED}, cut {number} at {position} of {self.trace}, mercy {mercy}; image in {data}"
            return f"{kept}\n{error}\n{broker.log()}"
        finally:
            broker.end()
        shutil.rmtree(data)
        return None

    def run(self, cuts):
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            results = pool.map(lambda job: self.attempt(*job), [(n, *cut) for n, cut in enumerate(cuts)])
            failures = [failure for failure in results if failure]
        assert not failures, f"{len(failures)} of {len(cuts)} cuts lost something; the first:\n{failures[0]}"


def choose(events, wanted, seed):
    """Cuts over the whole trace: position and mercy. Half of them keep nothing that was not synced."""
    dice = random.Random(seed)
    positions = [event.end for event in events]
    if wanted == "all":
        return [(position, mercy) for position in positions for mercy in (0.0, dice.uniform(0.05, 0.95))]
    wanted = min(int(wanted), len(positions))
    strata = [positions[len(positions) * n // wanted:len(positions) * (n + 1) // wanted] for n in range(wanted)]
    mercies = [0.0, 0.5, 0.0, 1.0, 0.0, 0.9, 0.0, 0.1]
    return [(dice.choice(stratum), mercies[n % len(mercies)]) for n, stratum in enumerate(strata)]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    directory = tmp_path_factory.mktemp("power-loss")
    trace, facts = record(directory, "first")
    return directory, trace, facts


def test_the_load_reaches_every_kind_of_disk_work(recorded):
    _, trace, facts = recorded
    kinds = {event.kind for event in read_trace(trace) if event.starts}
    assert {"open", "write", "prewrite", "allocate", "sync-dir", "make-dir"} <= kinds
    assert kinds & {"remove", "remove-tree"}, "something is removed"
    assert any(e.kind == "write" and e.arguments[0].startswith("replicas/") for e in read_trace(trace) if e.starts), \
        "segments are written"
    assert len(facts.records) > 150


def test_what_was_acknowledged_survives_power_loss_at_any_point(recorded):
    directory, trace, facts = recorded
    Cuts(directory, trace, facts).run(choose(read_trace(trace), CUTS, SEED))


def test_power_loss_during_recovery_loses_nothing_either(recorded):
    directory, trace, facts = recorded
    events = read_trace(trace)
    position = events[len(events) * 2 // 3].end
    base = directory / "half-way"
    cut(trace, position, base, 0.5, SEED)
    second, told = record(directory, "second", base)
    # What the first life told by the cut was told before the second began.
    for name in ("created", "deleted", "trimmed"):
        for key, (*what, at) in [(k, v if isinstance(v, tuple) else (v,)) for k, v in getattr(facts, name).items()]:
            if at <= position:
                getattr(told, name)[key] = (*what, 0) if what else 0
    told.deletion.update({topic: 0 for topic, at in facts.deletion.items() if at <= position})
    told.records += [(*record, 0) for *record, at in facts.records if at <= position]
    told.sent.update(facts.sent)
    told.trimming.update(facts.trimming)
    wanted = CUTS if CUTS == "all" else str(int(CUTS) // 2)
    Cuts(directory, second, told, base).run(choose(read_trace(second), wanted, SEED + 1))


FORGOTTEN = [
    ("write", ""),
    ("write", "^journal-"),
    ("write", r"^replicas/.*\.log$"),
    ("write", r"^replicas/.*\.side$"),
    ("names", ""),
    ("names", "^$"),
    ("names", "^journal-"),
    ("names", "^replicas$"),
    ("names", "^replicas/"),
]


def find_out(recorded, faults):
    """Cut the trace at its end, with these faults: what is then found."""
    directory, trace, facts = recorded
    position = facts.now()
    data = directory / "lied"
    cut(trace, position, data, 0.0, SEED, faults=faults)
    broker = Broker(data)
    try:
        broker.start()
        check(broker, facts, position)
    finally:
        broker.end()


@pytest.mark.parametrize("fault", FORGOTTEN)
def test_a_sync_that_is_forgotten_is_found_out(recorded, fault):
    with pytest.raises((AssertionError, KafkaException)):
        find_out(recorded, [fault])


def test_nothing_rests_on_the_sync_of_prewritten_zeros(recorded):
    """It is there for speed: a durable write vouches for what it needs itself."""
    find_out(recorded, [("prewrite", "")])
