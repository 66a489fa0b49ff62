#!/usr/bin/env python3
"""usage: fleet.py [--day N] [--blocked]

A small fleet's events as the JSON lines that `muster produce` reads: its first three
days, or with --day the Nth after them. Always the same events, in June 2025.
--blocked prints instead whose mail must be blocked at the end of that time.
"""
import argparse
import datetime
import json
import sys
import uuid

START = datetime.datetime(2025, 6, 2, 8, tzinfo=datetime.timezone.utc)
FIRST_DAYS = 3

COMPUTER = dict(antivirus_enabled=True, signatures_age=20, disk_encrypted=True, screen_lock_pin_length=6)
PHONE = dict(antivirus_enabled=None, signatures_age=None, disk_encrypted=True, screen_lock_pin_length=6)
WINDOWS = ("WINDOWS", "STANDARD", "10.0.22631", COMPUTER)
MACOS = ("MACOS", "STANDARD", "14.5", COMPUTER)
LINUX = ("LINUX", "STANDARD", "6.1", COMPUTER)
IOS = ("IOS", "MOBILE", "17.5", PHONE)
ANDROID = ("ANDROID", "MOBILE", "14", PHONE)

# serial, user, kind, lapses: (from hour, to hour, what is then different)
FLEET = [
    ("WS-1001", "alice", WINDOWS, []),
    ("WS-1002", "bob", WINDOWS, [(6, 15, dict(antivirus_enabled=False))]),
    ("WS-1003", "carol", WINDOWS, [(10, 33, dict(screen_lock_pin_length=4))]),
    ("WS-1004", "dan", WINDOWS, [(9, 39, dict(disk_encrypted=False))]),
    # A second violation on the third day, while the ticket is open.
    ("WS-1005", "erin", WINDOWS, [(12, 74, dict(antivirus_enabled=False)), (41, 74, dict(screen_lock_pin_length=0))]),
    ("WS-1006", "frank", WINDOWS, []),
    ("WS-1007", "grace", WINDOWS, []),
    ("WS-1008", "heidi", WINDOWS, []),
    ("MB-2001", "judy", MACOS, []),
    ("MB-2002", "ken", MACOS, [(0, 20, dict(os_version="12.7"))]),
    ("MB-2003", "laura", MACOS, []),
    ("MB-2004", "mike", MACOS, [(18, 50, dict(signatures_age=9 * 24))]),
    ("LX-3001", "nina", LINUX, []),
    ("LX-3002", "oscar", LINUX, [(0, 5, dict(disk_encrypted=False))]),
    ("PH-4001", "peggy", IOS, []),
    ("PH-4002", "quinn", IOS, [(0, 75, dict(os_version="15.8"))]),
    ("PH-4003", "rupert", IOS, [(30, 40, dict(screen_lock_pin_length=0))]),
    ("PH-4004", "sybil", ANDROID, []),
    ("PH-4005", "trent", ANDROID, []),
    ("PH-4006", "victor", ANDROID, []),
]
NEVER_CHECKS_IN = "WS-1008"
RE_ENROLLED, RE_ENROLLED_HOUR, RE_ENROLLED_FOR = "WS-1007", 26, "walter"
GRACE_HOURS = 24


def lapses(index, days):
    """A device's own, and on every later day one of the steady devices lapses for 26 hours."""
    steady = [n for n, device in enumerate(FLEET) if not device[3] and device[0] != NEVER_CHECKS_IN]
    own = list(FLEET[index][3])
    for day in range(FIRST_DAYS + 1, days + 1):
        if steady[day % len(steady)] == index:
            own.append(((day - 1) * 24 + 4, day * 24 + 6, dict(screen_lock_pin_length=4)))
    return own


def event(topic, hour, serial, **fields):
    at = START + datetime.timedelta(hours=hour)
    at_ms = int(at.timestamp() * 1000)
    identity = uuid.uuid5(uuid.NAMESPACE_URL, "fleet/%s/%s/%d" % (topic, serial, at_ms))
    return dict(topic=topic, timestamp=at.strftime("%Y-%m-%dT%H:%M:%SZ"), event_id=str(identity),
                occurred_at=at_ms, serial=serial, **fields)


def enrollment(hour, serial, user, platform, profile, os_version):
    given_at = int((START + datetime.timedelta(hours=hour)).timestamp() * 1000)
    return event("enrollments", hour, serial, user_email=user + "@example.org", platform=platform,
                 profile=profile, os_version=os_version,
                 ownership="PERSONAL" if platform == "ANDROID" else "CORPORATE",
                 consent=dict(notice_version="2025-01", given_at=given_at))


def visit(hour, serial, os_version, facts, changes, trigger):
    """A check-in, and a report a minute later."""
    now = dict(facts, os_version=os_version)
    for start, end, different in changes:
        if start <= hour < end:
            now.update(different)
    age = now.pop("signatures_age")
    report_hour = hour + 1 / 60
    signed = None if age is None else int((START + datetime.timedelta(hours=report_hour - age)).timestamp() * 1000)
    yield event("checkins", hour, serial, os_version=now["os_version"], trigger=trigger)
    yield event("compliance-reports", report_hour, serial, antivirus_signatures_at=signed, **now)


def story(days):
    for index, (serial, user, (platform, profile, os_version, facts), _) in enumerate(FLEET):
        delay = index / 60
        yield enrollment(delay, serial, user, platform, profile, os_version)
        if serial == NEVER_CHECKS_IN:
            continue
        changes = lapses(index, days)
        for hour in range(0, days * 24, 8):
            yield from visit(hour + 0.1 + delay, serial, os_version, facts, changes, "SCHEDULED")
        for hour in sorted({h for change in changes for h in change[:2] if 0 < h < days * 24}):
            yield from visit(hour, serial, os_version, facts, changes, "ON_DEMAND")
    device = next(d for d in FLEET if d[0] == RE_ENROLLED)
    yield enrollment(RE_ENROLLED_HOUR, RE_ENROLLED, RE_ENROLLED_FOR, *device[2][:3])
    # A phone under a profile that is for computers, and a device nobody enrolled.
    yield enrollment(28, "PH-4900", "mallory", "IOS", "STANDARD", "17.5")
    yield event("checkins", 30, "WS-9999", os_version="10.0.22631", trigger="SCHEDULED")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--day", type=int, default=0)
    parser.add_argument("--blocked", action="store_true")
    options = parser.parse_args()
    days = FIRST_DAYS + options.day
    if options.blocked:
        print(*sorted(d[0] for n, d in enumerate(FLEET)
                      if any(s + GRACE_HOURS < days * 24 - 8 < e for s, e, _ in lapses(n, days))))
        return
    first_ms = int((START + datetime.timedelta(days=days - 1 if options.day else 0)).timestamp() * 1000)
    events = [e for e in story(days) if e["occurred_at"] >= first_ms]
    for e in sorted(events, key=lambda e: e["occurred_at"]):
        sys.stdout.write(json.dumps(e) + "\n")


main()
