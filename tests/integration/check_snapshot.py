"""Snapshots of lanes: what is shown as of a time is the same with and without them, a snapshot made
from another is the one that the whole log gives, and one that is not is found, and never believed:
the journal vouches for those that are."""
import hashlib
import json
import os
import re
import signal
import struct
import subprocess

from confluent_kafka import Producer

import _fleet
from _fleet import KAFKA, equal, holds

DEFAULT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "policies", "default.yaml")
START = 1748822400000
HOUR = 3600_000
SETTINGS = ("batch.messages_max=150",)
HEAD = struct.Struct(">4sHIQqIIQ32s")  # of a part: magic, version, lane, batch, clock, number, count, size, digest


def ask(world, *arguments, status=0):
    done = subprocess.run(world.command(*arguments, "-o", "json"), capture_output=True, text=True, timeout=300)
    equal(done.returncode, status, "muster %s: %s: exit status" % (" ".join(arguments), done.stderr[-300:]))
    return json.loads(done.stdout) if status == 0 or done.stdout else done.stderr


def fleet_at(world, times, devices):
    """What is shown of the fleet, and of some devices in full, at each time."""
    shown = []
    for at in times:
        fleet = ask(world, "device", "list", "--as-of", str(at))
        known = {device["device_id"] for device in fleet}
        shown.append((fleet, [ask(world, "device", "get", device, "--as-of", str(at)) for device in devices if device in known]))
    return shown


def write(world, lane, key, value):
    producer = Producer({"bootstrap.servers": KAFKA})
    producer.produce(world.prefix + "snapshots", value, key, partition=lane)
    equal(producer.flush(30), 0, "snapshots not sent")


def check_forged(world):
    """A state that another digest was made for passes as a snapshot until it is held against the log;
    bytes that are not their digest's never do."""
    newest = world.read("snapshots", 0)[-1]
    head = HEAD.unpack(newest[3][:HEAD.size])
    equal(head[5:7], (0, 1), "parts of a small snapshot")
    body = bytearray(newest[3][HEAD.size:])
    version = list(re.finditer(rb"\d+\.\d+\.\d+", body))[-1]  # of a device's system
    body[version.start()] ^= 1
    write(world, 0, newest[2], newest[3][:HEAD.size] + bytes(body))
    broken = ask(world, "device", "list", "--as-of", "2030-01-01T00:00:00Z")
    forged = bytes(body[:-32]) + hashlib.sha256(body[:-32]).digest()
    write(world, 0, newest[2], HEAD.pack(*head[:8], forged[-32:]) + forged)
    equal([row["what"] for row in ask(world, "snapshot", "list", "--lane", "0")][-3:], ["vouched for"] + ["not what the journal vouches for"] * 2, "two that are forged, listed")
    equal(ask(world, "device", "list", "--as-of", "2030-01-01T00:00:00Z"), broken, "the fleet, with a forged snapshot")
    rows = ask(world, "snapshot", "verify", status=1)
    equal([row["what"] for row in rows if row["lane"] == 0][-2:], ["not what the log gives"] * 2, "two that are not")
    equal({row["what"] for row in rows if row["lane"] != 0}, {"verified"}, "snapshots of other lanes")
    return broken


def tell(world, directory, at):
    """The lanes tell their state, and that is the last they do."""
    path = os.path.join(directory, "state.ndjson")
    with open(path, "w", encoding="utf-8") as f:
        f.write(json.dumps(dict(topic="control", record="StateRequest", timestamp=at)) + "\n")
    world.muster("produce", path)
    world.run(*SETTINGS)


