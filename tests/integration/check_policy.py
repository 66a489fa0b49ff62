#!/usr/bin/env python3
"""A policy comes into force by a message: every device is evaluated, whatever happens meanwhile.

usage: check_policy.py [CASE...]
"""
import os
import re
import subprocess
import uuid

from _world import HOUR, LONG_AGO, ROOT, SCHEMAS, Event, check_in, enroll, main, report, tail, wait_until

DEVICES = int(os.environ.get("DEVICES", 20000))


def policy(version, at):
    """A shipped policy's text, as a control message."""
    text = (ROOT / "policies" / f"{version}.yaml").read_text()
    said = subprocess.run([os.environ["MUSTER"], "policy", "check", ROOT / "policies" / f"{version}.yaml"],
                          capture_output=True, text=True, check=True).stdout
    return Event("control", version, at, {}, value=SCHEMAS["Policy"].encode(dict(
        event_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{version} {at}")), occurred_at=at, version=version,
        hash=re.search("sha256 ([0-9a-f]{64})", said)[1], text=text, actor_email=None)))


def fleet():
    for number in range(DEVICES):
        serial = f"P-{number:05}"
        yield enroll(serial, LONG_AGO)
        yield check_in(serial, LONG_AGO + 1)
        yield report(serial, LONG_AGO + 2, encrypted=number % 3 != 0, pin=6 if number % 5 else 4)


def history():
    return [policy("extended", LONG_AGO + HOUR), check_in("P-00001", LONG_AGO + 30 * HOUR),
            policy("default", LONG_AGO + 31 * HOUR), check_in("P-00002", LONG_AGO + 60 * HOUR)]


def killed_within_a_sweep(make):
    """Killed twice in the middle, it decides what it decides undisturbed; a replay and a rebuild do so, too."""
    small = ("--set", "batch.messages_max=100")
    key = b"5a" * 32  # subjects are compared
    whole, torn = make("whole", subject_key=key), make("torn", subject_key=key)
    for world in (whole, torn):
        world.send(*fleet())
        world.catch_up()
        world.send(*history())
    whole.catch_up()

    swept = "select count(*) from muster.journal where cursors -> 'sweep' <> 'null'"
    for _ in range(2):
        before = torn.sql(swept)[0][0]
        muster = torn.start("--until-caught-up", *small)
        wait_until(lambda: f"a sweep; the log:\n{tail(muster.log())}", lambda: torn.sql(swept)[0][0] > before + 3,
                   pause=0)
        muster.kill()
        last = torn.sql("select cursors -> 'sweep' from muster.journal order by batch desc limit 1")[0][0]
        print(f"  killed behind {last}")
        assert last is not None, "not within a sweep"
    torn.catch_up(*small)

    assert torn.settled() == whole.results(), "killed, it decides otherwise"
    rows = "select device_id, policy, violations, compliance, sap_blocked, next_action, next_action_at " \
           "from muster.devices order by device_id"
    assert torn.sql(rows) == whole.sql(rows), "killed, its devices are others"
    assert torn.sql("select count(*) from muster.control_row")[0][0] == 2
    assert torn.sql("select target, outcome from muster.audit where action = 'MANAGE' order by seq") == \
        [("extended", "OK"), ("default", "OK")]
    torn.muster("replay", "verify", "--database", timeout=300)
    print(f"  {len(torn.results())} results, verified")


main(killed_within_a_sweep)
