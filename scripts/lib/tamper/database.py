"""Damages in PostgreSQL, each on a copy of its own: every column of every table that holds what was
decided, then rows. They are made past the triggers that refuse them, as who has the disk can."""
import psycopg

from _fleet import equal, holds
from expect import Expected

# What makes another value of a type.
OTHER = {
    "bigint": "{0} + 1", "integer": "{0} # 1", "smallint": "{0} # 1", "timestamp with time zone": "{0} + interval '1 ms'",
    "text": "{0} || 'x'", "bytea": "set_byte({0}, length({0}) - 1, get_byte({0}, length({0}) - 1) # 1)", "boolean": "NOT {0}",
    "uuid": "overlay({0}::text placing CASE right({0}::text, 1) WHEN '0' THEN '1' ELSE '0' END from 36)::uuid", "ARRAY": "{0} || {0}[1:1]",
}
RESULTS, JOURNAL, DEVICES = "PostgreSQL, muster.results", "PostgreSQL, muster.journal", "PostgreSQL, muster.devices"
# A row's key, by which it is found; changed in cases of their own.
KEYS = {"result_row": ("lane", "seq"), "journal_row": ("lane", "batch"), "device_row": ("lane", "number"), "device_block": ("lane", "block"),
        "control_row": ("lane", "control_offset"), "environment": ("lane", "batch"), "policy": ("version",)}
# What the last change of a device was called and came with, which decides nothing: see the documents.
BESIDE = {"device_row": ("changed_batch", "traceparent"), "journal_row": ("epoch", "owner")}


