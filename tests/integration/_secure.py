"""Servers that trust nobody: a broker with SASL_SSL, SCRAM and ACLs, a PostgreSQL with TLS and SCRAM;
and the certificates they show. Each is private to the test that makes it."""
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import tempfile

import psycopg
from confluent_kafka.admin import (AclBinding, AclOperation, AclPermissionType, AdminClient, ResourcePatternType,
                                   ResourceType)

from _world import ROOT, free_port, wait_until

PASSWORDS = {name: f"topsecret-{name}" for name in
             ("admin", "muster", "gateway", "mailer", "auditor", "stranger", "no_group", "no_txn", "no_output", "no_journal",
              "no_input")}


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def certificate(directory, name, issuer=None, host="localhost", days="2"):
    """NAME.pem and NAME.key; signed by ISSUER for a host, or by itself as an authority.

    With days "0" it has expired a second later."""
    path = f"{directory}/{name}"
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{path}.key",
            "-out", f"{path}.csr", "-subj", f"/CN={host if issuer else name}")
    extensions = pathlib.Path(f"{path}.ext")
    if issuer:
        extensions.write_text(f"basicConstraints=CA:FALSE\nsubjectAltName=DNS:{host}\n")
        signer = ["-CA", f"{directory}/{issuer}.pem", "-CAkey", f"{directory}/{issuer}.key", "-CAcreateserial"]
    else:
        extensions.write_text("basicConstraints=critical,CA:TRUE\n")
        signer = ["-signkey", f"{path}.key"]
    openssl("x509", "-req", "-in", f"{path}.csr", "-out", f"{path}.pem", "-days", days, "-extfile", str(extensions),
            *signer)
    os.chmod(f"{path}.key", 0o600)


def library(script, *arguments):
    """Runs shell functions of scripts/lib in a shell of their own."""
    text = f". {ROOT}/scripts/lib/common.sh; . {ROOT}/scripts/lib/kafka.sh; . {ROOT}/scripts/lib/postgres.sh; {script}"
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", text, "secure", *map(str, arguments)],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
    return done.stdout


class SecureKafka:
    """One node; clients come by SASL_SSL with SCRAM-SHA-512, and may do what an ACL allows."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="muster-secure-kafka.")
        for name in ("ca", "other"):
            certificate(self.directory, name)
        certificate(self.directory, "server", "ca")
        self.port, controller, self.inner = free_port(), free_port(), free_port()
        library('kafka_create "$1" "$2" "$3"', self.directory, self.port, controller)
        home = pathlib.Path(self.directory) / "kafka"
        keystore = home / "server.pem"
        keystore.write_text(pathlib.Path(f"{self.directory}/server.key").read_text()
                            + pathlib.Path(f"{self.directory}/server.pem").read_text())
        properties = home / "server.properties"
        lines = [line for line in properties.read_text().splitlines()
                 if not line.startswith(("listeners=", "advertised.listeners=", "listener.security", "inter.broker"))]
        lines += [
            f"listeners=CLIENT://127.0.0.1:{self.port},INNER://127.0.0.1:{self.inner},"
            f"CONTROLLER://127.0.0.1:{controller}",
            f"advertised.listeners=INNER://127.0.0.1:{self.inner},CLIENT://localhost:{self.port}",
            "listener.security.protocol.map=CLIENT:SASL_SSL,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name=INNER",
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512",
            "listener.name.client.plain.sasl.jaas.config="
            "org.apache.kafka.common.security.plain.PlainLoginModule required "
            + " ".join(f'user_{name}="{password}"' for name, password in PASSWORDS.items()) + ";",
            "listener.name.client.scram-sha-512.sasl.jaas.config="
            "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            "ssl.keystore.type=PEM", f"ssl.keystore.location={keystore}",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:admin;User:ANONYMOUS",
        ]
        properties.write_text("\n".join(lines) + "\n")
        shutil.rmtree(home / "data")
        scram = " ".join(f"--add-scram 'SCRAM-SHA-512=[name={name},password={password}]'"
                         for name, password in PASSWORDS.items())
        library('(kafka_java "$1" kafka.tools.StorageTool format --cluster-id MAAAAAAAAAAAAAAAAAAAAg '
                f'--config "$1/kafka/server.properties" {scram}) >"$1/format.log" 2>&1 || cat "$1/format.log"',
                self.directory)
        with open(home / "log", "w") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", f'. {ROOT}/scripts/lib/common.sh; . {ROOT}/scripts/lib/kafka.sh; '
                 'kafka_java "$1" kafka.Kafka "$1/kafka/server.properties"', "kafka", self.directory],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def answers():
            assert self.process.poll() is None, (home / "log").read_text()[-3000:]
            return "Kafka Server started" in (home / "log").read_text()
        wait_until("Kafka", answers)

    def close(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.directory)

    def client(self, user, **more):
        """Properties for librdkafka."""
        return {"bootstrap.servers": f"localhost:{self.port}", "security.protocol": "sasl_ssl", "log_level": 0,
                "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": user, "sasl.password": PASSWORDS[user],
                "ssl.ca.location": f"{self.directory}/ca.pem", **more}

    def admin(self):
        return AdminClient(self.client("admin"))

    def grant(self, *parts, prefix, group, but=()):
        """What scripts/acls prints, done; without `but`: a line's words and the one operation that it lacks."""
        printed = subprocess.run([ROOT / "scripts/acls", "--prefix", prefix, "--group", group, *parts], check=True,
                                 capture_output=True, text=True).stdout.splitlines()
        lacking = [line.replace(f" --operation {words[-1]}", "") if all(word in line.split() for word in words)
                   else line for line in printed for words in but] if but else printed
        assert sum(a != b for a, b in zip(printed, lacking)) == len(but), f"{but} are not in scripts/acls"
        bindings = [binding for line in lacking for binding in bindings_of(line)]
        admin = self.admin()  # the answers need it
        for future in admin.create_acls(bindings).values():
            future.result(30)


