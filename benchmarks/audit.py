"""What an audit of many small checkpoints costs, beside what a user would do without one.

    make bench        (or: python -m benchmarks.audit [CHECKPOINTS])

A third each SmolVLA, ACT and a language model at toy width, in runs of ten steps; files in the page
cache. The machine may be shared, so that CPU time is compared, of all processes together, and its
ratio to the first row. `ckpt verify` starts anew for every checkpoint, so a sample of them is
measured, and multiplied.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.fleet import fleet
from benchmarks.measure import BUILD, ROOT, installed

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 10_000
SAMPLE = 60

HEADERS = """
import json, os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        if name.endswith(".safetensors"):
            with open(os.path.join(folder, name), "rb") as file:
                json.loads(file.read(int.from_bytes(file.read(8), "little")))
"""


class Cost(NamedTuple):
    """Seconds of CPU of a command and its processes, of wall time, and MB of the largest one."""

    cpu: float
    wall: float
    peak: float


def run(*command: str, stdin: str = "") -> Cost:
    """Run a command, whose exit status may tell of findings, and return what it cost."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-ISc", _WRAPPER, *command],
        input=stdin,
        text=True,
        check=True,
        capture_output=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu, wall, int(done.stdout) * 1024 / 1e6)


# The peak of the command alone: a small process starts it and reports.
_WRAPPER = """
import os, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
assert done.returncode in (0, 1, 123), done
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def table(rows: list[tuple[str, Cost]]) -> None:
    """Print a Markdown table with ratios to the first row."""
    print("| | CPU | times the first | wall | largest process |")
    print("|---|---:|---:|---:|---:|")
    for name, cost in rows:
        ratio = cost.cpu / rows[0][1].cpu
        print(
            f"| {name} | {cost.cpu:.1f} s | {ratio:.2f} | {cost.wall:.0f} s | {cost.peak:.0f} MB |"
        )


def verified(ckpt: str, folder: Path, count: int, together: int) -> Cost:
    """Return what `ckpt verify` would cost of all, by a sample of every family."""
    steps = sorted(path for run in folder.iterdir() if run.is_dir() for path in run.iterdir())
    sample = steps[:: max(1, len(steps) // SAMPLE)][:SAMPLE]
    listed = "\n".join(map(str, sample))
    cost = run("xargs", "-P2", f"-n{together}", ckpt, "verify", stdin=listed)
    factor = count / len(sample)
    return Cost(cost.cpu * factor, cost.wall * factor, cost.peak)


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    ckpt, python = installed("ckpt", str(ROOT)), installed("python", "pip")
    folder, out = fleet(BUILD / f"fleet-{count}", count), BUILD / "audit.db"
    out.unlink(missing_ok=True)
    run(python, "-c", HEADERS, str(folder))
    page = ("--format", "html")
    audit = (ckpt, "audit", "run", str(folder), "--out", str(out))
    print(f"\n### Audit {count:,} checkpoints\n")
    table(
        [
            ("`ckpt audit run`, the first", run(*audit)),
            ("`ckpt audit run` again, nothing changed", run(*audit)),
            ("`ckpt audit show`", run(ckpt, "audit", "show", str(out))),
            ("`ckpt audit show --format html`", run(ckpt, "audit", "show", str(out), *page)),
            (
                "parse every safetensors header, one process",
                run(python, "-c", HEADERS, str(folder)),
            ),
            ("`xargs -P2 -n20 ckpt verify`", verified(ckpt, folder, count, 20)),
            ("`xargs -P2 -n1 ckpt verify`", verified(ckpt, folder, count, 1)),
        ]
    )
    print(f"\nThe file has {out.stat().st_size / 1e6:.0f} MB.")


if __name__ == "__main__":
    main()
