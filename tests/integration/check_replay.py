"""A fleet's log is verified clean by `replay verify`; then one thing at a time is made wrong on
the topics, in the journal and in PostgreSQL, and each is found and called what it is."""
import copy
import io
import json
import os
import subprocess
import time

import fastavro
import psycopg
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

import _fleet
import _world
from _fleet import KAFKA, equal, holds, until

LOAD = ("--devices", 240, "--rounds", 6, "--seed", 5, "--odd", 0.3, "--damage", 0.03, "--traceparent", 0.3)
SETTINGS = ("batch.messages_max=300",)
LANE = 1  # the one that is damaged


class Replayed(_fleet.World):
    """A world whose topics can be filled again with something else."""

    def verify(self, *options, key=True, environment=None, settings=(), program=None):
        """Exit status, and the report by lane."""
        command = self.command("replay", "verify", "-o", "json", *options, settings=settings)
        if not key:
            command = [word for word in command if not word.startswith("privacy.subject_key_file")]
            command = [word for i, word in enumerate(command) if not (word == "--set" and command[i + 1:i + 2] in ([], ["--set"]))]
        command[0] = program or command[0]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=dict(os.environ, **(environment or {})))
        holds(done.returncode in (0, 1), "replay verify: exit %d: %s", done.returncode, done.stderr[-500:])
        self.output = done.stdout
        return done.returncode, {lane["lane"]: lane for lane in json.loads(done.stdout)}

    def refill(self, topic, messages):
        """The topic anew with these messages, by lane: (timestamp, key, value, headers)."""
        name = self.prefix + topic
        admin = AdminClient({"bootstrap.servers": KAFKA})
        for future in admin.delete_topics([name]).values():
            future.result()
        until(60, "%s was not made again" % topic, lambda: self.muster("topics", "create", "--partitions", str(self.lanes), ok=None) == 0 and
              all(self.end_offset(name, lane) == 0 for lane in range(self.lanes)))
        producer = Producer({"bootstrap.servers": KAFKA, "linger.ms": 5, "enable.idempotence": True})
        for lane, log in messages.items():
            for timestamp, key, value, headers in log:
                producer.produce(name, value, key, partition=lane, timestamp=timestamp, headers=headers)
                producer.poll(0)
        equal(producer.flush(60), 0, "messages not sent to %s" % topic)

    def contents(self, topic):
        return {lane: [message[1:] for message in self.read(topic, lane)] for lane in range(self.lanes)}

    def change(self, statement, *parameters):
        """Past the triggers that refuse it, as somebody with the disk in hands can."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            equal(connection.execute(statement, parameters or None).rowcount, 1, "rows changed by %s" % statement)


def same(lists):
    return {lane: list(log) for lane, log in lists.items()}


def with_lane(contents, change):
    """The contents with the damaged lane's messages changed in place."""
    copies = same(contents)
    change(copies[LANE])
    return copies


def flip(value, at=-1):
    value = bytearray(value)
    value[at] ^= 1
    return bytes(value)


def edit(index, timestamp=None, key=None, value=None, headers=None):
    def change(log):
        message = log[index]
        log[index] = (timestamp(message[0]) if timestamp else message[0], key(message[1]) if key else message[1],
                      value(message[2]) if value else message[2], headers(message[3]) if headers else message[3])
    return change


def swap(log):
    log[4], log[5] = log[5], log[4]


def other_header(headers):
    return [(name, b"malformed-not" if name == "muster.error" else value) for name, value in headers]


