"""A moderate fleet, half of it doing what few devices do: every result on every topic, every
row of the views and the journal are what a second, straight-line reading of the contract says."""
import os

import _fleet
from _fleet import equal, holds

# A load in which these do not occur would show nothing.
LABELS = ("tickets OPEN", "tickets UPDATE", "tickets RESOLVE", "access-decisions BLOCK", "access-decisions ALLOW",
          "compliance-changes UNKNOWN", "audit FAILED", "audit REFUSED", "dead-letters unknown_device", "dead-letters not_allowed")


def check(world):
    summary = world.run()
    counts = _fleet.check_everything(world)
    print({**summary, **dict(sorted(counts.items()))})
    equal((summary["messages"], summary["results"]), (sum(world.sent.values()), sum(counts.values())), "the summary")
    return counts


def check_fleet(directory):
    world = _fleet.World(directory, "oracle", lanes=3)
    world.load("--devices", 2000, "--rounds", 6, "--seed", 11, "--odd", 0.5, "--traceparent", 0.2)
    counts = check(world)
    for label in LABELS:
        holds(counts.get(label, 0) > 0, "the load led to no %s", label)
    # Again over the same topics, nothing is left to do.
    equal(world.run()["messages"], 0, "messages taken a second time")
    equal(_fleet.check_everything(world), counts, "results after a second run")


def check_framings(directory):
    """In the middle of the fleet's days, its producers turn to Confluent's framing."""
    schemas = os.path.join(directory, "schemas")
    world = _fleet.World(directory, "framing", lanes=2, settings=["schemas.directory=" + schemas])
    world.confluent_ids = {"Enrollment": 101, "CheckIn": 102, "ComplianceReport": 103}
    os.mkdir(schemas)
    world.load("--devices", 200, "--rounds", 4, "--seed", 12)
    world.load("--devices", 300, "--rounds", 8, "--seed", 13, "--odd", 0.1, "--damage", 0.1, "--confluent", schemas)
    counts = check(world)
    holds(counts.get("dead-letters unknown_schema", 0) > 0, "the load led to no unknown_schema")


def test(directory):
    check_fleet(directory)
    check_framings(directory)


_fleet.main(test)
