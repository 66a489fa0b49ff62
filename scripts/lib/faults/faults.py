#!/usr/bin/env python3
"""usage: faults.py [--list] [NAME...]

The faults, each a function whose name is the fault's and whose first words say what is done and
what must come of it. scripts/faults brings up what they need and starts this.
"""
import os
import pathlib
import re
import signal
import sys
import time
import traceback

NAMED = "faults_kafka", "faults_database", "faults_process", "faults_input", "faults_standby", "faults_cluster"


def all_faults():
    found = []
    for module in map(__import__, NAMED):
        found += module.FAULTS
    return found


def listed(faults):
    for fault in faults:
        print(f"{label(fault):34} {' '.join(fault.__doc__.split())}")


def label(fault):
    return fault.__name__.replace("_", "-")


def run(fault):
    """(outcome, recovery in s or None, what was seen)"""
    from _world import stack, tail
    from bench import Bench, Skipped
    bench = Bench(label(fault)[:20])
    start = time.monotonic()
    try:
        if getattr(fault, "needs_cluster", False):
            from faults_cluster import cluster
            bench.cluster = cluster()
            bench.begin(kafka=bench.cluster.address)
        elif not getattr(fault, "begins_itself", False):
            bench.begin()
        fault(bench)
        if bench.healed_at is not None and bench.recovery_s is None:
            bench.recovered()
        if any(muster.is_alive() for muster in bench.world.processes):
            bench.finish()
        bench.stop_traffic()
        results = bench.check()
        return "held", bench.recovery_s, bench.seen + ([f"{results} results, each once"] if results else [])
    except Skipped as reason:
        return "skipped", None, [str(reason)]
    except Exception as failure:  # noqa: BLE001: whatever it is, the next fault is shown
        traceback.print_exc()
        for muster in bench.world.processes if bench.world else ():
            print(f"  {muster.log_path}:\n{tail(muster.log())}", file=sys.stderr)
        return "FAILING", bench.recovery_s, bench.seen + [str(failure).splitlines()[0] if str(failure) else repr(failure)]
    finally:
        stack("kafka-start")
        stack("pg-start")
        bench.close()
        print(f"  {time.monotonic() - start:.1f} s in all", file=sys.stderr, flush=True)


def main():
    names = [name for name in sys.argv[1:] if name != "--list"]
    if "--list" in sys.argv:
        # Nothing is started: what the tests' modules look for need not be there.
        for name in ("MUSTER", "KAFKA", "PG", "STACK"):
            os.environ.setdefault(name, "")
        os.environ.setdefault("MUSTER_KAFKA_PROXIED", "0:0")
    faults = all_faults()
    unknown = set(names) - set(map(label, faults))
    if unknown:
        sys.exit(f"no such fault: {', '.join(sorted(unknown))}")
    chosen = [fault for fault in faults if not names or label(fault) in names]
    if "--list" in sys.argv:
        listed(chosen)
        return
    rows = []
    for fault in chosen:
        outcome, recovery_s, seen = run(fault)
        rows.append((label(fault), expected(fault), outcome, "-" if recovery_s is None else f"{recovery_s:.1f}",
                     "; ".join(map(told, seen))))
        print(f"{outcome:8} {label(fault)}", flush=True)
        for text in seen:
            print(f"    {text}", flush=True)
    print("\n| fault | what is done, and must come of it | outcome | recovery, s | what a user sees |\n"
          "| --- | --- | --- | ---: | --- |")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    outcomes = [outcome for _, _, outcome, _, _ in rows]
    print(f"\n{len(rows)} faults: " + ", ".join(f"{outcomes.count(o)} {o}" for o in sorted(set(outcomes))))
    sys.exit("FAILING" in outcomes)


def expected(fault):
    return " ".join(fault.__doc__.split()).removesuffix(".")


def told(text):
    """What a user saw, without what differs from run to run."""
    text = re.sub(r'^ts=\S+ level=\w+ msg=("[^"]*"|\S+)', lambda found: found[1].strip('"'), text)
    text = re.sub(r"connection to server at \S+ (?:\(\S+\) )?", "connection to server ", text)
    text = re.sub(r"(?:ipv4#)?127\.0\.0\.1[:\d/]*(?:, port \d+)?", "HOST", text)
    text = re.sub(r"[a-z-]+-[0-9a-f]{6}\.", "PREFIX.", text)
    text = re.sub(r"\s*\(after \d+ms in state[^)]*\)|, port \d+| retry_ms=\d+| instance=\S+", "", text)
    return (text if len(text) <= 200 else text[:197] + "...").replace("|", "/")


sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
