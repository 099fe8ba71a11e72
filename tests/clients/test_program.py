"""The program as its user meets it: options, messages, the admin port."""

import subprocess

import pytest
from conftest import HEDDLE, Broker, kcat


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
        (["start", "--kafka-addr", "nowhere"], "nowhere"),
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
    for option in ["--config", "--data-dir", "--kafka-addr", "--advertised-addr", "--admin-addr", "--shards", "--memory", "--set"]:
        assert option in text


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


def test_the_admin_port_tells_health_and_metrics(broker, topic):
    kcat(broker, "-P", "-t", topic, stdin="one\n")
    assert broker.get("/health")[0] == 200
    assert broker.get("/ready")[0] == 200
    assert broker.get("/nothing")[0] == 404
    status, text = broker.get("/metrics")
    assert status == 200
    assert 'heddle_request_duration_seconds_count{api="Produce"}' in text
    assert "heddle_journal_frames_total" in text
    assert "heddle_disk_sync_duration_seconds_count" in text


def test_garbage_on_the_socket_ends_that_connection_only(broker, topic):
    import socket

    for garbage in [b"\x00\x00\x00\x12\x00\x03\x00\x01\x00\x00\x00\x01\xff\xff\x03\x3c\x0c\x00\xb6" + b"\0" * 3,
                    b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 8]:
        with socket.create_connection(("127.0.0.1", broker.port), timeout=5) as s:
            s.sendall(garbage)
            s.settimeout(0.5)
            try:
                s.recv(1000)
            except OSError:
                pass
    kcat(broker, "-P", "-t", topic, stdin="still here\n")
    assert kcat(broker, "-C", "-t", topic, "-e", "-q", "-o", "beginning") == "still here\n"
