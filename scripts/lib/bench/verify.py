#!/usr/bin/env python3
"""What scripts/bench verify measures: how fast a log is decided again and compared with what was
emitted, beside a pass that decides it and does nothing else; and what memory that takes, at two
lengths of the log."""
import json
import os
import subprocess
import time

import common
import state

COLUMNS = (("decide_per_s", "decide only/s", "%13.0f"), ("verify_per_s", "verify/s", "%10.0f"), ("ratio", "ratio", "%6.2f"),
           ("decide_seconds", "decide s", "%8.2f"), ("verify_seconds", "verify s", "%8.2f"),
           ("decide_cpu_seconds", "decide CPU s", "%12.2f"), ("verify_cpu_seconds", "verify CPU s", "%12.2f"),
           ("verify_rss_mib", "verify peak MiB", "%15.0f"), ("load", "load", "%5.1f"))


def watched(command):
    """What it printed, with seconds, CPU seconds and the peak of memory of its own."""
    began, rss_mib = time.monotonic(), 0
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        rss_mib = max(rss_mib, common.memory_mib(process.pid, "VmHWM"))
        time.sleep(0.02)
    seconds, text, words = time.monotonic() - began, process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise common.Failed("%s: exit %d: %s" % (" ".join(command[:3]), process.returncode, (text + words).decode()[-500:]))
    return json.loads(text), seconds, usage.ru_utime + usage.ru_stime, rss_mib


def decide_only(place, jobs, sent):
    """The log decided again and nothing else: seconds, CPU seconds and the peak of memory."""
    settings = [word for word in place.command() if "=" in word]
    decided, seconds, cpu, rss = watched([common.BIN + "/decide_only", str(jobs), *settings])
    if decided["messages"] != sent:
        raise common.Failed("%d messages decided of %d" % (decided["messages"], sent))
    return seconds, cpu, rss


def one_pair(place, jobs, sent):
    """Both, one after the other: the same log in the same caches."""
    load = os.getloadavg()[0]
    seconds, cpu, rss = decide_only(place, jobs, sent)
    run = {"decide_seconds": seconds, "decide_cpu_seconds": cpu, "decide_rss_mib": rss, "load": load}
    lanes, seconds, cpu, rss = watched(place.command("replay", "verify", "--jobs", jobs, "-o", "json"))
    if sum(lane["messages"] for lane in lanes) != sent or {lane["verdict"] for lane in lanes} != {"verified"}:
        raise common.Failed("not all is verified: %s" % lanes)
    run.update({"verify_seconds": seconds, "verify_cpu_seconds": cpu, "verify_rss_mib": rss,
                "results": sum(lane["results"] for lane in lanes)})
    run["decide_per_s"], run["verify_per_s"] = sent / run["decide_seconds"], sent / run["verify_seconds"]
    run["ratio"] = run["verify_per_s"] / run["decide_per_s"]
    return run


def make_log(name, options, rounds):
    """A log that is decided and published; what was sent."""
    place = common.Place(name, options.partitions)
    place.make()
    sent = sum(state.send(place.prefix, options.devices, rounds)["messages"].values())
    common.run_quietly(*place.command("run", "--until-caught-up"))
    print("%s: %d messages of %d devices" % (name, sent, options.devices))
    return place, sent


def measure(options):
    with common.subject_key():
        found = {}
        table = None
        for name, rounds in (("short", max(1, options.rounds // 5)), ("long", options.rounds)):
            place, sent = make_log(name, options, rounds)
            table = table or common.Table("log, run", COLUMNS)
            runs = []
            for number in range(1, options.runs + 1):
                runs.append(one_pair(place, options.jobs, sent))
                table.show("%s %d" % (name, number), runs[-1])
            found[name] = {"messages": sent, "runs": runs, "median": common.median(runs)}
            table.show(name, found[name]["median"])
            place.drop()
        return found


if __name__ == "__main__":
    common.main("verify", measure, {"devices": (int, 100000), "rounds": (int, 10), "runs": (int, 3), "jobs": (int, os.cpu_count())})
