"""What muster must decide, written a second time: straight down a lane's messages, one after
the other, from the public contract alone and with nothing of the program's code.

Also how it reads: a message's bytes are judged by an Avro reader of its own, which is strict
where fastavro is lenient."""
import hashlib
import heapq
import hmac
import io
import json
import os
import re
import time

import fastavro

SCHEMAS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "schemas")
HOUR = 3600_000

# In the order that equal stamps are taken.
INPUTS = ("control", "enrollments", "commands", "checkins", "compliance-reports")
RECORDS = {"enrollments": "Enrollment", "checkins": "CheckIn", "compliance-reports": "ComplianceReport"}
# The numbered outputs and their records.
OUTPUTS = {"compliance-changes": "ComplianceChange", "notifications": "Notification", "access-decisions": "AccessDecision",
           "tickets": "Ticket", "licenses": "License", "actions": "Action", "audit": "AuditEntry", "dead-letters": None}

MESSAGE_BYTES_MAX = 1 << 20
BELIEVED_AHEAD = 5000
CLOCK_START = 1  # of a lane that has taken no believed message: clients take a stamp of 0 for none
PENDING_MAX = 30 * 60_000
BLOCK_AFTER = 24 * HOUR
SIGNATURES_AGE_MAX = 168 * HOUR
TIME_MAX = 253402300799999
PIN_LENGTH_MIN = 6
RULES = ("os_out_of_date", "antivirus", "not_encrypted", "weak_screen_lock")
OS_MIN = {"WINDOWS": (10, 0, 22631), "MACOS": (14,), "IOS": (17,), "ANDROID": (13,), "LINUX": None}
PROFILES = {"STANDARD": {"WINDOWS", "MACOS", "LINUX"}, "MOBILE": {"IOS", "ANDROID"}, "EXECUTIVE": set(OS_MIN)}


# ---- Avro ----

def without_logical_types(schema):
    if isinstance(schema, dict):
        return {k: without_logical_types(v) for k, v in schema.items() if k != "logicalType"}
    return [without_logical_types(v) for v in schema] if isinstance(schema, list) else schema


def load_schema(name):
    """(as written, for fastavro, the single-object head); values are strings and numbers."""
    with open(os.path.join(SCHEMAS, name + ".avsc"), encoding="utf-8") as f:
        raw = without_logical_types(json.load(f))
    fingerprint = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(raw), "CRC-64-AVRO")
    return raw, fastavro.parse_schema(raw), b"\xc3\x01" + bytes.fromhex(fingerprint)


class Malformed(Exception):
    pass


