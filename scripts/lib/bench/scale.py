#!/usr/bin/env python3
"""What scripts/bench scale measures: what a start and an event cost with more and more devices."""
import random
import time

from confluent_kafka import Producer

import common
import load
import state

MINUTE = 60 * 1000
WINDOW = 20 * MINUTE  # of log time, for one run's messages
COLUMNS = (("start_seconds", "start s", "%8.1f"), ("load_seconds", "load s", "%8.1f"), ("start_cpu_seconds", "its CPU s", "%9.2f"),
           ("rss_mib", "RSS MiB", "%8.0f"), ("peak_mib", "peak MiB", "%8.0f"), ("events_per_s", "events/s", "%9.0f"),
           ("us_per_event", "us/event", "%8.2f"), ("cpu_us_per_event", "CPU us/event", "%12.2f"),
           ("postgres_us_per_event", "PG us", "%8.2f"), ("kafka_us_per_event", "Kafka us", "%8.2f"),
           ("wal_bytes_per_event", "WAL B", "%6.0f"), ("blocks_per_event", "blocks", "%7.2f"), ("results_per_event", "results", "%7.3f"))
# What the database wrote ahead, and the blocks that it did not find in its buffers.
DISK = """SELECT unnest(ARRAY[(SELECT wal_bytes FROM pg_stat_wal),
                             (SELECT blks_read FROM pg_stat_database WHERE datname = current_database())])"""
CURVES = (("cpu_us_per_event", "CPU of muster an event, us"), ("postgres_us_per_event", "CPU of PostgreSQL an event, us"),
          ("rss_mib", "memory, MiB"), ("start_seconds", "start, s"))
# A run of the one size to the same of the other.
RATIO = (10000000, 100000)


def producer(name):
    return Producer({"bootstrap.servers": common.KAFKA, "transactional.id": name, "transaction.timeout.ms": 900000, "linger.ms": 50,
                     "batch.size": 131072, "compression.type": "lz4", "queue.buffering.max.messages": 300000})


class Traffic:
    """Check-ins and reports of devices drawn at random; every sixth report changes its device's
    compliance, whatever came before, so that sizes differ in nothing but their size."""

    def __init__(self, place, fleet, count):
        self.place, self.fleet, self.count = place, fleet, count
        self.random, self.encode, self.is_compliant = random.Random(1), load.Encoder(), {}

    def visit(self, index, at):
        serial = "SN%08d" % index
        is_compliant = self.is_compliant.get(index, self.fleet.is_compliant_at_first(index))
        if self.random.randrange(6) == 0:
            is_compliant = not is_compliant
            self.is_compliant[index] = is_compliant
        head = {"occurred_at": at, "serial": serial, "os_version": "10.0.22631"}
        yield load.CHECKIN, dict(head, event_id=load.identity(self.random), trigger="SCHEDULED")
        yield load.REPORT, dict(head, event_id=load.identity(self.random), antivirus_enabled=True, antivirus_signatures_at=at - 24 * 60 * MINUTE,
                                disk_encrypted=is_compliant, screen_lock_pin_length=6)

    def send(self, number):
        """In a transaction, which is still open: nobody sees it yet."""
        client = producer("%s-traffic" % self.place.name)
        client.init_transactions(60)
        client.begin_transaction()
        start = self.fleet.clock_ms + number * WINDOW
        for visit in range(self.count // 2):
            at = start + visit * WINDOW // self.count * 2
            index = self.random.randrange(self.fleet.first, self.fleet.count)
            key = b"SN%08d" % index
            lane = load.partition_of(key, self.place.partitions)
            for topic, record in self.visit(index, at):
                while True:
                    try:
                        client.produce(self.place.prefix + load.TOPICS[topic], self.encode(topic, record), key, lane, timestamp=at)
                        break
                    except BufferError:
                        client.poll(0.05)
            client.poll(0)
        if client.flush(120):
            raise common.Failed("messages not delivered in 120 s")
        return client


def one_run(place, traffic, number, log):
    """The messages are there before muster starts to take them, all at once: a backlog."""
    with common.Running(place, log) as muster:
        to_assignment, load_seconds = muster.wait_taken()
        start_cpu = common.cpu_seconds(muster.pid)
        client = traffic.send(number)
        muster.wait_quiet()
        rss = common.memory_mib(muster.pid, "VmRSS")
        messages, results = muster.metric("muster_messages_total"), muster.metric("muster_results_total")
        disk = place.query(DISK)
        spent, began = common.Spent(muster.pid), time.monotonic()
        client.commit_transaction(60)
        wanted = messages + traffic.count
        while muster.metric("muster_messages_total") < wanted:
            time.sleep(max(0.05, (time.monotonic() - began) / 50))  # asking costs muster something, too
            if time.monotonic() - began > 1800:
                raise common.Failed("%d messages not taken in half an hour" % traffic.count)
        seconds = time.monotonic() - began
        muster.wait_quiet()
        cost = {name: value / traffic.count * 1e6 for name, value in spent.now().items()}
        wal_bytes, blocks = (float(after - before) / traffic.count for after, before in zip(place.query(DISK), disk))
        return {"start_seconds": to_assignment + load_seconds, "load_seconds": load_seconds, "start_cpu_seconds": start_cpu, "rss_mib": rss,
                "peak_mib": common.memory_mib(muster.pid, "VmHWM"), "events_per_s": traffic.count / seconds,
                "us_per_event": seconds / traffic.count * 1e6, "cpu_us_per_event": cost["cpu_seconds"],
                "postgres_us_per_event": cost["postgres_cpu_seconds"], "kafka_us_per_event": cost["kafka_cpu_seconds"],
                "wal_bytes_per_event": wal_bytes, "blocks_per_event": blocks,
                "results_per_event": (muster.metric("muster_results_total") - results) / traffic.count}


def draw(by_size):
    """What grows with a fleet, a bar for each size; the longest of a figure has 40 characters."""
    for name, title in CURVES:
        most = max(median[name] for median in by_size.values())
        print(title)
        for size in sorted(by_size):
            value = by_size[size][name]
            print("%10d %-40s %.4g" % (size, "#" * round(40 * value / most), value))


def one_size(size, options, table):
    place = common.Place("scale_%d" % size, options.partitions)
    place.make()
    began = time.monotonic()
    fleet = state.Fleet(place, size)
    print("%d devices made in %.0f s" % (size, time.monotonic() - began), flush=True)
    traffic, runs = Traffic(place, fleet, options.events), []
    for number in range(options.runs):
        runs.append(one_run(place, traffic, number, options.log))
        table.show("%d" % size, runs[-1])
    place.drop()
    return {"devices": size, "runs": runs, "median": common.median(runs)}


def measure(options):
    table = common.Table("devices", COLUMNS)
    sizes = [one_size(size, options, table) for size in options.sizes]
    print("medians")
    by_size = {}
    for size in sizes:
        by_size[size["devices"]] = size["median"]
        table.show("%d" % size["devices"], size["median"])
    draw(by_size)
    found = {"curve": sizes}
    if all(size in by_size for size in RATIO):
        large, small = (by_size[size]["cpu_us_per_event"] for size in RATIO)
        found["cpu_ratio"] = large / small
        print("CPU of an event at %d devices to that at %d: %.2f" % (*RATIO, large / small))
    return found


if __name__ == "__main__":
    common.main("scale", measure, {"sizes": (common.numbers, [10000, 100000, 1000000, 10000000]), "events": (int, 400000), "runs": (int, 3)})
