"""Topics that are not what they were, and messages that do not fit."""
import os
import pathlib
import time

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from bench import stack, wait_until
from _world import QUIET, check_in, garbage, now_ms

# A batch of 1,048,588 bytes is what a topic takes by default; this much of it may be the value.
LARGEST_BYTES = 1_048_400


def topic_recreated(bench):
    """An input is deleted and made anew while muster runs: its lanes halt with topic and offset
    named; started again, it is refused with 78."""
    muster = bench.start()
    bench.stop_traffic()
    bench.world.wait_caught_up()
    admin, topic = AdminClient(QUIET), bench.world.prefix + "checkins"
    admin.delete_topics([topic], operation_timeout=30)[topic].result(30)
    wait_until("the topic gone", lambda: topic not in admin.list_topics(timeout=10).topics)
    admin.create_topics([NewTopic(topic, 2, 1)], operation_timeout=30)[topic].result(30)
    bench.saw(muster, "lane halted")
    bench.unready(muster)
    assert muster.is_alive()
    muster.stop()
    bench.exited(bench.world.start("--until-caught-up", http="off"), 78)
    bench.replays = False  # the messages that it would read are gone


def offsets_gone(bench):
    """Messages are gone from the topic before they were processed: the lane is refused with 78 and
    the gap named."""
    muster = bench.start()
    bench.stop_traffic()
    bench.world.wait_caught_up()
    muster.stop()
    world, admin = bench.world, AdminClient(QUIET)
    world.send(*(check_in(f"T-{n % 50:03}", now_ms() + n) for n in range(400)))
    (end,) = {end for (_, lane), end in world.ends([("checkins", 0)]).items()}
    admin.delete_records([TopicPartition(world.prefix + "checkins", 0, end - 5)])
    time.sleep(2)
    refused = world.start("--until-caught-up", http="off")
    bench.exited(refused, 78)
    assert world.prefix + "checkins" in refused.log(), refused.log()
    bench.replays = False


def oversized_message(bench):
    """Messages as large as the topic takes: dead letters, and the lane goes on."""
    muster = bench.start()
    bench.stop_traffic()
    bench.world.producer = Producer({**QUIET, "message.max.bytes": 2_000_000})
    for n, size in enumerate((100_000, 900_000, LARGEST_BYTES)):
        bench.world.send(garbage("checkins", f"HUGE-{n}", now_ms(), value=b"\xc3\x01" + bytes(size)))
    bench.healed()
    bench.recovered()
    bench.finish()
    letters = bench.world.read("dead-letters")["dead-letters"]
    assert len(letters) == 3, f"{len(letters)} dead letters"
    bench.seen += [f"a dead letter of {len(letter.value or b'')} bytes" for letter in letters]
    muster.wait_ready()


def corrupted_log(bench):
    """A bit of an input flips on the broker's disk: the checksum is looked at, and the lane halts before that
    message, with topic and offset; when the bit is right again, it goes on."""
    world = bench.world
    muster = bench.start()
    bench.stop_traffic()
    world.wait_caught_up()
    muster.stop()
    world.send(*(check_in(f"T-{n % 50:03}", now_ms() + n) for n in range(100)))
    segment = pathlib.Path(os.environ["STACK"]) / "kafka/data" / f"{world.prefix}checkins-0" / f"{0:020}.log"

    def flip():
        stack("kafka-stop")
        with segment.open("r+b") as file:
            file.seek(-20, os.SEEK_END)
            byte = file.read(1)[0]
            file.seek(-20, os.SEEK_END)
            file.write(bytes([byte ^ 0x10]))
        stack("kafka-start")
    flip()
    halted = world.start()
    bench.saw(halted, "lane halted")
    assert f"{world.prefix}checkins/0" in bench.seen[-1] and "CRC" in bench.seen[-1], bench.seen[-1]
    bench.unready(halted)
    halted.stop()
    flip()
    whole = bench.start(ready=False)
    bench.healed()
    bench.recovered()
    whole.wait_ready()


FAULTS = [corrupted_log, topic_recreated, offsets_gone, oversized_message]
