#!/usr/bin/env python3
"""What scripts/bench backlog measures: how fast a fleet's log is worked off."""
import json
import os
import subprocess
import time
import uuid

import common
import load
import state

PREFIX = "bench."
WARM_UP_RUNS = 3  # then a broker's figures no longer fall
INPUTS = [PREFIX + topic for topic in load.TOPICS]
COLUMNS = (("messages_per_s", "messages/s", "%11.0f"), ("seconds", "seconds", "%8.2f"), ("floor_messages_per_s", "floor/s", "%11.0f"),
           ("share_of_floor", "share", "%7.3f"), ("cpu_seconds", "CPU s", "%7.2f"), ("floor_cpu_seconds", "floor CPU s", "%12.2f"),
           ("cpu_share", "x floor CPU", "%12.2f"), ("postgres_cpu_seconds", "PG CPU s", "%9.2f"),
           ("kafka_cpu_seconds", "Kafka CPU s", "%12.2f"), ("rss_mib", "peak MiB", "%9.0f"), ("results", "results", "%9d"),
           ("wall_seconds", "process s", "%10.2f"))


def start(place, number, log):
    return subprocess.Popen(place.command("run", "--until-caught-up", "-o", "json", member=number), stdout=subprocess.PIPE, stderr=log)


def end(process):
    """What it says, and the kernel's account of it."""
    line = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise common.Failed("muster run: exit %d" % process.returncode)
    return json.loads(line), usage.ru_utime + usage.ru_stime


def work_off(place, log_file, count=1):
    """One run of muster, in so many processes that share the lanes. The peak of memory is their own
    high-water mark, since the kernel's account counts in what the parent held when they began."""
    began, peaks, spent = time.monotonic(), [0] * count, common.Spent()
    with open(log_file, "ab") as log:
        processes = [start(place, number, log) for number in range(count)]
    left = set(range(count))
    while left:
        for number in left:
            peaks[number] = max(peaks[number], common.memory_mib(processes[number].pid, "VmHWM"))
        left = {number for number in left if os.waitid(os.P_PID, processes[number].pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None}
        time.sleep(0.02)
    wall, others = time.monotonic() - began, spent.now()
    said, cpu_seconds = zip(*(end(process) for process in processes))
    total = {name: sum(line[name] for line in said) for name in ("messages", "results", "dead_letters")}
    return dict(total, seconds=max(line["seconds"] for line in said), wall_seconds=wall, cpu_seconds=sum(cpu_seconds), rss_mib=sum(peaks), **others)


def put_in_force(place, policy):
    """The policy is the first message of the log, so that all of it is decided under it."""
    shown = subprocess.run(place.command("policy", "check", policy), check=True, capture_output=True, text=True).stdout
    version, digest = shown.split("version ")[1].split(",")[0], shown.split("sha256 ")[1].split()[0]
    with open(policy, encoding="utf-8") as f:
        line = {"topic": "control", "record": "Policy", "timestamp": 1, "event_id": str(uuid.uuid4()), "occurred_at": 1,
                "version": version, "hash": digest, "text": f.read()}
    subprocess.run(place.command("produce", "-"), check=True, input=json.dumps(line) + "\n", text=True)


def check(run, place, sent):
    """A number that is quick and wrong is no number."""
    if run["messages"] != sent:
        raise common.Failed("%d messages taken of %d" % (run["messages"], sent))
    rows = place.query("SELECT count(*) FROM muster.results")[0]
    if rows != run["results"]:
        raise common.Failed("%d results in the database of %d" % (rows, run["results"]))


def one_run(number, options, sent, policy=""):
    """From nothing: empty outputs, another group and another database. The inputs stay, and lie in
    the broker's cache as before."""
    place = common.Place("bench_%d" % number if number > 0 else "bench_warm_%d" % -number, options.partitions, PREFIX)
    place.make()
    if policy:
        put_in_force(place, policy)
        sent += options.partitions  # every lane takes it
    floors = [common.floor_of(INPUTS)]
    run = work_off(place, options.log, options.processes)
    floors.append(common.floor_of(INPUTS))
    check(run, place, sent)
    place.drop(*load.TOPICS)
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
    for number in range(1, WARM_UP_RUNS + 1) if options.broker == "warm" else ():
        table.show("warm-up %d" % number, one_run(-number, options, count))
    for number in range(1, options.runs + 1):
        runs.append(one_run(number, options, count))
        table.show("%d" % number, runs[-1])
    median = common.median(runs)
    table.show("median", median)
    found = {"messages": count, "runs": runs, "median": median}
    if options.policy:
        found["under_policy"] = compare(options, count, table, median)
    return found


def compare(options, count, table, median):
    """The same under another policy, and what it costs: results are others, too."""
    runs = []
    for number in range(options.runs + 1, 2 * options.runs + 1):
        runs.append(one_run(number, options, count, options.policy))
        table.show("policy %d" % number, runs[-1])
    under = common.median(runs)
    table.show("median", under)
    ratios = {name: under[name] / median[name] for name in ("seconds", "cpu_seconds", "postgres_cpu_seconds", "kafka_cpu_seconds", "results")}
    print("under %s, to the default policy: %s" % (os.path.basename(options.policy), ", ".join("%s %.2f" % ratio for ratio in ratios.items())))
    return {"runs": runs, "median": under, "ratios": ratios}


if __name__ == "__main__":
    common.main("backlog", measure, {"devices": (int, 100000), "rounds": (int, 10), "runs": (int, 3), "policy": (str, ""), "processes": (int, 1)})
