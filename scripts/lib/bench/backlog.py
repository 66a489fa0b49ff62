#!/usr/bin/env python3
"""What scripts/bench backlog measures: how fast a fleet's log is worked off."""
import json
import os
import subprocess
import time

import common
import load
import state

PREFIX = "bench."
INPUTS = [PREFIX + topic for topic in load.TOPICS]
COLUMNS = (("messages_per_s", "messages/s", "%11.0f"), ("seconds", "seconds", "%8.2f"), ("floor_messages_per_s", "floor/s", "%11.0f"),
           ("share_of_floor", "share", "%7.3f"), ("cpu_seconds", "CPU s", "%7.2f"), ("floor_cpu_seconds", "floor CPU s", "%12.2f"),
           ("cpu_share", "x floor CPU", "%12.2f"), ("postgres_cpu_seconds", "PG CPU s", "%9.2f"),
           ("kafka_cpu_seconds", "Kafka CPU s", "%12.2f"), ("rss_mib", "peak MiB", "%9.0f"), ("results", "results", "%9d"),
           ("wall_seconds", "process s", "%10.2f"))


def work_off(place, log_file):
    """One run of muster. Its usage is the kernel's; the peak of memory is its own high-water
    mark, since the usage counts in what the parent held when it began."""
    began, rss_mib, spent = time.monotonic(), 0, common.Spent()
    with open(log_file, "ab") as log:
        process = subprocess.Popen(place.command("run", "--until-caught-up", "-o", "json"), stdout=subprocess.PIPE, stderr=log)
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        rss_mib = max(rss_mib, common.memory_mib(process.pid, "VmHWM"))
        time.sleep(0.02)
    wall, others = time.monotonic() - began, spent.now()
    line = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise common.Failed("muster run: exit %d" % process.returncode)
    return dict(json.loads(line), wall_seconds=wall, cpu_seconds=usage.ru_utime + usage.ru_stime, rss_mib=rss_mib, **others)


def check(run, place, sent):
    """A number that is quick and wrong is no number."""
    if run["messages"] != sent:
        raise common.Failed("%d messages taken of %d" % (run["messages"], sent))
    rows = place.query("SELECT count(*) FROM muster.results")[0]
    if rows != run["results"]:
        raise common.Failed("%d results in the database of %d" % (rows, run["results"]))


def one_run(number, options, sent):
    """From nothing: empty outputs, another group and another database. The inputs stay, and lie in
    the broker's cache as before."""
    place = common.Place("bench_%d" % number, options.partitions, PREFIX)
    place.make()
    floors = [common.floor_of(INPUTS)]
    run = work_off(place, options.log)
    floors.append(common.floor_of(INPUTS))
    check(run, place, sent)
    place.drop("control", "commands", *load.TOPICS)
    floor = min(floors, key=lambda f: f["seconds"])
    run["messages_per_s"] = run["messages"] / run["seconds"]
    run["floor_messages_per_s"] = floor["messages"] / floor["seconds"]
    run["floor_cpu_seconds"] = min(f["cpu_seconds"] for f in floors)
    run["share_of_floor"] = run["messages_per_s"] / run["floor_messages_per_s"]
    run["cpu_share"] = run["cpu_seconds"] / run["floor_cpu_seconds"]
    return run


def measure(options):
    common.Place("bench", options.partitions).make_topics()
    sent = state.send(PREFIX, options.devices, options.rounds)
    count = sum(sent["messages"].values())
    print("%d messages of %d devices, sent in %.1f s" % (count, options.devices, sent["seconds"]))
    table, runs = common.Table("run", COLUMNS), []
    for number in range(1, options.runs + 1):
        runs.append(one_run(number, options, count))
        table.show("%d" % number, runs[-1])
    median = common.median(runs)
    table.show("median", median)
    return {"messages": count, "runs": runs, "median": median}


if __name__ == "__main__":
    common.main("backlog", measure, {"devices": (int, 100000), "rounds": (int, 10), "runs": (int, 3)})
