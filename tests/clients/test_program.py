"""The program as its user meets it: options, messages, the admin port."""

import contextlib
import re
import signal
import socket
import subprocess
import time

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from conftest import HEDDLE, ROOT, Broker, create_topic, kcat


def run(*arguments, timeout=20):
    return subprocess.run([HEDDLE, *arguments], capture_output=True, text=True, timeout=timeout)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["start", "--set", "num.partition=3"], "num.partition"),
        (["start", "--set", "num.partitions=many"], "num.partitions"),
        (["start", "--set", "num.partitions"], "NAME=VALUE"),
        (["start", "--shards", "0"], "from 1 to"),
        (["start", "--memory", "lots"], "512MiB"),
        (["start", "--kafka-addr", "nowhere"], "--kafka-addr nowhere: expected HOST:PORT"),
        (["start", "--kafka-addr", "no-such-host.invalid:9092"], "no-such-host.invalid cannot be resolved"),
        (["start", "--log-level", "loud"], "loud"),
        (["start", "--node-id=-1"], "--node-id -1: expected a number"),
        (["repair", "--data-dir", "/does/not/exist"], "/does/not/exist: there is none"),
        (["start", "--config", "/does/not/exist.toml"], "/does/not/exist.toml"),
        (["start", "--port", "1"], "--port"),
    ],
)
def test_a_wrong_option_is_one_clear_message(arguments, said):
    done = run(*arguments)
    assert done.returncode != 0
    assert said in done.stderr
    assert "panicked" not in done.stderr


def test_help_names_every_option():
    text = run("start", "--help").stdout
    for option in ["--config", "--data-dir", "--kafka-addr", "--advertised-addr", "--admin-addr", "--shards", "--memory",
                   "--node-id", "--spin-us", "--log-level", "--set"]:
        assert option in text
    readme = (ROOT / "README.md").read_text()
    for option in set(re.findall(r"--[a-z-]+", text)) - {"--help"}:
        assert f"`{option} " in readme, f"{option} is not in the README"


