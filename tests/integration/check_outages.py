#!/usr/bin/env python3
"""Kafka and PostgreSQL go away and come back: late, both, for good, or never were there.

usage: check_outages.py [CASE...]
"""
import signal
import time

from confluent_kafka.admin import AdminClient, NewPartitions

from _traffic import Traffic, fleet
from _world import (EX_CONFIG, EX_UNAVAILABLE, HOUR, LONG_AGO, QUIET, SECOND, Proxy, check_in, enroll,
                    free_port, kafka_frozen, main, now_ms, report, stack, standstill, tail, time_text,
                    wait_until)

DAY = 24 * HOUR
# The shortest that the broker allows, so that a member that does not keep up is soon found out.
IMPATIENT = ("-X", "session.timeout.ms=6000", "-X", "max.poll.interval.ms=6000")


def decisions(results, topic, serial):
    return [result for result in results.values() if result["topic"] == topic and result["serial"] == serial]


def recovery_unread_when_a_timer_is_due(make):
    """Only what was read says that a device is still non-compliant; what the broker holds may not."""
    world = make("recovery")
    due = now_ms() + 14 * SECOND
    since = due - DAY
    for serial in ("RECOVERED", "LAPSED"):
        world.send(enroll(serial, since - HOUR), check_in(serial, since - HOUR + 1), report(serial, since, pin=4))
    # A session longer than the outage: the lane stays, with all that it remembers of the topics.
    muster = world.start("-X", "session.timeout.ms=120000")
    muster.wait_ready()
    world.wait_caught_up()
    assert now_ms() < due - 8 * SECOND, "too slow a start to show anything"

    # What the broker is already asked for would be answered with the recovery: that must be over.
    muster.signal(signal.SIGSTOP)
    time.sleep(1)
    world.send(report("RECOVERED", now_ms()))
    stack("kafka-kill")
    muster.signal(signal.SIGCONT)
    assert now_ms() < due, "too slow to show anything"
    wait_until("past the time at which the block is due", lambda: now_ms() > due + 3 * SECOND)
    decided = world.sql("select value->>'compliance', topic from muster.results"
                        " where topic ~ '(compliance-changes|access-decisions)$'")
    assert [compliance for compliance, _ in decided] == ["NONCOMPLIANT"] * 2, \
        f"decided though nobody could say what the topics hold: {decided}"
    stack("kafka-start")

    wait_until(lambda: f"the block; the log:\n{tail(muster.log())}",
               lambda: world.sql("select 1 from muster.results where topic like '%%access-decisions'"))
    world.wait_caught_up()
    assert muster.count("lane taken") == 1, "the lane was given up: it began anew and remembered nothing"
    muster.stop()
    results = world.settled()
    assert not decisions(results, "access-decisions", "RECOVERED"), decisions(results, "access-decisions", "RECOVERED")
    assert [change["compliance"] for change in decisions(results, "compliance-changes", "RECOVERED")] == \
        ["NONCOMPLIANT", "COMPLIANT"]
    (block,) = decisions(results, "access-decisions", "LAPSED")
    assert (block["decision"], block["at"], block["cause"]) == ("BLOCK", time_text(due), None), block
    (ticket,) = decisions(results, "tickets", "LAPSED")
    assert (ticket["action"], ticket["at"]) == ("OPEN", time_text(due)), ticket


