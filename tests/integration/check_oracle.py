"""A moderate fleet, half of it doing what few devices do: every result on every topic, every
row of the views and the journal are what a second, straight-line reading of the contract says."""
import _fleet
from _fleet import holds


def test(directory):
    world = _fleet.World(directory, "oracle", lanes=3)
    world.load("--devices", 2000, "--rounds", 6, "--seed", 11, "--odd", 0.5, "--traceparent", 0.2)
    summary = world.run()
    counts = _fleet.check_everything(world)
    for label, count in sorted(counts.items()):
        print("%6d  %s" % (count, label))
    print(summary)
    _fleet.equal(sum(counts.values()), summary["results"], "results in the summary")
    # A load in which these do not occur would show nothing.
    for label in ("tickets OPEN", "tickets UPDATE", "tickets RESOLVE", "access-decisions ALLOW", "compliance-changes UNKNOWN",
                  "audit FAILED", "audit REFUSED", "dead-letters unknown_device", "dead-letters not_allowed"):
        holds(counts.get(label, 0) > 0, "the load led to no %s", label)
    world.run()
    _fleet.check_everything(world)


_fleet.main(test)
