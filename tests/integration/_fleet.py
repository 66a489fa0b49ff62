"""A world of its own for a test on a whole fleet: topics, group, database, key; loading,
running, reading, and the comparison with the oracle."""
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid

import fastavro
import psycopg
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

import _oracle

HERE = os.path.dirname(os.path.abspath(__file__))
LOAD = os.path.join(HERE, "..", "..", "scripts", "lib", "load.py")
MUSTER, KAFKA, PG = os.environ["MUSTER"], os.environ["KAFKA"], os.environ["PG"]
SUBJECT_KEY = b"the key of these tests, 32 bytes"
UNNUMBERED = ("devices", "journal")
RECORDS = dict(_oracle.OUTPUTS, devices="Device", journal="JournalRecord")
TIME_FIELDS = {"at", "noncompliant_since", "overdue_since", "last_sync_at", "clock_before", "clock_after", "committed_at", "due_at"}


class Failed(AssertionError):
    pass


def equal(found, expected, what):
    if found != expected:
        if isinstance(found, dict) and isinstance(expected, dict):
            both = found.keys() | expected.keys()
            found, expected = ({name: d.get(name) for name in both if found.get(name) != expected.get(name)} for d in (found, expected))
        raise Failed("%s: expected %r, found %r" % (what, expected, found))


def holds(condition, what, *values):
    if not condition:
        raise Failed(what % values)


