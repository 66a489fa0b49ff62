#!/usr/bin/env python3
"""usage: tests/fuzz/seeds.py

Writes the first seeds of every fuzz target to tests/fuzz/corpus; needs fastavro (scripts/install-deps --test).
"""
import io
import json
import pathlib

import fastavro

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests/fuzz/corpus"
UUID = "0d5c1c59-2f83-5a2b-8f0a-000000000001"
AT = 1_748_851_200_000


def seed(target, name, data):
    path = CORPUS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def body(schema, record):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema, _force=True), record)
    return out.getvalue()


def ours(name):
    return json.loads((ROOT / f"schemas/{name}.avsc").read_text())


RECORDS = (
    ("Enrollment", dict(event_id=UUID, occurred_at=AT, serial="S-1", user_email="u@example.org", platform="WINDOWS",
                        profile="STANDARD", os_version="10.0.22631", ownership="CORPORATE",
                        consent={"notice_version": "1", "given_at": AT})),
    ("CheckIn", dict(event_id=UUID, occurred_at=AT, serial="S-1", os_version="10.0.22631", trigger="ON_DEMAND")),
    ("ComplianceReport", dict(event_id=UUID, occurred_at=AT, serial="S-1", os_version="13", antivirus_enabled=True,
                              antivirus_signatures_at=AT, disk_encrypted=None, screen_lock_pin_length=6,
                              threat_defence_level="LOW", threat_defence_at=AT)),
    ("Command", dict(event_id=UUID, occurred_at=AT, serial="S-1", command="WIPE", actor_email="a@example.org",
                     wipe_reason="LOST", confirm="S-1", note="by phone")),
    ("Policy", dict(event_id=UUID, occurred_at=AT, version="2025-06", hash="0f" * 32, text="version: 2025-06\n")),
    ("RoleChange", dict(event_id=UUID, occurred_at=AT, user_email="u@example.org", role="ADMIN", change="GRANT",
                        actor_email="a@example.org")),
    ("TenantEvent", dict(event_id=UUID, occurred_at=AT, kind="UPSTREAM_OUTAGE", change="BEGIN")),
    ("ProfileRevision", dict(event_id=UUID, occurred_at=AT, profile="MOBILE", revision="r-7")),
    ("GroupChange", dict(event_id=UUID, occurred_at=AT, group="pilot", serial="S-1", change="ADD")),
)
FOREIGN = 4  # schemas of others in fuzz_decode.c


