"""Leader epochs, byte by byte: clients compare them, and Apache Kafka's begin at 0. Every answer here is that of Apache
Kafka 4.3, but for the numbers after a restart: there each takes two epochs, here one."""

import socket
import struct

from conftest import create_topic
from test_short_memory import batch

FENCED, UNKNOWN, OUT_OF_RANGE = 74, 75, 1


class Reader:
    def __init__(self, content):
        self.content, self.at = content, 0

    def take(self, layout):
        values = struct.unpack_from(f">{layout}", self.content, self.at)
        self.at += struct.calcsize(f">{layout}")
        return values if len(values) > 1 else values[0]

    def bytes(self, count):
        self.at += count
        return self.content[self.at - count:self.at]

    def text(self):
        return self.bytes(max(self.take("h"), 0)).decode()

    def number(self):
        """An unsigned varint; all here are short. Of a compact array or string it is the length and one."""
        byte = self.take("B")
        return byte if byte < 128 else byte - 128 + (self.number() << 7)

    def tags(self):
        return {self.number(): self.bytes(self.number()) for _ in range(self.number())}


class Wire:
    """One connection and one topic of one partition."""

    def __init__(self, broker, topic):
        host, port = broker.address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.topic = topic
        self.asked = 0

    def ask(self, key, version, body, compact=False):
        self.asked += 1
        head = struct.pack(">hhih", key, version, self.asked, 1) + b"x" + (b"\0" if compact else b"")
        self.socket.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
        answer = Reader(self.receive(struct.unpack(">i", self.receive(4))[0]))
        assert answer.take("i") == self.asked
        if compact:
            answer.tags()
        return answer

    def receive(self, count):
        content = b""
        while len(content) < count:
            more = self.socket.recv(count - len(content))
            assert more, "the broker closed the connection"
            content += more
        return content

    def name(self):
        return struct.pack(">h", len(self.topic)) + self.topic.encode()

    def compact_name(self):
        return bytes([len(self.topic) + 1]) + self.topic.encode()

    def metadata(self):
        """Leader and leader epoch."""
        answer = self.ask(3, 7, struct.pack(">i", 1) + self.name() + b"\0")
        answer.take("i")
        for _ in range(answer.take("i")):
            answer.take("i"), answer.text(), answer.take("i"), answer.text()
        answer.text(), answer.take("ii")
        assert answer.take("h") == 0
        answer.text(), answer.take("?i")
        error, index, leader, epoch = answer.take("hiii")
        assert (error, index) == (0, 0)
        return leader, epoch

    def produce(self, value):
        content = batch(value)
        body = struct.pack(">hhii", -1, -1, 30_000, 1) + self.name() + struct.pack(">iii", 1, 0, len(content)) + content
        answer = self.ask(0, 7, body)
        answer.take("i"), answer.text(), answer.take("i")
        index, error, offset = answer.take("ihq")
        assert (index, error) == (0, 0)
        return offset

    def offset(self, timestamp, current=-1):
        """ListOffsets: error, offset and its epoch."""
        body = struct.pack(">ib", -1, 0) + b"\2" + self.compact_name() + b"\2"
        answer = self.ask(2, 9, body + struct.pack(">iiq", 0, current, timestamp) + b"\0\0\0", compact=True)
        answer.take("i"), answer.number(), answer.bytes(answer.number() - 1), answer.number()
        index, error, _, offset, epoch = answer.take("ihqqi")
        assert index == 0
        return error, offset, epoch

    def end(self, asked, current=-1):
        """OffsetForLeaderEpoch: error, epoch and its end."""
        body = struct.pack(">ii", -1, 1) + self.name() + struct.pack(">iiii", 1, 0, current, asked)
        answer = self.ask(23, 3, body)
        answer.take("ii"), answer.text(), answer.take("i")
        error, _, epoch, end = answer.take("hiiq")
        return error, epoch, end

    def fetch(self, offset, current=-1, last=-1):
        """Error, the epochs of the batches, and where the logs part."""
        body = struct.pack(">iiiibii", -1, 0, 1, 1 << 20, 0, 0, -1) + b"\2" + self.compact_name() + b"\2"
        body += struct.pack(">iiqiqi", 0, current, offset, last, -1, 1 << 20) + b"\0\0\1\1\0"
        answer = self.ask(1, 12, body, compact=True)
        answer.take("ihi"), answer.number(), answer.bytes(answer.number() - 1), answer.number()
        index, error, *_ = answer.take("ihqqq")
        assert index == 0
        for _ in range(answer.number() - 1):
            answer.take("qq"), answer.tags()
        answer.take("i")
        content, epochs = Reader(answer.bytes(max(answer.number() - 1, 0))), []
        while content.at < len(content.content):
            _, length, epoch = content.take("qii")
            epochs.append(epoch)
            content.bytes(length - 4)
        diverging = answer.tags().get(0)
        return error, epochs, diverging and Reader(diverging).take("iq")


