#!/usr/bin/env python3
"""muster as its operator sees it: ending, probes, metrics, several processes, the wall clock.

usage: check_operate.py [CASE...]
"""
import shutil
import signal
import socket
import subprocess
import time

from _world import (EX_CONFIG, HOUR, KAFKA, LONG_AGO, MINUTE, SECOND, Proxy, check_in, enroll, main, now_ms,
                    report, tail, time_text, wait_until)

# The shortest session that the broker allows.
BRIEF = ("-X", "session.timeout.ms=6000")


def fleet(prefix, devices, rounds, start=LONG_AGO):
    events = []
    for device in range(devices):
        serial = f"{prefix}-{device:04}"
        events += [enroll(serial, start), check_in(serial, start + 1)]
        events += [report(serial, start + (n + 1) * MINUTE, pin=n % 2 * 6) for n in range(rounds)]
    return sorted(events, key=lambda event: event.at)


def batches(world):
    return world.sql("select count(*) from muster.journal")[0][0]


def signals(make):
    """SIGTERM ends it when what it has decided is out; a second one at once; both lose nothing."""
    world = make("signals", lanes=2)
    world.send(*fleet("S", 200, 100))
    muster = world.start("--set", "batch.messages_max=100")
    wait_until("some batches", lambda: batches(world) > 3, pause=0)
    muster.stop()
    committed = world.sql("select count(*) from muster.journal where kind = 'BATCH'")[0][0]
    assert 0 < committed < 204, f"{committed} batches: not in the middle"
    world.settled()  # nothing is left to publish

    muster = world.start("--set", "batch.messages_max=100")
    wait_until("some batches more", lambda: batches(world) > committed + 4, pause=0)
    muster.signal(signal.SIGTERM)
    muster.signal(signal.SIGINT)
    started = time.monotonic()
    status = muster.wait(5)
    # The two may be seen in either order, or as one when it is quick.
    assert status in (0, 128 + signal.SIGINT, 128 + signal.SIGTERM), f"exit {status}\n{tail(muster.log())}"
    assert time.monotonic() - started < 2
    world.catch_up()
    world.settled()
    assert world.sql("select count(*) from muster.devices") == [(200,)]


def check_metrics(muster):
    promtool = shutil.which("promtool")
    if promtool is None:
        print("  NOT CHECKED: promtool is not installed, /metrics is not shown to it")
        return
    status, text = muster.get("/metrics")
    assert status == 200
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and not done.stdout + done.stderr, \
        f"promtool: exit {done.returncode}: {done.stdout}{done.stderr}"


def probes_and_metrics(make):
    """What the probes say with services there and away; what is counted is what stands in the topics."""
    proxy = Proxy()
    world = make("probes", lanes=2, dsn=f"host=127.0.0.1 port={proxy.port} user=muster")
    world.send(*fleet("P", 50, 20), check_in("NOBODY", LONG_AGO + HOUR))
    proxy.shut()
    muster = world.start()
    wait_until("an answer", lambda: muster.get("/livez")[0] == 200)
    status, text = muster.get("/readyz")
    assert status == 503 and "PostgreSQL" in text, f"/readyz without PostgreSQL: {status} {text}"
    check_metrics(muster)
    assert muster.metric_sum("muster_ready") == 0
    proxy.open()
    muster.wait_ready()
    world.wait_caught_up()

    results = world.results()
    by_topic = {}
    for result in results.values():
        by_topic[result["topic"]] = by_topic.get(result["topic"], 0) + 1
    sent = 50 * 22 + 1
    wait_until("all published", lambda: muster.metric_sum("muster_published_batches_total")
               == muster.metric_sum("muster_batches_total") == sum(map(len, world.journal().values())))
    assert muster.metric_sum("muster_messages_total") == sent
    assert muster.metric_sum("muster_messages_total", 'topic="checkins"') == 51
    for topic, count in by_topic.items():
        counted = muster.metric_sum("muster_results_total", f'topic="{topic}"')
        assert counted == count, f"{counted} {topic} counted, {count} on the topic"
    assert muster.metric_sum("muster_results_total") == len(results)
    assert muster.metric_sum("muster_dead_letters_total", 'code="unknown_device"') == 1
    assert muster.metric_sum("muster_devices") == 50
    assert muster.metric_sum("muster_lane_owned") == 2
    assert "muster_lag_messages" in muster.metrics(), "no lag is shown"
    wait_until(lambda: f"no lag: {muster.metrics()['muster_lag_messages']}",
               lambda: sum(muster.metrics()["muster_lag_messages"].values()) == 0)
    check_metrics(muster)

    proxy.shut()
    world.send(*fleet("Q", 5, 20, LONG_AGO + 24 * HOUR))
    wait_until("not ready without PostgreSQL", lambda: muster.get("/readyz")[0] == 503)
    assert muster.get("/livez")[0] == 200
    check_metrics(muster)
    assert muster.get("/nothing")[0] == 404
    proxy.open()
    muster.wait_ready()
    world.wait_caught_up()
    muster.stop()
    world.settled()


