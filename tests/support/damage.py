"""Faults that any checkpoint can have, made in a copy of a good one.

A fault returns False where the checkpoint has nothing that it could damage.
"""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

from ckpt_tools.checkpoint.dtype import Dtype
from tests.support.checkpoints import Tensors, weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

type Damage = Callable[[Path], bool]

_BY_LABEL = {dtype.label: dtype for dtype in Dtype}
_NUMBERED = re.compile(
    r"^(.*?(?:layers?|blocks|h|block|resblocks|_Qs|transformer_blocks)\.)(\d+)\."
)
_VOCABULARY = "vocab_size"


def read_tensors(path: Path) -> Tensors:
    """Return dtype, shape and payload by name."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    return {
        name: (
            _BY_LABEL[entry["dtype"]],
            tuple(entry["shape"]),
            data[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]],
        )
        for name, entry in header.items()
    }


def rewrite(folder: Path, change: Callable[[Tensors], Tensors]) -> bool:
    """Change the tensors of the weight files in a folder, and their index; say whether any did."""
    changed = False
    for path in sorted(folder.glob("*model*.safetensors")):
        before = read_tensors(path)
        after = change(before)
        if after != before:
            changed = True
            path.write_bytes(weights(after, {"format": "pt"}))
    for path in folder.glob("*.index.json"):
        held = {
            name: file.name
            for file in sorted(folder.glob("*model*.safetensors"))
            for name in read_tensors(file)
        }
        document = json.loads(path.read_text(encoding="utf-8")) | {"weight_map": held}
        path.write_text(json.dumps(document), encoding="utf-8")
    return changed


def names(folder: Path) -> list[str]:
    """Return the names of all tensors of the weights."""
    return sorted(
        name for path in folder.glob("*model*.safetensors") for name in read_tensors(path)
    )


def without(folder: Path, drops: Callable[[str], bool]) -> bool:
    """Remove the tensors that `drops`."""
    return rewrite(
        folder,
        lambda tensors: {name: one for name, one in tensors.items() if not drops(name)},
    )


def no_tensors(folder: Path) -> bool:
    """Remove every tensor, as a broken export under ZeRO-3 does."""
    return without(folder, lambda _: True)


def one_tensor_less(folder: Path) -> bool:
    """Remove the first tensor of layer 1."""
    found = next((name for name in names(folder) if _layer(name) == 1), "")
    return bool(found) and without(folder, lambda name: name == found)


def last_layer_less(folder: Path) -> bool:
    """Remove the last layer of the first stack of layers."""
    stacks = [match for name in names(folder) if (match := _NUMBERED.match(name))]
    if not stacks:
        return False
    stack = stacks[0][1]
    last = max(int(match[2]) for match in stacks if match[1] == stack)
    return without(folder, lambda name: name.startswith(f"{stack}{last}."))


def half_the_vocabulary(folder: Path) -> bool:
    """Halve the vocabulary in config.json, and leave the weights."""
    return edited(folder / "config.json", _halved)


def no_second_halves(folder: Path) -> bool:
    """Remove lora_B of one module."""
    found = next((name for name in names(folder) if ".lora_B." in name), "")
    return bool(found) and without(folder, lambda name: name == found)


def nan_in(part: str) -> Damage:
    """Return a damage that puts NaN into a tensor of the component `part`."""

    def damage(folder: Path) -> bool:
        def change(tensors: Tensors) -> Tensors:
            name = next(name for name, one in tensors.items() if one[0] is Dtype.F32)
            dtype, shape, data = tensors[name]
            return tensors | {name: (dtype, shape, b"\0\0\xc0\x7f" + data[4:])}

        return rewrite(folder / part, change)

    return damage


def no_file(pattern: str) -> Damage:
    """Return a damage that removes the files of a pattern."""

    def damage(folder: Path) -> bool:
        found = list(folder.glob(pattern))
        for path in found:
            path.unlink()
        return bool(found)

    return damage


def no_folder(name: str) -> Damage:
    """Return a damage that removes a folder."""

    def damage(folder: Path) -> bool:
        shutil.rmtree(folder / name)
        return True

    return damage


def edited(path: Path, change: Callable[[dict[str, Any]], bool]) -> bool:
    """Change a JSON file, and say whether it changed."""
    if not path.exists():
        return False
    document = json.loads(path.read_text(encoding="utf-8"))
    changed = change(document)
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")
    return changed


def _halved(config: dict[str, Any]) -> bool:
    held = [config, *(value for value in config.values() if isinstance(value, dict))]
    found = [one for one in held if isinstance(one.get(_VOCABULARY), int)]
    for one in found:
        one[_VOCABULARY] //= 2
    return bool(found)


def _layer(name: str) -> int:
    match = _NUMBERED.match(name)
    return int(match[2]) if match else -1
