"""Small plans made by hand, with a second, simple-minded writer that says what each must give."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.header import encode, layout
from ckpt_tools.checkpoint.model import Source, Tensor, TensorFile
from ckpt_tools.checkpoint.read import read
from ckpt_tools.edit.model import Copy, Piece, Plan, SourceFile, Text, Weights
from ckpt_tools.values import cast as values_cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.edit.model import Output

ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
STATE = "policy_preprocessor_step_0.safetensors"


class Values(NamedTuple):
    """A tensor by its contents."""

    dtype: Dtype
    data: bytes


def floats(*numbers: float) -> Values:
    """Return numbers that BF16 holds, as F32."""
    return Values(Dtype.F32, np.array(numbers, dtype="<f4").tobytes())


def count(size: int) -> Values:
    """Return bytes that tell their place."""
    return Values(Dtype.U8, (np.arange(size) % 251).astype("u1").tobytes())


def weights(
    path: Path,
    tensors: Mapping[str, Values],
    metadata: Iterable[tuple[str, str]] = (("format", "pt"),),
) -> None:
    """Write a .safetensors file."""
    loose = (
        Tensor(name, one.dtype, (len(one.data) * 8 // one.dtype.bits,), path.name, 0, len(one.data))
        for name, one in tensors.items()
    )
    placed = layout(loose)
    path.write_bytes(
        encode(placed, metadata) + b"".join(tensors[tensor.name].data for tensor in placed)
    )


def sharded(folder: Path) -> Path:
    """Make a checkpoint of two shards with everything that can lie beside them."""
    folder.mkdir(parents=True)
    weights(folder / ONE, {"a": floats(1, 2.5, -3), "b": floats(*range(256)), "bytes": count(3000)})
    weights(folder / TWO, {"c": floats(0.5, 0.25), "d": count(5000), "e": floats(7)})
    weight_map = dict.fromkeys(("a", "b", "bytes"), ONE) | dict.fromkeys("cde", TWO)
    (folder / INDEX).write_text(
        json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map})
    )
    (folder / "config.json").write_text('{"type": "x"}\n')
    (folder / "policy_preprocessor.json").write_text(json.dumps({"steps": [{"state_file": STATE}]}))
    weights(folder / STATE, {"mean": floats(1, 2)})
    (folder / "notes.txt").write_text("to go\n")
    (folder / "README.md").write_text("# Kept\n")
    (folder / "assets").mkdir()
    (folder / "assets" / "vocabulary.txt").write_text("a\nb\n")
    return folder


def single(folder: Path, name: str = SINGLE) -> Path:
    """Make a checkpoint of one file and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    weights(folder / name, {"a": floats(1, 2.5, -3), "b": floats(*range(256)), "d": count(5000)})
    return folder / name


def kept(before: Checkpoint, *paths: str) -> list[Output]:
    """Return copies of files of the checkpoint."""
    sizes = {
        file.path: file.size
        for files in (before.weights, before.states, before.others)
        for file in files
    }
    return [Copy(path, f"{before.root}/{path}", sizes.get(path, 0)) for path in paths]


