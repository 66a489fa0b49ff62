#!/usr/bin/env python3
"""What scripts/bench idle measures: what muster takes, caught up and without traffic."""
import time

import common
import state

SETTLE_SECONDS = 10  # memory given back, the group's first heartbeats
COLUMNS = (("cpu_seconds", "CPU s", "%7.2f"), ("cpu_percent", "% of a core", "%12.2f"), ("postgres_cpu_seconds", "PG CPU s", "%9.2f"),
           ("kafka_cpu_seconds", "Kafka CPU s", "%12.2f"), ("rss_mib", "RSS MiB", "%8.0f"), ("peak_mib", "peak MiB", "%9.0f"))


def one_run(place, options):
    with common.Running(place, options.log) as muster:
        muster.wait_taken()
        time.sleep(SETTLE_SECONDS)
        spent = common.Spent(muster.pid)
        time.sleep(options.seconds)
        cost = spent.now()
        return dict(cost, cpu_percent=cost["cpu_seconds"] / options.seconds * 100, rss_mib=common.memory_mib(muster.pid, "VmRSS"),
                    peak_mib=common.memory_mib(muster.pid, "VmHWM"))


def measure(options):
    place = common.Place("idle", options.partitions)
    place.make()
    state.Fleet(place, options.devices)
    table, runs = common.Table("%d s" % options.seconds, COLUMNS), []
    for number in range(1, options.runs + 1):
        runs.append(one_run(place, options))
        table.show("%d" % number, runs[-1])
    median = common.median(runs)
    table.show("median", median)
    place.drop()
    return {"runs": runs, "median": median}


if __name__ == "__main__":
    common.main("idle", measure, {"devices": (int, 1000000), "seconds": (int, 60), "runs": (int, 3)})
