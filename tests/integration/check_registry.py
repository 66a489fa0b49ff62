#!/usr/bin/env python3
"""Schemas from a registry: fetched, recorded, waited for, refused; ours registered there.

usage: check_registry.py [CASE...]
"""
import io
import json
import os
import ssl
import struct
import subprocess
import time

import fastavro
import psycopg

import _world
from _registry import Registry
from _world import (EX_CONFIG, EX_UNAVAILABLE, HOUR, LONG_AGO, MINUTE, NUMBERED, Event, check_in, enroll,
                    main, now_ms, report, tail, wait_until)

# A check-in as another team writes it: other order, a field more, one promoted.
FOREIGN = {"type": "record", "name": "CheckIn", "namespace": "muster.v1", "fields": [
    {"name": "serial", "type": "string"},
    {"name": "agent", "type": ["null", "string"], "default": None},
    {"name": "os_version", "type": "string"},
    {"name": "trigger", "type": {"type": "enum", "name": "Trigger", "symbols": ["ON_DEMAND", "SCHEDULED"]}},
    {"name": "occurred_at", "type": "int"},
    {"name": "event_id", "type": "string"}]}
UNRELATED = {"type": "record", "name": "Invoice", "fields": [{"name": "total", "type": "double"}]}


def foreign(n=0):
    """One of many writers' schemas, all readable as ours."""
    schema = json.loads(json.dumps(FOREIGN))
    schema["fields"].append({"name": f"extra{n}", "type": "string"})
    return schema


def confluent(id, schema, record):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema, _force=True), record)
    return struct.pack(">BI", 0, id) + out.getvalue()


def foreign_check_in(id, serial, at, n=0, os_version="10.0.22631"):
    record = dict(event_id="0d5c1c59-2f83-5a2b-8f0a-" + f"{id % 10**6:06}{at % 10**6:06}", occurred_at=1000, serial=serial,
                  os_version=os_version, trigger="SCHEDULED", agent="x", **{f"extra{n}": "y"})
    return Event("checkins", serial, at, {}, value=confluent(id, foreign(n), record))


def with_registry(world, registry, *more):
    world.extra += ["--set", f"schemas.registry_url={registry.url}", *more]
    learn_to_decode(registry)


def learn_to_decode(registry):
    """Values in Confluent's framing are read by what this registry knows of ours."""
    single = _world.decode_single = getattr(_world, "decode_single", _world.decode)

    def decode(value):
        if value[:1] == b"\x00":
            schema = json.loads(registry.schemas[struct.unpack(">I", value[1:5])[0]])
            return fastavro.schemaless_reader(io.BytesIO(value[5:]), fastavro.parse_schema(schema, _force=True))
        return single(value)
    _world.decode = decode


def environments_in_database(world, lane=0):
    return [(batch, json.loads(content)) for batch, content in world.sql(
        "select batch, content from muster.journal where kind = 'ENVIRONMENT' and lane = %s order by batch", lane)]


def environments(world, lane=0):
    """(batch, content) as recorded, and the same in both places."""
    rows = environments_in_database(world, lane)
    records = [(value["batch"], json.loads(value["content"])) for value in
               (_world.decode(record.value) for record in world.read("journal")["journal"] if record.partition == lane)
               if value["kind"] == "ENVIRONMENT"]
    assert rows == records, f"{rows} in the database, {records} on the topic"
    return rows


def letters(results):
    return [result for result in results.values() if result["topic"] == "dead-letters"]


def outputs_are_registered_and_framed(make):
    """Ours stand under <topic>-value, and everything that goes out carries their ids; produce alike, which
    registers what it writes."""
    registry = Registry()
    world = make("framed", lanes=2)
    with_registry(world, registry)
    lines = "".join(json.dumps({"topic": "enrollments", "timestamp": LONG_AGO, "serial": f"F-{n}", "platform": "WINDOWS",
                                "user_email": "u@example.org", "profile": "STANDARD", "os_version": "10.0.22631",
                                "ownership": "CORPORATE"}) + "\n" for n in range(5))
    world.muster("produce", "-", text=lines)
    world.send(*(check_in(f"F-{n}", LONG_AGO + 1) for n in range(5)),
               *(report(f"F-{n}", LONG_AGO + MINUTE, encrypted=False) for n in range(5)))
    world.catch_up()
    world.settled()
    for topic in ("enrollments", "compliance-changes", "notifications", "licenses", "audit", "devices", "journal"):
        ids = registry.subjects[f"{world.prefix}{topic}-value"]
        for record in world.read(topic)[topic]:
            assert record.value[:5] == struct.pack(">BI", 0, *ids), f"{topic}: {record.value[:10].hex()}, not {ids}"
    wanted = {f"{world.prefix}{topic}-value" for topic in (*NUMBERED, "devices", "journal", "enrollments")} - \
        {f"{world.prefix}dead-letters-value"}
    assert registry.subjects.keys() == wanted, registry.subjects.keys() ^ wanted
    shown = [json.loads(line) for line in world.muster("topics", "cat", "licenses").stdout.splitlines()]
    assert len(shown) == 5 and all(line["value"]["action"] == "ASSIGN" for line in shown), shown
    # The same schema is the same id: another start changes nothing, and asks for nothing it knows.
    world.send(check_in("F-0", LONG_AGO + HOUR))
    world.catch_up()
    world.settled()
    assert len(environments(world)) == 1, environments(world)
    registry.shut()


