#!/usr/bin/env python3
"""usage: differential.py PROGRAM [--count N] [--seed N]; run by scripts/differential."""
import argparse
import collections
import datetime
import io
import json
import pathlib
import random
import struct
import subprocess
import sys
import uuid

import fastavro

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = ("Enrollment", "CheckIn", "ComplianceReport", "Command", "Policy", "RoleChange", "TenantEvent",
         "ProfileRevision", "GroupChange", "StateRequest")
SCHEMAS = [json.loads((ROOT / f"schemas/{name}.avsc").read_text()) for name in NAMES]


def bare(schema):
    """Without logical types, so that values stay what they are in the bytes."""
    if isinstance(schema, dict):
        return {key: bare(value) for key, value in schema.items() if key != "logicalType"}
    return [bare(part) for part in schema] if isinstance(schema, list) else schema


PARSED = [fastavro.parse_schema(bare(schema), _force=True) for schema in SCHEMAS]

# Why another reader may differ, by who is alone with its opinion.
REASONS = {
    "not UTF-8": "avro-c does not look whether a string is UTF-8; the format says it is, we refuse",
    "boolean": "fastavro and avro-c take any byte but 0 for true; the format has 0 and 1 alone, we refuse others",
    "long form": "fastavro and avro-c read numbers of more than 64 bits, cut or grown; we refuse them",
    "int range": "fastavro reads an int beyond 32 bits, avro-c cuts it or refuses; we refuse",
    "symbol": "avro-c takes any number for a symbol of an enum, and crashes when asked which; we refuse",
    "negative": "fastavro reads backwards at a negative index or length, as Python counts; we refuse",
    "zero byte": "avro-c ends a string at a zero byte when it writes JSON; we and fastavro read all of it",
}


def random_text(rng):
    kind = rng.random()
    if kind < 0.1:
        return ""
    if kind < 0.8:
        return "".join(rng.choice("abcXYZ019-.@ ") for _ in range(rng.randrange(1, 40)))
    return "".join(chr(rng.choice((0x20, 0xe4, 0x3b1, 0x20ac, 0x1f600, 0x10ffff))) for _ in range(rng.randrange(8)))


def random_value(rng, schema):
    if isinstance(schema, list):
        return random_value(rng, rng.choice(schema))
    kind = schema["type"] if isinstance(schema, dict) else schema
    if isinstance(kind, (list, dict)):
        return random_value(rng, kind)
    if kind == "record":
        return {field["name"]: random_value(rng, field["type"]) for field in schema["fields"]}
    if kind == "enum":
        return rng.choice(schema["symbols"])
    if kind in ("int", "long"):
        bits = 31 if kind == "int" else 63
        return rng.choice((0, 1, -1, 2 ** bits - 1, -2 ** bits, rng.randrange(-2 ** bits, 2 ** bits)))
    return {"string": lambda: random_text(rng), "boolean": lambda: rng.random() < 0.5, "null": lambda: None}[kind]()


def damage(rng, body):
    body = bytearray(body)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        kind = rng.randrange(5)
        at = rng.randrange(len(body) + 1)
        if kind == 0 and at < len(body):
            body[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del body[at:at + rng.randrange(1, 4)]
        elif kind == 2:
            body[at:at] = bytes(rng.choice((0, 1, 2, 0x7f, 0x80, 0xff)) for _ in range(rng.randrange(1, 12)))
        elif kind == 3:
            del body[at:]
        elif at < len(body):
            body[at] = rng.choice((0, 1, 2, 0x7f, 0x80, 0xff, rng.randrange(256)))
    return bytes(body)


def by_fastavro(index, body):
    """The value, or None when it is refused."""
    stream = io.BytesIO(body)
    try:
        value = fastavro.schemaless_reader(stream, PARSED[index])
    except Exception:  # noqa: BLE001: it refuses in many ways
        return None
    return value if stream.read() == b"" else None


def plain(value):
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, (datetime.datetime, uuid.UUID)):
        raise AssertionError("a logical type")
    return value


def unwrapped(value, schema):
    """avro-c's JSON names the branch of a union; ours and fastavro's do not."""
    if isinstance(schema, list):
        if value is None:
            return None
        ((name, inner),) = value.items()
        branch = next(b for b in schema if name in (b, b.get("name") if isinstance(b, dict) else b,
                                                    (b.get("namespace", "") + "." + b.get("name", ""))
                                                    if isinstance(b, dict) else b)
                      or (isinstance(b, dict) and (name == b["type"] or name.endswith("." + str(b.get("name"))))))
        return unwrapped(inner, branch)
    if isinstance(schema, dict) and schema["type"] == "record":
        return {field["name"]: unwrapped(value[field["name"]], field["type"]) for field in schema["fields"]}
    return unwrapped(value, schema["type"]) if isinstance(schema, dict) and isinstance(schema["type"], (dict, list)) \
        else value


