"""Manifests as JSON, one tensor and one file a line, by `schemas/manifest.schema.json`.

The same text for the same checkpoint on every machine. No I/O, and no hashing.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NoReturn

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.errors import JsonInvalid, ManifestInvalid
from ckpt_tools.manifest.model import FileDigest, Manifest, TensorDigest
from ckpt_tools.strict_json import parse as strict_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ckpt_tools.strict_json.parse import Json

SCHEMA = "ckpt-tools/manifest.schema.json"

_DTYPES = {dtype.label: dtype for dtype in Dtype}
_LARGEST = (1 << 64) - 1
_DIGEST = "[0-9a-f]{64}"

type _Entry = dict[str, object]


def content_bytes(tensors: Iterable[TensorDigest]) -> bytes:
    r"""Return the bytes whose BLAKE3 is the content digest of `tensors`.

    A title, then [name, dtype, shape, digest] as ASCII JSON, a line each, by name.

    >>> content_bytes([TensorDigest("b", Dtype.F32, (2, 3), "00ff")])
    b'ckpt-tools content 1\n["b", "F32", [2, 3], "00ff"]\n'
    """
    lines = (
        json.dumps([tensor.name, tensor.dtype.label, tensor.shape, tensor.blake3])
        for tensor in sorted(tensors, key=lambda tensor: tensor.name)
    )
    return "".join(f"{line}\n" for line in ("ckpt-tools content 1", *lines)).encode("ascii")


def text(manifest: Manifest) -> str:
    """Return the manifest's text, ASCII, tensors sorted by name and files by path.

    `parse` is its inverse.
    """
    tensors: dict[str, _Entry] = {
        tensor.name: {"dtype": tensor.dtype.label, "shape": tensor.shape, "blake3": tensor.blake3}
        for tensor in manifest.tensors
    }
    head = {
        "$schema": SCHEMA,
        "version": 1,
        "content": manifest.content,
        "written_from": manifest.written_from,
        "whole": manifest.whole,
    }
    top = "".join(f"  {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items())
    files: dict[str, _Entry] = {file.path: _file_entry(file) for file in manifest.files}
    return f'{{\n{top}  "files": {_lines(files)},\n  "tensors": {_lines(tensors)}\n}}\n'.replace(
        "\x7f", "\\u007f"
    )


def _file_entry(file: FileDigest) -> _Entry:
    sha256 = {"sha256": file.sha256} if file.sha256 else {}
    return {"size": file.size, "header" if file.weights else "blake3": file.blake3, **sha256}


def _lines(entries: dict[str, _Entry]) -> str:
    lines = ",\n".join(
        f"    {json.dumps(name)}: {json.dumps(entries[name])}" for name in sorted(entries)
    )
    return f"{{\n{lines}\n  }}" if lines else "{}"


def parse(text: str) -> Manifest:
    """Parse a manifest. Raises ManifestInvalid with the JSON pointer of the mistake."""
    try:
        value = strict_json.parse(text)
    except JsonInvalid as error:
        raise ManifestInvalid(error.what, subject=error.subject) from None
    top = _object(
        value, "", {"version", "content", "written_from", "whole", "files", "tensors"}, {"$schema"}
    )
    if top["version"] != 1 or isinstance(top["version"], bool | float):
        raise ManifestInvalid(
            f"unsupported version {json.dumps(top['version'])[:40]}, expected 1",
            subject="/version",
            hint="write the manifest again, or read it with a newer ckpt",
        )
    return Manifest(
        written_from=_checked(top["written_from"], str, "/written_from", "a string"),
        content=_digest(top["content"], "/content"),
        whole=_checked(top["whole"], bool, "/whole", "true or false"),
        tensors=tuple(
            _tensor(name, entry, f"/tensors/{strict_json.escape(name)}")
            for name, entry in _entries(top["tensors"], "/tensors")
        ),
        files=tuple(
            _file(path, entry, f"/files/{strict_json.escape(path)}")
            for path, entry in _entries(top["files"], "/files")
        ),
    )


def _tensor(name: str, value: Json, pointer: str) -> TensorDigest:
    entry = _object(value, pointer, {"dtype", "shape", "blake3"})
    dtype = entry["dtype"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        _refuse(f"{pointer}/dtype", f"expected one of {', '.join(_DTYPES)}")
    axes = _checked(entry["shape"], list, f"{pointer}/shape", "a list")
    sizes = tuple(_size(size, f"{pointer}/shape/{axis}") for axis, size in enumerate(axes))
    return TensorDigest(name, _DTYPES[dtype], sizes, _digest(entry["blake3"], f"{pointer}/blake3"))


def _file(path: str, value: Json, pointer: str) -> FileDigest:
    weights = isinstance(value, dict) and "header" in value
    key = "header" if weights else "blake3"
    entry = _object(value, pointer, {"size", key}, {"sha256"})
    sha256 = _digest(entry["sha256"], f"{pointer}/sha256") if "sha256" in entry else ""
    return FileDigest(
        path,
        _size(entry["size"], f"{pointer}/size"),
        _digest(entry[key], f"{pointer}/{key}"),
        sha256,
        weights,
    )


def _size(value: Json, pointer: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        _refuse(pointer, "expected an integer from 0 to 2^64-1")
    return value


def _digest(value: Json, pointer: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(_DIGEST, value):
        _refuse(pointer, "expected a digest: 64 hexadecimal digits in lower case")
    return value


def _checked[T](value: Json, kind: type[T], pointer: str, expected: str) -> T:
    if not isinstance(value, kind):
        _refuse(pointer, f"expected {expected}")
    return value


def _entries(value: Json, pointer: str) -> list[tuple[str, Json]]:
    return sorted(_checked(value, dict, pointer, "an object").items(), key=lambda entry: entry[0])


def _object(
    value: Json, pointer: str, keys: set[str], allowed: frozenset[str] | set[str] = frozenset()
) -> dict[str, Json]:
    """Return `value`, an object with exactly these keys, and optionally those `allowed`."""
    found: dict[str, Json] = _checked(value, dict, pointer, "an object")
    for word, names in (
        ("missing", keys - found.keys()),
        ("unknown", found.keys() - keys - allowed),
    ):
        if names:
            _refuse(pointer, f"{word} field {min(names)!r}")
    return found


def _refuse(pointer: str, what: str) -> NoReturn:
    raise ManifestInvalid(what, subject=pointer)
