#!/usr/bin/env python3
"""What was committed and not published; and topics that are not what they were.

usage: check_recovery.py [CASE...]
"""
import random
import time

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from _world import (EX_CONFIG, HOUR, LONG_AGO, MINUTE, QUIET, check_in, enroll, kafka_frozen, left_behind,
                    main, report, standstill, tail, wait_until)


def days(devices, number):
    """A day of reports, each of which changes what the device is."""
    start = LONG_AGO + number * 24 * HOUR
    events = []
    for device in range(devices):
        serial = f"R-{device:03}"
        if number == 0:
            events += [enroll(serial, start), check_in(serial, start + 1)]
        events += [report(serial, start + (n + 1) * 10 * MINUTE, pin=n % 2 * 6) for n in range(30)]
    return sorted(events, key=lambda event: event.at)


def committed_but_not_published(make):
    """The broker stops answering in the middle; muster commits what it has decided and is killed.

    What the broker has of the transaction under way, or of its end, it may still do when it goes
    on, while the next muster is starting.
    """
    rng = random.Random(4)
    world = make("torn", lanes=2)

    def batches():
        return world.sql("select count(*) from muster.journal")[0][0]

    torn = 0
    for number in range(6):
        world.send(*days(40, number))
        before = batches()
        muster = world.start("--set", "batch.messages_max=25")
        more = rng.randrange(1, 20)
        wait_until(lambda: f"some batches; the log:\n{tail(muster.log())}", lambda: batches() >= before + more,
                   pause=0)
        with kafka_frozen():
            standstill(batches)
            muster.kill()
        # Now and then the next one comes while the broker is still at what it has of the last.
        unpublished = standstill(lambda: left_behind(world)) if number % 2 == 0 else left_behind(world)
        world.catch_up()
        print(f"  round {number}: {unpublished} batches were committed and not published")
        world.settled()
        torn += unpublished > 0 and number % 2 == 0
        if torn == 2:
            return
    raise AssertionError(f"only {torn} rounds left anything unpublished")


def committed_live_but_not_published(make):
    """As above, but a batch that brings its devices' rows along is not decided again: it is published from rows."""
    rng = random.Random(4)
    world = make("torn-live")
    world.send(*days(20, 0))
    muster = world.start()
    for number in range(10):
        world.wait_caught_up()
        wait_until("nothing under way", lambda: left_behind(world) == 0)
        committed = world.sql("select count(*) from muster.journal")
        time.sleep(3.5)  # after three seconds the next batch brings the rows along
        world.send(report(f"R-{number % 20:03}", LONG_AGO + (50 + number) * HOUR, pin=0 if number // 20 % 2 else 5))
        time.sleep(rng.uniform(0, 0.01))
        with kafka_frozen():
            time.sleep(0.2)
            is_torn = world.sql("select count(*) from muster.journal") != committed
            if is_torn:
                muster.kill()
        if is_torn and standstill(lambda: left_behind(world)) > 0:
            break
        if not muster.is_alive():
            muster = world.start()
    muster.kill()
    unpublished = left_behind(world)
    print(f"  at the {number + 1}th try: {unpublished} batch was committed and not published")
    assert unpublished == 1
    muster = world.start("--until-caught-up")
    assert muster.wait() == 0, tail(muster.log())
    assert "publishing what an earlier owner left" in muster.log()
    world.settled()


def changed_topics(make):
    """A lane stops, and says which topic and offsets, rather than go on from somewhere else."""
    admin = AdminClient(QUIET)

    def done(futures):
        for future in futures.values():
            future.result(30)

    def recreate(topic):
        def is_gone():
            return topic not in admin.list_topics(timeout=10).topics
        done(admin.delete_topics([topic], operation_timeout=30))
        wait_until(f"{topic} gone", is_gone)
        done(admin.create_topics([NewTopic(topic, 1, 1)], operation_timeout=30))
        wait_until(f"{topic} there", lambda: not is_gone())

    def refused(world, topic, *words):
        said = world.muster("run", "--until-caught-up", status=EX_CONFIG).stderr
        for word in (topic, *words):
            assert word in said, f"{word!r} is not in: {said}"
        print(f"  {said.splitlines()[-1]}")

    def started(name, *settings):
        world = make(name)
        world.send(*days(5, 0))
        world.catch_up(*settings)
        return world

    # What was processed may go; what was not may not.
    world = started("cut")
    topic = world.prefix + "compliance-reports"
    done(admin.delete_records([TopicPartition(topic, 0, 100)]))
    world.send(*days(5, 1))
    world.catch_up()
    world.send(*days(5, 2))
    done(admin.delete_records([TopicPartition(topic, 0, 320)]))
    refused(world, topic, "300", "319")
    world.settled()

    # Recreated: shorter than what was processed, then with other messages in the same places.
    world = started("anew")
    topic = world.prefix + "checkins"
    recreate(topic)
    refused(world, topic, "5", "0")
    world.send(*(check_in(f"R-{n:03}", LONG_AGO + 25 * HOUR + n) for n in range(8)))
    refused(world, "checkins", "4")
    world.settled()

    # While it runs: the lane stops, the process stays and says that it is not well.
    world = started("live")
    muster = world.start()
    muster.wait_ready()
    recreate(world.prefix + "checkins")
    muster.wait_log("lane halted")
    halt = next(line for line in muster.log().splitlines() if "lane halted" in line)
    assert world.prefix + "checkins/0" in halt and "offset 5" in halt, halt
    assert muster.is_alive()
    assert muster.get("/readyz")[0] == 503
    muster.stop()

    # The journal is where it is told what was published: without it nothing goes out.
    world = started("forgot", "--set", "batch.messages_max=20")
    recreate(world.prefix + "journal")
    world.send(*days(5, 1))
    before = world.results()
    refused(world, world.prefix + "journal")
    assert world.results() == before, "published again"


main(committed_but_not_published, committed_live_but_not_published, changed_topics)
