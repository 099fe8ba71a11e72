"""Apache Kafka 4.3's own command line tools, unmodified."""

import json
import re
import subprocess
import uuid

import pytest
from conftest import java
from kafka_tools import ROOT, Tools, classpath


@pytest.fixture(scope="session")
def tools(broker):
    tools = Tools(broker.address)
    yield tools
    tools.end()


@pytest.fixture
def group():
    return f"g-{uuid.uuid4().hex[:12]}"


def produce(tools, topic, lines, *arguments):
    tools.ok("kafka-console-producer", "--topic", topic, *arguments, stdin="".join(f"{line}\n" for line in lines))


def consume(tools, topic, count, *arguments):
    arguments = ["--topic", topic, "--max-messages", count, "--timeout-ms", 15000, *arguments]
    return tools.ok("kafka-console-consumer", *arguments).splitlines()


def create(tools, topic, *arguments):
    assert f"Created topic {topic}." in tools.ok("kafka-topics", "--create", "--topic", topic, *arguments)


# Topics


def test_a_topic_is_created_described_grown_listed_and_deleted(tools, topic):
    create(tools, topic, "--partitions", 3, "--replication-factor", 1, "--config", "retention.ms=86400000")
    lines = tools.ok("kafka-topics", "--describe", "--topic", topic).splitlines()
    assert re.search(r"PartitionCount: 3\s+ReplicationFactor: 1\s+Configs: min.insync.replicas=1,retention.ms=86400000$", lines[0])
    assert [re.search(r"Partition: (\d+)\s+Leader: (\d+)\s+Replicas: (\d+)\s+Isr: (\d+)", line).groups()
            for line in lines[1:]] == [("0", "1", "1", "1"), ("1", "1", "1", "1"), ("2", "1", "1", "1")]
    tools.ok("kafka-topics", "--alter", "--topic", topic, "--partitions", 5)
    assert "PartitionCount: 5" in tools.ok("kafka-topics", "--describe", "--topic", topic)
    assert topic in tools.ok("kafka-topics", "--list").splitlines()
    tools.ok("kafka-topics", "--delete", "--topic", topic)
    assert topic not in tools.ok("kafka-topics", "--list").splitlines()
    create(tools, topic)
    assert "PartitionCount: 1" in tools.ok("kafka-topics", "--describe", "--topic", topic)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--topic", "bad/name"], "Topic name is invalid"),
        (["--replication-factor", "3"], "Unable to replicate the partition 3 time(s)"),
        (["--partitions", "0"], "partitions must be greater than 0"),
        (["--config", "nonsense=1"], "Unknown topic config name: nonsense"),
        (["--config", "retention.ms=abc"], "Invalid value abc for configuration retention.ms"),
        (["--config", "segment.bytes=1"], "Invalid value 1 for configuration segment.bytes"),
        (["--replica-assignment", "7"], "broker 7"),
    ],
)
def test_what_cannot_be_created_is_refused_in_kafkas_words(tools, topic, arguments, said):
    if "--topic" not in arguments:
        arguments = ["--topic", topic, *arguments]
    assert said in tools.fails("kafka-topics", "--create", *arguments)
    assert topic not in tools.ok("kafka-topics", "--list").splitlines()


def test_what_exists_or_not(tools, topic):
    create(tools, topic, "--partitions", 2)
    assert f"Topic '{topic}' already exists" in tools.fails("kafka-topics", "--create", "--topic", topic)
    tools.ok("kafka-topics", "--create", "--if-not-exists", "--topic", topic)
    said = tools.fails("kafka-topics", "--alter", "--topic", topic, "--partitions", 1)
    assert "currently has 2 partition(s); 1 would not be an increase" in said
    for verb in ["--describe", "--delete"]:
        assert "does not exist as expected" in tools.fails("kafka-topics", verb, "--topic", "nobody")
    tools.ok("kafka-topics", "--delete", "--if-exists", "--topic", "nobody")
    for state in ["--under-replicated-partitions", "--unavailable-partitions", "--under-min-isr-partitions"]:
        assert tools.ok("kafka-topics", "--describe", state) == ""


