"""What every bench needs: the machine, muster as a process, what servers spend, tables.

MUSTER, KAFKA, PG, HTTP, KAFKA_PID and PG_PID come from scripts/bench."""
import argparse
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import psycopg
from confluent_kafka.admin import AdminClient

MUSTER, KAFKA, PG, HTTP, BIN = (os.environ[name] for name in ("MUSTER", "KAFKA", "PG", "HTTP", "BENCH_BIN"))
KAFKA_PID, PG_PID = int(os.environ["KAFKA_PID"]), int(os.environ["PG_PID"])
TICKS = os.sysconf("SC_CLK_TCK")
ADMIN = AdminClient({"bootstrap.servers": KAFKA})


class Failed(Exception):
    pass


def run_quietly(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed("%s: exit %d: %s" % (" ".join(map(str, words[:3])), done.returncode, (done.stderr or done.stdout)[-500:]))
    return done.stdout


# What was spent. ---------------------------------------------------------------------------


def machine():
    """Where the numbers come from, without which they say nothing."""
    facts = {"system": "%s %s" % (platform.system(), platform.release()), "processors": os.cpu_count(),
             "load_average": os.getloadavg()[0]}
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        facts["processor"] = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), platform.machine())
    with open("/proc/meminfo", encoding="ascii") as f:
        facts["memory_gib"] = round(int(f.readline().split()[1]) / 1048576, 1)
    return facts


DISK_SECONDS, DISK_BYTES = 5, 8192


