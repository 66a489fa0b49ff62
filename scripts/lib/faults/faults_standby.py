"""Faults of a PostgreSQL that has a standby, of disks that are full, of a broker with settings of its own:
each has servers for itself."""
import time

import psycopg

from servers import Cluster, Disk, Postgres


def failover(bench):
    """The primary is killed, the standby promoted; muster finds it by itself, as its dsn names both."""
    primary = bench.postgres
    primary.kill()
    primary.standby.promote()
    bench.world.dsn = bench.world.dsn.replace(f"port={primary.port}", f"port={primary.standby.port}")
    bench.healed()


def with_standby(bench):
    primary = Postgres().create().with_standby()
    bench.closing.append(primary.close)
    bench.postgres = primary
    bench.begin(pg=primary.dsn(), dsn=f"host=127.0.0.1,127.0.0.1 port={primary.port},{primary.standby.port} user=muster"
                                      " target_session_attrs=read-write")
    return primary


def standby_takes_over(bench):
    """Synchronous replication: the primary is killed during the load, the standby promoted: nothing that
    was committed is lost, and muster goes on with it."""
    primary = with_standby(bench)
    primary.set("synchronous_standby_names", "standby")
    muster = bench.start()
    failover(bench)
    bench.recovered()
    muster.wait_ready()
    assert muster.count("has lost batches") == 0, "a synchronous standby has lost batches"


def standby_lost_its_tail(bench):
    """Asynchronous replication: the standby had been away for 5 s when the primary is killed and it is
    promoted. What was published and is not in it is decided again, to the same chain, and not published
    a second time."""
    primary = with_standby(bench)
    muster = bench.start()
    primary.standby.stop()
    bench.some_more(5)
    primary.kill()
    primary.standby.start()
    failover(bench)
    bench.saw(muster, "has lost batches")
    bench.recovered()
    muster.wait_ready()


def wal_disk_full(bench):
    """The disk that the database and its write-ahead log are on fills up, whereupon the server ends itself;
    after 10 s it is larger and the server started: muster waits and goes on."""
    disk = Disk(400)
    bench.closing.append(disk.close)
    server = Postgres(disk.path).create()
    bench.closing.insert(0, server.stop)
    bench.begin(pg=server.dsn(), dsn=f"host=127.0.0.1 port={server.port} user=muster")
    muster = bench.start()
    disk.full_but(64)
    try:
        with psycopg.connect(server.dsn(), autocommit=True) as operator:
            for _ in range(60):  # the log's files are 16 MiB: this needs the next one at once
                operator.execute("select pg_switch_wal()")
                operator.execute("create table if not exists filler (t text)")
                operator.execute("insert into filler select repeat('x', 2000) from generate_series(1, 1000)")
    except psycopg.Error as error:
        bench.seen.append("the server: " + str(error).splitlines()[0])
    bench.unready(muster)
    said = [line for line in server.log().splitlines() if "No space left" in line]
    assert said, "the disk was not full"
    bench.seen.append("the server's log: " + said[0].split("] ")[-1])
    time.sleep(10)
    disk.size(800 * 1024)
    server.stop()
    server.start()
    bench.healed()
    bench.recovered()
    muster.wait_ready()


def broker_disk_full(bench):
    """The broker's disk fills up, whereupon it ends itself; after 10 s it is larger and the broker started:
    muster waits and goes on."""
    disk = Disk(400)
    bench.closing.append(disk.close)
    broker = Cluster(1, disk)
    bench.closing.insert(0, broker.close)
    bench.begin(kafka=broker.address)
    muster = bench.start()
    disk.full_but(16)
    bench.unready(muster, seconds=90)
    (node,) = broker.brokers.values()
    said = [line for line in node.log().splitlines() if "No space left" in line or "SIGBUS" in line]
    assert said, "the disk was not full"
    bench.seen.append("the broker's log: " + said[0][-160:])
    time.sleep(10)
    node.kill()
    disk.size(800 * 1024)
    broker.whole()
    bench.healed()
    bench.recovered()
    muster.wait_ready(90)


def transactional_id_expires(bench):
    """Nothing is published for so long that the broker forgets the lanes' transactional ids (here after 10 s):
    the next results get out, once."""
    broker = Cluster(1, extra={"transactional.id.expiration.ms": 10000, "producer.id.expiration.ms": 10000,
                               "transaction.remove.expired.transaction.cleanup.interval.ms": 3000})
    bench.closing.append(broker.close)
    bench.begin(kafka=broker.address)
    muster = bench.start()
    bench.stop_traffic()
    bench.world.wait_caught_up()
    time.sleep(30)
    bench.resume_traffic()
    bench.saw(muster, "lane given up")
    bench.healed()
    bench.recovered()
    muster.wait_ready()


FAULTS = [transactional_id_expires, standby_takes_over, standby_lost_its_tail, wal_disk_full, broker_disk_full]
for fault in FAULTS:
    fault.begins_itself = True