# What is done to a topic of results, and what it is called.
RESULT_CASES = (
    ("a byte of a result changed", "tickets", edit(3, value=lambda v: flip(v, -2)), "result changed"),
    ("a key changed", "licenses", edit(3, key=lambda k: k + b"9"), "result changed"),
    ("a timestamp changed", "audit", edit(7, timestamp=lambda t: t + 1), "result changed"),
    ("a header of a dead letter changed", "dead-letters", edit(2, headers=other_header), "result changed"),
    ("a header of a result left out", "audit", edit(None, headers=lambda h: []), "result changed"),
    ("a value of another schema", "notifications", edit(2, value=lambda v: b"\xc3\x01" + bytes(8) + v[10:]), "result unreadable"),
    ("a result dropped", "compliance-changes", lambda log: log.pop(5), "result missing"),
    ("a result doubled", "compliance-changes", lambda log: log.insert(5, log[5]), "result doubled"),
    ("two results swapped", "audit", swap, "results swapped"),
    ("a result again later", "audit", lambda log: log.insert(20, log[5]), "result surplus"),
    ("the last result doubled", "tickets", lambda log: log.append(log[-1]), "result doubled"),
    ("the tail cut", "access-decisions", lambda log: log.pop(), "tail cut"),
    ("a device's newest state changed", "devices", edit(-1, value=lambda v: v.replace(b"false", b"true") if b"false" in v else flip(v, -1)), "device changed"),
    ("a device's states dropped", "devices", lambda log: log.__setitem__(slice(None), [m for m in log if m[1] != log[-1][1]]), "device missing"),
)


def check_results(world):
    for name, topic, change, what in RESULT_CASES:
        before = world.contents(topic)
        index = None
        if name.startswith("a header of a result"):
            index = next(i for i, m in enumerate(before[LANE]) if m[3])
            change = edit(index, headers=lambda h: [])
        world.refill(topic, with_lane(before, change))
        expect(world, name, what, topic)
        world.refill(topic, before)


def expect(world, name, what, topic=None, options=(), lane=LANE):
    status, report = world.verify(*options)
    equal(status, 1, "%s: exit status" % name)
    for other, found in report.items():
        if other != lane:
            equal(found["verdict"], "verified", "%s: lane %d" % (name, other))
    equal(report[lane]["verdict"], "diverged", "%s: verdict" % name)
    finding = report[lane]["divergence"]
    equal(finding["what"], what, "%s: %s" % (name, finding))
    equal(finding["lane"], lane, "%s: lane" % name)
    if topic is not None:
        equal(finding["at"]["topic"], world.prefix + topic, "%s: topic" % name)
    print("%-36s %s, batch %d%s: %s %s" % (name, finding["what"], finding["batch"],
          ", seq %d" % finding["seq"] if "seq" in finding else "", finding["text"],
          [d["field"] for d in finding.get("differences", ())]), flush=True)
    return finding


# The journal. ----------------------------------------------------------------------------

JOURNAL = _world.SCHEMAS["JournalRecord"]


def edit_journal(log, number, change, rechain=False, prefix=None):
    """Changes the row of a batch; with `rechain`, its chain and all that follow hold again."""
    chain = bytes(32)
    for i, (timestamp, key, value, headers) in enumerate(log):
        record = fastavro.schemaless_reader(io.BytesIO(value[10:]), JOURNAL.parsed)
        if record["kind"] == "BATCH":
            if record["batch"] == number:
                change(record)
            if rechain:
                chain = _world.chain_of(record, chain, prefix)
                record["digests"]["chain"] = chain.hex()
            log[i] = (timestamp, key, JOURNAL.encode(record), headers)


def later(record):
    import datetime
    record["clock_after"] += datetime.timedelta(milliseconds=1)


def digest(name):
    def change(record):
        record["digests"][name] = flip(bytes.fromhex(record["digests"][name])).hex()
    return change


def range_end(record):
    next(r for r in record["ranges"] if r["topic"].endswith("checkins"))["to"] -= 1


def epoch(record):
    record["epoch"] -= 1


JOURNAL_CASES = (
    ("a row's clock changed", later, False, "clock_after"),
    ("a row's clock changed, chained anew", later, True, "clock_after"),
    ("a row's digest of results changed", digest("results"), False, "digests.results"),
    ("a row's digest of inputs changed", digest("inputs"), True, "digests.inputs"),
    ("a row's chain changed", digest("chain"), False, "digests.chain"),
    ("a row's range changed", range_end, False, None),
    ("a row's count changed", lambda r: r["counts"].__setitem__("timers", r["counts"]["timers"] + 1), False, "counts.timers"),
)


def batches_of(log):
    return [i for i, message in enumerate(log) if fastavro.schemaless_reader(io.BytesIO(message[2][10:]), JOURNAL.parsed)["kind"] == "BATCH"]


