"""An empty database rebuilt from a snapshot and the output topics, where the inputs have lost their
beginning: row by row what it was, and what is decided next is the same. What can not be brought back
is said; what is not what the journal vouches for is refused."""
import hashlib
import json
import os
import struct
import subprocess

import psycopg
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

import _fleet
from _fleet import KAFKA, equal, holds

DEFAULT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "policies", "default.yaml")
START = 1748822400000
HOUR = 3600_000
SETTINGS = ("batch.messages_max=150",)
INPUTS = ("control", "enrollments", "commands", "checkins", "compliance-reports")
RESULTS = ("compliance-changes", "notifications", "access-decisions", "tickets", "licenses", "actions", "audit", "dead-letters")
HEAD = struct.Struct(">4sHIQqIIQ32s")  # of a part: magic, version, lane, batch, clock, number, count, size, digest
# Who committed a row is all that differs, its epoch and owner; and the bytes of dead letters, kept until they are published.
TABLES = {
    "person": "*", "device_row": "*", "device_block": "*", "result_row": "*", "environment": "*", "policy": "*", "rule_set": "*",
    "control_row": "*",
    "journal_row": "batch, first_seq, last_seq, clock_before, clock_after, timer_due_at, timer_device, sweep_device, message_count,"
                   " dead_letter_count, timer_count, device_count, lane, timer_kind, range_from, range_to, not_believed_topic,"
                   " not_believed_offset, environment, last_message, inputs, results, chain, state, committed_at",
}


def tables(world):
    found = {}
    with psycopg.connect(world.dsn) as connection:
        for table, columns in TABLES.items():
            rows = connection.execute("SELECT to_jsonb(t)::text FROM (SELECT %s FROM muster.%s) t" % (columns, table)).fetchall()
            found[table] = sorted((json.loads(row[0]) for row in rows), key=repr)
    return found


def compare(made, lost, what):
    for table in TABLES:
        equal(len(made[table]), len(lost[table]), "rows of %s, %s" % (table, what))
        for a, b in zip(made[table], lost[table]):
            equal(a, b, "a row of %s, %s" % (table, what))


def undated(made, lost, report, what):
    """Dead letters before the snapshot may have a time of their own, as many as the report says."""
    times = {(row["lane"], row["seq"]): row["at"] for row in lost["result_row"]}
    others = [row for row in made["result_row"] if row["kind"] == 7 and row["at"] != times[row["lane"], row["seq"]]]
    for row in others:
        holds(any(lane["undated_from"] <= row["seq"] <= lane["undated_to"] for lane in report if lane["lane"] == row["lane"]),
              "result %d of lane %d has another time, and the report does not say so", row["seq"], row["lane"])
        row["at"] = times[row["lane"], row["seq"]]
    holds(len(others) <= sum(lane["undated"] for lane in report), "%s: %d dead letters with another time: %s", what, len(others), report)
    made["result_row"].sort(key=repr)
    return len(others)


def dsn_of(name):
    return " ".join(w for w in _fleet.PG.split() if not w.startswith("dbname=")) + " dbname=" + name


def rebuild(world, name, *options, key=True, status=0):
    """Into an empty database; its dsn becomes the world's. The report by lane, and what was said."""
    database = "%s_%s" % (world.group.replace("-", "_"), name)
    with psycopg.connect(_fleet.PG, autocommit=True) as connection:
        connection.execute('CREATE DATABASE "%s"' % database)
    world.dsn = dsn_of(database)
    world.muster("migrate")
    command = world.command("replay", "rebuild", "-o", "json", *options)
    if not key:
        at = next(i for i, word in enumerate(command) if word.startswith("privacy.subject_key_file"))
        del command[at - 1:at + 1]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    equal(done.returncode, status, "replay rebuild %s: %s: exit status" % (name, done.stderr[-500:]))
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def ask(world, *arguments, status=0):
    done = subprocess.run(world.command(*arguments, "-o", "json"), capture_output=True, text=True, timeout=300)
    equal(done.returncode, status, "muster %s: %s: exit status" % (" ".join(arguments), done.stderr[-300:]))
    return json.loads(done.stdout)


def send(world, directory, messages):
    path = os.path.join(directory, "messages.ndjson")
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(message) + "\n" for message in messages)
    world.muster("produce", path)


