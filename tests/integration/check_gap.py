#!/usr/bin/env python3
"""Lanes that halt before a gap, and accept-gap: who may, where exactly, and what comes of it.

usage: check_gap.py [CASE...]
"""
import json
import pathlib
import random
import time

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from _world import (EX_CONFIG, EX_UNAVAILABLE, HOUR, LONG_AGO, MINUTE, QUIET, ROOT, check_in, enroll, main, report,
                    tail, wait_until)

ADMIN = AdminClient(QUIET)
ROOT_ADMIN = "root@example.org"
USAGE = 2


def done(futures):
    for future in futures.values():
        future.result(30)


def cut(world, topic, partition, offset):
    """What stands before that offset is gone, as when it has expired."""
    done(ADMIN.delete_records([TopicPartition(world.prefix + topic, partition, offset)]))


def recreate(world, topic, partitions=1):
    name = world.prefix + topic

    def is_there():
        return name in ADMIN.list_topics(timeout=10).topics
    done(ADMIN.delete_topics([name], operation_timeout=30))
    wait_until(f"{name} gone", lambda: not is_there())
    done(ADMIN.create_topics([NewTopic(name, partitions, 1)], operation_timeout=30))
    wait_until(f"{name} there", is_there)


def fleet(devices, start=LONG_AGO):
    for device in range(devices):
        yield enroll(f"G-{device:03}", start + device)
        yield check_in(f"G-{device:03}", start + 100 + device)


def reports(devices, hours, pin):
    return [report(f"G-{device:03}", LONG_AGO + hours * HOUR + device, pin=pin) for device in range(devices)]


def positions(world):
    """{lane: {topic: where the lane stands}}"""
    found = {}
    for lane, ranges in world.sql("select distinct on (lane) lane, ranges from muster.journal where kind = 'BATCH'"
                                  " order by lane, batch desc"):
        found[lane] = {r["topic"].removeprefix(world.prefix): r["to"] for r in ranges}
    return found


def gaps(world):
    return json.loads(world.muster("accept-gap", "-o", "json").stdout)


def accept(world, *arguments, status=0, reason="retention was too short"):
    made = world.muster("accept-gap", *map(str, arguments), *(("--reason", reason) if reason else ()), "-o", "json",
                        status=status, timeout=60)
    return json.loads(made.stdout) if made.stdout else made.stderr


def audited(world):
    """Audit entries about gaps, by lane and number; the same on the topic and in the view."""
    entries = [r for r in world.results(("audit",)).values() if "/" in r["target"]]
    rows = world.sql("select lane, seq, outcome, reason, target, event_id::text from muster.audit where target like '%%/%%'"
                     " order by lane, seq")
    assert rows == [(e["lane"], e["seq"], e["outcome"], e["reason"], e["target"], e["event_id"]) for e in entries], rows
    return entries


def verify(world, status, *options):
    return json.loads(world.muster("replay", "verify", "-o", "json", *options, status=status).stdout)


def verify_words(world, status):
    return world.muster("replay", "verify", status=status).stdout


def halted(world, muster, lane=0):
    def is_listed():
        return [gap for gap in gaps(world) if gap["lane"] == lane]
    return wait_until(lambda: f"lane {lane} halted; the log:\n{tail(muster.log())}", is_listed)[0]


