#!/usr/bin/env python3
"""usage: load.py BOOTSTRAP [OPTIONS]

Sends a fleet's log into the topics, which must exist (muster topics create): every device
enrols in the first hour, and every eight hours, give or take the jitter, checks in and
reports. What a device has wrong comes and goes. The same options give the same messages in
the same order in every partition, whoever sends them and whenever.

  --prefix P          of the topics; muster.
  --devices N         1000
  --rounds R          of check-in and report; 6
  --seed S            1
  --start MS          when the fleet begins; 2025-06-02
  --odd SHARE         devices that do what few do: never check in, enrol twice, report
                      before they enrol, ... ; 0
  --damage SHARE      messages that are damaged; 0
  --damage-kinds A,B  of these kinds; all of them
  --traceparent SHARE messages with a traceparent, half of them with further headers; 0
  --confluent DIR     in Confluent's framing, the schemas being put there as <id>.avsc
  --processes N       senders; as many as processors, one when there is damage

Prints one JSON object: messages by topic, damaged messages by kind, seconds.
"""
import argparse
import io
import json
import multiprocessing
import os
import random
import sys
import time

import fastavro
from confluent_kafka import Producer

SCHEMAS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "schemas")
SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
START = 1748822400000
FIRST_WITHIN = HOUR
ROUND = 8 * HOUR
JITTER = 15 * MINUTE
YEAR_2100 = 4102444800000

# In the order that equal stamps are taken.
TOPICS = ("enrollments", "checkins", "compliance-reports")
RECORDS = ("Enrollment", "CheckIn", "ComplianceReport")
ENROLLMENT, CHECKIN, REPORT = range(3)

# share, platform, profile, a version that will do, one that will not
MODELS = (
    (55, "WINDOWS", "STANDARD", "10.0.22631", "10.0.19045"),
    (10, "MACOS", "STANDARD", "14.4", "12.7"),
    (4, "MACOS", "EXECUTIVE", "15.1", "13.6.9"),
    (3, "WINDOWS", "EXECUTIVE", "10.0.26100", "6.3.9600"),
    (13, "IOS", "MOBILE", "17.4", "15.8"),
    (10, "ANDROID", "MOBILE", "14", "11"),
    (5, "LINUX", "STANDARD", "6.1", "2.6"),
)
LAPSES = ("os", "antivirus", "signatures", "disk", "pin")
# Texts that are no version, or nearly one.
VERSIONS = ("", "unknown", "10.0.22631.1", "010.000.022631", "10.0.22630.99999", "14", "13", "1e3", "10..0", ".10",
            "10.", "99.", "99999999999999999999999.0", "17,4", "١٧")


