"""One message in a hundred damaged in every way that is listed: the broker takes them all, and
each is a dead letter, byte for byte and under the right code, or a result. Memory does not grow
with them."""
import json

import _fleet
from _fleet import equal, holds

LISTED = ("flip", "truncate", "partition", "null-key", "unknown-serial", "year-2100")
CODES = ("key_mismatch", "misrouted", "malformed", "unknown_schema", "unknown_device")
# 220,000 dead letters more: whoever keeps 40 bytes of each is found.
RSS_GROWTH_KB_MAX = 8 << 10


def check_accounts(directory, name, lanes, *options):
    """Every message is a dead letter or went into a decision; returns the dead letters by code."""
    world = _fleet.World(directory, name, lanes)
    sent = world.load(*options)
    equal(all(count > 0 for count in sent["damaged"].values()), True, "damage of every kind: %s" % sent["damaged"])
    summary = world.run()
    equal(summary["messages"], sum(sent["messages"].values()), "messages taken")
    counts = _fleet.check_everything(world)
    codes = {label.split()[1]: count for label, count in counts.items() if label.startswith("dead-letters")}
    equal(sum(codes.values()), summary["dead_letters"], "dead letters in the summary")
    print(json.dumps({"damaged": sent["damaged"], "dead_letters": codes, "results": summary["results"]}))
    return codes


def rss_of(directory, name, *options):
    """The highest memory of a run in small batches, so that it does not hold a large part of
    the log; and how many dead letters it led to."""
    world = _fleet.World(directory, name, 2)
    world.load("--devices", 1000, "--rounds", 160, "--seed", 5, *options)
    summary = world.run("batch.messages_max=1000", "batch.bytes_max=256KiB")
    print(json.dumps(summary))
    return summary["rss_kb"], summary["dead_letters"]


def test(directory):
    codes = check_accounts(directory, "damage", 3, "--devices", 2000, "--rounds", 12, "--seed", 3, "--odd", 0.1, "--damage", 0.01,
                           "--damage-kinds", ",".join(LISTED), "--traceparent", 0.2)
    for code in CODES:
        holds(codes.get(code, 0) > 0, "the damage led to no %s: %s", code, codes)
    # All that the generator knows, thickly.
    check_accounts(directory, "wreck", 2, "--devices", 500, "--rounds", 10, "--seed", 4, "--odd", 0.3, "--damage", 0.4, "--traceparent", 0.5)

    # Bits of the rarer fields, too.
    check_accounts(directory, "flips", 2, "--devices", 500, "--rounds", 20, "--seed", 6, "--damage", 0.5, "--damage-kinds", "flip,truncate")

    # Logs of one length, since what is read ahead of a short one is less.
    few, few_letters = rss_of(directory, "few", "--damage", 0.01)
    many, many_letters = rss_of(directory, "many", "--damage", 0.5)
    holds(many_letters > 20 * few_letters, "%d and %d dead letters: too alike to compare", few_letters, many_letters)
    holds(many < few + RSS_GROWTH_KB_MAX, "memory grew from %d to %d KiB with %d to %d dead letters", few, many, few_letters, many_letters)


_fleet.main(test)