def taken(make):
    """What can be had only once is refused to the second, by name."""
    world = make("taken")
    muster = world.start("--set", "kafka.instance=only")
    muster.wait_ready()
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        said = world.start(http=address)
        assert said.wait() == EX_CONFIG and address in said.log(), tail(said.log())
    said = world.muster("run", "--set", "kafka.instance=only", status=EX_CONFIG).stderr
    assert "only" in said and "kafka.instance" in said, said
    assert muster.is_ready()

    # As from another host, where this host's locks are not seen: one of the two gives way.
    elsewhere = world.start("--set", "kafka.instance=only", "--set",
                            f"kafka.bootstrap_servers={KAFKA.replace('127.0.0.1', 'localhost')}")
    pair = [muster, elsewhere]
    wait_until("one that gives way", lambda: not all(process.is_alive() for process in pair))
    (loser,) = [process for process in pair if not process.is_alive()]
    (winner,) = [process for process in pair if process.is_alive()]
    assert loser.wait() == EX_CONFIG and "kafka.instance" in loser.log(), tail(loser.log())
    world.send(*fleet("W", 5, 2))
    winner.wait_ready()
    world.wait_caught_up()
    winner.kill()
    # The name is free again at once.
    world.muster("run", "--until-caught-up", "--set", "kafka.instance=only")


def lanes_of(processes):
    return [process.metric_sum("muster_lane_owned") for process in processes]


def two_processes(make):
    """Two share the lanes; one is killed, one is frozen for longer than its session and thawed."""
    world = make("two", lanes=4)
    slowly = ("--set", "batch.messages_max=50", *BRIEF)
    pair = [world.start(*slowly), world.start(*slowly)]
    wait_until(lambda: f"two lanes each: {lanes_of(pair)}", lambda: lanes_of(pair) == [2, 2])
    for process in pair:
        process.wait_ready()

    world.send(*fleet("T", 200, 100))
    seen = batches(world)
    wait_until("some batches", lambda: batches(world) > seen + 8, pause=0)
    pair[0].kill()
    wait_until(lambda: f"four lanes: {lanes_of(pair[1:])}\n{tail(pair[1].log())}", lambda: lanes_of(pair[1:]) == [4])
    world.wait_caught_up()
    wait_until("all published", lambda: sum(map(len, world.journal().values()))
               == world.sql("select count(*) from muster.journal where kind = 'BATCH'")[0][0])
    world.settled()

    pair[0] = world.start(*slowly)
    wait_until(lambda: f"two lanes each: {lanes_of(pair)}", lambda: lanes_of(pair) == [2, 2])
    world.send(*fleet("U", 200, 100, LONG_AGO + 24 * HOUR))
    seen = batches(world)
    wait_until("some batches", lambda: batches(world) > seen + 8, pause=0)
    pair[1].signal(signal.SIGSTOP)
    wait_until(lambda: f"four lanes: {lanes_of(pair[:1])}\n{tail(pair[0].log())}", lambda: lanes_of(pair[:1]) == [4])
    seen = batches(world)
    wait_until("going on", lambda: batches(world) > seen or world.is_caught_up(), pause=0)
    pair[1].signal(signal.SIGCONT)
    wait_until(lambda: f"two lanes each: {lanes_of(pair)}\n{tail(pair[1].log())}", lambda: lanes_of(pair) == [2, 2])
    world.wait_caught_up()
    for process in pair:
        process.wait_ready()
    for process in pair:
        process.stop()
    world.settled()
    assert world.sql("select count(*) from muster.devices") == [(400,)]