def test_a_new_topic_is_led_in_epoch_0(broker, topic):
    create_topic(broker, topic)
    wire = Wire(broker, topic)
    assert wire.metadata() == (1, 0)
    assert wire.fetch(0, current=0) == (0, [], None)
    assert [wire.fetch(0, current)[0] for current in (-2, -1, 1)] == [0, 0, UNKNOWN]
    assert [wire.end(asked) for asked in (-2, -1, 0, 1)] == [(0, -2, 0), (0, -1, -1), (0, 0, 0), (0, -1, -1)]
    assert [wire.end(0, current) for current in (-2, 0, 1)] == [(FENCED, -1, -1), (0, 0, 0), (UNKNOWN, -1, -1)]
    start, nothing = (0, 0, 0), (0, -1, -1)
    assert [wire.offset(time, 0) for time in (-1, -2, -3, -4, 0)] == [start, start, nothing, start, nothing]
    assert [wire.offset(-1, current)[0] for current in (-2, -1, 1)] == [FENCED, 0, UNKNOWN]
    assert [wire.fetch(0, last=last) for last in (-1, 0, 1)] == [(0, [], None), (0, [], None), (OUT_OF_RANGE, [], None)]
    assert wire.fetch(1, last=0) == (0, [], (0, 0)), "its log departs from ours, which is more than out of range"


def test_epochs_in_batches_and_after_restarts(make_broker, topic):
    broker = make_broker(shards=1)
    create_topic(broker, topic)
    wire = Wire(broker, topic)
    assert [wire.produce(b"a"), wire.produce(b"b")] == [0, 1]
    assert wire.fetch(0, current=0, last=0) == (0, [0, 0], None)
    assert [wire.end(asked) for asked in (-1, 0, 1)] == [(0, -1, -1), (0, 0, 2), (0, -1, -1)]
    assert [wire.offset(time) for time in (-1, -2, 0)] == [(0, 2, 0), (0, 0, 0), (0, 0, 0)]
    assert wire.offset(-3)[2] == 0
    for _ in range(2):
        assert broker.stop() == 0
        broker.start()
    wire = Wire(broker, topic)
    assert wire.metadata() == (1, 2)
    assert (wire.fetch(0, current=0)[0], wire.fetch(0, current=2)) == (FENCED, (0, [0, 0], None))
    assert wire.produce(b"c") == 2
    assert wire.fetch(0) == (0, [0, 0, 2], None)
    ends = [(0, 0, 2), (0, 0, 2), (0, 2, 3), (0, -1, -1)]
    assert [wire.end(asked) for asked in range(4)] == ends, "epoch 1 has no records"
    assert [wire.offset(time)[1:] for time in (-1, -2)] == [(3, 2), (0, 0)]
    assert [wire.fetch(9, last=last)[2] for last in (0, 1, 2)] == [(0, 2), (0, 2), (2, 3)]
