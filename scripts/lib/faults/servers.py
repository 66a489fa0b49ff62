"""Servers that a fault needs for itself: several brokers, a broker on a disk of its own, a PostgreSQL
with a standby. While one of them is in use, worlds are made on it instead of on the stack."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

import _world
from _secure import library
from _world import ROOT, free_port, wait_until

# Of 512 MiB at most, with the simplest of collectors and compilers: four of them on a small machine.
JAVA = "-Xms96m -Xmx320m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"


class Skipped(Exception):
    """The fault cannot be shown on this machine; says why."""


def java_hash(text):
    """Of Java's strings: what a group or a transactional id goes to a partition by."""
    value = 0
    for char in text:
        value = (31 * value + ord(char)) & 0xffffffff
    return abs(value - (1 << 32) if value & 0x80000000 else value)


class Disk:
    """A file system of a size that can be changed."""

    def __init__(self, megabytes):
        if os.geteuid() != 0:
            raise Skipped("a file system of its own can be mounted by root alone")
        self.path = tempfile.mkdtemp(prefix="muster-disk.")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", self.path],
                              capture_output=True, text=True)
        if done.returncode != 0:
            os.rmdir(self.path)
            raise Skipped(f"nothing can be mounted: {done.stderr.strip()}")
        os.chmod(self.path, 0o755)

    def size(self, kib):
        subprocess.run(["mount", "-o", f"remount,size={kib}k", self.path], check=True)

    def full_but(self, kib):
        used = os.statvfs(self.path)
        self.size((used.f_blocks - used.f_bfree) * used.f_frsize // 1024 + kib)

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=True)
        os.rmdir(self.path)


class Node:
    """One JVM: a broker or the controller."""

    def __init__(self, directory, number, properties):
        self.directory, self.number, self.process = pathlib.Path(directory), number, None
        (self.directory / "kafka/tmp").mkdir(parents=True)
        (self.directory / "kafka/server.properties").write_text("".join(f"{k}={v}\n" for k, v in properties.items()))
        library('(kafka_java "$1" kafka.tools.StorageTool format --cluster-id MAAAAAAAAAAAAAAAAAAAAw '
                '--config "$1/kafka/server.properties") >"$1/format.log" 2>&1 || cat "$1/format.log" >&2', directory)

    def log(self):
        return (self.directory / "kafka/log").read_text(errors="replace")

    def start(self):
        with (self.directory / "kafka/log").open("w") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", f'. {ROOT}/scripts/lib/common.sh; . {ROOT}/scripts/lib/kafka.sh; '
                 'kafka_java "$1" kafka.Kafka "$1/kafka/server.properties"', "kafka", str(self.directory)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "MUSTER_KAFKA_JAVA_OPTIONS": JAVA})

    def wait(self):
        def answers():
            assert self.process.poll() is None, self.log()[-3000:]
            return "Kafka Server started" in self.log()
        wait_until(f"node {self.number}", answers, 120)

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()