class Database:
    def __init__(self, story, table, lane):
        self.story, self.table, self.lane = story, table, lane
        self.place = "lane = %d" % lane

    def ask(self, query):
        """The original's rows; no session stays, or it could not be copied."""
        with psycopg.connect(self.story.dsn, autocommit=True) as connection:
            return connection.execute(query).fetchall()

    def try_(self, damage, where, statement, expected, rows=None):
        where = "PostgreSQL, %s" % where
        if not self.table.wants(where, damage):
            return
        dsn = self.story.copy_database()
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("SET session_replication_role = replica")
                for part in statement if isinstance(statement, tuple) else (statement,):
                    changed = connection.execute(part).rowcount
                    holds(changed > 0 and (rows is None or changed == rows), "%s: %d rows changed by %s", damage, changed, part)
            if expected is None:
                self.table.passes(self.story, damage, where, "--database", dsn=dsn, lane=self.lane)
            else:
                self.table.check(self.story, damage, where, expected, "--database", dsn=dsn)
        finally:
            self.story.drop_database(dsn)

    def columns(self, table):
        """(name, expression for another value)"""
        rows = self.ask("SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'muster'"
                        " AND table_name = '%s' ORDER BY ordinal_position" % table)
        return [(name, OTHER[kind].format(name)) for name, kind in rows if name not in KEYS[table]]

    def middle(self, table, condition):
        """The key of a row in the middle of those that are so; None when there is none."""
        key = KEYS[table][-1]
        rows = self.ask("SELECT %s FROM muster.%s WHERE %s AND %s ORDER BY %s" % (key, table, self.place, condition, key))
        return rows[len(rows) // 2][0] if rows else None

    # ---- Results ----

    def of_seq(self, what, seq, **more):
        return Expected(what, self.lane, batch=self.story.batch_of_seq(self.lane, seq), seq=seq, at=(RESULTS, "PostgreSQL, muster.result_row"), **more)

    def update(self, damage, table, key, change, expected):
        self.try_(damage, table, "UPDATE muster.%s SET %s WHERE %s AND %s = %s" % (table, change, self.place, KEYS[table][-1], key), expected, 1)

    def result_columns(self):
        for column, other in self.columns("result_row"):
            for kinds, of in (("kind <> 7", ""), ("kind = 7", " of a dead letter")):
                seq = self.middle("result_row", "%s IS NOT NULL AND %s" % (column, kinds))
                if seq is not None:
                    damage = {"at": "its clock, by 1 ms", "policy": "another policy"}.get(column, "%s changed" % column)
                    self.update(damage + of, "result_row", seq, "%s = %s" % (column, other), self.of_seq("row changed", seq))

    def result_rows(self):
        last = self.story.rows[self.lane][-1]["last_seq"]
        seq = self.middle("result_row", "kind <> 7")
        holds(self.story.batch_of_seq(self.lane, seq) == self.story.batch_of_seq(self.lane, seq + 1), "two results of one batch are wanted")
        where = "FROM muster.result_row WHERE " + self.place + " AND seq = %d"
        columns = ", ".join(["lane", "seq"] + [c for c, _ in self.columns("result_row")])
        again = "INSERT INTO muster.result_row (" + columns + ") SELECT " + columns.replace("seq", "{0}", 1) + " " + where
        table = "result_row"
        self.try_("a row dropped", table, "DELETE " + where % seq, self.of_seq("row missing", seq), 1)
        self.try_("a row doubled", table, again.format("seq") % seq, self.of_seq("row doubled", seq), 1)
        swap = "UPDATE muster.result_row SET seq = CASE seq WHEN %d THEN %d ELSE %d END WHERE %s AND seq IN (%d, %d)"
        self.try_("two rows swapped", table, swap % (seq, seq + 1, seq, self.place, seq, seq + 1), self.of_seq("row changed", seq), 2)
        self.try_("the tail cut", table, "DELETE " + where % last, self.of_seq("row missing", last), 1)
        self.try_("the last row doubled", table, again.format("seq") % last, self.of_seq("row doubled", last), 1)
        surplus = Expected("row surplus", self.lane, at=(RESULTS, "PostgreSQL, muster.result_row"))
        self.try_("a row behind the last", table, again.format(last + 1) % seq, surplus, 1)
        self.try_("a row before the first", table, again.format(0) % seq, surplus, 1)
        elsewhere = Expected("row surplus", 0, at="PostgreSQL, muster.result_row")
        self.try_("a row of a lane that is not there", table, again.replace("SELECT lane", "SELECT %d" % (self.story.lanes + 7)).format("seq") % seq, elsewhere, 1)

    # ---- The journal ----

    def journal(self):
        rows = self.story.rows[self.lane]
        number, last, table = rows[len(rows) // 2]["batch"], rows[-1]["batch"], "journal_row"

        def expected(what, batch):
            return Expected(what, self.lane, batch=batch, at=JOURNAL)
        for column, other in self.columns(table):
            of = self.middle(table, column + " IS NOT NULL" + (" AND cardinality(not_believed_topic) > 0" if column.startswith("not_believed") else "") +
                             (" AND timer_kind IS NOT NULL" if column.startswith("timer") and column != "timer_count" else ""))
            if of is not None:
                other = {"clock_before": "clock_before + interval '1 ms'", "not_believed_offset": "ARRAY[not_believed_offset[1] + 1] || not_believed_offset[2:]",
                         "not_believed_topic": "ARRAY[(not_believed_topic[1] # 1)::smallint] || not_believed_topic[2:]"}.get(column, other)
                if column in ("range_from", "range_to"):
                    other = "ARRAY[%s[1] + 1] || %s[2:]" % (column, column)
                damage = {"clock_before": "the clock before it, by 1 ms", "clock_after": "the clock after it, by 1 ms"}.get(column, "%s changed" % column)
                self.update(damage, table, of, "%s = %s" % (column, other), None if column in BESIDE[table] else expected("row changed", of))
        self.update("a sweep's cursor put in", table, number, "sweep_device = 1", expected("row changed", number))
        where = " WHERE " + self.place + " AND batch = %d"
        self.try_("a row dropped", table, "DELETE FROM muster.journal_row" + where % number, expected(("row missing", "row changed"), number), 1)
        self.try_("two rows swapped", table, tuple("UPDATE muster.journal_row SET batch = %d" % to + where % of
                                                   for of, to in ((number, 10 ** 9), (number + 1, number), (10 ** 9, number + 1))), expected("row changed", number))
        self.try_("the tail cut", table, "DELETE FROM muster.journal_row" + where % last, expected("row missing", last), 1)
        columns = ", ".join(c for c, _ in self.columns(table))
        again = "INSERT INTO muster.journal_row (lane, batch, " + columns + ") SELECT {0}, {1}, " + columns + " FROM muster.journal_row" + where % number
        self.try_("a row behind the last", table, again.format("lane", last + 1), Expected("row surplus", self.lane, at=JOURNAL), 1)
        self.try_("a row before the first", table, again.format("lane", 0), Expected("row surplus", self.lane, at=JOURNAL), 1)
        self.try_("a row of a lane that is not there", table, again.format(self.story.lanes + 7, "batch"),
                  Expected("row surplus", 0, at="PostgreSQL, muster.journal_row"), 1)
        # The same rows where PostgreSQL is what the journal is read from.
        first = rows[0]["batch"]
        environment, changed = "environment", expected("row changed", first)
        swapped = """UPDATE muster.environment SET content = replace(content, '"policy":"default"', '"policy":"extended"') WHERE """ + self.place
        self.try_("another policy in its content", environment, swapped, changed, 1)
        self.try_("the digest changed", environment, "UPDATE muster.environment SET digest = set_byte(digest, 0, get_byte(digest, 0) # 1) WHERE " + self.place,
                  Expected("row changed", self.lane, at="PostgreSQL, muster.environment"), 1)
        self.try_("the row dropped", environment, "DELETE FROM muster.environment WHERE " + self.place, changed, 1)
        self.try_("again, before a later batch", environment, "INSERT INTO muster.environment SELECT lane, %d, digest, content FROM muster.environment WHERE %s"
                  % (number, self.place), expected("row changed", number), 1)

    # ---- Devices ----

    def devices(self):
        table, lanes = "device_row", self.story.lanes

        def expected(what, number, at=(DEVICES, "PostgreSQL, muster.device_row")):
            return Expected(what, self.lane, device="D%03d" % number, at=at)
        for column, other in self.columns(table):
            number = self.middle(table, column + " IS NOT NULL" + (" AND length(%s) > 0" % column if column in ("enrollment_ids", "traceparent", "wipe") else ""))
            if number is not None:
                damage = {"policy": "another policy", "at": "its clock, by 1 ms"}.get(column, "%s changed" % column)
                if column == "violations":
                    other = "violations # 2"
                self.update(damage, table, number, "%s = %s" % (column, other), None if column in BESIDE[table] else expected("row changed", number))
        number = self.middle(table, "true")
        last = self.ask("SELECT max(number) FROM muster.device_row WHERE " + self.place)[0][0]
        where = " WHERE " + self.place + " AND number = %d"
        self.try_("a row dropped", table, "DELETE FROM muster.device_row" + where % number, expected("row missing", number), 1)
        self.try_("two rows swapped", table, tuple("UPDATE muster.device_row SET number = %d" % to + where % of for of, to in
                                                   ((number, 10 ** 12), (number + lanes, number), (10 ** 12, number + lanes))), expected("row changed", number))
        self.try_("the tail cut", table, "DELETE FROM muster.device_row" + where % last, expected("row missing", last), 1)
        columns = ", ".join(c for c, _ in self.columns(table))
        again = "INSERT INTO muster.device_row (lane, number, " + columns + ") SELECT {0}, {1}, " + columns + " FROM muster.device_row" + where % number
        self.try_("a device too many", table, again.format("lane", last + lanes), Expected("row surplus", self.lane, at=(DEVICES, "PostgreSQL, muster.device_row")), 1)
        self.try_("a device of a lane that is not there", table, again.format(lanes + 7, "number"), Expected("row surplus", 0, at="PostgreSQL, muster.device_row"), 1)

    def blocks(self):
        """What of devices stands in blocks; the views show some of it, by device."""
        table, at = "device_block", (DEVICES, "PostgreSQL, muster.device_block")
        for column, _ in self.columns(table):
            for damage, place in (("of the first device", "1"), ("of the last one", "cardinality({0})")):
                block = self.middle(table, column + " IS NOT NULL AND %s[%s] %s" % (column, place.format(column), "> 0" if column == "next_timer" else "> '-infinity'"))
                if block is not None:
                    change = "{0}[%s] = {0}[%s] %s" % (place, place, "# 1" if column == "next_timer" else "+ interval '1 ms'")
                    self.update("%s changed %s" % (column, damage), table, block, change.format(column), Expected("row changed", self.lane, at=at))
        last = self.ask("SELECT max(block) FROM muster.device_block WHERE " + self.place)[0][0]
        columns = ", ".join(c for c, _ in self.columns(table))
        where = " WHERE " + self.place + " AND block = %d"
        again = "INSERT INTO muster.device_block (lane, block, " + columns + ") SELECT {0}, {1}, " + columns + " FROM muster.device_block" + where % last
        own = "PostgreSQL, muster.device_block"
        self.try_("a row dropped", table, "DELETE FROM muster.device_block" + where % 0, Expected(("row missing", "row changed"), self.lane, at=at), 1)
        self.try_("two rows swapped", table, tuple("UPDATE muster.device_block SET block = %d" % to + where % of
                                                   for of, to in ((0, 10 ** 6), (1, 0), (10 ** 6, 1))), Expected("row changed", self.lane, at=at))
        self.try_("a row behind the last", table, again.format("lane", last + 1), Expected("row surplus", self.lane, at=own), 1)
        self.try_("a row of a lane that is not there", table, again.format(self.story.lanes + 7, 0), Expected("row surplus", 0, at=own), 1)

    # ---- What belongs to all lanes ----

    def shared(self):
        everywhere = set(range(self.story.lanes))

        def expected(what, at, lane=0):
            return Expected(what, lane, at=at, lanes=everywhere)
        at = "PostgreSQL, muster.policy"
        self.try_("another policy's content, under its version", "policy", "UPDATE muster.policy SET content = (SELECT content FROM muster.policy WHERE version = 'mild')"
                  " WHERE version = 'strict'", expected("row changed", at), 1)
        self.try_("a byte of its content changed", "policy", "UPDATE muster.policy SET content = replace(content, 'at_least, 9', 'at_least, 4') WHERE version = 'strict'", expected("row changed", at), 1)
        self.try_("its hash changed", "policy", "UPDATE muster.policy SET hash = set_byte(hash, 0, get_byte(hash, 0) # 1) WHERE version = 'strict'", expected("row changed", at), 1)
        self.try_("the names of its rules swapped", "policy", "UPDATE muster.policy SET rule_ids = ARRAY[rule_ids[2], rule_ids[1]] || rule_ids[3:] WHERE version = 'strict'",
                  expected("row changed", at), 1)
        self.try_("two versions swapped", "policy", tuple("UPDATE muster.policy SET version = '%s' WHERE version = '%s'" % (to, of)
                                                          for of, to in (("strict", "x"), ("mild", "strict"), ("x", "mild"))), expected("row changed", at))
        self.try_("a row dropped", "policy", "DELETE FROM muster.policy WHERE version = 'strict'", expected("row missing", at), 1)
        self.try_("one that never came into force", "policy", "INSERT INTO muster.policy SELECT 'other', rule_ids, hash, content FROM muster.policy WHERE version = 'strict'",
                  expected("row surplus", at), 1)
        self.try_("names of a set of rules changed", "rule_set", "UPDATE muster.rule_set SET rule_ids = rule_ids[2:] WHERE policy = 'default' AND cardinality(rule_ids) > 0",
                  Expected("row changed", self.lane, lanes=everywhere, at=(RESULTS, DEVICES)))
        ((subject,),) = self.ask("SELECT encode(subject, 'hex') FROM muster.result_row WHERE %s AND kind = 1 ORDER BY seq LIMIT 1" % self.place)
        self.try_("an address changed", "person", "UPDATE muster.person SET user_email = 'x' || user_email WHERE subject = '\\x%s'" % subject,
                  Expected("row changed", self.lane, lanes=everywhere, at=(RESULTS, DEVICES)), 1)
        self.control()

    def control(self):
        table, at = "control_row", "PostgreSQL, muster.control_row"

        def expected(what, offset, at_=at):
            return Expected(what, self.lane, batch=self.story.batch_of_input("control", self.lane, offset), at=at_)
        for column, other in self.columns(table):
            offset = self.middle(table, "%s IS NOT NULL" % column)
            if offset is not None:
                self.update("%s changed" % column, table, offset, "%s = %s" % (column, other),
                            expected("row changed" if column != "batch" else ("row changed", "row missing"), offset))
        offset = self.middle(table, "true")
        where = " WHERE " + self.place + " AND control_offset = %d"
        self.try_("a row dropped", table, "DELETE FROM muster.control_row" + where % offset, expected("row missing", offset), 1)
        offsets = [row[0] for row in self.ask("SELECT control_offset FROM muster.control_row WHERE %s ORDER BY 1" % self.place)][:2]
        equal(len(offsets), 2, "rows of muster.control_row")
        a, b = offsets
        self.try_("two rows swapped", table, tuple("UPDATE muster.control_row SET control_offset = %d" % to + where % of
                                                   for of, to in ((a, 10 ** 9), (b, a), (10 ** 9, b))), expected("row changed", a))

        def again(of_lane, control_offset, batch):
            return ("INSERT INTO muster.control_row SELECT %s, %s, at, event_id, %s, kind, symbol, is_off, name, serial, subject, traceparent FROM muster.control_row"
                    % (control_offset, batch, of_lane)) + where % offset
        self.try_("one that nobody asked for", table, again("lane", "control_offset + 1000000", "batch"), expected("row surplus", offset), 1)
        self.try_("one of a batch without control messages", table, again("lane", "control_offset + 1000000", "1000000"), Expected("row surplus", self.lane, at=at), 1)


def damage_database(story, table, lane=1):
    dsn = story.copy_database()
    table.clean(story, "PostgreSQL", "--database", dsn=dsn)
    story.drop_database(dsn)
    database = Database(story, table, lane)
    database.result_columns()
    database.result_rows()
    database.journal()
    database.devices()
    database.blocks()
    database.shared()
