"""What scripts/tamper shows at length, in short: one damage of each kind on a topic, in the journal and in
PostgreSQL is found where it was done; two bugs planted in decisions are found by their first decision; and
a report has the same bytes in other time zones and locales, and with lanes in parallel."""
import os
import sys

import _fleet

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(HERE, "..", "..", "scripts", "lib", "tamper"))
import bugs  # noqa: E402
import database  # noqa: E402
import expect  # noqa: E402
import journal  # noqa: E402
import sameness  # noqa: E402
import topics  # noqa: E402
from story import Story  # noqa: E402

# What check_replay does not do; the rest is its own.
WANTED = ("topic control: a policy swapped, with its hash", "topic control: two policies swapped",
          "topic journal: the state's digest changed, chained anew", "topic journal: another policy in the environment",
          "topic journal: the owner changed",
          "PostgreSQL, result_row: two rows swapped", "PostgreSQL, result_row: reason changed of a dead letter",
          "PostgreSQL, result_row: a row before the first", "PostgreSQL, journal_row: state changed",
          "PostgreSQL, environment: another policy", "PostgreSQL, policy: a byte", "PostgreSQL, control_row: symbol changed",
          "PostgreSQL, device_row: episode changed", "PostgreSQL, device_row: a device of a lane",
          "PostgreSQL, device_block: antivirus_signatures_at changed", "PostgreSQL, device_block: a row")
BUGS = ("signatures-at-the-limit", "ticket-not-resolved")


def make(story):
    story.make(160, 5, odd=0.5)


def test(directory):
    table = expect.Table(WANTED)
    story = Story(directory, "tamper", lanes=2, messages_max=120)
    make(story)
    table.clean(story, "all of it", "--database")
    topics.damage_inputs(story, table, ("control",))
    journal.damage_journal(story, table)
    database.damage_database(story, table)
    sound = bugs.decided(story)
    for name in BUGS:
        bugs.plant(table, directory, name, story, sound, make)
    table.end()
    outputs = [sameness.outputs(story, os.path.join(directory, "out"), _fleet.MUSTER, jobs, {"TZ": zone, "LC_ALL": locale})
               for jobs, zone, locale in (("1", "UTC", "C"), ("2", "Asia/Kathmandu", "tr_TR.UTF-8"))]
    _fleet.equal(outputs[1], outputs[0], "what is made of the log, elsewhere")


_fleet.main(test)
