"""Bugs planted in decisions: the sound program must find the log of one that has a bug, and the one that
has it must not find the sound log to be as it was decided; each names the first decision that differs.

Which one that is follows from the two logs of the same inputs, held against each other here."""
import glob
import json
import os
import re
import shutil
import subprocess

import _world
from _fleet import MUSTER, holds
from expect import said_of
from story import RESULTS, ROOT, Story

BUGS = os.path.join(ROOT, "tests", "replay", "bugs")
SOUND = os.environ.get("MUSTER_SOUND", MUSTER)  # whose build a bug is planted in
BUILD = os.path.dirname(os.path.abspath(SOUND))


def names(wanted=()):
    found = sorted(os.path.basename(path)[:-len(".patch")] for path in glob.glob(os.path.join(BUGS, "*.patch")))
    holds(set(wanted) <= set(found), "no such bug among %s: %s", found, wanted)
    return [name for name in found if not wanted or name in wanted]


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    holds(done.returncode == 0, "%s: exit %d: %s%s", " ".join(command)[:200], done.returncode, done.stdout[-800:], done.stderr[-800:])
    return done.stdout


def build(name, directory):
    """The program with the bug: a copy of the patched file, compiled as the build compiles the file, and
    linked as it links the program, before the library that has the sound one. Returns its path."""
    patch = os.path.join(BUGS, name + ".patch")
    with open(patch, encoding="utf-8") as f:
        (path,) = re.findall(r"^\+\+\+ b/(\S+)$", f.read(), re.M)
    place = os.path.join(directory, name)
    copy = os.path.join(place, path)
    os.makedirs(os.path.dirname(copy))
    shutil.copy(os.path.join(ROOT, path), copy)
    run("patch", "-p1", "--no-backup-if-mismatch", "-d", place, "-i", patch)
    with open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8") as f:
        (entry,) = [e for e in json.load(f) if os.path.realpath(e["file"]) == os.path.join(os.path.realpath(ROOT), path)
                    and " -o CMakeFiles/muster_" in e["command"]]
    words, program = entry["command"].split(), os.path.join(place, "muster")
    words[words.index("-o") + 1] = os.path.join(place, "bug.o")
    words[words.index("-c") + 1] = copy
    run(*words, cwd=entry["directory"])
    link = run("ninja", "-C", BUILD, "-t", "commands", "muster").strip().split("\n")[-1]
    holds(" -o muster " in link, "not how the program is linked: %s", link)
    run("sh", "-c", link.replace(" -o muster ", " %s -o %s " % (os.path.join(place, "bug.o"), program), 1), cwd=BUILD)
    return program


# Two logs of the same inputs. --------------------------------------------------------------


def decided(story):
    """{lane: {seq: what a result is, without the topics' prefix}}"""
    found = {lane: {} for lane in range(story.lanes)}
    for topic in RESULTS:
        for lane, log in story.contents(topic).items():
            for at, key, value, headers in log:
                if topic == "dead-letters":
                    what = value, [h for h in headers if h[0] != "__connect.errors.topic"]
                else:
                    what = _world.decode(value)
                    if what["cause"] is not None:
                        what["cause"]["topic"] = what["cause"]["topic"].removeprefix(story.prefix)
                    what = what, headers
                found[lane][story.seq_of(topic, (at, key, value, headers))] = (topic, at, key, *what)
    return found


def first_differences(sound, other):
    """{lane: the first number that is not the same in both}"""
    found = {}
    for lane in sound:
        numbers = sorted(sound[lane].keys() | other[lane].keys())
        seq = next((n for n in numbers if sound[lane].get(n) != other[lane].get(n)), None)
        if seq is not None:
            found[lane] = seq
    return found


def row_differs(finding, lane, story, other):
    """Whether the two logs' rows of that batch differ in what is decided, though no result does yet: a
    timer that had nothing to say, a state that was asked for."""
    one, two = (next((row for row in of.rows[lane] if row["batch"] == finding["batch"]), None) for of in (story, other))
    if one is None or two is None or one["digests"]["state"] != two["digests"]["state"]:
        return True
    return any(one[name] != two[name] for name in ("cursors", "counts", "clock_after", "ranges"))


def problems(status, report, story, other, firsts):
    """Each lane whose results differ must be found, with the first number that does: at it; or, when one
    side has nothing more in that batch, by the row that counts the numbers; or by an earlier row, when the
    two logs' rows differ there. The others differ in states at most."""
    if status != 1:
        yield "exit %d" % status
    for lane, seq in firsts.items():
        said = report[lane]
        if said["verdict"] != "diverged":
            yield "lane %d: %s, though number %d differs" % (lane, said["verdict"], seq)
            continue
        finding = said["divergence"]
        fields = [d["field"] for d in finding.get("differences", ())]
        last = next((row for row in story.rows[lane] if row["batch"] == finding["batch"]), None)
        is_counted = finding["what"] == "journal row changed" and "last_seq" in fields and last["last_seq"] in (seq, seq - 1)
        is_end = finding["what"] == "journal cut" and finding.get("seq") == seq
        is_earlier = (finding["what"] == "journal row changed" and finding["batch"] <= story.batch_of_seq(lane, seq) and
                      row_differs(finding, lane, story, other))
        if finding.get("seq") != seq and not is_counted and not is_end and not is_earlier:
            yield "lane %d: %s, not at number %d" % (lane, said_of(report, lane), seq)


def plant(table, directory, name, story, sound, make):
    program = build(name, directory)
    # The sound log, by the program with the bug.
    by_bug = story.verify(program=program)
    with_bug = Story(directory, "bug-" + name, lanes=story.lanes, program=program)
    make(with_bug)
    firsts = first_differences(sound, decided(with_bug))
    holds(firsts, "%s: the log does not reach the bug", name)
    lane = min(firsts, key=firsts.get)
    status, report = by_bug
    table.add("planted: %s" % name, "the sound log, by the program with the bug", said_of(report, lane),
              list(problems(status, report, story, with_bug, firsts)))
    # The other way round.
    status, report = with_bug.verify(program=SOUND)
    table.add("planted: %s" % name, "its log, by the sound program", said_of(report, lane), list(problems(status, report, with_bug, story, firsts)))
    # It agrees with itself: what is found is the bug, and not the way it was built.
    status, report = with_bug.verify()
    table.add("planted: %s" % name, "its log, by itself", said_of(report, lane), [] if status == 0 else ["exit %d" % status])
    shutil.rmtree(os.path.join(directory, name))


def plant_all(table, directory, wanted, lanes, make):
    story = Story(directory, "sound", lanes=lanes, program=SOUND)
    make(story)
    sound = decided(story)
    again = Story(directory, "again", lanes=lanes, program=SOUND)
    make(again)
    holds(not first_differences(sound, decided(again)), "two sound logs of the same inputs differ: %s", first_differences(sound, decided(again)))
    for name in names(wanted):
        plant(table, directory, name, story, sound, make)