def timers_and_the_wall(make):
    """On topics where nothing happens, what is due happens, at its exact time."""
    world = make("timers", lanes=2)
    start = now_ms()
    fails, blocks = start + 6 * SECOND, start + 6 * SECOND + 333
    world.send(*(event for n in range(8) for event in (
        enroll(f"LAPSED-{n}", blocks - 26 * HOUR), check_in(f"LAPSED-{n}", blocks - 26 * HOUR + 1),
        report(f"LAPSED-{n}", blocks - 24 * HOUR, encrypted=False))))
    world.send(enroll("SILENT", fails - 30 * MINUTE))
    # What stands there is decided in the order of its time, and nothing comes after it.
    muster = world.start()
    muster.wait_ready()
    due = {"SILENT": fails, **{f"LAPSED-{n}": blocks for n in range(8)}}

    def fired():
        rows = world.sql("select value->>'serial', value->>'at' from muster.results"
                         " where value ? 'cause' and value->'cause' = 'null'")
        if rows:
            assert now_ms() > fails + SECOND, "before the wall less one second had reached it"
        return len({serial for serial, _ in rows}) == len(due)
    wait_until(lambda: f"what is due; the log:\n{tail(muster.log())}", fired)
    late_ms = now_ms() - blocks - SECOND
    print(f"  the last one {late_ms} ms after the wall less one second had reached it")
    assert late_ms < 10 * SECOND, "not live"
    muster.stop()
    results = world.settled()
    for result in results.values():
        if result["topic"] != "dead-letters" and result["cause"] is None:
            assert result["at"] == time_text(due[result["serial"]]), result
    devices = {row["serial"]: row for row in world.devices().values()}
    assert devices["SILENT"]["status"] == "FAILED"
    assert all(devices[f"LAPSED-{n}"]["email_blocked"] for n in range(8))
    assert sum(result["topic"] == "tickets" for result in results.values()) == 8


def unknown_serials_wait(make):
    """A fresh check-in waits for an enrollment that is on its way, and no longer than a second."""
    world = make("held", lanes=2)
    muster = world.start()
    muster.wait_ready()
    world.send(enroll("FIRST", now_ms()))  # the client is connected, the lanes are awake
    world.wait_caught_up()

    sent = now_ms()
    for n in range(6):
        world.send(check_in(f"EARLY-{n}", sent + n))
    assert now_ms() < sent + 500, "too slow to show anything"
    time.sleep(0.3)
    world.send(*(enroll(f"EARLY-{n}", sent + n) for n in range(6)))
    assert now_ms() < sent + 950, "too slow to show anything"
    world.wait_caught_up()
    assert world.muster("dead-letter", "list", "-o", "ndjson").stdout == "", "it did not wait for its enrollment"
    rows = world.devices().values()
    assert [row["status"] for row in rows if row["serial"].startswith("EARLY")] == ["ENROLLED"] * 6, rows

    alone = now_ms()
    world.send(check_in("ALONE", alone))
    wait_until(lambda: f"its dead letter; the log:\n{tail(muster.log())}",
               lambda: world.sql("select 1 from muster.results where topic like '%%dead-letters'"), pause=0.01)
    after = now_ms() - alone
    print(f"  the one without an enrollment was let go after {after} ms")
    assert after >= 1000
    muster.stop()
    (letter,) = [result for result in world.settled().values() if result["topic"] == "dead-letters"]
    assert letter["headers"]["muster.error"] == "unknown_device"
    assert letter["timestamp"] == alone and bytes.fromhex(letter["key"]) == b"ALONE"


main(signals, probes_and_metrics, taken, two_processes, timers_and_the_wall, unknown_serials_wait)
