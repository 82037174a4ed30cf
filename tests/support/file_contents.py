"""File contents for tests of the CK8 rules."""

from __future__ import annotations

import io
import json
import struct
import zipfile

from tests.support.cases import FIXTURES

NORMAL_WEIGHTS = (FIXTURES / "normal" / "model.safetensors").read_bytes()


def weights(name: str = "w") -> bytes:
    header = json.dumps(
        {
            "__metadata__": {"format": "pt"},
            name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        }
    ).encode()
    return struct.pack("<Q", len(header)) + header + b"\0\0\x80?"


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "text")
    return stream.getvalue()


def front(*lines: str) -> str:
    return "\n".join(("---", *lines, "---", "# A policy", ""))


def card(**values: str) -> str:
    said = {"license": "apache-2.0", "library_name": "lerobot", "pipeline_tag": "robotics"} | values
    return front(*(f"{key}: {value}" for key, value in said.items()))