def fetched_once_and_recorded(make):
    """A foreign schema is fetched once, is in the environment, and is not asked for by the next process."""
    registry = Registry()
    world = make("fetched")
    with_registry(world, registry)
    registry.put(json.dumps(foreign()), 7)
    registry.put(json.dumps(UNRELATED), 8)
    world.send(enroll("A", LONG_AGO))
    world.catch_up()
    world.send(foreign_check_in(7, "A", LONG_AGO + 1), foreign_check_in(7, "A", LONG_AGO + 2),
               foreign_check_in(8, "A", LONG_AGO + 3), foreign_check_in(404, "A", LONG_AGO + 4),
               foreign_check_in(404, "A", LONG_AGO + 5), check_in("A", LONG_AGO + 6))
    world.catch_up()
    results = world.settled()
    errors = [(letter["headers"]["muster.error"], letter["headers"]["__connect.errors.offset"])
              for letter in letters(results)]
    assert errors == [("unknown_schema", "2"), ("unknown_schema", "3"), ("unknown_schema", "4")], errors
    assert [registry.asked(id) for id in (7, 8, 404)] == [1, 1, 1], registry.requests
    (first, before), (second, after) = environments(world)
    assert before["fetched"] == {} and list(after["fetched"]) == ["7"] and first == 1 and second == 2
    canonical = fastavro.schema.to_parsing_canonical_form(foreign())
    assert after["fetched"]["7"] == canonical, (after["fetched"], canonical)
    assert world.devices()["D001"]["status"] == "ENROLLED"

    # The next process knows it from the record, with the registry away; what is new still decides.
    registry.shut()
    world.send(foreign_check_in(7, "A", LONG_AGO + HOUR), check_in("A", LONG_AGO + HOUR + 1))
    world.catch_up()
    world.settled()
    assert len(environments(world)) == 2 and registry.asked(7) == 1
    assert world.devices()["D001"]["last_sync_at"] == _world.time_text(LONG_AGO + HOUR + 1)
    # Without a registry in the configuration, too: what was learnt stays known.
    del world.extra[-2:]
    world.send(foreign_check_in(7, "A", LONG_AGO + 2 * HOUR))
    world.catch_up()
    world.settled()
    assert world.devices()["D001"]["last_sync_at"] == _world.time_text(LONG_AGO + 2 * HOUR)
    replayed_without_registry(world)


def replayed_without_registry(world):
    """A replay takes from the record what the registry said: verify, explain, as of a time, rebuild."""
    assert not any("registry" in option for option in world.extra), world.extra
    batches = verified(world)
    told = world.muster("replay", "explain", "D001").stdout
    assert told.count("error unknown_schema") == 3, told
    assert f"check-in  {world.prefix}checkins/0@0" in told and f"check-in  {world.prefix}checkins/0@8" in told, told
    then = json.loads(world.muster("device", "get", "D001", "--as-of", str(LONG_AGO + HOUR), "-o", "json").stdout)
    assert then["last_sync_at"] == _world.time_text(LONG_AGO + HOUR), then
    # An empty database, filled from the topics, holds the same environments and rows.
    original, recorded = world.dsn, environments(world)
    rebuilt = f"{world.database}_rebuilt"
    with psycopg.connect(_world.PG, autocommit=True) as connection:
        connection.execute(f'create database "{rebuilt}"')
    world.extra += ["--set", f"postgres.dsn={_world.PG.rsplit(' ', 1)[0]} dbname={rebuilt}"]
    world.dsn = f"{_world.PG.rsplit(' ', 1)[0]} dbname={rebuilt}"
    world.muster("migrate")
    world.muster("replay", "rebuild")
    assert environments(world) == recorded and verified(world) == batches
    # What a registry would say now is of no matter, and what a directory says is told.
    del world.extra[-2:]
    world.dsn = original
    with _world.tempfile.TemporaryDirectory() as directory:
        with open(f"{directory}/7.avsc", "w") as file:
            json.dump(UNRELATED, file)
        done = world.muster("replay", "verify", "--set", f"schemas.directory={directory}", status=1)
    assert "other schemas were known then" in done.stdout, done.stdout
    world.muster("replay", "verify", "--set", "schemas.registry_url=http://127.0.0.1:1")


