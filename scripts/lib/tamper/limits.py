"""What a verification cannot find, shown to be so, and what finds it then: checkpoints that somebody
kept, or what the report counts."""
import json
import os
import subprocess

import _world
from _fleet import equal, holds
from expect import Expected
from story import INPUTS, RESULTS, Story, read_journal
from topics import recoded, replaced


def keep_checkpoints(story):
    """Signed, and put aside by whoever does not trust the rest."""
    path = os.path.join(story.directory, "kept.note")
    done = subprocess.run(story.command("evidence", "checkpoint", "-o", path, settings=("journal.signing_key_file=" + story.secret,)),
                          capture_output=True, text=True, timeout=300)
    equal(done.returncode, 0, "evidence checkpoint: %s" % done.stderr)
    return "--checkpoints", path, "--public-key", story.public


def erase_address(story, table, lane):
    log = story.contents("notifications")[lane]
    i = len(log) // 2
    story.damage("notifications", lane, lambda log: log.__setitem__(i, replaced(log[i], value=recoded(log[i][2], user_email=lambda _: None))))
    table.passes(story, "an address taken out of a result (as an erasure does)", "topic notifications", lane=lane, extra="erased")
    story.restore("notifications")


def forget_results(story, table, lane):
    story.restore("licenses")
    story.forget_beginning("licenses", lane, 5)
    table.passes(story, "a topic's first records deleted (as retention does)", "topic licenses", lane=lane, extra="expired")
    story.restore("licenses")


def cut_everything(story, table, lane, kept):
    """The last batch, wherever it stands but on the inputs."""
    last = story.rows[lane][-1]
    for topic in RESULTS + ("journal",):
        def keep(message, topic=topic):
            if topic == "journal":
                return read_journal(message[2])["batch"] < last["batch"]
            return story.seq_of(topic, message) < last["first_seq"]
        if not all(map(keep, story.contents(topic)[lane])):
            story.damage(topic, lane, lambda log, k=keep: log.__setitem__(slice(None), [m for m in log if k(m)]))
    # Devices follow from what is left: the newest state of each before that batch is gone from the log
    # when it was published once; those that the batch touched would be told.
    story.damage("devices", lane, lambda log: log.__setitem__(slice(None), [m for m in log if _world.decode(m[2])["seq"] < last["first_seq"]]))
    where = "results, journal, devices alike"
    damage = "the last batch cut from everything but the inputs"
    status, report = story.verify()
    said = report[lane]
    holds(said["verdict"] == "verified" or said["divergence"]["what"].startswith("device"), "cut alike: %s", said)
    if said["verdict"] == "verified":
        table.passes(story, damage, where, lane=lane, extra="undecided_offsets")
    else:
        table.check(story, damage, where, Expected(("device changed", "device missing"), lane))
    table.check(story, damage + ", with a checkpoint", where, Expected("journal cut", lane, batch=last["batch"]), *kept)
    for topic in RESULTS + ("journal", "devices"):
        if topic in story.refilled:
            story.restore(topic)


def another_history(story, table, directory, lane, kept):
    """Other inputs under the same names, and everything decided from them by the sound program: that is a
    log like any other. Only who kept a checkpoint of the first can tell."""
    topic = "compliance-reports"
    log = story.contents(topic)[lane]
    i = next(n for n in range(len(log) // 2, len(log)) if log[n][2] and log[n][2][:10] == _world.SCHEMAS["ComplianceReport"].head)
    for name in INPUTS:
        story.contents(name)
    story.damage(topic, lane, lambda log: log.__setitem__(i, replaced(log[i], value=recoded(log[i][2], disk_encrypted=lambda was: not was))))
    story.renew()
    story.run()
    where = "all topics, PostgreSQL"
    table.passes(story, "an input changed, and everything decided again by the sound program", where, "--database", lane=lane)
    status, report = story.verify(*kept)
    said = report[lane]
    holds(said["verdict"] == "diverged", "another history against the checkpoint: %s", json.dumps(said)[:400])
    table.add("the same, with a checkpoint that was kept", where, "%s, lane %d, batch %d" % (said["divergence"]["what"], lane, said["divergence"]["batch"]),
              [] if status == 1 and said["divergence"]["what"] in ("checkpoint contradicted", "journal cut") else [json.dumps(said["divergence"])[:300]])


def show_limits(table, directory, lanes, make, lane=1):
    story = Story(directory, "limits", lanes=lanes)
    make(story)
    kept = keep_checkpoints(story)
    status, report = story.verify(*kept)
    table.add("(none), with the checkpoints", "all of it", "verified", [] if status == 0 and report[lane]["checkpoints"] else ["exit %d" % status])
    erase_address(story, table, lane)
    forget_results(story, table, lane)
    cut_everything(story, table, lane, kept)
    another_history(story, table, directory, lane, kept)
