"""How the benchmarks measure.

Whole processes, in turns, so that a slow moment of the machine falls on all alike; ratios pair by
pair.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "bench"
ENVIRONMENT = BUILD / "venv"
"""Small, as a user's is.

Every package with a .pth file in an environment makes every Python in it start later.
"""

# A process counts its parent's memory as its own until it starts its program, so a small parent
# starts it.
LAUNCH = """
import os, sys, time
null = os.open(os.devnull, os.O_WRONLY)
start = time.perf_counter()
actions = [(os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2)]
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=actions)
_, status, usage = os.wait4(pid, 0)
wall = time.perf_counter() - start
print(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
"""


@dataclass(kw_only=True)
class Contender:
    """A command and what its runs took: wall and CPU seconds, peak memory in MB."""

    name: str
    command: list[str]
    exits: tuple[int, ...] = (0,)
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Run the command once, output thrown away.

        Raises RuntimeError for an exit code that is not expected.
        """
        done = subprocess.run(
            [sys.executable, "-ISc", LAUNCH, *self.command],
            check=True,
            capture_output=True,
            text=True,
        )
        wall, cpu, peak, code = done.stdout.split()
        if int(code) not in self.exits:
            raise RuntimeError(f"{self.name} exited with {code}: {' '.join(self.command)}")
        self.wall.append(float(wall))
        self.cpu.append(float(cpu))
        self.peak.append(int(peak) * (1 if sys.platform == "darwin" else 1024) / 1e6)


def compete(contenders: list[Contender], rounds: int) -> None:
    """Run every contender once to warm up, then `rounds` times in turns; print a Markdown table.

    Ratios are to the first.
    """
    for contender in contenders:
        contender.run()
        contender.wall.clear()
        contender.cpu.clear()
        contender.peak.clear()
    for _ in range(rounds):
        for contender in contenders:
            contender.run()
    first = contenders[0]
    print("| | wall, median (min) | CPU, median | peak memory | wall, times the first |")
    print("|---|---:|---:|---:|---:|")
    for contender in contenders:
        ratio = statistics.median(
            mine / base for mine, base in zip(contender.wall, first.wall, strict=True)
        )
        wall = f"{statistics.median(contender.wall):.3f} s ({min(contender.wall):.3f})"
        print(
            f"| {contender.name} | {wall} | {statistics.median(contender.cpu):.3f} s |"
            f" {max(contender.peak):.0f} MB | {ratio:.1f} |"
        )


def installed(command: str, what: str) -> str:
    """Return a command's path in the environment with all contenders and this checkout."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
    install: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        what,
    ]
    subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
    return str(ENVIRONMENT / "bin" / command)
