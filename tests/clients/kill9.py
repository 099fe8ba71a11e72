"""The long form of test_crash.py; run by scripts/kill9."""

import pathlib
import random
import sys
import tempfile
import threading
import time

from conftest import Broker, create_topic
from test_crash import Load, read_all

PARTITIONS = 12


def main():
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    dice = random.Random(seed)
    print(f"{kills} kills, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="heddle-kill9-") as directory:
        # Small segments and little memory, so that settling, rolling and recycling are under way at the kills.
        broker = Broker(pathlib.Path(directory) / "data", sets=["log.segment.bytes=1048576"]).start()
        create_topic(broker, "load", PARTITIONS)
        loads = [Load(broker, "load") for _ in range(2)]
        stop = threading.Event()

        def produce(load, number):
            while not stop.is_set():
                load.send_values(f"{number}-{load.sent}-" + "x" * 400, 50)
                if load.sent - len(load.acknowledged) > 20000:
                    load.producer.poll(0.1)

        threads = [threading.Thread(target=produce, args=(load, n)) for n, load in enumerate(loads)]
        for thread in threads:
            thread.start()
        starts = []
        for number in range(kills):
            time.sleep(dice.uniform(0.05, 1.5))
            broker.kill()
            broker.shards = dice.randint(1, 4)
            broker.memory = dice.choice(["512MiB", "256MiB"])
            begun = time.monotonic()
            broker.start()
            starts.append(time.monotonic() - begun)
            if (number + 1) % 10 == 0:
                acknowledged = sum(len(load.acknowledged) for load in loads)
                print(f"{number + 1} kills, {acknowledged} acknowledged, slowest start {max(starts):.2f} s", flush=True)
        stop.set()
        for thread in threads:
            thread.join()
        failed = []
        for load in loads:
            if load.producer.flush(120) != 0 or load.failed:
                failed.append(f"not delivered: {load.failed[:3]}")
        stored = read_all(broker, "load", PARTITIONS)
        where = {value: (partition, offset) for partition, offset, value in stored}
        if len(where) != len(stored):
            failed.append(f"{len(stored) - len(where)} records are there twice")
        for load in loads:
            lost = [v for v, place in load.acknowledged.items() if where.get(v) != place]
            if lost:
                failed.append(f"{len(lost)} acknowledged records are not where they were said to be: {lost[:3]}")
        broker.end()
        acknowledged = sum(len(load.acknowledged) for load in loads)
        print(f"{acknowledged} acknowledged, {len(stored)} stored, slowest start {max(starts):.2f} s")
        for line in failed:
            print(line, file=sys.stderr)
        print(f"{0 if failed else 1} passed, {1 if failed else 0} failed")
        return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