def check_journal(world):
    before = world.contents("journal")
    for name, change, rechain, field in JOURNAL_CASES:
        world.refill("journal", with_lane(before, lambda log: edit_journal(log, 3, change, rechain, world.prefix)))
        finding = expect(world, name, "journal row changed")
        equal(finding["batch"], 3, "%s: batch" % name)
        if field is not None:
            fields = [d["field"] for d in finding["differences"]]
            holds(field in fields, "%s: %s is not among %s", name, field, fields)
    at = batches_of(before[LANE])[3]

    def turn(log):
        log[at], log[at + 1] = log[at + 1], log[at]
    for name, change, what in (
            ("a row dropped", lambda log: log.pop(at), "journal row missing"),
            ("a row doubled", lambda log: log.insert(at, log[at]), "journal row doubled"),
            ("two rows swapped", turn, "journal rows swapped"),
            ("the journal's tail cut", lambda log: log.pop(), "journal cut"),
            ("a row that is none", edit(at, value=lambda v: b"no row"), "journal record unreadable")):
        world.refill("journal", with_lane(before, change))
        expect(world, name, what)
    world.refill("journal", before)


# PostgreSQL. -----------------------------------------------------------------------------

def check_database(world):
    place = "lane = %d" % LANE
    cases = (
        ("a result's row changed", "UPDATE muster.result_row SET reason = 'x' || reason WHERE " + place + " AND seq = 30",
         "UPDATE muster.result_row SET reason = substr(reason, 2) WHERE " + place + " AND seq = 30", "row changed"),
        ("a result's time changed", "UPDATE muster.result_row SET at = at + interval '1 ms' WHERE " + place + " AND seq = 31",
         "UPDATE muster.result_row SET at = at - interval '1 ms' WHERE " + place + " AND seq = 31", "row changed"),
        ("a result's row moved", "UPDATE muster.result_row SET seq = 1000000 WHERE " + place + " AND seq = 40",
         "UPDATE muster.result_row SET seq = 40 WHERE " + place + " AND seq = 1000000", "row missing"),
        ("a journal row's clock changed", "UPDATE muster.journal_row SET clock_after = clock_after + interval '1 ms' WHERE " + place + " AND batch = 3",
         "UPDATE muster.journal_row SET clock_after = clock_after - interval '1 ms' WHERE " + place + " AND batch = 3", "row changed"),
        ("a device's row changed", "UPDATE muster.device_row SET flags = flags # (1 << 28) WHERE " + place + " AND number = %d" % (LANE + 1),
         "UPDATE muster.device_row SET flags = flags # (1 << 28) WHERE " + place + " AND number = %d" % (LANE + 1), "row changed"),
        ("a device's check-in moved", "UPDATE muster.device_block SET last_sync_at[1] = last_sync_at[1] + interval '1 ms' WHERE " + place + " AND block = 0",
         "UPDATE muster.device_block SET last_sync_at[1] = last_sync_at[1] - interval '1 ms' WHERE " + place + " AND block = 0", "row changed"),
    )
    row = "SELECT row_to_json(r) AS row FROM muster.result_row r WHERE " + place + " AND seq = %s"
    last = max(r["seq"] for r in world.sql("SELECT max(seq) AS seq FROM muster.result_row WHERE " + place))
    kept = json.dumps(next(world.sql(row, last))["row"])
    other = json.dumps(next(world.sql(row, 35))["row"])
    holds("'" not in kept + other and "%" not in kept + other, "a row that wants quoting: %s %s", kept, other)
    undouble = "DELETE FROM muster.result_row WHERE ctid = (SELECT max(ctid) FROM muster.result_row WHERE " + place + " AND seq = %d)"
    put_back = "INSERT INTO muster.result_row SELECT * FROM json_populate_record(NULL::muster.result_row, '%s')" % kept
    cases += (
        ("the results' last row dropped", "DELETE FROM muster.result_row WHERE " + place + " AND seq = %d" % last, put_back, "row missing"),
        ("the results' last row doubled", put_back, undouble % last, "row doubled"),
        ("a result's row doubled", put_back.replace(kept, other), undouble % 35, "row doubled"),
        ("a result's row too many", put_back.replace('"seq": %d' % last, '"seq": %d' % (last + 1)),
         "DELETE FROM muster.result_row WHERE " + place + " AND seq = %d" % (last + 1), "row surplus"),
        ("another policy in a row", "UPDATE muster.result_row SET policy = policy || 'x' WHERE " + place + " AND seq = 33",
         "UPDATE muster.result_row SET policy = left(policy, -1) WHERE " + place + " AND seq = 33", "row changed"),
    )
    for name, change, undo, what in cases:
        world.change(change)
        finding = expect(world, name, what, options=("--database",))
        holds(finding["at"].startswith("PostgreSQL"), "%s: found at %s", name, finding["at"])
        world.change(undo)
    # Its journal alone, instead of the topic's.
    world.change(cases[3][1])
    finding = expect(world, "the same, read from there", "journal row changed", options=("--source", "postgres"))
    world.change(cases[3][2])


