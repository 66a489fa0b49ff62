"""A pack of evidence is made twice with the same bytes and verifies without a broker; then one
thing at a time is made wrong in it, or on the topics that a checkpoint covers, and is named."""
import csv
import datetime
import glob
import hashlib
import html.parser
import io
import json
import os
import re
import shutil
import struct
import subprocess

import fastavro
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

import _fleet
import _world
from _fleet import KAFKA, equal, holds, until

LOAD = ("--devices", 160, "--rounds", 8, "--seed", 5, "--odd", 0.3, "--damage", 0.02, "--traceparent", 0.3)
SETTINGS = ("batch.messages_max=300",)
FROM, MIDDLE, TO = "2025-06-02T12:00:00Z", "2025-06-03T12:00:00Z", "2025-06-05T00:00:00Z"
JOURNAL = _world.SCHEMAS["JournalRecord"]
TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NO_BROKER = "127.0.0.1:1"


class Evidenced(_fleet.World):
    def __init__(self, directory, name, **options):
        self.secret = os.path.join(directory, "sign.key")
        self.public = self.secret + ".pub"
        super().__init__(directory, name, **options)

    def call(self, *arguments, settings=()):
        """Exit status, and what it printed on both."""
        done = subprocess.run(self.command(*arguments, settings=settings), capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout, done.stderr

    def make(self, name, *options, ok=0):
        path = os.path.join(self.directory, name)
        status, out, err = self.call("evidence", "create", "-o", path, *options)
        equal(status, ok, "evidence create %s: %s %s" % (name, out, err))
        return path

    def check(self, pack, *options):
        """Without a broker, a database, or the key of subjects: what anybody sees."""
        done = subprocess.run([_fleet.MUSTER, "evidence", "verify", pack, "-o", "json", *options, "--set",
                               "kafka.bootstrap_servers=" + NO_BROKER, "--set", "postgres.dsn=host=127.0.0.1 port=1"],
                              capture_output=True, text=True, timeout=300)
        holds(done.returncode in (0, 1), "evidence verify: exit %d: %s", done.returncode, done.stderr)
        return done.returncode, json.loads(done.stdout) if done.stdout else {"lanes": [], "problems": [{"what": "refused", "text": done.stderr, "file": ""}]}


def contents(path):
    found = {}
    for name in glob.glob(path + "/**", recursive=True):
        if os.path.isfile(name):
            with open(name, "rb") as f:
                found[os.path.relpath(name, path)] = f.read()
    return found


# Files of records, as docs/evidence.md has them. -------------------------------------------

def split(data):
    """The first line's words, and each record's bytes without their size."""
    line, _, rest = data.partition(b"\n")
    records = []
    while rest:
        size, = struct.unpack(">I", rest[:4])
        records.append(rest[4:4 + size])
        rest = rest[4 + size:]
    return line.split(b" "), records


def join(words, records):
    return b" ".join(words) + b"\n" + b"".join(struct.pack(">I", len(r)) + r for r in records)


def value_of(record):
    """Where the value of a record begins, and it."""
    at = 17
    size, = struct.unpack(">I", record[at:at + 4])
    at += 4 + size
    size, = struct.unpack(">I", record[at:at + 4])
    return at + 4, record[at + 4:at + 4 + size]


def rehash(path):
    """The manifest's list of files made true again."""
    with open(path + "/manifest.json", encoding="utf-8") as f:
        manifest = json.load(f)
    manifest["files"] = [{"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
                         for name, data in sorted(contents(path).items()) if name != "manifest.json"]
    with open(path + "/manifest.json", "w", encoding="utf-8") as f:
        f.write(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def other_letter(letter):
    return b"B" if letter == b"A" else b"A"


def change(name, edit):
    def on(path):
        with open(os.path.join(path, name), "rb") as f:
            data = f.read()
        with open(os.path.join(path, name), "wb") as f:
            f.write(edit(data))
    return on


def change_records(name, edit):
    def on(data):
        words, records = split(data)
        edit(words, records)
        return join(words, records)
    return change(name, on)


def flip_in_value(index):
    """The last bit but one of a value's last byte but one."""
    def edit(_, records):
        at, value = value_of(records[index])
        place = at + len(value) - 2
        record = bytearray(records[index])
        record[place] ^= 2
        records[index] = bytes(record)
    return edit


def later(index):
    """A journal row's clock after the batch, a millisecond later."""
    def edit(_, records):
        at, value = value_of(records[index])
        row = fastavro.schemaless_reader(io.BytesIO(value[10:]), JOURNAL.parsed)
        row["clock_after"] += datetime.timedelta(milliseconds=1)
        changed = JOURNAL.encode(row)
        records[index] = records[index][:at - 4] + struct.pack(">I", len(changed)) + changed + records[index][at + len(value):]
    return edit


def drop(index):
    return lambda words, records: records.pop(index)


def both(*changes):
    def on(path):
        for one in changes:
            one(path)
    return on


def remove(name):
    return lambda path: os.remove(os.path.join(path, name))


def edit_manifest(edit):
    def on(path):
        with open(path + "/manifest.json", encoding="utf-8") as f:
            manifest = json.load(f)
        edit(manifest)
        with open(path + "/manifest.json", "w", encoding="utf-8") as f:
            f.write(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return on


def cut_journal(path):
    """The last batch gone from the journal, and the results with it, as if it had never been."""
    found = contents(path)
    lane = "lanes/1/"
    words, records = split(found[lane + "journal.records"])
    rows = [fastavro.schemaless_reader(io.BytesIO(value_of(r)[1][10:]), JOURNAL.parsed) for r in records]
    last = rows[-1]
    change_records(lane + "journal.records", lambda words, records: records.pop())(path)
    for name in found:
        if name.startswith(lane) and name.endswith(".records"):
            topic = name[len(lane):-len(".records")]
            cut_slice(path, name, topic, last)


def cut_slice(path, name, topic, last):
    ranges = {r["topic"].rsplit(".", 1)[1]: r for r in last["ranges"]}

    def edit(words, records):
        if topic in ranges:
            words[-1] = b"%020d" % ranges[topic]["from"]
            records[:] = [r for r in records if struct.unpack(">q", r[:8])[0] < ranges[topic]["from"]]
        elif topic == "dead-letters":
            records[:] = [r for r in records if int(re.search(rb"muster\.seq\0\0\0.(\d+)", r).group(1)) < last["first_seq"]]
        elif topic != "journal":
            records[:] = [r for r in records if seq_of(r) < last["first_seq"]]
    change_records(name, edit)(path)


def seq_of(record):
    """The second field of every result."""
    body = io.BytesIO(value_of(record)[1][10:])
    numbers = [fastavro.schemaless_reader(body, "long") for _ in range(2)]
    return numbers[1]


# What is done to a pack, whether its manifest is made true again, and what must be named: of a
# lane, or of a file.
CASES = (
    ("a byte of an input", change_records("lanes/1/checkins.records", flip_in_value(5)), False, "file changed", None),
    ("the same, hashes fixed", change_records("lanes/1/checkins.records", flip_in_value(5)), True, None, ("journal row changed", "result changed", "result missing", "result surplus")),
    ("an input dropped, hashes fixed", change_records("lanes/1/compliance-reports.records", drop(7)), True, None, ("journal row changed", "result changed", "result missing")),
    ("a byte of a result, hashes fixed", change_records("lanes/1/compliance-changes.records", flip_in_value(3)), True, None, ("result changed",)),
    ("a result dropped, hashes fixed", change_records("lanes/1/tickets.records", drop(2)), True, None, ("result missing",)),
    ("the last result dropped", change_records("lanes/1/tickets.records", drop(-1)), True, None, ("tail cut",)),
    ("a journal row dropped", change_records("lanes/1/journal.records", drop(2)), True, None, ("journal row missing",)),
    ("a journal row's clock", change_records("lanes/1/journal.records", later(2)), True, None, ("journal row changed",)),
    ("the journal's last row dropped", change_records("lanes/1/journal.records", drop(-1)), True, None, ("journal cut",)),
    ("a record that is none", change("lanes/1/audit.records", lambda data: data[:-3]), True, None, ("file damaged",)),
    ("a tail cut everywhere, checkpoint kept", cut_journal, True, None, ("journal cut",)),
    ("a checkpoint's signature", change("lanes/1/checkpoint.note", lambda data: data[:-9] + other_letter(data[-9:-8]) + data[-8:]), True, None, ("checkpoint unsigned",)),
    ("a checkpoint of another lane", both(lambda path: shutil.copy(path + "/lanes/0/checkpoint.note", path + "/lanes/1/checkpoint.note")), True, None, ("checkpoint unsigned",)),
    ("a device's state", change("population.csv", lambda data: data.replace(b",ENROLLED,", b",FAILED,", 1)), True, "file does not follow", None),
    ("a decision taken out", change("decisions.ndjson", lambda data: data.split(b"\n", 1)[1]), True, "file does not follow", None),
    ("the report's words", change("report.html", lambda data: data.replace(b"<td>tickets</td>", b"<td>tacos</td>")), True, "file does not follow", None),
    ("the policy's text", change("policies/default.yaml", lambda data: data + b"# no\n"), True, "file does not follow", None),
    ("a number in the manifest", edit_manifest(lambda m: m["lanes"][1].__setitem__("messages", 1)), True, "manifest does not follow", None),
    ("a chain in the manifest", edit_manifest(lambda m: m["lanes"][0].__setitem__("chain", "0" * 64)), True, "manifest does not follow", None),
    ("the range in the manifest", edit_manifest(lambda m: m.__setitem__("from", "2025-06-02T13:00:00.000Z")), True, "file does not follow", None),
    ("a file left out", remove("lanes/1/tickets.records"), False, "file missing", None),
    ("a file left out, not listed", remove("population.csv"), True, "file missing", None),
    ("a file more", lambda path: open(path + "/lanes/0/notes.txt", "w", encoding="utf-8").close(), False, "file not listed", None),
    ("no manifest", remove("manifest.json"), False, "refused", None),
)


def check_damage(world, pack):
    for name, damage, hashes_fixed, problem, findings in CASES:
        copy = os.path.join(world.directory, "damaged")
        shutil.copytree(pack, copy)
        damage(copy)
        if hashes_fixed:
            rehash(copy)
        status, report = world.check(copy, "--public-key", world.public)
        shutil.rmtree(copy)
        equal(status, 1, "%s: exit status: %s" % (name, report))
        if problem is not None:
            holds(problem in [p["what"] for p in report["problems"]], "%s: %s", name, report["problems"])
            shown = next(p for p in report["problems"] if p["what"] == problem)
            print("%-40s %s: %s: %s" % (name, shown["file"][-40:], shown["what"], shown["text"][:120]), flush=True)
        if findings is not None:
            finding = report["lanes"][1].get("finding")
            holds(finding is not None and finding["what"] in findings, "%s: %s", name, report["lanes"][1])
            equal((finding["lane"], report["lanes"][0]["verdict"]), (1, "verified"), "%s: lanes" % name)
            print("%-40s %s, batch %d: %s" % (name, finding["what"], finding["batch"], finding["text"][:120]), flush=True)


# The pack. ---------------------------------------------------------------------------------

class Page(html.parser.HTMLParser):
    """Tags that are opened and not closed, and whatever would need something else than the file."""

    def __init__(self):
        super().__init__()
        self.open, self.bad, self.count = [], [], {}

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag in ("script", "link", "img", "iframe", "object") or any(name.startswith("on") or name in ("src", "href") for name, _ in attrs):
            self.bad.append((tag, attrs))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_endtag(self, tag):
        equal(self.open.pop() if self.open else None, tag, "the report's tags")


def check_report(data, devices):
    page = Page()
    page.feed(data.decode())
    equal((page.open, page.bad), ([], []), "the report's tags, and what it refers to")
    equal(page.count.get("svg"), devices, "timelines")
    holds(b"url(" not in data and b"@import" not in data, "the report's style refers to something")


def check_contents(world, pack):
    found = contents(pack)
    decisions = [json.loads(line) for line in found["decisions.ndjson"].splitlines()]
    low, high = (at_ms(t) for t in (FROM, TO))
    expected = {}
    for lane in range(world.lanes):
        for seq, (topic, record) in _fleet.results_of(world, lane).items():
            if topic != "dead-letters" and low <= record[1] < high:
                expected[lane, seq] = world.prefix + topic
    told = {(d["value"]["lane"], d["value"]["seq"]): d["topic"] for d in decisions if not d["topic"].endswith(".dead-letters")}
    equal(told, expected, "decisions in the range")
    holds(all(low <= d["at"] < high for d in decisions), "a decision out of the range")
    devices = list(csv.DictReader(io.StringIO(found["population.csv"].decode())))
    as_of = subprocess.run(world.command("device", "list", "--as-of", str(high - 1), "-o", "json"), capture_output=True, text=True, check=True)
    equal([d["device_id"] for d in devices], [d["device_id"] for d in json.loads(as_of.stdout)], "devices at the end")
    equal([d["status"] for d in devices], [d["status"] for d in json.loads(as_of.stdout)], "their states")
    for data in found.values():
        for word in (KAFKA.encode(), world.directory.encode(), b"postgres"):
            holds(word not in data, "a pack knows %s", word)
    check_report(found["report.html"], 40)
    return len(decisions)


def at_ms(text):
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def send_addresses(world):
    """Addresses where none should be: in a header, in a key, in a value that nobody can read."""
    producer = Producer({"bootstrap.servers": KAFKA})
    _, timestamp, key, value, _ = world.read("checkins", 1)[-1]
    producer.produce(world.prefix + "checkins", value, key, partition=1, timestamp=timestamp, headers=[("from", b"header@example.org"), ("traceparent", TRACEPARENT)])
    producer.produce(world.prefix + "enrollments", b"\xc3\x01 value@example.org", b"key@example.org", partition=1, timestamp=timestamp)
    equal(producer.flush(30), 0, "messages with addresses")


def addresses(world):
    found = set()
    for lane in range(world.lanes):
        for message in world.read("enrollments", lane):
            found.update(a.lower() for a in re.findall(rb"[A-Za-z0-9._-]+@[A-Za-z0-9._-]+", message[3] or b""))
    return found


def check_pseudonymised(world):
    pack = world.make("pseudonymised", "--pseudonymised", "--public-key", world.public)
    status, report = world.check(pack, "--public-key", world.public)
    equal((status, report["problems"]), (0, []), "a pseudonymised pack: %s" % report)
    known = addresses(world)
    holds(len(known) > 100, "only %d addresses are known", len(known))
    whole = b"\n".join(contents(world.make("whole")).values()).lower()
    holds(sum(a in whole for a in known) > 100, "a whole pack has few addresses")
    holds(all(word in whole for word in (b"header@example", b"key@example", b"value@example")), "what was sent is not in a whole pack")
    for name, data in contents(pack).items():
        left = [a for a in known if a in data.lower()]
        equal(left, [], "addresses in %s" % name)
        holds(b"example.org" not in data.lower(), "a domain of addresses in %s", name)
    # Damage shows here as well.
    copy = os.path.join(world.directory, "damaged")
    shutil.copytree(pack, copy)
    change_records("lanes/1/tickets.records", drop(2))(copy)
    rehash(copy)
    status, report = world.check(copy)
    shutil.rmtree(copy)
    equal((status, report["lanes"][1]["finding"]["what"]), (1, "result missing"), "a result dropped, pseudonymised")
    print("pseudonymised: none of %d addresses is left" % len(known))


# Checkpoints on the topic. -----------------------------------------------------------------

def refill(world, topic, messages):
    """The topic anew with these messages, by lane."""
    name = world.prefix + topic
    admin = AdminClient({"bootstrap.servers": KAFKA})
    for future in admin.delete_topics([name]).values():
        future.result()
    until(60, "%s was not made again" % topic, lambda: world.muster("topics", "create", "--partitions", str(world.lanes), ok=None) == 0 and
          all(world.end_offset(name, lane) == 0 for lane in range(world.lanes)))
    producer = Producer({"bootstrap.servers": KAFKA, "linger.ms": 5, "enable.idempotence": True})
    for lane, log in messages.items():
        for _, timestamp, key, value, headers in log:
            producer.produce(name, value, key, partition=lane, timestamp=timestamp, headers=headers)
            producer.poll(0)
    equal(producer.flush(60), 0, "messages not sent to %s" % topic)


def verify(world, *options):
    status, out, err = world.call("replay", "verify", "-o", "json", *options)
    holds(status in (0, 1), "replay verify: exit %d: %s", status, err)
    return status, {lane["lane"]: lane for lane in json.loads(out)}


def tail_before(world, seq):
    """Every output topic of lane 1 without the results from that number on."""
    topics = {}
    for topic in _fleet.RECORDS:
        if topic in ("devices", "journal"):
            continue
        log = world.read(topic, 1)
        kept = [m for m in log if (int(dict(m[4])["muster.seq"]) if topic == "dead-letters" else seq_of(b"\0" * 17 + struct.pack(">I", 0) + struct.pack(">I", len(m[3])) + m[3])) < seq]
        if len(kept) < len(log):
            topics[topic] = {0: world.read(topic, 0), 1: kept}
    return topics


def check_checkpoints(world):
    by_topic = ("--checkpoints", "topic", "--public-key", world.public)
    status, report = verify(world, *by_topic)
    equal(status, 0, "with checkpoints: %s" % report)
    for lane, found in report.items():
        holds(found["checkpoints"] >= 1 and found["signed_batch"] == found["batches"], "lane %d: %s", lane, found)
    own = os.path.join(world.directory, "own.txt")
    equal(world.call("evidence", "checkpoint", "-o", own, settings=("journal.signing_key_file=" + world.secret,))[0], 0, "evidence checkpoint")
    status, report = verify(world, "--checkpoints", own, "--public-key", world.public)
    equal((status, [found["checkpoints"] for found in report.values()]), (0, [1, 1]), "with a checkpoint of one's own")

    # Another key signs nothing here.
    other = os.path.join(world.directory, "other.key")
    equal(world.call("evidence", "key", other, "--name", "test.example")[0], 0, "another key")
    status, report = verify(world, "--checkpoints", "topic", "--public-key", other + ".pub")
    equal((status, report[0]["divergence"]["what"]), (1, "checkpoint unsigned"), "under another key")

    # The last batch of a lane gone everywhere but in its checkpoint: nothing else can tell.
    journal = {lane: world.read("journal", lane) for lane in range(world.lanes)}
    row = fastavro.schemaless_reader(io.BytesIO(journal[1][-1][3][10:]), JOURNAL.parsed)
    cut, before = tail_before(world, row["first_seq"]), {}
    for topic in cut:
        before[topic] = {lane: world.read(topic, lane) for lane in range(world.lanes)}
        refill(world, topic, cut[topic])
    devices = {lane: world.read("devices", lane) for lane in range(world.lanes)}
    refill(world, "devices", {0: devices[0], 1: [m for m in devices[1] if seq_of(b"\0" * 17 + struct.pack(">I", 0) + struct.pack(">I", len(m[3])) + m[3]) < row["first_seq"]]})
    refill(world, "journal", {0: journal[0], 1: journal[1][:-1]})
    status, report = verify(world)
    print("a tail cut everywhere, without checkpoints: exit %d, %s" % (status, report[1].get("divergence", {}).get("what")))
    status, report = verify(world, *by_topic)
    finding = report[1]["divergence"]
    equal((status, finding["what"], finding["lane"], finding["batch"]), (1, "journal cut", 1, row["batch"]), "a tail cut: %s" % finding)
    equal((finding["expected"]["batches"], finding["found"]["batches"]), (row["batch"], row["batch"] - 1), "a tail cut: batches")
    print("a tail cut everywhere, with checkpoints: %s, lane %d, batch %d: %s" % (finding["what"], finding["lane"], finding["batch"], finding["text"]))
    for topic, logs in before.items():
        refill(world, topic, logs)
    refill(world, "devices", devices)
    refill(world, "journal", journal)
    equal(verify(world, *by_topic)[0], 0, "put back")


def check_proof(world):
    """A pack of a part of the journal, under a checkpoint of more of it."""
    pack = world.make("part", "--to", MIDDLE, "--public-key", world.public)
    found = contents(pack)
    holds("lanes/1/consistency.txt" in found, "no proof in %s", sorted(found))
    status, report = world.check(pack, "--public-key", world.public)
    equal((status, report["problems"]), (0, []), "a part: %s" % report)
    lane = report["lanes"][1]
    holds(lane["checkpoint"]["batches"] > lane["batches"] > 0, "a part: %s", lane)
    for name, damage in (("a proof changed", change("lanes/1/consistency.txt", lambda data: other_letter(data[:1]) + data[1:])),
                         ("a tail cut under a larger checkpoint", cut_journal)):
        copy = os.path.join(world.directory, "damaged")
        shutil.copytree(pack, copy)
        damage(copy)
        rehash(copy)
        status, report = world.check(copy)
        shutil.rmtree(copy)
        finding = report["lanes"][1].get("finding", {})
        equal((status, finding.get("what")), (1, "journal cut"), "%s: %s" % (name, report))
        print("%-40s %s, batch %d: %s" % (name, finding["what"], finding["batch"], finding["text"][:120]))


def check_bad_log(world):
    """A log that is not as decided makes a pack that says so."""
    before = {lane: world.read("tickets", lane) for lane in range(world.lanes)}
    refill(world, "tickets", {0: before[0], 1: before[1][:2] + before[1][3:]})
    pack = world.make("bad", ok=1)
    status, report = world.check(pack)
    equal((status, report["lanes"][1]["finding"]["what"], report["problems"]), (1, "result missing", []), "a pack of a bad log")
    with open(pack + "/report.html", "rb") as f:
        data = f.read()
    holds(b"What differs" in data and b"result missing" in data, "the report of a bad log")
    check_report(data, 40)
    page = os.path.join(world.directory, "verify.html")
    equal(world.call("replay", "verify", "--report", page)[0], 1, "replay verify --report")
    with open(page, "rb") as f:
        check_report(f.read(), 40)
    refill(world, "tickets", before)


def check_live(directory):
    """A run that goes on signs now and then, and at its end; killed, it leaves the rest to the next."""
    world = Evidenced(directory, "signing", lanes=1)

    def start():
        return subprocess.Popen(world.command("run", settings=("journal.signing_key_file=" + world.secret,)),
                                stdout=subprocess.DEVNULL, stderr=open(os.path.join(directory, "signing.log"), "ab"))

    def signed():
        return [int(message[3].split(b"\n")[1]) for message in world.read("checkpoints", 0)]

    def feed(seed):
        world.load("--devices", 30, "--rounds", 2, "--seed", seed, "--start", 1748822400000 + seed * 200_000_000)
        until(60, "not all was decided", lambda: sum(row["n"] or 0 for row in world.sql("SELECT sum((counts->>'messages')::bigint)::bigint AS n FROM muster.journal")) == sum(world.sent.values()))
    run = start()
    try:
        feed(1)
        until(30, "nothing is signed while a run goes on", lambda: len(signed()) > 0)
        feed(2)
        run.kill()
        run.wait()
        before = signed()
        run = start()
        feed(3)
        run.terminate()
        equal(run.wait(60), 0, "the run's exit status")
    finally:
        run.kill()
        run.wait()
    status, report = verify(world, "--checkpoints", "topic", "--public-key", world.public)
    equal((status, report[0]["signed_batch"], report[0]["checkpoints"]), (0, report[0]["batches"], len(signed())), "checkpoints of two runs: %s" % report)
    holds(before == sorted(before) and signed()[-1] > before[-1], "sizes that were signed: %s, then %s", before, signed())
    equal([message[2] for message in world.read("checkpoints", 0)], [b"0"] * len(signed()), "keys of checkpoints")
    print("signed by two runs, one of them killed: %s of %d batches" % (signed(), report[0]["batches"]))


def check_control(directory):
    """Policies and commands: every lane reads control, whose subjects are in lane 0's audit."""
    world = Evidenced(directory, "controlled", lanes=2, settings=("roles.bootstrap_admins=boss@example.org",))
    world.load("--devices", 40, "--rounds", 4, "--seed", 9)
    world.run()
    world.muster("policy", "apply", "extended", "--no-wait")
    world.run()
    world.muster("device", "rename", "D001", "renamed", "--no-wait")
    # Nobody looks at the keys of control messages: another producer may use an address.
    producer = Producer({"bootstrap.servers": KAFKA})
    _, timestamp, _, value, _ = world.read("control", 0)[0]
    producer.produce(world.prefix + "control", value, b"boss@example.org", partition=0, timestamp=timestamp)
    equal(producer.flush(30), 0, "a policy once more")
    world.run()
    for name, options in (("control", ()), ("control-pseudonymised", ("--pseudonymised",))):
        pack = world.make(name, *options)
        status, report = world.check(pack)
        equal((status, report["problems"]), (0, []), "%s: %s" % (name, report))
        found = contents(pack)
        equal([p["version"] for p in json.loads(found["manifest.json"])["policies"]], ["default", "extended"], "policies")
        equal(any(b"boss@example.org" in data for data in found.values()), not options, "the admin's address in %s" % name)
    print("policies and commands: packs verify")


def test(directory):
    world = Evidenced(directory, "evidence", lanes=2)
    equal(world.call("evidence", "key", world.secret, "--name", "test.example")[0], 0, "evidence key")
    equal(os.stat(world.secret).st_mode & 0o777, 0o600, "the key's mode")
    equal(world.call("evidence", "key", world.secret)[0], 1, "a key over a key")
    world.load(*LOAD)
    send_addresses(world)
    world.run(*SETTINGS, "journal.signing_key_file=" + world.secret)
    options = ("--from", FROM, "--to", TO, "--public-key", world.public)
    first, second = world.make("first", *options), world.make("second", *options)
    one, two = contents(first), contents(second)
    equal(sorted(one), sorted(two), "files of two packs")
    for name in one:
        holds(one[name] == two[name], "two packs differ in %s", name)
    equal(world.call("evidence", "create", "-o", first, *options)[0], 1, "a pack over a pack")
    count = check_contents(world, first)
    for extra in ((), ("--public-key", world.public)):
        status, report = world.check(first, *extra)
        equal((status, report["problems"]), (0, []), "a good pack: %s" % report)
    print("a pack of %d files, %d decisions, the same twice, verified without a broker" % (len(one), count))
    check_live(directory)
    check_control(directory)
    check_damage(world, first)
    check_proof(world)
    check_pseudonymised(world)
    check_bad_log(world)
    check_checkpoints(world)


_fleet.main(test)