class World:
    """The inputs of one prefix; `renew` gives them another group, database and empty outputs."""

    def __init__(self, directory, name, lanes=3, settings=()):
        self.name = "%s-%s" % (name, uuid.uuid4().hex[:6])
        self.prefix, self.lanes, self.settings = self.name + ".", lanes, list(settings)
        self.directory, self.generation = directory, 0
        self.sent, self.confluent_ids = {}, {}
        self.key_file = os.path.join(directory, "subject.key")
        with open(self.key_file, "wb") as f:
            f.write(SUBJECT_KEY)
        self.schemas = {topic: _oracle.load_schema(record) for topic, record in RECORDS.items() if record}
        self.take_group_and_database()
        self.muster("topics", "create", "--partitions", str(lanes))

    def take_group_and_database(self):
        self.generation += 1
        self.group = "%s-%d" % (self.name, self.generation)
        database = self.group.replace("-", "_")
        self.dsn = " ".join(w for w in PG.split() if not w.startswith("dbname=")) + " dbname=" + database
        with psycopg.connect(PG, autocommit=True) as connection:
            connection.execute('CREATE DATABASE "%s"' % database)
        self.muster("migrate")

    def renew(self):
        """Everything that was decided is gone; what was sent stays, offset for offset."""
        admin = AdminClient({"bootstrap.servers": KAFKA})
        outputs = [self.prefix + topic for topic in RECORDS]
        for future in admin.delete_topics(outputs).values():
            future.result()
        self.take_group_and_database()
        # Gone is not gone at once.
        until(60, "the topics were not made again", lambda: self.muster("topics", "create", "--partitions", str(self.lanes), ok=None) == 0 and
              all(self.end_offset(topic, lane) == 0 for topic in outputs for lane in range(self.lanes)))

    def command(self, *arguments, settings=()):
        flags = ["kafka.bootstrap_servers=" + KAFKA, "kafka.group_id=" + self.group, "kafka.topic_prefix=" + self.prefix,
                 "postgres.dsn=" + self.dsn, "http.listen=off", "privacy.subject_key_file=" + self.key_file, *self.settings, *settings]
        return [MUSTER, *arguments, *(word for flag in flags for word in ("--set", flag))]

    def muster(self, *arguments, ok=0, settings=()):
        done = subprocess.run(self.command(*arguments, settings=settings), capture_output=True, text=True, timeout=300)
        if ok is not None and done.returncode != ok:
            raise Failed("muster %s: exit %d: %s" % (" ".join(arguments), done.returncode, (done.stderr or done.stdout)[-500:]))
        return done.returncode

    def load(self, *options):
        """Sends a fleet; all of it is in the topics or this fails."""
        done = subprocess.run([sys.executable, LOAD, KAFKA, "--prefix", self.prefix, *map(str, options)], capture_output=True, text=True)
        holds(done.returncode == 0, "the load failed: %s", done.stderr[-500:])
        sent = json.loads(done.stdout)
        for topic, count in sent["messages"].items():
            count = self.sent[topic] = self.sent.get(topic, 0) + count
            in_topic = sum(self.end_offset(self.prefix + topic, lane) for lane in range(self.lanes))
            equal(in_topic, count, "messages in %s" % topic)
        return sent

    def start(self, *settings):
        self.log = open(os.path.join(self.directory, self.group + ".log"), "ab")
        return Run(subprocess.Popen(self.command("run", "--until-caught-up", "-o", "json", settings=settings),
                                    stdout=subprocess.PIPE, stderr=self.log), self.log.name)

    def run(self, *settings):
        """Runs until caught up; returns the summary and what it took."""
        summary = self.start(*settings).finish()
        self.check_published()
        return summary

    def check_published(self):
        """When it has ended, readers of committed messages see all there is: of a transaction
        whose commit was answered, but not yet marked in a topic, they see nothing there."""
        clients = [Consumer({"bootstrap.servers": KAFKA, "group.id": "reader", "isolation.level": level})
                   for level in ("read_committed", "read_uncommitted")]
        partitions = [TopicPartition(self.prefix + topic, lane) for topic in RECORDS for lane in range(self.lanes)]
        seen, present = ([client.get_watermark_offsets(p, timeout=20)[1] for p in partitions] for client in clients)
        for client in clients:
            client.close()
        hidden = ["%s/%d" % (p.topic, p.partition) for p, a, b in zip(partitions, seen, present) if a < b]
        equal(hidden, [], "outputs whose end cannot be read when the program has ended")

    # ---- Reading ----

    def consumer(self):
        return Consumer({"bootstrap.servers": KAFKA, "group.id": "reader", "isolation.level": "read_committed", "check.crcs": True,
                         "enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "error", "fetch.wait.max.ms": 10})

    def end_offset(self, topic, lane):
        consumer = self.consumer()
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, lane), timeout=20)[1]
        except KafkaException:
            return -1
        finally:
            consumer.close()

    def read(self, topic, lane):
        """All committed messages of a partition: (offset, timestamp, key, value, headers)."""
        consumer, messages = self.consumer(), []
        consumer.assign([TopicPartition(self.prefix + topic, lane, 0)])
        is_at_end = False
        while not is_at_end:
            for message in consumer.consume(10000, 0.05):
                if message.error() is None:
                    messages.append((message.offset(), message.timestamp()[1], message.key(), message.value(), message.headers() or []))
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    is_at_end = True
                else:
                    raise Failed("reading %s/%d: %s" % (topic, lane, message.error()))
        consumer.close()
        return messages

    def records(self, topic, messages):
        """The same messages with each value read."""
        _, schema, head = self.schemas[topic]
        for offset, timestamp, key, value, headers in messages:
            equal(value[:10], head, "the head of %s at %d" % (topic, offset))
            body = io.BytesIO(value[10:])
            record = fastavro.schemaless_reader(body, schema)
            holds(not body.read(1), "bytes behind the value of %s at %d", topic, offset)
            yield offset, timestamp, key, record, headers

    def inputs(self, lane):
        return {topic: self.read(topic, 0 if topic == "control" else lane) for topic in _oracle.INPUTS}

    def decided(self, lane, inputs):
        """What the oracle says of a lane."""
        return _oracle.Lane(lane, self.lanes, _oracle.Inputs(self.confluent_ids)).run(inputs)

    def sql(self, query, *parameters):
        with psycopg.connect(self.dsn) as connection:
            connection.execute("SET timezone TO 'UTC'")
            with connection.cursor("rows") as cursor:
                cursor.itersize = 20000
                cursor.execute(query, parameters)
                names = [column.name for column in cursor.description]
                for row in cursor:
                    yield dict(zip(names, row))


