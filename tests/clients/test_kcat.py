"""kcat with Debian's old librdkafka, which tests for exact versions of several APIs."""

import json
import subprocess

import pytest
from conftest import create_topic, kcat


def produce(broker, topic, lines, *arguments):
    kcat(broker, "-P", "-t", topic, *arguments, stdin="".join(f"{line}\n" for line in lines))


def consume(broker, topic, *arguments):
    return kcat(broker, "-C", "-t", topic, "-e", "-q", *arguments).splitlines()


def test_lists_the_broker(broker, topic):
    metadata = json.loads(kcat(broker, "-L", "-J"))
    assert [b["name"] for b in metadata["brokers"]] == [broker.address]


def test_what_is_produced_is_consumed_in_order(broker, topic):
    lines = [f"line {i}" for i in range(1000)]
    produce(broker, topic, lines)
    assert consume(broker, topic, "-o", "beginning") == lines


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_every_codec(broker, topic, codec):
    lines = [f"line {i} " + "x" * 100 for i in range(500)]
    produce(broker, topic, lines, "-z", codec)
    assert consume(broker, topic, "-o", "beginning") == lines


def test_keys_headers_and_partitions(broker, topic):
    kcat(broker, "-P", "-t", topic, "-K:", "-H", "a=1", "-p", "0", stdin="k1:v1\nk2:v2\n")
    out = consume(broker, topic, "-p", "0", "-o", "beginning", "-f", "%p %o %k %s %h\n")
    assert out == ["0 0 k1 v1 a=1", "0 1 k2 v2 a=1"]


def test_offsets_from_the_end_and_by_number(broker, topic):
    produce(broker, topic, range(100))
    assert consume(broker, topic, "-o", "-3") == ["97", "98", "99"]
    assert consume(broker, topic, "-o", "50", "-c", "1") == ["50"]


def test_idempotent_producer(broker, topic):
    produce(broker, topic, range(200), "-X", "enable.idempotence=true")
    assert consume(broker, topic, "-o", "beginning") == [str(i) for i in range(200)]


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_acks(broker, topic, acks):
    produce(broker, topic, range(50), "-X", f"request.required.acks={acks}")
    out = kcat(broker, "-C", "-t", topic, "-o", "beginning", "-c", "50", "-q").splitlines()
    assert out == [str(i) for i in range(50)]


def test_offset_by_time(broker, topic):
    produce(broker, topic, ["a", "b"])
    out = kcat(broker, "-Q", "-t", f"{topic}:0:1")
    assert out.strip() == f"{topic} [0] offset 0"
    out = kcat(broker, "-Q", "-t", f"{topic}:0:32503680000000")
    assert out.strip().endswith("offset -1") or out.strip().endswith("offset 2"), out


# ---- consumer groups (kcat -G) ----

def of_group(broker, topic, *arguments):
    """What a balanced consumer reads until it stands at the end of everything."""
    lines = kcat(broker, "-G", f"g-{topic}", "-e", "-X", "auto.offset.reset=earliest", *arguments, topic).splitlines()
    return sorted(lines)


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_a_balanced_consumer_resumes_where_it_ended(broker, topic, strategy):
    create_topic(broker, topic, 4)
    how = ["-X", f"partition.assignment.strategy={strategy}"]
    produce(broker, topic, range(100, 200))
    assert of_group(broker, topic, *how) == [str(i) for i in range(100, 200)]
    produce(broker, topic, range(200, 210))
    assert of_group(broker, topic, *how) == [str(i) for i in range(200, 210)]


def test_two_balanced_consumers_share(broker, topic):
    create_topic(broker, topic, 4)
    command = ["kcat", "-b", broker.address, "-G", f"g-{topic}", "-u", "-X", "auto.offset.reset=earliest",
               "-X", "topic.metadata.refresh.interval.ms=200", "-f", "%p\n", topic]
    consumers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in "ab"]
    try:
        for consumer in consumers:
            # "% Group g-t-... rebalanced (memberid ...): assigned: t [0], t [1]"
            while "assigned" not in (line := consumer.stderr.readline()) or line.count(f"{topic} [") != 2:
                assert line, "the consumer ended"
        for partition in range(4):
            produce(broker, topic, ["v"], "-p", str(partition))
        read = [sorted(consumer.stdout.readline().strip() for _ in range(2)) for consumer in consumers]
        assert sorted(read) == [["0", "1"], ["2", "3"]]
    finally:
        for consumer in consumers:
            consumer.kill()
            consumer.wait()
