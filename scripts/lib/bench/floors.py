#!/usr/bin/env python3
"""What scripts/bench floors measures: what the parts of a backlog cost when nothing else is done, each
by the shortest way there is with these servers and clients, beside the whole job. What the parts
take together no program of this kind goes below."""
import io
import json
import os
import subprocess

import psycopg

import backlog
import common
import load
import state
import verify

TABLES = ("person", "device_row", "device_block", "result_row")
OUTPUTS = ("compliance-changes", "notifications", "access-decisions", "tickets", "licenses", "actions", "audit", "dead-letters", "devices", "journal")
PARTS = (("job", "the job"), ("read", "read"), ("decide", "read, decide"), ("publish", "publish"), ("store", "store"), ("floor", "the parts"))
COLUMNS = (("cpu_seconds", "CPU s", "%7.2f"), ("postgres_cpu_seconds", "PG CPU s", "%9.2f"), ("kafka_cpu_seconds", "Kafka CPU s", "%12.2f"),
           ("total", "together", "%9.2f"))


def part(spent=None, cpu_seconds=0.0):
    row = dict(spent.now() if spent else {"postgres_cpu_seconds": 0.0, "kafka_cpu_seconds": 0.0}, cpu_seconds=cpu_seconds)
    return with_total(row)


def with_total(row):
    return dict(row, total=sum(row[name] for name, _, _ in COLUMNS[:3]))


def floor_of_reading():
    spent = common.Spent()
    found = common.floor_of(backlog.INPUTS)
    return dict(part(spent, found["cpu_seconds"]), messages_per_s=found["messages"] / found["seconds"])


def floor_of_deciding(place, sent):
    """Reading, merging, decoding and deciding, as a replay does; the broker's share is that of reading."""
    _, cpu_seconds, _ = verify.decide_only(place, place.partitions, sent)
    return part(cpu_seconds=cpu_seconds)


def floor_of_publishing(place, other):
    """The records that the run has published, once more, in as many transactions as it had batches."""
    batches = place.query("SELECT count(*) FROM muster.journal_row")[0]
    command = (common.BIN + "/publish_floor", common.KAFKA, max(1, round(batches / place.partitions)), place.prefix, other.prefix, *OUTPUTS)
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if process.stdout.readline() != "read\n":
        raise common.Failed("publish_floor: exit %d" % process.wait())
    spent = common.Spent()
    said = process.communicate("\n")[0]
    if process.returncode != 0:
        raise common.Failed("publish_floor: exit %d" % process.returncode)
    found = json.loads(said)
    return dict(part(spent, found["cpu_seconds"]), records=found["records"], transactions=found["transactions"])


def floor_of_storing(place, other):
    """The rows as they are in the end, once each, by COPY into the tables of another database."""
    copies = {}
    with psycopg.connect(place.dsn) as connection:
        for table in TABLES:
            copies[table] = io.BytesIO()
            with connection.cursor().copy("COPY muster.%s TO STDOUT (FORMAT binary)" % table) as copy:
                for piece in copy:
                    copies[table].write(piece)
    spent = common.Spent()
    with psycopg.connect(other.dsn) as connection:
        for table, rows in copies.items():
            with connection.cursor().copy("COPY muster.%s FROM STDIN (FORMAT binary)" % table) as copy:
                copy.write(rows.getbuffer())
    return part(spent)


def one_run(number, options, sent):
    place = common.Place("floors_%d" % number, options.partitions, backlog.PREFIX)
    other = common.Place(place.name + "_again", place.partitions)
    place.make()
    other.make()
    parts = {"read": floor_of_reading()}
    run = backlog.work_off(place, options.log)
    backlog.check(run, place, sent)
    parts["job"] = with_total({name: run[name] for name, _, _ in COLUMNS[:3]})
    parts["decide"], parts["publish"] = floor_of_deciding(place, sent), floor_of_publishing(place, other)
    parts["store"] = floor_of_storing(place, other)
    other.drop()
    place.drop(*load.TOPICS)
    floor = {name: sum(parts[of][name] for of in ("decide", "publish", "store")) for name, _, _ in COLUMNS[:3]}
    floor["kafka_cpu_seconds"] += parts["read"]["kafka_cpu_seconds"]
    parts["floor"] = with_total(floor)
    return parts


def measure(options):
    with common.subject_key():
        common.Place("bench", options.partitions).make_topics()
        sent = sum(state.send(backlog.PREFIX, options.devices, options.rounds)["messages"].values())
        print("%d messages of %d devices" % (sent, options.devices))
        table, runs = common.Table("part", COLUMNS), []
        for number in range(1, options.runs + 1):
            runs.append(one_run(number, options, sent))
    medians = {}
    for name, title in PARTS:
        medians[name] = common.median([run[name] for run in runs])
        table.show(title, medians[name])
    seconds = medians["floor"]["total"] / os.cpu_count()
    share = sent / seconds / medians["read"]["messages_per_s"]
    print("the parts on %d processors that nothing else uses, none idle: %.2f s, a share of %.3f of the floor" % (os.cpu_count(), seconds, share))
    return {"messages": sent, "runs": runs, "median": medians, "share": share}


if __name__ == "__main__":
    common.main("floors", measure, {"devices": (int, 100000), "rounds": (int, 10), "runs": (int, 3)})
