"""Damages on topics: of results, of inputs, of devices' states. Each is one change of one partition's
messages, and what must be said follows from the messages that were changed."""
import _world
from _fleet import holds
from expect import Expected
from story import INPUTS, RESULTS


def flip(value, at=-1):
    value = bytearray(value)
    value[at] ^= 1
    return bytes(value)


def replaced(message, at=None, key=None, value=None, headers=None):
    return (message[0] if at is None else at, message[1] if key is None else key,
            message[2] if value is None else value, message[3] if headers is None else headers)


def recoded(value, **fields):
    """A result's value with fields changed."""
    record = _world.decode(value)
    for name, change in fields.items():
        record[name] = change(record[name])
    return next(s for s in _world.SCHEMAS.values() if s.head == value[:10]).encode(record)


class Logged:
    """A topic, and one message of it."""

    def __init__(self, story, table, topic, lane, index):
        self.story, self.table, self.topic, self.lane, self.index = story, table, topic, lane, index
        self.log = story.contents(topic)[lane]

    def try_(self, damage, expected, change):
        where = "topic %s" % self.topic
        if not self.table.wants(where, damage):
            return
        self.story.damage(self.topic, self.lane, change)
        self.table.check(self.story, damage, where, expected)


# Results. --------------------------------------------------------------------------------

CHANGED = ("result changed", "result unreadable")


