"""`ckpt diff` of two full-size checkpoints on the Hub against downloading both.

Requests and bytes as the server counts them, and time on this machine.

    make bench        (or: python -m benchmarks.remote [ROUNDS])

The Hub is the tests' stand-in on localhost, which speaks its protocol to the real client and has no
network's delays: what counts is what goes over the wire. Writes 3.6 GB of weights under build/bench
once, and as much again for each download, which is removed.
"""

from __future__ import annotations

import mmap
import os
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from benchmarks.diff import full_size
from benchmarks.measure import BUILD, ROOT

if TYPE_CHECKING:
    from tests.support.hub.server import HubServer, Record

# An installed package may be called `tests` as well; the stand-in is this checkout's.
sys.modules["tests"] = types.ModuleType("tests")
sys.modules["tests"].__path__ = [str(ROOT / "tests")]

REPOS = {"bench/normal": ("normal", ("",)), "bench/reflow": ("reflow", ("", "teacher."))}
DOWNLOAD = """
import subprocess, sys
from huggingface_hub import snapshot_download
folders = [snapshot_download(name) for name in sys.argv[1:]]
command = [sys.executable, "-m", "ckpt_tools", "diff", *folders]
sys.exit(subprocess.run(command, stdout=subprocess.DEVNULL).returncode - 1)
"""
HEADERS = (
    "import sys; from huggingface_hub import get_safetensors_metadata as ask;"
    " print([len(ask(name).weight_map) for name in sys.argv[1:]])"
)


class Run(NamedTuple):
    """What one run took, as the server saw it."""

    seconds: float
    requests: int
    most: int
    received: int


def files(fixture: str, prefixes: tuple[str, ...]) -> dict[str, bytes]:
    """The small files of a fixture, and full-size weights as a map of their file."""
    found = {path.name: path.read_bytes() for path in (ROOT / "fixtures" / fixture).iterdir()}
    with full_size(BUILD / fixture, prefixes).open("rb") as file:
        found["model.safetensors"] = cast(
            "bytes", mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        )
    return found


def run(hub: HubServer, command: list[str]) -> Run:
    """Run a command that knows this hub only, with an empty cache."""
    with tempfile.TemporaryDirectory(dir=BUILD) as home:
        environment = hub.environment(Path(home)) | {"PYTHONPATH": str(ROOT)}
        hub.requests.clear()
        start = time.perf_counter()
        done = subprocess.run(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - start
    if done.returncode not in {0, 1}:
        raise RuntimeError(done.stderr)
    sums = {
        blob.sha256: path for name in REPOS for path, blob in hub.commits(name)[0].files.items()
    }
    asked = Counter(file_of(record, sums) for record in hub.requests)
    return Run(
        seconds, len(hub.requests), max(asked.values()), sum(record.sent for record in hub.requests)
    )


def file_of(record: Record, sums: dict[str, str]) -> tuple[str, str]:
    """Which repository's file a request is about, by its name or its sum; or its list."""
    path = record.path.partition("?")[0]
    last = path.rpartition("/")[2]
    return next(name for name in REPOS if name in path), sums.get(last, last)


def main() -> None:
    """Print the table."""
    from tests.support.hub.server import HubServer

    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    names = list(REPOS)
    contenders = {
        "`ckpt diff hf://… hf://…`": [
            sys.executable,
            "-m",
            "ckpt_tools",
            "diff",
            *(f"hf://{name}" for name in names),
        ],
        "`huggingface_hub.get_safetensors_metadata` of both (headers only, nothing compared)": [
            sys.executable,
            "-c",
            HEADERS,
            *names,
        ],
        "`snapshot_download` of both, then `ckpt diff`": [sys.executable, "-c", DOWNLOAD, *names],
    }
    with HubServer() as hub:
        total = 0
        for name, (fixture, prefixes) in REPOS.items():
            held = files(fixture, prefixes)
            total += sum(map(len, held.values()))
            hub.add_repo(name, held)
        run(hub, contenders["`ckpt diff hf://… hf://…`"])  # the stand-in has its own sums to make
        print(
            f"\n### Diff of two full-size checkpoints on the Hub ({total / 1e9:.1f} GB, 500"
            " and 1000 tensors)\n"
        )
        runs: dict[str, list[Run]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, command in contenders.items():
                runs[name].append(run(hub, command))
    first = next(iter(runs.values()))[0].received
    print(
        "| | requests | for one file, at most | bytes | bytes, times the first | time on"
        " localhost, median |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for name, measured in runs.items():
        seconds = statistics.median(one.seconds for one in measured)
        print(
            f"| {name} | {measured[0].requests} | {measured[0].most} |"
            f" {measured[0].received:,} | {measured[0].received / first:,.1f} |"
            f" {seconds:.1f} s |"
        )


if __name__ == "__main__":
    os.environ.pop("HF_HUB_OFFLINE", None)
    main()