# Configs


def test_a_topics_configs(tools, topic):
    entity = ["--entity-type", "topics", "--entity-name", topic]
    create(tools, topic)
    tools.ok("kafka-configs", *entity, "--alter", "--add-config", "retention.ms=1000,cleanup.policy=[compact,delete]")
    own = tools.ok("kafka-configs", *entity, "--describe")
    assert "  cleanup.policy=compact,delete sensitive=false" in own
    assert "retention.ms=1000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=1000" in own
    assert "segment.bytes" not in own
    tools.ok("kafka-configs", *entity, "--alter", "--delete-config", "retention.ms")
    every = tools.ok("kafka-configs", *entity, "--describe", "--all")
    assert "  retention.ms=604800000 " in every and "  segment.bytes=1073741824 " in every
    assert "DYNAMIC_TOPIC_CONFIG:cleanup.policy" in every
    for wrong in ["nonsense=1", "retention.ms=x", "min.insync.replicas=0", "cleanup.policy=shred"]:
        assert "InvalidConfigurationException" in tools.fails("kafka-configs", *entity, "--alter", "--add-config", wrong)
    nobody = ["--entity-type", "topics", "--entity-name", "nobody"]
    said = tools.fails("kafka-configs", *nobody, "--alter", "--add-config", "retention.ms=1")
    assert "UnknownTopicOrPartitionException" in said


def test_broker_configs(tools, broker):
    me = ["--entity-type", "brokers", "--entity-name", 1]
    every = ["--entity-type", "brokers", "--entity-default"]
    described = tools.ok("kafka-configs", *me, "--describe", "--all")
    for line in [f"listeners=PLAINTEXT://{broker.address}", "node.id=1", f"log.dirs={broker.data_dir}",
                 "group.initial.rebalance.delay.ms=0", "num.partitions=1"]:
        assert f"  {line} sensitive=false" in described
    tools.ok("kafka-configs", *every, "--alter", "--add-config", "log.retention.ms=100000000")
    assert "  log.retention.ms=100000000 " in tools.ok("kafka-configs", *every, "--describe")
    assert "DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms" in tools.ok("kafka-configs", *me, "--describe", "--all")
    tools.ok("kafka-configs", *every, "--alter", "--delete-config", "log.retention.ms")
    assert "log.retention.ms" not in tools.ok("kafka-configs", *every, "--describe")
    said = tools.fails("kafka-configs", *me, "--alter", "--add-config", "num.partitions=4")
    assert "Cannot update these configs dynamically" in said
    said = tools.fails("kafka-configs", *me, "--alter", "--add-config", "log.retention.mss=4")
    assert "did you mean log.retention.ms?" in said
    for without_effect, why in [("background.threads=9", "--shards"), ("leader.replication.throttled.rate=9", "one broker")]:
        said = tools.fails("kafka-configs", *every, "--alter", "--add-config", without_effect)
        assert "has no effect on this broker" in said and why in said
    tools.ok("kafka-configs", *me, "--alter", "--add-config", "max.connections=1000")
    assert "DYNAMIC_BROKER_CONFIG:max.connections=1000" in tools.ok("kafka-configs", *me, "--describe")
    tools.ok("kafka-configs", *me, "--alter", "--delete-config", "max.connections")


def test_one_brokers_configs_stand_over_those_of_all(tools, topic):
    create(tools, topic)
    me = ["--entity-type", "brokers", "--entity-name", 1]
    every = ["--entity-type", "brokers", "--entity-default"]
    tools.ok("kafka-configs", *every, "--alter", "--add-config", "log.retention.ms=100000000")
    tools.ok("kafka-configs", *me, "--alter", "--add-config", "log.retention.ms=200000000")
    described = tools.ok("kafka-configs", *me, "--describe")
    assert ("  log.retention.ms=200000000 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:log.retention.ms=200000000, "
            "DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=100000000") in described
    assert "  log.retention.ms=100000000 " in tools.ok("kafka-configs", *every, "--describe")
    entity = ["--entity-type", "topics", "--entity-name", topic]
    assert "  retention.ms=200000000 " in tools.ok("kafka-configs", *entity, "--describe", "--all")
    tools.ok("kafka-configs", *me, "--alter", "--delete-config", "log.retention.ms")
    assert "  retention.ms=100000000 " in tools.ok("kafka-configs", *entity, "--describe", "--all")
    tools.ok("kafka-configs", *every, "--alter", "--delete-config", "log.retention.ms")
    assert "  retention.ms=604800000 " in tools.ok("kafka-configs", *entity, "--describe", "--all")