class Result(Logged):
    def seq(self, index):
        return self.story.seq_of(self.topic, self.log[index])

    def expected(self, what, index, **more):
        """At the result that stands at that index."""
        seq = self.seq(index)
        cause = self.cause(index)
        return Expected(what, self.lane, batch=self.story.batch_of_seq(self.lane, seq), seq=seq, at=self.topic, cause=cause, **more)

    def cause(self, index):
        if self.topic == "dead-letters":
            return None
        cause = _world.decode(self.log[index][2])["cause"]
        return cause and (cause["topic"].removeprefix(self.story.prefix), cause["offset"])

    def edit(self, damage, expected, **different):
        i = self.index

        def change(log):
            log[i] = replaced(log[i], **{name: new(log[i]) for name, new in different.items()})
        self.try_(damage, expected, change)

    def bytes_changed(self):
        i = self.index
        if self.log[i][2]:
            self.edit("a byte of the value changed", self.expected(CHANGED, i), value=lambda m: flip(m[2], -2))
        self.edit("a byte of the key changed", self.expected("result changed", i), key=lambda m: flip(m[1] or b"0"))
        self.edit("a header changed", self.expected("result changed", i), headers=lambda m: [*m[3][:-1], (m[3][-1][0], flip(m[3][-1][1] or b"0"))] if m[3]
                  else [("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")])
        self.edit("the record's time changed by 1 ms", self.expected("result changed", i), at=lambda m: m[0] + 1)
        if self.topic != "dead-letters":
            self.edit("its clock changed by 1 ms", self.expected("result changed", i, field="value.at"),
                      value=lambda m: recoded(m[2], at=lambda at: at.__class__.fromtimestamp(at.timestamp() + 0.001, at.tzinfo)))
            self.edit("another policy", self.expected("result changed", i, field="value.policy"), value=lambda m: recoded(m[2], policy=lambda p: p + "x"))

    def moved(self):
        i, last = self.index, len(self.log) - 1
        self.try_("a result dropped", self.expected("result missing", i), lambda log: log.pop(i))
        self.try_("a result doubled", self.expected("result doubled", i + 1), lambda log: log.insert(i, log[i]))
        self.try_("a result again, later", self.expected("result surplus", i + 3), lambda log: log.insert(i + 3, log[i]))

        def swap(log, by):
            log[i], log[i + by] = log[i + by], log[i]
        self.try_("two results swapped", self.expected("results swapped", i), lambda log: swap(log, 1))
        self.try_("two results swapped, three apart", self.expected("result missing", i), lambda log: swap(log, 3))
        self.try_("the tail cut", self.expected("tail cut", last), lambda log: log.pop())
        self.try_("the tail cut, half of the topic", self.expected("tail cut", last // 2), lambda log: log.__delitem__(slice(last // 2, None)))
        doubled = self.expected("result doubled", last)
        doubled.batch = doubled.cause = None  # it stands behind the last batch
        self.try_("the last result doubled", doubled, lambda log: log.append(log[-1]))


def damage_results(story, table, topics=RESULTS, lane=1):
    for topic in topics:
        log = story.contents(topic)[lane]
        holds(len(log) > 8, "%d results of %s in lane %d: too few to damage", len(log), topic, lane)
        index = min(len(log) * 2 // 5, len(log) - 6)
        if topic == "dead-letters":
            index = next(i for i in range(index, len(log) - 5) if log[i][2])
        result = Result(story, table, topic, lane, index)
        story.restore(topic)
        table.clean(story, "topic %s" % topic)
        result.bytes_changed()
        result.moved()
        story.restore(topic)


# Inputs. ---------------------------------------------------------------------------------

ANY = ("result changed", "result missing", "results swapped", "result surplus", "result doubled", "result unreadable",
       "journal row changed", "inputs missing")


class Input(Logged):
    def expected(self, offset, is_shift=False, what=ANY):
        """In the batch that took it: a result that it causes, or the digest of what was read. When the
        rest of the topic has moved, what comes behind it may be named instead."""
        lane = 0 if self.topic == "control" else self.lane
        batch = self.story.batch_of_input(self.topic, lane, offset)
        lanes = set(range(self.story.lanes)) if self.topic == "control" else {lane}
        return Expected(what, lane, batch=batch, cause=None if is_shift else (self.topic, offset), lanes=lanes)

    def edit(self, damage, **different):
        i = self.index

        def change(log):
            log[i] = replaced(log[i], **{name: new(log[i]) for name, new in different.items()})
        self.try_(damage, self.expected(i), change)


def damage_inputs(story, table, topics=INPUTS, lane=1):
    for topic in topics:
        of = 0 if topic == "control" else lane
        log = story.contents(topic)[of]
        index = len(log) // 2
        index = next((i for i in range(index, len(log) - 4) if log[i][2] and log[i][1]), index)
        message, last = Input(story, table, topic, of, index), len(log) - 1
        story.restore(topic)
        table.clean(story, "topic %s" % topic)
        message.edit("a byte of the value changed", value=lambda m: flip(m[2], 12))
        message.edit("a byte of the key changed", key=lambda m: flip(m[1] or b"0"))
        message.edit("a header added", headers=lambda m: [*m[3], ("x", b"y")])
        message.edit("the record's time changed by 1 ms", at=lambda m: m[0] + 1)
        shift = message.expected(index, is_shift=True)
        message.try_("a message dropped", shift, lambda log: log.pop(index))
        message.try_("a message doubled", message.expected(index + 1, is_shift=True), lambda log: log.insert(index, log[index]))

        def swap(log):
            log[index], log[index + 1] = log[index + 1], log[index]
        message.try_("two messages swapped", shift, swap)
        message.try_("the tail cut", message.expected(last, is_shift=True, what=("inputs missing",)), lambda log: log.pop())
        if topic == "control":
            damage_policies(story, table, message)
        story.restore(topic)


def damage_policies(story, table, control):
    """What the control topic says comes into force."""
    policies = [i for i, m in enumerate(control.log) if m[2][:10] == _world.SCHEMAS["Policy"].head]
    first, second = policies[:2]
    one, other = (_world.decode(control.log[i][2]) for i in (first, second))

    def put(i, **fields):
        return lambda log: log.__setitem__(i, replaced(log[i], value=recoded(log[i][2], **{name: lambda _, new=new: new for name, new in fields.items()})))
    control.try_("a policy swapped for another, under its version", control.expected(first),
                 put(first, text=other["text"].replace("version: " + other["version"], "version: " + one["version"])))
    milder = one["text"].replace("at_least, 9]", "at_least, 4]")
    holds(milder != one["text"], "the policy has no such rule")
    version = dict(text=milder, hash=story.policy_hash(milder))
    control.try_("a policy swapped, with its hash", control.expected(first), put(first, **version))

    def swap(log):
        a, b = log[first], log[second]
        log[first], log[second] = replaced(a, value=b[2]), replaced(b, value=a[2])
    control.try_("two policies swapped", control.expected(first), swap)


# Devices. --------------------------------------------------------------------------------


def damage_devices(story, table, lane=1):
    topic, where = "devices", "topic devices"
    log = story.contents(topic)[lane]
    newest = {m[1]: i for i, m in enumerate(log)}
    twice = [key for key in newest if sum(m[1] == key for m in log) > 1]
    key = sorted(newest)[len(newest) // 2]
    i, id_ = newest[key], key.decode()
    devices = Logged(story, table, topic, lane, i)
    story.restore(topic)
    table.clean(story, where)

    def expected(what, device):
        return Expected(what, lane, at=topic, device=device)

    def edit(damage, what, device=id_, **different):
        devices.try_(damage, expected(what, device), lambda log: log.__setitem__(i, replaced(log[i], **{n: new(log[i]) for n, new in different.items()})))
    edit("a byte of the newest value changed", ("device changed",), value=lambda m: flip(m[2], -1))
    edit("its clock changed by 1 ms", ("device changed",),
         value=lambda m: recoded(m[2], at=lambda at: at.__class__.fromtimestamp(at.timestamp() + 0.001, at.tzinfo)))
    edit("another policy", ("device changed",), value=lambda m: recoded(m[2], policy=lambda p: p + "x"))
    edit("the record's time changed by 1 ms", ("device changed",), at=lambda m: m[0] + 1)
    edit("a header added", ("device changed",), headers=lambda m: [*m[3], ("x", b"y")])
    edit("the key of a device that is not there", ("device surplus",), device=None, key=lambda m: b"D999999999")
    devices.try_("deleted: a null value", expected("device deleted", id_), lambda log: log.append((log[-1][0], key, None, [])))
    devices.try_("all states of a device dropped", expected("device missing", id_), lambda log: log.__setitem__(slice(None), [m for m in log if m[1] != key]))
    old = twice[len(twice) // 2]
    a, b = [n for n, m in enumerate(log) if m[1] == old][-2:]

    def swap(log):
        log[a], log[b] = log[b], log[a]
    devices.try_("two states of a device swapped", expected("device changed", old.decode()), swap)
    devices.try_("the newest state of a device dropped", expected("device changed", old.decode()), lambda log: log.pop(b))
    end = log[-1][1].decode()
    devices.try_("the tail cut", expected(("device changed", "device missing"), end), lambda log: log.pop())
    story.restore(topic)