class Reader:
    """Reads one value and refuses what the specification does not allow."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if size < 0 or size > len(self.data) - self.at:
            raise Malformed("too short")
        self.at += size
        return self.data[self.at - size:self.at]

    def long(self):
        bits = 0
        for i in range(10):
            byte = self.take(1)[0]
            bits |= (byte & 0x7f) << 7 * i
            if byte < 0x80:
                break
        else:
            raise Malformed("more than 10 bytes")
        if bits >> 64:
            raise Malformed("more than 64 bits")
        return bits >> 1 ^ -(bits & 1)

    def value(self, schema):
        if isinstance(schema, list):
            branch = self.long()
            if not 0 <= branch < len(schema):
                raise Malformed("no such branch")
            return self.value(schema[branch])
        kind = schema["type"] if isinstance(schema, dict) else schema
        if isinstance(kind, (dict, list)):
            return self.value(kind)
        if kind == "null":
            return None
        if kind == "record":
            return {field["name"]: self.value(field["type"]) for field in schema["fields"]}
        if kind == "enum":
            index = self.long()
            if not 0 <= index < len(schema["symbols"]):
                raise Malformed("no such symbol")
            return schema["symbols"][index]
        if kind == "string":
            try:
                return self.take(self.long()).decode()
            except UnicodeDecodeError:
                raise Malformed("not UTF-8") from None
        if kind == "boolean":
            byte = self.take(1)[0]
            if byte > 1:
                raise Malformed("not a boolean")
            return byte == 1
        number = self.long()
        if kind == "int" and not -1 << 31 <= number < 1 << 31:
            raise Malformed("more than 32 bits")
        assert kind in ("int", "long"), kind
        return number


class Inputs:
    """Tells what is inside a message of a topic."""

    def __init__(self, confluent_ids=None):
        """confluent_ids: id by name of a record"""
        self.schemas = {topic: load_schema(name) for topic, name in RECORDS.items()}
        self.ids = {number: name for name, number in (confluent_ids or {}).items()}

    def decode(self, topic, value):
        """(record, None), or (None, the dead letter's code)"""
        raw, schema, head = self.schemas.get(topic, (None, None, None))
        if value[:2] == b"\xc3\x01" and len(value) >= 10:
            if value[:10] != head:
                return None, "unknown_schema"
            body = value[10:]
        elif value[:1] == b"\x00" and len(value) >= 5:
            if self.ids.get(int.from_bytes(value[1:5], "big")) != RECORDS.get(topic, ""):
                return None, "unknown_schema"
            body = value[5:]
        else:
            return None, "malformed"
        record = self.read_canonical(schema, body)
        if record is None:
            try:
                reader = Reader(body)
                record = reader.value(raw)
                if reader.at != len(body):
                    return None, "malformed"
            except Malformed:
                return None, "malformed"
        return (record, None) if DOMAINS[topic](record) else (None, "malformed")

    @staticmethod
    def read_canonical(schema, body):
        """Quick, for what fastavro reads and would write again in the same bytes."""
        try:
            record, out = fastavro.schemaless_reader(io.BytesIO(body), schema), io.BytesIO()
            fastavro.schemaless_writer(out, schema, record)
        except Exception:  # fastavro raises whatever the bytes lead it to
            return None
        return record if out.getvalue() == body else None


# ---- Domains ----

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
SERIAL = re.compile(r"[ -~]{1,64}")
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def is_time(at):
    return at is None or 0 <= at <= TIME_MAX


def is_text(text, least, most):
    return text is None or least <= len(text.encode()) <= most and not CONTROL.search(text)


def common_holds(record):
    return UUID.fullmatch(record["event_id"]) and SERIAL.fullmatch(record["serial"]) and is_time(record["occurred_at"])


def enrollment_holds(record):
    consent = record["consent"]
    return common_holds(record) and is_text(record["user_email"], 1, 320) and is_text(record["os_version"], 0, 64) and (
        # Of the notice's version the contract says nothing: it is held to what holds for versions.
        consent is None or is_text(consent["notice_version"], 0, 64) and is_time(consent["given_at"]))


def checkin_holds(record):
    return common_holds(record) and is_text(record["os_version"], 0, 64)


def report_holds(record):
    pin = record["screen_lock_pin_length"]
    return common_holds(record) and is_text(record["os_version"], 0, 64) and is_time(record["antivirus_signatures_at"]) and (
        pin is None or -1 << 31 <= pin < 1 << 31)


DOMAINS = {"enrollments": enrollment_holds, "checkins": checkin_holds, "compliance-reports": report_holds}


# ---- Keys, people, versions ----

def murmur2(key):
    """As the Java client hashes a key."""
    mask, m, h = 0xffffffff, 0x5bd1e995, 0x9747b28c ^ len(key)
    words, rest = divmod(len(key), 4)
    for i in range(words):
        k = int.from_bytes(key[4 * i:4 * i + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ (k >> 24)) * m & mask)
    if rest:
        h = ((h ^ int.from_bytes(key[4 * words:], "little")) * m) & mask
    h = ((h ^ (h >> 13)) * m) & mask
    return h ^ (h >> 15)


def lane_of(key, lanes):
    return (murmur2(key) & 0x7fffffff) % lanes


def lowered(email):
    return re.sub("[A-Z]+", lambda m: m.group().lower(), email)


def subject_of(key, email):
    return hmac.new(key, lowered(email).encode(), hashlib.sha256).hexdigest()[:32]


def version_of(text):
    """Its numbers; None when the text is no version."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)*", text, re.A):
        return None
    return [int(part) for part in text.split(".")]


VERSIONS = {}


def is_out_of_date(platform, text):
    known = VERSIONS.get((platform, text))
    if known is None:
        least, version = OS_MIN[platform], version_of(text)
        if least is None:
            known = False
        elif version is None:
            known = True
        else:
            size = max(len(least), len(version))
            known = version + [0] * (size - len(version)) < list(least) + [0] * (size - len(least))
        VERSIONS[platform, text] = known
    return known


# ---- A lane ----

class Device:
    def __init__(self, number, serial):
        self.number, self.serial = number, serial
        self.id = "D%03d" % number
        self.email = self.platform = self.profile = self.ownership = self.os_version = None
        self.status, self.compliance, self.violations = None, "UNKNOWN", ()
        self.noncompliant_since = self.last_sync_at = self.pending_since = None
        self.is_blocked = self.has_ticket = self.is_escalated = False
        self.episode = 0
        self.events = set()  # of enrolments
        self.forget()

    def forget(self):
        self.antivirus = self.signatures_at = self.encrypted = self.pin_length = None

    def due(self):
        """What is due next: (when, what); what is due at one time goes in this order."""
        timers = []
        if self.status == "PENDING":
            timers.append((self.pending_since + PENDING_MAX, "fail"))
        if self.noncompliant_since is not None and not self.is_escalated:
            timers.append((self.noncompliant_since + BLOCK_AFTER, "block"))
        return min(timers, key=lambda t: t[0], default=None)


class Lane:
    """messages: of each input topic a list of (offset, timestamp, key, value, headers)."""

    def __init__(self, lane, lanes, inputs):
        self.lane, self.lanes, self.inputs = lane, lanes, inputs
        self.wall = int(time.time() * 1000)
        self.clock = CLOCK_START
        self.devices, self.by_serial, self.timers = [], {}, []
        # In order: (topic, at, cause, event_id, device_id, serial, email, what is decided, the cause's message)
        self.results = []
        self.message_count = 0
        self.cause = self.event_id = self.message = None

    def run(self, messages):
        """Takes it all: what --until-caught-up does."""
        topics = [messages.get(topic, []) for topic in INPUTS]
        next_of = [0] * len(INPUTS)
        while True:
            stamps = [(log[at][1], rank) for rank, (log, at) in enumerate(zip(topics, next_of)) if at < len(log)]
            if not stamps:
                return self
            now = self.now(stamps)
            rank = min((stamp if self.believes(stamp) else now, rank) for stamp, rank in stamps)[1]
            message = topics[rank][next_of[rank]]
            next_of[rank] += 1
            if self.believes(message[1]):
                self.fire(message[1])
                self.clock = max(self.clock, message[1])
            self.message_count += 1
            self.take(INPUTS[rank], message)

    def now(self, stamps):
        """What a message counts as stamped with when its stamp is not believed: the clock; before
        there is one, the first stamp that would be, so that ranks decide."""
        if self.clock != CLOCK_START:
            return self.clock
        return min((stamp for stamp, _ in stamps if self.believes(stamp)), default=CLOCK_START)

    def believes(self, stamp):
        return 0 <= stamp <= self.wall + BELIEVED_AHEAD

    # ---- Timers ----

    def schedule(self, device):
        due = device.due()
        if due is not None:
            heapq.heappush(self.timers, (due[0], device.number, due[1]))

    def fire(self, until):
        while self.timers and self.timers[0][0] <= until:
            at, number, what = heapq.heappop(self.timers)
            device = self.devices[(number - 1) // self.lanes]
            if device.due() != (at, what):
                continue
            self.clock = max(self.clock, at)
            self.cause = self.event_id = self.message = None
            if what == "fail":
                device.status = "FAILED"
                self.audit(device, "FAILED")
            else:
                device.is_escalated = True
                if not device.is_blocked:
                    device.is_blocked = True
                    self.emit("access-decisions", device, ("email", "BLOCK"))
                if not device.has_ticket:
                    device.has_ticket = True
                    self.ticket(device, "OPEN")
            self.schedule(device)

    # ---- Results ----

    def emit(self, topic, device, decided, email=None, serial=None):
        self.results.append((topic, self.clock, self.cause, self.event_id, device and device.id,
                             device.serial if device else serial, device.email if device and email is None else email,
                             decided, self.message))

    def audit(self, device, outcome):
        self.emit("audit", device, (outcome, device.id))

    def ticket(self, device, action):
        # What a ticket that is resolved says of violations, the contract leaves open.
        self.emit("tickets", device, (action, "%s/%d" % (device.id, device.episode), None if action == "RESOLVE" else device.violations))

    def change(self, device):
        self.emit("compliance-changes", device, (device.compliance, device.violations, device.noncompliant_since))

    def dead_letter(self, code):
        self.results.append(("dead-letters", self.clock, self.cause, None, None, None, None, code, self.message))

    # ---- Messages ----

    def take(self, topic, message):
        offset, _, key, value, headers = message
        self.cause, self.event_id, self.message = (topic, 0 if topic == "control" else self.lane, offset), None, message
        record, code = self.judge(topic, key, value, headers)
        if code is not None:
            if topic != "control" or self.lane == 0:
                self.dead_letter(code)
            return
        self.event_id = record["event_id"].lower()
        device = self.by_serial.get(record["serial"])
        if topic == "enrollments":
            self.enroll(device, record)
        elif device is None:
            self.dead_letter("unknown_device")
        elif topic == "checkins":
            self.check_in(device, record)
        else:
            self.report(device, record)

    def judge(self, topic, key, value, headers):
        """(record, None) or (None, code): the first check that fails names it."""
        size = len(key or b"") + len(value or b"") + sum(len(n.encode()) + len(v or b"") for n, v in headers)
        if size > MESSAGE_BYTES_MAX:
            return None, "too_large"
        if topic != "control":
            if not key:
                return None, "key_mismatch"
            try:
                key.decode()
            except UnicodeDecodeError:
                return None, "key_mismatch"
            if lane_of(key, self.lanes) != self.lane:
                return None, "misrouted"
        if value is None:
            return None, "malformed"
        record, code = self.inputs.decode(topic, value)
        if code is None and record["serial"].encode() != key:
            return None, "key_mismatch"
        return record, code

    def enroll(self, device, record):
        event = record["event_id"].lower()
        if device is not None and event in device.events:
            return
        if record["platform"] not in PROFILES[record["profile"]]:
            self.dead_letter("not_allowed")
            self.emit("audit", device, ("REFUSED", device.id if device else record["serial"]),
                      email=record["user_email"], serial=record["serial"])
            return
        is_new = device is None
        if is_new:
            device = Device(len(self.devices) * self.lanes + self.lane + 1, record["serial"])
            self.devices.append(device)
            self.by_serial[device.serial] = device
        device.events.add(event)
        device.email, device.profile, device.platform = record["user_email"], record["profile"], record["platform"]
        device.ownership, device.os_version = record["ownership"], record["os_version"]
        if is_new:
            device.status, device.pending_since = "PENDING", self.clock
        elif device.status in ("FAILED", "WIPED", "RETIRED"):
            self.start_over(device)
        self.audit(device, "OK")
        self.schedule(device)

    def start_over(self, device):
        was_known = device.compliance != "UNKNOWN"
        device.status, device.pending_since = "PENDING", self.clock
        device.forget()
        device.compliance, device.violations = "UNKNOWN", ()
        device.noncompliant_since, device.is_escalated = None, False
        if was_known:
            self.change(device)
            self.resolve(device)

    def resolve(self, device):
        if device.has_ticket:
            device.has_ticket = False
            self.ticket(device, "RESOLVE")

    def check_in(self, device, record):
        device.last_sync_at, device.os_version = self.clock, record["os_version"]
        if device.status in ("PENDING", "FAILED"):
            device.status = "ENROLLED"
            self.emit("licenses", device, ("ASSIGN",))
            self.audit(device, "OK")
        if record["trigger"] == "ON_DEMAND" and device.compliance != "UNKNOWN" and device.status == "ENROLLED":
            self.evaluate(device)
        self.schedule(device)

    def report(self, device, record):
        for fact, field in (("os_version", "os_version"), ("antivirus", "antivirus_enabled"), ("signatures_at", "antivirus_signatures_at"),
                            ("encrypted", "disk_encrypted"), ("pin_length", "screen_lock_pin_length")):
            if record[field] is not None:
                setattr(device, fact, record[field])
        if device.status not in ("WIPED", "RETIRED"):
            self.evaluate(device)

    def violations(self, device):
        antivirus_holds = (device.antivirus and device.signatures_at is not None
                           and self.clock - device.signatures_at <= SIGNATURES_AGE_MAX)
        violated = (is_out_of_date(device.platform, device.os_version),
                    device.platform in ("WINDOWS", "MACOS") and not antivirus_holds,
                    not device.encrypted,
                    device.pin_length is None or device.pin_length < PIN_LENGTH_MIN)
        return tuple(rule for rule, is_violated in zip(RULES, violated) if is_violated)

    def evaluate(self, device):
        violations, before = self.violations(device), device.compliance
        compliance = "NONCOMPLIANT" if violations else "COMPLIANT"
        if (compliance, violations) == (before, device.violations):
            return
        device.compliance, device.violations = compliance, violations
        if not violations:
            device.noncompliant_since, device.is_escalated = None, False
            self.change(device)
            if device.is_blocked:
                device.is_blocked = False
                self.emit("access-decisions", device, ("email", "ALLOW"))
            self.resolve(device)
        elif before != "NONCOMPLIANT":
            device.noncompliant_since, device.episode = self.clock, device.episode + 1
            self.change(device)
            self.emit("notifications", device, ("noncompliant",))
        else:
            self.change(device)
            if device.has_ticket:
                self.ticket(device, "UPDATE")
        self.schedule(device)
