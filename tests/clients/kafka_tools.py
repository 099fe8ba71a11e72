"""Apache Kafka's own tools by their usual names, all in one JVM (java/Tools.java)."""

import base64
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = "org.apache.kafka.tools."
CLASSES = {
    "kafka-acls": TOOLS + "AclCommand",
    "kafka-broker-api-versions": TOOLS + "BrokerApiVersionsCommand",
    "kafka-client-metrics": TOOLS + "ClientMetricsCommand",
    "kafka-cluster": TOOLS + "ClusterTool",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-console-consumer": TOOLS + "consumer.ConsoleConsumer",
    "kafka-console-producer": TOOLS + "ConsoleProducer",
    "kafka-consumer-groups": TOOLS + "consumer.group.ConsumerGroupCommand",
    "kafka-consumer-perf-test": TOOLS + "ConsumerPerformance",
    "kafka-delete-records": TOOLS + "DeleteRecordsCommand",
    "kafka-e2e-latency": TOOLS + "EndToEndLatency",
    "kafka-features": TOOLS + "FeatureCommand",
    "kafka-get-offsets": TOOLS + "GetOffsetShell",
    "kafka-groups": TOOLS + "GroupsCommand",
    "kafka-leader-election": TOOLS + "LeaderElectionCommand",
    "kafka-log-dirs": TOOLS + "LogDirsCommand",
    "kafka-metadata-quorum": TOOLS + "MetadataQuorumCommand",
    "kafka-producer-perf-test": TOOLS + "ProducerPerformance",
    "kafka-reassign-partitions": TOOLS + "reassign.ReassignPartitionsCommand",
    "kafka-streams-application-reset": TOOLS + "StreamsResetter",
    "kafka-topics": TOOLS + "TopicCommand",
    "kafka-transactions": TOOLS + "TransactionsCommand",
    "kafka-verifiable-consumer": TOOLS + "VerifiableConsumer",
    "client-compatibility-test": TOOLS + "ClientCompatibilityTest",
}


def classpath():
    return (ROOT / "target" / "kafka-classpath").read_text().strip()


class Tools:
    """`run` gives exit code, standard output and standard error; `ok` and `fails` also say which outcome is expected."""

    def __init__(self, address):
        self.address = address
        source = ROOT / "tests" / "clients" / "java" / "Tools.java"
        command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", classpath(), str(source)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, tool, *arguments, stdin="", seconds=20):
        at = 1 if tool == "kafka-cluster" else 0  # Its subcommand comes before all options, that of others after them.
        arguments = [*arguments[:at], "--bootstrap-server", self.address, *map(str, arguments[at:])]
        words = [str(seconds), CLASSES[tool], stdin, *arguments]
        line = " ".join(base64.b64encode(word.encode()).decode() for word in words)
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        code, out, err = self.process.stdout.readline().rstrip("\n").split(" ")
        return int(code), base64.b64decode(out).decode(), base64.b64decode(err).decode()

    def ok(self, tool, *arguments, **options):
        """What the tool said."""
        code, out, err = self.run(tool, *arguments, **options)
        assert code == 0, f"{tool} {arguments} ended with {code}:\n{out}\n{err}"
        return out

    def fails(self, tool, *arguments, **options):
        """What the tool said on both streams. Running out of time is no proper failure."""
        code, out, err = self.run(tool, *arguments, **options)
        assert code not in (0, 124), f"{tool} {arguments} ended with {code}:\n{out}\n{err}"
        return out + err

    def end(self):
        self.process.kill()
        self.process.wait()
