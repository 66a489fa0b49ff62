"""The log that is tampered with: a fleet's messages with all that a lane takes in (policies, roles,
groups, commands, timers, dead letters), decided by one run; and what was emitted, to look places up in.
"""
import io
import json
import os
import subprocess

import fastavro
import psycopg
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

import _fleet
import _world
from _fleet import KAFKA, PG, equal, holds, until

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
START = 1748822400000
HOUR = 3600_000
RESULTS = _world.NUMBERED
INPUTS = _world.LANE_TOPICS
JOURNAL = _world.SCHEMAS["JournalRecord"]


def read_journal(value):
    return fastavro.schemaless_reader(io.BytesIO(value[10:]), JOURNAL.parsed)


def policy_text(version, pin, hours):
    """The default with another screen lock and another grace."""
    with open(os.path.join(ROOT, "policies", "default.yaml"), encoding="utf-8") as f:
        text = f.read()
    return (text.replace("version: default", "version: " + version).replace("at_least, 6]", "at_least, %d]" % pin)
            .replace("after: 24h", "after: %dh" % hours))


class Story(_fleet.World):
    """A world with one log. `contents` is the original of each topic, whatever stands there now."""

    def __init__(self, directory, name, lanes=4, messages_max=300, program=None):
        self.program = program or _fleet.MUSTER
        self.secret = os.path.join(directory, name + ".sign.key")
        super().__init__(directory, name, lanes=lanes, settings=("batch.messages_max=%d" % messages_max,))
        self.muster("evidence", "key", self.secret)
        self.public = self.secret + ".pub"
        self.kept, self.refilled, self.copies = {}, set(), 0

    def command(self, *arguments, settings=()):
        command = super().command(*arguments, settings=settings)
        return [self.program, *command[1:]]

    # ---- Making the log ----

    def make(self, devices, rounds, odd=0.3, damage=0.02, traceparent=0.3, seed=5, controls=True):
        """Sends everything, decides it, and returns what the run said."""
        self.load("--devices", devices, "--rounds", rounds, "--seed", seed, "--odd", odd, "--damage", damage, "--traceparent", traceparent)
        if controls:
            self.send_controls(START + rounds * 8 * HOUR // 3, devices)
            self.send_controls_later(START + rounds * 8 * HOUR * 2 // 3, devices)
        summary = self.run("journal.signing_key_file=" + self.secret)
        self.look_up()
        return summary

    def policy_hash(self, text):
        path = os.path.join(self.directory, "policy.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        done = subprocess.run(self.command("policy", "show", path, "-o", "json"), capture_output=True, text=True, timeout=60)
        equal(done.returncode, 0, "policy show: %s" % done.stderr)
        return {row["key"]: row["value"] for row in json.loads(done.stdout)}["sha256"]

    def policy(self, version, pin, hours):
        text = policy_text(version, pin, hours)
        return dict(topic="control", record="Policy", version=version, hash=self.policy_hash(text), text=text)

    def produce(self, at, messages):
        path = os.path.join(self.directory, "%s.%d.ndjson" % (self.group, at))
        with open(path, "w", encoding="utf-8") as f:
            for i, message in enumerate(messages):
                event_id = "00000000-0000-4000-8000-%012x" % (at + i)
                f.write(json.dumps(dict(message, timestamp=at + i, event_id=event_id, occurred_at=at + i)) + "\n")
        self.muster("produce", path)

    def send_controls(self, at, devices):
        serial = ["SN%08d" % (devices * k // 40 + 1) for k in range(40)]
        root, hand = "root@example.org", "hand@example.org"
        self.produce(at, [
            dict(topic="control", record="RoleChange", user_email=root, role="ADMIN", change="GRANT"),
            dict(topic="control", record="RoleChange", user_email="second@example.org", role="ADMIN", change="GRANT", actor_email=root),
            dict(topic="control", record="RoleChange", user_email=hand, role="OPERATOR", change="GRANT", actor_email=root),
            dict(topic="control", record="GroupChange", group="pilot", serial=serial[3], change="ADD", actor_email=root),
            dict(topic="control", record="GroupChange", group="vips", user_email="user7@example.org", change="ADD", actor_email=root),
            dict(topic="control", record="StateRequest", actor_email=root),
            *(dict(topic="commands", serial=serial[k], command="WIPE", wipe_reason="LOST", confirm=serial[k], actor_email=root) for k in range(4, 12)),
            *(dict(topic="commands", serial=serial[k], command="WIPE", wipe_reason="STOLEN", confirm=serial[k], actor_email=hand) for k in range(12, 16)),
            *(dict(topic="commands", serial=serial[k], command="RETIRE", actor_email=hand) for k in range(16, 22)),
            *(dict(topic="commands", serial=serial[k], command="RENAME", name="Desk %d" % k, actor_email=root) for k in range(22, 28)),
            *(dict(topic="commands", serial=serial[k], command="SYNC", actor_email="nobody@example.org") for k in range(28, 34)),
            *(dict(topic="commands", serial=serial[k], command="SYNC", actor_email=hand) for k in range(34, 40)),
            # A version that is less as a number, and more as a text.
            *(dict(topic="compliance-reports", serial=serial[k], os_version="9.5", disk_encrypted=True, screen_lock_pin_length=6)
              for k in range(22, 40)),
            self.policy("strict", 9, 3),
        ])

    def send_controls_later(self, at, devices):
        serial = ["SN%08d" % (devices * k // 40 + 2) for k in range(40)]
        root = "root@example.org"
        self.produce(at, [
            dict(topic="control", record="TenantEvent", kind="UPSTREAM_OUTAGE", change="BEGIN", actor_email=root),
            dict(topic="control", record="RoleChange", user_email="hand@example.org", role="OPERATOR", change="REVOKE", actor_email=root),
            self.policy("mild", 5, 30),
            dict(topic="control", record="ProfileRevision", profile="STANDARD", revision="2026-11", actor_email=root),
            *(dict(topic="commands", serial=serial[k], command="RETIRE", actor_email="hand@example.org") for k in range(10, 13)),
            *(dict(topic="commands", serial=serial[k], command="SYNC", actor_email=root) for k in range(13, 16)),
            dict(topic="control", record="StateRequest", actor_email=root),
            dict(topic="control", record="TenantEvent", kind="UPSTREAM_OUTAGE", change="END", actor_email=root),
        ])

    # ---- Where things are ----

    def partitions(self, topic):
        return range(1 if topic == "control" else self.lanes)

    def contents(self, topic):
        """{lane: [(timestamp, key, value, headers)]} as it was emitted; offsets, too, of the inputs."""
        if topic not in self.kept:
            logs = {lane: self.read(topic, lane) for lane in self.partitions(topic)}
            if topic in INPUTS:
                for lane, log in logs.items():
                    equal([m[0] for m in log], list(range(len(log))), "offsets of %s in lane %d" % (topic, lane))
            self.kept[topic] = {lane: [m[1:] for m in log] for lane, log in logs.items()}
        return self.kept[topic]

    def look_up(self):
        self.kept.clear()
        self.rows = {lane: [row for row in (read_journal(m[2]) for m in log) if row["kind"] == "BATCH"]
                     for lane, log in self.contents("journal").items()}

    def seq_of(self, topic, message):
        """The number that a result says it has."""
        if topic == "dead-letters":
            return int(dict(message[3])["muster.seq"])
        return _world.decode(message[2])["seq"]

    def batch_of_seq(self, lane, seq):
        return next(row["batch"] for row in self.rows[lane] if row["first_seq"] <= seq <= row["last_seq"])

    def batch_of_input(self, topic, lane, offset):
        """The batch of that lane that took the message."""
        for row in self.rows[lane]:
            for r in row["ranges"]:
                if r["topic"] == self.prefix + topic and r["from"] <= offset < r["to"]:
                    return row["batch"]
        raise _fleet.Failed("no batch of lane %d read %s at %d" % (lane, topic, offset))

    # ---- Changing it ----

    def refill(self, topic, logs):
        """The topic anew with these messages."""
        name = self.prefix + topic
        admin = AdminClient({"bootstrap.servers": KAFKA})
        for future in admin.delete_topics([name]).values():
            future.result()
        until(60, "%s was not made again" % topic,
              lambda: self.muster("topics", "create", "--partitions", str(self.lanes), ok=None) == 0 and
              all(self.end_offset(name, lane) == 0 for lane in logs))
        producer = Producer({"bootstrap.servers": KAFKA, "linger.ms": 20, "enable.idempotence": True, "compression.type": "lz4",
                             "message.max.bytes": 2000000, "queue.buffering.max.messages": 500000})
        failed = []
        for lane, log in logs.items():
            for timestamp, key, value, headers in log:
                while True:
                    try:
                        producer.produce(name, value, key, partition=lane, timestamp=timestamp, headers=headers,
                                         on_delivery=lambda error, _: failed.append(error) if error else None)
                        break
                    except BufferError:
                        producer.poll(0.05)
            producer.poll(0)
        equal((producer.flush(120), failed), (0, []), "messages not sent to %s" % topic)
        self.refilled.add(topic)

    def damage(self, topic, lane, change):
        """The topic with one partition's messages changed in place; the original is kept."""
        logs = {of: list(log) for of, log in self.contents(topic).items()}
        change(logs[lane])
        self.refill(topic, logs)

    def restore(self, topic):
        self.refill(topic, self.contents(topic))

    def copy_database(self):
        """A fresh copy; its dsn."""
        self.copies += 1
        whole = next(w for w in self.dsn.split() if w.startswith("dbname=")).removeprefix("dbname=")
        copy = "%s_copy%d" % (whole, self.copies)
        with psycopg.connect(PG, autocommit=True) as connection:
            connection.execute('CREATE DATABASE "%s" TEMPLATE "%s" STRATEGY FILE_COPY' % (copy, whole))
        return self.dsn.replace("dbname=" + whole, "dbname=" + copy)

    def copy_fast(self):
        """On a stack of our own nothing need outlive a power cut."""
        with psycopg.connect(PG, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")

    def drop_database(self, dsn):
        name = next(w for w in dsn.split() if w.startswith("dbname=")).removeprefix("dbname=")
        with psycopg.connect(PG, autocommit=True) as connection:
            connection.execute('DROP DATABASE "%s" WITH (FORCE)' % name)

    # ---- Verifying it ----

    def verify(self, *options, dsn=None, program=None, environment=None):
        """Exit status, and the report by lane."""
        command = self.command("replay", "verify", "-o", "json", *options, settings=("postgres.dsn=" + dsn,) if dsn else ())
        command[0] = program or command[0]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800, env=dict(os.environ, **(environment or {})))
        holds(done.returncode in (0, 1), "replay verify: exit %d: %s", done.returncode, done.stderr[-800:])
        return done.returncode, {lane["lane"]: lane for lane in json.loads(done.stdout)}

    def forget_beginning(self, topic, lane, offset):
        admin = AdminClient({"bootstrap.servers": KAFKA})  # must outlive what it was asked for
        for future in admin.delete_records([TopicPartition(self.prefix + topic, lane, offset)]).values():
            future.result()
