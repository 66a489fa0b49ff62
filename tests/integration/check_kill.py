#!/usr/bin/env python3
"""usage: check_kill.py [--kills N] [--seed N] [CASE...]

Kills muster with SIGKILL at random moments, over as many backlogs as it takes, and starts it
again each time; at the end the same events, under another prefix, are processed undisturbed.
Both must have come to the same results, each once, and to the same devices.
MUSTER_KILLS=100 scripts/test --integration check_kill for more than the usual 8.
"""
import argparse
import os
import random
import time

from _world import (HOUR, LONG_AGO, MINUTE, SECOND, check_in, differences, enroll, garbage, left_behind, main,
                    now_ms, report, tail, time_text, wait_until)

LANES = 3
DEVICES_PER_BACKLOG = 40
HOURS_PER_BACKLOG = 60


def backlog(number):
    """Two and a half days of a fleet that grows with every backlog; always the same events."""
    rng = random.Random(number)
    start = LONG_AGO + number * HOURS_PER_BACKLOG * HOUR
    events = []
    for device in range((number + 1) * DEVICES_PER_BACKLOG):
        serial = f"K-{device:05}"
        if device // DEVICES_PER_BACKLOG == number:
            events.append(enroll(serial, start + rng.randrange(HOUR), user=f"user{device % 97}@example.org"))
        compliant = True
        for hour in range(2, HOURS_PER_BACKLOG, 3):
            at = start + hour * HOUR + rng.randrange(50 * MINUTE)
            # Some have only just enrolled when their half hour is over, some never check in.
            if rng.random() < 0.6 and device % 20 != 7:
                events.append(check_in(serial, at, trigger=rng.choice(("SCHEDULED", "ON_DEMAND"))))
            if rng.random() < 0.2:
                compliant = not compliant
            events.append(report(serial, at + 1, pin=6 if compliant else rng.choice((0, 4)),
                                 encrypted=compliant or rng.random() < 0.5))
    for n in range(20):
        at = start + rng.randrange(HOURS_PER_BACKLOG * HOUR)
        events.append(check_in(f"NOBODY-{number}-{n}", at))
        events.append(garbage("checkins", f"K-{n:05}", at + 1))
    events.sort(key=lambda event: (event.at, event.serial))
    return events


def kill_once(world, rng):
    """Starts muster and kills it at some moment; what was hit, or None when it was done before."""
    batch = rng.choice((5, 20, 100, 2000))
    process = world.start("--until-caught-up", "--set", f"batch.messages_max={batch}", http="off")
    if rng.random() < 0.25:
        moment, delay = "after its start", rng.uniform(0, 1)
    else:
        moment, delay = "after taking a lane", rng.expovariate(1 / 0.6)
        wait_until(lambda: f"a lane taken; the log:\n{tail(process.log())}",
                   lambda: "lane taken" in process.log() or not process.is_alive(), pause=0.002)
    time.sleep(delay)
    if not process.is_alive():
        assert process.wait() == 0, tail(process.log())
        return None
    process.kill()
    return f"{delay:5.3f} s {moment}, batches of {batch}"


def same_results_as_undisturbed(make):
    rng = random.Random(options.seed)
    key = b"one key for both of the worlds"
    disturbed = make("kill", lanes=LANES, subject_key=key)
    kills = backlogs = torn = 0
    while kills < options.kills:
        if backlogs == 0 or hit is None:
            disturbed.send(*backlog(backlogs))
            backlogs += 1
        hit = kill_once(disturbed, rng)
        if hit is not None:
            kills += 1
            unpublished = left_behind(disturbed)
            torn += unpublished > 0
            print(f"  {kills:3}: {hit}: {unpublished} batches committed and not published", flush=True)
    rest = disturbed.catch_up()
    killed = disturbed.settled()
    print(f"  {kills} kills over {backlogs} backlogs, {torn} between a commit and its publication; "
          f"the last run decided {rest['messages']} messages; {len(killed)} results")

    calm = make("calm", lanes=LANES, subject_key=key)
    for number in range(backlogs):
        calm.send(*backlog(number))
    calm.catch_up()
    expected = calm.settled()
    assert len(expected) > 100 * backlogs, f"{len(expected)} results are too few to show anything"
    assert killed == expected, f"not as undisturbed:\n{differences(killed, expected)}"
    devices = calm.devices()
    assert disturbed.devices() == devices, f"not as undisturbed:\n{differences(disturbed.devices(), devices)}"


def killed_live(make):
    """Killed while messages come and timers fire by the wall clock: each is decided once, in its time."""
    rng = random.Random(options.seed)
    world = make("live", lanes=LANES)
    start = now_ms()
    due = {f"DUE-{n:02}": start + 5 * SECOND + n * 200 for n in range(45)}
    for n, (serial, at) in enumerate(due.items()):
        world.send(enroll(serial, at - 25 * HOUR), check_in(serial, at - 25 * HOUR + 1),
                   report(serial, at - 24 * HOUR, pin=0))
    kills = max(4, options.kills // 4)
    for kill in range(kills + 1):
        muster = world.start("--set", f"batch.messages_max={rng.choice((3, 100000))}", http="off")
        muster.wait_log("lane taken", LANES)
        until = time.monotonic() + (3 if kill == kills else rng.expovariate(1 / 1.5))
        while time.monotonic() < until:
            serial = f"TALK-{rng.randrange(60):02}"
            at = now_ms()
            world.send(rng.choice((enroll, check_in, report))(serial, at), report(rng.choice(list(due)), at, pin=4))
        if kill < kills:
            muster.kill()
    wait_until("all that is due", lambda: now_ms() > max(due.values()) + 2 * SECOND)
    wait_until(lambda: f"all that is due decided; the log:\n{tail(muster.log())}", lambda: world.sql(
        "select count(*) from muster.results where topic like '%access-decisions'") == [(len(due),)])
    world.wait_caught_up()
    muster.stop()
    results = world.settled()
    for topic in ("access-decisions", "tickets"):
        found = {result["serial"]: result["at"] for result in results.values() if result["topic"] == topic}
        assert found == {serial: time_text(at) for serial, at in due.items()}, f"{topic}: {found}"
    devices = {row["serial"]: row for row in world.devices().values()}
    print(f"  {kills} kills, {len(results)} results, {len(devices)} devices")
    assert all(devices[serial]["ticket_open"] and devices[serial]["email_blocked"] for serial in due)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("case", nargs="*")
parser.add_argument("--kills", type=int, default=int(os.environ.get("MUSTER_KILLS", "8")))
parser.add_argument("--seed", type=int, default=int(os.environ.get("MUSTER_SEED", "1")))
options = parser.parse_args()
main(same_results_as_undisturbed, killed_live, names=options.case)
