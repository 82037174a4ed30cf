"""What an audit of many small checkpoints costs, beside what a user would do without one.

    make bench        (or: python -m benchmarks.audit [CHECKPOINTS])

A third each SmolVLA, ACT and a language model at toy width, in runs of ten steps; files in the page
cache. The machine may be shared, so that CPU time is compared, of all processes together, and its
ratio to the first row. `ckpt verify` starts anew for every checkpoint, so a sample of them is
measured, and multiplied. 100,000 take 7 GB of disk, and are measured without that.
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
    from collections.abc import Iterable, Iterator
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


def run(*command: str | Path, stdin: str = "") -> Cost:
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


def table(rows: Iterable[tuple[str, Cost]]) -> None:
    """Print a Markdown table with ratios to the first row, each row once it is measured."""
    print("| | CPU | times the first | wall | largest process |")
    print("|---|---:|---:|---:|---:|")
    first = 0.0
    for name, cost in rows:
        first = first or cost.cpu
        print(
            f"| {name} | {cost.cpu:.1f} s | {cost.cpu / first:.2f} | {cost.wall:.0f} s |"
            f" {cost.peak:.0f} MB |",
            flush=True,
        )


def verified(ckpt: str, folder: Path, count: int, together: int) -> Cost:
    """Return what `ckpt verify` would cost of all, by a sample of every family."""
    steps = sorted(path for run in folder.iterdir() if run.is_dir() for path in run.iterdir())
    sample = steps[:: max(1, len(steps) // SAMPLE)][:SAMPLE]
    listed = "\n".join(map(str, sample))
    cost = run("xargs", "-P2", f"-n{together}", ckpt, "verify", stdin=listed)
    factor = count / len(sample)
    return Cost(cost.cpu * factor, cost.wall * factor, cost.peak)


def measured(count: int, out: Path) -> Iterator[tuple[str, Cost]]:
    """Yield what each command of an audit costs, and what takes its place without one."""
    ckpt, python = installed("ckpt", str(ROOT)), installed("python", "pip")
    folder = fleet(BUILD / f"fleet-{count}", count)
    run(python, "-c", HEADERS, str(folder))
    audit, show = (ckpt, "audit", "run", folder, "--out", out), (ckpt, "audit", "show", out)
    yield "`ckpt audit run`, the first", run(*audit)
    yield "`ckpt audit run` again, nothing changed", run(*audit)
    yield "`ckpt audit show`", run(*show)
    yield "`ckpt audit show --format html`", run(*show, "--format", "html")
    yield "parse every safetensors header, one process", run(python, "-c", HEADERS, folder)
    if count <= COUNT:
        yield "`xargs -P2 -n20 ckpt verify`", verified(ckpt, folder, count, 20)
        yield "`xargs -P2 -n1 ckpt verify`", verified(ckpt, folder, count, 1)


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    out = BUILD / "audit.db"
    out.unlink(missing_ok=True)
    print(f"\n### Audit {count:,} checkpoints\n")
    table(measured(count, out))
    print(f"\nThe file has {out.stat().st_size / 1e6:.0f} MB.")


if __name__ == "__main__":
    main()