# What this program cannot tell. ----------------------------------------------------------

def check_unverifiable(world):
    # Another program's decisions: an environment with another version, its digest and the chain right.
    before = world.contents("journal")

    def another_version(log):
        import hashlib
        records = [fastavro.schemaless_reader(io.BytesIO(m[2][10:]), JOURNAL.parsed) for m in log]
        holds(records[0]["kind"] == "ENVIRONMENT", "the journal does not begin with its environment")
        content = json.loads(records[0]["content"])
        content["decision_version"] += 1
        text = json.dumps(content, separators=(",", ":"), sort_keys=True)
        changed, chain = hashlib.sha256(text.encode()).hexdigest(), bytes(32)
        for i, record in enumerate(records):
            record["environment"] = changed
            if record["kind"] == "ENVIRONMENT":
                record["content"] = text
            else:
                chain = _world.chain_of(record, chain, world.prefix)
                record["digests"]["chain"] = chain.hex()
            log[i] = (log[i][0], log[i][1], JOURNAL.encode(record), log[i][3])
    world.refill("journal", with_lane(before, another_version))
    status, report = world.verify()
    equal((status, report[LANE]["verdict"], report[LANE]["unverifiable_from"]), (1, "unverifiable", 1), "another version")
    holds("decision_version was" in report[LANE]["reason"], "another version: %s", report[LANE]["reason"])
    print("another decision version: %s" % report[LANE]["reason"])
    world.refill("journal", before)

    # Another key.
    other = os.path.join(world.directory, "other.key")
    with open(other, "wb") as f:
        f.write(b"another key, also of 32 bytes ...")
    status, report = world.verify(settings=("privacy.subject_key_file=" + other,))
    equal((status, report[LANE]["verdict"]), (1, "unverifiable"), "another key")
    print("another key: %s" % report[LANE]["reason"])

    # Results that retention has taken: by digest alone.
    def drop(topic, offset):
        admin = AdminClient({"bootstrap.servers": KAFKA})
        for future in admin.delete_records([TopicPartition(world.prefix + topic, LANE, offset)]).values():
            future.result()
    whole = world.verify()[1][LANE]
    drop("tickets", 10)
    drop("licenses", -1)
    status, report = world.verify()
    found = report[LANE]
    gone = whole["topics"]["licenses"] + whole["topics"]["tickets"] - found["topics"]["tickets"]
    equal((status, found["expired"], found["results"]), (0, gone, whole["results"] - gone), "results gone")
    holds(0 < found["topics"]["tickets"] < whole["topics"]["tickets"], "tickets left: %d", found["topics"]["tickets"])
    print("results gone: %d of %d by digest alone" % (found["expired"], whole["results"]))

    # The journal's beginning.
    drop("journal", 4)
    status, report = world.verify()
    equal((status, report[LANE]["verdict"], report[LANE]["unverifiable_from"]), (1, "unverifiable", 1), "the journal's beginning gone")
    print("the journal's beginning gone: %s" % report[LANE]["reason"])
    equal(world.verify("--source", "postgres")[0], 0, "the journal's beginning gone, read from PostgreSQL")
    world.refill("journal", before)

    # Inputs that are gone.
    admin, place = AdminClient({"bootstrap.servers": KAFKA}), TopicPartition(world.prefix + "checkins", LANE, 100)
    for future in admin.delete_records([place]).values():
        future.result()
    status, report = world.verify()
    found = report[LANE]
    equal((status, found["verdict"], found["unverifiable_from"]), (1, "unverifiable", 1), "inputs gone: %s" % found)
    holds(found["inputs_whole_from"] > 1, "inputs gone: whole from %s", found["inputs_whole_from"])
    print("inputs gone: %s; there from batch %d on" % (found["reason"], found["inputs_whole_from"]))


