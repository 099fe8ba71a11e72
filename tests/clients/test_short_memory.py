"""A core with little memory: frames larger than it, and peers that read nothing, hold nobody else up."""

import contextlib
import socket
import struct
import threading
import time

import pytest
from conftest import Broker, create_topic, kcat

MIB = 1024 * 1024


def crc32c_table():
    table = []
    for number in range(256):
        for _ in range(8):
            number = (number >> 1) ^ (0x82F63B78 if number & 1 else 0)
        table.append(number)
    return table


def crc32c(data, table=crc32c_table()):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(value):
    value = (value << 1) ^ (value >> 63)
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def batch(value):
    body = b"\0" + varint(0) + varint(0) + varint(-1) + varint(len(value)) + value + varint(0)
    records = varint(len(body)) + body
    now = int(time.time() * 1000)
    covered = struct.pack(">hiqqqhii", 0, 0, now, now, -1, -1, -1, 1) + records
    return struct.pack(">qiibI", 0, 9 + len(covered), -1, 2, crc32c(covered)) + covered


def frame(key, version, correlation, body):
    head = struct.pack(">hhih", key, version, correlation, 1) + b"x"
    return struct.pack(">i", len(head) + len(body)) + head + body


def produce(topic, partitions, data):
    """Produce v7, acks=1."""
    body = struct.pack(">hhii", -1, 1, 30_000, 1)
    body += struct.pack(">h", len(topic)) + topic.encode() + struct.pack(">i", partitions)
    body += b"".join(struct.pack(">ii", index, len(data)) + data for index in range(partitions))
    return frame(0, 7, 7, body)


def fetch(topic, partitions, max_bytes):
    """Fetch v4 from the beginning, without waiting."""
    body = struct.pack(">iiiibi", -1, 0, 1, max_bytes, 0, 1)
    body += struct.pack(">h", len(topic)) + topic.encode() + struct.pack(">i", partitions)
    body += b"".join(struct.pack(">iqi", index, 0, max_bytes) for index in range(partitions))
    return frame(1, 4, 7, body)


def connect(broker):
    return socket.create_connection(("127.0.0.1", broker.port), timeout=60)


def receive(connection, bytes_wanted):
    out = b""
    while len(out) < bytes_wanted:
        piece = connection.recv(bytes_wanted - len(out))
        assert piece, "the broker closed the connection"
        out += piece
    return out


@pytest.fixture
def small(tmp_path):
    broker = Broker(tmp_path / "data", shards=1)
    broker.memory = "64MiB"
    yield broker.start()
    broker.end()


def exchange(connection, request):
    """The answer's bytes after its size."""
    connection.sendall(request)
    return receive(connection, struct.unpack(">i", receive(connection, 4))[0])


def errors(answer, topic, partitions):
    # Correlation id, topics, name, partitions; then index, error, base offset, append time and log start of each.
    first = 4 + 4 + 2 + len(topic) + 4
    return [struct.unpack_from(">h", answer, first + at * 30 + 4)[0] for at in range(partitions)]


def test_a_frame_larger_than_the_memory_is_taken(small, topic):
    create_topic(small, topic, 80)
    request = produce(topic, 80, batch(bytes(900 * 1024)))
    assert len(request) > 64 * MIB
    with connect(small) as connection:
        assert errors(exchange(connection, request), topic, 80) == [0] * 80


def test_frames_that_together_exceed_the_memory_all_end(small, topic):
    create_topic(small, topic, 40)
    request = produce(topic, 40, batch(bytes(900 * 1024)))
    found = []

    def send():
        with connect(small) as connection:
            found.append(errors(exchange(connection, request), topic, 40))

    threads = [threading.Thread(target=send, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [[0] * 40] * 6


def test_peers_that_read_nothing_hold_nobody_up(small, topic):
    create_topic(small, topic, 40)
    with connect(small) as connection:
        assert errors(exchange(connection, produce(topic, 40, batch(bytes(900 * 1024)))), topic, 40) == [0] * 40
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            connection = stack.enter_context(connect(small))
            connection.sendall(fetch(topic, 40, 50 * MIB))
        time.sleep(2)
        kcat(small, "-P", "-t", topic, "-p", "0", stdin="still here\n", timeout=20)