def check_asked(world):
    """As it is meant to be used: a processor runs, and answers."""
    processor = subprocess.Popen(world.command("run", settings=SETTINGS), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        created = ask(world, "snapshot", "create", "--timeout", "120")
        refused = ask(world, "snapshot", "create", "--admin", "nobody@example.org", "--timeout", "120", status=1)
    finally:
        processor.send_signal(signal.SIGTERM)
        equal(processor.wait(60), 0, "the processor's exit status")
    equal([(row["lane"], row["what"]) for row in created], [(0, "vouched for"), (1, "vouched for")], "asked for")
    holds("needs an OPERATOR" in refused or refused == [], "refused otherwise: %s", refused)
    told = list(world.sql("SELECT lane, count(*) AS count FROM muster.journal WHERE digests->>'state' IS NOT NULL GROUP BY lane ORDER BY lane"))
    equal([(row["lane"], row["count"]) for row in told], [(0, 3), (1, 3)], "rows that tell a state")
    equal([row["what"] for row in ask(world, "snapshot", "verify", status=1) if row["batch"] == created[row["lane"]]["batch"]], ["verified"] * 2, "asked for, against the whole log")


def control(world, directory, at):
    """A policy, roles, groups, what befalls the tenant, and commands that a lane keeps something of."""
    with open(DEFAULT, encoding="utf-8") as f:
        text = f.read().replace("version: default", "version: strict").replace("at_least, 6]", "at_least, 9]").replace("after: 24h", "after: 3h")
    path = os.path.join(directory, "strict.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    said = {row["key"]: row["value"] for row in ask(world, "policy", "show", path)}
    serials = [device["serial"] for device in ask(world, "device", "list")]
    messages = [
        dict(topic="control", record="RoleChange", user_email="root@example.org", role="ADMIN", change="GRANT"),
        dict(topic="control", record="RoleChange", user_email="second@example.org", role="ADMIN", change="GRANT"),
        dict(topic="control", record="RoleChange", user_email="hand@example.org", role="OPERATOR", change="GRANT"),
        dict(topic="control", record="RoleChange", user_email="hand@example.org", role="OPERATOR", change="REVOKE"),
        dict(topic="control", record="GroupChange", group="pilot", serial=serials[3], change="ADD"),
        dict(topic="control", record="GroupChange", group="late", serial=serials[4], change="ADD"),
        dict(topic="control", record="GroupChange", group="pilot", serial=serials[4], change="ADD"),
        dict(topic="control", record="GroupChange", group="late", serial=serials[4], change="REMOVE"),
        dict(topic="control", record="GroupChange", group="pilot", user_email="second@example.org", change="ADD"),
        dict(topic="control", record="TenantEvent", kind="UPSTREAM_OUTAGE", change="BEGIN"),
        dict(topic="control", record="Policy", version="strict", hash=said["sha256"], text=text),
        dict(topic="commands", serial=serials[5], command="WIPE", wipe_reason="LOST", confirm=serials[5], actor_email="root@example.org"),
        dict(topic="commands", serial=serials[6], command="WIPE", wipe_reason="STOLEN", confirm=serials[6], actor_email="hand@example.org"),
        dict(topic="commands", serial=serials[7], command="RETIRE", actor_email="root@example.org"),
    ]
    lines = os.path.join(directory, "control.ndjson")
    with open(lines, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(dict(message, timestamp=at + i)) + "\n" for i, message in enumerate(messages))
    world.muster("produce", lines)


def test(directory):
    world = _fleet.World(directory, "snapshot", lanes=2)
    world.load("--devices", 160, "--rounds", 4, "--seed", 31, "--odd", 0.3, "--damage", 0.02)
    world.run(*SETTINGS)
    times = [START - 1, START + HOUR // 2, START + 9 * HOUR, START + 17 * HOUR, START + 26 * HOUR, START + 400 * HOUR]
    devices = ["D001", "D002", "D037", "D090", "D155"]
    equal(ask(world, "snapshot", "list"), [], "snapshots before the first")
    tell(world, directory, START + 38 * HOUR)
    before = fleet_at(world, times, devices)
    created = ask(world, "snapshot", "create", "--no-ask")
    equal([row["what"] for row in created], ["vouched for"] * 2, "snapshots of batches that tell a state")
    listed = ask(world, "snapshot", "list")
    equal([(row["lane"], row["batch"], row["parts"], row["sha256"]) for row in created], [(row["lane"], row["batch"], row["parts"], row["sha256"]) for row in listed], "what was made and what is there")
    equal(fleet_at(world, times, devices), before, "the fleet, with a snapshot at the end")
    equal(ask(world, "snapshot", "create", "--no-ask"), [], "a snapshot of nothing new")
    # The log goes on; a second snapshot goes on from the first.
    control(world, directory, START + 39 * HOUR)
    world.load("--devices", 190, "--rounds", 3, "--seed", 31, "--odd", 0.3, "--start", START + 40 * HOUR)
    world.run(*SETTINGS)
    # What follows is decided by what was said.
    world.load("--devices", 190, "--rounds", 1, "--seed", 32, "--start", START + 70 * HOUR)
    world.run(*SETTINGS)
    times += [START + 39 * HOUR + 10, START + 41 * HOUR, START + 60 * HOUR]
    said = ask(world, "device", "list", "--as-of", str(START + 300 * HOUR))
    holds("RETIRED" in {device["status"] for device in said}, "nobody was retired")
    wiped = ask(world, "replay", "explain", said[5]["device_id"])
    holds("wipe" in json.dumps(wiped).lower(), "%s was not wiped", said[5]["device_id"])
    equal({world.sql("SELECT policy FROM muster.devices WHERE device_id = 'D001'").__next__()["policy"]}, {"strict"}, "the policy in force")
    equal([row["what"] for row in ask(world, "snapshot", "create", "--no-ask")], ["created"] * 2, "snapshots that nothing vouches for")
    tell(world, directory, START + 90 * HOUR)
    now = fleet_at(world, times, devices)
    ask(world, "snapshot", "create", "--no-ask")
    equal([row["what"] for row in ask(world, "snapshot", "list")], ["vouched for", "not vouched for", "vouched for"] * 2, "the snapshots")
    equal(fleet_at(world, times, devices), now, "the fleet, with three snapshots")
    world.muster("replay", "verify")
    world.muster("replay", "verify", "--database")
    equal(now[5][0], ask(world, "device", "list"), "the fleet at its log's end")
    rows = ask(world, "snapshot", "verify")
    equal([(row["lane"], row["what"]) for row in rows], [(0, "verified")] * 3 + [(1, "verified")] * 3, "snapshots against the whole log")
    print("snapshots: %s" % [(row["lane"], row["batch"], row["bytes"], row["parts"]) for row in rows])
    equal(check_forged(world), now[5][0], "the fleet, with a snapshot whose bytes are not its digest's")
    check_asked(world)
    equal(world.muster("snapshot", "list", "--lane", "7", ok=None), 2, "a lane that is not there: exit status")


_fleet.main(test)