def control(world, directory, at):
    """What a lane keeps of the control topic, commands, and somebody who has no device."""
    with open(DEFAULT, encoding="utf-8") as f:
        text = f.read().replace("version: default", "version: strict").replace("at_least, 6]", "at_least, 9]").replace("after: 24h", "after: 3h")
    path = os.path.join(directory, "strict.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    said = {row["key"]: row["value"] for row in ask(world, "policy", "show", path)}
    serials = [device["serial"] for device in ask(world, "device", "list")]
    messages = [
        dict(topic="control", record="RoleChange", user_email="root@example.org", role="ADMIN", change="GRANT"),
        dict(topic="control", record="RoleChange", user_email="hand@example.org", role="OPERATOR", change="GRANT"),
        dict(topic="control", record="RoleChange", user_email="hand@example.org", role="OPERATOR", change="REVOKE"),
        dict(topic="control", record="GroupChange", group="pilot", serial=serials[3], change="ADD"),
        dict(topic="control", record="GroupChange", group="pilot", user_email="second@example.org", change="ADD"),
        dict(topic="control", record="TenantEvent", kind="UPSTREAM_OUTAGE", change="BEGIN"),
        dict(topic="control", record="Policy", version="strict", hash=said["sha256"], text=text),
        dict(topic="control", record="TenantEvent", kind="UPSTREAM_OUTAGE", change="END"),
        dict(topic="commands", serial=serials[5], command="WIPE", wipe_reason="LOST", confirm=serials[5], actor_email="root@example.org"),
        dict(topic="commands", serial=serials[6], command="WIPE", wipe_reason="STOLEN", confirm=serials[6], actor_email="hand@example.org"),
        dict(topic="commands", serial=serials[7], command="RETIRE", actor_email="root@example.org"),
        dict(topic="commands", serial=serials[8], command="RENAME", name="Front desk \u00e9", actor_email="root@example.org"),
    ]
    send(world, directory, (dict(message, timestamp=at + i) for i, message in enumerate(messages)))
    world.run(*SETTINGS)


def snapshot(world, directory, at):
    send(world, directory, [dict(topic="control", record="StateRequest", timestamp=at)])
    world.run(*SETTINGS)
    made = ask(world, "snapshot", "create", "--no-ask")
    equal([row["what"] for row in made], ["vouched for"] * 2, "the snapshots")
    return made


def fill(world, directory):
    """A history, a snapshot, a history, a snapshot, and some more."""
    world.load("--devices", 160, "--rounds", 4, "--seed", 31, "--odd", 0.3, "--damage", 0.02)
    world.run(*SETTINGS)
    snapshot(world, directory, START + 38 * HOUR)
    control(world, directory, START + 39 * HOUR)
    world.load("--devices", 190, "--rounds", 3, "--seed", 31, "--odd", 0.3, "--damage", 0.02, "--start", START + 40 * HOUR)
    world.run(*SETTINGS)
    second = snapshot(world, directory, START + 70 * HOUR)
    more(world, 32, 80)
    return second


def more(world, seed, hours):
    world.load("--devices", 200, "--rounds", 1, "--seed", seed, "--damage", 0.02, "--start", START + hours * HOUR)
    world.run(*SETTINGS)


def copy(world, name):
    """The database as it is now, under another name."""
    database = "%s_%s" % (world.group.replace("-", "_"), name)
    with psycopg.connect(_fleet.PG, autocommit=True) as connection:
        connection.execute('CREATE DATABASE "%s" TEMPLATE "%s"' % (database, world.dsn.split("dbname=")[1]))
    return dsn_of(database)


def expire(world, offsets):
    """What stands before these offsets is gone, as after its retention: (topic, partition) to offset."""
    admin = AdminClient({"bootstrap.servers": KAFKA})
    wanted = [TopicPartition(world.prefix + topic, partition, offset) for (topic, partition), offset in offsets.items()]
    for future in admin.delete_records(wanted).values():
        future.result()


def ranges_of(world, batches):
    """Up to where lanes have read their inputs after these batches."""
    read = {}
    for lane, batch in batches.items():
        row = next(world.sql("SELECT ranges FROM muster.journal WHERE kind = 'BATCH' AND lane = %s AND batch = %s", lane, batch))
        for entry in row["ranges"]:
            topic = entry["topic"][len(world.prefix):]
            place = (topic, 0 if topic == "control" else lane)
            read[place] = min(read.get(place, entry["to"]), entry["to"])
    return read


def check_damaged(world, lost):
    """The newest is none: it is named, and the one before it is begun with."""
    newest = world.read("snapshots", 0)[-1]
    head, body = HEAD.unpack(newest[3][:HEAD.size]), bytearray(newest[3][HEAD.size:])
    body[len(body) // 2] ^= 1
    producer = Producer({"bootstrap.servers": KAFKA})
    producer.produce(world.prefix + "snapshots", newest[3][:HEAD.size] + bytes(body), newest[2], partition=0)
    equal(producer.flush(30), 0, "a snapshot not sent")
    report, said = rebuild(world, "damaged", "--from-snapshot")
    holds("lane 0: the snapshot of batch %d is left out: its bytes are not those that its digest is of" % head[3] in said, "the damaged snapshot is not named: %s", said)
    equal(report[0]["snapshot"], head[3], "the snapshot that lane 0 was begun with")
    made = tables(world)
    undated(made, lost, report, "with a damaged snapshot")
    compare(made, lost, "with a damaged snapshot")


def check_forged_control(world):
    """Somebody's role in the records that a database keeps, though the state itself is untouched."""
    newest = world.read("snapshots", 0)[-2]
    body = bytearray(newest[3][HEAD.size:-32])
    grants = [record for record in world.sql("SELECT encode(event_id::text::bytea, 'escape') AS id FROM muster.control_row WHERE lane = 0 AND kind = 5 AND is_off")]
    equal(len(grants), 1, "roles that were taken away")
    event_id = bytes.fromhex(grants[0]["id"].replace("-", ""))
    at = body.index(event_id) + 16
    equal(bytes(body[at:at + 3]), b"\x05\x01\x01", "kind, role and that it is taken away")
    body[at + 2] = 0
    digest = hashlib.sha256(bytes(body)).digest()
    head = HEAD.unpack(newest[3][:HEAD.size])
    producer = Producer({"bootstrap.servers": KAFKA})
    producer.produce(world.prefix + "snapshots", HEAD.pack(*head[:8], digest) + bytes(body) + digest, newest[2], partition=0)
    equal(producer.flush(30), 0, "a snapshot not sent")
    _, said = rebuild(world, "forged", "--from-snapshot")
    holds("is left out: what it says of control messages does not come to the state that the journal vouches for" in said, "a forged role: %s", said)
    equal([row["what"] for row in ask(world, "snapshot", "list", "--lane", "0")], ["vouched for"] * 2 + ["not what the journal vouches for"] * 2, "snapshots, listed")


def check_expired(world, directory, original, lost, second):
    """The inputs begin behind the second snapshot: it is begun with, and life goes on as it would have."""
    world.dsn = original
    undisturbed = copy(world, "undisturbed")
    told = {device: replay(world, "explain", device)[0] for device in ("D001", "D006", "D150")}
    gone = ranges_of(world, second)
    expire(world, {place: offset for place, offset in gone.items() if place[0] != "control"})
    report, _ = rebuild(world, "expired")
    equal({lane["lane"]: lane["snapshot"] for lane in report}, second, "the snapshots that were begun with")
    made = tables(world)
    undated(made, lost, report, "expired")
    compare(made, lost, "rebuilt behind what has expired")
    check_from_expired(world, told, second)
    more(world, 33, 90)
    going_on = tables(world)
    holds(len(going_on["result_row"]) > len(lost["result_row"]), "nothing was decided behind the rebuild")
    # The database that was never lost takes what was decided from the topics, and proves it by its chain.
    world.dsn = undisturbed
    world.run(*SETTINGS)
    kept = tables(world)
    undated(going_on, kept, report, "going on")
    compare(going_on, kept, "decided in the rebuilt database")
    # With the control topic's beginning go the addresses of those who have a role and no device.
    expire(world, {place: offset for place, offset in gone.items() if place[0] == "control"})
    report, _ = rebuild(world, "control")
    made = tables(world)
    undated(made, kept, report, "without the control topic's beginning")
    nameless = [row["user_email"] for row in kept["person"] if row not in made["person"]]
    equal(sorted(nameless), ["hand@example.org", "root@example.org", "second@example.org"], "people without an address")
    # A lane may not know of an address that another does.
    equal(min(lane["nameless"] for lane in report), 3, "people without an address, as the report says")
    made["person"] = kept["person"]
    compare(made, kept, "without the control topic's beginning")
    return dict(kept, person=[row for row in kept["person"] if row["user_email"] not in nameless])


def check_results_expired(world, kept, second):
    """Results have lost their beginning, too: what is left is brought back, the rest is told."""
    lane = next(iter(second))
    first = {kind: world.read(kind, lane)[0][0] for kind in RESULTS if world.read(kind, lane)}
    expire(world, {("audit", lane): first["audit"] + 40, ("dead-letters", lane): first["dead-letters"] + 2})
    report, _ = rebuild(world, "results")
    equal(report[lane]["lost"], 42, "results that are gone: %s" % report[lane])
    made, by_number = tables(world), {(row["lane"], row["seq"]): row for row in kept["result_row"]}
    undated(made, kept, report, "without some results")
    equal(len(made["result_row"]), len(kept["result_row"]) - 42, "results that were brought back")
    for row in made["result_row"]:
        equal(row, by_number[row["lane"], row["seq"]], "a result that was brought back")
    gone = [row["seq"] for row in kept["result_row"] if row["lane"] == lane and not any(row == one for one in made["result_row"])]
    equal((min(gone), max(gone)), (report[lane]["lost_from"], report[lane]["lost_to"]), "the numbers of those that are gone")
    holds(report[lane]["unproved"] >= 42, "what is not proved: %s", report[lane])
    compare(dict(made, result_row=[]), dict(kept, result_row=[]), "without some results")


def check_journal_expired(world, kept, second):
    lane = next(iter(second))
    batches = [(offset, record["batch"]) for offset, _, _, record, _ in world.records("journal", world.read("journal", lane)) if record["kind"] == "BATCH"]
    offset, batch = batches[3]
    expire(world, {("journal", lane): offset})
    report, _ = rebuild(world, "journal")
    equal((report[lane]["journal_from"], report[lane]["snapshot"]), (batch, second[lane]), "where the journal begins: %s" % report[lane])
    holds(report[lane]["results_before_journal"] > 0, "results of batches before the journal: %s", report[lane])
    made = tables(world)
    equal([row["batch"] for row in made["journal_row"] if row["lane"] == lane], [row["batch"] for row in kept["journal_row"] if row["lane"] == lane and row["batch"] >= batch], "the journal's rows")
    for table in ("person", "device_row", "device_block", "policy", "rule_set", "control_row"):
        equal(made[table], kept[table], "%s, without the journal's beginning" % table)


def check_unreachable(world):
    """Inputs that begin behind every snapshot: nothing is made up."""
    expire(world, {("checkins", 1): world.end_offset(world.prefix + "checkins", 1)})
    _, said = rebuild(world, "unreachable", status=1)
    holds("is left out: it has read checkins to " in said and "its inputs are gone" in said, "unreachable: %s", said)


def replay(world, *arguments, key=True, status=0):
    """What a replay prints as JSON, and what it says beside."""
    command = world.command("replay", *arguments, "-o", "json")
    if not key:
        at = next(i for i, word in enumerate(command) if word.startswith("privacy.subject_key_file"))
        del command[at - 1:at + 1]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    equal(done.returncode, status, "replay %s: %s: exit status" % (" ".join(arguments), done.stderr[-500:]))
    return json.loads(done.stdout), done.stderr


def clocks_of(world, batches):
    return {row["lane"]: row["clock"] for row in world.sql("SELECT lane, batch, (extract(epoch FROM clock_after) * 1000)::bigint AS clock FROM muster.journal WHERE kind = 'BATCH'")
            if row["batch"] == batches[row["lane"]]}


def check_from(world, directory, second):
    """What is asked for from a time on is decided from the snapshot before it, and comes out as it does
    from the beginning: without the key a replay begins there."""
    clocks = clocks_of(world, second)
    since = str(max(clocks.values()) + 1)
    report, _ = replay(world, "verify", "--from", since, "--database")
    whole, _ = replay(world, "verify", "--from", since, "--database", key=False)
    for lane, other in zip(report, whole):
        equal((lane["verdict"], lane["snapshot"], lane["journal_from"], other["snapshot"]), ("verified", second[lane["lane"]], 0, 0), "verified from a snapshot")
        for name in ("compared_from", "compared_to", "results", "topics", "devices", "chain", "undecided_offsets", "rows"):
            equal(lane[name], other[name], "lane %d, %s, from a snapshot" % (lane["lane"], name))
        holds(0 < lane["messages"] < other["messages"] and lane["devices"] > 0, "what was decided again: %s", lane)
    # At the snapshot's own time it could be too late.
    report, _ = replay(world, "verify", "--from", str(clocks[0]), "--lane", "0")
    holds(report[0]["snapshot"] < second[0], "begun with a snapshot that may have what was asked for behind it: %s", report)
    strict = os.path.join(directory, "strict.yaml")
    equal(replay(world, "what-if", "--policy", strict, "--from", since)[0], [], "under the policy that was in force")
    found, _ = replay(world, "what-if", "--policy", DEFAULT, "--from", since, status=1)
    equal(found, replay(world, "what-if", "--policy", DEFAULT, "--from", since, key=False, status=1)[0], "what if, from a snapshot")
    equal(replay(world, "what-if", "--policy", DEFAULT, "--from", since, "--summary", status=1)[0],
          replay(world, "what-if", "--policy", DEFAULT, "--from", since, "--summary", key=False, status=1)[0], "what if in numbers, from a snapshot")
    holds(found, "another policy makes no difference")
    done = subprocess.run(world.command("replay", "what-if", "--policy", DEFAULT, "--from", since), capture_output=True, text=True, timeout=300)
    for lane, batch in second.items():
        holds("lane %d: replayed from the snapshot of batch %d on" % (lane, batch) in done.stdout, "what it was replayed from: %s", done.stdout[-500:])


def check_from_expired(world, whole, second):
    """The log's beginning is gone: nothing is said of it, and the rest is verified and told."""
    report, _ = replay(world, "verify", status=1)
    equal([(lane["verdict"], lane["unverifiable_from"]) for lane in report], [("unverifiable", 1)] * 2, "from the beginning")
    report, _ = replay(world, "verify", "--from", str(max(clocks_of(world, second).values()) + 1), "--database")
    equal([(lane["verdict"], lane["snapshot"]) for lane in report], [("verified", second[lane["lane"]]) for lane in report], "from a time on")
    report, said = replay(world, "verify", "--from", str(START + 39 * HOUR), status=1)
    holds(all(lane["verdict"] == "unverifiable" and lane["snapshot"] == 0 for lane in report), "before what is left: %s", report)
    holds("is left out: it has read" in said, "a snapshot that nothing is left behind of: %s", said)
    for device, before in whole.items():
        told, _ = replay(world, "explain", device)
        begin = told.pop("begins_after")
        equal(begin["batch"], second[before["lane"]], "what %s is explained from" % device)
        steps = [step for step in before["steps"] if step["batch"] > begin["batch"]]
        equal(told["steps"], steps, "the steps of %s behind the snapshot" % device)
        equal(dict(told, steps=0), dict(before, steps=0), "what became of %s" % device)


def test(directory):
    world = _fleet.World(directory, "rebuild", lanes=2)
    second = {row["lane"]: row["batch"] for row in fill(world, directory)}
    original, lost = world.dsn, tables(world)
    holds(any(row["kind"] == 7 for row in lost["result_row"]) and len(lost["control_row"]) >= 14, "the history proves little")

    compare_all(world, lost, second)
    check_from(world, directory, second)
    check_damaged(world, lost)
    check_forged_control(world)
    kept = check_expired(world, directory, original, lost, second)
    check_results_expired(world, kept, second)
    check_journal_expired(world, kept, second)
    check_unreachable(world)


def compare_all(world, lost, second):
    report, said = rebuild(world, "whole")
    equal([(lane["snapshot"], lane["undated"], said) for lane in report], [(0, 0, said)] * 2, "a rebuild from the beginning")
    compare(tables(world), lost, "rebuilt from the beginning")
    for name, key in (("snapshot", True), ("keyless", False)):
        report, said = rebuild(world, name, "--from-snapshot", key=key)
        equal({lane["lane"]: lane["snapshot"] for lane in report}, second, "the snapshots that were begun with")
        made = tables(world)
        count = undated(made, lost, report, name)
        if not key:  # who has a role and no device is in no result: without the key nothing tells which address it is
            holds(all(row in lost["person"] for row in made["person"]), "somebody has another address without the key")
            holds(all(lane["nameless"] >= len(lost["person"]) - len(made["person"]) > 0 for lane in report), "people without an address: %s", report)
            made["person"] = lost["person"]
        compare(made, lost, "rebuilt from a snapshot (%s)" % name)
        equal([(lane["lost"], lane["unproved"]) for lane in report], [(0, 0)] * 2, "what was not brought back")
        print("%s: %s rows, %d dead letters of another time, the report: %s" % (name, {table: len(rows) for table, rows in lost.items()}, count, report))


_fleet.main(test)
