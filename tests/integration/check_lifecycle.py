#!/usr/bin/env python3
"""A device's whole life as an operator leads it: every step is a command line, from procurement to
wipe, on a processor that runs; then all of it is decided again.

usage: check_lifecycle.py [CASE...]
"""
import json
import re
import subprocess

from _world import HOUR, MINUTE, MUSTER, SECOND, check_in, enroll, main, now_ms, report, tail, time_text, wait_until

ROOT, ANN, BOB, EVE = "root@example.org", "ann@example.org", "bob@example.org", "eve@example.org"

# The extended policy's kind, at a pace that a test can wait for.
SWIFT = """\
version: {version}
title: Swift
rules:
  - id: not_encrypted
    title: The disk is not encrypted
    remediation: Turn the encryption on.
    require: [disk_encrypted, is, true]
  - id: weak_screen_lock
    title: The screen lock is too weak
    remediation: Set a longer one.
    require: [screen_lock_pin_length, at_least, {digits}]
escalation:
  noncompliant:
    stages:
      - {{after: 0s, notify: noncompliant}}
      - {{after: 3s, block: [email, sap], ticket: open}}
  overdue_sync:
    interval: 5s
    grace: 1s
    stages:
      - {{after: 6s, notify: sync_overdue}}
commands: {{users_may: [sync, rename]}}
"""


class Story:
    """One world with a processor, and the command line as its operator uses it."""

    def __init__(self, world):
        self.world = world
        world.extra = ["--set", f"roles.bootstrap_admins={ROOT}"]

    def begin(self):
        self.processor = self.world.start()
        self.processor.wait_ready()

    def ask(self, *words, status=0):
        """What the processor decided, as the audit entry."""
        done = self.world.muster(*words, "-o", "json", "--timeout", "60", status=status)
        return json.loads(done.stdout) if done.stdout else {"reason": done.stderr}

    def refused(self, *words):
        entry = self.ask(*words, status=1)
        assert entry.get("outcome", "REFUSED") == "REFUSED", entry
        return entry["reason"]

    def send(self, topic, serial, **fields):
        line = json.dumps({"topic": topic, "serial": serial, **fields})
        self.world.muster("produce", "-", text=line + "\n")

    def list(self, *words):
        return json.loads(self.world.muster(*words, "-o", "json").stdout)

    def device(self, wanted, **expected):
        """The device, once there is one that is as expected."""
        last = [""]

        def there():
            done = subprocess.run([MUSTER, "device", "get", wanted, "-o", "json", *self.world.options()],
                                  capture_output=True, text=True, timeout=60)
            last[0] = done.stdout or done.stderr
            assert done.returncode in (0, 1), done
            found = json.loads(done.stdout) if done.returncode == 0 else None
            return found if found and all(found[name] == value for name, value in expected.items()) else None
        return wait_until(lambda: f"{wanted} with {expected}: {last[0]}\n{tail(self.processor.log())}", there, pause=0.2)

    def end(self):
        self.processor.stop()
        return self.world.settled()


def said(entry, **expected):
    assert all(entry[name] == value for name, value in expected.items()), entry
    return entry


def holds(what, condition):
    assert condition, what


