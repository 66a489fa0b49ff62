"""usage: scripts/lib/mutants.py BUILD [--seeds N] [NAME...]

Plants each defect of tests/sim/mutants/NAME.patch in a copy of the sources under BUILD, builds
the simulator with it, and runs seeds until one fails. Prints a table: the defect, the first seed
that shows it, what that seed violates. Exit 1 when any is not caught within N seeds (3000), does
not apply or does not build, or when the sources without a defect fail.
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
LEFT_OUT = (".git", "build")
FAILED = re.compile(r"^FAILED seed (\d+), step \d+: (.*)$", re.M)
ASSERTION = re.compile(r"Assertion `(.*)' failed")


def refresh(source, target):
    """Copies what differs, so that only that is built again."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
        for name in set(os.listdir(target)) - set(os.listdir(source)):
            path = os.path.join(target, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
        for name in os.listdir(source):
            refresh(os.path.join(source, name), os.path.join(target, name))
        return
    with open(source, "rb") as f:
        content = f.read()
    if os.path.exists(target):
        with open(target, "rb") as f:
            if f.read() == content:
                return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as f:
        f.write(content)


def copy_sources(build):
    for name in sorted(set(os.listdir(ROOT)) - set(LEFT_OUT)):
        refresh(os.path.join(ROOT, name), os.path.join(build, "source", name))


def run(*command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options)


def build_simulator(build):
    done = run("cmake", "--build", os.path.join(build, "objects"), "--target", "muster-sim")
    return done.returncode == 0, done.stdout


def run_seeds(build, seeds):
    """(seed, what it violates) of the first that fails; (0, closing line) when none does."""
    done = run(os.path.join(build, "objects", "tests", "sim", "muster-sim"), "--seeds", str(seeds))
    failed = FAILED.search(done.stdout)
    if not failed:
        return (0, done.stdout.split("\n")[0]) if done.returncode == 0 else (-1, done.stdout[-200:])
    assertion = ASSERTION.search(done.stdout)
    return int(failed.group(1)), "assertion: " + assertion.group(1) if assertion else failed.group(2)


def try_mutant(build, patch, seeds):
    applied = run("patch", "-p1", "--no-backup-if-mismatch", "-i", patch, cwd=os.path.join(build, "source"))
    if applied.returncode:
        return -1, "does not apply: " + applied.stdout.strip().replace("\n", "; ")
    good, output = build_simulator(build)
    return run_seeds(build, seeds) if good else (-1, "does not build: " + output[-400:])


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("build")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seeds", type=int, default=3000)
    options = parser.parse_intermixed_args()
    build = os.path.abspath(options.build)
    copy_sources(build)
    configured = run("cmake", "-G", "Ninja", "-S", os.path.join(build, "source"), "-B", os.path.join(build, "objects"),
                     "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS_DEBUG=-O1")
    if configured.returncode:
        sys.exit(configured.stdout)
    good, output = build_simulator(build)
    if not good:
        sys.exit(output)
    patches = sorted(glob.glob(os.path.join(ROOT, "tests", "sim", "mutants", "*.patch")))
    patches = [p for p in patches if not options.names or os.path.basename(p)[:-6] in options.names]
    seed, what = run_seeds(build, options.seeds)
    print("%-28s %6s  %s" % ("(none planted)", seed or "-", what), flush=True)
    survived = int(seed != 0)
    for patch in patches:
        seed, what = try_mutant(build, patch, options.seeds)
        copy_sources(build)
        survived += seed <= 0
        print("%-28s %6s  %s" % (os.path.basename(patch)[:-6], seed if seed > 0 else "-", what if seed else "NOT CAUGHT"), flush=True)
    print("%d planted, %d caught" % (len(patches), len(patches) - survived))
    sys.exit(1 if survived or not patches else 0)


main()