def bindings_of(line):
    """The ACLs that one call of kafka-acls.sh makes."""
    words = shlex.split(line)
    assert words[0] == "kafka-acls.sh" and "--add" in words, line
    pairs = [(words[i], words[i + 1]) for i in range(len(words) - 1) if words[i].startswith("--")]
    single = dict(pairs)
    kind, name = next((kind, single[option]) for option, kind in
                      (("--topic", ResourceType.TOPIC), ("--group", ResourceType.GROUP),
                       ("--transactional-id", ResourceType.TRANSACTIONAL_ID)) if option in single)
    pattern = {"literal": ResourcePatternType.LITERAL,
               "prefixed": ResourcePatternType.PREFIXED}[single["--resource-pattern-type"]]
    operations = {"Read": AclOperation.READ, "Write": AclOperation.WRITE, "Describe": AclOperation.DESCRIBE,
                  "Create": AclOperation.CREATE, "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS}
    return [AclBinding(kind, name, pattern, single["--allow-principal"], "*", operations[value],
                       AclPermissionType.ALLOW) for option, value in pairs if option == "--operation"]


class SecurePostgres:
    """A cluster that takes connections by TLS alone, with SCRAM passwords."""

    def __init__(self, certificates):
        self.directory = tempfile.mkdtemp(prefix="muster-secure-pg.")
        os.chmod(self.directory, 0o755)
        self.port = free_port()
        library('pg_create "$1" "$2"; pg_start "$1"; pg_create_database "$2"', self.directory, self.port)
        self.trusting = f"host=127.0.0.1 port={self.port} user=muster dbname=muster"
        with psycopg.connect(self.trusting, autocommit=True) as connection:
            connection.execute("alter role muster password 'topsecret-pg'")
        self.certificates = certificates
        self.show("server")

    def show(self, name):
        """Shows that certificate from now on."""
        data = f"{self.directory}/postgres/data"
        for kind in ("pem", "key"):
            library('pg_as tee "$1" <"$2" >/dev/null; pg_as chmod 600 "$1"', f"{data}/server.{kind}",
                    f"{self.certificates}/{name}.{kind}")
        settings = "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\n"
        library('printf "%s" "$2" | pg_as tee "$1/postgresql.auto.conf" >/dev/null; '
                'printf "hostssl all all 127.0.0.1/32 scram-sha-256\\n" | pg_as tee "$1/pg_hba.conf" >/dev/null; '
                'pg_as "$PG_BIN/pg_ctl" restart -w -D "$1" -l "$1/../log" >/dev/null 2>&1', data, settings)

    def close(self):
        library('pg_stop "$1"', self.directory)
        shutil.rmtree(self.directory)