def murmur2(key):
    """As the Java client hashes a key."""
    mask, m = 0xffffffff, 0x5bd1e995
    h = (0x9747b28c ^ len(key)) & mask
    whole = len(key) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(key[i:i + 4], "little") * m & mask
        h = h * m & mask ^ (k ^ k >> 24) * m & mask
    if len(key) > whole:
        h = (h ^ int.from_bytes(key[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(key, partitions):
    return (murmur2(key) & 0x7fffffff) % partitions


def plain(schema):
    """The schema without logical types: what is written are strings and numbers."""
    if isinstance(schema, dict):
        return {k: plain(v) for k, v in schema.items() if k != "logicalType"}
    return [plain(v) for v in schema] if isinstance(schema, list) else schema


def load_schema(name):
    """(for fastavro, the single-object head, the text)"""
    with open(os.path.join(SCHEMAS, name + ".avsc"), encoding="utf-8") as f:
        text = f.read()
    raw = plain(json.loads(text))
    fingerprint = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(raw), "CRC-64-AVRO")
    return fastavro.parse_schema(raw), b"\xc3\x01" + bytes.fromhex(fingerprint), text


def identity(rnd):
    """A random UUID."""
    bits = rnd.getrandbits(128) & ~(0xf << 76 | 3 << 62) | 4 << 76 | 2 << 62
    text = "%032x" % bits
    return "%s-%s-%s-%s-%s" % (text[:8], text[8:12], text[12:16], text[16:20], text[20:])


class Device:
    """One device's life, from a generator of random numbers of its own."""

    def __init__(self, options, index):
        self.options, self.index = options, index
        self.random = random.Random(options.seed * 0x9e3779b97f4a7c15 + index)
        self.serial = "SN%08d" % index
        self.email = "user%d@example.org" % (index % max(1, options.devices * 4 // 5))
        self.model = self.random.choices(MODELS, [m[0] for m in MODELS])[0]
        self.lapsed = set()
        self.enrolled_at = options.start + self.random.randrange(FIRST_WITHIN)
        self.odd = self.random.choice(ODD) if self.random.random() < options.odd else None

    def os_version(self):
        return self.model[4 if "os" in self.lapsed else 3]

    def enrollment(self, at, **different):
        record = {"event_id": identity(self.random), "occurred_at": at, "serial": self.serial, "user_email": self.email,
                  "platform": self.model[1], "profile": self.model[2], "os_version": self.os_version(),
                  "ownership": "PERSONAL" if self.index % 7 == 0 else "CORPORATE",
                  "consent": {"notice_version": "2025-01", "given_at": at} if self.index % 5 else None}
        record.update(different)
        return at, ENROLLMENT, record

    def checkin(self, at, **different):
        record = {"event_id": identity(self.random), "occurred_at": at, "serial": self.serial, "os_version": self.os_version(),
                  "trigger": "SCHEDULED"}
        record.update(different)
        return at, CHECKIN, record

    def report(self, at, **different):
        computer = self.model[1] in ("WINDOWS", "MACOS")
        age = (9 * 24 if "signatures" in self.lapsed else 24) * HOUR
        record = {"event_id": identity(self.random), "occurred_at": at, "serial": self.serial, "os_version": self.os_version(),
                  "antivirus_enabled": "antivirus" not in self.lapsed if computer else None,
                  "antivirus_signatures_at": at - age if computer else None,
                  "disk_encrypted": "disk" not in self.lapsed,
                  "screen_lock_pin_length": self.random.randrange(6) if "pin" in self.lapsed else 6}
        record.update(different)
        return at, REPORT, record

    def turn(self):
        """What is wrong gets right, and the other way round."""
        if self.lapsed:
            if self.random.random() < 0.3:
                self.lapsed = set()
        elif self.random.random() < 0.05:
            self.lapsed = set(self.random.sample(LAPSES, 1 if self.random.random() < 0.8 else 2))

    def visits(self):
        for number in range(self.options.rounds):
            at = self.enrolled_at + 5 * MINUTE + number * ROUND + self.random.randrange(JITTER)
            self.turn()
            yield self.checkin(at)
            yield self.report(at + SECOND)

    def life(self):
        if self.odd is not None:
            return self.odd(self)
        return [self.enrollment(self.enrolled_at), *self.visits()]


# ---- What few devices do ----

def never_checks_in(device):
    return [device.enrollment(device.enrolled_at)]


def checks_in_late(device):
    device.enrolled_at -= 40 * MINUTE
    return [device.enrollment(device.enrolled_at - device.random.randrange(JITTER)), *device.visits()]


def never_enrols(device):
    return list(device.visits())


def enrols_twice(device):
    """With the same event."""
    first = device.enrollment(device.enrolled_at)
    again = (first[0] + device.random.randrange(3 * ROUND), ENROLLMENT, first[2])
    return [first, again, *device.visits()]


def changes_hands(device):
    first = device.enrollment(device.enrolled_at, user_email=device.email.upper())
    at = device.enrolled_at + device.random.randrange(2 * ROUND)
    model = device.random.choice(MODELS)
    return [first, *device.visits(),
            device.enrollment(at, user_email="éva.%d@example.org" % device.index, platform=model[1], profile=model[2])]


def is_refused_first(device):
    mobile = device.model[1] in ("IOS", "ANDROID")
    first = device.enrollment(device.enrolled_at - MINUTE, profile="STANDARD" if mobile else "MOBILE")
    return [first, device.enrollment(device.enrolled_at), *device.visits()]


def is_refused_later(device):
    mobile = device.model[1] in ("IOS", "ANDROID")
    later = device.enrollment(device.enrolled_at + ROUND, profile="STANDARD" if mobile else "MOBILE")
    return [device.enrollment(device.enrolled_at), *device.visits(), later]


def syncs_on_demand(device):
    events = [device.enrollment(device.enrolled_at)]
    for at, topic, record in device.visits():
        if topic == CHECKIN:
            events.append((at, topic, dict(record, trigger="ON_DEMAND")))
            events.append(device.checkin(at + HOUR, trigger="ON_DEMAND", os_version=device.random.choice(VERSIONS)))
        else:
            events.append((at, topic, record))
    return events


def has_odd_versions(device):
    events = [device.enrollment(device.enrolled_at, os_version=device.random.choice(VERSIONS))]
    return events + [(at, topic, dict(record, os_version=device.random.choice(VERSIONS))) for at, topic, record in device.visits()]


def reports_little(device):
    events = [device.enrollment(device.enrolled_at)]
    for at, topic, record in device.visits():
        if topic == REPORT:
            for field in ("os_version", "antivirus_enabled", "antivirus_signatures_at", "disk_encrypted", "screen_lock_pin_length"):
                if device.random.random() < 0.4:
                    record[field] = None
        events.append((at, topic, record))
    return events


def recovers_on_the_hour(device):
    """Non-compliant, and compliant again in the very millisecond that the block is due, one
    before it, or one after."""
    at = device.enrolled_at + 10 * MINUTE
    again = at + 24 * HOUR + device.random.choice((-1, 0, 1))
    return [device.enrollment(device.enrolled_at), device.checkin(device.enrolled_at + MINUTE), device.report(at, disk_encrypted=False),
            device.report(at + 12 * HOUR, disk_encrypted=False, screen_lock_pin_length=0), device.report(again)]


def has_more_wrong_each_day(device):
    at = device.enrolled_at + 10 * MINUTE
    return [device.enrollment(device.enrolled_at), device.checkin(device.enrolled_at + MINUTE), device.report(at, disk_encrypted=False),
            device.report(at + 30 * HOUR, disk_encrypted=False, screen_lock_pin_length=0),
            device.report(at + 31 * HOUR, disk_encrypted=False, screen_lock_pin_length=0),
            device.report(at + 32 * HOUR, disk_encrypted=True, screen_lock_pin_length=5), device.report(at + 40 * HOUR)]


def signatures_age(device):
    """To the exact limit and beyond it, while nothing but the age changes."""
    at = device.enrolled_at + 10 * MINUTE
    signed = at - 168 * HOUR
    return [device.enrollment(device.enrolled_at), device.checkin(device.enrolled_at + MINUTE), device.report(at, antivirus_signatures_at=signed),
            device.report(at + 1, antivirus_signatures_at=None), device.report(at + HOUR, antivirus_signatures_at=at + 2 * HOUR)]


def visits_in_one_moment(device):
    return [device.enrollment(device.enrolled_at), *((at - (SECOND if topic == REPORT else 0), topic, record)
                                                     for at, topic, record in device.visits())]


def enrols_in_one_moment(device):
    at = device.enrolled_at
    return [device.enrollment(at), device.checkin(at), device.report(at), *device.visits()]


def fails_and_starts_over(device):
    """Reports without ever checking in, until it is blocked; enrolled again, all is well."""
    at = device.enrolled_at
    return [device.enrollment(at), device.report(at + MINUTE, screen_lock_pin_length=0),
            device.enrollment(at + 26 * HOUR + device.random.randrange(HOUR)), device.report(at + 28 * HOUR, disk_encrypted=None),
            device.checkin(at + 29 * HOUR), device.report(at + 30 * HOUR)]


def fails_on_the_minute(device):
    at = device.enrolled_at
    return [device.enrollment(at), device.checkin(at + 30 * MINUTE + device.random.choice((-1, 0, 1)))]


def has_an_odd_serial(device):
    device.serial = device.random.choice((" %d ~", "{%d}", "'; -- %d", '"%d\\"', "%d/1", "D%03d"))  % device.index
    return [device.enrollment(device.enrolled_at), *device.visits()]


def keeps_step(device):
    """Enrolled, and at fault, in the same millisecond as others: so many things are due at once."""
    at = device.enrolled_at - device.enrolled_at % (20 * MINUTE)
    if device.index % 2:
        return [device.enrollment(at)]
    return [device.enrollment(at), device.checkin(at + MINUTE), device.report(at + 2 * MINUTE, disk_encrypted=False)]


def writes_in_capitals(device):
    events = [device.enrollment(device.enrolled_at), *device.visits()]
    return [(at, topic, dict(record, event_id=record["event_id"].upper())) for at, topic, record in events]


ODD = (never_checks_in, checks_in_late, never_enrols, enrols_twice, changes_hands, is_refused_first, is_refused_later,
       syncs_on_demand, has_odd_versions, reports_little, recovers_on_the_hour, has_more_wrong_each_day, signatures_age,
       visits_in_one_moment, enrols_in_one_moment, fails_and_starts_over, fails_on_the_minute, has_an_odd_serial,
       keeps_step, writes_in_capitals)


# ---- Messages ----

class Message:
    __slots__ = ("at", "topic", "serial", "partition", "key", "value", "headers")


class Encoder:
    def __init__(self, framing_directory=None):
        self.schemas, self.heads = [], []
        for number, name in enumerate(RECORDS):
            schema, head, text = load_schema(name)
            if framing_directory is not None:
                os.makedirs(framing_directory, exist_ok=True)
                with open(os.path.join(framing_directory, "%d.avsc" % (101 + number)), "w", encoding="utf-8") as f:
                    f.write(text)
                head = b"\x00" + (101 + number).to_bytes(4, "big")
            self.schemas.append(schema)
            self.heads.append(head)

    def __call__(self, topic, record):
        out = io.BytesIO()
        out.write(self.heads[topic])
        fastavro.schemaless_writer(out, self.schemas[topic], record)
        return out.getvalue()


def flip(rnd, message, context):
    """One bit or a few of the value."""
    value = bytearray(message.value)
    for _ in range(rnd.choice((1, 1, 1, 2, 3, 8))):
        bit = rnd.randrange(len(value) * 8)
        value[bit >> 3] ^= 1 << (bit & 7)
    message.value = bytes(value)


def truncate(rnd, message, context):
    message.value = message.value[:rnd.randrange(len(message.value))]


def partition(rnd, message, context):
    """Another one than the key's."""
    if context.partitions > 1:
        message.partition = (message.partition + rnd.randrange(1, context.partitions)) % context.partitions
    else:
        message.key = None


def null_key(rnd, message, context):
    message.key = None


def unknown_serial(rnd, message, context):
    """A message that is sound but for its device, which nobody enrolled."""
    serial = "XX%08d" % rnd.randrange(10 ** 8)
    topic = message.topic if message.topic != ENROLLMENT else CHECKIN
    fields = {"event_id": identity(rnd), "occurred_at": message.at, "serial": serial, "os_version": "1", "trigger": "SCHEDULED"}
    message.topic, message.key = topic, serial.encode()
    message.partition = partition_of(message.key, context.partitions)
    message.value = context.encode(topic, fields)


def year_2100(rnd, message, context):
    message.at = YEAR_2100 + rnd.randrange(365 * 24 * HOUR)


def late(rnd, message, context):
    """A stamp long past, which the log has left behind."""
    message.at -= rnd.randrange(48 * HOUR)


def bad_key(rnd, message, context):
    message.key = rnd.choice((b"", b"\xff\xfe" + message.key, message.key + b"\xc3", b"\xed\xa0\x80"))


def other_key(rnd, message, context):
    """The key of another device, in that key's partition."""
    message.key = b"SN%08d" % ((int.from_bytes(message.key[-2:], "big") + rnd.randrange(1, 1000)) % 10 ** 8)
    message.partition = partition_of(message.key, context.partitions)


def null_value(rnd, message, context):
    message.value = rnd.choice((None, b""))


def trailing(rnd, message, context):
    message.value += rnd.randbytes(rnd.randrange(1, 9))


def other_schema(rnd, message, context):
    """The head of another record of ours, of nobody's, or of no framing at all."""
    size = len(context.encode.heads[0])
    heads = [h for n, h in enumerate(context.encode.heads) if n != message.topic]
    head = rnd.choice((*heads, b"\xc3\x01" + rnd.randbytes(8), b"\x00" + rnd.randbytes(4), rnd.randbytes(2)))
    message.value = head + message.value[size:]


def noise(rnd, message, context):
    message.value = message.value[:rnd.randrange(12)] + rnd.randbytes(rnd.choice((1, 10, 100, 2000)))


DAMAGE = {f.__name__.replace("_", "-"): f for f in (flip, truncate, partition, null_key, unknown_serial, year_2100, late, bad_key,
                                                    other_key, null_value, trailing, other_schema, noise)}


class Context:
    """What messages are made with."""

    def __init__(self, options, partitions):
        self.options, self.partitions = options, partitions
        self.encode = Encoder(options.confluent)
        self.random = random.Random(options.seed)  # of the damage
        self.kinds = list(DAMAGE) if options.damage_kinds is None else options.damage_kinds.split(",")
        self.damaged = dict.fromkeys(self.kinds, 0)

    def traceparent(self, message):
        """For a share of the messages, from the message itself."""
        rnd = random.Random(message.value)
        if rnd.random() >= self.options.traceparent:
            return None
        parent = ("traceparent", b"00-%032x-%016x-01" % (rnd.getrandbits(128), rnd.getrandbits(64)))
        return rnd.choice(([parent], [("source", b"gateway\x00\xff"), parent, ("empty", None), ("source", b"")]))

    def messages(self, lanes):
        """Of these lanes, in the order of time; equal times in the order of devices."""
        found = []
        for index in range(self.options.devices):
            device = Device(self.options, index)
            life = device.life
            if device.odd is not has_an_odd_serial:
                lane = partition_of(device.serial.encode(), self.partitions)
                if lane not in lanes:
                    continue
            events = life()
            key = device.serial.encode()
            lane = partition_of(key, self.partitions)
            if lane not in lanes:
                continue
            for at, topic, record in events:
                found.append((at, topic, lane, key, self.encode(topic, record)))
        found.sort(key=lambda m: m[:2])
        return found

    def damage(self, message):
        kind = self.random.choice(self.kinds)
        self.damaged[kind] += 1
        DAMAGE[kind](self.random, message, self)

    def prepare(self, at, topic, lane, key, value):
        message = Message()
        message.at, message.topic, message.partition, message.key, message.value = at, topic, lane, key, value
        message.headers = self.traceparent(message) if self.options.traceparent else None
        if self.random.random() < self.options.damage:
            self.damage(message)
        return message


def producer(bootstrap):
    return Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 50, "batch.size": 131072,
                     "batch.num.messages": 10000, "queue.buffering.max.messages": 300000, "queue.buffering.max.kbytes": 262144,
                     "compression.type": "lz4", "message.max.bytes": 2000000})


def send(options, partitions, lanes_at_a_time):
    """Messages by topic, damaged messages by kind."""
    names = [options.prefix + topic for topic in TOPICS]
    counts, context, client = [0] * len(names), Context(options, partitions), producer(options.bootstrap)
    refused = []
    is_plain = not options.damage and not options.traceparent

    def delivered(error, message):
        if error is not None:
            refused.append("%s: %s" % (message.topic(), error))

    for lanes in lanes_at_a_time:
        for number, (at, topic, lane, key, value) in enumerate(context.messages(lanes)):
            headers = None
            if not is_plain:
                message = context.prepare(at, topic, lane, key, value)
                at, topic, lane, key, value, headers = (message.at, message.topic, message.partition, message.key,
                                                        message.value, message.headers)
            counts[topic] += 1
            while True:
                try:
                    client.produce(names[topic], value, key, lane, timestamp=at, headers=headers, on_delivery=delivered)
                    break
                except BufferError:
                    client.poll(0.05)
            if number % 10000 == 0:
                client.poll(0)
    if client.flush(120) or refused:
        raise SystemExit("load: not delivered: %s" % (refused[0] if refused else "no answer in 120 s"))
    return counts, context.damaged


def partitions_of(options):
    metadata = producer(options.bootstrap).list_topics(options.prefix + TOPICS[0], timeout=20)
    topic = metadata.topics[options.prefix + TOPICS[0]]
    if topic.error is not None:
        raise SystemExit("load: %s: %s" % (topic.topic, topic.error))
    return len(topic.partitions)


def load(options):
    """Sends it all; returns what main prints."""
    began = time.monotonic()
    # A client must not live through a fork: asked for in a process of its own.
    with multiprocessing.Pool(1) as pool:
        partitions = pool.apply(partitions_of, (options,))
    processes = min(options.processes or os.cpu_count() or 1, partitions)
    if options.damage:
        # A damaged message may change its lane: one order over all of them.
        shares = [[set(range(partitions))]]
    else:
        shares = [[{lane} for lane in range(n, partitions, processes)] for n in range(processes)]
    with multiprocessing.Pool(len(shares)) as pool:
        sent = pool.starmap(send, [(options, partitions, share) for share in shares])
    return {"messages": {topic: sum(counts[n] for counts, _ in sent) for n, topic in enumerate(TOPICS)},
            "damaged": {kind: sum(damaged[kind] for _, damaged in sent) for kind in sent[0][1]} if options.damage else {},
            "seconds": round(time.monotonic() - began, 1)}


def parse(arguments):
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("bootstrap")
    parser.add_argument("--prefix", default="muster.")
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=START)
    parser.add_argument("--odd", type=float, default=0.0)
    parser.add_argument("--damage", type=float, default=0.0)
    parser.add_argument("--damage-kinds")
    parser.add_argument("--traceparent", type=float, default=0.0)
    parser.add_argument("--confluent", metavar="DIR")
    parser.add_argument("--processes", type=int, default=0)
    return parser.parse_args(arguments)


def main():
    print(json.dumps(load(parse(sys.argv[1:]))))


if __name__ == "__main__":
    main()