def expired(make):
    """Reports of one lane of two expire before they are read, while muster runs."""
    world = make("expired", lanes=2)
    world.extra += ["--set", f"roles.bootstrap_admins={ROOT_ADMIN}"]
    world.send(*fleet(40), *reports(40, 1, pin=4))
    world.catch_up()
    stood = positions(world)[0]["compliance-reports"]
    world.send(*reports(40, 2, pin=6))
    end = world.ends([("compliance-reports", 0)])["compliance-reports", 0]
    cut(world, "compliance-reports", 0, end - 3)
    muster = world.start()
    gap = halted(world, muster)
    assert gap == {"lane": 0, "topic": world.prefix + "compliance-reports", "partition": 0, "from": stood, "to": end - 3,
                   "or_to": None, "requests": 0, "problem": gap["problem"]}, gap
    assert f"offsets {stood} to {end - 4} are gone before they were processed" in gap["problem"]
    muster.wait_log("lane halted")
    assert f"muster accept-gap compliance-reports 0 {stood} {end - 3}" in muster.log()
    assert muster.get("/readyz")[0] == 503

    # The other lane goes on.
    wait_until("lane 1 caught up", lambda: positions(world)[1]["compliance-reports"] ==
               world.ends([("compliance-reports", 1)])["compliance-reports", 1])

    # What is not exactly that is refused, and nothing is asked for.
    place = ("compliance-reports", 0, stood, end - 3)
    assert "no lane has halted" in accept(world, "compliance-reports", 0, stood + 1, end - 3, status=1)
    assert "no lane has halted" in accept(world, "compliance-reports", 0, stood, end - 4, status=1)
    assert "no lane has halted" in accept(world, "compliance-reports", 1, stood, end - 3, status=1)
    assert "no lane has halted" in accept(world, "checkins", 0, stood, end - 3, status=1)
    accept(world, *place, status=USAGE, reason=None)
    accept(world, *place, status=USAGE, reason="x" * 129)
    accept(world, *place[:3], status=USAGE)
    accept(world, *place[:3], "many", status=USAGE)
    accept(world, *place, "--admin", "nobody", status=USAGE)
    assert gaps(world) == [gap] and audited(world) == []

    # Nor may everybody: the refusal is decided, audited and journalled, and the lane stays where it is.
    refused = accept(world, *place, "--admin", "mallory@example.org", status=1)
    assert [r["outcome"] for r in refused] == ["REFUSED"], refused
    halted(world, muster)
    assert positions(world)[0]["compliance-reports"] == stood

    entry, = accept(world, *place)
    assert entry["outcome"] == "OK" and entry["target"] == "compliance-reports/0", entry
    assert entry["reason"] == (f"offsets {stood} to {end - 4} of compliance-reports/0 are accepted as lost: "
                               "retention was too short")
    world.wait_caught_up()
    muster.wait_ready()
    assert gaps(world) == []

    # The three reports behind the gap count, those in it do not.
    world.send(*reports(40, 3, pin=6))
    world.wait_caught_up()
    # While muster runs, devices' rows may be 5 s behind what is published.
    wait_until("all devices compliant", lambda: all(device["compliance"] == "COMPLIANT" for device in world.devices().values()), seconds=5)
    muster.stop()
    world.settled()
    changes = [r for r in world.results(("compliance-changes",)).values() if r["lane"] == 0]
    recovered = [r for r in changes if r["compliance"] == "COMPLIANT"]
    before = [r for r in recovered if r["at"] < "2025-06-02T10:30"]
    assert 0 < len(before) <= 3 < len(recovered), (len(before), len(recovered))
    entries = audited(world)
    assert [e["outcome"] for e in entries] == ["REFUSED", "OK"], entries
    assert entries[1]["actor"] == entry["actor"] and len(entry["actor"]) == 32, "who asked is a subject"
    assert world.sql("select count(*) from muster.person where user_email in (%s, %s)", ROOT_ADMIN,
                     "mallory@example.org") == [(2,)]
    assert world.sql("select count(*) from muster.gap_request") == [(0,)]

    # A verification cannot tell what the reports before the gap said, and says from where it could.
    gap_batch = next(r["batch"] for r in world.journal()[0] if r["gap"] is not None and r["gap"]["accepted"])
    lanes = verify(world, 1)
    assert [lane["verdict"] for lane in lanes] == ["unverifiable", "verified"], lanes
    assert "begins at" in lanes[0]["reason"] and lanes[0]["inputs_whole_from"] == gap_batch, lanes[0]