def from_procurement_to_wipe(make):
    story = Story(make("life", lanes=2))
    story.begin()
    provision = ("device", "provision", "LAPTOP-1", "--user", ANN, "--profile", "standard", "--platform", "windows",
                 "--os-version", "10.0.22631")
    entry = said(story.ask(*provision), outcome="OK", action="CREATE", serial="LAPTOP-1")
    device_id = entry["device_id"]
    story.refused("device", "provision", "PHONE-0", "--user", ANN, "--profile", "standard", "--platform", "ios",
                  "--os-version", "17.4")
    story.device(device_id, status="PENDING", last_sync_at=None, next_action="fail", hint=None)

    story.send("checkins", "LAPTOP-1", os_version="10.0.22631", trigger="SCHEDULED")
    story.device("LAPTOP-1", status="ENROLLED", device_id=device_id)
    story.send("compliance-reports", "LAPTOP-1", disk_encrypted=False, screen_lock_pin_length=4,
               antivirus_enabled=True, antivirus_signatures_at=now_ms() - HOUR)
    shown = story.device(device_id, compliance="NONCOMPLIANT", violations=["not_encrypted", "weak_screen_lock"])
    assert [(rule["rule"], rule["observed"], rule["required"]) for rule in shown["violated_rules"]] == [
        ("not_encrypted", "disk_encrypted false", "disk_encrypted is true"),
        ("weak_screen_lock", "screen_lock_pin_length 4", "screen_lock_pin_length at least 6")], shown
    assert shown["next_action"] == "block" and shown["history"][0]["topic"].endswith(".notifications"), shown
    page = story.world.muster("device", "get", device_id).stdout
    holds(page, "remedy" in page and "Turn on BitLocker" in page and "NONCOMPLIANT [not_encrypted" in page)
    due = story.list("timer", "list", "--due", "25h")
    assert [(row["serial"], row["action"]) for row in due] == [("LAPTOP-1", "block")], due
    assert story.list("timer", "list", "--due", "1h") == []
    assert [row["device_id"] for row in story.list("device", "list", "--compliance", "noncompliant", "--platform",
                                                   "windows", "--user", ANN)] == [device_id]

    # Moves by hand: what is allowed, and what is said of what is not.
    said(story.ask("device", "set-status", device_id, "pending"), outcome="OK", action="UPDATE")
    story.device(device_id, status="PENDING")
    said(story.ask("device", "set-status", device_id, "enrolled"), outcome="OK")
    holds("which moves exist", "PENDING" in story.refused("device", "set-status", device_id, "failed"))

    # Who may wipe: an admin by name, who says the serial once more.
    wipe = ("device", "wipe", device_id, "--reason", "lost", "--confirm", "LAPTOP-1")
    story.world.muster(*wipe, status=2)
    story.refused(*wipe, "--admin", EVE)
    said(story.ask("role", "grant", EVE, "--admin", ROOT), outcome="OK")
    story.refused("role", "grant", BOB, "--admin", ANN)
    assert {row["role"] for row in story.list("role", "list")} == {"ADMIN"}
    story.refused("device", "wipe", device_id, "--reason", "lost", "--confirm", "LAPTOP-2", "--admin", EVE)
    said(story.ask(*wipe, "--admin", EVE), outcome="OK", action="REMOTE_TASK")
    story.refused(*wipe, "--admin", EVE)
    pending = wait_until("a wipe that is pending", lambda: story.device(device_id)["wipe"])
    assert (pending["state"], pending["reason"], pending["asked_by"]) == ("ARMED", "LOST", EVE), pending
    holds("the page tells", "wipe               ARMED: LOST" in story.world.muster("device", "get", device_id).stdout)
    said(story.ask("device", "wipe", device_id, "--withdraw", "--admin", EVE), outcome="OK")
    story.send("checkins", "LAPTOP-1", os_version="10.0.22631", trigger="SCHEDULED")
    said(story.ask("device", "sync", device_id), outcome="OK")
    story.device(device_id, status="ENROLLED", wipe=None)
    said(story.ask(*wipe, "--admin", EVE), outcome="OK")
    story.send("checkins", "LAPTOP-1", os_version="10.0.22631", trigger="SCHEDULED")
    shown = story.device(device_id, status="WIPED", email_blocked=True, compliance="UNKNOWN")
    what = [result["what"] for result in shown["history"]]
    assert "action WIPE" in what and "licence RELEASE" in what, what
    said(story.ask("role", "revoke", EVE, "--admin", ROOT), outcome="OK")
    story.refused("device", "sync", device_id)

    results = story.end()
    in_topic = [result for result in results.values() if result["topic"] == "audit"]
    rows = story.world.sql("select actor, action, outcome, reason from muster.audit")
    assert sorted((r["actor"], r["action"], r["outcome"], r["reason"]) for r in in_topic) == sorted(rows)
    refused = [result for result in in_topic if result["outcome"] == "REFUSED"]
    assert len(refused) == 7, [result["reason"] for result in refused]
    (wiped,) = [result for result in results.values() if result["topic"] == "actions" and result["action"] == "WIPE"]
    assert wiped["selective"] is False, wiped
    verified(story.world)


