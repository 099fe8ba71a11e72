"""Applications in consumer groups: several processes share a topic, come, go, are killed, and so is the broker."""

import collections
import json
import pathlib
import signal
import subprocess
import sys
import threading
import time
import uuid

import pytest
from confluent_kafka import Producer
from conftest import SHORT_SESSIONS, create_topic

PARTITIONS = 12
WAIT_SECONDS = 30

CLASSIC = ["classic", "cooperative", "kafka-python", "aiokafka"]
CLIENTS = CLASSIC + ["kip848"]
INCREMENTAL = ["cooperative", "kip848"]


class Member:
    """A running member.py, and what it said."""

    def __init__(self, group, client, instance=None):
        self.group = group
        self.assigned = set()
        self.revoked = []
        self.errors = []
        self.arguments = [client, group.broker.address, group.name, group.topic] + ([instance] if instance else [])
        program = str(pathlib.Path(__file__).with_name("member.py"))
        self.process = subprocess.Popen(
            [sys.executable, program, *self.arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.stderr = collections.deque(maxlen=40)
        threading.Thread(target=self.read_stderr, daemon=True).start()
        threading.Thread(target=self.read, daemon=True).start()

    def read_stderr(self):
        self.stderr.extend(self.process.stderr)

    def read(self):
        for line in self.process.stdout:
            with self.group.news:
                said = json.loads(line)
                if "assigned" in said:
                    self.assigned = set(said["assigned"])
                elif "revoked" in said:
                    self.assigned -= set(said["revoked"])
                    self.revoked.append(said["revoked"])
                elif "got" in said:
                    self.group.processed.update(value for _, _, value in said["got"])
                else:
                    self.errors.append(said["error"])
                self.group.news.notify_all()
        with self.group.news:
            self.assigned = set()
            self.group.news.notify_all()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def wait_closed(self):
        code = self.process.wait(WAIT_SECONDS)
        assert code == 0, f"{self.arguments} ended with {code}:\n{''.join(self.stderr)}"


class Group:
    """The members of a group over one topic, with a producer that keeps writing to it."""

    def __init__(self, broker, client):
        self.broker = broker
        self.client = client
        self.name = f"g-{uuid.uuid4().hex[:12]}"
        self.topic = f"t-{uuid.uuid4().hex[:12]}"
        self.members = []
        self.all_members = []
        self.news = threading.Condition()
        self.processed = collections.Counter()
        self.acknowledged = set()
        self.failed = []
        self.sent = 0
        create_topic(broker, self.topic, PARTITIONS)
        self.producer = Producer({
            "bootstrap.servers": broker.address, "enable.idempotence": True, "linger.ms": 5, "retry.backoff.ms": 50,
            "reconnect.backoff.max.ms": 200, "log_level": 0,
        })
        self.ending = threading.Event()
        self.writer = threading.Thread(target=self.write)
        self.writer.start()

    def write(self):
        while not self.ending.wait(0.005):
            for _ in range(10):
                self.producer.produce(
                    self.topic, str(self.sent), partition=self.sent % PARTITIONS, on_delivery=self.on_delivery)
                self.sent += 1
            self.producer.poll(0)

    def on_delivery(self, error, message):
        if error is None:
            self.acknowledged.add(message.value().decode())
        else:
            self.failed.append(str(error))

    def start(self, count=1, instances=None, client=None):
        new = [Member(self, client or self.client, instances[i] if instances else None) for i in range(count)]
        self.members += new
        self.all_members += new
        return new

    def leave(self, *members):
        """The members close their consumers, as applications that are stopped."""
        for member in members:
            self.members.remove(member)
            member.process.send_signal(signal.SIGTERM)
        for member in members:
            member.wait_closed()

    def wait(self, condition, what):
        deadline = time.monotonic() + WAIT_SECONDS
        with self.news:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{what}: not after {WAIT_SECONDS} s\n{self.describe()}")
                self.news.wait(left)

    def describe(self):
        members = [f"{m.arguments} {sorted(m.assigned)} {m.errors[-3:]} {''.join(m.stderr)}" for m in self.all_members]
        return "\n".join(members)

    def is_shared(self):
        owned = sorted(p for member in self.members for p in member.assigned)
        sizes = [len(member.assigned) for member in self.members]
        return owned == list(range(PARTITIONS)) and max(sizes) - min(sizes) <= 1

    def is_owned(self):
        """Every partition has one owner, and each member works; server and client spread differently."""
        owned = sorted(p for member in self.members for p in member.assigned)
        return owned == list(range(PARTITIONS)) and all(member.assigned for member in self.members)

    def wait_shared(self):
        """Every partition has one owner, and the load is even."""
        self.wait(self.is_shared, f"{len(self.members)} members share all partitions")

    def wait_progress(self):
        """Records that were written after now arrive."""
        mark = self.sent
        self.wait(lambda: str(mark + PARTITIONS) in self.processed, "new records are processed")

    def end(self):
        """Stop writing; everything acknowledged is processed."""
        self.ending.set()
        self.writer.join()
        assert self.producer.flush(WAIT_SECONDS) == 0
        assert self.failed == []
        self.wait(lambda: self.acknowledged <= set(self.processed), "every acknowledged record is processed")

    def abandon(self):
        self.ending.set()
        self.writer.join()
        for member in self.all_members:
            member.kill()


@pytest.fixture
def make_group():
    groups = []

    def make(broker, client):
        groups.append(Group(broker, client))
        return groups[-1]

    yield make
    for group in groups:
        group.abandon()


@pytest.mark.parametrize("client", CLIENTS)
def test_members_share_are_restarted_one_by_one_and_killed(broker, make_group, client):
    group = make_group(broker, client)
    group.start(3)
    group.wait_shared()
    group.wait_progress()
    for member in list(group.members):
        group.leave(member)
        group.start()
        group.wait_shared()
    victim = group.members.pop()
    victim.kill()
    group.wait_shared()
    group.wait_progress()
    group.end()


@pytest.mark.parametrize("client", CLIENTS)
def test_from_one_member_to_six_and_back(broker, make_group, client):
    group = make_group(broker, client)
    group.start()
    group.wait_shared()
    group.start(5)
    group.wait_shared()
    group.wait_progress()
    group.leave(*group.members[1:])
    group.wait_shared()
    group.wait_progress()
    group.end()


@pytest.mark.parametrize("client", CLIENTS)
def test_the_broker_is_killed_while_a_group_consumes(make_broker, make_group, client):
    broker = make_broker(sets=SHORT_SESSIONS)
    group = make_group(broker, client)
    group.start(2)
    group.wait_shared()
    group.wait_progress()
    for _ in range(2):
        broker.kill()
        broker.start()
        group.wait_progress()
    group.wait_shared()
    group.end()


@pytest.mark.parametrize("client", INCREMENTAL)
def test_partitions_that_stay_do_not_stop(broker, make_group, client):
    group = make_group(broker, client)
    first, second = group.start(2)
    group.wait_shared()
    before = {member: set(member.assigned) for member in (first, second)}
    with group.news:
        first.revoked.clear()
        second.revoked.clear()
    group.start()
    group.wait_shared()
    for member in (first, second):
        gone = {p for revoked in member.revoked for p in revoked}
        assert gone == before[member] - member.assigned, "only what moves is taken away"
        assert len(gone) == 2
    group.end()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_static_member_comes_back_to_its_partitions(broker, make_group, client):
    group = make_group(broker, client)
    stays, restarts = group.start(2, instances=["one", "two"])
    group.wait_shared()
    group.wait_progress()
    own = set(restarts.assigned)
    with group.news:
        stays.revoked.clear()
    if client == "kip848":
        group.leave(restarts)  # KIP-848: a static id stays taken until its holder says that it leaves, or its session ends
    else:
        group.members.remove(restarts)
        restarts.kill()
    (back,) = group.start(1, instances=["two"])
    group.wait_shared()
    assert back.assigned == own
    assert stays.revoked == [], "the others do not notice"
    group.end()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_member_that_stalls_is_replaced_and_comes_back(broker, make_group, client):
    group = make_group(broker, client)
    stalls, _ = group.start(2)
    group.wait_shared()
    stalls.process.send_signal(signal.SIGSTOP)
    group.members.remove(stalls)
    group.wait_shared()
    group.wait_progress()
    stalls.process.send_signal(signal.SIGCONT)
    group.members.append(stalls)
    group.wait(lambda: stalls.revoked, "it learns that it lost its partitions")
    group.wait_shared()
    group.end()


# aiokafka commits without its static id, so that the coordinator cannot tell it more than that it is unknown.
@pytest.mark.parametrize("client", [client for client in CLASSIC if client != "aiokafka"])
def test_the_second_holder_of_a_static_id_fences_the_first(broker, make_group, client):
    group = make_group(broker, client)
    (first,) = group.start(1, instances=["one"])
    group.wait_shared()
    group.members.remove(first)
    group.start(1, instances=["one"])
    group.wait_shared()
    group.wait(lambda: first.errors or first.process.poll() is not None, "the first is told")
    said = "".join([*first.errors, *first.stderr]).lower()
    assert "fenced" in said, said
    group.wait_progress()
    group.end()


@pytest.mark.parametrize("old", ["classic", "cooperative", "kafka-python"])
def test_a_group_moves_to_the_new_protocol_and_back_while_it_works(broker, make_group, old):
    group = make_group(broker, old)
    group.start(3)
    group.wait_shared()
    for client in ["kip848", old]:
        for member in list(group.members):
            group.leave(member)
            group.start(client=client)
            group.wait(group.is_owned, "every partition has one owner")
        group.wait_progress()
    group.end()
