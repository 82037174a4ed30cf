"""A tree of small checkpoints, as a laboratory has it: runs with their steps, of three families.

A third each are SmolVLA, ACT and a language model at toy width. The steps of a run share configs,
names and shapes, and have other weights; runs have other settings and other statistics. ACT's
ResNet has one width only: its file has 44 MB, most of them holes that take no space on the disk.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import subprocess
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from benchmarks.measure import BUILD, ROOT

if TYPE_CHECKING:
    from pathlib import Path

STEPS = 10
"""Checkpoints of a run."""

WEIGHTS = "model.safetensors"

FILLED = 1 << 12
"""Bytes of payload that are not a hole."""

_ACT = """
import sys
from pathlib import Path
sys.path.insert(0, "tests/real")
import save_policies
save_policies.saver("act")(Path(sys.argv[1]))
"""


def fleet(folder: Path, count: int) -> Path:
    """Write `count` checkpoints below `folder`, unless they are there, and return it."""
    done = folder / "COMPLETE"
    if done.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    templates = [ROOT / "fixtures/normal", act(), ROOT / "fixtures/language-model"]
    for number in range(count):
        kind, place = number % len(templates), number // len(templates)
        run, step = divmod(place, STEPS)
        target = folder / f"{('smolvla', 'act', 'llama')[kind]}-{run:05}" / f"{step + 1:02}0000"
        _write(templates[kind], target, run, random.Random(number))  # noqa: S311 - weights, not secrets
    done.touch()
    return folder


def act() -> Path:
    """Return a tiny ACT with its processors, as stock LeRobot saves it."""
    folder = BUILD / "act"
    if not (folder / WEIGHTS).exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-c", _ACT, folder], check=True, cwd=ROOT)
    return folder


def _write(template: Path, target: Path, run: int, source: random.Random) -> None:
    target.mkdir(parents=True)
    for name, data in _shared(template, run):
        (target / name).write_bytes(data)
    _weights(template / WEIGHTS, target / WEIGHTS, source)


@lru_cache(maxsize=8)
def _shared(template: Path, run: int) -> list[tuple[str, bytes]]:
    """Return the name and the content of each file that all steps of a run have."""
    return [(file.name, _changed(file, run)) for file in template.iterdir() if file.name != WEIGHTS]


def _changed(file: Path, run: int) -> bytes:
    data = file.read_bytes()
    if file.name == "config.json":
        return _config(json.loads(data), run)
    if file.name == "train_config.json":
        return data.replace(b'"seed": 1000', b'"seed": %d' % run)
    if file.suffix == ".safetensors":
        return _reweighted(data, random.Random(run))  # noqa: S311 - statistics, not secrets
    return data


def _config(config: dict[str, Any], run: int) -> bytes:
    """Return a config with the settings of a run, which change nothing of the tensors."""
    if "optimizer_lr" in config:
        config["optimizer_lr"] = 1e-4 / (1 + run % 7)
    if "scheduler_warmup_steps" in config:
        config["scheduler_warmup_steps"] = 100 + run
    if "model_type" in config:
        config["max_position_embeddings"] = 1024 + run
    return json.dumps(config, indent=4).encode()


def _weights(template: Path, target: Path, source: random.Random) -> None:
    """Write a weight file with the start of the template's payload, changed; the rest is a hole."""
    with template.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        file.seek(0)
        data = file.read(8 + length + FILLED)
    target.write_bytes(_reweighted(data, source))
    os.truncate(target, template.stat().st_size)


def _reweighted(data: bytes, source: random.Random) -> bytes:
    """Return a weight file with the lowest bits of its values changed, so that no two are equal."""
    (length,) = struct.unpack_from("<Q", data)
    changed = bytearray(data)
    for at in range(8 + length, len(data), 64):
        changed[at] ^= source.getrandbits(3)
    return bytes(changed)