def personal_and_given_up(make):
    """A personal device is wiped selectively; another is retired; a user does what the policy allows."""
    story = Story(make("own", lanes=2))
    story.begin()
    for serial, ownership in (("OWN", "personal"), ("OLD", "corporate")):
        said(story.ask("device", "provision", "--serial", serial, "--user", BOB, "--profile", "mobile", "--platform",
                       "ios", "--os-version", "17.4", "--ownership", ownership), outcome="OK")
        story.send("checkins", serial, os_version="17.4", trigger="SCHEDULED")
        story.device(serial, status="ENROLLED")
    said(story.ask("device", "sync", "OWN", "--user", BOB), outcome="OK")
    story.refused("device", "sync", "OWN", "--user", ANN)
    story.refused("device", "retire", "OWN", "--user", BOB)
    said(story.ask("device", "rename", "OLD", "--name", "Bob's old one", "--note", "for the shelf"), outcome="OK")
    said(story.ask("device", "wipe", "OWN", "--admin", ROOT, "--reason", "terminated", "--confirm", "OWN"),
         outcome="OK")
    story.send("checkins", "OWN", os_version="17.4", trigger="ON_DEMAND")
    story.device("OWN", status="WIPED")
    said(story.ask("device", "retire", "OLD"), outcome="OK", action="DELETE")
    story.device("OLD", status="RETIRED")
    assert story.list("device", "list", "--status", "retired", "--ownership", "corporate")[0]["serial"] == "OLD"
    results = story.end()
    actions = {(r["serial"], r["action"], r["selective"]) for r in results.values() if r["topic"] == "actions"}
    assert {("OWN", "WIPE", True), ("OLD", "RENAME", False), ("OWN", "SYNC", False)} <= actions, actions
    verified(story.world)


def two_admins(make):
    """Under a policy that ships with muster a wipe takes two admins, and an enrolled device gets its profile."""
    story = Story(make("two", lanes=2))
    story.begin()
    said(story.ask("policy", "apply", "extended"), outcome="OK", target="extended")
    said(story.ask("role", "grant", EVE), outcome="OK")
    said(story.ask("device", "provision", "PC", "--user", ANN, "--profile", "executive", "--platform", "windows",
                   "--os-version", "10.0.26100"), outcome="OK")
    story.send("checkins", "PC", os_version="10.0.26100", trigger="SCHEDULED")
    story.device("PC", status="ENROLLED")
    entry = said(story.ask("device", "wipe", "PC", "--admin", ROOT, "--reason", "stolen", "--confirm", "PC"), outcome="OK")
    assert "1 more" in entry["reason"], entry
    story.send("checkins", "PC", os_version="10.0.26100", trigger="SCHEDULED")
    story.refused("device", "wipe", "PC", "--approve", "--admin", ROOT)
    said(story.ask("device", "wipe", "PC", "--approve", "--admin", EVE), outcome="OK")
    story.device("PC", status="ENROLLED")
    story.send("checkins", "PC", os_version="10.0.26100", trigger="SCHEDULED")
    story.device("PC", status="WIPED")
    actions = [r["action"] for r in story.end().values() if r["topic"] == "actions"]
    assert actions == ["PUSH_PROFILE", "WIPE"], actions
    verified(story.world)


