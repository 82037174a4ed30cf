"""`ckpt diff` of two full-size checkpoints against ckptkit and against loading both.

And the parse of a header with 100,000 tensors.

    make bench        (or: python -m benchmarks.diff [ROUNDS])

Writes 3.6 GB of weights under build/bench once.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from benchmarks.measure import BUILD, ROOT, Contender, compete, installed
from ckpt_tools.checkpoint import header
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Tensor
from ckpt_tools.families.smolvla.layout import Dimensions, dtype_of, layout

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 1 << 24
MANY = 100_000

LOAD = (
    "import sys; from safetensors.torch import load_file; loaded = [load_file(path) for path in"
    " sys.argv[1:]]"
)
KEYS = (
    "import sys; from safetensors import safe_open; file = safe_open(sys.argv[1], 'np');"
    " print(len(file.keys()))"
)
JSON = (
    "import json, sys; file = open(sys.argv[1], 'rb');"
    " print(len(json.loads(file.read(int.from_bytes(file.read(8), 'little')))))"
)
PARSE = "import sys; from ckpt_tools.api import read; print(len(read(sys.argv[1]).tensors))"


def full_size(folder: Path, prefixes: tuple[str, ...]) -> Path:
    """Return a file with the tensors of a full-size SmolVLA under every prefix."""
    shapes = [
        (prefix + name, dtype_of(name, load_vlm_weights=False), shape)
        for prefix in prefixes
        for name, shape in layout(Dimensions())
    ]
    return written(
        folder,
        [
            Tensor(name, dtype, shape, "", 0, header.nbytes(dtype, shape))
            for name, dtype, shape in shapes
        ],
    )


def many(folder: Path) -> Path:
    """Return a file with 100,000 small tensors."""
    return written(
        folder,
        [
            Tensor(f"model.layers.{number}.self_attn.q_proj.weight", Dtype.F32, (4, 4), "", 0, 64)
            for number in range(MANY)
        ],
    )


def written(folder: Path, tensors: list[Tensor]) -> Path:
    """Write `tensors`, random bytes as their payload, unless the file is there."""
    path = folder / "model.safetensors"
    placed = header.layout(tensors)
    head = header.encode(placed)
    size = len(head) + placed[-1].end
    if path.exists() and path.stat().st_size == size:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    block = os.urandom(BLOCK)
    with path.open("wb") as file:
        file.write(head)
        for start in range(0, placed[-1].end, BLOCK):
            file.write(block[: placed[-1].end - start])
    return path


def main() -> None:
    """Print the tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    normal, reflow = (
        full_size(BUILD / "normal", ("",)),
        full_size(BUILD / "reflow", ("", "teacher.")),
    )
    both = [str(normal), str(reflow)]
    print(
        f"\n### Diff of two full-size checkpoints ({normal.stat().st_size / 1e9:.1f} and"
        f" {reflow.stat().st_size / 1e9:.1f} GB, 500 and 1000 tensors)\n"
    )
    compete(
        [
            Contender(
                name="`ckpt diff`",
                command=[
                    installed("ckpt", str(ROOT)),
                    "diff",
                    str(normal.parent),
                    str(reflow.parent),
                ],
                exits=(1,),
            ),
            Contender(
                name="`ckptkit diff`",
                command=[installed("ckptkit", "ckptkit[cli]==0.3.0"), "diff", *both],
            ),
            Contender(
                name="load both, `safetensors.torch.load_file`",
                command=[sys.executable, "-c", LOAD, *both],
            ),
            Contender(
                name="Python that does nothing", command=[installed("python", "pip"), "-c", "pass"]
            ),
        ],
        rounds,
    )
    path = str(many(BUILD / "many"))
    print(f"\n### Header of {MANY:,} tensors\n")
    compete(
        [
            Contender(
                name="`ckpt_tools.api.read`",
                command=[installed("python", "pip"), "-c", PARSE, path],
            ),
            Contender(
                name="`safetensors.safe_open(...).keys()`",
                command=[installed("python", "safetensors[numpy]"), "-c", KEYS, path],
            ),
            Contender(
                name="`json.loads` alone, nothing checked",
                command=[installed("python", "pip"), "-c", JSON, path],
            ),
        ],
        rounds,
    )


if __name__ == "__main__":
    main()
