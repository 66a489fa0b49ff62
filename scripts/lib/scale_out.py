"""usage: scale_out.py [--lanes N] [--processes N] [--events N | --minutes M] [--seed S] [--rate N]

What scripts/scale-out does, on the stack that is in its environment: processes of one group come
and go under a load, and what they leave is held against an undisturbed run of one process.

The load is such that its results do not depend on who decided them and when. Its stamps are the
wall clock's; it is sent tick by tick, one topic after the other, each visible before the next is
sent, so that a lane never sees a message behind a later one. Timers fall due meanwhile, by the wall
clock; so that none is fired before a message that precedes it, nothing is sent in the second before.
"""
import argparse
import contextlib
import os
import pathlib
import random
import re
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[2] / "tests/integration"))
import load as fleet  # noqa: E402
from _world import (EX_CONFIG, HOUR, MINUTE, SECOND, Event, check_in, differences, enroll, main,  # noqa: E402
                    now_ms, report, tail, time_text, wait_until)

SESSION_S = 10  # the group's session.timeout.ms
TICK_S = 0.1
DEVICES = 1500
DUE_EVERY_MS, DUE_AT_ONCE = 15 * SECOND, 24
QUIET_BEFORE_DUE_MS, FIRED_BEHIND_MS = SECOND, SECOND
TAKEN = re.compile(r"lane taken.*?\blane\W+(\d+).*?\bepoch\W+(\d+)")

KINDS = {
    "restart": "killed, started again at once",
    "kill": "killed (SIGKILL)",
    "leave": "left (SIGTERM)",
    "freeze": "frozen (SIGSTOP) beyond the session",
    "thaw": "thawed (SIGCONT)",
    "join": "joined",
}
LOSSES = ("restart", "kill", "leave", "freeze")


# The load. -------------------------------------------------------------------------------


class Load(threading.Thread):
    """Sends until it is stopped; `events` is all of it in the order of sending."""

    def __init__(self, world, seed, rate, seconds):
        super().__init__(daemon=True)
        self.world, self.rate = world, rate
        self.random = random.Random(seed)
        self.encode = fleet.Encoder()
        self.devices = [fleet.Device(fleet.parse(["", "--seed", str(seed), "--devices", str(DEVICES)]), index)
                        for index in range(DEVICES)]
        self.events, self.late, self.slowest_ms = [], [], 0
        self.is_over, self.failure = threading.Event(), None
        start = now_ms()
        # 24 hours after it became non-compliant, a device's mail is blocked and a ticket opened.
        self.due = {f"DUE-{at}-{n}": at for at in range(start + 20 * SECOND, start + round(seconds * SECOND), DUE_EVERY_MS)
                    for n in range(DUE_AT_ONCE)}
        self.send_topics(self.past(start))

    def past(self, start):
        """Yesterday: everybody enrols and checks in, and some become non-compliant."""
        for serial, at in self.due.items():
            yield from (enroll(serial, at - 25 * HOUR), check_in(serial, at - 25 * HOUR + 1), report(serial, at - 24 * HOUR, pin=0))
        for device in self.devices:
            at = start - HOUR + device.index * SECOND // 2
            yield from (self.event(device, device.enrollment(at)), self.event(device, device.checkin(at + 1)))

    def event(self, device, what):
        at, topic, record = what
        return Event(fleet.TOPICS[topic], device.serial, at, {}, value=self.encode(topic, record))

    def send_topics(self, events):
        events = sorted(events, key=lambda event: event.at)
        for topic in fleet.TOPICS:
            part = [event for event in events if event.topic == topic]
            self.world.send(*part)
            self.events += part

    def tick(self, devices):
        at = now_ms()
        due = set(self.due.values())
        if any(at <= moment <= at + QUIET_BEFORE_DUE_MS for moment in due):
            return
        events = []
        for device in devices:
            device.turn()
            events.append(self.event(device, device.report(at)))
            if self.random.random() < 0.5:
                events.append(self.event(device, device.checkin(at)))
        self.send_topics(events)
        sent = now_ms()
        self.slowest_ms = max(self.slowest_ms, sent - at)
        self.late += [(at, moment) for moment in due if at <= moment and sent >= moment + FIRED_BEHIND_MS]

    def run(self):
        try:
            while not self.is_over.wait(TICK_S):
                self.tick(self.random.sample(self.devices, round(self.rate * TICK_S / 1.5)))
            # The last word in every lane is behind all that was due.
            last = max(self.due.values(), default=0) + 2 * FIRED_BEHIND_MS
            time.sleep(max(0, last - now_ms()) / SECOND)
            self.tick(self.devices)
        except Exception as failure:  # noqa: BLE001: end() raises it again
            self.failure = failure

    def check(self):
        if self.failure is not None:
            raise self.failure

    def end(self):
        self.is_over.set()
        self.join()
        self.check()
        assert not self.late, f"nothing is shown: the load stood still, {self.late[0]} was visible behind what was due"


