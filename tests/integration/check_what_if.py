"""The history of a log under another policy, held against the oracle's, which knows nothing of it:
what each would have decided, and the difference of the two."""
import csv
import json
import io
import os
import subprocess

import _fleet
import _oracle
from _fleet import equal, holds

LOAD = ("--devices", 260, "--rounds", 7, "--seed", 11, "--odd", 0.3, "--damage", 0.02)
SETTINGS = ("batch.messages_max=250",)
HOUR = _oracle.HOUR
DEFAULT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "policies", "default.yaml")
# What is compared, by topic: what a decision is called there.
CALLED = {
    "compliance-changes": lambda decided: decided[0],
    "notifications": lambda decided: decided[0],
    "access-decisions": lambda decided: "%s %s" % (decided[1], decided[0]),
    "tickets": lambda decided: decided[0],
}


def write_policy(directory, name, pin, hours):
    """The default with another screen lock and another grace."""
    with open(DEFAULT, encoding="utf-8") as f:
        text = f.read()
    for before, after in (("version: default", "version: " + name), ("at_least, 6]", "at_least, %d]" % pin), ("after: 24h", "after: %dh" % hours)):
        equal(text.count(before), 1, "%r in the default policy" % before)
        text = text.replace(before, after)
    path = os.path.join(directory, name + ".yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def what_if(world, policy, *options, status, output="json", environment=None):
    done = subprocess.run(world.command("replay", "what-if", "--policy", policy, *options, "-o", output), capture_output=True, timeout=300,
                          env=dict(os.environ, **(environment or {})))
    equal(done.returncode, status, "what-if %s: %s: exit status" % (options, done.stderr.decode()[-300:]))
    return json.loads(done.stdout) if output == "json" else done.stdout


class Switching(_oracle.Lane):
    """Under the default until `start`; then these come into force, and every device is looked at."""

    def __init__(self, lane, world, pin, hours, start):
        super().__init__(lane, world.lanes, _oracle.Inputs(world.confluent_ids))
        self.coming, self.start = (pin, hours * HOUR), start
        _oracle.PIN_LENGTH_MIN, _oracle.BLOCK_AFTER = (6, 24 * HOUR)
        if start is None:
            self.switch()

    def switch(self):
        _oracle.PIN_LENGTH_MIN, _oracle.BLOCK_AFTER = self.coming
        self.coming, self.cause, self.event_id = None, None, None
        for device in self.devices:
            if device.noncompliant_since is not None and device.is_escalated and _oracle.BLOCK_AFTER > 24 * HOUR:
                device.is_escalated = False  # the new plan's stage is yet to come
            if device.compliance != "UNKNOWN":
                self.evaluate(device)
            self.schedule(device)

    def fire(self, until):
        if self.coming is not None and until >= self.start:
            super().fire(self.start - 1)
            self.clock = max(self.clock, self.start)
            self.switch()
        super().fire(until)


def decided(world, pin, hours, start=None):
    """By (device, topic, what): the times, as the oracle decides under these."""
    kept = _oracle.PIN_LENGTH_MIN, _oracle.BLOCK_AFTER
    try:
        times = {}
        for lane in range(world.lanes):
            for result in Switching(lane, world, pin, hours, start).run(world.inputs(lane)).results:
                topic, at, device, what = result[0], result[1], result[4], result[7]
                if topic in CALLED:
                    violations = what[1] if topic == "compliance-changes" else what[2] if topic == "tickets" else None
                    times.setdefault((device, topic, CALLED[topic](what)), {})[at] = violations
        return times
    finally:
        _oracle.PIN_LENGTH_MIN, _oracle.BLOCK_AFTER = kept


def ms(text):
    import datetime
    return None if text is None else round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def check_against_oracle(world, policy, pin, hours, start=None, end=None):
    """The times that only one of them has are those of the report, neither more nor less."""
    options = [word for name, at in (("--from", start), ("--to", end)) if at is not None for word in (name, str(at))]
    report = what_if(world, policy, *options, status=1)
    sides = decided(world, 6, 24), decided(world, pin, hours, start)
    bounds = [{key: {at: v for at, v in times.items() if (start is None or at >= start) and (end is None or at < end)}
               for key, times in side.items()} for side in sides]
    expected = [{(key, at) for key, times in side.items() for at in times if at not in other.get(key, {})}
                for side, other in (bounds, bounds[::-1])]
    found, reasons = [set(), set()], set()
    for row in report:
        holds(row["kind"] in CALLED, "a difference in %s", row)
        key = row["device_id"], row["kind"], row["what"]
        at = ms(row["at_then"]), ms(row["at_what_if"])
        equal(row["change"], "only_what_if" if at[0] is None else "only_then" if at[1] is None else "reason" if at[0] == at[1] else "moved", "change of %s" % row)
        if row["change"] == "reason":
            reasons.add((key, at[0]))
            continue
        for side in (0, 1):
            if at[side] is not None:
                holds((key, at[side]) not in found[side], "%s twice", row)
                found[side].add((key, at[side]))
    for name, there, wanted in zip(("then", "what if"), found, expected):
        equal(sorted(map(repr, there - wanted)), [], "only %s, by the report, not by the oracle" % name)
        equal(sorted(map(repr, wanted - there)), [], "only %s, by the oracle, not by the report" % name)
    other_reasons = {(key, at) for key, times in bounds[0].items() for at, violations in times.items()
                     if key[2] != "RESOLVE" and violations is not None and bounds[1].get(key, {}).get(at, violations) != violations}
    equal({r for r in reasons if r[0][1] in ("compliance-changes", "tickets") and r[0][2] != "RESOLVE"}, other_reasons, "the same for other reasons")
    print("%-28s %s, %d for other reasons" % (" ".join(options) or "the whole log", [len(side) for side in found], len(reasons)), flush=True)
    return report, bounds


def check_counts(world, policy, report, bounds):
    """The summary counts what the list lists, and all there was."""
    summary = {(row["kind"], row["what"]): row for row in what_if(world, policy, "--summary", status=1)}
    for (kind, what), row in summary.items():
        of_list = [r for r in report if (r["kind"], r["what"]) == (kind, what)]
        for change in ("only_then", "only_what_if", "moved", "reason"):
            equal(row[change], sum(r["change"] == change for r in of_list), "%s of %s %s" % (change, kind, what))
        if kind in CALLED:
            counts = [sum(len(times) for key, times in side.items() if key[1:] == (kind, what)) for side in bounds]
            equal([row["then"], row["what_if"]], counts, "all of %s %s" % (kind, what))
    holds({r["change"] for r in report} == {"only_then", "only_what_if", "moved", "reason"}, "not every kind of change is among these")
    lines = list(csv.DictReader(io.StringIO(what_if(world, policy, status=1, output="csv").decode())))
    equal([line["device_id"] for line in lines], [row["device_id"] or "" for row in report], "the same as CSV")
    equal([json.loads(line) for line in what_if(world, policy, status=1, output="ndjson").splitlines()], report, "the same as NDJSON")
    table = what_if(world, policy, status=1, output="table").decode()
    holds(table.rstrip().endswith("%d differences in what came of %d messages" % (len(report), sum(world.sent.values()))), "the table's end: %s", table[-200:])


def test(directory):
    world = _fleet.World(directory, "whatif", lanes=2)
    world.load(*LOAD)
    world.run(*SETTINGS)
    # Under the policy that was in force nothing differs, under whatever name.
    for policy in ("default", write_policy(directory, "same", 6, 24)):
        equal(what_if(world, policy, status=0), [], "under the policy in force")
    stricter = write_policy(directory, "stricter", 9, 6)
    report, bounds = check_against_oracle(world, stricter, 9, 6)
    check_counts(world, stricter, report, bounds)
    check_against_oracle(world, write_policy(directory, "milder", 4, 30), 4, 30)
    stamps = sorted(at for times in bounds[0].values() for at in times)
    middle, late = stamps[len(stamps) // 3], stamps[len(stamps) * 2 // 3]
    check_against_oracle(world, stricter, 9, 6, end=late)
    check_against_oracle(world, stricter, 9, 6, start=middle)
    check_against_oracle(world, os.path.join(directory, "milder.yaml"), 4, 30, start=middle)
    check_against_oracle(world, stricter, 9, 6, start=middle, end=late)
    equal(what_if(world, "default", "--from", str(middle), status=0), [], "the policy in force, from then on")
    # The same bytes, whatever stands around.
    outputs = {what_if(world, stricter, "--jobs", jobs, status=1, output="csv", environment=environment)
               for jobs, environment in (("1", {}), ("2", {"TZ": "Pacific/Auckland", "LC_ALL": "de_DE.UTF-8"}), ("4", {"TZ": "America/St_Johns", "LANG": "tr_TR.UTF-8"}))}
    equal(len(outputs), 1, "outputs that differ between time zones, locales and jobs")
    holds(len(what_if(world, stricter, "--lane", "1", status=1)) < len(report), "one lane's differences are not fewer than all")
    holds(len(what_if(world, "extended", status=1)) > 0, "no difference under the extended policy")
    for options in (("--lane", "9"), ("--from", "yesterday")):
        done = subprocess.run(world.command("replay", "what-if", "--policy", stricter, *options), capture_output=True, timeout=60)
        equal(done.returncode, 2, "what-if %s: exit status" % (options,))
    equal(subprocess.run(world.command("replay", "what-if"), capture_output=True, timeout=60).returncode, 2, "what-if without a policy")


_fleet.main(test)
