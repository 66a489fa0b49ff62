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
    ("batches of 200", run_through, ("batch.messages_max=200",)),
    ("batches of 200 again", run_through, ("batch.messages_max=200",)),
    ("batches of 200, with pauses", run_with_pauses, ("batch.messages_max=200",)),
    ("batches of 200, with deaths", run_with_deaths, ("batch.messages_max=200",)),
    ("batches of 23", run_through, ("batch.messages_max=23",)),
    ("batches of 64 KiB, with deaths", run_with_deaths, ("batch.bytes_max=65536",)),
    ("as it comes", run_through, ()),
)


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


def observe(world, inputs, oracles):
    """Of each lane the results by number, as they stand there, and the batches."""
    results, batches = [], []
    for lane in range(world.lanes):
        _, sealed = _fleet.check_lane_in_all(world, lane, oracles[lane], inputs[lane])
        results.append({seq: (topic, *message[1:]) for seq, (topic, message) in _fleet.results_of(world, lane, raw=True).items()})
        batches.append(sealed)
    return results, batches


def test(directory):
    world = _fleet.World(directory, "again", lanes=2)
    world.load(*LOAD)
    inputs = [world.inputs(lane) for lane in range(world.lanes)]
    oracles = [world.decided(lane, inputs[lane]) for lane in range(world.lanes)]
    first_results = first_batches = None
    for name, run, settings in RUNS:
        if first_results is not None:
            world.renew()
        run(world, settings)
        results, batches = observe(world, inputs, oracles)
        first_results, first_batches = first_results or results, first_batches or batches
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