def why_laxer(index, body):
    """What is odd in a body that we refuse, by a reader of our own that follows the format word for word."""
    at = 0
    found = set()

    def byte():
        nonlocal at
        if at >= len(body):
            raise EOFError
        at += 1
        return body[at - 1]

    def number(bits):
        value = shift = 0
        while True:
            b = byte()
            value |= (b & 0x7f) << shift
            shift += 7
            if b < 0x80:
                break
            if shift > 140:
                raise EOFError
        if shift > 70 or value >> 64:
            found.add("long form")
        value = (value >> 1) ^ -(value & 1)
        if bits == 32 and not -2 ** 31 <= value < 2 ** 31:
            found.add("int range")
        return value

    def walk(schema):
        nonlocal at
        if isinstance(schema, list):
            branch = number(64)
            if branch < 0:
                found.add("negative")
            return walk(schema[branch])
        kind = schema["type"] if isinstance(schema, dict) else schema
        if isinstance(kind, (list, dict)):
            return walk(kind)
        if kind == "record":
            for field in schema["fields"]:
                walk(field["type"])
        elif kind == "enum":
            symbol = number(32)
            if symbol < 0:
                found.add("negative")
            if not 0 <= symbol < len(schema["symbols"]):
                found.add("symbol")
        elif kind == "boolean":
            if byte() > 1:
                found.add("boolean")
        elif kind == "string":
            size = number(64)
            if size < 0:
                found.add("negative")
                size = 0
            text = body[at:at + size]
            if len(text) < size:
                raise EOFError
            at += size
            try:
                if "\0" in text.decode():
                    found.add("zero byte")
            except UnicodeDecodeError:
                found.add("not UTF-8")
        elif kind != "null":
            number(32 if kind == "int" else 64)
        return None
    try:
        walk(SCHEMAS[index])
    except (EOFError, IndexError):
        pass
    return found


def parse_json(text):
    return None if text == "-" else json.loads(text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    program = subprocess.Popen([options.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    counts, differing, known = collections.Counter(), [], collections.Counter()
    for i in range(options.count):
        index = i % len(NAMES)
        out = io.BytesIO()
        fastavro.schemaless_writer(out, PARSED[index], random_value(rng, bare(SCHEMAS[index])))
        is_whole = rng.random() < 0.3
        body = out.getvalue() if is_whole else damage(rng, out.getvalue())
        program.stdin.write(struct.pack("<BI", index, len(body)) + body)
        program.stdin.flush()
        line = program.stdout.readline()
        assert line.endswith(b"\n"), f"the program ended at {NAMES[index]} {body.hex()}"
        ours, theirs = line.rstrip(b"\n").decode("utf-8", "surrogateescape").split("\t")
        ours = parse_json(ours)
        fast = plain(by_fastavro(index, body))
        odd = why_laxer(index, body)
        try:
            avro_c = "no symbol" if theirs == "!" else parse_json(theirs)
            avro_c = avro_c if avro_c in (None, "no symbol") else unwrapped(avro_c, bare(SCHEMAS[index]))
        except ValueError:
            avro_c = "no JSON"
        counts["accepted" if ours is not None else "refused", "whole" if is_whole else "damaged"] += 1
        for reader, value in (("fastavro", fast), ("avro-c", avro_c)):
            if value == ours:
                continue
            if (ours is None and odd) or (reader == "avro-c" and "zero byte" in odd):
                known[reader, tuple(sorted(odd))] += 1
            else:
                differing.append((reader, NAMES[index], body.hex(), ours, value))
    program.stdin.close()
    assert program.wait() == 0
    for (verdict, kind), count in sorted(counts.items()):
        print(f"{count:8} {kind} values {verdict} by all but where listed below")
    for (reader, odd), count in sorted(known.items()):
        print(f"{count:8} that {reader} reads otherwise: {', '.join(odd)}")
    for name, reason in REASONS.items():
        if any(name in odd for _, odd in known):
            print(f"         {name}: {reason}")
    for difference in differing[:10]:
        print("DIFFERS:", *difference)
    # Nothing was compared if one side had it all: as damaged as it is, some of it is still good.
    assert min(counts["accepted", "whole"], counts["accepted", "damaged"], counts["refused", "damaged"]) > 100
    print(f"{options.count} values, {len(differing)} differences without a reason")
    sys.exit(1 if differing else 0)


main()
