"""Measurements and comparisons of earlier runs, in the user's cache folder, by file identity.

A file is the same while its path, device, inode, size and times are. One that was written within
two seconds before it was opened is not remembered: it could be written again without its time
showing it. Nor is one whose pages the system would not flush before they were read: while a page
waits to be flushed, a further write through a memory map does not change the file's times. A cache
that cannot be used - no folder, no permission, a damaged file - is treated as empty.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from math import isfinite
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.errors import CkptError, WriteFailed
from ckpt_tools.storage.durable import replace_text
from ckpt_tools.storage.files import read_whole
from ckpt_tools.storage.identity import check_unchanged, identity_of
from ckpt_tools.values.model import DifferenceRank, Measurement, PairFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckpt_tools.checkpoint.model import Tensor

FORMAT = 3
"""Raised when what is remembered, or the way it is computed, changes."""

RACY_NS = 2_000_000_000

MOST_BYTES = 64_000_000
MOST_FILES = 2_000
"""Beyond either, the files that were used longest ago are removed."""

TIMELESS = frozenset({"tmpfs", "ramfs"})
"""File systems in memory, where a write through a memory map does not change a file's times."""


def folder(kind: str = "values") -> str:
    """Return a folder of the cache: in `$XDG_CACHE_HOME/ckpt-tools`, or `~/.cache/ckpt-tools`.

    "" where there is no home.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the specification: a relative path is ignored
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "ckpt-tools", kind) if os.path.isabs(base) else ""


class Known:
    """The rows of one cache file: JSON lists whose first items name the tensors.

    A cache file is the digest of its second line, and that line: the identities and the rows.
    """

    def __init__(self, kind: str, files: tuple[Watch, ...], *, use: bool) -> None:
        self.files = files
        self.usable = use and bool(folder()) and not any(file.young for file in files)
        self.key = [
            kind,
            FORMAT,
            *([os.path.realpath(file.path), *file.identity] for file in files),
        ]
        self.path = os.path.join(folder(), f"{_digest(json.dumps(self.key).encode())}.json")
        self.rows = self._load() if self.usable else []

    def _load(self) -> list[list[object]]:
        try:
            digest, _, text = read_whole(self.path, MOST_BYTES).partition(b"\n")
            if digest != _digest(text).encode():
                return []
            held = json.loads(text)
            os.utime(self.path)
        except (CkptError, OSError, ValueError, RecursionError):
            return []
        rows = held.get("rows") if isinstance(held, dict) and held.get("key") == self.key else None
        return [row for row in rows if isinstance(row, list)] if isinstance(rows, list) else []

    def save(self, rows: list[list[object]]) -> None:
        """Replace the rows, atomically."""
        if not self.usable or not all(file.settled for file in self.files):
            return
        with suppress(WriteFailed, OSError, ValueError):
            os.makedirs(folder(), mode=0o700, exist_ok=True)
            text = json.dumps(
                {"key": self.key, "rows": rows}, allow_nan=False, separators=(",", ":")
            )
            replace_text(self.path, f"{_digest(text.encode())}\n{text}")
            evict()


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def evict(kind: str = "values") -> None:
    """Remove the files that were used longest ago, until a folder is within its limits.

    Raises OSError.
    """
    with os.scandir(folder(kind)) as entries:
        found = sorted(
            ((entry.stat().st_mtime_ns, entry.stat().st_size, entry.path) for entry in entries),
            reverse=True,
        )
    kept = 0
    for number, (_, size, path) in enumerate(found):
        kept += size
        if kept > MOST_BYTES or number >= MOST_FILES:
            with suppress(OSError):
                os.unlink(path)


class Watch:
    """An open file, its identity when it was opened, and whether it can be remembered.

    Not if it is too `young`, and not before it is `settled`: every write shows in its times.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self.path, self.descriptor = path, descriptor
        now = time.time_ns()
        self.identity = identity_of(descriptor)
        self.young = now - max(self.identity.mtime_ns, self.identity.ctime_ns) < RACY_NS
        self.settled = False

    def settle(self) -> None:
        """Flush the file's pages before they are read: any later write changes its times."""
        if not self.young and not _is_timeless(self.identity.device):
            with suppress(OSError):
                os.fsync(self.descriptor)
                self.settled = True

    def check_unchanged(self) -> None:
        """Raise ChangedDuringRead if the file was written to since: a ctime cannot be put back."""
        check_unchanged(self.descriptor, self.identity, self.path)


def _is_timeless(device: int) -> bool:
    """Whether a device is a file system in memory, by /proc."""
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            return any(
                line.split()[2] == number and line.rpartition(" - ")[2].split()[0] in TIMELESS
                for line in mounts
            )
    except (OSError, IndexError):
        return False


