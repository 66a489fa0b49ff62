"""Faults of the broker and of the way to it."""
import signal
import time

from bench import stack, wait_until
from proxy import END_TXN, TO_CLIENT, TO_SERVER


def broker_restart(bench):
    """The broker is stopped for 5 s and started: muster waits and goes on by itself."""
    muster = bench.start()
    stack("kafka-stop")
    bench.unready(muster)
    time.sleep(5)
    stack("kafka-start")
    bench.healed()
    muster.wait_ready()


def broker_kill(bench):
    """The broker is killed, as by a power cut, and started: muster waits and goes on by itself."""
    muster = bench.start()
    stack("kafka-kill")
    bench.unready(muster)
    stack("kafka-start")
    bench.healed()
    muster.wait_ready()


def broker_reset(bench):
    """Every connection to the broker is reset, five times in 5 s: muster connects again."""
    muster = bench.start()
    for _ in range(5):
        bench.kafka.reset()
        time.sleep(1)
    bench.healed()
    muster.wait_ready()


def broker_half_open(bench):
    """For 15 s the broker takes all and answers nothing; the old connections never end. Muster
    gives them up and goes on by new ones."""
    muster = bench.start()
    bench.kafka.half_open()
    bench.unready(muster)
    time.sleep(5)
    bench.kafka.heal()
    bench.healed()
    muster.wait_ready(150)


def broker_slow(bench):
    """Each message to and from the broker takes 200 ms longer for 10 s: it is slower, no more."""
    muster = bench.start()
    bench.kafka.delay_s = 0.2
    time.sleep(10)
    bench.kafka.heal()
    bench.healed()
    muster.wait_ready()


def end_of_transaction_held(bench):
    """The answer to a transaction's end comes 15 s late: what follows is neither lost nor doubled."""
    muster = bench.start()
    rule = bench.kafka.hold(lambda m: m.kind == END_TXN and m.direction == TO_CLIENT)
    assert rule.was_hit.wait(30), "no transaction ended"
    time.sleep(15)
    rule.release()
    bench.healed()
    muster.wait_ready()


def transaction_times_out(bench):
    """The request to end a transaction is held until the broker has aborted it (after 30 s,
    looked for every 10 s): it is published again, once."""
    muster = bench.start("-X", "transaction.timeout.ms=30000")
    rule = bench.kafka.hold(lambda m: m.kind == END_TXN and m.direction == TO_SERVER)
    assert rule.was_hit.wait(30), "no transaction ended"
    time.sleep(45)
    rule.release()
    bench.healed()
    bench.recovered()
    bench.saw(muster, "lane given up")


def end_of_transaction_late(bench):
    """The request to end a transaction is held while its producer is replaced by another process,
    and then reaches the broker: it must not end the new one's."""
    muster = bench.start()
    rule = bench.kafka.hold(lambda m: m.kind == END_TXN and m.direction == TO_SERVER)
    assert rule.was_hit.wait(30), "no transaction ended"
    muster.signal(signal.SIGSTOP)
    other = bench.start(ready=False)
    wait_until("the lanes taken", lambda: other.count("lane taken") == 2)
    rule.release()
    bench.healed()
    bench.recovered()
    muster.signal(signal.SIGCONT)
    bench.some_more(5)


FAULTS = [broker_restart, broker_kill, broker_reset, broker_half_open, broker_slow, end_of_transaction_held, transaction_times_out,
          end_of_transaction_late]