class Run:
    """A muster that runs, watched: its memory at the highest, its time of processors."""

    def __init__(self, process, log):
        self.process, self.log, self.rss_kb = process, log, 0

    def watch(self):
        """False when it has ended. Linux counts what the parent held into the usage that wait
        tells; the process's own high-water mark is without it."""
        try:
            with open("/proc/%d/status" % self.process.pid, encoding="ascii") as f:
                for line in f:
                    if line.startswith("VmHWM:"):
                        self.rss_kb = max(self.rss_kb, int(line.split()[1]))
        except FileNotFoundError:
            pass
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None

    def signal(self, number):
        """Not through Popen, which would collect a process that has just ended."""
        os.kill(self.process.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.communicate()

    def finish(self, timeout=600):
        """The summary, with rss_kb and cpu_seconds."""
        deadline = time.monotonic() + timeout
        while self.watch():
            if time.monotonic() > deadline:
                self.kill()
                raise Failed("muster run did not end in %d s: %s" % (timeout, self.tail()))
            time.sleep(0.02)
        line = self.process.stdout.read().decode()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.process.stdout.close()
        holds(self.process.returncode == 0, "muster run: exit %d: %s", self.process.returncode, self.tail())
        return dict(json.loads(line), rss_kb=self.rss_kb, cpu_seconds=usage.ru_utime + usage.ru_stime)

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()[-800:]


def until(seconds, what, condition):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(what)
        time.sleep(0.2)


# ---- Results against the oracle ----

def decided_of(topic, value):
    """What a record decides, as the oracle has it."""
    if topic == "compliance-changes":
        return value["compliance"], tuple(value["violations"]), value["noncompliant_since"]
    if topic == "notifications":
        return (value["template"],)
    if topic == "access-decisions":
        return value["resource"], value["decision"]
    if topic == "tickets":
        return value["action"], value["correlation_id"], None if value["action"] == "RESOLVE" else tuple(value["violations"])
    if topic == "licenses":
        return (value["action"],)
    if topic == "audit":
        return value["outcome"], value["target"]
    raise Failed("nothing is decided of %s" % topic)


# Of each rule of `default`, in policy order: id, title, what to do.
with open(os.path.join(HERE, "..", "..", "policies", "default.yaml"), encoding="utf-8") as default:
    RULES = re.findall(r"- id: (\w+)\n +title: (.+)\n +remediation: (.+)\n", default.read())


def check_description(value, where):
    """A line for each violation in policy order, for a ticket that is there to be worked on."""
    if value["action"] == "RESOLVE":
        equal(value["description"], None, "%s: description" % where)
        return
    lines = value["description"].split("\n")
    violated = [rule for rule in RULES if rule[0] in value["violations"]]
    equal(len(lines), len(violated), "%s: lines of %r" % (where, value["description"]))
    for line, (rule, title, remediation) in zip(lines, violated):
        form = [re.escape(part) for part in ("%s (%s). Seen: " % (title, rule), ". Required: ", ". What to do: " + remediation)]
        holds(re.fullmatch(".+".join(form), line), "%s: description %r", where, line)


def traceparent_of(message):
    """What is carried over from the message that caused something."""
    return [header for header in message[4] if header[0] == "traceparent"] if message else []


def check_result(world, lane, topic, expected, found):
    """A record of an output against what was to be decided."""
    _, timestamp, key, value, headers = found
    kind, at, cause, event_id, device_id, serial, email, decided, message = expected
    where = "lane %d, seq %d" % (lane, value["seq"])
    equal(topic, kind, where)
    equal(decided_of(topic, value), decided, "%s, %s" % (where, topic))
    equal((value["lane"], value["at"], timestamp), (lane, at, at), "%s: lane, at, timestamp" % where)
    equal(value["cause"], cause and {"topic": world.prefix + cause[0], "partition": cause[1], "offset": cause[2]}, "%s: cause" % where)
    equal(value["event_id"], event_id, "%s: event_id" % where)
    equal((value["device_id"], value["serial"]), (device_id, serial), "%s: device" % where)
    equal(key, (device_id or str(lane)).encode(), "%s: key" % where)
    equal((value["policy"], value["subject"]), ("default", _oracle.subject_of(SUBJECT_KEY, email)), "%s: policy, subject" % where)
    if topic == "tickets":
        check_description(value, where)
    if "user_email" in value:
        equal(_oracle.lowered(value["user_email"]), _oracle.lowered(email), "%s: user_email" % where)
    equal(headers, traceparent_of(message), "%s: headers" % where)


def check_dead_letter(world, lane, expected, found):
    """A dead letter against its original: byte for byte, with our headers behind its own."""
    _, timestamp, key, value, headers = found
    code, cause, original = expected[7], expected[2], expected[8]
    where = "dead letter of %s/%d/%d" % cause
    equal(expected[0], "dead-letters", where)
    added = {name: bytes.decode(text) for name, text in headers[len(original[4]):]}
    equal(added["muster.error"], code, "%s: %s" % (where, added["__connect.errors.exception.message"]))
    equal((timestamp, key, value), original[1:4], where)
    equal(headers[:len(original[4])], original[4], "%s: headers" % where)
    equal((added["muster.lane"], added["__connect.errors.topic"], added["__connect.errors.partition"], added["__connect.errors.offset"]),
          (str(lane), world.prefix + cause[0], str(cause[1]), str(cause[2])), where)
    for name in ("stage", "exception.class.name", "exception.message"):
        holds(added["__connect.errors." + name], "%s: no %s", where, name)


def results_of(world, lane, raw=False):
    """By number: (topic, message with its value read, or raw as it stands there)."""
    found = {}
    for topic in _oracle.OUTPUTS:
        if topic in ("dead-letters", "actions"):
            continue
        messages = world.read(topic, lane)
        for message, record in zip(messages, world.records(topic, messages)):
            seq = record[3]["seq"]
            holds(seq not in found, "lane %d, seq %d twice", lane, seq)
            found[seq] = topic, message if raw else record
    for letter in world.read("dead-letters", lane):
        seq = int(dict(letter[4])["muster.seq"])
        holds(seq not in found, "lane %d, seq %d twice", lane, seq)
        found[seq] = "dead-letters", letter
    equal(world.read("actions", lane), [], "actions of lane %d" % lane)
    return found


def check_lane(world, lane, oracle):
    """Every result of every output topic, and nothing else. Returns them by number."""
    found = results_of(world, lane)
    for seq, expected in enumerate(oracle.results, 1):
        holds(seq in found, "lane %d: no result %d of %d: %r", lane, seq, len(oracle.results), expected[:8])
        topic, record = found[seq]
        if topic == "dead-letters":
            check_dead_letter(world, lane, expected, record)
        else:
            check_result(world, lane, topic, expected, record)
    equal(sorted(found), list(range(1, len(oracle.results) + 1)), "numbers of lane %d" % lane)
    return found


# ---- The database and the compacted topic ----

def milliseconds(at):
    return None if at is None else round(at.timestamp() * 1000)


def time_text(at):
    return None if at is None else time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1000)) + ".%03dZ" % (at % 1000)


def with_texts(value):
    """A record as the database shows it: times as RFC 3339."""
    if isinstance(value, dict):
        return {k: time_text(v) if k in TIME_FIELDS else with_texts(v) for k, v in value.items()}
    return [with_texts(v) for v in value] if isinstance(value, list) else value


def as_values(row):
    """A row of a view as its record: times as numbers, ids as text."""
    return {k: milliseconds(v) if hasattr(v, "timestamp") else str(v) if isinstance(v, uuid.UUID) else v for k, v in row.items()}


def check_results_view(world, lane, found):
    """muster.results holds what the topics hold."""
    count = 0
    for row in world.sql("SELECT * FROM muster.results WHERE lane = %s ORDER BY seq", lane):
        count += 1
        equal(row["seq"], count, "muster.results of lane %d" % lane)
        topic, (_, timestamp, key, value, _) = found[count]
        where = "muster.results of lane %d, seq %d" % (lane, count)
        equal(row["topic"], world.prefix + topic, where)
        if topic == "dead-letters":
            equal(row["value"], None, where)
            continue
        equal((milliseconds(row["at"]), row["key"], row["device_id"]), (timestamp, key.decode(), value["device_id"]), where)
        equal(row["value"], with_texts(value), where)
    equal(count, len(found), "muster.results of lane %d" % lane)


def check_kind_view(world, view, topic, lane, found):
    """compliance_history and audit: the rows are the topic's records."""
    expected = [record[3] for _, (kind, record) in sorted(found.items()) if kind == topic]
    rows = [as_values(row) for row in world.sql("SELECT * FROM muster.%s WHERE lane = %%s ORDER BY seq" % view, lane)]
    equal(len(rows), len(expected), "rows of muster.%s in lane %d" % (view, lane))
    for row, value in zip(rows, expected):
        equal({name: row[name] for name in value}, value, "muster.%s, lane %d, seq %d" % (view, lane, value["seq"]))


def check_devices(world, lane, oracle, inputs):
    """muster.devices is what the oracle says, and the compacted topic's last word but for the
    time of the last sync, which alone makes no record."""
    last = {record[2].decode(): record[3:] for record in world.records("devices", world.read("devices", lane))}
    rows = {row["device_id"]: row for row in map(as_values, world.sql("SELECT * FROM muster.devices WHERE lane = %s", lane))}
    equal((len(rows), len(last)), (len(oracle.devices), len(oracle.devices)), "devices of lane %d, rows and records" % lane)
    for device in oracle.devices:
        row, (record, headers), due = rows[device.id], last[device.id], device.due()
        expected = {
            "serial": device.serial, "platform": device.platform, "profile": device.profile, "ownership": device.ownership,
            "os_version": device.os_version, "status": device.status, "compliance": device.compliance,
            "violations": list(device.violations), "noncompliant_since": device.noncompliant_since,
            "email_blocked": device.is_blocked, "sap_blocked": False, "ticket_open": device.has_ticket, "overdue_since": None,
            "last_sync_at": device.last_sync_at, "next_action_at": due and due[0],
            "subject": _oracle.subject_of(SUBJECT_KEY, device.email),
        }
        equal({name: row[name] for name in expected}, expected, "muster.devices, %s" % device.id)
        equal(_oracle.lowered(row["user_email"]), _oracle.lowered(device.email), "muster.devices, %s" % device.id)
        holds((record["last_sync_at"] or 0) <= (device.last_sync_at or 0), "%s last synced later in the topic", device.id)
        equal({name: record[name] for name in record if name != "last_sync_at"},
              {name: row[name] for name in record if name != "last_sync_at"}, "the topic devices, %s" % device.id)
        cause = record["cause"]
        message = cause and inputs[cause["topic"][len(world.prefix):]][cause["offset"]]
        equal(headers, traceparent_of(message), "the topic devices, %s: headers" % device.id)


# ---- The journal ----

TIME_NONE = -1 << 63
ZERO = bytes(32)


def chain_of(world, record, previous):
    """SHA-256 over the chain before it and all that the record says of its batch."""
    digests, cursor, counts = record["digests"], record["cursors"]["timer"], record["counts"]
    last = {entry["topic"]: bytes.fromhex(entry["digest"]) for entry in digests["last_messages"]}
    names = [world.prefix + topic for topic in _oracle.INPUTS]
    ranges = {entry["topic"]: entry for entry in record["ranges"]}
    out = io.BytesIO()

    def put(*numbers):
        for number in numbers:
            out.write(((TIME_NONE if number is None else number) & (1 << 64) - 1).to_bytes(8, "big"))

    out.write(previous)
    put(record["lane"], record["batch"], record["first_seq"], record["last_seq"], record["clock_before"], record["clock_after"])
    for name in names:
        put(ranges[name]["from"], ranges[name]["to"])
        out.write(last.get(name, ZERO))
    put(len(record["not_believed"]))
    for entry in record["not_believed"]:
        put(names.index(entry["topic"]), entry["offset"])
    put(*((1, cursor["due_at"], cursor["device_number"], cursor["kind"]) if cursor else (0, 0, 0, 0)))
    put(counts["messages"], counts["dead_letters"], counts["timers"], counts["devices"])
    for digest in (record["environment"], digests["inputs"], digests["results"]):
        out.write(bytes.fromhex(digest))
    sweep = record["cursors"]["sweep"]
    if sweep:
        put(1, sweep["device_number"])
    if digests["state"] is not None:
        out.write(bytes.fromhex(digests["state"]))
    return hashlib.sha256(out.getvalue()).digest()


def journal_of(world, lane):
    return [record[3] for record in world.records("journal", world.read("journal", lane))]


def check_batch(world, record, before, inputs, totals):
    """One batch follows upon the other: numbers, clock, ranges, chain."""
    where = "journal, lane %d, batch %d" % (record["lane"], record["batch"])
    equal(record["batch"], before["batch"] + 1, where)
    equal(record["first_seq"], before["last_seq"] + 1, where)
    equal(record["clock_before"], before["clock_after"], where)
    holds(record["clock_after"] is None or record["clock_after"] >= (record["clock_before"] or 0), "%s: the clock goes back", where)
    holds(record["epoch"] >= before["epoch"], "%s: the epoch goes back", where)
    equal([entry["topic"] for entry in record["ranges"]], [world.prefix + topic for topic in _oracle.INPUTS], where)
    taken = 0
    for entry in record["ranges"]:
        equal(entry["from"], before["next"].get(entry["topic"], 0), "%s: range of %s" % (where, entry["topic"]))
        before["next"][entry["topic"]] = entry["to"]
        log = inputs[entry["topic"][len(world.prefix):]]
        taken += sum(entry["from"] <= message[0] < entry["to"] for message in log[entry["from"]:entry["to"]])
    equal(record["counts"]["messages"], taken, "%s: messages" % where)
    equal(record["counts"]["results"], record["last_seq"] + 1 - record["first_seq"], "%s: results" % where)
    equal(record["digests"]["chain"], chain_of(world, record, before["chain"]).hex(), "%s: chain" % where)
    for name in totals:
        totals[name] += record["counts"][name]
    before.update(batch=record["batch"], last_seq=record["last_seq"], clock_after=record["clock_after"], epoch=record["epoch"],
                  chain=bytes.fromhex(record["digests"]["chain"]), environment=record["environment"])


def check_journal(world, lane, oracle, inputs):
    """Dense from the first to the last message and result, in the topic as in the database."""
    records = journal_of(world, lane)
    batches = [record for record in records if record["kind"] == "BATCH"]
    environments = {record["batch"]: record for record in records if record["kind"] == "ENVIRONMENT"}
    totals = dict(messages=0, results=0, dead_letters=0)
    before = {"batch": 0, "last_seq": 0, "clock_after": batches[0]["clock_before"] if batches else None, "epoch": 0, "next": {},
              "chain": ZERO, "environment": None}
    for record in batches:
        if record["environment"] != before["environment"]:
            named = environments.pop(record["batch"], None)
            holds(named is not None, "journal, lane %d: batch %d is of an environment that nobody told", lane, record["batch"])
            equal(hashlib.sha256(named["content"].encode()).hexdigest(), record["environment"], "journal, lane %d: environment" % lane)
        check_batch(world, record, before, inputs, totals)
    equal(environments, {}, "environments of lane %d before no batch" % lane)
    equal(totals, {"messages": oracle.message_count, "results": len(oracle.results),
                   "dead_letters": sum(result[0] == "dead-letters" for result in oracle.results)}, "journal of lane %d in all" % lane)
    for topic, log in inputs.items():
        end = log[-1][0] + 1 if log else 0
        equal(before["next"].get(world.prefix + topic, 0), end, "journal of lane %d: the end of %s" % (lane, topic))
    check_journal_view(world, lane, records)
    return batches


def check_journal_view(world, lane, records):
    rows = [as_values(row) for row in world.sql("SELECT * FROM muster.journal WHERE lane = %s ORDER BY batch, kind DESC", lane)]
    equal(len(rows), len(records), "rows of muster.journal in lane %d" % lane)
    for row, record in zip(rows, records):
        where = "muster.journal, lane %d, %s %d" % (lane, record["kind"], record["batch"])
        cursors = {name: cursor and with_texts(cursor) for name, cursor in record["cursors"].items()}
        equal({name: row[name] for name in record}, dict(record, cursors=cursors), where)


def check_lane_in_all(world, lane, oracle, inputs):
    """Topics, views and journal of a lane; returns the results by number and the batches."""
    found = check_lane(world, lane, oracle)
    check_results_view(world, lane, found)
    check_kind_view(world, "compliance_history", "compliance-changes", lane, found)
    check_kind_view(world, "audit", "audit", lane, found)
    check_devices(world, lane, oracle, inputs)
    return found, check_journal(world, lane, oracle, inputs)


def count_into(counts, oracle):
    """By topic and what it is that was decided."""
    for kind, *_, decided, _ in oracle.results:
        word = decided if kind == "dead-letters" else decided[1] if kind == "access-decisions" else decided[0]
        label = "%s %s" % (kind, word)
        counts[label] = counts.get(label, 0) + 1


def check_everything(world):
    """Lane by lane; returns the count of results by kind."""
    counts = {}
    for lane in range(world.lanes):
        inputs = world.inputs(lane)
        oracle = world.decided(lane, inputs)
        check_lane_in_all(world, lane, oracle, inputs)
        count_into(counts, oracle)
    return counts


def main(test):
    """Runs a test in a directory of its own and says how it went."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="muster-test.") as directory:
        try:
            test(directory)
        except Failed as failure:
            print("FAILED: %s" % failure)
            sys.exit(1)
