"""What judging costs.

Headers and configs of a full-size checkpoint, all its values, and the gate over ten thousand files.

    make bench        (or: python -m benchmarks.verify [ROUNDS])

Whole processes in a small environment, in turns; files in the page cache.
"""

from __future__ import annotations

import shutil
import struct
import sys
from typing import TYPE_CHECKING

from benchmarks.measure import BUILD, ROOT, Contender, compete, installed
from ckpt_tools.checkpoint import header
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Tensor
from ckpt_tools.families.smolvla.layout import Dimensions, dtype_of, layout

if TYPE_CHECKING:
    from pathlib import Path

FILES = 10_000
BLOCK = 1 << 22

READ = """
import os, sys
buffer, descriptor, at = bytearray(1 << 20), os.open(sys.argv[1], os.O_RDONLY), 0
while count := os.preadv(descriptor, [buffer], at):
    at += count
"""


def policy(folder: Path) -> Path:
    """Return a full-size policy (load_vlm_weights=true, 0.9 GB) with a fixture's other files."""
    path = folder / "model.safetensors"
    placed = header.layout(
        Tensor(name, dtype, shape, "", 0, header.nbytes(dtype, shape))
        for name, shape in layout(Dimensions())
        for dtype in [dtype_of(name, load_vlm_weights=True)]
    )
    head = header.encode(placed)
    if path.exists() and path.stat().st_size == len(head) + placed[-1].end:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "fixtures/normal", folder)
    numbers = [((index * 2_654_435_761) % 1000 - 500) / 5000 for index in range(BLOCK // 4)]
    floats = struct.pack(f"<{len(numbers)}f", *numbers)
    blocks = {
        Dtype.F32: floats,
        Dtype.BF16: b"".join(floats[start + 2 : start + 4] for start in range(0, len(floats), 4))
        * 2,
    }
    with path.open("wb") as file:
        file.write(head)
        for tensor in placed:
            block = blocks[tensor.dtype]
            for start in range(0, tensor.nbytes, len(block)):
                file.write(block[: tensor.nbytes - start])
    return folder


def many_files(folder: Path) -> Path:
    """Return a checkpoint with ten thousand small text files beside it."""
    if not folder.exists():
        shutil.copytree(ROOT / "fixtures/language-model", folder)
        for number in range(FILES):
            (folder / f"note-{number:05}.json").write_text(
                f'{{"number": {number}, "text": "{"a line of text " * 20}"}}\n'
            )
    return folder


def main() -> None:
    """Print the tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    ckpt, python = installed("ckpt", str(ROOT)), installed("python", "pip")
    full, many = policy(BUILD / "policy"), many_files(BUILD / "many-files")
    size = (full / "model.safetensors").stat().st_size
    print(f"\n### Verify a full-size policy, {size:,} bytes\n")
    compete(
        [
            Contender(
                name="read the weights once, one thread",
                command=[python, "-c", READ, str(full / "model.safetensors")],
            ),
            Contender(name="`ckpt verify`", command=[ckpt, "verify", str(full)], exits=(0, 1)),
            Contender(
                name="`ckpt verify --values`",
                command=[ckpt, "verify", "--values", str(full)],
                exits=(0, 1),
            ),
        ],
        rounds,
    )
    print(f"\n### The gate over {FILES:,} files\n")
    compete(
        [Contender(name="`ckpt gate`", command=[ckpt, "gate", str(many)], exits=(0, 1))], rounds
    )


if __name__ == "__main__":
    main()