# The group. ------------------------------------------------------------------------------


class Happening:
    """Of one process; `until` is when it could commit no more, or again."""

    def __init__(self, kind, member, at):
        self.kind, self.member, self.at, self.until = kind, member, at, float("inf")


class Member:
    def __init__(self, number, slot, process):
        self.number, self.slot, self.process, self.is_frozen = number, slot, process, False


class Group:
    """The processes, what happened to them, and who owns what, as the journal has it."""

    def __init__(self, world, load, most, rng):
        self.world, self.load, self.most, self.random = world, load, most, rng
        self.members, self.happened, self.owners, self.began = [], [], {}, time.monotonic()

    def running(self):
        return [member for member in self.members if not member.is_frozen]

    def start(self):
        slots = {member.slot for member in self.members}
        slot = next(n for n in range(len(slots) + 1) if n not in slots)
        self.members.append(Member(len(self.world.processes), slot, self.world.start(http="off")))
        return self.members[-1]

    def note(self, kind, member):
        self.happened.append(Happening(kind, member, time.time()))
        print(f"  {len(self.happened):3}: {time.monotonic() - self.began:6.1f} s  process {member.number} "
              f"{KINDS[kind]}; {len(self.running())} running", flush=True)
        return self.happened[-1]

    # Who is who: a process logs which lane it took under which epoch; the journal names owner and epoch.

    def member_of(self, lane, epoch, owner):
        if owner not in self.owners:
            for number, process in enumerate(self.world.processes):
                if (str(lane), str(epoch)) in TAKEN.findall(process.log()):
                    self.owners[owner] = number
        return self.owners.get(owner)

    def last_commits(self):
        """{lane: (number of the process, when)}"""
        rows = self.world.sql("select n, j.epoch, j.owner, j.committed_at from generate_series(0, %s) n cross join lateral"
                              " (select epoch, owner, committed_at from muster.journal"
                              " where kind = 'BATCH' and lane = n order by batch desc limit 1) j",
                              self.world.lanes - 1)
        return {lane: (self.member_of(lane, epoch, owner), at.timestamp()) for lane, epoch, owner, at in rows}

    def wait_settled(self, since):
        """Every lane has gone on, and everyone who runs has a part in it."""
        expected = {member.number for member in self.running()}

        def is_settled():
            self.load.check()
            for member in self.members:
                assert member.process.is_alive(), f"process {member.number} ended with {member.process.wait()}:\n" \
                    + tail(member.process.log())
            commits = self.last_commits()
            return len(commits) == self.world.lanes and {number for number, _ in commits.values()} == expected and all(
                at > since for _, at in commits.values())
        wait_until(lambda: f"every lane going on with all of {expected}: {self.last_commits()}; the logs:\n" + "\n".join(
            tail(member.process.log(), 8) for member in self.members), is_settled, pause=0.2)

    # What happens to them.

    def can_start_again(self):
        """Whose name the next process will have: that of the lowest free slot."""
        slots = {member.slot for member in self.members}
        return [member for member in self.running() if set(range(member.slot)) <= slots]

    def choose(self):
        running = len(self.running())
        kinds = ["join"] * 2 if running < self.most else []
        kinds += ["leave", "kill", "freeze"] if running > 1 else []
        return self.random.choice(kinds + ["restart"] if self.can_start_again() else kinds)

    def happen(self, kind):
        if kind == "join":
            self.note(kind, self.start())
            return
        member = self.random.choice(self.can_start_again() if kind == "restart" else self.running())
        if kind == "freeze":
            self.freeze(member)
        elif kind == "leave":
            self.leave(member)
        else:
            self.kill(member, kind)

    def kill(self, member, kind):
        self.members.remove(member)
        happened = self.note(kind, member)
        member.process.kill()
        happened.until = time.time()
        if kind == "restart":
            self.start()

    def leave(self, member):
        self.members.remove(member)
        happened = self.note("leave", member)
        member.process.stop()
        happened.until = time.time()

    def freeze(self, member):
        """The others have its lanes when it wakes up, and it has not heard of it."""
        member.is_frozen = True
        member.process.signal(signal.SIGSTOP)
        happened = self.note("freeze", member)
        self.wait_settled(happened.at)
        time.sleep(max(0.0, happened.at + SESSION_S + self.random.uniform(1, 4) - time.time()))
        happened.until = time.time()
        member.is_frozen = False
        member.process.signal(signal.SIGCONT)
        self.note("thaw", member)

    def live_through(self, plan):
        """Kinds by name; None is one by chance. Now and then the next comes before all is well again."""
        self.start()
        self.wait_settled(0)
        for kind in plan:
            time.sleep(self.random.uniform(0.3, 2.5))
            self.happen(kind or self.choose())
            if kind is not None or len(self.running()) < 2 or self.random.random() < 0.75:
                self.wait_settled(self.happened[-1].at)
        self.wait_settled(time.time())

    def end(self):
        for member in self.members:
            member.process.signal(signal.SIGTERM)
        for member in self.members:
            status = member.process.wait()
            assert status == 0, f"process {member.number}: exit {status}:\n{tail(member.process.log())}"


