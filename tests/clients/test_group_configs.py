"""A group's own configs (ConfigResource type GROUP), set by Apache Kafka's own tools and felt by members."""

import re
import subprocess
import sys
import time

import pytest
from conftest import ROOT, create_topic
from kafka_tools import Tools

SETS = ["group.initial.rebalance.delay.ms=0", "group.consumer.min.heartbeat.interval.ms=100",
        "group.consumer.min.session.timeout.ms=1000"]


@pytest.fixture
def open_tools():
    opened = []

    def start(broker):
        opened.append(Tools(broker.address))
        return opened[-1]

    yield start
    for tools in opened:
        tools.end()


def described(tools, group, *arguments):
    """Value and source by config."""
    said = tools.ok("kafka-configs", "--entity-type", "groups", "--entity-name", group, "--describe", *arguments)
    return {name: (value, source) for name, value, source in
            re.findall(r"^  (\S+)=(\S*) sensitive=\S+ synonyms=\{(\w+):", said, re.M)}


def test_kafka_configs_sets_and_describes(make_broker, open_tools):
    broker = make_broker()
    tools = open_tools(broker)
    group = ["--entity-type", "groups", "--entity-name", "g"]
    inherited = described(tools, "g", "--all")
    assert inherited["consumer.session.timeout.ms"] == ("45000", "DEFAULT_CONFIG")
    assert inherited["consumer.heartbeat.interval.ms"] == ("5000", "DEFAULT_CONFIG")
    assert inherited["consumer.assignment.interval.ms"] == ("1000", "DEFAULT_CONFIG")
    assert described(tools, "g") == {}
    tools.ok("kafka-configs", *group, "--alter", "--add-config",
             "consumer.session.timeout.ms=60000,consumer.heartbeat.interval.ms=6000")
    assert described(tools, "g") == {"consumer.session.timeout.ms": ("60000", "DYNAMIC_GROUP_CONFIG"),
                                     "consumer.heartbeat.interval.ms": ("6000", "DYNAMIC_GROUP_CONFIG")}
    # Without a name: every group that has configs.
    every = tools.ok("kafka-configs", "--entity-type", "groups", "--describe")
    assert "Dynamic configs for group g are:" in every and "consumer.session.timeout.ms=60000" in every
    assert described(tools, "other") == {}
    for wrong, said in [("consumer.session.timeout.ms=1000", "consumer.session.timeout.ms must be"),
                        ("consumer.heartbeat.interval.ms=15001", "consumer.heartbeat.interval.ms must be"),
                        ("consumer.session.timeout.ms=soon", "Not a number of type INT"),
                        ("session.timeout.ms=60000", "Unknown group config name: session.timeout.ms")]:
        assert said in tools.fails("kafka-configs", *group, "--alter", "--add-config", wrong)
    tools.ok("kafka-configs", *group, "--alter", "--delete-config", "consumer.session.timeout.ms")
    assert set(described(tools, "g")) == {"consumer.heartbeat.interval.ms"}
    broker.kill()
    broker.start()
    assert described(tools, "g", "--all")["consumer.heartbeat.interval.ms"] == ("6000", "DYNAMIC_GROUP_CONFIG")


def test_a_silent_member_is_kept_as_long_as_its_group_says(make_broker, topic, open_tools):
    broker = make_broker(sets=SETS)
    tools = open_tools(broker)
    create_topic(broker, topic, 1)
    tools.ok("kafka-configs", "--entity-type", "groups", "--entity-name", "short", "--alter", "--add-config",
             "consumer.session.timeout.ms=1500,consumer.heartbeat.interval.ms=200")

    def in_state(state):
        said = tools.ok("kafka-consumer-groups", "--list", "--state")
        return {group for group in ("short", "long") if re.search(rf"^{group}\s+{state}\s*$", said, re.M)}

    command = [sys.executable, str(ROOT / "tests" / "clients" / "member.py"), "kip848", broker.address]
    members = [subprocess.Popen([*command, group, topic]) for group in ("short", "long")]
    try:
        wait_until(lambda: in_state("Stable") == {"short", "long"})
    finally:
        for member in members:
            member.kill()
            member.wait()
    wait_until(lambda: "short" in in_state("Empty"))
    # The other one follows the broker, which waits 45 s.
    assert in_state("Stable") == {"long"}


def wait_until(holds):
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