def test_min_insync_replicas_stands_for_the_cluster(tools, topic):
    create(tools, topic)
    source = "synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:min.insync.replicas=1, DEFAULT_CONFIG:min.insync.replicas=1}"
    said = tools.ok("kafka-configs", "--entity-type", "brokers", "--entity-default", "--describe")
    assert "  min.insync.replicas=1 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:min.insync.replicas=1" in said
    said = tools.ok("kafka-configs", "--entity-type", "topics", "--entity-name", topic, "--describe", "--all")
    assert f"  min.insync.replicas=1 sensitive=false {source}" in said
    assert "Configs: min.insync.replicas=1" in tools.ok("kafka-topics", "--describe", "--topic", topic)
    said = tools.fails("kafka-configs", "--entity-type", "brokers", "--entity-name", 1, "--alter", "--add-config",
                       "min.insync.replicas=2")
    assert "InvalidConfigurationException" in said and "Broker-level min.insync.replicas cannot be altered" in said


def test_resources_without_configs_of_their_own(tools):
    assert tools.ok("kafka-configs", "--entity-type", "client-metrics", "--describe") == ""
    assert tools.ok("kafka-client-metrics", "--list").strip() == ""
    said = tools.ok("kafka-configs", "--entity-type", "groups", "--entity-name", "g", "--describe")
    assert "doesn't have dynamic config" in said
    said = tools.fails("kafka-configs", "--entity-type", "users", "--entity-name", "u", "--alter", "--add-config",
                       "producer_byte_rate=1024")
    assert "UnsupportedVersionException" in said and "Client quotas are not supported by this broker" in said
    said = tools.fails("kafka-configs", "--entity-type", "users", "--entity-name", "u", "--alter", "--add-config",
                       "SCRAM-SHA-256=[password=secret]")
    assert "UnsupportedVersionException" in said and "SCRAM credentials are not supported by this broker" in said


# Records


def test_console_producer_and_consumer_by_partition(tools, topic):
    create(tools, topic, "--partitions", 2)
    pairs = [f"k{i}:v{i}" for i in range(20)]
    keyed = ["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"]
    produce(tools, topic, pairs, *keyed)
    ends = tools.ok("kafka-get-offsets", "--topic", topic).split()
    counts = [int(line.rsplit(":", 1)[1]) for line in ends]
    assert len(counts) == 2 and sum(counts) == 20 and all(counts)
    shown = ["--formatter-property", "print.key=true", "--formatter-property", "print.offset=true"]
    seen = []
    for partition, count in enumerate(counts):
        lines = consume(tools, topic, count, "--partition", partition, "--offset", "earliest", *shown)
        fields = [line.split("\t") for line in lines]
        assert [offset for offset, _, _ in fields] == [f"Offset:{i}" for i in range(count)]
        seen += [f"{key}:{value}" for _, key, value in fields]
    assert sorted(seen) == sorted(pairs)
    assert len(consume(tools, topic, 1, "--partition", 0, "--offset", counts[0] - 1)) == 1


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_codec_through_the_console(tools, topic, codec):
    lines = [f"line {i} " + "x" * 100 for i in range(200)]
    produce(tools, topic, lines, "--compression-codec", codec)
    assert consume(tools, topic, 200, "--from-beginning") == lines


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_the_performance_tools_with_every_codec(tools, topic, codec):
    size = ["--num-records", 5000, "--record-size", 200, "--throughput", -1]
    said = tools.ok("kafka-producer-perf-test", "--topic", topic, *size, "--command-property", "acks=all",
                    "--command-property", f"compression.type={codec}", seconds=60)
    assert said.startswith("5000 records sent,")
    assert tools.ok("kafka-get-offsets", "--topic", topic) == f"{topic}:0:5000\n"
    said = tools.ok("kafka-consumer-perf-test", "--topic", topic, "--num-records", 5000, seconds=60)
    assert said.splitlines()[1].split(", ")[4] == "5000"


