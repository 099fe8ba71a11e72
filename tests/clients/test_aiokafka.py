"""aiokafka: asynchronous, with request versions of its own choice, some of them old."""

import asyncio
import time

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.structs import OffsetAndMetadata
from conftest import create_topic

CODECS = [None, "gzip", "snappy", "lz4", "zstd"]
SECONDS = 30


def run(work):
    return asyncio.run(asyncio.wait_for(work, SECONDS))


async def produce(broker, topic, values, partition=0, **options):
    async with AIOKafkaProducer(bootstrap_servers=broker.address, **options) as producer:
        sent = [await producer.send(topic, value, partition=partition) for value in values]
        return [await one for one in sent]


def consumer(broker, *topics, **options):
    return AIOKafkaConsumer(*topics, bootstrap_servers=broker.address, enable_auto_commit=False,
                            auto_offset_reset="earliest", fetch_max_wait_ms=20, **options)


async def read(client, count):
    return [await client.getone() for _ in range(count)]


async def read_from(broker, topic, count, **options):
    async with consumer(broker, **options) as client:
        client.assign([TopicPartition(topic, 0)])
        return await read(client, count)


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_keeps_keys_headers_and_order(broker, topic, codec):
    create_topic(broker, topic)

    async def work():
        async with AIOKafkaProducer(
                bootstrap_servers=broker.address, compression_type=codec, linger_ms=20) as producer:
            sent = [await producer.send(topic, b"value %d " % i * 10, key=b"key %d" % i, headers=[("a", b"1")])
                    for i in range(300)]
            reports = [await one for one in sent]
        return reports, await read_from(broker, topic, 300)

    reports, messages = run(work())
    assert [r.offset for r in reports] == [m.offset for m in messages] == list(range(300))
    assert [m.key for m in messages] == [b"key %d" % i for i in range(300)]
    assert [m.value for m in messages] == [b"value %d " % i * 10 for i in range(300)]
    assert messages[3].headers == (("a", b"1"),)


def test_idempotent_producer(broker, topic):
    create_topic(broker, topic)
    values = [b"%d" % i for i in range(1000)]

    async def work():
        await produce(broker, topic, values, enable_idempotence=True, max_batch_size=500)
        return await read_from(broker, topic, 1000)

    assert [m.value for m in run(work())] == values


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_acks(broker, topic, acks):
    create_topic(broker, topic)

    async def work():
        await produce(broker, topic, [b"v"] * 50, acks=acks)
        return await read_from(broker, topic, 50)

    assert len(run(work())) == 50


def test_timestamps(broker, topic):
    # Its record is of 1970: retention may come by at any moment.
    create_topic(broker, topic, retention_ms=-1)
    create_topic(broker, f"{topic}-append", message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000)

    async def work():
        async with AIOKafkaProducer(bootstrap_servers=broker.address) as producer:
            for name in [topic, f"{topic}-append"]:
                await producer.send_and_wait(name, b"v", partition=0, timestamp_ms=1234567)
        return await read_from(broker, topic, 1) + await read_from(broker, f"{topic}-append", 1)

    created, appended = run(work())
    assert (created.timestamp, created.timestamp_type) == (1234567, 0)
    assert appended.timestamp_type == 1
    assert before <= appended.timestamp <= int(time.time() * 1000)


def test_large_messages(broker, topic):
    create_topic(broker, topic, max_message_bytes=9_000_000)
    create_topic(broker, f"{topic}-small", max_message_bytes=5000)
    value = bytes(range(256)) * 30_000

    async def work():
        await produce(broker, topic, [value, b"small"], max_request_size=9_000_000)
        await produce(broker, f"{topic}-small", [b"v" * 4930])
        with pytest.raises(MessageSizeTooLargeError):
            await produce(broker, f"{topic}-small", [b"v" * 4931])
        return await read_from(broker, topic, 2, max_partition_fetch_bytes=1000)

    assert [m.value for m in run(work())] == [value, b"small"]


def test_seek_and_offsets(broker, topic):
    # Its records are of 1970: retention may come by at any moment.
    create_topic(broker, topic, retention_ms=-1)
    own = TopicPartition(topic, 0)

    async def work():
        async with AIOKafkaProducer(bootstrap_servers=broker.address) as producer:
            for i in range(100):
                await producer.send(topic, b"%d" % i, partition=0, timestamp_ms=1_000_000 + i * 10)
        async with consumer(broker) as client:
            client.assign([own])
            assert await client.beginning_offsets([own]) == {own: 0}
            assert await client.end_offsets([own]) == {own: 100}
            found = (await client.offsets_for_times({own: 1_000_501}))[own]
            assert (found.offset, found.timestamp) == (51, 1_000_510)
            assert (await client.offsets_for_times({own: 2_000_000}))[own] is None
            client.seek(own, 90)
            assert [m.offset for m in await read(client, 10)] == list(range(90, 100))
            await client.seek_to_beginning(own)
            assert (await client.getone()).offset == 0
            client.seek(own, 5000)
            assert (await client.getone()).offset == 0, "out of range: back to the earliest"

    run(work())


def test_a_group_commits_and_resumes(broker, topic):
    create_topic(broker, topic, 2)
    own, other = TopicPartition(topic, 0), TopicPartition(topic, 1)

    async def work():
        await produce(broker, topic, [b"%d" % i for i in range(50)])
        async with consumer(broker, topic, group_id=f"g-{topic}") as first:
            await read(first, 50)
            await first.commit({own: OffsetAndMetadata(30, "half way")})
            assert await first.committed(own) == 30
            assert await first.committed(other) is None
        async with consumer(broker, topic, group_id=f"g-{topic}") as second:
            assert (await second.getone()).offset == 30

    run(work())


def test_administration(broker, topic):
    own = TopicPartition(topic, 0)

    async def work():
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
        await admin.start()
        created = await admin.create_topics([NewTopic(topic, 2, 1, topic_configs={"retention.ms": "5000000"})])
        assert created.topic_errors[0][:2] == (topic, 0)
        again = await admin.create_topics([NewTopic(topic, 2, 1)])
        assert again.topic_errors[0][:2] == (topic, 36)
        await admin.create_partitions({topic: NewPartitions(3)})
        (described,) = await admin.describe_topics([topic])
        assert len(described["partitions"]) == 3
        assert len((await admin.describe_cluster())["brokers"]) == 1
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        (answer,) = await admin.describe_configs([resource])
        values = {config[0]: config[1] for config in answer.resources[0][4]}
        assert values["retention.ms"] == "5000000"
        await produce(broker, topic, [b"v"] * 20)
        assert await admin.delete_records({own: RecordsToDelete(5)}) == {own: 5}
        async with consumer(broker, topic, group_id=f"g-{topic}") as client:
            assert (await client.getone()).offset == 5
            await client.commit()
            (groups,) = await admin.describe_consumer_groups([f"g-{topic}"])
            assert groups.groups[0][2] == "Stable"
        assert f"g-{topic}" in [group[0] for group in await admin.list_consumer_groups()]
        offsets = await admin.list_consumer_group_offsets(f"g-{topic}")
        assert offsets[own].offset == 6
        await admin.delete_topics([topic])
        assert topic not in await admin.list_topics()
        await admin.close()

    run(work())
