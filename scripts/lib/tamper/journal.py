"""Damages on the journal's topic: of a row's fields, with its chain and without; of rows; of the
environment."""
import datetime
import hashlib
import json

import _world
from _fleet import holds
from expect import Expected
from story import JOURNAL, read_journal
from topics import flip, replaced

MS = datetime.timedelta(milliseconds=1)


def chain_anew(log, prefix, change, number):
    """Changes the row of a batch; its chain, and all that follow, hold again."""
    chain = bytes(32)
    for i, message in enumerate(log):
        record = read_journal(message[2])
        if record["kind"] == "BATCH":
            if record["batch"] == number:
                change(record)
            chain = _world.chain_of(record, chain, prefix)
            record["digests"]["chain"] = chain.hex()
        log[i] = replaced(message, value=JOURNAL.encode(record))


def change_row(log, change, number, kind="BATCH"):
    for i, message in enumerate(log):
        record = read_journal(message[2])
        if record["kind"] == kind and record["batch"] == number:
            change(record)
            log[i] = replaced(message, value=JOURNAL.encode(record))
            return
    raise AssertionError("no %s of batch %d" % (kind, number))


def add(*path, by=1):
    def change(record):
        for name in path[:-1]:
            record = record[name]
        record[path[-1]] += by
    return change


def other_digest(*path):
    def change(record):
        for name in path[:-1]:
            record = record[name]
        record[path[-1]] = flip(bytes.fromhex(record[path[-1]])).hex()
    return change


def shorter_range(record):
    next(r for r in record["ranges"] if r["to"] > r["from"])["to"] -= 1


def longer_range(record):
    next(r for r in record["ranges"] if r["to"] > r["from"])["to"] += 1


# What is changed, how, and the field that must be named; None: what follows from it is named instead.
FIELDS = (
    ("the clock before it", add("clock_before", by=MS), "clock_before"),
    ("the clock after it", add("clock_after", by=MS), "clock_after"),
    ("the first number", add("first_seq"), None),
    ("the last number", add("last_seq"), None),
    ("a range, shorter", shorter_range, None),
    ("a range, longer", longer_range, None),
    ("the environment's digest", other_digest("environment"), None),
    ("the count of messages", add("counts", "messages"), "counts.messages"),
    ("the count of timers", add("counts", "timers"), "counts.timers"),
    ("the count of devices", add("counts", "devices"), "counts.devices"),
    ("the count of dead letters", add("counts", "dead_letters"), "counts.dead_letters"),
    ("the digest of inputs", other_digest("digests", "inputs"), "digests.inputs"),
    ("the digest of results", other_digest("digests", "results"), "digests.results"),
    ("the digest of a last message", lambda r: other_digest("digest")(r["digests"]["last_messages"][-1]), "digests.last_messages"),
)
ROW = ("journal row changed",)
# What may be named of a row whose ranges, numbers or environment are others, since it is decided by them.
FOLLOWS = ROW + ("inputs missing", "result missing", "result changed", "tail cut", "results swapped", "result surplus", "environment changed")