def verified(world):
    """replay verify is clean for every lane, topics and database; how many batches there are."""
    found = json.loads(world.muster("replay", "verify", "--database", "-o", "json").stdout)
    assert len(found) == world.lanes and all(lane["verdict"] == "verified" for lane in found), found
    return [lane["batches"] for lane in found]


def decided_again_as_recorded(make):
    """An id that was unknown when its batch was decided stays so when the batch is decided again."""
    registry = Registry()
    world = make("again")
    with_registry(world, registry)
    world.send(enroll("A", LONG_AGO), check_in("A", LONG_AGO + 1))
    world.catch_up()
    backlog = [check_in("A", LONG_AGO + 10 + n) for n in range(40000)]
    backlog[500] = foreign_check_in(9, "A", LONG_AGO + 510, 9)        # unknown here
    backlog[900] = foreign_check_in(7, "A", LONG_AGO + 910)           # fetched here
    backlog[39000] = foreign_check_in(9, "A", LONG_AGO + 39010, 9)    # known by then
    registry.put(json.dumps(foreign()), 7)
    world.send(*backlog)
    slowly = ("--set", "batch.messages_max=100")
    muster = world.start(*slowly)

    def batches():
        return world.sql("select coalesce(max(batch), 0) from muster.journal where lane = 0")[0][0]
    wait_until(lambda: f"some batches; the log:\n{tail(muster.log())}", lambda: batches() > 20, pause=0)
    muster.kill()
    ((checkpoint,),) = world.sql("select checkpoint_batch from muster.lane")
    recorded = environments_in_database(world)
    assert checkpoint < 5 and [sorted(content["fetched"]) for _, content in recorded] == [[], ["7"]], \
        f"checkpoint {checkpoint}, batch {batches()}, {recorded}: nothing to decide again"
    assert batches() < 380, "all of it is decided already"
    # What was unknown is known now, and nobody answers for a while: neither may make a difference.
    registry.put(json.dumps(foreign(9)), 9)
    world.catch_up(*slowly)
    (letter,) = letters(world.settled())
    assert letter["headers"]["__connect.errors.offset"] == "501", letter
    assert [sorted(content["fetched"]) for _, content in environments(world)] == [[], ["7"], ["7", "9"]]
    assert registry.asked(7) == 1 and registry.asked(9) == 2, registry.requests
    registry.shut()
    # As an auditor decides it, who has no registry: one id is unknown at first and known later.
    verified(world)
    del world.extra[-2:]
    verified(world)


MODES = ("refused", "hang", 500, 503, 401, "garbage", "drop")


def others_go_on(make):
    """Out of reach, the lane that needs an unknown id waits, and says so; the others go on; it recovers."""
    for mode in MODES:
        registry, start = Registry(), now_ms() - 10 * MINUTE  # no timer is due yet
        world = make(f"waits-{mode}", lanes=2)
        with_registry(world, registry)
        registry.put(json.dumps(foreign()), 7)
        # murmur2 puts them so: found out, not assumed.
        serials = {}
        muster = world.start()
        muster.wait_ready()
        for n in range(20):
            world.send(enroll(f"W-{n}", start + n))
        wait_until("all of them", lambda: len(world.devices()) == 20)
        for row in world.devices().values():
            serials.setdefault(row["lane"], row["serial"])
        registry.mode = mode
        if mode == "refused":
            registry.shut()
        world.send(check_in(serials[0], start + MINUTE), foreign_check_in(7, serials[0], start + MINUTE + 1),
                   check_in(serials[0], start + MINUTE + 2), check_in(serials[1], start + MINUTE + 3))

        def status(serial):
            return {row["serial"]: row["last_sync_at"] for row in world.devices().values()}[serial]
        wait_until(lambda: f"the other lane; the log:\n{tail(muster.log())}",
                   lambda: status(serials[1]) == _world.time_text(start + MINUTE + 3))
        if mode == "hang":
            wait_until("a request", lambda: registry.asked(7) > 0)
        else:
            wait_until(lambda: f"{mode}: not ready; the log:\n{tail(muster.log())}",
                       lambda: "schema registry" in muster.get("/readyz")[1] and muster.get("/readyz")[0] == 503)
            assert muster.metric_sum("muster_registry_failures_total") > 0
            time.sleep(1.5)
            assert muster.count("schema registry out of reach") == 1, muster.log()
        assert muster.metrics()["muster_schema_waiting"] == {'lane="0"': 1, 'lane="1"': 0}
        # Rows are written behind; what comes after the unknown one is not among them, however long.
        wait_until("what came before", lambda: status(serials[0]) == _world.time_text(start + MINUTE))
        time.sleep(1)
        assert status(serials[0]) == _world.time_text(start + MINUTE), "it did not wait for its schema"
        world.send(check_in(serials[1], start + MINUTE + 4))
        wait_until("the other lane again", lambda: status(serials[1]) == _world.time_text(start + MINUTE + 4))
        registry.mode = None
        if mode == "refused":
            registry.open()
        wait_until(lambda: f"{mode}: its schema; the log:\n{tail(muster.log())}",
                   lambda: status(serials[0]) == _world.time_text(start + MINUTE + 2))
        muster.wait_ready()
        muster.stop()
        assert letters(world.settled()) == []
        registry.shut()


def slow_is_not_away(make):
    """A slow registry delays its lane and nothing else; stopping does not wait for a hanging one."""
    registry = Registry()
    world = make("slow")
    with_registry(world, registry)
    registry.put(json.dumps(foreign()), 7)
    muster = world.start()
    muster.wait_ready()
    registry.modes["/schemas/ids/7"] = "slow"
    world.send(enroll("S", LONG_AGO), foreign_check_in(7, "S", LONG_AGO + 1))
    world.wait_caught_up()
    assert muster.count("out of reach") == 0 and letters(world.results()) == []
    registry.modes["/schemas/ids/8"] = "hang"
    world.send(foreign_check_in(8, "S", LONG_AGO + 2))
    wait_until("a request", lambda: registry.asked(8) > 0)
    started = time.monotonic()
    muster.stop(8)
    assert time.monotonic() - started < 5, "stopping waited for the registry"
    registry.modes.clear()
    registry.shut()
    # A run until caught up says what it waits for, and ends.
    done = world.muster("run", "--until-caught-up", status=EX_UNAVAILABLE)
    assert "schema registry" in done.stderr.splitlines()[-1], done.stderr


def absent_is_asked_again(make):
    """That there is no such schema is believed for a minute, not for ever; asked once meanwhile."""
    registry = Registry()
    world = make("absent")
    with_registry(world, registry)
    muster = world.start()
    muster.wait_ready()
    world.send(enroll("N", LONG_AGO), foreign_check_in(7, "N", LONG_AGO + 1))
    world.wait_caught_up()
    world.send(*(foreign_check_in(7, "N", LONG_AGO + 2 + n) for n in range(50)))
    world.wait_caught_up()
    assert registry.asked(7) == 1, registry.requests
    registry.put(json.dumps(foreign()), 7)
    time.sleep(61)
    world.send(foreign_check_in(7, "N", LONG_AGO + HOUR))
    world.wait_caught_up()
    muster.stop()
    assert len(letters(world.settled())) == 51 and registry.asked(7) == 2
    assert world.devices()["D001"]["last_sync_at"] == _world.time_text(LONG_AGO + HOUR)
    registry.shut()


def odd_answers(make):
    """What the registry answers with 200 may be no schema for us: a dead letter, and no harm."""
    registry = Registry()
    world = make("odd")
    with_registry(world, registry)
    answers = {
        20: {"schemaType": "PROTOBUF", "schema": "syntax = \"proto3\";"},
        21: {"schema": "not JSON"},
        22: {"schema": json.dumps({"type": "record", "name": "X", "fields": [{"name": "a", "type": "Unknown"}]})},
        23: {"schema": json.dumps(foreign()), "references": [{"name": "a", "subject": "b", "version": 1}]},
        24: {"schema": "[" * 100000},
        25: {"schema": "\"string\""},
        26: {"schema": json.dumps({"type": "fixed", "name": "F", "size": 10 ** 12})},
    }
    for id, content in answers.items():
        registry.answers[f"/schemas/ids/{id}"] = (200, content)
    world.send(enroll("O", LONG_AGO), *(foreign_check_in(id, "O", LONG_AGO + id) for id in answers),
               check_in("O", LONG_AGO + HOUR))
    world.catch_up()
    found = letters(world.settled())
    assert len(found) == len(answers) and all(x["headers"]["muster.error"] == "unknown_schema" for x in found)
    assert [content["fetched"] for _, content in environments(world)] == [{}]
    registry.shut()