# A clean log. ----------------------------------------------------------------------------

def ends(world):
    return {(topic, lane): world.end_offset(world.prefix + topic, lane) for topic in _fleet.RECORDS for lane in range(world.lanes)}


def groups():
    listing = AdminClient({"bootstrap.servers": KAFKA}).list_consumer_groups().result()
    return {group.group_id for group in listing.valid}


def programs():
    """This build, and those beside it of other compiler flags that are of the same sources."""
    own = os.environ["MUSTER"]
    builds = os.path.join(os.path.dirname(own), "..")
    others = [os.path.join(builds, name, "muster") for name in ("debug", "release", "asan-ubsan")]
    newest = max(os.stat(os.path.join(root, name)).st_mtime for root, _, names in os.walk(os.path.join(builds, "..", "core")) for name in names)
    return [own] + [other for other in others if os.path.exists(other) and not os.path.samefile(other, own) and os.stat(other).st_mtime > newest]


def check_clean(world):
    before = ends(world), groups(), list(world.sql("SELECT count(*) FROM muster.results"))
    status, report = world.verify("--database")
    equal(status, 0, "clean: %s" % report)
    expected = {}
    for lane, found in report.items():
        equal((found["verdict"], found["subjects"]), ("verified", "checked"), "lane %d" % lane)
        for topic in _fleet.RECORDS:
            if topic in found["topics"]:
                equal(found["topics"][topic], len(world.read(topic, lane)), "results of %s in lane %d" % (topic, lane))
        expected[lane] = found
    equal((ends(world), groups(), list(world.sql("SELECT count(*) FROM muster.results"))), before, "what a verification must not change")
    print("clean: %s" % {lane: (f["batches"], f["messages"], f["timers"], f["results"], f["devices"], f["rows"]) for lane, f in report.items()})
    outputs = set()
    for jobs, environment in (("1", {}), ("2", {"TZ": "Pacific/Auckland", "LC_ALL": "de_DE.UTF-8"}), ("4", {"TZ": "America/St_Johns", "LANG": "tr_TR.UTF-8"})):
        for program in programs():
            equal(world.verify("--jobs", jobs, environment=environment, program=program)[0], 0, "clean in %s by %s" % (environment, program))
            outputs.add(world.output)
    equal(len(outputs), 1, "outputs that differ between time zones, locales, jobs and builds")
    print("the same bytes: --jobs 1, 2, 4, three time zones and locales, builds %s" % [os.path.basename(os.path.dirname(program)) for program in programs()])
    status, report = world.verify(key=False)
    equal((status, {f["subjects"] for f in report.values()}), (0, {"from results"}), "without the key: %s" % report)
    status, report = world.verify("--source", "postgres")
    equal(status, 0, "with the journal from PostgreSQL")
    equal({lane: f["chain"] for lane, f in report.items()}, {lane: f["chain"] for lane, f in expected.items()}, "chains")
    status, report = world.verify("--from", "2025-06-02T12:00:00Z", "--to", "2025-06-03T00:00:00Z", "--lane", str(LANE))
    found = report[LANE]
    holds(status == 0 and 1 < found["compared_from"] <= found["compared_to"] == found["batches"] < expected[LANE]["batches"],
          "a part of the time: %s", found)


# Gone on with where it stopped. -----------------------------------------------------------