def disk(directory):
    """How long a write of a page takes to last, every 5 ms, with nothing else going on: no commit
    is quicker, and shared disks have moments at which none comes through."""
    path, took = os.path.join(directory, "disk_probe"), []
    file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.pwrite(file, bytes(DISK_BYTES * 256), 0)
        os.fsync(file)
        until = time.monotonic() + DISK_SECONDS
        while time.monotonic() < until:
            began = time.perf_counter()
            os.pwrite(file, b"x" * DISK_BYTES, len(took) % 256 * DISK_BYTES)
            os.fdatasync(file)
            took.append((time.perf_counter() - began) * 1000)
            time.sleep(0.005)
    finally:
        os.close(file)
        os.unlink(path)
    took.sort()
    return {"disk_p50_ms": took[len(took) // 2], "disk_p99_ms": took[len(took) * 99 // 100], "disk_max_ms": took[-1]}


def cpu_seconds(pid, children=False):
    """Of a process; with those of its children that it has waited for, if they are asked for."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
            fields = f.read().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15 if children else 13]) / TICKS


def postgres_cpu():
    """Of the server and its backends: those that have ended are counted in the postmaster."""
    with open("/proc/%d/task/%d/children" % (PG_PID, PG_PID), encoding="ascii") as f:
        backends = [int(pid) for pid in f.read().split()]
    return cpu_seconds(PG_PID, children=True) + sum(cpu_seconds(pid) for pid in backends)


def kafka_cpu():
    return cpu_seconds(KAFKA_PID)


def memory_mib(pid, field):
    """VmRSS, what it holds now; VmHWM, the most that it held."""
    try:
        with open("/proc/%d/status" % pid, encoding="ascii") as f:
            return next((int(line.split()[1]) / 1024 for line in f if line.startswith(field + ":")), 0.0)
    except OSError:
        return 0.0


class Spent:
    """CPU seconds of all that take part, from where it was made to now."""

    def __init__(self, pid=None):
        self.pid, self.start = pid, None
        self.start = self.now()

    def now(self):
        now = {"postgres_cpu_seconds": postgres_cpu(), "kafka_cpu_seconds": kafka_cpu()}
        if self.pid is not None:
            now["cpu_seconds"] = cpu_seconds(self.pid)
        return now if self.start is None else {name: value - self.start[name] for name, value in now.items()}


def floor_of(topics):
    """What a program takes that reads the topics and looks at nothing."""
    return json.loads(run_quietly(BIN + "/consume_floor", KAFKA, *topics))


@contextlib.contextmanager
def subject_key():
    """A key of its own, for what decides again what a run has decided."""
    with tempfile.NamedTemporaryFile() as key:
        key.write(b"the key of this bench, of 32 bytes")
        key.flush()
        os.environ["MUSTER_PRIVACY__SUBJECT_KEY_FILE"] = key.name
        yield


# Topics, a group, a database; and muster there. ------------------------------------------------


class Place:
    """All that muster works on, under one name; the topics may be shared by places."""

    def __init__(self, name, partitions, prefix=None):
        self.name, self.partitions, self.prefix = name, partitions, prefix or name + "."
        self.dsn = " ".join(word for word in PG.split() if not word.startswith("dbname=")) + " dbname=" + name
        self.session = None

    def make(self):
        with psycopg.connect(PG, autocommit=True) as connection:
            connection.execute('CREATE DATABASE "%s"' % self.name)
            connection.execute("CHECKPOINT")
        self.make_topics()
        run_quietly(*self.command("migrate"))

    def make_topics(self):
        run_quietly(*self.command("topics", "create", "--partitions", self.partitions))

    def topics(self):
        return [name for name in ADMIN.list_topics(timeout=20).topics if name.startswith(self.prefix)]

    def drop(self, *keep):
        """The database and the topics but those to keep."""
        if self.session is not None:
            self.session.close()
        with psycopg.connect(PG, autocommit=True) as connection:
            connection.execute('DROP DATABASE IF EXISTS "%s" WITH (FORCE)' % self.name)
        gone = {name for name in self.topics() if name[len(self.prefix):] not in keep}
        if gone:
            for future in ADMIN.delete_topics(list(gone)).values():
                future.result()
        wait_until("topics deleted", lambda: not gone & set(self.topics()))

    def command(self, *arguments, level="warning", http="off", member=0):
        settings = ("kafka.bootstrap_servers=" + KAFKA, "kafka.topic_prefix=" + self.prefix, "kafka.group_id=" + self.name,
                    "kafka.instance=bench-%d-%d" % (os.getpid(), member), "postgres.dsn=" + self.dsn, "http.listen=" + http, "log.level=" + level)
        return [MUSTER, *map(str, arguments), *(word for setting in settings for word in ("--set", setting))]

    def query(self, sql):
        """The first column of all rows. The session stays, for those who ask often."""
        if self.session is None:
            self.session = psycopg.connect(self.dsn, autocommit=True)
        return [row[0] for row in self.session.execute(sql).fetchall()]


def wait_until(what, condition, seconds=60, pause=0.1):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed("%s: not within %d s" % (what, seconds))
        time.sleep(pause)


class Running:
    """muster run in the background, and when it said what."""

    def __init__(self, place, log):
        self.place, self.lines = place, []
        self.began = time.monotonic()
        self.process = subprocess.Popen(place.command("run", level="info", http=HTTP), stderr=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.reader = threading.Thread(target=self._read, args=(log,), daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _read(self, log):
        with open(log, "a", encoding="utf-8") as f:
            for line in self.process.stderr:
                self.lines.append((time.monotonic(), line))
                f.write(line)
                f.flush()

    def said(self, text):
        """The instants."""
        return [at for at, line in self.lines if text in line]

    def wait_taken(self, seconds=900):
        """Until all lanes are taken. (seconds to the assignment, seconds from there)"""
        def is_done():
            if self.process.poll() is not None:
                raise Failed("muster run: exit %d: %s" % (self.process.returncode, "".join(line for _, line in self.lines[-3:])))
            return len(self.said("lane taken")) >= self.place.partitions
        wait_until("lanes taken", is_done, seconds, 0.01)
        assigned = self.said("lanes assigned")[0]
        return assigned - self.began, self.said("lane taken")[-1] - assigned

    def metric(self, name):
        """The sum over all its series."""
        with urllib.request.urlopen("http://%s/metrics" % HTTP, timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((name + "{", name + " ")))

    def wait_quiet(self):
        """Until what was committed is published, and device rows have it, too."""
        wait_until("published", lambda: self.metric("muster_batches_total") == self.metric("muster_published_batches_total"))
        behind = ("SELECT count(*) FROM muster.lane l WHERE checkpoint_batch < "
                  "(SELECT max(batch) FROM muster.journal_row j WHERE j.lane = l.lane)")
        wait_until("device rows written", lambda: self.place.query(behind) == [0])

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


# What is shown. ----------------------------------------------------------------------------


class Table:
    """Columns are (name, title, format); rows are dicts, shown as they come."""

    def __init__(self, first, columns):
        self.columns = columns
        widths = [len(form % 0) for _, _, form in columns]
        print("%-12s %s" % (first, " ".join(title.rjust(width) for (_, title, _), width in zip(columns, widths))), flush=True)

    def show(self, title, row):
        cells = (form % row[name] if row[name] is not None else "-".rjust(len(form % 0)) for name, _, form in self.columns)
        print("%-12s %s" % (title, " ".join(cells)), flush=True)


def median(rows):
    """Of each number, over rows with the same names."""
    return {name: statistics.median(row[name] for row in rows) for name, value in rows[0].items() if isinstance(value, (int, float))}


def numbers(text):
    return [int(word) for word in text.split(",")]


def main(bench, measure, options):
    """Parses what is common and `options` ({name: (type, default)}), measures, prints JSON."""
    parser = argparse.ArgumentParser(prog=bench)
    parser.add_argument("--log", required=True)
    parser.add_argument("--json")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--broker", choices=("warm", "cold"), default="cold")
    for name, (kind, default) in options.items():
        parser.add_argument("--" + name, type=kind, default=default)
    chosen = parser.parse_args()
    where = dict(machine(), **disk(os.path.dirname(chosen.log)))
    print("%(processors)d x %(processor)s, %(memory_gib).1f GiB, %(system)s, load %(load_average).1f" % where + ", a %s broker" % chosen.broker)
    print("fdatasync: p50 %(disk_p50_ms).1f ms, p99 %(disk_p99_ms).1f, worst %(disk_max_ms).1f" % where, flush=True)
    try:
        found = measure(chosen)
    except Failed as failure:
        print("%s: %s" % (bench, failure), file=sys.stderr)
        sys.exit(1)
    settings = {name: getattr(chosen, name) for name in ("partitions", "broker", *options)}
    text = json.dumps({"bench": bench, "machine": where, **settings, **found}, indent=2 if chosen.json else None) + "\n"
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as f:
            f.write(text)
    else:
        sys.stdout.write(text)
