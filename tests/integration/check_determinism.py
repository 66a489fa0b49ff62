"""The same log processed again and again from empty, with other batches, pauses and deaths:
the same numbered results byte for byte, and while the batches are the same, the same chain."""
import random
import signal
import time

import _fleet
from _fleet import equal, holds

LOAD = ("--devices", 1500, "--rounds", 8, "--seed", 21, "--odd", 0.3, "--damage", 0.02, "--traceparent", 0.2)


def run_through(world, settings):
    world.run(*settings)


def run_with_pauses(world, settings):
    """Stopped for longer than it lingers over a batch, and again and again."""
    run, rnd = world.start(*settings), random.Random(1)
    while run.watch():
        time.sleep(rnd.uniform(0.005, 0.08))
        if run.watch():
            run.signal(signal.SIGSTOP)
            time.sleep(rnd.uniform(0.01, 0.3))
            run.signal(signal.SIGCONT)
    run.finish()


def run_with_deaths(world, settings):
    """Killed at moments spread over the work, then left to end it."""
    rnd = random.Random(2)
    for _ in range(6):
        run = world.start(*settings)
        grown = journal_end(world) + rnd.randrange(1, 40)
        deadline = time.monotonic() + rnd.uniform(5, 8)
        while run.watch() and journal_end(world) < grown and time.monotonic() < deadline:
            time.sleep(0.005)
        run.kill()
    world.run(*settings)


def journal_end(world):
    return sum(max(0, world.end_offset(world.prefix + "journal", lane)) for lane in range(world.lanes))


RUNS = (
    ("batches of 1000", run_through, ("batch.messages_max=1000",)),
    ("batches of 1000 again", run_through, ("batch.messages_max=1000",)),
    ("batches of 1000, with pauses", run_with_pauses, ("batch.messages_max=1000",)),
    ("batches of 1000, with deaths", run_with_deaths, ("batch.messages_max=1000",)),
    ("batches of 7", run_through, ("batch.messages_max=7",)),
    ("batches of 64 KiB, with deaths", run_with_deaths, ("batch.bytes_max=65536",)),
    ("as it comes", run_through, ()),
)


def bytes_of(world, lane):
    """By number: topic, timestamp, key, value and headers as they stand there."""
    found = {}
    for seq, (topic, record) in _fleet.results_of(world, lane, raw=True).items():
        found[seq] = (topic, *record[1:])
    return found


def same_batch(a, b):
    return all(a[name] == b[name] for name in ("batch", "first_seq", "last_seq", "ranges", "cursors", "not_believed"))


def compare_chains(first, second):
    """While the batches are the same, so are the chains; returns for how many."""
    same = 0
    for a, b in zip(first, second):
        if not same_batch(a, b):
            break
        equal(b["digests"], a["digests"], "digests of lane %d, batch %d" % (a["lane"], a["batch"]))
        same += 1
    return same


def test(directory):
    world = _fleet.World(directory, "again", lanes=2)
    world.load(*LOAD)
    first_results, first_batches = None, None
    for number, (name, run, settings) in enumerate(RUNS):
        if number > 0:
            world.renew()
        run(world, settings)
        _fleet.check_everything(world)
        results = [bytes_of(world, lane) for lane in range(world.lanes)]
        batches = [[r for r in _fleet.journal_of(world, lane) if r["kind"] == "BATCH"] for lane in range(world.lanes)]
        if number == 0:
            first_results, first_batches = results, batches
        for lane in range(world.lanes):
            for seq, expected in first_results[lane].items():
                equal(results[lane].get(seq), expected, "%s: lane %d, seq %d" % (name, lane, seq))
            equal(len(results[lane]), len(first_results[lane]), "%s: results of lane %d" % (name, lane))
        same = sum(compare_chains(a, b) for a, b in zip(first_batches, batches))
        epochs = max(batch["epoch"] for lane in batches for batch in lane)
        print("%-32s %5d results, %5d batches, %4d of them as in the first run, epoch %d" % (
            name, sum(map(len, results)), sum(map(len, batches)), same, epochs), flush=True)
        if settings == RUNS[0][2]:
            holds(same > 0, "%s: not even the first batch is as in the first run", name)


_fleet.main(test)
