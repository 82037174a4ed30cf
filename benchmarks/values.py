"""The cost of comparing all values of two full-size checkpoints.

Against `sft diff --delta` and against reading both once on all cores.

    python -m benchmarks.values [ROUNDS]

Whole processes in a small environment, in turns. First with the files in the page cache; then with
these files dropped from it before every run. B differs from A in every value of every tensor. Peak
memory is all that is resident, libraries included; `ckpt` maps no file, so that no page of a
checkpoint is in its figure. Writes 2.7 GB under build/bench.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
from pathlib import Path

import numpy as np

from benchmarks.measure import BUILD, ROOT, Contender, compete, installed
from benchmarks.surgery import SFT
from benchmarks.verify import policy
from ckpt_tools.api import read
from ckpt_tools.checkpoint.dtype import Dtype

READ = """
import os, sys, threading
cores = len(os.sched_getaffinity(0))
step = int(sys.argv[1])
def work(core):
    buffer = bytearray(step)
    for path in sys.argv[2:]:
        descriptor = os.open(path, os.O_RDONLY)
        size = os.fstat(descriptor).st_size
        for at in range(core * step, size, cores * step):
            os.preadv(descriptor, [buffer], at)
threads = [threading.Thread(target=work, args=(core,)) for core in range(cores)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def drop(folder: Path) -> None:
    """Let the kernel forget a checkpoint's pages, which are on the disk. Pages of others stay."""
    descriptor = os.open(folder / "model.safetensors", os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def trained(normal: Path, folder: Path) -> Path:
    """Return a checkpoint like `normal` with other trailing mantissa bits in every number."""
    path = folder / "model.safetensors"
    checkpoint = read(str(normal))
    file = checkpoint.weights[0]
    if path.exists() and path.stat().st_size == file.size:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(normal, folder)
    random = np.random.default_rng(0)
    with path.open("r+b") as target:
        payload = np.memmap(target, mode="r+", offset=file.payload_start)
        for tensor in file.tensors:
            wide = tensor.dtype is Dtype.F32
            part = payload[tensor.start : tensor.end].view("<u4" if wide else "<u2")
            part ^= random.integers(1, 1 << 12 if wide else 1 << 2, part.size, dtype=part.dtype)
        payload.flush()
    return folder


def contenders(a: Path, b: Path) -> list[Contender]:
    """Return who is compared.

    The cache of `ckpt` lies under build/bench, and is used by those only that say so.
    """
    ckpt, sft, python = (
        installed("ckpt", str(ROOT)),
        installed("sft", SFT),
        installed("python", "pip"),
    )
    files = [str(folder / "model.safetensors") for folder in (a, b)]
    diff = [ckpt, "diff", "--values", str(a), str(b)]
    return [
        Contender(
            name="read both once, all cores, a mebibyte at a time",
            command=[python, "-c", READ, str(1 << 20), *files],
        ),
        Contender(
            name="read both once, all cores, 128 KiB at a time, which stay in a core's cache",
            command=[python, "-c", READ, str(1 << 17), *files],
        ),
        Contender(
            name="`ckpt diff --values --no-cache`", command=[*diff, "--no-cache"], exits=(1,)
        ),
        Contender(name="`ckpt diff --values`, a second time", command=diff, exits=(1,)),
        Contender(
            name="`ckpt diff --values --no-cache`, A and a copy of A",
            command=[ckpt, "diff", "--values", str(a), str(copy(a)), "--no-cache"],
        ),
        Contender(
            name="`sft diff --delta`", command=[sft, "diff", "--delta", *files], exits=(0, 1)
        ),
    ]


def copy(normal: Path) -> Path:
    """Return a second checkpoint with the same bytes."""
    folder = normal.parent / f"{normal.name}-copy"
    if not (folder / "model.safetensors").exists():
        shutil.copytree(normal, folder)
    return folder


def cold(racers: list[Contender], folders: tuple[Path, ...], rounds: int) -> None:
    """Print a table of runs that each find nothing in the page cache."""
    for racer in racers:
        racer.wall.clear()
    for _ in range(rounds):
        for racer in racers:
            for folder in folders:
                drop(folder)
            racer.run()
    print("| | wall, median (min) | wall, times the first |")
    print("|---|---:|---:|")
    for racer in racers:
        ratio = statistics.median(
            mine / base for mine, base in zip(racer.wall, racers[0].wall, strict=True)
        )
        print(
            f"| {racer.name} | {statistics.median(racer.wall):.3f} s ({min(racer.wall):.3f})"
            f" | {ratio:.1f} |"
        )


def main() -> None:
    """Print the tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    os.environ["XDG_CACHE_HOME"] = str(BUILD / "cache")
    a = policy(BUILD / "policy")
    b = trained(a, BUILD / "policy-trained")
    size = sum((folder / "model.safetensors").stat().st_size for folder in (a, b))
    racers = contenders(a, b)
    print(
        f"\n### Values of two full-size checkpoints, {size:,} bytes, all of 500 tensors"
        " changed; in the page cache\n"
    )
    compete(racers, rounds)
    print("\n### The same from the disk\n")
    cold(racers[:3], (a, b), min(rounds, 3))


if __name__ == "__main__":
    main()
