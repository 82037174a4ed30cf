"""Pickles by content: each of these runs something under Python's own reader, whatever its name.

Text, lengths and plain values do not.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ckpt_tools.scan.folder import single
from ckpt_tools.scan.pickles import SNIFF

if TYPE_CHECKING:
    from pathlib import Path

CALL = b"cbuiltins\nlen\n(S'pwned'\ntR."
"""A pickle of protocol 0 that calls something, and gives 5."""

PLAIN = pickle.dumps({"a": [1, 2, 3]}, 4)
ARRAY = pickle.dumps(np.array([{}], dtype=object), 3)


def zipped(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def tarred(content: bytes, *, magic: bool = True) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("x")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    data = bytearray(stream.getvalue())
    if not magic:
        data[257:265] = bytes(8)
        data[148:156] = b" " * 8
        data[148:156] = b"%06o\0 " % sum(data[:SNIFF])
    return bytes(data)


def array(description: str) -> bytes:
    header = (
        f"{{'descr': {description}, 'fortran_order': False, 'shape': (1,), }}".ljust(117) + "\n"
    )
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header.encode() + ARRAY


def tensors(length: int, start: bytes = b"") -> bytes:
    header = json.dumps(
        {
            "__metadata__": {"format": "pt"},
            "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        }
    ).encode()
    head = start or struct.pack("<Q", length)
    return head + header + b" " * (int.from_bytes(head, "little") - len(header)) + bytes(4)


def polyglot() -> bytes:
    """A file that is laid out like safetensors, and a pickle.

    Its length is a short string, which ends inside a tensor's name.
    """
    length, before = 0x1455, b'\0\0\0\0\0\0{"'
    text = before.ljust(0x14, b"a") + b"0" + CALL
    header = text[6:].decode() + '": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'
    return struct.pack("<Q", length) + header.encode().ljust(length) + bytes(4)


RUNS = {
    "protocol 0": CALL,
    "after bytes": b"C\x01x0" + CALL,
    "after long bytes": b"B\x01\0\0\0x0" + CALL,
    "after a long text": b"\x8d\x01\0\0\0\0\0\0\0x0" + CALL,
    "after a bytearray": b"\x96\x01\0\0\0\0\0\0\0x0" + CALL,
    "after two megabytes": b"X" + struct.pack("<I", 2 << 20) + b"a" * (2 << 20) + b"0" + CALL,
    "after many opcodes": b"I1\n0" * 150_000 + CALL,
    "after a truth": b"I01\n0" + CALL,
    "after an octal number": b"I017\n0" + CALL,
    "after a number that C reads up to a NUL": b"I1\0x\n0" + CALL,
    "by its memo": b"\x8c\x08builtins\x94\x8c\x03len\x940h\x00h\x01\x93(S'pwned'\ntR.",
}


@pytest.mark.parametrize("name", RUNS)
def test_an_executable_pickle_is_found_behind_any_prefix(name: str, tmp_path: Path) -> None:
    assert pickle.loads(RUNS[name]) == 5  # noqa: S301 - made above; it calls len
    for file in ("logo.png", "vocab.txt", "LICENSE"):
        (tmp_path / file).write_bytes(RUNS[name])
        assert single(str(tmp_path / file))[0].pickle, file
    assert single(str(tmp_path / "logo.png"))[0].imports in {("builtins.len",), ()}


CONTAINED = {
    "gzip": gzip.compress(PLAIN),
    "gzip in gzip": gzip.compress(gzip.compress(PLAIN)),
    "a zip in gzip": gzip.compress(zipped("a/data.pkl", PLAIN)),
    "a tar in gzip": gzip.compress(tarred(PLAIN)),
    "a tar in bzip2": bz2.compress(tarred(b"text")),
    "a zip in a zip": zipped("inner.png", zipped("a/data.pkl", PLAIN)),
    "behind a picture": b"\x89PNG\r\n\x1a\n" + bytes(40) + zipped("a/data.pkl", PLAIN),
    "with a comment": zipped("a/data.pkl", PLAIN)[:-2] + b"\x05\0there",
    "in a long member": zipped(
        "a/data", b"X" + struct.pack("<I", 2 << 20) + b"a" * (2 << 20) + b"0" + CALL
    ),
    "an old tar": tarred(PLAIN, magic=False),
    "LZMA": lzma.compress(PLAIN, format=lzma.FORMAT_ALONE),
    "zlib": zlib.compress(PLAIN),
    "|O": array("'|O'"),
    "object": array("'object'"),
    "escaped": array("'\\x4f'"),
    "O,i4": array("'O,i4'"),
    "fields": array("[('a', 'object')]"),
    "fields in fields": array("[('a', [('b', '<f4'), ('c', 'O')])]"),
}


@pytest.mark.parametrize("name", CONTAINED)
def test_containers_of_pickles_and_too_deep_nesting_are_reported(name: str, tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(CONTAINED[name])
    assert single(str(tmp_path / "logo.png"))[0].pickle


HARMLESS = {
    "vocab.txt": (
        b"cat\ndog\nbird\n",
        b"cat\ndog\n.\n",
        b"cup\nplate\nRoom\n",
        b"cos\nsin\n(a\ntR.\n",
        b"c\nd\ne\n(\nR\n.\n",
        b"]\n}\n.",
        b"I\nam\n.\n",
    ),
    "notes.md": (b"contents\nintroduction\nbackground\n", b"(dp0\n.", b"K.\nN.", b"].", b"x^2.\n"),
    "LICENSE": (b"I1\n0N.", b"N0N."),
    "a.npy": tuple(
        map(
            array,
            (
                "'<f4'",
                "'|u1'",
                "'<U7'",
                "'<M8[ns]'",
                "[('a', '<f4'), ('b', '|i1', (2, 3))]",
                "('<f4', (2,))",
            ),
        )
    ),
    "a.zip": (zipped("a.txt", b"text"),),
    "a.tar": (tarred(b"text"), tarred(b"text", magic=False)),
    "a.gz": (gzip.compress(b"text"),),
    "model.safetensors": tuple(map(tensors, (0x280080, 0x2E0080, 0x5D0380, 0x8B1F, 0x785D))),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_text_lengths_and_numbers_are_not_pickles(name: str, tmp_path: Path) -> None:
    for number, content in enumerate(HARMLESS[name]):
        (tmp_path / name).write_bytes(content)
        assert single(str(tmp_path / name))[0].pickle == "", number


def test_a_weights_file_can_be_a_pickle(tmp_path: Path) -> None:
    data = polyglot()
    assert pickle.loads(data) == 5  # noqa: S301 - made above; it calls len
    (tmp_path / "model.safetensors").write_bytes(data)
    (entry,) = single(str(tmp_path / "model.safetensors"))
    assert entry.header is not None
    assert entry.imports == ("builtins.len",)


def test_a_compressed_file_cannot_exhaust_memory(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x5d\0\0\0\xff" + b"\xff" * 8 + bytes(100))
    assert single(str(tmp_path / "a.png"))[0].file_type == "an LZMA file"