def never_read(make):
    """The first reports expire before any was read: all the rest can be verified, and the gap is told."""
    world = make("unread")
    world.send(*fleet(5))
    world.catch_up()
    world.send(*reports(5, 1, pin=4))
    cut(world, "compliance-reports", 0, 3)
    said = world.muster("run", "--until-caught-up", status=EX_CONFIG).stderr
    assert "compliance-reports/0: offsets 0 to 2 are gone" in said, said

    # Nobody runs: it is asked for and stands.
    said = accept(world, "compliance-reports", 0, 0, 3, "--timeout", 1, status=EX_UNAVAILABLE)
    assert "nothing decided within 1 s" in said, said
    event_id, = world.sql("select event_id::text from muster.gap_requests")[0]
    assert event_id in said and gaps(world)[0]["requests"] == 1
    world.catch_up()
    entry, = audited(world)
    assert entry["event_id"] == event_id and entry["actor"] == "operator" and entry["cause"] is None, entry
    world.settled()
    assert [d["compliance"] for d in world.devices().values()].count("NONCOMPLIANT") == 2

    lane, = verify(world, 0, "--database")
    told, = lane["gaps"]
    assert (told["topic"], told["from"], told["to"], told["actor"], told["accepted"], told["reason"]) == (
        world.prefix + "compliance-reports", 0, 3, None, True, "retention was too short"), told
    said = verify_words(world, 0)
    assert "verified but for 1 accepted gap" in said and "were never seen" in said, said
    print(*(f"  {line}" for line in said.splitlines()), sep="\n")
    lane, = verify(world, 0, "--source", "postgres")
    assert len(lane["gaps"]) == 1

    whole, world.config = world.config, pathlib.Path(world.directory) / "keyless.yaml"
    world.config.write_text(whole.read_text().split("privacy:")[0])
    lane, = verify(world, 0)
    assert lane["subjects"] == "from results" and len(lane["gaps"]) == 1, lane
    world.config = whole

    # What else replays goes over it as well.
    world.muster("replay", "what-if", "--policy", str(ROOT / "policies/default.yaml"))
    assert "NONCOMPLIANT" in world.muster("replay", "explain", "G-004").stdout
    assert world.muster("device", "get", "G-004", "--as-of", "2025-06-03T00:00:00Z").stdout
    pack = f"{world.directory}/pack"
    world.muster("evidence", "create", "--from", "2025-06-01T00:00:00Z", "--to", "2025-06-04T00:00:00Z", "-o", pack)
    said = world.muster("evidence", "verify", pack).stdout
    assert "were never seen: accepted as lost by the operator" in said, said
    assert "What was never seen" in pathlib.Path(pack, "report.html").read_text()

    # An empty database comes to the same from the topics alone.
    rows = world.sql("select lane, batch, gap, digests from muster.journal order by lane, batch, kind")
    world.sql_change('drop schema muster cascade')
    world.muster("migrate")
    world.muster("replay", "rebuild")
    assert world.sql("select lane, batch, gap, digests from muster.journal order by lane, batch, kind") == rows
    world.send(*reports(5, 2, pin=6))
    world.catch_up()
    world.settled()


def control_topic(make):
    """Control messages expire before they are read: every lane halts, and one word has all go on."""
    world = make("control", lanes=2)
    world.send(*fleet(10))
    muster = world.start()
    world.wait_caught_up()
    world.muster("role", "grant", "ann@example.org", "--role", "operator")
    wait_until("both lanes behind it", lambda: all(p["control"] == 1 for p in positions(world).values()))
    muster.stop()
    for name in ("bob", "eve"):
        world.muster("role", "grant", f"{name}@example.org", "--no-wait")
    cut(world, "control", 0, 2)
    muster = world.start()
    for lane in (0, 1):
        assert halted(world, muster, lane)["partition"] == 0
    entry, = accept(world, "control", 0, 1, 2, "--lane", 1, reason="lane 1 first")
    assert entry["lane"] == 1 and entry["target"] == "control/0"
    assert [gap["lane"] for gap in gaps(world)] == [0]
    entry, = accept(world, world.prefix + "control", 0, 1, 2, reason="bob's role is given again")
    assert entry["lane"] == 0
    muster.wait_ready()
    wait_until("both lanes behind it", lambda: all(p["control"] == 3 for p in positions(world).values()))
    roles = {role["user_email"] for role in json.loads(world.muster("role", "list", "-o", "json").stdout)}
    assert roles == {"ann@example.org", "eve@example.org"}, roles
    world.muster("tenant", "begin", "upstream_outage", "--admin", "eve@example.org")
    muster.stop()
    world.settled()