@pytest.mark.parametrize("acks", ["0", "1"])
def test_performance_without_idempotence(tools, topic, acks):
    size = ["--num-records", 5000, "--record-size", 200, "--throughput", -1]
    said = tools.ok("kafka-producer-perf-test", "--topic", topic, *size, "--command-property", f"acks={acks}",
                    "--command-property", "enable.idempotence=false", seconds=60)
    assert said.startswith("5000 records sent,")
    said = tools.ok("kafka-consumer-perf-test", "--topic", topic, "--num-records", 5000, seconds=60)
    assert said.splitlines()[1].split(", ")[4] == "5000"


def test_end_to_end_latency(tools, topic):
    create(tools, topic)
    size = ["--num-records", 50, "--record-size", 100]
    assert "Percentiles" in tools.ok("kafka-e2e-latency", "--topic", topic, *size, "--producer-acks", "all")


def test_offsets_by_every_kind_of_time(tools, topic):
    produce(tools, topic, range(10))
    found = lambda time: tools.ok("kafka-get-offsets", "--topic", topic, "--time", time).strip()
    for time in ["-1", "latest"]:
        assert found(time) == f"{topic}:0:10"
    for time in ["-2", "earliest", "earliest-local", "0"]:
        assert found(time) == f"{topic}:0:0"
    assert found("max-timestamp").startswith(f"{topic}:0:")
    assert found("latest-tiered") == found("earliest-pending-upload") == "", "there are no tiers"
    assert "Could not match any topic-partitions" in tools.fails("kafka-get-offsets", "--topic", "nobody")


def test_records_are_deleted_up_to_an_offset(tools, topic, tmp_path):
    create(tools, topic, "--partitions", 2)
    produce(tools, topic, [f"k{i}:v" for i in range(20)], "--reader-property", "parse.key=true",
            "--reader-property", "key.separator=:")
    end = int(tools.ok("kafka-get-offsets", "--topic-partitions", f"{topic}:1").strip().rsplit(":", 1)[1])
    file = tmp_path / "delete.json"

    def delete(*offsets):
        partitions = [{"topic": topic, "partition": p, "offset": o} for p, o in offsets]
        file.write_text(json.dumps({"partitions": partitions, "version": 1}))
        return tools.ok("kafka-delete-records", "--offset-json-file", file)

    said = delete((0, 2), (1, -1))
    assert f"partition: {topic}-0\tlow_watermark: 2" in said
    assert f"partition: {topic}-1\tlow_watermark: {end}" in said
    assert tools.ok("kafka-get-offsets", "--topic", topic, "--time", "-2").split() == [f"{topic}:0:2", f"{topic}:1:{end}"]
    assert "OffsetOutOfRangeException" in delete((0, 9999))
    shown = ["--formatter-property", "print.offset=true"]
    [first] = consume(tools, topic, 1, "--partition", 0, "--offset", "earliest", *shown)
    assert first.startswith("Offset:2\t")


# Groups


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_commits_and_goes_on(tools, topic, group, protocol):
    by = ["--group", group, "--command-property", f"group.protocol={protocol}"]
    first, second = [f"a{i}" for i in range(10)], [f"b{i}" for i in range(5)]
    produce(tools, topic, first)
    assert consume(tools, topic, 10, "--from-beginning", *by) == first
    produce(tools, topic, second)
    assert consume(tools, topic, 5, *by) == second
    kind = "Classic" if protocol == "classic" else "Consumer"
    assert re.search(rf"^{group}\s+{kind}\s", tools.ok("kafka-consumer-groups", "--list", "--type"), re.M)
    assert re.search(rf"^{group}\s+Empty\s", tools.ok("kafka-consumer-groups", "--list", "--state"), re.M)
    assert re.search(rf"^{group}\s+{kind}\s+consumer", tools.ok("kafka-groups", "--list"), re.M)
    described = tools.ok("kafka-consumer-groups", "--describe", "--group", group)
    assert re.search(rf"^{group}\s+{topic}\s+0\s+15\s+15\s+0\s", described, re.M)


