"""Faults of PostgreSQL and of the way to it."""
import contextlib
import os
import pathlib
import time

import psycopg

from bench import PG, stack, wait_until
from proxy import TO_SERVER, acknowledged
from servers import Disk


def database_restart(bench):
    """The database is stopped for 5 s and started: muster waits and goes on by itself."""
    muster = bench.start()
    stack("pg-stop")
    bench.unready(muster)
    time.sleep(5)
    stack("pg-start")
    bench.healed()
    muster.wait_ready()


def database_kill(bench):
    """The database is killed, as by a power cut, and started: muster waits and goes on by itself."""
    muster = bench.start()
    stack("pg-kill")
    bench.unready(muster)
    stack("pg-start")
    bench.healed()
    muster.wait_ready()


def backend_kill(bench):
    """SIGKILL of one backend, whereupon the server throws all out and recovers: muster goes on."""
    muster = bench.start()
    (pid,), *_ = bench.world.sql("select pid from pg_stat_activity where datname = %s and pid <> pg_backend_pid()",
                                 bench.world.database)
    os.kill(pid, 9)
    bench.healed()
    bench.recovered()
    muster.wait_ready()


def commit_reset_before(bench):
    """The connection is reset before a commit has reached the server: it is done again."""
    muster = bench.start()
    rule = bench.database.reset_on(lambda m: m.direction == TO_SERVER and b"muster.fence" in m.data)
    assert rule.was_hit.wait(30), "no commit"
    bench.healed()
    bench.recovered()
    muster.wait_ready()


def commit_reset_after(bench):
    """The server has committed, and the connection is reset before it could say so: it is not done
    again."""
    muster = bench.start()
    rule = bench.database.reset_on(acknowledged())
    assert rule.was_hit.wait(30), "no commit"
    bench.healed()
    bench.recovered()
    muster.wait_ready()


def database_slow(bench):
    """Each message to and from the database takes 200 ms longer for 10 s: it is slower, no more."""
    muster = bench.start()
    bench.database.delay_s = 0.2
    time.sleep(10)
    bench.database.heal()
    bench.healed()
    muster.wait_ready()


def database_half_open(bench):
    """For 15 s the database takes all and answers nothing; the old connections never end. Muster
    gives them up and goes on by new ones."""
    muster = bench.start()
    bench.database.half_open()
    bench.unready(muster)
    time.sleep(5)
    bench.database.heal()
    bench.healed()
    bench.recovered()
    muster.wait_ready()


def database_read_only(bench):
    """The database takes no writes for 10 s, as after a failover to a standby: muster says so,
    waits, and goes on when it does."""
    muster = bench.start()
    with psycopg.connect(PG, autocommit=True) as operator:
        operator.execute(f'alter database "{bench.world.database}" set default_transaction_read_only = on')
        operator.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
                         (bench.world.database,))
        bench.saw(muster, "session is read-only")
        bench.unready(muster)
        time.sleep(10)
        operator.execute(f'alter database "{bench.world.database}" reset default_transaction_read_only')
    bench.healed()
    muster.wait_ready()


def lane_table_locked(bench):
    """An operator locks muster.lane for 25 s: muster says so, waits, and goes on when it is free."""
    muster = bench.start()
    with psycopg.connect(bench.world.dsn) as operator:
        operator.execute("lock table muster.lane in access exclusive mode")
        bench.saw(muster, "lock timeout")
        bench.unready(muster)
        time.sleep(5)
    bench.healed()
    muster.wait_ready()