# What came of it. ------------------------------------------------------------------------


def take_overs(group):
    """({kind: seconds from a loss to the next owner's first batch}, {kind: seconds that a lane which
    only moved stood still}), each change of owner in the journal being one."""
    lost, moved, last = {}, {}, {}
    for lane, epoch, owner, at in group.world.sql("select lane, epoch, owner, committed_at from muster.journal"
                                                  " where kind = 'BATCH' order by lane, batch"):
        number, at = group.member_of(lane, epoch, owner), at.timestamp()
        assert number is not None, f"lane {lane}, epoch {epoch}: owner {owner} is none of the processes"
        before, last[lane] = last.get(lane), (number, at)
        if before is None or before[0] == number:
            continue
        cause = next((h for h in group.happened if h.kind in LOSSES and h.member.number == before[0]
                      and h.at <= at and before[1] <= h.until), None)
        if cause is not None:
            lost.setdefault(cause.kind, []).append(at - cause.at)
        else:
            latest = [h.kind for h in group.happened if h.at <= at]
            moved.setdefault(latest[-1] if latest else "join", []).append(at - before[1])
    return lost, moved


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def print_table(group):
    lost, moved = take_overs(group)
    times = {kind: sum(h.kind == kind for h in group.happened) for kind in KINDS}
    print(f"\n{'a lane of a process that was':42} {'times':>5} {'lanes':>5} {'p50 s':>7} {'p99 s':>7} {'worst s':>7}")
    for title, seconds in (("", lost), ("moved between the living: ", moved)):
        for kind, text in KINDS.items():
            if kind in seconds:
                s = seconds[kind]
                print(f"{title + (text if not title else kind):42} {times[kind]:5} {len(s):5} {quantile(s, .5):7.2f} "
                      f"{quantile(s, .99):7.2f} {max(s):7.2f}")
    print(flush=True)
    return lost, moved


