"""Manifests as JSON, one tensor and one file a line, by `schemas/manifest.schema.json`.

The same text for the same checkpoint on every machine. No I/O, and no hashing.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.fields import (
    dtype_and_shape,
    fields,
    is_version_1,
    lines,
    members,
    size,
    typed,
)
from ckpt_tools.errors import JsonInvalid, ManifestInvalid
from ckpt_tools.manifest.model import FileDigest, Manifest, TensorDigest
from ckpt_tools.strict_json import parse as strict_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ckpt_tools.strict_json.parse import Json

SCHEMA = "ckpt-tools/manifest.schema.json"

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

    `parse` reads it.
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
    return f'{{\n{top}  "files": {lines(files)},\n  "tensors": {lines(tensors)}\n}}\n'.replace(
        "\x7f", "\\u007f"
    )


def _file_entry(file: FileDigest) -> _Entry:
    sha256 = {"sha256": file.sha256} if file.sha256 else {}
    return {"size": file.size, "header" if file.weights else "blake3": file.blake3, **sha256}


def parse(data: bytes) -> Manifest:
    """Parse the text of a manifest. Raises ManifestInvalid with the JSON pointer of the mistake."""
    required = {"version", "content", "written_from", "whole", "files", "tensors"}
    try:
        top = fields(strict_json.parse(strict_json.decode_utf8(data)), "", required, {"$schema"})
        if not is_version_1(top["version"]):
            raise ManifestInvalid(
                f"unsupported version {json.dumps(top['version'])[:40]}, expected 1",
                subject="/version",
                hint="write the manifest again, or read it with a newer ckpt",
            )
        return Manifest(
            written_from=typed(top["written_from"], str, "/written_from", "a string"),
            content=_digest(top["content"], "/content"),
            whole=typed(top["whole"], bool, "/whole", "true or false"),
            tensors=tuple(
                _tensor(name, entry, f"/tensors/{strict_json.escape(name)}")
                for name, entry in members(top["tensors"], "/tensors")
            ),
            files=tuple(
                _file(path, entry, f"/files/{strict_json.escape(path)}")
                for path, entry in members(top["files"], "/files")
            ),
        )
    except JsonInvalid as error:
        raise ManifestInvalid(error.what, subject=error.subject) from None


def _tensor(name: str, value: Json, pointer: str) -> TensorDigest:
    entry = fields(value, pointer, {"dtype", "shape", "blake3"})
    digest = _digest(entry["blake3"], f"{pointer}/blake3")
    return TensorDigest(name, *dtype_and_shape(entry, pointer), digest)


def _file(path: str, value: Json, pointer: str) -> FileDigest:
    weights = isinstance(value, dict) and "header" in value
    key = "header" if weights else "blake3"
    entry = fields(value, pointer, {"size", key}, {"sha256"})
    sha256 = _digest(entry["sha256"], f"{pointer}/sha256") if "sha256" in entry else ""
    return FileDigest(
        path,
        size(entry["size"], f"{pointer}/size"),
        _digest(entry[key], f"{pointer}/{key}"),
        sha256,
        weights,
    )


def _digest(value: Json, pointer: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(_DIGEST, value):
        raise JsonInvalid("expected a digest: 64 hexadecimal digits in lower case", subject=pointer)
    return value
