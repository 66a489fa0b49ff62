#!/usr/bin/env python3
"""usage: backlog.py --floor PROGRAM --log FILE [--devices N] [--rounds R] [--partitions P] [--runs K] [--json FILE]

What scripts/bench backlog measures, with MUSTER, KAFKA and PG from its environment."""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

import psycopg
from confluent_kafka.admin import AdminClient

import load

MUSTER, KAFKA, PG = os.environ["MUSTER"], os.environ["KAFKA"], os.environ["PG"]
PREFIX = "bench."
INPUTS = [PREFIX + topic for topic in load.TOPICS]
NOT_OUTPUTS = {PREFIX + topic for topic in (*load.TOPICS, "control", "commands")}
# name, title, format
COLUMNS = (("messages_per_s", "messages/s", "%11.0f"), ("seconds", "seconds", "%8.2f"), ("floor_messages_per_s", "floor/s", "%11.0f"),
           ("share_of_floor", "share", "%7.3f"), ("cpu_seconds", "CPU s", "%7.2f"), ("floor_cpu_seconds", "floor CPU s", "%12.2f"),
           ("cpu_share", "x floor CPU", "%12.2f"), ("rss_mib", "peak MiB", "%9.0f"), ("results", "results", "%9d"),
           ("wall_seconds", "process s", "%10.2f"))


class Failed(Exception):
    pass


def machine():
    """Where the numbers come from, without which they say nothing."""
    facts = {"system": "%s %s" % (platform.system(), platform.release()), "processors": os.cpu_count(),
             "load_average": os.getloadavg()[0]}
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        facts["processor"] = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), platform.machine())
    with open("/proc/meminfo", encoding="ascii") as f:
        facts["memory_gib"] = round(int(f.readline().split()[1]) / 1048576, 1)
    return facts


def command(group, dsn, *arguments):
    settings = ("kafka.bootstrap_servers=" + KAFKA, "kafka.topic_prefix=" + PREFIX, "kafka.group_id=" + group, "postgres.dsn=" + dsn,
                "http.listen=off", "log.level=warning")
    return [MUSTER, *arguments, *(word for setting in settings for word in ("--set", setting))]


def run_quietly(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed("%s: exit %d: %s" % (" ".join(words[:3]), done.returncode, (done.stderr or done.stdout)[-500:]))
    return done.stdout


def empty_outputs(admin, group, dsn, partitions):
    """The outputs of the last run go; the inputs stay, and lie in the broker's cache as before."""
    present = set(admin.list_topics(timeout=20).topics)
    outputs = [topic for topic in present if topic.startswith(PREFIX) and topic not in NOT_OUTPUTS]
    if outputs:
        for future in admin.delete_topics(outputs).values():
            future.result()
    deadline = time.monotonic() + 60
    while set(admin.list_topics(timeout=20).topics) & set(outputs):
        if time.monotonic() > deadline:
            raise Failed("topics that were deleted are still there")
        time.sleep(0.2)
    run_quietly(*command(group, dsn, "topics", "create", "--partitions", str(partitions)))


def start_over(admin, number, partitions):
    """(group, database) of a run that begins from nothing"""
    group = "bench_%d" % number
    with psycopg.connect(PG, autocommit=True) as connection:
        connection.execute('DROP DATABASE IF EXISTS "bench_%d"' % (number - 1))
        connection.execute('CREATE DATABASE "%s"' % group)
        connection.execute("CHECKPOINT")
    dsn = " ".join(word for word in PG.split() if not word.startswith("dbname=")) + " dbname=" + group
    empty_outputs(admin, group, dsn, partitions)
    run_quietly(*command(group, dsn, "migrate"))
    return group, dsn


def high_water_kib(pid):
    try:
        with open("/proc/%d/status" % pid, encoding="ascii") as f:
            return next((int(line.split()[1]) for line in f if line.startswith("VmHWM:")), 0)
    except OSError:
        return 0


def measure(group, dsn, log):
    """One run of muster. Its usage is the kernel's; the peak of memory is its own high-water
    mark, since the usage counts in what the parent held when it began."""
    began, rss_kib = time.monotonic(), 0
    process = subprocess.Popen(command(group, dsn, "run", "--until-caught-up", "-o", "json"), stdout=subprocess.PIPE, stderr=log)
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        rss_kib = max(rss_kib, high_water_kib(process.pid))
        time.sleep(0.02)
    wall = time.monotonic() - began
    line = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed("muster run: exit %d" % process.returncode)
    return dict(json.loads(line), wall_seconds=wall, cpu_seconds=usage.ru_utime + usage.ru_stime, rss_mib=rss_kib / 1024)


def check(run, dsn, sent):
    """A number that is quick and wrong is no number."""
    if run["messages"] != sent:
        raise Failed("%d messages taken of %d" % (run["messages"], sent))
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT count(*) FROM muster.results").fetchone()[0]
    if rows != run["results"]:
        raise Failed("%d results in the database of %d" % (rows, run["results"]))


def floor_of(program):
    return json.loads(run_quietly(program, KAFKA, *INPUTS))


def one_run(admin, number, options, sent):
    group, dsn = start_over(admin, number, options.partitions)
    floors = [floor_of(options.floor)]
    with open(options.log, "ab") as log:
        run = measure(group, dsn, log)
    floors.append(floor_of(options.floor))
    check(run, dsn, sent)
    floor = min(floors, key=lambda f: f["seconds"])
    run["messages_per_s"] = run["messages"] / run["seconds"]
    run["floor_messages_per_s"] = floor["messages"] / floor["seconds"]
    run["floor_cpu_seconds"] = min(f["cpu_seconds"] for f in floors)
    run["share_of_floor"] = run["messages_per_s"] / run["floor_messages_per_s"]
    run["cpu_share"] = run["cpu_seconds"] / run["floor_cpu_seconds"]
    return run


def show_row(title, run):
    print("%-7s %s" % (title, " ".join(form % run[name] for name, _, form in COLUMNS)), flush=True)


def show_head():
    widths = [len(form % 0) for _, _, form in COLUMNS]
    print("%-7s %s" % ("", " ".join(title.rjust(width) for (_, title, _), width in zip(COLUMNS, widths))), flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--floor", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--devices", type=int, default=100000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json")
    options = parser.parse_args()

    where = machine()
    print("%(processors)d x %(processor)s, %(memory_gib).1f GiB, %(system)s, load %(load_average).1f" % where)
    run_quietly(*command("bench", PG, "topics", "create", "--partitions", str(options.partitions)))
    sent = load.load(load.parse([KAFKA, "--prefix", PREFIX, "--devices", str(options.devices), "--rounds", str(options.rounds)]))
    count = sum(sent["messages"].values())
    print("%d messages of %d devices, sent in %.1f s" % (count, options.devices, sent["seconds"]))

    admin, runs = AdminClient({"bootstrap.servers": KAFKA}), []
    show_head()
    for number in range(1, options.runs + 1):
        runs.append(one_run(admin, number, options, count))
        show_row("run %d" % number, runs[-1])
    median = {name: statistics.median(run[name] for run in runs) for name, _, _ in COLUMNS}
    show_row("median", median)

    report = {"bench": "backlog", "machine": where, "devices": options.devices, "rounds": options.rounds, "partitions": options.partitions,
              "messages": count, "runs": runs, "median": median}
    if options.json:
        with open(options.json, "w", encoding="utf-8") as f:
            json.dump(report, f, indent=2)
            f.write("\n")
    else:
        print(json.dumps(report))


try:
    main()
except Failed as failure:
    print("backlog: %s" % failure, file=sys.stderr)
    sys.exit(1)
