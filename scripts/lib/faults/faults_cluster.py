"""Faults that need three brokers, of which one leads and two follow: a controller apart from them, every
partition on all three, two of them needed to write."""
import atexit
import time

from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from servers import Cluster, java_hash
from bench import wait_until
from _world import check_in, now_ms

_cluster = []


def cluster():
    """The one there is; made for the first fault that needs it."""
    if not _cluster:
        _cluster.append(Cluster())
        atexit.register(_cluster[0].close)
    _cluster[0].whole()
    return _cluster[0]


def killed_for_good(bench, find):
    """SIGKILL of one broker during the load; recovery is shown before it is started again."""
    brokers = bench.cluster
    muster = bench.start()
    node = find(brokers)
    node.kill()
    bench.seen.append(f"broker {node.number} killed")
    bench.healed()
    bench.recovered()
    muster.wait_ready(90)
    brokers.whole()


def leader_kill(bench):
    """SIGKILL of the broker that leads a lane's journal: another one leads, and muster goes on with it."""
    killed_for_good(bench, lambda brokers: brokers.leader(bench.world.prefix + "journal", 0))


def input_leader_kill(bench):
    """SIGKILL of the broker that leads an input of a lane: another one leads, no message is missed."""
    killed_for_good(bench, lambda brokers: brokers.leader(bench.world.prefix + "checkins", 1))


def transaction_coordinator_kill(bench):
    """SIGKILL of the coordinator of a lane's transactions while they are under way: it moves, and what was
    open is ended once."""
    identity = f"{bench.world.group}.{bench.world.prefix}lane-0"
    killed_for_good(bench, lambda brokers: brokers.leader("__transaction_state", java_hash(identity) % 8))


def group_coordinator_kill(bench):
    """SIGKILL of the group's coordinator: it moves, and the lanes stay where they are."""
    killed_for_good(bench, lambda brokers: brokers.leader("__consumer_offsets", java_hash(bench.world.group) % 4))


def rolling_restart(bench):
    """Each broker in turn is stopped in order and started, as for an upgrade: muster goes on."""
    brokers, muster = bench.cluster, bench.start()
    for node in brokers.brokers.values():
        node.process.terminate()
        node.process.wait()
        brokers.whole()
    bench.healed()
    bench.recovered()
    muster.wait_ready()


def too_few_replicas(bench):
    """Two of three brokers are killed for 15 s, so that nothing may be written: muster waits, says so, and
    goes on when there are two."""
    brokers, muster = bench.cluster, bench.start()
    keep = brokers.leader(bench.world.prefix + "journal", 0)
    for node in brokers.brokers.values():
        if node is not keep:
            node.kill()
    bench.unready(muster, seconds=90)
    time.sleep(15)
    brokers.whole()
    bench.healed()
    bench.recovered()
    muster.wait_ready(90)


def unclean_election(bench):
    """All that was written while one broker was alone is lost with it, since a broker that lagged may lead:
    the lanes are refused with topic and offset, nothing is decided on a rewritten past."""
    brokers = bench.cluster
    muster = bench.start()
    bench.stop_traffic()
    bench.world.wait_caught_up()
    admin = brokers.admin()
    names = [name for name in admin.list_topics(timeout=20).topics
             if name.startswith(bench.world.prefix) or name.startswith("__")]
    risky = [ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
             for key, value in (("min.insync.replicas", "1"), ("unclean.leader.election.enable", "true"))]
    for name in names:
        for future in admin.incremental_alter_configs(
                [ConfigResource(ResourceType.TOPIC, name, incremental_configs=risky)]).values():
            future.result(30)
    alone, *others = brokers.brokers.values()
    for node in others:
        node.kill()
    time.sleep(6)
    world = bench.world
    world.send(*(check_in(f"T-{n:03}", now_ms() + n) for n in range(50)))
    world.wait_caught_up(120)
    alone.kill()
    for node in others:
        node.start()
    for node in others:
        node.wait()
    bench.saw(muster, "lane halted", 120)
    bench.unready(muster)
    muster.kill()
    bench.exited(world.start("--until-caught-up", http="off"), 78)
    bench.checks = False  # what was published is lost, and refused is all that can be done
    safe = [ConfigEntry(key, "", incremental_operation=AlterConfigOpType.DELETE)
            for key in ("min.insync.replicas", "unclean.leader.election.enable")]
    admin = brokers.admin()  # the answers need it
    for name in names:
        for future in admin.incremental_alter_configs(
                [ConfigResource(ResourceType.TOPIC, name, incremental_configs=safe)]).values():
            future.result(30)
    brokers.whole()


FAULTS = [leader_kill, input_leader_kill, transaction_coordinator_kill, group_coordinator_kill, rolling_restart,
          too_few_replicas, unclean_election]
for fault in FAULTS:
    fault.needs_cluster = True