def deadlock(bench):
    """An operator locks all devices and then asks for the lane, which a commit that waits for the devices
    holds: PostgreSQL ends the commit, which is done again."""
    muster = bench.start()
    wait_until("all devices", lambda: bench.world.sql("select count(*) from muster.device_row") == [(50,)])
    with psycopg.connect(bench.world.dsn) as operator, psycopg.connect(bench.world.dsn, autocommit=True) as watcher:
        operator.execute("set deadlock_timeout = '60s'")  # so that it is muster that is ended
        operator.execute("select 1 from muster.device_row for update")
        deadline = time.monotonic() + 30
        while not watcher.execute("select 1 from pg_locks where not granted and pid in (select pid from"
                                  " pg_stat_activity where datname = current_database())").fetchall():
            assert time.monotonic() < deadline, "no commit waits"
        operator.execute("select 1 from muster.lane for update")
        bench.saw(muster, "deadlock detected")
    bench.healed()
    bench.recovered()
    muster.wait_ready()


@contextlib.contextmanager
def asking_for_passwords(user):
    """The server trusts everybody but this user."""
    path = pathlib.Path(os.environ["STACK"]) / "postgres/data/pg_hba.conf"
    trusting = path.read_text()

    def reload():
        with psycopg.connect(PG, autocommit=True) as connection:
            connection.execute("select pg_reload_conf()")
        time.sleep(1)
    try:
        path.write_text(f"host all {user} 127.0.0.1/32 scram-sha-256\n" + trusting)
        reload()
        yield
    finally:
        path.write_text(trusting)
        reload()


@contextlib.contextmanager
def guarded(bench):
    """An operator's connection, and settings for a user whose password is `right`, but for it."""
    with psycopg.connect(PG, autocommit=True) as operator, asking_for_passwords("guarded"):
        operator.execute("create role guarded superuser login password 'right'")
        try:
            yield operator, (f"postgres.dsn=host=127.0.0.1 port={bench.database.port} user=guarded"
                             f" dbname={bench.world.database} password=")
        finally:
            operator.execute("drop role guarded")


def wrong_database_password(bench):
    """The password is wrong at the start, which no waiting mends: exit 78, and the log does not hold
    it."""
    with guarded(bench) as (_, settings):
        refused = bench.world.start("--until-caught-up", "--set", settings + "n0t-r1ght", http="off")
        status = refused.wait()
    assert "n0t-r1ght" not in refused.log(), "the password is in the log"
    with_right = bench.start()
    bench.healed()
    bench.recovered()
    assert with_right.is_alive()
    bench.exited(refused, 78)


def database_password_changed(bench):
    """The password is changed while muster runs and its connections are ended: it stays, says so, and
    goes on when the password is right again."""
    with guarded(bench) as (operator, settings):
        muster = bench.start("--set", settings + "right")
        operator.execute("alter role guarded password 'another'")
        operator.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'guarded'")
        bench.unready(muster, "password authentication failed")
        time.sleep(5)
        operator.execute("alter role guarded password 'right'")
        bench.healed()
        bench.recovered()
        muster.wait_ready()
        bench.finish()
        muster.stop()


def database_disk_full(bench):
    """The disk of the database's tables fills up; after 10 s it is made larger: muster waits and
    goes on."""
    disk = Disk(64)
    world, name = bench.world, f"disk_{os.getpid()}"
    operator = psycopg.connect(PG, autocommit=True)

    def away():
        operator.execute(f'alter database "{world.database}" set tablespace pg_default')
        operator.execute(f"drop tablespace {name}")
        disk.close()
    owner = os.stat(pathlib.Path(os.environ["STACK"]) / "postgres/data").st_uid
    os.chown(disk.path, owner, -1)
    operator.execute(f"create tablespace {name} location '{disk.path}'")
    operator.execute(f'alter database "{world.database}" set tablespace {name}')
    bench.closing.append(away)
    muster = bench.start()
    disk.full_but(64)  # the next page that a table needs is not there
    bench.saw(muster, "No space left")
    bench.unready(muster)
    time.sleep(10)
    disk.size(256 * 1024)
    bench.healed()
    muster.wait_ready()


FAULTS = [database_restart, database_kill, backend_kill, commit_reset_before, commit_reset_after, database_slow,
          database_half_open, database_read_only, lane_table_locked, deadlock, wrong_database_password, database_password_changed,
          database_disk_full]