def test_offsets_of_a_group_are_reset_and_deleted(tools, topic, group):
    me = ["--group", group]
    produce(tools, topic, range(10))
    assert len(consume(tools, topic, 10, "--from-beginning", *me)) == 10

    def reset(*how):
        said = tools.ok("kafka-consumer-groups", *me, "--topic", topic, "--reset-offsets", *how)
        return int(re.search(rf"^{group}\s+{topic}\s+0\s+(\d+)", said, re.M)[1])

    def committed():
        said = tools.ok("kafka-consumer-groups", *me, "--describe")
        found = re.search(rf"^{group}\s+{topic}\s+0\s+(\d+)", said, re.M)
        return found and int(found[1])

    assert reset("--to-earliest", "--dry-run") == 0 and committed() == 10
    for how, offset in [
        (["--to-earliest"], 0),
        (["--shift-by", "4"], 4),
        (["--to-offset", "3"], 3),
        (["--to-current"], 3),
        (["--to-latest"], 10),
        (["--to-datetime", "2020-01-01T00:00:00.000"], 0),
        (["--to-offset", "99"], 10),
        (["--by-duration", "PT1H"], 0),
    ]:
        assert reset(*how, "--execute") == offset, how
        assert committed() == offset, how
    assert consume(tools, topic, 1, *me) == ["0"]
    assert "Successful" in tools.ok("kafka-consumer-groups", *me, "--topic", topic, "--delete-offsets")
    assert committed() is None
    assert "was successful" in tools.ok("kafka-consumer-groups", *me, "--delete")
    # These tools say so and exit with 0.
    assert "GroupIdNotFoundException" in tools.run("kafka-consumer-groups", *me, "--delete")[1]
    assert "GroupIdNotFoundException" in tools.run("kafka-consumer-groups", *me, "--describe")[1]


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_the_verifiable_clients(tools, topic, group, broker, protocol):
    # The producer ends its work in a hook of the JVM, so it has its own.
    said = java("org.apache.kafka.tools.VerifiableProducer", "--bootstrap-server", broker.address, "--topic", topic,
                "--max-messages", "50")
    assert said.count("producer_send_success") == 50
    said = tools.ok("kafka-verifiable-consumer", "--topic", topic, "--group-id", group, "--max-messages", 50,
                    "--reset-policy", "earliest", "--group-protocol", protocol, seconds=30)
    events = [json.loads(line) for line in said.splitlines()]
    assert sum(event["count"] for event in events if event["name"] == "records_consumed") == 50
    assert any(event["name"] == "offsets_committed" and event["success"] for event in events)


# The cluster


def test_sizes_of_logs(tools, topic, broker):
    produce(tools, topic, ["x" * 1000] * 10)
    said = tools.ok("kafka-log-dirs", "--describe", "--topic-list", topic, "--broker-list", 1)
    [directory] = json.loads(said.splitlines()[-1])["brokers"][0]["logDirs"]
    [partition] = directory["partitions"]
    assert directory["logDir"] == str(broker.data_dir) and directory["error"] is None
    assert directory.get("totalBytes", 1) > 0 and directory.get("usableBytes", 1) > 0
    assert partition["partition"] == f"{topic}-0" and partition["size"] > 1000
    assert topic in tools.ok("kafka-log-dirs", "--describe")


def test_versions_features_and_the_cluster(tools, broker):
    versions = tools.ok("kafka-broker-api-versions")
    assert f"{broker.address} (id: 1 rack: null isFenced: false)" in versions
    assert "Produce(0): 0 to 13 [usable: 13]" in versions and "Fetch(1): 4 to 18 [usable: 18]" in versions
    first = tools.ok("kafka-cluster", "cluster-id")
    assert re.fullmatch(r"Cluster ID: [\w-]{22}\n", first) and first == tools.ok("kafka-cluster", "cluster-id")
    assert re.search(rf"^1\s+127.0.0.1\s+{broker.port}\s", tools.ok("kafka-cluster", "list-endpoints"), re.M)
    assert "group.version" in tools.ok("kafka-features", "describe")


