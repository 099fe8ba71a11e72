"""Runs the real broker for a test, and the clients that have no Python of their own."""

import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
import uuid

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEDDLE = os.environ.get("HEDDLE", str(ROOT / "target" / "release" / "heddle"))
START_SECONDS = 20
# With Kafka's own intervals a test would mostly wait for a heartbeat, or for a session to end.
SHORT_SESSIONS = [
    "group.initial.rebalance.delay.ms=0", "group.consumer.heartbeat.interval.ms=300",
    "group.consumer.session.timeout.ms=3000", "group.min.session.timeout.ms=1000",
    "group.consumer.min.heartbeat.interval.ms=300", "group.consumer.min.session.timeout.ms=3000",
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Broker:
    """A heddle process on free ports, over a data directory that outlives it."""

    def __init__(self, data_dir, shards=2, sets=(), flags=()):
        self.data_dir = pathlib.Path(data_dir)
        self.shards = shards
        self.memory = "512MiB"
        self.sets = list(sets)
        self.flags = list(flags)
        self.port = free_port()
        self.admin = free_port()
        self.process = None
        self.log_path = self.data_dir.parent / f"{self.data_dir.name}.log"

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def command(self):
        command = [HEDDLE, "start", "--data-dir", str(self.data_dir), "--kafka-addr", self.address]
        command += ["--admin-addr", f"127.0.0.1:{self.admin}", "--shards", str(self.shards), "--memory", self.memory]
        for pair in self.sets:
            command += ["--set", pair]
        return command + self.flags

    def start(self):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"heddle ended with {self.process.returncode}:\n{self.log()}")
            if self.is_ready():
                return self
            time.sleep(0.02)
        raise AssertionError(f"heddle is not ready after {START_SECONDS} s:\n{self.log()}")

    def is_ready(self):
        try:
            if self.get("/ready")[0] != 200:
                return False
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def kill(self):
        """kill -9, as a crash of the process."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=15)

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def make_broker(tmp_path):
    brokers = []

    def make(name="data", **options):
        broker = Broker(tmp_path / name, **options)
        brokers.append(broker)
        return broker.start()

    yield make
    for broker in brokers:
        broker.end()


class Elsewhere:
    """A broker that runs already: HEDDLE_ELSEWHERE=HOST:PORT tries what the tests expect on Apache Kafka.

    It needs SHORT_SESSIONS.
    """

    def __init__(self, address):
        self.address = address
        self.port = int(address.rpartition(":")[2])


@pytest.fixture(scope="session")
def broker():
    """One broker for all tests that need nothing special."""
    if "HEDDLE_ELSEWHERE" in os.environ:
        yield Elsewhere(os.environ["HEDDLE_ELSEWHERE"])
        return
    with tempfile.TemporaryDirectory(prefix="heddle-clients-") as directory:
        shared = Broker(pathlib.Path(directory) / "data", sets=SHORT_SESSIONS)
        shared.start()
        yield shared
        alive = shared.process.poll() is None
        log = shared.log()
        shared.end()
        assert alive, f"the broker ended during the tests:\n{log}"


@pytest.fixture
def topic():
    return f"t-{uuid.uuid4().hex[:12]}"


def create_topic(broker, name, partitions=1, **configs):
    """A topic; its configs are written with underscores for dots."""
    admin = AdminClient({"bootstrap.servers": broker.address})  # the futures end with it
    config = {key.replace("_", "."): str(value) for key, value in configs.items()}
    admin.create_topics([NewTopic(name, partitions, config=config)])[name].result(30)


def kcat(broker, *arguments, stdin=None, timeout=60):
    """kcat's standard output; fails the test with its standard error."""
    command = ["kcat", "-b", broker.address, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def java(main_class, *arguments, stdin=None, timeout=120, check=True):
    """One of Apache Kafka's own tools."""
    classpath = (ROOT / "target" / "kafka-classpath").read_text().strip()
    command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", classpath, main_class, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout)
    if check:
        assert done.returncode == 0, f"{main_class} {arguments}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr
