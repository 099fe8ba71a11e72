#!/usr/bin/env python3
"""How long partitions are read by nobody while their group rebalances: real clients (librdkafka) beside members of the wire.

    target/clients/bin/python benches/real_members.py --broker HOST:PORT --protocol range [--clients 20] [--members 1000]

A steady stream of records goes to every partition of a topic, which a group of real consumers reads. Then, in turn:
  crowd joins   --members members without a client library join the same group, on a topic of their own (`groups beside`)
  one joins     another real consumer joins, so that partitions move
  one leaves    and leaves again
  crowd leaves
The time without fetch of a partition is the longest time between two deliveries of its records in such a phase, less the
time between two records of the stream. Prints a JSON array of [figure, value] pairs, times in milliseconds.
Protocols: range (classic, eager), cooperative-sticky (classic, cooperative), consumer (KIP-848).
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

ROOT = pathlib.Path(__file__).resolve().parents[1]
GROUPS = os.environ.get("GROUPS_BENCH", str(ROOT / "target" / "release" / "groups"))
# A phase that takes longer has failed, and how long everything must have been quiet at its end. Seconds.
PHASE_SECONDS = 240
QUIET_SECONDS = 6
# What counts as a stop: longer than a moment of a busy machine. Seconds.
STOP_SECONDS = 0.25


class Stream:
    """A record to each partition at each beat."""

    def __init__(self, options, topic):
        self.producer = Producer({"bootstrap.servers": options.broker, "linger.ms": 2, "acks": "all"})
        self.topic, self.partitions, self.beat = topic, options.partitions, options.beat
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        due = time.monotonic()
        while not self.over.is_set():
            for partition in range(self.partitions):
                self.producer.produce(self.topic, b"x" * 64, partition=partition)
            self.producer.poll(0)
            due += self.beat
            time.sleep(max(0, due - time.monotonic()))
        self.producer.flush(30)

    def end(self):
        self.over.set()
        self.thread.join()


class Member:
    """A real consumer in a thread."""

    def __init__(self, options, topic, group, deliveries):
        settings = {"bootstrap.servers": options.broker, "group.id": group, "auto.offset.reset": "latest",
                    "enable.auto.commit": True, "fetch.wait.max.ms": 50}
        if options.protocol == "consumer":
            settings["group.protocol"] = "consumer"
        else:
            settings["partition.assignment.strategy"] = options.protocol
        self.consumer = Consumer(settings)
        self.consumer.subscribe([topic])
        self.deliveries = deliveries
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.over.is_set():
            messages = self.consumer.consume(500, 0.05)
            now = time.monotonic()
            for message in messages:
                if message.error() is None:
                    self.deliveries[message.partition()].append(now)
        self.consumer.close()

    def end(self):
        self.over.set()
        self.thread.join()


def longest_silence(times, since, until):
    """Between two deliveries, of which the second is after `since`."""
    if not times:
        return until - since
    last, longest = None, 0.0
    for at in [*times, until]:
        if last is not None and at >= since and last <= until:
            longest = max(longest, at - last)
        last = at
    return longest


def wait_for_quiet(deliveries, since, options, what):
    """Until every partition was read without a stop for a while."""
    while True:
        time.sleep(0.5)
        now = time.monotonic()
        if now - since > QUIET_SECONDS:
            recent = [longest_silence(times[-2000:], now - QUIET_SECONDS, now) for times in deliveries]
            if max(recent) < STOP_SECONDS + options.beat:
                return
        if now - since > PHASE_SECONDS:
            raise SystemExit(f"{what}: a partition is still read by nobody")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", default="127.0.0.1:9092")
    parser.add_argument("--protocol", choices=["range", "cooperative-sticky", "consumer"], required=True)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--members", type=int, default=1000, help="of the crowd")
    parser.add_argument("--partitions", type=int, default=100)
    parser.add_argument("--beat", type=float, default=0.05, help="seconds between two records of a partition")
    options = parser.parse_args()
    name = f"real-{options.protocol}-{int(time.time() * 1000)}"
    admin = AdminClient({"bootstrap.servers": options.broker})
    (created,) = admin.create_topics([NewTopic(name, options.partitions, 1)]).values()
    created.result(60)
    deliveries = [[] for _ in range(options.partitions)]
    stream = Stream(options, name)
    members, crowd = [], None
    figures = []

    def phase(what, act):
        since = time.monotonic()
        act()
        wait_for_quiet(deliveries, since, options, what)
        until = time.monotonic()
        silences = [max(0.0, longest_silence(times, since, until) - options.beat) for times in deliveries]
        stopped = sum(silence > STOP_SECONDS for silence in silences)
        figures.extend([(f"{what}: without fetch ms, median", statistics.median(silences) * 1e3),
                        (f"{what}: without fetch ms, max", max(silences) * 1e3),
                        (f"{what}: partitions stopped over {STOP_SECONDS * 1e3:.0f} ms", stopped)])
        print(f"{options.protocol}: {what} took {until - since:.1f} s", file=sys.stderr)

    def crowd_joins():
        nonlocal crowd
        command = [GROUPS, "--broker", options.broker, "beside", "--group", name, "--topic", f"{name}-crowd",
                   "--protocol", options.protocol, "--members", str(options.members)]
        crowd = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if crowd.stdout.readline().strip() != "in":
            raise SystemExit(f"the crowd did not get in: it ended with {crowd.wait()}")

    def crowd_leaves():
        crowd.stdin.close()
        if crowd.wait() != 0:
            raise SystemExit(f"the crowd ended with {crowd.returncode}")

    try:
        # The first one leads, and stays until the end.
        members.append(Member(options, name, name, deliveries))
        time.sleep(5)
        members.extend(Member(options, name, name, deliveries) for _ in range(options.clients - 1))
        wait_for_quiet(deliveries, time.monotonic(), options, "forming")
        phase("crowd joins", crowd_joins)
        phase("one joins", lambda: members.append(Member(options, name, name, deliveries)))
        phase("one leaves", lambda: members.pop().end())
        phase("crowd leaves", crowd_leaves)
    finally:
        if crowd is not None and crowd.poll() is None:
            crowd.kill()
            crowd.wait()
        for member in members:
            member.over.set()
        for member in members:
            member.end()
        stream.end()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
