"""What writing costs.

Sanitizing a dirty full-size checkpoint against `cp`, `sft` and load-filter-save; a lossless cast; a
checkpoint of 20 GB.

    make bench        (or: python -m benchmarks.surgery [ROUNDS])

Every way ends with its output on the disk (fsync), and removes its output of the round before
first. Writes 6 GB under build/bench.
"""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from benchmarks.diff import BLOCK, full_size
from benchmarks.measure import BUILD, ROOT, Contender, compete, installed
from ckpt_tools.checkpoint import header
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Tensor

if TYPE_CHECKING:
    from pathlib import Path

SFT = "sft-cli==0.2.2"
PREFIX = "teacher."
FILTER = f"""
import os, sys
from safetensors.torch import load_file, save_file
tensors = load_file(sys.argv[1])
kept = {{name: tensors[name] for name in tensors if not name.startswith({PREFIX!r})}}
save_file(kept, sys.argv[2])
os.fsync(os.open(sys.argv[2], os.O_RDONLY))
"""
NARROW = """
import os, sys, torch
from safetensors.torch import load_file, save_file
tensors = load_file(sys.argv[1])
save_file({name: tensors[name].to(torch.bfloat16) for name in tensors}, sys.argv[2])
os.fsync(os.open(sys.argv[2], os.O_RDONLY))
"""
OUT = BUILD / "out"
FILE = str(OUT / "model.safetensors")
REMOVE = ["rm", "-rf", str(OUT)]
BEGIN = (REMOVE, ["mkdir", str(OUT)])
SYNC = ["sync", FILE]


def f32(folder: Path, tensors: int = 75, elements: int = 4_000_000) -> Path:
    """Return a file of F32 tensors whose values are BF16's, 1.2 GB."""
    placed = header.layout(
        Tensor(f"layer.{number}.weight", Dtype.F32, (elements,), "", 0, 4 * elements)
        for number in range(tensors)
    )
    path = folder / "model.safetensors"
    head = header.encode(placed)
    if path.exists() and path.stat().st_size == len(head) + placed[-1].end:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    block = b"\0\0\x12\x3f" * (BLOCK // 4)
    with path.open("wb") as file:
        file.write(head)
        for start in range(0, placed[-1].end, BLOCK):
            file.write(block[: placed[-1].end - start])
    return path


def sparse(folder: Path, tensors: int = 5000, nbytes: int = 1 << 22) -> Path:
    """Return a file of 20 GB that is holes but for its header: half of it a teacher's."""
    names = (
        f"{PREFIX if number % 2 else ''}layer.{number // 2}.weight" for number in range(tensors)
    )
    placed = header.layout(
        Tensor(name, Dtype.BF16, (nbytes // 2,), "", 0, nbytes) for name in names
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.safetensors"
    with path.open("wb") as file:
        file.write(header.encode(placed))
        file.truncate(file.tell() + placed[-1].end)
    return path


def shell(*commands: list[str]) -> list[str]:
    """Return the command that runs these one after the other."""
    return ["/bin/sh", "-c", " && ".join(shlex.join(command) for command in commands)]


def main() -> None:
    """Print the tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    ckpt, sft = installed("ckpt", str(ROOT)), installed("sft", SFT)
    sanitizing(ckpt, sft, rounds)
    casting(ckpt, sft, rounds)
    stripping(ckpt)


def copying(name: str, source: Path) -> Contender:
    """Return the copy that every other way of writing is compared with."""
    return Contender(name=name, command=shell(*BEGIN, ["cp", str(source), FILE], [*SYNC, str(OUT)]))


def sanitizing(ckpt: str, sft: str, rounds: int) -> None:
    """Print how long it takes to remove a teacher."""
    normal, dirty = full_size(BUILD / "normal", ("",)), full_size(BUILD / "reflow", ("", PREFIX))
    print(
        f"\n### Sanitize {dirty.stat().st_size / 1e9:.1f} GB, of which"
        f" {normal.stat().st_size / 1e9:.1f} GB stay\n"
    )
    strip = [sft, "strip", str(dirty), f"--exclude={PREFIX}**", "-o", FILE]
    compete(
        [
            copying("`cp` of what stays, and `sync`", normal),
            Contender(
                name="`ckpt sanitize`",
                command=shell(REMOVE, [ckpt, "sanitize", str(dirty.parent), "-o", str(OUT)]),
            ),
            Contender(name="`sft strip`, and `sync`", command=shell(*BEGIN, strip, SYNC)),
            Contender(
                name="load, filter, save with `safetensors.torch`",
                command=shell(*BEGIN, [sys.executable, "-c", FILTER, str(dirty), FILE]),
            ),
        ],
        rounds,
    )


def casting(ckpt: str, sft: str, rounds: int) -> None:
    """Print how long a lossless cast takes."""
    wide = f32(BUILD / "f32")
    print("\n### Cast 1.2 GB of F32 to BF16, without loss\n")
    cast = [sft, "cast", str(wide), "--dtype", "bf16", "-o", FILE]
    compete(
        [
            copying("`cp` of the F32 file, and `sync`", wide),
            Contender(
                name="`ckpt cast`, proved to lose nothing",
                command=shell(REMOVE, [ckpt, "cast", str(wide.parent), "BF16", "-o", str(OUT)]),
            ),
            Contender(name="`sft cast`, and `sync`", command=shell(*BEGIN, cast, SYNC)),
            Contender(
                name="load, narrow, save with `safetensors.torch`",
                command=shell(*BEGIN, [sys.executable, "-c", NARROW, str(wide), FILE]),
            ),
        ],
        rounds,
    )


def stripping(ckpt: str) -> None:
    """Print how long half of a large file takes, once."""
    large = sparse(BUILD / "sparse")
    print(f"\n### A checkpoint of {large.stat().st_size / 1e9:.0f} GB, sparse\n")
    strip = [ckpt, "strip", str(large.parent), f"{PREFIX}**", "-o", str(OUT)]
    compete([Contender(name="`ckpt strip`", command=shell(REMOVE, strip))], 1)


if __name__ == "__main__":
    main()
