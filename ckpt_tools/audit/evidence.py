"""What a check read, kept as texts by their content, so that newer rules judge without reading.

A recording (`storage.recording`) becomes compressed contents by digest, which checkpoints share.
One that holds a secret, or is large, is not kept: its checkpoint is read again.
"""

from __future__ import annotations

import json
import zlib
from functools import lru_cache
from itertools import chain, count
from typing import TYPE_CHECKING

from blake3 import blake3

from ckpt_tools.scan.secrets import secrets
from ckpt_tools.storage.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT = 16 << 20
"""Bytes of a recording that is kept. Most have kilobytes; the largest tokenizers have more."""

FACTS = "facts"
"""The name of the content that has the facts; all others are named after a file."""

_REMEMBERED = 1 << 18

type Evidence = tuple[tuple[str, bytes], ...]
"""(name, digest) of each content, every name once."""


def packed(recording: Recording) -> tuple[Evidence, dict[bytes, bytes]]:
    """Return the evidence of a recording and its contents, compressed; nothing if it is not kept.

    The facts come first.
    """
    facts = recording.facts_text().encode()
    if len(facts) + sum(map(len, recording.contents.values())) > LIMIT:
        return (), {}
    names = {FACTS: blake3(facts).digest()}
    contents = {names[FACTS]: _packed(facts)}
    for digest, data in recording.contents.items():
        contents[digest] = _packed(data)
        names[_unused(recording.names[digest], names)] = digest
    if not all(contents.values()):
        return (), {}
    return tuple(names.items()), contents


def _unused(name: str, names: Mapping[str, bytes]) -> str:
    """Return a name for a content: that of its file, with a number for its other parts."""
    others = (f"{name} ({number})" for number in count(2))
    return next(one for one in chain((name,), others) if one not in names)


def replay(address: str, evidence: Evidence, contents: Mapping[bytes, bytes]) -> Recording | None:
    """Return a recording to check the checkpoint at `address` by, None if contents are missing."""
    digests = [digest for _, digest in evidence]
    facts = next((digest for name, digest in evidence if name == FACTS), None)
    if facts is None or not contents.keys() >= set(digests):
        return None
    found = {digest: zlib.decompress(contents[digest]) for digest in digests}
    return Recording(address, json.loads(found.pop(facts)), found)


def _packed(data: bytes) -> bytes:
    """Return a content compressed, b"" if it holds a secret."""
    return _compressed(data) if len(data) > _REMEMBERED else _compressed_once(data)


def _compressed(data: bytes) -> bytes:
    return b"" if secrets(data.decode("utf-8", "replace")) else zlib.compress(data)


_compressed_once = lru_cache(maxsize=256)(_compressed)
"""The steps of a run have the same header, the same configs, and mostly the same facts."""
