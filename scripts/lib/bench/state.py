"""A fleet that is made and not sent: a few devices by muster itself, so that every lane has a
batch, and the others as rows behind them (tests/bench/make_fleet.c).

Device i of the fleet has the serial SN%08d, in its lane the place that the serials before it
leave, and is compliant unless every `noncompliant_every` divides i."""
import json
import os
import sys
import time

import psycopg

import common

LOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "load.py")
HOUR = 3600 * 1000
TABLES = "('muster.device_row'::regclass, 'muster.device_block'::regclass, 'muster.person'::regclass)"
# An index goes by its constraint when it has one.
INDEXES = """
SELECT format(CASE WHEN c.oid IS NULL THEN 'DROP INDEX %s' ELSE 'ALTER TABLE %2$s DROP CONSTRAINT %3$I' END,
              i.indexrelid::regclass, i.indrelid::regclass, c.conname),
       CASE WHEN c.oid IS NULL THEN pg_get_indexdef(i.indexrelid)
            ELSE format('ALTER TABLE %s ADD CONSTRAINT %I %s', i.indrelid::regclass, c.conname, pg_get_constraintdef(c.oid)) END
FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid WHERE i.indrelid IN """ + TABLES
# The row that a lane was last written with counts its devices; loading holds it against them.
COUNT = """
ALTER TABLE muster.journal_row DISABLE TRIGGER append_only;
UPDATE muster.journal_row j SET device_count = d.count
FROM muster.lane l JOIN (SELECT lane, count(*) FROM muster.device_row GROUP BY lane) d USING (lane)
WHERE j.lane = l.lane AND j.batch = l.checkpoint_batch;
ALTER TABLE muster.journal_row ENABLE TRIGGER append_only;
"""


def send(prefix, devices, rounds, *more):
    """A fleet's log, by scripts/lib/load.py: a process of its own, since it forks and there are
    clients here. What it prints."""
    return json.loads(common.run_quietly(sys.executable, LOAD, common.KAFKA, "--prefix", prefix, "--devices", devices,
                                         "--rounds", rounds, *more))


class Fleet:
    """What is there: devices `first` to `count`-1 were made as of `at_ms`; by `clock_ms` every
    lane has seen its last message. Timers are due eight hours from now at the earliest."""

    def __init__(self, place, count, noncompliant_every=10):
        self.count, self.noncompliant_every = count, noncompliant_every
        self.first = 16 * place.partitions
        self.at_ms = int(time.time() * 1000) - 4 * HOUR
        self.clock_ms = self.at_ms + 90 * 60 * 1000
        self._send_first(place)
        self._make_rows(place)

    def _send_first(self, place):
        send(place.prefix, self.first, 1, "--start", self.at_ms)
        common.run_quietly(*place.command("run", "--until-caught-up"))
        if place.query("SELECT count(*) FROM muster.lane WHERE checkpoint_batch > 0") != [place.partitions]:
            raise common.Failed("a lane of %s has no batch: more than %d devices are needed" % (place.name, self.first))

    def _make_rows(self, place):
        with psycopg.connect(place.dsn, autocommit=True) as connection:
            connection.execute("SET maintenance_work_mem = '1GB'")
            indexes = connection.execute(INDEXES).fetchall()
            for drop, _ in indexes:
                connection.execute(drop)
            connection.execute("DELETE FROM muster.device_block")  # made anew, those of the first devices, too
            common.run_quietly(common.BIN + "/make_fleet", place.dsn, self.first, self.count, place.partitions, self.at_ms,
                               self.noncompliant_every)
            for _, create in indexes:
                connection.execute(create)
            connection.execute(COUNT)
            connection.execute("VACUUM ANALYZE muster.device_row, muster.device_block, muster.person")
            connection.execute("CHECKPOINT")

    def is_compliant_at_first(self, index):
        return self.noncompliant_every == 0 or index % self.noncompliant_every != 0
