"""How the benchmarks measure: whole processes, in turns, so that a slow moment of the machine falls on all alike; ratios pair by pair."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "bench"
PEERS = BUILD / "peers"


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
        """Run the command once, output thrown away. Raises RuntimeError for an exit code that is not expected."""
        start = time.perf_counter()
        process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        self.wall.append(time.perf_counter() - start)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in self.exits:
            msg = f"{self.name} exited with {process.returncode}: {' '.join(self.command)}"
            raise RuntimeError(msg)
        self.cpu.append(usage.ru_utime + usage.ru_stime)
        self.peak.append(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6)


def compete(contenders: list[Contender], rounds: int) -> None:
    """Run every contender once to warm the caches, then `rounds` times in turns, and print a Markdown table. Ratios are to the first."""
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
        ratio = statistics.median(mine / base for mine, base in zip(contender.wall, first.wall, strict=True))
        wall = f"{statistics.median(contender.wall):.3f} s ({min(contender.wall):.3f})"
        print(f"| {contender.name} | {wall} | {statistics.median(contender.cpu):.3f} s | {max(contender.peak):.0f} MB | {ratio:.1f} |")


def peer(command: str) -> str:
    """Return the path of another tool's command, installed from peers.txt into an environment of its own."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
    install: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", ROOT / "benchmarks" / "peers.txt"]
    subprocess.run(install, check=True)
    return str(PEERS / "bin" / command)
