"""Lockfiles on the disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckpt_tools.errors import JsonInvalid, SpecInvalid
from ckpt_tools.format.json_text import decode_utf8
from ckpt_tools.rules import specs
from ckpt_tools.store.durable import write_file
from ckpt_tools.store.files import read_whole
from ckpt_tools.store.replace_file import replace_text

if TYPE_CHECKING:
    from ckpt_tools.records.spec import Spec

LIMIT = 64 << 20
"""As for a shard index: a lockfile of 100,000 tensors has 10 MB."""


def read_spec(path: str) -> Spec:
    """Return what the lockfile at `path` says. Raises SpecInvalid with the path, or what reading a file raises (NothingThere, NotAFile, Unreadable)."""
    data = read_whole(path, LIMIT, "a lockfile of `ckpt spec`")
    try:
        return specs.parse(decode_utf8(data))
    except JsonInvalid as error:
        raise SpecInvalid(error.what, path=path) from None
    except SpecInvalid as error:
        raise error.at(path) from None


def write_spec(spec: Spec, path: str) -> None:
    """Write a lockfile to `path`, in place of an older lockfile. What is there and is none stays: then it raises SpecInvalid. Raises WriteFailed."""
    if not os.path.lexists(path):
        write_file(path, specs.text(spec).encode())
        return
    try:
        read_spec(path)
    except SpecInvalid as error:
        error.what = f"is there already, and no lockfile: {error.what}"
        error.next = "name another place with --output, or move the old one away"
        raise
    replace_text(path, specs.text(spec))