def services_away_in_a_backlog_and_live(make):
    """One process through all of it: it keeps its place in the group, its memory, and goes on."""
    proxy = Proxy()
    world = make("away", lanes=2, dsn=f"host=127.0.0.1 port={proxy.port} user=muster")
    small = ("--set", "batch.messages_max=200", "--set", "batch.bytes_max=1MiB")
    muster = world.start(*IMPATIENT, *small)
    muster.wait_ready()
    before_kib = muster.rss_kib()

    def batches():
        return world.sql("select count(*) from muster.journal")[0][0]

    def go_on(what, until):
        wait_until(lambda: f"going on after {what}; the log:\n{tail(muster.log())}", until)

    # PostgreSQL, in a backlog far larger than what may wait in memory, for longer than a member
    # may be silent.
    world.send(*fleet("B", 300, 120, LONG_AGO))
    wait_until("a few batches", lambda: batches() > 4, pause=0)
    proxy.shut()
    stopped_at = standstill(batches)
    time.sleep(8)
    assert batches() == stopped_at, "it went on without its database"
    grown_mib = (muster.rss_kib() - before_kib) / 1024
    members = muster.count("lanes assigned"), muster.count("lanes revoked")
    assert members == (1, 0), f"it did not keep its place in the group:\n{tail(muster.log())}"
    assert muster.get("/livez")[0] == 200
    proxy.open()
    go_on("PostgreSQL", lambda: batches() > stopped_at)
    print(f"  PostgreSQL away after {stopped_at} batches of a backlog of 36600 messages: "
          f"memory grew by {grown_mib:.0f} MiB")
    assert grown_mib < 100, "memory is not bounded"

    # The broker, killed in the same backlog.
    seen = batches()
    wait_until("more batches", lambda: batches() > seen + 4, pause=0)
    stack("kafka-kill")
    stopped_at = standstill(batches)  # what is in memory is written, and no more
    held_mib = (muster.rss_kib() - before_kib) / 1024
    stack("kafka-start")
    go_on("Kafka", lambda: batches() > stopped_at)
    world.wait_caught_up()
    print(f"  Kafka away after {stopped_at} batches: memory grew by {held_mib:.0f} MiB")
    assert held_mib < 100, "memory is not bounded"
    assert stopped_at < batches(), "the backlog was through: nothing was shown"

    # Live, each of them for a moment, then both, while messages come.
    with Traffic(world, 50) as traffic:
        wait_until("traffic", lambda: traffic.count > 150)
        stack("pg-kill")
        wait_until("some more traffic", lambda: traffic.count > 300)
        stack("pg-start")
        go_on("PostgreSQL", muster.is_ready)
        with kafka_frozen():
            stack("pg-stop")
            time.sleep(2)
        stack("pg-start")
        go_on("both", muster.is_ready)
    world.wait_caught_up()
    assert muster.is_alive()
    muster.stop()
    world.settled()
    assert world.sql("select count(*) from muster.devices") == [(350,)]


def until_caught_up_gives_up(make):
    """Without a service: 75 within the deadline, whether it went away before or in between."""
    nobody = f"127.0.0.1:{free_port()}"
    host, port = nobody.split(":")
    proxy = Proxy()
    worlds = {
        "no PostgreSQL": (make("no-pg"), ("--set", f"postgres.dsn=host={host} port={port} dbname=nobody")),
        "no Kafka": (make("no-kafka"), ("--set", f"kafka.bootstrap_servers={nobody}")),
        "PostgreSQL lost": (make("lost-pg", dsn=f"host=127.0.0.1 port={proxy.port} user=muster"),
                            ("--set", "batch.messages_max=10")),
    }
    worlds["PostgreSQL lost"][0].send(*fleet("L", 50, 200, LONG_AGO))
    started = time.monotonic()
    runs = {name: world.start("--until-caught-up", *settings, http="off") for name, (world, settings) in worlds.items()}
    runs["PostgreSQL lost"].wait_log("lane taken")
    proxy.shut()
    # The rest of this file's refusals take their time beside it.
    configuration_is_refused(make)
    for name, run in runs.items():
        status = run.wait(60)
        said = next(line for line in run.log().splitlines() if line.startswith("muster: "))
        print(f"  {name}: exit {status}: {said[:150]}")
        assert status == EX_UNAVAILABLE, f"{name}: exit {status}\n{tail(run.log())}"
        assert "PostgreSQL" in said or "Kafka" in said, f"{name}: it does not say who is out of reach: {said}"
    assert time.monotonic() - started < 50


def configuration_is_refused(make):
    """What no waiting mends is 78, with a word about what to do."""
    def refused(world, *words, command=("run", "--until-caught-up")):
        said = world.muster(*command, status=EX_CONFIG).stderr
        for word in words:
            assert word in said, f"{word!r} is not in: {said}"

    refused(make("no-topics", topics=False), "topics create")
    refused(make("no-tables", migrate=False), "muster migrate")
    # A database of two lanes, topics of three: one of them first, then all.
    world = make("recount", lanes=2)
    world.send(*fleet("C", 10, 2, LONG_AGO))
    world.catch_up()
    admin = AdminClient(QUIET)
    every = [name for name in admin.list_topics(timeout=30).topics if name.startswith(world.prefix)]
    one = world.prefix + "checkins"

    def grow(names):
        for future in admin.create_partitions([NewPartitions(name, 3) for name in names]).values():
            future.result(30)

    grow([one])
    refused(world, one, "partitions")
    refused(world, one, command=("topics", "create", "--partitions", "2"))
    grow([name for name in every if name != one and not name.endswith(".control")])
    refused(world, "3", "2")


main(recovery_unread_when_a_timer_is_due, services_away_in_a_backlog_and_live, until_caught_up_gives_up)
