"""What scripts/tamper does, on the stack that is in its environment."""
import argparse
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [os.path.join(HERE, "..", "..", "..", "tests", "integration"), os.path.join(HERE, "..")]
import bugs  # noqa: E402
import database  # noqa: E402
import expect  # noqa: E402
import journal  # noqa: E402
import limits  # noqa: E402
import sameness  # noqa: E402
import topics  # noqa: E402
from _fleet import Failed  # noqa: E402
from story import Story  # noqa: E402

DAMAGES = {"results": topics.damage_results, "inputs": topics.damage_inputs, "devices": topics.damage_devices,
           "journal": journal.damage_journal, "database": database.damage_database}
PARTS = (*DAMAGES, "limits", "bugs", "bytes")
SMALL_DEVICES = 240  # of the logs that are made again and again


def program_of(text):
    name, _, path = text.partition("=")
    return name, os.path.abspath(path)


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", action="append", metavar="TEXT")
    parser.add_argument("--bug", action="append", default=[], metavar="NAME")
    parser.add_argument("--program", action="append", default=[], type=program_of, metavar="NAME=PATH")
    parser.add_argument("parts", nargs="*", metavar="PART")
    options = parser.parse_args()
    options.devices = options.devices or (100000 if options.full else 2000)
    options.rounds = options.rounds or (10 if options.full else 6)
    options.parts = options.parts or PARTS
    return options


def make_large(directory, options):
    """The log that is damaged and compared: as scripts/bench makes it when it is the full one."""
    story = Story(directory, "tamper", messages_max=20000 if options.full else 300)
    story.copy_fast()
    shares = dict(odd=0.0, damage=0.001, traceparent=0.0) if options.full else {}
    summary = story.make(options.devices, options.rounds, **shares)
    print("%d messages, %d results, %d dead letters, %d batches in %d lanes" % (
        summary["messages"], summary["results"], summary["dead_letters"], sum(map(len, story.rows.values())), story.lanes), flush=True)
    return story


def work(directory, options):
    table = expect.Table(options.only)

    def make_small(story):
        story.make(min(options.devices, SMALL_DEVICES), 6)
    if "bytes" in options.parts or any(part in DAMAGES for part in options.parts):
        story = make_large(directory, options)
        table.clean(story, "all of it", "--database")
        if "bytes" in options.parts:
            sameness.compare(story, table, directory, dict(options.program))
        for part, damage in DAMAGES.items():
            if part in options.parts:
                damage(story, table)
    if "limits" in options.parts:
        limits.show_limits(table, directory, 2, make_small)
    if "bugs" in options.parts:
        bugs.plant_all(table, directory, options.bug, 2, make_small)
    table.end()


def main():
    options = parse()
    with tempfile.TemporaryDirectory(prefix="muster-tamper.") as directory:
        try:
            work(directory, options)
        except Failed as failure:
            print("tamper: %s" % failure, file=sys.stderr)
            sys.exit(1)


if __name__ == "__main__":
    main()
