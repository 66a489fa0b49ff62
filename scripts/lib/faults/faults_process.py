"""Faults of muster's own process."""
import signal
import time

from bench import left_behind, wait_until
from proxy import END_TXN, PRODUCE, TO_CLIENT, TO_SERVER


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


def kill_between_commit_and_publish(bench):
    """SIGKILL when the database has a batch and the broker none of it: the next process publishes it."""
    killed_at(bench, lambda m: m.kind == PRODUCE and m.direction == TO_SERVER, "record published")


def kill_within_transaction(bench):
    """SIGKILL when the records are sent and their end is not: nobody sees them, they come again."""
    killed_at(bench, lambda m: m.kind == END_TXN and m.direction == TO_SERVER, "transaction ended")


def kill_before_answer_to_end(bench):
    """SIGKILL when the transaction has ended and muster was not told: nothing is published twice."""
    muster = bench.start()
    rule = bench.kafka.hold(lambda m: m.kind == END_TXN and m.direction == TO_CLIENT)
    assert rule.was_hit.wait(30), "no transaction ended"
    muster.kill()
    bench.kafka.heal()
    other = bench.start(ready=False)
    bench.healed()
    other.wait_ready()


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
          frozen_beyond_its_session]