def policies_and_outages(make):
    """A policy comes into force for everybody; an outage mutes the missed check-ins that it causes."""
    story = Story(make("policy", lanes=2))
    long_ago = now_ms() - 2 * HOUR
    # Compliant by default's rules, and checked in two hours ago.
    story.world.send(*(event for n in range(40) for event in (
        enroll(f"PC-{n:02}", long_ago), check_in(f"PC-{n:02}", long_ago + 1), report(f"PC-{n:02}", long_ago + 2, pin=6))))
    story.begin()
    story.world.wait_caught_up()
    paths = {}
    for version, digits in (("swift-1", 8), ("swift-2", 6)):
        paths[version] = f"{story.world.directory}/{version}.yaml"
        with open(paths[version], "w", encoding="utf-8") as file:
            file.write(SWIFT.format(version=version, digits=digits))
    said(story.ask("tenant", "begin", "upstream_outage"), outcome="OK")
    said(story.ask("policy", "apply", paths["swift-1"], "--admin", ROOT), outcome="OK", target="swift-1")
    story.device("PC-00", compliance="NONCOMPLIANT", violations=["weak_screen_lock"], policy="swift-1")
    wait_until("all of them", lambda: len(story.list("device", "list", "--compliance", "noncompliant")) == 40)
    wait_until("blocked by the new plan", lambda: len(story.list("device", "list", "--blocked")) == 40)
    assert story.list("device", "list", "--overdue") == [], "overdue in an outage"
    pages, after = [], []
    while page := story.list("device", "list", "--sort", "serial", "--desc", "--limit", "15", *after):
        pages.append([row["serial"] for row in page])
        after = ["--after", page[-1]["device_id"]]
    assert sum(pages, []) == [f"PC-{n:02}" for n in reversed(range(40))], pages

    opened = story.world.sql("select value->>'description' from muster.results where value->>'action' = 'OPEN'")
    assert opened == 40 * [("The screen lock is too weak (weak_screen_lock). Seen: screen_lock_pin_length 6. Required: "
                            "screen_lock_pin_length at least 8. What to do: Set a longer one.",)], opened

    said(story.ask("tenant", "end", "upstream_outage"), outcome="OK")
    wait_until("overdue after it", lambda: len(story.list("device", "list", "--overdue")) == 40)
    story.send("checkins", "PC-07", os_version="10.0.22631", trigger="SCHEDULED")
    story.device("PC-07", overdue_since=None)
    said(story.ask("policy", "apply", paths["swift-2"]), outcome="OK")
    story.device("PC-07", compliance="COMPLIANT", email_blocked=False, ticket_open=False)
    said(story.ask("group", "add", "vips", "--user", ANN), outcome="OK")
    assert [(row["group"], row["serial"]) for row in story.list("group", "list")] == [("vips", None)]
    story.refused("group", "remove", "vips", "--serial", "PC-01")
    listed = story.list("policy", "list")
    assert [(row["version"], row["in_force"]) for row in listed] == [
        ("swift-2", True), ("swift-1", False), ("default", False)], listed
    assert {"key": "title", "value": "Swift"} in story.list("policy", "show", "swift-1")
    said(story.ask("policy", "apply", "swift-1"), outcome="OK")  # by its version: it was in force once
    said(story.ask("profile", "push", "standard", "--revision", "2026-11"), outcome="OK")
    profiles = {profile["profile"]: profile for profile in story.list("profile", "list")}
    assert profiles["STANDARD"]["revision"] == "2026-11" and profiles["MOBILE"]["revision"] is None, profiles
    assert profiles["MOBILE"]["platforms"] == ["IOS", "ANDROID"] and "vpn" in profiles["STANDARD"]["content"], profiles
    wait_until("pushed", lambda: story.world.sql("select count(*) from muster.results where value->>'action' = "
                                                 "'PUSH_PROFILE'") == [(40,)])
    # Enrolled by hand and never seen: its time counts from its enrolment.
    said(story.ask("device", "provision", "HAND", "--user", ANN, "--profile", "standard", "--platform", "windows",
                   "--os-version", "10.0.22631"), outcome="OK")
    said(story.ask("device", "set-status", "HAND", "enrolled"), outcome="OK")
    since = wait_until("overdue, by hand", lambda: story.device("HAND", status="ENROLLED")["overdue_since"])
    pending = story.world.sql("select pending_since from muster.device_row where serial = 'HAND'")[0][0]
    assert since == time_text(round(pending.timestamp() * 1000) + 6 * SECOND), (since, pending)
    story.end()
    verified(story.world)


def what_is_told_without_a_decision(make):
    """Nobody decides: 75 with the event's id, and it is decided when somebody does. --no-wait is 0."""
    story = Story(make("alone", lanes=2))
    words = ("device", "provision", "PC-1", "--user", ANN, "--profile", "standard", "--platform", "windows",
             "--os-version", "10.0.22631")
    done = subprocess.run([MUSTER, *words, "--timeout", "1", *story.world.options()], capture_output=True, text=True,
                          timeout=60)
    (undecided,) = re.findall("event_id ([0-9a-f-]{36}) ", done.stderr)
    assert done.returncode == 75 and done.stdout == "", done
    sent = story.list(*words, "--no-wait")
    assert len(sent["event_id"]) == 36 and sent["topic"].endswith(".enrollments"), sent
    story.begin()
    decided = "select event_id::text from muster.audit order by seq"
    wait_until("both of them", lambda: story.world.sql(decided) == [(undecided,), (sent["event_id"],)])
    story.end()


def late_and_failed(make):
    """A device that does not check in is called late, then failed, each with what to do."""
    story = Story(make("late", lanes=1))
    story.world.send(enroll("FAILED", now_ms() - 31 * MINUTE), enroll("LATE", now_ms() - 20 * MINUTE))
    story.begin()
    assert "late" in story.device("LATE", status="PENDING")["hint"]
    hint = story.device("FAILED", status="FAILED")["hint"]
    assert "network" in hint and "account" in hint, hint
    story.send("checkins", "FAILED", os_version="10.0.22631", trigger="SCHEDULED")
    assert story.device("FAILED", status="ENROLLED")["hint"] is None
    story.end()


def verified(world):
    """Everything decided again comes out the same, in the topics and in the database."""
    done = subprocess.run([MUSTER, "replay", "verify", "--database", *world.options()], capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, f"replay verify: exit {done.returncode}:\n{done.stdout[-3000:]}"


main(from_procurement_to_wipe, personal_and_given_up, two_admins, policies_and_outages,
     what_is_told_without_a_decision, late_and_failed)
