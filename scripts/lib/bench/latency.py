#!/usr/bin/env python3
"""What scripts/bench latency measures: from producing a report to reading its result."""
import json

import common
import load
import state

WARM_UP_SECONDS = 120  # of a broker that is to be warm
SKIP_SECONDS = 5  # connections, and muster's first batches
COLUMNS = (("reports_per_s", "reports/s", "%9.0f"), ("p50_ms", "p50 ms", "%7.1f"), ("p90_ms", "p90", "%7.1f"), ("p99_ms", "p99", "%7.1f"),
           ("p999_ms", "p99.9", "%7.1f"), ("max_ms", "max", "%7.1f"), ("ack_p50_ms", "ack p50", "%8.1f"), ("ack_p99_ms", "p99", "%7.1f"),
           ("behind_ms", "late ms", "%8.1f"), ("lost", "lost", "%5d"),
           ("batches_per_s", "batches/s", "%9.1f"), ("cpu_share", "of a core", "%9.3f"), ("postgres_cpu_share", "PG", "%6.3f"),
           ("kafka_cpu_share", "Kafka", "%6.3f"), ("rss_mib", "RSS MiB", "%8.0f"))


def one_run(rate, number, seconds, options):
    place = common.Place("latency_%d_%d" % (rate, number), options.partitions)
    place.make()
    fleet = state.Fleet(place, options.devices, noncompliant_every=0)
    head = load.load_schema("ComplianceReport")[1].hex()
    with common.Running(place, options.log) as muster:
        muster.wait_taken()
        muster.wait_quiet()
        batches, spent = muster.metric("muster_batches_total"), common.Spent(muster.pid)
        run = json.loads(common.run_quietly(common.BIN + "/latency_probe", common.KAFKA, place.prefix, head, fleet.first, fleet.count,
                                            rate, seconds, min(SKIP_SECONDS, seconds // 2)))
        muster.wait_quiet()
        cost = spent.now()
        seconds = run["reports"] / run["rate"]
        run.update(reports_per_s=run["rate"], batches_per_s=(muster.metric("muster_batches_total") - batches) / seconds,
                   cpu_share=cost["cpu_seconds"] / seconds, postgres_cpu_share=cost["postgres_cpu_seconds"] / seconds,
                   kafka_cpu_share=cost["kafka_cpu_seconds"] / seconds, rss_mib=common.memory_mib(muster.pid, "VmRSS"))
    place.drop()
    return run


def measure(options):
    table, rates = common.Table("rate", COLUMNS), []
    if options.broker == "warm":
        table.show("warm-up", one_run(options.rates[0], options.runs, WARM_UP_SECONDS, options))
    for rate in options.rates:
        runs = []
        for number in range(options.runs):
            runs.append(one_run(rate, number, options.seconds, options))
            table.show("%d" % rate, runs[-1])
        rates.append({"rate": rate, "runs": runs, "median": common.median(runs)})
    print("medians")
    for rate in rates:
        table.show("%d" % rate["rate"], rate["median"])
    return {"latency": rates}


if __name__ == "__main__":
    common.main("latency", measure, {"rates": (common.numbers, [2000, 20000]), "seconds": (int, 30), "devices": (int, 20000), "runs": (int, 3)})
