"""Faults of muster's own process."""
import os
import pathlib
import signal
import time
from unittest import mock

from bench import left_behind, wait_until
from proxy import END_TXN, PRODUCE, TO_CLIENT, TO_SERVER, acknowledged


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


FAULTS = [kill_between_commit_and_publish, kill_within_transaction, kill_before_answer_to_end,
          kill_before_commit, kill_before_answer_to_commit, one_identity_twice, frozen_beyond_its_session]