class Cluster:
    """A controller and some brokers, each partition on all of them, two of them needed to write; with
    `disk`, brokers keep their logs there; `extra` properties win."""

    def __init__(self, brokers=3, disk=None, extra=None):
        self.directory = tempfile.mkdtemp(prefix="muster-cluster.")
        controller, copies, needed = free_port(), brokers, min(brokers, 2)
        shared = {"controller.quorum.voters": f"100@127.0.0.1:{controller}", "controller.listener.names": "CONTROLLER",
                  "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
                  "auto.create.topics.enable": "false", "broker.heartbeat.interval.ms": 1000,
                  "broker.session.timeout.ms": 4000, "group.initial.rebalance.delay.ms": 0,
                  "default.replication.factor": copies, "min.insync.replicas": needed,
                  "offsets.topic.num.partitions": 4, "offsets.topic.replication.factor": copies,
                  "transaction.state.log.num.partitions": 8, "transaction.state.log.replication.factor": copies,
                  "transaction.state.log.min.isr": needed, **(extra or {})}
        self.controller = Node(f"{self.directory}/controller", 100, {
            **shared, "process.roles": "controller", "node.id": 100, "listeners": f"CONTROLLER://127.0.0.1:{controller}",
            "log.dirs": f"{self.directory}/controller/data"})
        self.brokers, addresses = {}, []
        for number in range(1, brokers + 1):
            address = f"127.0.0.1:{free_port()}"
            addresses.append(address)
            self.brokers[number] = Node(f"{self.directory}/{number}", number, {
                **shared, "process.roles": "broker", "node.id": number, "listeners": f"CLIENT://{address}",
                "inter.broker.listener.name": "CLIENT",
                "log.dirs": f"{disk.path}/data" if disk else f"{self.directory}/{number}/data"})
        self.address = ",".join(addresses)
        nodes = [self.controller, *self.brokers.values()]
        for node in nodes:
            node.start()
        for node in nodes:
            node.wait()

    def admin(self):
        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def leader(self, topic, partition):
        return self.brokers[self.admin().list_topics(topic, timeout=20).topics[topic].partitions[partition].leader]

    def whole(self):
        """Every broker is there, and every partition on all of them again."""
        for node in self.brokers.values():
            if node.process.poll() is not None:
                node.start()
                node.wait()

        def in_sync():
            with contextlib.suppress(KafkaException):
                topics = self.admin().list_topics(timeout=20).topics.values()
                return all(len(p.isrs) == len(self.brokers) for topic in topics for p in topic.partitions.values())
        wait_until("all replicas in sync", in_sync, 120, pause=0.5)

    def close(self):
        for node in [*self.brokers.values(), self.controller]:
            node.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def worlds_on(kafka=None, pg=None):
    """Worlds are made on these until the end."""
    kept = _world.KAFKA, _world.QUIET["bootstrap.servers"], _world.PG
    if kafka is not None:
        _world.KAFKA = _world.QUIET["bootstrap.servers"] = kafka
    if pg is not None:
        _world.PG = pg
    try:
        yield
    finally:
        _world.KAFKA, _world.QUIET["bootstrap.servers"], _world.PG = kept


class Postgres:
    """A server of its own, in `directory` if given."""

    def __init__(self, directory=None, port=None):
        self.directory = directory or tempfile.mkdtemp(prefix="muster-pg.")
        os.chmod(self.directory, 0o755)
        self.port, self.standby = port or free_port(), None

    def create(self):
        library('pg_create "$1" "$2"; pg_start "$1"; pg_create_database "$2"', self.directory, self.port)
        return self

    def dsn(self):
        return f"host=127.0.0.1 port={self.port} user=muster dbname=muster"

    def with_standby(self):
        """A standby that streams, named `standby`."""
        other = self.standby = Postgres()
        library('mkdir "$1/postgres"; chown "$(pg_as id -u):$(pg_as id -g)" "$1/postgres"; '
                'pg_as "$PG_BIN/pg_basebackup" -D "$1/postgres/data" -R -X stream -c fast '
                '-d "host=127.0.0.1 port=$2 user=muster application_name=standby"; '
                'printf "port = %s\\n" "$3" | pg_as tee -a "$1/postgres/data/postgresql.conf" >/dev/null; pg_start "$1"',
                other.directory, self.port, other.port)
        return self

    def set(self, name, value):
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(f"alter system set {name} = '{value}'")
            connection.execute("select pg_reload_conf()")
        time.sleep(1)

    def start(self):
        library('pg_start "$1"', self.directory)

    def stop(self):
        library('pg_stop "$1"', self.directory)

    def kill(self):
        library('pg_kill "$1"', self.directory)

    def promote(self):
        library('pg_as "$PG_BIN/pg_ctl" promote -w -D "$1/postgres/data" >/dev/null', self.directory)

    def log(self):
        return (pathlib.Path(self.directory) / "postgres/log").read_text(errors="replace")

    def close(self):
        for server in (self.standby, self):
            if server is not None:
                server.stop()
                shutil.rmtree(server.directory, ignore_errors=True)
