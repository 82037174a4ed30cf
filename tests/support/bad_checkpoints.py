"""Builders of bad checkpoints.

Each puts something into an empty folder and returns the path to pass to `ckpt`.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


ENTRY = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


def as_file(text: bytes | str, payload: bytes = b"") -> bytes:
    """Return a safetensors file with this header text, its length right."""
    encoded = text.encode() if isinstance(text, str) else text
    return len(encoded).to_bytes(8, "little") + encoded + payload


def weights(name: str = "a") -> bytes:
    """Return a good file that holds one empty tensor."""
    return as_file(json.dumps({name: json.loads(ENTRY)}))


def folder_with(name: str, data: bytes | str) -> Callable[[Path], Path]:
    """Return a builder of a good checkpoint in which the file `name` holds `data`."""

    def build(folder: Path) -> Path:
        (folder / "model.safetensors").write_bytes(weights())
        (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
        return folder

    return build


def model(data: bytes | str) -> Callable[[Path], Path]:
    return folder_with("model.safetensors", data)


def config(data: bytes | str) -> Callable[[Path], Path]:
    return folder_with("config.json", data)


def index(**weight_map: str) -> Callable[[Path], Path]:
    """Return a builder of a folder with two shards, of `a` and `b`, and this index."""

    def build(folder: Path) -> Path:
        (folder / ONE).write_bytes(weights("a"))
        (folder / TWO).write_bytes(weights("b"))
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
        return folder

    return build


def raw_index(text: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / INDEX).write_text(text)
        return folder

    return build


def pipe(name: str) -> Callable[[Path], Path]:
    """Return a builder of a checkpoint in which `name` is a named pipe."""

    def build(folder: Path) -> Path:
        if name != "model.safetensors":
            (folder / "model.safetensors").write_bytes(weights())
        os.mkfifo(folder / name)
        return folder

    return build


def pipe_itself(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def pipe_called_safetensors(folder: Path) -> Path:
    return pipe("model.safetensors")(folder) / "model.safetensors"


def listening(folder: Path) -> Path:
    # A socket's address holds 108 bytes, and a test folder's name may hold more.
    before = Path.cwd()
    os.chdir(folder)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("model.safetensors")
    finally:
        os.chdir(before)
    return folder / "model.safetensors"


def socket_in_folder(folder: Path) -> Path:
    return listening(folder).parent


def folder_called_safetensors(folder: Path) -> Path:
    (folder / "model.safetensors").mkdir()
    return folder


def dangling(folder: Path) -> Path:
    (folder / "model.safetensors").symlink_to("../gone")
    return folder


def linked_device(folder: Path) -> Path:
    (folder / "model.safetensors").symlink_to("/dev/zero")
    return folder


def file_called(name: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / name).write_bytes(b"\x80\x04.")
        return folder / name

    return build


def missing_shard(folder: Path) -> Path:
    index(a=ONE, b=TWO)(folder)
    (folder / TWO).unlink()
    return folder


def shards_without_index(folder: Path) -> Path:
    (folder / ONE).write_bytes(weights())
    return folder


def strange_step(folder: Path) -> Path:
    (folder / "checkpoints" / "²" / "pretrained_model").mkdir(parents=True)
    return folder


def state_outside(folder: Path) -> Path:
    return folder_with(
        "policy_preprocessor.json",
        json.dumps({"steps": [{"state_file": "../../secret.safetensors"}]}),
    )(folder)
