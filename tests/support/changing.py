"""What tests of the commands that change a checkpoint share: fixtures, and what a folder holds."""

from __future__ import annotations

from pathlib import Path

import safetensors

from tests.support import forked

ROOT = Path(__file__).parents[2]
NORMAL, REFLOW, MODEL = (
    ROOT / "fixtures" / name for name in ("normal", "reflow", "language-model")
)


def ckpt(*arguments: object, cwd: Path = ROOT) -> forked.Done:
    return forked.ckpt(*arguments, folder=cwd)


def names(folder: Path) -> set[str]:
    with safetensors.safe_open(
        folder if folder.suffix else folder / "model.safetensors", framework="np"
    ) as file:
        return set(file.keys())


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
