"""What a verification must say of a damage, and the table of what was done, and what was said."""
import json
import time

from _fleet import Failed


class Expected:
    """Where and what: derived from the damage by whoever did it. What is None is not asked for."""

    def __init__(self, what, lane, batch=None, seq=None, at=None, cause=None, field=None, device=None, batch_from=None,
                 verdict="diverged", reason=None, lanes=None):
        self.what = what if isinstance(what, tuple) else (what,)
        self.lane, self.batch, self.seq, self.at, self.cause = lane, batch, seq, at, cause
        self.field, self.device, self.batch_from, self.verdict, self.reason = field, device, batch_from, verdict, reason
        self.lanes = lanes or {lane}  # all that differ, `lane` among them

    def problems(self, status, report, prefix):
        """What the report says otherwise; empty when it is as it must be."""
        found = [] if status == 1 else ["exit %d" % status]
        for lane, said in report.items():
            if lane not in self.lanes and said["verdict"] != "verified":
                found.append("lane %d: %s %s" % (lane, said["verdict"], said.get("divergence")))
        said = report[self.lane]
        if said["verdict"] != self.verdict:
            return found + ["lane %d: %s" % (self.lane, said["verdict"])]
        if self.verdict == "unverifiable":
            if self.batch is not None and said["unverifiable_from"] != self.batch:
                found.append("from batch %d, not %d" % (said["unverifiable_from"], self.batch))
            return found + ([] if self.reason in said["reason"] else ["reason %s" % said["reason"]])
        return found + list(self._of_finding(said["divergence"], prefix))

    def _of_finding(self, finding, prefix):
        if finding["what"] not in self.what:
            yield "%s, not %s" % (finding["what"], " or ".join(self.what))
        for name, wanted in (("batch", self.batch), ("seq", self.seq), ("lane", self.lane), ("device_id", self.device)):
            if wanted is not None and finding.get(name) != wanted:
                yield "%s %s, not %s" % (name, finding.get(name), wanted)
        if self.batch_from is not None and finding["batch"] < self.batch_from:
            yield "batch %d, before %d" % (finding["batch"], self.batch_from)
        place = finding.get("at")
        place = place["topic"].removeprefix(prefix) if isinstance(place, dict) else place
        if self.at is not None and place not in (self.at if isinstance(self.at, tuple) else (self.at,)):
            yield "at %s, not %s" % (place, self.at)
        fields = [d["field"] for d in finding.get("differences", ())]
        if self.field is not None and not any(field == self.field or field.startswith(self.field + ".") for field in fields):
            yield "%s not among %s" % (self.field, fields)
        if self.cause is not None and not self._names_cause(finding, fields):
            yield "the message %s is not named" % (self.cause,)

    def _names_cause(self, finding, fields):
        """As the cause of what was decided, of what stands there, or by the digest of the inputs."""
        topic, offset = self.cause
        if finding["what"] == "journal row changed":
            return "digests.inputs" in fields or any(field.startswith("digests.last_messages") for field in fields)
        return '"offset":%d' % offset in json.dumps(finding, separators=(",", ":")) and topic in json.dumps(finding) or \
            finding["what"] == "inputs missing" and topic in finding["text"]


def said_of(report, lane):
    """The finding, in a cell."""
    said = report[lane]
    if said["verdict"] == "unverifiable":
        return "unverifiable from batch %d: %s" % (said["unverifiable_from"], said["reason"])
    if said["verdict"] == "verified":
        extra = ["%s %d" % (name, said[name]) for name in ("erased", "expired", "undecided_offsets") if said[name]]
        return "verified" + (" (%s)" % ", ".join(extra) if extra else "")
    finding = said["divergence"]
    fields = [d["field"] for d in finding.get("differences", ())]
    shown = ", ".join(fields[:2]) + (", and %d more" % (len(fields) - 2) if len(fields) > 2 else "")
    return "%s, lane %d, batch %d%s%s%s" % (
        finding["what"], finding["lane"], finding["batch"], ", seq %d" % finding["seq"] if "seq" in finding else "",
        ", %s" % finding["device_id"] if "device_id" in finding else "", ": " + shown if shown else "")


class Table:
    """Printed as it grows; rows are kept for the summary."""

    def __init__(self, only=None):
        self.rows, self.failed, self.only, self.began = [], [], only, time.monotonic()
        print("| damage | where | found as |\n| --- | --- | --- |", flush=True)

    def add(self, damage, where, said, problems=()):
        self.rows.append((damage, where, said))
        print("| %s | %s | %s |%s" % (damage, where, said, " WRONG: " + "; ".join(problems) if problems else ""), flush=True)
        if problems:
            self.failed.append("%s, %s: %s" % (damage, where, "; ".join(problems)))

    def wants(self, where, damage):
        return self.only is None or any(word in "%s: %s" % (where, damage) for word in self.only)

    def clean(self, story, where, *options, dsn=None):
        """An undamaged copy, through the same machinery."""
        status, report = story.verify(*options, dsn=dsn)
        verdicts = {lane["verdict"] for lane in report.values()}
        problems = [] if (status, verdicts) == (0, {"verified"}) else ["an undamaged copy: exit %d, %s" % (
            status, [said_of(report, lane) for lane in report])]
        self.add("(none: a copy alone)", where, "verified" if not problems else "?", problems)

    def check(self, story, damage, where, expected, *options, dsn=None):
        status, report = story.verify(*options, dsn=dsn)
        self.add(damage, where, said_of(report, expected.lane), expected.problems(status, report, story.prefix))

    def passes(self, story, damage, where, *options, dsn=None, lane=0, extra=None):
        """What is not found, as the documents say: no better than that, and no worse."""
        status, report = story.verify(*options, dsn=dsn)
        problems = [] if status == 0 else ["exit %d: it is found, and the documents say that it is not" % status]
        if extra is not None and not any(said[extra] for said in report.values()):
            problems.append("%s is not counted" % extra)
        self.add(damage, where, "NOT FOUND: " + said_of(report, lane), problems)

    def end(self):
        print("%d lines, %d not as they must be, in %.0f s" % (len(self.rows), len(self.failed), time.monotonic() - self.began), flush=True)
        if self.failed:
            raise Failed("%d of %d damages not found as they are:\n  %s" % (len(self.failed), len(self.rows), "\n  ".join(self.failed)))