class KnownPairs:
    """The remembered facts of pairs of tensors in two open files."""

    def __init__(self, a: Watch, b: Watch, *, use: bool) -> None:
        self._one_file = a.identity == b.identity
        self._known = Known("pairs", (a, b), use=use)
        self._facts: dict[tuple[str, str], PairFacts] = {}
        for row in self._known.rows:
            names, facts = row[:2], _pair_facts(row[2:])
            if facts is not None and _fits(names, (str, str)):
                self._facts[str(names[0]), str(names[1])] = facts
        self._a, self._b = (known_measurements(watch, use=use) for watch in (a, b))

    def get(self, a: Tensor, b: Tensor) -> PairFacts | None:
        """Return the facts of a pair, None if unknown."""
        if a.dtype is b.dtype and (
            (self._one_file and a.start == b.start) or self._same_digest(a, b)
        ):
            return PairFacts(numbers_in(a), same_bytes=True)
        facts = self._facts.get((a.name, b.name))
        return (
            facts
            if facts is not None and facts.elements == max(numbers_in(a), numbers_in(b))
            else None
        )

    def _same_digest(self, a: Tensor, b: Tensor) -> bool:
        one, two = self._a.get(a.name), self._b.get(b.name)
        return one is not None and two is not None and one.digest == two.digest

    def add(self, found: Mapping[tuple[Tensor, Tensor], PairFacts]) -> None:
        """Remember the facts of more pairs."""
        if found:
            self._facts |= {(a.name, b.name): facts for (a, b), facts in found.items()}
            self._known.save([[*names, *facts] for names, facts in self._facts.items()])


class KnownRanks:
    """The remembered ranks of the differences of tensors in two open files: None, left out."""

    def __init__(self, a: Watch, b: Watch, *, use: bool) -> None:
        self._known = Known("ranks", (a, b), use=use)
        self._ranks: dict[tuple[str, str], DifferenceRank | None] = {
            (str(row[0]), str(row[1])): _difference_rank(row)
            for row in self._known.rows
            if _fits(row, (str, str, int, int, int)) or _fits(row, (str, str))
        }

    def __contains__(self, pair: tuple[Tensor, Tensor]) -> bool:
        """Whether the rank of a pair is known."""
        return (pair[0].name, pair[1].name) in self._ranks

    def get(self, a: Tensor, b: Tensor) -> DifferenceRank | None:
        """Return the rank of a known pair."""
        return self._ranks[a.name, b.name]

    def add(self, found: Mapping[tuple[Tensor, Tensor], DifferenceRank | None]) -> None:
        """Remember the ranks of more pairs."""
        if found:
            self._ranks |= {(a.name, b.name): rank for (a, b), rank in found.items()}
            self._known.save(
                [[*names, *(rank[1:] if rank else ())] for names, rank in self._ranks.items()]
            )


def known_measurements(watch: Watch, *, use: bool) -> dict[str, Measurement]:
    """Return the remembered measurements of the tensors of an open file, by name."""
    found = (_measurement(row) for row in Known("tensors", (watch,), use=use).rows)
    return {measured.name: measured for measured in found if measured is not None}


def remember_measurements(watch: Watch, found: list[Measurement], *, use: bool) -> None:
    """Remember the measurements of the tensors of an open file."""
    Known("tensors", (watch,), use=use).save([list(measured) for measured in found])


def numbers_in(tensor: Tensor) -> int:
    """Return the number of numbers in a tensor: a complex one is two."""
    return tensor.parameters * (1 + (tensor.dtype is Dtype.C64))


def _pair_facts(row: list[object]) -> PairFacts | None:
    """Return a well-formed row as facts."""
    kinds = (int, bool, int, int, float, float, float, float, float, float)
    return PairFacts(*row) if _fits(row, kinds) else None  # type: ignore[arg-type] # checked by _fits


def _difference_rank(row: list[object]) -> DifferenceRank | None:
    return DifferenceRank(*row[1:]) if row[2:] else None  # type: ignore[arg-type] # as above


def _measurement(row: list[object]) -> Measurement | None:
    kinds = (str, str, int, int, int, float, float, float, float, int, int, float)
    return Measurement(*row) if _fits(row, kinds) else None  # type: ignore[arg-type] # as above


def _fits(row: list[object], kinds: tuple[type, ...]) -> bool:
    return len(row) == len(kinds) and all(
        type(item) is kind and (not isinstance(item, float) or isfinite(item))
        for item, kind in zip(row, kinds, strict=True)
    )
