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
                              antivirus_signatures_at=AT, disk_encrypted=None, screen_lock_pin_length=6)),
)


def decode():
    for topic, (name, record) in enumerate(RECORDS):
        value = body(ours(name), record)
        seed("decode", f"own-{name}", bytes([topic]) + value)
        head = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(ours(name)), "CRC-64-AVRO")
        seed("decode", f"whole-{name}", bytes([0xf0 + topic]) + b"\xc3\x01" + bytes.fromhex(head) + value)
        seed("decode", f"framed-{name}", bytes([0xf0 + topic]) + b"\x00\x00\x00\x00\x07" + value)
        for id in (1, 2, 3):
            choice = next(c for c in range(0xf0) if c % 3 == topic and c // 5 % 4 == id)
            seed("decode", f"foreign-{id}-{name}", bytes([choice]) + value)


def json_lines():
    for topic, name in (("enrollments", 0), ("checkins", 1), ("compliance-reports", 2)):
        record = {"topic": topic, "timestamp": AT, **RECORDS[name][1]}
        seed("json", f"line-{topic}", b"\0" + json.dumps(record).encode())
        seed("json", f"cat-{topic}", b"\0" + json.dumps(
            {"topic": "muster." + topic, "timestamp": "2025-06-02T08:00:00Z", "value": RECORDS[name][1]}).encode())
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


decode()
pack()
json_lines()
config()
registry()