class Journal:
    def __init__(self, story, table, lane):
        self.story, self.table, self.lane = story, table, lane
        self.log, self.rows = story.contents("journal")[lane], story.rows[lane]
        self.number = self.rows[len(self.rows) // 2]["batch"]

    def try_(self, damage, expected, change, *options):
        if self.table.wants("topic journal", damage):
            self.story.damage("journal", self.lane, change)
            self.table.check(self.story, damage, "topic journal", expected, *options)

    def expected(self, what, number=None, **more):
        return Expected(what, self.lane, batch=number or self.number, **more)

    def index(self, number):
        return next(i for i, m in enumerate(self.log) if (lambda r: r["kind"] == "BATCH" and r["batch"] == number)(read_journal(m[2])))

    def fields(self):
        for name, change, field in FIELDS:
            self.try_(name + " changed", self.expected(ROW if field else FOLLOWS, field=field), lambda log, c=change: change_row(log, c, self.number))
            self.try_(name + " changed, chained anew", self.expected(ROW if field else FOLLOWS, field=field),
                      lambda log, c=change: chain_anew(log, self.story.prefix, c, self.number))
        self.try_("the chain changed", self.expected(ROW, field="digests.chain"), lambda log: change_row(log, other_digest("digests", "chain"), self.number))
        self.try_("the epoch lowered", self.expected(ROW), lambda log: change_row(log, add("epoch", by=-1), self.number))
        told = next(row["batch"] for row in self.rows if row["digests"]["state"] is not None)
        for suffix, how in (("", lambda log, c: change_row(log, c, told)), (", chained anew", lambda log, c: chain_anew(log, self.story.prefix, c, told))):
            self.try_("the state's digest changed" + suffix, self.expected(ROW, told, field="digests.state"), lambda log, h=how: h(log, other_digest("digests", "state")))
            self.try_("the state's digest taken away" + suffix, self.expected(ROW, told, field="digests.state"),
                      lambda log, h=how: h(log, lambda r: r["digests"].__setitem__("state", None)))
        self.try_("a state's digest where none was asked for, chained anew", self.expected(ROW, field="digests.state"),
                  lambda log: chain_anew(log, self.story.prefix, lambda r: r["digests"].__setitem__("state", "ab" * 32), self.number))

    def beside_the_chain(self):
        """Who committed a row and when."""
        self.try_("the owner changed", self.expected(ROW), lambda log: change_row(log, other_digest("owner"), self.number))
        self.try_("the time of the commit changed", self.expected("row changed", at="PostgreSQL, muster.journal"),
                  lambda log: change_row(log, add("committed_at", by=MS), self.number), "--database")

    def records(self):
        at = self.index(self.number)

        def edit(damage, what, **different):
            self.try_(damage, self.expected(what), lambda log: log.__setitem__(at, replaced(log[at], **{n: new(log[at]) for n, new in different.items()})))
        edit("a byte of the value changed", ROW + ("journal record unreadable",), value=lambda m: flip(m[2], len(m[2]) // 2))
        edit("a value that is none", ("journal record unreadable",), value=lambda m: b"no row")
        edit("the key changed", ROW, key=lambda m: b"9")
        edit("a header added", ROW, headers=lambda m: [("x", b"y")])
        edit("the record's time changed by 1 ms", ROW, at=lambda m: m[0] + 1)
        self.try_("a row dropped", self.expected("journal row missing"), lambda log: log.pop(at))
        self.try_("a row doubled", self.expected("journal row doubled"), lambda log: log.insert(at, log[at]))

        def swap(log, other):
            log[at], log[other] = log[other], log[at]
        self.try_("two rows swapped", self.expected("journal rows swapped"), lambda log: swap(log, at + 1))
        self.try_("two rows swapped, three apart", self.expected("journal row missing"), lambda log: swap(log, at + 3))
        self.try_("the tail cut", self.expected("journal cut", self.rows[-2]["batch"]), lambda log: log.pop())
        self.try_("the last row doubled", self.expected("journal row doubled", self.rows[-1]["batch"]), lambda log: log.append(log[-1]))
        other = self.story.contents("journal")[(self.lane + 1) % self.story.lanes]
        self.try_("another lane's row in its place", self.expected("journal row misplaced"), lambda log: log.__setitem__(at, other[at]))

    def environments(self):
        where = next(i for i, m in enumerate(self.log) if read_journal(m[2])["kind"] == "ENVIRONMENT")
        begun = read_journal(self.log[where][2])
        content = json.loads(begun["content"])

        def environment(rechain, **different):
            text = json.dumps(dict(content, **different), separators=(",", ":"), sort_keys=True)
            digest = hashlib.sha256(text.encode()).hexdigest()

            def change(log):
                chain = bytes(32)
                for i, message in enumerate(log):
                    record = read_journal(message[2])
                    if record["kind"] == "ENVIRONMENT":
                        record["content"] = text
                    if rechain and record["environment"] == begun["environment"]:
                        record["environment"] = digest
                    if rechain and record["kind"] == "BATCH":
                        chain = _world.chain_of(record, chain, self.story.prefix)
                        record["digests"]["chain"] = chain.hex()
                    log[i] = replaced(message, value=JOURNAL.encode(record))
            return change
        first = begun["batch"]
        self.try_("another policy in the environment", self.expected("environment changed", first), environment(False, policy="extended"))
        self.try_("another policy in the environment, chained anew",
                  Expected(None, self.lane, batch=first, verdict="unverifiable", reason="policy"), environment(True, policy="extended"))
        self.try_("the environment dropped", self.expected(ROW + ("inputs missing",), first), lambda log: log.pop(where))
        self.try_("the environment doubled", self.expected("journal record unreadable", first), lambda log: log.insert(where, log[where]))
        at = self.index(self.number)
        again = replaced(self.log[where], value=JOURNAL.encode(dict(begun, batch=self.number)))
        self.try_("the environment again, before a later batch", self.expected(("journal row surplus", "journal row changed")), lambda log: log.insert(at, again))


def damage_journal(story, table, lane=1):
    journal = Journal(story, table, lane)
    holds(len(journal.rows) > 8, "%d batches in lane %d: too few to damage", len(journal.rows), lane)
    story.restore("journal")
    table.clean(story, "topic journal")
    journal.fields()
    journal.records()
    journal.environments()
    journal.beside_the_chain()
    story.restore("journal")
