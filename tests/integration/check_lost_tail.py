#!/usr/bin/env python3
"""A failover that lost the database's tail: what was published and is no longer committed is
decided again from the inputs, proved by its chain, and not published a second time."""
import contextlib

import psycopg

from _world import HOUR, NUMBERED, PG, World, check_in, enroll, report

START = 1760000000000

RESULTS = "select lane, seq, at, topic, key, value::text from muster.results order by lane, seq"
DEVICES = "select d::text from muster.devices d order by device_id"
CHAIN = "select lane, batch, digests->>'chain' from muster.journal where kind = 'BATCH' order by 1, 2"


def fleet(day):
    """Every third device lapses on day 1 and stays so: its block is a timer of day 2."""
    events = []
    for i in range(30):
        serial = f"LT{i:03}"
        at = START + day * 24 * HOUR + i * 1000
        if day == 0:
            events.append(enroll(serial, at, user=f"u{i % 7}@example.org"))
        events.append(check_in(serial, at + HOUR))
        events.append(report(serial, at + HOUR + 1, encrypted=day == 0 or i % 3 != 0))
    return events


def published(world):
    return {topic: len(records) for topic, records in world.read(*NUMBERED, "devices", "journal").items()}


def main():
    with contextlib.closing(World("lost-tail", lanes=2)) as world:
        world.send(*fleet(0))
        world.catch_up()
        copy = world.database + "_copy"
        with psycopg.connect(PG, autocommit=True) as connection:
            connection.execute(f'create database "{copy}" template "{world.database}"')
        for day in (1, 2, 3):
            world.send(*fleet(day))
            world.catch_up("--set", "batch.messages_max=7")
        before = published(world)
        assert before["access-decisions"] > 0, "nobody was blocked: the days prove nothing"
        kept = [world.sql(query) for query in (RESULTS, DEVICES, CHAIN)]

        world.dsn = world.dsn.replace(world.database, copy)
        world.extra = ["--set", f"postgres.dsn={world.dsn}"]
        assert len(world.sql(CHAIN)) < len(kept[2]), "the copy has lost nothing"
        world.catch_up()
        for name, query, rows in zip(("results", "devices", "chain"), (RESULTS, DEVICES, CHAIN), kept):
            assert world.sql(query) == rows, f"{name} differ after the rebuild"
        assert published(world) == before, f"published {before}, then {published(world)}"


if __name__ == "__main__":
    main()
