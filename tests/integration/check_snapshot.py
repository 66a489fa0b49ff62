"""Snapshots of lanes: what is shown as of a time is the same with and without them, a snapshot made
from another is the one that the whole log gives, and one that is not is found."""
import json
import hashlib
import struct
import subprocess

from confluent_kafka import Producer

import _fleet
from _fleet import KAFKA, equal, holds

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
    body[-200] ^= 1
    write(world, 0, newest[2], newest[3][:HEAD.size] + bytes(body))
    broken = ask(world, "device", "list", "--as-of", "2030-01-01T00:00:00Z")
    forged = bytes(body[:-32]) + hashlib.sha256(body[:-32]).digest()
    write(world, 0, newest[2], HEAD.pack(*head[:8], forged[-32:]) + forged)
    rows = ask(world, "snapshot", "verify", status=1)
    equal([row["what"] for row in rows if row["lane"] == 0][-2:], ["not what the log gives"] * 2, "two that are not")
    equal({row["what"] for row in rows if row["lane"] != 0}, {"verified"}, "snapshots of other lanes")
    return broken


def test(directory):
    world = _fleet.World(directory, "snapshot", lanes=2)
    world.load("--devices", 160, "--rounds", 4, "--seed", 31, "--odd", 0.3, "--damage", 0.02)
    world.run(*SETTINGS)
    times = [START - 1, START + HOUR // 2, START + 9 * HOUR, START + 17 * HOUR, START + 26 * HOUR, START + 400 * HOUR]
    devices = ["D001", "D002", "D037", "D090", "D155"]
    equal(ask(world, "snapshot", "list"), [], "snapshots before the first")
    before = fleet_at(world, times, devices)
    created = ask(world, "snapshot", "create")
    listed = ask(world, "snapshot", "list")
    equal([(row["lane"], row["batch"], row["sha256"]) for row in created], [(row["lane"], row["batch"], row["sha256"]) for row in listed], "what was made and what is there")
    equal(fleet_at(world, times, devices), before, "the fleet, with a snapshot at the end")
    equal(ask(world, "snapshot", "create"), [], "a snapshot of nothing new")
    # The log goes on; a second snapshot goes on from the first.
    world.load("--devices", 190, "--rounds", 3, "--seed", 31, "--odd", 0.3, "--start", START + 40 * HOUR)
    world.run(*SETTINGS)
    times += [START + 41 * HOUR, START + 60 * HOUR]
    now = fleet_at(world, times, devices)
    ask(world, "snapshot", "create")
    equal(fleet_at(world, times, devices), now, "the fleet, with two snapshots")
    equal(now[5][0], ask(world, "device", "list"), "the fleet at its log's end")
    rows = ask(world, "snapshot", "verify")
    equal([(row["lane"], row["what"]) for row in rows], [(0, "verified"), (0, "verified"), (1, "verified"), (1, "verified")], "snapshots against the whole log")
    print("snapshots: %s" % [(row["lane"], row["batch"], row["bytes"], row["parts"]) for row in rows])
    equal(check_forged(world), now[5][0], "the fleet, with a snapshot whose bytes are not its digest's")
    equal(world.muster("snapshot", "list", "--lane", "7", ok=None), 2, "a lane that is not there: exit status")


_fleet.main(test)