def test_the_quorum(tools, broker):
    status = dict(line.split(":", 1) for line in tools.ok("kafka-metadata-quorum", "describe", "--status").splitlines())
    assert re.fullmatch(r"[\w-]{22}", status["ClusterId"].strip())
    assert (status["LeaderId"].strip(), status["MaxFollowerLag"].strip(), status["CurrentObservers"].strip()) == ("1", "0", "[]")
    assert int(status["LeaderEpoch"]) > 0 and int(status["HighWatermark"]) > 0
    [voter] = json.loads(status["CurrentVoters"])
    assert voter["id"] == 1
    heads, leader = tools.ok("kafka-metadata-quorum", "describe", "--replication").splitlines()[:2]
    assert heads.split()[0] == "NodeId" and leader.split()[0] == "1" and leader.split()[-1] == "Leader"


def test_one_broker_needs_no_elections_and_no_moves(tools, topic, tmp_path):
    create(tools, topic)
    preferred = ["--election-type", "PREFERRED"]
    tools.ok("kafka-leader-election", *preferred, "--all-topic-partitions")
    said = tools.ok("kafka-leader-election", *preferred, "--topic", topic, "--partition", 0)
    assert f"Valid replica already elected for partitions {topic}-0" in said
    said = tools.fails("kafka-leader-election", *preferred, "--topic", topic, "--partition", 9)
    assert "UnknownTopicOrPartitionException" in said
    assert "No partition reassignments found" in tools.ok("kafka-reassign-partitions", "--list")
    file = tmp_path / "moves.json"
    moves = [{"topic": topic, "partition": 0, "replicas": [1]}]
    file.write_text(json.dumps({"version": 1, "partitions": moves}))
    said = tools.ok("kafka-reassign-partitions", "--reassignment-json-file", file, "--verify")
    assert f"Reassignment of partition {topic}-0 is completed" in said


def test_what_is_not_there_is_said_at_once(tools, topic):
    said = tools.fails("kafka-acls", "--list")
    assert "SecurityDisabledException" in said
    assert len(tools.ok("kafka-transactions", "list").splitlines()) == 1, "the heads of its columns"
    assert len(tools.ok("kafka-transactions", "find-hanging", "--broker-id", 1).splitlines()) == 1
    assert "Failed to describe" in tools.fails("kafka-transactions", "describe", "--transactional-id", "x")
    size = ["--num-records", 10, "--record-size", 10, "--throughput", -1]
    said = tools.fails("kafka-producer-perf-test", "--topic", topic, *size, "--transactional-id", "t")
    assert "Transactions are not served by this broker" in said


def test_producers_of_a_partition(tools, topic):
    produce(tools, topic, ["one"])
    producers = tools.ok("kafka-transactions", "describe-producers", "--topic", topic, "--partition", 0).splitlines()
    assert len(producers) == 2 and producers[1].split()[-1] == "None"


def test_streams_reset_of_input_topics(tools, topic, group):
    produce(tools, topic, range(3))
    said = tools.ok("kafka-streams-application-reset", "--application-id", group, "--input-topics", topic)
    assert f"Topic: {topic} Partition: 0 Offset: 0" in said


def test_clients_find_what_they_expect_of_a_new_broker(tools, topic):
    yes = ["offsets-for-times", "cluster-id", "describe-configs", "create-topics", "idempotent-producer", "describe-acls"]
    flags = [word for name in yes for word in (f"--{name}-supported", "true")]
    tools.ok("client-compatibility-test", "--topic", topic, "--num-cluster-nodes", 1,
             "--expect-record-too-large-exception", "false", *flags, seconds=40)


def test_programs_with_the_java_clients(broker):
    source = ROOT / "tests" / "clients" / "java" / "Clients.java"
    command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", classpath(), str(source), broker.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout
