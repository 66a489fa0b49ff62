"""What the integration tests share: a world of its own for each, and a look at what came out.

A World is one topic prefix, one consumer group and one database on the stack that scripts/test
brought up; it starts muster, sends events, and reads the results back as any other program
would: committed records of the topics, and the views. What is checked of every world, whatever
its story was, is in World.settled().
"""
import contextlib
import datetime
import hashlib
import io
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request
import uuid

import fastavro
import psycopg
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

ROOT = pathlib.Path(__file__).resolve().parents[2]
MUSTER, KAFKA, PG, STACK = (os.environ[name] for name in ("MUSTER", "KAFKA", "PG", "STACK"))

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
LONG_AGO = 1_748_851_200_000  # 2 June 2025, 08:00 UTC
DEADLINE_S = 60  # for what takes a few seconds on a machine that is not busy

# The clients' own complaints about a broker that a test has taken away would bury what matters.
QUIET = {"bootstrap.servers": KAFKA, "log_level": 0, "reconnect.backoff.max.ms": 500}

INPUTS = {"enrollments": "Enrollment", "checkins": "CheckIn", "compliance-reports": "ComplianceReport"}
NUMBERED = ("compliance-changes", "notifications", "access-decisions", "tickets", "licenses", "actions",
            "audit", "dead-letters")
# The order of topics at equal timestamps, and in the journal.
LANE_TOPICS = ("control", "enrollments", "commands", "checkins", "compliance-reports")

EX_UNAVAILABLE, EX_CONFIG = 75, 78


def now_ms():
    return time.time_ns() // 1_000_000


def wait_until(what, condition, seconds=DEADLINE_S, pause=0.05):
    """What condition() returns, once that is anything."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds} s: {what() if callable(what) else what}"
        time.sleep(pause)


def standstill(value):
    """value(), once it has not changed for half a second."""
    last = [object()]

    def same():
        before, last[0] = last[0], value()
        return before == last[0]
    wait_until("a standstill", same, pause=0.5)
    return last[0]


def free_port():
    """Below the range that clients are given ports from, as scripts/stack does."""
    first, last = map(int, os.environ.get("MUSTER_PORTS", "20000-31999").split("-"))
    while True:
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", random.randint(first, last)))
            return s.getsockname()[1]


# The stack. ------------------------------------------------------------------------------


def stack(command):
    """scripts/stack COMMAND: kafka-stop, kafka-kill, kafka-start, pg-stop, pg-kill, pg-start."""
    done = subprocess.run([ROOT / "scripts/stack", command, "--dir", STACK], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, f"scripts/stack {command}: {done.stderr}"


def kafka_pid():
    return int((pathlib.Path(STACK) / "kafka/pid").read_text())


@contextlib.contextmanager
def kafka_frozen():
    """The broker takes connections and requests, and answers none of them."""
    pid = kafka_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Proxy:
    """Stands before PostgreSQL for one world alone, which can so lose it while others do not."""

    def __init__(self):
        dsn = dict(part.split("=", 1) for part in PG.split())
        self.target = (dsn["host"], int(dsn["port"]))
        self.port = free_port()
        self.links = set()
        self.listener = None
        self.open()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def shut(self):
        """Nobody gets in any more, and who is in is thrown out."""
        listener, self.listener = self.listener, None
        if listener is not None:
            # A thread that waits in accept keeps the port until it is woken.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for link in list(self.links):
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                inner, _ = listener.accept()
                try:
                    outer = socket.create_connection(self.target)
                except OSError:
                    inner.close()
                    continue
                self.links |= {inner, outer}
                for pair in ((inner, outer), (outer, inner)):
                    threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            self.links.discard(end)
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


# Avro. -----------------------------------------------------------------------------------


class Schema:
    """One of ours, with the ten bytes that its values begin with."""

    def __init__(self, path):
        raw = json.loads(path.read_text())
        self.name = raw["name"]
        self.parsed = fastavro.parse_schema(raw, _force=True)
        canonical = fastavro.schema.to_parsing_canonical_form(raw)
        self.head = b"\xc3\x01" + bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))

    def encode(self, record):
        out = io.BytesIO()
        out.write(self.head)
        fastavro.schemaless_writer(out, self.parsed, record)
        return out.getvalue()


SCHEMAS = {schema.name: schema for schema in map(Schema, sorted((ROOT / "schemas").glob("*.avsc")))}
SCHEMA_BY_HEAD = {schema.head: schema for schema in SCHEMAS.values()}


def decode(value):
    schema = SCHEMA_BY_HEAD.get(value[:10])
    assert schema is not None, f"a value with an unknown fingerprint: {value[:10].hex()}"
    return fastavro.schemaless_reader(io.BytesIO(value[10:]), schema.parsed)


def plain(value):
    """A value as JSON has it: times as RFC 3339 in UTC with milliseconds."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value) if isinstance(value, uuid.UUID) else value


def time_text(at_ms):
    return plain(datetime.datetime.fromtimestamp(at_ms / 1000, datetime.timezone.utc))


# Events. ---------------------------------------------------------------------------------


class Event:
    """A message for an input topic; the same arguments make the same message, event id included."""

    def __init__(self, topic, serial, at, fields, value=None, key=None):
        self.topic, self.serial, self.at = topic, serial, at
        self.event_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{topic} {serial} {at}"))
        self.value = value
        if value is None:
            self.value = SCHEMAS[INPUTS[topic]].encode(
                {"event_id": self.event_id, "occurred_at": at, "serial": serial, **fields})
        self.key = serial.encode() if key is None else key


def enroll(serial, at, user="user@example.org", platform="WINDOWS", profile="STANDARD", os_version="10.0.22631"):
    return Event("enrollments", serial, at, dict(user_email=user, platform=platform, profile=profile,
                                                 os_version=os_version, ownership="CORPORATE", consent=None))


def check_in(serial, at, os_version="10.0.22631", trigger="SCHEDULED"):
    return Event("checkins", serial, at, dict(os_version=os_version, trigger=trigger))


def report(serial, at, antivirus=True, signatures_age=HOUR, encrypted=True, pin=6):
    return Event("compliance-reports", serial, at, dict(
        os_version=None, antivirus_enabled=antivirus, antivirus_signatures_at=at - signatures_age,
        disk_encrypted=encrypted, screen_lock_pin_length=pin))


def garbage(topic, serial, at, value=b"\xc3\x01nothing of ours"):
    return Event(topic, serial, at, {}, value=value)


# muster, running. ------------------------------------------------------------------------


class Process:
    """A `muster run` in the background."""

    def __init__(self, world, arguments, http):
        self.http = http
        self.log_path = pathlib.Path(world.directory) / f"muster-{len(world.processes)}.log"
        self.out_path = self.log_path.with_suffix(".out")
        with self.log_path.open("w") as log, self.out_path.open("w") as out:
            self.process = subprocess.Popen(
                [MUSTER, "run", *arguments, *world.options(http)], stdin=subprocess.DEVNULL, stdout=out, stderr=log)
        world.processes.append(self)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def count(self, message):
        return self.log().count(message)

    def is_alive(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.is_alive():
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()

    def wait(self, seconds=DEADLINE_S):
        """The exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"muster did not end within {seconds} s; its log:\n{tail(self.log())}") from None

    def wait_log(self, message, count=1, seconds=DEADLINE_S):
        def there():
            assert self.is_alive() or self.count(message) >= count, \
                f"muster ended with {self.process.returncode} before {message!r}; its log:\n{tail(self.log())}"
            return self.count(message) >= count
        wait_until(lambda: f"{message!r} {count} times in the log:\n{tail(self.log())}", there, seconds)

    def stop(self, seconds=DEADLINE_S):
        """As an operator does: SIGTERM, and a clean end."""
        self.signal(signal.SIGTERM)
        status = self.wait(seconds)
        assert status == 0, f"exit {status} after SIGTERM; its log:\n{tail(self.log())}"

    def get(self, path, timeout=5):
        """(status, body); (0, reason) when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{self.http}{path}", timeout=timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def is_ready(self):
        return self.get("/readyz")[0] == 200

    def wait_ready(self, seconds=DEADLINE_S):
        wait_until(lambda: f"ready; /readyz says {self.get('/readyz')}, the log:\n{tail(self.log())}",
                   self.is_ready, seconds)

    def metrics(self):
        """{name: {labels as text: value}}"""
        found = {}
        for name, labels, value in re.findall(r"^(\w+)(?:\{([^}]*)\})? (\S+)$", self.get("/metrics")[1], re.M):
            found.setdefault(name, {})[labels] = float(value)
        return found

    def metric_sum(self, name, containing=""):
        return sum(value for labels, value in self.metrics().get(name, {}).items() if containing in labels)

    def rss_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))


def tail(text, lines=25):
    return "\n".join("    | " + line for line in text.splitlines()[-lines:])


# A world. --------------------------------------------------------------------------------


class Record:
    def __init__(self, message):
        self.partition, self.offset = message.partition(), message.offset()
        self.key, self.value = message.key(), message.value()
        self.headers = dict(message.headers() or [])
        self.timestamp = message.timestamp()[1]


class World:
    def __init__(self, name, lanes=1, migrate=True, topics=True, subject_key=None, dsn=None):
        self.name = f"{name}-{uuid.uuid4().hex[:6]}"
        self.prefix, self.group, self.lanes = f"{self.name}.", self.name, lanes
        self.database = self.name.replace("-", "_")
        self.directory = tempfile.mkdtemp(prefix=f"muster-{self.name}.")
        self.processes = []
        self.extra = []
        self.producer = Producer({**QUIET, "partitioner": "murmur2_random", "linger.ms": 5,
                                  "enable.idempotence": True})
        self.failures = []
        with psycopg.connect(PG, autocommit=True) as connection:
            connection.execute(f'create database "{self.database}"')
        self.dsn = f"{PG.rsplit(' ', 1)[0]} dbname={self.database}"
        self.muster_dsn = self.dsn if dsn is None else f"{dsn} dbname={self.database}"
        key_file = pathlib.Path(self.directory) / "subject.key"
        key_file.write_bytes(subject_key or os.urandom(32).hex().encode())
        self.config = pathlib.Path(self.directory) / "muster.yaml"
        self.config.write_text(f"""\
kafka:
  bootstrap_servers: "{KAFKA}"
  group_id: "{self.group}"
  topic_prefix: "{self.prefix}"
postgres:
  dsn: "{self.muster_dsn}"
privacy:
  subject_key_file: "{key_file}"
""")
        if migrate:
            self.muster("migrate")
        if topics:
            self.muster("topics", "create", "--partitions", str(lanes))

    def close(self):
        """What stays behind makes every later start of the servers slower."""
        for process in self.processes:
            process.kill()
        with contextlib.suppress(psycopg.Error), psycopg.connect(PG, autocommit=True) as connection:
            connection.execute(f'drop database if exists "{self.database}" with (force)')
        with contextlib.suppress(KafkaException):
            admin = AdminClient(QUIET)
            names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(self.prefix)]
            for future in admin.delete_topics(names, operation_timeout=10).values() if names else ():
                future.result(10)

    def options(self, http="off"):
        return ["--config", str(self.config), "--set", f"http.listen={http}", *self.extra]

    def muster(self, *arguments, status=0, timeout=120, text=None):
        """Runs a command to its end; returns its output and what it said on stderr."""
        done = subprocess.run([MUSTER, *arguments, *self.options()], capture_output=True, text=True,
                              timeout=timeout, input=text)
        assert done.returncode == status, \
            f"muster {' '.join(arguments)}: exit {done.returncode}, not {status}:\n{tail(done.stderr)}"
        return done

    def catch_up(self, *arguments, timeout=180):
        """muster run --until-caught-up; its closing line."""
        done = self.muster("run", "--until-caught-up", "-o", "json", *arguments, timeout=timeout)
        return json.loads(done.stdout.splitlines()[-1])

    def start(self, *arguments, http=None):
        return Process(self, arguments, http or f"127.0.0.1:{free_port()}")

    def input_ends(self, timeout=DEADLINE_S):
        return self.ends([(topic, lane) for topic in INPUTS for lane in range(self.lanes)], timeout)

    def is_caught_up(self, ends=None):
        """Whether all that stands in the topics, or stood before ends, is in the journal; no, when
        it cannot be told."""
        reached = {}
        with contextlib.suppress(psycopg.OperationalError, KafkaException):
            ends = self.input_ends() if ends is None else ends
            for lane, ranges in self.sql("select distinct on (lane) lane, ranges from muster.journal"
                                         " where kind = 'BATCH' order by lane, batch desc"):
                reached.update({(r["topic"].removeprefix(self.prefix), lane): r["to"] for r in ranges})
            return all(reached.get(place, 0) >= end for place, end in ends.items())
        return False

    def wait_caught_up(self, seconds=DEADLINE_S):
        def logs():
            return "\n".join(tail(process.log(), 12) for process in self.processes if process.is_alive())
        wait_until(lambda: f"caught up; the logs:\n{logs()}", self.is_caught_up, seconds, pause=0.2)

    # In.

    def _delivered(self, error, message):
        if error is not None:
            self.failures.append(f"{message.topic()}: {error}")

    def send(self, *events):
        for event in events:
            while True:
                try:
                    self.producer.produce(self.prefix + event.topic, event.value, event.key, timestamp=event.at,
                                          on_delivery=self._delivered)
                    break
                except BufferError:
                    self.producer.poll(0.1)
            self.producer.poll(0)
        left = self.producer.flush(DEADLINE_S)
        assert left == 0 and not self.failures, f"{left} not sent, {self.failures[:3]}"

    # Out.

    def consumer(self):
        return Consumer({**QUIET, "group.id": "tests", "isolation.level": "read_committed",
                         "auto.offset.reset": "earliest", "enable.partition.eof": True,
                         "enable.auto.commit": False})

    def ends(self, places, timeout=DEADLINE_S):
        """{(topic, partition): end offset}"""
        consumer = self.consumer()
        try:
            return {(topic, lane): consumer.get_watermark_offsets(
                TopicPartition(self.prefix + topic, lane), timeout=timeout)[1] for topic, lane in places}
        finally:
            consumer.close()

    def read(self, *topics):
        """{topic: its committed records in order of lane and offset}"""
        consumer = self.consumer()
        found = {topic: [] for topic in topics}
        try:
            places = [TopicPartition(self.prefix + topic, lane, 0) for topic in topics for lane in range(self.lanes)]
            consumer.assign(places)
            left = {(place.topic, place.partition) for place in places}
            deadline = time.monotonic() + DEADLINE_S
            while left:
                assert time.monotonic() < deadline, f"no end of {left}"
                for message in consumer.consume(10000, 0.2):
                    if message.error() is not None:
                        left.discard((message.topic(), message.partition()))
                    else:
                        found[message.topic().removeprefix(self.prefix)].append(Record(message))
        finally:
            consumer.close()
        for records in found.values():
            records.sort(key=lambda record: (record.partition, record.offset))
        return found

    def sql(self, query, *parameters):
        with psycopg.connect(self.dsn, connect_timeout=10) as connection:
            return connection.execute(query, parameters or None).fetchall()

    def sql_change(self, statement):
        with psycopg.connect(self.dsn, connect_timeout=10, autocommit=True) as connection:
            connection.execute(statement)

    def results(self, topics=NUMBERED):
        """Every result of the topics by (lane, seq), as plain JSON without the topics' prefix."""
        found = {}
        for topic, records in self.read(*topics).items():
            for record in records:
                result = self._result(topic, record)
                place = (result["lane"], result["seq"])
                assert place not in found, f"twice: {found.get(place)}\nand {result}"
                assert record.partition == result["lane"], f"lane {result['lane']} in partition {record.partition}"
                found[place] = result
        return dict(sorted(found.items()))

    def _result(self, topic, record):
        if topic != "dead-letters":
            value = plain(decode(record.value))
            assert value["at"] == time_text(record.timestamp), f"at {value['at']} is not the record's timestamp"
            if value["cause"] is not None:
                value["cause"]["topic"] = value["cause"]["topic"].removeprefix(self.prefix)
            return {"topic": topic, "key": record.key.decode(), **value}
        text = {name: value.decode() for name, value in record.headers.items()
                if name.startswith(("muster.", "__connect."))}
        text["__connect.errors.topic"] = text["__connect.errors.topic"].removeprefix(self.prefix)
        return {"topic": topic, "key": record.key and record.key.hex(), "lane": int(text["muster.lane"]),
                "seq": int(text["muster.seq"]), "value": record.value and record.value.hex(),
                "timestamp": record.timestamp, "headers": text}

    def journal(self):
        """The BATCH records of muster.journal, by lane."""
        lanes = {lane: [] for lane in range(self.lanes)}
        for record in self.read("journal")["journal"]:
            value = decode(record.value)
            if value["kind"] == "BATCH":
                assert value["lane"] == record.partition
                lanes[value["lane"]].append(value)
        return lanes

    def devices(self):
        """The view, by device, without the topics' prefix."""
        with psycopg.connect(self.dsn) as connection:
            cursor = connection.execute("select * from muster.devices order by lane, device_id")
            names = [column.name for column in cursor.description]
            rows = [plain(dict(zip(names, row))) for row in cursor.fetchall()]
        for row in rows:
            if row["cause"] is not None:
                row["cause"]["topic"] = row["cause"]["topic"].removeprefix(self.prefix)
        return {row["device_id"]: row for row in rows}

    # What holds whatever happened.

    def settled(self):
        """Checks all that must hold when nothing is under way, and returns results().

        Numbers are dense, each result is once on the topics and once in the database and the
        same in both, and the journal chains and is the same in both.
        """
        results = self.results()
        for lane in range(self.lanes):
            numbers = [seq for of, seq in results if of == lane]
            assert numbers == list(range(1, len(numbers) + 1)), \
                f"lane {lane} is not dense: {len(numbers)} numbers, the last {numbers[-1]}, " \
                f"the first gap after {next(n for n, seq in enumerate(numbers) if seq != n + 1)}"
        self._same_in_database(results)
        self._journal_chains(results)
        self._devices_agree()
        return results

    def _same_in_database(self, results):
        rows = self.sql("select lane, seq, topic, key, at, value from muster.results order by lane, seq")
        assert [row[:2] for row in rows] == list(results), \
            f"{len(rows)} results in the database, {len(results)} on the topics"
        for lane, seq, topic, key, at, value in rows:
            result = results[lane, seq]
            assert topic == self.prefix + result["topic"], f"{topic} in the database, {result} on its topic"
            if result["topic"] == "dead-letters":
                assert value is None, f"a dead letter's value in the view: {value}"
                continue
            if value["cause"] is not None:
                value["cause"]["topic"] = value["cause"]["topic"].removeprefix(self.prefix)
            assert {"topic": result["topic"], "key": key, **value} == result, \
                f"{value} in the database, {result} on its topic"
            assert plain(at) == result["at"]

    def _journal_chains(self, results):
        rows = {}
        for lane, batch, digests in self.sql("select lane, batch, digests from muster.journal where kind = 'BATCH'"
                                             " order by lane, batch"):
            rows.setdefault(lane, []).append((batch, digests["chain"]))
        for lane, records in self.journal().items():
            assert rows.get(lane, []) == [(r["batch"], r["digests"]["chain"]) for r in records], \
                f"lane {lane}: the journal in the database has {len(rows.get(lane, []))} rows, the topic {len(records)}"
            previous, chain, ends = None, bytes(32), {}
            for number, record in enumerate(records, 1):
                what = f"lane {lane}, batch {record['batch']}"
                assert record["batch"] == number, f"{what}: the {number}th"
                assert record["first_seq"] == (previous["last_seq"] if previous else 0) + 1, what
                assert previous is None or record["epoch"] >= previous["epoch"], what
                assert previous is None or record["clock_before"] == previous["clock_after"], what
                gap = record["gap"]
                if gap is not None and gap["accepted"]:
                    assert ends.get(gap["topic"], gap["from"]) == gap["from"], f"{what}: {gap} is not where it ended"
                    ends[gap["topic"]] = gap["to"]
                for r in record["ranges"]:
                    assert r["from"] == ends.get(r["topic"], r["from"]), f"{what}: {r} begins not where it ended"
                    ends[r["topic"]] = r["to"]
                chain = chain_of(record, chain, self.prefix)
                assert record["digests"]["chain"] == chain.hex(), f"{what}: the chain does not hold"
                previous = record
            last = max((seq for of, seq in results if of == lane), default=0)
            assert last == (previous["last_seq"] if previous else 0), \
                f"lane {lane}: {last} results, the journal ends at {previous and previous['last_seq']}"

    def _devices_agree(self):
        """The last record of a device on the compacted topic is the view's row but for its sync."""
        newest = {}
        for record in self.read("devices")["devices"]:
            newest[record.key.decode()] = plain(decode(record.value))
        rows = self.devices()
        assert newest.keys() == rows.keys(), f"{len(newest)} devices on the topic, {len(rows)} in the view"
        for device_id, value in newest.items():
            if value["cause"] is not None:
                value["cause"]["topic"] = value["cause"]["topic"].removeprefix(self.prefix)
            row = {name: rows[device_id][name] for name in value}
            differing = [name for name in value if name != "last_sync_at" and value[name] != row[name]]
            assert not differing, f"{device_id} differs in {differing}: {value} on the topic, {row} in the view"


def chain_of(record, previous, prefix):
    """SHA-256 over what stands in a journal record and the chain before it (core/journal.c)."""
    def at_ms(value, none=-1 << 63):
        return none if value is None else round(value.timestamp() * 1000)

    ranges = {r["topic"].removeprefix(prefix): (r["from"], r["to"]) for r in record["ranges"]}
    last = {r["topic"].removeprefix(prefix): bytes.fromhex(r["digest"]) for r in record["digests"]["last_messages"]}
    counts, timer = record["counts"], record["cursors"]["timer"]
    out = previous + struct.pack(">QQQQqq", record["lane"], record["batch"], record["first_seq"], record["last_seq"],
                                 at_ms(record["clock_before"]), at_ms(record["clock_after"]))
    for topic in LANE_TOPICS:
        out += struct.pack(">qq", *ranges[topic]) + last.get(topic, bytes(32))
    out += struct.pack(">Q", len(record["not_believed"]))
    for message in record["not_believed"]:
        out += struct.pack(">Qq", LANE_TOPICS.index(message["topic"].removeprefix(prefix)), message["offset"])
    out += struct.pack(">QqQQ", timer is not None, at_ms(timer and timer["due_at"], 0),
                       timer["device_number"] if timer else 0, timer["kind"] if timer else 0)
    out += struct.pack(">QQQQ", counts["messages"], counts["dead_letters"], counts["timers"], counts["devices"])
    for digest in (record["environment"], record["digests"]["inputs"], record["digests"]["results"]):
        out += bytes.fromhex(digest)
    sweep = record["cursors"]["sweep"]
    if sweep is not None:
        out += struct.pack(">QQ", 1, sweep["device_number"])
    if record["digests"]["state"] is not None:
        out += bytes.fromhex(record["digests"]["state"])
    gap = record["gap"]
    if gap is not None:
        asked = struct.pack(">BBBqqq", LANE_TOPICS.index(gap["topic"].removeprefix(prefix)), gap["accepted"],
                            gap["actor"] is not None, gap["from"], gap["to"], at_ms(gap["asked_at"]))
        asked += uuid.UUID(str(gap["event_id"])).bytes + bytes.fromhex(gap["actor"] or "00" * 16) + gap["reason"].encode()
        out += asked + struct.pack(">Q", len(asked))
    return hashlib.sha256(out).digest()


def left_behind(world):
    """How many batches are committed and not published."""
    committed = dict(world.sql("select lane, count(*) from muster.journal where kind = 'BATCH' group by lane"))
    published = {lane: len(records) for lane, records in world.journal().items()}
    rest = {lane: committed.get(lane, 0) - count for lane, count in published.items()}
    assert all(count >= 0 for count in rest.values()), f"published but not committed: {rest}"
    return sum(rest.values())


def differences(left, right, limit=3):
    """The first places where two dicts differ, for a message; empty when they are equal."""
    found = []
    for place in sorted(left.keys() | right.keys()):
        if left.get(place) != right.get(place):
            found.append(f"{place}:\n  {left.get(place)}\n  {right.get(place)}")
            if len(found) == limit:
                break
    return "\n".join(found)


# Running a file's cases. -----------------------------------------------------------------


def main(*cases, names=None):
    """Runs each case, a function that is given a list to put its worlds in; all, or those named."""
    names = sys.argv[1:] if names is None else names
    unknown = set(names) - {case.__name__ for case in cases}
    assert not unknown, f"no such case: {unknown}"
    failed = 0
    for case in cases:
        if names and case.__name__ not in names:
            continue
        worlds, start, verdict = contextlib.ExitStack(), time.monotonic(), "ok"

        def world(*arguments, **settings):
            made = World(*arguments, **settings)
            worlds.callback(made.close)
            opened.append(made)
            return made

        opened = []
        try:
            with worlds:
                case(world)
        except Exception:  # noqa: BLE001: whatever it is, the next case is run
            failed, verdict = failed + 1, "FAILED"
            traceback.print_exc()
            # What it had stopped when it failed, the next one needs.
            stack("kafka-start")
            stack("pg-start")
            for made in opened:
                for process in made.processes:
                    print(f"  {process.log_path}:\n{tail(process.log(), 15)}", file=sys.stderr)
        if verdict == "ok":
            for made in opened:
                shutil.rmtree(made.directory)
        print(f"{verdict:6} {time.monotonic() - start:6.1f} s  {case.__name__}", flush=True)
    sys.exit(1 if failed else 0)
