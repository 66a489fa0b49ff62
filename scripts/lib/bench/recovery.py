#!/usr/bin/env python3
"""What scripts/bench recovery measures: how soon after SIGKILL something new is decided."""
import time

import common
import state

LAST_KILL = 0.6  # of the backlog; the others at even distances before it
COLUMNS = (("decided", "decided", "%9d"), ("assigned_seconds", "to lanes s", "%10.2f"), ("taken_seconds", "loaded s", "%9.2f"),
           ("first_seconds", "first new s", "%11.2f"), ("every_seconds", "every lane s", "%12.2f"))
BATCHES = "SELECT max(batch) FROM muster.journal_row GROUP BY lane ORDER BY lane"
MESSAGES = "SELECT coalesce(sum(message_count), 0)::bigint FROM muster.journal_row"


def backends(place):
    return place.query("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'muster lane %' AND datname = current_database()")[0]


def kill(muster):
    """A killed owner's last commit may still be on its way: what counts begins behind it."""
    muster.kill()
    common.wait_until("the sessions of the killed to end", lambda: backends(muster.place) == 0)
    return muster.place.query(BATCHES)


def watch(muster, before):
    """Seconds from the lanes' assignment until one of them, and until every one, has gone on."""
    first = None
    while True:
        now = muster.place.query(BATCHES)
        count = sum(after > batch for after, batch in zip(now, before))
        if count > 0 and first is None:
            first = time.monotonic()
        if count == len(before):
            break
        if muster.process.poll() is not None or time.monotonic() - muster.began > 120:
            raise common.Failed("nothing new was decided on every lane: a backlog that is used up? take more --rounds")
        time.sleep(0.01)
    given = muster.said("lanes assigned")[0]
    return {"assigned_seconds": given - muster.began, "first_seconds": first - given, "every_seconds": time.monotonic() - given}


def measure(options):
    place = common.Place("recovery", options.partitions)
    place.make()
    sent = sum(state.send(place.prefix, options.devices, options.rounds)["messages"].values())
    print("%d messages" % sent, flush=True)
    table, runs = common.Table("kill", COLUMNS), []
    muster = common.Running(place, options.log)
    try:
        muster.wait_taken()
        common.wait_until("every lane's first batch", lambda: len(place.query(BATCHES)) == options.partitions)
        for number in range(1, options.runs + 1):
            due = sent * LAST_KILL * number / options.runs
            common.wait_until("messages decided", lambda: place.query(MESSAGES)[0] >= due, 600, 0.01)
            before = kill(muster)
            decided = place.query(MESSAGES)[0]
            muster = common.Running(place, options.log)
            found = watch(muster, before)
            runs.append(dict(found, decided=decided, taken_seconds=muster.wait_taken()[1]))
            table.show("%d" % number, runs[-1])
    finally:
        muster.stop()
    median = common.median(runs)
    table.show("median", median)
    table.show("worst", {name: max(run[name] for run in runs) for name in median})
    place.drop()
    return {"messages": sent, "runs": runs, "median": median}


if __name__ == "__main__":
    common.main("recovery", measure, {"devices": (int, 100000), "rounds": (int, 20), "runs": (int, 5)})
