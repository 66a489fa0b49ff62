"""What scripts/tamper does, on the stack that is in its environment."""
import argparse
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [os.path.join(HERE, "..", "..", "..", "tests", "integration"), os.path.join(HERE, "..")]
import database  # noqa: E402
import expect  # noqa: E402
import journal  # noqa: E402
import topics  # noqa: E402
from _fleet import Failed  # noqa: E402
from story import Story  # noqa: E402

PARTS = ("results", "inputs", "devices", "journal", "database")


def damage(story, table, parts):
    if "results" in parts:
        topics.damage_results(story, table)
    if "inputs" in parts:
        topics.damage_inputs(story, table)
    if "devices" in parts:
        topics.damage_devices(story, table)
    if "journal" in parts:
        journal.damage_journal(story, table)
    if "database" in parts:
        database.damage_database(story, table)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", action="append", metavar="TEXT")
    parser.add_argument("parts", nargs="*", metavar="PART")
    options = parser.parse_args()
    parts = options.parts or PARTS
    with tempfile.TemporaryDirectory(prefix="muster-tamper.") as directory:
        try:
            story = Story(directory, "tamper")
            summary = story.make(options.devices, options.rounds)
            print("%d messages, %d results, %d dead letters, %d batches in %d lanes" % (
                summary["messages"], summary["results"], summary["dead_letters"], sum(map(len, story.rows.values())), story.lanes))
            table = expect.Table(options.only)
            table.clean(story, "all of it", "--database")
            damage(story, table, parts)
            table.end()
            print("%d rows, each as it must be" % len(table.rows))
        except Failed as failure:
            print("tamper: %s" % failure, file=sys.stderr)
            sys.exit(1)


if __name__ == "__main__":
    main()