def choice(record, foreign=0, whole=False):
    """The first byte that means this to fuzz_decode.c."""
    return bytes([next(c for c in range(0xf0 if whole else 0, 0x100 if whole else 0xf0)
                       if c % len(RECORDS) == record and (whole or c // len(RECORDS) % (FOREIGN + 1) == foreign))])


def decode():
    for number, (name, record) in enumerate(RECORDS):
        value = body(ours(name), record)
        seed("decode", f"own-{name}", choice(number) + value)
        head = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(ours(name)), "CRC-64-AVRO")
        seed("decode", f"whole-{name}", choice(number, whole=True) + b"\xc3\x01" + bytes.fromhex(head) + value)
        seed("decode", f"framed-{name}", choice(number, whole=True) + b"\x00\x00\x00\x00\x07" + value)
        for foreign in range(1, FOREIGN + 1):
            seed("decode", f"foreign-{foreign}-{name}", choice(number, foreign) + value)


def json_lines():
    topics = ("enrollments", "checkins", "compliance-reports", "commands") + 5 * ("control",)
    for topic, (name, fields) in zip(topics, RECORDS):
        kind = topic if topic != "control" else topic + "-" + name
        named = {"record": name} if topic == "control" else {}
        seed("json", f"line-{kind}", b"\0" + json.dumps({"topic": topic, "timestamp": AT, **named, **fields}).encode())
        seed("json", f"cat-{kind}", b"\0" + json.dumps(
            {"topic": "muster." + topic, "timestamp": "2025-06-02T08:00:00Z", "value": fields}).encode())
    graph = json.loads((ROOT / "tests/data/graph-manageddevices.json").read_text())
    devices = graph["value"] if isinstance(graph, dict) else graph
    seed("json", "graph-page", b"\x41" + json.dumps({"value": devices[:2], "@odata.nextLink": "x"}).encode())
    seed("json", "graph-array", b"\xff" + json.dumps(devices[:1]).encode())
    seed("json", "graph-lines", b"\x0b" + b"\n".join(json.dumps(device).encode() for device in devices[:2]))


def config():
    text = """\
kafka:
  bootstrap_servers: "a:1,b:2"
  framing: confluent
  partitioner: crc32
  cloudevents: yes
  message_bytes_max: 2 MiB
  sasl_mechanism: PLAIN
  sasl_password: ${FUZZ}
schemas: {registry_url: "https://u:p@h/x", directory: '/a'}
http: {listen: "[::1]:80"}
roles:
  bootstrap_admins: [a@b, "c@d"]
batch: {messages_max: 7}
log: {format: json, level: debug}
"""
    seed("config", "whole", text.encode())
    seed("config", "escaped", b"kafka:\n  group_id: $${x}\n  instance: >-\n    a\n")
    seed("config", "anchors", b"kafka: &a\n  group_id: x\nlog: *a\n")
    seed("config", "documents", b"---\nlog:\n  level: info\n---\n{}\n")


def registry():
    for name, _ in RECORDS:
        seed("registry", name, json.dumps({"schema": json.dumps(ours(name)), "schemaType": "AVRO"}).encode())
    tree = {"type": "record", "name": "a.Tree", "aliases": ["b.C"], "fields": [
        {"name": "left", "type": ["null", "Tree"], "default": None, "order": "ignore"},
        {"name": "all", "type": {"type": "map", "values": {"type": "array", "items": "a.Tree"}}},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["X", "Y"], "default": "X"}},
        {"name": "f", "type": {"type": "fixed", "name": "F", "size": 4, "logicalType": "decimal", "precision": 3}}]}
    seed("registry", "tree", json.dumps({"schema": json.dumps(tree), "references": []}).encode())
    seed("registry", "id", b'{"id": 7}')
    seed("registry", "error", b'{"error_code": 40403, "message": "Schema not found"}')


def pack():
    def sized(data):
        return len(data).to_bytes(4, "big") + data

    def record(offset, flags, key, value, headers=b"", patches=(), rest=b""):
        return sized(offset.to_bytes(8, "big") + AT.to_bytes(8, "big") + bytes([flags]) + sized(key) + sized(value) + sized(headers) +
                     len(patches).to_bytes(2, "big") + b"".join(a.to_bytes(4, "big") + s.to_bytes(4, "big") + bytes(16) for a, s in patches) + rest)
    line = b"muster records 1 muster.checkins 3 0005 0020\n"
    headers = sized(b"traceparent") + sized(b"00-1") + sized(b"n") + b"\xff\xff\xff\xff"
    seed("pack", "whole", line + record(7, 0, b"SN1", b"seven", headers) + record(9, 3, b"", b""))
    seed("pack", "patched", line + record(8, 8, b"SN1", b"mail: 0123456789abcdef end", patches=[(6, 11)]))
    seed("pack", "withheld", line + record(15, 7, b"", b"", rest=bytes([4, 1]) + bytes(40) + b"\0\3why"))
    seed("pack", "checkpoint", b"muster.example/muster.journal/0\n42\n" + b"A" * 43 + b"=\n\n\xe2\x80\x94 PeterNeumann " + b"x08g" * 24 + b"\n")


def policy():
    for path in sorted((ROOT / "policies").glob("*.yaml")):
        seed("policy", path.stem, (b"t" if path.stem.endswith("_test") else b"p") + path.read_bytes())
    rules = "".join(f"  - {{id: r{n}, title: T, remediation: R, require: {require}}}\n" for n, require in enumerate((
        "{any: [[os_version, is_not, 1.2], {not: [os_version, at_least, minimum_os]}]}",
        "{all: [[threat_defence_level, at_most, low], [threat_defence_age, below, 1h30m]]}",
        "{not: {any: [[disk_encrypted, is, unknown], [screen_lock_pin_length, below, 4]]}}")))
    seed("policy", "nested", ("pversion: n\ntitle: N\nrules:\n" + rules).encode())


decode()
pack()
json_lines()
policy()
config()
registry()