def compare(make, world, load, key):
    """As one process does it that nothing happens to."""
    disturbed = world.settled()
    calm = make("calm", lanes=world.lanes, subject_key=key)
    calm.send(*load.events)
    calm.catch_up()
    expected = calm.settled()
    blocked = {r["serial"]: r["at"] for r in expected.values() if r["topic"] == "access-decisions"}
    assert blocked == {serial: time_text(at) for serial, at in load.due.items()}, f"{len(blocked)} of {len(load.due)} due"
    assert disturbed == expected, f"not as undisturbed:\n{differences(disturbed, expected)}"
    devices = calm.devices()
    assert world.devices() == devices, f"not as undisturbed:\n{differences(world.devices(), devices)}"
    print(f"  {len(load.events)} messages (the slowest visible after {load.slowest_ms} ms), {len(expected)} results of "
          f"{len(devices)} devices, {len(load.due)} timers due meanwhile: each once on its topic and in the database, "
          f"dense by lane, and what one undisturbed process makes of them", flush=True)


def scale_out(make, options, plan, seconds):
    key = b"one key for both of the worlds"
    world = make("scale", lanes=options.lanes, subject_key=key)
    load = Load(world, options.seed, options.rate, seconds)
    group = Group(world, load, options.processes, random.Random(options.seed))
    load.start()
    group.live_through(plan)
    load.end()
    world.wait_caught_up(120)
    group.end()
    assert any(print_table(group)), "no lane changed its owner"
    compare(make, world, load, key)


def one_identity(make):
    """Two processes with one name: the second stops on the same host; from another, the first does."""
    world = make("twin", lanes=2)
    start = now_ms() - MINUTE
    world.send(*[enroll(f"T-{n}", start + n) for n in range(20)])
    name = ("--set", "kafka.instance=twin")
    first = world.start(*name)
    first.wait_log("lane taken", 2)
    said = world.muster("run", *name, status=EX_CONFIG).stderr
    assert "kafka.instance twin is taken by another process on this host" in said, said
    print("  on one host, the second: exit 78: " + said.strip().splitlines()[-1])
    assert first.is_alive()
    with tempfile.TemporaryDirectory() as elsewhere:
        with environment(XDG_RUNTIME_DIR=elsewhere):
            second = world.start(*name)
        assert first.wait() == EX_CONFIG, tail(first.log())
        word = "another process has joined the group as twin: give each its own kafka.instance"
        assert word in first.log(), tail(first.log())
        print("  from another host, the first: exit 78: " + word)
        world.send(*[check_in(f"T-{n}", start + 100 + n) for n in range(20)])
        second.wait_log("lane taken", 2)
        world.wait_caught_up()
        second.stop()
    world.settled()


@contextlib.contextmanager
def environment(**names):
    """As on another host: locks of processes are looked for elsewhere."""
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def parse(arguments):
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--lanes", type=int, default=12)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--events", type=int, default=20)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("MUSTER_SEED", time.time_ns() % 1_000_000)))
    parser.add_argument("--rate", type=int, default=600)
    return parser.parse_args(arguments)


def by_chance(options):
    """As many events as are asked for, or as there is time for."""
    end = time.monotonic() + (options.minutes or 0) * 60
    count = 0
    while time.monotonic() < end if options.minutes else count < options.events:
        count += 1
        yield None


def run(options, plan=None):
    """`plan`: kinds in their order instead of those that chance chooses."""
    print(f"  seed {options.seed}: {options.lanes} lanes, up to {options.processes} processes, "
          f"{options.rate} messages a second", flush=True)
    seconds = 60 * options.minutes if options.minutes else 10 * len(plan) if plan else 6 * options.events

    def members_come_and_go(make):
        scale_out(make, options, by_chance(options) if plan is None else plan, seconds)
    main(members_come_and_go, one_identity, names=[])


if __name__ == "__main__":
    run(parse(sys.argv[1:]))
