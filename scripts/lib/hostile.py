"""usage: hostile.py [--messages N] [--seed S] [--lanes N]

What scripts/hostile does, on the stack that is in its environment.
"""
import argparse
import collections
import contextlib
import pathlib
import random
import re
import sys
import time

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[2] / "tests/integration"))
import load  # noqa: E402
from _world import QUIET, World, check_in, enroll, now_ms, wait_until  # noqa: E402

from confluent_kafka import Producer  # noqa: E402

POOL = 40_000  # different ones; each is sent with bytes of its own changed again, where it is long enough
HUGE = 20
HUGE_BYTES = 1_048_300
WARM = 0.2  # of the messages: by then every buffer has its size
GROWTH_MAX = 1.25  # of the greatest memory after that, over the greatest before


def pool(seed, lanes):
    """Damaged messages of every kind, and how many of each."""
    options = load.parse(["", "--seed", str(seed), "--devices", "4000", "--rounds", "3", "--odd", "0.3", "--damage", "1"])
    context = load.Context(options, lanes)
    made = [context.prepare(*event) for event in context.messages(set(range(lanes)))[:POOL]]
    return made, context.damaged


def send(world, made, count, rnd):
    producer = Producer({**QUIET, "linger.ms": 20, "batch.num.messages": 10000, "queue.buffering.max.messages": 200000,
                         "compression.type": "lz4", "message.max.bytes": 2_000_000})
    failures = []

    def delivered(error, _):
        if error is not None:
            failures.append(str(error))
    huge = set(rnd.sample(range(count), HUGE))
    for n in range(count):
        message = made[n % len(made)] if n < len(made) else rnd.choice(made)
        value = message.value
        if n in huge:
            value = b"\xc3\x01" + rnd.randbytes(HUGE_BYTES)
        elif value and len(value) > 12 and n >= len(made) and rnd.random() < 0.5:
            at = rnd.randrange(len(value))
            value = value[:at] + rnd.randbytes(1) + value[at + 1:]
        while True:
            try:
                producer.produce(world.prefix + load.TOPICS[message.topic], value, message.key, message.partition,
                                 timestamp=message.at, headers=message.headers, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.05)
        if n % 5000 == 0:
            producer.poll(0)
            yield n
    if producer.flush(300) or failures:
        raise SystemExit(f"hostile: not sent: {failures[:1]}")
    yield count


class Watch:
    """Memory, as messages are decided."""

    def __init__(self, muster, count):
        self.muster, self.count, self.rows, self.at = muster, count, [], 0

    def look(self, sent, is_last=False):
        if not is_last and time.monotonic() < self.at:
            return
        self.at = time.monotonic() + 2
        metrics = self.muster.metrics()
        decided = int(sum(metrics.get("muster_messages_total", {}).values()))
        letters = int(sum(metrics.get("muster_dead_letters_total", {}).values()))
        self.rows.append((decided, letters, self.muster.rss_kib()))
        if is_last or len(self.rows) % 10 == 1:
            print(f"{sent:>12,} sent {decided:>12,} decided {letters:>12,} dead letters "
                  f"{self.muster.rss_kib() / 1024:>8.1f} MiB", flush=True)
        self.metrics = metrics
        return decided

    def growth(self):
        """The greatest memory once warm, over the greatest until then."""
        warm = [rss for decided, _, rss in self.rows if decided <= WARM * self.count]
        after = [rss for decided, _, rss in self.rows if decided > WARM * self.count]
        return max(after) / max(warm)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--messages", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--lanes", type=int, default=4)
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.messages:,} messages, {options.lanes} lanes", flush=True)
    with contextlib.closing(World("hostile", lanes=options.lanes)) as world:
        made, kinds = pool(options.seed, options.lanes)
        print("kinds in the pool: " + ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())), flush=True)
        muster = world.start()
        muster.wait_ready()
        began, watch = time.monotonic(), Watch(muster, options.messages)
        for sent in send(world, made, options.messages, random.Random(options.seed)):
            watch.look(sent)
        wait_until(lambda: f"all decided: {watch.rows[-1]}",
                   lambda: (watch.look(options.messages) or 0) >= options.messages, 3600, pause=1)
        seconds = time.monotonic() - began
        watch.look(options.messages, is_last=True)
        # Who was silent all the time is heard.
        world.send(enroll("SOUND-1", now_ms()), check_in("SOUND-1", now_ms() + 1))
        wait_until("a sound device", lambda: "SOUND-1" in str(world.sql(
            "select serial from muster.devices where serial = 'SOUND-1'")), 120, pause=0.5)
        muster.stop(120)
        letters = watch.rows[-1][1]
        codes = collections.Counter()
        for labels, value in watch.metrics["muster_dead_letters_total"].items():
            codes[re.search('code="([^"]*)"', labels).group(1)] += int(value)
        ((stored,),) = world.sql("select count(*) from muster.results where topic like %s", "%dead-letters")
        print("dead letters by code: " + ", ".join(f"{code} {count:,}" for code, count in
                                                   codes.most_common() if count))
        print(f"{options.messages:,} messages in {seconds:.0f} s, {letters:,} dead letters; memory grew by"
              f" {100 * (watch.growth() - 1):.0f} % after the first {WARM:.0%}, to {max(r for *_, r in watch.rows) / 1024:.0f} MiB")
        assert letters <= stored, f"{letters} dead letters counted, {stored} in the database"
        assert watch.growth() <= GROWTH_MAX, f"memory grew by {watch.growth():.2f}"


if __name__ == "__main__":
    main()