def check_resume(world):
    """In two calls as in one; what was verified is not looked at again, what was not is."""
    for key in (True, False):
        whole = world.verify(key=key)[1]
        directory = os.path.join(world.directory, "resume-%s" % key)
        status, part = world.verify("--resume", directory, "--to", "2025-06-03T00:00:00Z", key=key)
        equal((status, {lane["resumed_from"] for lane in part.values()}), (0, {0}), "the first part: %s" % part)
        status, rest = world.verify("--resume", directory, key=key)
        equal(status, 0, "the rest: %s" % rest)
        for lane, found in rest.items():
            holds(1 < found["resumed_from"] == part[lane]["batches"] + 1 <= whole[lane]["batches"], "lane %d went on from %d", lane, found["resumed_from"])
            equal(dict(found, resumed_from=0), whole[lane], "lane %d in two calls" % lane)
        print("in two calls: from batch %s on" % [found["resumed_from"] for found in rest.values()])
        equal({lane: found["resumed_from"] for lane, found in world.verify("--resume", directory, key=key)[1].items()},
              {lane: found["batches"] + 1 for lane, found in whole.items()}, "a third call, at the end")
    # Damage behind the place is found, though the state before it was not decided again.
    directory = os.path.join(world.directory, "resume-damage")
    world.verify("--resume", directory, "--to", "2025-06-03T00:00:00Z")
    before = world.contents("tickets")
    world.refill("tickets", with_lane(before, edit(-1, value=lambda v: flip(v, -2))))
    expect(world, "a result behind the place changed", "result changed", "tickets", options=("--resume", directory))
    world.refill("tickets", before)
    # A state that is not what was saved, or another log's, is refused.
    path = os.path.join(directory, "lane-0")
    with open(path, "rb") as f:
        saved = f.read()
    for name, content in (("changed", flip(saved, len(saved) // 2)), ("cut", saved[:-1])):
        with open(path, "wb") as f:
            f.write(content)
        done = subprocess.run(world.command("replay", "verify", "--resume", directory), capture_output=True, text=True, timeout=60)
        holds(done.returncode == 1 and "lane-0" in done.stderr, "a state that was %s: exit %d: %s", name, done.returncode, done.stderr[-300:])
    equal(os.stat(path).st_mode & 0o777, 0o600, "who may read the addresses in it")
    done = subprocess.run(world.command("replay", "verify", "--resume", directory, "--database"), capture_output=True, text=True, timeout=60)
    equal(done.returncode, 2, "--resume with --database: exit status")


# A device's chain, and the fleet as it was. -----------------------------------------------

def ask(world, *arguments, status=0):
    done = subprocess.run(world.command(*arguments, "-o", "json"), capture_output=True, text=True, timeout=300)
    equal(done.returncode, status, "muster %s: %s: exit status" % (" ".join(arguments), done.stderr[-300:]))
    return json.loads(done.stdout) if status == 0 else done.stderr


def check_explained(world, device, results):
    """Every result of the device is in its chain with its place, and the state is the present one."""
    found = ask(world, "replay", "explain", device["device_id"])
    equal(found, ask(world, "replay", "explain", device["serial"]), "%s by its serial" % device["device_id"])
    places = [(r["topic"].removeprefix(world.prefix), r["partition"], r["offset"], r["seq"]) for step in found["steps"] for r in step["results"]]
    equal(places, results, "results in the chain of %s" % device["device_id"])
    for name in ("status", "compliance", "violations", "noncompliant_since", "email_blocked", "ticket_open", "next_action", "next_action_at"):
        equal(found["state"][name], device[name], "%s of %s" % (name, device["device_id"]))
    inputs = [step["cause"]["offset"] for step in found["steps"] if step["step"] == "message" and step["cause"]["topic"].endswith("reports")]
    equal(inputs, sorted(inputs), "reports of %s" % device["device_id"])
    violated = [rule["rule"] for rule in found["steps"][-1]["rules"] if rule["violated"]] if found["steps"][-1].get("event", {}).get("kind") == "compliance report" else None
    holds(violated in (None, device["violations"]), "rules of %s: %s, not %s", device["device_id"], violated, device["violations"])
    return found


def check_explain(world):
    by_device = {}
    for lane in range(world.lanes):
        for seq, (topic, message) in _fleet.results_of(world, lane, raw=True).items():
            key = message[2].decode(errors="replace") if message[2] else None
            by_device.setdefault((lane, key), []).append((topic, lane, message[0], seq))
    devices = ask(world, "device", "list")
    blocked = None
    for device in devices[::9]:
        lane = (int(device["device_id"][1:]) - 1) % world.lanes
        results = by_device.get((lane, device["device_id"]), []) + by_device.get((lane, device["serial"]), [])
        refused = [r for step in ask(world, "replay", "explain", device["device_id"])["steps"] for r in step["results"] if r["topic"].endswith("audit") and r["decided"]["outcome"] == "REFUSED"]
        if not refused:  # their entries have the lane as key when there was no device yet
            found = check_explained(world, device, sorted(results, key=lambda place: place[3]))
            for step in found["steps"]:
                if step["step"] == "timer" and step["timer"] == "block" and any("decision" in r["decided"] for r in step["results"]):
                    blocked = found["device_id"], step["due_at"]
    holds(blocked is not None, "no device among these was ever blocked")
    # Just before: not yet, and why.
    import datetime
    at = datetime.datetime.fromisoformat(blocked[1].replace("Z", "+00:00")) - datetime.timedelta(milliseconds=1)
    found = ask(world, "replay", "explain", blocked[0], "--at", at.isoformat())
    holds(found["why"].startswith("not blocked yet") and blocked[1] in found["why"], "why it is not blocked yet: %s", found["why"])
    equal((found["state"]["next_action"], found["state"]["next_action_at"]), ("block", blocked[1]), "what is due next")
    print("%s: %s" % (blocked[0], found["why"]))
    ask(world, "replay", "explain", "D9999", status=1)


def check_as_of(directory):
    """The fleet at a time, against a run over a log that ends there."""
    whole, part = (Replayed(directory, name, lanes=1) for name in ("whole", "part"))
    whole.load("--devices", 150, "--rounds", 6, "--seed", 9)
    whole.run(*SETTINGS)
    equal(ask(whole, "device", "list", "--as-of", "2030-01-01T00:00:00Z"), ask(whole, "device", "list"), "the fleet at its log's end")
    logs = {topic: whole.contents(topic) for topic in ("enrollments", "checkins", "compliance-reports")}
    stamps = sorted(message[0] for log in logs.values() for message in log[0])
    at = stamps[len(stamps) * 2 // 3]
    for topic, log in logs.items():
        part.refill(topic, {0: [message for message in log[0] if message[0] <= at]})
    part.run()
    then, expected = ask(whole, "device", "list", "--as-of", str(at)), ask(part, "device", "list")
    equal(then, expected, "the fleet as of %d" % at)
    holds(then != ask(whole, "device", "list"), "nothing has changed since")
    for wanted in (then[0], then[-1]):
        found, there = ask(whole, "device", "get", wanted["device_id"], "--as-of", str(at)), ask(part, "device", "get", wanted["serial"])
        for device in (found, there):  # topics' names and results' places are each world's own
            device["cause"] = device["cause"] and device["cause"]["offset"]
        for name in ("hint", "wipe", "violated_rules", "history"):  # told of the present alone
            del there[name]
        equal(found, there, "%s as of %d" % (wanted["device_id"], at))
    noncompliant = ask(whole, "device", "list", "--as-of", str(at), "--compliance", "noncompliant", "--offset", "1", "--limit", "3")
    equal(noncompliant, [d for d in then if d["compliance"] == "NONCOMPLIANT"][1:4], "a part of the fleet as of then")
    equal(ask(whole, "device", "list", "--as-of", str(stamps[0] - 1)), [], "the fleet before its first message")
    ask(whole, "device", "get", "D001", "--as-of", str(stamps[0] - 1), status=1)
    ask(whole, "device", "list", "--as-of", "yesterday", status=2)
    print("the fleet as of %d: %d devices as a run over that part of the log has them" % (at, len(then)))


# The database lost. ----------------------------------------------------------------------

# Every column but who wrote it, and which checkpoint a device's row came with.
TABLES = {
    "person": "subject, user_email", "environment": "*", "result_row": "*", "policy": "*", "rule_set": "*",
    "device_block": "lane, block, last_sync_at::text, antivirus_signatures_at::text, threat_at::text, next_due_at::text, next_timer",
    "device_row": "number, changed_batch, seq, at, cause_offset, event_id, pending_since, noncompliant_since, clean_since,"
                  " lane, episode, violations, flags, screen_lock_pin_length,"
                  " cause_topic, escalation, serial, subject, os_version, enrollment_ids, policy, traceparent",
    "journal_row": "batch, first_seq, last_seq, clock_before, clock_after, timer_due_at, timer_device, message_count, dead_letter_count,"
                   " timer_count, device_count, lane, timer_kind, range_from, range_to, not_believed_topic, not_believed_offset, environment,"
                   " last_message, inputs, results, chain, committed_at",
}


def tables(world):
    found = {}
    with psycopg.connect(world.dsn) as connection:
        for table, columns in TABLES.items():
            rows = connection.execute("SELECT %s FROM muster.%s" % (columns, table)).fetchall()
            found[table] = sorted(rows, key=repr)
    return found


def rebuild(world, name, key=True, status=0):
    """Into an empty database; the dsn of it becomes the world's."""
    database = "%s_%s" % (world.group.replace("-", "_"), name)
    with psycopg.connect(_fleet.PG, autocommit=True) as connection:
        connection.execute('CREATE DATABASE "%s"' % database)
    world.dsn = " ".join(w for w in _fleet.PG.split() if not w.startswith("dbname=")) + " dbname=" + database
    world.muster("migrate")
    command = world.command("replay", "rebuild")
    if not key:
        at = next(i for i, word in enumerate(command) if word.startswith("privacy.subject_key_file"))
        del command[at - 1:at + 1]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    equal(done.returncode, status, "replay rebuild: %s: exit status" % done.stderr[-300:])
    return done


def check_rebuild(world):
    lost, before = tables(world), ends(world)
    for name, key in (("key", True), ("nokey", False)):
        done = rebuild(world, name, key)
        holds(key or "no privacy.subject_key_file" in done.stderr, "a rebuild without the key did not say so: %s", done.stderr)
        made = tables(world)
        for table in TABLES:
            equal(len(made[table]), len(lost[table]), "rows of %s, rebuilt" % table)
            for a, b in zip(made[table], lost[table]):
                equal(a, b, "a row of %s, rebuilt" % table)
        equal(ends(world), before, "topics' ends after a rebuild")
        if key:
            rebuilt = world.dsn
    print("rebuilt: %s rows" % {table: len(rows) for table, rows in lost.items()})
    world.dsn = rebuilt
    equal(world.verify("--database")[0], 0, "the rebuilt database against the log")
    equal(world.muster("replay", "rebuild", ok=None), 1, "a rebuild over what is there: exit status")
    # Life goes on in it.
    world.load("--devices", 20, "--rounds", 2, "--seed", 6, "--start", 1750000000000)
    world.run(*SETTINGS)
    status, report = world.verify("--database")
    equal(status, 0, "what was decided after the rebuild: %s" % report)
    holds(ends(world) != before, "nothing was decided after the rebuild")
    # And once more from all of it.
    lost = tables(world)
    rebuild(world, "again")
    equal(tables(world), lost, "tables, rebuilt again")


# While a run goes on, and dies. -----------------------------------------------------------

def check_live(directory):
    world = Replayed(directory, "live", lanes=2, settings=("batch.messages_max=40",))

    def start():
        return subprocess.Popen(world.command("run"), stdout=subprocess.DEVNULL, stderr=open(os.path.join(directory, "live.log"), "ab"))
    run, counts = start(), []
    try:
        for round_ in range(6):
            world.load("--devices", 60, "--rounds", 3, "--seed", round_, "--odd", 0.2, "--damage", 0.02, "--start", 1748822400000 + round_ * 100_000_000)
            status, report = world.verify("--database")
            equal(status, 0, "while a run goes on: %s" % report)
            counts.append(sum(found["batches"] for found in report.values()))
            if round_ in (2, 4):
                run.kill()
                run.wait()
                run = start()
        sent = sum(world.sent.values())
        until(60, "not all was decided", lambda: sum(row["n"] for row in world.sql("SELECT sum((counts->>'messages')::bigint)::bigint AS n FROM muster.journal")) == sent)
        run.terminate()
        equal(run.wait(60), 0, "the run's exit status")
        status, report = world.verify("--database")
        equal((status, sum(found["messages"] for found in report.values())), (0, sent), "after a run that died and went on: %s" % report)
    finally:
        run.kill()
        run.wait()
    print("while a run went on, and died: %s batches verified, then %d" % (counts, sum(found["batches"] for found in report.values())))


def test(directory):
    check_live(directory)
    check_as_of(directory)
    world = Replayed(directory, "replay", lanes=2, settings=())
    world.load(*LOAD)
    world.run(*SETTINGS)
    check_clean(world)
    check_resume(world)
    check_explain(world)
    check_results(world)
    check_journal(world)
    check_database(world)
    check_rebuild(world)
    check_unverifiable(world)


_fleet.main(test)
