"""What the faults are done with: a muster behind proxies, traffic, and the check after each."""
import contextlib
import json
import os
import pathlib
import signal
import sys
import time

from confluent_kafka import KafkaException

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/integration"))

from _traffic import Traffic  # noqa: E402
from _world import PG, World, free_port, left_behind, stack, tail, wait_until  # noqa: E402

from proxy import Proxy  # noqa: E402
from servers import Skipped, worlds_on  # noqa: E402, F401

RECOVERY_DEADLINE_S = 150


class Kafka:
    """The way to the broker through the proxy: the broker sends its clients to the proxy's port."""
    TARGET, PORT = map(int, os.environ["MUSTER_KAFKA_PROXIED"].split(":"))
    proxy = None

    @classmethod
    def through(cls):
        if cls.proxy is None:
            cls.proxy = Proxy(cls.PORT, ("127.0.0.1", cls.TARGET), is_kafka=True)
        return cls.proxy


class Bench:
    """One fault's world, with muster's connections through two proxies, and what was seen."""

    def __init__(self, name):
        self.name, self.world, self.kafka, self.database, self.cluster = name, None, None, None, None
        self.seen, self.closing, self.replays, self.checks = [], [], True, True
        self.traffic = self.healed_at = self.ends = self.recovery_s = None
        self.place = contextlib.ExitStack()

    def begin(self, kafka=None, pg=None, dsn=None):
        """The world: on the stack behind the proxies, or on the fault's own servers, whose addresses
        are given."""
        self.place.enter_context(worlds_on(kafka, pg))
        if kafka is None:
            self.kafka = Kafka.through()
        if dsn is None:
            target = dict(part.split("=", 1) for part in PG.split())
            self.database = Proxy(free_port(), (target["host"], int(target["port"])))
            dsn = f"host=127.0.0.1 port={self.database.port} user=muster"
        self.world = World(self.name, lanes=2, dsn=dsn)
        self.world.extra = ["-X", "session.timeout.ms=6000"]
        if kafka is None:
            self.world.extra += ["--set", f"kafka.bootstrap_servers=127.0.0.1:{Kafka.PORT}"]

    def start(self, *settings, ready=True):
        """A muster with a hundred messages a second before it."""
        muster = self.world.start(*settings)
        self.resume_traffic()
        if ready:
            muster.wait_ready()
            self.some_more()
        return muster

    def resume_traffic(self):
        if self.traffic is None:
            self.traffic = Traffic(self.world, 50).__enter__()

    def some_more(self, seconds=2):
        time.sleep(seconds)

    def saw(self, muster, words, seconds=60):
        """A line of the log that an operator sees of the fault: its part from words on."""
        def line():
            return next((line for line in muster.log().splitlines() if words in line), None)
        found = wait_until(lambda: f"{words!r}; the log:\n{tail(muster.log())}", line, seconds)
        self.seen.append(found)

    def unready(self, muster, words="", seconds=60):
        """/readyz turns to 503 and has these words; what it says is kept."""
        said = []

        def there():
            said[:] = muster.get("/readyz")
            return said[0] == 503 and words in said[1]
        wait_until(lambda: f"/readyz 503 with {words!r}; it says {said}", there, seconds)
        self.seen.append("/readyz 503: " + " ".join(said[1].split()))

    def exited(self, muster, expected):
        status = muster.wait()
        assert status == expected, f"exit {status}, not {expected}:\n{tail(muster.log())}"
        self.seen.append(f"exit {status}: {muster.log().splitlines()[-1]}")

    def healed(self):
        """The fault is over: from here recovery is measured."""
        self.healed_at = time.monotonic()

        def ends():
            # Just started, a broker is for a moment not the leader of anything.
            with contextlib.suppress(KafkaException):
                return self.world.input_ends(timeout=3)
        self.ends = wait_until("a broker that leads", ends)

    def recovered(self):
        """Until all that had been sent when the fault was over is decided and committed."""
        wait_until("all that was sent before the end of the fault", lambda: self.world.is_caught_up(self.ends),
                   RECOVERY_DEADLINE_S)
        self.recovery_s = time.monotonic() - self.healed_at

    def finish(self):
        """Some more traffic, and nothing left to decide or publish."""
        self.some_more()
        self.stop_traffic()
        self.world.wait_caught_up(RECOVERY_DEADLINE_S)
        wait_until("all published", lambda: left_behind(self.world) == 0, RECOVERY_DEADLINE_S, pause=0.2)

    def stop_traffic(self):
        traffic, self.traffic = self.traffic, None
        if traffic is not None:
            traffic.__exit__()

    def check(self):
        """What must hold after every fault."""
        if not self.checks:
            return None
        for muster in self.world.processes:
            if muster.is_alive():
                muster.stop()
        results = self.world.settled()
        assert results, "nothing was decided: nothing was shown"
        self.world.extra = []
        if self.replays:
            done = self.world.muster("replay", "verify", "--database", "-o", "json")
            json.loads(done.stdout.splitlines()[-1])
        return len(results)

    def close(self):
        for muster in self.world.processes if self.world else ():
            if muster.is_alive():
                muster.signal(signal.SIGCONT)
        if self.kafka:
            self.kafka.heal()
        # What is taken away below may leave things undone; the next fault has a world of its own.
        for close in (self.stop_traffic, self.world.close if self.world else None, *self.closing):
            with contextlib.suppress(Exception):
                if close is not None:
                    close()
        self.place.close()