def recreated(make):
    """A topic is made anew: the lane goes on at its beginning, and what was before it cannot be verified."""
    world = make("anew")
    world.send(*fleet(5), *reports(5, 1, pin=4))
    muster = world.start()
    world.wait_caught_up()
    recreate(world, "compliance-reports")
    gap = halted(world, muster)
    assert (gap["from"], gap["to"], gap["or_to"]) == (5, 0, None), gap
    world.send(*reports(3, 2, pin=6))
    entry, = accept(world, "compliance-reports", 0, 5, 0, reason="made anew by mistake")
    assert entry["reason"] == ("compliance-reports/0 goes on at offset 0, though it was read up to 4: "
                               "made anew by mistake"), entry
    wait_until("the new reports", lambda: positions(world)[0]["compliance-reports"] == 3)
    muster.wait_ready()
    muster.kill()  # the anchor is now a message of the new topic
    world.send(*reports(5, 3, pin=6))
    world.catch_up()
    assert all(device["compliance"] == "COMPLIANT" for device in world.devices().values())
    world.settled()
    lane, = verify(world, 1)
    assert lane["verdict"] == "unverifiable", lane
    assert "recreated or truncated" in lane["reason"] and "made anew by mistake" in lane["reason"], lane["reason"]
    gap_batch = next(r["batch"] for r in world.journal()[0] if r["gap"] is not None)
    assert lane["inputs_whole_from"] == gap_batch, lane

    # Other messages in the same places: the lane finds out with the last one that it has read.
    recreate(world, "checkins")
    world.send(*(check_in(f"G-{n:03}", LONG_AGO + 25 * HOUR + n) for n in range(5)), *reports(1, 26, pin=4))
    said = world.muster("run", "--until-caught-up", status=EX_CONFIG).stderr
    assert "offset 4 is not the message that was processed last" in said, said
    gap, = gaps(world)
    assert (gap["from"], gap["to"], gap["or_to"]) == (5, 0, 5), gap
    world.muster("accept-gap", "checkins", "0", "5", "0", "--reason", "another topic", "--no-wait")
    world.catch_up()
    assert [d["last_sync_at"] for d in world.devices().values()] == \
        [f"2025-06-03T09:00:00.00{n}Z" for n in range(5)]
    world.settled()


def killed_meanwhile(make):
    """Killed again and again while a gap is accepted: it is, once."""
    rng = random.Random(7)
    for n in range(3):
        world = make(f"killed{n}")
        world.send(*fleet(5), *reports(5, 1, pin=4))
        world.catch_up()
        world.send(*reports(5, 2, pin=6))
        cut(world, "compliance-reports", 0, 7)
        world.muster("run", "--until-caught-up", status=EX_CONFIG)
        world.muster("accept-gap", "compliance-reports", "0", "5", "7", "--reason", "gone", "--no-wait")
        starts = 0
        while gaps(world):
            muster = world.start()
            time.sleep(rng.uniform(0.5, 2 + starts))
            muster.kill()
            starts += 1
        print(f"  killed {starts} times")
        world.send(*reports(5, 3, pin=4))
        world.catch_up()
        world.settled()
        entry, = audited(world)
        assert entry["outcome"] == "OK"


main(expired, never_read, control_topic, recreated, killed_meanwhile)