def at_start(make):
    """Away at the start: a lane that never had ids waits for them; one that had goes on. Refusals are told."""
    registry = Registry()
    world = make("start")
    with_registry(world, registry)
    registry.shut()
    done = world.muster("run", "--until-caught-up", status=EX_UNAVAILABLE)
    assert "schema registry" in done.stderr.splitlines()[-1], done.stderr
    muster = world.start()
    wait_until("an answer", lambda: muster.get("/readyz")[0] == 503)
    registry.open()
    muster.wait_ready()
    world.send(enroll("S", LONG_AGO))
    world.wait_caught_up()
    muster.stop()
    registry.shut()
    world.send(check_in("S", LONG_AGO + 1))
    world.catch_up()
    world.settled()
    assert len(environments(world)) == 1
    registry.open()
    for mode in (409, 422, 404, 401):
        registry.mode = mode
        done = world.muster("run", "--until-caught-up", status=EX_CONFIG)
        assert f"HTTP {mode}" in done.stderr and f"{world.prefix}compliance-changes-value" in done.stderr, done.stderr
    registry.mode = None
    registry.shut()


def secured(make):
    """TLS against our own authority, user and password from a file or the environment; shown nowhere."""
    directory = _world.tempfile.mkdtemp(prefix="muster-registry-tls.")
    certificate(directory, "ca"), certificate(directory, "other")
    certificate(directory, "server", "ca")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{directory}/server.pem", f"{directory}/server.key")
    registry = Registry(user="muster", password="quite:secret", tls=context)
    password = f"{directory}/password"
    with open(password, "w") as file:
        file.write("quite:secret\n")
    world = make("secured")
    with_registry(world, registry)
    registry.put(json.dumps(foreign()), 7)
    world.send(enroll("T", LONG_AGO), foreign_check_in(7, "T", LONG_AGO + 1))
    user = ["--set", "schemas.registry_user=muster"]
    trusted = ["--set", f"schemas.registry_ca_file={directory}/ca.pem"]

    def fails(word, *options, status=EX_UNAVAILABLE, env=None):
        os.environ.update(env or {})
        done = world.muster("run", "--until-caught-up", *options, status=status)
        for name in env or {}:
            del os.environ[name]
        assert word in done.stderr.lower() and "secret" not in done.stderr, done.stderr
    fails("certificate", *user, status=EX_UNAVAILABLE)
    fails("certificate", *user, "--set", f"schemas.registry_ca_file={directory}/other.pem")
    fails("http 401", *user, *trusted, status=EX_CONFIG)
    fails("http 401", *user, *trusted, status=EX_CONFIG, env={"MUSTER_SCHEMAS__REGISTRY_PASSWORD": "secret"})
    fails("registry_password_file", *user, *trusted, "--set", "schemas.registry_password_file=/nowhere",
          status=EX_CONFIG)
    filed = [*user, *trusted, "--set", f"schemas.registry_password_file={password}"]
    world.catch_up(*filed)
    os.environ["MUSTER_SCHEMAS__REGISTRY_PASSWORD"] = "quite:secret"
    try:
        world.muster("topics", "cat", "licenses", *user, *trusted)
        shown = world.muster("config", "show", *user, *trusted).stdout
    finally:
        del os.environ["MUSTER_SCHEMAS__REGISTRY_PASSWORD"]
    assert "secret" not in shown and 'registry_password: "***"' in shown, shown
    assert letters(world.settled()) == [] and registry.asked(7) == 1
    registry.shut()


def certificate(directory, name, issuer=None):
    """NAME.pem and NAME.key, for localhost; signed by ISSUER, or by itself as an authority."""
    path = f"{directory}/{name}"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
               "-keyout", f"{path}.key", "-out", f"{path}.pem", "-subj", f"/CN={'localhost' if issuer else name}"]
    if issuer:
        command += ["-CA", f"{directory}/{issuer}.pem", "-CAkey", f"{directory}/{issuer}.key",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"]
    subprocess.run(command, check=True, capture_output=True)


main(outputs_are_registered_and_framed, fetched_once_and_recorded, decided_again_as_recorded, others_go_on,
     slow_is_not_away, absent_is_asked_again, odd_answers, at_start, secured)