def file(
    before: Checkpoint,
    path: str,
    names: Mapping[str, str],
    casts: Mapping[str, Dtype] | None = None,
) -> Weights:
    """Return a file of weights that holds the tensors `names` (new.

    Old), cast where `casts` says so.
    """
    by_name = {tensor.name: (tensor, held) for held in before.weights for tensor in held.tensors}
    loose, sources = [], {}
    for new, old in names.items():
        tensor, held = by_name[old]
        dtype = (casts or {}).get(new, tensor.dtype)
        loose.append(Tensor(new, dtype, tensor.shape, path, 0, tensor.parameters * dtype.bits // 8))
        sources[new] = Source(
            f"{before.root}/{held.path}",
            held.payload_start + tensor.start,
            held.payload_start + tensor.end,
            tensor.dtype,
        )
    placed = layout(loose)
    return Weights(
        path,
        encode(placed, (("format", "pt"),)),
        tuple(Piece(tensor, sources[tensor.name]) for tensor in placed),
    )


def plan(before: Checkpoint, outputs: Iterable[Output], scratch: Path) -> Plan:
    """Return the plan that gives `outputs`.

    What it must give is written to the folder `scratch`.
    """
    every = tuple(outputs)
    write_simply(every, scratch, Plan(before, before, (), (), every, (), "", "").removed)
    only = every[0].path if os.path.isfile(before.where) and len(every) == 1 else ""
    paths = [f"{before.root}/{path}" for path in before.paths if not path.endswith("/")]
    sources = tuple(
        SourceFile(path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in paths
    )
    return Plan(
        before,
        read(os.path.join(scratch, only))._replace(where="", root=""),
        (),
        (),
        every,
        sources,
        "",
        "",
    )


def write_simply(outputs: Iterable[Output], folder: Path, without: Iterable[str] = ()) -> None:
    """Write `outputs` as anyone would who fears nothing."""
    folder.mkdir(parents=True)
    for output in sorted(outputs, key=lambda output: not output.path.endswith("/")):
        path = folder / output.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(output, Text):
            path.write_bytes(output.text.encode())
        elif isinstance(output, Weights):
            path.write_bytes(output.header + b"".join(map(payload, output.pieces)))
        elif output.path.endswith("/"):
            shutil.copytree(output.source, path)
        else:
            shutil.copyfile(output.source, path)
    for gone in without:
        (folder / gone).unlink(missing_ok=True)


def payload(piece: Piece) -> bytes:
    """Return the bytes of a tensor to be written."""
    with open(piece.source.file, "rb") as opened:
        opened.seek(piece.source.start)
        data = opened.read(piece.source.end - piece.source.start)
    return values_cast.cast(
        np.frombuffer(data, "u1"), piece.source.dtype, piece.tensor.dtype
    ).tobytes()


def merging(folder: Path, scratch: Path) -> Plan:
    """Return the plan that makes one file of `sharded`.

    A tensor renamed, one dropped, one cast, the config changed, a note removed.
    """
    before = read(str(folder))
    names = {"A": "a", "b": "b", "c": "c", "bytes": "bytes", "d": "d"}
    outputs = [
        file(before, SINGLE, names, {"b": Dtype.BF16}),
        Text("config.json", '{"type": "y"}\n'),
        *kept(before, "policy_preprocessor.json", STATE, "README.md", "assets/"),
    ]
    return plan(before, outputs, scratch)


def rewriting(folder: Path, scratch: Path) -> Plan:
    """Return the plan that keeps both shards of `sharded`, and changes the index and the config.

    One of the shards is unchanged.
    """
    before = read(str(folder))
    weight_map = dict.fromkeys(("A", "b"), ONE) | dict.fromkeys("cde", TWO)
    outputs = [
        file(before, ONE, {"A": "a", "b": "b"}, {"b": Dtype.BF16}),
        Text(INDEX, json.dumps({"metadata": {"total_size": 2}, "weight_map": weight_map})),
        Text("config.json", '{"type": "y"}\n'),
        *kept(before, TWO, "policy_preprocessor.json", STATE, "README.md", "assets/"),
    ]
    return plan(before, outputs, scratch)


def shortening(path: Path, scratch: Path) -> Plan:
    """Return the plan that drops and casts tensors of a single file."""
    before = read(str(path))
    return plan(before, [file(before, path.name, {"b": "b", "x": "d"}, {"b": Dtype.BF16})], scratch)


def dropping(folder: Path, scratch: Path) -> Plan:
    """Return the plan that only takes files away from `sharded`: a note and a folder."""
    before = read(str(folder))
    return plan(
        before,
        kept(
            before, ONE, TWO, INDEX, "config.json", "policy_preprocessor.json", STATE, "README.md"
        ),
        scratch,
    )


def same(folder: Path) -> Plan:
    """Return the plan that changes nothing."""
    before = read(str(folder))
    paths = [
        f"{before.root}/{path}" for path in before.paths if os.path.isfile(f"{before.root}/{path}")
    ]
    sources = tuple(
        SourceFile(path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in paths
    )
    return Plan(
        before,
        before._replace(where="", root=""),
        (),
        (),
        tuple(kept(before, *before.paths)),
        sources,
        "",
        "",
    )


def dropping_again(folder: Path) -> Plan:
    """Return the plan that takes the folder of assets away."""
    made = same(folder)
    others = tuple(other for other in made.after.others if other.path != "assets/")
    return made._replace(
        after=made.after._replace(others=others),
        outputs=tuple(output for output in made.outputs if output.path != "assets/"),
    )


def merging_again(folder: Path, scratch: Path) -> Plan:
    """Return the plan that makes one file of what `rewriting` left."""
    before = read(str(folder))
    names = {name: name for name in ("A", "b", "c", "d", "e")}
    others = kept(before, "config.json", "policy_preprocessor.json", STATE, "README.md", "assets/")
    return plan(before, [file(before, SINGLE, names), *others], scratch)


def sparse(folder: Path, size: int) -> Path:
    """Make a checkpoint of two tensors, `size` bytes together, mostly a hole; return its file."""
    folder.mkdir()
    half = size // 2
    loose = (Tensor(name, Dtype.F32, (half // 4,), SINGLE, 0, half) for name in ("cast", "kept"))
    text = encode(layout(loose))
    (folder / SINGLE).write_bytes(text)
    os.truncate(folder / SINGLE, len(text) + size)
    return folder / SINGLE


def halving(path: Path) -> Plan:
    """Return the plan that casts one tensor of `sparse`."""
    before = read(str(path))
    made = file(before, SINGLE, {"cast": "cast", "kept": "kept"}, {"cast": Dtype.BF16})
    held = TensorFile(
        SINGLE,
        made.size,
        len(made.header),
        tuple(piece.tensor for piece in made.pieces),
        (("format", "pt"),),
    )
    source = SourceFile(str(path), path.stat().st_size, path.stat().st_mtime_ns)
    return Plan(
        before,
        before._replace(where="", root="", weights=(held,)),
        (),
        (),
        (made,),
        (source,),
        "",
        "",
    )


MAKERS = (merging, rewriting, dropping)