def test_a_second_process_is_refused_the_directory(make_broker):
    broker = make_broker()
    second = Broker(broker.data_dir)
    done = subprocess.run(second.command(), capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert "in use by another heddle process" in done.stderr


def test_a_taken_port_is_said(make_broker, tmp_path):
    broker = make_broker()
    second = Broker(tmp_path / "other")
    second.port = broker.port
    done = subprocess.run(second.command(), capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{broker.port}" in done.stderr


def test_a_taken_admin_port_is_said_before_anything_runs(make_broker, tmp_path):
    broker = make_broker()
    second = Broker(tmp_path / "other")
    second.admin = broker.admin
    done = subprocess.run(second.command(), capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{broker.admin}" in done.stderr
    assert not list((tmp_path / "other").glob("journal-*")), "no core began"


def samples(text):
    """Every sample of a page, by its name with labels."""
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}


def test_the_admin_port_tells_health_and_metrics(broker, topic):
    kcat(broker, "-P", "-t", topic, stdin="one\n")
    assert broker.get("/health")[0] == 200
    assert broker.get("/ready")[0] == 200
    assert broker.get("/nothing")[0] == 404
    status, text = broker.get("/metrics")
    assert status == 200
    found = samples(text)
    assert found['heddle_request_duration_seconds_count{api="Produce"}'] >= 1
    buckets = [name for name in found if name.startswith('heddle_request_duration_seconds_bucket{api="Produce"')]
    assert len(buckets) == 21, "all bounds, empty or not"
    assert found['heddle_journal_frames_total{shard="0"}'] >= 1
    assert found['heddle_disk_sync_duration_seconds_count{shard="0"}'] >= 1
    assert found["heddle_cores"] == found["heddle_cores_answering"] == broker.shards
    assert found['heddle_connections_closed_total{shard="0",reason="frame_size"}'] >= 0
    assert found['heddle_memory_limit_bytes{shard="0"}'] == 256 << 20
    assert 'heddle_memory_bytes{shard="0",purpose="limit"}' not in found
    assert found["process_resident_memory_bytes"] > 1 << 20
    assert found["heddle_data_directory_free_bytes"] > 0
    assert found[f'heddle_topic_received_records_total{{topic="{topic}"}}'] == 1
    size = found[f'heddle_topic_size_bytes{{topic="{topic}"}}']
    assert found[f'heddle_topic_received_bytes_total{{topic="{topic}"}}'] == size > 60
    assert found[f'heddle_topic_sent_bytes_total{{topic="{topic}"}}'] == 0
    kcat(broker, "-C", "-t", topic, "-e", "-q", "-o", "beginning")
    found = samples(broker.get("/metrics")[1])
    assert found[f'heddle_topic_sent_bytes_total{{topic="{topic}"}}'] >= size


def test_errors_are_counted_by_api_and_code(broker, topic):
    admin = AdminClient({"bootstrap.servers": broker.address})
    create_topic(broker, topic)
    for future in admin.create_topics([NewTopic(topic, 1)]).values():
        with pytest.raises(KafkaException):
            future.result(30)
    found = samples(broker.get("/metrics")[1])
    assert found['heddle_request_errors_total{api="CreateTopics",error="TOPIC_ALREADY_EXISTS"}'] >= 1


def test_metrics_are_well_formed(broker):
    """Each metric has one HELP and one TYPE before its samples, and no sample stands twice."""
    kinds, seen = {}, set()
    for line in broker.get("/metrics")[1].splitlines():
        if line.startswith("# TYPE"):
            name, kind = line.split()[2:4]
            assert name not in kinds
            kinds[name] = kind
        elif not line.startswith("#"):
            sample = line.rpartition(" ")[0]
            assert sample not in seen
            seen.add(sample)
            name = sample.partition("{")[0]
            plain = re.sub("_(bucket|sum|count)$", "", name)
            assert name in kinds or kinds.get(plain) == "histogram", line
            assert (kinds.get(name) == "counter") == name.endswith("_total"), line


def test_making_topics_does_not_make_the_broker_unready(broker, topic):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as pool:
        made = pool.submit(create_topic, broker, topic, 64)
        polls = 0
        while not made.done() or polls == 0:
            assert broker.get("/ready") == (200, "ready\n")
            polls += 1
        made.result()


def test_a_client_that_reads_no_answers_keeps_no_other_waiting(broker):
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", broker.admin))
        slow.settimeout(2)
        try:
            # More answers than buffers hold, none of which is read.
            slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 300)
        except TimeoutError:
            pass
        begun = time.monotonic()
        assert broker.get("/health")[0] == 200
        assert time.monotonic() - begun < 4


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_a_clean_stop(make_broker, topic, sent):
    broker = make_broker()
    kcat(broker, "-P", "-t", topic, stdin="kept\n")
    broker.process.send_signal(sent)
    assert broker.process.wait(timeout=15) == 0
    log = broker.log()
    assert "stopping" in log and "\x1b[" not in log, "a file gets no colours"
    broker.start()
    assert kcat(broker, "-C", "-t", topic, "-e", "-q", "-o", "beginning") == "kept\n"


@contextlib.contextmanager
def answers_that_nobody_reads(broker):
    """A stop waits for them to leave."""
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", broker.port))
        slow.settimeout(1)
        api_versions = bytes.fromhex("0000000a 0012 0000 00000001 ffff")
        with contextlib.suppress(TimeoutError):
            while True:
                slow.sendall(api_versions * 1000)
        yield


def test_a_second_signal_ends_at_once(make_broker, topic):
    broker = make_broker()
    kcat(broker, "-P", "-t", topic, stdin="kept\n")
    with answers_that_nobody_reads(broker):
        broker.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            broker.process.wait(timeout=1.2)
        broker.process.send_signal(signal.SIGTERM)
        assert broker.process.wait(timeout=2) == 1
    broker.start()
    assert kcat(broker, "-C", "-t", topic, "-e", "-q", "-o", "beginning") == "kept\n"


def test_signals_at_once_are_one_wish(make_broker, topic):
    """As `timeout` sends them, to the process and to its group."""
    broker = make_broker()
    kcat(broker, "-P", "-t", topic, stdin="kept\n")
    with answers_that_nobody_reads(broker):
        # Of two kinds: the kernel keeps no two of the same that nobody took yet.
        broker.process.send_signal(signal.SIGTERM)
        broker.process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            broker.process.wait(timeout=1.2)
    assert broker.process.wait(timeout=15) == 0
    assert "asked again: ends at once" not in broker.log()


def test_nohup_is_respected(tmp_path):
    broker = Broker(tmp_path / "data")
    command = broker.command()
    broker.command = lambda: ["nohup", *command]
    try:
        broker.start()
        broker.process.send_signal(signal.SIGHUP)
        assert broker.get("/health")[0] == 200
        with pytest.raises(subprocess.TimeoutExpired):
            broker.process.wait(timeout=0.5)
        assert broker.stop() == 0
    finally:
        broker.end()


def test_the_log_level_is_obeyed(make_broker):
    broker = make_broker(flags=["--log-level", "warn"])
    broker.stop()
    assert "INFO" not in broker.log()
    assert "expected error, warn or info" in run("start", "--config", str(config(broker, 'log_level = "loud"'))).stderr


def config(broker, text):
    path = broker.data_dir.parent / "heddle.toml"
    path.write_text(text)
    return path


def test_names_are_resolved(make_broker):
    broker = make_broker()
    broker.stop()
    command = broker.command
    broker.command = lambda: [part.replace("127.0.0.1", "localhost") for part in command()]
    broker.start()
    assert f"advertised localhost:{broker.port}" in broker.log()
    assert "localhost" in kcat(broker, "-L")


def test_repair_reads_the_configuration_file(make_broker):
    broker = make_broker()
    broker.stop()
    path = config(broker, f'data_dir = "{broker.data_dir}"\n')
    done = run("repair", "--config", str(path))
    assert (done.returncode, done.stdout) == (0, "no partition is damaged\n"), done.stderr


def test_garbage_on_the_socket_ends_that_connection_only(broker, topic):
    for garbage in [b"\x00\x00\x00\x12\x00\x03\x00\x01\x00\x00\x00\x01\xff\xff\x03\x3c\x0c\x00\xb6" + b"\0" * 3,
                    b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n",
                    # It says that it is 66,051 bytes long, and is.
                    bytes(range(256)) * 259]:
        with socket.create_connection(("127.0.0.1", broker.port), timeout=5) as s:
            s.sendall(garbage)
            try:
                assert s.recv(1000) == b"", garbage
            except ConnectionResetError:
                pass
    kcat(broker, "-P", "-t", topic, stdin="still here\n")
    assert kcat(broker, "-C", "-t", topic, "-e", "-q", "-o", "beginning") == "still here\n"
