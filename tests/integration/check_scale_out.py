#!/usr/bin/env python3
"""Two processes share twelve lanes under a load; one is killed and started again, one is frozen for
longer than its session, one is killed for good: scripts/scale-out in short (docs/scale-out.md)."""
import pathlib
import sys

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[2] / "scripts/lib"))
import scale_out  # noqa: E402

scale_out.run(scale_out.parse(["--processes", "2", "--rate", "300"]), ["join", "restart", "freeze", "kill"])
