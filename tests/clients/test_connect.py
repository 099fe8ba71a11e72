"""Kafka Connect, unmodified: two distributed workers that copy a file through a topic."""

import json
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from conftest import SHORT_SESSIONS, free_port
from kafka_tools import Tools, classpath

WAIT_SECONDS = 60


class Worker:
    """A process of Kafka Connect, spoken to through its REST interface."""

    def __init__(self, broker, directory, number):
        self.rest = free_port()
        self.address = f"127.0.0.1:{self.rest}"
        self.log = directory / f"worker-{number}.log"
        (directory / "plugins").mkdir(exist_ok=True)
        properties = directory / f"worker-{number}.properties"
        converter = "org.apache.kafka.connect.storage.StringConverter"
        properties.write_text("\n".join([
            f"bootstrap.servers={broker.address}", "group.id=copies", f"listeners=http://{self.address}",
            f"key.converter={converter}", f"value.converter={converter}", "plugin.discovery=service_load",
            f"plugin.path={directory}/plugins", "offset.flush.interval.ms=300", "scheduled.rebalance.max.delay.ms=500",
            "session.timeout.ms=5000", "heartbeat.interval.ms=500", "consumer.session.timeout.ms=5000",
            "consumer.heartbeat.interval.ms=500",
            *(f"{kind}.storage.topic=copies-{kind}" for kind in ["config", "offset", "status"]),
            *(f"{kind}.storage.replication.factor=1" for kind in ["config", "offset", "status"]),
        ]))
        command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", classpath()]
        command += ["org.apache.kafka.connect.cli.ConnectDistributed", str(properties)]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def ask(self, method, path, body=None):
        """Status and answer; status 0 while nothing listens."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.address}{path}", data, {"Content-Type": "application/json"},
                                         method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                text = response.read()
                return response.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def status(self, connector):
        """The connector's state, and the states and workers of its tasks."""
        code, status = self.ask("GET", f"/connectors/{connector}/status")
        if code != 200:
            return None, []
        return status["connector"]["state"], [(task["state"], task["worker_id"]) for task in status["tasks"]]

    def offsets(self, connector):
        code, found = self.ask("GET", f"/connectors/{connector}/offsets")
        return found["offsets"] if code == 200 else None

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def make_worker(tmp_path):
    workers = []

    def make(broker):
        workers.append(Worker(broker, tmp_path, len(workers)))
        return workers[-1]

    yield make
    for worker in workers:
        worker.end()


def until(what, is_so):
    """Wait until `is_so()`, and give what it gave."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := is_so()):
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS} s: {what}"
        time.sleep(0.1)
    return found


def all_run(worker, *places):
    """Whether both connectors and their tasks run, these workers having all tasks between them."""
    states = [worker.status(name) for name in ["source", "sink"]]
    tasks = [task for _, tasks in states for task in tasks]
    connectors_run = all(state == "RUNNING" and tasks for state, tasks in states)
    at = {place for state, place in tasks if state == "RUNNING"}
    return connectors_run and at == {worker.address for worker in places} and all(state == "RUNNING" for state, _ in tasks)


def test_a_file_is_copied_over_rebalances_and_crashes(make_broker, make_worker, tmp_path):
    broker = make_broker(sets=SHORT_SESSIONS)
    first = make_worker(broker)
    until("the first worker answers", lambda: first.ask("GET", "/")[0] == 200)
    file, copy = tmp_path / "file", tmp_path / "copy"
    written = []

    def write(count):
        lines = [f"line {number}" for number in range(len(written), len(written) + count)]
        written.extend(lines)
        with open(file, "a") as out:
            out.write("".join(f"{line}\n" for line in lines))

    copied = lambda: copy.read_text().splitlines() if copy.exists() else []
    write(1000)
    for name, kind, topic in [("source", "Source", {"file": str(file), "topic": "lines"}),
                              ("sink", "Sink", {"file": str(copy), "topics": "lines"})]:
        config = {"connector.class": f"FileStream{kind}", "tasks.max": "1", **topic}
        path = f"/connectors/{name}/config"
        until("the connector is taken", lambda: first.ask("PUT", path, config)[0] in (200, 201))
    until("all lines are copied, once", lambda: copied() == written)
    of_lines = {"kafka_topic": "lines", "kafka_partition": 0}
    read = [{"partition": of_lines, "offset": {"kafka_offset": 1000}}]
    until("the sink's offset", lambda: first.offsets("sink") == read)
    until("the source's offset", lambda: [found["offset"] for found in first.offsets("source")] == [
        {"position": file.stat().st_size}])

    admin = AdminClient({"bootstrap.servers": broker.address})
    internal = [ConfigResource(ResourceType.TOPIC, f"copies-{kind}") for kind in ["config", "offset", "status"]]
    described = [future.result(10) for future in admin.describe_configs(internal).values()]
    assert [config["cleanup.policy"].value for config in described] == ["compact"] * 3
    topics = admin.list_topics(timeout=10).topics
    assert [len(topics[resource.name].partitions) for resource in internal] == [1, 25, 5]
    tools = Tools(broker.address)
    try:
        listed = {line.split()[0]: line.split()[1:] for line in tools.ok("kafka-groups", "--list").splitlines()[1:]}
        assert listed["copies"] == ["Classic", "connect"] and listed["connect-sink"] == ["Classic", "consumer"]
    finally:
        tools.end()

    second = make_worker(broker)
    until("both workers share the tasks", lambda: all_run(first, first, second))
    write(500)
    until("all lines are copied", lambda: set(copied()) == set(written))
    broker.kill()
    broker.start()
    write(500)
    until("all lines are copied", lambda: set(copied()) == set(written))
    until("both workers still share the tasks", lambda: all_run(first, first, second))
    first.end()
    until("the second worker has all tasks", lambda: all_run(second, second))
    write(500)
    until("all lines are copied", lambda: set(copied()) == set(written))

    assert second.ask("PUT", "/connectors/sink/stop")[0] == 204
    until("the sink has stopped", lambda: second.status("sink") == ("STOPPED", []))
    back = {"offsets": [{"partition": of_lines, "offset": {"kafka_offset": 7}}]}
    until("its consumers have left", lambda: second.ask("PATCH", "/connectors/sink/offsets", back)[0] == 200)
    assert second.offsets("sink") == back["offsets"]
    copy.unlink()
    assert second.ask("PUT", "/connectors/sink/resume")[0] == 202
    until("the lines from the seventh on are copied again", lambda: set(copied()) == set(written[7:]))
    assert second.ask("PUT", "/connectors/sink/stop")[0] == 204
    until("the sink has stopped", lambda: second.status("sink") == ("STOPPED", []))
    until("its consumers have left", lambda: second.ask("DELETE", "/connectors/sink/offsets")[0] == 200)
    assert second.offsets("sink") == []
    assert second.ask("DELETE", "/connectors/sink")[0] == 204
    until("the sink is gone", lambda: second.ask("GET", "/connectors")[1] == ["source"])
