#!/usr/bin/env python3
"""Who may do what: Kafka by SASL_SSL, SCRAM and ACLs; PostgreSQL by TLS and roles; and that no secret is told.

usage: check_security.py [CASE...]
"""
import contextlib
import json
import os
import pathlib
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import confluent_kafka
import psycopg
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from _secure import PASSWORDS, SecureKafka, SecurePostgres, certificate
from _world import (EX_CONFIG, EX_UNAVAILABLE, LONG_AGO, MINUTE, MUSTER, PG, check_in, enroll, main, report,
                    tail)

LINES = "".join(json.dumps({"topic": "enrollments", "timestamp": LONG_AGO + n, "serial": f"K-{n}",
                            "platform": "WINDOWS", "user_email": "u@example.org", "profile": "STANDARD",
                            "os_version": "10.0.22631", "ownership": "CORPORATE"}) + "\n" for n in range(20))


def told(text):
    return [password for password in ("topsecret",) if password in text]


@contextlib.contextmanager
def database(name):
    """A migrated database of the stack; its DSN."""
    with psycopg.connect(PG, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
    try:
        yield f"{PG.rsplit(' ', 1)[0]} dbname={name}"
    finally:
        with psycopg.connect(PG, autocommit=True) as connection:
            connection.execute(f'drop database "{name}" with (force)')


def configured(directory, name, dsn, kafka, user, prefix, group, **more):
    """A configuration with the password in a file."""
    password = pathlib.Path(directory) / f"{user}.password"
    password.write_text(PASSWORDS[user] + "\n")
    settings = {"bootstrap_servers": f"localhost:{kafka.port}", "security_protocol": "sasl_ssl",
                "sasl_mechanism": "PLAIN", "sasl_username": user, "sasl_password_file": str(password),
                "ssl_ca_file": f"{kafka.directory}/ca.pem", "topic_prefix": prefix, "group_id": group, **more}
    path = pathlib.Path(directory) / f"{name}.yaml"
    path.write_text("kafka:\n" + "".join(f'  {key}: "{value}"\n' for key, value in settings.items() if value is not None)
                    + f'postgres:\n  dsn: "{dsn}"\nhttp:\n  listen: "off"\n')
    return str(path)


def run(config, *arguments, status=0, env=None, text=None, timeout=120):
    done = subprocess.run([MUSTER, *arguments, "--config", config], capture_output=True, text=True, input=text,
                          timeout=timeout, env={**os.environ, **(env or {})})
    assert not told(done.stdout + done.stderr), f"a secret is told: {done.stdout}{done.stderr}"
    allowed = status if isinstance(status, tuple) else (status,)
    assert done.returncode in allowed, f"muster {' '.join(arguments)}: exit {done.returncode}, not {status}:\n" \
                                       f"{tail(done.stderr)}"
    return done


def denied(what, act):
    try:
        act()
    except KafkaException as error:
        assert "authoriz" in str(error).lower(), f"{what}: {error}"
        return
    raise AssertionError(f"{what}: it is allowed")


def produce_as(kafka, user, topic):
    failures = []
    producer = Producer(kafka.client(user, **{"message.timeout.ms": 10000}))
    producer.produce(topic, b"x", b"K", on_delivery=lambda error, _: failures.append(error))
    assert producer.flush(20) == 0
    if failures[0] is not None:
        raise KafkaException(failures[0])


def read_as(kafka, user, topic, group="g"):
    consumer = Consumer(kafka.client(user, **{"group.id": group, "auto.offset.reset": "earliest"}))
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            message = consumer.poll(1)
            if message is not None:
                if message.error() is not None:
                    raise KafkaException(message.error())
                return message.value()
    finally:
        consumer.close()
    return None


def transact_as(kafka, user, id):
    producer = Producer(kafka.client(user, **{"transactional.id": id}))
    producer.init_transactions(15)


def kafka_by_role(make):
    """Each part works with the rights that scripts/acls lists, and with no more than those."""
    del make
    with tempfile.TemporaryDirectory() as directory, database("secure_kafka") as dsn, \
            contextlib.closing(SecureKafka()) as kafka:
        def config(user, **more):
            return configured(directory, user, dsn, kafka, user, "sec.", "secure", **more)
        run(config("admin"), "topics", "create", "--partitions", "2")
        kafka.grant("run=User:muster", "produce=User:gateway", "read=User:mailer", "audit=User:auditor",
                    prefix="sec.", group="secure")
        run(config("muster"), "migrate")
        run(config("gateway"), "produce", "-", text=LINES)
        done = run(config("muster"), "run", "--until-caught-up", "-o", "json")
        assert json.loads(done.stdout.splitlines()[-1])["messages"] == 20
        shown = run(config("mailer"), "topics", "cat", "audit").stdout.splitlines()
        assert len(shown) == 20, shown
        run(config("mailer"), "dead-letter", "list")
        run(config("muster"), "status")

        admin = AdminClient(kafka.client("muster"))
        denied("run writes an input", lambda: produce_as(kafka, "muster", "sec.enrollments"))
        denied("run reads an output", lambda: read_as(kafka, "muster", "sec.audit"))
        denied("run makes a topic", lambda: [f.result(20) for f in admin.create_topics(
            [NewTopic("sec.another", 1, 1)]).values()])
        denied("run deletes a topic", lambda: [f.result(20) for f in admin.delete_topics(
            ["sec.audit"]).values()])
        denied("run deletes records", lambda: [f.result(20) for f in admin.delete_records(
            [TopicPartition("sec.enrollments", 0, 1)]).values()])
        denied("run takes another's transactional id", lambda: transact_as(kafka, "muster", "other.sec.lane-0"))
        denied("gateway writes an output", lambda: produce_as(kafka, "gateway", "sec.tickets"))
        denied("gateway writes commands", lambda: produce_as(kafka, "gateway", "sec.commands"))
        denied("gateway reads", lambda: read_as(kafka, "gateway", "sec.enrollments"))
        denied("gateway fences a lane", lambda: transact_as(kafka, "gateway", "secure.sec.lane-0"))
        denied("mailer writes", lambda: produce_as(kafka, "mailer", "sec.notifications"))
        denied("mailer reads an input", lambda: read_as(kafka, "mailer", "sec.enrollments"))
        denied("a stranger reads", lambda: read_as(kafka, "stranger", "sec.audit"))
        audited(kafka, config)
        done = run(config("stranger"), "run", "--until-caught-up", status=(EX_CONFIG, EX_UNAVAILABLE))
        print("  a stranger runs:", done.stderr.splitlines()[-1])
        by_scram(directory, config)
        secrets_and_their_ways(directory, kafka, config)
        certificates_and_names(directory, kafka, config)


def audited(kafka, config):
    """An auditor holds every decision against the log, with the right to read topics and no other; and
    without a database."""
    auditor = config("auditor")
    nowhere = {"MUSTER_POSTGRES__DSN": "host=127.0.0.1 port=1"}
    done = run(auditor, "replay", "verify", "-o", "json", env=nowhere)
    print("  an auditor:", done.stdout.splitlines()[-1][:180])
    run(auditor, "replay", "explain", "K-1", env=nowhere)
    admin = AdminClient(kafka.client("auditor"))
    for topic in ("enrollments", "commands", "control", "compliance-changes", "audit", "journal", "dead-letters"):
        denied(f"the auditor writes {topic}", lambda: produce_as(kafka, "auditor", f"sec.{topic}"))
    denied("the auditor fences a lane", lambda: transact_as(kafka, "auditor", "secure.sec.lane-0"))
    denied("the auditor makes a topic", lambda: [f.result(20) for f in admin.create_topics(
        [NewTopic("sec.more", 1, 1)]).values()])
    denied("the auditor deletes a topic", lambda: [f.result(20) for f in admin.delete_topics(["sec.journal"]).values()])
    denied("the auditor deletes records", lambda: [f.result(20) for f in admin.delete_records(
        [TopicPartition("sec.journal", 0, 1)]).values()])
    denied("the auditor joins muster's group", lambda: join_as(kafka, "auditor", "sec.audit", "secure"))
    # A reader of results alone cannot audit: the inputs are not shown to it.
    done = run(config("mailer"), "replay", "verify", status=EX_CONFIG)
    print("  a mailer audits:", done.stderr.splitlines()[-1][:180])


def join_as(kafka, user, topic, group):
    consumer = Consumer(kafka.client(user, **{"group.id": group}))
    try:
        consumer.subscribe([topic])
        message = consumer.poll(15)
        if message is not None and message.error() is not None:
            raise KafkaException(message.error())
    finally:
        consumer.close()


def by_scram(directory, config):
    """SCRAM with the system's librdkafka, if it is new enough for this broker; if not, that is said,
    and it is shown with the newer one that the tests' Python brings along."""
    scram = config("muster", sasl_mechanism="SCRAM-SHA-512")
    if subprocess.run(["pkg-config", "--atleast-version=2.6.1", "rdkafka"], check=False).returncode == 0:
        run(scram, "run", "--until-caught-up")
        return
    done = run(scram, "topics", "cat", "journal", status=EX_CONFIG)
    assert "librdkafka 2.6.1" in done.stderr, done.stderr
    print("  by SCRAM:", done.stderr.strip()[-160:])
    (library,) = pathlib.Path(confluent_kafka.__file__).parent.parent.glob("confluent_kafka.libs/librdkafka*.so*")
    (pathlib.Path(directory) / "librdkafka.so.1").symlink_to(library)
    newer = {"LD_LIBRARY_PATH": directory}
    done = run(scram, "run", "--until-caught-up", "-o", "json", env=newer)
    assert json.loads(done.stdout.splitlines()[-1])["messages"] == 0
    run(config("muster", sasl_mechanism="SCRAM-SHA-512", sasl_password_file=None), "topics", "cat", "journal",
        status=EX_CONFIG, env={**newer, "MUSTER_KAFKA__SASL_PASSWORD": "topsecret-wrong"})


def secrets_and_their_ways(directory, kafka, config):
    """A password from a file, the environment or a variable; a wrong one is told as wrong, and by no means told."""
    password = PASSWORDS["muster"]
    bare = config("muster", sasl_password_file=None)
    run(bare, "run", "--until-caught-up", env={"MUSTER_KAFKA__SASL_PASSWORD": password})
    variable = config("muster", sasl_password_file=None, sasl_password="${KAFKA_PASSWORD}")
    run(variable, "run", "--until-caught-up", env={"KAFKA_PASSWORD": password})
    shown = run(variable, "config", "show", env={"KAFKA_PASSWORD": password}).stdout
    assert 'sasl_password: "***"' in shown, shown
    bare = config("muster", sasl_password_file=None)  # the same file again
    for env in ({}, {"MUSTER_KAFKA__SASL_PASSWORD": "topsecret-wrong"}):
        done = run(bare, "run", "--until-caught-up", status=EX_CONFIG, env=env)
        print("  a wrong password:" if env else "  no password:", done.stderr.splitlines()[-1])
        assert "sasl" in done.stderr.lower() or "authentication" in done.stderr.lower(), done.stderr
    done = run(config("muster", sasl_password_file="/nowhere"), "run", "--until-caught-up", status=EX_CONFIG)
    assert "kafka.sasl_password_file /nowhere" in done.stderr, done.stderr
    good = config("muster")
    process = subprocess.Popen([MUSTER, "run", "--config", good], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True, env={**os.environ, "MUSTER_LOG_KAFKA": "1"})
    time.sleep(3)
    arguments = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
    process.terminate()
    log = process.communicate(timeout=60)[1]
    assert process.returncode == 0 and not told(arguments + log), arguments + log


def certificates_and_names(directory, kafka, config):
    """A broker is believed for a certificate of the authority asked for, valid now, and of its name."""
    def refused(word, **more):
        done = run(config("muster", **more), "topics", "cat", "journal", status=(EX_CONFIG, EX_UNAVAILABLE))
        assert word in done.stderr.lower(), done.stderr
        print("  refused:", done.stderr.splitlines()[-1][:180])
    refused("certificate", ssl_ca_file=f"{kafka.directory}/other.pem")
    refused("ssl", bootstrap_servers=f"127.0.0.1:{kafka.port}")
    certificate(kafka.directory, "expired", "ca", days="0")
    time.sleep(1.1)
    with tls_server(f"{kafka.directory}/expired") as port:
        refused("certificate", bootstrap_servers=f"localhost:{port}")


@contextlib.contextmanager
def tls_server(path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{path}.pem", f"{path}.key")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                inner, _ = listener.accept()
                with contextlib.suppress(OSError):
                    context.wrap_socket(inner, server_side=True).close()
    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def kafka_denials(make):
    """One right less, and muster says what is denied; the topics are no worse for it."""
    del make
    lacking = {
        "no_group": ("--group", "lack-no_group", "Read"),
        "no_txn": ("--transactional-id", "Write"),
        "no_output": ("--topic", "no_output.audit", "Write"),
        "no_journal": ("--topic", "no_journal.journal", "Read"),
        "no_input": ("--topic", "no_input.commands", "Read"),
    }
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack, \
            contextlib.closing(SecureKafka()) as kafka:
        running = {}
        for user, words in lacking.items():
            dsn = stack.enter_context(database(f"secure_{user}"))
            prefix, group = f"{user}.", f"lack-{user}"
            admin = configured(directory, f"{user}-admin", dsn, kafka, "admin", prefix, group)
            run(admin, "topics", "create", "--partitions", "1")
            run(admin, "migrate")
            run(admin, "produce", "-", text=LINES)
            run(admin, "run", "--until-caught-up")
            run(admin, "produce", "-", text=LINES)  # enrolled again: there is a journal to read, and work to do
            kafka.grant(f"run=User:{user}", prefix=prefix, group=group, but=(words,))
            config = configured(directory, user, dsn, kafka, user, prefix, group)
            running[user] = subprocess.Popen([MUSTER, "run", "--until-caught-up", "--config", config],
                                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for user, process in running.items():
            log = process.communicate(timeout=120)[1]
            print(f"  {user}: exit {process.returncode}: {log.splitlines()[-1][-200:]}")
            assert process.returncode in (EX_CONFIG, EX_UNAVAILABLE) and not told(log), log
            assert "authoriz" in log.lower(), log


def postgres_by_role(make):
    """muster runs as a writer alone, lists as a reader; what a role is not for, it may not."""
    world = make("roles")
    logins = {}
    for role in ("writer", "reader", "auditor", "admin", "stranger"):
        logins[role] = f"{world.database}_{role}"
        with psycopg.connect(world.dsn, autocommit=True) as connection:
            connection.execute(f'create role "{logins[role]}" login'
                               + (f" in role muster_{role}" if role != "stranger" else ""))

    def as_role(role):
        return ["--set", f"postgres.dsn={world.dsn.replace('user=muster', 'user=' + logins[role])}"]
    try:
        world.send(*(enroll(f"R-{n}", LONG_AGO) for n in range(10)), *(check_in(f"R-{n}", LONG_AGO + 1) for n in range(10)),
                   *(report(f"R-{n}", LONG_AGO + MINUTE, encrypted=False) for n in range(10)))
        world.catch_up(*as_role("writer"))
        muster = world.start(*as_role("writer"))
        muster.wait_ready()
        muster.kill()
        world.send(*(report(f"R-{n}", LONG_AGO + 2 * MINUTE) for n in range(10)))
        world.catch_up(*as_role("writer"))  # takes over from the one that was killed
        world.settled()
        for role in ("reader", "auditor", "admin", "writer"):
            listed = json.loads(world.muster("device", "list", "-o", "json", *as_role(role)).stdout)
            assert len(listed) == 10
            world.muster("device", "get", "D001", *as_role(role))
            world.muster("timer", "list", *as_role(role))
        for role in ("auditor", "admin", "writer"):
            for words in (("status",), ("role", "list"), ("group", "list"), ("policy", "list")):
                world.muster(*words, *as_role(role))
        done = world.muster("device", "list", *as_role("stranger"), status=EX_CONFIG)
        print("  a stranger lists:", done.stderr.strip())
        for role in ("reader", "auditor", "admin"):
            done = world.muster("run", "--until-caught-up", *as_role(role), status=EX_CONFIG)
            print(f"  {role} runs:", done.stderr.splitlines()[-1])
            world.muster("migrate", *as_role(role), status=EX_CONFIG)
        statements(world, logins)
    finally:
        with psycopg.connect(world.dsn, autocommit=True) as connection:
            for login in logins.values():
                connection.execute(f'drop owned by "{login}"')
                connection.execute(f'drop role "{login}"')


# Who may, of writer, reader, auditor, admin; nobody else.
STATEMENTS = (
    ("select count(*) from muster.devices", "writer reader auditor admin"),
    ("select count(*) from muster.compliance_history", "writer reader auditor admin"),
    ("select count(*) from muster.results", "writer reader auditor admin"),
    ("select count(*) from muster.journal", "writer auditor admin"),
    ("select count(*) from muster.audit", "writer auditor admin"),
    ("select count(*) from muster.journal_row", "writer auditor"),
    ("select count(*) from muster.environment", "writer auditor"),
    ("select count(*) from muster.result_row", "writer auditor"),
    ("select count(*) from muster.letter", "writer auditor"),
    ("select count(*) from muster.lane", "writer auditor"),
    ("select count(*) from muster.device_row", "writer auditor"),
    ("select count(*) from muster.device_block", "writer auditor"),
    ("select count(*) from muster.person", "writer"),
    ("select count(*) from muster.secret", "writer"),
    ("select muster.check_lanes(1, 'x')", "writer-MU002"),
    ("select muster.fence(0, 0, gen_random_uuid(), 0, 0)", "writer-MU001"),
    ("insert into muster.person values ('x', 'y')", "writer"),
    ("insert into muster.secret values ('x', 'y')", ""),
    ("insert into muster.policy values ('x', '{}')", "writer"),  # what was applied; never changed
    ("update muster.policy set rule_ids = '{}'", ""),
    ("delete from muster.policy", ""),
    ("select count(*) from muster.control_row", "writer auditor"),
    ("delete from muster.control_row", ""),
    ("select count(*) from muster.device_detail", "writer reader auditor admin"),
    ("select count(*) from muster.result_detail", "writer reader auditor admin"),
    ("select count(*) from muster.control_detail", "writer auditor admin"),
    ("select count(*) from muster.gaps, muster.gap_requests", "writer auditor admin"),
    ("select count(*) from muster.gap_request", "writer"),
    ("select * from muster.accept_gap('control', 0, 1, 2, null, null, 'x')", "writer admin"),
    ("delete from muster.gap", "writer"),
    ("update muster.gap_request set user_email = 'x'", ""),
    ("insert into muster.lane (lane, lane_count, epoch, owner, owner_pid, topic_prefix)"
     " values (9, 1, 1, gen_random_uuid(), 1, 'x')", ""),
    ("update muster.lane set epoch = 99", ""),
    ("update muster.result_row set reason = 'x'", ""),
    ("update muster.journal_row set chain = 'x'", ""),
    ("update muster.person set user_email = 'x'", ""),
    ("delete from muster.result_row", ""),
    ("delete from muster.journal_row", ""),
    ("delete from muster.environment", ""),
    ("delete from muster.device_row", ""),
    ("delete from muster.device_block", ""),
    ("delete from muster.person", ""),
    ("truncate muster.result_row", ""),
    ("truncate muster.device_row", ""),
    ("drop table muster.result_row", ""),
    ("alter table muster.result_row disable trigger append_only", ""),
    ("create table muster.mine (x int)", ""),
    ("create or replace view muster.devices as select 1 as device_id", ""),
    ("select muster.grant_roles()", ""),
    ("set role muster_owner", ""),
)


def statements(world, logins):
    count = 0
    for role, login in logins.items():
        with psycopg.connect(world.dsn.replace("user=muster", f"user={login}"), autocommit=False) as connection:
            for sql, who in STATEMENTS:
                rights = dict(word.partition("-")[::2] for word in who.split())
                state = ""
                try:
                    connection.execute(sql)
                except psycopg.Error as error:
                    state = error.sqlstate
                connection.rollback()
                expected = rights[role] if role in rights else "42501"
                assert state == expected, f"{role}: {sql}: {state or 'done'}, not {expected or 'done'}"
                count += 1
    with psycopg.connect(world.dsn) as connection:  # not even the owner, in passing
        for table in ("result_row", "journal_row", "environment", "policy", "control_row"):
            for sql in (f"delete from muster.{table}", f"truncate muster.{table}"):
                try:
                    connection.execute(sql)
                    raise AssertionError(f"{sql}: done")
                except psycopg.Error as error:
                    assert error.sqlstate == "MU003", error
                connection.rollback()
    print(f"  {count} statements, each allowed or denied as the table says")


def postgres_by_certificate(make):
    """verify-full: the authority, the name and the time of a certificate; SCRAM passwords by file and variable."""
    del make
    with tempfile.TemporaryDirectory() as directory:
        for name in ("ca", "other"):
            certificate(directory, name)
        certificate(directory, "server", "ca")
        certificate(directory, "elsewhere", "ca", host="elsewhere.example.org")
        certificate(directory, "expired", "ca", days="0")
        with contextlib.closing(SecurePostgres(directory)) as server:
            verified(directory, server)


def verified(directory, server):
    owner = psycopg.connect(f"host=localhost hostaddr=127.0.0.1 port={server.port} user=muster dbname=muster"
                            " sslmode=require password=topsecret-pg")
    owner.close()
    passfile = pathlib.Path(directory) / "pgpass"
    passfile.write_text(f"localhost:{server.port}:muster:muster:topsecret-pg\n")
    passfile.chmod(0o600)
    base = f"host=localhost port={server.port} user=muster dbname=muster sslmode=verify-full"
    config = pathlib.Path(directory) / "pg.yaml"

    def migrate(dsn, word=None, env=None, status=0):
        config.write_text(f'kafka:\n  bootstrap_servers: "127.0.0.1:1"\npostgres:\n  dsn: "{dsn}"\n'
                          'privacy:\n  subject_key_file: /nowhere\n')
        done = run(str(config), "migrate", status=status, env=env)
        if word is not None:
            print("  refused:", done.stderr.strip()[-200:])
            assert word in done.stderr.lower(), done.stderr
    trusted = f"{base} sslrootcert={directory}/ca.pem"
    failed = (EX_UNAVAILABLE, EX_CONFIG)
    migrate(f"{trusted} passfile={passfile}")
    migrate(f"{trusted} channel_binding=require", env={"PGPASSWORD": "topsecret-pg"})
    migrate(f"{trusted} password=${{PG_PASSWORD}}", env={"PG_PASSWORD": "topsecret-pg"})
    shown = run(str(config), "config", "show", env={"PG_PASSWORD": "topsecret-pg"}).stdout
    assert "password=***" in shown, shown
    migrate(trusted, "password", env={"PGPASSWORD": "topsecret-wrong"}, status=EX_CONFIG)
    migrate(trusted, "password", status=EX_CONFIG)
    migrate(f"{base} sslrootcert={directory}/other.pem passfile={passfile}", "certificate verify failed", status=failed)
    migrate(f"{base} sslrootcert=/nowhere passfile={passfile}", "root certificate", status=failed)
    migrate(f"{trusted} passfile={passfile}".replace("localhost", "127.0.0.1"), "does not match", status=failed)
    migrate(f"{trusted} sslmode=disable passfile={passfile}", "no encryption", status=EX_CONFIG)
    migrate("host=localhost password=top topsecret", "neither", status=EX_CONFIG)
    server.show("elsewhere")
    migrate(f"{trusted} passfile={passfile}", "does not match", status=failed)
    time.sleep(1)
    server.show("expired")
    migrate(f"{trusted} passfile={passfile}", "certificate verify failed", status=failed)


main(kafka_by_role, kafka_denials, postgres_by_role, postgres_by_certificate)
