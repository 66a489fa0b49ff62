"""Faults of muster's own process."""
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time
from unittest import mock

from bench import left_behind, wait_until
from proxy import END_TXN, PRODUCE, TO_CLIENT, TO_SERVER, acknowledged
from servers import Skipped


def killed_at(bench, matches, what):
    """SIGKILL when a message to or from the broker is on its way; then a new process."""
    muster = bench.start()
    rule = bench.kafka.hold(matches)
    assert rule.was_hit.wait(30), f"no {what}"
    time.sleep(1)
    muster.kill()
    unpublished = left_behind(bench.world)
    assert unpublished > 0, "all was published: nothing was shown"
    bench.seen.append(f"{unpublished} batches were committed and not published")
    bench.kafka.heal()
    other = bench.start(ready=False)
    bench.healed()
    other.wait_ready()
    bench.saw(other, "epoch=2")


def kill_between_commit_and_publish(bench):
    """SIGKILL when the database has a batch and the broker none of it: the next process publishes it."""
    killed_at(bench, lambda m: m.kind == PRODUCE and m.direction == TO_SERVER, "record published")


def kill_within_transaction(bench):
    """SIGKILL when the records are sent and their end is not: nobody sees them, they come again."""
    killed_at(bench, lambda m: m.kind == END_TXN and m.direction == TO_SERVER, "transaction ended")


def killed_once(bench, proxy, matches, what):
    """As killed_at, where nothing need be left to publish."""
    muster = bench.start()
    assert proxy.hold(matches).was_hit.wait(30), f"no {what}"
    muster.kill()
    proxy.heal()
    other = bench.start(ready=False)
    bench.healed()
    other.wait_ready()


def kill_before_answer_to_end(bench):
    """SIGKILL when the transaction has ended and muster was not told: nothing is published twice."""
    killed_once(bench, bench.kafka, lambda m: m.kind == END_TXN and m.direction == TO_CLIENT, "transaction ended")


def kill_before_commit(bench):
    """SIGKILL when a commit is written and has not reached the server: it is decided again."""
    killed_once(bench, bench.database, lambda m: m.direction == TO_SERVER and b"muster.fence" in m.data, "commit")


def kill_before_answer_to_commit(bench):
    """SIGKILL when the server has committed and muster was not told: nothing is decided twice."""
    killed_once(bench, bench.database, acknowledged(), "commit")


def one_identity_twice(bench):
    """Two processes with the same kafka.instance on two machines (their locks do not meet): one goes
    on, the other ends with a word about it."""
    identity = ("--set", "kafka.instance=the-only-one")
    pair = []
    for machine in ("one", "another"):
        locks = pathlib.Path(bench.world.directory) / machine
        locks.mkdir()
        with mock.patch.dict(os.environ, {"XDG_RUNTIME_DIR": str(locks)}):
            pair.append(bench.start(*identity, ready=not pair))
    bench.healed()
    ended = wait_until("one of them ended", lambda: [muster for muster in pair if not muster.is_alive()])
    assert len(ended) == 1, "both ended"
    status = ended[0].wait()
    assert status != 0, "it ended as if all were well"
    bench.exited(ended[0], status)
    assert "the-only-one" in bench.seen[-1] or "instance" in bench.seen[-1], bench.seen[-1]


def frozen_beyond_its_session(bench):
    """SIGSTOP for longer than the session, a second process takes over, SIGCONT: the first finds
    that it was replaced and writes nothing."""
    first = bench.start()
    other = bench.start(ready=False)
    wait_until("a lane each", lambda: other.count("lane taken") >= 1)
    bench.some_more()
    first.signal(signal.SIGSTOP)
    bench.healed()
    wait_until("both lanes with the other", lambda: other.count("lane taken") >= 2)
    bench.recovered()
    first.signal(signal.SIGCONT)
    bench.saw(first, "lost")


# Stops one thread, which no signal can: attached as a debugger is, until it is ended.
HOLD_THREAD = """
import ctypes, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
for request in (0x4206, 0x4207):  # PTRACE_SEIZE, PTRACE_INTERRUPT
    if libc.ptrace(request, int(sys.argv[1]), None, None) != 0:
        sys.exit(f"ptrace: {ctypes.get_errno()}")
print("held", flush=True)
time.sleep(120)
"""


def loop_wedged(bench):
    """The thread of the loop stands still while librdkafka's go on telling the group that all is well: the
    process notices by itself, within loop.stall_max_s (here 5), and ends with a word (SIGABRT); another
    one goes on."""
    muster = bench.start("--set", "loop.stall_max_s=5")
    holder = subprocess.Popen([sys.executable, "-c", HOLD_THREAD, str(muster.process.pid)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
    bench.closing.append(holder.kill)
    if holder.stdout.readline() != "held\n":
        raise Skipped(f"no thread can be held: {holder.stderr.read().strip()}")
    began = time.monotonic()
    # One that is traced is reaped by us when its tracer is gone.
    bench.saw(muster, "the loop has stood still")
    time.sleep(2)
    holder.kill()
    holder.wait()
    status = muster.wait()
    assert status == -signal.SIGABRT, f"exit {status}"
    bench.seen.append(f"ended by SIGABRT, {time.monotonic() - began:.0f} s after it stood still")
    other = bench.start(ready=False)
    bench.healed()
    other.wait_ready()


def out_of_descriptors(bench):
    """For 15 s no file or connection can be opened, and those to the broker are reset: muster waits, and goes
    on by itself."""
    muster = bench.start()
    pid = muster.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    bench.kafka.reset()
    time.sleep(15)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    bench.healed()
    bench.recovered()
    muster.wait_ready()


def rebalance_storm(bench):
    """For 30 s, another member joins, leaves or is killed every two seconds: the one that stays goes on, and
    nothing is doubled."""
    muster = bench.start()
    others = []
    for n in range(15):
        if len(others) == 2 or (others and n % 3 == 2):
            gone = others.pop(0)
            gone.kill() if n % 2 else gone.signal(signal.SIGTERM)
        else:
            others.append(bench.world.start())
        time.sleep(2)
    for other in others:
        other.kill()
    bench.healed()
    bench.recovered()
    muster.wait_ready()


def stopped_while_all_is_away(bench):
    """SIGTERM while the broker answers nothing: it ends within its deadline of 20 s, with what was committed
    left for the next one, which publishes it."""
    muster = bench.start()
    bench.kafka.half_open()
    time.sleep(3)
    began = time.monotonic()
    muster.signal(signal.SIGTERM)
    status = muster.wait(40)
    bench.seen.append(f"exit {status}, {time.monotonic() - began:.0f} s after SIGTERM")
    assert status in (0, 75), f"exit {status}"
    bench.kafka.heal()
    other = bench.start(ready=False)
    bench.healed()
    other.wait_ready(90)


FAULTS = [kill_between_commit_and_publish, kill_within_transaction, kill_before_answer_to_end,
          kill_before_commit, kill_before_answer_to_commit, one_identity_twice, frozen_beyond_its_session,
          loop_wedged, out_of_descriptors, rebalance_storm, stopped_while_all_is_away]
