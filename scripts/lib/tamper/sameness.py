"""The same bytes from the same log, whoever asks: with lanes one after the other and in parallel, in
other time zones and locales, and by programs that were built otherwise."""
import hashlib
import os
import shutil
import subprocess

from _fleet import MUSTER, equal, holds

ZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia")
LOCALES = (("C", None), ("de_DE.UTF-8", "de_DE"), ("tr_TR.UTF-8", "tr_TR"), ("ar_SA.UTF-8", "ar_SA"))
WAYS = (("evidence", "create", "-o"), ("evidence", "create", "--pseudonymised", "-o"))


def make_locales(directory):
    """In a directory of their own; the names of those that could be made."""
    os.makedirs(directory, exist_ok=True)
    made = ["C"]
    for name, source in LOCALES[1:]:
        done = subprocess.run(["localedef", "-i", source, "-f", "UTF-8", os.path.join(directory, name)], capture_output=True, text=True)
        if done.returncode == 0:
            made.append(name)
    return made


def digest_of(path):
    """Of a file, or of all files of a directory with their names."""
    total = hashlib.sha256()
    files = [path] if os.path.isfile(path) else sorted(os.path.join(root, name) for root, _, names in os.walk(path) for name in names)
    for name in files:
        with open(name, "rb") as f:
            total.update(b"%s %s\n" % (os.path.relpath(name, path).encode(), hashlib.sha256(f.read()).hexdigest().encode()))
    return total.hexdigest(), len(files)


def outputs(story, directory, program, jobs, environment):
    """What it makes of the log, by name: digests."""
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    found, env = {}, dict(os.environ, **environment)
    report = os.path.join(directory, "report.html")

    def call(*words):
        command = [program, *story.command(*words)[1:]]
        done = subprocess.run(command, capture_output=True, timeout=3600, env=env)
        equal(done.returncode, 0, "%s: %s" % (" ".join(words[:2]), done.stderr[-500:]))
        return done.stdout
    verified = call("replay", "verify", "--database", "--jobs", jobs, "-o", "json", "--report", report)
    found["replay verify -o json"] = hashlib.sha256(verified).hexdigest(), 1
    found["replay verify --report"] = digest_of(report)
    for words in WAYS:
        pack = os.path.join(directory, "pack")
        call(*words, pack)
        found[" ".join(words[:-1])] = digest_of(pack)
        shutil.rmtree(pack)
    return found


def ways(programs, locales):
    """(program, jobs, time zone, locale): each program with some of all the others."""
    for jobs, zone in zip(("1", "2", "4", "4"), ZONES):
        yield MUSTER, jobs, zone, "C"
    for locale in locales[1:]:
        yield MUSTER, "2", "Asia/Kathmandu", locale
    for program in programs:
        for jobs, zone, locale in (("1", "UTC", "C"), ("4", "America/St_Johns", locales[-1])):
            yield program, jobs, zone, locale


def compare(story, table, directory, programs):
    """programs: {how it was built: path}"""
    locales = make_locales(os.path.join(directory, "locales"))
    holds(len(locales) > 1, "no locale but C could be made: is localedef there?")
    first, names = None, {path: name for name, path in programs.items()}
    names.setdefault(MUSTER, "this build")
    for program, jobs, zone, locale in dict.fromkeys(ways(programs.values(), locales)):
        # With LOCPATH the C library keeps a block of its own for good, which a build with sanitizers would call a leak.
        environment = {"TZ": zone, "LC_ALL": locale, "LANG": locale, "LOCPATH": os.path.join(directory, "locales"),
                       "ASAN_OPTIONS": "detect_leaks=0"}
        found = outputs(story, os.path.join(directory, "out"), program, jobs, environment)
        first = first or found
        differing = [name for name in found if found[name] != first[name]]
        table.add("%s, --jobs %s" % (names[program], jobs), "TZ=%s LC_ALL=%s" % (zone, locale),
                  "the same bytes" if not differing else "other bytes: %s" % differing, ["%s differ" % differing] if differing else [])
    for name, (digest, count) in first.items():
        print("  %s: %d files, SHA-256 %s" % (name, count, digest))
